"""How good and how dear forecasts are: M5 by its official score, car parts, Online Retail weeks, AutoETS, 100,000 weekly series.

Usage: .venv/bin/python benchmarks/forecast_accuracy.py --data FOLDER [--last-day 1913] [--parts m5,autoets,carparts,retail,many]

`--last-day` is the last day that training on M5 sees; days after it were looked at once per released method only.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from statsforecast import StatsForecast
from statsforecast.models import AutoETS

import forecasting
from forecasting.matrix import SeriesMatrix, as_matrix
from forecasting.models import outlook
from forecasting.schema import FloatArray, IntArray

FIRST_DAY = 1495
HORIZON = 28
LEVELS = [
    [], ["state_id"], ["store_id"], ["cat_id"], ["dept_id"], ["state_id", "cat_id"], ["state_id", "dept_id"], ["store_id", "cat_id"],
    ["store_id", "dept_id"], ["item_id"], ["item_id", "state_id"], ["item_id", "store_id"],
]  # fmt: skip


def m5_sales(data: Path) -> pl.DataFrame:
    return pl.read_parquet(data / "m5" / "sales_d1495_d1941.parquet").sort("item_id", "store_id")


def m5_calendar(data: Path) -> pl.DataFrame:
    days = pl.read_csv(data / "m5" / "calendar.csv", try_parse_dates=True)
    return pl.concat(
        days.select(
            demand_date="date", region=pl.lit(state), event="event_name_1", second_event="event_name_2", snap=pl.col(f"snap_{state}") == 1
        )
        for state in ("CA", "TX", "WI")
    )


def m5_panel(sales: pl.DataFrame, last_day: int) -> pl.DataFrame:
    """Each item from its first sale on."""
    days = [f"d_{day}" for day in range(FIRST_DAY, last_day + 1)]
    dates = pl.DataFrame({"day": days, "demand_date": [date(2015, 3, 3) + timedelta(days=number) for number in range(len(days))]})
    long = (
        sales.rename({"item_id": "sku", "store_id": "location_id"})
        .select("sku", "location_id", *days)
        .unpivot(days, index=["sku", "location_id"], variable_name="day", value_name="demand_qty")
    )
    panel = long.join(dates, on="day").drop("day").with_columns(is_censored=pl.lit(False))
    first = panel.filter(pl.col("demand_qty") > 0).group_by("sku", "location_id").agg(pl.col("demand_date").min().alias("first_date"))
    return panel.join(first, on=["sku", "location_id"]).filter(pl.col("demand_date") >= pl.col("first_date")).drop("first_date")


def m5_attributes(sales: pl.DataFrame) -> pl.DataFrame:
    return sales.select(sku="item_id", location_id="store_id", category="dept_id", department="cat_id", region="state_id")


def wrmsse(point: FloatArray, actual: FloatArray, sales: pl.DataFrame, data: Path) -> list[float]:
    """Weighted root mean squared scaled error per level, with the weights and scales of the public window."""
    known = pl.read_parquet(data / "m5" / "weights_and_scale_public_window.parquet")
    scores = []
    for number, columns in enumerate(LEVELS, start=1):
        names = sales.with_columns(
            (pl.col(columns[0]) if columns else pl.lit("Total")).alias("agg1"),
            (pl.col(columns[1]) if len(columns) > 1 else pl.lit("X")).alias("agg2"),
        ).select("agg1", "agg2")
        sums = names.unique().sort("agg1", "agg2").with_row_index("sum")
        group = names.join(sums, on=["agg1", "agg2"], how="left", maintain_order="left")["sum"].to_numpy()
        facts = sums.join(known.filter(pl.col("level") == f"Level{number}"), on=["agg1", "agg2"], how="left", maintain_order="left")
        errors = np.stack([np.bincount(group, weights=row, minlength=sums.height) for row in point - actual])
        scores.append(float((facts["weight"] * np.sqrt((errors**2).mean(axis=0) / facts["scale_d1_1913"].to_numpy())).sum()))
    return scores


def spread_out(frame: pl.DataFrame, keys: pl.DataFrame, horizon: int) -> FloatArray:
    """[period, series] of a forecast's frame in the order of `keys`; 0 for what was not forecast."""
    rows = keys.join(
        frame.group_by("sku", "location_id").agg(pl.col("demand_mean_qty").sort_by("demand_date")),
        on=["sku", "location_id"], how="left", maintain_order="left",
    )  # fmt: skip
    empty = [0.0] * horizon
    return np.nan_to_num(np.array([empty if row is None else row for row in rows["demand_mean_qty"].to_list()], dtype=float).T)


