from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from forecasting import backtest, forecast

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import PanelOf


def test_a_backtest_cannot_see_its_future(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    demand = poisson_demand([2.0, 8.0], days=140)
    changed = demand.copy()
    changed[:, 126:] = 1000

    before = backtest(panel_of(demand), horizon=14, frequency="daily", windows=3).frame
    after = backtest(panel_of(changed), horizon=14, frequency="daily", windows=3).frame

    assert before["forecast_qty"].equals(after["forecast_qty"])
    assert before["forecast_p90_qty"].equals(after["forecast_p90_qty"])


def test_a_window_says_what_the_forecast_of_that_day_would_have_said(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    panel = panel_of(poisson_demand([2.0, 8.0], days=140))
    cutoff = panel["demand_date"].max() - timedelta(days=28)  # type: ignore[operator]

    tested = backtest(panel, horizon=14, frequency="daily", windows=2, models=["pooled_ensemble"]).frame
    told = forecast(panel.filter(pl.col("demand_date") <= cutoff), horizon=14, frequency="daily").frame

    assert tested.filter(pl.col("cutoff_date") == cutoff)["forecast_qty"].to_list() == told["demand_mean_qty"].to_list()


def test_scores_equal_a_recount_by_hand(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    demand = poisson_demand([3.0], days=98)

    result = backtest(panel_of(demand), horizon=7, frequency="daily", windows=2, models=["seasonal_naive"])

    past, actual = demand[0, :84].astype(float), demand[0, 84:].astype(float)
    told = np.concatenate([past[77:84], actual[:7]])
    scale = np.abs(past[7:] - past[:-7]).mean()
    row = result.series_scores.row(0, named=True)
    assert row["windows_count"] == 2
    assert row["wape_rate"] == pytest.approx(np.abs(told - actual).sum() / actual.sum())
    assert row["mase"] == pytest.approx(np.abs(told - actual).mean() / scale)
    assert row["bias_rate"] == pytest.approx((told - actual).sum() / actual.sum())
    assert result.scores["wape_rate"].to_list() == pytest.approx([row["wape_rate"]])


def test_censored_days_are_no_errors(panel_of: PanelOf) -> None:
    demand = np.full((1, 70), 5.0)
    censored = np.zeros((1, 70), dtype=bool)
    demand[0, 60:65], censored[0, 60:65] = 0.0, True

    result = backtest(panel_of(demand, censored=censored), horizon=14, frequency="daily", windows=1)

    assert result.frame["is_censored"].sum() == 10
    assert result.scores["days_count"].to_list() == [9, 9]
    assert result.scores["wape_rate"].to_list() == pytest.approx([0.0, 0.0], abs=1e-9)


def test_an_item_that_never_sold_has_no_rates(panel_of: PanelOf) -> None:
    result = backtest(panel_of(np.zeros((1, 60))), horizon=7, frequency="daily", windows=1)

    assert result.series_scores["wape_rate"].to_list() == [None, None]
    assert result.series_scores["mase"].to_list() == [None, None]


def test_smoothing_beats_seasonal_naive_on_noise_around_a_level(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    result = backtest(panel_of(poisson_demand(np.linspace(0.3, 9.0, 40), days=250)), horizon=14, frequency="daily", windows=6)

    wape = dict(result.scores.select("model", "wape_rate").rows())
    coverage = dict(result.horizon_scores.select("level", "coverage_rate").rows())
    assert wape["pooled_ensemble"] < 0.85 * wape["seasonal_naive"]
    assert coverage[0.9] == pytest.approx(0.9, abs=0.05)


def test_too_many_windows_are_refused_with_the_numbers(panel_of: PanelOf) -> None:
    with pytest.raises(ValueError, match=r"5 windows of 14 days, 14 apart, leave -10 of 60 days to learn from and 28 are needed"):
        backtest(panel_of(np.ones(60)), horizon=14, frequency="daily", windows=5)
