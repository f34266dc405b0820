"""A merchant's whole past as events, before anybody looks at it from a certain day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipelines.simulator.catalogue import Catalogue, draw_catalogue
from pipelines.simulator.clock import NEVER, BoolArray, Clock, FloatArray, IntArray
from pipelines.simulator.currencies import draw_franc_rate
from pipelines.simulator.customers import Customers, draw_customers
from pipelines.simulator.demand import Promotion, demand_scale, discounts_by_day, draw_latent_demand, draw_promotions
from pipelines.simulator.fulfilment import Flow, run_stock
from pipelines.simulator.ordering import Lines, Orders, draw_orders
from pipelines.simulator.purchasing import Buyer
from pipelines.simulator.retired import order_retired_items

if TYPE_CHECKING:
    from pipelines.simulator.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class History:
    """Everything that was drawn and everything that followed from it, up to the scenario's last day and planned beyond it."""

    scenario: Scenario
    seed: int
    clock: Clock
    catalogue: Catalogue
    promotions: list[Promotion]
    discount: FloatArray  # day x sku, share of the list price
    orders: Orders
    lines: Lines
    customers: Customers
    franc_rate: FloatArray  # by day, in the merchant's currency
    flow: Flow
    never: int = NEVER

    @property
    def customer_ids(self) -> list[str]:
        """Ids in order of arrival."""
        return [f"C-{number + 1:06d}" for number in range(len(self.customers.created))]

    @property
    def is_order(self) -> BoolArray:
        """Which baskets became orders: those with at least one unit not lost."""
        accepted = np.bincount(self.lines.order, weights=self.flow.accepted, minlength=len(self.orders))
        return accepted > 0

    @property
    def order_number(self) -> IntArray:
        """Running number of each basket that became an order, from 1 in order of time."""
        return np.cumsum(self.is_order)


def live(scenario: Scenario, *, seed: int) -> History:
    """Live through all days of a scenario. Days added at the end change nothing about the days before."""
    clock = Clock(scenario.start, scenario.total_days, scenario.time_zone)
    catalogue = draw_catalogue(scenario, seed=seed)
    promotions = draw_promotions(scenario, seed=seed)
    units = draw_latent_demand(scenario, catalogue, promotions, clock, seed=seed)
    orders, lines = draw_orders(scenario, units, catalogue, clock, seed=seed)
    customers = draw_customers(scenario, orders.created, seed=seed)
    scale = demand_scale(scenario, catalogue, promotions, clock, seed=seed)
    plan = (catalogue.planned_daily_qty * scale).ravel()
    buyer = Buyer(catalogue, clock, seed, plan, len(scenario.places), delay=scenario.delay_days)
    flow = run_stock(orders, lines, catalogue, buyer, clock, scenario=scenario, seed=seed)
    orders, lines, flow = order_retired_items(orders, lines, flow, catalogue, places=len(scenario.places), seed=seed)
    return History(
        scenario=scenario,
        seed=seed,
        clock=clock,
        catalogue=catalogue,
        promotions=promotions,
        discount=discounts_by_day(scenario, catalogue, promotions),
        orders=orders,
        lines=lines,
        customers=customers,
        franc_rate=draw_franc_rate(scenario, seed=seed),
        flow=flow,
    )
