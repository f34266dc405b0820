from __future__ import annotations

from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from forecasting.overrides import override_forecast, override_paths, overrides_by_day

FIRST = date(2025, 7, 1)


def _overrides(*rows: tuple[str, str, date, date, str, float, int]) -> pl.DataFrame:
    names = ["override_id", "sku", "from_date", "to_date", "kind", "value", "minute"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(
        pl.lit("main").alias("location_id"), pl.lit(datetime(2025, 6, 1)).dt.offset_by(pl.format("{}m", "minute")).alias("created_at")
    )


def _forecast(mean: float, days: int = 3) -> pl.DataFrame:
    return pl.DataFrame(
        {"sku": "A", "location_id": "main", "demand_date": [date(2025, 7, 1 + day) for day in range(days)], "demand_mean_qty": mean,
         "demand_p10_qty": mean - 3, "demand_p90_qty": mean + 4}
    )  # fmt: skip


def test_of_overrides_of_one_day_the_newest_holds() -> None:
    by_day = overrides_by_day(
        _overrides(
            ("new", "A", date(2025, 7, 2), date(2025, 7, 2), "factor", 2.0, 5),
            ("old", "A", date(2025, 6, 20), date(2025, 7, 3), "absolute", 9.0, 1),
            ("over", "A", date(2025, 6, 1), date(2025, 6, 30), "absolute", 1.0, 9),
        ),
        first=FIRST, days=28,
    )  # fmt: skip

    assert by_day.select("demand_date", "override_id").rows() == [
        (date(2025, 7, 1), "old"),
        (date(2025, 7, 2), "new"),
        (date(2025, 7, 3), "old"),
    ]


def test_the_statistical_forecast_stays_beside_the_override() -> None:
    by_day = overrides_by_day(_overrides(("o", "A", date(2025, 7, 2), date(2025, 7, 2), "factor", 4.0, 0)), first=FIRST, days=28)

    frame = override_forecast(_forecast(10.0), by_day)

    assert frame["demand_mean_qty"].to_list() == [10.0, 40.0, 10.0]
    assert frame["statistical_mean_qty"].to_list() == [10.0, 10.0, 10.0]
    assert frame["override_id"].to_list() == [None, "o", None]
    assert frame["demand_p90_qty"].to_list() == [14.0, 48.0, 14.0]  # 4 units above the mean, by the root of 4
    assert frame["demand_p10_qty"].to_list() == [7.0, 34.0, 7.0]


def test_an_override_of_a_forecast_of_nothing_is_known_without_spread() -> None:
    by_day = overrides_by_day(_overrides(("o", "A", FIRST, FIRST, "absolute", 5.0, 0)), first=FIRST, days=28)

    frame = override_forecast(_forecast(0.0, days=1), by_day)

    assert frame.select("demand_mean_qty", "demand_p10_qty", "demand_p90_qty").row(0) == (5.0, 5.0, 5.0)


def test_a_series_without_a_forecast_has_none_with_an_override_either() -> None:
    by_day = overrides_by_day(_overrides(("o", "A", FIRST, FIRST, "factor", 5.0, 0)), first=FIRST, days=28)

    frame = override_forecast(_forecast(1.0, days=1).with_columns(pl.lit(None, dtype=pl.Float64).alias("demand_mean_qty")), by_day)

    assert frame.select("demand_mean_qty", "override_id").row(0) == (None, None)


@pytest.mark.parametrize(("factor", "absolute"), [(2.0, np.nan), (0.25, np.nan), (0.0, np.nan), (np.nan, 30.0), (np.nan, 0.0)])
def test_paths_have_the_mean_that_was_asked_for_and_are_untouched_elsewhere(factor: float, absolute: float) -> None:
    paths = np.random.default_rng(3).poisson(4.0, (500, 6)).astype(np.float32)
    days = np.arange(6)

    moved = override_paths(paths, factor=np.where(days == 2, factor, np.nan), absolute=np.where(days == 2, absolute, np.nan))

    wanted = absolute if np.isfinite(absolute) else factor * paths[:, 2].mean()
    assert moved[:, 2].mean() == pytest.approx(wanted, rel=1e-5)
    assert moved.min() >= 0
    assert np.array_equal(np.delete(moved, 2, axis=1), np.delete(paths, 2, axis=1))


def test_ten_a_day_of_an_item_that_hardly_sells_is_about_ten_a_day() -> None:
    paths = np.random.default_rng(3).poisson(0.05, (1000, 14)).astype(np.float32)

    moved = override_paths(paths, factor=np.full(14, np.nan), absolute=np.full(14, 10.0))

    assert np.quantile(moved.sum(axis=1), 0.5) == pytest.approx(140, rel=0.1)
    assert np.quantile(moved.sum(axis=1), 0.95) < 220
