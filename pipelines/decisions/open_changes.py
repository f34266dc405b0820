"""Draft changes and proposed reservations that wait for a person to carry them out in the shop. Reads only."""

from __future__ import annotations

from typing import Any, Final

import polars as pl
import sqlalchemy as sa

from pipelines.decisions.sales import PROPOSED
from pipelines.decisions.shop import DRAFT
from pipelines.stores.own_tables import order_line_reservation, purchase_order_change

_CHANGES: Final[dict[str, Any]] = {
    "change_id": pl.String, "kind": pl.String, "po_id": pl.String, "supplier_id": pl.String, "sku": pl.String, "location_id": pl.String,
    "qty": pl.Int64, "from_date": pl.Date, "to_date": pl.Date, "is_released": pl.Boolean,
}  # fmt: skip
_RESERVATIONS: Final[dict[str, Any]] = {
    "order_id": pl.String, "order_line_id": pl.String, "sku": pl.String, "location_id": pl.String, "qty": pl.Int64,
    "is_released": pl.Boolean,
}  # fmt: skip


def open_changes(conn: sa.Connection) -> pl.DataFrame:
    """Changes of purchase orders that stand drafted, oldest first.

    Returns:
        change_id, kind, po_id, supplier_id, sku, location_id, qty, from_date, to_date, is_released; one row per change.
    """
    change = purchase_order_change.c
    names = [change[name] for name in list(_CHANGES)[:-1]]
    chosen = sa.select(*names, change.released_at.is_not(None)).where(change.status == DRAFT)
    return _frame(conn, chosen.order_by(change.drafted_at, change.change_id), _CHANGES)


def open_reservations(conn: sa.Connection) -> pl.DataFrame:
    """Reservations that stand proposed, by item and order line.

    Returns:
        order_id, order_line_id, sku, location_id, qty, is_released; one row per reservation.
    """
    held = order_line_reservation.c
    names = [held[name] for name in list(_RESERVATIONS)[:-1]]
    chosen = sa.select(*names, held.released_at.is_not(None)).where(held.status == PROPOSED)
    return _frame(conn, chosen.order_by(held.sku, held.location_id, held.order_line_id), _RESERVATIONS)


def _frame(conn: sa.Connection, chosen: sa.Select[Any], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([tuple(row) for row in conn.execute(chosen)], schema=schema, orient="row")
