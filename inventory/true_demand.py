"""What customers wanted in a past in which the merchant was at times out of stock."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.matrix import as_matrix
from forecasting.paths import key_number, sells_whole_units
from forecasting.pooled import fit_pooled
from forecasting.schema import SERIES_KEY

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import BoolArray, FloatArray, IntArray

USUAL_PERIODS: Final = 8
ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class TrueDemand:
    """Demand per period and series; where it was observed all three are the same.

    Attributes:
        expected: [period, series] in units; where the merchant was out of stock the level before the period on its season, at least
            what was sold. In whole units, where a series sells those, whose sum over time is that of the levels to less than one unit.
        low: The same with what was sold only.
        high: The same with one standard deviation of the series' own errors more.
        censored: [period, series]; the merchant was out of stock.
    """

    expected: FloatArray
    low: FloatArray
    high: FloatArray
    censored: BoolArray

    def of(self, rows: IntArray) -> TrueDemand:
        """Some series only, in the order of `rows`."""
        return TrueDemand(self.expected[:, rows], self.low[:, rows], self.high[:, rows], self.censored[:, rows])

    def estimated_rate(self, span: slice) -> float | None:
        """Share of the expected demand of these periods that is in periods out of stock; None without demand."""
        total = float(self.expected[span].sum())
        return float(self.expected[span][self.censored[span]].sum()) / total if total > 0 else None


def true_demand(panel: pl.DataFrame, matrix: SeriesMatrix, *, first: int) -> TrueDemand:
    """Demand with periods out of stock filled with the level from what was known before each of them.

    The factors of season and calendar, and the spread of errors, are learnt from the whole panel.

    Args:
        panel: What the matrix was made of.
        matrix: All of it.
        first: The first period whose demand matters.
    """
    if not matrix.censored[first:].any():
        return TrueDemand(matrix.demand, matrix.demand, matrix.demand, matrix.censored)
    sold = as_matrix(panel.with_columns(is_censored=pl.lit(value=False)), frequency=matrix.frequency).demand
    selling, rows = matrix.selling()
    fit = fit_pooled(selling)
    skipped = matrix.periods_count - selling.periods_count
    expected, deviation = np.zeros_like(matrix.demand), np.zeros(matrix.keys.height)
    expected[np.ix_(np.arange(skipped, matrix.periods_count), rows)] = fit.profile * fit.levels[:-1]
    known = np.isfinite(fit.residuals)
    squares = np.where(known, np.nan_to_num(fit.residuals) ** 2, 0.0).sum(axis=0)
    deviation[rows] = np.sqrt(squares / np.maximum(known.sum(axis=0), 1))
    # a level after the period knows of it only where it was in stock: periods out of stock change no level
    low = np.where(matrix.censored, sold, matrix.demand)
    likely, wide = (
        np.where(matrix.censored, np.fmax(sold, _in_whole_units(np.fmax(sold, estimate), matrix)), matrix.demand)
        for estimate in (expected, expected + deviation)
    )
    return TrueDemand(likely, low, np.maximum(likely, wide), matrix.censored)


def _in_whole_units(estimate: FloatArray, matrix: SeriesMatrix) -> FloatArray:
    """Estimates of censored periods, rounded so that what is cut off one is carried into the next one of the same series.

    Rounded one by one, a series that sells less often than every second period would have wanted nothing. Where the carrying begins
    belongs to the series, evenly from 0 to 1 over series, so that their sum is right too.
    """
    begins = np.array([key_number(str(sku), str(location_id)) / 2.0**64 for sku, location_id in matrix.keys.select(SERIES_KEY).iter_rows()])
    carried = np.floor(np.cumsum(np.where(matrix.censored, estimate, 0.0), axis=0) + begins + ROUNDING)
    whole = np.diff(carried, axis=0, prepend=0.0)
    return np.where(sells_whole_units(matrix.demand), whole, estimate)


def with_sold_out_highs(panel: pl.DataFrame, matrix: SeriesMatrix) -> SeriesMatrix:
    """The matrix with periods observed in which stock ran out and more was sold than usual: demand was that, or more.

    To leave them out would keep only the weak periods of a series whose demand rises. Usual is the mean of the newest
    `USUAL_PERIODS` periods before it that count as observed.

    Args:
        panel: What the matrix was made of.
        matrix: All of it.
    """
    if not matrix.censored.any():
        return matrix
    sold = as_matrix(panel.with_columns(is_censored=pl.lit(value=False)), frequency=matrix.frequency).demand
    demand, observed, censored = matrix.demand.copy(), matrix.observed.copy(), matrix.censored.copy()
    newest = np.full((USUAL_PERIODS, demand.shape[1]), np.nan)
    for period in range(len(demand)):
        seen = np.isfinite(newest)
        usual = np.where(seen, newest, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        is_high = censored[period] & seen.any(axis=0) & (sold[period] > usual)
        demand[period] = np.where(is_high, sold[period], demand[period])
        observed[period] |= is_high
        censored[period] &= ~is_high
        newest = np.where(observed[period], np.vstack([newest[1:], demand[period]]), newest)
    return dataclasses.replace(matrix, demand=demand, observed=observed, censored=censored)
