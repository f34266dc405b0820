"""How good quantiles of summed demand are: M5 over 14 days, car parts over 3 months, Online Retail over 4 weeks.

Beside them stand the sum of the periods' own quantiles and a normal with the standard deviation of the series' own errors
over past windows of the same length; all on the same point forecast. Under each table is what `.coverage` of the first
window's result would have said beforehand.

Usage: .venv/bin/python benchmarks/lead_time_demand.py --data FOLDER [--sets m5,carparts,retail] [--origins 1899,1885] [--blend]

`--origins` are the last days M5 trains on; d_1914 and later were looked at once per released method only. `--blend` adds half
of LightGBM's quantiles.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import m5
import numpy as np
import polars as pl
from scipy import stats

from forecasting.boosted_quantiles import BlendedSpread
from forecasting.lead_time import sum_outlook
from forecasting.matrix import SeriesMatrix, as_matrix
from forecasting.models import fit_auto, fitted_outlook
from forecasting.past_sums import past_sums
from forecasting.schema import LEAST_FIT_PERIODS
from forecasting.scores import quantile_loss
from forecasting.spread import mean_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forecasting.pooled import PooledFit
    from forecasting.schema import FloatArray, Frequency

LEVELS: Final = (0.8, 0.9, 0.95, 0.99)
M5_ORIGINS: Final = "1899,1871,1843,1815"
NORMAL: Final = "normal, own cumulative sd"
SUMMED: Final = "sum of the periods' quantiles"


@dataclass(frozen=True, slots=True)
class Window:
    """What was said and what came, of the series that could be forecast: [level, series] per method and [series]."""

    quantiles: dict[str, FloatArray]
    actual: FloatArray
    mean: FloatArray
    point: FloatArray
    coverage: list[float | None]
    seconds: tuple[float, float]


def normal_quantiles(fit: PooledFit, *, periods: int) -> FloatArray:
    """[level, series]; normal around the point forecast with the sd of the series' own errors over past windows."""
    past = past_sums(fit, periods=periods)
    count = np.maximum(past.is_usable.sum(axis=0), 1)
    error = np.where(past.is_usable, past.error, 0.0).astype(np.float64)
    sd = np.sqrt(np.maximum((error**2).sum(axis=0) / count - (error.sum(axis=0) / count) ** 2, 0.0))
    result: FloatArray = np.maximum(fit.point(periods).sum(axis=0) + stats.norm.ppf(LEVELS)[:, None] * sd, 0.0)
    return result


def window(matrix: SeriesMatrix, origin: int, *, periods: int, is_blended: bool) -> Window:
    known = matrix.until(origin)
    began = time.process_time()
    fit = fit_auto(known, periods=periods)
    fitted = time.process_time()
    told = sum_outlook(fit, name="auto", wants_trees=is_blended, periods=periods, levels=LEVELS, seed=0)
    said, mean = told.distribution.quantiles(LEVELS), mean_of(told.distribution, known.keys.height)
    done = time.process_time()
    quantiles = {"lead-time demand": said}
    if isinstance(told.distribution, BlendedSpread):
        quantiles = {"half LightGBM": said, "lead-time demand": told.distribution.spread.quantiles(LEVELS)}
    quantiles[NORMAL] = normal_quantiles(fit, periods=periods)
    quantiles[SUMMED] = fitted_outlook(fit, periods=periods, levels=LEVELS).quantiles.sum(axis=1)
    rows = np.flatnonzero(known.observed.sum(axis=0) >= LEAST_FIT_PERIODS[matrix.frequency])
    return Window(
        quantiles={name: one[:, rows] for name, one in quantiles.items()},
        actual=matrix.demand[origin : origin + periods, rows].sum(axis=0),
        mean=mean[rows],
        point=fit.point(periods).sum(axis=0)[rows],
        coverage=told.coverage["coverage_rate"].to_list(),
        seconds=(fitted - began, done - fitted),
    )


def m5_windows(data: Path, origins: list[int], sample: int | None, *, is_blended: bool) -> Iterator[Window]:
    matrix = m5.load(data, sample=sample).matrix
    for origin in origins:
        yield window(matrix, origin - m5.FIRST_DAY + 1, periods=14, is_blended=is_blended)


def carparts_windows(data: Path, *, is_blended: bool) -> Iterator[Window]:
    """The 2,509 parts without gaps; the last eight windows."""
    table = pl.read_csv(data / "carparts" / "carparts_monthly.csv", infer_schema_length=None).drop_nulls()
    long = table.unpivot(index="part", variable_name="month", value_name="demand_qty").select(
        sku=pl.col("part").cast(pl.String),
        location_id=pl.lit("main"),
        demand_date=pl.col("month").str.to_date("%Y-%m"),
        demand_qty=pl.col("demand_qty").cast(pl.Float64),
        is_censored=pl.lit(False),
    )
    yield from _last_windows(long, frequency="monthly", periods=3, count=8, is_blended=is_blended)


