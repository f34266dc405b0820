"""A million customers from their purchase days to a fitted model and scores: grouped in the database first, against one row each.

Usage: .venv/bin/python benchmarks/customers.py [--customers 1000000]
"""

from __future__ import annotations

import argparse
import os
import platform
import time

import duckdb
import numpy as np
import polars as pl

from forecasting.customers import expected_purchases, fit_bg_nbd, probability_alive

DAYS = 730
SUMMARY = """
    select customer_key, count(*) - 1 as x, (max(purchase_date) - min(purchase_date)) / 7.0 as t_x,
        (date '2026-10-31' - min(purchase_date)) / 7.0 as "T"
    from visits group by customer_key
"""


def visits(count: int, *, seed: int = 1) -> pl.DataFrame:
    """Purchase days of customers who buy and leave as BG/NBD says: one row per customer and day."""
    generator = np.random.default_rng(seed)
    rate, leaving = generator.gamma(0.7, 1 / 40.0, count), generator.beta(0.8, 2.5, count)
    day = generator.integers(0, DAYS, count).astype(float)
    who, parts = np.arange(count), []
    while len(who):
        parts.append(pl.DataFrame({"customer_key": who, "day": day.astype(np.int64)}))
        day = day + generator.exponential(1 / np.maximum(rate[who], 1e-12))
        stays = (day < DAYS) & ((generator.random(len(who)) > leaving[who]) | (len(parts) == 1))
        who, day = who[stays], day[stays]
    first = pl.date(2024, 11, 1)
    return pl.concat(parts).select("customer_key", (first + pl.duration(days=pl.col("day"))).alias("purchase_date")).unique()


def measured(conn: duckdb.DuckDBPyConnection, query: str) -> tuple[float, int, float]:
    """Seconds, rows that left the database, and the log-likelihood found."""
    started = time.perf_counter()
    summary = conn.sql(query).pl()
    model = fit_bg_nbd(summary)
    probability_alive(model, summary)
    expected_purchases(model, summary, horizon=52)
    return time.perf_counter() - started, summary.height, model.log_likelihood


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    options = parser.parse_args()
    conn = duckdb.connect()
    conn.register("frame", visits(options.customers).to_arrow())
    conn.execute("create table visits as select * from frame")
    row = conn.execute("select count(*) from visits").fetchone()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {row[0] if row else 0:,} purchase days\n")
    print("| customers | rows fitted | s | against one row each | log-likelihood |\n|---|---|---|---|---|")
    alike = f'select x, t_x, "T", count(*) as customers_count from ({SUMMARY}) group by all'
    runs = [(measured(conn, SUMMARY), measured(conn, alike)) for _ in range(3)]  # in turn, so that a busy machine hits both
    each, grouped = (min(one) for one in zip(*runs, strict=True))
    for name, (seconds, rows, found) in (("one row each", each), ("grouped in the database", grouped)):
        print(f"| {options.customers:,}, {name} | {rows:,} | {seconds:.1f} | {seconds / each[0]:.2f}x | {found:,.1f} |")


if __name__ == "__main__":
    main()
