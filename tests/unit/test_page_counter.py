from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from dashboards.usage import EVERY, PageCounter

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = date(2026, 11, 22)


def test_openings_are_due_to_be_written_once_a_minute() -> None:
    counter = PageCounter()

    due = [counter.count("overview", at=NOON + timedelta(seconds=seconds)) for seconds in (0, 20, 59, 60)]

    assert due == [{(DAY, "overview"): 1}, {}, {}, {(DAY, "overview"): 3}]


def test_what_could_not_be_written_goes_with_the_next() -> None:
    counter = PageCounter()
    counter.give_back(counter.count("stock", at=NOON))

    due = counter.count("overview", at=NOON + EVERY)

    assert due == {(DAY, "stock"): 1, (DAY, "overview"): 1}
