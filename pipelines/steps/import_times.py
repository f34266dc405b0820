"""Local wall-clock times of an export become UTC."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class ClockChanges:
    """Times that a change of the clocks makes doubtful."""

    skipped_count: int
    repeated_count: int


def local_to_utc(times: pl.Series, *, zone: str) -> tuple[pl.Series, ClockChanges]:
    """Wall-clock times as UTC without zone, and how many of them were doubtful.

    An hour that clocks skip never was: such a time is moved on by an hour, as a clock that was not set would have shown
    it. In an hour that clocks repeat the earlier of the two moments is taken.

    Args:
        times: Local times without zone; nulls stay null.
        zone: IANA name of the zone whose clocks show them.
    """
    name = times.name
    earlier = times.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    later = times.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    is_skipped = earlier.is_null() & times.is_not_null()
    moved = times.dt.offset_by("1h").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    in_utc = earlier.fill_null(moved).dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return in_utc.alias(name), ClockChanges(skipped_count=int(is_skipped.sum()), repeated_count=int((earlier != later).sum()))
