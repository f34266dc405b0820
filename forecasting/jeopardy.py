"""How likely an open order misses its promise, by what was known of it at the end of a day.

A snapshot is one order at the end of one day, with the next promise it can still keep. Columns:

    order_id, snapshot_date, due_date   the promise is kept up to the end of due_date, which lies after snapshot_date
    stage                               1 not approved, 2 approved, 3 released, 4 a part has left, 5 all has left
    stage_hours                         since the stage began, 0 or more
    working_days_left                   days up to due_date on which orders usually leave (or arrive)
    short_qty                           units that the shelf does not hold for it
    inbound_gap_days                    from due_date to the day on which inbound for the last of them is expected, null: none is known
    is_held                             payment is held
    backlog_days                        orders waiting at its place over those that leave it on a usual day, null: not known
    intake_ratio                        orders that came on its day over those of a usual day, null: not known
    lines_count, location_id, channel_id, ship_to_region, carrier
    is_missed                           null as long as nobody can know
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from forecasting.jeopardy_rates import MissRates, fit_miss_rates
from forecasting.logistic import Logistic, fit_logistic, log_odds
from forecasting.schema import FloatArray

HALF_LIFE_DAYS: Final = 56.0  # a snapshot so old counts half: carriers and places change
LEAST_ORDERS: Final = 50  # with fewer promises that came due nothing is said
LEAST_LEARNED_ORDERS: Final = 500
LEAST_LEARNED_MISSES: Final = 50  # some 40 slopes are learned
LEAST_NAMED_ROWS: Final = 300  # a place, channel, region or carrier with fewer is one of the others
FAR_INBOUND_DAYS: Final = 30
_NAMED: Final = ("location_id", "channel_id", "ship_to_region", "carrier")


@dataclass(frozen=True, slots=True)
class Learned:
    """The regression on top of the rates, and the names it has slopes for."""

    regression: Logistic
    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class JeopardyModel:
    """What past snapshots say.

    Attributes:
        rates: The plain rates.
        learned: What corrects them by the order's own circumstances; None where the plain rates are all.
        fallback_reason: Why the plain rates are all; None where they are not.
        usual_backlog_days: Median over the snapshots; None where it is not known.
        orders_count: Orders that were learned from.
        missed_orders_count: Of them, orders that missed.
    """

    rates: MissRates
    learned: Learned | None
    fallback_reason: str | None
    usual_backlog_days: float | None
    orders_count: int
    missed_orders_count: int

    @property
    def basis(self) -> str:
        """`learned` or `rates`."""
        return "rates" if self.learned is None else "learned"

    def probability(self, snapshots: pl.DataFrame) -> FloatArray:
        """The probability that each snapshot's promise is missed, if nobody calls the order off."""
        plain = self.rates.probability(snapshots)
        if self.learned is None:
            return plain
        return self.learned.regression.probability(np.column_stack([log_odds(plain), _circumstances(snapshots, self.learned.names)]))


def fit_jeopardy(snapshots: pl.DataFrame, *, as_of: date, plain_because: str | None = None) -> JeopardyModel | None:
    """A model of the snapshots whose promise had come due by `as_of`; None where they are of fewer than `LEAST_ORDERS` orders.

    Two stages: the rate of each cell, then a regression of the misses on its log odds and on the order's circumstances. The
    probability never rises with the working days left while the rest stays as it is: the rates do not, and a regression that
    turned them round is not used.

    Args:
        snapshots: See above; rows with a null is_missed, or due after `as_of`, are left out.
        as_of: The last day that may be known.
        plain_because: Why only the plain rates are to be used.
    """
    known = snapshots.filter(pl.col("is_missed").is_not_null(), pl.col("due_date") <= as_of)
    orders_count = known["order_id"].n_unique()
    if orders_count < LEAST_ORDERS:
        return None
    weights = 0.5 ** (_ages(known, as_of) / HALF_LIFE_DAYS)
    rates = fit_miss_rates(known, weights)
    missed_orders_count = known.filter(pl.col("is_missed"))["order_id"].n_unique()
    learned, reason = None, plain_because
    if reason is None and (orders_count < LEAST_LEARNED_ORDERS or missed_orders_count < LEAST_LEARNED_MISSES):
        reason = (
            f"{orders_count:,} orders came due and {missed_orders_count:,} of them missed; "
            f"{LEAST_LEARNED_ORDERS} and {LEAST_LEARNED_MISSES} are needed to learn from."
        )
    if reason is None:
        learned = _learn(known, rates, weights)
        reason = None if learned else "What was learned turned the plain rates round."
    return JeopardyModel(rates, learned, reason, _median(known["backlog_days"]), orders_count, missed_orders_count)


def _ages(known: pl.DataFrame, as_of: date) -> FloatArray:
    result: FloatArray = (np.datetime64(as_of) - known["snapshot_date"].to_numpy()).astype("timedelta64[D]").astype(np.float64)
    return result


def _median(values: pl.Series) -> float | None:
    found = values.drop_nulls().median()
    return float(found) if isinstance(found, int | float) else None


def _learn(known: pl.DataFrame, rates: MissRates, weights: FloatArray) -> Learned | None:
    names = tuple(
        (column, name)
        for column in _NAMED
        for name, count in known[column].drop_nulls().value_counts().sort(column).iter_rows()
        if count >= LEAST_NAMED_ROWS
    )
    columns = np.column_stack([log_odds(rates.probability(known)), _circumstances(known, names)])
    regression = fit_logistic(columns, known["is_missed"].to_numpy().astype(np.float64), weights)
    return Learned(regression, names) if regression.slopes[0] > 0 else None


def _circumstances(snapshots: pl.DataFrame, names: tuple[tuple[str, str], ...]) -> FloatArray:
    """[snapshot, column] of what is known beside the cell."""
    is_short, gap = pl.col("short_qty") > 0, pl.col("inbound_gap_days").clip(-10, FAR_INBOUND_DAYS).fill_null(FAR_INBOUND_DAYS)
    weekday = pl.col("snapshot_date").dt.weekday()
    facts = snapshots.select(
        *((pl.col("stage") == stage).alias(f"stage_{stage}") for stage in (1, 2, 3, 4)),
        *((weekday == day).alias(f"weekday_{day}") for day in range(1, 7)),
        *(pl.col(column).eq_missing(pl.lit(name)).alias(f"{column}={name}") for column, name in names),
        is_short=is_short,
        short_log=pl.col("short_qty").cast(pl.Float64).log1p(),
        is_inbound_in_time=is_short & (gap <= 0),
        inbound_gap=pl.when(is_short).then(gap).otherwise(-10),
        is_held="is_held",
        backlog_log=pl.col("backlog_days").clip(0, 30).log1p().fill_null(0),
        intake_ratio=pl.col("intake_ratio").clip(0, 3).fill_null(1),
        lines_log=pl.col("lines_count").cast(pl.Float64).log(),
    )
    result: FloatArray = facts.cast(pl.Float64).to_numpy()
    return result
