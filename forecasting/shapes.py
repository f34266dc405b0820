"""Shapes of standardised errors, pooled over series of like variation: a lumpy item's demand is skewed, a steady one's hardly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from forecasting.schema import BoolArray, FloatArray

STEPS: Final = 1000  # probabilities a shape is kept at
PROBABILITIES: Final = (np.arange(STEPS) + 0.5) / STEPS
KNOTS: Final = 0.05 * 2.0 ** (np.arange(15) / 2.0)  # coefficients of variation a shape is learnt at, 0.05 to 6.4
NEIGHBOURS: Final = 400  # errors a knot's shape rests on at least, if there are as many
PRIOR_ERRORS: Final = 30.0  # errors after which the pooled shape outweighs the gamma distribution's
WIDEST_SHAPE: Final = 2.0  # times the gamma distribution's last step; a larger standardised error counts as that


def pooled_shapes(errors: FloatArray, variation: FloatArray, is_floor: BoolArray) -> FloatArray:
    """[knot, step]; quantiles of standardised errors of like coefficient of variation, drawn towards a gamma distribution's."""
    order = np.argsort(variation, kind="stable")
    errors, is_floor, variation = errors[order], is_floor[order], variation[order]
    near = min(len(errors), max(NEIGHBOURS, len(errors) // len(KNOTS)))
    shapes = np.empty((len(KNOTS), STEPS))
    for index, knot in enumerate(KNOTS):
        first = int(np.clip(np.searchsorted(variation, knot) - near // 2, 0, len(errors) - near))
        chosen = slice(first, first + near)
        form = 1.0 / knot**2
        shapes[index] = (special.gammaincinv(form, PROBABILITIES) / form - 1.0) / knot
        if near:
            share = near / (near + PRIOR_ERRORS)
            # in a small sample one absurd quantity would be the upper percent
            likely = np.minimum(errors[chosen], WIDEST_SHAPE * shapes[index, -1])
            shapes[index] = share * floored_quantiles(likely, is_floor[chosen]) + (1.0 - share) * shapes[index]
    return shapes


def floored_quantiles(errors: FloatArray, is_floor: BoolArray) -> FloatArray:
    """Quantiles at the steps of a sample some of which are only known to be at least so large.

    Source: Kaplan and Meier (1958), Nonparametric estimation from incomplete observations, JASA 53; the largest counts as
    known, after Efron (1967).
    """
    order = np.lexsort((is_floor, errors))
    ordered, is_known = errors[order], ~is_floor[order]
    is_known[-1] = True
    at_risk = len(ordered) - np.arange(len(ordered))
    left = np.concatenate([[1.0], np.cumprod(1.0 - is_known / at_risk)[:-1]])
    mass = (left * is_known / at_risk)[is_known]
    return np.interp(PROBABILITIES, np.cumsum(mass) - mass / 2.0, ordered[is_known])
