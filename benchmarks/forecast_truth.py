"""Forecasts against what customers of simulated merchants really wanted, which no table of theirs says.

Usage: .venv/bin/python benchmarks/forecast_truth.py [--scenario default] [--seeds 1,2,3] [--origins 10]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from forecasting import build_panel, forecast, lead_time_demand
from pipelines.simulator.merchant import SimulatedMerchant, simulate
from pipelines.simulator.scenarios import SCENARIOS

if TYPE_CHECKING:
    from datetime import date

KEY: Final = ["sku", "location_id"]
DAYS: Final = 28
LEAD_DAYS: Final = 14
LEAD_LEVELS: Final = (0.5, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Window:
    """What was said on one evening and what was wanted then.

    Attributes:
        days: is_in_stock, demand_qty (wanted), demand_mean_qty, demand_p10_qty, demand_p90_qty; one row per series and day.
        sums: demand_qty (wanted), is_in_stock (on all days), demand_mean_qty and a quantile per level; one row per series.
    """

    days: pl.DataFrame
    sums: pl.DataFrame


def window(merchant: SimulatedMerchant, cutoff: date) -> Window:
    """Forecasts from the books until a day; wanted demand of the days after it."""
    wanted = merchant.truth.latent_demand
    outs = days_without_stock(merchant)
    sold = wanted.with_columns(demand_qty=pl.col("demand_qty") - pl.col("lost_qty"))
    items = merchant.tables["products"].select("sku", "category").unique("sku")
    panel = build_panel(
        sold.select(*KEY, "demand_date", "demand_qty"),
        cutoff=cutoff,
        frequency="daily",
        stock_outs=outs.filter(pl.col("stock_date") <= cutoff),
    )
    said = forecast(panel, horizon=DAYS, frequency="daily", attributes=items, levels=(0.1, 0.9)).frame
    sums = lead_time_demand(panel, periods=LEAD_DAYS, frequency="daily", attributes=items, levels=LEAD_LEVELS).frame
    coming = said.join(wanted, on=[*KEY, "demand_date"], how="left").join(
        outs.with_columns(is_out=True), left_on=[*KEY, "demand_date"], right_on=[*KEY, "stock_date"], how="left"
    )
    days = coming.filter(pl.col("demand_mean_qty").is_not_null()).with_columns(
        pl.col("demand_qty").fill_null(0), is_in_stock=pl.col("is_out").is_null()
    )
    lead = days.filter(pl.col("demand_date") <= cutoff + timedelta(days=LEAD_DAYS))
    total = lead.group_by(KEY).agg(pl.col("demand_qty").sum(), pl.col("is_in_stock").all())
    return Window(days, sums.filter(pl.col("model") == "pooled_ensemble").join(total, on=KEY))


def days_without_stock(merchant: SimulatedMerchant) -> pl.DataFrame:
    """sku, location_id, stock_date of days that ended without stock, counted up from the movements."""
    moves = merchant.tables["stock_movements"].with_columns(stock_date=pl.col("occurred_at").dt.date())
    last = merchant.scenario.last_day
    ends = moves.group_by(*KEY, "stock_date").agg(pl.col("quantity").sum()).sort(*KEY, "stock_date")
    spans = ends.group_by(KEY).agg(pl.date_ranges(pl.col("stock_date").min(), last, interval="1d").first().alias("stock_date"))
    every = spans.explode("stock_date").join(ends, on=[*KEY, "stock_date"], how="left").sort(*KEY, "stock_date")
    stock = every.with_columns(pl.col("quantity").fill_null(0).cum_sum().over(KEY))
    return stock.filter(pl.col("quantity") <= 0).select(*KEY, "stock_date")


def covered(values: pl.Series, quantile: pl.Series) -> float:
    """Share at or below a quantile, half of a tie: whole units sit on it often."""
    return float(((values < quantile.round()).cast(pl.Float64) + 0.5 * (values == quantile.round())).mean())  # type: ignore[arg-type]


def inside(days: pl.DataFrame) -> float:
    """Share of days between the p10 and the p90."""
    return float(days["demand_qty"].is_between(days["demand_p10_qty"], days["demand_p90_qty"]).mean())  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="default")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--origins", type=int, default=10)
    options = parser.parse_args()
    for seed in map(int, options.seeds.split(",")):
        merchant = simulate(SCENARIOS[options.scenario].continued(DAYS), seed=seed)  # so the last window is not of the planned days
        windows = []
        print(f"\n{options.scenario}, seed {seed}\n")
        print(f"| {DAYS} days after | bias, wanted | bias, days in stock | inside p10-p90 |\n|---|---|---|---|")
        for number in range(options.origins, 0, -1):
            cutoff = merchant.scenario.last_day - timedelta(days=DAYS * number)
            windows.append(window(merchant, cutoff))
            days = windows[-1].days
            stock = days.filter("is_in_stock")
            bias = [one["demand_mean_qty"].sum() / one["demand_qty"].sum() - 1 for one in (days, stock)]
            print(f"| {cutoff} | {bias[0]:+.1%} | {bias[1]:+.1%} | {inside(days):.3f} |", flush=True)
        days, sums = pl.concat([one.days for one in windows]), pl.concat([one.sums for one in windows])
        for name, some in (("all days", days), ("days in stock", days.filter("is_in_stock"))):
            print(f"{name}: inside {inside(some):.3f}, at or below p90 {(some['demand_qty'] <= some['demand_p90_qty']).mean():.3f}")
        for name, some in (("all windows", sums), ("in stock throughout", sums.filter("is_in_stock"))):
            shares = [covered(some["demand_qty"], some[f"demand_p{round(100 * level)}_qty"]) for level in LEAD_LEVELS]
            print(f"{LEAD_DAYS} days, {name} ({some.height}): " + " ".join(f"{share:.3f}" for share in shares))
        print(f"bias of all {DAYS}-day windows {days['demand_mean_qty'].sum() / days['demand_qty'].sum() - 1:+.1%}")


if __name__ == "__main__":
    main()
