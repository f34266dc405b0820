"""Published releases: immutable DuckDB files, a manifest beside each, and one pointer that says which is served.

Nothing is read from a release before its bytes were compared with its manifest, once per process. A reader opens a file that no
publication changes, so what it reads belongs to one release, whatever is published, rolled back or removed meanwhile.
"""

from __future__ import annotations

import json
import shutil
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import duckdb

from pipelines.errors import ReleaseError, WarehouseUnavailableError
from pipelines.stores.durable import BUILDING, is_of_full_disk, sealed, sha256_of, sync, write_durably
from pipelines.stores.release_contents import write_from, write_whole
from pipelines.stores.release_files import (
    NEXT_STEP,
    Release,
    complete_ids,
    current_release,
    is_intact,
    list_releases,
    note_removal,
    point,
    pointed,
    read_release,
    rollback,
    served_id,
    served_release,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

__all__ = [
    "Release", "ReleaseFacts", "connect_release", "current_release", "damaged_releases", "is_intact", "list_releases", "open_release",
    "open_served", "publish", "readable", "rollback", "served_id", "served_release", "verified",
]  # fmt: skip

# A publication needs this much or the size of the release before; asked for first, because a full disk in the middle costs the connection.
LEAST_FREE_BYTES: Final = 64 * 1024**2
# What DuckDB keeps of a release and works with; more than that goes to disk beside the release. All readers of one process must agree.
READ_MEMORY: Final = "96MB"
_MOST_VERIFIED: Final = 64
ReleaseState = tuple[str, int, int, int, int]  # sha256, inode, size, times of the last changes
_verified: dict[Path, ReleaseState] = {}
_verifying = threading.Lock()


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """What the run that publishes knows about itself; `planning_run_id` and `planned_at` as in `Release`."""

    release_id: str
    as_of_date: str
    published_at: str
    code_version: str
    config_hash: str
    seed: int
    checks_passed: int
    checks_total: int
    code_fingerprint: str = "unknown"
    planning_run_id: str | None = None
    planned_at: str | None = None


def publish(
    conn: duckdb.DuckDBPyConnection,
    releases: Path,
    *,
    facts: ReleaseFacts,
    catalogue: str,
    keep: int,
    reports: str = "{}",
    keep_days: int = 0,
) -> Release:
    """The warehouse's marts, plans and facts stand in a new release, and the pointer names it.

    Until the pointer moves, readers see the release before; a crash leaves at most half a release, which is never listed and
    which the next publication removes.

    Args:
        conn: The open warehouse.
        releases: Folder of releases; made where missing.
        facts: What the run says of itself.
        catalogue: The metric catalogue as JSON; a release explains its own numbers.
        keep: How many releases stay, the served one among them.
        reports: The report catalogue as JSON.
        keep_days: Besides, of so many days that a run planned on, the last release that one planned.

    Raises:
        ReleaseError: A release of this id exists. Nothing was changed.
        WarehouseUnavailableError: The disk is full. The release before stays.
    """
    releases.mkdir(parents=True, exist_ok=True)
    final = releases / f"{facts.release_id}.duckdb"
    if final.exists():
        raise ReleaseError(f"Release {facts.release_id} exists already in {releases}; releases are never overwritten.")
    _sweep(releases)
    _require_free_space(releases)
    before = pointed(releases)
    building = final.with_suffix(BUILDING)
    try:
        told = {"metric_catalogue": catalogue, "report_catalogue": reports, "release_facts": json.dumps(asdict(facts))}
        # a whole run writes a file without gaps
        base = _newest_release(releases) if facts.planning_run_id not in {None, facts.release_id} else None
        row_counts = write_from(conn, building, base=base.path, sha256=base.sha256, told=told) if base else None
        row_counts = write_whole(conn, building, told=told) if row_counts is None else row_counts
        sync(building)
        release = Release(**asdict(facts), row_counts=row_counts, sha256=sha256_of(building), path=final)
        write_durably(final.with_suffix(".json"), sealed(release.as_dict() | {"path": final.name}))
        building.rename(final)
        sync(releases)
        point(releases, facts.release_id)
    except BaseException as exc:
        _give_up(final)
        if not isinstance(exc, (duckdb.IOException, OSError)) and not is_of_full_disk(str(exc)):
            raise
        first_line = str(exc).partition("\n")[0]
        raise WarehouseUnavailableError(
            f"The release could not be written to {releases} ({first_line}): free disk space and run again. "
            "The release before is served as it was."
        ) from exc
    _prune(releases, keep=keep, spared={facts.release_id, before, *_last_planned(releases, days=keep_days)}, now=facts.published_at)
    return release


def damaged_releases(releases: Path) -> dict[str, str]:
    """What is wrong with each release that is not byte for byte what was published, by id, newest first; reads all of them."""
    problems = {}
    for release_id in complete_ids(releases):
        try:
            _require_intact(read_release(releases, release_id))
        except ReleaseError as exc:
            problems[release_id] = str(exc)
    return problems


@contextmanager
def open_release(release: Release) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can read this release and nothing else on the machine.

    Its bytes are compared with the manifest before this process opens it for the first time, and again where the file was written
    since. Blocks that go bad later are found by DuckDB's own checksums while they are read.

    Raises:
        ReleaseError: It is damaged or gone.
    """
    verified(release)
    conn = connect_release(release)
    try:
        with readable(release):
            yield conn
    finally:
        conn.close()


def connect_release(release: Release) -> duckdb.DuckDBPyConnection:
    """A connection that can read this release and nothing else; who takes it has looked at its bytes (`verified`) and closes it.

    Raises:
        ReleaseError: It cannot be opened.
    """
    try:
        return duckdb.connect(
            str(release.path), read_only=True,
            config={"enable_external_access": "false", "memory_limit": READ_MEMORY, "lock_configuration": "true"},
        )  # fmt: skip
    except duckdb.Error as exc:
        raise ReleaseError(f"Release {release.release_id} cannot be opened: {exc}; {NEXT_STEP}.") from exc


@contextmanager
def readable(release: Release) -> Iterator[None]:
    """Inside the block, bytes of the release that went bad are a `ReleaseError` of one sentence."""
    try:
        yield
    except (duckdb.IOException, duckdb.FatalException, duckdb.SerializationException) as exc:
        first_line = str(exc).partition("\n")[0]
        raise ReleaseError(f"Release {release.release_id} cannot be read any more ({first_line}): {NEXT_STEP}.") from exc


@contextmanager
def open_served(releases: Path) -> Iterator[tuple[Release, duckdb.DuckDBPyConnection]]:
    """The served release and a connection to it: both stay the same in the block, whatever is published or removed meanwhile.

    Raises:
        ReleaseError: None is published yet, or it is damaged or gone.
    """
    with ExitStack() as stack:
        while True:
            looked_up = served_id(releases)
            try:
                release = served_release(releases)
                conn = stack.enter_context(open_release(release))
                break
            except ReleaseError:
                if served_id(releases) == looked_up:
                    raise  # else it was replaced and removed between the look at the pointer and the opening
        yield release, conn


def verified(release: Release) -> ReleaseState:
    """What its file is; its bytes were compared with the manifest, once per process and again where it was replaced or written since.

    Raises:
        ReleaseError: It is damaged or gone.
    """
    try:
        stat = release.path.stat()
        seen = (release.sha256, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if _verified.get(release.path) != seen:  # a known release is read on while another is looked at
            with _verifying:
                if _verified.get(release.path) != seen:
                    _require_intact(release)
                    while len(_verified) >= _MOST_VERIFIED:
                        _verified.pop(next(iter(_verified)))
                    _verified[release.path] = seen
    except OSError as exc:
        raise ReleaseError(f"The file of release {release.release_id} cannot be read ({exc.strerror}): {NEXT_STEP}.") from exc
    return seen


def _require_intact(release: Release) -> None:
    if not is_intact(release):
        raise ReleaseError(
            f"The file of release {release.release_id} is damaged (its sha256 differs from the manifest): {NEXT_STEP}; "
            "`ordercast doctor` says which are damaged."
        )


def _newest_release(releases: Path) -> Release | None:
    """The newest complete release whose manifest can be read; None where there is none."""
    return next(iter(list_releases(releases)), None)


def _require_free_space(releases: Path) -> None:
    sizes = [release.path.stat().st_size for release in list_releases(releases)[:1]]
    needed, free = max([LEAST_FREE_BYTES, *sizes]), shutil.disk_usage(releases).free
    if free < needed:
        raise WarehouseUnavailableError(
            f"The disk that holds {releases} has {free // 1024**2} MB free and a release needs {needed // 1024**2} MB: "
            "free some space and run again. The release before is served as it was."
        )


def _give_up(final: Path) -> None:
    """Nothing of a release that could not be published takes up the disk, or is listed; unless the pointer names it already."""
    if pointed(final.parent) != final.stem:
        for path in (*final.parent.glob(f"*{BUILDING}*"), final.with_suffix(".json"), final):
            path.unlink(missing_ok=True)


def _prune(releases: Path, *, keep: int, spared: Collection[str | None], now: str) -> None:
    """What is neither among the newest nor spared is gone; the release served until now is spared, for who has just looked it up.

    A release that holds what the plans of a kept one were made from stays as long as that one does.
    """
    ids = complete_ids(releases)
    held = {release.planning_run_id for release in list_releases(releases) if release.release_id in {*ids[:keep], *spared}}
    for release_id in ids[keep:]:
        if release_id not in {*spared, *held}:
            note_removal(releases, release_id, at=now, keep=keep)
            (releases / f"{release_id}.json").unlink()
            (releases / f"{release_id}.duckdb").unlink()
            shutil.rmtree(releases / f"{release_id}.duckdb.tmp", ignore_errors=True)  # what a reader that was killed had put there


def _last_planned(releases: Path, *, days: int) -> list[str]:
    """The last release of each of the newest `days` days (UTC) on which whole runs published: refreshes push none of them out."""
    last: dict[str, str] = {}
    for release in list_releases(releases):
        if release.planned_by is None:
            last.setdefault(release.published_at[:10], release.release_id)
    return [last[day] for day in sorted(last, reverse=True)[:days]]


def _sweep(releases: Path) -> None:
    """What a crash left is gone: files that were being built, and a file without its manifest or a manifest without its file."""
    served = pointed(releases)
    halves = [path for path in releases.glob("*.json") if not path.with_suffix(".duckdb").exists() and path.stem != served]
    halves += [path for path in releases.glob("*.duckdb") if not path.with_suffix(".json").exists()]
    for leftover in (*releases.glob(f"*{BUILDING}*"), *halves):
        leftover.unlink()
