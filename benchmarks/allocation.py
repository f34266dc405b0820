"""Scarce stock at 10,000 SKUs x 20 locations: seconds, HiGHS on the same problem, and what simpler rules give away.

Usage: .venv/bin/python benchmarks/allocation.py [--skus 10000] [--locations 20] [--pack 1] [--parts allocate,transfers,rules] [--check 500]

Demand is Poisson, with means drawn per SKU and location; a unit is worth 5 to 50. Stock is half of mean demand in sum.
`--check` is how many SKUs HiGHS solves for the transfers; the allocation is solved whole, as one programme. Seconds are
of the clock and of the processor: on a machine that does other work only the second can be compared.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import polars as pl
from scipy.optimize import linprog
from scipy.sparse import coo_array
from scipy.stats import poisson

from inventory import allocate, transfers
from inventory.fair_share import fair_share
from inventory.wants import wants_from_quantiles

LEVELS = np.array([0.02, 0.05, *np.arange(1, 10) / 10, 0.95, 0.98, 0.99, 0.999])
Result = TypeVar("Result")


def timed(name: str, act: Callable[[], Result]) -> Result:
    clock, processor = time.perf_counter(), time.process_time()
    result = act()
    print(f"{name}: {time.perf_counter() - clock:.2f} s of the clock, {time.process_time() - processor:.2f} s of the processor")
    return result


def demand_means(skus: int, locations: int, random: np.random.Generator) -> np.ndarray:
    """Mean demand in units, [sku, location]."""
    shares = random.dirichlet(np.full(locations, 3.0), skus)
    return random.gamma(2.0, 2.0, (skus, 1)) * shares * locations


def places_of(skus: int, locations: int, values: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "sku": np.repeat([f"SKU-{number:05d}" for number in range(skus)], locations),
            "location_id": np.tile([f"L{number:02d}" for number in range(locations)], skus),
            "unit_value": np.repeat(values, locations),
        }
    )


def allocation_by_highs(stock: pl.DataFrame, wants: pl.DataFrame, pack: int) -> float:
    """The optimum of one linear programme over all skus: a variable per pack."""
    packs = (
        wants.sort("sku", "location_id", "level")
        .with_columns(number=(pl.col("level") - 1) // pack)
        .group_by("sku", "location_id", "number", maintain_order=True)
        .agg(pl.col("marginal_value").sum(), pl.len())
        .filter(pl.col("len") == pack)
        .join(stock.with_row_index("row"), on="sku", maintain_order="left")
    )
    rows = packs["row"].to_numpy()
    limits = coo_array((np.ones(len(rows)), (rows, np.arange(len(rows)))), shape=(stock.height, len(rows))).tocsr()
    found = linprog(
        -packs["marginal_value"].to_numpy(), A_ub=limits, b_ub=stock["available_qty"].to_numpy() // pack, bounds=(0, 1), method="highs"
    )
    return float(-found.fun)


def transfers_by_highs(held: np.ndarray, values: np.ndarray, cost: np.ndarray, pack: int) -> float:
    """Worth of the best plan over all skus, in one sparse programme.

    Args:
        held: Units, [sku, location].
        values: Of the k-th unit, [sku, location, k].
        cost: Of a unit, [from, to].
    """
    skus, locations, most = values.shape
    packs, rest = np.divmod(held, pack)
    cumulative = np.concatenate([np.zeros((skus, locations, 1)), np.cumsum(values, axis=2)], axis=2)

    def worth(units: np.ndarray) -> np.ndarray:
        result: np.ndarray = np.take_along_axis(cumulative, np.minimum(units, most), axis=2)
        return result

    sku, start, end = (index.ravel() for index in np.indices((skus, locations, locations)))
    sender, receiver = sku * locations + start, skus * locations + sku * locations + end
    ends = rest[:, :, None] + pack * np.arange(0, most // pack + 2)
    marginal = np.diff(worth(ends), axis=2)
    used = np.nonzero(marginal > 0)
    # what a pack is worth in part counts only for those who have it
    fits = (ends[:, :, 1:][used] <= most) | (used[2] < packs[used[:2]])
    used = tuple(index[fits] for index in used)
    flows, uses = len(sku), len(used[0])
    nodes = 2 * skus * locations
    row = np.concatenate([sender, receiver, skus * locations + used[0] * locations + used[1]])
    column = np.concatenate([np.arange(flows), np.arange(flows), flows + np.arange(uses)])
    entry = np.concatenate([np.ones(2 * flows), -np.ones(uses)])
    objective = np.concatenate([cost[start, end] * pack, -marginal[used]])
    # a unit that nobody uses stays where it is: receivers may have more than they use
    equal = coo_array((entry, (row, column)), shape=(nodes, flows + uses)).tocsr()
    sends, receives = equal[: skus * locations], equal[skus * locations :]
    found = linprog(
        objective, A_eq=sends, b_eq=packs.ravel(), A_ub=-receives, b_ub=np.zeros(skus * locations),
        bounds=np.column_stack([np.zeros(flows + uses), np.concatenate([np.full(flows, np.inf), np.ones(uses)])]), method="highs",
    )  # fmt: skip
    before = worth(held[:, :, None]).sum() - worth(rest[:, :, None]).sum()
    return float(-found.fun - before)


def value_of(shares: pl.DataFrame, wants: pl.DataFrame) -> float:
    """What a division of the stock is worth by the wants."""
    joined = wants.join(shares.select("sku", "location_id", "qty"), on=["sku", "location_id"])
    return float(joined.filter(pl.col("level") <= pl.col("qty"))["marginal_value"].sum())


def by_rule(stock: pl.DataFrame, asked: pl.DataFrame, weight: np.ndarray, wants: pl.DataFrame) -> float:
    """Worth of the stock shared in proportion to a weight, [place]."""
    # wants far above the stock, so that nobody's share ends at its want
    scaled = asked.select("sku", "location_id").with_columns(wanted_qty=pl.Series(np.rint(1000 * weight).astype(np.int64)))
    return value_of(fair_share(stock, scaled), wants)


def run_allocation(places: pl.DataFrame, means: np.ndarray, stock: pl.DataFrame, pack: int) -> pl.DataFrame:
    quantiles = poisson.ppf(LEVELS, means.reshape(-1, 1))
    wants = timed("wants from quantiles", lambda: wants_from_quantiles(places, quantiles, levels=LEVELS))
    mixed = wants.sample(fraction=1, shuffle=True, seed=1)
    result = timed(f"allocate {stock.height} skus, {wants.height} steps in order", lambda: allocate(stock, wants, pack_qty=pack))
    again = timed("allocate, rows in any order", lambda: allocate(stock, mixed, pack_qty=pack))
    best = timed("HiGHS, one programme", lambda: allocation_by_highs(stock, wants, pack))
    mine = result["value"].sum()
    print(
        f"value {mine:.6f}, HiGHS {best:.6f}, relative difference {abs(mine - best) / best:.1e}; same in any order: {result.equals(again)}"
    )
    return wants


def run_rules(places: pl.DataFrame, means: np.ndarray, stock: pl.DataFrame, wants: pl.DataFrame, random: np.random.Generator) -> None:
    held = random.poisson(means * random.gamma(1.0, 1.0, means.shape)).ravel()
    marginal = wants.join(places.with_columns(held_qty=pl.Series(held)).drop("unit_value"), on=["sku", "location_id"])
    marginal = (
        marginal.filter(pl.col("level") > pl.col("held_qty")).with_columns(level=pl.col("level") - pl.col("held_qty")).drop("held_qty")
    )
    best = allocate(stock, marginal)["value"].sum()
    target = poisson.ppf(0.9, means).ravel()
    for name, weight in (
        ("net need (90 % quantile less stock)", np.maximum(target - held, 0)),
        ("demand", means.ravel()),
        ("equal", np.ones(means.size)),
    ):
        print(f"shared by {name}: {by_rule(stock, places, weight, marginal) / best:.3f} of the optimum")


def run_transfers(
    places: pl.DataFrame, means: np.ndarray, values: np.ndarray, random: np.random.Generator, options: argparse.Namespace
) -> None:
    pack, check = options.pack, options.check
    skus, locations = means.shape
    level = np.arange(1, 1 + int(poisson.ppf(0.999, means.max())))
    marginal = poisson.sf(level - 1, means[:, :, None]) * values[:, None, None]
    held = random.poisson(random.gamma(1.0, 1.0, means.shape) * means)
    where = random.random((locations, 2))
    cost = 1.0 + 5.0 * np.sqrt(((where[:, None] - where[None]) ** 2).sum(axis=2))
    np.fill_diagonal(cost, 0.0)
    names = places["location_id"][:locations].to_list()
    lanes = pl.DataFrame(
        [(a, b, cost[i, j]) for i, a in enumerate(names) for j, b in enumerate(names) if a != b],
        schema=["from_location_id", "to_location_id", "unit_cost"], orient="row",
    )  # fmt: skip
    steps = np.repeat(np.arange(places.height), len(level))
    wants = places.select("sku", "location_id")[steps].with_columns(
        pl.Series("level", np.tile(level, places.height)), pl.Series("marginal_value", marginal.ravel())
    ).filter(pl.col("marginal_value") > 1e-3)  # fmt: skip
    stock = places.select("sku", "location_id").with_columns(available_qty=pl.Series(held.ravel()))
    result = timed(f"transfers {skus} skus, {wants.height} steps", lambda: transfers(stock, wants, lanes, pack_qty=pack))
    worth = result["value_gained"].sum() - result["cost"].sum()
    before = float(wants.join(stock, on=["sku", "location_id"]).filter(pl.col("level") <= pl.col("available_qty"))["marginal_value"].sum())
    print(f"{result.height} moves, {result['qty'].sum()} units of {held.sum()}; worth {worth:.2f}, +{worth / before:.1%} of what there is")
    chosen = np.sort(random.choice(skus, min(check, skus), replace=False))
    kept = np.where(marginal > 1e-3, marginal, 0.0)[chosen]
    best = timed(f"HiGHS, {len(chosen)} skus", lambda: transfers_by_highs(held[chosen], kept, cost, pack))
    mine = result.filter(pl.col("sku").is_in([f"SKU-{number:05d}" for number in chosen]))
    got = mine["value_gained"].sum() - mine["cost"].sum()
    print(f"on these: worth {got:.6f}, HiGHS {best:.6f}, relative difference {abs(got - best) / max(best, 1e-12):.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skus", type=int, default=10_000)
    parser.add_argument("--locations", type=int, default=20)
    parser.add_argument("--pack", type=int, default=1)
    parser.add_argument("--parts", default="allocate,transfers,rules")
    parser.add_argument("--check", type=int, default=500)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    random = np.random.default_rng(0)
    means = demand_means(options.skus, options.locations, random)
    values = random.uniform(5.0, 50.0, options.skus)
    places = places_of(options.skus, options.locations, values)
    stock = places.select("sku").unique(maintain_order=True).with_columns(available_qty=pl.Series(random.poisson(means.sum(axis=1) / 2)))
    parts = options.parts.split(",")
    if {"allocate", "rules"} & set(parts):
        wants = run_allocation(places, means, stock, options.pack)
    if "rules" in parts:
        run_rules(places, means, stock, wants, random)
    if "transfers" in parts:
        run_transfers(places, means, values, random, options)


if __name__ == "__main__":
    main()
