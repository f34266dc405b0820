from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from forecasting import forecast
from forecasting.engines import ENGINES, EngineUnavailableError, engine_outlook
from forecasting.matrix import as_matrix
from forecasting.pooled import fit_pooled

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import PanelOf

LEVELS = (0.1, 0.5, 0.9)


def test_auto_ets_says_what_statsforecast_says(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    from statsforecast.models import AutoETS

    demand = poisson_demand([4.0, 40.0], days=120)

    ours = engine_outlook(fit_pooled(as_matrix(panel_of(demand))), model="auto_ets", periods=14, levels=LEVELS)

    for series in range(2):
        theirs = AutoETS(season_length=7).forecast(y=demand[series] / demand[series].mean(), h=14, level=[80])
        assert_allclose(ours.point[:, series], theirs["mean"] * demand[series].mean())
        assert_allclose(ours.quantiles[2, :, series], theirs["hi-80"] * demand[series].mean())
    assert ours.reasons == [None, None]


@pytest.mark.parametrize("model", ENGINES)
def test_an_engine_scales_with_demand_and_its_quantiles_do_not_cross(
    model: str, panel_of: PanelOf, poisson_demand: Callable[..., Any]
) -> None:
    demand = poisson_demand([5.0], days=70)

    once, tenfold = (
        engine_outlook(fit_pooled(as_matrix(panel_of(demand * factor))), model=model, periods=7, levels=LEVELS) for factor in (1, 8)
    )

    assert once.reasons == [None]
    assert_allclose(tenfold.point, 8 * once.point)
    assert (np.diff(once.quantiles, axis=0) >= 0).all()
    assert once.quantiles.min() >= 0


def test_a_series_that_cannot_be_fitted_has_a_reason_and_the_others_a_forecast(
    panel_of: PanelOf, poisson_demand: Callable[..., Any]
) -> None:
    demand = np.vstack([poisson_demand([5.0], days=70), np.zeros(70), np.full(70, 2.0), poisson_demand([5.0], days=70)])
    censored = np.zeros(demand.shape, dtype=bool)
    censored[3, :64] = True

    outlook = engine_outlook(fit_pooled(as_matrix(panel_of(demand, censored=censored))), model="auto_ets", periods=7, levels=LEVELS)

    assert outlook.reasons == [
        None,
        "auto_ets: demand is 0 in all 70 periods, which leaves nothing to fit",
        "auto_ets: demand is 2 in all 70 periods, which leaves nothing to fit",
        "auto_ets: 6 periods of history, 10 are needed",
    ]
    assert np.isfinite(outlook.point).all(axis=0).tolist() == [True, False, False, False]


def test_what_an_engine_raises_is_that_series_reason(
    panel_of: PanelOf, poisson_demand: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from statsforecast.models import AutoETS

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("no luck")

    monkeypatch.setattr(AutoETS, "forecast", broken)

    outlook = engine_outlook(fit_pooled(as_matrix(panel_of(poisson_demand([5.0], days=70)))), model="auto_ets", periods=7, levels=LEVELS)

    assert outlook.reasons == ["auto_ets: failed with ZeroDivisionError: no luck"]


def test_days_out_of_stock_are_not_taken_for_days_without_demand(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    demand = poisson_demand([20.0], days=84)
    censored = np.zeros(demand.shape, dtype=bool)
    censored[0, 60:75] = True

    fit = fit_pooled(as_matrix(panel_of(np.where(censored, 0, demand), censored=censored)))
    outlook = engine_outlook(fit, model="auto_ets", periods=7, levels=LEVELS)

    assert outlook.point.mean() == pytest.approx(20.0, rel=0.15)


def test_a_missing_engine_says_what_to_install(panel_of: PanelOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsforecast", None)

    with pytest.raises(EngineUnavailableError, match=r"'auto_ces' needs statsforecast.*ordercast\[engines\]"):
        engine_outlook(fit_pooled(as_matrix(panel_of(np.arange(30.0)))), model="auto_ces", periods=7, levels=LEVELS)


def test_an_unknown_engine_is_named(panel_of: PanelOf) -> None:
    with pytest.raises(ValueError, match="'prophet' is no engine; pass one of auto_ets"):
        engine_outlook(fit_pooled(as_matrix(panel_of(np.arange(30.0)))), model="prophet", periods=7, levels=LEVELS)


def test_a_forecast_by_an_engine_says_which_series_it_could_not_fit(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    panel = panel_of(np.vstack([poisson_demand([5.0], days=70), np.full(70, 2.0)]))

    frame = forecast(panel, horizon=3, frequency="daily", model="auto_ets").frame

    assert frame["model"].to_list() == ["auto_ets"] * 3 + ["pooled_ensemble"] * 3
    assert frame["fallback_reason"][3].endswith("auto_ets: demand is 2 in all 70 periods, which leaves nothing to fit")
    assert frame["demand_mean_qty"][3] > 0  # the pooled forecast stands in
