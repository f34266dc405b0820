"""Rolling-origin backtest: what the models would have said at past cut-offs, knowing only what was known then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.matrix import SeriesMatrix, as_matrix
from forecasting.models import model_names, outlook
from forecasting.schema import (
    LEAST_FIT_PERIODS,
    PERIOD_NAMES,
    SEASONAL_NAIVE,
    SERIES_KEY,
    Backtest,
    FloatArray,
    check_frequency,
    check_positive,
    keys_as_given,
)
from forecasting.scores import (
    LEVELS,
    Said,
    added_up,
    class_scores,
    classes_of,
    quantile_loss,
    scales_of,
    series_scores,
    step_scores,
    window_sums,
)
from forecasting.silent import put_back
from forecasting.spread import fit_spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from forecasting.pooled import PooledFit
    from forecasting.schema import Frequency, IntArray

HORIZON_LEVELS: Final = (0.5, 0.8, 0.9, 0.95)
LEAST_TRAINING_PERIODS: Final[Mapping[Frequency, int]] = {"daily": 28, "weekly": 13, "monthly": 6}
AUTO: Final = "auto"


def backtest(
    panel: pl.DataFrame,
    *,
    horizon: int,
    frequency: Frequency,
    windows: int,
    step: int | None = None,
    models: Sequence[str] | None = None,
    attributes: pl.DataFrame | None = None,
    calendar: pl.DataFrame | None = None,
    on_progress: Callable[[str, float], None] | None = None,
) -> Backtest:
    """Forecasts from several past cut-offs beside what came, and their scores.

    The last window ends with the panel's last period, each earlier one `step` periods before. At every cut-off the
    models are fitted anew on the periods up to it, scales and classes with them; of what came later they know the
    calendar only. Every series takes part as it would have in a forecast: one that is young then is scored with its
    fallback.

    Args:
        panel: sku, location_id, demand_date, demand_qty (units per period), is_censored; one row per series and period.
        horizon: Periods per window.
        frequency: "daily", "weekly" or "monthly".
        windows: Number of cut-offs.
        step: Periods between cut-offs; default is the horizon.
        models: Names as in `forecast`; default is "auto", chosen anew at each cut-off, and "seasonal_naive". Value added is
            over seasonal naive, named or not.
        attributes: sku, perhaps location_id, and category columns for pooling.
        calendar: demand_date, perhaps keys, and what is known ahead.
        on_progress: Called with what is done next and the share done, 0 to 1.

    Raises:
        ValueError: An argument or the panel is wrong, or the history too short for so many windows.
    """
    frequency = check_frequency(frequency)
    step = horizon if step is None else step
    check_positive(horizon=horizon, windows=windows, step=step)
    chosen = _chosen(models)
    matrix = as_matrix(panel, frequency=frequency, attributes=attributes, calendar=calendar)
    cutoffs = _cutoffs(matrix, horizon=horizon, windows=windows, step=step)
    frames: list[pl.DataFrame] = []
    totals: list[pl.DataFrame] = []
    sums: dict[str, list[tuple[pl.DataFrame, pl.DataFrame]]] = {name: [] for name in chosen}
    reasons: dict[str, list[str | None]] = {}
    for number, cutoff in enumerate(cutoffs):
        if on_progress is not None:
            on_progress(f"from {matrix.date_of(cutoff)}", number / windows)
        known, coming = matrix.until(cutoff), slice(cutoff, cutoff + horizon)
        seen = {name: outlook(known, model=name, periods=horizon, levels=LEVELS, seed=cutoff) for name in {*chosen, SEASONAL_NAIVE}}
        said = {name: Said(seen[name].point, seen[name].quantiles) for name in seen}
        scales = scales_of(known)
        for name in chosen:
            sums[name].append(window_sums(matrix.demand[coming], matrix.observed[coming], said[name], said[SEASONAL_NAIVE], scales))
            reasons[name] = seen[name].reasons
        frames.append(_window_frame(matrix, cutoff, {name: said[name] for name in chosen}))
        if AUTO in chosen and (fit := seen[AUTO].fit) is not None:
            totals.append(_horizon_frame(matrix, fit, seen[AUTO].fit_rows, cutoff, horizon))
    classes = classes_of(matrix.until(cutoffs[0]))
    of_series = added_up({name: [own for own, _ in parts] for name, parts in sums.items()}, matrix.keys)
    of_steps = added_up({name: [own for _, own in parts] for name, parts in sums.items()})
    return Backtest(
        frame=keys_as_given(pl.concat(frames), panel),
        scores=class_scores(of_series, classes),
        series_scores=keys_as_given(_with_reasons(series_scores(of_series), matrix.keys, reasons), panel),
        step_scores=step_scores(of_steps),
        horizon_scores=_horizon_scores(totals),
    )


def most_windows(periods_count: int, *, horizon: int, at_most: int, frequency: Frequency = "daily") -> int:
    """As many windows as the history has room for, with `LEAST_TRAINING_PERIODS` to learn from before the first one."""
    return max(0, min(at_most, (periods_count - LEAST_TRAINING_PERIODS[frequency]) // horizon))


def _chosen(models: Sequence[str] | None) -> tuple[str, ...]:
    chosen = (AUTO, SEASONAL_NAIVE) if models is None else (models,) if isinstance(models, str) else tuple(dict.fromkeys(models))
    unknown = [name for name in chosen if name not in model_names()]
    if unknown or not chosen:
        raise ValueError(f"models: {unknown!r} of {chosen!r} are not known; pass some of {', '.join(model_names())}.")
    return chosen


def _cutoffs(matrix: SeriesMatrix, *, horizon: int, windows: int, step: int) -> list[int]:
    first = matrix.periods_count - horizon - (windows - 1) * step
    least = LEAST_TRAINING_PERIODS[matrix.frequency]
    if first < least:
        name = PERIOD_NAMES[matrix.frequency]
        raise ValueError(
            f"windows: {windows} windows of {horizon} {name}s, {step} apart, leave {first} of {matrix.periods_count} {name}s to learn from "
            f"and {least} are needed; pass fewer or shorter windows."
        )
    return [first + window * step for window in range(windows)]


def _window_frame(matrix: SeriesMatrix, cutoff: int, said: Mapping[str, Said]) -> pl.DataFrame:
    """Rows by series, period and model; periods outside a series' own span are none of it and left out."""
    names = sorted(said)
    horizon = len(said[names[0]].point)
    coming = slice(cutoff, cutoff + horizon)
    observed, censored = matrix.observed[coming].T, matrix.censored[coming].T
    series, period = np.nonzero(observed | censored)
    rows, times = np.repeat(series, len(names)), np.repeat(period, len(names))
    model = np.tile(np.arange(len(names)), len(series))

    def column(name: str, values: list[FloatArray]) -> pl.Series:
        return pl.Series(name, np.stack(values)[model, times, rows].astype(np.float32)).fill_nan(None)

    kind = pl.Enum(names)
    return matrix.keys[rows].select(
        pl.lit(matrix.date_of(cutoff - 1)).alias("cutoff_date"),
        *SERIES_KEY,
        matrix.dates(cutoff, horizon)[times],
        pl.Series("model", names, dtype=kind)[model],
        column("forecast_qty", [said[name].point for name in names]),
        column("forecast_p10_qty", [said[name].quantiles[0] for name in names]),
        column("forecast_p90_qty", [said[name].quantiles[-1] for name in names]),
        column("actual_qty", [np.where(observed.T, matrix.demand[coming], np.nan)] * len(names)),
        pl.Series("is_censored", censored[rows, times]),
    )


