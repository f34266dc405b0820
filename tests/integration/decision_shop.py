"""A small shop with proposals that wait for a decision: ITEM-n at DC from SUP, 60 units (5 packs of 12) at EUR 3.50 each."""

from __future__ import annotations

import json
import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from pipelines.decisions.requests import DecisionRequest
from pipelines.decisions.roles import Operator, set_operator
from pipelines.stores.operational import Merchant
from pipelines.stores.own_tables import metadata
from pipelines.stores.recommendations import RecommendationRun, propose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.stores.operational import OperationalStore

NOW = datetime(2026, 7, 1, 9, 0)
AS_OF = date(2026, 6, 30)
PRODUCTS = 40  # enough that a few proposals are no unusual breadth
COST = Decimal("3.5")
ORDER_TABLES = ("purchase_orders", "purchase_order_lines")
FIELDS = {
    "locations": ["location_id", "name", "type", "time_zone"],
    "products": ["sku"],
    "suppliers": ["supplier_id", "name", "order_minimum_amount", "currency"],
    "supplier_items": ["supplier_id", "sku", "lead_time_days", "unit_cost", "currency", "min_order_qty", "order_multiple", "max_order_qty"],
    "stock_levels": ["sku", "location_id", "on_hand", "committed", "reserved", "damaged", "version"],
    "purchase_orders": ["po_id", "supplier_id", "status", "created_at", "confirmed_at", "expected_at", "received_at", "currency", "source_rec_id"],
    "purchase_order_lines": [
        "po_line_id", "po_id", "sku", "location_id", "ordered_qty", "received_qty", "unit_cost", "expected_at", "received_at", "source_rec_id",
    ],
    "transfers": ["transfer_id", "from_location_id", "to_location_id", "status", "shipped_at", "expected_at", "received_at", "source_rec_id"],
    "transfer_lines": ["transfer_id", "sku", "quantity"],
    "fx_rates": ["rate_date", "from_currency", "to_currency", "rate"],
}  # fmt: skip


def open_shop(
    store: OperationalStore, *, items: int = 2, products: int = PRODUCTS, without: Sequence[str] = (), **changes: Any
) -> list[str]:
    """The shop has its tables, its operators and a proposal per item; returns the proposals' ids by item.

    Args:
        store: An empty store.
        items: How many proposals.
        products: How many items the shop sells.
        without: Source tables that this shop lacks.
        changes: To every proposal.
    """
    store.save_merchant(Merchant("m", "Shop", "Europe/Berlin", "EUR", "connected"))
    store.create_source_tables({name: fields for name, fields in FIELDS.items() if name not in without})
    skus = [f"ITEM-{number}" for number in range(1, products + 1)]
    store.append(
        "locations",
        pl.DataFrame([{"location_id": one, "name": one, "type": "dc", "time_zone": "Europe/Berlin"} for one in ("DC", "STORE")]),
    )
    store.append("products", pl.DataFrame({"sku": skus}))
    store.append(
        "suppliers",
        pl.DataFrame({"supplier_id": ["SUP"], "name": ["Supplier"], "order_minimum_amount": [Decimal("500.00")], "currency": ["EUR"]}),
    )
    terms = [
        {"supplier_id": "SUP", "sku": sku, "lead_time_days": 7, "unit_cost": Decimal("3.50"), "currency": "EUR", "min_order_qty": 24,
         "order_multiple": 12, "max_order_qty": 600} for sku in skus
    ]  # fmt: skip
    store.append("supplier_items", pl.DataFrame(terms))
    stock = [
        {"sku": sku, "location_id": place, "on_hand": 40 if place == "DC" else 100, "committed": 0, "reserved": 0, "damaged": 0, "version": 1}
        for sku in skus for place in ("DC", "STORE")
    ]  # fmt: skip
    store.append("stock_levels", pl.DataFrame(stock))
    for actor, role in (("ada", "admin"), ("pam", "planner"), ("ann", "approver"), ("vic", "viewer")):
        set_operator(store, Operator(actor, role), by="ada")  # type: ignore[arg-type]
    propose_items(store, skus[:items], **changes)
    return rec_ids(store, skus[:items])


