from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from forecasting import backtest, forecast
from forecasting.matrix import as_matrix
from forecasting.scores import classes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import PanelOf

    from forecasting.schema import Backtest


def overall(result: Backtest) -> pl.DataFrame:
    return result.scores.filter(pl.col("class_kind") == "all")


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

    tested = backtest(panel, horizon=14, frequency="daily", windows=2, models=["auto"]).frame
    told = forecast(panel.filter(pl.col("demand_date") <= cutoff), horizon=14, frequency="daily").frame

    assert tested.filter(pl.col("cutoff_date") == cutoff)["forecast_qty"].to_list() == pytest.approx(
        told["demand_mean_qty"].to_list(), rel=1e-6
    )


def test_a_window_knows_nothing_of_series_launched_after_it(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    panel = panel_of(poisson_demand([*np.linspace(1.0, 9.0, 60), *np.full(45, 50.0)], days=140))
    launched = pl.col("demand_date") >= panel["demand_date"].max() - timedelta(days=20)  # type: ignore[operator]
    panel = panel.filter((pl.col("sku") < "s060") | launched)
    attributes = pl.DataFrame({"sku": panel["sku"].unique().sort(), "category": "c"}).with_columns(
        department=pl.Series([f"d{number % 2}" for number in range(105)])
    )
    cutoff = panel["demand_date"].max() - timedelta(days=28)  # type: ignore[operator]

    tested = backtest(panel, horizon=14, frequency="daily", windows=2, models=["auto"], attributes=attributes).frame
    told = forecast(panel.filter(pl.col("demand_date") <= cutoff), horizon=14, frequency="daily", attributes=attributes).frame

    window = tested.filter(pl.col("cutoff_date") == cutoff)
    both = window.join(told, on=["sku", "location_id", "demand_date"])
    assert both.height == told.height
    assert both["forecast_qty"].to_list() == pytest.approx(both["demand_mean_qty"].to_list(), rel=1e-6)
    assert both["forecast_p90_qty"].to_list() == pytest.approx(both["demand_p90_qty"].to_list(), rel=1e-6)
    assert window.filter(pl.col("sku") >= "s060")["forecast_qty"].null_count() == 45 * 7


def test_scores_equal_a_recount_by_hand(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    demand = poisson_demand([3.0], days=98)

    result = backtest(panel_of(demand), horizon=7, frequency="daily", windows=2, models=["seasonal_naive"])

    past, actual = demand[0, :84].astype(float), demand[0, 84:].astype(float)
    told = np.concatenate([past[77:84], actual[:7]])
    later = np.concatenate([past, actual[:7]])
    scales = np.repeat([np.abs(known[7:] - known[:-7]).mean() for known in (past, later)], 7)
    jumps = np.repeat([(np.diff(known[np.flatnonzero(known)[0] :]) ** 2).mean() for known in (past, later)], 7)
    row = result.series_scores.row(0, named=True)
    assert row["windows_count"] == 2
    assert row["wape_rate"] == pytest.approx(np.abs(told - actual).sum() / actual.sum())
    assert row["mase"] == pytest.approx((np.abs(told - actual) / scales).mean())
    assert row["rmsse"] == pytest.approx(np.sqrt(((told - actual) ** 2 / jumps).mean()))
    assert row["cumulative_bias_rate"] == pytest.approx((abs((told - actual)[:7].sum()) + abs((told - actual)[7:].sum())) / actual.sum())
    assert row["bias_rate"] == pytest.approx((told - actual).sum() / actual.sum())
    assert result.scores["wape_rate"].to_list() == pytest.approx([row["wape_rate"]] * 3)  # over all, and its class of each kind


def test_censored_days_are_no_errors(panel_of: PanelOf) -> None:
    demand = np.full((1, 70), 5.0)
    censored = np.zeros((1, 70), dtype=bool)
    demand[0, 60:65], censored[0, 60:65] = 0.0, True

    result = backtest(panel_of(demand, censored=censored), horizon=14, frequency="daily", windows=1)

    assert result.frame["is_censored"].sum() == 10
    assert result.frame.filter(pl.col("is_censored"))["actual_qty"].null_count() == 10
    assert overall(result)["periods_count"].to_list() == [9, 9]
    assert overall(result)["wape_rate"].to_list() == pytest.approx([0.0, 0.0], abs=1e-9)


def test_an_item_that_never_sold_has_no_rates(panel_of: PanelOf) -> None:
    result = backtest(panel_of(np.zeros((1, 60))), horizon=7, frequency="daily", windows=1)

    assert result.series_scores["wape_rate"].to_list() == [None, None]
    assert result.series_scores["mase"].to_list() == [None, None]


def test_smoothing_beats_seasonal_naive_on_noise_around_a_level(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    result = backtest(panel_of(poisson_demand(np.linspace(0.3, 9.0, 40), days=250)), horizon=14, frequency="daily", windows=6)

    wape = dict(overall(result).select("model", "wape_rate").rows())
    coverage = dict(result.horizon_scores.select("level", "coverage_rate").rows())
    assert wape["auto"] < 0.85 * wape["seasonal_naive"]
    assert coverage[0.9] == pytest.approx(0.9, abs=0.05)


def test_too_many_windows_are_refused_with_the_numbers(panel_of: PanelOf) -> None:
    with pytest.raises(ValueError, match=r"5 windows of 14 days, 14 apart, leave -10 of 60 days to learn from and 28 are needed"):
        backtest(panel_of(np.ones(60)), horizon=14, frequency="daily", windows=5)


def test_value_added_is_the_share_of_naive_error_saved_and_its_own_is_zero(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    panel = panel_of(poisson_demand(np.linspace(0.3, 9.0, 10), days=120))

    both = overall(backtest(panel, horizon=14, frequency="daily", windows=3))
    alone = overall(backtest(panel, horizon=14, frequency="daily", windows=3, models=["auto"]))

    wape, added = (dict(both.select("model", name).rows()) for name in ("wape_rate", "fva_rate"))
    assert added["auto"] == pytest.approx(1 - wape["auto"] / wape["seasonal_naive"])
    assert added["auto"] > 0
    assert added["seasonal_naive"] == 0
    assert alone["fva_rate"].to_list() == [added["auto"]]


def test_classes_and_steps_add_up_to_the_whole(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    demand = poisson_demand([0.05, 0.4, 2.0, 30.0], days=120)
    demand[0, :] = 0

    result = backtest(panel_of(demand), horizon=14, frequency="daily", windows=3, models=["auto"])

    whole = overall(result).row(0, named=True)
    for kind in ("volume", "pattern"):
        part = result.scores.filter(pl.col("class_kind") == kind)
        assert part["series_count"].sum() == whole["series_count"] == 4
        assert part["absolute_error_qty"].sum() == pytest.approx(whole["absolute_error_qty"])
    assert result.step_scores["step"].to_list() == list(range(1, 15))
    assert result.step_scores["absolute_error_qty"].sum() == pytest.approx(whole["absolute_error_qty"])
    patterns = result.scores.filter(pl.col("class_kind") == "pattern")["class_name"].to_list()
    assert patterns == ["intermittent", "no demand", "smooth"]


def test_patterns_are_those_of_syntetos_boylan_and_croston(panel_of: PanelOf) -> None:
    smooth, rare = np.tile([4.0, 5.0], 42), np.tile([4.0, 0.0], 42)
    erratic, lumpy = np.tile([1.0, 1.0, 1.0, 20.0], 21), np.tile([1.0, 0.0, 20.0, 0.0, 1.0, 0.0], 14)
    later = np.zeros(84)
    panel = panel_of([smooth, rare, erratic, lumpy, later]).filter(
        (pl.col("sku") != "s004") | (pl.col("demand_date") > pl.date(2024, 3, 20))
    )

    classes = classes_of(as_matrix(panel).until(60))

    assert classes["pattern"].to_list() == ["smooth", "intermittent", "erratic", "lumpy", "new"]
    assert classes["volume"].to_list() == ["A", "B", "A", "A", "new"]


def test_a_series_that_is_new_at_a_cutoff_is_scored_by_its_fallback_and_says_so(panel_of: PanelOf) -> None:
    panel = panel_of(np.full((2, 60), 3.0)).filter((pl.col("sku") == "s000") | (pl.col("demand_date") >= pl.date(2024, 2, 10)))

    result = backtest(panel, horizon=14, frequency="daily", windows=1, models=["auto"])

    young = result.series_scores.filter(pl.col("sku") == "s001").row(0, named=True)
    assert young["wape_rate"] == pytest.approx(0.0, abs=1e-6)
    assert "14 are needed" in young["fallback_reason"]


def test_progress_is_told_window_by_window(panel_of: PanelOf) -> None:
    told: list[float] = []

    backtest(panel_of(np.ones(60)), horizon=7, frequency="daily", windows=4, on_progress=lambda _, share: told.append(share))

    assert told == [0.0, 0.25, 0.5, 0.75]
