"""From simulated demand and stock to a quantity a supplier accepts: what a plan and a replay have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inventory.projection import Needs, fill_quantity, need_quantile, project_needs
from inventory.rounding import Rounded, round_by_cost

if TYPE_CHECKING:
    from forecasting.schema import BoolArray, FloatArray, IntArray, PathArray
    from inventory.item_terms import ItemTerms
    from inventory.policy import Policy


@dataclass(frozen=True, slots=True)
class Decision:
    """What to order, per series.

    Attributes:
        needs: What it was decided from.
        raw: [series]; before packs, minimum and maximum.
        is_filled: [series]; the fill rate asked for more than the ratio did.
        ratio: [series]; the share of paths on which the raw quantity is enough, at least the ratio asked for.
        rounded: The accepted quantity, step by step.
    """

    needs: Needs
    raw: FloatArray
    is_filled: BoolArray
    ratio: FloatArray
    rounded: Rounded


def decide(
    paths: PathArray,
    *,
    rows: IntArray,
    on_hand: FloatArray,
    arriving: FloatArray,
    terms: ItemTerms,
    policy: Policy,
    is_whole: BoolArray,
    seed: int,
) -> Decision:
    """The quantile of the need, raised to the fill rate asked for, in a quantity that is accepted.

    The lead times of this order and of those of later reviews are drawn independently of each other and of demand; the first of the later
    ones to arrive ends this order's own periods.

    Args:
        paths: [position, path, period] in units.
        rows: Positions of these series in all that follows.
        on_hand: [series]; units that can be sold.
        arriving: [period ahead, series].
        terms: Of all series.
        policy: What is common to them.
        is_whole: [series]; sold in whole units.
        seed: Of how lead times are paired with paths.
    """
    generator = np.random.default_rng(seed)
    count = paths.shape[1]
    arrives, until = terms.drawn_windows(rows, count, generator, review_periods=policy.review_periods)
    if (arrives == arrives[0, 0]).all() and (until == until[0, 0]).all():
        arrives, until = arrives[:1, :1], until[:1, :1]
    whole = is_whole[rows]
    needs = project_needs(paths, on_hand=on_hand[rows], arriving=arriving[:, rows], arrives=arrives, until=until, shortage=policy.shortage)
    ratio = terms.ratio[rows]
    raw = need_quantile(needs.need, ratio, is_whole=whole)
    floor = np.zeros_like(raw)
    if policy.min_fill_rate is not None:
        floor = fill_quantity(needs.need, needs.demand_within, policy.min_fill_rate, is_whole=whole)
    is_filled = floor > raw
    raised = np.maximum(raw, floor)
    ratio = np.where(is_filled, np.maximum(ratio, (needs.need <= raised[:, None]).mean(axis=1)), ratio)
    beside = needs.stock_beside if policy.shortage == "lost" else None
    rounded = round_by_cost(raw, needs.need, terms.ratio[rows], floor=floor, terms=terms.supplier.of(rows), stock_beside=beside)
    return Decision(needs, raised, is_filled, ratio, rounded)
