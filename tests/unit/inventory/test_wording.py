"""One is one, and more are several."""

from __future__ import annotations

from datetime import date

import pytest

from inventory.wording import counted, day_words


@pytest.mark.parametrize(
    ("count", "several", "words"),
    [(0, None, "0 units"), (1, None, "1 unit"), (1200, None, "1,200 units"), (1, "units are", "1 unit"), (2, "units are", "2 units are")],
)
def test_what_is_counted_agrees_with_its_number(count: int, several: str | None, words: str) -> None:
    assert counted(count, "unit", several) == words


def test_a_day_of_another_year_says_so() -> None:
    assert [day_words(date(year, 1, 5), date(2026, 12, 31)) for year in (2026, 2027)] == ["5 Jan", "5 Jan 2027"]
