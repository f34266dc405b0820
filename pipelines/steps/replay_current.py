"""What runs order by the settings and policy rules that hold, as a rule that a replay can live through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.schema import SERIES_KEY
from inventory.item_terms import read_items
from inventory.money import bounded_ratio, money_ratio, rounding_ratio, unit_money
from inventory.policy import Policy
from inventory.schema import OrderTerms
from inventory.standing import StandingRule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from forecasting.schema import FloatArray
    from inventory.schema import ReorderPolicy
    from inventory.simulation import Learner
    from pipelines.steps.recommend_policies import Item
    from pipelines.steps.replay_inputs import ReplayInputs

_WEEK_DAYS: Final = 7


def current_rule(
    conn: duckdb.DuckDBPyConnection, inputs: ReplayInputs, policies: Mapping[Item, ReorderPolicy], *, learn: Learner, seed: int
) -> StandingRule:
    """The method, the ratio and the quantities of every item that is replayed; days become whole weeks, rounded up.

    Args:
        conn: A release or the warehouse.
        inputs: The items.
        policies: Of every item of the inputs.
        learn: How demand is learnt.
        seed: Of the paths.
    """
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
