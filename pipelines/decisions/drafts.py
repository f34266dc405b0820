"""Draft purchase orders and transfers: what an approval causes. They are never submitted from here; a person does that in the shop."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.decisions.audit import canonical_json
from pipelines.decisions.messages import UNDELIVERED, call_off, write_message
from pipelines.decisions.shop import DRAFT, query, remove_row, write_row
from pipelines.errors import DecisionError, StoreUnavailableError
from pipelines.stores.own_tables import draft_order, draft_order_line, exception

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.decisions.shop import Shop

UNSUBMITTED: Final = "draft_not_submitted"
_TABLES: Final = {"purchase": ("purchase_orders", "purchase_order_lines"), "transfer": ("transfers", "transfer_lines")}


@dataclass(frozen=True, slots=True)
class Draft:
    """The draft a line went to, and what its supplier asks for as a least amount; amounts in the draft's currency."""

    draft_id: str
    line_id: str
    target: str
    order_amount: Decimal | None
    minimum_amount: Decimal | None


def write_draft(
    conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], *, qty: int, unit_cost: Decimal | None, currency_code: str | None, key: str
) -> Draft:
    """The recommendation's one draft line stands, on the open draft of its supplier or lane, location and day of need.

    Where the shop's tables can be written it stands there with status 'draft'; otherwise our own line is all there is, and a message
    in the outbox carries it out. Either way our line, keyed by the recommendation, is what makes a second one impossible.

    Args:
        conn: The caller's transaction, which holds the recommendation's row.
        shop: The shop's tables.
        row: The recommendation.
        qty: Units to order.
        unit_cost: Price of a unit.
        currency_code: Its currency.
        key: The decision_id, which a message of the outbox belongs to.

    Raises:
        DecisionError: There is a standing line of this recommendation already. The transaction cannot go on.
        SourceContractError: The shop's database refuses the line. The transaction cannot go on.
    """
    order = _open_order(conn, shop, row, currency_code)
    line_id = order["draft_id"] if row["kind"] == "transfer" else f"RL-{row['rec_id']}"
    if order["target"] == "source":
        _write_lines(conn, shop, row, order, qty=qty, unit_cost=unit_cost, line_id=line_id)
    _anchor(conn, shop, row, draft_id=order["draft_id"], line_id=line_id, qty=qty, unit_cost=unit_cost)
    if order["target"] == "outbox":
        told = {"action": "create", "draft_id": order["draft_id"], "qty": qty, "unit_cost": unit_cost, "currency_code": currency_code}
        write_message(conn, row, decision_id=key, message=told)
    amount, minimum = supplier_minimum(conn, shop, order)
    return Draft(order["draft_id"], line_id, order["target"], amount, minimum)


def cancel_draft(conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], *, key: str) -> dict[str, Any]:
    """The recommendation's draft line is cancelled, and its draft with it where nothing else is on it; returns the line as it was.

    Raises:
        DecisionError: It was submitted in the shop meanwhile, there is none, or its message is on its way or may have arrived. The
            transaction cannot go on.
    """
    line = find_line(conn, row["rec_id"])
    if line is None or line["status"] != DRAFT:
        raise DecisionError("Its draft was submitted or ended in the shop; change the order there.")
    # Whoever adds a line to this draft waits, or has added it already.
    conn.execute(sa.select(draft_order.c.draft_id).where(draft_order.c.draft_id == line["draft_id"]).with_for_update())
    header, lines = _TABLES[line["kind"]]
    if line["target"] == "source":
        if _shop_status(conn, shop, line) != DRAFT or _is_submitted(conn, shop, line):
            raise DecisionError("Its draft was submitted in the shop; change or cancel the order there.")
        remove_row(conn, lines, _line_key(line), shop)
    else:
        call_off(conn, row, decision_id=key, draft_id=line["draft_id"])
    set_line(conn, row["rec_id"], status="cancelled", released_at=None)
    resolve_exception(conn, row["rec_id"], "The approval was undone.")
    if not _standing_lines(conn, line["draft_id"]):
        conn.execute(sa.update(draft_order).where(draft_order.c.draft_id == line["draft_id"]).values(status="ended"))
        if line["target"] == "source" and not _lines_in_shop(conn, shop, line):
            write_row(conn, header, _header(line, line["draft_id"]) | {"status": "cancelled", "updated_at": shop.now}, shop)
    return line


