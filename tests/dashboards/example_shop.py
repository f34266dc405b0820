"""The shop behind the example release: what decisions about its two suggestions are checked against, and who may decide."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from pipelines.decisions.roles import Operator, Role, set_operator
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.own_tables import metadata
from tests.dashboards.example_release import AS_OF

if TYPE_CHECKING:
    from pathlib import Path

OPERATORS: tuple[tuple[str, Role], ...] = (("ada", "admin"), ("pam", "planner"), ("ann", "approver"), ("vic", "viewer"))
FIELDS = {
    "products": ["sku"],
    "suppliers": ["supplier_id", "name", "order_minimum_amount", "currency"],
    "supplier_items": ["supplier_id", "sku", "lead_time_days", "unit_cost", "currency", "min_order_qty", "order_multiple"],
    "stock_levels": ["sku", "location_id", "on_hand", "committed", "reserved", "damaged"],
    "purchase_orders": ["po_id", "supplier_id", "status", "created_at", "expected_at", "currency"],
    "purchase_order_lines": ["po_line_id", "po_id", "sku", "location_id", "ordered_qty", "received_qty", "unit_cost", "expected_at"],
}
# Item, place, supplier, units on hand, level, pack, price: 231 raw is 240 in packs of 24, 90 raw is 100 in packs of 20.
ITEMS = (("A-1", "L1", "S1", 31, 262, 24, 8), ("B-2", "L2", "S2", 10, 100, 20, 20))


@dataclass(frozen=True)
class Shop:
    """The store of a home folder, as tests look at it and as the shop changes it."""

    home: Path

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of one of our tables."""
        with self._open() as store, store.transaction(writes=False) as conn:
            return [dict(row) for row in conn.execute(sa.select(metadata.tables[table])).mappings()]

    def change(self, statement: str) -> None:
        """The shop changes its own tables."""
        with self._open() as store, store.transaction() as conn:
            conn.execute(sa.text(statement))

    def status(self, sku: str) -> str:
        """Where the suggestion about this item stands."""
        return next(row["status"] for row in self.rows("recommendation") if row["sku"] == sku)

    def _open(self) -> OperationalStore:
        return OperationalStore.open(f"sqlite:///{self.home / 'store.db'}")


def open_shop(home: Path) -> Shop:
    """The store under `home` has its suggestions already; now it has the shop's tables and four operators too."""
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store:
        store.save_merchant(Merchant("m", "Example merchant", "Europe/Berlin", "EUR", "connected", as_of_date=AS_OF))
        store.create_source_tables(FIELDS)
        store.append("products", pl.DataFrame({"sku": [f"{letter}-{number}" for number in range(1, 10) for letter in "ABC"]}))
        minima = [{"supplier_id": one, "name": one, "order_minimum_amount": Decimal(2500), "currency": "EUR"} for one in ("S1", "S2")]
        store.append("suppliers", pl.DataFrame(minima))
        terms = [
            {
                "supplier_id": supplier,
                "sku": sku,
                "lead_time_days": 12,
                "unit_cost": Decimal(price),
                "currency": "EUR",
                "min_order_qty": pack,
                "order_multiple": pack,
            }
            for sku, _, supplier, _, _, pack, price in ITEMS
        ]
        store.append("supplier_items", pl.DataFrame(terms))
        stock = [
            {"sku": sku, "location_id": place, "on_hand": on_hand, "committed": 0, "reserved": 0, "damaged": 0}
            for sku, place, _, on_hand, *_ in ITEMS
        ]
        store.append("stock_levels", pl.DataFrame(stock))
        for actor, role in OPERATORS:
            set_operator(store, Operator(actor, role), by="ada")
        with store.transaction() as conn:
            for sku, _, _, on_hand, level, *_ in ITEMS:
                basis = {"service_level": 0.95, "as_of_date": AS_OF.isoformat(), "on_hand_qty": on_hand, "order_up_to_qty": level}
                basis |= {"lead_time_p50_days": 12, "review_period_days": 7}
                table = metadata.tables["recommendation"]
                conn.execute(sa.update(table).where(table.c.sku == sku).values(basis=json.dumps(basis)))
    return Shop(home)
