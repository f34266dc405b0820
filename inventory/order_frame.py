"""The lines of a plan as frames: quantities, risks, costs, and the words that go with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from inventory.order_steps import lay_out, sentence, steps_frame

if TYPE_CHECKING:
    from forecasting.schema import FloatArray
    from inventory.item_terms import ItemTerms
    from inventory.stock_position import StockPosition

NUMBERS: Final = (
    "raw", "ratio", "packs", "minimum", "maximum", "order", "is_filled", "demand_before", "demand_within", "lost_before", "inbound",
    "stock_at_arrival", "stockout_rate", "enough_rate", "cost_accepted", "ignored_0.5", "ignored_0.9",
)  # fmt: skip
ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class PlanLines:
    """What is known of each series' order, filled in as series are decided.

    Attributes:
        numbers: By name of `NUMBERS`, [series]; 0 where a series is not planned.
        models: Per series, the forecast's model; None where it is not planned.
        fallbacks: Per series, why the model is not the usual one.
        problems: Per series, why it is not planned; None where it is.
    """

    numbers: dict[str, FloatArray]
    models: list[str | None]
    fallbacks: list[str | None]
    problems: list[str | None]

    @classmethod
    def empty(cls, stock: StockPosition, problems: list[str | None]) -> PlanLines:
        """Nothing decided yet."""
        count = stock.keys.height
        return cls({name: np.zeros(count) for name in NUMBERS}, [None] * count, [None] * count, problems)


def line_frames(
    lines: PlanLines, stock: StockPosition, terms: ItemTerms, *, unit: str, review_periods: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The plan's rows and its steps, as in `OrderPlan`."""
    numbers = lines.numbers
    is_planned = np.array([problem is None for problem in lines.problems], dtype=np.bool_)
    binding = [_binding(index, numbers) if planned else None for index, planned in enumerate(is_planned.tolist())]
    reasons = [
        _reason(index, numbers, str(limit), unit, review_periods) if problem is None else f"No recommendation: {problem}."
        for index, (limit, problem) in enumerate(zip(binding, lines.problems, strict=True))
    ]

    def known(name: str, values: FloatArray) -> pl.Series:
        return pl.Series(name, np.where(is_planned, values, np.nan)).fill_nan(None)

    frame = stock.keys.with_columns(
        known("raw_qty", numbers["raw"]),
        pl.Series("order_qty", numbers["order"]),
        pl.Series("on_hand_qty", stock.on_hand),
        pl.Series("committed_qty", stock.committed),
        pl.Series("backorder_qty", stock.backorders),
        known("inbound_qty", numbers["inbound"]),
        known("demand_qty", numbers["demand_before"] + numbers["demand_within"]),
        known("stock_at_arrival_qty", numbers["stock_at_arrival"]),
        known("critical_ratio", numbers["ratio"]),
        known("enough_rate", numbers["enough_rate"]),
        known("p_stockout_if_ignored", numbers["stockout_rate"]),
        known("cost_if_ignored_p50", numbers["ignored_0.5"]),
        known("cost_if_ignored_p90", numbers["ignored_0.9"]),
        known("cost_if_accepted", numbers["cost_accepted"]),
        known("unit_cost", terms.unit_cost),
        pl.Series("binding_constraint", binding, dtype=pl.String),
        pl.Series("model", lines.models, dtype=pl.String),
        pl.Series("fallback_reason", lines.fallbacks, dtype=pl.String),
        pl.Series("no_recommendation_reason", lines.problems, dtype=pl.String),
        pl.Series("note", stock.notes, dtype=pl.String),
        pl.Series("reason", reasons, dtype=pl.String),
    )
    return frame, _steps(lines, stock, is_planned.astype(np.float64))


def _steps(lines: PlanLines, stock: StockPosition, is_planned: FloatArray) -> pl.DataFrame:
    # 0.0 - x, since -x of nothing is -0.0
    numbers = lines.numbers
    parts = {
        "demand_before_arrival": numbers["demand_before"],
        "demand_of_own_periods": numbers["demand_within"],
        "lost_before_arrival": 0.0 - numbers["lost_before"],
        "on_hand": 0.0 - stock.on_hand,
        "committed": stock.committed,
        "backorders": stock.backorders,
        "inbound": 0.0 - numbers["inbound"],
    }
    later = {
        "order_multiple": numbers["packs"],
        "minimum_order": numbers["minimum"],
        "maximum_order": numbers["maximum"],
        "budget": numbers["order"],
    }
    return steps_frame(stock.keys, lay_out(parts, numbers["raw"], later), is_planned)


def _binding(index: int, numbers: dict[str, FloatArray]) -> str:
    """What decided the quantity in the end: the last thing that changed it."""
    raw, packs, minimum, maximum, order = (float(numbers[name][index]) for name in ("raw", "packs", "minimum", "maximum", "order"))
    for name, before, after in (
        ("budget", maximum, order),
        ("maximum_order", minimum, maximum),
        ("minimum_order", packs, minimum),
        ("order_multiple", raw, packs),
    ):
        if abs(before - after) > ROUNDING:
            return name
    return "fill_rate" if numbers["is_filled"][index] else "none"


def _reason(index: int, numbers: dict[str, FloatArray], binding: str, unit: str, review_periods: int) -> str:
    line = {
        "order_qty": float(numbers["order"][index]),
        "raw_qty": round(float(numbers["raw"][index]), 2),
        "stock_at_arrival": float(numbers["stock_at_arrival"][index]),
        "own_demand": float(numbers["demand_within"][index]),
        "critical_ratio": float(numbers["ratio"][index]),
        "enough_rate": float(numbers["enough_rate"][index]),
        "review_periods": float(review_periods),
    }
    return sentence(line, binding, unit)
