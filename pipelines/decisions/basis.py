"""What a proposal was computed from, beside what holds now: the check that nothing is ordered on changed stock or prices unseen."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from inventory.reorder import round_order
from pipelines.decisions.shop import DRAFT, FINISHED, query, whole
from pipelines.decisions.terms import purchase_terms, transfer_terms
from pipelines.errors import DecisionError, StoreUnavailableError
from pipelines.stores.own_tables import draft_order, draft_order_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from inventory.schema import OrderTerms
    from pipelines.decisions.shop import Shop

_READS: Final = 5
_FINISHED_SQL: Final = ", ".join(f"'{status}'" for status in FINISHED)


@dataclass(frozen=True, slots=True)
class Basis:
    """A quantity to order with what it follows from; `free_qty` and `inbound_qty` in units, `unit_cost` in major units."""

    qty: int
    unit_cost: Decimal | None
    currency_code: str | None
    order_up_to_qty: int
    free_qty: int
    inbound_qty: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the cost is text."""
        return asdict(self) | {"unit_cost": None if self.unit_cost is None else f"{self.unit_cost.normalize():f}"}


@dataclass(frozen=True, slots=True)
class Check:
    """The basis of a proposal, what holds now, and the terms that quantities are held to."""

    before: Basis
    now: Basis
    terms: OrderTerms


def check_basis(conn: sa.Connection, shop: Shop, row: Mapping[Any, Any]) -> Check:
    """What would be proposed now: the order-up-to level of the proposal less the position of this moment, rounded to the terms of now.

    Stock, inbound, price and terms are read in the caller's transaction. Backorders that the shop does not count as committed are
    those of the proposal: they are derived from all orders and shipments. Demand, and with it the order-up-to level, is the
    forecast's and stays.

    Args:
        conn: The caller's transaction, which holds the item's stock version.
        shop: The shop's tables.
        row: The recommendation.

    Raises:
        DecisionError: The proposal has no basis, or stock, supplier or pack size are not known any more. Nothing was changed.
    """
    basis, until = _basis(row)
    sku, place = row["sku"], row["location_id"]
    for _ in range(_READS):
        stock = _stock(conn, shop, row)
        inbound = _inbound_qty(conn, shop, sku, place, until=until)
        if row["kind"] == "transfer":
            terms, unit_cost, currency = transfer_terms(conn, shop, row, basis, stock.__getitem__)
        else:
            terms, unit_cost, currency = purchase_terms(conn, shop, row)
        # A receipt that commits between two statements would be in neither or in both: stock that stood still says there was none.
        if _stock(conn, shop, row) == stock:
            break
    else:
        raise StoreUnavailableError(f"Stock of {sku} at {place} changes faster than it can be read; try again.", is_passing=True)
    free = stock[place] - (basis.get("backorder_qty") or 0)
    level = basis["order_up_to_qty"]
    try:
        qty = round_order(level - free - inbound, terms=terms).qty
    except ValueError as exc:
        raise DecisionError(f"No quantity of {row['sku']} can be ordered now: {exc}") from None
    before = Basis(
        row["recommended_qty"], row["unit_cost"], row["currency_code"], level, _free_before(basis), basis.get("inbound_qty") or 0
    )
    return Check(before, Basis(qty, unit_cost, currency, level, free, inbound), terms)


def _basis(row: Mapping[Any, Any]) -> tuple[dict[str, Any], date]:
    """What the proposal was computed from, and the day until which it counted what is on its way."""
    try:
        basis = json.loads(row["basis"] or "{}")
        days = basis["lead_time_p50_days"] + basis["review_period_days"]
        until = date.fromisoformat(basis["as_of_date"]) + timedelta(days=days)
        basis["order_up_to_qty"] = int(basis["order_up_to_qty"])
    except (ValueError, TypeError, KeyError):
        raise DecisionError(
            "This recommendation does not say what it was computed from; the next run (ordercast run) proposes it anew."
        ) from None
    return basis, until


def _stock(conn: sa.Connection, shop: Shop, row: Mapping[Any, Any]) -> dict[str, int]:
    """Free units at the recommendation's location, and at a transfer's source."""
    places = {row["location_id"], row["source_location_id"] if row["kind"] == "transfer" else None} - {None}
    return {place: _free_qty(conn, shop, row["sku"], place) for place in sorted(places)}


