"""What a folder of releases holds: files, a manifest beside each, and one pointer that says which is served."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.errors import ReleaseError
from pipelines.stores.durable import opened, sha256_of, write_durably

if TYPE_CHECKING:
    from collections.abc import Mapping

POINTER: Final = "CURRENT"
REMOVED: Final = "REMOVED"
_MOST_REMOVALS: Final = 1_000
NEXT_STEP: Final = "`ordercast releases rollback` serves the newest one that is whole, `ordercast run` makes a new one"
_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]*")


@dataclass(frozen=True, slots=True)
class Release:
    """What a release says of itself. Dates and times are ISO text; `path` is where its file lies.

    `planning_run_id` is the run whose plans it carries: its own id, or that of the earlier release which holds what they were made from;
    None where planning was not finished, or before this was kept. `planned_at` is when that earlier run published them.
    """

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
    code_fingerprint: str = "unknown"  # of releases from before it was kept
    planning_run_id: str | None = None
    planned_at: str | None = None

    @property
    def planned_by(self) -> str | None:
        """The earlier run whose plans and suggestions it holds beside newer figures; None: those of its own run."""
        return None if self.planning_run_id in {None, self.release_id} else self.planning_run_id

    @property
    def published_time(self) -> datetime:
        """When it was published, UTC."""
        return datetime.fromisoformat(self.published_at)

    def as_dict(self) -> dict[str, Any]:
        """The release as plain values for JSON."""
        return asdict(self) | {"path": str(self.path)}


def complete_ids(releases: Path) -> list[str]:
    """Ids of releases with file and manifest, newest first."""
    return sorted((path.stem for path in releases.glob("*.json") if path.with_suffix(".duckdb").exists()), reverse=True)


def list_releases(releases: Path) -> list[Release]:
    """All complete releases whose manifest can be read, newest first; whether their files are whole is not looked at."""
    found = []
    for release_id in complete_ids(releases):
        with suppress(ReleaseError):
            found.append(read_release(releases, release_id))
    return found


def read_release(releases: Path, release_id: str) -> Release:
    """What the manifest of this release says.

    Raises:
        ReleaseError: It is gone or damaged.
    """
    manifest = releases / f"{release_id}.json"
    try:
        release = Release(**opened(manifest.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError) as exc:
        raise ReleaseError(f"The manifest {manifest.name} is damaged ({exc}): {NEXT_STEP}.") from exc
    if release.release_id != release_id:
        raise ReleaseError(f"The manifest {manifest.name} is damaged (it is that of {release.release_id}): {NEXT_STEP}.")
    return replace(release, path=manifest.with_suffix(".duckdb"))


def served_id(releases: Path) -> str | None:
    """The release that the pointer names, whether it is there or not; None before the first publication, or where it names none."""
    said = pointed(releases)
    return said if said and _ID.fullmatch(said) else None


def gone_back_to(releases: Path) -> str | None:
    """The id of the older release that somebody serves again; None where the newest is served, or the pointer names none that is there.

    A publication that was killed before it moved the pointer leaves an older one served as well, and the pointer is older than the newest.
    """
    kept, served = complete_ids(releases), served_id(releases)
    if served not in kept[1:]:
        return None
    pointer, newest = releases / POINTER, releases / f"{kept[0]}.json"
    return served if pointer.stat().st_mtime_ns >= newest.stat().st_mtime_ns else None


def is_intact(release: Release) -> bool:
    """Whether the file is byte for byte what was published."""
    try:
        return sha256_of(release.path) == release.sha256
    except OSError:
        return False


def current_release(releases: Path) -> Release | None:
    """The served release; None before the first publication.

    Raises:
        ReleaseError: The pointer is lost or damaged, or names a release that is not there or whose manifest is damaged.
    """
    said = pointed(releases)
    if said is None and not complete_ids(releases):
        return None
    served = served_id(releases)
    if served is None:
        what = "is lost" if said is None else "is damaged"
        raise ReleaseError(f"{releases / POINTER}, which says what is served, {what}: {NEXT_STEP}.")
    if served not in complete_ids(releases):
        raise ReleaseError(f"The served release {served} is gone from {releases}: {NEXT_STEP}.")
    return read_release(releases, served)


def served_release(releases: Path) -> Release:
    """The served release.

    Raises:
        ReleaseError: None is published yet, or see `current_release`.
    """
    release = current_release(releases)
    if release is None:
        raise ReleaseError("Nothing is published yet: run `ordercast run` (or `make run`).")
    return release


def rollback(releases: Path, *, to: str | None = None) -> Release:
    """The pointer names `to`, or the newest whole release before the served one, which itself may be gone. No file is changed.

    Where the pointer is lost or damaged, it is the newest whole release of all.

    Raises:
        ReleaseError: There is no such release, its file is damaged, or none is older. The pointer stays.
    """
    served = served_id(releases)
    known = {release.release_id: release for release in list_releases(releases)}
    if to is None:
        older = [release for release_id, release in known.items() if served is None or release_id < served]
        if not older and served not in complete_ids(releases):
            older = list(known.values())
        whole = next((release for release in older if is_intact(release)), None)
        if whole is None:
            damaged = f" that is whole (damaged: {', '.join(release.release_id for release in older)})" if older else ""
            raise ReleaseError(f"There is no older release{damaged} to go back to; `ordercast releases list` shows what is kept.")
    elif to not in known:
        raise ReleaseError(f"There is no release {to}; kept are: {', '.join(known) or 'none'}.")
    else:
        whole = known[to]
        if not is_intact(whole):
            raise ReleaseError(f"The file of release {to} is damaged (its sha256 differs from the manifest); choose another.")
    point(releases, whole.release_id)
    return whole


@dataclass(frozen=True, slots=True)
class Removal:
    """A release that retention has removed: when, and how many were kept (ORDERCAST_RELEASES_KEPT)."""

    release_id: str
    removed_at: str
    kept: int


def note_removal(releases: Path, release_id: str, *, at: str, keep: int) -> None:
    """It stands beside the releases that this one is being removed; the last thousand are remembered."""
    lines = [f"{one.release_id} {one.removed_at} {one.kept}" for one in list_removals(releases)]
    write_durably(releases / REMOVED, "\n".join([*lines, f"{release_id} {at} {keep}"][-_MOST_REMOVALS:]) + "\n")


def list_removals(releases: Path) -> list[Removal]:
    """What retention has removed, oldest first; a line that cannot be read is left out."""
    try:
        lines = (releases / REMOVED).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = [line.split(" ") for line in lines]
    return [Removal(parts[0], parts[1], int(parts[2])) for parts in found if len(parts) == 3 and parts[2].isdecimal()]


def pointed(releases: Path) -> str | None:
    """What the pointer says, whether that is an id or not; None where there is no pointer."""
    try:
        return (releases / POINTER).read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None


def point(releases: Path, release_id: str) -> None:
    """The release of this id is served from now on."""
    write_durably(releases / POINTER, release_id)
