"""What runs order by the settings and policy rules that hold, as a rule that a replay can live through, season by season."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.schema import SERIES_KEY
from inventory.item_terms import read_items
from inventory.money import bounded_ratio, money_ratio, rounding_ratio, unit_money
from inventory.policy import Policy
from inventory.rules import begun, in_force
from inventory.schema import OrderTerms
from inventory.standing import StandingRule
from pipelines.steps.rule_policies import policies_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from forecasting.schema import FloatArray
    from inventory.policy import ReplayState
    from inventory.rules import PolicyRule
    from inventory.schema import ReorderPolicy
    from inventory.simulation import Learner
    from pipelines.settings import Settings
    from pipelines.steps.recommend_policies import Item
    from pipelines.steps.replay_inputs import ReplayInputs

_WEEK_DAYS: Final = 7


Policies = dict["Item", "ReorderPolicy"]


@dataclass(frozen=True, slots=True)
class SeasonalRule:
    """The rule of each week; `by_week` by the Monday on which it is decided."""

    by_week: Mapping[date, StandingRule]

    def order(self, state: ReplayState) -> FloatArray:
        """[series] units that the week's rule asks for."""
        return self.by_week[state.known.date_of(state.known.periods_count)].order(state)


def policies_by_week(
    conn: duckdb.DuckDBPyConnection,
    keys: pl.DataFrame,
    rules: Sequence[PolicyRule],
    *,
    on: date,
    weeks: tuple[date, date],
    settings: Settings,
) -> dict[date, Policies]:
    """The policies that the versions of one day come to in each past week, by their seasons and whenever they began.

    Args:
        conn: A release or the warehouse.
        keys: sku, location_id.
        rules: All versions that nobody has reverted.
        on: The day whose versions count.
        weeks: Mondays of the first week and the last; one is decided on the Monday after it as well.
        settings: What holds where no rule says otherwise.
    """
    counting = [replace(rule, valid_from=date.min) for rule in begun(rules, on=on) if rule.valid_to is None or rule.valid_to >= on]
    known: dict[tuple[str, ...], Policies] = {}
    found: dict[date, Policies] = {}
    for number in range((weeks[1] - weeks[0]).days // _WEEK_DAYS + 2):
        monday = weeks[0] + timedelta(weeks=number)
        held = tuple(rule.name for rule in in_force(counting, on=monday))
        if held not in known:
            known[held] = policies_of(conn, keys, counting, on=monday, settings=settings)
        found[monday] = known[held]
    return found


def current_rule(
    conn: duckdb.DuckDBPyConnection, inputs: ReplayInputs, policies: Mapping[date, Policies], *, learn: Learner, seed: int
) -> SeasonalRule:
    """What runs would order in each week.

    Args:
        conn: A release or the warehouse.
        inputs: The items.
        policies: From `policies_by_week`, of every item of the inputs.
        learn: How demand is learnt.
        seed: Of the paths.
    """
    distinct = {id(one): one for one in policies.values()}
    rules = {key: _standing_rule(conn, inputs, one, learn=learn, seed=seed) for key, one in distinct.items()}
    return SeasonalRule({monday: rules[id(one)] for monday, one in policies.items()})


def _standing_rule(conn: duckdb.DuckDBPyConnection, inputs: ReplayInputs, policies: Policies, *, learn: Learner, seed: int) -> StandingRule:
    """The method, the ratio and the quantities of every item that is replayed; days become whole weeks, rounded up."""
    prices = conn.sql("SELECT sku, list_price_amount FROM marts.dim_products").pl()
    items = inputs.items.sort(SERIES_KEY).join(prices, on="sku", how="left", maintain_order="left")
    kept = [policies[key] for key in items.select(SERIES_KEY).iter_rows()]
    asked = [_asked(row["unit_cost"], row["list_price_amount"], one) for row, one in zip(items.iter_rows(named=True), kept, strict=True)]
    ratios = [bounded_ratio(ratio, one) for ratio, one in zip(asked, kept, strict=True)]
    told = items.with_columns(pl.Series("critical_ratio", ratios, dtype=pl.Float64))
    return StandingRule(
        method=np.array([one.method for one in kept], dtype=np.str_),
        terms=read_items(items.select(SERIES_KEY), told, Policy()),
        rounding_ratio=_numbers([rounding_ratio(ratio, one) for ratio, one in zip(asked, kept, strict=True)]),
        review_periods=np.array([-(-one.review_period_days // _WEEK_DAYS) for one in kept], dtype=np.int64),
        min_qty=_numbers([one.min_qty for one in kept]),
        max_qty=_numbers([one.max_qty for one in kept]),
        reorder_qty=_numbers([one.reorder_qty for one in kept]),
        cover_periods=_numbers([one.cover_days for one in kept]) / _WEEK_DAYS,
        min_fill_rate=_numbers([one.min_fill_rate for one in kept]),
        learn=learn,
        seed=seed,
    )


def _asked(unit_cost: float, list_price: int, policy: ReorderPolicy) -> float | None:
    """The quantile that money asks for."""
    return money_ratio(unit_money(OrderTerms(round(unit_cost), list_price, 0, 1, None), policy), policy)


def _numbers(values: Sequence[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
