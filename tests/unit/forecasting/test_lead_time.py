from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from forecasting import forecast, lead_time_demand
from forecasting.pooled import fit_pooled

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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"periods": 2.0}, "periods: has to be at least 1 and whole, got 2.0"),
        ({"paths": -5}, "paths: has to be at least 0 and whole, got -5"),
        ({"seed": -1}, "seed: has to be at least 0 and whole, got -1"),
    ],
)
def test_an_impossible_number_is_refused_by_name(panel_of: PanelOf, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lead_time_demand(panel_of(np.ones(30)), **{"periods": 1, "frequency": "daily", **arguments})


def test_constant_demand_has_no_spread(panel_of: PanelOf) -> None:
    frame = lead_time_demand(panel_of(np.full((2, 120), 4.0)), periods=10, frequency="daily").frame

    assert frame["demand_p99_qty"].to_list() == pytest.approx([40.0, 40.0], rel=1e-5)


@pytest.mark.parametrize(("frequency", "periods"), [("weekly", 4), ("monthly", 3)])
def test_weeks_and_months_are_covered_at_the_nominal_rate_too(frequency: str, periods: int) -> None:
    generator = np.random.default_rng(2)
    demand = generator.poisson(np.tile(np.linspace(1.0, 20.0, 100), 2)[:, None] * np.ones(48 + periods))

    frame = lead_time_demand(_panel(demand[:, :48], frequency), periods=periods, frequency=frequency, levels=LEVELS).frame

    actual = demand[:, 48:].sum(axis=1)
    for level in LEVELS:
        quantile = np.rint(frame[f"demand_p{level * 100:.0f}_qty"].to_numpy())
        assert ((actual < quantile) + 0.5 * (actual == quantile)).mean() == pytest.approx(level, abs=0.08)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), days=st.integers(1, 90), periods=st.integers(1, 20), count=st.integers(1, 4))
