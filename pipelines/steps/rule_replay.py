"""What past weeks would have cost under the rules that stand and under others, for the items that a change of rules touches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

import inventory
from forecasting.schema import SERIES_KEY
from inventory.standing import OneFit
from pipelines.errors import PolicyRuleError
from pipelines.steps.replay import replay_weeks, results_of
from pipelines.steps.replay_current import current_rule, policies_by_week
from pipelines.steps.replay_inputs import WEEK_DAYS, read_replay_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    import duckdb

    from inventory.rules import PolicyRule
    from pipelines.settings import Settings
    from pipelines.steps.replay import PolicyResult
    from pipelines.steps.replay_current import Policies

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True, slots=True)
class RuleReplay:
    """The past under the rules `before` and under those `after`, in minor units.

    Attributes:
        currency_code: Of the amounts.
        first_date: First day.
        last_date: Last day.
        items_count: Items that are replayed, of those that the change touches.
        left_out: sku, location_id and reason of the items that it touches and that cannot be replayed, or that a plan would refuse.
        before: Under the rules that stand.
        after: Under those that would.
    """

    currency_code: str
    first_date: date
    last_date: date
    items_count: int
    left_out: tuple[dict[str, str], ...]
    before: PolicyResult
    after: PolicyResult

    @property
    def weeks_count(self) -> int:
        """Whole weeks."""
        return ((self.last_date - self.first_date).days + 1) // WEEK_DAYS


def preview_replay(
    conn: duckdb.DuckDBPyConnection,
    *,
    before: Sequence[PolicyRule],
    after: Sequence[PolicyRule],
    on: date,
    settings: Settings,
    on_progress: Callable[[str, float], None] | None = None,
) -> RuleReplay:
    """The last year, or as far back as the history allows, under the rules of one day, with the same demand and lead times for both.

    The versions of that day count in all weeks, whenever they began, each in its season. Demand is learnt from the items touched alone.

    Args:
        conn: A release.
        before: All versions that stand.
        after: All that would stand.
        on: The day whose rules hold.
        settings: As for a run.
        on_progress: Called with what is done next and the share done.

    Raises:
        PolicyRuleError: The change touches nothing that a replay could tell; the message says why.
        ContractError: The history is too short.
    """
    inputs = read_replay_inputs(conn, holding_cost_rate=settings.holding_cost_rate, lost_sales_share=settings.lost_sales_share)
    keys = pl.concat([inputs.items.select(SERIES_KEY), inputs.left_out.select(SERIES_KEY)])
    weeks = replay_weeks(inputs.panel, None, None)
    old, new = (policies_by_week(conn, keys, rules, on=on, weeks=weeks, settings=settings) for rules in (before, after))
    touched = keys.filter(_differs(keys, old, new))
    items = inputs.items.join(touched, on=SERIES_KEY, how="semi")
    if items.is_empty():
        raise PolicyRuleError(_why_nothing(touched.height))
    some = replace(inputs, items=items, panel=inputs.panel.join(touched, on=SERIES_KEY, how="semi"))
    first, last = replay_weeks(some.panel, None, None)
    learn = OneFit()
    rules = {name: current_rule(conn, some, policies, learn=learn, seed=settings.seed) for name, policies in ((BEFORE, old), (AFTER, new))}
    told = inventory.replay(
        some.panel, rules, start=first, end=last, frequency="weekly", items=items, seed=settings.seed, on_progress=on_progress
    )
    results = {one.policy: one for one in results_of(told)}
    left_out = pl.concat([inputs.left_out.join(touched, on=SERIES_KEY, how="semi"), told.left_out]).sort(SERIES_KEY)
    return RuleReplay(
        inputs.currency_code, first, last + timedelta(days=WEEK_DAYS - 1), items.height - told.left_out.height,
        tuple(left_out.iter_rows(named=True)), results[BEFORE], results[AFTER],
    )  # fmt: skip


def _differs(keys: pl.DataFrame, old: Mapping[date, Policies], new: Mapping[date, Policies]) -> pl.Series:
    """Per row whether the policy is another in any week, whichever rule says so."""
    pairs = {(id(old[monday]), id(new[monday])): (old[monday], new[monday]) for monday in old}.values()
    rows = [any(replace(one[key], version=None) != replace(other[key], version=None) for one, other in pairs) for key in keys.iter_rows()]
    return pl.Series(rows, dtype=pl.Boolean)


def _why_nothing(touched: int) -> str:
    if touched:
        return f"None of the {touched:,} items it touches can be replayed; ordercast replay --json has the reason of each."
    return "Nothing of it shows in a replay: a run would order every item that has sold as it does without it."
