"""Logistic regression with a small penalty, by Newton's method; deterministic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasting.schema import FloatArray

PENALTY: Final = 5.0  # what few rows say is drawn towards nothing; many thousand rows hardly feel it
_MOST_STEPS: Final = 25
_CLOSE_ENOUGH: Final = 1e-6
_BLOCK_ROWS: Final = 128
_LEAST_SPREAD: Final = 1e-6  # a column that never changes says nothing


@dataclass(frozen=True, slots=True)
class Logistic:
    """A fitted regression: log odds = intercept + slopes times the columns, each less its mean and over its spread."""

    intercept: float
    slopes: FloatArray
    means: FloatArray
    spreads: FloatArray

    def probability(self, columns: FloatArray) -> FloatArray:
        """The probability of each row; [row, column] as in the fit."""
        odds = self.intercept + ((columns - self.means) / self.spreads) @ self.slopes
        return probability_of(odds)


def fit_logistic(columns: FloatArray, is_hit: FloatArray, weights: FloatArray) -> Logistic:
    """The regression under which the hits are likeliest, less a penalty on the squares of its slopes.

    Source: Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, 4.4.1 (Newton steps, equation 4.26) and 4.4.4
    (penalty; squares instead of absolute values here).

    Args:
        columns: [row, column], finite.
        is_hit: 1 where it happened, 0 where not.
        weights: What each row counts, above 0.
    """
    means = np.average(columns, axis=0, weights=weights)
    spreads = np.sqrt(np.average((columns - means) ** 2, axis=0, weights=weights))
    spreads = np.where(spreads < _LEAST_SPREAD, 1.0, spreads)
    standard = np.column_stack([np.ones(len(columns)), (columns - means) / spreads])
    table, hits, counts = (_in_blocks(one) for one in (standard, is_hit, weights))
    penalty = np.full(standard.shape[1], PENALTY)
    penalty[0] = 1e-9
    found = np.zeros(standard.shape[1])
    for _ in range(_MOST_STEPS):
        likely = probability_of(table @ found)
        slope = ((counts * (hits - likely))[:, None] @ table).sum(axis=(0, 1)) - penalty * found
        curvature = (table.transpose(0, 2, 1) @ (table * (counts * likely * (1.0 - likely))[:, :, None])).sum(axis=0)
        step = np.linalg.solve(curvature + np.diag(penalty), slope)
        found = found + step
        if np.abs(step).max() < _CLOSE_ENOUGH:
            break
    return Logistic(float(found[0]), found[1:], means, spreads)


def _in_blocks(rows: FloatArray) -> FloatArray:
    """[block, row, ...], filled up with zeros.

    Products of blocks so small are made by one thread each: the sums do not depend on the number of threads, and on a busy machine no
    thread waits for another.
    """
    missing = -len(rows) % _BLOCK_ROWS
    filled = np.concatenate([rows, np.zeros((missing, *rows.shape[1:]))])
    return filled.reshape(-1, _BLOCK_ROWS, *rows.shape[1:])


def log_odds(probability: FloatArray | float) -> FloatArray:
    """Log odds of probabilities; what is nearly certain is taken as one in ten thousand."""
    within = np.clip(probability, 1e-4, 1.0 - 1e-4)
    result: FloatArray = np.log(within / (1.0 - within))
    return result


def probability_of(odds: FloatArray) -> FloatArray:
    """Probabilities of log odds."""
    result: FloatArray = 1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0)))
    return result
