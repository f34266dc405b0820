"""Turning events into rows as somebody sees them at one moment: what has not happened yet is null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.simulator.clock import DAY, NEVER, IntArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.simulator.history import History

MONEY = pl.Decimal(18, 4)


@dataclass(frozen=True, slots=True)
class View:
    """A history seen at the end of local day number `days` (1 is the end of the first)."""

    history: History
    days: int

    @property
    def now(self) -> int:
        """The moment of looking, in local seconds; only what lies before it has happened."""
        return self.days * DAY

    def seen(self, moment: IntArray) -> IntArray:
        """The moments that have passed; NEVER for the others."""
        return np.where(moment < self.now, moment, NEVER)

    def at(self, moment: IntArray) -> pl.Series:
        """UTC of moments that have passed, null for the others."""
        return self.planned(self.seen(moment))

    def planned(self, moment: IntArray) -> pl.Series:
        """UTC of moments that are known ahead, such as promises; null for NEVER."""
        return pl.Series(self.history.clock.to_utc(moment)).cast(pl.Datetime("us"))

    def latest(self, *moments: IntArray) -> pl.Series:
        """UTC of the latest of several moments that have passed: when a row last changed."""
        passed = [np.where(moment < self.now, moment, -NEVER) for moment in moments]
        return self.planned(np.maximum.reduce(passed))


def named(names: Sequence[str | None], number: IntArray) -> pl.Series:
    """The name of each number; -1 is null."""
    table = pl.Series([*names, None], dtype=pl.String)
    return table.gather(pl.Series(np.where(number < 0, len(names), number)))


def money(cents: IntArray) -> pl.Series:
    """Cents as decimal money."""
    return (pl.Series(cents.astype(np.int64)) / 100).round(2).cast(MONEY)


def text(*parts: pl.Series | str) -> pl.Series:
    """Series and constants joined to one text per row."""
    return pl.select(pl.concat_str([pl.lit(part) for part in parts])).to_series()


def numbered(prefix: str, number: IntArray, width: int) -> pl.Series:
    """Ids such as O-000123."""
    return text(prefix, pl.Series(number).cast(pl.String).str.zfill(width))


def occurrence(group: IntArray) -> IntArray:
    """1, 2, 3 ... within each run of equal neighbours."""
    if len(group) == 0:
        return np.empty(0, dtype=np.int64)
    position = np.arange(len(group))
    is_start = np.append(True, group[1:] != group[:-1])
    return position - np.maximum.accumulate(np.where(is_start, position, 0)) + 1
