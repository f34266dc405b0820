from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from forecasting import forecast, lead_time_demand

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import PanelOf

LEVELS = (0.5, 0.8, 0.9, 0.95)


@pytest.mark.parametrize("rates", [np.linspace(2.0, 30.0, 120), np.full(120, 0.15)], ids=["steady", "intermittent"])
def test_known_demand_over_the_lead_time_is_covered_at_the_nominal_rate(
    panel_of: PanelOf, poisson_demand: Callable[..., Any], rates: Any
) -> None:
    demand = poisson_demand(np.tile(rates, 3), days=378)

    frame = lead_time_demand(panel_of(demand[:, :364]), periods=14, frequency="daily", levels=LEVELS).frame

    # a sum of few units is discrete: half of the mass on the quantile counts, as a randomised coverage would
    actual = demand[:, 364:].sum(axis=1)
    for level in LEVELS:
        quantile = np.rint(frame[f"demand_p{level * 100:.0f}_qty"].to_numpy())
        coverage = ((actual < quantile) + 0.5 * (actual == quantile)).mean()
        assert coverage == pytest.approx(level, abs=0.06)


def test_the_quantile_of_the_sum_is_below_the_sum_of_daily_quantiles(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    panel = panel_of(poisson_demand([5.0, 20.0], days=364))

    whole = lead_time_demand(panel, periods=14, frequency="daily", levels=(0.9,)).frame["demand_p90_qty"]
    daily = forecast(panel, horizon=14, frequency="daily").frame.group_by("sku").agg(pl.col("demand_p90_qty").sum()).sort("sku")

    assert (whole < 0.9 * daily["demand_p90_qty"]).all()


def test_the_same_seed_gives_the_same_paths_and_another_gives_others(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    panel = panel_of(poisson_demand([1.0, 5.0], days=120))

    first, again, other = (lead_time_demand(panel, periods=9, frequency="daily", paths=20, seed=seed) for seed in (1, 1, 2))

    assert first.paths is not None
    assert again.paths is not None
    assert other.paths is not None
    assert first.paths.shape == (2, 20, 9)
    assert np.array_equal(first.paths, again.paths)
    assert first.frame.equals(again.frame)
    assert not np.array_equal(first.paths, other.paths)


def test_paths_are_in_the_order_of_the_frame_and_never_negative(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    result = lead_time_demand(panel_of(poisson_demand([30.0, 0.3, 5.0], days=364)), periods=14, frequency="daily", paths=400)

    assert result.paths is not None
    assert result.paths.min() >= 0.0
    assert result.paths.sum(axis=2).mean(axis=1) == pytest.approx(result.frame["demand_mean_qty"].to_numpy(), rel=0.1)


def test_a_chunk_boundary_changes_nothing(panel_of: PanelOf, poisson_demand: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    panel = panel_of(poisson_demand([1.0, 5.0, 9.0], days=120))
    whole = lead_time_demand(panel, periods=9, frequency="daily", paths=20).frame

    monkeypatch.setattr("forecasting.paths.CHUNK_CELLS", 1)

    assert lead_time_demand(panel, periods=9, frequency="daily", paths=20).frame.equals(whole)


def test_an_item_never_in_stock_has_no_quantiles(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    demand = poisson_demand([5.0, 5.0], days=120)
    censored = np.zeros(demand.shape, dtype=bool)
    censored[1] = True

    result = lead_time_demand(panel_of(demand, censored=censored), periods=5, frequency="daily", paths=3)

    assert result.paths is not None
    assert np.isnan(result.paths[1]).all()
    assert result.frame["demand_p95_qty"].is_null().to_list() == [False, True]


def test_constant_demand_has_no_spread(panel_of: PanelOf) -> None:
    frame = lead_time_demand(panel_of(np.full((2, 120), 4.0)), periods=10, frequency="daily").frame

    assert frame["demand_p99_qty"].to_list() == pytest.approx([40.0, 40.0], rel=1e-5)
