"""A release of a small merchant that the whole job published: every page has something to show, and copies of it lack what a state lacks."""

from __future__ import annotations

import fcntl
import os
import shutil
from typing import TYPE_CHECKING, Final

import duckdb

from pipelines.stores.releases import current_release
from tests.acceptance.conftest import CommandLine
from tests.resealing import reseal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

_READ: Final = ("releases", "store.db", "customer_key.secret")  # what pages read of a home


def published_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The merchant's home, built once for all processes of a test run. Copy it before anything is written."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    home = base / "small-merchant"
    with (base / "small-merchant.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "built").exists():
            shutil.rmtree(home, ignore_errors=True)
            ordercast = CommandLine(home)
            ordercast("simulate", "--scenario", "small", "--seed", "7")
            ordercast("run")
            (home / "built").touch()
    return home


def copy_home(home: Path, target: Path, *, change: Callable[[duckdb.DuckDBPyConnection], None] | None = None) -> Path:
    """The same home elsewhere, its served release changed and sealed anew."""
    target.mkdir(parents=True)
    for name in _READ:
        source = home / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target / name)
    if change is not None:
        release = current_release(target / "releases")
        assert release is not None
        with duckdb.connect(str(release.path)) as conn:
            change(conn)
        reseal(release.path)
    return target


def empty(conn: duckdb.DuckDBPyConnection) -> None:
    """A merchant of whom nothing is known yet: every table stands, and holds no row."""
    tables = conn.execute("select schema_name, table_name from duckdb_tables() where schema_name in ('marts', 'planning')").fetchall()
    for schema, table in tables:
        conn.execute(f"delete from {schema}.{table}")


def provide_orders_only(conn: duckdb.DuckDBPyConnection) -> None:
    """A merchant whose source has orders and their lines, and nothing else."""
    conn.execute("update meta.source_fields set is_present = false where table_name not in ('orders', 'order_lines')")
