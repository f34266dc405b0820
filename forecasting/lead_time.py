"""Demand over a lead time: the distribution of a sum of coming periods, which is what a reorder point needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.boosted_quantiles import BlendedSpread, learn_sum_trees, least_history, why_no_sum_trees
from forecasting.coverage import checked_begins, past_coverage
from forecasting.matrix import as_matrix
from forecasting.mending import joined, series_notes
from forecasting.models import LEVEL_METHODS, LIGHTGBM
from forecasting.paths import path_chunks
from forecasting.pooled import fit_pooled
from forecasting.schema import (
    POOLED_ENSEMBLE,
    SEASONAL_NAIVE,
    LeadTimeDemand,
    check_frequency,
    check_levels,
    check_not_negative,
    check_positive,
    keys_as_given,
    quantile_column,
)
from forecasting.selection import choose
from forecasting.silent import names_put_back, put_back, reasons_put_back
from forecasting.spread import mean_of, spread_of, sums_and_errors

if TYPE_CHECKING:
    from forecasting.boosted_quantiles import SumTrees
    from forecasting.matrix import SeriesMatrix
    from forecasting.pooled import PooledFit
    from forecasting.schema import IntArray, PathArray
    from forecasting.spread import SumDistribution

AUTO: Final = "auto"
LEAST_SERIES_BLENDED: Final = 5_000  # that sold; with fewer, trees are asked for by name


def lead_time_demand(
    panel: pl.DataFrame,
    *,
    periods: int,
    frequency: str,
    attributes: pl.DataFrame | None = None,
    calendar: pl.DataFrame | None = None,
    model: str = AUTO,
    levels: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95, 0.99),
    paths: int = 0,
    seed: int = 0,
) -> LeadTimeDemand:
    """Quantiles of demand summed over the coming periods, never a sum of the periods' own quantiles.

    The quantiles do not depend on the paths, nor these on how many series are asked for; `demand_mean_qty` is the mean of
    the distribution, and so that of the point forecast's sum corrected for how far past sums were off on average.

    Args:
        panel: sku, location_id, demand_date (first day of the period), demand_qty (units), is_censored; one row per series
            and period.
        periods: Periods summed over.
        frequency: "daily", "weekly" or "monthly".
        attributes: sku, perhaps location_id, and category columns, for pooled profiles.
        calendar: demand_date, perhaps keys, and what is known ahead.
        model: A name of `LEVEL_METHODS`; "auto", what was best for all series together on past cut-offs and, where
            `LEAST_SERIES_BLENDED` or more have sold, half of it and half what LightGBM says; "lightgbm", these halves for fewer series too.
        levels: Probabilities; 0.9 gives demand_p90_qty, 0.975 demand_p97_5_qty.
        paths: Simulated paths returned per series; 0 returns none.
        seed: Seed of the draws and of LightGBM. A series' draws depend on its key and the seed only, not on its neighbours.

    Raises:
        ValueError: An argument or the panel is wrong; the message names it.
    """
    period = check_frequency(frequency)
    check_levels(levels)
    check_positive(periods=periods)
    check_not_negative(paths=paths, seed=seed)
    if model not in (AUTO, LIGHTGBM, *LEVEL_METHODS):
        raise ValueError(f"model: {model!r} has no lead-time demand; pass one of {', '.join([AUTO, LIGHTGBM, *LEVEL_METHODS])}.")
    matrix = as_matrix(panel, frequency=period, attributes=attributes, calendar=calendar)
    selling, rows = matrix.selling()
    fit, name = _fitted(selling, model=model, periods=periods)
    seen = sum_outlook(fit, name=name, wants_trees=_wants_trees(matrix, model), periods=periods, levels=levels, seed=seed)
    quantiles = put_back(matrix, rows, seen.distribution.quantiles(levels))
    reasons = reasons_put_back(matrix, rows, joined(seen.reasons, fit.fallback_reasons()))
    frame = matrix.keys.with_columns(
        pl.Series("demand_mean_qty", put_back(matrix, rows, mean_of(seen.distribution, len(rows)))).fill_nan(None),
        *(pl.Series(quantile_column(level), quantiles[index]).fill_nan(None) for index, level in enumerate(levels)),
        pl.Series("model", names_put_back(matrix, rows, seen.names), dtype=pl.String),
        pl.Series("fallback_reason", joined(series_notes(matrix), reasons), dtype=pl.String),
    )
    drawn = _paths(fit, seen.distribution, matrix, rows, periods=periods, paths=paths, seed=seed) if paths else None
    return LeadTimeDemand(frame=keys_as_given(frame, panel), coverage=seen.coverage, paths=drawn)


@dataclass(frozen=True, slots=True)
class SumOutlook:
    """Demand summed over coming periods as one model sees it.

    Attributes:
        distribution: Of every series' sum.
        names: Per series, the model its quantiles came from.
        reasons: Per series, why trees had no say where they were wanted.
        coverage: How often past sums stayed at or below what would have been said of them, as in `LeadTimeDemand`.
    """

    distribution: SumDistribution
    names: list[str]
    reasons: list[str | None]
    coverage: pl.DataFrame


def _fitted(matrix: SeriesMatrix, *, model: str, periods: int) -> tuple[PooledFit, str]:
    """The pooled fit and its name."""
    if model in LEVEL_METHODS:
        # as `forecast` has it: by name a textbook's method is the textbook's, without sums
        return fit_pooled(matrix, methods=LEVEL_METHODS[model], is_reconciled=model == POOLED_ENSEMBLE), model
    choice = choose(matrix, periods=periods)
    # seasonal naive has no errors to simulate from, so the ensemble stands in
    return choice.fit(matrix), POOLED_ENSEMBLE if choice.name == SEASONAL_NAIVE else choice.name


def _wants_trees(matrix: SeriesMatrix, model: str) -> bool:
    return model == LIGHTGBM or (model == AUTO and int(matrix.demand.any(axis=0).sum()) >= LEAST_SERIES_BLENDED)


def sum_outlook(fit: PooledFit, *, name: str, wants_trees: bool, periods: int, levels: tuple[float, ...], seed: int) -> SumOutlook:
    """The distribution of the coming sums; half of each quantile is from trees where they are wanted and can be had.

    Args:
        fit: The pooled fit of all series.
        name: What it is called.
        wants_trees: LightGBM has a say.
        periods: Length of the sums.
        levels: Probabilities that coverage is reported for.
        seed: Seed of LightGBM.
    """
    sums, errors = sums_and_errors(fit, periods=periods)
    spread = spread_of(sums, errors)
    names = [name if own == POOLED_ENSEMBLE else own for own in fit.model_names()]
    why = why_no_sum_trees(fit, periods=periods) if wants_trees else None
    if not wants_trees or why is not None:
        begins = checked_begins(errors, periods=periods)
        return SumOutlook(spread, names, [why] * len(names), past_coverage(errors, begins, periods=periods, levels=levels))
    trees = learn_sum_trees(fit, periods=periods, seed=seed)
    said = trees.quantiles(np.array([fit.matrix.periods_count]))[:, 0]
    names = [LIGHTGBM if is_said else own for is_said, own in zip(np.isfinite(said[0]).tolist(), names, strict=True)]
    begins, past_trees = _past_trees(fit, checked_begins(errors, periods=periods, first=least_history(fit, periods=periods)), periods, seed)
    coverage = past_coverage(errors, begins, periods=periods, levels=levels, trees=past_trees)
    return SumOutlook(BlendedSpread(spread, said), names, [None] * len(names), coverage)


def _past_trees(fit: PooledFit, begins: IntArray, periods: int, seed: int) -> tuple[IntArray, SumTrees | None]:
    """Windows that can be tried, and trees that had learned before the first of them."""
    if not len(begins) or why_no_sum_trees(fit, periods=periods, until=int(begins[0])) is not None:
        return begins[:0], None
    return begins, learn_sum_trees(fit, periods=periods, seed=seed, until=int(begins[0]))


def _paths(
    fit: PooledFit, spread: SumDistribution, matrix: SeriesMatrix, rows: IntArray, *, periods: int, paths: int, seed: int
) -> PathArray:
    """Paths of all series of the matrix; the fit is of those at `rows`."""
    kept = np.empty((matrix.keys.height, paths, periods), dtype=np.float32)
    kept[...] = np.where(matrix.observed.any(axis=0), 0.0, np.nan)[:, None, None]
    for chunk, drawn in path_chunks(fit, np.arange(len(rows)), periods=periods, paths=paths, seed=seed, spread=spread):
        kept[rows[chunk]] = drawn
    return kept
