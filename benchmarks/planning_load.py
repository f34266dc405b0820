"""Time and peak memory of orders at full size, each in a process of its own: plans and tuning in weeks, 30,000 SKU-locations in days.

Demand is made up by seed: gamma rates, Poisson sales, a weekly profile, 4 % of periods out of stock. "Daily run" is what a run
does with the fitted panel: every item's demand simulated, its order, what ignoring and accepting cost, its outlook.

`--part kernels` times the two reckonings of a need instead: rows of the units lost (daily run), the walk through the stock (plans).

Usage: OMP_NUM_THREADS=1 .venv/bin/python benchmarks/planning_load.py [--series 30000] [--days 447] [--part NAME]
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import time
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forecasting.matrix import as_matrix
from forecasting.schema import POOLED_ENSEMBLE
from forecasting.selection import Choice
from inventory import Policy, plan_orders, tune_policy
from inventory.lead_time import blend_lead_time
from inventory.projection import project_needs
from inventory.protection_demand import Courses, units_to_bring
from inventory.reorder_decision import Reorder
from inventory.schema import LeadTime, Position, ReorderPolicy
from pipelines.steps.recommend_planning import Planner

if TYPE_CHECKING:
    from collections.abc import Callable

    from forecasting.schema import FloatArray

FIRST: Final = date(2024, 1, 1)
WEEKLY: Final = (600, 160)
PACKS: Final = np.array([1, 1, 6, 12])


def panel(series: int, periods: int, *, days_between: int) -> pl.DataFrame:
    """Demand of so many series; the profile repeats every seven periods."""
    random = np.random.default_rng(5)
    rates = random.gamma(0.7, 2.0 * days_between, (series, 1))
    profile = 1.0 + 0.3 * np.sin(np.arange(periods) * 2.0 * np.pi / 7.0)
    demand = random.poisson(rates * profile).astype(np.float64)
    dates = pl.Series([FIRST + timedelta(days=days_between * number) for number in range(periods)])
    return pl.DataFrame(
        {
            "sku": pl.Series([f"s{number:05d}" for number in range(series)]).gather(np.repeat(np.arange(series), periods)),
            "location_id": pl.repeat("main", series * periods, eager=True),
            "demand_date": dates.gather(np.tile(np.arange(periods), series)),
            "demand_qty": demand.ravel(),
            "is_censored": (random.random((series, periods)) < 0.04).ravel(),
        }
    )


def stock(told: pl.DataFrame) -> pl.DataFrame:
    """About two periods of demand on every shelf."""
    means = told.group_by("sku", "location_id").agg(on_hand_qty=(2.0 * pl.col("demand_qty").mean()).round())
    return means.sort("sku", "location_id")


def plan_weeks(_: int, __: int) -> tuple[Any, str]:
    told = panel(*WEEKLY, days_between=7)
    position = stock(told)
    return (lambda: plan_orders(told, position, None, Policy(), frequency="weekly")), "plan_orders, {} weekly series x {}".format(*WEEKLY)


def tune_weeks(_: int, __: int) -> tuple[Any, str]:
    told = panel(*WEEKLY, days_between=7)
    return (lambda: tune_policy(told, Policy(), frequency="weekly")), "tune_policy, {} weekly series x {}".format(*WEEKLY)


def plan_days(series: int, days: int) -> tuple[Any, str]:
    told = panel(series, days, days_between=1)
    position = stock(told)
    policy = Policy(lead_periods=7, review_periods=7)
    return (lambda: plan_orders(told, position, None, policy, frequency="daily")), f"plan_orders, {series:,} daily series x {days}"


def daily_run(series: int, days: int) -> tuple[Any, str]:
    told = panel(series, days, days_between=1)
    held = dict(stock(told).select("sku", "on_hand_qty").iter_rows())

    def decide() -> None:
        plans = planner(told, held).plan([item(sku, on_hand, number) for number, (sku, on_hand) in enumerate(held.items())])
        orders = sum(isinstance(plan.decision, Reorder) for plan in plans)
        print(f"{orders:,} of {series:,} are ordered", file=sys.stderr)

    return decide, f"daily run, {series:,} items x {days}"


def planner(told: pl.DataFrame, held: dict[str, float]) -> Planner:
    """Lead times of 5 to 21 days, each with receipts of its own; a review a week."""
    random = np.random.default_rng(6)
    delays = {}
    for sku in held:
        promise = int(random.integers(5, 22))
        delays["supplier", sku] = blend_lead_time(
            promise_days=promise, own=np.rint(promise * random.uniform(0.8, 1.4, 8)), supplier_ratios=random.uniform(0.8, 1.4, 50)
        )
    return Planner(
        as_of=told["demand_date"].max(),  # type: ignore[arg-type] # a date
        seed=0,
        fit=Choice(POOLED_ENSEMBLE, {}).fit(as_matrix(told, frequency="daily")),
        policies=dict.fromkeys([(sku, "main") for sku in held], ReorderPolicy(0.95, 7, 0.25)),
        delays=delays,
        offers={},
        inbound={},
        overrides={},
        like_means={},
        spreads={},
        transfer_days={},
    )


def item(sku: str, on_hand: float, number: int) -> dict[str, Any]:
    pack = int(PACKS[number % len(PACKS)])
    return {
        "sku": sku, "location_id": "main", "supplier_id": "supplier", "on_hand_qty": int(on_hand), "committed_qty": 0, "reserved_qty": 0,
        "damaged_qty": 0, "backorder_qty": 0, "shelf_life_days": None, "unit_cost_amount": 1000, "list_price_amount": 1600,
        "list_price_currency_code": "EUR", "currency_code": "EUR", "min_order_qty": pack, "order_multiple": pack, "max_order_qty": None,
    }  # fmt: skip


def kernels() -> None:
    """CPU microseconds for the need of one series on known Poisson demand, best of seven; both give the same."""
    random = np.random.default_rng(0)
    one, several = random.poisson(2.0, (400, 42)).astype(np.float32), random.poisson(2.0, (64, 300, 14)).astype(np.float32)
    lead_time = LeadTime(np.sort(random.integers(10, 25, 200)), "drawn")
    courses = Courses.follow(one, position=Position(30), lead_time=lead_time, review_period_days=7, as_of=FIRST, seed=0)
    arrives = courses.lead_days[None]

    def walk_one() -> FloatArray:
        known = {"on_hand": np.array([30.0]), "arriving": np.zeros((42, 1)), "arrives": arrives, "until": arrives + 7}
        return project_needs(one[None], shortage="lost", **known).need[0]

    def walk_several() -> FloatArray:
        known = {"on_hand": np.full(64, 10.0), "arriving": np.zeros((14, 64)), "arrives": 7, "until": 14}
        return project_needs(several, shortage="lost", **known).need

    def rows_of_several() -> FloatArray:
        lost = np.maximum.accumulate(np.maximum(np.cumsum(several, axis=2, dtype=np.float64) - 10.0, 0.0), axis=2)
        return np.sort(lost[:, :, 13] - lost[:, :, 6], axis=1)

    assert np.allclose(np.sort(units_to_bring(courses)), walk_one())
    assert np.allclose(walk_several(), rows_of_several())
    print("| need of | rows of lost units, us | walk, us |\n|---|---|---|")
    print(f"| one item, 400 paths x 42 | {micro(lambda: units_to_bring(courses)):.0f} | {micro(walk_one):.0f} |")
    print(f"| each of 64, 300 paths x 14 | {micro(rows_of_several) / 64:.0f} | {micro(walk_several) / 64:.0f} |")


def micro(act: Callable[[], FloatArray]) -> float:
    best = np.inf
    for _ in range(7):
        began = time.process_time()
        for _ in range(5):
            act()
        best = min(best, (time.process_time() - began) / 5)
    return float(best * 1e6)


PARTS: Final = {"plan-weeks": plan_weeks, "tune-weeks": tune_weeks, "plan-days": plan_days, "daily-run": daily_run}


def measure(part: str, series: int, days: int) -> None:
    """One row of the table: the call alone for the time, the whole process for the peak."""
    act, name = PARTS[part](series, days)
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {name} | {wall:.1f} | {cpu:.1f} | {peak:,.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=30_000, help="of the parts in days")
    parser.add_argument("--days", type=int, default=447)
    parser.add_argument("--part", choices=[*PARTS, "kernels"], help="this one alone, in this process")
    options = parser.parse_args()
    if options.part == "kernels":
        kernels()
        return
    if options.part:
        measure(options.part, options.series, options.days)
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| what | wall s | CPU s | peak MB |\n|---|---|---|---|", flush=True)
    for part in PARTS:
        command = [sys.executable, __file__, "--part", part, "--series", str(options.series), "--days", str(options.days)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
