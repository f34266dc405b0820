"""How good forecasts were. Rates are ratios of sums; censored periods are no evidence either way and never counted.

With e = forecast - y, summed over scored periods:

wape_rate: sum abs(e) / sum y. Source: Hyndman and Koehler (2006), Another look at measures of forecast accuracy.
bias_rate: sum e / sum y; above 0 is too much.
cumulative_bias_rate: sum over series and windows of abs(sum over the horizon of e) / sum y: what does not cancel within a series.
    Source: Wallstroem and Segerstedt (2010), cumulative forecast error.
mase: mean over series of mean abs(e) / scale; scale = mean abs(y[t] - y[t-m]) before the cut-off, m a season, or one period where
    history is shorter. Source: Hyndman and Koehler (2006).
rmsse: mean over series of root mean (e / scale)^2; scale^2 = mean (y[t] - y[t-1])^2 before the cut-off, from the first sale on.
    Source: Makridakis, Spiliotis and Assimakopoulos (2022), M5 accuracy competition.
weighted_quantile_loss: mean over `LEVELS` of twice the pinball loss / sum y. Source: Salinas et al. (2020), DeepAR, section 4.
band_coverage_rate: share of y between p10 and p90; 0.8 is right.
fva_rate (forecast value added): 1 - sum abs(e) / sum abs(e of seasonal naive), where both have a forecast: the share of its error that is
    saved; 0 for seasonal naive itself, above 0 is better. Source: Gilliland (2010), The Business Forecasting Deal, chapter 4; there as
    a difference, which grows with the WAPE of what is hard to forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.naive import season_lag
from forecasting.schema import SERIES_KEY, FloatArray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import BoolArray

LEVELS: Final = (0.1, 0.5, 0.9)
VOLUME_SHARES: Final = (0.8, 0.95)  # of all units, with the largest series first: the ends of A and B
INTERVAL_LIMIT: Final = 1.32  # periods between sales
VARIATION_LIMIT: Final = 0.49  # squared coefficient of variation of the quantities sold

RATES: Final = [
    "wape_rate", "bias_rate", "cumulative_bias_rate", "mase", "rmsse", "weighted_quantile_loss", "band_coverage_rate", "fva_rate"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said of one window: point [step, series] and quantiles [level of `LEVELS`, step, series], NaN where nothing."""

    point: FloatArray
    quantiles: FloatArray


@dataclass(frozen=True, slots=True)
class Scales:
    """What errors of a series are measured by, from before the cut-off; NaN where it is zero or unknown."""

    absolute: FloatArray
    squared: FloatArray


def scales_of(known: SeriesMatrix) -> Scales:
    """Mean absolute seasonal difference and mean squared one-step difference per series."""
    sold = np.cumsum(known.demand, axis=0) > 0
    return Scales(
        absolute=_mean(*_differences(known, season_lag(known)), power=1),
        squared=_mean(*_differences(known, 1, since=sold), power=2),
    )


