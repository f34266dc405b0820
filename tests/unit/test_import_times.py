from __future__ import annotations

from datetime import datetime

import polars as pl

from pipelines.steps.import_times import ClockChanges, local_to_utc


def times(*values: datetime | None) -> pl.Series:
    return pl.Series("at", values, dtype=pl.Datetime("us"))


def test_summer_and_winter_have_their_own_distance_to_utc() -> None:
    in_utc, doubtful = local_to_utc(times(datetime(2018, 1, 15, 12), datetime(2018, 7, 15, 12), None), zone="America/Sao_Paulo")

    assert in_utc.to_list() == [datetime(2018, 1, 15, 14), datetime(2018, 7, 15, 15), None]
    assert doubtful == ClockChanges(skipped_count=0, repeated_count=0)


def test_a_time_in_a_repeated_hour_is_the_earlier_one_and_counted() -> None:
    in_utc, doubtful = local_to_utc(times(datetime(2018, 2, 17, 23, 30)), zone="America/Sao_Paulo")

    assert in_utc.to_list() == [datetime(2018, 2, 18, 1, 30)]
    assert doubtful == ClockChanges(skipped_count=0, repeated_count=1)


def test_a_time_in_a_skipped_hour_moves_on_by_an_hour_and_is_counted() -> None:
    in_utc, doubtful = local_to_utc(times(datetime(2017, 10, 15, 0, 30)), zone="America/Sao_Paulo")

    assert in_utc.to_list() == [datetime(2017, 10, 15, 3, 30)]
    assert doubtful == ClockChanges(skipped_count=1, repeated_count=0)


def test_no_times_at_all_are_no_trouble() -> None:
    in_utc, doubtful = local_to_utc(times(), zone="Europe/London")

    assert in_utc.len() == 0
    assert doubtful == ClockChanges(skipped_count=0, repeated_count=0)
