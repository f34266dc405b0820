"""Draft changes of purchase orders: earlier, later, or fewer units. The order itself is changed by a person in the shop, not from here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from inventory.schema import OrderTerms
from pipelines.decisions.basis import Check
from pipelines.decisions.drafts import Draft, resolve_exception
from pipelines.decisions.inbound import open_order_lines
from pipelines.decisions.messages import call_off, write_message
from pipelines.decisions.shop import CALLED_OFF, DRAFT, query
from pipelines.errors import DecisionError
from pipelines.stores.own_tables import purchase_order_change

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from pipelines.decisions.inbound import OrderLine
    from pipelines.decisions.shop import Shop

_WORDS: Final = {"expedite": "pulled forward", "defer": "put off", "cancel_po": "cancelled"}


@dataclass(frozen=True, slots=True)
class ChangeBasis:
    """What a change is about: units of it, and the order line's open units and expected day; `wanted_date` is None for a cancellation."""

    qty: int
    unit_cost: Decimal | None
    currency_code: str | None
    open_qty: int
    expected_date: date | None
    wanted_date: date | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; cost and days are text."""
        days = {name: None if day is None else day.isoformat() for name, day in self._days().items()}
        return asdict(self) | days | {"unit_cost": None if self.unit_cost is None else f"{self.unit_cost.normalize():f}"}

    def _days(self) -> dict[str, date | None]:
        return {"expected_date": self.expected_date, "wanted_date": self.wanted_date}


@dataclass(frozen=True, slots=True)
class Progress:
    """How a drafted change ended in the shop: done as drafted, or closed without it; and why."""

    status: Literal["done", "closed"]
    why: str


def check_change(conn: sa.Connection, shop: Shop, row: Mapping[Any, Any]) -> Check:
    """Whether the order line still is as the proposal knew it: as many units open, expected on the same day.

    Where fewer units are open, the change is about these. Where the day has moved or nothing is to come any more, it is about none: what
    speaks for the change was reckoned with the day that it was.

    Raises:
        DecisionError: The proposal has no basis, or another change of the line is drafted. Nothing was changed.
    """
    basis = _basis(row)
    wanted, known = _day(basis.get("wanted_date")), _day(basis.get("expected_date"))
    _require_no_other(conn, row, basis)
    line = _find_line(conn, shop, row, basis["po_line_id"])
    open_qty, expected = (line.open_qty, line.expected_date) if line is not None else (0, None)
    price = (row["unit_cost"], row["currency_code"])
    before = ChangeBasis(row["recommended_qty"], *price, basis["open_qty"], known, wanted)
    qty = row["recommended_qty"] if open_qty == basis["open_qty"] else open_qty
    now = ChangeBasis(qty if expected == known else 0, *price, open_qty, expected, wanted)
    said = (
        f"{basis['open_qty']} units of {basis['po_id']} were open and expected {_said_day(known)} when it was proposed; "
        f"{open_qty} are open" + (f" and expected {_said_day(expected)} now." if open_qty else " now.")
    )
    most = max(1, now.qty)
    return Check(before, now, OrderTerms(0, None, 1, 1, most) if row["kind"] == "cancel_po" else None, said)


def write_change(
    conn: sa.Connection,
    shop: Shop,
    row: Mapping[Any, Any],
    check: Check,  # noqa: ARG001 - as all kinds
    *,
    qty: int,
    key: str,
    has_target: bool,
) -> Draft:
    """The recommendation's one draft change stands; a message tells of it where there is a target, or no order that we may write.

    Args:
        conn: The caller's transaction, which holds the recommendation and the item's stock version.
        shop: The shop's tables.
        row: The recommendation.
        check: What `check_change` found in this transaction.
        qty: Units of the line that it is about.
        key: The decision_id, which a message of the outbox belongs to.
        has_target: Whether messages have somewhere to go.

    Raises:
        DecisionError: There is a standing change of this recommendation or line already. The transaction cannot go on.
    """
    basis = _basis(row)
    line = _find_line(conn, shop, row, basis["po_line_id"])
    if line is None:
        raise DecisionError(f"Nothing of order line {basis['po_line_id']} is to come any more; look at it again.")
    first = f"{row['rec_id']}:{row['version']}"  # so that a preview names what the real call names
    change_id = f"CHANGE-{hashlib.sha256(first.encode()).hexdigest()[:12].upper()}"
    values = {
        "kind": row["kind"], "target": "outbox" if has_target or not shop.may_write("purchase_orders", "purchase_order_lines") else "store",
        "po_id": line.po_id, "po_line_id": line.po_line_id, "supplier_id": row["supplier_id"], "ordered_qty": line.ordered_qty, "qty": qty,
        "from_date": line.expected_date, "to_date": _day(basis.get("wanted_date")), "status": DRAFT, "drafted_at": shop.now,
        "released_at": None,
    }  # fmt: skip
    change = _anchor(conn, row, change_id, values)
    if values["target"] == "outbox":
        told = {name: values[name] for name in ("po_id", "po_line_id", "qty", "from_date", "to_date")}
        write_message(conn, row, decision_id=key, message=told | {"action": "create", "draft_id": change})
    return Draft(change, line.po_line_id, str(values["target"]), None, None)


def cancel_change(conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], *, key: str) -> dict[str, Any]:
    """The recommendation's draft change is cancelled; returns it as it was, with `draft_id` and `line_id`.

    Raises:
        DecisionError: It was made in the shop meanwhile, there is none, or its message is on its way or may have arrived. The transaction
            cannot go on.
    """
    change = find_change(conn, row["rec_id"])
    if change is None or change["status"] != DRAFT or progress(conn, shop, change) is not None:
        raise DecisionError("Its change was made in the shop, or the order has ended there; change the order there.")
    if change["target"] == "outbox":
        call_off(conn, row, decision_id=key, draft_id=change["change_id"])
    set_change(conn, row["rec_id"], status="cancelled", released_at=None)
    resolve_exception(conn, row["rec_id"], "The approval was undone.")
    return change | {"draft_id": change["change_id"], "line_id": change["po_line_id"]}


def progress(conn: sa.Connection, shop: Shop, change: Mapping[str, Any]) -> Progress | None:
    """How the change has ended in the shop; None while its order line stands as it was."""
    line = _find_line(conn, shop, change, change["po_line_id"])
    if line is None:
        return _ended(conn, shop, change)
    if change["kind"] == "cancel_po":
        is_made = line.ordered_qty <= change["ordered_qty"] - change["qty"]
    elif line.expected_date is None:
        is_made = False
    elif change["kind"] == "expedite":
        is_made = line.expected_date <= change["to_date"]
    else:
        is_made = line.expected_date >= change["to_date"]
    return Progress("done", f"{_WORDS[change['kind']]} in the shop") if is_made else None


def find_change(conn: sa.Connection, rec_id: str) -> dict[str, Any] | None:
    """The recommendation's change, locked; None where it never had one."""
    chosen = sa.select(purchase_order_change).where(purchase_order_change.c.rec_id == rec_id).with_for_update()
    found = conn.execute(chosen).mappings().first()
    return None if found is None else dict(found)


