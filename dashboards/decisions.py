"""How pages decide: as the operator who looks, through the one service, asking first what would come of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

import polars as pl

from dashboards import identity
from dashboards.queries.suggestions import SECOND_PERSON, local_time, reason_words
from pipelines.decisions import rules as rule_book
from pipelines.decisions import serving, standing
from pipelines.decisions.requests import UNDONE_OUTCOMES, Decision, DecisionRequest, decision_key
from pipelines.decisions.roles import asking
from pipelines.decisions.service import DecisionPolicy, decide_all, preview_all
from pipelines.decisions.wording import KIND_NAMES
from pipelines.errors import NotPermittedError, UnavailableError
from pipelines.settings import load_settings
from pipelines.stores.grants import WRITER
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dashboards.queries.suggestions import Suggestions
    from inventory.rule_preview import RulePreview
    from inventory.rules import PolicyRule
    from pipelines.decisions.lifecycle import DecisionAction
    from pipelines.decisions.roles import Operator
    from pipelines.decisions.standing import Quote

HISTORY_ROWS: Final = 200
_DRAFT_ORDERS: Final = ("purchase", "transfer")
_STEP_WORDS: Final = {"wait": "approve first", "mark_stale": "find stale", "apply": "submit"}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Acting:
    """Who decides on this page; `why_not` says in one sentence why nobody does, and what to do about it."""

    operator: Operator | None
    why_not: str | None

    def may_decide(self, row: Mapping[str, Any]) -> bool:
        """Whether this one may be decided here: somebody may decide, and it lies in their scope."""
        return self.operator is not None and self.why_not is None and row["rec_id"] is not None and self.operator.may_see(row)

    def may_be_second(self, row: Mapping[str, Any]) -> bool:
        """Whether they are another person than the first, and one who may be the second."""
        return self.operator is not None and self.operator.is_at_least("approver") and row["decided_by"] != self.operator.actor


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the last click: what was asked, about which rows as they were shown, and a result for each."""

    rows: tuple[Mapping[str, Any], ...]
    requests: tuple[DecisionRequest, ...]
    results: tuple[Decision, ...]

    @property
    def is_undone(self) -> bool:
        """Whether nothing at all has changed."""
        return all(result.outcome in {"refused", "unavailable"} for result in self.results)

    def left_open(self, listed: pl.DataFrame) -> pl.DataFrame:
        """Of the rows that are listed now, the one that this was about, if nothing came of it: it stays open to be tried again."""
        keys = [row["recommendation_key"] for row in self.rows] if self.is_undone else []
        return listed.filter(pl.col("recommendation_key").is_in(keys)).head(1)

    @property
    def done_count(self) -> int:
        """How many were done as they were asked for."""
        return sum(result.outcome not in UNDONE_OUTCOMES for result in self.results)


def acting(found: Suggestions) -> Acting:
    """Who decides on the page: who looks, and what the store knows of them at this moment."""
    who = identity.current()
    name = who.decides_as
    if found.standing is None:
        return Acting(None, "Read-only while the operational store does not answer. Reload the page once it does.")
    if who.closed is not None:
        return Acting(None, "Read-only: this page is not open to you any more. Reload it to see why.")
    first = "" if found.standing.admins else "ordercast operators set NAME --role admin makes you the first operator. "
    if name is None:
        return Acting(
            None, f"Read-only: no operator is named. {first}Start the pages with ORDERCAST_OPERATOR=NAME to decide under that name."
        )
    operator = found.standing.operator
    if operator is None:
        role = "planner" if found.standing.admins else "admin"
        whom = asking(found.standing.admins, "run it")
        return Acting(None, f"Read-only: {name} is no operator yet. ordercast operators set {name} --role {role} makes them one{whom}.")
    if not operator.is_at_least("planner"):
        whom = asking(found.standing.admins, "run it")
        return Acting(operator, f"Read-only: {name} is a viewer. ordercast operators set {name} --role planner changes that{whom}.")
    return Acting(operator, None)


def requests_for(
    rows: Sequence[Mapping[str, Any]], action: DecisionAction, *, decision_id: str, actor: str, values: Mapping[str, Any]
) -> tuple[DecisionRequest, ...]:
    """The same decision about each row; several share a key and differ by their recommendation.

    A second person approves what the first one has: the same quantity, at the numbers that the first one saw.
    """
    return tuple(
        DecisionRequest(
            decision_id=decision_id if len(rows) == 1 else decision_key(decision_id, row["rec_id"]), rec_id=row["rec_id"],
            rec_version=row["version"], action=action, actor=actor, **(_first_approval(row) if action == "approve" else {}) | dict(values),
        ) for row in rows
    )  # fmt: skip


def decide(rows: Sequence[Mapping[str, Any]], requests: Sequence[DecisionRequest]) -> Answer:
    """Each decision has had its one effect; where the store does not answer, none of them has, as far as is known.

    Where whoever looks is not the operator any more in whose name it is asked, nothing is done.
    """
    try:
        for actor in {request.actor for request in requests}:
            identity.confirm(identity.current(), actor=actor)
        results = _with_store(lambda store: decide_all(store, requests, policy=_policy()))
    except NotPermittedError as exc:
        results = [request.not_done("refused", str(exc)) for request in requests]
    except UnavailableError as exc:
        results = [request.not_done("unavailable", str(exc)) for request in requests]
    return Answer(tuple(rows), tuple(requests), tuple(results))


def serve_release(release_id: str, *, reason: str, actor: str) -> None:
    """Another release is served from now on.

    Raises:
        NotPermittedError: Whoever looks is no admin, or not the actor any more. Nothing was changed.
        OrdercastError: There is no such release, no reason, or the store did not answer. Nothing was changed.
    """
    identity.confirm(identity.current(), actor=actor)
    _with_store(lambda store: serving.serve_release(store, load_settings().releases_path, release_id, reason=reason, actor=actor))


