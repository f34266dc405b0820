"""The simulated merchant: a past that adds up, and that more days do not change."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.simulator import SCENARIOS, Scenario, SimulatedMerchant, simulate
from pipelines.simulator.catalogue import NO_DAY
from pipelines.simulator.history import History, live
from pipelines.simulator.merchant import tables_as_of
from pipelines.simulator.truth import reveal
from pipelines.stores.source_contract import SOURCE_TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

SMALL = SCENARIOS["small"]
CLEAN = replace(SMALL, bad_documents=())
SEED = 11


@pytest.fixture(scope="module")
def merchant() -> SimulatedMerchant:
    return simulate(CLEAN, seed=SEED)


@pytest.fixture(scope="module")
def tables(merchant: SimulatedMerchant) -> Mapping[str, pl.DataFrame]:
    return merchant.tables


@pytest.fixture(scope="module")
def default_history() -> History:
    return live(SCENARIOS["default"], seed=SEED)


def dangling(tables: Mapping[str, pl.DataFrame]) -> set[tuple[str, str, str]]:
    """References to rows that are not there: table, column, value."""
    found = set()
    for name, frame in tables.items():
        for field in SOURCE_TABLES[name].fields:
            target, _, column = (field.references or "").partition(".")
            if field.name in frame.columns and target in tables:
                values = frame[field.name].drop_nulls()
                found |= {(name, field.name, value) for value in values.filter(~values.is_in(tables[target][column].implode()))}
    return found


def net_sales_qty(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Units of orders that stand, by sku, location and local day."""
    orders = tables["orders"].filter(pl.col("cancelled_at").is_null() & ~pl.col("is_test"))
    local = pl.col("created_at").dt.replace_time_zone("UTC").dt.convert_time_zone(CLEAN.time_zone).dt.date()
    return (
        tables["order_lines"]
        .join(orders.select("order_id", "location_id", demand_date=local), on="order_id")
        .group_by("sku", "location_id", "demand_date")
        .agg(pl.col("quantity").sum())
    )


def test_the_same_seed_gives_the_same_merchant(tables: Mapping[str, pl.DataFrame]) -> None:
    again = simulate(CLEAN, seed=SEED).tables

    assert list(again) == list(tables)
    for name, frame in tables.items():
        assert_frame_equal(again[name], frame)


def test_another_seed_gives_another_merchant(tables: Mapping[str, pl.DataFrame]) -> None:
    other = simulate(CLEAN, seed=SEED + 1).tables

    assert not other["products"]["list_price"].equals(tables["products"]["list_price"])
    assert other["orders"].height != tables["orders"].height


@pytest.mark.parametrize("days", [1, 25])
def test_days_that_follow_leave_the_past_as_it_was(tables: Mapping[str, pl.DataFrame], days: int) -> None:
    longer = live(CLEAN.continued(days), seed=SEED)

    seen_then = tables_as_of(longer, days=CLEAN.days)

    for name, frame in tables.items():
        assert_frame_equal(seen_then[name], frame)


def test_a_row_that_later_days_change_says_when_it_changed(tables: Mapping[str, pl.DataFrame]) -> None:
    later = simulate(CLEAN.continued(14), seed=SEED).tables

    for name, frame in tables.items():
        key = SOURCE_TABLES[name].key
        changed = later[name].join(frame, on=later[name].columns, how="anti", nulls_equal=True).join(frame, on=key, suffix="_before")
        assert changed.filter(pl.col("updated_at") <= pl.col("updated_at_before")).is_empty(), name


def test_stock_is_the_sum_of_its_movements_and_never_below_zero(tables: Mapping[str, pl.DataFrame]) -> None:
    moved = tables["stock_movements"].sort("occurred_at", "movement_id").group_by("sku", "location_id", maintain_order=True)
    balance = moved.agg(pl.col("quantity").sum(), pl.col("quantity").cum_sum().min().alias("lowest"))

    levels = tables["stock_levels"].join(balance, on=["sku", "location_id"], how="left").fill_null(0)

    assert levels["on_hand"].equals(levels["quantity"].alias("on_hand"))
    assert levels["lowest"].min() == 0
    assert (levels["on_hand"] - levels["committed"] - levels["damaged"]).min() == 0


