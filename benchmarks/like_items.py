"""What young items' forecasts gain from items like them, on the Online Retail weeks: docs/methods/panels.md.

Run: python benchmarks/like_items.py /path/to/online_retail
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from forecasting import build_panel
from forecasting.like_items import LIKE_ITEMS
from forecasting.matrix import as_matrix
from forecasting.models import fitted_outlook, outlook
from forecasting.pooled import fit_pooled

WEEKS_AHEAD: Final = 8
FIRST_CUTOFF: Final = 60
LEAST_SALE_DAYS: Final = 5
LEVELS: Final = (0.1, 0.5, 0.9)
AGES: Final = ((0, 2), (3, 5), (6, 7))


def weeks(folder: Path) -> pl.DataFrame:
    lines = pl.concat(
        pl.read_parquet(folder / f"year_{year}.parquet").select("InvoiceNo", "StockCode", "Quantity", "InvoiceDate")
        for year in ("2009_2010", "2010_2011")
    ).unique()  # nine days are in both files
    sold = lines.filter((pl.col("Quantity") > 0) & ~pl.col("InvoiceNo").cast(pl.String).str.starts_with("C")).select(
        pl.col("StockCode").cast(pl.String).str.to_uppercase().alias("sku"),
        pl.lit("uk").alias("location_id"),
        pl.col("InvoiceDate").cast(pl.String).str.slice(0, 10).str.to_date().alias("demand_date"),
        pl.col("Quantity").alias("demand_qty"),
    )
    kept = sold.filter(pl.col("demand_date").n_unique().over("sku") >= LEAST_SALE_DAYS)
    return build_panel(kept, cutoff=sold.select(pl.col("demand_date").max()).item(), frequency="weekly")


def main(folder: str) -> None:
    matrix = as_matrix(weeks(Path(folder)), frequency="weekly")
    sums = {(name, ages): np.zeros(6) for ages in AGES for name in ("own mean", "like items")}
    for cutoff in range(FIRST_CUTOFF, matrix.periods_count - WEEKS_AHEAD + 1, 4):
        known = matrix.until(cutoff)
        like = outlook(known, model="pooled_ensemble", periods=WEEKS_AHEAD, levels=LEVELS)
        own = fitted_outlook(fit_pooled(known), periods=WEEKS_AHEAD, levels=LEVELS)
        rows = np.flatnonzero((np.array(like.names) == LIKE_ITEMS) & np.isfinite(own.point).all(axis=0))
        counts = known.observed.sum(axis=0)[rows]
        for name, seen in (("own mean", own), ("like items", like)):
            for ages in AGES:
                some = rows[(counts >= ages[0]) & (counts <= ages[1])]
                actual = matrix.demand[cutoff : cutoff + WEEKS_AHEAD, some]
                error, below = seen.point[:, some] - actual, actual <= seen.quantiles[-1][:, some]
                sums[name, ages] += [np.abs(error).sum(), error.sum(), actual.sum(), len(some), below.sum(), below.size]
    for (name, ages), (absolute, error, units, series, below, cells) in sums.items():
        rates = f"WAPE {absolute / units:.3f}, bias {error / units:+.3f}, below p90 {below / cells:.3f}"
        print(f"{ages[0]} to {ages[1]} weeks, {name}: {series:.0f} series, {rates}")


if __name__ == "__main__":
    main(sys.argv[1])
