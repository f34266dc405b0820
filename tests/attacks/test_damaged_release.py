"""Bits flip, files are cut, swapped, half copied or lost, and the pointer is damaged: no reader gets a number of such a release."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pytest

from pipelines.errors import ReleaseError
from pipelines.stores import releases as release_store
from pipelines.stores.release_files import POINTER
from pipelines.stores.releases import ReleaseFacts, current_release, open_served, publish, rollback

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Size

IDS: Final = ("20261101T060000-a1b2c3", "20261102T060000-d4e5f6", "20261103T060000-0718f9")
Answer = tuple[str, str, int, int]


def publish_days(folder: Path) -> list[Answer]:
    """Three releases, of which each number says which it is from; returns what a reader of each gets."""
    answers = []
    for day, release_id in enumerate(IDS, start=1):
        facts = ReleaseFacts(release_id, f"2026-10-{day:02d}", "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
        with duckdb.connect(":memory:") as conn:
            conn.execute("create schema marts; create schema meta; create schema planning")
            conn.execute(
                f"create table marts.fct_orders as select range as order_id, hash(range, {day}) as amount from range({day * 40_000})"
            )
            release = publish(conn, folder, facts=facts, catalogue="{}", keep=5)
        with duckdb.connect(str(release.path), read_only=True) as conn:
            answers.append((release.release_id, release.as_of_date, *_sums(conn)))
    return answers


def _sums(conn: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    return conn.execute("select count(*), sum(amount)::hugeint::varchar::hugeint % 1000000007 from marts.fct_orders").fetchall()[0]  # type: ignore[no-any-return]


def careful(folder: Path) -> Answer:
    with open_served(folder) as (release, conn):
        return release.release_id, release.as_of_date, *_sums(conn)


def naive(folder: Path) -> Answer:
    """What a reader does that trusts what lies there."""
    release = current_release(folder)
    assert release is not None
    with duckdb.connect(str(release.path), read_only=True) as conn:
        return release.release_id, release.as_of_date, *_sums(conn)


def flip_in_file(folder: Path, random_: random.Random) -> None:
    flip(folder / f"{IDS[-1]}.duckdb", random_)


def flip_in_manifest(folder: Path, random_: random.Random) -> None:
    flip(folder / f"{IDS[-1]}.json", random_)


def flip_in_pointer(folder: Path, random_: random.Random) -> None:
    flip(folder / POINTER, random_)


def flip(path: Path, random_: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[random_.randrange(len(content))] ^= 1 << random_.randrange(8)
    path.write_bytes(content)


def truncate(folder: Path, random_: random.Random) -> None:
    path = random_.choice([folder / f"{IDS[-1]}.duckdb", folder / f"{IDS[-1]}.json", folder / POINTER])
    with path.open("r+b") as file:
        file.truncate(random_.randrange(path.stat().st_size))


def half_copied(folder: Path, random_: random.Random) -> None:
    """The size is right, but from somewhere on nothing was written."""
    path = folder / f"{IDS[-1]}.duckdb"
    content = path.read_bytes()
    kept = random_.randrange(len(content) // 2)
    path.write_bytes(content[:kept] + bytes(len(content) - kept))


def other_file(folder: Path, random_: random.Random) -> None:
    shutil.copy(folder / f"{random_.choice(IDS[:-1])}.duckdb", folder / f"{IDS[-1]}.duckdb")


def other_manifest(folder: Path, random_: random.Random) -> None:
    shutil.copy(folder / f"{random_.choice(IDS[:-1])}.json", folder / f"{IDS[-1]}.json")


def other_release(folder: Path, random_: random.Random) -> None:
    """File and manifest belong together, but not under this name."""
    other = random_.choice(IDS[:-1])
    for suffix in ("duckdb", "json"):
        shutil.copy(folder / f"{other}.{suffix}", folder / f"{IDS[-1]}.{suffix}")


def lost_pointer(folder: Path, _random: random.Random) -> None:
    (folder / POINTER).unlink()


def wrong_pointer(folder: Path, random_: random.Random) -> None:
    (folder / POINTER).write_text(random_.choice(["20261104T060000-ffffff", "../20261103T060000-0718f9", "", "\0", IDS[-1] + ".duckdb"]))


def lost_file(folder: Path, random_: random.Random) -> None:
    (folder / f"{IDS[-1]}.{random_.choice(['duckdb', 'json'])}").unlink()


DAMAGE: Final[tuple[Callable[[Path, random.Random], None], ...]] = (
    flip_in_file, flip_in_file, flip_in_file, flip_in_manifest, flip_in_pointer, truncate, half_copied, other_file, other_manifest,
    other_release, lost_pointer, wrong_pointer, lost_file,
)  # fmt: skip


def attack(tmp_path: Path, *, times: int, read: Callable[[Path], Answer]) -> tuple[list[tuple[str, Any]], int]:
    """What the reader answered or said after each kind of damage in turn, and how often it answered something that is not true.

    After each the newest release that is whole is served by a rollback, and read.
    """
    random_ = random.Random(7)
    good = publish_days(tmp_path / "good")
    wrong, said = 0, []
    for number in range(times):
        folder = tmp_path / "attacked"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "good", folder)
        damage = DAMAGE[number % len(DAMAGE)]
        damage(folder, random_)
        try:
            answer: Any = read(folder)
            wrong += answer != good[-1]
        except ReleaseError as exc:
            answer = str(exc)
        said.append((damage.__name__, answer))
        served = rollback(folder)
        assert read(folder) == good[IDS.index(served.release_id)]
    return said, wrong


def test_no_damaged_release_is_served_and_a_rollback_brings_a_whole_one(tmp_path: Path, size: Size, tell: Callable[[str], None]) -> None:
    times = size(small=50, full=500)

    said, wrong = attack(tmp_path, times=times, read=careful)

    refused = [answer for _, answer in said if isinstance(answer, str)]
    assert wrong == 0
    assert len(refused) == times  # the damage was found each time, also where it would not have changed a number
    assert all("ordercast releases rollback" in answer for answer in refused)
    tell(f"damaged release: {times} damages of {len(set(DAMAGE))} kinds, {len(refused)} found before anything was read, 0 served")


def test_a_reader_that_trusts_its_files_serves_wrong_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(folder: Path) -> Answer:
        try:
            return naive(folder)
        except (duckdb.Error, UnicodeDecodeError) as exc:
            raise ReleaseError(str(exc)) from exc

    monkeypatch.setattr(release_store, "verified", lambda _release: None)

    said, wrong = attack(tmp_path, times=len(DAMAGE) * 2, read=trusting)

    assert wrong > 0
    assert any(isinstance(answer, tuple) and name == "other_file" for name, answer in said)
