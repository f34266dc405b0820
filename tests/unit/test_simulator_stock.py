"""Stock that does not follow the plain way at the simulated merchant: straight from suppliers, between places, on display, for later."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.simulator import SimulatedMerchant


@pytest.fixture(scope="module")
def tables(busy_merchant: SimulatedMerchant) -> Mapping[str, pl.DataFrame]:
    return busy_merchant.tables


def local_date(column: str) -> pl.Expr:
    return pl.col(column).dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin").dt.date()


def test_what_comes_straight_from_a_supplier_never_moves_our_stock(tables: Mapping[str, pl.DataFrame]) -> None:
    lines = tables["order_lines"].with_columns(is_direct=pl.col("is_special_order") | pl.col("is_drop_ship"))
    parcels = tables["shipments"].filter(pl.col("shipped_at").is_not_null()).select("shipment_id")
    shipped = tables["shipment_lines"].join(parcels, on="shipment_id").join(lines, on="order_line_id")
    sales = tables["stock_movements"].filter(pl.col("movement_type") == "sale")

    ours = shipped.filter(~pl.col("is_direct")).group_by("sku", reference_id="shipment_id").agg(pl.col("quantity").sum())
    sold = sales.group_by("sku", "reference_id").agg(-pl.col("quantity").sum())

    back = tables["return_lines"].join(lines.filter("is_direct"), on="order_line_id")
    assert sold.sort("sku", "reference_id").equals(ours.sort("sku", "reference_id"))
    assert "return" not in set(back["restock_type"])
    for flag in ("is_special_order", "is_drop_ship"):
        assert lines[flag].mean() == pytest.approx(0.01, abs=0.006)


def test_what_leaves_one_place_for_another_arrives_there(tables: Mapping[str, pl.DataFrame]) -> None:
    moves = tables["stock_movements"].filter(pl.col("reference_type") == "transfer")
    lines = tables["transfer_lines"].join(tables["transfers"], on="transfer_id")

    by_way = moves.group_by("movement_type", "location_id", "sku", transfer_id="reference_id").agg(pl.col("quantity").sum())
    out = lines.join(
        by_way.filter(movement_type="transfer_out"),
        left_on=["transfer_id", "sku", "from_location_id"],
        right_on=["transfer_id", "sku", "location_id"],
    )
    arrived = lines.join(by_way.filter(movement_type="transfer_in"), left_on=["transfer_id", "sku", "to_location_id"], right_on=["transfer_id", "sku", "location_id"])  # fmt: skip

    assert lines.height == out.height > 0
    assert (out["quantity"] == -out["quantity_right"]).all()
    assert (arrived["quantity"] == arrived["quantity_right"]).all()
    assert arrived.height == lines.filter(pl.col("received_at").is_not_null()).height
    assert set(lines.filter(pl.col("received_at").is_null())["status"]) <= {"in_transit"}
    assert lines.filter(pl.col("from_location_id") == pl.col("to_location_id")).is_empty()


def test_a_piece_on_display_is_part_of_what_is_free(tables: Mapping[str, pl.DataFrame]) -> None:
    levels = tables["stock_levels"].join(tables["locations"], on="location_id")

    shown = levels.filter(pl.col("reserved") > 0)

    assert shown.height > 0
    assert shown["type"].unique().to_list() == ["store"]
    assert shown.filter(pl.col("reserved") >= pl.col("on_hand") - pl.col("committed") - pl.col("damaged")).is_empty()


def test_an_order_for_a_later_date_is_promised_and_released_for_it(tables: Mapping[str, pl.DataFrame]) -> None:
    orders = tables["orders"].filter(pl.col("cancelled_at").is_null())
    asked = orders.filter(pl.col("requested_delivery_at").is_not_null(), pl.col("channel_id") != "wholesale")

    dwell = asked.select((local_date("released_at") - local_date("created_at")).dt.total_days()).to_series().drop_nulls()

    first_leave = tables["shipments"].group_by("order_id").agg(pl.col("shipped_at").min())
    sent = asked.join(first_leave, on="order_id").drop_nulls(["shipped_at", "released_at"])
    assert asked.height / orders.height == pytest.approx(0.02, abs=0.005)
    assert asked["requested_delivery_at"].equals(asked["promised_delivery_at"], check_names=False)
    assert 7 <= dwell.min() <= dwell.max() <= 30
    assert sent.filter(pl.col("shipped_at") < pl.col("released_at")).is_empty()
    assert (sent["shipped_at"] > sent["promised_ship_at"]).mean() < 0.3


def test_few_parcels_travel_with_wrong_papers(tables: Mapping[str, pl.DataFrame]) -> None:
    assert tables["shipments"]["document_error"].mean() == pytest.approx(0.004, abs=0.002)
    assert tables["shipments"]["delivered_at"].drop_nulls().len() > 0.9 * tables["shipments"].height


def test_a_better_window_never_has_a_parcel_arrive_before_it_left(tables: Mapping[str, pl.DataFrame]) -> None:
    arrived = tables["shipments"].filter(pl.col("delivered_at").is_not_null())

    assert (arrived["delivered_at"] - arrived["shipped_at"]).min() > timedelta(hours=12)
