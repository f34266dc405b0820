"""Units on their way as decisions count them, equal to dbt's fct_inbound; drafted changes of orders count as if they were made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from pipelines.decisions.shop import DRAFT, FINISHED, query, whole
from pipelines.stores.own_tables import draft_order, draft_order_line, purchase_order_change

if TYPE_CHECKING:
    from datetime import date

    from pipelines.decisions.shop import Shop

_FINISHED_SQL: Final = ", ".join(f"'{status}'" for status in FINISHED)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A line of a purchase order that has not fully arrived; `expected_date` is the local day, None where nobody can say."""

    po_line_id: str
    po_id: str
    status: str
    ordered_qty: int
    received_qty: int
    expected_date: date | None

    @property
    def open_qty(self) -> int:
        """Units that are still to come."""
        return self.ordered_qty - self.received_qty


def inbound_qty(conn: sa.Connection, shop: Shop, sku: str, location_id: str, *, until: date) -> int:
    """Units on their way that are expected by then; what nobody dated counts."""
    line = draft_order_line.c
    released = {
        row.line_id
        for row in conn.execute(
            sa.select(line.line_id).where(line.sku == sku, line.location_id == location_id, line.released_at.is_not(None))
        )
    }
    total = 0
    for line_id, status, qty, expected in [*_ordered(conn, shop, sku, location_id), *_transferred(conn, shop, sku, location_id)]:
        is_released = line_id in released and status.lower() == DRAFT
        if not is_released and (expected is None or expected <= until):
            total += qty
    return total + _handed_over(conn, shop, sku, location_id, until)


def open_order_lines(conn: sa.Connection, shop: Shop, sku: str, location_id: str) -> list[OrderLine]:
    """Lines of purchase orders that are still to come, as the shop has them: no drafted change is counted."""
    if not shop.has("purchase_orders", "purchase_order_lines"):
        return []
    has_terms = shop.has("supplier_items")
    lead = "i.lead_time_days" if has_terms else "NULL"
    join = "LEFT JOIN supplier_items AS i ON i.supplier_id = o.supplier_id AND i.sku = l.sku" if has_terms else ""
    times = [shop.column("purchase_order_lines", "expected_at", "l")]
    times += [shop.column("purchase_orders", name, "o") for name in ("expected_at", "confirmed_at", "created_at")]
    statement = (
        f"SELECT l.po_line_id, l.po_id, o.status, l.ordered_qty, l.received_qty, {lead}, {', '.join(times)} FROM purchase_order_lines AS l "
        f"JOIN purchase_orders AS o ON o.po_id = l.po_id {join} WHERE l.sku = :sku AND l.location_id = :location "
        f"AND l.ordered_qty > l.received_qty AND lower(o.status) NOT IN ({_FINISHED_SQL}) "
        f"AND {shop.alive('purchase_order_lines', 'l')} AND {shop.alive('purchase_orders', 'o')}"
    )
    found = []
    rows = query(conn, statement, sku=sku, location=location_id)
    for line_id, po_id, status, ordered, received, lead_days, line_at, order_at, confirmed_at, created_at in rows:
        expected = shop.local_date(line_at) or shop.local_date(order_at)
        begun = shop.local_date(confirmed_at) or shop.local_date(created_at)
        if expected is None and begun is not None and lead_days is not None:
            expected = begun + timedelta(days=int(lead_days))
        what = f"Order line {line_id}"
        found.append(OrderLine(str(line_id), str(po_id), str(status), whole(ordered, what), whole(received, what), expected))
    return found


def _ordered(conn: sa.Connection, shop: Shop, sku: str, location_id: str) -> list[tuple[str, str, int, date | None]]:
    """The open lines with what drafted changes will make of them, until nobody has carried a change out for too long."""
    change = purchase_order_change.c
    chosen = sa.select(change.po_line_id, change.kind, change.qty, change.to_date).where(
        change.sku == sku, change.location_id == location_id, change.status == DRAFT, change.released_at.is_(None)
    )
    changes = {row.po_line_id: row for row in conn.execute(chosen)}
    found = []
    for line in open_order_lines(conn, shop, sku, location_id):
        change_row = changes.get(line.po_line_id)
        qty, expected = line.open_qty, line.expected_date
        if change_row is not None and change_row.kind == "cancel_po":
            qty = max(0, qty - change_row.qty)
        elif change_row is not None:
            expected = change_row.to_date
        found.append((line.po_line_id, line.status, qty, expected))
    return found


def _transferred(conn: sa.Connection, shop: Shop, sku: str, location_id: str) -> list[tuple[str, str, int, date | None]]:
    if not shop.has("transfers", "transfer_lines"):
        return []
    received = shop.column("transfers", "received_at", "t")
    statement = (
        f"SELECT t.transfer_id, t.status, l.quantity, {shop.column('transfers', 'expected_at', 't')} FROM transfer_lines AS l "
        f"JOIN transfers AS t ON t.transfer_id = l.transfer_id WHERE l.sku = :sku AND t.to_location_id = :location "
        f"AND lower(t.status) NOT IN ({_FINISHED_SQL}) AND {received} IS NULL "
        f"AND {shop.alive('transfer_lines', 'l')} AND {shop.alive('transfers', 't')}"
    )
    rows = query(conn, statement, sku=sku, location=location_id)
    return [(str(line_id), str(status), int(qty), shop.local_date(at)) for line_id, status, qty, at in rows]


def _handed_over(conn: sa.Connection, shop: Shop, sku: str, location_id: str, until: date) -> int:
    """Units approved for a target outside the database, until the shop's tables name them."""
    line = draft_order_line.c
    statement = (
        sa.select(line.rec_id, line.qty, line.expected_date)
        .join(draft_order, draft_order.c.draft_id == line.draft_id)
        .where(line.sku == sku, line.location_id == location_id, draft_order.c.target == "outbox")
        .where(line.status.in_(("draft", "submitted")), line.released_at.is_(None))
    )
    rows = [row for row in conn.execute(statement) if row.expected_date is None or row.expected_date <= until]
    if not rows or "source_rec_id" not in shop.columns.get("purchase_order_lines", frozenset()):
        return sum(row.qty for row in rows)
    named = f"SELECT l.source_rec_id FROM purchase_order_lines AS l WHERE l.sku = :sku AND {shop.alive('purchase_order_lines', 'l')}"
    known = {rec_id for (rec_id,) in query(conn, named, sku=sku)}
    return sum(row.qty for row in rows if row.rec_id not in known)
