"""How fast pages are: each page cold and warm, 50 people at once beside a run, and a new release in an open page.

Usage: .venv/bin/python benchmarks/pages.py --home HOME [--parts renders,load,release]

HOME holds a published release and its store, such as `ordercast simulate --scenario large` and `ordercast run` leave; releases that
this publishes are removed again, what a run beside it writes stays.

Cold is the first page after the server started: imports, a look at every byte of the release, and reads of what nobody read before.
Warm is the same page in another tab of the same server. Both end with the last message for the page, over the WebSocket that
browsers use; what a browser then draws is not in it. Beside seconds stand the server's CPU seconds, which a busy machine changes less.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from page_client import page_session
from page_load import many_tabs
from page_server import ROOT, PageServer, page_server

from dashboards.pages import PAGES
from pipelines.stores.durable import sealed, write_durably
from pipelines.stores.release_files import point, served_id, served_release

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EMPTY = "import streamlit as st\nst.navigation([st.Page(lambda: st.title('Empty'), title='Empty', url_path='empty')]).run()\n"
WARM_TARGET, COLD_TARGET = 0.5, 4.0
LOAD_TARGETS, MEMORY_TARGET, RELEASE_TARGET = {95: 1.5, 99: 3.0}, 600, 5.0
PATHS = {page.name: "" if page is PAGES[0] else page.name for page in PAGES}


def percentile(values: Sequence[float], share: float) -> float:
    return float(np.percentile(values, share, method="higher")) if values else float("nan")


def verdict(value: float, target: float) -> str:
    return "yes" if value <= target else "NO"


async def opened(server: PageServer, path: str) -> tuple[float, float, list[str]]:
    """Seconds, the server's CPU seconds and problems of a page in a new tab."""
    async with page_session(server.port) as tab:
        used = server.cpu_seconds
        rendered = await tab.open(path)
        return rendered.seconds, server.cpu_seconds - used, rendered.problems