def accepted_qty(qty: int, terms: OrderTerms) -> int:
    """The quantity, if the supplier accepts it as it is.

    Raises:
        DecisionError: It does not; the message says what it rounds to.
    """
    if qty < 1:
        raise DecisionError(f"A quantity of {qty} orders nothing; reject the recommendation instead.")
    try:
        rounded = round_order(qty, terms=terms)
    except ValueError as exc:
        raise DecisionError(f"No quantity can be ordered now: {exc}") from None
    if rounded.qty != qty:
        limits = f"packs of {terms.order_multiple}, at least {rounded.smallest_qty}"
        most = "" if terms.max_order_qty is None else f", at most {terms.max_order_qty}"
        raise DecisionError(f"{qty} units cannot be ordered ({limits}{most}): that rounds to {rounded.qty}. Ask for {rounded.qty}.")
    return qty


def _free_before(basis: Mapping[str, Any]) -> int:
    held = sum(basis.get(name) or 0 for name in ("committed_qty", "reserved_qty", "damaged_qty", "backorder_qty"))
    return max(0, basis.get("on_hand_qty") or 0) - held


def _free_qty(conn: sa.Connection, shop: Shop, sku: str, location_id: str) -> int:
    """Stock on hand less what is committed, reserved or damaged."""
    if shop.has("stock_levels"):
        held = (shop.column("stock_levels", name, "s") for name in ("committed", "reserved", "damaged"))
        statement = (
            f"SELECT s.on_hand, {', '.join(held)} FROM stock_levels AS s "
            f"WHERE s.sku = :sku AND s.location_id = :location AND {shop.alive('stock_levels', 's')}"
        )
        for on_hand, *taken in query(conn, statement, sku=sku, location=location_id):
            what = f"Stock of {sku} at {location_id}"
            return max(0, whole(on_hand, what)) - sum(whole(qty, what) for qty in taken)
    raise DecisionError(f"There is no stock level of {sku} at {location_id} any more, so the quantity cannot be checked.")


def _inbound_qty(conn: sa.Connection, shop: Shop, sku: str, location_id: str, *, until: date) -> int:
    """Units on their way that are expected by then, as dbt's fct_inbound counts them; what nobody dated counts."""
    released = {
        line.line_id: line.target
        for line in conn.execute(
            sa.select(draft_order_line.c.line_id, draft_order.c.target)
            .join(draft_order, draft_order.c.draft_id == draft_order_line.c.draft_id)
            .where(draft_order_line.c.sku == sku, draft_order_line.c.location_id == location_id)
            .where(draft_order_line.c.released_at.is_not(None))
        )
    }
    lines = [*_purchased(conn, shop, sku, location_id), *_transferred(conn, shop, sku, location_id)]
    total = 0
    for line_id, status, qty, expected in lines:
        is_released = line_id in released and str(status).lower() == DRAFT
        if not is_released and (expected is None or expected <= until):
            total += qty
    return total + _handed_over(conn, shop, sku, location_id, until)


def _purchased(conn: sa.Connection, shop: Shop, sku: str, location_id: str) -> list[tuple[str, str, int, date | None]]:
    if not shop.has("purchase_orders", "purchase_order_lines"):
        return []
    has_terms = shop.has("supplier_items")
    lead = "i.lead_time_days" if has_terms else "NULL"
    join = "LEFT JOIN supplier_items AS i ON i.supplier_id = o.supplier_id AND i.sku = l.sku" if has_terms else ""
    times = [shop.column("purchase_order_lines", "expected_at", "l")]
    times += [shop.column("purchase_orders", name, "o") for name in ("expected_at", "confirmed_at", "created_at")]
    statement = (
        f"SELECT l.po_line_id, o.status, l.ordered_qty - l.received_qty, {lead}, {', '.join(times)} FROM purchase_order_lines AS l "
        f"JOIN purchase_orders AS o ON o.po_id = l.po_id {join} WHERE l.sku = :sku AND l.location_id = :location "
        f"AND l.ordered_qty > l.received_qty AND lower(o.status) NOT IN ({_FINISHED_SQL}) "
        f"AND {shop.alive('purchase_order_lines', 'l')} AND {shop.alive('purchase_orders', 'o')}"
    )
    found = []
    rows = query(conn, statement, sku=sku, location=location_id)
    for line_id, status, qty, lead_days, line_at, order_at, confirmed_at, created_at in rows:
        expected = shop.local_date(line_at) or shop.local_date(order_at)
        begun = shop.local_date(confirmed_at) or shop.local_date(created_at)
        if expected is None and begun is not None and lead_days is not None:
            expected = begun + timedelta(days=int(lead_days))
        found.append((str(line_id), str(status), int(qty), expected))
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
