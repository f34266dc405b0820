"""An approval inside its transaction: the basis computed anew, the quantity checked, the brake asked, the draft written."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipelines.decisions import roles
from pipelines.decisions.basis import accepted_qty
from pipelines.decisions.brake import PRICED, second_person_reasons
from pipelines.decisions.kinds import act_of
from pipelines.decisions.lifecycle import next_status
from pipelines.decisions.requests import Decision
from pipelines.decisions.transitions import count_item_change, lock_item, move
from pipelines.errors import DecisionError
from pipelines.stores.own_tables import decision

if TYPE_CHECKING:
    from pipelines.decisions.basis import Check
    from pipelines.decisions.drafts import Draft
    from pipelines.decisions.requests import DecisionRequest, Outcome
    from pipelines.decisions.roles import Operator
    from pipelines.decisions.shop import Shop


@dataclass(frozen=True, slots=True)
class Turn:
    """One decision while it is made: its transaction, the shop, who asks for what, the recommendation under lock, what the shop allows."""

    conn: sa.Connection
    shop: Shop
    request: DecisionRequest
    actor: Operator
    row: dict[str, Any]
    one_person_amount: Decimal
    has_target: bool

    def result(self, outcome: Outcome, message: str, **values: Any) -> Decision:
        """The decision's result."""
        request = self.request
        return Decision(
            decision_id=request.decision_id, rec_id=request.rec_id, action=request.action, outcome=outcome, message=message, **values
        )


def approve(turn: Turn) -> Decision:
    """The recommendation is approved and its draft written; or it is stale, or waits for a second person, and nothing was done.

    Raises:
        DecisionError: It cannot be approved: its status, its kind, it has expired, or the quantity is none that can be had.
    """
    _require_open(turn)
    act = act_of(turn.row)
    lock_item(turn.conn, turn.row)
    check = act.check(turn.conn, turn.shop, turn.row)
    if _has_moved(turn, check):
        return _stale(turn, check)
    qty = accepted_qty(check.now.qty if turn.request.qty is None else turn.request.qty, check)
    cost = check.now.unit_cost
    reasons = second_person_reasons(
        turn.conn, turn.shop, turn.row, amount=_amount_at_stake(turn, check, qty), currency_code=_currency(turn, check), actor=turn.actor,
        most=turn.one_person_amount,
    )  # fmt: skip
    if reasons and not _is_second(turn, qty, cost):
        return _waiting(turn, check, qty, reasons)
    count_item_change(turn.conn, turn.row)
    draft = act.write(turn.conn, turn.shop, turn.row, check, qty=qty, key=turn.request.decision_id, has_target=turn.has_target)
    after = {"ordered_qty": qty, "unit_cost": cost, "draft_id": draft.draft_id, "line_id": draft.line_id, "target": draft.target}
    status, version = _moved(turn, "approve", after | _bases(check))
    return turn.result(
        "approved", _said(draft, act.said(turn.row, check, qty)), status=status, version=version, ordered_qty=qty, unit_cost=cost,
        currency_code=check.now.currency_code, draft_id=draft.draft_id, line_id=draft.line_id, target=draft.target,
        order_amount=draft.order_amount, minimum_amount=draft.minimum_amount, second_person_reasons=reasons, **_bases(check),
    )  # fmt: skip


def _require_open(turn: Turn) -> None:
    next_status(turn.row["status"], "approve")
    expires_at = turn.row["expires_at"]
    if expires_at is not None and expires_at <= turn.shop.now:
        raise DecisionError(f"This recommendation expired at {expires_at:%Y-%m-%d %H:%M}; the next run (ordercast run) proposes anew.")


def _amount_at_stake(turn: Turn, check: Check, qty: int) -> Decimal:
    """Money that the approval spends, or takes back from a supplier; 0 where it only moves units or days."""
    cost = check.now.unit_cost
    return qty * cost if turn.row["kind"] in PRICED and cost is not None else Decimal(0)


def _currency(turn: Turn, check: Check) -> str | None:
    """Where no money is at stake no rate is needed."""
    return check.now.currency_code if turn.row["kind"] in PRICED else turn.shop.currency_code