def test_committed_stock_is_never_more_than_open_orders_want(tables: Mapping[str, pl.DataFrame]) -> None:
    is_open = tables["orders"].filter(pl.col("cancelled_at").is_null()).select("order_id", "location_id")
    lines = tables["order_lines"].join(is_open, on="order_id").group_by("sku", "location_id").agg(pl.col("fulfillable_quantity").sum())

    both = tables["stock_levels"].join(lines, on=["sku", "location_id"], how="left").fill_null(0)

    assert both.filter(pl.col("committed") > pl.col("fulfillable_quantity")).is_empty()
    assert both["committed"].sum() > 0
    assert both["fulfillable_quantity"].sum() > both["committed"].sum()  # somebody waits for stock


def test_what_is_sold_never_exceeds_what_was_wanted_and_some_is_lost(merchant: SimulatedMerchant) -> None:
    latent = merchant.truth.latent_demand

    both = net_sales_qty(merchant.tables).join(latent, on=["sku", "location_id", "demand_date"], how="left").fill_null(0)

    assert both.filter(pl.col("quantity") > pl.col("demand_qty") - pl.col("lost_qty")).is_empty()
    assert 0.01 < latent["lost_qty"].sum() / latent["demand_qty"].sum() < 0.2


def test_demand_is_lost_only_where_stock_had_run_out(merchant: SimulatedMerchant) -> None:
    lost = merchant.truth.latent_demand.filter(pl.col("lost_qty") > 0)
    total = merchant.truth.latent_demand.group_by("sku", "location_id").agg(pl.col("demand_qty").sum())

    assert lost.select("sku", "location_id").n_unique() < total.height  # some items never ran out


def test_orders_come_in_the_number_asked_for(default_history: History) -> None:
    scenario = default_history.scenario

    lines_per_order = (default_history.flow.accepted > 0).sum() / default_history.is_order.sum()

    assert default_history.is_order.sum() == pytest.approx(scenario.orders, rel=0.08)
    assert lines_per_order == pytest.approx(scenario.lines_per_order, rel=0.1)
    assert len(default_history.customers.created) == pytest.approx(scenario.customers, rel=0.1)


def test_some_orders_leave_in_parts_and_some_leave_late(tables: Mapping[str, pl.DataFrame]) -> None:
    shipped = tables["shipments"].group_by("order_id").agg(pl.len().alias("parcels"), pl.col("shipped_at").max())

    orders = tables["orders"].join(shipped, on="order_id")

    assert 0.02 < (orders["parcels"] > 1).mean() < 0.25
    assert 0.02 < (orders["shipped_at"] > orders["promised_ship_at"]).mean() < 0.3


def test_no_order_line_ships_more_than_was_ordered(tables: Mapping[str, pl.DataFrame]) -> None:
    shipped = tables["shipment_lines"].group_by("order_line_id").agg(pl.col("quantity").sum().alias("shipped_qty"))

    lines = tables["order_lines"].join(shipped, on="order_line_id")

    assert lines.filter(pl.col("shipped_qty") > pl.col("quantity")).is_empty()
    assert lines.height > 0.9 * tables["order_lines"].height


def test_a_cancelled_order_never_ships_and_some_are_cancelled_after_approval(tables: Mapping[str, pl.DataFrame]) -> None:
    cancelled = tables["orders"].filter(pl.col("cancelled_at").is_not_null())

    assert cancelled.join(tables["shipments"], on="order_id").is_empty()
    assert cancelled["cancel_reason"].null_count() == 0
    assert 0 < cancelled.filter(pl.col("approved_at") < pl.col("cancelled_at")).height < cancelled.height


def test_stages_of_an_order_follow_each_other(tables: Mapping[str, pl.DataFrame]) -> None:
    orders = tables["orders"].join(tables["shipments"], on="order_id", how="left")
    stages = ["created_at", "approved_at", "released_at", "shipped_at", "delivered_at"]

    for earlier, later in itertools.pairwise(stages):
        assert orders.filter(pl.col(later) < pl.col(earlier)).is_empty(), f"{later} before {earlier}"


