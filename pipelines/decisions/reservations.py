"""Proposed reservations: which open lines of customers' orders get the scarce stock. The shop reserves; nothing is reserved from here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.decisions.basis import Check, stock_of
from pipelines.decisions.drafts import Draft, resolve_exception
from pipelines.decisions.messages import call_off, write_message
from pipelines.decisions.sales import PROPOSED, held_by_line, sales_lines
from pipelines.decisions.sharing import share_anew
from pipelines.errors import DecisionError, StoreUnavailableError
from pipelines.stores.own_tables import order_line_reservation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from pipelines.decisions.sales import SalesLine
    from pipelines.decisions.shop import Shop

_READS: Final = 5


@dataclass(frozen=True, slots=True)
class Share:
    """What one order line wants and gets, in units."""

    order_line_id: str
    order_id: str
    wanted_qty: int
    qty: int


@dataclass(frozen=True, slots=True)
class ShareBasis:
    """Units that were shared among order lines, and the stock they come from; an allocation costs nothing."""

    qty: int
    unit_cost: Decimal | None
    currency_code: str | None
    free_qty: int
    lines: tuple[Share, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        price = None if self.unit_cost is None else f"{self.unit_cost.normalize():f}"
        return asdict(self) | {"unit_cost": price, "lines": [asdict(line) for line in self.lines]}


def check_allocation(conn: sa.Connection, shop: Shop, row: Mapping[Any, Any]) -> Check:
    """What each line would get now: as proposed while stock and lines are as they were, else shared anew.

    The stock is what lies there and is not damaged, reserved by the shop or proposed for other lines; what the shop has committed is
    committed to lines like these. A line wants what is still to be sent of it and not proposed for it already. What was shared by
    marginal value is not shared anew, since its values were the proposal's: it stays where all of it can still be given, or goes.

    Raises:
        DecisionError: The proposal has no basis, or the stock is not known any more. Nothing was changed.
    """
    basis, before_lines = _basis(row)
    price = (row["unit_cost"], row["currency_code"])
    before = ShareBasis(row["recommended_qty"], *price, basis["free_qty"], before_lines)
    for _ in range(_READS):
        stock = _pool_qty(conn, shop, row)
        lines = sales_lines(conn, shop, [line.order_line_id for line in before_lines])
        held = held_by_line(conn, shop, row["sku"], row["location_id"], but=row["rec_id"])
        # A parcel that leaves between two statements would be in both or in neither.
        if _pool_qty(conn, shop, row) == stock:
            break
    else:
        raise StoreUnavailableError(
            f"Stock of {row['sku']} at {row['location_id']} changes faster than it can be read; try again.", is_passing=True
        )
    free = stock - sum(held.values())
    wants = [_wanted(lines.get(line.order_line_id), row["sku"]) - held.get(line.order_line_id, 0) for line in before_lines]
    shares = _shared(basis, before_lines, free, [max(0, want) for want in wants])
    now = ShareBasis(sum(share.qty for share in shares), *price, free, shares)
    moved = (
        f"{before.qty} units were shared among {_orders(before_lines)} with {before.free_qty} to give; "
        f"with {now.free_qty} to give and what these want now it is {now.qty} among {_orders(shares)}."
    )
    return Check(before, now, None, moved)


def write_reservations(
    conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], check: Check, *, qty: int, key: str, has_target: bool
) -> Draft:  # fmt: skip
    """A proposed reservation stands for each order line that gets something; a message tells of them where it has somewhere to go.

    Args:
        conn: The caller's transaction, which holds the recommendation and the item's stock version.
        shop: The shop's tables.
        row: The recommendation.
        check: What `check_allocation` found in this transaction.
        qty: Units in total, as the check says them.
        key: The decision_id, which a message of the outbox belongs to.
        has_target: Whether messages have somewhere to go.

    Raises:
        DecisionError: There are standing reservations of this recommendation already. The transaction cannot go on.
    """
    if any(one["status"] == PROPOSED for one in find_reservations(conn, row["rec_id"])):
        raise DecisionError("This recommendation has its reservations already; nothing was reserved again.")
    target = "outbox" if has_target else "store"
    shares = [Share(**line) for line in check.now.as_dict()["lines"] if line["qty"]]
    for line in shares:
        _write(conn, shop, row, line, target)
    group = f"SHARE-{hashlib.sha256(row['rec_id'].encode()).hexdigest()[:12].upper()}"
    if target == "outbox":
        told = {"action": "create", "draft_id": group, "qty": qty, "lines": [asdict(line) for line in shares]}
        write_message(conn, row, decision_id=key, message=told)
    return Draft(group, "", target, None, None)


def cancel_reservations(conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], *, key: str) -> dict[str, Any]:  # noqa: ARG001 - as all kinds
    """The recommendation's reservations that stand are cancelled; returns `qty` and `draft_id` of them.

    Raises:
        DecisionError: None stands any more, or their message is on its way or may have arrived. The transaction cannot go on.
    """
    standing = [one for one in find_reservations(conn, row["rec_id"]) if one["status"] == PROPOSED]
    if not standing:
        raise DecisionError("What was reserved has been sent, or its orders have ended; there is nothing to undo.")
    group = f"SHARE-{hashlib.sha256(row['rec_id'].encode()).hexdigest()[:12].upper()}"
    if standing[0]["target"] == "outbox":
        call_off(conn, row, decision_id=key, draft_id=group)
    set_reservations(conn, [one["reservation_id"] for one in standing], status="cancelled", released_at=None)
    resolve_exception(conn, row["rec_id"], "The approval was undone.")
    return {"qty": sum(one["qty"] for one in standing), "draft_id": group, "line_id": None, "lines_count": len(standing)}


def find_reservations(conn: sa.Connection, rec_id: str) -> list[dict[str, Any]]:
    """The recommendation's reservations, locked, by order line."""
    table = order_line_reservation
    chosen = sa.select(table).where(table.c.rec_id == rec_id).order_by(table.c.order_line_id).with_for_update()
    return [dict(one) for one in conn.execute(chosen).mappings()]


