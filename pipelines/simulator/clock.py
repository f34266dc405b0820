"""Random streams and local time. Neither depends on how many days are simulated."""

from __future__ import annotations

import zlib
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

IntArray: TypeAlias = npt.NDArray[np.int64]
FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
T = TypeVar("T")

DAY: Final = 86_400
HOUR: Final = 3_600
MINUTE: Final = 60
NEVER: Final = 2**40  # a moment, in local seconds, that no simulation reaches
MONDAY: Final = 0
SUNDAY: Final = 6
_MARGIN_DAYS: Final = 400  # plans reach beyond the last day: deliveries, late purchase orders, patience


def stream(seed: int, name: str, *numbers: int) -> np.random.Generator:
    """A generator of its own for every use.

    A stream is drawn from once, in the order of days. So its first values are the same however long the simulation
    runs, and a draw added elsewhere does not move it.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode()), *numbers]))


class Clock:
    """Local time as whole seconds since the first local midnight, where every day has 86,400 of them.

    An hour that a change of clocks skips collapses into one instant and one that it repeats is lived through once, so
    local order is always UTC order.
    """

    def __init__(self, start: date, total_days: int, time_zone: str) -> None:
        self.start = start
        self.total_days = total_days
        self.zone = ZoneInfo(time_zone)
        days = total_days + _MARGIN_DAYS
        self.weekday: IntArray = (start.weekday() + np.arange(days, dtype=np.int64)) % 7
        working = np.flatnonzero(self.weekday != SUNDAY)
        self._working = working
        self._next = np.searchsorted(working, np.arange(days))  # position in `working` of the first working day from here

    @property
    def now(self) -> int:
        """The end of the last simulated day."""
        return self.total_days * DAY

    def working_day(self, day: IntArray, after: IntArray | int = 0) -> IntArray:
        """The first working day at or after `day`, and then `after` working days more."""
        first = self._next[np.minimum(day, len(self._next) - 1)]
        found: IntArray = self._working[np.minimum(first + after, len(self._working) - 1)]
        return found

    @cached_property
    def _hour_starts(self) -> IntArray:
        """UTC seconds at which each local hour starts."""
        first = datetime(self.start.year, self.start.month, self.start.day)  # noqa: DTZ001 - local wall time, zone set below
        hours = (len(self.weekday) + 1) * 24
        return np.array([int((first + timedelta(hours=h)).replace(tzinfo=self.zone).timestamp()) for h in range(hours)], dtype=np.int64)

    def to_utc(self, moment: IntArray) -> npt.NDArray[np.datetime64]:
        """UTC of local moments; NEVER becomes NaT. Moments before the first day keep its offset."""
        starts = self._hour_starts
        known = np.clip(moment, 0, (len(starts) - 2) * HOUR)
        hour = known // HOUR
        seconds = np.minimum(starts[hour] + known % HOUR, starts[hour + 1]) + np.minimum(moment, 0)
        microseconds = seconds * 1_000_000
        return np.where(moment >= NEVER, np.iinfo(np.int64).min, microseconds).view("datetime64[us]")

    def utc(self, moment: int) -> datetime:
        """UTC of one local moment, naive."""
        instant: datetime = self.to_utc(np.array([moment], dtype=np.int64))[0].item()
        return instant

    def day_of_utc(self, instant: datetime) -> int:
        """Local day, counted from the start, that an instant lies in."""
        return (instant.replace(tzinfo=UTC).astimezone(self.zone).date() - self.start).days


def stacked(parts: Sequence[T]) -> T:
    """Several frozen groups of equally long arrays as one, in the same order.

    Raises:
        ValueError: There is not one part, so there is nothing to say what kind it is.
    """
    if not parts:
        raise ValueError("at least one part is needed")
    first: Any = parts[0]
    arrays = {field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(first)}
    return cast("T", type(first)(**arrays))