def propose_items(store: OperationalStore, skus: Sequence[str], *, run_id: str = "r1", as_of: date = AS_OF, **changes: Any) -> None:
    """A run proposes these items and no others; on hand 40 of an order-up-to level of 90 is 50 raw, 60 in packs."""
    basis = {
        "as_of_date": AS_OF.isoformat(), "on_hand_qty": 40, "committed_qty": 0, "reserved_qty": 0, "damaged_qty": 0, "backorder_qty": 0,
        "inbound_qty": 0, "order_up_to_qty": 90, "lead_time_p50_days": 7, "review_period_days": 7,
    }  # fmt: skip
    common = {
        "kind": "purchase", "location_id": "DC", "source_location_id": None, "supplier_id": "SUP", "raw_qty": 50, "recommended_qty": 60,
        "unit_cost": Decimal("3.5000"), "currency_code": "EUR", "order_by": date(2026, 7, 2), "need_by": date(2026, 7, 10),
        "expected_receipt": date(2026, 7, 8), "priority_score": 10.0, "reason": "It runs out.", "basis": json.dumps(basis),
        "basis_version": 1, "expires_at": datetime(2026, 7, 8),
    }  # fmt: skip
    rows = [{"recommendation_key": f"key-{sku}", "sku": sku} | common | changes for sku in skus or ["none"]]
    frame = pl.DataFrame(rows, schema_overrides={"unit_cost": pl.Decimal(18, 4), "source_location_id": pl.String, "supplier_id": pl.String})
    frame = frame.head(len(skus))
    kinds = ("purchase", "transfer")
    steps = pl.DataFrame(
        schema={"recommendation_key": pl.String, "step_number": pl.Int64, "step": pl.String, "qty": pl.Float64, "note": pl.String}
    )
    evidence = pl.DataFrame(schema={"recommendation_key": pl.String, "model": pl.String})
    propose(store, RecommendationRun(run_id, as_of, "R1", "0.1.0", "c", 0, "passed", kinds), frame, steps, evidence)


def rec_ids(store: OperationalStore, skus: Sequence[str]) -> list[str]:
    """The open recommendation of each item."""
    table = metadata.tables["recommendation"]
    with store.transaction(writes=False) as conn:
        found = {
            row.sku: row.rec_id for row in conn.execute(sa.select(table).where(table.c.status.not_in(("superseded", "expired", "closed"))))
        }
    return [found[sku] for sku in skus]


def request(
    rec_id: str, action: str = "approve", *, version: int = 1, actor: str = "ann", decision_id: str | None = None, **values: Any
) -> DecisionRequest:
    """A decision, by default an approver's approval of a fresh proposal."""
    return DecisionRequest(
        decision_id=decision_id or uuid.uuid4().hex,
        rec_id=rec_id,
        rec_version=version,
        action=action,
        actor=actor,
        **values,  # type: ignore[arg-type]
    )


def rows_of(store: OperationalStore, table: str) -> list[dict[str, Any]]:
    """All rows of one of our tables, or of the shop's."""
    with store.transaction(writes=False) as conn:
        if table in metadata.tables:
            return [dict(row) for row in conn.execute(sa.select(metadata.tables[table])).mappings()]
        return [dict(row) for row in conn.execute(sa.text(f"SELECT * FROM {table}")).mappings()]


def status_of(store: OperationalStore, rec_id: str) -> tuple[str, int]:
    """Status and version of a recommendation."""
    (row,) = [row for row in rows_of(store, "recommendation") if row["rec_id"] == rec_id]
    return row["status"], row["version"]


def change_shop(store: OperationalStore, statement: str, **values: Any) -> None:
    """The shop changes its own tables."""
    with store.transaction() as conn:
        conn.execute(sa.text(statement), values)


def whole_store(store: OperationalStore) -> dict[str, list[str]]:
    """Every row of every table of ours and of the shop's, to compare before and after."""
    with store.transaction(writes=False) as conn:
        names = [*metadata.tables, *(name for name in FIELDS if sa.inspect(conn).has_table(name))]
        return {name: sorted(repr(tuple(row)) for row in conn.execute(sa.text(f"SELECT * FROM {name}"))) for name in names}
