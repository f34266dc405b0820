"""Lines of customers' orders as an allocation reads them: what is still to be sent, equal to dbt's int_order_lines_fulfilled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipelines.decisions.shop import whole
from pipelines.stores.own_tables import order_line_reservation

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipelines.decisions.shop import Shop

PROPOSED: Final = "proposed"
_CALLED_OFF_PARCEL: Final = "'cancelled', 'canceled', 'voided'"


@dataclass(frozen=True, slots=True)
class SalesLine:
    """A line of a customer's order; `open_qty` are the units still to be sent, 0 where the order is closed or called off."""

    order_id: str
    sku: str
    open_qty: int
    is_called_off: bool


def sales_lines(conn: sa.Connection, shop: Shop, line_ids: Collection[str]) -> dict[str, SalesLine]:
    """These lines by id, as they stand now; those that are gone are left out.

    Raises:
        DecisionError: A quantity is no number of units.
    """
    if not line_ids or not shop.has("orders", "order_lines"):
        return {}
    packed, shipped = _parcels(conn, shop, line_ids)
    ended = [shop.column("orders", name, "o") for name in ("cancelled_at", "closed_at")]
    statement = (
        f"SELECT l.order_line_id, l.order_id, l.sku, l.quantity, {shop.column('order_lines', 'fulfillable_quantity', 'l')}, "
        f"{', '.join(ended)} FROM order_lines AS l JOIN orders AS o ON o.order_id = l.order_id WHERE l.order_line_id IN :ids "
        f"AND {shop.alive('order_lines', 'l')} AND {shop.alive('orders', 'o')}"
    )
    found = {}
    for line_id, order_id, sku, quantity, fulfillable, cancelled_at, closed_at in _query_ids(conn, statement, line_ids):
        what = f"Order line {line_id}"
        ordered = whole(quantity, what)
        removed = 0 if fulfillable is None else max(0, ordered - packed.get(line_id, 0) - whole(fulfillable, what))
        is_over = cancelled_at is not None or closed_at is not None
        open_qty = 0 if is_over else max(0, ordered - removed - shipped.get(line_id, 0))
        found[str(line_id)] = SalesLine(str(order_id), str(sku), open_qty, cancelled_at is not None or removed >= ordered)
    return found


def held_by_line(conn: sa.Connection, shop: Shop, sku: str, location_id: str, *, but: str = "") -> dict[str, int]:
    """Units of the item there that stand proposed for lines of orders and have not left, by line; `but` is a recommendation left out."""
    reserved = order_line_reservation.c
    chosen = sa.select(reserved.order_line_id, reserved.qty, reserved.open_qty).where(
        reserved.sku == sku, reserved.location_id == location_id, reserved.status == PROPOSED, reserved.released_at.is_(None),
        reserved.rec_id != but,
    )  # fmt: skip
    found = conn.execute(chosen).all()
    lines = sales_lines(conn, shop, {one.order_line_id for one in found})
    held: dict[str, int] = {}
    for one in found:
        still = lines[one.order_line_id].open_qty if one.order_line_id in lines else 0
        held[one.order_line_id] = held.get(one.order_line_id, 0) + unsent_qty(one.qty, open_then=one.open_qty, open_now=still)
    return held


def unsent_qty(qty: int, *, open_then: int, open_now: int) -> int:
    """Of the units reserved for a line those that have not left; what left of it since counts as the reserved ones first."""
    return min(max(0, qty - max(0, open_then - open_now)), open_now)


def _parcels(conn: sa.Connection, shop: Shop, line_ids: Collection[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Units of each line that are packed, and those that have left; a parcel that arrived has left, even where nobody scanned it."""
    if not shop.has("shipments", "shipment_lines"):
        return {}, {}
    left = [shop.column("shipments", name, "s") for name in ("shipped_at", "delivered_at")]
    statement = (
        f"SELECT p.order_line_id, p.quantity, coalesce({', '.join(left)}) IS NOT NULL FROM shipment_lines AS p "
        f"JOIN shipments AS s ON s.shipment_id = p.shipment_id WHERE p.order_line_id IN :ids "
        f"AND lower(s.status) NOT IN ({_CALLED_OFF_PARCEL}) AND {shop.alive('shipment_lines', 'p')} AND {shop.alive('shipments', 's')}"
    )
    packed: dict[str, int] = {}
    shipped: dict[str, int] = {}
    for line_id, quantity, has_left in _query_ids(conn, statement, line_ids):
        qty = whole(quantity, f"A parcel of order line {line_id}")
        packed[line_id] = packed.get(line_id, 0) + qty
        shipped[line_id] = shipped.get(line_id, 0) + (qty if has_left else 0)
    return packed, shipped


def _query_ids(conn: sa.Connection, statement: str, line_ids: Collection[str]) -> list[tuple[Any, ...]]:
    chosen = sa.text(statement).bindparams(sa.bindparam("ids", expanding=True))
    return [tuple(row) for row in conn.execute(chosen, {"ids": sorted(line_ids)})]
