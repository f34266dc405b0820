"""What a proposal was computed from, beside what holds now: the check that nothing is ordered on changed stock or prices unseen."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from inventory.reorder import round_order
from pipelines.decisions.inbound import inbound_qty
from pipelines.decisions.shop import query, whole
from pipelines.decisions.terms import purchase_terms, transfer_terms
from pipelines.errors import DecisionError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    import sqlalchemy as sa

    from inventory.schema import OrderTerms
    from pipelines.decisions.shop import Shop

_READS: Final = 5


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


class Facts(Protocol):
    """What every kind of basis says: the quantity it leads to, and its price."""

    @property
    def qty(self) -> int:
        """Units."""
        ...

    @property
    def unit_cost(self) -> Decimal | None:
        """In major units of the currency."""
        ...

    @property
    def currency_code(self) -> str | None:
        """ISO 4217."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """The basis of a proposal, what holds now, and the terms that quantities are held to; None: it is decided as a whole.

    `moved` says in a sentence what was and what is, for whoever finds it stale.
    """

    before: Facts
    now: Facts
    terms: OrderTerms | None
    moved: str


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
        inbound = inbound_qty(conn, shop, sku, place, until=until)
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
    now = Basis(qty, unit_cost, currency, level, free, inbound)
    return Check(before, now, terms, _moved(before, now))


def _moved(before: Basis, now: Basis) -> str:
    return (
        f"{before.qty} units at {_money(before.unit_cost)} were proposed, but with {now.free_qty} free and "
        f"{now.inbound_qty} on their way (then {before.free_qty} and {before.inbound_qty}) it is {now.qty} at {_money(now.unit_cost)} now."
    )


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
    return {place: stock_of(conn, shop, row["sku"], place) for place in sorted(places)}


def accepted_qty(qty: int, check: Check) -> int:
    """The quantity, if it can be had as it is.

    Raises:
        DecisionError: It cannot; the message says what it rounds to.
    """
    terms = check.terms
    if qty < 1:
        raise DecisionError(f"A quantity of {qty} orders nothing; reject the recommendation instead.")
    if terms is None:
        if qty != check.now.qty:
            raise DecisionError(f"It is about {check.now.qty} units as a whole: approve it as it is, or reject it.")
        return qty
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


def stock_of(
    conn: sa.Connection, shop: Shop, sku: str, location_id: str, *, less: Sequence[str] = ("committed", "reserved", "damaged")
) -> int:
    """Stock on hand less what is held for something else, by these columns of the stock level.

    Raises:
        DecisionError: There is no stock level any more, or it is no number of units.
    """
    if shop.has("stock_levels"):
        held = (shop.column("stock_levels", name, "s") for name in less)
        statement = (
            f"SELECT s.on_hand, {', '.join(held)} FROM stock_levels AS s "
            f"WHERE s.sku = :sku AND s.location_id = :location AND {shop.alive('stock_levels', 's')}"
        )
        for on_hand, *taken in query(conn, statement, sku=sku, location=location_id):
            what = f"Stock of {sku} at {location_id}"
            return max(0, whole(on_hand, what)) - sum(whole(qty, what) for qty in taken)
    raise DecisionError(f"There is no stock level of {sku} at {location_id} any more, so the quantity cannot be checked.")


def _money(amount: Decimal | None) -> str:
    return "no price" if amount is None else f"{amount:,.2f}"
