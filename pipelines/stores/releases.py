"""Published releases: immutable DuckDB files, a manifest beside each, and one pointer that says which is served."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from pipelines.errors import ReleaseError, WarehouseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POINTER: Final = "CURRENT"
PUBLISHED_SCHEMAS: Final = ("marts", "planning", "meta")


@dataclass(frozen=True, slots=True)
class Release:
    """What a release says of itself. Dates and times are ISO text; `path` is where its file lies."""

    release_id: str
    as_of_date: str
    published_at: str
    code_version: str
    config_hash: str
    seed: int
    checks_passed: int
    checks_total: int
    row_counts: Mapping[str, int]
    sha256: str
    path: Path

    def as_dict(self) -> dict[str, Any]:
        """The release as plain values for JSON."""
        return asdict(self) | {"path": str(self.path)}


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """What the run that publishes knows about itself."""

    release_id: str
    as_of_date: str
    published_at: str
    code_version: str
    config_hash: str
    seed: int
    checks_passed: int
    checks_total: int


def publish(
    conn: duckdb.DuckDBPyConnection, releases: Path, *, facts: ReleaseFacts, catalogue: str, keep: int, reports: str = "{}"
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

    Raises:
        ReleaseError: A release of this id exists. Nothing was changed.
        WarehouseUnavailableError: The disk is full. The release before stays.
    """
    releases.mkdir(parents=True, exist_ok=True)
    final = releases / f"{facts.release_id}.duckdb"
    if final.exists():
        raise ReleaseError(f"Release {facts.release_id} exists already in {releases}; releases are never overwritten.")
    _sweep(releases)
    building = releases / f"{facts.release_id}.building"
    try:
        row_counts = _copy_published(conn, building, facts=facts, catalogue=catalogue, reports=reports)
    except duckdb.IOException as exc:
        raise WarehouseUnavailableError(f"The release could not be written to {releases}: {exc}. Free disk space and run again.") from exc
    _sync(building)
    release = Release(**asdict(facts), row_counts=row_counts, sha256=_sha256(building), path=final)
    _write_durably(final.with_suffix(".json"), json.dumps(release.as_dict() | {"path": final.name}, indent=2))
    building.rename(final)
    _sync(releases)
    _point(releases, facts.release_id)
    _prune(releases, keep=keep)
    return release


def list_releases(releases: Path) -> list[Release]:
    """All complete releases, newest first."""
    manifests = sorted(releases.glob("*.json"), reverse=True)
    return [_read(manifest) for manifest in manifests if manifest.with_suffix(".duckdb").exists()]


def served_id(releases: Path) -> str | None:
    """The release that the pointer names, whether it is there or not; None before the first publication."""
    pointer = releases / POINTER
    return pointer.read_text(encoding="utf-8").strip() if pointer.exists() else None


def is_intact(release: Release) -> bool:
    """Whether the file is byte for byte what was published."""
    return _sha256(release.path) == release.sha256


def current_release(releases: Path) -> Release | None:
    """The served release; None before the first publication.

    Raises:
        ReleaseError: The pointer names a release that is not there.
    """
    served = served_id(releases)
    if served is None:
        return None
    manifest = releases / f"{served}.json"
    if not manifest.exists() or not manifest.with_suffix(".duckdb").exists():
        raise ReleaseError(
            f"The served release {manifest.stem} is gone from {releases}; run `ordercast releases rollback` or `ordercast run`."
        )
    return _read(manifest)


def rollback(releases: Path, *, to: str | None = None) -> Release:
    """The pointer names `to`, or the release before the served one, which itself may be gone. No file is changed or removed.

    Raises:
        ReleaseError: There is no such release, its file is damaged, or none is older. The pointer stays.
    """
    served = served_id(releases)
    known = {release.release_id: release for release in list_releases(releases)}
    if to is None:
        older = [release_id for release_id in known if served and release_id < served]
        if not older:
            raise ReleaseError("There is no older release to go back to; `ordercast releases list` shows what is kept.")
        to = older[0]
    if to not in known:
        raise ReleaseError(f"There is no release {to}; kept are: {', '.join(known) or 'none'}.")
    if not is_intact(known[to]):
        raise ReleaseError(f"The file of release {to} is damaged (its sha256 differs from the manifest); choose another.")
    _point(releases, to)
    return known[to]


