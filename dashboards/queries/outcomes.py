"""What decided suggestions were worth: the scorecard of the last months, from the operational store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from inventory.outcomes import scorecard
from pipelines.errors import UnavailableError
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore
from pipelines.stores.outcomes import list_decided, list_outcomes

if TYPE_CHECKING:
    from dashboards.queries.releases import Served
    from pipelines.decisions.roles import Operator

SCORED_DAYS: Final = 90
_AMOUNTS: Final = {"averted_margin": "averted_margin_amount", "excess_cost": "excess_cost_amount", "value_added": "value_added_amount"}


@dataclass(frozen=True, slots=True)
class Scores:
    """What became of decisions whose window ended in the last days.

    Attributes:
        days: How many days are looked back over.
        rows: A row per currency, as `inventory.outcomes.scorecard` gives them; empty where no window has passed.
        waiting_count: Standing decisions whose window has not passed yet.
        problem: Why the store does not answer; None where it does.
    """

    days: int
    rows: pl.DataFrame
    waiting_count: int
    problem: str | None


def scores(served: Served, operator: Operator | None) -> Scores:
    """The scorecard of the last `SCORED_DAYS` days, of what the operator may see."""
    since = served.context.as_of_date - timedelta(days=SCORED_DAYS - 1)
    try:
        with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
            lines = [_line(row) for row in list_outcomes(store, since=since) if operator is None or operator.may_see(row)]
            waiting = sum(one.data_hash is None for one in list_decided(store))
    except UnavailableError as exc:
        return Scores(SCORED_DAYS, pl.DataFrame(), 0, str(exc))
    if not lines:
        return Scores(SCORED_DAYS, pl.DataFrame(), waiting, None)
    frame = pl.DataFrame(lines, infer_schema_length=None).rename(_AMOUNTS)
    frame = frame.with_columns(pl.col(*_AMOUNTS.values()).cast(pl.Decimal(38, 4)), everybody=pl.lit("all"))
    return Scores(SCORED_DAYS, scorecard(frame, "everybody"), waiting, None)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    """The outcome with whether a person overrode the suggestion: rejected it, or took another quantity."""
    return row | {"is_override": not row["is_accepted"] or row["decided_qty"] != row["proposed_qty"]}
