"""Panels, attributes and calendars in every shape that programs outside bring them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from forecasting import backtest, forecast, lead_time_demand
from forecasting.calendar_effects import fit_calendar_effects, pooling_columns
from forecasting.matrix import as_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import PanelOf

MONDAY = date(2024, 1, 1)
DAYS = pl.Series("demand_date", [MONDAY + timedelta(days=day) for day in range(330)])
FLAG = np.random.default_rng(1).random(330) < 0.15
EVENT = [f"event {day % 60 // 20}" if day % 20 == 7 else None for day in range(330)]
KNOWN = pl.DataFrame({"demand_date": DAYS, "event": EVENT, "is_payday": FLAG})


@pytest.fixture(scope="module")
def panel(panel_of: PanelOf) -> pl.DataFrame:
    lift = np.where(FLAG, 1.6, 1.0) * np.where([name is not None for name in EVENT], 0.5, 1.0)
    return panel_of(np.random.default_rng(3).poisson(lift[:300] * np.array([[4.0], [9.0], [30.0]])))


def means(panel: pl.DataFrame, **known: Any) -> Any:
    return forecast(panel, horizon=20, frequency="daily", **known).frame["demand_mean_qty"].to_numpy()


KINDS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "whole numbers": lambda panel: panel.cast({"demand_qty": pl.Int64}),
    "datetimes": lambda panel: panel.cast({"demand_date": pl.Datetime("us")}),
    "categories": lambda panel: panel.cast({"sku": pl.Categorical, "location_id": pl.Categorical}),
    "an enumeration": lambda panel: panel.cast({"sku": pl.Enum(["s002", "s000", "s001"])}),
    "numbers as keys": lambda panel: panel.with_columns(pl.col("sku").str.slice(1).cast(pl.Int32)),
    "other columns in another order": lambda panel: panel.select(pl.lit(1).alias("price"), *reversed(panel.columns)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_a_column_changes_nothing_and_results_join_back(panel: pl.DataFrame, kind: str) -> None:
    given = KINDS[kind](panel)
    attributes = pl.DataFrame({"sku": given["sku"].unique().sort(), "category": "all"})

    result = forecast(given, horizon=20, frequency="daily", attributes=attributes, calendar=KNOWN).frame
    demand = lead_time_demand(given, periods=7, frequency="daily", calendar=KNOWN).frame
    tested = backtest(given, horizon=7, frequency="daily", windows=1, calendar=KNOWN)

    assert_allclose(np.sort(result["demand_mean_qty"]), np.sort(means(panel, calendar=KNOWN)))
    for frame in (result, demand, tested.frame, tested.series_scores):
        assert frame.join(given, on=["sku", "location_id"], how="anti").is_empty()


@pytest.mark.parametrize("name", ["panel", "attributes", "calendar"])
def test_a_frame_that_is_none_yet_is_refused_by_name(panel: pl.DataFrame, name: str) -> None:
    frames: dict[str, Any] = {"panel": panel, "attributes": panel.select("sku"), "calendar": KNOWN}
    frames[name] = frames[name].lazy()

    with pytest.raises(ValueError, match=f"{name}: is a LazyFrame and has to be a Polars DataFrame; call .collect"):
        forecast(frames["panel"], horizon=1, frequency="daily", attributes=frames["attributes"], calendar=frames["calendar"])


@pytest.mark.parametrize(
    ("calendar", "message"),
    [
        (KNOWN.rename({"demand_date": "date"}), "calendar: lacks demand_date, has date, event, is_payday"),
        (KNOWN.cast({"demand_date": pl.String}), "calendar: demand_date is String and has to be Date"),
    ],
)
def test_a_calendar_without_days_is_refused(panel: pl.DataFrame, calendar: pl.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forecast(panel, horizon=1, frequency="daily", calendar=calendar)


@pytest.mark.parametrize("name", ["category", "brand"])
def test_a_calendar_by_an_attribute_that_no_item_is_known_to_have_is_refused(panel: pl.DataFrame, name: str) -> None:
    calendar = pl.DataFrame({name: ["a", "b"]}).join(KNOWN, how="cross")
    attributes = pl.DataFrame({"sku": panel["sku"].unique().sort(), name: ["a", "a", "b"]})

    assert np.isfinite(means(panel, calendar=calendar, attributes=attributes)).all()
    for known in (None, attributes.rename({name: "other"})):
        with pytest.raises(ValueError, match=f"calendar: has rows for each {name}, .* pass attributes with sku and {name}"):
            forecast(panel, horizon=1, frequency="daily", calendar=calendar, attributes=known)


def test_two_events_of_a_day_may_come_as_two_rows(panel: pl.DataFrame) -> None:
    both = pl.concat([KNOWN.select("demand_date", "event"), KNOWN.filter("is_payday").select("demand_date", event=pl.lit("payday"))])

    assert np.isfinite(means(panel, calendar=both)).all()


@pytest.mark.parametrize("keys", [[], ["location_id"], ["sku", "location_id"]])
def test_columns_of_a_calendar_that_are_not_used_are_said_with_the_reason(panel: pl.DataFrame, keys: list[str]) -> None:
    calendar = KNOWN.with_columns(
        week=pl.col("demand_date").dt.week(), index=100.0 + pl.int_range(pl.len()), tax=pl.lit(0.19), note=None, parts=pl.lit([1])
    )
    if keys:
        calendar = panel.select(keys).unique().join(calendar, how="cross")

    said = forecast(panel, horizon=1, frequency="daily", calendar=calendar).calendar_left_out

    assert said == (
        "week only tells which day it is", "index only tells which day it is", "tax has one value only", "note has no value",
        "parts is nested",
    )  # fmt: skip
    assert forecast(panel, horizon=1, frequency="daily", calendar=KNOWN).calendar_left_out == ()


def test_attributes_of_nothing_are_refused(panel: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="attributes: lacks sku and location_id, has category"):
        forecast(panel, horizon=1, frequency="daily", attributes=pl.DataFrame({"category": ["a"]}))


def test_what_only_tells_the_day_is_no_knowledge_of_demand(panel: pl.DataFrame) -> None:
    day = pl.col("demand_date")
    parts = KNOWN.with_columns(
        d=pl.format("d_{}", pl.int_range(pl.len())), week=day.dt.week().cast(pl.String) + day.dt.year().cast(pl.String),
        weekday=day.dt.to_string("%A"), wday=(day.dt.weekday() + 1) % 7 + 1, month=day.dt.month(), month_name=day.dt.to_string("%B"),
        year=day.dt.year(), week_of_year=day.dt.week(), wm_yr_wk=11_000 + pl.int_range(pl.len()) // 7,
    )  # fmt: skip

    known = as_matrix(panel, calendar=parts).calendar

    assert known is not None
    assert known.columns == KNOWN.columns
    assert_allclose(means(panel, calendar=parts), means(panel, calendar=KNOWN))


def test_flags_are_the_same_as_ones_and_zeros(panel: pl.DataFrame) -> None:
    ones = KNOWN.with_columns(pl.col("is_payday").cast(pl.Int8))

    assert_allclose(means(panel, calendar=ones), means(panel, calendar=KNOWN))


def test_a_calendar_for_each_place_or_joined_to_the_items_says_the_same(panel: pl.DataFrame) -> None:
    items = panel.select("sku").unique().join(KNOWN, how="cross")

    assert_allclose(means(panel, calendar=KNOWN.with_columns(location_id=pl.lit("main"))), means(panel, calendar=KNOWN))
    assert_allclose(means(panel, calendar=items), means(panel, calendar=KNOWN))


def test_gaps_in_a_calendar_do_not_reach_the_forecast(panel: pl.DataFrame) -> None:
    day = pl.int_range(pl.len())
    broken = KNOWN.with_columns(
        price=pl.when(day % 40 == 3).then(float("nan")).when(day % 40 == 5).then(float("inf")).when(day % 40 != 7).then(1.0 + day % 3),
        none=None, parts=pl.lit([1]), demand_date=pl.when(day != 9).then("demand_date"),
    )  # fmt: skip

    assert np.isfinite(means(panel, calendar=broken)).all()
    assert np.isfinite(means(panel, calendar=broken.with_columns(sku=pl.lit("s001")))).all()
    assert_allclose(means(panel, calendar=KNOWN.clear()), means(panel), rtol=1e-3)


def test_prices_move_their_own_item(panel_of: PanelOf) -> None:
    price = np.where(np.random.default_rng(5).random((4, 330)) < 0.2, 0.7, 1.0) * np.array([[2.0], [5.0], [11.0], [3.0]])
    demand = np.random.default_rng(6).poisson(20.0 * (price[:, :300] / price.max(axis=1, keepdims=True)) ** -2)
    calendar = pl.concat(
        pl.DataFrame({"sku": f"s{item:03d}", "location_id": "main", "demand_date": DAYS, "price": price[item]}) for item in range(4)
    )

    factors = fit_calendar_effects(as_matrix(panel_of(demand), calendar=calendar)).factors(300, 30)

    is_low = (price < price.max(axis=1, keepdims=True))[:, 300:].T
    assert factors[is_low].mean() / factors[~is_low].mean() == pytest.approx(0.7**-2, rel=0.1)


PROMOTED = np.random.default_rng(8).random((6, 330)) < 0.12
PROMOTIONS = pl.concat(pl.DataFrame({"sku": f"s{item:03d}", "demand_date": DAYS, "is_promoted": PROMOTED[item]}) for item in range(6))
WRITTEN: dict[str, tuple[pl.Expr, pl.Expr]] = {  # how a promotion is written down, and a day without one
    "flags": (pl.lit(True), pl.lit(False)),
    "ones": (pl.lit(1, pl.Int8), pl.lit(0, pl.Int8)),
    "ones as floats": (pl.lit(1.0), pl.lit(0.0)),
    "texts": (pl.lit("leaflet"), pl.lit(None, pl.String)),
    "discounts": (pl.lit(30.0).alias("discount_pct"), pl.lit(0.0)),
}  # fmt: skip


@pytest.fixture(scope="module")
def promoted_panel(panel_of: PanelOf) -> pl.DataFrame:
    """The last item came late."""
    panel = panel_of(np.random.default_rng(9).poisson(5.0 * np.where(PROMOTED[:, :300], 3.0, 1.0)))
    return panel.filter((pl.col("sku") != "s005") | (pl.col("demand_date") >= DAYS[220]))


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("has_all_days", [True, False])
def test_promotions_give_one_forecast_however_they_are_written_down(promoted_panel: pl.DataFrame, kind: str, has_all_days: bool) -> None:
    on, off = WRITTEN[kind]
    name = on.meta.output_name() if kind == "discounts" else "promotion"
    written = PROMOTIONS.select("sku", "demand_date", pl.when("is_promoted").then(on).otherwise(off).alias(name))
    given = written if has_all_days else written.filter(PROMOTIONS["is_promoted"])

    told = means(promoted_panel, calendar=given).reshape(6, 20)

    is_on = PROMOTED[:, 300:320]
    assert told[is_on].mean() == pytest.approx(15.0, rel=0.06)
    assert told[~is_on].mean() == pytest.approx(5.0, rel=0.06)
    assert_allclose(told, means(promoted_panel, calendar=PROMOTIONS).reshape(6, 20), rtol=1e-9)


@pytest.mark.parametrize("kind", ["daily", "weekly"])
def test_discounts_of_several_depths_are_zero_where_they_have_no_row(promoted_panel: pl.DataFrame, kind: Any) -> None:
    depth = np.where(np.random.default_rng(4).random(PROMOTIONS.height) < 0.5, 20.0, 40.0)
    full = PROMOTIONS.select("sku", "demand_date", discount_pct=pl.when("is_promoted").then(pl.Series(depth)).otherwise(0.0))
    panel = promoted_panel
    if kind == "weekly":
        week = pl.col("demand_date").dt.truncate("1w")
        panel = panel.group_by("sku", "location_id", week).agg(pl.col("demand_qty").sum(), pl.col("is_censored").any())

    designs = [
        fit_calendar_effects(as_matrix(panel, frequency=kind, calendar=given)) for given in (full, full.filter(pl.col("discount_pct") > 0))
    ]

    whole, sparse = (effects.factors(0, 45) for effects in designs)
    assert whole.std() > 0.1
    assert_allclose(sparse, whole)


def test_a_factor_is_one_on_average_over_the_days_of_each_item(promoted_panel: pl.DataFrame) -> None:
    matrix = as_matrix(promoted_panel, calendar=PROMOTIONS.filter("is_promoted"))
    plain = fit_calendar_effects(as_matrix(promoted_panel)).factors(0, 300)

    lifts = fit_calendar_effects(matrix).factors(0, 300) / plain

    assert_allclose(np.where(matrix.observed, lifts, 0.0).sum(axis=0) / matrix.observed.sum(axis=0), 1.0, rtol=1e-9)


def test_a_price_that_is_not_known_is_the_items_usual_one(panel_of: PanelOf) -> None:
    price = np.where(np.random.default_rng(5).random((4, 330)) < 0.2, 0.7, 1.0) * np.array([[2.0], [5.0], [11.0], [3.0]])
    calendar = pl.concat(
        pl.DataFrame({"sku": f"s{item:03d}", "demand_date": DAYS, "price": price[item]}) for item in range(4)
    ).with_columns(price=pl.when(pl.col("demand_date") != DAYS[310]).then("price"), is_new=pl.col("demand_date") == DAYS[310])
    demand = np.random.default_rng(6).poisson(20.0 * (price[:, :300] / price.max(axis=1, keepdims=True)) ** -2)

    factors = fit_calendar_effects(as_matrix(panel_of(demand), calendar=calendar)).factors(310, 1)

    assert_allclose(factors / factors.mean(), 1.0, atol=0.03)


def test_rare_texts_count_as_one(panel: pl.DataFrame) -> None:
    names = [f"fair {day}" if day % 3 == 0 else None for day in range(330)]

    assert np.isfinite(means(panel, calendar=KNOWN.with_columns(event=pl.Series(names)))).all()


def test_pools_are_parted_by_the_finest_attribute_that_leaves_them_large(panel_of: PanelOf) -> None:
    panel = panel_of(np.ones((240, 3)))
    item = pl.int_range(240)
    attributes = panel.select(pl.col("sku").unique().sort()).with_columns(
        category=(item % 2).cast(pl.String), department=(item % 4).cast(pl.String), brand=(item % 40).cast(pl.String), size=item
    )

    assert pooling_columns(as_matrix(panel, attributes=attributes)) == ["location_id", "category", "department"]


@pytest.mark.parametrize("weekday", range(7))
def test_weeks_may_begin_on_any_weekday(panel_of: PanelOf, weekday: int) -> None:
    weeks = panel_of(np.random.default_rng(7).poisson(8.0, (2, 60))).with_columns(
        demand_date=MONDAY + pl.duration(days=weekday) + 7 * (pl.col("demand_date") - MONDAY)
    )

    result = forecast(weeks, horizon=2, frequency="weekly", levels=(0.025, 0.5, 0.975)).frame

    first = MONDAY + timedelta(days=weekday + 7 * 60)
    assert result["demand_date"].unique().sort().to_list() == [first, first + timedelta(days=7)]
    assert result.columns[3:7] == ["demand_mean_qty", "demand_p2_5_qty", "demand_p50_qty", "demand_p97_5_qty"]
    assert (result["demand_p2_5_qty"] <= result["demand_p97_5_qty"]).all()
    assert result["fallback_reason"].null_count() == 4
