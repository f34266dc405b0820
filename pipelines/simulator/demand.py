"""Latent demand: what customers want on each day, whether or not the shelf holds it.

Two families, neither of which a forecasting model here assumes:

- *wandering*: negative binomial around a mean whose logarithm wanders as an AR(1) process, y ~ NB(mean = m * exp(x - var/2), size k),
  x[t] = phi x[t-1] + e[t].
- *bursty*: a two-state Markov chain switches interest on and off; while on, a Poisson number of customers each want a geometric number
  of units (compound Poisson). Most intermittent items are of this kind.

Both are multiplied by trend, weekday, season, life cycle, promotions and a shock that all items of a day share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipelines.simulator.catalogue import NO_DAY, Catalogue
from pipelines.simulator.clock import BoolArray, Clock, FloatArray, IntArray, stream

if TYPE_CHECKING:
    from pipelines.simulator.scenarios import Scenario

UNIT_STARTS_LINE = 0.62  # chance that one more unit of the same item, place and day is wanted by somebody else


@dataclass(frozen=True, slots=True)
class Promotion:
    """A price cut on one sku or one category (the other is -1). `uplift` multiplies demand while it runs."""

    number: int
    sku: int
    category: int
    announced_day: int
    start_day: int
    end_day: int
    withdrawn_day: int  # NO_DAY unless called off before it starts
    discount: float
    uplift: float


def draw_promotions(scenario: Scenario, *, seed: int) -> list[Promotion]:
    """All promotions announced up to the last day, week by week; one in twelve is withdrawn before it starts."""
    found: list[Promotion] = []
    weekly = (0.4 + scenario.skus / 150) * scenario.promotion_rate
    for week in range(-4, scenario.total_days // 7 + 1):
        rng = stream(seed, "promotions", week + 4)
        for nth in range(int(rng.poisson(weekly))):
            announced = week * 7 + int(rng.integers(0, 7))
            start = announced + int(rng.integers(14, 29))
            is_category = rng.random() < 0.12
            sku = -1 if is_category else int(rng.integers(0, scenario.skus))
            discount = float(rng.choice([0.1, 0.15, 0.2, 0.25, 0.3]))
            elasticity = float(rng.uniform(1.5, 6.0))
            end = start + int(rng.integers(4, 15))
            category = int(rng.integers(0, scenario.categories)) if is_category else -1
            withdrawn = announced + int(rng.integers(3, 12)) if rng.random() < 0.08 else NO_DAY
            if announced < scenario.total_days and end > 0:
                number, uplift = (week + 5) * 100 + nth, 1 + elasticity * discount
                found.append(Promotion(number, sku, category, announced, start, end, withdrawn, discount, uplift))
    return found


def draw_latent_demand(scenario: Scenario, catalogue: Catalogue, promotions: list[Promotion], clock: Clock, *, seed: int) -> IntArray:
    """Units wanted, as day x sku x location.

    The level is set so that the scenario's own days bring about the scenario's number of orders.
    """
    shape = _expected_shape(scenario, catalogue, promotions, clock, seed=seed)
    expected = shape[:, :, None] * catalogue.base_daily_qty[None, :, :]
    scale = _scale_to_orders(scenario, expected[: scenario.days], catalogue.is_bursty)
    expected *= scale
    rng = stream(seed, "demand-parameters")
    size = rng.uniform(0.8, 6.0, scenario.skus) / scenario.noise**2
    bursty = catalogue.is_bursty
    units = np.zeros(expected.shape, dtype=np.int64)
    wander = _wander(scenario, int((~bursty).sum()), seed=seed)
    units[:, ~bursty, :] = _draw_wandering(expected[:, ~bursty, :] * wander[:, :, None], size[~bursty], seed=seed)
    units[:, bursty, :] = _draw_bursty(expected[:, bursty, :], seed=seed)
    return units


def demand_scale(scenario: Scenario, catalogue: Catalogue, promotions: list[Promotion], clock: Clock, *, seed: int) -> float:
    """Factor between `base_daily_qty` and units a day; the buyer's plan is scaled by it too."""
    shape = _expected_shape(scenario, catalogue, promotions, clock, seed=seed)[: scenario.days]
    return _scale_to_orders(scenario, shape[:, :, None] * catalogue.base_daily_qty[None, :, :], catalogue.is_bursty)


def discounts_by_day(scenario: Scenario, catalogue: Catalogue, promotions: list[Promotion]) -> FloatArray:
    """Share taken off the list price, as day x sku."""
    discount = np.zeros((scenario.total_days, scenario.skus))
    for promotion in promotions:
        days, skus = _reach(promotion, catalogue)
        block = discount[days][:, skus]
        discount[days, skus] = np.maximum(block, promotion.discount)
    return discount


def _reach(promotion: Promotion, catalogue: Catalogue) -> tuple[slice, BoolArray]:
    is_reached = np.arange(len(catalogue.skus)) == promotion.sku if promotion.sku >= 0 else catalogue.category == promotion.category
    end = promotion.end_day if promotion.withdrawn_day >= promotion.start_day else promotion.start_day
    return slice(max(promotion.start_day, 0), max(end, 0)), is_reached


