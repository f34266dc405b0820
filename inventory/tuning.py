"""The critical ratio that would have cost least on the panel's own past."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.matrix import as_matrix
from forecasting.schema import LEAST_FIT_PERIODS, check_frames, check_frequency, check_not_negative
from inventory.demand_paths import demand_problems, learn_demand
from inventory.item_terms import read_items
from inventory.policy import LOST_SALES_HOLDING
from inventory.simulation import Shop, World, drawn_leads, run_shops
from inventory.true_demand import true_demand, with_sold_out_highs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import Frequency, IntArray
    from inventory.item_terms import ItemTerms
    from inventory.policy import Policy

STEPS: Final = (-1.2, -0.8, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.2, 1.8)  # in log odds from the ratio that costs alone give
FILL_STEPS: Final = (2.4, 3.2, 4.2)  # tried too where a fill rate is asked for
WINDOW: Final[Mapping[Frequency, int]] = {"daily": 56, "weekly": 26, "monthly": 15}  # newest periods that are lived through
FLAT: Final = 0.02  # of the least cost: what costs no more than that in the past is as good
LEAST_WINDOW: Final = 6  # fewer periods, warm-up aside, do not say what costs less
SERIES_TRIED: Final = 1_000  # more cost time and hardly change the choice


def tune_policy(
    panel: pl.DataFrame,
    policy: Policy,
    *,
    frequency: str,
    items: pl.DataFrame | None = None,
    attributes: pl.DataFrame | None = None,
    calendar: pl.DataFrame | None = None,
    seed: int = 0,
) -> Policy:
    """The policy with a critical ratio; the one given stays as it is if it has one.

    The newest periods of the panel are lived through once per ratio, each decision from what was known before it. The cheapest ratio
    (of those that meet `min_fill_rate`, or the one of highest fill where none does) is drawn half way, in log odds, to the one that
    costs alone give: the past is one sample, costs near the best are flat, and a ratio too low starves slow movers first. Where the
    middle cost over 2 % more, as it does where minimums make costs jump, or missed the fill rate asked for, the best ratio stays. A
    history too short to try takes the costs' own ratio.

    Args:
        panel: As for `plan_orders`.
        policy: What to tune.
        frequency: "daily", "weekly" or "monthly".
        items: As for `plan_orders`.
        attributes: As for forecasts.
        calendar: As for forecasts.
        seed: Seed of the simulated demand.

    Raises:
        ValueError: A frame or an argument is wrong, or no series can be planned; one that cannot is left out.
    """
    period = check_frequency(frequency)
    check_frames(panel=panel, items=items, attributes=attributes, calendar=calendar)
    check_not_negative(seed=seed)
    if policy.critical_ratio is not None:
        return policy
    matrix = as_matrix(panel, frequency=period, attributes=attributes, calendar=calendar)
    start_ratio = policy.starting_ratio
    if not 0 < start_ratio < 1:
        return dataclasses.replace(policy, critical_ratio=start_ratio)
    steps = _steps(policy)
    ratios = [_logistic(_log_odds(start_ratio) + step) for step in steps]
    variants = [(dataclasses.replace(policy, critical_ratio=ratio), items) for ratio in ratios]
    step = _best_step(panel, matrix, steps, variants, seed=seed)
    return dataclasses.replace(policy, critical_ratio=_logistic(_log_odds(start_ratio) + step))


def tune_items(
    panel: pl.DataFrame,
    policy: Policy,
    *,
    frequency: str,
    items: pl.DataFrame,
    attributes: pl.DataFrame | None = None,
    calendar: pl.DataFrame | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """The items with a `critical_ratio` each, where costs are each item's own.

    As `tune_policy`, but the log odds of all items' own ratios move by one step together, so that they keep their order. A ratio that
    items have is replaced.

    Args:
        panel: As for `plan_orders`.
        policy: What holds where the items say nothing.
        frequency: "daily", "weekly" or "monthly".
        items: As for `plan_orders`.
        attributes: As for forecasts.
        calendar: As for forecasts.
        seed: Seed of the simulated demand.

    Raises:
        ValueError: A frame or an argument is wrong, or no series can be planned; one that cannot is left out.
    """
    period = check_frequency(frequency)
    check_frames(panel=panel, items=items, attributes=attributes, calendar=calendar)
    check_not_negative(seed=seed)
    matrix = as_matrix(panel, frequency=period, attributes=attributes, calendar=calendar)
    steps = _steps(policy)
    variants = [(policy, _moved(items, policy, step)) for step in steps]
    return _moved(items, policy, _best_step(panel, matrix, steps, variants, seed=seed))


def _steps(policy: Policy) -> tuple[float, ...]:
    return STEPS + (FILL_STEPS if policy.min_fill_rate is not None else ())


def _moved(items: pl.DataFrame, policy: Policy, step: float) -> pl.DataFrame:
    """The items with their costs' ratios, a step of log odds away: as if a shortage cost exp(step) times as much."""
    holding, shortage = (
        pl.col(name).fill_null(getattr(policy, name)) if name in items.columns else pl.lit(float(getattr(policy, name)))
        for name in ("holding_cost", "shortage_cost")
    )
    weight = shortage * math.exp(step)
    times = policy.review_periods * (LOST_SALES_HOLDING if policy.shortage == "lost" else 1.0)
    total = weight + times * holding
    return items.with_columns(critical_ratio=pl.when(total > 0).then(weight / total))


