"""A release that is brought up to date in a copy of the one before holds what one that was written whole holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from pipelines.stores import release_contents
from pipelines.stores.durable import sha256_of
from pipelines.stores.release_contents import write_from, write_whole
from pipelines.stores.releases import ReleaseFacts, list_releases, publish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOLD = {"metric_catalogue": "{}", "report_catalogue": "{}", "release_facts": "{}"}


@pytest.fixture
def warehouse(monkeypatch: pytest.MonkeyPatch) -> Iterator[duckdb.DuckDBPyConnection]:
    """A table large enough to be compared, with a row that stands there twice, and a small one."""
    monkeypatch.setattr(release_contents, "_WORTH_A_COMPARISON_ROWS", 100)
    with duckdb.connect(":memory:") as conn:
        conn.execute("CREATE SCHEMA raw; CREATE SCHEMA marts; CREATE SCHEMA planning; CREATE SCHEMA meta")
        conn.execute("CREATE TABLE marts.large AS SELECT range AS n, nullif(range % 7, 0) AS v, [range::VARCHAR] AS words FROM range(1000)")
        conn.execute("INSERT INTO marts.large FROM marts.large WHERE n = 5")
        conn.execute("CREATE TABLE marts.small AS SELECT 1 AS n")
        conn.execute("CREATE VIEW marts.seen AS FROM marts.large WHERE v IS NULL")
        yield conn


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with duckdb.connect(str(path), read_only=True) as conn:
        names = conn.execute("SELECT table_schema || '.' || table_name FROM information_schema.tables ORDER BY 1").fetchall()
        return {name: conn.execute(f"FROM {name} ORDER BY ALL").fetchall() for (name,) in names}


@pytest.mark.parametrize(
    "change",
    [
        "SELECT 1",
        "UPDATE marts.large SET v = 99 WHERE n % 100 = 3",
        "DELETE FROM marts.large WHERE n = 8",
        "INSERT INTO marts.large SELECT n + 1000, v, words FROM marts.large",
        "INSERT INTO marts.large FROM marts.large WHERE n = 9",
        "DELETE FROM marts.large WHERE n = 5; INSERT INTO marts.large VALUES (5, 5, ['5'])",
        "ALTER TABLE marts.large ADD COLUMN more INTEGER DEFAULT 3",
        "ALTER TABLE marts.large ALTER n TYPE VARCHAR",
        "DROP VIEW marts.seen; CREATE TABLE planning.more AS SELECT 2 AS n",
        "UPDATE marts.small SET n = 4",
        "DELETE FROM marts.large",
    ],
)
def test_whatever_changed_a_copy_brought_up_to_date_equals_one_written_whole(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path, change: str
) -> None:
    write_whole(warehouse, tmp_path / "base.duckdb", told=TOLD)
    warehouse.execute(change)

    counts = write_from(
        warehouse, tmp_path / "copy.duckdb", base=tmp_path / "base.duckdb", sha256=sha256_of(tmp_path / "base.duckdb"), told=TOLD
    )

    assert counts == write_whole(warehouse, tmp_path / "whole.duckdb", told=TOLD)
    assert contents(tmp_path / "copy.duckdb") == contents(tmp_path / "whole.duckdb")


@pytest.mark.parametrize("untold", ["DROP TABLE meta.release_hashes", "UPDATE meta.release_hashes SET hashed_by = 'another'"])
def test_a_base_that_does_not_say_what_its_rows_hash_to_is_compared_row_by_row(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path, untold: str
) -> None:
    write_whole(warehouse, tmp_path / "base.duckdb", told=TOLD)
    with duckdb.connect(str(tmp_path / "base.duckdb")) as conn:
        conn.execute(untold)
    warehouse.execute("UPDATE marts.large SET v = 99 WHERE n = 3")

    write_from(warehouse, tmp_path / "copy.duckdb", base=tmp_path / "base.duckdb", sha256=sha256_of(tmp_path / "base.duckdb"), told=TOLD)

    write_whole(warehouse, tmp_path / "whole.duckdb", told=TOLD)
    assert contents(tmp_path / "copy.duckdb") == contents(tmp_path / "whole.duckdb")


@pytest.mark.parametrize("damage", [b"", b"not a database" * 1000])
def test_a_damaged_base_leaves_nothing_behind(warehouse: duckdb.DuckDBPyConnection, tmp_path: Path, damage: bytes) -> None:
    base = tmp_path / "base.duckdb"
    base.write_bytes(damage or b"x")

    counts = write_from(warehouse, tmp_path / "copy.duckdb", base=base, sha256=sha256_of(base), told=TOLD)

    assert counts is None
    assert [path.name for path in tmp_path.iterdir()] == ["base.duckdb"]


def test_what_was_edited_in_the_release_before_is_in_no_later_one(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, after = (
        ReleaseFacts(name, "2026-10-31", "2026-11-01T05:00:00+00:00", "0.1.0", "abc", 0, 5, 5, planning_run_id="20261101T050000-aaaaaa")
        for name in ("20261101T050000-aaaaaa", "20261101T060000-bbbbbb")
    )
    edited = publish(warehouse, tmp_path, facts=before, catalogue="{}", keep=5).path
    with duckdb.connect(str(edited)) as conn:
        conn.execute("UPDATE marts.large SET v = 99 WHERE n = 3")

    brought_up_to_date = publish(warehouse, tmp_path, facts=after, catalogue="{}", keep=5).path

    write_whole(warehouse, tmp_path / "whole.duckdb", told=TOLD)
    assert contents(brought_up_to_date)["marts.large"] == contents(tmp_path / "whole.duckdb")["marts.large"]
    assert "is damaged (its sha256 differs from the manifest), so the new one is written whole" in caplog.text


def test_refreshes_push_out_no_last_release_of_a_day_that_a_run_planned_on(warehouse: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    for day in (1, 2, 3):
        for hour, planned_by in ((5, None), (6, None), (7, "earlier"), (8, "earlier"), (9, "earlier")):
            release_id, at = f"2026110{day}T0{hour}0000-aaaaaa", f"2026-11-0{day}T0{hour}:00:00+00:00"
            facts = ReleaseFacts(
                release_id, "2026-10-31", at, "0.1.0", "abc", 0, 5, 5, planning_run_id=planned_by, planned_at=at if planned_by else None
            )
            publish(warehouse, tmp_path, facts=facts, catalogue="{}", keep=2, keep_days=2)

    assert [release.release_id[6:11] for release in list_releases(tmp_path)] == ["03T09", "03T08", "03T06", "02T06"]
