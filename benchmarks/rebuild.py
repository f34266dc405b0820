"""What a release keeps so that its plans can be made again, and what making them again takes.

Usage: .venv/bin/python benchmarks/rebuild.py HOME   (a home folder whose last run has planned; nothing in it is changed)
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import tempfile
import time
from pathlib import Path
from typing import Final

import duckdb

from pipelines.settings import PROJECT_ROOT
from pipelines.steps.code_version import code_parts
from pipelines.steps.rebuild import rebuild
from pipelines.stores.planning_runs import RECENT_FORECASTS, TABLE
from pipelines.stores.release_files import served_release

MEGABYTE: Final = 2**20


def kept(release: Path) -> tuple[float, float]:
    """Megabytes and seconds of writing what is kept for rebuilds alone into a file of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kept.duckdb")
        with duckdb.connect(str(file)) as conn:
            conn.execute("CREATE TABLE nothing (number INTEGER)")
            conn.execute("CHECKPOINT")
            before = file.stat().st_size
            conn.execute(f"ATTACH '{release}' AS release (READ_ONLY)")
            started = time.perf_counter()
            for table in (TABLE, RECENT_FORECASTS):
                conn.execute(f"CREATE TABLE {table.partition('.')[2]} AS FROM release.{table}")
            conn.execute("CHECKPOINT")
            seconds = time.perf_counter() - started
        return (file.stat().st_size - before) / MEGABYTE, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    release = served_release(parser.parse_args().home / "releases")
    size = release.path.stat().st_size / MEGABYTE
    megabytes, seconds = kept(release.path)
    started = time.perf_counter()
    code_parts(PROJECT_ROOT)
    fingerprint = time.perf_counter() - started
    started, used = time.perf_counter(), time.process_time()
    made = rebuild(release)
    wall, cpu = time.perf_counter() - started, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tested = "tested again" if made.is_evidence_rebuilt else "taken as kept"
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {made.is_same=}\n")
    print("| order lines | release MB | kept MB | kept s | fingerprint s | forecasts | rebuild s | CPU s | peak MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    lines = release.row_counts["marts.fct_order_lines"]
    print(
        f"| {lines:,} | {size:.0f} | {megabytes:.2f} | {seconds:.2f} | {fingerprint:.3f} | {tested} | {wall:.1f} | {cpu:.1f} | {peak:.0f} |"
    )


if __name__ == "__main__":
    main()