def find_line(conn: sa.Connection, rec_id: str) -> dict[str, Any] | None:
    """The recommendation's line with the kind, target, supplier and source of its draft, locked; None where it never had one."""
    order = draft_order.c
    extra = (order.kind, order.target, order.supplier_id, order.source_location_id)
    statement = (
        sa.select(draft_order_line, *extra)
        .join(draft_order, order.draft_id == draft_order_line.c.draft_id)
        .where(draft_order_line.c.rec_id == rec_id)
        .with_for_update(of=draft_order_line)
    )
    found = conn.execute(statement).mappings().first()
    return None if found is None else dict(found)


def set_line(conn: sa.Connection, rec_id: str, **values: Any) -> None:
    """These columns of the recommendation's line have these values."""
    conn.execute(sa.update(draft_order_line).where(draft_order_line.c.rec_id == rec_id).values(**values))


def resolve_exception(conn: sa.Connection, rec_id: str, resolution: str, *, kinds: tuple[str, ...] = (UNSUBMITTED, UNDELIVERED)) -> None:
    """Open exceptions about the recommendation's draft are closed."""
    chosen = (exception.c.rec_id == rec_id, exception.c.kind.in_(kinds), exception.c.resolved_at.is_(None))
    conn.execute(sa.update(exception).where(*chosen).values(resolved_at=datetime.now(UTC), resolution=resolution))


def _open_order(conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], currency_code: str | None) -> dict[str, Any]:
    """The open draft of the recommendation's group, locked; made where there is none that is still a draft in the shop.

    Its id follows from the recommendation and its version, so that a preview names what the real call names, whatever their keys.
    """
    target = "source" if shop.may_write(*_TABLES[row["kind"]]) else "outbox"
    names = ("kind", "supplier_id", "source_location_id", "location_id", "need_by")
    group = {name: row[name] for name in names} | {"currency_code": currency_code, "target": target}
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    first = f"{row['rec_id']}:{row['version']}"
    new = group | {
        "draft_id": f"DRAFT-{hashlib.sha256(first.encode()).hexdigest()[:12].upper()}", "group_key": canonical_json(group),
        "status": DRAFT, "drafted_at": shop.now,
    }  # fmt: skip
    chosen = sa.select(draft_order).where(draft_order.c.group_key == new["group_key"], draft_order.c.status == DRAFT).with_for_update()
    found = conn.execute(chosen).mappings().first()
    if found is not None and _takes_more(conn, shop, dict(found)):
        return dict(found)
    if found is not None:
        conn.execute(sa.update(draft_order).where(draft_order.c.draft_id == found["draft_id"]).values(status="ended"))
    # Two who open the same group at once: the second waits here and then finds the first one's.
    conn.execute(insert(draft_order).values(new).on_conflict_do_nothing())
    opened = conn.execute(chosen).mappings().first()
    if opened is None:
        raise StoreUnavailableError("The draft was closed while a line was added to it; try again.", is_passing=True)
    return dict(opened)


def _takes_more(conn: sa.Connection, shop: Shop, order: Mapping[str, Any]) -> bool:
    return order["target"] == "outbox" or _shop_status(conn, shop, order) == DRAFT


def _write_lines(
    conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], order: Mapping[str, Any], *, qty: int, unit_cost: Decimal | None, line_id: str
) -> None:
    header, lines = _TABLES[row["kind"]]
    expected = None if row["expected_receipt"] is None else shop.noon(row["expected_receipt"])
    if not _shop_status(conn, shop, order):
        about = _header(order, order["draft_id"]) | {"status": DRAFT, "created_at": shop.now, "updated_at": shop.now}
        source = row["rec_id"] if row["kind"] == "transfer" else None
        about |= {"expected_at": expected, "currency": order["currency_code"], "source_rec_id": source, "is_deleted": False}
        write_row(conn, header, about, shop)
    if row["kind"] == "purchase":
        values = {"po_line_id": line_id, "po_id": order["draft_id"], "location_id": row["location_id"], "ordered_qty": qty,
                  "received_qty": 0, "unit_cost": unit_cost, "expected_at": expected, "source_rec_id": row["rec_id"]}  # fmt: skip
    else:
        values = {"transfer_id": order["draft_id"], "quantity": qty}
    write_row(conn, lines, values | {"sku": row["sku"], "updated_at": shop.now, "is_deleted": False}, shop)


