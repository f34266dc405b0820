"""Where decisions stand, as screens show it: who decided last and why, what drafts amount to, what happened before. Reads only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import sqlalchemy as sa

from inventory.reorder import round_order
from pipelines.decisions.drafts import supplier_minimum
from pipelines.decisions.kinds import act_of
from pipelines.decisions.open_changes import open_changes, open_reservations
from pipelines.decisions.requests import Decision
from pipelines.decisions.roles import Operator, find_operator
from pipelines.decisions.shop import DRAFT, read_shop
from pipelines.errors import DecisionError, StoreUnavailableError
from pipelines.stores.own_tables import (
    audit_head,
    audit_log,
    decision,
    draft_order,
    draft_order_line,
    order_line_reservation,
    purchase_order_change,
    recommendation,
    recommendation_run,
)
from pipelines.stores.recommendations import ENDED

if TYPE_CHECKING:
    from pipelines.decisions.shop import Shop
    from pipelines.stores.operational import OperationalStore

_MONEY: Final = pl.Decimal(18, 4)


@dataclass(frozen=True, slots=True)
class LastDecision:
    """The newest decision about a recommendation: who, when (UTC without zone), about which version, why, and what came of it."""

    actor: str
    decided_at: datetime
    rec_version: int
    reason_code: str | None
    comment: str | None
    result: Decision


@dataclass(frozen=True, slots=True)
class DraftLine:
    """A line on a draft order that nobody has submitted yet; `is_released`: it was not submitted in time and counts as inbound no more."""

    draft_id: str
    rec_id: str
    line_id: str
    sku: str
    qty: int
    unit_cost: Decimal | None
    amount: Decimal | None
    expected_date: date | None
    drafted_at: datetime
    is_released: bool


@dataclass(frozen=True, slots=True)
class Drafted:
    """What stands drafted for a recommendation: the draft order or change, and its units."""

    draft_id: str
    qty: int


@dataclass(frozen=True, slots=True)
class DraftOrder:
    """A draft order: one supplier (or lane), location and day of need.

    Amounts are in major units of `currency_code`; None where unknown. `missing_amount` is what the supplier's minimum is above the
    amount, 0 where it is reached. `age_days` are whole days since its oldest line, by the clock that decisions go by.
    """

    draft_id: str
    kind: str
    target: str
    supplier_id: str | None
    source_location_id: str | None
    location_id: str
    need_by: date | None
    currency_code: str | None
    lines_count: int
    qty: int
    amount: Decimal | None
    minimum_amount: Decimal | None
    missing_amount: Decimal | None
    age_days: int
    is_released: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What one look at the store finds.

    Attributes:
        operator: Who asks, with their role; None where the store does not know them.
        admins: Who can make operators and change what they may; empty where nobody may decide at all.
        today: The local day by the clock that decisions go by.
        last_decisions: By rec_id, for recommendations that are open.
        drafts: The columns of `DraftOrder`, by day of need; one row per draft.
        draft_lines: The columns of `DraftLine`, in the same order.
        changes: Draft changes of purchase orders that nobody has made in the shop, as `open_changes` gives them.
        reservations: Proposed reservations of order lines, as `open_reservations` gives them.
    """

    operator: Operator | None
    admins: tuple[str, ...]
    today: date
    last_decisions: dict[str, LastDecision]
    drafts: pl.DataFrame
    draft_lines: pl.DataFrame
    changes: pl.DataFrame
    reservations: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Quote:
    """What a wanted quantity comes to now: what the supplier accepts for it, and its price in major units of `currency_code`."""

    wanted_qty: int
    qty: int
    order_multiple: int
    smallest_qty: int
    max_order_qty: int | None
    unit_cost: Decimal | None
    amount: Decimal | None
    currency_code: str | None


def state_of_recommendations(store: OperationalStore) -> tuple[Any, ...]:
    """Is another one as soon as recommendations are: what people decide is chained in the log, and runs are counted."""
    runs = sa.select(sa.func.count()).select_from(recommendation_run).scalar_subquery()
    with store.transaction(writes=False) as conn:
        return tuple(conn.execute(sa.select(audit_head.c.hash, runs)).one())


