"""What orders by the projected need cost on real demand, against the textbook's rule and min/max: M5 by week, car parts by month.

Lead 2, review 1, lost sales, holding 1 a unit and period, shortage 5 or 9. Every rule's one parameter is tuned on the past: on the
periods before the ones that are reported, by the same simulation. All shops start from the mean demand of three periods and count
after six. "At equal fill" draws each rule's stock against its fill rate over the parameter's range.

The last table has packs of 6, orders of 12 at least and leads of 1 to 3 at random, and the textbook's rule as textbooks have it
(z the normal quantile of p / (p + h)) beside the tuned ones.

Usage: .venv/bin/python benchmarks/inventory_policies.py --data FOLDER [--sets m5,carparts] [--sample 3000] [--no-trees]
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import m5
import numpy as np
import polars as pl
from scipy import stats

from forecasting.matrix import SeriesMatrix, as_matrix
from inventory.classical import MinMax, Textbook
from inventory.demand_paths import learn_demand
from inventory.item_terms import read_items
from inventory.policy import Policy
from inventory.replaying import replay
from inventory.simulation import Shop, World, drawn_leads, run_shops
from inventory.tuning import tune_policy

if TYPE_CHECKING:
    from forecasting.schema import FloatArray
    from inventory.policy import OrderRule, ReplayState
    from inventory.simulation import Learner

LEAD: Final = 2
RATIOS: Final = (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)
SAFETY_FACTORS: Final = (-1.0, -0.5, -0.25, 0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.1, 1.3, 1.6, 2.0, 2.5)
COVERS: Final = (0.4, 0.6, 0.8, 1.0, 1.2, 4 / 3, 1.6, 2.0)  # times lead plus review: the level at which min/max orders
SHORTAGE_COSTS: Final = (5.0, 9.0)
FILLS: Final = (0.80, 0.85, 0.90, 0.95)
WARM_UP: Final = 6
OURS, TEXTBOOK, MIN_MAX, UNTUNED = "ours", "textbook, z tuned", "min/max, tuned", "textbook, z of p/(p+h)"


@dataclass(frozen=True, slots=True)
class Cover:
    """Min/max at a multiple of mean demand over lead and review time."""

    times: float
    window_periods: int

    def order(self, state: ReplayState) -> FloatArray:
        """[series] units up to one cover more than the level."""
        known, window = state.known, slice(-self.window_periods, None)
        mean = known.demand[window].sum(axis=0) / np.maximum(known.observed[window].sum(axis=0), 1)
        low = mean * (LEAD + 1) * self.times
        return MinMax(LEAD, min_qty=low, max_qty=low + mean * (LEAD + 1), window_periods=self.window_periods).order(state)


@dataclass(frozen=True, slots=True)
class Set:
    """Demand, and the periods that parameters are tuned on and reported for."""

    name: str
    matrix: SeriesMatrix
    tuned: tuple[int, int]
    reported: tuple[int, int]
    window_periods: int


def m5_weekly(data: Path, sample: int | None) -> Set:
    """63 whole weeks, Monday to Sunday, with events and the share of SNAP days, which are known ahead."""
    daily = m5.load(data, sample=sample).matrix
    skip = -daily.first_date.weekday() % 7
    count = (daily.periods_count - skip) // 7
    demand = daily.demand[skip : skip + 7 * count].reshape(count, 7, -1).sum(axis=1)
    observed = np.cumsum(demand, axis=0) > 0
    weekly = dataclasses.replace(
        daily,
        frequency="weekly",
        first_date=daily.first_date + timedelta(days=skip),
        demand=demand,
        observed=observed,
        censored=np.zeros_like(observed),
    )
    return Set("M5, weeks", weekly, (23, 40), (38, 62), 13)


def carparts_monthly(data: Path, sample: int | None) -> Set:
    """The 2,509 parts without gaps."""
    table = pl.read_csv(data / "carparts" / "carparts_monthly.csv", infer_schema_length=None).drop_nulls().head(sample or 10_000)
    long = table.unpivot(index="part", variable_name="month", value_name="demand_qty").select(
        sku=pl.col("part").cast(pl.String),
        location_id=pl.lit("main"),
        demand_date=pl.col("month").str.to_date("%Y-%m"),
        demand_qty=pl.col("demand_qty").cast(pl.Float64),
        is_censored=pl.lit(False),
    )
    return Set("Car parts, months", as_matrix(long, frequency="monthly"), (15, 32), (30, 50), 12)


def shops(chosen: Set, start: int, base: Policy, *, leads: list[int] | None) -> dict[str, Shop]:
    """One shop per rule and parameter, named "rule|parameter"."""
    keys, matrix = chosen.matrix.keys, chosen.matrix
    items = None if leads is None else keys.with_columns(lead_periods=pl.lit(leads))
    recent = slice(max(0, start - 26), start)
    first = np.rint(matrix.demand[recent].mean(axis=0) * (LEAD + 1))

    def shop(policy: Policy, rule: OrderRule | None) -> Shop:
        terms = read_items(keys, items, policy)
        return Shop(policy, terms, first.copy(), np.zeros((max(leads or [LEAD]) + 1, keys.height)), rule)

    result = {f"{OURS}|{ratio}": shop(dataclasses.replace(base, critical_ratio=ratio), None) for ratio in RATIOS}
    result |= {f"{TEXTBOOK}|{z}": shop(base, Textbook(LEAD, z=z, window_periods=chosen.window_periods)) for z in SAFETY_FACTORS}
    result |= {f"{MIN_MAX}|{times:.2f}": shop(base, Cover(times, chosen.window_periods)) for times in COVERS}
    for cost in SHORTAGE_COSTS:
        z = float(stats.norm.ppf(cost / (cost + 1.0)))
        result[f"{UNTUNED}|{cost:g}"] = shop(base, Textbook(LEAD, z=z, window_periods=chosen.window_periods))
    return result


def lived(chosen: Set, span: tuple[int, int], base: Policy, *, leads: list[int] | None, learn: Learner) -> dict[str, Shop]:
    start, end = span
    count = chosen.matrix.keys.height
    real = drawn_leads([np.array(leads or [LEAD])] * count, end - start + 1, seed=1)
    result = shops(chosen, start, base, leads=leads)
    world = World(chosen.matrix, start, end, start + WARM_UP, real)
    run_shops(result, dict.fromkeys(result, chosen.matrix.demand), world, seed=0, learn=learn)
    return result


def cost(shop: Shop, shortage_cost: float) -> float:
    return float(shop.held.sum() + shortage_cost * shop.missed.sum())


def best(shops: dict[str, Shop], rule: str, shortage_cost: float) -> str:
    """The parameter that cost least."""
    if rule == UNTUNED:
        return f"{UNTUNED}|{shortage_cost:g}"
    return min((name for name in shops if name.startswith(f"{rule}|")), key=lambda name: cost(shops[name], shortage_cost))


def between(past: str, base: Policy, shortage_cost: float) -> str:
    """Our ratio in the middle, in log odds, of the costs' own start and the past's best; the nearest that was tried."""
    start = dataclasses.replace(base, shortage_cost=shortage_cost, holding_cost=1.0).starting_ratio
    odds = [np.log(ratio / (1.0 - ratio)) for ratio in (float(past.split("|")[1]), start)]
    middle = 1.0 / (1.0 + np.exp(-np.mean(odds)))
    return f"{OURS}|{min(RATIOS, key=lambda ratio: abs(ratio - middle))}"


def report(chosen: Set, base: Policy, *, leads: list[int] | None, learn: Learner, past_learn: Learner) -> None:
    began = time.perf_counter()
    past = lived(chosen, chosen.tuned, base, leads=leads, learn=past_learn)
    now = lived(chosen, chosen.reported, base, leads=leads, learn=learn)
    terms = "" if leads is None else f", packs of {base.pack_qty}, at least {base.min_order_qty}, leads of {leads}"
    print(f"\n{chosen.name}{terms}: {chosen.matrix.keys.height} series, {time.perf_counter() - began:.0f} s\n")
    print("| p/h | rule | parameter | cost | of the tuned textbook | of the untuned | fill rate | mean stock |")
    print("|---|---|---|---|---|---|---|---|")
    for shortage_cost in SHORTAGE_COSTS:
        names = {rule: best(past, rule, shortage_cost) for rule in (OURS, TEXTBOOK, MIN_MAX, UNTUNED)}
        names = {"ours, half way to costs'": between(names[OURS], base, shortage_cost)} | names
        costs = {rule: cost(now[name], shortage_cost) for rule, name in names.items()}
        for rule, name in names.items():
            ratios = f"{costs[rule] / costs[TEXTBOOK]:.3f}x | {costs[rule] / costs[UNTUNED]:.3f}x"
            shop = now[name]
            stock = shop.average_stock.sum()
            figures = f"{name.split('|')[1]} | {costs[rule]:.0f} | {ratios} | {shop.fill_rate or 0:.3f} | {stock:.0f}"
            print(f"| {shortage_cost:g} | {rule} | {figures} |", flush=True)
    print("\n| stock of the textbook's at fill |", " | ".join(f"{fill:.2f}" for fill in FILLS), "|\n|---|---|---|---|---|")
    base_stock = stock_at(now, TEXTBOOK)
    for rule in (OURS, MIN_MAX):
        print(f"| {rule} |", " | ".join(f"{ratio:.3f}x" for ratio in stock_at(now, rule) / base_stock), "|", flush=True)


def report_public(chosen: Set, base: Policy, *, past_learn: Learner) -> None:
    """`tune_policy` on the weeks before the reported ones and `replay` on these, as another program calls them."""
    matrix, (first, last) = chosen.matrix, chosen.reported
    dates = matrix.dates(0, matrix.periods_count)
    panel = pl.concat(
        matrix.keys[row].join(
            pl.DataFrame({"demand_date": dates, "demand_qty": matrix.demand[:, row], "is_censored": False}).filter(matrix.observed[:, row]),
            how="cross",
        )
        for row in range(matrix.keys.height)
    )
    past = lived(chosen, chosen.tuned, base, leads=None, learn=past_learn)
    start, end = dates[first + WARM_UP], dates[last]
    print(f"\n{chosen.name}, the public functions: {matrix.keys.height} series from {start}\n")
    print("| p/h | rule | parameter | cost | of the tuned textbook | fill rate | mean stock |\n|---|---|---|---|---|---|---|")
    for shortage_cost in SHORTAGE_COSTS:
        policy = dataclasses.replace(base, shortage_cost=shortage_cost)
        tuned = tune_policy(panel.filter(pl.col("demand_date") < start), policy, frequency=matrix.frequency)
        z = float(best(past, TEXTBOOK, shortage_cost).split("|")[1])
        book = Textbook(LEAD, z=z, window_periods=chosen.window_periods)
        told = replay(panel, {OURS: tuned, TEXTBOOK: book}, start=start, end=end, frequency=matrix.frequency).frame
        costs = dict(told.select("policy", "cost").iter_rows())
        for name, parameter in ((OURS, tuned.critical_ratio), (TEXTBOOK, z)):
            row = told.row(by_predicate=pl.col("policy") == name, named=True)
            ratio = costs[name] / costs[TEXTBOOK]
            figures = f"{parameter:.3f} | {costs[name]:.0f} | {ratio:.3f}x | {row['fill_rate']:.3f} | {row['average_stock_qty']:.0f}"
            print(f"| {shortage_cost:g} | {name} | {figures} |", flush=True)


def stock_at(shops: dict[str, Shop], rule: str) -> FloatArray:
    """Mean stock at each of `FILLS`, between the parameters that were tried; NaN beyond them."""
    some = sorted((shop.fill_rate or 0.0, float(shop.average_stock.sum())) for name, shop in shops.items() if name.startswith(f"{rule}|"))
    fills, stocks = np.array(some).T
    return np.interp(FILLS, fills, stocks, left=np.nan, right=np.nan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="m5,carparts")
    parser.add_argument("--sample", type=int, help="M5 series at random; the first so many parts")
    parser.add_argument("--no-trees", action="store_true", help="the statistical forecast alone, which takes minutes less")
    parser.add_argument("--no-packs", action="store_true", help="without the table of packs and random leads")
    parser.add_argument("--public", action="store_true", help="`tune_policy` and `replay` alone, as another program calls them")
    options = parser.parse_args()
    plain = partial(learn_demand, wants_trees=False)
    for name, load in (("m5", m5_weekly), ("carparts", carparts_monthly)):
        if name not in options.sets.split(","):
            continue
        chosen = load(options.data, options.sample)
        learn = plain if options.no_trees else learn_demand
        if options.public:
            report_public(chosen, Policy(holding_cost=1.0), past_learn=plain)
            continue
        report(chosen, Policy(holding_cost=1.0), leads=None, learn=learn, past_learn=plain)
        if not options.no_packs:
            packed = Policy(holding_cost=1.0, pack_qty=6, min_order_qty=12)
            report(chosen, packed, leads=[1, 2, 3], learn=plain, past_learn=plain)


if __name__ == "__main__":
    main()
