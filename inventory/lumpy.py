"""Paths of lumpy demand: whether anything sells, and how much then, from a series' newest periods and from series like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray, IntArray, PathArray

LEAST_SILENT_RATE: Final = 0.4  # share of periods without a sale from which half of the paths are of this kind
HALF_LIFE: Final = 8.0  # periods after which a period counts half
PRIOR_SALES: Final = 3.0  # sales after which a series' own sizes outweigh those of series like it
SIZE_CLASSES: Final = 12  # of series by mean size, whose sizes are pooled
LEAST_BETWEEN: Final = 1e-4  # variance of the rate of sale between series


class LumpyDemand:
    """Chance of a sale as a beta distribution per series, and sizes of sales, each period weighed by its age.

    The chance's prior is the beta distribution whose mean and variance are those of all series' rates less what is
    sampling, so a path also carries that its own rate is not known; a size is one of the series' own or of its class's.

    Source: Willemain, Smart and Schwarz (2004), IJF 20, for resampling sizes; Efron and Morris (1975), JASA 70, for the pooled prior.
    """

    def __init__(self, matrix: SeriesMatrix) -> None:
        age = np.arange(matrix.periods_count)[::-1, None]
        weight = 0.5 ** (age / HALF_LIFE) * matrix.observed
        self._demand, self._sales = matrix.demand, (matrix.demand > 0) * weight
        sold, seen = self._sales.sum(axis=0), weight.sum(axis=0)
        squares = np.maximum((weight**2).sum(axis=0), 1e-12)
        prior = _beta_prior(sold, seen, effective=seen**2 / squares)
        self._alpha, self._beta = prior[0] + sold, prior[1] + np.maximum(seen - sold, 1e-3)
        total = max(float(sold.sum()), 1e-12)
        usual = float((self._demand * self._sales).sum()) / total
        mean_size = ((self._demand * self._sales).sum(axis=0) + PRIOR_SALES * usual) / (sold + PRIOR_SALES)
        self._class = np.empty(len(sold), dtype=np.int64)
        order = np.argsort(mean_size, kind="stable")
        self._class[order] = np.arange(len(sold)) * SIZE_CLASSES // max(len(sold), 1)
        self._own_share = sold / (sold + PRIOR_SALES)
        self._pooled = [self._sizes(np.flatnonzero(self._class == number)) for number in range(SIZE_CLASSES)]

    def _sizes(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """Sizes of sales of some series and their cumulated shares; a size of 0 where there is none."""
        weights = self._sales[:, rows]
        told = weights > 0
        if not told.any():
            return np.zeros(1), np.ones(1)
        shares = np.cumsum(weights[told])
        return self._demand[:, rows][told], shares / shares[-1]

    def draw(self, row: int, shape: tuple[int, int], generator: np.random.Generator) -> PathArray:
        """Demand of one series as [path, period] in units."""
        chance = generator.beta(self._alpha[row], self._beta[row], size=(shape[0], 1))
        is_sale = generator.random(shape) < chance
        is_own = generator.random(shape) < self._own_share[row]
        place = generator.random(shape)
        own, pooled = (
            sizes[np.minimum(np.searchsorted(shares, place), len(sizes) - 1)]
            for sizes, shares in (self._sizes(np.array([row])), self._pooled[int(self._class[row])])
        )
        result: PathArray = np.where(is_sale, np.where(is_own, own, pooled), 0.0).astype(np.float32)
        return result


def lumpy_rows(matrix: SeriesMatrix) -> IntArray:
    """Series that sold nothing in a large share of their periods in stock."""
    silent = (matrix.observed & (matrix.demand == 0)).sum(axis=0)
    seen = matrix.observed.sum(axis=0)
    return np.flatnonzero((silent >= LEAST_SILENT_RATE * seen) & (seen > 0))


def _beta_prior(sold: FloatArray, seen: FloatArray, *, effective: FloatArray) -> tuple[float, float]:
    """Both parameters of the beta distribution of the rate of sale over series."""
    rate = sold / np.maximum(seen, 1e-12)
    mean = float(np.clip(sold.sum() / max(float(seen.sum()), 1e-12), 1e-3, 1.0 - 1e-3))
    spread = float(np.average((rate - mean) ** 2, weights=np.maximum(seen, 1e-12)))
    sampling = mean * (1.0 - mean) / max(float(effective.mean()), 1.0)
    strength = max(mean * (1.0 - mean) / max(spread - sampling, LEAST_BETWEEN) - 1.0, 0.1)
    return mean * strength, (1.0 - mean) * strength
