"""What must hold for every forecast, whatever the demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from polars.testing import assert_frame_equal

from forecasting import forecast
from forecasting.models import model_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import PanelOf

FLAT = ["naive", "seasonal_naive", "ses", "tsb", "sba", "adida", "imapa", "holt_damped", "theta", "pooled_ensemble", "auto"]


def test_every_model_is_known_by_name() -> None:
    assert set(FLAT) <= set(model_names())


@pytest.mark.parametrize("model", FLAT)
def test_scaling_demand_scales_forecasts(panel_of: PanelOf, poisson_demand: Callable[..., Any], model: str) -> None:
    demand = poisson_demand([0.1, 0.7, 5.0, 30.0], days=150)

    one = forecast(panel_of(demand), horizon=9, frequency="daily", model=model).frame
    many = forecast(panel_of(demand * 1000), horizon=9, frequency="daily", model=model).frame

    for column in ("demand_mean_qty", "demand_p10_qty", "demand_p90_qty"):
        assert_allclose(many[column].to_numpy(), 1000 * one[column].to_numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("model", FLAT)
def test_a_silent_series_changes_nothing_else(panel_of: PanelOf, poisson_demand: Callable[..., Any], model: str) -> None:
    demand = poisson_demand([0.3, 5.0, 30.0], days=150)

    alone = forecast(panel_of(demand), horizon=9, frequency="daily", model=model).frame
    beside = forecast(panel_of(np.vstack([demand, np.zeros((1, 150))])), horizon=9, frequency="daily", model=model).frame

    assert_allclose(beside.filter(pl.col("sku") != "s003")["demand_mean_qty"], alone["demand_mean_qty"], rtol=1e-9)
    assert_allclose(beside.filter(pl.col("sku") == "s003")["demand_mean_qty"], 0.0)


@pytest.mark.parametrize("model", FLAT)
@pytest.mark.parametrize("days", [150, 400, 800])
def test_a_silent_hundredth_series_changes_nothing_else_however_long_it_was_there(model: str, days: int) -> None:
    draw = np.random.default_rng(1)
    dates = pl.date_range(pl.date(2022, 1, 1), pl.date(2024, 3, 30), interval="1d", eager=True)

    def of(sku: str, quantities: Any) -> pl.DataFrame:
        own = pl.DataFrame({"sku": sku, "location_id": "main", "demand_date": dates[-8 - len(quantities) : -8], "demand_qty": quantities})
        return own.with_columns(pl.col("demand_qty").cast(pl.Float64), is_censored=pl.lit(False))

    panel = pl.concat([of(f"s{number:02d}", draw.poisson(number / 9.0, 150)) for number in range(1, 100)])
    attributes = pl.DataFrame({"sku": [f"s{number:02d}" for number in range(1, 100)] + ["silent"], "category": "c"})
    attributes = attributes.with_columns(department=pl.Series([f"d{number % 2}" for number in range(100)]))
    prices = pl.DataFrame({"demand_date": dates, "price": draw.uniform(1.0, 3.0, len(dates))})
    calendar = (
        panel.select("sku", "demand_date").join(prices, on="demand_date").with_columns(is_promoted=pl.Series(draw.random(99 * 150) < 0.1))
    )
    known: dict[str, Any] = {"horizon": 7, "frequency": "daily", "attributes": attributes, "calendar": calendar, "model": model}

    alone = forecast(panel, **known).frame
    beside = forecast(pl.concat([of("silent", np.zeros(days)), panel]), **known).frame

    assert_frame_equal(beside.filter(pl.col("sku") != "silent"), alone, rel_tol=1e-9)
    assert beside.filter(pl.col("sku") == "silent").select(pl.col("^demand_.*_qty$")).sum().row(0) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("model", FLAT)
def test_the_names_of_series_do_not_matter(panel_of: PanelOf, poisson_demand: Callable[..., Any], model: str) -> None:
    demand = poisson_demand([0.3, 5.0, 30.0], days=150)

    straight = forecast(panel_of(demand), horizon=5, frequency="daily", model=model).frame["demand_mean_qty"].to_numpy()
    turned = forecast(panel_of(demand[::-1]), horizon=5, frequency="daily", model=model).frame["demand_mean_qty"].to_numpy()

    assert_allclose(turned.reshape(3, 5)[::-1], straight.reshape(3, 5), rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), frequency=st.sampled_from(["daily", "weekly", "monthly"]))
def test_whatever_was_sold_there_is_a_forecast_or_a_reason(data: st.DataObject, frequency: str) -> None:
    periods = data.draw(st.integers(1, 40))
    units = st.one_of(st.just(0.0), st.floats(0.0, 1e9, allow_subnormal=False))
    rows = data.draw(st.lists(st.lists(units, min_size=periods, max_size=periods), min_size=1, max_size=4))
    every = {"daily": "1d", "weekly": "1w", "monthly": "1mo"}[frequency]
    dates = pl.date_range(pl.date(2023, 1, 1), pl.date(2026, 12, 31), interval=every, eager=True)[:periods]
    panel = pl.concat(
        pl.DataFrame({"sku": f"s{number}", "location_id": "main", "demand_date": dates, "demand_qty": row, "is_censored": data.draw(
            st.lists(st.booleans(), min_size=periods, max_size=periods))})
        for number, row in enumerate(rows)
    )  # fmt: skip

    frame = forecast(panel, horizon=5, frequency=frequency).frame

    known = frame.drop_nulls("demand_mean_qty")
    assert frame.height == 5 * len(rows)
    assert frame.filter(pl.col("demand_mean_qty").is_null() & pl.col("fallback_reason").is_null()).is_empty()
    assert known["demand_mean_qty"].is_finite().all()
    assert (known["demand_mean_qty"] >= 0).all()
    assert (known["demand_p10_qty"] <= known["demand_p50_qty"]).all()
    assert (known["demand_p50_qty"] <= known["demand_p90_qty"]).all()


def test_one_absurd_order_bends_neither_its_own_nor_other_forecasts_and_is_said(
    panel_of: PanelOf, poisson_demand: Callable[..., Any]
) -> None:
    demand = poisson_demand([2.0, 5.0, 30.0], days=300).astype(float)
    spoilt = demand.copy()
    spoilt[0, 200] = 1e9

    calm = forecast(panel_of(demand), horizon=7, frequency="daily").frame
    frame = forecast(panel_of(spoilt), horizon=7, frequency="daily").frame

    others = pl.col("sku") != "s000"
    assert_allclose(frame.filter(others)["demand_mean_qty"], calm.filter(others)["demand_mean_qty"], rtol=0.05)
    assert frame.filter(~others)["demand_mean_qty"].sum() < 2 * calm.filter(~others)["demand_mean_qty"].sum()
    assert frame.filter(~others)["fallback_reason"][0].startswith("quantities above")


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1_000), model=st.sampled_from([*FLAT, "auto_ets"]), factor=st.sampled_from([0.01, 12.0]))
def test_with_places_categories_and_a_calendar_only_the_unit_scales_a_forecast(seed: int, model: str, factor: float) -> None:
    draw = np.random.default_rng(seed)
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 6, 9), interval="1d", eager=True)
    keys = [(f"s{item}", f"l{place}") for item in range(4) for place in range(3)]
    rows = [
        pl.DataFrame({"sku": sku, "location_id": place, "demand_date": days[:150], "demand_qty": draw.poisson(draw.gamma(1.0, 5.0), 150)})
        for sku, place in keys
    ]
    panel = pl.concat(rows).with_columns(pl.col("demand_qty").cast(pl.Float64), is_censored=pl.Series(draw.random(1_800) < 0.05))
    silent = panel.filter(pl.col("sku") == "s0").with_columns(sku=pl.lit("s9"), demand_qty=pl.lit(0.0), is_censored=pl.lit(False))
    attributes = pl.DataFrame({"sku": ["s0", "s1", "s2", "s3", "s9"], "category": ["a", "a", "b", "b", "b"]})
    calendar = pl.DataFrame({"demand_date": days, "is_open": draw.random(len(days)) < 0.3})
    known: dict[str, Any] = {"horizon": 7, "frequency": "daily", "model": model, "attributes": attributes, "calendar": calendar}

    one = forecast(panel, **known).frame
    other = forecast(pl.concat([panel, silent]).sample(fraction=1.0, shuffle=True, seed=seed).with_columns(pl.col("demand_qty") * factor),
                     **{**known, "attributes": attributes[::-1]}).frame.filter(pl.col("sku") != "s9")  # fmt: skip

    columns = ["demand_mean_qty", "demand_p10_qty", "demand_p50_qty", "demand_p90_qty"]
    assert other.select("sku", "location_id", "demand_date", "model").equals(one.select("sku", "location_id", "demand_date", "model"))
    assert_allclose(other.select(columns).to_numpy(), factor * one.select(columns).to_numpy(), rtol=1e-5, atol=1e-6 * factor)
    assert (one["demand_p10_qty"] <= one["demand_p50_qty"]).all()
    assert (one["demand_p50_qty"] <= one["demand_p90_qty"]).all()