def preview(requests: Sequence[DecisionRequest]) -> tuple[Decision, ...]:
    """What the same decisions would come to now; nothing is changed.

    Raises:
        StoreUnavailableError: The store did not answer.
    """
    return tuple(_with_store(lambda store: preview_all(store, requests, policy=_policy())))


def predicted_drafts(rows: Sequence[Mapping[str, Any]], results: Sequence[Decision]) -> pl.DataFrame:
    """The drafts that previewed orders and transfers would be on: whom they are with, need_by, lines, units, amount, what is missing.

    `amount` holds what is on the draft already, too.
    """
    found: dict[str, dict[str, Any]] = {}
    for row, result in zip(rows, results, strict=True):
        if result.outcome != "approved" or result.draft_id is None or row["kind"] not in _DRAFT_ORDERS:
            continue
        draft = found.setdefault(
            result.draft_id,
            {name: row[name] for name in ("kind", "supplier", "source", "location", "need_by")}
            | {"currency_code": result.currency_code, "lines_count": 0, "qty": 0},
        )
        missing = None
        if result.order_amount is not None and result.minimum_amount is not None:
            missing = max(Decimal(0), result.minimum_amount - result.order_amount)
        draft["lines_count"] += 1
        draft["qty"] += result.ordered_qty
        draft |= {"amount": result.order_amount, "minimum_amount": result.minimum_amount, "missing_amount": missing}
    return pl.DataFrame([{"draft_id": draft_id, **draft} for draft_id, draft in found.items()], schema=_PREDICTED, orient="row")


def result_rows(rows: Sequence[Mapping[str, Any]], results: Sequence[Decision]) -> pl.DataFrame:
    """item, outcome, message: a line per row of a bulk; what was not done comes first."""
    told = [(f"{row['sku']} · {row['location']}", result.outcome.capitalize(), result.message, result.outcome not in UNDONE_OUTCOMES)
            for row, result in zip(rows, results, strict=True)]  # fmt: skip
    frame = pl.DataFrame(told, schema=["item", "outcome", "message", "is_done"], orient="row")
    return frame.sort("is_done", maintain_order=True).drop("is_done")


def quote(row: Mapping[str, Any], wanted_qty: int) -> Quote:
    """What this many units of a suggestion come to now.

    Raises:
        DecisionError: No quantity can be ordered now; the message says why.
        StoreUnavailableError: The store did not answer.
    """
    return _with_store(lambda store: standing.quote(store, row["rec_id"], wanted_qty))


def add_rule(rule: PolicyRule, *, is_new: bool, reason: str, found: RulePreview, actor: str) -> PolicyRule:
    """One more version of a policy rule stands, with what it was shown to change; it counts from the next run on.

    Raises:
        PolicyRuleError: The name is taken or unknown, or there is no reason. Nothing was written.
        NotPermittedError: The actor is no admin, or no longer who looks. Nothing was written.
        StoreUnavailableError: The store did not answer.
    """
    identity.confirm(identity.current(), actor=actor)
    return _with_store(lambda store: rule_book.add_version(store, rule, is_new=is_new, reason=reason, preview=asdict(found), actor=actor))


def revert_rule(rule_id: str, *, reason: str, actor: str) -> tuple[PolicyRule, PolicyRule | None]:
    """The rule's newest version counts no more; returns it, and what counts again. Raises as `add_rule`."""
    identity.confirm(identity.current(), actor=actor)
    return _with_store(lambda store: rule_book.revert(store, rule_id, reason=reason, actor=actor))


def history(zone: str) -> pl.DataFrame:
    """The last steps, newest first: at (local), actor, kind, sku, location_id, action, from_state, to_state, qty, why.

    Raises:
        StoreUnavailableError: The store did not answer.
    """
    steps = _with_store(lambda store: standing.list_history(store, limit=HISTORY_ROWS))
    why = [reason_words(*row) for row in steps.select("reason_code", "comment").iter_rows()]
    local = [local_time(at, zone) for at in steps["at"]]
    steps = steps.with_columns(pl.col("action").replace(_STEP_WORDS), pl.col("kind").replace(KIND_NAMES))
    words = pl.col("action", "to_state", "from_state").str.replace_all("_", " ").str.to_titlecase()
    shown = steps.with_columns(pl.Series("at", local, dtype=pl.Datetime("us")), pl.Series("why", why, dtype=pl.String), words)
    return shown.drop("reason_code", "comment")


def _first_approval(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["state"] != SECOND_PERSON:
        return {}
    cost = row["seen_unit_cost"]
    return {"qty": row["qty"], "confirmed_qty": row["seen_qty"], "confirmed_unit_cost": None if cost is None else Decimal(cost)}


def _policy() -> DecisionPolicy:
    settings = load_settings()
    return DecisionPolicy(Decimal(str(settings.one_person_amount)), has_target=settings.outbox_target is not None)


def _with_store(act: Callable[[OperationalStore], _T]) -> _T:
    with OperationalStore.open(load_settings().resolved_store_url, role=WRITER) as store:
        return act(store)


_PREDICTED: Final[dict[str, Any]] = {
    "draft_id": pl.String, "kind": pl.String, "supplier": pl.String, "source": pl.String, "location": pl.String, "need_by": pl.Date,
    "currency_code": pl.String,
    "lines_count": pl.Int64, "qty": pl.Int64, "amount": pl.Decimal(18, 4), "minimum_amount": pl.Decimal(18, 4),
    "missing_amount": pl.Decimal(18, 4),
}  # fmt: skip
