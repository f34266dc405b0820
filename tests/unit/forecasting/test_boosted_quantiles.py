from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from forecasting import lead_time_demand
from forecasting.boosted_quantiles import LEVELS, BlendedSpread, learn_sum_trees
from forecasting.boosting import BoostingUnavailableError
from forecasting.matrix import as_matrix
from forecasting.pooled import fit_pooled
from forecasting.spread import mean_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import PanelOf

    from forecasting.schema import FloatArray, IntArray, LeadTimeDemand

SERIES, DAYS, PERIODS = 300, 200, 14
COLUMNS = ["demand_p50_qty", "demand_p80_qty", "demand_p90_qty", "demand_p95_qty", "demand_p99_qty"]


@cache
def rates() -> FloatArray:
    return np.random.default_rng(6).gamma(2.0, 2.0, SERIES)


@cache
def demand() -> Any:
    """[series, day]; half of the series sell single units, the others five at once: the same mean with another spread."""
    pack = np.where(np.arange(SERIES) % 2, 5, 1)[:, None]
    return np.random.default_rng(7).poisson(rates()[:, None] / pack, (SERIES, DAYS + PERIODS)) * pack


def learned(panel: pl.DataFrame, begin: int = DAYS) -> FloatArray:
    fit = fit_pooled(as_matrix(panel))
    until = None if begin == DAYS else begin
    return learn_sum_trees(fit, periods=PERIODS, seed=0, until=until).quantiles(np.array([begin]))[:, 0]


def blended(panel: pl.DataFrame, *, model: str = "lightgbm", paths: int = 0) -> LeadTimeDemand:
    return lead_time_demand(panel, periods=PERIODS, frequency="daily", model=model, paths=paths)


@pytest.fixture(scope="module")
def quantiles(panel_of: PanelOf) -> FloatArray:
    return learned(panel_of(demand()[:, :DAYS]))


@pytest.fixture(scope="module")
def blend(panel_of: PanelOf) -> LeadTimeDemand:
    return blended(panel_of(demand()[:, :DAYS]), paths=400)


def test_as_many_sums_stay_below_as_the_level_says(quantiles: FloatArray) -> None:
    actual = demand()[:, DAYS:].sum(axis=1)

    covered = (actual <= quantiles).mean(axis=1)

    assert_allclose(covered, LEVELS, atol=0.09)


def test_lumpy_series_get_the_wider_distribution(quantiles: FloatArray) -> None:
    spread = (quantiles[3] - quantiles[1]) / np.sqrt(rates() * PERIODS)

    assert np.median(spread[1::2]) > 1.4 * np.median(spread[::2])


def test_quantiles_do_not_cross_and_scale_with_demand(quantiles: FloatArray, panel_of: PanelOf) -> None:
    assert (np.diff(quantiles, axis=0) >= 0).all()
    assert quantiles.min() >= 0
    assert_allclose(learned(panel_of(demand()[:, :DAYS] * 8.0)), 8.0 * quantiles, rtol=1e-3)


def test_what_is_said_of_a_past_sum_does_not_depend_on_what_came_later(panel_of: PanelOf) -> None:
    # of levels and trees; the profile is flattened, since season and calendar are those of today
    later = demand()[:, :DAYS].copy()
    later[:, 180:] = np.flip(later[:, 180:], axis=1)
    said = []
    for rows in (demand()[:, :DAYS], later):
        fit = fit_pooled(as_matrix(panel_of(rows)))
        fit.profile[:] = 1.0
        said.append(learn_sum_trees(fit, periods=PERIODS, seed=0, until=180).quantiles(np.array([180]))[:, 0])

    assert np.median(np.abs(said[1] / said[0] - 1.0)) < 0.02


class Uniform:
    """Between 0 and 10 for every series."""

    def quantiles(self, levels: tuple[float, ...] | FloatArray, rows: IntArray | None = None) -> FloatArray:
        return np.repeat(10.0 * np.asarray(levels)[:, None], 3 if rows is None else len(rows), axis=1)


