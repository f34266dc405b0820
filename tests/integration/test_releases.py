from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest

from pipelines.cli.doctor import examine
from pipelines.errors import ReleaseError, WarehouseUnavailableError
from pipelines.settings import Settings
from pipelines.stores.releases import (
    Release,
    ReleaseFacts,
    current_release,
    is_intact,
    list_releases,
    open_release,
    publish,
    rollback,
    served_id,
)
from pipelines.stores.warehouse import OWN_TABLES

if TYPE_CHECKING:
    from pathlib import Path


def publish_one(
    tmp_path: Path,
    release_id: str,
    *,
    orders: int = 1,
    keep: int = 5,
    planning_run_id: str | None = None,
    published_at: str = "2026-11-01T06:00:00+00:00",
) -> Release:
    facts = ReleaseFacts(release_id, "2026-10-31", published_at, "0.1.0", "abc", 0, 5, 5, planning_run_id=planning_run_id)
    with duckdb.connect(":memory:") as conn:
        for schema in ("raw", "marts", "planning", "meta"):
            conn.execute(f"create schema {schema}")
        conn.execute(f"create table marts.fct_orders as select range as order_id from range({orders})")
        conn.execute("create table raw.orders as select 1 as order_id")
        return publish(conn, tmp_path / "releases", facts=facts, catalogue="{}", keep=keep)


def test_a_published_release_is_served_with_its_marts_and_without_raw(tmp_path: Path) -> None:
    publish_one(tmp_path, "20261101T060000-aaaaaa", orders=3)

    release = current_release(tmp_path / "releases")

    assert release is not None
    assert release.row_counts["marts.fct_orders"] == 3
    with open_release(release) as conn:
        assert conn.execute("select count(*) from marts.fct_orders").fetchone() == (3,)
        with pytest.raises(duckdb.CatalogException):
            conn.execute("select * from raw.orders")


