"""Reads of the page about trust from the operational store: runs, messages to other systems, and what people use and decide."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from dashboards.pages import PAGES
from pipelines.errors import UnavailableError
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore
from pipelines.stores.own_tables import decision, outbox, recommendation_run
from pipelines.stores.page_use import read_page_use

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.queries.releases import Served

USE_DAYS: Final = 28
IN_DOUBT: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Operations:
    """What the operational store says at this moment; `problem` says why it does not answer.

    Attributes:
        runs: proposed_at (local), as_of_date, release_id, gate_status, and the counts of proposals; newest first.
        outbox: state, messages_count, oldest_at (local).
        page_use: title, opened_count in the last `USE_DAYS` days, pages that nobody opened at the end.
        decisions: action, outcome, decisions_count, people_count in the last `USE_DAYS` days.
    """

    runs: pl.DataFrame
    outbox: pl.DataFrame
    page_use: pl.DataFrame
    decisions: pl.DataFrame
    problem: str | None

    def messages(self, *states: str) -> int:
        """How many messages are in one of these states."""
        return int(self.outbox.filter(pl.col("state").is_in(states))["messages_count"].sum())


def operations(served: Served, *, now: datetime) -> Operations:
    """Runs, messages, and what people use and decide; with a sentence where the store does not answer."""
    zone, since = served.context.reporting_time_zone, now - timedelta(days=USE_DAYS)
    try:
        with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
            used = read_page_use(store, since=since.date())
            with store.transaction(writes=False) as conn:
                has = set(sa.inspect(conn).get_table_names())
                runs = conn.execute(_RUNS).all() if recommendation_run.name in has else []
                waiting = conn.execute(_OUTBOX).all() if outbox.name in has else []
                decided = conn.execute(_DECIDED, {"since": since}).all() if decision.name in has else []
    except UnavailableError as exc:
        nothing = pl.DataFrame()
        return Operations(nothing, pl.DataFrame(schema=_WAITING), nothing, nothing, str(exc))
    counted = pl.DataFrame({"page": [page.name for page in PAGES], "title": [page.title for page in PAGES]})
    use = counted.join(used, on="page", how="left").with_columns(pl.col("opened_count").fill_null(0)).drop("page")
    return Operations(
        runs=_runs(runs, zone),
        outbox=pl.DataFrame([(state, count, _in_zone(oldest, zone)) for state, count, oldest in waiting], schema=_WAITING, orient="row"),
        page_use=use.sort("opened_count", descending=True, maintain_order=True),
        decisions=pl.DataFrame([tuple(row) for row in decided], schema=_DECISIONS, orient="row"),
        problem=None,
    )


def _runs(rows: Sequence[Any], zone: str) -> pl.DataFrame:
    told = [
        {"proposed_at": _in_zone(at, zone), "as_of_date": day, "release_id": release, "gate_status": gate} | json.loads(counts or "{}")
        for at, day, release, gate, counts in rows
    ]
    return pl.DataFrame(told, infer_schema_length=None)


def _in_zone(at: object, zone: str) -> datetime | None:
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) if isinstance(at, datetime) else None


_RUNS: Final = sa.select(
    recommendation_run.c.proposed_at, recommendation_run.c.as_of_date, recommendation_run.c.release_id, recommendation_run.c.gate_status,
    recommendation_run.c.counts,
).order_by(recommendation_run.c.proposed_at.desc()).limit(60)  # fmt: skip
_OUTBOX: Final = (
    sa.select(outbox.c.state, sa.func.count(), sa.func.min(outbox.c.created_at)).group_by(outbox.c.state).order_by(outbox.c.state)
)
_DECIDED: Final = (
    sa.select(decision.c.action, decision.c.outcome, sa.func.count(), sa.func.count(decision.c.actor.distinct()))
    .where(decision.c.decided_at >= sa.bindparam("since", type_=decision.c.decided_at.type))
    .group_by(decision.c.action, decision.c.outcome)
    .order_by(decision.c.action, decision.c.outcome)
)
_WAITING: Final[dict[str, Any]] = {"state": pl.String, "messages_count": pl.Int64, "oldest_at": pl.Datetime("us")}
_DECISIONS: Final[dict[str, Any]] = {"action": pl.String, "outcome": pl.String, "decisions_count": pl.Int64, "people_count": pl.Int64}
