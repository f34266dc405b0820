"""The merchant's shelf: products, suppliers and terms, drawn once and known before the first day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipelines.simulator.clock import BoolArray, FloatArray, IntArray, stream

if TYPE_CHECKING:
    from pipelines.simulator.scenarios import Scenario

CATEGORIES: Final = ("Kitchen", "Garden", "Lighting", "Textiles", "Office", "Tools", "Toys", "Pets", "Bath", "Travel", "Audio", "Sports")
FORMS: Final = ("set", "basic", "duo", "classic", "compact", "large", "refill", "pro", "mini", "plus")
LISTED_DAYS: Final = 60  # an item is listed, with its supplier and an empty shelf, this long before its launch
NO_DAY: Final = 10**6  # a day that never comes


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One entry per sku (or per supplier, where named so); days are counted from the scenario's start.

    `planned_daily_qty` is what the merchant's own buyer expects of an item without history, per sku and location: wrong, as plans are.
    """

    skus: list[str]
    titles: list[str]
    category: IntArray
    is_bursty: BoolArray
    base_daily_qty: FloatArray  # sku x location
    planned_daily_qty: FloatArray  # sku x location
    launch_day: IntArray
    decline_day: IntArray
    discontinued_day: IntArray
    unit_cost_cents: IntArray
    list_price_cents: IntArray
    weight_kg: FloatArray
    min_order_qty: IntArray
    order_multiple: IntArray
    supplier: IntArray
    second_supplier: IntArray  # -1 where there is none
    return_rate: FloatArray
    supplier_lead_days: IntArray
    supplier_lead_factor: FloatArray  # true mean lead time over the promised one; above 1 for most, so most lines come late
    supplier_lead_spread: FloatArray  # coefficient of variation of the true lead time
    supplier_review_weekday: IntArray
    price_change_day: IntArray  # NO_DAY where the list price never changes
    changed_price_cents: IntArray
    is_sold_direct: BoolArray  # sometimes sent straight from the supplier

    @property
    def supplier_ids(self) -> list[str]:
        """Ids in the order of the supplier arrays."""
        return [f"SUP-{number + 1:02d}" for number in range(len(self.supplier_lead_days))]

    def price_cents(self, sku: IntArray, day: IntArray) -> IntArray:
        """List price of each sku on each day; demand does not answer to its changes, only to promotions."""
        return np.where(day < self.price_change_day[sku], self.list_price_cents[sku], self.changed_price_cents[sku])


def draw_catalogue(scenario: Scenario, *, seed: int) -> Catalogue:
    """The catalogue of this scenario and seed; the same for any number of continued days."""
    rng = stream(seed, "catalogue")
    count, suppliers = scenario.skus, scenario.suppliers
    category = rng.integers(0, scenario.categories, count)
    is_bursty = rng.random(count) < 0.35
    shares = np.array([place.demand_rate for place in scenario.places])
    levels = rng.lognormal(0.0, 1.25, count) * np.where(is_bursty, 0.55, 1.0)
    local = rng.dirichlet(shares * 18, count)
    base = levels[:, None] * local
    launch, decline, discontinued = _draw_lives(scenario, rng)
    price = np.maximum(np.rint(np.exp(rng.normal(3.1, 0.7, count)) * 100), 199)
    price = price - price % 100 + 99
    multiple = rng.choice([1, 1, 2, 4, 6, 12], count)
    lead = np.sort(rng.choice(np.arange(4, 27), suppliers, replace=suppliers > 20))
    rng.shuffle(lead)
    supplier = rng.integers(0, suppliers, count)
    second = np.where(rng.random(count) < 0.15, (supplier + 1 + rng.integers(0, max(suppliers - 1, 1), count)) % suppliers, -1)
    price_change_day, changed_price = _draw_price_changes(scenario, price, launch, seed=seed)
    return Catalogue(
        skus=[f"SKU-{number + 1:04d}" for number in range(count)],
        titles=[f"{CATEGORIES[cat]} {FORMS[number % len(FORMS)]} {number + 1}" for number, cat in enumerate(category)],
        category=category,
        is_bursty=is_bursty,
        base_daily_qty=base,
        planned_daily_qty=base * rng.lognormal(0.0, 0.35, base.shape),
        launch_day=launch,
        decline_day=decline,
        discontinued_day=discontinued,
        unit_cost_cents=np.rint(price * rng.uniform(0.38, 0.66, count)).astype(np.int64),
        list_price_cents=price.astype(np.int64),
        weight_kg=np.round(rng.lognormal(-0.3, 0.8, count), 2) + 0.05,
        min_order_qty=multiple * rng.choice([1, 1, 2, 4], count),
        order_multiple=multiple,
        supplier=supplier,
        second_supplier=np.where(second == supplier, -1, second),
        return_rate=np.clip(rng.beta(3.0, 38.0, count) + rng.uniform(0.0, 0.03, scenario.categories)[category], 0.01, 0.25),
        supplier_lead_days=lead.astype(np.int64),
        supplier_lead_factor=rng.uniform(0.92, 1.35, suppliers) ** scenario.noise,
        supplier_lead_spread=rng.uniform(0.08, 0.38, suppliers) * scenario.noise,
        supplier_review_weekday=rng.integers(0, 5, suppliers),
        price_change_day=price_change_day,
        changed_price_cents=changed_price,
        is_sold_direct=stream(seed, "sold-direct").random(count) < 0.2,
    )


def _draw_price_changes(scenario: Scenario, price: FloatArray, launch: IntArray, *, seed: int) -> tuple[IntArray, IntArray]:
    """The day on which some list prices change, and to what; an item keeps its first price for a month at least."""
    rng = stream(seed, "price-change")
    day = rng.integers(scenario.days // 6, scenario.days, scenario.skus)
    changes = (rng.random(scenario.skus) < 0.15) & (day > launch + 30)
    changed = np.rint(price * rng.choice([0.9, 1.06, 1.1, 1.15], scenario.skus) / 10).astype(np.int64) * 10 - 1
    return np.where(changes, day, NO_DAY), changed


def _draw_lives(scenario: Scenario, rng: np.random.Generator) -> tuple[IntArray, IntArray, IntArray]:
    """Launch, start of decline and discontinuation of each sku: about one in nine is new, one in nine dies."""
    count, days = scenario.skus, scenario.days
    fate = rng.random(count)
    launch = np.where(fate < 0.11, rng.integers(days // 10, max(int(days * 0.93), 2), count), -rng.integers(60, 1500, count))
    decline = np.where(fate > 0.89, rng.integers(days // 8, days, count), NO_DAY)
    discontinued = np.where(decline < NO_DAY, decline + rng.integers(60, 160, count), NO_DAY)
    return launch.astype(np.int64), decline.astype(np.int64), discontinued.astype(np.int64)
