"""The daily methods as a rule in whole periods, so that a replay can live through what runs would have ordered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from inventory.demand_paths import learn_demand
from inventory.projection import fill_quantity, need_quantile, project_needs
from inventory.protection_demand import LEAST_UNITS
from inventory.rounding import round_by_cost

if TYPE_CHECKING:
    import numpy.typing as npt

    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray, IntArray, PathArray
    from inventory.demand_paths import DemandLaw
    from inventory.item_terms import ItemTerms
    from inventory.policy import ReplayState
    from inventory.projection import Needs
    from inventory.simulation import Learner

PATH_METHOD: Final = "path_newsvendor"


class OneFit:
    """Demand learnt once for all rules that ask for the same: a replay asks each rule at the same periods, of the same matrix.

    Args:
        learn: How it is learnt.
    """

    def __init__(self, learn: Learner = learn_demand) -> None:
        self._learn = learn
        self._asked: tuple[int, int, int] | None = None
        self._law: DemandLaw | None = None

    def __call__(self, matrix: SeriesMatrix, *, periods: int, seed: int) -> DemandLaw:
        """What is known of the demand that comes after the matrix."""
        asked = (matrix.periods_count, periods, seed)
        if self._law is None or asked != self._asked:
            self._law, self._asked = self._learn(matrix, periods=periods, seed=seed), asked
        return self._law


@dataclass(frozen=True, slots=True)
class StandingRule:
    """Orders as `inventory.reorder.plan_reorder` does for one item, for all series at once and in whole periods.

    Every series is looked at in every period, as a run looks at every item every day; an order has to last its lead and review
    time. All arrays are [series], in the order of the matrix.

    Attributes:
        method: Of `inventory.schema.Method`.
        terms: For lead times, supplier's terms, and the quantile that money and service level leave as the ratio.
        rounding_ratio: From `inventory.money.rounding_ratio`; NaN where packs are rounded up.
        review_periods: Until an item is looked at again, at least 1.
        min_qty, max_qty, reorder_qty: Units; NaN where nobody names one.
        cover_periods: Periods of mean demand that days of cover orders up to; NaN where nobody names them.
        min_fill_rate: Least share of demand to be met in an order's own periods; NaN where nobody asks for one.
        learn: How demand is learnt; rules that stand beside each other share one `OneFit`.
        seed: Of the paths.

    Raises:
        ValueError: The arrays are of different lengths, or a method lacks its parameter.
    """

    method: npt.NDArray[np.str_]
    terms: ItemTerms
    rounding_ratio: FloatArray
    review_periods: IntArray
    min_qty: FloatArray
    max_qty: FloatArray
    reorder_qty: FloatArray
    cover_periods: FloatArray
    min_fill_rate: FloatArray
    learn: Learner
    seed: int = 0

    def __post_init__(self) -> None:
        arrays = (
            self.terms.ratio,
            self.rounding_ratio,
            self.review_periods,
            self.min_qty,
            self.max_qty,
            self.reorder_qty,
            self.cover_periods,
            self.min_fill_rate,
        )
        if any(len(one) != len(self.method) for one in arrays):
            raise ValueError("method: every array has to have one entry per series.")
        if np.any(self.review_periods < 1):
            raise ValueError("review_periods: has to be at least 1.")
        needed = {"days_of_cover": self.cover_periods, "reorder_quantity": self.reorder_qty, "reorder_point": self.max_qty}
        for method, values in (needed | {"min_max": self.max_qty}).items():
            if np.isnan(values[self.method == method]).any():
                raise ValueError(f"method: {method} lacks its parameter for some series.")

    def order(self, state: ReplayState) -> FloatArray:
        """[series] units, in packs where these are weighed; 0 for a series of which nothing was ever seen."""
        asked = np.zeros(len(self.method))
        usual, longest = self.terms.usual_lead + self.review_periods, self.terms.longest_lead + self.review_periods
        law = self.learn(state.known, periods=int(np.median(usual)), seed=self.seed)
        is_known = state.known.observed.any(axis=0)
        for horizon in np.unique(usual[is_known]).tolist():
            # the spread of the usual horizon, as a run takes it: that of the longest lead would be carried into every shorter one
            own = law if horizon == law.periods else law.over(horizon)
            rows = np.flatnonzero(is_known & (usual == horizon))
            for place, paths in own.chunks(rows, periods=int(longest[rows].max()), seed=self.seed):
                asked[rows[place]] = self._asked(paths, rows[place], state, is_whole=law.is_whole[rows[place]])
        return np.maximum(asked, 0.0)

    def _asked(self, paths: PathArray, rows: IntArray, state: ReplayState, *, is_whole: npt.NDArray[np.bool_]) -> FloatArray:
        """[position]; what the method of each series asks for."""
        on_hand, arriving = state.on_hand[rows], state.arriving[:, rows]
        arrives = self.terms.drawn_leads(rows, paths.shape[1], np.random.default_rng(self.seed))
        until, ratio = arrives + self.review_periods[rows][:, None], self.terms.ratio[rows]
        needs = project_needs(paths, on_hand=on_hand, arriving=arriving, arrives=arrives, until=until, shortage="lost")
        floor, rate = np.zeros(len(rows)), self.min_fill_rate[rows]
        if (is_asked := np.isfinite(rate)).any():
            filled = fill_quantity(needs.need[is_asked], needs.demand_within[is_asked], rate[is_asked], is_whole=is_whole[is_asked])
            floor[is_asked] = filled
        lost = self._rounded(np.maximum(need_quantile(needs.need, ratio, is_whole=is_whole), floor), needs, floor, rows)
        total = np.cumsum(paths, axis=2, dtype=np.float64)
        demand = np.sort(np.take_along_axis(total, until[:, :, None] - 1, axis=2)[:, :, 0], axis=1)
        level = need_quantile(demand, ratio, is_whole=is_whole)
        usual = np.median(until, axis=1)  # what comes after that does not help this order's demand
        counted = np.arange(len(arriving))[:, None] < usual
        position = on_hand + (arriving * counted).sum(axis=0)
        cover = np.ceil(paths.mean(axis=(1, 2)) * self.cover_periods[rows] - LEAST_UNITS)
        trigger = np.where(np.isnan(self.min_qty[rows]), level, self.min_qty[rows])
        most = np.maximum(np.nan_to_num(self.max_qty[rows]), trigger)
        is_due, batch = position <= trigger, np.nan_to_num(self.reorder_qty[rows], nan=1.0)
        batches = np.maximum(1.0, np.ceil((trigger - position) / batch)) * batch
        method = self.method[rows]
        return np.select(
            [method == PATH_METHOD, method == "order_up_to", method == "days_of_cover", method == "reorder_quantity"],
            [lost, level - position, cover - position, np.where(is_due, batches, 0.0)],
            np.where(is_due, most - position, 0.0),
        )

    def _rounded(self, raw: FloatArray, needs: Needs, floor: FloatArray, rows: IntArray) -> FloatArray:
        """[position]; in the packs that cost least, for series whose packs are weighed; a replay's shop rounds up what is left."""
        some = np.isfinite(self.rounding_ratio[rows])
        own = self.terms.supplier.of(rows[some])
        result = raw.copy()
        rounded = round_by_cost(
            raw[some],
            needs.need[some],
            self.rounding_ratio[rows[some]],
            floor=floor[some],
            terms=own,
            stock_beside=needs.stock_beside[some],
        )
        result[some] = rounded.maximum
        return result
