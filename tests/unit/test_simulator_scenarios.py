"""Scenarios that strain one thing each, against the same merchant at rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.settings import Settings
from pipelines.simulator import SCENARIOS, SimulatedMerchant, simulate
from pipelines.simulator.history import live
from pipelines.simulator.merchant import tables_as_of
from pipelines.stores.source_contract import SOURCE_TABLES

STRAINED = ("calm", "promo", "supplier_delay", "dirty")
SEED = 2


@pytest.fixture(scope="module")
def merchants() -> dict[str, SimulatedMerchant]:
    return {name: simulate(SCENARIOS[name], seed=SEED) for name in STRAINED}


@pytest.mark.parametrize("name", STRAINED)
def test_they_are_small_and_days_that_follow_leave_their_past_as_it_was(merchants: dict[str, SimulatedMerchant], name: str) -> None:
    tables = merchants[name].tables

    seen_then = tables_as_of(live(SCENARIOS[name].continued(9), seed=SEED), days=SCENARIOS[name].days)

    assert tables["orders"].height < 10_000
    assert SCENARIOS[name].days <= 180
    for table, frame in tables.items():
        assert_frame_equal(seen_then[table], frame)


@pytest.mark.parametrize("name", ["small", "dirty"])
def test_every_row_that_later_days_change_says_when(name: str) -> None:
    history = live(SCENARIOS[name].continued(20), seed=SEED)
    before, later = (tables_as_of(history, days=SCENARIOS[name].days + days) for days in (0, 20))

    for table, frame in before.items():
        changed = later[table].join(frame, on=frame.columns, how="anti", nulls_equal=True)
        again = changed.join(frame, on=SOURCE_TABLES[table].key, suffix="_before")
        assert again.filter(pl.col("updated_at") <= pl.col("updated_at_before")).is_empty(), table


def test_calm_has_no_promotion_no_bad_document_and_steadier_demand(merchants: dict[str, SimulatedMerchant]) -> None:
    calm, usual = merchants["calm"], simulate(replace(SCENARIOS["calm"], noise=1.0), seed=SEED)

    def spread(merchant: SimulatedMerchant) -> float:
        daily = merchant.truth.latent_demand.group_by("demand_date").agg(pl.col("demand_qty").sum())["demand_qty"]
        return float(daily.std() / daily.mean())

    assert calm.tables["promotions"].is_empty()
    assert calm.tables["order_lines"]["total_discount"].sum() == 0
    assert calm.tables["orders"].filter(pl.col("order_id").str.starts_with("O-X")).is_empty()
    assert spread(calm) < spread(usual)


def test_promo_sells_most_of_its_discounts(merchants: dict[str, SimulatedMerchant]) -> None:
    calm, promo = merchants["calm"].tables, merchants["promo"].tables

    assert promo["promotions"].height > 60 > calm["promotions"].height
    assert (promo["order_lines"]["total_discount"] > 0).mean() > 0.25


def test_suppliers_take_twice_as_long_only_while_they_are_delayed(merchants: dict[str, SimulatedMerchant]) -> None:
    usual = simulate(replace(SCENARIOS["supplier_delay"], supplier_delay=None), seed=SEED)
    start = datetime(2026, 5, 5)
    until = start + timedelta(days=72)

    def mean_days(merchant: SimulatedMerchant, first: datetime, last: datetime) -> float:
        orders = merchant.tables["purchase_orders"].filter(
            pl.col("created_at").is_between(first, last), pl.col("received_at").is_not_null()
        )
        days = orders.select((pl.col("received_at") - pl.col("confirmed_at")).dt.total_hours().median()).item()
        return float(days) / 24

    delayed = merchants["supplier_delay"]
    window = (until, until + timedelta(days=30))
    assert mean_days(delayed, start, until - timedelta(days=2)) == pytest.approx(mean_days(usual, start, until - timedelta(days=2)))
    assert mean_days(delayed, *window) > 1.5 * mean_days(usual, *window)
    assert delayed.truth.latent_demand["lost_qty"].sum() > 1.2 * usual.truth.latent_demand["lost_qty"].sum()


def test_dirty_stays_below_the_share_of_bad_documents_that_blocks(merchants: dict[str, SimulatedMerchant]) -> None:
    tables, limit = merchants["dirty"].tables, Settings().quarantine_block_rate

    bad_orders = tables["orders"].filter(pl.col("order_id").str.starts_with("O-X"))
    bad_returns = tables["returns"].filter(pl.col("return_id").str.starts_with("R-X"))

    assert (bad_orders.height, bad_returns.height) == (54, 14)
    assert bad_orders.height < limit * tables["orders"].height
    assert bad_returns.height < limit * tables["returns"].height


def test_the_differences_planted_in_dirty_can_be_found_and_are_the_only_ones(merchants: dict[str, SimulatedMerchant]) -> None:
    tables = merchants["dirty"].tables
    planted = merchants["dirty"].truth.planted_differences
    orders = tables["orders"].filter(~pl.col("order_id").str.starts_with("O-X"))
    net = (
        tables["order_lines"]
        .group_by("order_id")
        .agg((pl.col("quantity") * pl.col("unit_price") - pl.col("total_discount")).sum().alias("net"))
    )
    billed = tables["invoices"].join(orders, on="order_id")
    paid = tables["payments"].group_by("invoice_id").agg(pl.col("amount").sum().alias("paid"))
    direct = tables["order_lines"].filter(pl.col("is_special_order") | pl.col("is_drop_ship")).select("order_line_id")
    left = tables["shipments"].filter(pl.col("shipped_at").is_not_null())
    shipped = tables["shipment_lines"].join(direct, on="order_line_id", how="anti").join(left, on="shipment_id")

    found = {
        "order_total": orders.join(net, on="order_id").filter(pl.col("total_price") != pl.col("net") + pl.col("total_shipping")),
        "invoice_amount": billed.filter(pl.col("amount") != pl.col("total_price")),
        "double_payment": billed.join(paid, on="invoice_id").filter(pl.col("paid") > pl.col("amount")),
        "missing_movement": shipped.join(tables["stock_movements"], left_on="shipment_id", right_on="reference_id", how="anti"),
    }

    for kind, rows in found.items():
        assert set(rows["order_id"]) == set(planted.filter(pl.col("kind") == kind)["order_id"]), kind
        assert 15 < rows["order_id"].n_unique() < 50, kind
    assert planted["order_id"].is_unique().all()


def test_no_other_scenario_has_differences(merchants: dict[str, SimulatedMerchant]) -> None:
    assert all(merchants[name].truth.planted_differences.is_empty() for name in STRAINED if name != "dirty")
    assert [name for name, scenario in SCENARIOS.items() if scenario.difference_rate] == ["dirty"]