def test_a_blend_is_halfway_at_every_level_and_keeps_a_series_without_trees() -> None:
    trees = np.stack([20.0 * np.array(LEVELS), 10.0 * np.array(LEVELS) + 4.0, np.full(len(LEVELS), np.nan)], axis=1)

    said = BlendedSpread(Uniform(), trees).quantiles((0.5, 0.85, 0.9))

    assert_allclose(said, [[7.5, 7.0, 5.0], [12.75, 10.5, 8.5], [13.5, 11.0, 9.0]])


def test_trees_have_the_share_of_a_quantile_that_is_asked_for() -> None:
    trees = np.repeat(20.0 * np.array(LEVELS)[:, None], 3, axis=1)

    said = BlendedSpread(Uniform(), trees, 0.75).quantiles((0.5, 0.9))

    assert_allclose(said, [[8.75] * 3, [15.75] * 3])


def test_beyond_the_levels_of_trees_a_blend_runs_beside_the_statistical_quantiles() -> None:
    trees = np.stack([10.0 * np.array(LEVELS) + shift for shift in (4.0, -4.0)], axis=1)

    said = BlendedSpread(Uniform(), np.maximum(trees, 0.0)).quantiles((0.01, 0.05, 0.995), np.arange(2))

    assert_allclose(said, [[2.1, 0.05], [2.5, 0.25], [11.95, 7.95]])


def test_the_mean_is_that_of_the_blend() -> None:
    trees = np.repeat(10.0 * np.array(LEVELS)[:, None] + 4.0, 3, axis=1)

    assert_allclose(mean_of(BlendedSpread(Uniform(), trees), 3), 7.0)


def test_lead_time_demand_by_name_lies_between_the_statistical_quantiles_and_those_of_trees(
    blend: LeadTimeDemand, quantiles: FloatArray, panel_of: PanelOf
) -> None:
    statistical = blended(panel_of(demand()[:, :DAYS]), model="pooled_ensemble").frame

    assert blend.frame["model"].unique().to_list() == ["lightgbm"]
    assert blend.frame["fallback_reason"].null_count() == SERIES
    # "auto" may have chosen another fit, so the middle is that of many series
    middle = (statistical.select(COLUMNS).to_numpy() + quantiles[1:].T) / 2.0
    assert_allclose(np.median(blend.frame.select(COLUMNS).to_numpy() / middle, axis=0), 1.0, atol=0.03)


def test_blended_quantiles_do_not_cross_and_paths_follow_them(blend: LeadTimeDemand) -> None:
    said = blend.frame.select(COLUMNS).to_numpy()
    assert blend.paths is not None
    sums = blend.paths.sum(axis=2, dtype=float)

    assert (np.diff(said, axis=1) >= 0).all()
    assert said.min() >= 0
    assert_allclose(sums.mean(axis=1), blend.frame["demand_mean_qty"].to_numpy(), rtol=0.02)
    assert_allclose(np.quantile(sums, 0.9, axis=1), blend.frame["demand_p90_qty"].to_numpy(), rtol=0.05, atol=1.0)


def test_coverage_of_a_blend_is_that_of_windows_its_trees_had_not_seen(blend: LeadTimeDemand) -> None:
    assert blend.coverage["level"].to_list() == [0.5, 0.8, 0.9, 0.95, 0.99]
    assert blend.coverage["windows_count"].unique().to_list() == [2]
    assert blend.coverage["series_windows_count"].unique().to_list() == [2 * SERIES]
    assert_allclose(blend.coverage["coverage_rate"].to_numpy(), blend.coverage["level"].to_numpy(), atol=0.09)


