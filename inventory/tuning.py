"""The critical ratio that would have cost least on the panel's own past."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.matrix import as_matrix
from forecasting.schema import LEAST_FIT_PERIODS, check_frames, check_frequency, check_not_negative
from inventory.demand_paths import learn_demand
from inventory.item_terms import read_items
from inventory.simulation import Shop, World, drawn_leads, run_shops
from inventory.true_demand import true_demand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from forecasting.schema import FloatArray, Frequency, IntArray
    from inventory.policy import Policy

STEPS: Final = (-1.2, -0.8, -0.4, 0.0, 0.4, 0.8, 1.2, 1.8)  # in log odds from the ratio that costs alone give
FILL_STEPS: Final = (2.4, 3.2, 4.2)  # tried too where a fill rate is asked for
WINDOW: Final[Mapping[Frequency, int]] = {"daily": 56, "weekly": 26, "monthly": 15}  # newest periods that are lived through
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
    costs alone give: the past is one sample, costs near the best are flat, and a ratio too low starves slow movers first. Where a fill
    rate is asked for and the middle misses it, the ratio that met it stays. A history too short to try takes the costs' own ratio.

    Args:
        panel: As for `plan_orders`.
        policy: What to tune.
        frequency: "daily", "weekly" or "monthly".
        items: As for `plan_orders`.
        attributes: As for forecasts.
        calendar: As for forecasts.
        seed: Seed of the simulated demand.

    Raises:
        ValueError: A frame or an argument is wrong.
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
    demand = true_demand(panel, matrix, first=0).expected
    tried = _tried(matrix.demand)
    some, wanted = matrix.of(tried), demand[:, tried]
    ratios = _ratios(start_ratio, wants_fill=policy.min_fill_rate is not None)
    shops = _shops(some.keys, items, policy, ratios)
    longest = int(shops[0].terms.longest_lead.max(initial=0))
    warm_up = longest + policy.review_periods
    end = matrix.periods_count - 1
    start = max(end + 1 - WINDOW[period] - warm_up, 2 * LEAST_FIT_PERIODS[period])
    if end + 1 - start - warm_up < LEAST_WINDOW or not wanted[start:].any():
        return dataclasses.replace(policy, critical_ratio=start_ratio)
    held = np.rint(wanted[max(0, start - WINDOW[period]) : start].mean(axis=0) * (longest + policy.review_periods))
    for shop in shops:
        shop.on_hand = held.copy()
    names = {f"{ratio:.6f}": shop for ratio, shop in zip(ratios, shops, strict=True)}
    leads = drawn_leads(shops[0].terms.leads, end + 1 - start, seed=seed)
    world = World(some, start, end, start + warm_up, leads)
    run_shops(names, dict.fromkeys(names, wanted), world, seed=seed, learn=partial(learn_demand, wants_trees=False))
    return dataclasses.replace(policy, critical_ratio=_chosen(ratios, shops, start_ratio, policy.min_fill_rate))


def _tried(demand: FloatArray) -> IntArray:
    """Positions of every n-th series that has sold; of the first one where none has."""
    sold = np.flatnonzero(demand.any(axis=0))
    return sold[:: max(1, -(-len(sold) // SERIES_TRIED))] if len(sold) else np.zeros(1, dtype=np.int64)


def _ratios(start: float, *, wants_fill: bool) -> list[float]:
    odds = np.log(start / (1.0 - start)) + np.array(STEPS + (FILL_STEPS if wants_fill else ()))
    return [float(1.0 / (1.0 + np.exp(-one))) for one in odds]


def _shops(keys: pl.DataFrame, items: pl.DataFrame | None, policy: Policy, ratios: Sequence[float]) -> list[Shop]:
    """One per ratio; items keep what they say for themselves."""
    result = []
    for ratio in ratios:
        own = dataclasses.replace(policy, critical_ratio=ratio)
        terms = read_items(keys, items, own)
        result.append(Shop(own, terms, np.zeros(keys.height), np.zeros((int(terms.longest_lead.max(initial=0)) + 1, keys.height))))
    return result


def _chosen(ratios: Sequence[float], shops: Sequence[Shop], start: float, fill_rate: float | None) -> float:
    costs = np.array([shop.holding + shop.shortage for shop in shops])
    fills = np.array([shop.fill_rate if shop.fill_rate is not None else 1.0 for shop in shops])
    enough = fills >= (fill_rate or 0.0)
    best = int(np.argmin(np.where(enough, costs, np.inf))) if enough.any() else int(np.argmax(fills))
    middle = _logistic((_log_odds(ratios[best]) + _log_odds(start)) / 2.0)
    if fill_rate is not None and np.interp(middle, ratios, fills) < fill_rate:
        return ratios[best]
    return middle


def _log_odds(ratio: float) -> float:
    return float(np.log(ratio / (1.0 - ratio)))


def _logistic(odds: float) -> float:
    return float(1.0 / (1.0 + np.exp(-odds)))
