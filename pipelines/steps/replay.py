"""The merchant's own past weeks, lived through again under one policy and another."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

import inventory
from forecasting.schema import SERIES_KEY
from inventory.classical import RULES
from inventory.standing import OneFit
from inventory.wording import counted
from pipelines.errors import ContractError
from pipelines.steps.replay_current import current_rule, policies_by_week
from pipelines.steps.replay_inputs import WEEK_DAYS, read_replay_inputs
from pipelines.stores.policy_rules import read_rules
from pipelines.stores.warehouse import run_context

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

    from inventory.policy import OrderRule
    from inventory.replaying import Replay
    from pipelines.settings import Settings
    from pipelines.steps.replay_inputs import ReplayInputs

CURRENT: Final = "current"
OURS: Final = "ours"
CLAIRVOYANT: Final = "clairvoyant"
POLICIES: Final = (CURRENT, OURS, *RULES)
YEAR_WEEKS: Final = 52
LEARN_WEEKS: Final = 26  # of history before the first decision
LEAST_WEEKS: Final = 4
_POLICY: Final = inventory.Policy(review_periods=1, shortage="lost")  # costs, lead times and packs are each item's own


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What one policy would have cost, in minor units.

    Attributes:
        policy: A name of `POLICIES`.
        holding_amount: Units left at the ends of weeks, at each item's cost of holding one for a week.
        lost_margin_amount: Units that were wanted and not there, at their margin.
        cost_at_low_demand_amount: Of both together, had nothing more been wanted in weeks without stock than was sold.
        cost_at_high_demand_amount: Had much more been wanted in them, which may cost less.
        fill_rate: Share of units that were there when they were wanted; None where nothing was wanted.
        stock_value_amount: Mean stock at the ends of weeks, at unit cost.
        orders_count: Order lines.
    """

    policy: str
    holding_amount: int
    lost_margin_amount: int
    cost_at_low_demand_amount: int
    cost_at_high_demand_amount: int
    fill_rate: float | None
    stock_value_amount: int
    orders_count: int

    @property
    def cost_amount(self) -> int:
        """Holding and lost margin together."""
        return self.holding_amount + self.lost_margin_amount


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """A replay, the current policy first, then the cheapest.

    `left_out` has sku, location_id and reason: items that lack a figure, and items that a plan would refuse, which are in no result;
    `items_count` does not count them. `estimated_rate` is the share of units wanted that is an estimate, because the item was out of stock.
    """

    results: tuple[PolicyResult, ...]
    currency_code: str
    first_date: date
    last_date: date
    items_count: int
    estimated_rate: float
    left_out: pl.DataFrame

    @property
    def weeks_count(self) -> int:
        """Whole weeks."""
        return ((self.last_date - self.first_date).days + 1) // WEEK_DAYS


def replay_history(
    conn: duckdb.DuckDBPyConnection,
    *,
    settings: Settings,
    policies: Sequence[str],
    since: date | None = None,
    until: date | None = None,
    sku: str | None = None,
    category: str | None = None,
    location_id: str | None = None,
    on_progress: Callable[[str, float], None] | None = None,
) -> ReplayReport:
    """What the weeks from `since` to `until` would have cost under each policy, decided week by week on what was known then.

    All begin with the same stock, the mean demand of lead and review time, and nothing on its way. Lead times are drawn from
    each item's receipts and promises; the clairvoyant alone has the usual one. Of the units that are not there the share
    `lost_sales_share` is lost. `current` keeps to the settings and rules of today, each rule in its season; the ratios of `OURS` are
    tuned on the weeks before the first.

    Args:
        conn: A release or the warehouse.
        settings: For holding cost, the share of missed units that is lost, and the seed.
        policies: Names of `POLICIES`.
        since: A day of the first week; None is a year before the end, or as far back as the history allows.
        until: A day of the last week; None is the last whole week.
        sku: This item only.
        category: Items of this category only.
        location_id: This location only.
        on_progress: Called with what is done next and the share done.

    Raises:
        ContractError: A policy is not known, or there is nothing to replay.
    """
    unknown = [name for name in policies if name not in POLICIES]
    if unknown:
        raise ContractError(f"There is no policy {', '.join(map(repr, unknown))}; there are {', '.join(POLICIES)}.")
    inputs = read_replay_inputs(
        conn,
        holding_cost_rate=settings.holding_cost_rate,
        lost_sales_share=settings.lost_sales_share,
        sku=sku,
        category=category,
        location_id=location_id,
    )
    if inputs.panel.is_empty():
        raise ContractError(f"No item can be replayed: {inputs.left_out['reason'].head(1).to_list()[0]}")
    first, last = replay_weeks(inputs.panel, since, until)
    worlds = _worlds([name for name in policies if name != CURRENT], _tuned(policies, inputs, first, seed=settings.seed))
    if CURRENT in policies:
        worlds.insert(0, ({CURRENT: _current(conn, inputs, settings, weeks=(first, last))}, inputs.items))
    told = [
        inventory.replay(
            inputs.panel, names, start=first, end=last, frequency="weekly", items=items, seed=settings.seed, on_progress=on_progress
        )
        for names, items in worlds
    ]
    return _report(told, inputs, first=first, last=last)


