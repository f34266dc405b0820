"""How well past misses of promises were told ahead: the step of a home that was run, and the other ways of saying it, on the same days.

Usage: .venv/bin/python benchmarks/jeopardy.py HOME [HOME ...] [--trees]

A HOME is what `ORDERCAST_HOME=HOME ordercast run` left after `ordercast import olist FOLDER` or `ordercast simulate`; it is read, never
written. --trees adds gradient boosting (LightGBM), which takes far longer.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from forecasting.boosting import load_lightgbm
from forecasting.jeopardy import fit_jeopardy
from forecasting.jeopardy_scores import WINDOW_DAYS, WINDOWS, area_under_curve, calibration, hold_out, score_probabilities, score_rules
from pipelines.steps.jeopardy_reading import KINDS, read_snapshots
from pipelines.stores.warehouse import open_warehouse, run_context

NUMBERS = (
    "stage", "stage_hours", "working_days_left", "short_qty", "inbound_gap_days", "is_held", "backlog_days", "intake_ratio", "lines_count",
)  # fmt: skip
NAMES = ("location_id", "channel_id", "ship_to_region", "carrier")
RISING = {"working_days_left": -1, "short_qty": 1, "is_held": 1, "backlog_days": 1}


def boosted(past: pl.DataFrame, held: pl.DataFrame, as_of: object) -> np.ndarray:
    """What trees say of the held-out snapshots, learned window by window as the others are."""
    lightgbm = load_lightgbm()
    numbered = past.select("order_id", "snapshot_date", *(pl.col(name).rank("dense").cast(pl.Float64) for name in NAMES))
    columns = pl.col(NUMBERS).cast(pl.Float64)
    past = past.with_columns(columns).drop(NAMES).join(numbered, on=["order_id", "snapshot_date"], how="left", maintain_order="left")
    said = np.full(held.height, np.nan)
    features = [*NUMBERS, *NAMES]
    parameters = {
        "objective": "binary", "learning_rate": 0.06, "num_leaves": 15, "min_data_in_leaf": 100, "max_bin": 63, "lambda_l2": 5.0, "seed": 0,
        "deterministic": True, "force_row_wise": True, "num_threads": 2, "verbose": -1,
        "monotone_constraints": [RISING.get(n, 0) for n in features],
    }  # fmt: skip
    asked = held.select("order_id", "snapshot_date").join(past, on=["order_id", "snapshot_date"], how="left", maintain_order="left")
    for back in range(WINDOWS, 0, -1):
        cutoff = as_of - timedelta(days=WINDOW_DAYS * back)
        known = past.filter(pl.col("is_missed").is_not_null(), pl.col("due_date") <= cutoff)
        chosen = ((held["window_from"] - timedelta(days=1)) == cutoff).to_numpy()
        if known.is_empty() or not chosen.any():
            continue
        data = lightgbm.Dataset(
            known.select(features).to_numpy(),
            label=known["is_missed"].to_numpy().astype(float),
            feature_name=features,
            categorical_feature=list(NAMES),
            params=parameters,
        )
        said[chosen] = lightgbm.train(parameters, data, num_boost_round=150).predict(asked.select(features).to_numpy()[chosen])
    return said


def line(name: str, said: np.ndarray, missed: np.ndarray, seconds: float) -> None:
    within = np.clip(said, 1e-4, 1 - 1e-4)
    loss = -np.mean(np.where(missed, np.log(within), np.log(1 - within)))
    area = area_under_curve(said, missed)
    print(f"| {name} | {np.mean((said - missed) ** 2):.4f} | {loss:.4f} | {area:.3f} | {seconds:.2f} |")


def measure(home: Path, *, with_trees: bool) -> None:
    with open_warehouse(home / "warehouse.duckdb", read_only=True) as conn:
        as_of = run_context(conn).as_of_date
        lines = conn.execute("SELECT count(*) FROM marts.fct_order_lines").fetchone()[0]
        began = time.perf_counter()
        told = read_snapshots(conn, as_of=as_of, kinds=frozenset(KINDS))
        reading = time.perf_counter() - began
    print(f"\n## {home.name}: {lines:,} order lines, as of {as_of}, read in {reading:.1f} s")
    for kind in KINDS:
        past = told.past.filter(pl.col("promise_kind") == kind)
        began = time.perf_counter()
        held = hold_out(past, as_of=as_of)
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        fit_jeopardy(past, as_of=as_of)
        print(f"\n{kind}: {past.height:,} snapshots; windows fitted in {seconds:.2f} s, the model in {time.perf_counter() - began:.2f} s\n")
        if held.scored.is_empty():
            print("nothing could be held out")
            continue
        missed = held.scored["is_missed"].to_numpy()
        print("| | squared error | log loss | area under the curve | s |\n|---|---|---|---|---|")
        line("one rate for all", held.scored["base"].to_numpy(), missed, 0.0)
        line("plain rates", held.scored["plain"].to_numpy(), missed, seconds)
        line("learned", held.scored["learned"].to_numpy(), missed, seconds)
        if with_trees:
            began = time.perf_counter()
            trees = boosted(past, held.scored, as_of)
            line("trees", trees, missed, time.perf_counter() - began)
        print(f"\nused: {'learned' if held.is_learned_better else 'plain rates'}\n")
        first_seen = past.group_by("order_id").agg(first_date=pl.col("snapshot_date").min())
        rules = score_rules(held, first_seen, kind=kind)
        with pl.Config(tbl_rows=60, tbl_cols=20, tbl_width_chars=200, tbl_hide_dataframe_shape=True, float_precision=3):
            print(rules.filter(pl.col("window_from").is_null()).drop("window_from", "window_until"))
            print(score_probabilities(held))
            print(calibration(held))
        print(f"missed without ever standing open at the end of a day before: {told.unseen_missed_counts[kind]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("homes", nargs="+", type=Path)
    parser.add_argument("--trees", action="store_true")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for home in options.homes:
        measure(home, with_trees=options.trees)
    print(f"\npeak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