def test_goods_come_back_after_they_arrived_and_never_more_than_were_sent(tables: Mapping[str, pl.DataFrame]) -> None:
    lines = (
        tables["return_lines"].join(tables["returns"], on="return_id").join(tables["order_lines"], on="order_line_id", suffix="_ordered")
    )
    arrived = (
        tables["shipment_lines"].join(tables["shipments"], on="shipment_id").group_by("order_line_id").agg(pl.col("delivered_at").min())
    )

    lines = lines.join(arrived, on="order_line_id", how="left")

    assert lines.filter(pl.col("quantity") > pl.col("quantity_ordered")).is_empty()
    assert lines.filter(pl.col("created_at") < pl.col("delivered_at")).is_empty()
    assert 0.04 < lines.height / tables["order_lines"].height < 0.12


def test_on_the_last_day_there_is_work_in_progress(tables: Mapping[str, pl.DataFrame], merchant: SimulatedMerchant) -> None:
    to_come = tables["purchase_order_lines"].join(tables["purchase_orders"].filter(pl.col("status") == "open"), on="po_id")

    assert to_come.height > 0
    assert to_come.filter(pl.col("expected_at") > merchant.data_until).height > 0
    assert tables["orders"]["closed_at"].null_count() > 0
    assert tables["stock_levels"]["incoming"].sum() == (to_come["ordered_qty"] - to_come["received_qty"]).sum()


def test_an_order_whose_parcel_got_lost_is_closed_weeks_after_it_was_due_and_only_who_waits_for_stock_stays_open(
    default_history: History,
) -> None:
    tables = tables_as_of(default_history, days=default_history.scenario.total_days)
    until = default_history.clock.utc(default_history.clock.now)
    parcels = tables["shipments"].group_by("order_id").agg(pl.col("shipped_at").max(), is_missing=pl.col("delivered_at").is_null().any())
    waiting = tables["order_lines"].group_by("order_id").agg(pl.col("fulfillable_quantity").sum())
    orders = tables["orders"].filter(pl.col("cancelled_at").is_null(), ~pl.col("order_id").str.starts_with("O-X"))
    orders = orders.join(waiting, on="order_id").join(parcels, on="order_id", how="left")

    lost = orders.filter(pl.col("closed_at").is_not_null() & pl.col("is_missing"))
    old = orders.filter(pl.col("closed_at").is_null(), pl.col("created_at") < until - timedelta(days=60))

    lag = lost.select(lag=pl.col("closed_at") - pl.max_horizontal("promised_delivery_at", "shipped_at"))["lag"]
    assert 0.001 < lost.height / orders.height < 0.004
    assert lost.filter(pl.col("fulfillable_quantity") > 0).is_empty()
    assert timedelta(days=20) < lag.min() < timedelta(days=22) < timedelta(days=34) < lag.max() < timedelta(days=37)
    assert old.filter(pl.col("fulfillable_quantity") == 0, pl.col("shipped_at") < until - timedelta(days=37)).is_empty()
    assert old.height < 0.0002 * orders.height


def test_one_order_in_a_thousand_is_for_an_item_retired_shortly_before_and_never_leaves(default_history: History) -> None:
    tables = tables_as_of(default_history, days=default_history.scenario.total_days)
    lines = tables["order_lines"].join(tables["products"].select("sku", "discontinued_at"), on="sku")
    orders = (
        tables["orders"]
        .join(lines.select("order_id", "discontinued_at"), on="order_id")
        .filter(pl.col("created_at") >= pl.col("discontinued_at"))
    )

    told = reveal(default_history, tables).retired_item_orders

    assert 0.0005 < len(told) / tables["orders"].height < 0.002
    assert set(orders["order_id"]) == set(told)
    assert orders.filter(pl.col("created_at") > pl.col("discontinued_at") + timedelta(days=47)).is_empty()
    assert set(orders["cancel_reason"]) <= {"discontinued", None}  # null: not called off yet
    assert orders.join(tables["shipments"], on="order_id").is_empty()


def test_suppliers_are_late_and_early_and_sometimes_deliver_in_parts(tables: Mapping[str, pl.DataFrame]) -> None:
    received = tables["purchase_order_lines"].filter(pl.col("received_at").is_not_null())
    receipts = tables["stock_movements"].filter(pl.col("movement_type") == "receipt")

    is_late = received["received_at"] > received["expected_at"]

    assert 0.05 < is_late.mean() < 0.95
    assert receipts.height > tables["purchase_order_lines"].filter(pl.col("received_qty") > 0).height
    assert receipts["quantity"].sum() == tables["purchase_order_lines"]["received_qty"].sum()