def set_reservations(conn: sa.Connection, ids: Sequence[str], **values: Any) -> None:
    """These columns of these reservations have these values."""
    conn.execute(sa.update(order_line_reservation).where(order_line_reservation.c.reservation_id.in_(ids)).values(**values))


def _pool_qty(conn: sa.Connection, shop: Shop, row: Mapping[Any, Any]) -> int:
    return stock_of(conn, shop, row["sku"], row["location_id"], less=("reserved", "damaged"))


def _wanted(line: SalesLine | None, sku: str) -> int:
    return 0 if line is None or line.sku != sku else line.open_qty


def _shared(basis: Mapping[str, Any], before: Sequence[Share], free: int, wants: Sequence[int]) -> tuple[Share, ...]:
    if free == basis["free_qty"] and wants == [line.wanted_qty for line in before]:
        given = [line.qty for line in before]
    elif basis.get("method") == "marginal_value":
        can_stay = free >= sum(line.qty for line in before) and all(line.qty <= want for line, want in zip(before, wants, strict=True))
        given = [line.qty if can_stay else 0 for line in before]
    else:
        given = share_anew(free, [line.order_line_id for line in before], wants, basis["floors"], basis["priorities"])
    pairs = zip(before, wants, given, strict=True)
    return tuple(Share(line.order_line_id, line.order_id, want, qty) for line, want, qty in pairs)


def _basis(row: Mapping[Any, Any]) -> tuple[dict[str, Any], tuple[Share, ...]]:
    """What the proposal was computed from, and its lines."""
    try:
        basis: dict[str, Any] = json.loads(row["basis"] or "{}")
        lines = tuple(
            Share(str(line["order_line_id"]), str(line["order_id"]), int(line["wanted_qty"]), int(line["qty"])) for line in basis["lines"]
        )
        basis["floors"] = [int(line.get("floor_qty") or 0) for line in basis["lines"]]
        basis["priorities"] = [line.get("priority") for line in basis["lines"]]
        basis["free_qty"] = int(basis["free_qty"])
    except (ValueError, TypeError, KeyError):
        lines = ()
    if not lines or len({line.order_line_id for line in lines}) < len(lines):
        raise DecisionError("This recommendation does not say which order lines it is for; the next run (ordercast run) proposes it anew.")
    return basis, lines


def _write(conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], line: Share, target: str) -> None:
    table = order_line_reservation
    values = {
        "target": target, "order_id": line.order_id, "open_qty": line.wanted_qty, "qty": line.qty, "status": PROPOSED,
        "proposed_at": shop.now, "released_at": None,
    }  # fmt: skip
    again = sa.update(table).where(table.c.rec_id == row["rec_id"], table.c.order_line_id == line.order_line_id)
    if conn.execute(again.values(**values)).rowcount:
        return
    item = {"rec_id": row["rec_id"], "order_line_id": line.order_line_id, "sku": row["sku"], "location_id": row["location_id"]}
    first = f"{row['rec_id']}:{line.order_line_id}"
    reservation_id = f"RESERVE-{hashlib.sha256(first.encode()).hexdigest()[:16].upper()}"
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    conn.execute(insert(table).values(reservation_id=reservation_id, **item, **values))


def _orders(lines: Sequence[Share]) -> str:
    count = len({line.order_id for line in lines if line.qty})
    return "1 order" if count == 1 else f"{count} orders"
