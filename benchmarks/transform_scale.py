"""What transforming costs by size: a full build beside bare SQL, and what 10,000 changed rows cost.

Each figure comes from a process of its own. The merchant is simulated once (`large`: 1 million order lines) and put into the raw
tables; larger ones are copies of it with ids of their own, so that distributions stay and tables grow.

Usage: .venv/bin/python benchmarks/transform_scale.py [--times 1 10] [--scenario large] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from graphlib import TopologicalSorter
from pathlib import Path

import duckdb

from pipelines.settings import Settings
from pipelines.simulator.merchant import simulate
from pipelines.simulator.scenarios import SCENARIOS
from pipelines.steps.transform import transform
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.warehouse import open_warehouse, quoted, raw_columns

COPIED_IDS = {
    "order_id", "order_line_id", "shipment_id", "event_id", "return_id", "return_line_id", "movement_id", "reference_id", "po_id",
    "po_line_id", "invoice_id", "payment_id", "review_id", "unit_id", "customer_key", "exchange_order_id", "transfer_id",
}  # fmt: skip
GROWING_QTY = {"stock_levels": ("on_hand", "committed", "reserved", "damaged", "incoming")}
CHANGED_ROWS = 10_000
FULL_BUILD = "full_build"


def simulate_raw(home: Path, scenario_name: str) -> None:
    """The simulated merchant stands in `raw`."""
    scenario = SCENARIOS[scenario_name]
    merchant = simulate(scenario, seed=1)
    with open_warehouse(Settings(home=home).warehouse_path) as conn:
        for name, frame in merchant.tables.items():
            conn.register("frame", frame.rename({"customer_id": "customer_key"}, strict=False).to_arrow())
            conn.execute(f"INSERT INTO raw.{name} BY NAME SELECT * FROM frame")
            conn.unregister("frame")
        conn.execute(
            "INSERT INTO meta.run_context VALUES ('run', ?, ?, ?, 'Simulated', 'simulator')",
            [scenario.last_day, scenario.time_zone, scenario.currency],
        )
        present = [
            (table.name, field.name, table.name in merchant.tables and field.name in merchant.tables[table.name].columns)
            for table in SOURCE_TABLES.values()
            for field in table.fields
        ]
        conn.executemany("INSERT INTO meta.source_fields VALUES (?, ?, ?)", present)


def copy_raw(source: Path, home: Path, times: int) -> None:
    """The merchant of `source` stands in `home` so many times over: own ids, the same shelves with so many times the stock."""
    with open_warehouse(Settings(home=home).warehouse_path) as conn:
        conn.execute(f"ATTACH '{Settings(home=source).warehouse_path}' AS one (READ_ONLY)")
        for table in SOURCE_TABLES.values():
            columns, grows = raw_columns(table), GROWING_QTY.get(table.name, ())
            is_copied = bool(set(columns) & COPIED_IDS)
            values = ", ".join(
                f"{quoted(name)} || '-' || copy AS {quoted(name)}" if name in COPIED_IDS
                else f"{quoted(name)} * {times} AS {quoted(name)}" if name in grows else quoted(name)
                for name in columns
            )  # fmt: skip
            count = times if is_copied else 1
            conn.execute(f"INSERT INTO raw.{quoted(table.name)} SELECT {values} FROM one.raw.{quoted(table.name)}, range({count}) c (copy)")
        for table_name in ("run_context", "source_fields"):
            conn.execute(f"INSERT INTO meta.{table_name} SELECT * FROM one.meta.{table_name}")
        conn.execute("DETACH one")


def change_orders(home: Path, rows: int) -> None:
    """Orders with about so many raw rows among them have a later delivery, and are named as changed."""
    with open_warehouse(Settings(home=home).warehouse_path) as conn:
        conn.execute(
            "CREATE TEMP TABLE chosen AS SELECT order_id, created_at FROM raw.orders ORDER BY hash(order_id) "
            "LIMIT (SELECT greatest(1, ? * (SELECT count(*) FROM raw.orders) // ((SELECT count(*) FROM raw.orders) "
            "+ (SELECT count(*) FROM raw.order_lines) + (SELECT count(*) FROM raw.shipments) + (SELECT count(*) FROM raw.order_events))))",
            [rows],
        )
        conn.execute(
            "UPDATE raw.shipments SET delivered_at = delivered_at + INTERVAL 1 HOUR WHERE order_id IN (SELECT order_id FROM chosen)"
        )
        conn.execute("INSERT INTO meta.changed_orders SELECT * FROM chosen")


def run_bare(home: Path) -> None:
    """The models' SQL as the full build compiled it, in an order that dbt could take and with its settings, as plain statements."""
    state = home / FULL_BUILD
    manifest = json.loads((state / "manifest.json").read_text(encoding="utf-8"))
    models = {name: node for name, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    order = TopologicalSorter({name: set(node["depends_on"]["nodes"]) & models.keys() for name, node in models.items()})
    nodes = [models[name] for name in order.static_order()]
    profile = {"TimeZone": "UTC", "threads": 2, "memory_limit": "3GB", "preserve_insertion_order": "false"}
    with duckdb.connect(str(Settings(home=home).warehouse_path)) as conn:
        for name, value in profile.items():
            conn.execute(f"SET {name} = '{value}'")
        for node in nodes:
            kind = "VIEW" if node["config"]["materialized"] == "view" else "TABLE"
            compiled = next((state / "compiled").rglob(node["original_file_path"])).read_text(encoding="utf-8")
            conn.execute(f"CREATE OR REPLACE {kind} {node['schema']}.{quoted(node['alias'])} AS {compiled}")


STEPS = {
    "full": lambda home: transform(Settings(home=home), from_all_rows=True),
    "incremental": lambda home: transform(Settings(home=home)),
    "bare": run_bare,
}


def measured(step: str, home: Path) -> tuple[float, float, float]:
    """Seconds of the step without imports, CPU seconds of its process with them, and its peak memory in MB."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    output = process.stdout.read() if process.stdout else b""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{step} failed")
    return float(output.decode().strip().splitlines()[-1]), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10], help="how many times the simulated merchant")
    parser.add_argument("--scenario", default="large", choices=sorted(SCENARIOS))
    parser.add_argument("--folder", type=Path, help="where to work; default is a temporary folder")
    parser.add_argument("--step", choices=[*STEPS, "simulate"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        started = time.perf_counter()
        if options.step == "simulate":
            simulate_raw(options.folder, options.scenario)
        else:
            STEPS[options.step](options.folder)
        print(time.perf_counter() - started)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report(Path(folder), options.scenario, options.times)


def report(folder: Path, scenario: str, times: list[int]) -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, DuckDB {duckdb.__version__}\n")
    titles = ("order lines", "build", "s", "CPU s", "against bare SQL: s, CPU", "against the smallest: s, CPU", "peak MB")
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    one = folder / "one"
    subprocess.run(
        [sys.executable, __file__, "--step", "simulate", "--folder", str(one), "--scenario", scenario],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    smallest: dict[str, tuple[float, float]] = {}
    for factor in times:
        home = folder / f"times-{factor}"
        copy_raw(one, home, factor)
        with open_warehouse(Settings(home=home).warehouse_path, read_only=True) as conn:
            (lines,) = conn.execute("SELECT count(*) FROM raw.order_lines").fetchone() or (0,)
        found = {"full": measured("full", home)}
        shutil.copytree(Settings(home=home).resolved_home / "dbt" / "target", home / FULL_BUILD)
        change_orders(home, CHANGED_ROWS)
        found["incremental"] = measured("incremental", home)
        found["bare"] = measured("bare", home)  # last: it leaves the tables without what a next transform knows
        for name, (seconds, cpu, peak) in found.items():
            least = smallest.setdefault(name, (seconds, cpu))
            bare = f"{seconds / found['bare'][0]:.2f}x, {cpu / found['bare'][1]:.2f}x" if name == "full" else "-"
            against_least = f"{seconds / least[0]:.2f}x, {cpu / least[1]:.2f}x"
            print(f"| {lines:,} | {name} | {seconds:.1f} | {cpu:.1f} | {bare} | {against_least} | {peak:.0f} |", flush=True)
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