def window_sums(actual: FloatArray, observed: BoolArray, said: Said, naive: Said, scales: Scales) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What a window adds to the scores: a row per series, in order, and a row per step.

    Args:
        actual: [step, series] in units.
        observed: [step, series]; what counts.
        said: By the model.
        naive: By seasonal naive, for the value added.
        scales: Per series.
    """
    scored = observed & np.isfinite(said.point)
    error = np.where(scored, said.point - actual, 0.0)
    both = scored & np.isfinite(naive.point)
    in_band = scored & (actual >= said.quantiles[0]) & (actual <= said.quantiles[-1])
    loss = np.mean([quantile_loss(actual, of_level, level=level) for of_level, level in zip(said.quantiles, LEVELS, strict=True)], axis=0)
    cells: dict[str, FloatArray | BoolArray] = {
        "periods_count": scored,
        "actual_qty": np.where(scored, actual, 0.0),
        "error_qty": error,
        "absolute_error_qty": np.abs(error),
        "quantile_loss_qty": np.where(scored, loss, 0.0),
        "in_band_count": in_band,
        "scaled_error": np.nan_to_num(np.abs(error) / scales.absolute),
        "scaled_count": scored & np.isfinite(scales.absolute),
        "squared_error": np.nan_to_num(error**2 / scales.squared),
        "squared_count": scored & np.isfinite(scales.squared),
        "compared_error_qty": np.where(both, np.abs(error), 0.0),
        "naive_error_qty": np.where(both, np.abs(naive.point - actual), 0.0),
    }
    series = {name: values.sum(axis=0).astype(np.float64) for name, values in cells.items()}
    steps = {name: values.sum(axis=1).astype(np.float64) for name, values in cells.items()}
    per_series = {"windows_count": scored.any(axis=0).astype(np.float64), "cumulative_error_qty": np.abs(error.sum(axis=0))}
    return pl.DataFrame({**series, **per_series}), pl.DataFrame({"step": np.arange(1, len(actual) + 1), **steps})


def series_scores(sums: pl.DataFrame) -> pl.DataFrame:
    """The sums of each row with their rates; a rate over nothing is null.

    Args:
        sums: Sums of `window_sums` over windows: a row per series and model.
    """
    return _tidy(_with_rates(_with_scaled(sums)))


def class_scores(sums: pl.DataFrame, classes: pl.DataFrame) -> pl.DataFrame:
    """One row per class and model: rates of the summed series, and the mean over series of mase and rmsse.

    Args:
        sums: Sums of `window_sums` over windows: a row per series and model.
        classes: sku, location_id and one column per kind of class.

    Returns:
        class_kind ("all" first, with class_name "all", then as in `classes`), class_name, model, series_count (with a
        scored period), the sums and `RATES`.
    """
    kinds = [name for name in classes.columns if name not in SERIES_KEY]
    known = _with_scaled(sums).join(classes, on=SERIES_KEY, how="left", nulls_equal=True).with_columns(pl.lit("all").alias("all"))
    added = [name for name in sums.columns if name.endswith(("_qty", "_count", "_error")) and name != "windows_count"]
    aggregates = [
        (pl.col("periods_count") > 0).sum().cast(pl.Int64).alias("series_count"), pl.col("windows_count").max(), pl.col(added).sum(),
        pl.col("mase", "rmsse").mean(),
    ]  # fmt: skip
    parts = [
        known.group_by(pl.lit(kind).alias("class_kind"), pl.col(kind).alias("class_name"), "model")
        .agg(aggregates)
        .sort("class_name", "model")
        for kind in ("all", *kinds)
    ]
    return _tidy(_with_rates(pl.concat(parts)), first=["class_kind", "class_name", "model", "series_count"])


def step_scores(sums: pl.DataFrame) -> pl.DataFrame:
    """One row per model and step of the horizon; mase and rmsse are over the step's cells, not a mean over series."""
    return series_scores(sums).drop("windows_count", "cumulative_bias_rate", strict=False)


def classes_of(known: SeriesMatrix) -> pl.DataFrame:
    """sku, location_id, volume, pattern: what kind of series each is, by what was known.

    volume is A for the series that make the first 80 % of units, B up to 95 %, else C. pattern goes by the mean interval
    between sales (limit 1.32 periods) and the squared variation of the quantities sold (limit 0.49): smooth, erratic,
    intermittent or lumpy; "no demand" without a sale. Both are "new" for a series not observed before.

    Source: Silver, Pyke and Thomas (2017), chapter 2, for A, B, C; Syntetos, Boylan and Croston (2005), On the
    categorization of demand patterns, JORS 56, figure 1.
    """
    counts = known.observed.sum(axis=0)
    units, sales = known.demand.sum(axis=0), (known.demand > 0).sum(axis=0)
    order = np.argsort(-units, kind="stable")
    before = np.empty(len(units))
    before[order] = np.cumsum(units[order]) - units[order]
    share = before / max(units.sum(), 1e-300)
    volume = np.select(
        [counts == 0, (share < VOLUME_SHARES[0]) & (units > 0), (share < VOLUME_SHARES[1]) & (units > 0)], ["new", "A", "B"], "C"
    )
    mean = units / np.maximum(sales, 1)
    spread = np.where(known.demand > 0, (known.demand - mean) ** 2, 0.0).sum(axis=0) / np.maximum(sales, 1)
    is_rare = counts > INTERVAL_LIMIT * sales
    is_varied = spread > VARIATION_LIMIT * mean**2
    pattern = np.select(
        [counts == 0, sales == 0, is_rare & is_varied, is_rare, is_varied],
        ["new", "no demand", "lumpy", "intermittent", "erratic"],
        "smooth",
    )
    return known.keys.with_columns(pl.Series("volume", volume.tolist()), pl.Series("pattern", pattern.tolist()))


