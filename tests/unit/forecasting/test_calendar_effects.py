from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from forecasting import forecast
from forecasting.calendar_effects import fit_calendar_effects
from forecasting.matrix import as_matrix

if TYPE_CHECKING:
    from conftest import PanelOf

MONDAY = date(2024, 1, 1)
DAYS = pl.Series("demand_date", [MONDAY + timedelta(days=day) for day in range(500)])


def poisson(mean: Any, *, seed: int = 3) -> Any:
    return np.random.default_rng(seed).poisson(mean)


def test_a_flag_lifts_the_days_it_stands_on_past_and_coming(panel_of: PanelOf) -> None:
    flag = np.random.default_rng(1).random(500) < 0.2
    calendar = pl.DataFrame({"demand_date": DAYS, "is_payday": flag})
    demand = poisson(20.0 * np.where(flag, 1.5, 1.0)[None, :400] * np.ones((5, 1)))

    factors = fit_calendar_effects(as_matrix(panel_of(demand), calendar=calendar)).factors(400, 100)[:, 0]

    assert factors[flag[400:]].mean() / factors[~flag[400:]].mean() == pytest.approx(1.5, rel=0.07)


def test_an_event_is_known_again_when_it_comes_on_another_weekday(panel_of: PanelOf) -> None:
    event = [None] * 500
    for day in (60, 160, 263, 364, 410):
        event[day] = "fair"
    calendar = pl.DataFrame({"demand_date": DAYS, "event": event})
    demand = poisson(np.where([name is not None for name in event[:400]], 60.0, 20.0)[None, :] * np.ones((5, 1)))

    factors = fit_calendar_effects(as_matrix(panel_of(demand), calendar=calendar)).factors(400, 20)[:, 0]

    assert factors[10] / np.delete(factors, 10).mean() == pytest.approx(3.0, rel=0.15)


def test_a_calendar_that_says_nothing_of_any_day_is_no_calendar(panel_of: PanelOf) -> None:
    demand = poisson(np.full((3, 120), 20.0))
    empty = pl.DataFrame({"demand_date": DAYS[:150], "event": pl.Series([None] * 150, dtype=pl.String)})

    with_it, without = (
        forecast(panel_of(demand), horizon=10, frequency="daily", calendar=calendar, model="pooled_ensemble").frame
        for calendar in (empty, None)
    )

    assert with_it.equals(without)


def test_a_closed_day_is_forecast_at_nothing(panel_of: PanelOf) -> None:
    closed = np.zeros(500, dtype=bool)
    closed[[50, 150, 250, 350, 405]] = True
    calendar = pl.DataFrame({"demand_date": DAYS, "is_closed": closed})
    demand = poisson(np.where(closed[:400], 0.0, 20.0)[None, :] * np.ones((5, 1)))

    frame = forecast(panel_of(demand), horizon=10, frequency="daily", calendar=calendar, model="pooled_ensemble").frame

    mean = frame.group_by("demand_date").agg(pl.col("demand_mean_qty").mean()).sort("demand_date")["demand_mean_qty"]
    assert mean[5] < 1.0
    assert mean[4] == pytest.approx(20.0, rel=0.1)


def test_a_promotion_of_one_item_lifts_that_item_only(panel_of: PanelOf) -> None:
    draw = np.random.default_rng(2)
    promoted = draw.random((4, 500)) < 0.1
    calendar = pl.concat(
        pl.DataFrame({"demand_date": DAYS, "sku": f"s{item:03d}", "is_promoted": promoted[item]}).filter(pl.col("is_promoted"))
        for item in range(4)
    )
    demand = poisson(10.0 * np.where(promoted, 2.0, 1.0)[:, :400])

    factors = fit_calendar_effects(as_matrix(panel_of(demand), calendar=calendar)).factors(400, 100)

    lifted = promoted[:, 400:].T
    assert factors[lifted].mean() / factors[~lifted].mean() == pytest.approx(2.0, rel=0.1)


def test_stock_outs_on_one_weekday_do_not_bend_the_profile(panel_of: PanelOf) -> None:
    demand = poisson(np.full((6, 364), 20.0))
    censored = np.zeros(demand.shape, dtype=bool)
    censored[:5, 6::7] = True

    factors = fit_calendar_effects(as_matrix(panel_of(np.where(censored, 0, demand), censored=censored))).factors(364, 7)

    assert_allclose(factors[:, 0], 1.0, atol=0.1)


@pytest.mark.parametrize(("frequency", "every", "periods"), [("daily", "1d", 800), ("weekly", "1w", 120), ("monthly", "1mo", 30)])
def test_a_season_that_comes_every_year_is_foreseen_after_two_of_them(frequency: Any, every: str, periods: int) -> None:
    dates = pl.date_range(pl.date(2020, 1, 1), pl.date(2025, 1, 1), interval=every, eager=True)[: 2 * periods]
    season = np.exp(0.5 * np.cos(2 * np.pi * (dates.dt.ordinal_day().to_numpy() - 330) / 365.25))
    items = [
        pl.DataFrame({"sku": f"s{item}", "location_id": "main", "demand_date": dates, "demand_qty": poisson(20.0 * season, seed=item)})
        for item in range(8)
    ]
    panel = pl.concat(items).with_columns(pl.col("demand_qty").cast(pl.Float64), is_censored=pl.lit(False))
    horizon = periods // 5
    known = panel.filter(pl.col("demand_date") < dates[periods])

    frame = forecast(known, horizon=horizon, frequency=frequency, model="pooled_ensemble").frame

    actual = panel.filter(pl.col("demand_date").is_between(dates[periods], dates[periods + horizon - 1]))
    both = frame.join(actual, on=["sku", "location_id", "demand_date"])
    assert both.height == frame.height
    assert both["demand_mean_qty"].sum() == pytest.approx(both["demand_qty"].sum(), rel=0.06)


def test_a_daily_calendar_speaks_to_weeks_as_the_share_of_their_days(panel_of: PanelOf) -> None:
    flags = pl.DataFrame({"demand_date": DAYS, "is_holiday": np.arange(500) % 7 == 3})
    weeks = pl.DataFrame({"demand_date": DAYS[:70:7], "demand_qty": np.full(10, 5.0)}).with_columns(
        sku=pl.lit("a"), location_id=pl.lit("b"), is_censored=pl.lit(False)
    )
    from forecasting.calendar_features import calendar_design

    design, _, _ = calendar_design(as_matrix(weeks, frequency="weekly", calendar=flags), 0, 12)

    assert_allclose(design[0, :, 0], 1 / 7)
