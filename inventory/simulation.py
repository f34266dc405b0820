"""Shops that live through the same demand under different rules, all series at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from inventory.demand_paths import learn_demand
from inventory.ordering import decide
from inventory.policy import ReplayState
from inventory.rounding import round_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import BoolArray, FloatArray, IntArray, PathArray
    from inventory.demand_paths import DemandLaw
    from inventory.item_terms import ItemTerms
    from inventory.policy import OrderRule, Policy

ROUNDING: Final = 1e-6  # units; an order of so little below 0 is 0


class Learner(Protocol):
    """Something that learns demand as `learn_demand` does."""

    def __call__(self, matrix: SeriesMatrix, *, periods: int, seed: int) -> DemandLaw:
        """What is known of the demand that comes after the matrix."""
        ...


@dataclass(slots=True)
class Shop:
    """One policy's stock, and what it has cost since counting began.

    Attributes:
        policy: How it is run: review, shortage, what it knows of lead times.
        terms: The same per series.
        on_hand: [series]; below 0 are backorders.
        arriving: [periods ahead, series]; row 0 is there at the start of the next period.
        rule: What orders; None is the kernel of this package.
        held: [series]; units left at the ends of periods, added up.
        missed: [series]; units lost, or units times periods waited.
        unmet: [series]; units of demand that were not met when they were asked for.
        demand: [series]; units.
        placed: [series]; orders.
        periods: Periods counted.
    """

    policy: Policy
    terms: ItemTerms
    on_hand: FloatArray
    arriving: FloatArray
    rule: OrderRule | None = None
    held: FloatArray = field(init=False)
    missed: FloatArray = field(init=False)
    unmet: FloatArray = field(init=False)
    demand: FloatArray = field(init=False)
    placed: FloatArray = field(init=False)
    periods: int = 0

    def __post_init__(self) -> None:
        self.held, self.missed, self.unmet, self.demand, self.placed = (np.zeros(len(self.on_hand)) for _ in range(5))

    def place(self, quantity: FloatArray, leads: IntArray, *, is_counted: bool) -> None:
        """What is ordered at the end of a period is there after so many full periods."""
        np.add.at(self.arriving, (leads, np.arange(len(quantity))), quantity)
        self.placed += (quantity > 0) & is_counted

    def live(self, demand: FloatArray, *, is_counted: bool) -> None:
        """One period: what arrives, then demand, then the count."""
        stock = self.on_hand + self.arriving[0]
        self.arriving[:-1] = self.arriving[1:]
        self.arriving[-1] = 0.0
        unmet = np.maximum(demand - np.maximum(stock, 0.0), 0.0)
        self.on_hand = stock - demand + (unmet if self.policy.shortage == "lost" else 0.0)
        if is_counted:
            self.held += np.maximum(self.on_hand, 0.0)
            self.unmet += unmet
            self.missed += unmet if self.policy.shortage == "lost" else np.maximum(-self.on_hand, 0.0)
            self.demand += demand
            self.periods += 1

    def leave_out(self, rows: IntArray) -> None:
        """These series have never been counted."""
        for counted in (self.held, self.missed, self.unmet, self.demand, self.placed):
            counted[rows] = 0.0

    @property
    def orders(self) -> int:
        """Orders placed."""
        return int(self.placed.sum())

    @property
    def holding(self) -> float:
        """What stock has cost."""
        return float((self.terms.holding_cost * self.held).sum())

    @property
    def shortage(self) -> float:
        """What unmet demand has cost."""
        return float((self.terms.shortage_cost * self.missed).sum())

    @property
    def fill_rate(self) -> float | None:
        """Share of demand met at once; None without demand."""
        demand = float(self.demand.sum())
        return 1.0 - float(self.unmet.sum()) / demand if demand > 0 else None

    @property
    def average_stock(self) -> FloatArray:
        """[series]; mean units left at the end of a period."""
        result: FloatArray = self.held / max(self.periods, 1)
        return result


@dataclass(frozen=True, slots=True)
class World:
    """What happens to all shops alike.

    Attributes:
        matrix: What is known of demand as time passes, and the calendar.
        start: Number of the first period lived through; decisions begin at the end of the one before.
        end: Number of the last one.
        counted_from: Costs count from this period on.
        leads: [period - start, series]; how long an order decided before that period really takes.
    """

    matrix: SeriesMatrix
    start: int
    end: int
    counted_from: int
    leads: IntArray


def run_shops(
    shops: Mapping[str, Shop],
    demand: Mapping[str, FloatArray],
    world: World,
    *,
    seed: int,
    learn: Learner = learn_demand,
    on_progress: Callable[[str, float], None] | None = None,
) -> None:
    """Every shop has lived through the periods of the world.

    Demand is learnt once per period for all shops that look ahead alike, from all that customers wanted until then, not
    from what the simulated shop happened to sell: so shops differ by what they decide alone.

    Args:
        shops: By name; they are changed.
        demand: By the same names, [period, series] units that are wanted in the periods of the matrix.
        world: What happens.
        seed: Seed of the paths.
        learn: How demand is learnt.
        on_progress: Called with what is done next and the share done, 0 to 1.
    """
    for period in range(world.start, world.end + 1):
        if on_progress is not None:
            on_progress(f"{world.matrix.date_of(period)}", (period - world.start) / (world.end + 1 - world.start))
        due = {name: shop for name, shop in shops.items() if (period - world.start) % shop.policy.review_periods == 0}
        known = world.matrix.until(period)
        quantities = _orders(due, known, seed=seed, learn=learn)
        is_counted = period >= world.counted_from
        for name, shop in shops.items():
            if name in quantities:
                shop.place(quantities[name], world.leads[period - world.start], is_counted=is_counted)
            shop.live(demand[name][period], is_counted=is_counted)


def _orders(shops: Mapping[str, Shop], known: SeriesMatrix, *, seed: int, learn: Learner) -> dict[str, FloatArray]:
    """Accepted quantities [series] by shop."""
    result: dict[str, FloatArray] = {}
    alike: dict[bytes, list[str]] = {}
    for name, shop in shops.items():
        if shop.rule is None:
            ahead = np.stack([shop.terms.usual_lead, shop.terms.longest_lead]) + shop.policy.review_periods
            alike.setdefault(ahead.tobytes(), []).append(name)
            continue
        state = ReplayState(known.periods_count - 1, shop.on_hand.copy(), shop.arriving.copy(), known)
        result[name] = round_up(_asked(name, shop.rule, state), shop.terms.supplier)
    for names in alike.values():
        result.update(_kernel_orders({name: shops[name] for name in names}, known, seed=seed, learn=learn))
    return result


def _asked(name: str, rule: OrderRule, state: ReplayState) -> FloatArray:
    """[series]; what a rule orders, which may be anybody's, refused by its name where it is no quantity."""
    given = np.asarray(rule.order(state))
    own = name.split("\x1f", maxsplit=1)[0]
    if given.shape != state.on_hand.shape or given.dtype.kind not in "fiub":
        raise ValueError(
            f"policies: {own!r} orders {given.dtype} of shape {given.shape}; it has to be a number for each of {len(state.on_hand)} series."
        )
    wrong = np.flatnonzero(~np.isfinite(given) | (given < -ROUNDING))
    if len(wrong):
        said = f"{given[wrong[0]]} units of {state.known.keys['sku'][int(wrong[0])]} at the end of {state.known.date_of(state.period)}"
        raise ValueError(f"policies: {own!r} orders {said}; it has to be a finite number, and 0 where nothing is ordered.")
    result: FloatArray = np.maximum(given.astype(np.float64), 0.0)
    return result


