"""How far demand may stray: quantiles per day, and paths whose sums have the spread of demand over a lead time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.matrix import as_matrix
from forecasting.mending import joined, series_notes
from forecasting.pooled import PooledFit, fit_pooled
from forecasting.schema import (
    LEAST_FIT_PERIODS,
    RESIDUAL_PERIODS,
    FloatArray,
    IntArray,
    LeadTimeDemand,
    PathArray,
    check_frequency,
    check_levels,
    check_positive,
    quantile_column,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PATHS_FOR_QUANTILES: Final = 500
CHUNK_CELLS: Final = 6_000_000  # path days simulated at once, which bounds memory at about 100 MB
LEAST_WINDOWS: Final = 28  # overlapping windows of past errors below which a series' own spread over the horizon is not trusted
LEAST_EXPOSURE_RATE: Final = 0.75  # share of a window that has to be in stock for its error to count
POOL_STEP_DAYS: Final = 7


def lead_time_demand(
    panel: pl.DataFrame,
    *,
    periods: int,
    frequency: str,
    attributes: pl.DataFrame | None = None,
    model: str = "auto",
    levels: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95, 0.99),
    paths: int = 0,
    seed: int = 0,
) -> LeadTimeDemand:
    """Quantiles of demand summed over the coming periods, never a sum of daily quantiles.

    Args:
        panel: sku, location_id, demand_date, demand_qty (units per day), is_censored; one row per series and day.
        periods: Days summed over.
        frequency: "daily".
        attributes: sku, category and perhaps location_id, for pooled weekday profiles.
        model: "auto" or "pooled_ensemble", which is the same for now.
        levels: Probabilities, whole percents.
        paths: Simulated paths returned per series; 0 returns none.
        seed: Seed of the draws. A series' draws depend on its key and the seed only, not on its neighbours.

    Raises:
        ValueError: An argument or the panel is wrong; the message names it.
    """
    check_frequency(frequency)
    check_levels(levels)
    check_positive(periods=periods, paths=max(paths, 1))
    if model not in {"auto", "pooled_ensemble"}:
        raise ValueError(f"model: {model!r} has no lead-time demand; pass 'auto' or 'pooled_ensemble'.")
    matrix = as_matrix(panel, attributes=attributes)
    fit = fit_pooled(matrix)
    rows = np.arange(fit.matrix.keys.height)
    kept = np.empty((len(rows), paths, periods), dtype=np.float32) if paths else None
    quantiles = np.empty((len(levels), len(rows)))
    for chunk, drawn in path_chunks(fit, rows, periods=periods, paths=max(paths, PATHS_FOR_QUANTILES), seed=seed):
        quantiles[:, chunk] = np.quantile(drawn.sum(axis=2, dtype=np.float64), levels, axis=1)
        if kept is not None:
            # every n-th path of the sums in order would bias the mean; the first ones are as random as any
            kept[chunk] = drawn[:, :paths]
    frame = fit.matrix.keys.with_columns(
        pl.Series("demand_mean_qty", fit.point(periods).sum(axis=0)).fill_nan(None),
        *(pl.Series(quantile_column(level), quantiles[index]).fill_nan(None) for index, level in enumerate(levels)),
        pl.Series("model", fit.model_names(), dtype=pl.String),
        pl.Series("fallback_reason", joined(series_notes(matrix), fit.fallback_reasons()), dtype=pl.String),
    )
    return LeadTimeDemand(frame=frame, paths=kept)


def path_chunks(
    fit: PooledFit, rows: IntArray, *, periods: int, paths: int, seed: int, spread_periods: int | None = None
) -> Iterator[tuple[IntArray, PathArray]]:
    """Simulated demand of some series, a bounded number at a time.

    Half of a sum's spread comes from paths that draw the series' own one-step errors anew and carry the level on, cut
    at zero; the other half from the scale of the series' own errors over windows of this length, with the shape of all
    series' errors. Both halves are joined quantile by quantile: each path is stretched so that its sum becomes the mean
    of both. A series with too few whole windows keeps the first half alone.

    Args:
        fit: Smoothed levels of all series.
        rows: Positions in `fit.matrix.keys`.
        periods: Days per path.
        paths: Paths per series.
        seed: Seed of the draws.
        spread_periods: The spread is calibrated for the sum of so many first days, by default of all; other sums
            inherit the stretch. Pass the usual number of days where `periods` is the longest one.

    Yields:
        Positions, and demand as [position, path, period] in units per day; NaN for a series without a forecast.
    """
    spread_periods = periods if spread_periods is None else min(spread_periods, periods)
    scale, shape = cumulative_errors(fit, periods=spread_periods)
    targets = np.quantile(shape, (np.arange(paths) + 0.5) / paths) if len(shape) else np.zeros(paths)
    size = max(1, CHUNK_CELLS // (paths * periods))
    for start in range(0, len(rows), size):
        chunk = rows[start : start + size]
        drawn = _residual_paths(fit, chunk, periods=periods, paths=paths, seed=seed)
        yield chunk, _stretched(drawn, fit, chunk, scale=scale[chunk], targets=targets, spread_periods=spread_periods)


def cumulative_errors(fit: PooledFit, *, periods: int) -> tuple[FloatArray, FloatArray]:
    """Root mean square of each series' past errors over `periods` days, and all series' errors in units of it.

    Returns:
        Scale per series in units (NaN where too few windows were in stock), and the pooled sample, unordered.
    """
    matrix = fit.matrix
    least = LEAST_FIT_PERIODS[matrix.frequency]
    first = max(least, matrix.periods_count - RESIDUAL_PERIODS[matrix.frequency] - periods)
    origins = np.arange(first, matrix.periods_count - periods + 1)
    if not len(origins):
        return np.full(matrix.keys.height, np.nan), np.empty(0)
    seen, whole, sold = (_windows(values, origins, periods) for values in (fit.exposure, fit.profile, matrix.demand))
    started = np.cumsum(matrix.observed, axis=0)[origins - 1] >= least
    valid = started & (seen >= LEAST_EXPOSURE_RATE * whole) & (seen > 0)
    errors = np.where(valid, (sold - fit.levels[origins] * seen) * (whole / np.where(seen > 0, seen, 1.0)), 0.0)
    counts = valid.sum(axis=0)
    scale = np.sqrt((errors**2).sum(axis=0) / np.maximum(counts, 1))
    scale = np.where((counts >= LEAST_WINDOWS) & (counts >= periods) & (scale > 0), scale, np.nan)
    pooled = valid[::POOL_STEP_DAYS] & np.isfinite(scale)
    return scale, (errors[::POOL_STEP_DAYS] / np.where(np.isfinite(scale), scale, 1.0))[pooled]


def daily_quantiles(point: FloatArray, residuals: FloatArray, *, spread: FloatArray, levels: tuple[float, ...]) -> FloatArray:
    """Quantiles of single days, [level, period, series], never below zero.

    Args:
        point: [period, series]; mean demand in units.
        residuals: [day, series]; past errors, NaN where there is none.
        spread: [period, series]; what a residual is multiplied with on that day.
        levels: Probabilities.
    """
    ordered = np.sort(residuals, axis=0)  # NaN last
    counts = np.isfinite(residuals).sum(axis=0)
    result = np.empty((len(levels), *point.shape))
    for index, level in enumerate(levels):
        position = level * np.maximum(counts - 1, 0)
        low = np.floor(position).astype(np.int64)
        high = np.minimum(low + 1, np.maximum(counts - 1, 0))
        below = np.take_along_axis(ordered, low[None, :], axis=0)[0]
        above = np.take_along_axis(ordered, high[None, :], axis=0)[0]
        error = np.where(counts > 0, below + (position - low) * (above - below), 0.0)
        result[index] = np.maximum(point + spread * error, 0.0)
    return result


def _windows(values: FloatArray, origins: IntArray, periods: int) -> FloatArray:
    total = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    result: FloatArray = total[origins + periods] - total[origins]
    return result


def _residual_paths(fit: PooledFit, rows: IntArray, *, periods: int, paths: int, seed: int) -> PathArray:
    profile = fit.future_profile(periods)[:, rows].astype(np.float32)
    drawn = np.empty((periods, len(rows), paths), dtype=np.float32)
    for position, (row, key) in enumerate(zip(rows.tolist(), fit.matrix.keys[rows].iter_rows(), strict=True)):
        own = fit.residuals[:, row]
        own = own[np.isfinite(own)].astype(np.float32)
        generator = np.random.default_rng([seed, _key_number(*key)])
        drawn[:, position] = own.take(generator.integers(len(own), size=(periods, paths), dtype=np.int32)) if len(own) else 0.0
    level = np.repeat(fit.level[rows, None].astype(np.float32), paths, axis=1)
    by_day = np.empty((len(rows), periods, paths), dtype=np.float32)  # paths side by side: several times faster than days
    for day in range(periods):
        share = profile[day][:, None]
        mean = share * level
        demand = np.maximum(mean + np.sqrt(share) * drawn[day], np.float32(0.0))
        by_day[:, day] = demand
        level += np.minimum(np.float32(fit.smoothing), 1 / np.maximum(share, np.float32(1e-3))) * (demand - mean)
    return by_day.swapaxes(1, 2)


def _stretched(
    drawn: PathArray, fit: PooledFit, rows: IntArray, *, scale: FloatArray, targets: FloatArray, spread_periods: int
) -> PathArray:
    known = np.isfinite(scale) & np.isfinite(fit.level[rows])
    if not known.any():
        return drawn
    profile = fit.future_profile(spread_periods)[:, rows]
    mean = (fit.level[rows] * profile.sum(axis=0))[:, None]
    sums = drawn[:, :, :spread_periods].sum(axis=2, dtype=np.float64)
    order = np.argsort(sums, axis=1, kind="stable")
    other = np.empty_like(sums)
    np.put_along_axis(other, order, np.maximum(mean + scale[:, None] * targets[None, :], 0.0), axis=1)
    wanted = np.where(known[:, None], 0.5 * sums + 0.5 * other, sums)
    factor = np.divide(wanted, sums, out=np.ones_like(sums), where=sums > 0)
    stretched = drawn * factor[:, :, None].astype(np.float32)
    # a path without any demand cannot be stretched: what it should sum to is laid out along the profile
    silent, path = np.nonzero((sums == 0) & (wanted > 0))
    if len(silent):
        share = (profile / np.maximum(profile.sum(axis=0), 1e-9)).T
        stretched[silent, path, :spread_periods] = (wanted[silent, path, None] * share[silent]).astype(np.float32)
    result: PathArray = stretched
    return result


def _key_number(sku: str, location_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{sku}\x1f{location_id}".encode()).digest()[:8])