def quantile_loss(actual: FloatArray, quantile: FloatArray, *, level: float) -> FloatArray:
    """Pinball loss, twice: 2 (a - q)(level) above the quantile, 2 (q - a)(1 - level) below it; in units of demand.

    Source: Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation, section 6.
    """
    return 2.0 * np.maximum(level * (actual - quantile), (level - 1.0) * (actual - quantile))


def added_up(windows: Mapping[str, Sequence[pl.DataFrame]], keys: pl.DataFrame | None = None) -> pl.DataFrame:
    """Sums over windows, model by model; with `keys` beside each row."""
    parts = []
    for model, frames in windows.items():
        total = frames[0]
        for frame in frames[1:]:
            total = total.with_columns(total[name] + frame[name] for name in total.columns if name != "step")
        parts.append((total if keys is None else pl.concat([keys, total], how="horizontal")).with_columns(pl.lit(model).alias("model")))
    return pl.concat(parts)


def _differences(known: SeriesMatrix, lag: int, since: BoolArray | None = None) -> tuple[FloatArray, BoolArray]:
    valid = known.observed[lag:] & known.observed[:-lag]
    if since is not None:
        valid &= since[:-lag]
    return np.where(valid, known.demand[lag:] - known.demand[:-lag], 0.0), valid


def _mean(differences: FloatArray, valid: BoolArray, *, power: int) -> FloatArray:
    mean = (np.abs(differences) ** power).sum(axis=0) / np.maximum(valid.sum(axis=0), 1)
    return np.where(mean > 0, mean, np.nan)


def _over(amount: str, base: str) -> pl.Expr:
    return pl.col(amount) / pl.when(pl.col(base) > 0).then(pl.col(base))


def _with_scaled(sums: pl.DataFrame) -> pl.DataFrame:
    return sums.with_columns(
        _over("scaled_error", "scaled_count").alias("mase"), _over("squared_error", "squared_count").sqrt().alias("rmsse")
    )


def _with_rates(sums: pl.DataFrame) -> pl.DataFrame:
    rates = {
        "wape_rate": _over("absolute_error_qty", "actual_qty"),
        "bias_rate": _over("error_qty", "actual_qty"),
        "weighted_quantile_loss": _over("quantile_loss_qty", "actual_qty"),
        "band_coverage_rate": _over("in_band_count", "periods_count"),
        "fva_rate": 1.0 - _over("compared_error_qty", "naive_error_qty"),
    }
    if "cumulative_error_qty" in sums.columns:
        rates["cumulative_bias_rate"] = _over("cumulative_error_qty", "actual_qty")
    return sums.with_columns(**rates)


def _tidy(scored: pl.DataFrame, *, first: Sequence[str] = ()) -> pl.DataFrame:
    """Counts as whole numbers, what only served the rates left out."""
    inner = {
        "scaled_error",
        "scaled_count",
        "squared_error",
        "squared_count",
        "compared_error_qty",
        "naive_error_qty",
    }
    counts = ("windows_count", "periods_count", "in_band_count")
    kept = [name for name in scored.columns if name not in inner and name not in first]
    return scored.select(*first, *kept).with_columns(pl.col(name).cast(pl.Int64) for name in counts if name in kept)
