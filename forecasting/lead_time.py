"""Demand over a lead time: the distribution of a sum of coming periods, which is what a reorder point needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.matrix import as_matrix
from forecasting.mending import joined, series_notes
from forecasting.models import LEVEL_METHODS, fit_auto
from forecasting.paths import path_chunks
from forecasting.pooled import fit_pooled
from forecasting.schema import LeadTimeDemand, check_frequency, check_levels, check_positive, keys_as_given, quantile_column
from forecasting.spread import fit_spread

if TYPE_CHECKING:
    from forecasting.pooled import PooledFit
    from forecasting.schema import PathArray
    from forecasting.spread import CumulativeSpread

AUTO: Final = "auto"


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
        model: "auto", what was best for all series together on past cut-offs, or a name of `LEVEL_METHODS`.
        levels: Probabilities; 0.9 gives demand_p90_qty, 0.975 demand_p97_5_qty.
        paths: Simulated paths returned per series; 0 returns none.
        seed: Seed of the draws. A series' draws depend on its key and the seed only, not on its neighbours.

    Raises:
        ValueError: An argument or the panel is wrong; the message names it.
    """
    period = check_frequency(frequency)
    check_levels(levels)
    check_positive(periods=periods, paths=max(paths, 1))
    if model != AUTO and model not in LEVEL_METHODS:
        raise ValueError(f"model: {model!r} has no lead-time demand; pass one of {', '.join([AUTO, *LEVEL_METHODS])}.")
    matrix = as_matrix(panel, frequency=period, attributes=attributes, calendar=calendar)
    fit = fit_auto(matrix, periods=periods) if model == AUTO else fit_pooled(matrix, methods=LEVEL_METHODS[model])
    spread = fit_spread(fit, periods=periods)
    quantiles = spread.quantiles(levels)
    frame = fit.matrix.keys.with_columns(
        pl.Series("demand_mean_qty", spread.mean()).fill_nan(None),
        *(pl.Series(quantile_column(level), quantiles[index]).fill_nan(None) for index, level in enumerate(levels)),
        pl.Series("model", fit.model_names(), dtype=pl.String),
        pl.Series("fallback_reason", joined(series_notes(matrix), fit.fallback_reasons()), dtype=pl.String),
    )
    return LeadTimeDemand(
        frame=keys_as_given(frame, panel), paths=_paths(fit, spread, periods=periods, paths=paths, seed=seed) if paths else None
    )


def _paths(fit: PooledFit, spread: CumulativeSpread, *, periods: int, paths: int, seed: int) -> PathArray:
    kept = np.empty((fit.matrix.keys.height, paths, periods), dtype=np.float32)
    for chunk, drawn in path_chunks(fit, np.arange(len(kept)), periods=periods, paths=paths, seed=seed, spread=spread):
        kept[chunk] = drawn
    return kept
