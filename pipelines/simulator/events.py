"""What people and systems did to each order, as events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.simulator.clock import HOUR, MINUTE, NEVER, BoolArray, IntArray, stream
from pipelines.simulator.ordering import WEB, WHOLESALE
from pipelines.simulator.payment_tables import HELD_AFTER, PAID_AFTER
from pipelines.simulator.view import View, named, occurrence, text

if TYPE_CHECKING:
    from pipelines.simulator.order_tables import OrderBook

# Event types in the order in which equal moments are told apart: (type, actor, role, station).
_KINDS = (
    ("created", "system", "shop", None),
    ("payment_authorised", "system", "payment", None),
    ("manual_hold", "human", "customer_service", None),
    ("address_fix", "human", "customer_service", None),
    ("price_override", "human", "sales", None),
    ("approved", "system", "shop", None),
    ("approved", "human", "customer_service", None),
    ("released", "system", "warehouse", None),
    ("packed", "system", "warehouse", "packing"),
    ("shipped", "system", "warehouse", "dock"),
    ("delivered", "system", "carrier", None),
    ("cancelled", "human", "customer_service", None),
)
CREATED, PAID, HOLD, ADDRESS_FIX, PRICE_OVERRIDE, APPROVED, APPROVED_BY_HAND, RELEASED, PACKED, SHIPPED, DELIVERED, CANCELLED = range(12)


def order_events(view: View, book: OrderBook) -> pl.DataFrame:
    """The table `order_events`: about six events an order, most of them by systems."""
    history = view.history
    orders, basket = history.orders, book.order
    count = len(orders)
    cancelled = book.cancelled
    chance = stream(history.seed, "touches").random(count)
    held = orders.is_reviewed & (orders.channel != WHOLESALE)
    by_basket: list[tuple[int, BoolArray, IntArray]] = [
        (CREATED, np.ones(count, dtype=np.bool_), orders.created),
        (PAID, orders.channel == WEB, orders.created + PAID_AFTER),
        (HOLD, held, orders.created + HELD_AFTER),
        (ADDRESS_FIX, chance < 0.022, np.maximum(orders.approved - MINUTE, orders.created + 20)),
        (PRICE_OVERRIDE, (orders.channel == WHOLESALE) & (chance > 0.8), np.maximum(orders.approved - 3 * MINUTE, orders.created + 20)),
        (APPROVED, ~orders.is_reviewed, orders.approved),
        (APPROVED_BY_HAND, orders.is_reviewed, orders.approved),
        (RELEASED, orders.approved < NEVER, orders.released),
    ]
    is_order = book.position >= 0
    found: list[tuple[IntArray, IntArray, IntArray]] = []
    for nth_kind, happens, when in by_basket:
        rows = np.flatnonzero(happens & is_order & (when < np.minimum(cancelled, view.now)))
        found.append((rows, when[rows], np.full(len(rows), nth_kind)))
    called_off = basket[cancelled[basket] < view.now]
    found.append((called_off, cancelled[called_off], np.full(len(called_off), CANCELLED)))
    found += _of_shipments(view)
    order = np.concatenate([rows for rows, _, _ in found])
    moment = np.concatenate([moments for _, moments, _ in found])
    kind = np.concatenate([kinds for _, _, kinds in found])
    ranked = np.lexsort((kind, moment, order))
    order, moment, kind = order[ranked], moment[ranked], kind[ranked]
    order_ids = book.order_ids.gather(book.position[order])
    nth = pl.Series(occurrence(order)).cast(pl.String).str.zfill(2)
    at = view.planned(moment)
    return pl.DataFrame(
        {
            "event_id": text("E-", order_ids.str.slice(2), "-", nth),
            "order_id": order_ids,
            "event_type": named([name for name, _, _, _ in _KINDS], kind),
            "occurred_at": at,
            "actor_type": named([actor for _, actor, _, _ in _KINDS], kind),
            "actor_role": named([role for _, _, role, _ in _KINDS], kind),
            "station": named([station for _, _, _, station in _KINDS], kind),
            "updated_at": at,
        }
    )


def _of_shipments(view: View) -> list[tuple[IntArray, IntArray, IntArray]]:
    """Packed half an hour before it left (only distribution centres scan that), shipped, delivered; one of each per parcel."""
    parts, lines = view.history.flow.parts, view.history.lines
    scans = np.array([place.location_type == "dc" for place in view.history.scenario.places])[view.history.orders.location]
    left = np.flatnonzero(parts.shipped < NEVER)
    order = lines.order[parts.line[left]]
    parcels = np.unique(np.stack([order, parts.shipped[left], parts.delivered[left]]), axis=1)
    order, shipped, delivered = parcels
    packed = np.where(scans[order], shipped - HOUR // 2, NEVER)
    found = []
    for kind, moment in ((PACKED, packed), (SHIPPED, shipped), (DELIVERED, delivered)):
        done = np.flatnonzero(moment < view.now)
        found.append((order[done], moment[done], np.full(len(done), kind)))
    return found
