"""Proposals of the kinds that order nothing, on the small shop of `decision_shop`.

PO-17 has 40 units of ITEM-1 for DC on the way, expected on 20 July; three orders want 10, 20 and 50 of the 50 units of ITEM-3 at DC.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.decisions.service import decide
from pipelines.stores.recommendations import RecommendationRun, propose
from tests.integration.decision_shop import AS_OF, COST, NOW, change_shop, open_shop, rec_ids, request

if TYPE_CHECKING:
    from pipelines.decisions.requests import Decision
    from pipelines.stores.operational import OperationalStore

EXPECTED = date(2026, 7, 20)
WANTED = {"expedite": date(2026, 7, 6), "defer": date(2026, 8, 10), "cancel_po": None}
CHANGES = tuple(WANTED)
MADE = {
    "expedite": "UPDATE purchase_order_lines SET expected_at = '2026-07-05 12:00:00+00:00' WHERE po_line_id = 'PO-17-1'",
    "defer": "UPDATE purchase_order_lines SET expected_at = '2026-08-12 12:00:00+00:00' WHERE po_line_id = 'PO-17-1'",
    "cancel_po": "UPDATE purchase_orders SET status = 'cancelled' WHERE po_id = 'PO-17'",
}
SALES = {
    "orders": ["order_id", "created_at", "currency", "cancelled_at", "closed_at"],
    "order_lines": ["order_line_id", "order_id", "sku", "quantity", "unit_price", "fulfillable_quantity"],
    "shipments": ["shipment_id", "order_id", "status", "shipped_at", "delivered_at"],
    "shipment_lines": ["shipment_id", "order_line_id", "quantity"],
}
WANTS = {"O-1-1": 10, "O-2-1": 20, "O-3-1": 50}
SHARES = {"O-1-1": 6, "O-2-1": 13, "O-3-1": 31}


def open_change(store: OperationalStore, kind: str, **changes: Any) -> str:
    """A shop whose order PO-17 a proposal would change; returns the proposal's id. It proposes no purchase."""
    open_shop(store, items=0)
    add_order(store)
    propose_change(store, kind, **changes)
    return rec_ids(store, ["ITEM-1"])[0]


def add_order(store: OperationalStore) -> None:
    """PO-17 was sent to SUP."""
    change_shop(
        store,
        "INSERT INTO purchase_orders (po_id, supplier_id, status, created_at, expected_at, currency) "
        "VALUES ('PO-17', 'SUP', 'sent', '2026-06-20 08:00:00+00:00', '2026-07-20 12:00:00+00:00', 'EUR')",
    )
    change_shop(
        store,
        "INSERT INTO purchase_order_lines (po_line_id, po_id, sku, location_id, ordered_qty, received_qty) "
        "VALUES ('PO-17-1', 'PO-17', 'ITEM-1', 'DC', 40, 0)",
    )


def propose_change(store: OperationalStore, kind: str, *, run_id: str = "r1", **changes: Any) -> None:
    """A run proposes this change of the line of PO-17, and no other of its kind."""
    wanted = WANTED[kind]
    basis = {
        "as_of_date": AS_OF.isoformat(), "po_id": "PO-17", "po_line_id": "PO-17-1", "open_qty": 40, "expected_date": EXPECTED.isoformat(),
        "wanted_date": wanted and wanted.isoformat(),
    }  # fmt: skip
    row = {
        "recommendation_key": f"{kind}-PO-17-1", "kind": kind, "sku": "ITEM-1", "location_id": "DC", "supplier_id": "SUP", "raw_qty": 40,
        "recommended_qty": 40, "unit_cost": COST, "currency_code": "EUR", "need_by": wanted, "expected_receipt": EXPECTED,
        "priority_score": 3.0, "reason": "It comes at the wrong time.", "basis": json.dumps(basis), "basis_version": 1,
        "expires_at": datetime(2026, 7, 8),
    } | changes  # fmt: skip
    _propose(store, kind, row, run_id)


