"""Quantities a supplier accepts, and which of them costs least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from inventory.policy import LOST_SALES_HOLDING

if TYPE_CHECKING:
    from forecasting.schema import BoolArray, FloatArray, IntArray

ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class SupplierTerms:
    """What can be ordered, per series.

    Attributes:
        pack: [series]; orders are multiples of it, at least 1.
        minimum: [series]; the least order.
        maximum: [series]; the most, infinite where there is none.
    """

    pack: FloatArray
    minimum: FloatArray
    maximum: FloatArray

    def of(self, rows: IntArray) -> SupplierTerms:
        """Of these series only."""
        return SupplierTerms(self.pack[rows], self.minimum[rows], self.maximum[rows])

    @property
    def smallest(self) -> FloatArray:
        """The least quantity that can be ordered at all."""
        result: FloatArray = np.maximum(np.ceil(self.minimum / self.pack - ROUNDING), 1.0) * self.pack
        return result

    @property
    def largest(self) -> FloatArray:
        """The most that can be ordered at once, infinite where there is no maximum."""
        finite = np.where(np.isfinite(self.maximum), self.maximum, 0.0)
        result: FloatArray = np.where(np.isfinite(self.maximum), np.floor(finite / self.pack + ROUNDING) * self.pack, np.inf)
        return result

    @property
    def is_possible(self) -> BoolArray:
        """Some quantity can be ordered."""
        result: BoolArray = self.largest >= self.smallest
        return result


@dataclass(frozen=True, slots=True)
class Rounded:
    """From the raw quantity to one a supplier accepts, per series; each step holds the quantity after it.

    Attributes:
        packs: In whole packs.
        minimum: Not below the minimum, or nothing.
        maximum: Not above the maximum.
    """

    packs: FloatArray
    minimum: FloatArray
    maximum: FloatArray


def round_by_cost(
    raw: FloatArray,
    need: FloatArray,
    ratio: FloatArray,
    *,
    floor: FloatArray,
    terms: SupplierTerms,
    stock_beside: FloatArray | None = None,
) -> Rounded:
    """The accepted quantity next to the raw one, above or below it, whose expected cost is least.

    The cost of a quantity q is that which makes the raw quantity the best of all: the mean of r (need - q)+ + (1 - r) (q - need)+. It is
    convex, so the best accepted quantity is a neighbour of the best of all; more stock lowers every need and so never raises the
    choice. Of two that cost the same it is the smaller.

    A least order of many periods' demand is never the best of one period alone, yet with demand lost an empty shelf waits for ever. So it
    is also placed where waiting another period would lose more than such orders cost in the mean of their cycle (`pays_over_its_cycle`).

    Source: Koenker and Bassett (1978), Regression quantiles, Econometrica 46, equation 2, for the loss whose minimum is the quantile.

    Args:
        raw: [series] in units, not below 0.
        need: [series, path].
        ratio: [series]; the quantile that was taken.
        floor: [series]; not to be rounded below, but by the maximum.
        terms: The suppliers'.
        stock_beside: [series]; as of `pays_over_its_cycle`, where what is missed is lost; None where it waits.
    """
    pack, smallest = terms.pack, terms.smallest
    low = np.floor(raw / pack + ROUNDING) * pack
    high = np.ceil(raw / pack - ROUNDING) * pack + 0.0  # no -0.0, which is what nothing, rounded up, would be
    packs = _cheaper(low, high, need, ratio)
    packs = np.maximum(packs, np.ceil(floor / pack - ROUNDING) * pack) + 0.0
    is_small = (packs < smallest) & (np.maximum(raw, floor) > 0)
    # what is rounded to no pack at all may still be worth the least order, and the other way round
    pays = floor > 0 if stock_beside is None else (floor > 0) | pays_over_its_cycle(smallest, need, ratio, stock_beside=stock_beside)
    least = np.where(pays, smallest, _cheaper(np.zeros_like(raw), smallest, need, ratio))
    minimum = np.where(is_small, least, packs)
    return Rounded(packs, minimum, np.minimum(minimum, terms.largest))


def pays_over_its_cycle(quantity: FloatArray, need: FloatArray, ratio: FloatArray, *, stock_beside: FloatArray) -> BoolArray:
    """What waiting for one more review would lose is at least what orders of this quantity cost from one review to the next, [series].

    Such orders, always placed at this stock, hold half the quantity in the mean and what lies beside it. Holding over shortage cost is read
    from the ratio, p / (p + 1.5 h).

    Source: Zheng and Federgruen (1991), Finding optimal (s, S) policies is about as simple as evaluating a single policy, Operations
    Research 39, lemma 1: order where the cost of one period without exceeds the mean cost of the best cycle.

    Args:
        quantity: [series]; units.
        need: [series, path].
        ratio: [series].
        stock_beside: [series]; mean stock when the order arrives, and half the demand of a review period.
    """
    saved = np.minimum(need, quantity[:, None]).mean(axis=1)
    result: BoolArray = LOST_SALES_HOLDING * ratio * saved >= (1.0 - ratio) * (quantity / 2.0 + stock_beside)
    return result


def round_up(raw: FloatArray, terms: SupplierTerms) -> FloatArray:
    """The least accepted quantity that is not below the raw one, at most the largest; for rules that know no need."""
    wanted = np.maximum(np.ceil(raw / terms.pack - ROUNDING) * terms.pack, terms.smallest)
    result: FloatArray = np.where(raw > ROUNDING, np.minimum(wanted, terms.largest), 0.0)
    return result


def _cheaper(low: FloatArray, high: FloatArray, need: FloatArray, ratio: FloatArray) -> FloatArray:
    open_rows = np.flatnonzero(high > low)
    result = low.copy()
    if len(open_rows):
        some, share = need[open_rows], ratio[open_rows]
        costs = [expected_loss(quantity[open_rows], some, share) for quantity in (low, high)]
        result[open_rows] = np.where(costs[1] < costs[0] - ROUNDING, high[open_rows], low[open_rows])
    return result


def expected_loss(quantity: FloatArray, need: FloatArray, ratio: FloatArray) -> FloatArray:
    """The mean over paths of r (need - q)+ + (1 - r) (q - need)+, [series]; its least is at the r-quantile of the need.

    Args:
        quantity: [series]; q, units.
        need: [series, path], units.
        ratio: [series]; r.
    """
    short = need - quantity[:, None]
    result: FloatArray = np.maximum(ratio[:, None] * short, (ratio[:, None] - 1.0) * short).mean(axis=1)
    return result
