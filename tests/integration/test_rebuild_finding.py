"""A run is found by its id, its day or one of its recommendations; where its release is gone, it is said since when and why."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from pipelines.errors import ReleaseError
from pipelines.steps.rebuild_finding import find_planning_release
from pipelines.stores.recommendation_runs import proposing_runs, runs_of_recommendation
from pipelines.stores.recommendations import list_recommendations
from pipelines.stores.release_files import list_removals
from tests.integration.decision_shop import open_shop
from tests.integration.test_releases import publish_one

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.stores.operational import OperationalStore

FIRST, SECOND = "20261101T060000-aaaaaa", "20261102T060000-bbbbbb"


@pytest.mark.parametrize("asked", [SECOND, "20261102", "2026-10-31"])
def test_a_release_is_found_by_id_by_its_beginning_and_by_day(tmp_path: Path, asked: str) -> None:
    publish_one(tmp_path, FIRST)
    publish_one(tmp_path, SECOND)

    found = find_planning_release(tmp_path / "releases", None, asked)

    assert found.release_id == SECOND  # of two of one day the newest


def test_a_beginning_of_two_ids_is_refused(tmp_path: Path) -> None:
    publish_one(tmp_path, FIRST)
    publish_one(tmp_path, SECOND)

    with pytest.raises(ReleaseError, match=f"2 releases begin with '202611': {SECOND}, {FIRST}"):
        find_planning_release(tmp_path / "releases", None, "202611")


def test_a_release_with_an_earlier_run_s_plans_leads_to_that_run(tmp_path: Path) -> None:
    publish_one(tmp_path, FIRST, planning_run_id=FIRST)
    publish_one(tmp_path, SECOND, planning_run_id=FIRST)

    found = find_planning_release(tmp_path / "releases", None, SECOND)

    assert found.release_id == FIRST


def test_a_release_that_retention_removed_says_when_and_by_which_setting(tmp_path: Path) -> None:
    for number in range(1, 5):
        publish_one(tmp_path, f"2026110{number}T060000-aaaaaa", keep=2)

    with pytest.raises(
        ReleaseError, match=r"20261101T060000-aaaaaa was removed at 2026-11-01T06:00:00\+00:00, because ORDERCAST_RELEASES_KEPT=2"
    ):
        find_planning_release(tmp_path / "releases", None, "20261101")

    assert [one.release_id for one in list_removals(tmp_path / "releases")] == ["20261101T060000-aaaaaa", "20261102T060000-aaaaaa"]


def test_what_the_plans_of_a_kept_release_were_made_from_is_not_removed(tmp_path: Path) -> None:
    publish_one(tmp_path, FIRST, planning_run_id=FIRST, keep=2)
    for number in range(2, 7):
        publish_one(tmp_path, f"2026110{number}T060000-bbbbbb", planning_run_id=FIRST, keep=2)

    found = find_planning_release(tmp_path / "releases", None, "20261106")

    assert found.release_id == FIRST
    assert sorted(path.stem for path in (tmp_path / "releases").glob("*.duckdb")) == [
        FIRST,
        "20261105T060000-bbbbbb",
        "20261106T060000-bbbbbb",
    ]


@pytest.mark.parametrize(("suffix", "what"), [(".duckdb", "file"), (".json", "manifest")])
def test_half_a_release_says_which_half_is_gone(tmp_path: Path, suffix: str, what: str) -> None:
    publish_one(tmp_path, FIRST).path.with_suffix(suffix).unlink()

    with pytest.raises(ReleaseError, match=f"The {what} of release {FIRST} is gone"):
        find_planning_release(tmp_path / "releases", None, FIRST)


def test_what_nobody_knows_is_refused_with_what_is_kept(tmp_path: Path) -> None:
    publish_one(tmp_path, FIRST)

    with pytest.raises(ReleaseError, match=f"no run, day or recommendation 'nothing'. Kept are: {FIRST}"):
        find_planning_release(tmp_path / "releases", None, "nothing")
    with pytest.raises(ReleaseError, match="no release as of 2020-01-01; kept are releases as of: 2026-10-31"):
        find_planning_release(tmp_path / "releases", None, "2020-01-01")


def test_a_recommendation_leads_to_the_run_that_proposed_it_last(tmp_path: Path, store: OperationalStore) -> None:
    open_shop(store)
    rec_id = list_recommendations(store)["rec_id"][0]
    publish_one(tmp_path, "r1")

    found = find_planning_release(tmp_path / "releases", store, rec_id[:10])

    assert found.release_id == "r1"
    assert runs_of_recommendation(store, rec_id) == {rec_id: "r1"}
    assert runs_of_recommendation(store, "%") == {}


def test_a_run_that_only_the_store_remembers_says_that_its_release_is_gone(tmp_path: Path, store: OperationalStore) -> None:
    open_shop(store)
    publish_one(tmp_path, FIRST)
    day = proposing_runs(store)["r1"]

    for asked in ("r1", list_recommendations(store)["rec_id"][0], day.isoformat()):
        with pytest.raises(ReleaseError, match="Run r1 has proposed, but its release is not in"):
            find_planning_release(tmp_path / "releases", store, asked)

    assert isinstance(day, date)