def _report(told: Sequence[Replay], inputs: ReplayInputs, *, first: date, last: date) -> ReplayReport:
    """The worlds that were lived through, as one; what any of them refused is left out."""
    refused = pl.concat([inputs.left_out, *(one.left_out for one in told)])
    left_out = refused.unique(SERIES_KEY, keep="first", maintain_order=True).sort(SERIES_KEY)
    results = [result for one in told for result in results_of(one)]
    return ReplayReport(
        results=tuple(sorted(results, key=lambda one: (one.policy != CURRENT, one.cost_amount))),
        currency_code=inputs.currency_code,
        first_date=first,
        last_date=last + timedelta(days=WEEK_DAYS - 1),
        items_count=inputs.items.join(left_out, on=SERIES_KEY, how="anti").height,
        estimated_rate=(told[-1].estimated_rate or 0.0) if told else 0.0,
        left_out=left_out,
    )


def _tuned(policies: Sequence[str], inputs: ReplayInputs, first: date, *, seed: int) -> ReplayInputs:
    """With ratios for `OURS` that the weeks before the first ask for; no other policy reads them."""
    if OURS not in policies:
        return inputs
    before = inputs.panel.filter(pl.col("demand_date") < first)
    return dataclasses.replace(inputs, items=inventory.tune_items(before, _POLICY, frequency="weekly", items=inputs.items, seed=seed))


def _current(conn: duckdb.DuckDBPyConnection, inputs: ReplayInputs, settings: Settings, *, weeks: tuple[date, date]) -> OrderRule:
    """What runs order by the settings and the rules that count on the day after the as-of day, each in its season."""
    on = run_context(conn).as_of_date + timedelta(days=1)
    policies = policies_by_week(conn, inputs.items, read_rules(conn), on=on, weeks=weeks, settings=settings)
    return current_rule(conn, inputs, policies, learn=OneFit(), seed=settings.seed)


def _worlds(policies: Sequence[str], inputs: ReplayInputs) -> list[tuple[dict[str, Any], pl.DataFrame]]:
    """Policies and items that are replayed together: who knows what is to come is not surprised by a delivery either."""
    named = {name: _POLICY if name == OURS else name for name in policies if name != CLAIRVOYANT}
    usual = inputs.items.with_columns(pl.col("lead_periods").list.median().floor().cast(pl.Int64))
    worlds: list[tuple[dict[str, Any], pl.DataFrame]] = [(named, inputs.items)] if named else []
    return [*worlds, ({CLAIRVOYANT: CLAIRVOYANT}, usual)] if CLAIRVOYANT in policies else worlds


def replay_weeks(panel: pl.DataFrame, since: date | None, until: date | None) -> tuple[date, date]:
    """Mondays of the first week and of the last, as `replay_history` takes them.

    Raises:
        ContractError: The history is too short, or does not reach there.
    """
    weeks: list[date] = panel["demand_date"].unique().sort().to_list()
    least, newest = weeks[0] + timedelta(weeks=LEARN_WEEKS), weeks[-1]
    last = newest if until is None else until - timedelta(days=until.weekday())
    first = max(least, last - timedelta(weeks=YEAR_WEEKS - 1)) if since is None else since - timedelta(days=since.weekday())
    there = (newest - weeks[0]).days // WEEK_DAYS + 1
    if first < least or last > newest or last - first < timedelta(weeks=LEAST_WEEKS - 1):
        raise ContractError(
            f"The history in whole weeks goes from {weeks[0]} to {newest + timedelta(days=WEEK_DAYS - 1)}, {counted(there, 'week')}; "
            f"a replay needs {LEARN_WEEKS} of them to learn from before its first one, and lasts at least {LEAST_WEEKS}: "
            "give other days, or import more history."
        )
    return first, last


def results_of(told: Replay) -> list[PolicyResult]:
    """One result per policy, in their order."""
    rows = told.frame.join(told.bounds, on="policy", maintain_order="left")
    return [
        PolicyResult(
            policy=row["policy"],
            holding_amount=round(row["holding"]),
            lost_margin_amount=round(row["shortage"]),
            cost_at_low_demand_amount=round(row["cost_at_low_demand"]),
            cost_at_high_demand_amount=round(row["cost_at_high_demand"]),
            fill_rate=row["fill_rate"],
            stock_value_amount=round(row["average_stock_amount"]),
            orders_count=row["orders"],
        )
        for row in rows.iter_rows(named=True)
    ]
