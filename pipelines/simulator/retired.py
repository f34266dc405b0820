"""Orders for items that were retired shortly before: somebody still had the page open, and nothing is there to send."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pipelines.simulator.clock import IntArray, stream
from pipelines.simulator.ordering import CHANGED_MIND, RETIRED

if TYPE_CHECKING:
    from pipelines.simulator.catalogue import Catalogue
    from pipelines.simulator.fulfilment import Flow
    from pipelines.simulator.ordering import Lines, Orders

RETIRED_FOR_DAYS = 45  # how long after an item was retired somebody may still order it
_RATE = 0.35  # of the orders of one item that are called off anyway; about one order in a thousand


def order_retired_items(
    orders: Orders, lines: Lines, flow: Flow, catalogue: Catalogue, *, places: int, seed: int
) -> tuple[Orders, Lines, Flow]:
    """Some orders of one item that their customers call off are orders for a retired item instead, called off because it is gone.

    They take no stock, neither of the retired item nor of the one they stand in for, so nothing else in the history changes.
    """
    line = _chosen(orders, lines, flow, seed=seed)
    pick = stream(seed, "retired-item").random(len(orders))[lines.order[line]]
    sku = np.array([_recently_retired(catalogue, day, chance) for day, chance in zip(lines.day[line], pick, strict=True)], dtype=np.int64)
    line, sku = line[sku >= 0], sku[sku >= 0]
    new_sku, new_cell, reason = lines.sku.copy(), lines.cell.copy(), orders.cancel_reason.copy()
    new_sku[line], new_cell[line] = sku, sku * places + lines.cell[line] % places
    reason[lines.order[line]] = RETIRED
    is_stopped = np.isin(flow.parts.line, line)
    parts = replace(flow.parts, freed=np.where(is_stopped, flow.parts.allocated, flow.parts.freed))
    return replace(orders, cancel_reason=reason), replace(lines, sku=new_sku, cell=new_cell), replace(flow, parts=parts)


def _chosen(orders: Orders, lines: Lines, flow: Flow, *, seed: int) -> IntArray:
    """The only line of some orders that the customer calls off."""
    wanted_lines = np.bincount(lines.order, minlength=len(orders))
    is_drawn = (orders.cancel_reason == CHANGED_MIND) & (wanted_lines == 1) & (stream(seed, "retired-order").random(len(orders)) < _RATE)
    chosen: IntArray = np.flatnonzero(is_drawn[lines.order] & (flow.accepted > 0) & ~lines.is_direct)
    return chosen


def _recently_retired(catalogue: Catalogue, day: int, chance: float) -> int:
    """One of the items retired before this day and not long ago, -1 where there is none."""
    age = day - catalogue.discontinued_day
    candidates = np.flatnonzero((age > 0) & (age <= RETIRED_FOR_DAYS))
    return int(candidates[int(chance * len(candidates))]) if len(candidates) else -1
