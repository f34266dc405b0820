"""What comes back, why, and when; decided by draws that belong to the line, whatever stock did to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipelines.simulator.clock import DAY, HOUR, NEVER, BoolArray, Clock, FloatArray, IntArray

if TYPE_CHECKING:
    from pipelines.simulator.catalogue import Catalogue
    from pipelines.simulator.ordering import Lines

REASONS: Final = ("changed_mind", "wrong_size", "not_as_described", "damaged", "wrong_item", "arrived_too_late")
_REASON_RATES: Final = (0.34, 0.24, 0.16, 0.13, 0.08, 0.05)
DAMAGED: Final = 3


@dataclass(frozen=True, slots=True)
class Returns:
    """One entry per returned line. `part` points at the shipped part it comes from; moments are local seconds."""

    part: IntArray
    line: IntArray
    quantity: IntArray
    reason: IntArray
    created: IntArray
    received: IntArray
    refunded: IntArray
    is_restocked: BoolArray


def plan_returns(lines: Lines, catalogue: Catalogue, clock: Clock, *, line: IntArray, quantity: IntArray, delivered: IntArray) -> Returns:
    """Returns of shipped parts, given when each arrived; a pure function of the line's own draws.

    Args:
        line: Line of each part; only a line's first part may come back, so the caller passes first parts only.
        quantity: Units in the part.
        delivered: When the part arrived, NEVER when it did not.
    """
    rate = catalogue.return_rate[lines.sku[line]]
    comes_back = np.flatnonzero((lines.draw[line] < rate) & (delivered < NEVER))
    chosen, share = line[comes_back], lines.draw[line[comes_back]] / rate[comes_back]
    second = lines.second_draw[chosen]
    units = quantity[comes_back]
    returned = np.where(share < 0.75, units, np.maximum(np.ceil(units * (share - 0.75) * 4).astype(np.int64), 1))
    created = delivered[comes_back] + 6 * HOUR + (second * second * 20 * DAY).astype(np.int64)
    third, fourth = (share * 17.0) % 1.0, (second * 23.0) % 1.0
    received_day = clock.working_day(created // DAY + 2 + (third * 9).astype(np.int64))
    received = np.where(fourth < 0.05, NEVER, received_day * DAY + 7 * HOUR + (fourth * 4 * HOUR).astype(np.int64))
    refunded = np.where(received < NEVER, received + 3 * HOUR + (third * fourth * 6 * DAY).astype(np.int64), NEVER)
    reason = np.searchsorted(np.cumsum(_REASON_RATES)[:-1], (second * 41.0) % 1.0)
    is_restocked = (reason != DAMAGED) & (third > 0.12) & (received < NEVER) & ~lines.is_direct[chosen]
    kept = ~((reason == DAMAGED) & lines.is_spared[chosen])
    found = (comes_back, chosen, returned, reason.astype(np.int64), created, received, refunded, is_restocked)
    return Returns(*(values[kept] for values in found))


def refund_cents(line_cents: FloatArray, line_quantity: IntArray, returned: IntArray) -> IntArray:
    """What is paid back: the line's net price for each unit that came back."""
    return np.rint(line_cents * returned / line_quantity).astype(np.int64)