def read_standing(store: OperationalStore, *, actor: str | None) -> Standing:
    """Who may decide, what was decided last, and the drafts that wait, at this moment.

    Raises:
        StoreUnavailableError: The store did not answer, or does not have the tables of decisions yet.
    """
    with store.transaction(writes=False) as conn:
        _require_tables(conn, store)
        shop = read_shop(conn)
        operator, admins = find_operator(conn, actor)
        lines = _draft_lines(conn)
        orders = [_draft_order(conn, shop, dict(row), lines) for row in conn.execute(_OPEN_DRAFTS).mappings()]
        decided = {row["rec_id"]: _last_decision(row) for row in conn.execute(_DECIDED).mappings()}
        changes, reservations = open_changes(conn), open_reservations(conn)
    listed = [order for order in orders if order.lines_count]
    place = {order.draft_id: number for number, order in enumerate(listed)}
    shown = sorted((line for line in lines if line.draft_id in place), key=lambda line: (place[line.draft_id], line.sku))
    return Standing(
        operator, admins, shop.today, decided, _frame(listed, _DRAFT_ORDERS), _frame(shown, _DRAFT_LINES),
        changes, reservations,
    )  # fmt: skip


def read_decided(store: OperationalStore) -> tuple[dict[str, LastDecision], dict[str, Drafted]]:
    """By rec_id the last decision about each recommendation that is open, and what stands drafted; who may decide is not asked.

    Raises:
        StoreUnavailableError: The store did not answer, or does not have the tables of decisions yet.
    """
    with store.transaction(writes=False) as conn:
        _require_tables(conn, store)
        decided = {row["rec_id"]: _last_decision(row) for row in conn.execute(_DECIDED).mappings()}
        drafted = {line.rec_id: Drafted(line.draft_id, line.qty) for line in _draft_lines(conn)}
        change = purchase_order_change.c
        found = conn.execute(sa.select(change.rec_id, change.change_id, change.qty).where(change.status == DRAFT))
        return decided, drafted | {row.rec_id: Drafted(row.change_id, row.qty) for row in found}


def _require_tables(conn: sa.Connection, store: OperationalStore) -> None:
    if not sa.inspect(conn).has_table(order_line_reservation.name):
        raise StoreUnavailableError(f"Operational store {store.address} has no tables for decisions yet; `ordercast run` adds them.")


def list_history(store: OperationalStore, *, limit: int) -> pl.DataFrame:
    """What happened to recommendations, newest first, whether a person, a run or the shop did it.

    Returns:
        at (UTC without zone), actor, kind, sku, location_id, action, from_state, to_state, qty, reason_code, comment; one row per step.
    """
    made, rec = decision.c, recommendation.c
    columns = (audit_log.c.at, audit_log.c.actor, rec.kind, rec.sku, rec.location_id, audit_log.c.from_state, audit_log.c.to_state)
    chosen = (
        sa.select(*columns, audit_log.c.after, made.qty_after, made.reason_code, made.comment)
        .join(recommendation, rec.rec_id == audit_log.c.rec_id)
        .outerjoin(decision, made.decision_id == audit_log.c.decision_id)
        .order_by(audit_log.c.seq.desc())
        .limit(limit)
    )
    with store.transaction(writes=False) as conn:
        rows = [_history_row(row) for row in conn.execute(chosen).mappings()]
    return pl.DataFrame(rows, schema=_HISTORY, orient="row")


def quote(store: OperationalStore, rec_id: str, wanted_qty: int) -> Quote:
    """What this many units of a recommendation come to, by the terms that its approval would be held to.

    Raises:
        DecisionError: Stock, supplier or pack size are not known any more, no quantity can be ordered, or its kind has none to choose.
        StoreUnavailableError: The store did not answer.
    """
    with store.transaction(writes=False) as conn:
        row = conn.execute(sa.select(recommendation).where(recommendation.c.rec_id == rec_id)).mappings().one()
        check = act_of(row).check(conn, read_shop(conn), row)
    terms, cost = check.terms, check.now.unit_cost
    if terms is None:
        raise DecisionError("It is approved or rejected as a whole.")
    try:
        rounded = round_order(wanted_qty, terms=terms)
    except ValueError as exc:
        raise DecisionError(f"No quantity can be ordered now: {exc}") from None
    amount = None if cost is None else rounded.qty * cost
    return Quote(
        wanted_qty, rounded.qty, terms.order_multiple, rounded.smallest_qty, terms.max_order_qty, cost, amount, check.now.currency_code
    )  # fmt: skip


