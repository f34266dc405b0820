"""How often promises were missed by what an order had still before it: stage, time in it, stock and days left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy.optimize import isotonic_regression

from forecasting.schema import FloatArray, IntArray

STAGES: Final = 5
STAGE_AGE_DAYS: Final = (0.5, 1.0, 2.0, 4.0, 8.0)  # where one band of the time in a stage ends and the next begins
MOST_DAYS_LEFT: Final = 20  # more are taken as so many
_PRIOR_ROWS: Final = 20.0  # a cell counts its own rows, and the coarser one as so many


@dataclass(frozen=True, slots=True)
class MissRates:
    """Share of promises missed. Within a stage, band of time and state of stock it never rises with the days left.

    Attributes:
        rates: [stage - 1, band of time in the stage, goods are short, working days left].
    """

    rates: FloatArray

    def probability(self, snapshots: pl.DataFrame) -> FloatArray:
        """The rate of each snapshot's cell."""
        result: FloatArray = self.rates[_cells(snapshots)]
        return result


def fit_miss_rates(snapshots: pl.DataFrame, weights: FloatArray) -> MissRates:
    """The shares of missed promises among snapshots whose promise has come due.

    A cell with few rows leans on the same stage, stock and days whatever the time in the stage, that on the stage and stock, that on all.
    Days left are then pooled where more of them would raise the rate.

    Source: Ayer et al. (1955), An empirical distribution function for sampling with incomplete information, Annals of Mathematical
    Statistics 26, for pooling adjacent violators. A share among promises that came due and not the Kaplan-Meier curve of the time
    that remains (Klein and Moeschberger (2003), Survival Analysis, 4.2), which takes that time to be independent of what was promised:
    urgent orders are promised early and sent early.

    Args:
        snapshots: Columns of `forecasting.jeopardy`, is_missed never null.
        weights: What each row counts, above 0.
    """
    stage, band, is_short, days = _cells(snapshots)
    missed = weights * snapshots["is_missed"].to_numpy().astype(np.float64)
    shape = (STAGES, len(STAGE_AGE_DAYS) + 1, 2, MOST_DAYS_LEFT + 1)
    rows, misses = np.zeros(shape), np.zeros(shape)
    np.add.at(rows, (stage, band, is_short, days), weights)
    np.add.at(misses, (stage, band, is_short, days), missed)
    share_of_all = misses.sum() / rows.sum()
    by_stage = _leaning(misses.sum(axis=(1, 3)), rows.sum(axis=(1, 3)), np.full((STAGES, 2), share_of_all))
    by_days = _leaning(misses.sum(axis=1), rows.sum(axis=1), by_stage[:, :, None])
    rates = _leaning(misses, rows, by_days[:, None])
    for cell in np.ndindex(shape[:3]):
        rates[cell] = isotonic_regression(rates[cell], weights=rows[cell] + 1e-3, increasing=False).x
    return MissRates(rates)


def _leaning(misses: FloatArray, rows: FloatArray, coarser: FloatArray) -> FloatArray:
    result: FloatArray = (misses + _PRIOR_ROWS * coarser) / (rows + _PRIOR_ROWS)
    return result


def _cells(snapshots: pl.DataFrame) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    band = np.digitize(snapshots["stage_hours"].to_numpy() / 24.0, STAGE_AGE_DAYS).astype(np.int64)
    days = snapshots["working_days_left"].clip(0, MOST_DAYS_LEFT).cast(pl.Int64).to_numpy()
    stage = snapshots["stage"].cast(pl.Int64).to_numpy() - 1
    return stage, band, (snapshots["short_qty"] > 0).cast(pl.Int64).to_numpy(), days
