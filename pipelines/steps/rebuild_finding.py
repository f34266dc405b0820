"""Which release is meant by what a person types: a run, the beginning of its id, a day, or a recommendation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pipelines.errors import ReleaseError
from pipelines.stores.recommendation_runs import proposing_runs, runs_of_recommendation
from pipelines.stores.release_files import complete_ids, list_releases, list_removals, read_release

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipelines.stores.operational import OperationalStore
    from pipelines.stores.releases import Release

LEAST_ID: Final = 6  # characters that name a recommendation
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_NAMED: Final = 5


def find_planning_release(releases: Path, store: OperationalStore | None, asked: str) -> Release:
    """The release that holds what the plans in question were made from; of a release that carries another run's plans, that run's.

    Args:
        releases: Folder of the releases.
        store: The operational store; None where there is none that was prepared.
        asked: A run's id or its beginning, an as-of day such as 2026-10-31 (its newest release), or a recommendation's id or its beginning.

    Raises:
        ReleaseError: It is gone, and the message says since when and why; or nothing or more than one thing is called so.
    """
    release = read_release(releases, _run_id(releases, store, asked))
    if release.planning_run_id in (None, release.release_id):
        return release
    return read_release(releases, _kept(releases, store, str(release.planning_run_id)))


def _run_id(releases: Path, store: OperationalStore | None, asked: str) -> str:
    if _DAY.fullmatch(asked):
        return _of_day(releases, store, asked)
    known = complete_ids(releases)
    if asked in known:
        return asked
    if begin_so := [release_id for release_id in known if asked and release_id.startswith(asked)]:
        return _only(begin_so, asked, "releases")
    if store is not None and len(asked) >= LEAST_ID and (runs := runs_of_recommendation(store, asked)):
        return _kept(releases, store, runs[_only(list(runs), asked, "recommendations")])
    return _kept(releases, store, asked)


def _of_day(releases: Path, store: OperationalStore | None, day: str) -> str:
    kept = list_releases(releases)
    if of_day := [release.release_id for release in kept if release.as_of_date == day]:
        return of_day[0]
    gone = [run_id for run_id, as_of in (proposing_runs(store) if store else {}).items() if as_of.isoformat() == day]
    if gone:
        return _kept(releases, store, gone[0])
    days = ", ".join(sorted({release.as_of_date for release in kept})) or "none"
    raise ReleaseError(f"There is no release as of {day}; kept are releases as of: {days}.")


def _kept(releases: Path, store: OperationalStore | None, run_id: str) -> str:
    """The run's id, where its release is there.

    Raises:
        ReleaseError: It is not, and why.
    """
    known = complete_ids(releases)
    if run_id in known:
        return run_id
    kept = f"Kept are: {', '.join(known[:_NAMED]) or 'none'}."
    removal = next((one for one in reversed(list_removals(releases)) if one.release_id.startswith(run_id)), None)
    if removal:
        raise ReleaseError(
            f"Release {removal.release_id} was removed at {removal.removed_at}, because ORDERCAST_RELEASES_KEPT={removal.kept}; what it "
            f"planned with is gone with it. {kept} A copy of its .duckdb and .json in {releases} brings it back."
        )
    if (releases / f"{run_id}.json").exists() or (releases / f"{run_id}.duckdb").exists():
        what = "file" if (releases / f"{run_id}.json").exists() else "manifest"
        raise ReleaseError(f"The {what} of release {run_id} is gone from {releases}: put a copy of it there. {kept}")
    if store is not None and any(known_id.startswith(run_id) for known_id in proposing_runs(store)):
        raise ReleaseError(
            f"Run {run_id} has proposed, but its release is not in {releases} any more, and what it planned with is gone with it. {kept}"
        )
    raise ReleaseError(f"There is no run, day or recommendation {run_id!r}. {kept}")


def _only(found: Sequence[str], asked: str, what: str) -> str:
    if len(found) > 1:
        some = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
        raise ReleaseError(f"{len(found)} {what} begin with {asked!r}: {some}. Give more of the id.")
    return found[0]