def test_a_view_is_published_as_the_table_it_amounts_to(tmp_path: Path) -> None:
    facts = ReleaseFacts("20261101T060000-aaaaaa", "2026-10-31", "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    with duckdb.connect(":memory:") as conn:
        for schema in ("raw", "marts", "planning", "meta"):
            conn.execute(f"create schema {schema}")
        conn.execute("create table raw.customers as select range as customer_key from range(3)")
        conn.execute("create view marts.fct_customer_status as select * from raw.customers where customer_key > 0")
        release = publish(conn, tmp_path / "releases", facts=facts, catalogue="{}", keep=5)

    with open_release(release) as reader:
        rows = reader.execute("select count(*) from marts.fct_customer_status").fetchone()

    assert rows == (2,)
    assert release.row_counts["marts.fct_customer_status"] == 2


def test_a_reader_cannot_reach_other_files_or_write(tmp_path: Path) -> None:
    release = publish_one(tmp_path, "20261101T060000-aaaaaa")

    with open_release(release) as conn:
        with pytest.raises(duckdb.PermissionException):
            conn.execute("select * from read_csv('/etc/passwd')")
        with pytest.raises(duckdb.Error):
            conn.execute("delete from marts.fct_orders")


def test_a_reader_keeps_its_release_while_the_next_is_published(tmp_path: Path) -> None:
    first = publish_one(tmp_path, "20261101T060000-aaaaaa", orders=1)

    with open_release(first) as conn:
        publish_one(tmp_path, "20261102T060000-bbbbbb", orders=2)
        rows = conn.execute("select count(*) from marts.fct_orders").fetchone()

    served = current_release(tmp_path / "releases")
    assert rows == (1,)
    assert served is not None
    assert served.release_id == "20261102T060000-bbbbbb"


def test_rollback_serves_the_release_before_and_can_go_forward_again(tmp_path: Path) -> None:
    publish_one(tmp_path, "20261101T060000-aaaaaa")
    publish_one(tmp_path, "20261102T060000-bbbbbb")

    back = rollback(tmp_path / "releases")
    forward = rollback(tmp_path / "releases", to="20261102T060000-bbbbbb")

    assert back.release_id == "20261101T060000-aaaaaa"
    assert forward.release_id == "20261102T060000-bbbbbb"


def test_rollback_refuses_a_damaged_file_and_leaves_the_pointer(tmp_path: Path) -> None:
    first = publish_one(tmp_path, "20261101T060000-aaaaaa")
    publish_one(tmp_path, "20261102T060000-bbbbbb")
    first.path.write_bytes(b"damaged")

    with pytest.raises(ReleaseError, match="damaged"):
        rollback(tmp_path / "releases")

    served = current_release(tmp_path / "releases")
    assert served is not None
    assert served.release_id == "20261102T060000-bbbbbb"


def test_only_the_newest_releases_are_kept_and_the_served_one_always(tmp_path: Path) -> None:
    for day in range(1, 6):
        publish_one(tmp_path, f"2026110{day}T060000-aaaaaa", keep=2)
        (tmp_path / "releases" / f"2026110{day}T060000-aaaaaa.duckdb.tmp").mkdir()  # of a reader that was killed at work

    kept = [release.release_id for release in list_releases(tmp_path / "releases")]

    assert kept == ["20261105T060000-aaaaaa", "20261104T060000-aaaaaa"]
    assert {path.stem.partition(".")[0] for path in (tmp_path / "releases").glob("*-*")} == set(kept)


def test_a_release_is_never_overwritten(tmp_path: Path) -> None:
    publish_one(tmp_path, "20261101T060000-aaaaaa", orders=1)

    with pytest.raises(ReleaseError, match="exists already"):
        publish_one(tmp_path, "20261101T060000-aaaaaa", orders=2)


def test_the_release_before_is_served_again_even_where_the_served_file_is_gone(tmp_path: Path) -> None:
    publish_one(tmp_path, "20261101T060000-aaaaaa")
    publish_one(tmp_path, "20261102T060000-bbbbbb").path.unlink()

    back = rollback(tmp_path / "releases")

    assert back.release_id == "20261101T060000-aaaaaa"
    assert served_id(tmp_path / "releases") == back.release_id


def test_a_file_that_was_touched_is_not_intact(tmp_path: Path) -> None:
    release = publish_one(tmp_path, "20261101T060000-aaaaaa")
    before = is_intact(release)
    release.path.write_bytes(release.path.read_bytes()[:-1] + b"x")

    assert (before, is_intact(release)) == (True, False)


def test_the_doctor_finds_a_damaged_release_and_says_how_to_go_back(tmp_path: Path) -> None:
    release = publish_one(tmp_path, "20261101T060000-aaaaaa")
    settings = Settings(home=tmp_path, _env_file=None)
    fine = next(finding for finding in examine(settings) if finding.subject == "Release")
    with release.path.open("ab") as file:
        file.write(b"x")

    damaged = next(finding for finding in examine(settings) if finding.subject == "Release")

    assert fine.is_fine
    assert not damaged.is_fine
    assert "20261101T060000-aaaaaa is damaged" in damaged.detail
    assert "releases rollback" in damaged.detail


@pytest.mark.parametrize(("age", "is_old"), [(timedelta(hours=35), False), (timedelta(hours=37), True)])
def test_the_doctor_finds_a_release_that_missed_a_nightly_run(tmp_path: Path, age: timedelta, is_old: bool) -> None:
    published_at = (datetime.now(UTC) - age).isoformat(timespec="seconds")
    publish_one(tmp_path, "20261101T060000-aaaaaa", published_at=published_at)

    found = [one.detail for one in examine(Settings(home=tmp_path, _env_file=None)) if one.subject == "Release" and not one.is_fine]

    assert found == [f"published {published_at}, more than 36 hours ago."] * is_old


def test_a_process_compares_the_bytes_of_a_release_once_and_again_where_they_were_written_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = publish_one(tmp_path, "20261101T060000-aaaaaa")
    compared = []
    monkeypatch.setattr("pipelines.stores.release_files.sha256_of", lambda path: compared.append(path) or release.sha256)

    for _ in range(3):
        with open_release(release):
            pass
    looked_at_first = len(compared)
    release.path.write_bytes(release.path.read_bytes())
    with open_release(release):
        pass

    assert (looked_at_first, len(compared)) == (1, 2)


def test_a_changed_date_in_a_manifest_is_no_date_of_the_release(tmp_path: Path) -> None:
    release = publish_one(tmp_path, "20261101T060000-aaaaaa")
    manifest = release.path.with_suffix(".json")
    manifest.write_text(manifest.read_text().replace("2026-10-31", "2026-10-30"))

    with pytest.raises(ReleaseError, match=r"manifest 20261101T060000-aaaaaa\.json is damaged"):
        current_release(tmp_path / "releases")


def test_a_lost_pointer_is_said_and_a_rollback_serves_the_newest_release_that_is_whole(tmp_path: Path) -> None:
    publish_one(tmp_path, "20261101T060000-aaaaaa")
    publish_one(tmp_path, "20261102T060000-bbbbbb")
    publish_one(tmp_path, "20261103T060000-cccccc").path.write_bytes(b"damaged")
    (tmp_path / "releases" / "CURRENT").unlink()

    with pytest.raises(ReleaseError, match=r"CURRENT, which says what is served, is lost: `ordercast releases rollback`"):
        current_release(tmp_path / "releases")
    back = rollback(tmp_path / "releases")

    assert back.release_id == "20261102T060000-bbbbbb"


def test_the_release_served_until_now_survives_the_publication_of_the_next(tmp_path: Path) -> None:
    for day in (1, 2, 3):
        publish_one(tmp_path, f"2026110{day}T060000-aaaaaa", keep=3)
    looked_up = rollback(tmp_path / "releases", to="20261101T060000-aaaaaa")

    publish_one(tmp_path, "20261104T060000-aaaaaa", keep=2)

    with open_release(looked_up) as conn:
        assert conn.execute("select count(*) from marts.fct_orders").fetchone() == (1,)
    assert [release.release_id[:8] for release in list_releases(tmp_path / "releases")] == ["20261104", "20261103", "20261101"]


def test_a_publication_without_room_for_it_is_refused_before_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = publish_one(tmp_path, "20261101T060000-aaaaaa")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage._replace(free=5 * 1024**2))

    with pytest.raises(WarehouseUnavailableError, match="has 5 MB free and a release needs 64 MB"):
        publish_one(tmp_path, "20261102T060000-bbbbbb")

    assert current_release(tmp_path / "releases") == before


