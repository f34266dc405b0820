"""Joint paths of coming demand for all series of a matrix, from the forecast that is best for replenishment."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.boosted_quantiles import BlendedSpread, learn_sum_trees, why_no_sum_trees
from forecasting.mending import joined, series_notes
from forecasting.models import LIGHTGBM
from forecasting.paths import key_number, path_chunks, sells_whole_units
from forecasting.schema import POOLED_ENSEMBLE, SEASONAL_NAIVE
from forecasting.selection import choose
from forecasting.silent import names_put_back, reasons_put_back
from forecasting.spread import fit_spread
from inventory.lumpy import LumpyDemand, lumpy_rows
from inventory.policy import LARGEST_QTY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from forecasting.matrix import SeriesMatrix
    from forecasting.pooled import PooledFit
    from forecasting.schema import BoolArray, Frequency, IntArray, PathArray
    from forecasting.spread import SumDistribution

LUMPY: Final = 1  # keeps its draws apart from those of other paths
# of each quantile: more of weeks' (M5), no more of months' (car parts); of days it was not tried
TREES_SAY: Final[Mapping[Frequency, float]] = {"daily": 0.5, "weekly": 0.75, "monthly": 0.5}
PATHS: Final = 300  # per series; with twice as many orders change by rounding only


@dataclass(frozen=True, slots=True)
class DemandLaw:
    """What is known of coming demand.

    Attributes:
        matrix: All series.
        fit: The pooled fit of those that have sold.
        rows: Their positions in the matrix.
        periods: The sum of so many coming periods is what the spread was learnt for.
        spread: The distribution of that sum, of the series at `rows`.
        names: Per series of the matrix, the model.
        reasons: Per series, what is unusual about it or its forecast; None where nothing is.
        lumpy: What half of the paths of lumpy series are drawn from; None where no series is lumpy.
        lumpy_rows: Positions of these series in the matrix.
    """

    matrix: SeriesMatrix
    fit: PooledFit
    rows: IntArray
    periods: int
    spread: SumDistribution
    names: list[str]
    reasons: list[str | None]
    lumpy: LumpyDemand | None = None
    lumpy_rows: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def is_whole(self) -> BoolArray:
        """[series]; sells whole units; periods that were estimated do not speak against it."""
        return sells_whole_units(self.matrix.demand)

    def over(self, periods: int) -> DemandLaw:
        """The same fit with the spread of another sum, without trees."""
        names = self.names
        if isinstance(self.spread, BlendedSpread):
            names = [POOLED_ENSEMBLE if name == LIGHTGBM else name for name in names]
        return dataclasses.replace(self, periods=periods, spread=fit_spread(self.fit, periods=periods), names=names)

    def chunks(self, rows: IntArray, *, periods: int, seed: int, paths: int = PATHS) -> Iterator[tuple[IntArray, PathArray]]:
        """Positions in `rows`, and their demand as [position, path, period]; zero for a series that never sold.

        Args:
            rows: Positions in the matrix.
            periods: Length of a path.
            seed: Seed of the draws. A series' draws depend on its key and the seed only.
            paths: Paths per series.
        """
        place = np.full(self.matrix.keys.height, -1)
        place[self.rows] = np.arange(len(self.rows))
        wanted = place[rows]
        known = np.flatnonzero(wanted >= 0)
        position = np.full(len(self.rows), -1)
        position[wanted[known]] = known
        drawn = path_chunks(
            self.fit, wanted[known], periods=periods, paths=paths, seed=seed, spread_periods=self.periods, spread=self.spread
        )
        for fitted, demand in drawn:
            self._mix(rows[position[fitted]], demand, seed=seed)
            yield position[fitted], np.nan_to_num(demand)
        silent = np.flatnonzero(wanted < 0)
        if len(silent):
            yield silent, np.zeros((len(silent), paths, periods), dtype=np.float32)

    def _mix(self, rows: IntArray, demand: PathArray, *, seed: int) -> None:
        """Every second path of a lumpy series is made of its sales and their sizes, in place."""
        if self.lumpy is None:
            return
        is_lumpy = np.isin(rows, self.lumpy_rows)
        shape = (demand[0, ::2].shape[0], demand.shape[2])
        for place in np.flatnonzero(is_lumpy).tolist():
            sku, location_id = self.matrix.keys.row(int(rows[place]))
            generator = np.random.default_rng([seed, LUMPY, key_number(sku, location_id)])
            demand[place, ::2] = self.lumpy.draw(int(rows[place]), shape, generator)


def demand_problems(matrix: SeriesMatrix) -> list[str | None]:
    """Why nothing can be said of a series' demand; None where something can."""
    unit = matrix.period_name
    is_seen: BoolArray = matrix.observed.sum(axis=0) > 0
    largest = matrix.demand.max(axis=0, initial=0.0)
    return [
        (f"no {unit} in stock whose demand is known: {note}" if note else f"no {unit} in stock, so nothing is known of its demand")
        if not seen
        else f"demand of {most:g} in one {unit} cannot be right"
        if most > LARGEST_QTY
        else None
        for seen, most, note in zip(is_seen.tolist(), largest.tolist(), matrix.notes, strict=True)
    ]


def _without_absurd(matrix: SeriesMatrix) -> SeriesMatrix:
    """Series of which nothing can be said teach nothing of the others."""
    is_absurd = matrix.demand.max(axis=0, initial=0.0) > LARGEST_QTY
    if not is_absurd.any():
        return matrix
    return dataclasses.replace(matrix, demand=np.where(is_absurd, 0.0, matrix.demand), observed=matrix.observed & ~is_absurd)


def learn_demand(matrix: SeriesMatrix, *, periods: int, seed: int, wants_trees: bool = True) -> DemandLaw:
    """The pooled fit that was best on past cut-offs and the spread of its sums, in part from trees where there is enough to learn from.

    Args:
        matrix: Demand that is known, and the calendar ahead.
        periods: Length of the sums that matter: lead plus review time.
        seed: Seed of the trees.
        wants_trees: Trees have a say where there is enough to learn from.
    """
    matrix = _without_absurd(matrix)
    selling, rows = matrix.selling()
    choice = choose(selling, periods=periods)
    fit = choice.fit(selling)
    name = POOLED_ENSEMBLE if choice.name == SEASONAL_NAIVE else choice.name
    names = [name if own == POOLED_ENSEMBLE else own for own in fit.model_names()]
    spread: SumDistribution = fit_spread(fit, periods=periods)
    if wants_trees and why_no_sum_trees(fit, periods=periods) is None:
        said = learn_sum_trees(fit, periods=periods, seed=seed).quantiles(np.array([fit.matrix.periods_count]))[:, 0]
        spread = BlendedSpread(spread, said, TREES_SAY[matrix.frequency])
        names = [LIGHTGBM if is_said else own for is_said, own in zip(np.isfinite(said[0]).tolist(), names, strict=True)]
    lumpy = lumpy_rows(matrix)
    reasons = reasons_put_back(matrix, rows, fit.fallback_reasons())
    return DemandLaw(
        matrix=matrix,
        fit=fit,
        rows=rows,
        periods=periods,
        spread=spread,
        names=names_put_back(matrix, rows, names),
        reasons=joined(series_notes(matrix), reasons),
        lumpy=LumpyDemand(matrix) if len(lumpy) else None,
        lumpy_rows=lumpy,
    )
