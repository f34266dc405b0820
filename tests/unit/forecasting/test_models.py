from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from forecasting import forecast
from forecasting.calendar_effects import fit_calendar_effects
from forecasting.drift import drift_factor
from forecasting.matrix import as_matrix
from forecasting.naive import seasonal_naive
from forecasting.pooled import fit_pooled, with_methods
from forecasting.smoothing import ses_levels

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import PanelOf

WEEK = np.array([0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 0.9])


def test_smoothing_equals_statsforecast_where_every_day_is_in_stock_and_alike(poisson_demand: Callable[..., Any]) -> None:
    from statsforecast.models import SimpleExponentialSmoothing

    demand = poisson_demand([0.4, 3.0, 40.0], days=400).astype(float)

    levels = ses_levels(demand.T, np.ones(demand.T.shape), smoothing=0.3)

    theirs = [SimpleExponentialSmoothing(alpha=0.3).forecast(y=series, h=1)["mean"][0] for series in demand]
    assert_allclose(levels[-1], theirs, rtol=1e-9)


def test_seasonal_naive_equals_statsforecast(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    from statsforecast.models import SeasonalNaive

    demand = poisson_demand([0.4, 3.0, 40.0], days=101)

    ours = seasonal_naive(as_matrix(panel_of(demand)), periods=17)

    theirs = [SeasonalNaive(season_length=7).forecast(y=series.astype(float), h=17)["mean"] for series in demand]
    assert_allclose(ours.T, theirs)


def test_seasonal_naive_takes_the_last_such_weekday_that_was_in_stock(panel_of: PanelOf) -> None:
    censored = np.zeros((1, 21), dtype=bool)
    censored[0, 14] = True

    ours = seasonal_naive(as_matrix(panel_of(np.arange(21.0), censored=censored)), periods=7)

    assert ours[:, 0].tolist() == [7, 15, 16, 17, 18, 19, 20]


def test_the_weekday_profile_is_shared_and_recovered(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    profile = (
        fit_calendar_effects(as_matrix(panel_of(poisson_demand([0.2, 5.0, 20.0], days=700)))).factors(0, 364).reshape(-1, 7, 3).mean(axis=0)
    )

    assert_allclose(profile[:, 0], WEEK, atol=0.05)
    assert_allclose(profile[:, 0], profile[:, 2])


def test_a_small_category_has_the_profile_of_its_location(panel_of: PanelOf) -> None:
    demand = np.zeros((2, 364))
    demand[0] = np.tile([100, 100, 100, 100, 100, 200, 0], 52)
    demand[1, 3] = 1.0
    attributes = pl.DataFrame({"sku": ["s000", "s001"], "category": ["large", "small"]})

    profile = fit_calendar_effects(as_matrix(panel_of(demand), attributes=attributes)).factors(0, 7)

    assert_allclose(profile[:, 1], profile[:, 0], atol=0.1)
    assert profile[6, 0] < 0.02


def test_a_stock_out_does_not_drag_the_level_down(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    demand = poisson_demand([10.0], days=200)
    censored = np.zeros(demand.shape, dtype=bool)
    censored[0, 150:] = True
    sold = np.where(censored, 0, demand)

    masked = fit_pooled(as_matrix(panel_of(sold, censored=censored)))
    known = fit_pooled(as_matrix(panel_of(demand[:, :150])))

    assert_allclose(masked.level, known.level, rtol=0.01)
    assert masked.level[0] == pytest.approx(10.0, rel=0.1)


def test_other_methods_on_the_same_factors_are_what_a_new_fit_would_be(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    matrix = as_matrix(panel_of(poisson_demand([0.4, 3.0, 40.0], days=200)))

    derived = with_methods(fit_pooled(matrix), (ses_levels,))

    anew = fit_pooled(matrix, methods=(ses_levels,), is_reconciled=False)
    assert_allclose(derived.point(14), anew.point(14), rtol=1e-12)
    assert_allclose(derived.residuals, anew.residuals, rtol=1e-12)


def test_an_item_never_in_stock_has_no_forecast_but_a_reason(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    demand = poisson_demand([10.0, 0.0], days=60)
    censored = np.zeros(demand.shape, dtype=bool)
    censored[1] = True

    frame = forecast(panel_of(demand, censored=censored), horizon=3, frequency="daily").frame

    never = frame.filter(pl.col("sku") == "s001")
    assert never["demand_mean_qty"].to_list() == [None, None, None]
    assert never["demand_p90_qty"].to_list() == [None, None, None]
    assert never["fallback_reason"].unique().to_list() == ["no day in stock, so nothing is known of its demand"]
    assert frame.filter(pl.col("sku") == "s000")["fallback_reason"].null_count() == 3


def test_few_days_in_stock_fall_back_to_their_mean_and_say_so(panel_of: PanelOf) -> None:
    censored = np.ones((1, 40), dtype=bool)
    censored[0, :7] = False

    frame = forecast(panel_of(np.full(40, 6.0), censored=censored), horizon=1, frequency="daily").frame

    assert frame["model"].to_list() == ["history_mean"]
    assert frame["demand_mean_qty"].to_list() == pytest.approx([6.0])


def test_a_closed_weekday_is_forecast_at_nothing(panel_of: PanelOf) -> None:
    demand = np.tile([40, 40, 40, 40, 40, 60, 0], 30)

    frame = forecast(panel_of(demand), horizon=7, frequency="daily").frame

    assert_allclose(frame["demand_mean_qty"].to_numpy(), demand[:7], atol=1.0)


def test_daily_quantiles_do_not_cross_and_cover_at_their_rate(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    rates = np.linspace(3.0, 30.0, 60)
    demand = poisson_demand(rates, days=378)

    frame = forecast(panel_of(demand[:, :364]), horizon=14, frequency="daily").frame

    actual = demand[:, 364:].ravel()
    assert (frame["demand_p10_qty"] <= frame["demand_p50_qty"]).all()
    assert (frame["demand_p50_qty"] <= frame["demand_p90_qty"]).all()
    assert (actual <= frame["demand_p90_qty"].to_numpy()).mean() == pytest.approx(0.9, abs=0.04)
    assert frame["demand_mean_qty"].sum() == pytest.approx(actual.sum(), rel=0.03)


def test_the_order_of_rows_does_not_matter(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    panel = panel_of(poisson_demand([1.0, 4.0], days=60))

    assert forecast(panel, horizon=5, frequency="daily").frame.equals(
        forecast(panel.sample(fraction=1.0, shuffle=True, seed=3), horizon=5, frequency="daily").frame
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda panel: panel.drop("is_censored"), "lacks is_censored"),
        (lambda panel: panel.clear(), "has no rows"),
        (lambda panel: panel.with_columns(demand_qty=pl.lit("many")), "demand_qty is String and has to be a number"),
        (lambda panel: panel.with_columns(demand_date=pl.lit(None, dtype=pl.Date)), "none of its 30 rows has a date"),
    ],
)
def test_a_broken_panel_is_refused_by_name(panel_of: PanelOf, change: Callable[[pl.DataFrame], pl.DataFrame], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forecast(change(panel_of(np.ones(30))), horizon=1, frequency="daily")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": 0}, "horizon: has to be at least 1 and whole, got 0"),
        ({"horizon": 2.0}, "horizon: has to be at least 1 and whole, got 2.0"),
        ({"horizon": True}, "horizon: has to be at least 1 and whole, got True"),
        ({"seed": -1}, "seed: has to be at least 0 and whole, got -1"),
        ({"frequency": "hourly"}, "frequency: 'hourly' is not known"),
        ({"levels": (0.5, 1.0)}, "levels: 1 of 2"),
        ({"model": "magic"}, "model: 'magic' is not known"),
    ],
)
def test_an_impossible_argument_is_refused_by_name(panel_of: PanelOf, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forecast(panel_of(np.ones(30)), **{"horizon": 1, "frequency": "daily", **arguments})


def test_demand_that_keeps_falling_is_not_met_late_each_time(panel_of: PanelOf) -> None:
    rates = np.linspace(5.0, 200.0, 120)[:, None] * 0.96 ** np.arange(60)
    demand = np.random.default_rng(4).poisson(rates)
    monthly = panel_of(demand).with_columns(demand_date=pl.date(2018, 1, 1).dt.offset_by(pl.format("{}mo", pl.int_range(pl.len()) % 60)))
    known = monthly.filter(pl.col("demand_date") < pl.date(2022, 10, 1))

    mean = forecast(known, horizon=3, frequency="monthly", model="pooled_ensemble").frame["demand_mean_qty"].sum()
    uncorrected = fit_pooled(as_matrix(known, frequency="monthly")).point(3).sum()

    expected = rates[:, 57:].sum()
    assert abs(mean - expected) < 0.5 * (uncorrected - expected)


def test_noise_alone_is_no_drift(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    fit = fit_pooled(as_matrix(panel_of(poisson_demand(np.linspace(0.5, 20.0, 40), days=364))))

    assert drift_factor(fit, periods=14) == pytest.approx(1.0, abs=0.01)
    assert drift_factor(fit, periods=120) == 1.0


def test_a_few_days_that_look_alike_do_not_make_a_forecast_sure(panel_of: PanelOf) -> None:
    frame = forecast(panel_of(np.array([[9.0, 13.0, 13.0]])), horizon=1, frequency="daily", model="ses").frame

    low, middle, high = (frame[name][0] for name in ("demand_p10_qty", "demand_p50_qty", "demand_p90_qty"))
    assert low < 0.5 * middle
    assert high > 1.5 * middle


def test_one_absurd_quantity_of_one_item_does_not_make_all_forecasts_naive(panel_of: PanelOf) -> None:
    demand = np.random.default_rng(3).normal([[35.0], [20.0], [8.0], [3.0]], [[3.0], [2.0], [1.0], [0.5]], size=(4, 104)).round()
    demand[0, 70] = 3_500.0

    frame = forecast(panel_of(demand), horizon=8, frequency="daily").frame

    assert "seasonal_naive" not in frame["model"].to_list()
    assert frame["demand_mean_qty"][0] == pytest.approx(35.0, rel=0.1)