def _expected_shape(scenario: Scenario, catalogue: Catalogue, promotions: list[Promotion], clock: Clock, *, seed: int) -> FloatArray:
    """Everything that multiplies an item's level, as day x sku."""
    rng = stream(seed, "season")
    days = np.arange(scenario.total_days)
    categories = scenario.categories
    weekday = rng.dirichlet(np.array([9.5, 8.5, 8.5, 8.5, 10.5, 12.0, 8.0]) * 6, categories) * 7
    harmonics = rng.normal(0.0, [0.22, 0.10], (categories, 2))
    phase = rng.uniform(0, 2 * np.pi, (categories, 2))
    peak_height = rng.uniform(0.15, 0.9, categories)
    peak_day, peak_width = rng.uniform(325, 348), rng.uniform(9, 18)
    trend = rng.normal(0.06, 0.22, scenario.skus)
    year_day = (days + scenario.start.timetuple().tm_yday) % 365.25
    angle = 2 * np.pi * year_day / 365.25
    log_season = sum(harmonics[:, k, None] * np.sin((k + 1) * angle[None, :] + phase[:, k, None]) for k in range(2))
    season = np.exp(log_season) * (1 + peak_height[:, None] * np.exp(-0.5 * ((year_day[None, :] - peak_day) / peak_width) ** 2))
    by_category = season * weekday[:, clock.weekday[: scenario.total_days]]
    shape = by_category[catalogue.category].T * np.exp(trend[None, :] * (days[:, None] / 365.25))
    shape *= _life(days, catalogue)
    for promotion in promotions:
        reached_days, reached_skus = _reach(promotion, catalogue)
        shape[reached_days, reached_skus] *= promotion.uplift
    shared = np.exp(stream(seed, "shared-shock").normal(0.0, 0.07 * scenario.noise, scenario.total_days))
    result: FloatArray = shape * shared[:, None]
    return result


def _life(days: IntArray, catalogue: Catalogue) -> FloatArray:
    """0 before launch, a ramp of some weeks, 1, and a decay once an item dies."""
    age = days[:, None] - catalogue.launch_day[None, :]
    ramp = np.clip((age + 7) / 42, 0, 1) * (age >= 0)
    decline = np.exp(-np.maximum(days[:, None] - catalogue.decline_day[None, :], 0) / 45.0)
    gone = days[:, None] >= catalogue.discontinued_day[None, :]
    result: FloatArray = ramp * decline * np.where(gone, 0.0, 1.0)
    return result


def _scale_to_orders(scenario: Scenario, expected: FloatArray, is_bursty: BoolArray) -> float:
    """Factor on the level at which the expected number of order lines is what the scenario asks for."""
    target = scenario.orders * scenario.lines_per_order * 1.06  # some 6 % are lost to empty shelves
    weight = expected.sum()
    scale = target / weight / 0.8
    for _ in range(6):
        mean = expected * scale
        wanted_in_bursts = _ON_RATE * (1 - np.exp(-mean / (_ON_RATE * _BURST_UNITS)))
        any_wanted = np.where(is_bursty[None, :, None], wanted_in_bursts, 1 - (1 + mean / 2.0) ** -2.0)
        lines = UNIT_STARTS_LINE * mean.sum() + (1 - UNIT_STARTS_LINE) * any_wanted.sum()
        scale *= target / lines
    return float(scale)


def _wander(scenario: Scenario, count: int, *, seed: int) -> FloatArray:
    """exp(x - var/2) of a stationary AR(1) per sku, as day x sku."""
    days = scenario.total_days
    rng = stream(seed, "wander-parameters")
    phi, sd = rng.uniform(0.96, 0.995, count), rng.uniform(0.1, 0.4, count) * scenario.noise
    level = rng.normal(0.0, 1.0, count) * sd
    steps = stream(seed, "wander").standard_normal((days, count)) * (sd * np.sqrt(1 - phi**2))
    levels = np.empty((days, count))
    for day in range(days):
        level = phi * level + steps[day]
        levels[day] = level
    result: FloatArray = np.exp(levels - sd**2 / 2)
    return result


def _draw_wandering(mean: FloatArray, size: FloatArray, *, seed: int) -> IntArray:
    shape = np.broadcast_to(size[None, :, None], mean.shape)
    mixed = stream(seed, "wandering-rate").standard_gamma(shape) / shape * mean
    return stream(seed, "wandering-units").poisson(mixed).astype(np.int64)


_ON_RATE = 0.3  # long-run share of days on which a bursty item is wanted at all
_LEAVE_ON = 0.16  # chance a day that interest ends: a burst lasts about six days
_BURST_UNITS = 2.0  # units per customer of a bursty item


def _draw_bursty(mean: FloatArray, *, seed: int) -> IntArray:
    days, skus, places = mean.shape
    is_on = stream(seed, "burst-start").random((skus, places)) < _ON_RATE
    chance = stream(seed, "burst-switch").random((days, skus, places))
    states = np.empty(mean.shape, dtype=np.bool_)
    enter = _LEAVE_ON * _ON_RATE / (1 - _ON_RATE)
    for day in range(days):
        is_on = np.where(is_on, chance[day] >= _LEAVE_ON, chance[day] < enter)
        states[day] = is_on
    customers = stream(seed, "burst-customers").poisson(np.where(states, mean / (_ON_RATE * _BURST_UNITS), 0.0))
    extra = stream(seed, "burst-size").standard_gamma(customers.astype(np.float64)) * (_BURST_UNITS - 1)
    return (customers + stream(seed, "burst-units").poisson(extra)).astype(np.int64)
