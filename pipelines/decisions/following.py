"""How a recommendation that was approved goes on in the shop: its draft ends, or nobody carries it out in time."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipelines.decisions.audit import SYSTEM, append
from pipelines.decisions.changes import find_change, progress, set_change
from pipelines.decisions.drafts import UNSUBMITTED, resolve_exception
from pipelines.decisions.lifecycle import TRANSITIONS
from pipelines.decisions.reservations import find_reservations, set_reservations
from pipelines.decisions.sales import PROPOSED, sales_lines, unsent_qty
from pipelines.decisions.shop import DRAFT
from pipelines.decisions.transitions import count_item_change, lock_item, move
from pipelines.stores.own_tables import decision, draft_order_line, exception, order_line_reservation, purchase_order_change

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.decisions.shop import Shop

_DUE_AFTER: Final = timedelta(days=1)


def follow_change(conn: sa.Connection, shop: Shop, row: dict[str, Any], draft_days: int) -> str | None:
    """The recommendation is closed once its order line is as was drafted, or has ended without it; says what was done."""
    change = find_change(conn, row["rec_id"])
    if change is None or change["status"] != DRAFT:
        return None
    ended = progress(conn, shop, change)
    if ended is not None:
        if (row["status"], "close") not in TRANSITIONS:
            return None
        set_change(conn, row["rec_id"], status=ended.status, released_at=None)
        return close(conn, row, ended.why, {"ordered_qty": change["qty"], "draft_id": change["change_id"]})
    if not is_overdue(shop, change["drafted_at"], change["released_at"], draft_days):
        return None
    detail = (
        f"Draft change {change['change_id']} of {change['qty']} units of {row['sku']} on {change['po_id']} was not made in the shop for "
        f"{draft_days} days. Make it there, or undo the approval: it does not count any more."
    )
    return release(conn, row, detail, change["change_id"])


def follow_reservations(conn: sa.Connection, shop: Shop, row: dict[str, Any], draft_days: int) -> str | None:
    """Reservations end with their order lines, and the recommendation is closed with the last of them; says what was done."""
    standing = [one for one in find_reservations(conn, row["rec_id"]) if one["status"] == PROPOSED]
    if not standing or (row["status"], "close") not in TRANSITIONS:
        return None
    lines = sales_lines(conn, shop, [one["order_line_id"] for one in standing])
    ended: dict[str, list[str]] = {"fulfilled": [], "released": []}
    for one in standing:
        line = lines.get(one["order_line_id"])
        if line is None or line.is_called_off:
            ended["released"].append(one["reservation_id"])
        elif not unsent_qty(one["qty"], open_then=one["open_qty"], open_now=line.open_qty):
            ended["fulfilled"].append(one["reservation_id"])
    for status, ids in ended.items():
        if ids:
            set_reservations(conn, ids, status=status, released_at=None)
    if sum(map(len, ended.values())) == len(standing):
        why = "sent, or its orders have ended"
        return close(conn, row, why, {"ordered_qty": sum(one["qty"] for one in standing), "draft_id": None})
    first = min(one["proposed_at"] for one in standing)
    if not is_overdue(shop, first, standing[0]["released_at"], draft_days):
        return None
    left = len(standing) - sum(map(len, ended.values()))
    detail = (
        f"{left} proposed reservations of {row['sku']} at {row['location_id']} were not made in the shop, nor their orders sent, for "
        f"{draft_days} days. Reserve or send them there, or undo the approval: the stock does not count as theirs any more."
    )
    return release(conn, row, detail, None)


def is_overdue(shop: Shop, drafted_at: datetime, released_at: datetime | None, draft_days: int) -> bool:
    """Whether nobody has carried it out in time, and nobody was told so yet."""
    return released_at is None and drafted_at + timedelta(days=draft_days) <= shop.now


def close(conn: sa.Connection, row: dict[str, Any], why: str, after: Mapping[str, Any]) -> str:
    """Nothing more will come of the recommendation; the caller has ended what it had drafted."""
    lock_item(conn, row)
    count_item_change(conn, row)
    resolve_exception(conn, row["rec_id"], f"It was {why}.")
    move(conn, row, "close", actor=SYSTEM, after=dict(after) | {"why": why})
    return "closed"


def release(conn: sa.Connection, row: dict[str, Any], detail: str, draft_id: str | None) -> str:
    """What was drafted counts no more, and whoever approved it has an exception to settle."""
    lock_item(conn, row)
    count_item_change(conn, row)
    at = datetime.now(UTC)
    owner = conn.execute(
        sa.select(decision.c.actor)
        .where(decision.c.rec_id == row["rec_id"], decision.c.outcome == "approved")
        .order_by(decision.c.decided_at.desc())
    ).scalar()
    count_no_more(conn, row["rec_id"], at)
    conn.execute(
        sa.insert(exception).values(
            exception_id=uuid.uuid4().hex, kind=UNSUBMITTED, rec_id=row["rec_id"], detail=detail, owner=owner, opened_at=at,
            due_at=at + _DUE_AFTER,
        )
    )  # fmt: skip
    status = row["status"]
    append(
        conn, actor=SYSTEM, rec_id=row["rec_id"], states=(status, status), before={"version": row["version"]},
        after={"action": "release", "version": row["version"], "draft_id": draft_id},
    )  # fmt: skip
    return "released"


def count_no_more(conn: sa.Connection, rec_id: str, at: datetime) -> None:
    """What the recommendation has drafted does not count in the position from now on."""
    for table, status in ((draft_order_line, DRAFT), (purchase_order_change, DRAFT), (order_line_reservation, PROPOSED)):
        conn.execute(sa.update(table).where(table.c.rec_id == rec_id, table.c.status == status).values(released_at=at))