def test_the_order_of_rows_changes_no_blend(blend: LeadTimeDemand, panel_of: PanelOf) -> None:
    shuffled = blended(panel_of(demand()[:, :DAYS]).sample(fraction=1.0, shuffle=True, seed=1))

    assert shuffled.frame.equals(blend.frame)
    assert shuffled.coverage.equals(blend.coverage)


def test_a_new_item_keeps_the_statistical_quantiles(panel_of: PanelOf) -> None:
    panel = panel_of(demand()[:, :DAYS])
    is_new = (pl.col("sku") == "s007") & (pl.col("demand_date") < panel["demand_date"].max() - pl.duration(days=5))

    frame = blended(panel.filter(~is_new)).frame

    assert frame.filter(pl.col("sku") == "s007")["model"].to_list() == ["history_mean"]
    assert frame.filter(pl.col("sku") != "s007")["model"].unique().to_list() == ["lightgbm"]


def test_auto_blends_where_enough_series_sold(panel_of: PanelOf, monkeypatch: pytest.MonkeyPatch, blend: LeadTimeDemand) -> None:
    panel = panel_of(demand()[:, :DAYS])
    few = blended(panel, model="auto").frame
    monkeypatch.setattr("forecasting.lead_time.LEAST_SERIES_BLENDED", SERIES)

    assert "lightgbm" not in few["model"].to_list()
    assert few["fallback_reason"].null_count() == SERIES
    assert blended(panel, model="auto").frame.equals(blend.frame)


def test_series_that_never_sold_do_not_count_as_enough(panel_of: PanelOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecasting.lead_time.LEAST_SERIES_BLENDED", 4)

    frame = blended(panel_of(np.vstack([demand()[:3, :DAYS], np.zeros((2, DAYS))])), model="auto").frame

    assert not any("boosting" in (reason or "") for reason in frame["fallback_reason"])


def without_lightgbm() -> Any:
    raise BoostingUnavailableError("LightGBM does not load")


@pytest.mark.parametrize(
    ("count", "days", "load", "reason"),
    [
        (5, DAYS, None, "5 series have sold, 300 are needed for boosting"),
        (SERIES, 130, None, "130 daily periods of history are too few for boosting 14 periods ahead"),
        (SERIES, DAYS, without_lightgbm, "LightGBM does not load"),
    ],
)
def test_where_there_can_be_no_trees_the_statistical_quantiles_stand_and_say_why(
    panel_of: PanelOf, monkeypatch: pytest.MonkeyPatch, count: int, days: int, load: Callable[[], Any] | None, reason: str
) -> None:
    if load is not None:
        monkeypatch.setattr("forecasting.boosting.load_lightgbm", load)
    panel = panel_of(demand()[:count, :days])

    asked, statistical = blended(panel), blended(panel, model="auto")

    assert asked.frame["fallback_reason"].unique().to_list() == [reason]
    assert asked.frame.drop("fallback_reason").equals(statistical.frame.drop("fallback_reason"))
    assert asked.coverage.equals(statistical.coverage)


def test_stock_outs_in_every_window_leave_nothing_to_learn_from(panel_of: PanelOf) -> None:
    censored = np.zeros((SERIES, DAYS), dtype=bool)
    censored[:, ::7] = True

    frame = blended(panel_of(demand()[:, :DAYS], censored=censored)).frame

    assert frame["fallback_reason"].unique().to_list() == ["0 past sums over 14 days without a stock-out, 2000 are needed for boosting"]


def test_a_silent_series_has_no_demand_and_changes_nothing_else(panel_of: PanelOf) -> None:
    panel = panel_of(demand()[:, :DAYS])
    silent = panel_of(np.zeros(DAYS)).with_columns(sku=pl.lit("s100silent"))

    more = learned(pl.concat([panel, silent]))

    own = as_matrix(pl.concat([panel, silent])).keys["sku"].to_numpy() == "s100silent"
    assert np.isnan(more[:, own]).all()
    assert_array_equal(more[:, ~own], learned(panel))
