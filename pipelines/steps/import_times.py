"""Local wall-clock times of an export become UTC."""

from __future__ import annotations

from datetime import datetime

import polars as pl


def skipped_times(times: pl.Series, *, zone: str) -> pl.Series:
    """Those of the times that never were: clocks in the zone skip the hour. Nulls are left out."""
    known = times.drop_nulls()
    return known.filter(known.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").is_null())


def local_to_utc(times: pl.Series, *, zone: str) -> tuple[pl.Series, int]:
    """Wall-clock times as UTC without zone, and how many of them lie in an hour that clocks repeat: there the earlier moment is taken.

    Years stay within 1 to 9999, so that the last moment of 9999 ("never ends") is one west of Greenwich too.

    Args:
        times: Local times without zone, none of them skipped; nulls stay null.
        zone: IANA name of the zone whose clocks show them.
    """
    earlier = times.dt.replace_time_zone(zone, ambiguous="earliest")
    later = times.dt.replace_time_zone(zone, ambiguous="latest")
    in_utc = earlier.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return in_utc.clip(datetime.min, datetime.max).alias(times.name), int((earlier != later).sum())  # noqa: DTZ901 - both are naive UTC