def test_ordered_quantities_keep_to_minimum_and_multiple(tables: Mapping[str, pl.DataFrame]) -> None:
    terms = tables["supplier_items"].filter(pl.col("priority") == 1)

    lines = tables["purchase_order_lines"].join(terms, on="sku")

    assert lines.filter(pl.col("ordered_qty") < pl.col("min_order_qty")).is_empty()
    assert lines.filter(pl.col("ordered_qty") % pl.col("order_multiple") != 0).is_empty()


def test_customers_who_left_no_longer_order(merchant: SimulatedMerchant) -> None:
    left = merchant.truth.customers.filter(pl.col("left_at_date").is_not_null())

    orders = merchant.tables["orders"].join(left, on="customer_id")

    assert 0 < left.height < merchant.truth.customers.height
    assert orders.filter(pl.col("created_at") > pl.col("left_at_date").cast(pl.Datetime("us")) + timedelta(days=1)).is_empty()


def test_people_touch_few_orders_and_systems_all(tables: Mapping[str, pl.DataFrame]) -> None:
    events = tables["order_events"]
    touched = events.filter(pl.col("actor_type") == "human")["order_id"].n_unique()

    assert events["order_id"].n_unique() == tables["orders"].height
    assert 4 < events.height / tables["orders"].height < 9
    assert 0.02 < touched / tables["orders"].height < 0.3


def test_nothing_dangles_and_no_key_occurs_twice(tables: Mapping[str, pl.DataFrame]) -> None:
    assert dangling(tables) == set()
    for name, frame in tables.items():
        assert not frame.select(SOURCE_TABLES[name].key).is_duplicated().any(), name
        assert [field for field in SOURCE_TABLES[name].required_fields if frame[field].null_count()] == [], name


def test_bad_documents_are_the_only_thing_wrong() -> None:
    spoiled = simulate(SMALL, seed=SEED).tables

    lines, returns = spoiled["order_lines"], spoiled["returns"]
    assert dangling(spoiled) == {("order_lines", "sku", "SKU-NONE"), ("orders", "location_id", "LOC-UNKNOWN")}
    assert lines.filter(pl.col("quantity") <= 0)["order_id"].to_list() == ["O-X00001"]
    assert returns.filter(pl.col("created_at") < datetime(1971, 1, 1)).height == 1
    assert returns.join(spoiled["orders"], on="order_id").filter(pl.col("created_at") < pl.col("created_at_right")).height == 2


def test_bad_documents_leave_every_other_row_as_it_is(tables: Mapping[str, pl.DataFrame]) -> None:
    spoiled = simulate(SMALL, seed=SEED).tables

    added = {name: spoiled[name].height - frame.height for name, frame in tables.items() if spoiled[name].height > frame.height}

    assert added == {"orders": 3, "order_lines": 3, "returns": 2, "return_lines": 2}
    for name, frame in tables.items():
        assert_frame_equal(spoiled[name].head(frame.height), frame)


def test_data_ends_with_the_last_local_day(merchant: SimulatedMerchant) -> None:
    assert merchant.data_until == datetime(2026, 10, 31, 23, 0)  # midnight in Berlin, winter time
    for name, frame in merchant.tables.items():
        assert frame["updated_at"].null_count() == 0, name
        assert frame["updated_at"].max() <= merchant.data_until, name


def test_a_catalogue_has_new_dying_and_intermittent_items(default_history: History) -> None:
    catalogue, lines = default_history.catalogue, default_history.lines
    days_with_demand = len(set(zip(lines.cell.tolist(), lines.day.tolist(), strict=True)))
    cells = default_history.scenario.skus * len(default_history.scenario.places)

    assert (catalogue.launch_day > 0).mean() == pytest.approx(0.11, abs=0.06)
    assert (catalogue.decline_day < NO_DAY).mean() == pytest.approx(0.11, abs=0.06)
    assert 0.2 < catalogue.is_bursty.mean() < 0.5
    assert days_with_demand / cells / default_history.scenario.days < 0.3  # most item days see no demand at all


def test_scenarios_end_on_the_same_day_and_continue_from_there() -> None:
    assert {scenario.last_day.isoformat() for scenario in SCENARIOS.values()} == {"2026-10-31"}
    continued: Scenario = SMALL.continued(3)
    assert continued.last_day.isoformat() == "2026-11-03"
    assert continued.days == SMALL.days