def retail_windows(data: Path, *, is_blended: bool) -> Iterator[Window]:
    """Items that sold in 10 weeks or more, each from its first sale on, without cancellations; the last eight windows."""
    first, second = (pl.read_parquet(data / "online_retail" / f"year_{years}.parquet") for years in ("2009_2010", "2010_2011"))
    lines = pl.concat([first.filter(pl.col("InvoiceDate") < date(2010, 12, 1)), second], how="vertical_relaxed")
    sold = (
        lines.filter((pl.col("Quantity") > 0) & (pl.col("UnitPrice") > 0) & pl.col("StockCode").str.contains(r"^\d{5}"))
        .filter(~pl.col("InvoiceNo").str.starts_with("C"))
        .group_by(sku=pl.col("StockCode").str.to_uppercase(), demand_date=pl.col("InvoiceDate").cast(pl.Date).dt.truncate("1w"))
        .agg(demand_qty=pl.col("Quantity").sum().cast(pl.Float64))
        .filter(pl.col("demand_date") < date(2011, 12, 5))  # the last week is not whole
        .filter(pl.len().over("sku") >= 10)
    )
    last = date(2011, 11, 28)
    weeks = sold.group_by("sku").agg(pl.date_ranges(pl.col("demand_date").min(), last, interval="1w").first().alias("demand_date"))
    panel = weeks.explode("demand_date").join(sold, on=["sku", "demand_date"], how="left").fill_null(0.0)
    whole = panel.with_columns(location_id=pl.lit("main"), is_censored=pl.lit(False))
    yield from _last_windows(whole, frequency="weekly", periods=4, count=8, is_blended=is_blended)


def _last_windows(panel: pl.DataFrame, *, frequency: Frequency, periods: int, count: int, is_blended: bool) -> Iterator[Window]:
    matrix = as_matrix(panel, frequency=frequency)
    for number in range(count, 0, -1):
        yield window(matrix, matrix.periods_count - number * periods, periods=periods, is_blended=is_blended)


def report(name: str, windows: list[Window]) -> None:
    actual = np.concatenate([one.actual for one in windows])
    losses, covered = {}, {}
    for method in windows[-1].quantiles:
        said = np.concatenate([one.quantiles.get(method, one.quantiles["lead-time demand"]) for one in windows], axis=1)
        losses[method] = np.mean([quantile_loss(actual, said[i], level=level).sum() / actual.sum() for i, level in enumerate(LEVELS)])
        covered[method] = " | ".join(f"{rate:.3f}" for rate in (actual <= said + 1e-6).mean(axis=1))
    bias = [np.concatenate([getattr(one, part) for one in windows]).sum() / actual.sum() - 1.0 for part in ("mean", "point")]
    fit_seconds, spread_seconds = np.mean([one.seconds for one in windows], axis=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{name}: {len(windows)} windows, {len(actual)} series-windows; bias of the mean {bias[0]:+.1%}, of the point {bias[1]:+.1%}")
    print(f"CPU {fit_seconds:.1f} s for the fit, {spread_seconds:.1f} s for the quantiles; peak {peak:.0f} MB\n")
    print("| method | weighted quantile loss | of the normal | of the summed | covered .8 | .9 | .95 | .99 |")
    print("|---|---|---|---|---|---|---|---|")
    for method, loss in losses.items():
        ratios = f"{loss / losses[NORMAL]:.3f}x | {loss / losses[SUMMED]:.3f}x"
        print(f"| {method} | {loss:.4f} | {ratios} | {covered[method]} |", flush=True)
    print("coverage said beforehand:", " ".join("none" if rate is None else f"{rate:.3f}" for rate in windows[0].coverage), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="m5,carparts,retail")
    parser.add_argument("--origins", default=M5_ORIGINS)
    parser.add_argument("--sample", type=int, help="M5 series at random, for a quick look")
    parser.add_argument("--blend", action="store_true", help="with half of LightGBM's quantiles, which takes minutes")
    options = parser.parse_args()
    chosen = options.sets.split(",")
    if "m5" in chosen:
        origins = [int(day) for day in options.origins.split(",")]
        report("M5, 14 days", list(m5_windows(options.data, origins, options.sample, is_blended=options.blend)))
    if "carparts" in chosen:
        report("Car parts, 3 months", list(carparts_windows(options.data, is_blended=options.blend)))
    if "retail" in chosen:
        report("Online Retail, 4 weeks", list(retail_windows(options.data, is_blended=options.blend)))


if __name__ == "__main__":
    main()
