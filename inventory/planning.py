"""What to order now, for every series of a stock position, with the reason for each quantity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.matrix import as_matrix
from forecasting.schema import SERIES_KEY, check_frames, check_frequency, check_not_negative
from inventory.demand_paths import PATHS, DemandLaw, demand_problems, learn_demand
from inventory.item_terms import ItemTerms, key_texts, read_items
from inventory.order_frame import PlanLines, line_frames
from inventory.ordering import Decision, decide
from inventory.policy import Policy
from inventory.spending import Spending, spend
from inventory.stock_position import StockPosition, read_position
from inventory.true_demand import with_sold_out_highs
from inventory.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray, IntArray, PathArray

WEIGHED_QUANTILES: Final = (0.5, 0.9)


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """Orders of one decision.

    Attributes:
        frame: One row per series of the position, sorted by sku and location_id: raw_qty (before packs, minimum, maximum and budget) and
            order_qty; on_hand_qty, committed_qty, backorder_qty, inbound_qty (there in time); demand_qty (mean over lead and review time),
            stock_at_arrival_qty (mean); critical_ratio and enough_rate (share of simulated paths on which nothing ordered is enough);
            p_stockout_if_ignored (a unit is missing before the next review's order could be there), cost_if_ignored_p50 and _p90 (what the
            order could save, at the policy's shortage cost), cost_if_accepted (expected holding of what is left of the order at the end of
            each of its own periods, as if its need grew evenly over them, and shortage that is left at the end of the last);
            binding_constraint; model, fallback_reason; no_recommendation_reason, with
            which order_qty is 0 and all that is not known null; note (what was taken otherwise than told) and reason, one plain sentence.
        steps: sku, location_id, step_number, step, qty, note: contributions that add up to "raw_quantity" and on to "order_quantity".
        spending: How far the budget went; None without one.
    """

    frame: pl.DataFrame
    steps: pl.DataFrame
    spending: Spending | None


def plan_orders(
    panel: pl.DataFrame,
    position: pl.DataFrame,
    inbound: pl.DataFrame | None,
    policy: Policy,
    *,
    frequency: str,
    items: pl.DataFrame | None = None,
    attributes: pl.DataFrame | None = None,
    calendar: pl.DataFrame | None = None,
    seed: int = 0,
) -> OrderPlan:
    """What to order at the end of the panel's last period.

    Nothing later than the panel's last period is seen but the calendar. An order with lead L is sellable in period L + 1 after it.

    Args:
        panel: sku, location_id, demand_date, demand_qty, is_censored, as for forecasts.
        position: sku, location_id, on_hand_qty at the end of the last period, perhaps committed_qty (part of it) and backorder_qty.
        inbound: sku, location_id, arrives_in_periods (1: sellable in the next period), qty; None is nothing on its way.
        policy: What holds for all series.
        frequency: "daily", "weekly" or "monthly".
        items: sku, location_id or both, and what differs: holding_cost, shortage_cost, lead_periods (a whole number, or a list of equally
            likely ones), pack_qty, min_order_qty, max_order_qty, critical_ratio, unit_cost (money; needed for a budget).
        attributes: For pooled profiles, as for forecasts.
        calendar: What is known ahead, as for forecasts.
        seed: Seed of the simulated demand; the same seed gives the same plan, whatever the order of rows.

    Raises:
        ValueError: A frame lacks a column or has one of another kind, or an argument is wrong. What is wrong with a single series is
            its row's `no_recommendation_reason`.
    """
    period = check_frequency(frequency)
    check_frames(panel=panel, position=position, inbound=inbound, items=items, attributes=attributes, calendar=calendar)
    check_not_negative(seed=seed)
    matrix = with_sold_out_highs(panel, as_matrix(panel, frequency=period, attributes=attributes, calendar=calendar))
    keys = read_position(position, None, horizon=1).keys
    terms = read_items(keys, items, policy)
    horizon = int(terms.longest_lead.max(initial=0)) + policy.review_periods
    stock = read_position(position, inbound, horizon=horizon)
    row_of = _rows_in(matrix, stock.keys)
    problems = _problems(matrix, row_of, stock, terms, policy)
    _note_repeats(stock, panel)
    lines = PlanLines.empty(stock, problems)
    planned = np.flatnonzero([problem is None for problem in problems])
    needs = np.zeros((stock.keys.height if policy.budget_amount is not None else 0, PATHS))
    for law, rows, paths in _simulated(matrix, row_of, planned, terms, policy, seed=seed):
        is_whole = np.ones(stock.keys.height, dtype=np.bool_)
        is_whole[planned] = law.is_whole[row_of[planned]]
        decision = decide(
            paths, rows=rows, on_hand=stock.free, arriving=stock.arriving, terms=terms, policy=policy, is_whole=is_whole, seed=seed
        )
        _note(lines, rows, decision, law=law, row_of=row_of, terms=terms, review_periods=policy.review_periods)
        if len(needs):
            needs[rows] = decision.needs.need
    spending = _within_budget(lines, needs, terms, policy)
    frame, steps = line_frames(lines, stock, terms, unit=matrix.period_name, review_periods=policy.review_periods)
    return OrderPlan(frame=frame, steps=steps, spending=spending)


def _rows_in(matrix: SeriesMatrix, keys: pl.DataFrame) -> IntArray:
    """[series of the position]; its row in the matrix, -1 where it has none."""
    numbered = key_texts(matrix.keys).with_row_index("row")
    found = key_texts(keys).join(numbered, on=SERIES_KEY, how="left", maintain_order="left")
    return found["row"].cast(pl.Int64).fill_null(-1).to_numpy()


def _problems(matrix: SeriesMatrix, row_of: IntArray, stock: StockPosition, terms: ItemTerms, policy: Policy) -> list[str | None]:
    """Why a series cannot be planned: the first reason there is."""
    demand = demand_problems(matrix)
    result: list[str | None] = []
    for row, own, item, cost in zip(row_of.tolist(), stock.problems, terms.problems, np.isnan(terms.unit_cost).tolist(), strict=True):
        unknown = "has no demand history in the panel" if row < 0 else None
        money = "not available within a budget: needs unit_cost" if policy.budget_amount is not None and cost else None
        result.append(own or unknown or demand[row] or item or money)
    return result


def _note_repeats(stock: StockPosition, panel: pl.DataFrame) -> None:
    """Rows of one series and date are added up, as order lines are; where they are many it may be a mistake."""
    repeats = panel.group_by(*SERIES_KEY, "demand_date").len().filter(pl.col("len") > 1).group_by(SERIES_KEY).len("dates")
    if repeats.is_empty():
        return
    told = key_texts(stock.keys).join(key_texts(repeats), on=SERIES_KEY, how="left", maintain_order="left")["dates"].to_list()
    for row, dates in enumerate(told):
        if dates:
            said = f"demand of {counted(dates, 'date')} with several rows each was added up"
            stock.notes[row] = "; ".join(filter(None, (stock.notes[row], said)))


def _simulated(
    matrix: SeriesMatrix, row_of: IntArray, planned: IntArray, terms: ItemTerms, policy: Policy, *, seed: int
) -> Iterator[tuple[DemandLaw, IntArray, PathArray]]:
    """Demand of the planned series, those of one usual horizon together; trees have a say at the horizon that most series have.

    The spread is learnt for the usual lead time: over a longer one it is wider, and would be carried into every shorter one.
    """
    if not len(planned):
        return
    horizons = terms.usual_lead[planned] + policy.review_periods
    values, counts = np.unique(horizons, return_counts=True)
    usual = int(values[np.argmax(counts)])
    law = learn_demand(matrix, periods=usual, seed=seed)
    for horizon in values.tolist():
        some = planned[horizons == horizon]
        own = law if horizon == usual else law.over(horizon)
        longest = int(terms.longest_lead[some].max()) + policy.review_periods
        for place, paths in own.chunks(row_of[some], periods=longest, seed=seed):
            yield own, some[place], paths


def _note(
    lines: PlanLines, rows: IntArray, decision: Decision, *, law: DemandLaw, row_of: IntArray, terms: ItemTerms, review_periods: int
) -> None:
    """Write what was decided of some series into their lines."""
    needs, rounded = decision.needs, decision.rounded
    values = {
        "raw": decision.raw,
        "ratio": decision.ratio,
        "packs": rounded.packs,
        "minimum": rounded.minimum,
        "maximum": rounded.maximum,
        "order": rounded.maximum,
        "is_filled": decision.is_filled,
        "demand_before": needs.demand_before,
        "demand_within": needs.demand_within,
        "lost_before": needs.lost_before,
        "inbound": needs.inbound,
        "stock_at_arrival": needs.stock_at_arrival,
        "stockout_rate": needs.stockout_rate,
        "enough_rate": (needs.need <= 0).mean(axis=1),
        "cost_accepted": _accepted(rounded.maximum, needs.need, terms, rows, review_periods=review_periods),
    }
    for name, value in values.items():
        lines.numbers[name][rows] = value
    for level in WEIGHED_QUANTILES:
        lines.numbers[f"ignored_{level}"][rows] = terms.shortage_cost[rows] * np.quantile(needs.need, level, axis=1)
    for row in rows.tolist():
        lines.models[row], lines.fallbacks[row] = law.names[row_of[row]], law.reasons[row_of[row]]


def _accepted(quantity: FloatArray, need: FloatArray, terms: ItemTerms, rows: IntArray, *, review_periods: int) -> FloatArray:
    """Holding of what is left of the order at each end of its own periods, as if the need grew evenly over them, and shortage left."""
    left = np.zeros(len(quantity))
    for period in range(1, review_periods + 1):
        left += np.maximum(quantity[:, None] - need * (period / review_periods), 0.0).mean(axis=1)
    short = np.maximum(need - quantity[:, None], 0.0).mean(axis=1)
    result: FloatArray = terms.holding_cost[rows] * left + terms.shortage_cost[rows] * short
    return result


def _within_budget(lines: PlanLines, needs: FloatArray, terms: ItemTerms, policy: Policy) -> Spending | None:
    if policy.budget_amount is None:
        return None
    numbers = lines.numbers
    order, spending = spend(
        numbers["maximum"],
        needs,
        numbers["ratio"],
        shortage_cost=terms.shortage_cost,
        smallest=terms.supplier.smallest,
        pack=terms.supplier.pack,
        unit_cost=np.nan_to_num(terms.unit_cost),
        budget=float(policy.budget_amount),
    )
    changed = np.flatnonzero(order != numbers["maximum"])
    numbers["order"][:] = order
    numbers["cost_accepted"][changed] = _accepted(order[changed], needs[changed], terms, changed, review_periods=policy.review_periods)
    return spending