def bench_m5(data: Path, last_day: int, models: list[str]) -> None:
    sales = m5_sales(data)
    panel, attributes, calendar = m5_panel(sales, last_day), m5_attributes(sales), m5_calendar(data)
    actual = sales.select(f"d_{day}" for day in range(last_day + 1, last_day + 1 + HORIZON)).to_numpy().T.astype(float)
    keys = attributes.select("sku", "location_id")
    print(f"\nM5, trained to d_{last_day}, scored on d_{last_day + 1}-d_{last_day + HORIZON}\n")
    print("| model | WRMSSE | against seasonal naive | bias | CPU s | " + " | ".join(f"level {level}" for level in range(1, 13)) + " |")
    print("|" + "---|" * 17)
    naive = None
    for model in models:
        began = time.process_time()
        frame = forecasting.forecast(
            panel, horizon=HORIZON, frequency="daily", attributes=attributes, calendar=calendar, model=model, levels=()
        ).frame
        seconds = time.process_time() - began
        point = spread_out(frame, keys, HORIZON)
        scores = wrmsse(point, actual, sales, data)
        naive = naive or float(np.mean(scores))
        bias = point.sum() / actual.sum() - 1.0
        name = model if model != "auto" else f"auto ({frame['model'].mode()[0]})"
        print(f"| {name} | {np.mean(scores):.4f} | {np.mean(scores) / naive:.3f}x | {bias:+.1%} | {seconds:.1f} | "
              + " | ".join(f"{score:.3f}" for score in scores) + " |", flush=True)  # fmt: skip


def bench_autoets(data: Path, last_day: int, count: int = 1000) -> None:
    sales = m5_sales(data)
    chosen = sales[np.sort(np.random.default_rng(0).choice(sales.height, count, replace=False))]
    panel = m5_panel(chosen, last_day)
    keys = panel.select("sku", "location_id").unique().sort("sku", "location_id")
    actual = chosen.join(keys, left_on=["item_id", "store_id"], right_on=["sku", "location_id"], how="semi")
    actual = actual.select(f"d_{day}" for day in range(last_day + 1, last_day + 1 + HORIZON)).to_numpy().T.astype(float)
    series = panel.select(
        unique_id=pl.col("sku") + "/" + pl.col("location_id"), ds="demand_date", y=pl.col("demand_qty").cast(pl.Float64)
    ).sort("unique_id", "ds")
    began = time.process_time()
    theirs = StatsForecast(models=[AutoETS(season_length=7)], freq="1d").forecast(df=series, h=HORIZON)
    their_seconds = time.process_time() - began
    frame = theirs.with_columns(
        pl.col("unique_id").str.split("/").list.first().alias("sku"), pl.col("unique_id").str.split("/").list.last().alias("location_id")
    ).rename({"ds": "demand_date", "AutoETS": "demand_mean_qty"})
    attributes, calendar = m5_attributes(sales), m5_calendar(data)
    began = time.process_time()
    ours = forecasting.forecast(
        panel,
        horizon=HORIZON,
        frequency="daily",
        attributes=attributes,
        calendar=calendar,
        model="pooled_ensemble",
        levels=(),
    ).frame
    our_seconds = time.process_time() - began
    matrix = as_matrix(panel)
    print(f"\n{count} M5 series, trained to d_{last_day}\n\n| model | RMSSE | WAPE of the {HORIZON}-day sum | bias | CPU s |")
    print("|---|---|---|---|---|")
    for name, found, seconds in (("AutoETS", frame, their_seconds), ("pooled_ensemble", ours, our_seconds)):
        point = np.maximum(spread_out(found, keys, HORIZON), 0.0)
        print(f"| {name} | {rmsse(point, actual, matrix):.4f} | {sum_wape(point, actual):.4f} | "
              f"{point.sum() / actual.sum() - 1:+.1%} | {seconds:.2f} |", flush=True)  # fmt: skip


def rmsse(point: FloatArray, actual: FloatArray, matrix: SeriesMatrix) -> float:
    """Mean over series of the root of mean squared error over that of the last value in training."""
    both = matrix.observed[1:] & matrix.observed[:-1]
    steps = np.where(both, np.diff(matrix.demand, axis=0), 0.0)
    scale = (steps**2).sum(axis=0) / np.maximum(both.sum(axis=0), 1)
    is_known = scale > 0
    return float(np.sqrt(((point - actual) ** 2).mean(axis=0)[is_known] / scale[is_known]).mean())


def sum_wape(point: FloatArray, actual: FloatArray) -> float:
    return float(np.abs(point.sum(axis=0) - actual.sum(axis=0)).sum() / actual.sum())