def _has_moved(turn: Turn, check: Check) -> bool:
    """Whether what holds now is not what the person has seen. One that is stale already goes on only with the numbers they saw since."""
    request = turn.request
    if request.is_confirmed:
        cost = request.confirmed_unit_cost
        seen = (request.confirmed_qty, turn.row["unit_cost"] if cost is None else cost)
    elif turn.row["status"] == "stale":
        return True
    else:
        seen = (turn.row["recommended_qty"], turn.row["unit_cost"])
    return seen != (check.now.qty, check.now.unit_cost) or _shown(turn, check).get("lines") != check.now.as_dict().get("lines")


def _shown(turn: Turn, check: Check) -> dict[str, Any]:
    """The basis that the person has seen: the proposal's, or the one of the answer that found this version stale."""
    if turn.row["status"] != "stale":
        return check.before.as_dict()
    found = sa.select(decision.c.result).where(decision.c.rec_id == turn.row["rec_id"], decision.c.outcome == "stale")
    answers = [Decision.from_json(str(text)) for (text,) in turn.conn.execute(found)]
    return next((one.basis_now or {} for one in answers if one.version == turn.row["version"]), {})


def _stale(turn: Turn, check: Check) -> Decision:
    status, version = _moved(turn, "mark_stale", _bases(check))
    message = f"Nothing was {act_of(turn.row).done}: {check.moved} "
    message += "Confirm the new numbers." if check.now.qty else act_of(turn.row).nothing_left
    return turn.result("stale", message, status=status, version=version, currency_code=check.now.currency_code, **_bases(check))


def _waiting(turn: Turn, check: Check, qty: int, reasons: tuple[str, ...]) -> Decision:
    cost, currency = check.now.unit_cost, check.now.currency_code
    status, version = _moved(turn, "wait", {"ordered_qty": qty, "unit_cost": cost, "reasons": reasons})
    message = f"Nothing was {act_of(turn.row).done} yet: "
    message += f"an approver other than {turn.actor.actor} has to approve {qty} units too, because {reasons[0]}."
    return turn.result(
        "waiting", message, status=status, version=version, ordered_qty=qty, unit_cost=cost, currency_code=currency,
        second_person_reasons=reasons, **_bases(check),
    )  # fmt: skip


def _is_second(turn: Turn, qty: int, cost: Decimal | None) -> bool:
    """Whether somebody else, who still may decide, has approved the same quantity and price of this version, and this one may be second."""
    if not turn.actor.is_at_least("approver"):
        return False
    return any(
        actor != turn.actor.actor and (first.ordered_qty, first.unit_cost) == (qty, cost) and roles.may_decide(turn.conn, actor, turn.row)
        for actor, first in first_approvals(turn)
    )


def first_approvals(turn: Turn) -> list[tuple[str, Decision]]:
    """Who has approved this version of the recommendation and waits for a second person, and what they approved."""
    waiting = sa.select(decision.c.actor, decision.c.result).where(
        decision.c.rec_id == turn.row["rec_id"], decision.c.rec_version == turn.row["version"], decision.c.outcome == "waiting"
    )
    return [(row.actor, Decision.from_json(row.result)) for row in turn.conn.execute(waiting).all()]


def _moved(turn: Turn, action: Any, after: dict[str, Any]) -> tuple[str, int]:
    return move(turn.conn, turn.row, action, actor=turn.request.actor, decision_id=turn.request.decision_id, after=after)


def _bases(check: Check) -> dict[str, Any]:
    return {"basis_before": check.before.as_dict(), "basis_now": check.now.as_dict()}


def _said(draft: Draft, what: str) -> str:
    told = f"Approved: {what} {draft.draft_id}"
    if draft.target == "outbox":
        told += ", which waits in the outbox"
    if draft.minimum_amount is not None and draft.order_amount is not None and draft.order_amount < draft.minimum_amount:
        told += f"; the draft amounts to {draft.order_amount:,.2f}, its supplier asks for {draft.minimum_amount:,.2f}"
    return told + "."
