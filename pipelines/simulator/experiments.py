"""Two comparisons the merchant runs: who is in them, and what the second variant truly changes.

- `packaging-2026`: every order; B spares a share of the returns for damage.
- `delivery-window-2026`: web orders by standard service; B takes a day off a journey of two days or more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipelines.simulator.clock import DAY, BoolArray, IntArray, stream

if TYPE_CHECKING:
    from pipelines.simulator.scenarios import Scenario

PACKAGING: Final = "packaging-2026"
DELIVERY_WINDOW: Final = "delivery-window-2026"
SPARED_DAMAGE_RATE: Final = 0.5  # share of returns for damage that the better packaging avoids
VARIANTS: Final = ("A", "B")
A, B = range(2)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Variant of each basket in each experiment, -1 where it takes no part, and the days on the road that B saved it."""

    packaging: IntArray
    delivery_window: IntArray
    saved_days: IntArray


def first_day(scenario: Scenario) -> int:
    """Day on which both start: the last 120 of the scenario's own days, and not more than three quarters of them."""
    return scenario.days - min(120, scenario.days * 3 // 4)


def assign(scenario: Scenario, created: IntArray, transit_days: IntArray, *, takes_window: BoolArray, seed: int) -> Assignment:
    """Each order is put into A or B by a coin of its own when it is placed; `transit_days` are those without any experiment."""
    has_started = created >= first_day(scenario) * DAY
    packaging, window = (
        np.where(takes_part, (stream(seed, f"experiment-{name}").random(len(created)) < 0.5).astype(np.int64), -1)
        for name, takes_part in ((PACKAGING, has_started), (DELIVERY_WINDOW, has_started & takes_window))
    )
    return Assignment(packaging, window, ((window == B) & (transit_days >= 2)).astype(np.int64))
