"""The one way to decide: every caller's decision is one transaction that has exactly one effect, however often it is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.decisions import roles
from pipelines.decisions.approving import Turn, approve, first_approvals
from pipelines.decisions.kinds import act_of
from pipelines.decisions.lifecycle import check_reason, next_status
from pipelines.decisions.requests import Decision, check_request, decision_key, is_storable
from pipelines.decisions.retrying import retried
from pipelines.decisions.shop import read_shop
from pipelines.decisions.transitions import count_item_change, lock_item, lock_recommendation, move
from pipelines.errors import ContractError, DecisionError, KeyReusedError, OutdatedDecisionError, StoreUnavailableError
from pipelines.stores.own_tables import decision, recommendation
from pipelines.stores.recommendations import ENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.decisions.requests import DecisionRequest
    from pipelines.stores.operational import OperationalStore


@dataclass(frozen=True, slots=True)
class DecisionPolicy:
    """What the shop's settings say about decisions.

    Attributes:
        one_person_amount: The most an order of one person may cost, in the reporting currency.
        has_target: Whether messages of the outbox have somewhere to go, so that changes of orders and reservations are told of.
    """

    one_person_amount: Decimal = Decimal(10_000)
    has_target: bool = False


DEFAULT_POLICY: Final = DecisionPolicy()


def decide(
    store: OperationalStore, request: DecisionRequest, *, policy: DecisionPolicy = DEFAULT_POLICY, now: datetime | None = None
) -> Decision:
    """The decision has had its one effect, and this is its result; sent again, the same result comes back and nothing happens.

    One transaction: the key is claimed, the role looked up, the recommendation locked and compared with what the person saw, for an
    approval the item locked and its basis computed anew, the draft line written, the status changed, the audit row appended, the
    result stored. Where the connection breaks while it is committed, the same call with the same key is the way to know.

    Args:
        store: The operational store.
        request: What is asked.
        policy: What one person may do alone.
        now: UTC without zone; default is the wall clock, or the end of the data where the store says the data end.

    Raises:
        KeyReusedError: The decision_id stands for another request. Nothing was changed.
        NotPermittedError: The actor's role or scope does not allow it. Nothing was changed.
        OutdatedDecisionError: The recommendation has another version than the person saw. Nothing was changed.
        DecisionError: It is refused for another reason, which the message says. Nothing was changed.
        StoreUnavailableError: The store did not answer five times. Whether the last attempt took effect is unknown: send it again.
    """

    def attempt() -> Decision:
        with store.transaction() as conn:
            return _decide(conn, request, policy, now)

    return retried(attempt)


def decide_all(
    store: OperationalStore, requests: Sequence[DecisionRequest], *, policy: DecisionPolicy = DEFAULT_POLICY, now: datetime | None = None
) -> list[Decision]:
    """A result for each request, in their order; each is a transaction of its own, and one that is refused stops no other.

    Where the store stops answering, that request and all after it are `unavailable`: sent again, those that took effect say so.
    """
    results: list[Decision] = []
    for request in requests:
        if results and results[-1].outcome == "unavailable":
            results.append(request.not_done("unavailable", results[-1].message))
            continue
        try:
            results.append(decide(store, request, policy=policy, now=now))
        except ContractError as exc:
            results.append(request.not_done("refused", str(exc)))
        except StoreUnavailableError as exc:
            results.append(request.not_done("unavailable", str(exc)))
    return results


def preview_all(
    store: OperationalStore, requests: Sequence[DecisionRequest], *, policy: DecisionPolicy = DEFAULT_POLICY, now: datetime | None = None
) -> list[Decision]:
    """What `decide_all` would answer now: the same code in one transaction that is taken back. The store is unchanged.

    Raises:
        StoreUnavailableError: The store did not answer.
    """
    return retried(lambda: _previewed(store, requests, policy, now))


def find_versions(store: OperationalStore, names: Sequence[str], *, key: str | None = None) -> list[tuple[str, int]]:
    """The recommendation that each name stands for, and its version now: its id, or a beginning that no other open one has.

    Args:
        store: The operational store.
        names: What a person calls them.
        key: Key of the bulk that is asked for; where a decision of it was made before, the version is the one it was about, so that
            the same call again is the same request.

    Raises:
        DecisionError: A name stands for none, or for several.
    """
    found = []
    with store.transaction(writes=False) as conn:
        for name in names:
            rec_id = _rec_id(conn, name)
            asked = sa.select(decision.c.rec_version).where(decision.c.decision_id == decision_key(key or "", rec_id))
            current = sa.select(recommendation.c.version).where(recommendation.c.rec_id == rec_id)
            version = conn.execute(asked).scalar()
            found.append((rec_id, conn.execute(current).scalar_one() if version is None else version))
    return found


def _rec_id(conn: sa.Connection, name: str) -> str:
    rec = recommendation.c
    exact = conn.execute(sa.select(rec.rec_id).where(rec.rec_id == name)).scalar()
    if exact is not None:
        return str(exact)
    begins = sa.select(rec.rec_id).where(rec.rec_id.startswith(name, autoescape=True), rec.status.not_in(ENDED)).limit(2)
    known = [str(row[0]) for row in conn.execute(begins)]
    if not name or not known:
        raise DecisionError(f"There is no open recommendation {name!r}; ordercast recommendations lists them with their ids.")
    if len(known) > 1:
        raise DecisionError(f"More than one recommendation begins with {name!r}; write more of the id.")
    return known[0]


def _previewed(
    store: OperationalStore, requests: Sequence[DecisionRequest], policy: DecisionPolicy, now: datetime | None
) -> list[Decision]:
    results: list[Decision] = []
    with store.transaction() as conn, conn.begin_nested() as taken_back:
        if store.dialect == "postgresql":
            _give_way(conn, requests)
        for request in requests:
            try:
                with conn.begin_nested():
                    results.append(_decide(conn, request, policy, now))
            except ContractError as exc:
                results.append(request.not_done("refused", str(exc)))
        taken_back.rollback()
    return results


def _give_way(conn: sa.Connection, requests: Sequence[DecisionRequest]) -> None:
    """Whoever only looks locks what they look at first, and gives up before the server finds a deadlock and ends somebody who decides."""
    conn.execute(sa.text("SET LOCAL lock_timeout = '800ms'"))
    rec_ids = [request.rec_id for request in requests if is_storable(request.rec_id)]
    rec = recommendation.c
    conn.execute(sa.select(rec.rec_id).where(rec.rec_id.in_(rec_ids)).order_by(rec.rec_id).with_for_update())


def _decide(conn: sa.Connection, request: DecisionRequest, policy: DecisionPolicy, now: datetime | None) -> Decision:
    check_request(request)
    if (stored := _claim(conn, request)) is not None:
        return stored
    actor = roles.require(conn, request.actor, "planner")
    row = lock_recommendation(conn, request.rec_id)
    roles.require_scope(actor, row)
    if row["version"] != request.rec_version:
        raise OutdatedDecisionError(
            f"The recommendation has changed since you saw it (version {request.rec_version}, now {row['version']}, {row['status']}): "
            f"it proposes {row['recommended_qty']} units now. Look at it again."
        )
    turn = Turn(conn, read_shop(conn, now=now), request, actor, row, policy.one_person_amount, policy.has_target)
    return _finish(turn, _ACTIONS[request.action](turn))


def _claim(conn: sa.Connection, request: DecisionRequest) -> Decision | None:
    """The key belongs to this transaction, or the result that is stored under it; whoever sends it at the same time waits here.

    Raises:
        KeyReusedError: It stands for another request.
    """
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    names = ("decision_id", "actor", "rec_id", "rec_version", "action", "reason_code", "comment")
    values = {name: getattr(request, name) for name in names} | {"request_hash": request.hash, "decided_at": datetime.now(UTC)}
    claimed = insert(decision).values(values).on_conflict_do_nothing().returning(decision.c.decision_id)
    if conn.execute(claimed).first() is not None:
        return None
    stored = conn.execute(sa.select(decision).where(decision.c.decision_id == request.decision_id)).mappings().one()
    if stored["request_hash"] != request.hash:
        raise KeyReusedError(f"The decision {request.decision_id} was about something else; a new decision needs a new id.")
    return Decision.from_json(stored["result"])


def _finish(turn: Turn, result: Decision) -> Decision:
    """The decision is complete with its result, which is given back as it will be ever after; from now on it never changes."""
    text = result.to_json()
    proposed = turn.row["recommended_qty"]
    values = {
        "role": turn.actor.role, "qty_before": proposed, "qty_after": result.ordered_qty, "outcome": result.outcome,
        "result": text,
    }  # fmt: skip
    turn.conn.execute(sa.update(decision).where(decision.c.decision_id == turn.request.decision_id).values(**values))
    return Decision.from_json(text)


def _reject(turn: Turn) -> Decision:
    check_reason(turn.request.reason_code, turn.request.comment)
    after = {"reason_code": turn.request.reason_code, "comment": turn.request.comment}
    status, version = _moved(turn, after=after, snoozed_until=None)
    return turn.result("rejected", "Rejected; this need is not proposed again while it stands.", status=status, version=version)


def _snooze(turn: Turn) -> Decision:
    until = turn.request.until
    if until is None or until <= turn.shop.today:
        raise DecisionError(f"Snooze until a day after {turn.shop.today}.")
    status, version = _moved(turn, after={"until": until}, snoozed_until=until)
    return turn.result("snoozed", f"Snoozed until {until}.", status=status, version=version)


def _undo(turn: Turn) -> Decision:
    """The decision before is taken back: the recommendation is proposed again, and a draft line is cancelled with it."""
    next_status(turn.row["status"], "undo")
    if turn.row["status"] in {"proposed", "stale"} and not first_approvals(turn):
        raise DecisionError("Nobody has decided about this recommendation, so there is nothing to undo.")
    cancelled, said = dict[str, Any](), "Undone; it is proposed again."
    if turn.row["status"] in {"approved", "failed"}:
        lock_item(turn.conn, turn.row)
        count_item_change(turn.conn, turn.row)
        act = act_of(turn.row)
        line = act.cancel(turn.conn, turn.shop, turn.row, key=turn.request.decision_id)
        cancelled = {"cancelled_qty": line["qty"], "draft_id": line["draft_id"], "line_id": line["line_id"]}
        said = f"Undone; {act.undone(line)}."
    status, version = _moved(turn, after=cancelled, snoozed_until=None)
    return turn.result("undone", said, status=status, version=version, draft_id=cancelled.get("draft_id"), line_id=cancelled.get("line_id"))


def _moved(turn: Turn, *, after: dict[str, Any], **columns: Any) -> tuple[str, int]:
    request = turn.request
    if request.qty is not None or request.is_confirmed:
        raise DecisionError(f"Only an approval has a quantity, not {request.action}.")
    return move(
        turn.conn, turn.row, request.action, actor=request.actor, decision_id=request.decision_id, after=after, **columns
    )  # fmt: skip


_ACTIONS: Final[dict[str, Callable[[Turn], Decision]]] = {"approve": approve, "reject": _reject, "snooze": _snooze, "undo": _undo}