def set_change(conn: sa.Connection, rec_id: str, **values: Any) -> None:
    """These columns of the recommendation's change have these values."""
    conn.execute(sa.update(purchase_order_change).where(purchase_order_change.c.rec_id == rec_id).values(**values))


def said_change(row: Mapping[Any, Any], qty: int) -> str:
    """What an approval of this many units says it drafted."""
    basis = _basis(row)
    moved = "" if row["kind"] == "cancel_po" else f" from {_said_day(_day(basis.get('expected_date')))} to {basis['wanted_date']}"
    return f"{qty} units of {basis['po_id']} are to be {_WORDS[row['kind']]}{moved}"


def _ended(conn: sa.Connection, shop: Shop, change: Mapping[str, Any]) -> Progress:
    statement = (
        "SELECT lower(o.status), l.ordered_qty, l.received_qty FROM purchase_order_lines AS l JOIN purchase_orders AS o "
        f"ON o.po_id = l.po_id WHERE l.po_line_id = :line AND {shop.alive('purchase_order_lines', 'l')} "
        f"AND {shop.alive('purchase_orders', 'o')}"
    )
    rows = query(conn, statement, line=change["po_line_id"]) if shop.has("purchase_orders", "purchase_order_lines") else []
    is_off = not rows or rows[0][0] in CALLED_OFF
    why = "removed in the shop" if not rows else "called off in the shop" if is_off else "received"
    if change["kind"] == "cancel_po" and (is_off or int(rows[0][1] or 0) <= change["ordered_qty"] - change["qty"]):
        return Progress("done", "cancelled in the shop")
    return Progress("closed", why)


def _anchor(conn: sa.Connection, row: Mapping[Any, Any], change_id: str, values: dict[str, Any]) -> str:
    """The recommendation's change stands once: new, or in place of one that was cancelled; returns its id."""
    table = purchase_order_change
    again = sa.update(table).where(table.c.rec_id == row["rec_id"], table.c.status == "cancelled").values(**values)
    if (found := conn.execute(again.returning(table.c.change_id)).scalar()) is not None:
        return str(found)
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    item = {"sku": row["sku"], "location_id": row["location_id"]}
    written = insert(table).values(change_id=change_id, rec_id=row["rec_id"], **item, **values).on_conflict_do_nothing()
    if conn.execute(written.returning(table.c.rec_id)).first() is None:
        raise DecisionError("This recommendation has its change already; nothing was changed again.")
    return change_id


def _require_no_other(conn: sa.Connection, row: Mapping[Any, Any], basis: Mapping[str, Any]) -> None:
    change = purchase_order_change.c
    standing = sa.select(change.change_id).where(
        change.po_line_id == basis["po_line_id"], change.status == DRAFT, change.rec_id != row["rec_id"]
    )
    if (other := conn.execute(standing).scalar()) is not None:
        raise DecisionError(f"{other} changes the same line of {basis['po_id']} already; undo that approval first.")


def _find_line(conn: sa.Connection, shop: Shop, item: Mapping[Any, Any], po_line_id: str) -> OrderLine | None:
    lines = open_order_lines(conn, shop, item["sku"], item["location_id"])
    return next((line for line in lines if line.po_line_id == po_line_id), None)


def _basis(row: Mapping[Any, Any]) -> dict[str, Any]:
    try:
        basis: dict[str, Any] = json.loads(row["basis"] or "{}")
        basis["open_qty"] = int(basis["open_qty"])
        basis["po_line_id"], basis["po_id"] = str(basis["po_line_id"]), str(basis["po_id"])
        is_whole = row["kind"] == "cancel_po" or _day(basis["wanted_date"]) is not None
        _day(basis.get("expected_date"))
    except (ValueError, TypeError, KeyError):
        is_whole = False
    if not is_whole:
        raise DecisionError("This recommendation does not say which order line it changes; the next run (ordercast run) proposes it anew.")
    return basis


def _day(value: str | None) -> date | None:
    return None if value is None else date.fromisoformat(value)


def _said_day(day: date | None) -> str:
    return "on no known day" if day is None else day.isoformat()
