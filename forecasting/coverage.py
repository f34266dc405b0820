"""How often demand of the past stayed at or below what would have been said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.boosted_quantiles import BlendedSpread
from forecasting.spread import spread_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forecasting.boosted_quantiles import SumTrees
    from forecasting.schema import BoolArray, FloatArray, IntArray
    from forecasting.spread import PastErrors

CHECKED_WINDOWS: Final = 8


def checked_begins(errors: PastErrors, *, periods: int, first: int = 0) -> IntArray:
    """First periods, rising, of the newest windows that do not overlap and had others end before them, at most `CHECKED_WINDOWS`.

    Args:
        errors: Past sums of all series.
        periods: Length of the sums.
        first: None begins before this period.
    """
    begins = np.unique(errors.begins)
    chosen: list[int] = []
    for begin in begins[begins >= max(first, (begins[0] if len(begins) else 0) + periods)][::-1].tolist():
        if not chosen or begin <= chosen[-1] - periods:
            chosen.append(begin)
    return np.array(chosen[:CHECKED_WINDOWS][::-1], dtype=np.int64)


def past_coverage(
    errors: PastErrors, begins: IntArray, *, periods: int, levels: tuple[float, ...], trees: SumTrees | None = None
) -> pl.DataFrame:
    """One row per level: level, coverage_rate, windows_count, series_windows_count; the rate is null where no window could be tried.

    Level, scale, mixture and shape of each past sum are as they were known before it, so a rate is of sums that were still to
    come; season, calendar and the smoothing weight are those of today. Windows with a stock-out are left out, since
    what was wanted in them is not known.

    Args:
        errors: Past sums of all series.
        begins: First periods of the windows tried, as of `checked_begins`.
        periods: Length of the sums.
        levels: Probabilities.
        trees: Learned from sums that had ended before the first one tried; None for the statistical distribution alone.
    """
    covered = list(_covered(errors, begins, periods=periods, levels=levels, trees=trees))
    count = sum(is_covered.shape[1] for is_covered in covered)
    rates = np.concatenate(covered, axis=1).mean(axis=1).tolist() if count else [None] * len(levels)
    return pl.DataFrame(
        {"level": levels, "coverage_rate": rates, "windows_count": len(covered), "series_windows_count": count},
        schema={"level": pl.Float64, "coverage_rate": pl.Float64, "windows_count": pl.Int64, "series_windows_count": pl.Int64},
    )


def _covered(
    errors: PastErrors, begins: IntArray, *, periods: int, levels: tuple[float, ...], trees: SumTrees | None
) -> Iterator[BoolArray]:
    """[level, series] per window: whether demand stayed at or below its quantile."""
    said: FloatArray | None = trees.quantiles(begins) if trees is not None else None
    for position, begin in enumerate(begins.tolist()):
        asked = errors.where((errors.begins == begin) & ~errors.is_floor)
        spread = spread_of(asked.sums, errors.where(errors.begins <= begin - periods))
        distribution = spread if said is None else BlendedSpread(spread, said[:, position, asked.sums.series])
        yield asked.sums.expected + asked.error <= distribution.quantiles(levels) + 1e-6
