"""Threads and processes read while releases are published, rolled back and removed: each read is of one release, and none fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from pipelines.errors import OrdercastError
from pipelines.settings import PROJECT_ROOT
from pipelines.stores.releases import ReleaseFacts, open_release, open_served, publish, rollback, served_release

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Size

    # What the release was called, and which one each of two tables was of; one per pair of queries.
    Read = Callable[[Path], list[tuple[str, str, str]]]

THREADS: Final = 4
PROCESSES: Final = 2
PER_OPENING: Final = 5
ONE_PATH: Final = "served.duckdb"
KEEP: Final = 2  # of many releases, so a reader that dawdles finds its own removed
_NAMES: Final = ("select distinct release_id from marts.fct_orders", "select distinct release_id from planning.forecast_daily")


def one_release(folder: Path) -> list[tuple[str, str, str]]:
    """As the product reads: one opening, and all that a page needs from it."""
    with open_served(folder) as (release, conn):
        return [(release.release_id, *(conn.execute(name).fetchall()[0][0] for name in _NAMES)) for _ in range(PER_OPENING)]


def pointer_twice(folder: Path) -> list[tuple[str, str, str]]:
    """As a page reads that looks up what is served for each of its queries."""
    found = []
    for name in _NAMES:
        with open_release(served_release(folder)) as conn:
            found.append(conn.execute(name).fetchall()[0][0])
    return [(found[0], found[0], found[1])]


def one_path(folder: Path) -> list[tuple[str, str, str]]:
    """As a page reads whose publisher replaces one file under the same name."""
    found = []
    for name in _NAMES:
        with duckdb.connect(str(folder.with_name(ONE_PATH)), read_only=True) as conn:
            found.append(conn.execute(name).fetchall()[0][0])
    return [(found[0], found[0], found[1])]


def read_many(folder: Path, times: int, read: Read) -> Counter[str]:
    """How many reads were of one release, mixed several, or failed, up to the first that did; and, as `of ...`, of which they were."""
    seen: Counter[str] = Counter()
    while sum(seen[name] for name in ("whole", "mixed")) < times and not seen["mixed"]:
        try:
            answers = read(folder)
        except (OrdercastError, duckdb.Error, OSError) as exc:
            seen[f"failed: {exc}"[:300]] += 1
            break
        seen.update("mixed" if len(set(answer)) > 1 else "whole" for answer in answers)
        seen.update(f"of {answer[0]}" for answer in answers)
    return seen


def publish_next(folder: Path, number: int) -> None:
    """One more release, whose every row says which it is; in between also the release before again."""
    release_id = f"{20261101 + number}T060000-{number:06x}"
    facts = ReleaseFacts(release_id, "2026-10-31", "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    with duckdb.connect(":memory:") as conn:
        conn.execute("create schema marts; create schema meta; create schema planning")
        conn.execute("create table marts.fct_orders as select ?::varchar as release_id from range(500)", [release_id])
        conn.execute("create table planning.forecast_daily as select ?::varchar as release_id from range(500)", [release_id])
        release = publish(conn, folder, facts=facts, catalogue="{}", keep=KEEP)
    beside = folder.with_name("served.beside")
    beside.write_bytes(release.path.read_bytes())
    beside.replace(folder.with_name(ONE_PATH))
    if number % 3 == 2:
        rollback(folder)


def attack(folder: Path, *, reads: int, read: Read, processes: int = 0) -> tuple[Counter[str], int]:
    """What all readers have seen, and how many releases were published meanwhile."""
    for number in range(3):
        publish_next(folder, number)
    code = "from tests.attacks.test_readers_while_publishing import main; main()"
    each = reads // (THREADS + processes)
    arguments = [sys.executable, "-c", code, str(folder), str(each)]
    others = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT) for _ in range(processes)]
    with ThreadPoolExecutor(THREADS) as threads:
        readers = [threads.submit(read_many, folder, each, read) for _ in range(THREADS)]
        number = 3
        while any(other.poll() is None for other in others) or not all(one.done() for one in readers):
            publish_next(folder, number)
            number += 1
        seen = sum((one.result() for one in readers), Counter())
    for other in others:
        seen += Counter(json.loads(other.communicate()[0]))
    return seen, number - 3


def main() -> None:
    """One reading process: folder and how many reads; prints what it has seen as JSON."""
    folder, times = sys.argv[1:]
    sys.stdout.write(json.dumps(read_many(Path(folder), int(times), one_release)))


def test_every_read_is_of_one_release_while_releases_come_and_go(tmp_path: Path, size: Size, tell: Callable[[str], None]) -> None:
    reads = size(small=1_000, full=50_000)

    seen, published = attack(tmp_path / "releases", reads=reads, read=one_release, processes=PROCESSES)

    of = [name for name in seen if name.startswith("of ")]
    assert [name for name in seen if name not in of] == ["whole"]
    assert seen["whole"] > 0.99 * reads
    assert published > 3
    assert len(of) > 1
    tell(f"readers while publishing: {seen['whole']:,} reads, {published} releases published, {len(of)} of them read, 0 errors, 0 mixed")


def test_a_page_that_looks_up_the_pointer_for_each_query_mixes_releases(tmp_path: Path) -> None:
    seen, _ = attack(tmp_path / "releases", reads=2_000, read=pointer_twice)

    assert seen["mixed"] > 0


def test_one_path_that_is_replaced_mixes_releases_or_fails(tmp_path: Path) -> None:
    seen, _ = attack(tmp_path / "releases", reads=2_000, read=one_path)

    assert sum(count for name, count in seen.items() if name == "mixed" or name.startswith("failed")) > 0
