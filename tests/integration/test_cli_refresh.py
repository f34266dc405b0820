"""`refresh` and `backfill` on the command line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pipelines.cli.app import main
from pipelines.cli.refreshing import _range

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("2026-03-05", None, None), ("2026-03-05", "2026-03-05")),
        (("2024-02", None, None), ("2024-02-01", "2024-02-29")),
    ],
)
def test_a_day_or_a_month_names_its_first_and_last_day(arguments: tuple[str, None, None], expected: tuple[str, str]) -> None:
    first, last = _range(*arguments)

    assert (first.isoformat(), last.isoformat()) == expected


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Name a day or a month"),
        (("2026-03", "--from", "2026-03-01"), "Name a day or a month"),
        (("March",), "no day such as 2026-03-05"),
        (("2026-02-30",), "no day such as 2026-03-05"),
        (("9999-01-01",), "and yesterday"),
        (("--from", "2026-03-05", "--to", "2026-03-01"), "and yesterday"),
    ],
)
def test_days_that_cannot_be_meant_are_refused(
    arguments: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(sys, "argv", ["ordercast", "backfill", *arguments])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert told in capsys.readouterr().err
