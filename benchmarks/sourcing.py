"""Sourcing of open orders against greedy by most lines covered: splits, cost and time, by how scarce stock is.

Orders are drawn: one to `--lines` SKUs, of which some sell much more than others. Each SKU lies in a share `--spread` of the
locations, in uneven parts, and in all there are `stock` times the units asked for, more of one SKU and less of another.

Usage: .venv/bin/python benchmarks/sourcing.py [--orders 1000] [--locations 10] [--skus 200] [--lines 3] [--spread 0.7] [--seeds 3]
    [--bound]

`--bound` adds the fewest splits that any answer could have with as many units: by a linear programme, so it is a proof and no trial.
"""

from __future__ import annotations

import argparse
import time
from typing import Final

import numpy as np
import polars as pl

from inventory import source_orders
from inventory.sourcing_columns import fewest_splits
from inventory.sourcing_problem import SourcingProblem, greedy_answer

STOCK: Final = {"scarce": 0.7, "middling": 1.0, "ample": 1.5}


def draw_case(options: argparse.Namespace, stock: float, seed: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, options.skus + 1) ** 0.7
    baskets = [
        rng.choice(options.skus, n, replace=False, p=share / share.sum()) for n in rng.integers(1, options.lines + 1, options.orders)
    ]
    order = np.repeat(np.arange(options.orders), [len(basket) for basket in baskets])
    sku, quantity = np.concatenate(baskets), rng.integers(1, 3, len(order))
    asked = pl.DataFrame({"order_id": order, "order_line_id": np.arange(len(order)), "sku": sku, "quantity": quantity})
    demand = np.bincount(sku, weights=quantity, minlength=options.skus)
    held = np.zeros((options.skus, options.locations), dtype=np.int64)
    for one in range(options.skus):
        places = rng.permutation(options.locations)[: max(1, rng.binomial(options.locations, options.spread))]
        held[one, places] = rng.multinomial(round(demand[one] * stock * rng.uniform(0.6, 1.4)), rng.dirichlet(np.ones(len(places))))
    rows, places = np.nonzero(held)
    names = [f"LOC-{place:02}" for place in range(options.locations)]
    on_hand = pl.DataFrame({"location_id": [names[place] for place in places], "sku": rows, "available_qty": held[rows, places]})
    costs = {"per_shipment_amount": rng.integers(300, 900, len(names)), "per_unit_amount": rng.integers(20, 120, len(names))}
    return asked, on_hand, pl.DataFrame({"location_id": names, **costs})


def problem_of(asked: pl.DataFrame, on_hand: pl.DataFrame) -> SourcingProblem:
    """The case as arrays; each line can ship from each place that has the SKU, at costs that the bound does not see."""
    lines = asked.with_row_index("line").with_columns(sku_number=pl.col("sku").rank("dense").cast(pl.Int64))
    held = on_hand.with_row_index("stock").with_columns(place=pl.col("location_id").rank("dense").cast(pl.Int64))
    pairs = lines.join(held, on="sku").sort("order_id", "place", "line")
    pairs = pairs.with_columns(shipment=pl.struct("order_id", "place").rle_id())
    line, stock, shipment = (pairs[name].to_numpy().astype(np.int64) for name in ("line", "stock", "shipment"))
    nothing = np.zeros(len(line), dtype=np.int64)
    owner = pairs.unique("shipment", keep="first", maintain_order=True)["order_id"].to_numpy()
    return SourcingProblem(
        line_order=asked["order_id"].to_numpy(), line_sku=lines["sku_number"].to_numpy(), line_qty=asked["quantity"].to_numpy(),
        line_class=np.zeros(asked.height, dtype=np.int64), stock_qty=on_hand["available_qty"].to_numpy(),
        pair_line=line, pair_stock=stock, pair_shipment=shipment, pair_tier=nothing, pair_cost=nothing,
        shipment_order=owner, shipment_cost=np.zeros(len(owner), dtype=np.int64),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("orders", 1000), ("locations", 10), ("skus", 200), ("lines", 3), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--spread", type=float, default=0.7)
    parser.add_argument("--bound", action="store_true")
    options = parser.parse_args()
    print(
        "| stock | seed | units asked | shipped | greedy's splits | splits | at least | against greedy | cost against greedy | s | CPU s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, stock in STOCK.items():
        for seed in range(options.seeds):
            case = draw_case(options, stock, seed)
            wall, cpu = time.perf_counter(), time.process_time()
            facts = source_orders(*case).summary.row(0, named=True)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            problem = problem_of(*case[:2]) if options.bound else None
            bound = fewest_splits(problem, greedy_answer(problem)) if problem else "-"
            splits = facts["splits"] / max(1, facts["greedy_splits"])
            cost = facts["cost_amount"] / facts["greedy_cost_amount"]
            print(
                f"| {name} | {seed} | {facts['demand_qty']:,} | {facts['shipped_qty']:,} | {facts['greedy_splits']} | {facts['splits']} | "
                f"{bound} | {splits:.2f}x | {cost:.2f}x | {wall:.1f} | {cpu:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