def open_shortage(store: OperationalStore, **changes: Any) -> str:
    """A shop whose 50 units of ITEM-3 at DC are too few for three orders; returns the id of the proposal that shares them."""
    open_shop(store, items=0)
    add_sales(store)
    propose_shares(store, **changes)
    return rec_ids(store, ["ITEM-3"])[0]


def add_sales(store: OperationalStore) -> None:
    """Three orders want 80 units of ITEM-3, of which 50 lie at DC; 40 of them are committed."""
    store.create_source_tables(SALES)
    for line_id, qty in WANTS.items():
        change_shop(
            store, "INSERT INTO orders (order_id, created_at, currency) VALUES (:one, '2026-06-29 08:00:00+00:00', 'EUR')", one=line_id[:3]
        )
        change_shop(
            store, "INSERT INTO order_lines (order_line_id, order_id, sku, quantity, unit_price) VALUES (:line, :one, 'ITEM-3', :qty, 9)",
            line=line_id, one=line_id[:3], qty=qty,
        )  # fmt: skip
    change_shop(store, "UPDATE stock_levels SET on_hand = 50, committed = 40 WHERE sku = 'ITEM-3' AND location_id = 'DC'")


def propose_shares(store: OperationalStore, *, run_id: str = "r1", method: str = "fair_share", **changes: Any) -> None:
    """A run proposes to share the 50 units, and nothing else of its kind."""
    lines = [
        {"order_line_id": line_id, "order_id": line_id[:3], "wanted_qty": qty, "qty": SHARES[line_id], "priority": None, "floor_qty": 0}
        for line_id, qty in WANTS.items()
    ]
    basis = {"as_of_date": AS_OF.isoformat(), "free_qty": 50, "lines": lines, "method": method}
    row = {
        "recommendation_key": "allocate-ITEM-3", "kind": "allocate", "sku": "ITEM-3", "location_id": "DC", "raw_qty": 80,
        "recommended_qty": 50, "priority_score": 9.0, "reason": "80 are wanted and 50 are there.", "basis": json.dumps(basis),
        "basis_version": 1, "expires_at": datetime(2026, 7, 8),
    } | changes  # fmt: skip
    _propose(store, "allocate", row, run_id)


def send(store: OperationalStore, line_id: str, qty: int) -> None:
    """A parcel with units of the line leaves DC."""
    parcel = f"S-{line_id}-{qty}"
    change_shop(
        store, "INSERT INTO shipments (shipment_id, order_id, status, shipped_at) VALUES (:one, :order_id, 'shipped', '2026-07-01 10:00:00+00:00')",
        one=parcel, order_id=line_id[:3],
    )  # fmt: skip
    change_shop(
        store,
        "INSERT INTO shipment_lines (shipment_id, order_line_id, quantity) VALUES (:one, :line, :qty)",
        one=parcel,
        line=line_id,
        qty=qty,
    )
    change_shop(store, "UPDATE stock_levels SET on_hand = on_hand - :qty WHERE sku = 'ITEM-3' AND location_id = 'DC'", qty=qty)


def approve(store: OperationalStore, rec_id: str, *, version: int = 1, **values: Any) -> Decision:
    """An approver approves it."""
    return decide(store, request(rec_id, version=version, **values), now=NOW)


def _propose(store: OperationalStore, kind: str, row: dict[str, Any], run_id: str) -> None:
    frame = pl.DataFrame([row], schema_overrides={"unit_cost": pl.Decimal(18, 4), "need_by": pl.Date, "currency_code": pl.String})
    steps = pl.DataFrame(
        schema={"recommendation_key": pl.String, "step_number": pl.Int64, "step": pl.String, "qty": pl.Float64, "note": pl.String}
    )
    evidence = pl.DataFrame(schema={"recommendation_key": pl.String, "model": pl.String})
    run = RecommendationRun(run_id, AS_OF, "R1", "0.1.0", "c", 0, "passed", (kind,))
    propose(store, run, frame, steps, evidence)