def bench_rolling(title: str, matrix: SeriesMatrix, *, horizon: int, windows: int, models: list[str]) -> None:
    print(
        f"\n{title}, {windows} windows of {horizon}\n\n| model | RMSSE | WAPE | WAPE of the sum | bias | CPU s |\n|---|---|---|---|---|---|"
    )
    for model in models:
        began, scores, sums = time.process_time(), [], np.zeros(3)
        wapes = []
        for window in range(1, windows + 1):
            cutoff = matrix.periods_count - horizon * window
            known = matrix.until(cutoff)
            rows: IntArray = np.flatnonzero(known.demand.any(axis=0))
            point = outlook(known, model=model, periods=horizon, levels=()).point[:, rows]
            actual = matrix.demand[cutoff : cutoff + horizon, rows]
            scores.append(rmsse(point, actual, known.of(rows)))
            wapes.append(sum_wape(point, actual))
            sums += [np.abs(point - actual).sum(), (point - actual).sum(), actual.sum()]
        print(f"| {model} | {np.mean(scores):.4f} | {sums[0] / sums[2]:.4f} | {np.mean(wapes):.4f} | {sums[1] / sums[2]:+.1%} | "
              f"{time.process_time() - began:.1f} |", flush=True)  # fmt: skip


def carparts(data: Path) -> SeriesMatrix:
    parts = pl.read_csv(data / "carparts" / "carparts_monthly.csv", infer_schema_length=None).drop_nulls()
    long = parts.unpivot(index="part", variable_name="month", value_name="demand_qty")
    return as_matrix(
        long.select(
            sku=pl.col("part").cast(pl.String), location_id=pl.lit("main"), demand_date=pl.col("month").str.to_date("%Y-%m"),
            demand_qty="demand_qty", is_censored=pl.lit(False),
        ),
        frequency="monthly",
    )  # fmt: skip


def retail_weeks(data: Path) -> SeriesMatrix:
    """Items sold in ten weeks or more, from their first sale on, cancellations left out as an order book would have them."""
    files = [pl.read_parquet(data / "online_retail" / f"year_{years}.parquet") for years in ("2009_2010", "2010_2011")]
    lines = pl.concat([files[0].filter(pl.col("InvoiceDate") < pl.datetime(2010, 12, 1)), files[1]], how="vertical_relaxed").filter(
        ~pl.col("InvoiceNo").str.starts_with("C") & (pl.col("Quantity") > 0) & (pl.col("UnitPrice") > 0),
        pl.col("StockCode").str.contains(r"^\d{5}"),
    )
    weeks = (
        lines.group_by(sku=pl.col("StockCode").str.to_uppercase(), demand_date=pl.col("InvoiceDate").dt.date().dt.truncate("1w"))
        .agg(demand_qty=pl.col("Quantity").sum())
        .filter(pl.col("demand_date") < date(2011, 12, 5), pl.len().over("sku") >= 10)
    )
    spans = weeks.group_by("sku").agg(
        pl.date_ranges(pl.col("demand_date").min(), date(2011, 12, 4), interval="1w").first().alias("demand_date")
    )
    panel = spans.explode("demand_date").join(weeks, on=["sku", "demand_date"], how="left")
    panel = panel.with_columns(pl.col("demand_qty").fill_null(0), location_id=pl.lit("UK"), is_censored=pl.lit(False))
    return as_matrix(panel, frequency="weekly")


def bench_many(count: int = 100_000, weeks: int = 104) -> None:
    """Intermittent weekly series of 50 places."""
    draw = np.random.default_rng(0)
    panel = pl.DataFrame(
        {
            "sku": np.repeat([f"s{number % 2000:05d}" for number in range(count)], weeks),
            "location_id": np.repeat([f"l{number // 2000:03d}" for number in range(count)], weeks),
            "demand_date": np.tile(np.datetime64("2024-01-01") + 7 * np.arange(weeks), count),
            "demand_qty": draw.poisson(np.repeat(draw.gamma(0.5, 4.0, count), weeks)),
            "is_censored": False,
        }
    )
    before, began, started = peak_mb(), time.process_time(), time.perf_counter()
    forecasting.forecast(panel, horizon=13, frequency="weekly", model="pooled_ensemble", levels=())
    seconds, clock = time.process_time() - began, time.perf_counter() - started
    print(f"\n{count:,} weekly series x {weeks}: {seconds:.1f} CPU s, {clock:.1f} s by the clock, peak {peak_mb():.0f} MB", end="")
    print(f" (the panel alone {before:.0f} MB)")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--last-day", type=int, default=1885)
    parser.add_argument("--parts", default="m5,autoets,carparts,retail,many")
    parser.add_argument("--models", default="seasonal_naive,ses,pooled_ensemble,auto")
    options = parser.parse_args()
    parts, models = options.parts.split(","), options.models.split(",")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    if "m5" in parts:
        bench_m5(options.data, options.last_day, models)
        print(f"\npeak {peak_mb():.0f} MB")
    if "autoets" in parts:
        bench_autoets(options.data, options.last_day)
    if "carparts" in parts:
        bench_rolling("Car parts, months", carparts(options.data), horizon=3, windows=6, models=models)
    if "retail" in parts:
        bench_rolling("Online Retail, weeks", retail_weeks(options.data), horizon=4, windows=8, models=models)
    if "many" in parts:
        bench_many()


if __name__ == "__main__":
    main()