def _kernel_orders(shops: Mapping[str, Shop], known: SeriesMatrix, *, seed: int, learn: Learner) -> dict[str, FloatArray]:
    """Accepted quantities [series] of shops that look ahead alike."""
    series = known.keys.height
    result = {name: np.zeros(series) for name in shops}
    one = next(iter(shops.values()))
    is_known: BoolArray = known.observed.sum(axis=0) > 0
    for law, rows, paths in _drawn(known, one.terms, one.policy.review_periods, seed=seed, learn=learn):
        is_whole = law.is_whole
        for name, shop in shops.items():
            decision = decide(
                paths,
                rows=rows,
                on_hand=shop.on_hand,
                arriving=shop.arriving,
                terms=shop.terms,
                policy=shop.policy,
                is_whole=is_whole,
                seed=seed,
            )
            result[name][rows] = np.where(is_known[rows], decision.rounded.maximum, 0.0)
    return result


def _drawn(
    known: SeriesMatrix, terms: ItemTerms, review_periods: int, *, seed: int, learn: Learner
) -> Iterator[tuple[DemandLaw, IntArray, PathArray]]:
    """Demand of all series, those of one usual horizon together, as a plan has it."""
    horizons = terms.usual_lead + review_periods
    values, counts = np.unique(horizons, return_counts=True)
    usual = int(values[np.argmax(counts)])
    law = learn(known, periods=usual, seed=seed)
    for horizon in values.tolist():
        some = np.flatnonzero(horizons == horizon)
        own = law if horizon == usual else law.over(horizon)
        for place, paths in own.chunks(some, periods=int(terms.longest_lead[some].max()) + review_periods, seed=seed):
            yield own, some[place], paths


def drawn_leads(leads: Sequence[IntArray], periods: int, *, seed: int) -> IntArray:
    """[period, series]; a lead time for every order that may be placed, drawn from the series' own ones."""
    generator = np.random.default_rng(seed)
    share = generator.random((periods, len(leads)))
    return np.stack([own[(share[:, row] * len(own)).astype(np.int64)] for row, own in enumerate(leads)], axis=1)
