"""What follows without a person: what the shop did with drafts, snoozes that end, proposals that expire, drafts that nobody submits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipelines.decisions.audit import SYSTEM
from pipelines.decisions.drafts import find_line, resolve_exception, set_line
from pipelines.decisions.following import close, follow_change, follow_reservations, is_overdue, release
from pipelines.decisions.lifecycle import TRANSITIONS
from pipelines.decisions.messages import newest_message
from pipelines.decisions.retrying import retried
from pipelines.decisions.sales import PROPOSED
from pipelines.decisions.shop import CALLED_OFF, DRAFT, FINISHED, query, read_shop
from pipelines.decisions.transitions import count_item_change, lock_item, lock_recommendation, move
from pipelines.stores.own_tables import draft_order_line, order_line_reservation, purchase_order_change, recommendation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pipelines.decisions.shop import Shop
    from pipelines.stores.operational import OperationalStore


@dataclass(frozen=True, slots=True)
class UpkeepCounts:
    """How many recommendations went on by themselves, and how many drafts nobody submitted in time."""

    woken: int = 0
    applied: int = 0
    closed: int = 0
    expired: int = 0
    released: int = 0


@dataclass(frozen=True, slots=True)
class _InShop:
    """A draft line as its target has it: status (None where it is gone), units ordered and received."""

    status: str | None
    ordered_qty: int = 0
    received_qty: int = 0


def follow_shop(store: OperationalStore, *, draft_days: int, now: datetime | None = None) -> UpkeepCounts:
    """Approved recommendations stand where the shop has taken their drafts; snoozes that have ended and stale ones in time make room.

    A draft that was submitted is applied, one that was received or called off is closed; so is a draft change once the order is as it
    says, and an allocation once its orders are sent. What nobody carried out for `draft_days` days becomes an exception and counts no
    more; it stays approved, so that nothing is ordered a second time, until a person carries it out or undoes the approval. Each is a
    transaction of its own; called twice, the second time changes nothing.

    Args:
        store: The operational store.
        draft_days: Days after which a draft that nobody submitted is released.
        now: UTC without zone; default is the wall clock, or the end of the data where the store says the data end.

    Raises:
        StoreUnavailableError: The store did not answer. What was done until then stays.
    """
    counts: Counter[str] = Counter()
    with store.transaction(writes=False) as conn:
        shop = read_shop(conn, now=now)
        rec = recommendation.c
        asleep = sa.select(rec.rec_id).where(rec.status == "snoozed", rec.snoozed_until <= shop.today).order_by(rec.rec_id)
        waking, following = _ids(conn, asleep), _drafted(conn)
    counts.update(_each(store, waking, _wake, now))
    counts.update(_each(store, following, lambda conn, shop, row: _follow(conn, shop, row, draft_days), now))
    counts.update(_expire(store, ("stale",), now))
    return UpkeepCounts(**counts)


def expire_proposals(store: OperationalStore, *, now: datetime | None = None) -> int:
    """Proposals past their day that no run repeated have expired; returns how many. Call it after a run has proposed."""
    return _expire(store, ("proposed", "stale"), now)["expired"]


def _drafted(conn: sa.Connection) -> list[str]:
    """Recommendations whose drafts, changes or reservations have not ended, by item."""
    tables = ((draft_order_line, (DRAFT, "submitted")), (purchase_order_change, (DRAFT,)), (order_line_reservation, (PROPOSED,)))
    chosen = [sa.select(one.c.sku, one.c.location_id, one.c.rec_id).where(one.c.status.in_(statuses)) for one, statuses in tables]
    return [row.rec_id for row in conn.execute(sa.union(*chosen).order_by("sku", "location_id", "rec_id"))]


def _ids(conn: sa.Connection, chosen: sa.Select[Any]) -> list[str]:
    return [row[0] for row in conn.execute(chosen)]


def _each(
    store: OperationalStore, rec_ids: Sequence[str], act: Callable[[sa.Connection, Shop, dict[str, Any]], str | None], now: datetime | None
) -> Counter[str]:
    """`act` on each of these under lock; counts what it says it did."""
    counts: Counter[str] = Counter()
    for rec_id in rec_ids:

        def attempt(rec_id: str = rec_id) -> str | None:
            with store.transaction() as conn:
                return act(conn, read_shop(conn, now=now), lock_recommendation(conn, rec_id))

        if (done := retried(attempt)) is not None:
            counts[done] += 1
    return counts


def _wake(conn: sa.Connection, shop: Shop, row: dict[str, Any]) -> str | None:
    if row["status"] != "snoozed" or row["snoozed_until"] is None or row["snoozed_until"] > shop.today:
        return None
    move(conn, row, "wake", actor=SYSTEM, after={}, snoozed_until=None)
    return "woken"


def _expire(store: OperationalStore, statuses: tuple[str, ...], now: datetime | None) -> Counter[str]:
    def act(conn: sa.Connection, shop: Shop, row: dict[str, Any]) -> str | None:
        if row["status"] not in statuses or row["expires_at"] is None or row["expires_at"] > shop.now:
            return None
        move(conn, row, "expire", actor=SYSTEM, after={"expires_at": row["expires_at"]})
        return "expired"

    with store.transaction(writes=False) as conn:
        due = sa.select(recommendation.c.rec_id).where(
            recommendation.c.status.in_(statuses), recommendation.c.expires_at <= read_shop(conn, now=now).now
        )
        rec_ids = _ids(conn, due.order_by(recommendation.c.rec_id))
    return _each(store, rec_ids, act, now)


def _follow(conn: sa.Connection, shop: Shop, row: dict[str, Any], draft_days: int) -> str | None:
    """The recommendation stands where what it drafted stands in its target."""
    if row["kind"] == "allocate":
        return follow_reservations(conn, shop, row, draft_days)
    return (_follow_order if row["kind"] in {"purchase", "transfer"} else follow_change)(conn, shop, row, draft_days)


def _follow_order(conn: sa.Connection, shop: Shop, row: dict[str, Any], draft_days: int) -> str | None:
    line = find_line(conn, row["rec_id"])
    if line is None or line["status"] not in {DRAFT, "submitted"}:
        return None
    found = _in_outbox(conn, shop, row, line) if line["target"] == "outbox" else _in_shop(conn, shop, line)
    is_over = found.status is None or found.status in FINISHED or 0 < found.ordered_qty <= found.received_qty
    if is_over:
        return _close(conn, row, line, found)
    if found.status == DRAFT:
        if not is_overdue(shop, line["drafted_at"], line["released_at"], draft_days):
            return None
        return release(conn, row, _not_submitted(row, line, draft_days), line["draft_id"])
    if (row["status"], "apply") not in TRANSITIONS:
        return None
    lock_item(conn, row)
    count_item_change(conn, row)
    set_line(conn, row["rec_id"], status="submitted", released_at=None)
    resolve_exception(conn, row["rec_id"], "It was submitted.")
    move(conn, row, "apply", actor=SYSTEM, after={"ordered_qty": found.ordered_qty, "draft_id": line["draft_id"]})
    return "applied"


def _close(conn: sa.Connection, row: dict[str, Any], line: dict[str, Any], found: _InShop) -> str | None:
    if (row["status"], "close") not in TRANSITIONS:
        return None
    why = "removed in the shop" if found.status is None else ("called off" if found.status in CALLED_OFF else "received")
    set_line(conn, row["rec_id"], status="closed", released_at=None)
    return close(
        conn, row, why, {"ordered_qty": found.ordered_qty, "received_qty": found.received_qty, "draft_id": line["draft_id"]}
    )  # fmt: skip


def _not_submitted(row: dict[str, Any], line: dict[str, Any], draft_days: int) -> str:
    return (
        f"Draft {line['draft_id']} with {line['qty']} units of {row['sku']} for {row['location_id']} was not submitted for "
        f"{draft_days} days. Submit it in the shop, or undo the approval: it does not count as on its way any more."
    )


def _in_shop(conn: sa.Connection, shop: Shop, line: dict[str, Any]) -> _InShop:
    if line["kind"] == "purchase":
        statement = (
            "SELECT lower(o.status), l.ordered_qty, l.received_qty FROM purchase_order_lines AS l "
            "JOIN purchase_orders AS o ON o.po_id = l.po_id WHERE l.po_line_id = :line AND "
            f"{shop.alive('purchase_order_lines', 'l')} AND {shop.alive('purchase_orders', 'o')}"
        )
    else:
        statement = (
            "SELECT lower(t.status), l.quantity, 0 FROM transfer_lines AS l JOIN transfers AS t ON t.transfer_id = l.transfer_id "
            f"WHERE l.transfer_id = :line AND l.sku = :sku AND {shop.alive('transfer_lines', 'l')} AND {shop.alive('transfers', 't')}"
        )
    values = {"line": line["line_id"]} | ({"sku": line["sku"]} if line["kind"] == "transfer" else {})
    for status, ordered, received in query(conn, statement, **values):
        return _InShop(str(status), int(ordered or 0), int(received or 0))
    return _InShop(None)


def _in_outbox(conn: sa.Connection, shop: Shop, row: dict[str, Any], line: dict[str, Any]) -> _InShop:
    """What was handed over counts as submitted; from the day it was expected on, stock speaks for it."""
    message = newest_message(conn, row["rec_id"])
    if message is None or message["state"] != "sent":
        return _InShop(DRAFT, line["qty"])
    is_due = line["expected_date"] is not None and line["expected_date"] <= shop.today
    return _InShop("received", line["qty"], line["qty"]) if is_due else _InShop("submitted", line["qty"])
