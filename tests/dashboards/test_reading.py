"""How pages read releases: many at once, while the release is replaced."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import BoundedSemaphore, Event

import duckdb
import pytest

from dashboards.queries import reading as queries_reading
from dashboards.queries.reading import reading
from pipelines.errors import ReleaseError
from pipelines.stores.releases import Release, ReleaseFacts, publish, served_release

TABLES = ("marts.fct_orders", "planning.forecast_daily")


def release_of(folder: Path, number: int) -> Release:
    """A published release, whose every row says which one it is."""
    facts = ReleaseFacts(f"2026110{number}T060000-abcdef", "2026-10-31", "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    with duckdb.connect(":memory:") as conn:
        conn.execute("create schema marts; create schema meta; create schema planning")
        for table in TABLES:
            conn.execute(f"create table {table} as select {number} as release_number from range(20_000)")
        return publish(conn, folder, facts=facts, catalogue="{}", keep=2)  # the fewest that settings allow


def numbers_in(release: Release) -> set[int]:
    with reading(release) as conn:
        return {row[0] for table in TABLES for row in conn.execute(f"select distinct release_number from {table}").fetchall()}


def open_files(folder: Path) -> set[str]:
    """Names of the folder's files that this process has open."""
    targets = [Path(link).readlink() for link in Path("/proc/self/fd").iterdir() if Path(link).is_symlink()]
    return {path.name.partition(" ")[0] for path in targets if path.parent == folder}


def test_readers_get_one_whole_release_each_while_it_is_replaced(tmp_path: Path) -> None:
    release_of(tmp_path, 1)
    is_over = Event()

    def read_on() -> list[set[int]]:
        found = []
        while not is_over.is_set():
            found.append(numbers_in(served_release(tmp_path)))
        return found

    with ThreadPoolExecutor(max_workers=2) as readers:
        waiting = [readers.submit(read_on) for _ in range(2)]
        for number in range(2, 6):
            release_of(tmp_path, number)
        is_over.set()
        found = [numbers for one in waiting for numbers in one.result()]

    assert {len(numbers) for numbers in found} == {1}
    assert numbers_in(served_release(tmp_path)) == {5}


def test_a_release_that_is_replaced_while_it_is_read_is_read_to_its_end_and_then_closed(tmp_path: Path) -> None:
    first = release_of(tmp_path, 1)
    with reading(first) as conn:
        conn.execute("select release_number from marts.fct_orders")
        assert numbers_in(release_of(tmp_path, 2)) == {2}
        rest = {row[0] for row in conn.fetchall()}

    assert rest == {1}
    assert open_files(tmp_path) <= {"20261102T060000-abcdef.duckdb"}


def test_what_takes_more_memory_than_a_page_may_use_is_a_sentence(tmp_path: Path) -> None:
    release = release_of(tmp_path, 1)

    with pytest.raises(ReleaseError, match="more memory than a page may use"), reading(release):
        raise duckdb.OutOfMemoryException


def test_whoever_waits_too_long_for_a_turn_to_read_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = release_of(tmp_path, 1)
    monkeypatch.setattr(queries_reading, "_AT_ONCE", BoundedSemaphore(1))
    monkeypatch.setattr(queries_reading, "QUERY_SECONDS", 0.01)

    with reading(release), pytest.raises(ReleaseError, match="Too many pages read"), reading(release):
        pass
    assert numbers_in(release) == {1}