def test_quantiles_of_any_panel_never_cross_and_are_never_negative(seed: int, days: int, periods: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    demand = generator.poisson(generator.gamma(0.5, 4.0, (count, 1)) * np.ones(days)) * generator.integers(1, 50)
    censored = generator.random(demand.shape) < 0.2

    frame = lead_time_demand(_panel(demand, "daily", censored), periods=periods, frequency="daily", model="pooled_ensemble").frame

    quantiles = frame.drop_nulls("demand_mean_qty").select(f"demand_p{level}_qty" for level in (50, 80, 90, 95, 99)).to_numpy()
    assert np.isfinite(quantiles).all()
    assert (quantiles[:, 0] >= 0.0).all()
    assert (np.diff(quantiles, axis=1) >= 0.0).all()


def test_counting_in_dozens_only_scales_the_quantiles(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    demand = poisson_demand([0.2, 2.0, 12.0], days=200)

    single = lead_time_demand(panel_of(demand), periods=10, frequency="daily").frame
    dozens = lead_time_demand(panel_of(demand * 12), periods=10, frequency="daily").frame

    for name in ("demand_mean_qty", "demand_p50_qty", "demand_p99_qty"):
        assert dozens[name].to_numpy() == pytest.approx(12 * single[name].to_numpy(), rel=1e-3)


def test_a_silent_neighbour_changes_no_quantile_and_no_path(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    demand = poisson_demand([0.4, 3.0, 9.0], days=150)

    alone, beside = (
        lead_time_demand(panel_of(rows), periods=10, frequency="daily", model="pooled_ensemble", paths=5)
        for rows in (demand, np.vstack([demand, np.zeros(150)]))
    )

    assert alone.paths is not None
    assert beside.paths is not None
    columns = [name for name in alone.frame.columns if name.startswith("demand_")]
    assert beside.frame[:3].select(columns).to_numpy() == pytest.approx(alone.frame.select(columns).to_numpy(), rel=1e-6)
    assert beside.paths[:3] == pytest.approx(alone.paths, abs=1e-4)


@pytest.mark.parametrize("model", ["ses", "tsb", "pooled_ensemble"])
def test_a_named_model_agrees_with_sums_where_its_forecast_does(
    panel_of: PanelOf, poisson_demand: Callable[..., Any], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = panel_of(poisson_demand([0.4, 3.0, 9.0, 2.0], days=150))
    attributes = pl.DataFrame({"sku": ["s000", "s001", "s002", "s003"], "category": ["a", "a", "b", "b"]})
    seen: list[bool] = []
    for module in ("models", "lead_time"):
        monkeypatch.setattr(
            f"forecasting.{module}.fit_pooled",
            lambda *known, **options: seen.append(options["is_reconciled"]) or fit_pooled(*known, **options),
        )

    forecast(panel, horizon=7, frequency="daily", attributes=attributes, model=model)
    lead_time_demand(panel, periods=7, frequency="daily", attributes=attributes, model=model)

    assert seen == [model == "pooled_ensemble"] * 2


@pytest.mark.parametrize("days", [150, 400, 800])
def test_a_silent_hundredth_series_changes_no_quantile_no_coverage_and_no_path(days: int) -> None:
    demand = np.random.default_rng(1).poisson(np.arange(1, 100)[:, None] / 9.0, (99, 150))
    panel = _panel(demand, "daily").with_columns(pl.col("demand_date") + pl.duration(days=650))
    silent = _panel(np.zeros((1, days)), "daily").with_columns(pl.col("demand_date") + pl.duration(days=800 - days), sku=pl.lit("a"))
    attributes = pl.DataFrame({"sku": [f"s{number:03d}" for number in range(99)] + ["a"], "category": "c", "department": ["x", "y"] * 50})

    alone, beside = (
        lead_time_demand(rows, periods=10, frequency="daily", attributes=attributes, paths=5)
        for rows in (panel, pl.concat([panel, silent]))
    )

    assert alone.paths is not None
    assert beside.paths is not None
    assert_frame_equal(beside.frame[1:], alone.frame, rel_tol=1e-9)
    assert_frame_equal(beside.coverage, alone.coverage)
    assert beside.paths[1:] == pytest.approx(alone.paths, abs=1e-4)
    assert beside.paths[0].sum() == 0.0
    assert beside.frame["demand_p99_qty"][0] == 0.0


def test_items_sold_by_the_piece_have_whole_pieces_on_every_path(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    demand = np.vstack([poisson_demand([0.3], days=200), 0.5 * poisson_demand([6.0], days=200)])

    result = lead_time_demand(panel_of(demand), periods=12, frequency="daily", paths=200)

    assert result.paths is not None
    assert np.array_equal(result.paths[0], np.rint(result.paths[0]))
    assert not np.array_equal(result.paths[1], np.rint(result.paths[1]))


def test_paths_sum_to_the_quantiles_of_the_frame(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    result = lead_time_demand(panel_of(poisson_demand([8.0, 40.0], days=300)), periods=14, frequency="daily", paths=1000)

    assert result.paths is not None
    sums = np.quantile(result.paths.sum(axis=2, dtype=float), (0.5, 0.9, 0.99), axis=1)
    for index, level in enumerate((50, 90, 99)):
        assert sums[index] == pytest.approx(result.frame[f"demand_p{level}_qty"].to_numpy(), rel=0.03)


def test_one_absurd_quantity_hardly_widens_the_spread(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    demand = poisson_demand([6.0] * 8, days=300)
    absurd = demand.copy()
    absurd[0, 120] = 80_000

    usual, struck = (lead_time_demand(panel_of(rows), periods=14, frequency="daily").frame for rows in (demand, absurd))

    assert (struck["demand_p99_qty"] < 1.5 * usual["demand_p99_qty"]).all()


def test_a_new_item_is_uncertain_however_even_its_first_days_were(panel_of: PanelOf) -> None:
    frame = lead_time_demand(panel_of([[3, 3, 3, 3, 3]]), periods=14, frequency="daily").frame

    assert frame["demand_p95_qty"][0] > 1.2 * frame["demand_mean_qty"][0]


def _panel(demand: Any, frequency: str, censored: Any = None) -> pl.DataFrame:
    count, length = demand.shape
    interval = {"daily": "1d", "weekly": "1w", "monthly": "1mo"}[frequency]
    dates = pl.date_range(date(2024, 1, 1), date(2029, 1, 1), interval=interval, eager=True)[:length].to_list()
    return pl.DataFrame(
        {
            "sku": np.repeat([f"s{index:03d}" for index in range(count)], length),
            "location_id": "main",
            "demand_date": dates * count,
            "demand_qty": demand.astype(float).ravel(),
            "is_censored": np.zeros(demand.size, dtype=bool) if censored is None else censored.ravel(),
        }
    )
