"""Who orders: customers with a rhythm of their own, who come, buy for a while and leave without saying so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipelines.simulator.clock import DAY, MINUTE, BoolArray, FloatArray, IntArray, stream

if TYPE_CHECKING:
    from pipelines.simulator.scenarios import Scenario

REGIONS: Final = (
    ("DE", "DE-BE"), ("DE", "DE-HH"), ("DE", "DE-NW"), ("DE", "DE-BY"), ("DE", "DE-SN"), ("AT", "AT-9"), ("AT", "AT-6"), ("NL", "NL-NH"),
    ("CH", "CH-ZH"),
)  # fmt: skip
REGION_RATES: Final = (0.17, 0.12, 0.21, 0.16, 0.1, 0.11, 0.05, 0.08)  # the last region takes its share from all others
SWISS: Final = len(REGIONS) - 1
_SWISS_RATE = 0.03
_KNOWN_BEFORE = 0.12  # share of customers who were there before the first day
_MEAN_LIFE_DAYS = 320.0


@dataclass(frozen=True, slots=True)
class Customers:
    """One entry per customer in order of arrival; `of_order` has one per order. Moments are local seconds."""

    created: IntArray
    death_day: FloatArray
    relative_rate: FloatArray
    region: IntArray
    of_order: IntArray

    @property
    def is_swiss(self) -> BoolArray:
        """Customers who pay in francs."""
        is_swiss: BoolArray = self.region == SWISS
        return is_swiss


def draw_customers(scenario: Scenario, order_created: IntArray, *, seed: int) -> Customers:
    """Customers for orders that stand in order of time.

    A share of orders brings a new customer; every other order goes to somebody who came on an earlier day and has not
    left, in proportion to each one's own rate (gamma), until each one's own death (exponential).
    """
    known = max(int(scenario.customers * _KNOWN_BEFORE), 5)
    new_rate = (scenario.customers - known) / scenario.orders
    is_new = stream(seed, "customer-is-new").random(len(order_created)) < new_rate
    pick = stream(seed, "customer-pick").random(len(order_created))
    count = known + int(is_new.sum())
    rate = stream(seed, "customer-rate").gamma(0.9, 1.0, count) + 0.02
    life = stream(seed, "customer-life").exponential(_MEAN_LIFE_DAYS, count)
    created = np.empty(count, dtype=np.int64)
    created[:known] = -np.sort(stream(seed, "customer-known").integers(DAY, 600 * DAY, known))[::-1]
    created[known:] = order_created[is_new] - 2 * MINUTE
    first_day = np.where(np.arange(count) < known, -1, 0)
    first_day[known:] = order_created[is_new] // DAY
    death = np.maximum(first_day, 0) + life
    death[known:] += 1.0
    of_order = np.empty(len(order_created), dtype=np.int64)
    of_order[is_new] = known + np.arange(count - known)
    repeat = np.flatnonzero(~is_new)
    of_order[repeat] = _pick_known(order_created[repeat] // DAY, pick[repeat], first_day=first_day, death=death, rate=rate)
    region = np.searchsorted(np.cumsum(REGION_RATES)[:-1], stream(seed, "customer-region").random(count))
    region = np.where(stream(seed, "customer-swiss").random(count) < _SWISS_RATE, SWISS, region)
    return Customers(created=created, death_day=death, relative_rate=rate, region=region.astype(np.int64), of_order=of_order)


def _pick_known(order_day: IntArray, pick: FloatArray, *, first_day: IntArray, death: FloatArray, rate: FloatArray) -> IntArray:
    """Customers of orders that bring nobody new, day by day; the newest where everybody has left."""
    found = np.empty(len(order_day), dtype=np.int64)
    days, starts = np.unique(order_day, return_index=True)
    for day, start, end in zip(days, starts, np.append(starts[1:], len(order_day)), strict=True):
        arrived = int(np.searchsorted(first_day, day))  # customers stand in order of arrival
        cumulative = np.cumsum(np.where(death[:arrived] > day, rate[:arrived], 0.0))
        found[start:end] = np.searchsorted(cumulative, pick[start:end] * cumulative[-1], side="right").clip(max=arrived - 1)
    return found
