"""Levels of demand by smoothing, all series at once, each period weighed by how much of a mean period it is.

Every method here follows demand per *mean* period: `exposure` is the factor of season and calendar where a period was
observed and 0 where it was not, so a weekday that hardly sells hardly moves a level and a closed or censored one not
at all. Row t of the levels is what was known before period t; the last row is what is known after the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from forecasting.schema import BoolArray, FloatArray, IntArray


class LevelMethod(Protocol):
    """A method of this module: levels [period + 1, series] of demand and exposure, both [period, series]."""

    def __call__(self, demand: FloatArray, exposure: FloatArray, *, smoothing: float) -> FloatArray:
        """Levels in units per mean period."""
        ...


LONGEST_BUCKET: Final = 30  # periods; a bucket of sparser demand would leave too few to smooth over


def ses_levels(demand: FloatArray, exposure: FloatArray, *, smoothing: float) -> FloatArray:
    """Simple exponential smoothing, l += a (y - p l): with p = 1 the textbook's, and a mean until 1/a periods were seen.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), section 8.1.

    Args:
        demand: [period, series] in units, 0 where the exposure is 0.
        exposure: [period, series]; share of a mean period, 0 where it was not observed.
        smoothing: Weight of the newest period.

    Returns:
        [period + 1, series], in units per mean period; 0 before anything was observed.
    """
    levels = np.zeros((demand.shape[0] + 1, demand.shape[1]))
    seen = np.zeros(demand.shape[1])
    for period, (sold, share) in enumerate(zip(demand, exposure, strict=True)):
        seen += share
        levels[period + 1] = levels[period] + gain(share, seen, smoothing) * (sold - share * levels[period])
    return levels


def tsb_levels(demand: FloatArray, exposure: FloatArray, *, smoothing: float) -> FloatArray:
    """Probability of a sale times its mean size, each smoothed on its own; a level sinks while nothing sells.

    Source: Teunter, Syntetos and Babai (2011), Intermittent demand: linking forecasting to inventory obsolescence, EJOR 214.

    Args:
        demand: [period, series] in units.
        exposure: [period, series]; share of a mean period, 0 where it was not observed.
        smoothing: Weight of the newest period in the probability, and of the newest sale in the size.

    Returns:
        [period + 1, series], in units per mean period.
    """
    levels = np.zeros((demand.shape[0] + 1, demand.shape[1]))
    rate, size, seen, sales = (np.zeros(demand.shape[1]) for _ in range(4))
    for period, (sold, share) in enumerate(zip(demand, exposure, strict=True)):
        is_sale = (sold > 0) & (share > 0)
        sale_share = np.where(is_sale, share, 0.0)
        seen += share
        sales += sale_share
        # the size is per mean period and the rate a probability: their product on the mean period is the level
        rate += gain(share, seen, smoothing) * share * (is_sale - rate)
        size += gain(sale_share, sales, smoothing) * (np.where(is_sale, sold, 0.0) - sale_share * size)
        levels[period + 1] = rate * size
    return levels


def sba_levels(demand: FloatArray, exposure: FloatArray, *, smoothing: float) -> FloatArray:
    """Croston's mean size over mean interval, less half the smoothing weight, which takes its bias away.

    Source: Syntetos and Boylan (2005), The accuracy of intermittent demand estimates, IJF 21, equation 2.

    Args:
        demand: [period, series] in units.
        exposure: [period, series]; share of a mean period, 0 where it was not observed.
        smoothing: Weight of the newest sale in size and interval.

    Returns:
        [period + 1, series], in units per mean period.
    """
    levels = np.zeros((demand.shape[0] + 1, demand.shape[1]))
    size, interval, waited, sales = (np.zeros(demand.shape[1]) for _ in range(4))
    for period, (sold, share) in enumerate(zip(demand, exposure, strict=True)):
        is_sale = (sold > 0) & (share > 0)
        waited += share
        sales += is_sale
        weight = np.where(is_sale, np.maximum(smoothing, 1.0 / np.maximum(sales, 1.0)), 0.0)
        size += weight * (sold - size)
        interval += weight * (waited - interval)
        waited = np.where(is_sale, 0.0, waited)
        level = np.divide(size, interval, out=np.zeros_like(size), where=interval > 0)
        levels[period + 1] = (1.0 - smoothing / 2.0) * level
    return levels


def adida_levels(demand: FloatArray, exposure: FloatArray, *, smoothing: float, buckets: IntArray | None = None) -> FloatArray:
    """Simple exponential smoothing of sums over buckets as long as the mean interval between sales, spread out again.

    Buckets end with the last period, so no recent one is left out; the first may be short.

    Source: Nikolopoulos et al. (2011), An aggregate-disaggregate intermittent demand approach, JORS 62.

    Args:
        demand: [period, series] in units.
        exposure: [period, series]; share of a mean period, 0 where it was not observed.
        smoothing: Weight of the newest bucket.
        buckets: Periods per bucket and series; default is `mean_intervals`.

    Returns:
        [period + 1, series], in units per mean period.
    """
    buckets = mean_intervals(demand, exposure) if buckets is None else buckets
    levels = np.zeros((demand.shape[0] + 1, demand.shape[1]))
    sold_sum, share_sum, seen = (np.zeros(demand.shape[1]) for _ in range(3))
    left = (demand.shape[0] - 1) % buckets + 1
    for period, (sold, share) in enumerate(zip(demand, exposure, strict=True)):
        sold_sum += sold
        share_sum += share
        left -= 1
        is_full = left == 0
        mean_share = np.where(is_full, share_sum / buckets, 0.0)
        seen += mean_share
        weight = gain(mean_share, seen, smoothing)
        levels[period + 1] = levels[period] + weight * (sold_sum / buckets - mean_share * levels[period])
        sold_sum[is_full], share_sum[is_full] = 0.0, 0.0
        left = np.where(is_full, buckets, left)
    return levels


def imapa_levels(demand: FloatArray, exposure: FloatArray, *, smoothing: float) -> FloatArray:
    """Mean of `adida_levels` over buckets of 1, 2, 4, ... periods up to the mean interval between sales.

    Source: Petropoulos and Kourentzes (2015), Forecast combinations for intermittent demand, JORS 66; there every length
    is taken, here each is twice the last.

    Args:
        demand: [period, series] in units.
        exposure: [period, series]; share of a mean period, 0 where it was not observed.
        smoothing: Weight of the newest bucket.

    Returns:
        [period + 1, series], in units per mean period.
    """
    longest = mean_intervals(demand, exposure)
    total, counts = ses_levels(demand, exposure, smoothing=smoothing), np.ones(demand.shape[1])
    length = 2
    while (reached := longest >= length).any():
        some = np.flatnonzero(reached)
        total[:, some] += adida_levels(demand[:, some], exposure[:, some], smoothing=smoothing, buckets=np.full(len(some), length))
        counts[some] += 1
        length *= 2
    result: FloatArray = total / counts
    return result


def naive_levels(demand: FloatArray, exposure: FloatArray, *, smoothing: float) -> FloatArray:  # noqa: ARG001 - as its like
    """The newest observed period's demand per mean period, [period + 1, series]; the weight does not matter."""
    return ses_levels(demand, exposure, smoothing=np.inf)


def mean_intervals(demand: FloatArray, exposure: FloatArray) -> IntArray:
    """Observed periods per period with a sale, rounded, at least 1 and at most `LONGEST_BUCKET`; per series."""
    is_seen: BoolArray = exposure > 0
    sales = (is_seen & (demand > 0)).sum(axis=0)
    rounded = np.rint(is_seen.sum(axis=0) / np.maximum(sales, 1)).astype(np.int64)
    result: IntArray = np.clip(rounded, 1, LONGEST_BUCKET)
    return result


def gain(share: FloatArray, seen: FloatArray, smoothing: float) -> FloatArray:
    """Weight of a period's error: at most what makes the level meet it, at least that of one among all seen so far."""
    safe = np.where(share > 0, share, 1.0)
    weight = np.maximum(np.minimum(smoothing, 1.0 / safe), 1.0 / np.maximum(seen, 1e-9))
    result: FloatArray = np.where(share > 0, weight, 0.0)
    return result
