"""Stock moved between the merchant's own places: a weekly look for shelves that ran empty while another place has plenty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipelines.simulator.clock import DAY, HOUR, MINUTE, Clock, FloatArray, IntArray

if TYPE_CHECKING:
    from pipelines.simulator.scenarios import Scenario

_WEEKDAY: Final = 2  # Wednesday evening
_KEEPS_DAYS: Final = 45  # cover that the giving place keeps
_GIVES_DAYS: Final = 14  # cover that the receiving place gets
_WORKING_DAYS: Final = 2


@dataclass(frozen=True, slots=True)
class Transfers:
    """One entry per sku moved; lines with the same way and moment are one transfer. Moments are local seconds."""

    source: IntArray  # cells
    target: IntArray
    source_place: IntArray
    target_place: IntArray
    quantity: IntArray
    shipped: IntArray
    received: IntArray


def no_transfers() -> Transfers:
    """Nothing moved."""
    return Transfers(*[np.empty(0, dtype=np.int64)] * 7)


def is_transfer_day(scenario: Scenario, clock: Clock, day: int) -> bool:
    """Whether the merchant balances its places on this evening: Wednesdays of the last 120 of the scenario's own days and after."""
    return len(scenario.places) > 1 and day >= scenario.days - 120 and bool(clock.weekday[day] == _WEEKDAY)


def balance(day: int, clock: Clock, *, places: int, free: IntArray, position: IntArray, expected_daily: FloatArray) -> Transfers:
    """What leaves this evening, from the place with most to spare of each sku to the one that has nothing and expects nothing.

    Args:
        day: Local day.
        clock: For working days.
        places: Number of places; cells are sku x place.
        free: Units per cell that nobody was promised.
        position: Units per cell with what is on order and what customers wait for.
        expected_daily: Units a day per cell.
    """
    shape = (-1, places)
    spare = np.floor(free - _KEEPS_DAYS * expected_daily).reshape(shape)
    wish = np.where((position <= 0) & (expected_daily > 0), np.ceil(_GIVES_DAYS * expected_daily), 0).reshape(shape)
    giver, taker = spare.argmax(axis=1), wish.argmax(axis=1)
    sku = np.arange(len(spare))
    quantity = np.minimum(spare[sku, giver], wish[sku, taker]).astype(np.int64)
    moved = np.flatnonzero((quantity > 0) & (giver != taker))
    moved = moved[np.lexsort((moved, taker[moved], giver[moved]))]
    count = len(moved)
    arrival = clock.working_day(np.full(count, day + 1), _WORKING_DAYS) * DAY + 8 * HOUR
    return Transfers(
        source=moved * places + giver[moved],
        target=moved * places + taker[moved],
        source_place=giver[moved],
        target_place=taker[moved],
        quantity=quantity[moved],
        shipped=np.full(count, day * DAY + 20 * HOUR + 30 * MINUTE),
        received=arrival,
    )
