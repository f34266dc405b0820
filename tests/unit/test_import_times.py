from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

from pipelines.steps.import_times import local_to_utc, skipped_times


def times(*values: datetime | None) -> pl.Series:
    return pl.Series("at", values, dtype=pl.Datetime("us"))


def test_summer_and_winter_have_their_own_distance_to_utc() -> None:
    in_utc, repeated = local_to_utc(times(datetime(2018, 1, 15, 12), datetime(2018, 7, 15, 12), None), zone="America/Sao_Paulo")

    assert in_utc.to_list() == [datetime(2018, 1, 15, 14), datetime(2018, 7, 15, 15), None]
    assert repeated == 0


def test_a_time_in_a_repeated_hour_is_the_earlier_one_and_counted() -> None:
    in_utc, repeated = local_to_utc(times(datetime(2018, 2, 17, 23, 30)), zone="America/Sao_Paulo")

    assert in_utc.to_list() == [datetime(2018, 2, 18, 1, 30)]
    assert repeated == 1


def test_a_time_in_a_skipped_hour_is_found() -> None:
    never = datetime(2017, 10, 15, 0, 30)

    assert skipped_times(times(never, None, datetime(2017, 10, 15, 1, 0)), zone="America/Sao_Paulo").to_list() == [never]


@pytest.mark.parametrize(
    ("zone", "moment"), [("America/Sao_Paulo", datetime(9999, 12, 31, 23, 59, 59, 999_999)), ("Europe/Berlin", datetime(1, 1, 1))]
)
def test_the_end_and_the_beginning_of_all_times_stay_within_them(zone: str, moment: datetime) -> None:
    in_utc, _ = local_to_utc(times(moment), zone=zone)

    assert in_utc.to_list() == [moment]


def test_no_times_at_all_are_no_trouble() -> None:
    in_utc, repeated = local_to_utc(times(), zone="Europe/London")

    assert in_utc.len() == 0
    assert repeated == 0
