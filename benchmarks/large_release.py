"""What a large release costs: hashing it, the first and every further look at it, going back to it.

Usage: .venv/bin/python benchmarks/large_release.py [--megabytes 1000]
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from pipelines.stores.durable import sha256_of
from pipelines.stores.releases import ReleaseFacts, open_served, publish, rollback

if TYPE_CHECKING:
    from collections.abc import Callable


def measured(what: str, act: Callable[[], object]) -> None:
    started, used = time.perf_counter(), time.process_time()
    act()
    print(f"| {what} | {time.perf_counter() - started:.2f} | {time.process_time() - used:.2f} |", flush=True)


def publish_large(releases: Path, release_id: str, *, megabytes: int) -> None:
    """A release of random bytes, which do not compress, and so of about this size."""
    facts = ReleaseFacts(release_id, "2026-10-31", "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    with duckdb.connect(":memory:") as conn:
        conn.execute("create schema marts; create schema meta; create schema planning")
        conn.execute(
            f"create view marts.fct_filler as select hash(range) as a, hash(range + 1e9) as b from range({megabytes * 2**20 // 16})"
        )
        publish(conn, releases, facts=facts, catalogue="{}", keep=5)


def look(releases: Path) -> None:
    with open_served(releases) as (_, conn):
        conn.execute("select count(*) from marts.fct_filler").fetchall()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        releases = Path(folder)
        for release_id in ("20261101T060000-aaaaaa", "20261102T060000-bbbbbb"):
            publish_large(releases, release_id, megabytes=options.megabytes)
        newest = releases / "20261102T060000-bbbbbb.duckdb"
        print(
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {newest.stat().st_size / 2**20:,.0f} MB\n"
        )
        print("| act | wall s | CPU s |\n|---|---|---|")
        measured("sha256 of the file", lambda: sha256_of(newest))
        measured("sha256 of the file, from the disk", lambda: sha256_of(newest, from_disk=True))
        measured("first look in a process", lambda: look(releases))
        measured("second look in the same process", lambda: look(releases))
        measured("rollback to the release before", lambda: rollback(releases))
        measured("first look after it", lambda: look(releases))


if __name__ == "__main__":
    main()
