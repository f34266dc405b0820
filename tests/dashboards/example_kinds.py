"""Suggestions of every other kind on the example shop: a transfer, three changes of an order each, and a shortage of C-3 to share."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.stores.operational import OperationalStore
from pipelines.stores.recommendations import RecommendationRun, propose
from tests.dashboards.example_release import AS_OF

if TYPE_CHECKING:
    from tests.dashboards.example_shop import Shop

KINDS = ("transfer", "expedite", "defer", "cancel_po", "allocate")
FIELDS = {
    "transfers": ["transfer_id", "from_location_id", "to_location_id", "status", "expected_at"],
    "transfer_lines": ["transfer_id", "sku", "quantity"],
    "orders": ["order_id", "created_at", "currency", "cancelled_at", "closed_at"],
    "order_lines": ["order_line_id", "order_id", "sku", "quantity", "unit_price"],
}
# Order, item, place, open units: each has one line that is expected ten days after the release.
ORDERS = (("PO-17", "A-1", "L1", 48), ("PO-18", "B-2", "L2", 30), ("PO-9", "B-2", "L2", 40))
EXPECTED = AS_OF + timedelta(days=10)
WANTS = (("O-1", 10, 6), ("O-2", 20, 13), ("O-3", 50, 31))


def open_kinds(shop: Shop) -> None:
    """The shop has these orders and too little of C-3 at North, and a run has proposed what to do about them."""
    with OperationalStore.open(f"sqlite:///{shop.home / 'store.db'}") as store:
        store.create_source_tables(FIELDS)
    stock = "INSERT INTO stock_levels (sku, location_id, on_hand, committed, reserved, damaged) VALUES "
    shop.change(stock + "('A-1', 'L2', 90, 0, 0, 0), ('C-3', 'L1', 50, 0, 0, 0)")
    for po_id, sku, place, qty in ORDERS:
        shop.change(
            "INSERT INTO purchase_orders (po_id, supplier_id, status, expected_at, currency) "
            f"VALUES ('{po_id}', 'S1', 'sent', '{EXPECTED} 11:00:00', 'EUR')"
        )
        shop.change(
            "INSERT INTO purchase_order_lines (po_line_id, po_id, sku, location_id, ordered_qty, received_qty) "
            f"VALUES ('{po_id}-1', '{po_id}', '{sku}', '{place}', {qty}, 0)"
        )
    for order_id, wanted, _ in WANTS:
        shop.change(f"INSERT INTO orders (order_id, created_at, currency) VALUES ('{order_id}', '2026-11-18 08:00:00', 'EUR')")
        shop.change(
            "INSERT INTO order_lines (order_line_id, order_id, sku, quantity, unit_price) "
            f"VALUES ('{order_id}-1', '{order_id}', 'C-3', {wanted}, '9.00')"
        )
    with OperationalStore.open(f"sqlite:///{shop.home / 'store.db'}") as store:
        frame = pl.DataFrame(_rows(), infer_schema_length=None, schema_overrides={"unit_cost": pl.Decimal(18, 4)})
        steps = {"recommendation_key": pl.String, "step_number": pl.Int64, "step": pl.String, "qty": pl.Float64, "note": pl.String}
        run = RecommendationRun("run-2", AS_OF, None, "0.1.0", "c0ffee", 0, "passed", KINDS)
        evidence = pl.DataFrame(schema={"recommendation_key": pl.String})
        propose(store, run, frame, pl.DataFrame([("k-defer", 1, "Cover", 52.0, "Days.")], schema=steps, orient="row"), evidence)


def _rows() -> list[dict[str, Any]]:
    position = {"as_of_date": AS_OF.isoformat(), "on_hand_qty": 31, "order_up_to_qty": 90, "lead_time_p50_days": 2, "review_period_days": 7}
    common = {"currency_code": "EUR", "policy_version": "1", "basis_version": 1, "supplier_id": "S1", "source_location_id": None}
    made = [
        {"kind": "transfer", "sku": "A-1", "location_id": "L1", "source_location_id": "L2", "supplier_id": None, "recommended_qty": 59,
         "need_by": AS_OF + timedelta(days=3), "expected_receipt": AS_OF + timedelta(days=2), "priority_score": 60.0,
         "reason": "North runs out in 3 days, South has 90.", "basis": position},
        _change("expedite", ORDERS[0], AS_OF + timedelta(days=4), "It comes a week after stock is used up.", 80.0),
        _change("defer", ORDERS[1], AS_OF + timedelta(days=40), "Stock lasts until January.", 5.0),
        _change("cancel_po", ORDERS[2], None, "Nobody will buy these.", 4.0),
        {"kind": "allocate", "sku": "C-3", "location_id": "L1", "supplier_id": None, "recommended_qty": 50, "priority_score": 70.0,
         "reason": "80 are wanted and 50 are there.", "basis": {
             "as_of_date": AS_OF.isoformat(), "free_qty": 50, "method": "fair_share",
             "lines": [{"order_line_id": f"{one}-1", "order_id": one, "wanted_qty": wanted, "qty": qty, "priority": None, "floor_qty": 0}
                       for one, wanted, qty in WANTS]}},
    ]  # fmt: skip
    return [
        common | {"recommendation_key": f"k-{row['kind']}", "raw_qty": row["recommended_qty"], "unit_cost": None, "need_by": None,
                  "expected_receipt": None, "order_by": AS_OF + timedelta(days=1)} | row | {"basis": json.dumps(row["basis"])}
        for row in made
    ]  # fmt: skip


def _change(kind: str, order: tuple[str, str, str, int], wanted: Any, reason: str, priority: float) -> dict[str, Any]:
    po_id, sku, place, qty = order
    basis = {
        "as_of_date": AS_OF.isoformat(), "po_id": po_id, "po_line_id": f"{po_id}-1", "open_qty": qty, "expected_date": EXPECTED.isoformat(),
        "wanted_date": None if wanted is None else wanted.isoformat(),
    }  # fmt: skip
    return {
        "kind": kind, "sku": sku, "location_id": place, "recommended_qty": qty, "unit_cost": Decimal(8), "need_by": wanted,
        "expected_receipt": EXPECTED, "priority_score": priority, "reason": reason, "basis": basis, "cost_if_accepted": Decimal(3),
    }  # fmt: skip
