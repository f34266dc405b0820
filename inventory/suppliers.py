"""Which of several suppliers to order an item from: price, holding and what runs out while waiting, weighed over the same days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from inventory.money import unit_money
from inventory.protection_demand import lost_units, pair_lead_times, supply_by_day
from inventory.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from forecasting.schema import FloatArray
    from inventory.schema import LeadTime, OrderTerms, Position, ReorderPolicy

LEAST_RATE: Final = 1e-3  # units a day, below which stock is held for ever
LEAST_GAIN: Final = 0.02  # of what the order costs: a smaller difference does not overrule the merchant's first priority


@dataclass(frozen=True, slots=True)
class Offer:
    """What one supplier would deliver: `qty` units, by its own lead time and terms."""

    supplier_id: str
    lead_time: LeadTime
    terms: OrderTerms
    qty: int


@dataclass(frozen=True, slots=True)
class Weighed:
    """An offer's cost over the same simulated days, in minor units.

    Attributes:
        offer: Of which.
        cost_amount: What the units cost beyond the lowest price offered, holding all stock until it is sold, and lost margin.
        purchase_amount: Price of the units.
        lost_mean_qty: Units missed until the last simulated day, without a further order.
    """

    offer: Offer
    cost_amount: float
    purchase_amount: int
    lost_mean_qty: float


def weigh_offers(
    cumulative: FloatArray, offers: Sequence[Offer], *, position: Position, policy: ReorderPolicy, as_of: date, seed: int = 0
) -> list[Weighed]:
    """The offers with what each would cost, in the order in which they came.

    A unit missed costs its margin at the lowest price offered, or nothing where no margin is known: then price and holding decide. What
    is left on the last simulated day is sold at the mean rate of the paths, and held until then.

    Args:
        cumulative: From `cumulative_demand`, [day + 1, path], as long as the longest lead time.
        offers: At least one, all in one currency.
        position: Stock and what is on its way.
        policy: For the share of lost sales and the holding rate.
        as_of: Last complete day.
        seed: Seed of how lead times and paths are paired.
    """
    supply = supply_by_day(len(cumulative) - 1, free_qty=position.free_qty, inbound=position.inbound, as_of=as_of)
    days, paths = np.arange(len(cumulative))[:, None], cumulative.shape[1]
    rate = max(float(cumulative[-1].mean()) / (len(cumulative) - 1), LEAST_RATE)
    cheapest = min((offer.terms for offer in offers), key=lambda terms: terms.unit_cost_amount)
    margin = unit_money(cheapest, policy).shortage_amount or 0.0
    weighed = []
    for offer in offers:
        with_order = supply[:, None] + offer.qty * (days > pair_lead_times(offer.lead_time, paths=paths, seed=seed))
        lost = lost_units(cumulative, with_order)
        stock = np.maximum(with_order, 0.0) - cumulative + lost
        held = float(stock[1:].sum(axis=0).mean() + (stock[-1] ** 2).mean() / (2.0 * rate))
        premium, missed = offer.qty * (offer.terms.unit_cost_amount - cheapest.unit_cost_amount), float(lost[-1].mean())
        cost = premium + held * unit_money(offer.terms, policy).holding_amount + missed * margin
        weighed.append(Weighed(offer, cost, offer.qty * offer.terms.unit_cost_amount, missed))
    return weighed


def choose_offer(weighed: Sequence[Weighed]) -> Weighed:
    """The cheapest one, where it beats the first, which the merchant named first, by more than a fiftieth of what that order costs."""
    best = min(weighed, key=lambda one: one.cost_amount)
    return best if weighed[0].cost_amount - best.cost_amount > LEAST_GAIN * weighed[0].purchase_amount else weighed[0]


def loser_words(loser: Weighed, winner: Weighed, *, amount: str) -> str:
    """Why an offer was not taken: "dearer by EUR 40 in all, 3 days faster".

    Args:
        loser: The offer that was not taken.
        winner: The one that was.
        amount: The difference of their costs as money, without sign.
    """
    days = loser.offer.lead_time.quantile(0.5) - winner.offer.lead_time.quantile(0.5)
    speed = "as fast" if days == 0 else f"{counted(abs(days), 'day')} {'slower' if days > 0 else 'faster'}"
    if loser.cost_amount >= winner.cost_amount:
        return f"Dearer by {amount} in all, {speed}."
    return f"Cheaper by {amount} in all, {speed}; too little to overrule the first priority."