def _with_reasons(scores: pl.DataFrame, keys: pl.DataFrame, reasons: Mapping[str, list[str | None]]) -> pl.DataFrame:
    said = pl.concat(
        keys.with_columns(pl.lit(name).alias("model"), pl.Series("fallback_reason", own, dtype=pl.String)) for name, own in reasons.items()
    )
    return (
        scores.join(said, on=[*SERIES_KEY, "model"], how="left", nulls_equal=True)
        .select(*SERIES_KEY, "model", pl.exclude(*SERIES_KEY, "model"))
        .sort(*SERIES_KEY, "model")
    )


def _horizon_frame(matrix: SeriesMatrix, fit: PooledFit, fit_rows: IntArray, cutoff: int, horizon: int) -> pl.DataFrame:
    """Demand summed over the window beside its quantiles, for series that were to be had on all of its periods."""
    coming = slice(cutoff, cutoff + horizon)
    known = matrix.until(cutoff)
    is_fit = known.observed.sum(axis=0) >= LEAST_FIT_PERIODS[matrix.frequency]
    rows = np.flatnonzero(is_fit & matrix.observed[coming].all(axis=0))
    actual = matrix.demand[coming].sum(axis=0)
    quantiles = put_back(known, fit_rows, fit_spread(fit, periods=horizon).quantiles(HORIZON_LEVELS))[:, rows]
    schema = {"level": pl.Float64, "actual_qty": pl.Float64, "is_covered": pl.Boolean, "loss_qty": pl.Float64}
    return pl.concat(
        pl.DataFrame(
            {
                "level": np.full(len(rows), level),
                "actual_qty": actual[rows],
                "is_covered": actual[rows] <= quantile + 1e-6,
                "loss_qty": quantile_loss(actual[rows], quantile, level=level),
            },
            schema=schema,
        )
        for level, quantile in zip(HORIZON_LEVELS, quantiles, strict=True)
    )


def _horizon_scores(totals: list[pl.DataFrame]) -> pl.DataFrame:
    if not totals:
        rates = dict.fromkeys(("level", "coverage_rate", "weighted_quantile_loss"), pl.Float64)
        return pl.DataFrame(schema={**rates, "series_windows_count": pl.Int64})
    sold = pl.when(pl.col("actual_qty").sum() > 0).then(pl.col("actual_qty").sum())
    return (
        pl.concat(totals)
        .group_by("level")
        .agg(
            pl.col("is_covered").mean().alias("coverage_rate"),
            (pl.col("loss_qty").sum() / sold).alias("weighted_quantile_loss"),
            pl.len().cast(pl.Int64).alias("series_windows_count"),
        )
        .sort("level")
    )