def _best_step(
    panel: pl.DataFrame,
    matrix: SeriesMatrix,
    steps: Sequence[float],
    variants: Sequence[tuple[Policy, pl.DataFrame | None]],
    *,
    seed: int,
) -> float:
    """The step from the costs' own log odds, after living through the newest periods with each; 0 where there are too few."""
    demand = true_demand(panel, matrix, first=0).expected
    tried = _tried(matrix, read_items(matrix.keys, variants[0][1], variants[0][0]))
    some, wanted = with_sold_out_highs(panel, matrix).of(tried), demand[:, tried]
    shops = [_shop(some.keys, *variant) for variant in variants]
    policy = variants[0][0]
    longest = int(shops[0].terms.longest_lead.max(initial=0))
    window = WINDOW[matrix.frequency]
    warm_up = longest + policy.review_periods
    end = matrix.periods_count - 1
    start = max(end + 1 - window - warm_up, 2 * LEAST_FIT_PERIODS[matrix.frequency])
    if end + 1 - start - warm_up < LEAST_WINDOW or not wanted[start:].any():
        return 0.0
    held = np.rint(wanted[max(0, start - window) : start].mean(axis=0) * (shops[0].terms.longest_lead + policy.review_periods))
    for shop in shops:
        shop.on_hand = held.copy()
    names = {f"{step:.6f}": shop for step, shop in zip(steps, shops, strict=True)}
    leads = drawn_leads(shops[0].terms.leads, end + 1 - start, seed=seed)
    world = World(some, start, end, start + warm_up, leads)
    run_shops(names, dict.fromkeys(names, wanted), world, seed=seed, learn=partial(learn_demand, wants_trees=False))
    return _chosen(steps, shops, policy.min_fill_rate)


def _tried(matrix: SeriesMatrix, terms: ItemTerms) -> IntArray:
    """Positions of every n-th series that has sold and can be planned; of the first one that can where none has sold."""
    reasons = [of_demand or of_item for of_demand, of_item in zip(demand_problems(matrix), terms.problems, strict=True)]
    kept = np.flatnonzero([reason is None for reason in reasons])
    if not len(kept):
        raise ValueError(f"panel, items: no series can be planned; {matrix.keys['sku'][0]}: {reasons[0]}.")
    sold = kept[matrix.demand[:, kept].any(axis=0)]
    return sold[:: max(1, -(-len(sold) // SERIES_TRIED))] if len(sold) else kept[:1]


def _shop(keys: pl.DataFrame, policy: Policy, items: pl.DataFrame | None) -> Shop:
    terms = read_items(keys, items, policy)
    return Shop(policy, terms, np.zeros(keys.height), np.zeros((int(terms.longest_lead.max(initial=0)) + 1, keys.height)))


def _chosen(steps: Sequence[float], shops: Sequence[Shop], fill_rate: float | None) -> float:
    costs = np.array([shop.holding + shop.shortage for shop in shops])
    fills = np.array([shop.fill_rate if shop.fill_rate is not None else 1.0 for shop in shops])
    enough = fills >= (fill_rate or 0.0)
    best = int(np.argmin(np.where(enough, costs, np.inf))) if enough.any() else int(np.argmax(fills))
    middle = int(np.argmin(np.abs(np.array(steps) - steps[best] / 2.0)))
    return steps[middle] if enough[middle] and costs[middle] <= (1.0 + FLAT) * costs[best] else steps[best]


def _log_odds(ratio: float) -> float:
    return float(np.log(ratio / (1.0 - ratio)))


def _logistic(odds: float) -> float:
    return float(1.0 / (1.0 + np.exp(-odds)))
