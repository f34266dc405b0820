from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from pipelines.errors import ReleaseError
from pipelines.stores.releases import (
    Release,
    ReleaseFacts,
    current_release,
    list_releases,
    open_release,
    publish,
    rollback,
)

if TYPE_CHECKING:
    from pathlib import Path


def publish_one(tmp_path: Path, release_id: str, *, orders: int = 1, keep: int = 5) -> Release:
    facts = ReleaseFacts(release_id, "2026-10-31", "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
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

    kept = [release.release_id for release in list_releases(tmp_path / "releases")]

    assert kept == ["20261105T060000-aaaaaa", "20261104T060000-aaaaaa"]


def test_a_release_is_never_overwritten(tmp_path: Path) -> None:
    publish_one(tmp_path, "20261101T060000-aaaaaa", orders=1)

    with pytest.raises(ReleaseError, match="exists already"):
        publish_one(tmp_path, "20261101T060000-aaaaaa", orders=2)
