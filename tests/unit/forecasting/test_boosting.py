from __future__ import annotations

import sys
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from forecasting import forecast
from forecasting.boosting import BoostingUnavailableError, boosted_point, why_not_boosted
from forecasting.matrix import SeriesMatrix, as_matrix
from forecasting.pooled import fit_pooled

if TYPE_CHECKING:
    from conftest import PanelOf

    from forecasting.schema import FloatArray

MONDAY = date(2024, 1, 1)
SERIES, DAYS, PERIODS = 310, 180, 7
TWO_WEEKS = np.array([[0.2, 0.2, 0.2, 0.2, 0.2, 3.0, 3.0], [1.4, 1.4, 1.4, 1.4, 1.2, 0.1, 0.1]])  # alike in no pool's eyes


@cache
def mean_demand() -> FloatArray:
    """[series, day]; every other series sells at weekends, the others on working days."""
    rates = np.random.default_rng(3).gamma(2.0, 2.0, SERIES)
    return rates[:, None] * TWO_WEEKS[np.arange(SERIES) % 2][:, np.arange(DAYS + PERIODS) % 7]


@cache
def demand() -> Any:
    return np.random.default_rng(4).poisson(mean_demand()[:, :DAYS])


def boosted(matrix: SeriesMatrix, *, seed: int = 0) -> FloatArray:
    return boosted_point(fit_pooled(matrix), periods=PERIODS, seed=seed)


@pytest.fixture(scope="module")
def point(panel_of: PanelOf) -> FloatArray:
    return boosted(as_matrix(panel_of(demand())))


def test_trees_see_what_a_pool_cannot(panel_of: PanelOf, point: FloatArray) -> None:
    pooled = fit_pooled(as_matrix(panel_of(demand()))).point(PERIODS)

    truth = mean_demand()[:, DAYS:].T
    assert np.abs(point - truth).mean() < 0.75 * np.abs(pooled - truth).mean()


def test_scaling_demand_scales_the_forecast(panel_of: PanelOf, point: FloatArray) -> None:
    scaled = boosted(as_matrix(panel_of(demand() * 8.0)))

    assert_allclose(scaled, 8.0 * point, rtol=1e-3)


def test_a_silent_series_changes_nothing_else(panel_of: PanelOf, point: FloatArray) -> None:
    silent = panel_of(np.zeros(DAYS)).with_columns(sku=pl.lit("s100silent"))

    more = as_matrix(pl.concat([panel_of(demand()), silent]))
    others = more.keys["sku"].to_numpy() != "s100silent"

    result = boosted(more)
    assert_allclose(result[:, others], point, rtol=1e-9)
    assert_array_equal(result[:, ~others], 0.0)


def test_the_order_of_rows_changes_nothing(panel_of: PanelOf, point: FloatArray) -> None:
    shuffled = boosted(as_matrix(panel_of(demand()).sample(fraction=1.0, shuffle=True, seed=1)))

    assert_array_equal(shuffled, point)


def test_another_seed_is_another_draw_of_nearly_the_same(panel_of: PanelOf, point: FloatArray) -> None:
    other = boosted(as_matrix(panel_of(demand())), seed=1)

    assert not np.array_equal(other, point)
    assert_allclose(other.sum(axis=0), point.sum(axis=0), rtol=0.25)


def test_few_series_do_without_trees(panel_of: PanelOf) -> None:
    matrix = as_matrix(panel_of(demand()[:20]))

    assert why_not_boosted(matrix, periods=PERIODS) == "20 series have sold, 300 are needed for boosting"


def test_a_short_history_does_without_trees(panel_of: PanelOf) -> None:
    matrix = as_matrix(panel_of(demand()[:, :120]))

    assert why_not_boosted(matrix, periods=PERIODS) == "120 daily periods of history are too few for boosting 7 periods ahead"


def test_enough_series_and_history_are_boosted(panel_of: PanelOf) -> None:
    assert why_not_boosted(as_matrix(panel_of(demand())), periods=PERIODS) is None


def test_a_missing_lightgbm_is_a_reason(panel_of: PanelOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)

    reason = why_not_boosted(as_matrix(panel_of(demand())), periods=PERIODS)

    assert reason is not None
    assert reason.startswith("LightGBM is not installed")


def test_a_missing_system_library_is_a_reason_that_names_it(panel_of: PanelOf, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "lightgbm":
                raise OSError("libgomp.so.1: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "lightgbm", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])

    with pytest.raises(BoostingUnavailableError, match="apt-get install libgomp1"):
        boosted(as_matrix(panel_of(demand())))


def test_weeks_are_boosted_too(panel_of: PanelOf) -> None:
    panel = panel_of(demand()[:, :90]).with_columns(demand_date=MONDAY + (pl.col("demand_date") - MONDAY) * 7)

    matrix = as_matrix(panel, frequency="weekly")

    assert why_not_boosted(matrix, periods=4) is None
    assert np.isfinite(boosted(matrix)).all()


def test_a_forecast_by_trees_names_them_and_says_where_there_are_none(panel_of: PanelOf) -> None:
    many = forecast(panel_of(demand()), horizon=3, frequency="daily", model="lightgbm").frame
    few = forecast(panel_of(demand()[:5]), horizon=3, frequency="daily", model="lightgbm").frame

    assert many["model"].unique().to_list() == ["lightgbm"]
    assert many["fallback_reason"].null_count() == many.height
    assert few["model"].unique().to_list() == ["pooled_ensemble"]
    assert few["fallback_reason"][0] == "5 series have sold, 300 are needed for boosting"