def _anchor(
    conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], *, draft_id: str, line_id: str, qty: int, unit_cost: Decimal | None
) -> None:
    """Our line of the recommendation stands once: new, or in place of one that was cancelled."""
    values = {
        "draft_id": draft_id, "line_id": line_id, "sku": row["sku"], "location_id": row["location_id"], "qty": qty, "unit_cost": unit_cost,
        "expected_date": row["expected_receipt"], "status": DRAFT, "drafted_at": shop.now, "released_at": None,
    }  # fmt: skip
    again = sa.update(draft_order_line).where(draft_order_line.c.rec_id == row["rec_id"], draft_order_line.c.status == "cancelled")
    if conn.execute(again.values(**values)).rowcount:
        return
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    written = insert(draft_order_line).values(rec_id=row["rec_id"], **values).on_conflict_do_nothing()
    if conn.execute(written.returning(draft_order_line.c.rec_id)).first() is None:
        raise DecisionError("This recommendation has its order line already; nothing was ordered again.")


def supplier_minimum(conn: sa.Connection, shop: Shop, order: Mapping[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    """What the draft amounts to, and the least its supplier asks for, in the draft's currency; None where unknown."""
    if order["kind"] != "purchase":
        return None, None
    amount = sum((line["qty"] * (line["unit_cost"] or 0) for line in _standing_lines(conn, order["draft_id"])), Decimal(0))
    if not shop.has("suppliers"):
        return amount, None
    columns = ", ".join(shop.column("suppliers", name, "s") for name in ("order_minimum_amount", "currency"))
    found = conn.execute(
        sa.text(f"SELECT {columns} FROM suppliers AS s WHERE s.supplier_id = :supplier AND {shop.alive('suppliers', 's')}"),
        {"supplier": order["supplier_id"]},
    ).first()
    is_comparable = found is not None and found[0] is not None and found[1] in (None, order["currency_code"])
    return amount, Decimal(str(found[0])) if found is not None and is_comparable else None


def _standing_lines(conn: sa.Connection, draft_id: str) -> list[dict[str, Any]]:
    chosen = sa.select(draft_order_line).where(draft_order_line.c.draft_id == draft_id, draft_order_line.c.status == DRAFT)
    return [dict(line) for line in conn.execute(chosen).mappings()]


def _lines_in_shop(conn: sa.Connection, shop: Shop, line: Mapping[str, Any]) -> int:
    """Lines that others, such as the shop's own people, have put on the draft."""
    header, lines = _TABLES[line["kind"]]
    key = "po_id" if header == "purchase_orders" else "transfer_id"
    statement = f"SELECT count(*) FROM {lines} AS l WHERE l.{key} = :draft AND {shop.alive(lines, 'l')}"
    return int(conn.execute(sa.text(statement), {"draft": line["draft_id"]}).scalar_one())


def _shop_status(conn: sa.Connection, shop: Shop, order: Mapping[str, Any]) -> str | None:
    """The draft's status in the shop, locked; None where it is gone."""
    header = _TABLES[order["kind"]][0]
    key = "po_id" if header == "purchase_orders" else "transfer_id"
    lock = "" if conn.dialect.name == "sqlite" else " FOR UPDATE"
    statement = f"SELECT lower(o.status) FROM {header} AS o WHERE o.{key} = :draft AND {shop.alive(header, 'o')}{lock}"
    found: str | None = conn.execute(sa.text(statement), {"draft": order["draft_id"]}).scalar()
    return found


def _is_submitted(conn: sa.Connection, shop: Shop, line: Mapping[str, Any]) -> bool:
    """Whether the shop has moved the line to an order that is no draft any more, or has received some of it."""
    if line["kind"] != "purchase":
        return False  # a transfer's line is named by its transfer
    lock = "" if conn.dialect.name == "sqlite" else " FOR UPDATE"
    statement = (
        "SELECT lower(o.status), l.received_qty FROM purchase_order_lines AS l JOIN purchase_orders AS o ON o.po_id = l.po_id "
        f"WHERE l.po_line_id = :line AND {shop.alive('purchase_order_lines', 'l')} AND {shop.alive('purchase_orders', 'o')}{lock}"
    )
    return any(status != DRAFT or received for status, received in query(conn, statement, line=line["line_id"]))


def _header(order: Mapping[str, Any], draft_id: str) -> dict[str, Any]:
    if order["kind"] == "purchase":
        return {"po_id": draft_id, "supplier_id": order["supplier_id"]}
    return {"transfer_id": draft_id, "from_location_id": order["source_location_id"], "to_location_id": order["location_id"]}


def _line_key(line: Mapping[str, Any]) -> dict[str, str]:
    if line["kind"] == "purchase":
        return {"po_line_id": line["line_id"]}
    return {"transfer_id": line["draft_id"], "sku": line["sku"]}