_OPEN_DRAFTS: Final = sa.select(draft_order).where(draft_order.c.status == DRAFT).order_by(draft_order.c.need_by, draft_order.c.draft_id)
_DECIDED: Final = (
    sa.select(decision)
    .join(recommendation, recommendation.c.rec_id == decision.c.rec_id)
    .where(recommendation.c.status.not_in(ENDED), decision.c.result.is_not(None))
    .order_by(decision.c.decided_at, decision.c.decision_id)
)
_DRAFT_ORDERS: Final[dict[str, Any]] = {
    "draft_id": pl.String, "kind": pl.String, "target": pl.String, "supplier_id": pl.String, "source_location_id": pl.String,
    "location_id": pl.String, "need_by": pl.Date, "currency_code": pl.String, "lines_count": pl.Int64, "qty": pl.Int64, "amount": _MONEY,
    "minimum_amount": _MONEY, "missing_amount": _MONEY, "age_days": pl.Int64, "is_released": pl.Boolean,
}  # fmt: skip
_DRAFT_LINES: Final[dict[str, Any]] = {
    "draft_id": pl.String, "rec_id": pl.String, "line_id": pl.String, "sku": pl.String, "qty": pl.Int64, "unit_cost": _MONEY,
    "amount": _MONEY, "expected_date": pl.Date, "drafted_at": pl.Datetime("us"), "is_released": pl.Boolean,
}  # fmt: skip
_HISTORY: Final[dict[str, Any]] = {
    "at": pl.Datetime("us"), "actor": pl.String, "kind": pl.String, "sku": pl.String, "location_id": pl.String,
    "action": pl.String, "from_state": pl.String,
    "to_state": pl.String, "qty": pl.Int64, "reason_code": pl.String, "comment": pl.String,
}  # fmt: skip


def _draft_lines(conn: sa.Connection) -> list[DraftLine]:
    line = draft_order_line.c
    names = (line.draft_id, line.rec_id, line.line_id, line.sku, line.qty, line.unit_cost, line.expected_date, line.drafted_at)
    found = conn.execute(sa.select(*names, line.released_at).where(line.status == DRAFT)).all()
    return [
        DraftLine(
            row.draft_id, row.rec_id, row.line_id, row.sku, row.qty, row.unit_cost, row.unit_cost and row.qty * row.unit_cost,
            row.expected_date, row.drafted_at, row.released_at is not None,
        ) for row in found
    ]  # fmt: skip


def _draft_order(conn: sa.Connection, shop: Shop, order: dict[str, Any], lines: list[DraftLine]) -> DraftOrder:
    ours = [line for line in lines if line.draft_id == order["draft_id"]]
    amount, minimum = supplier_minimum(conn, shop, order)
    begun = min((line.drafted_at for line in ours), default=order["drafted_at"])
    names = ("draft_id", "kind", "target", "supplier_id", "source_location_id", "location_id", "need_by", "currency_code")
    return DraftOrder(
        **{name: order[name] for name in names}, lines_count=len(ours), qty=sum(line.qty for line in ours), amount=amount,
        minimum_amount=minimum, missing_amount=None if amount is None or minimum is None else max(Decimal(0), minimum - amount),
        age_days=max(0, (shop.now - begun).days), is_released=any(line.is_released for line in ours),
    )  # fmt: skip


def _last_decision(row: Any) -> LastDecision:
    result = Decision.from_json(row["result"])
    return LastDecision(row["actor"], row["decided_at"], row["rec_version"], row["reason_code"], row["comment"], result)


def _history_row(row: Any) -> tuple[Any, ...]:
    after = json.loads(row["after"])
    at = datetime.fromisoformat(row["at"]).astimezone(UTC).replace(tzinfo=None)
    qty = next((after[name] for name in ("ordered_qty", "cancelled_qty") if after.get(name) is not None), row["qty_after"])
    comment = row["comment"] or after.get("why") or (f"until {after['until']}" if after.get("until") else None)
    states = (row["from_state"], row["to_state"])
    return at, row["actor"], row["kind"], row["sku"], row["location_id"], after.get("action"), *states, qty, row["reason_code"], comment


def _frame(rows: list[Any], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([asdict(row) for row in rows], schema=schema, orient="row")