def renders(home: Path, scratch: Path, *, pages: Sequence[str], cold: int, warm: int) -> None:
    """Each page cold in servers of its own and warm in the last of them, and an empty app beside them."""
    (scratch / "empty.py").write_text(EMPTY)
    print("| page | cold p50 s | p95 s | CPU s | p95 <= 4 s | warm p50 s | p95 s | CPU s | of empty | p95 <= 0.5 s |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    problems = []
    with page_server(home, log=scratch / "server.log", app=scratch / "empty.py") as empty:
        for name in pages:
            first, again, none = [], [], []
            for number in range(cold):
                with page_server(home, log=scratch / "server.log") as server:
                    first.append(asyncio.run(opened(server, PATHS[name])))
                    if number == cold - 1:
                        for _ in range(warm):
                            again.append(asyncio.run(opened(server, PATHS[name])))
                            none.append(asyncio.run(opened(empty, "")))
            seconds, cpu = zip(*((one[0], one[1]) for one in first), strict=True)
            warm_seconds, warm_cpu = zip(*((one[0], one[1]) for one in again), strict=True)
            floor = percentile([one[0] for one in none], 50)
            print(
                f"| {name} | {percentile(seconds, 50):.2f} | {percentile(seconds, 95):.2f} | {np.median(cpu):.2f} | "
                f"{verdict(percentile(seconds, 95), COLD_TARGET)} | {percentile(warm_seconds, 50):.2f} | "
                f"{percentile(warm_seconds, 95):.2f} | {np.median(warm_cpu):.2f} | {percentile(warm_seconds, 50) / floor:.0f}x | "
                f"{verdict(percentile(warm_seconds, 95), WARM_TARGET)} |",
                flush=True,
            )
            problems += [f"{name}: {problem}" for one in (*first, *again) for problem in one[2]]
    print(f"\nProblems on pages: {len(problems)}", *sorted(set(problems)), sep="\n- ")


def load(home: Path, scratch: Path, *, tabs: int, minutes: float, with_run: bool) -> None:
    """Many tabs at once, and a run beside them from a third of the time on."""
    with page_server(home, log=scratch / "server.log") as server:
        members = {"location": ["LOC-NORTH", "LOC-SOUTH"], "channel": ["CH-WEB"]}
        own, used, started = time.process_time(), server.cpu_seconds, time.perf_counter()
        run = _run_later(home, minutes * 20, scratch / "run.log") if with_run else None
        seen = asyncio.run(many_tabs(server.port, tabs=tabs, seconds=minutes * 60, think_seconds=20.0, members=members))
        wall = time.perf_counter() - started
        print(f"\n{tabs} tabs, 20 s between two steps of a person, {minutes:g} minutes{', a run beside them' if run else ''}.\n")
        print("| page | n | p50 s | p95 s | p99 s |\n|---|---|---|---|---|")
        for name, seconds in (*sorted(seen.seconds.items()), ("all", seen.all_seconds), ("watch for a release", seen.watch_seconds)):
            print(f"| {name} | {len(seconds)} | " + " | ".join(f"{percentile(seconds, share):.2f}" for share in (50, 95, 99)) + " |")
        for share, target in LOAD_TARGETS.items():
            value = percentile(seen.all_seconds, share)
            print(f"\np{share} <= {target} s: {value:.2f} s, {verdict(value, target)}")
        print(f"\nProblems: {len(seen.problems)}, {verdict(len(seen.problems), 0)}", *sorted(set(seen.problems))[:10], sep="\n- ")
        print(f"\nThe server's peak: {server.peak_mb:.0f} MB, {verdict(server.peak_mb, MEMORY_TARGET)}")
        print(f"\nCPU: server {(server.cpu_seconds - used) / wall:.0%} of a core, this client {(time.process_time() - own) / wall:.0%}")
        if run:
            code, usage = _ended(run)
            print(f"\nThe run beside them ended with {code} after {usage:.0f} CPU s.")


def _run_later(home: Path, seconds: float, log: Path) -> subprocess.Popen[bytes]:
    """A day of business and a run over it, after so many seconds."""
    ordercast = str(Path(sys.executable).with_name("ordercast"))
    script = f"sleep {seconds}; {ordercast} simulate --continue 1 && exec {ordercast} run"
    environment = os.environ | {"ORDERCAST_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(["sh", "-c", script], env=environment, stdout=log.open("a"), stderr=subprocess.STDOUT, start_new_session=True)


def _ended(run: subprocess.Popen[bytes]) -> tuple[int, float]:
    _, status, usage = os.wait4(run.pid, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime


@contextmanager
def published_copy(releases: Path) -> Iterator[str]:
    """A copy of the served release is served under a new id, until the block ends."""
    before = served_release(releases)
    now = datetime.now(UTC)
    copy_id = f"{now:%Y%m%dT%H%M%S}-copied"
    path = releases / f"{copy_id}.duckdb"
    shutil.copyfile(before.path, path)
    copied = replace(before, release_id=copy_id, published_at=now.isoformat(), path=path)
    write_durably(path.with_suffix(".json"), sealed(copied.as_dict() | {"path": path.name}))
    try:
        point(releases, copy_id)
        yield copy_id
    finally:
        if served_id(releases) == copy_id:  # else a run has published meanwhile
            point(releases, before.release_id)
        path.with_suffix(".json").unlink()
        path.unlink()


async def _seconds_until_seen(server: PageServer, path: str, releases: Path) -> float:
    async with page_session(server.port) as tab:
        await tab.open(path)
        with published_copy(releases):
            published = time.perf_counter()
            while time.perf_counter() - published < 60:
                await asyncio.sleep(min(tab.rerun_every.values(), default=60))
                for fragment in list(tab.rerun_every):
                    if fragment not in tab.rerun_every:
                        continue  # the whole page was drawn anew meanwhile
                    if any("release 0 min old" in text for text in (await tab.rerun_fragment(fragment)).texts):
                        return time.perf_counter() - published
    return float("inf")


def release(home: Path, scratch: Path, *, pages: Sequence[str]) -> None:
    """A release is published while a page is open."""
    print("\n| page | seconds until an open page shows a new release | <= 5 s |\n|---|---|---|")
    with page_server(home, log=scratch / "server.log") as server:
        for name in pages:
            seconds = asyncio.run(_seconds_until_seen(server, PATHS[name], home / "releases"))
            print(f"| {name} | {seconds:.1f} | {verdict(seconds, RELEASE_TARGET)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--parts", default="renders,load,release")
    parser.add_argument("--pages", default=",".join(PATHS))
    parser.add_argument("--cold", type=int, default=3, help="servers started per page")
    parser.add_argument("--warm", type=int, default=20, help="further tabs per page")
    parser.add_argument("--tabs", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--without-run", action="store_true")
    options = parser.parse_args()
    pages = options.pages.split(",")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} before\n")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for part in options.parts.split(","):
            if part == "renders":
                renders(options.home.resolve(), scratch, pages=pages, cold=options.cold, warm=options.warm)
            elif part == "load":
                load(options.home.resolve(), scratch, tabs=options.tabs, minutes=options.minutes, with_run=not options.without_run)
            elif part == "release":
                release(options.home.resolve(), scratch, pages=pages)


if __name__ == "__main__":
    main()