@contextmanager
def open_release(release: Release) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can read this release and nothing else on the machine."""
    try:
        conn = duckdb.connect(str(release.path), read_only=True, config={"enable_external_access": "false", "lock_configuration": "true"})
    except duckdb.Error as exc:
        raise ReleaseError(f"Release {release.release_id} cannot be opened: {exc}; go back with `ordercast releases rollback`.") from exc
    try:
        yield conn
    finally:
        conn.close()


def _copy_published(conn: duckdb.DuckDBPyConnection, target: Path, *, facts: ReleaseFacts, catalogue: str, reports: str) -> dict[str, int]:
    """Tables as they are, and views as the tables they amount to: a release has nothing behind them."""
    tables = conn.execute(
        "select table_schema, table_name from information_schema.tables "
        "where table_type in ('BASE TABLE', 'VIEW') and table_catalog = current_database() and list_contains(?, table_schema) order by all",
        [list(PUBLISHED_SCHEMAS)],
    ).fetchall()
    conn.execute(f"attach '{str(target).replace(chr(39), chr(39) * 2)}' as release")
    try:
        for schema in PUBLISHED_SCHEMAS:
            conn.execute(f"create schema if not exists release.{schema}")
        counts = {}
        for schema, table in tables:
            conn.execute(f'create table release.{schema}."{table}" as from {schema}."{table}"')
            counts[f"{schema}.{table}"] = _count(conn, f'release.{schema}."{table}"')
        conn.execute("create table release.meta.metric_catalogue (catalogue varchar)")
        conn.execute("insert into release.meta.metric_catalogue values (?)", [catalogue])
        conn.execute("create table release.meta.report_catalogue (catalogue varchar)")
        conn.execute("insert into release.meta.report_catalogue values (?)", [reports])
        conn.execute("create table release.meta.release_facts (facts varchar)")
        conn.execute("insert into release.meta.release_facts values (?)", [json.dumps(asdict(facts))])
        conn.execute("checkpoint release")
    finally:
        conn.execute("detach release")
    return counts


def _count(conn: duckdb.DuckDBPyConnection, table: str) -> int:
    row = conn.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0


def _read(manifest: Path) -> Release:
    try:
        release = Release(**json.loads(manifest.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as exc:
        raise ReleaseError(f"The manifest {manifest.name} is damaged: {exc}; remove it and run again.") from exc
    return replace(release, path=manifest.with_suffix(".duckdb"))


def _point(releases: Path, release_id: str) -> None:
    _write_durably(releases / POINTER, release_id)


def _prune(releases: Path, *, keep: int) -> None:
    served = current_release(releases)
    for release in list_releases(releases)[keep:]:
        if served and release.release_id != served.release_id:
            release.path.unlink()
            release.path.with_suffix(".json").unlink()


def _sweep(releases: Path) -> None:
    """What a crash left is gone: files that were being built, and a file without its manifest or a manifest without its file."""
    served = (releases / POINTER).read_text(encoding="utf-8").strip() if (releases / POINTER).exists() else None
    halves = [path for path in releases.glob("*.json") if not path.with_suffix(".duckdb").exists() and path.stem != served]
    halves += [path for path in releases.glob("*.duckdb") if not path.with_suffix(".json").exists()]
    for leftover in (*releases.glob("*.building*"), *halves):
        leftover.unlink()


def _write_durably(path: Path, text: str) -> None:
    """Write beside, sync, rename, sync the folder: a crash leaves the old text or the new, never half."""
    beside = path.with_name(path.name + ".building")
    beside.write_text(text, encoding="utf-8")
    _sync(beside)
    beside.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