def test_what_a_crash_left_is_never_listed_and_is_gone_after_the_next_publication(tmp_path: Path) -> None:
    releases = tmp_path / "releases"
    publish_one(tmp_path, "20261101T060000-aaaaaa")
    (releases / "20261102T060000-bbbbbb.building").write_bytes(b"half")
    (releases / "20261103T060000-cccccc.json").write_text("{}")
    (releases / "20261104T060000-dddddd.duckdb").write_bytes(b"half")

    listed = [release.release_id for release in list_releases(releases)]
    publish_one(tmp_path, "20261105T060000-eeeeee")

    assert listed == ["20261101T060000-aaaaaa"]
    assert sorted(path.name for path in releases.iterdir()) == [
        "20261101T060000-aaaaaa.duckdb", "20261101T060000-aaaaaa.json", "20261105T060000-eeeeee.duckdb", "20261105T060000-eeeeee.json", "CURRENT",
    ]  # fmt: skip


def test_a_release_says_when_each_source_table_changed_last(tmp_path: Path) -> None:
    facts = ReleaseFacts("20261101T060000-aaaaaa", "2026-10-31", "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    with duckdb.connect(":memory:") as conn:
        for schema in ("marts", "planning", "meta", "raw"):
            conn.execute(f"create schema {schema}")
        conn.execute("create table raw.orders as from (values ('2026-10-30 08:00'::timestamp), ('2026-10-31 21:30')) as t (updated_at)")
        conn.execute("create table raw.locations (updated_at timestamp)")
        release = publish(conn, tmp_path / "releases", facts=facts, catalogue="{}", keep=5)

    with open_release(release) as reader:
        found = reader.execute("select table_name, changed_at::varchar from meta.source_changes order by all").fetchall()

    assert found == [("locations", None), ("orders", "2026-10-31 21:30:00")]


def test_a_release_lists_what_is_held_back_without_what_was_typed_into_it(tmp_path: Path) -> None:
    facts = ReleaseFacts("20261101T060000-aaaaaa", "2026-10-31", "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    with duckdb.connect(":memory:") as conn:
        for schema in ("marts", "planning", "meta", "quarantine"):
            conn.execute(f"create schema {schema}")
        conn.execute(f"create table quarantine.document_rows ({OWN_TABLES['quarantine.document_rows']})")
        conn.execute(
            """insert into quarantine.document_rows values
            ('orders', 'O-1', '["O-1"]', '{}', 'x', 'E310 quantity is below 1, got "-1; of \\\"jane@example.com"; E319 too old, got "1970"', 'mend it',
            'r1', 'r2', null),
            ('customers', 'jane', '["jane"]', '{}', 'x', 'E319 created_at lies in the future, got "2099"', 'mend it', 'r1', 'r2', null),
            ('orders', 'O-2', '["O-2"]', '{}', 'document_is_whole', 'E326 is held back', 'mend it', 'r1', 'r2', null),
            ('orders', 'O-3', '["O-3"]', null, 'x', 'E310 quantity is below 1', 'mend it', 'r1', 'r2', 'r3')"""
        )
        release = publish(conn, tmp_path / "releases", facts=facts, catalogue="{}", keep=5)

    with open_release(release) as reader:
        held = reader.execute("select code, document_id, reason from meta.quarantined_documents order by all").fetchall()

    assert held == [("E310", "O-1", "quantity is below 1; E319 too old"), ("E319", None, "created_at lies in the future")]
