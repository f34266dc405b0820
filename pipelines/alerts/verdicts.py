"""Whether alerts were right: what came of orders and items that were named, and how often each rule was right, how long before."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipelines.alerts.exceptions import ACCEPTED, FALSE_ALARM, FIXED, PROMISE_KIND
from pipelines.stores.own_tables import exception, exception_event

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from pipelines.stores.operational import OperationalStore

# Kinds that name a day until which the harm comes about or not; of others only the person who resolves one can say.
JUDGED_KINDS: Final = ("stock_out", "order_jeopardy")


@dataclass(frozen=True, slots=True)
class Waiting:
    """An exception whose outcome is not known yet, since and until which day of the data it can come about, and of which promise."""

    exception_id: str
    kind: str
    subject: str
    as_of: date
    judged_after: date
    resolution_code: str | None
    is_acknowledged: bool
    promise_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of what an alert named: it came about on a day, it did not, or (None) there is nothing left to judge."""

    came_about: bool | None
    day: date | None = None


@dataclass(frozen=True, slots=True)
class RulePrecision:
    """How often a rule was right.

    Attributes:
        alerts: How many it has raised.
        right: Of those judged, how many came true, or were put right by a person where only a person can say.
        wrong: How many did not, or were a false alarm.
        averted: How many did not come true after a person had acknowledged or settled them, which neither speaks for nor against the rule.
        precision_rate: right over right and wrong; None where none is judged.
        lead_days_p50: Median days of the data between the alert and what came true; None where none did.
    """

    rule_id: str
    kind: str
    alerts: int
    open: int
    right: int
    wrong: int
    averted: int
    precision_rate: float | None
    lead_days_p50: float | None


def waiting_for_outcome(store: OperationalStore) -> list[Waiting]:
    """Exceptions of which the data can say whether they were right, and has not yet."""
    raised = sa.and_(exception_event.c.exception_id == exception.c.exception_id, exception_event.c.action == "raised")
    chosen = sa.select(exception, exception_event.c.facts).join(exception_event, raised).where(
        exception.c.kind.in_(JUDGED_KINDS), exception.c.verdict.is_(None), exception.c.judged_after.is_not(None),
        exception.c.as_of_date.is_not(None), exception.c.rule_id.is_not(None),
    )  # fmt: skip
    with store.transaction(writes=False) as conn:
        return [
            Waiting(
                row["exception_id"],
                row["kind"],
                row["subject"],
                row["as_of_date"],
                row["judged_after"],
                row["resolution_code"],
                row["acknowledged_at"] is not None,
                json.loads(row["facts"] or "{}").get(PROMISE_KIND),
            )
            for row in conn.execute(chosen).mappings()
        ]


def judge(waiting: Waiting, ending: Ending) -> tuple[str | None, float | None]:
    """The verdict and the lead time in days of the data; no verdict where there is nothing left to judge.

    What somebody was at, and did not come about, may have been averted: whether it recovered by itself or they settled it.
    """
    if ending.came_about is None:
        return None, None
    if ending.came_about:
        return "right", None if ending.day is None else float(max((ending.day - waiting.as_of).days, 0))
    was_handled = waiting.resolution_code in (FIXED, ACCEPTED) or (waiting.is_acknowledged and waiting.resolution_code != FALSE_ALARM)
    return ("averted" if was_handled else "wrong"), None


def save_verdicts(store: OperationalStore, verdicts: Mapping[str, tuple[str | None, float | None]]) -> None:
    """The exceptions of these ids have these verdicts and lead times; those without a verdict wait for none any more."""
    with store.transaction() as conn:
        for exception_id, (verdict, lead_days) in verdicts.items():
            where = (exception.c.exception_id == exception_id, exception.c.verdict.is_(None))
            values: dict[str, Any] = {"judged_after": None} if verdict is None else {"verdict": verdict, "lead_days": lead_days}
            conn.execute(sa.update(exception).where(*where).values(values))


def rule_precision(store: OperationalStore) -> list[RulePrecision]:
    """How often each rule that has raised anything was right, by name."""
    columns = (exception.c.rule_id, exception.c.kind, exception.c.verdict, exception.c.lead_days, exception.c.resolved_at)
    rules: dict[tuple[str, str], list[tuple[str | None, float | None, bool]]] = {}
    with store.transaction(writes=False) as conn:
        for row in conn.execute(sa.select(*columns).where(exception.c.rule_id.is_not(None))):
            rules.setdefault((row.rule_id, row.kind), []).append((row.verdict, row.lead_days, row.resolved_at is None))
    return [_precision(*key, rows) for key, rows in sorted(rules.items())]


def _precision(rule_id: str, kind: str, rows: list[tuple[str | None, float | None, bool]]) -> RulePrecision:
    count = {name: sum(verdict == name for verdict, _, _ in rows) for name in ("right", "wrong", "averted")}
    leads = [lead for verdict, lead, _ in rows if verdict == "right" and lead is not None]
    judged = count["right"] + count["wrong"]
    return RulePrecision(
        rule_id, kind, len(rows), sum(is_open for _, _, is_open in rows), count["right"], count["wrong"], count["averted"],
        count["right"] / judged if judged else None, statistics.median(leads) if leads else None,
    )  # fmt: skip
