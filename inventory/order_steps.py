"""Why each quantity: steps that add up to it, and one plain sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from inventory.wording import counted

if TYPE_CHECKING:
    from forecasting.schema import FloatArray

RAW: Final = "raw_quantity"
ORDER: Final = "order_quantity"
NEARLY_CERTAIN: Final = 0.995  # from here on whole percent say 100
MOST_SHARE: Final = 0.999


@dataclass(frozen=True, slots=True)
class Steps:
    """Contributions of every step, [step, series] in units, and what they are called.

    Attributes:
        names: One per step, in order; `RAW` and `ORDER` are sums of those before them.
        quantities: [step, series].
    """

    names: list[str]
    quantities: FloatArray


def lay_out(parts: dict[str, FloatArray], raw: FloatArray, later: dict[str, FloatArray]) -> Steps:
    """Steps to the raw quantity, what is left over as the share for uncertainty, then those to the order.

    Args:
        parts: What speaks for and against ordering in the mean, by name.
        raw: [series]; the raw quantity.
        later: By name, the quantity after packs, minimum, maximum and budget.
    """
    names, rows = list(parts), list(parts.values())
    total = np.zeros_like(raw)
    for row in rows:
        total = total + row
    names += ["uncertainty", RAW]
    rows += [raw - total, raw]
    before = raw
    for name, after in later.items():
        names.append(name)
        rows.append(after - before)
        before = after
    return Steps([*names, ORDER], np.stack([*rows, before]))


NOTES: Final = {
    "demand_before_arrival": "mean demand until the order is there",
    "demand_of_own_periods": "mean demand from then until the next review's order is there",
    "lost_before_arrival": "of it lost before the order is there, in the mean",
    "on_hand": "stock counted as being there",
    "committed": "of it promised already",
    "backorders": "ordered by customers and owed",
    "inbound": "on its way and there in time, in the mean",
    "uncertainty": "from the mean to the critical ratio: what demand and lead time may bring, or stock beyond all need",
    RAW: "sum of the steps above",
    "order_multiple": "to whole packs, up or down by expected cost",
    "minimum_order": "to the least order, or to none where that is worth less",
    "maximum_order": "to the most that can be ordered",
    "budget": "what the budget does not reach",
    ORDER: "sum of the raw quantity and the steps after it",
}


def steps_frame(keys: pl.DataFrame, steps: Steps, planned: FloatArray) -> pl.DataFrame:
    """Columns sku, location_id, step_number, step, qty, note: the steps of planned series, some only where they change something."""
    always = np.array(
        [name in {RAW, ORDER, "uncertainty", "demand_before_arrival", "demand_of_own_periods", "on_hand"} for name in steps.names]
    )
    shown = (always[:, None] | (steps.quantities != 0)) & (planned[None, :] > 0)
    series, step = np.nonzero(shown.T)
    number = np.cumsum(shown, axis=0)[step, series]
    return keys[series].with_columns(
        pl.Series("step_number", number.astype(np.int64)),
        pl.Series("step", [steps.names[index] for index in step.tolist()], dtype=pl.String),
        pl.Series("qty", steps.quantities[step, series]),
        pl.Series("note", [NOTES[steps.names[index]] for index in step.tolist()], dtype=pl.String),
    )


def sentence(line: dict[str, float], binding: str, unit: str) -> str:
    """One plain sentence on a planned series.

    Args:
        line: order_qty, raw_qty, stock_at_arrival, own_demand, critical_ratio, enough_rate and protection periods.
        binding: What decided the quantity in the end.
        unit: What a period is called.
    """
    arrival, own = line["stock_at_arrival"], line["own_demand"]
    if line["order_qty"] <= 0:
        enough = f"stock and what is on its way are enough with a probability of {_percent(line['enough_rate'])}"
        if line["raw_qty"] <= 0:
            return f"Order nothing: {enough}, and {_percent(line['critical_ratio'])} is asked for."
        return f"Order nothing: {line['raw_qty']:g} would be the quantity, but {_WHY_NOTHING[binding]}."
    stock = f"about {arrival:.1f} units are left when an order arrives" if arrival > 0 else "no stock is left when an order arrives"
    review = round(line["review_periods"])
    own_periods = unit if review == 1 else counted(review, unit)
    text = f"Order {line['order_qty']:g}: {stock}, about {own:.1f} sell in its own {own_periods}"
    return f"{text}, and to have enough in {_percent(line['critical_ratio'])} of cases takes {line['raw_qty']:g}{_AND[binding]}."


def _percent(share: float) -> str:
    """Whole percent, with a decimal where that would round to certainty; no number of paths shows that."""
    if share > MOST_SHARE:
        return f"over {MOST_SHARE:.1%}"
    return f"{share:.0%}" if share < NEARLY_CERTAIN else f"{share:.1%}"


_WHY_NOTHING: Final = {
    "minimum_order": "the least order saves less until the next review than it costs to hold",
    "order_multiple": "a whole pack saves less until the next review than it costs to hold",
    "budget": "the budget goes to what saves more for its money",
    "maximum_order": "the maximum allows none",
    "fill_rate": "it cannot be ordered",
    "none": "it cannot be ordered",
}
_AND: Final = {
    "none": "",
    "fill_rate": ", which the fill rate asked for",
    "order_multiple": ", in whole packs",
    "minimum_order": ", at least the minimum",
    "maximum_order": ", at most the maximum",
    "budget": ", as far as the budget goes",
}
