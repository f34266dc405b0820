"""Connections to the operational store: how they are opened, how long they wait, and what is said when they fail."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

import adbc_driver_manager
import duckdb
import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError

from pipelines.errors import SettingsError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

Dialect = Literal["sqlite", "postgresql"]

_DRIVERS: Final[dict[str, str]] = {
    "sqlite": "sqlite", "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "postgresql+psycopg": "postgresql+psycopg",
}  # fmt: skip
_WRITES = "ordercast_writes"  # execution option: this transaction takes the write lock at once
BUSY_TIMEOUT_MS: Final = 5_000
_CONNECT_SECONDS: Final = 10
_UNREACHABLE: Final = "cannot be reached; check that the server runs and ORDERCAST_STORE_URL is right."
_BROKEN_STREAM: Final = "[libpq]"  # of a connection that broke while Arrow, or DuckDB through it, read rows
_FULL: Final = "has no free connection; try again."
# Serialisation, deadlock, lock not available, and what a server says that ends connections; a broken connection has no state at all.
_PASSING_STATES: Final = frozenset({"25P03", "40001", "40P01", "55P03", "57P01", "57P02", "57P03", "08000", "08003", "08006"})
# Every session speaks UTC and ISO dates, so that text read from the store means the same on every server.
_POSTGRESQL_OPTIONS: Final = "-c timezone=UTC -c datestyle=ISO,YMD -c idle_in_transaction_session_timeout=60000"


def parse_store_url(url: str) -> sa.URL:
    """The store's address with the driver this project uses.

    Raises:
        SettingsError: The address cannot be read, or names a database that is not supported.
    """
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError(
            "ORDERCAST_STORE_URL is no database address; write sqlite:////path/store.db or postgresql://user:password@host/database."
        ) from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise SettingsError(f"ORDERCAST_STORE_URL begins with {parsed.drivername!r}; supported are sqlite:// and postgresql://.")
    if driver == "sqlite" and (parsed.database or ":memory:") == ":memory:":
        raise SettingsError("ORDERCAST_STORE_URL names no file; write sqlite:////path/store.db.")
    return parsed.set(drivername=driver)


def describe(url: sa.URL) -> str:
    """The store's address as messages may show it: no user, no password, no options."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    hosts = url.host or url.query.get("host", "the local socket")
    host = hosts if isinstance(hosts, str) else ", ".join(hosts)
    return f"PostgreSQL database {url.database or url.username or '(default)'} at {host}" + (f":{url.port}" if url.port else "")


def create_engine(url: sa.URL, *, is_read_only: bool = False) -> sa.Engine:
    """An engine whose sessions wait a bounded time and, on SQLite, write with `BEGIN IMMEDIATE`.

    Args:
        url: As `parse_store_url` gives it.
        is_read_only: The database itself refuses whatever these sessions write. On SQLite no store is created either.
    """
    if url.get_backend_name() == "sqlite":
        if is_read_only:
            return _sqlite_reader(url)
        engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    options = postgresql_options(url) + (" -c default_transaction_read_only=on" if is_read_only else "")
    arguments = {"options": options, "connect_timeout": connect_seconds(url)}
    return sa.create_engine(url, pool_size=2, max_overflow=8, pool_pre_ping=True, connect_args=arguments)


@lru_cache(maxsize=4)
def _sqlite_reader(url: sa.URL) -> sa.Engine:
    """One for all readers of a file, which keeps compiled statements and no connection: that costs a page more than its reads."""
    engine = sa.create_engine(url, creator=lambda: _connect_sqlite_read_only(str(url.database)), poolclass=sa.NullPool)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def connect_seconds(url: sa.URL) -> int:
    """How long to wait for a PostgreSQL server: what the address says (`?connect_timeout=3`), else 10 seconds."""
    said = url.query.get("connect_timeout", "")
    return int(said) if isinstance(said, str) and said.isdecimal() else _CONNECT_SECONDS


def postgresql_options(url: sa.URL) -> str:
    """The address's own server options, such as a search path, and after them those this project relies on."""
    own = url.query.get("options", ())
    return " ".join([own] if isinstance(own, str) else own) + " " + _POSTGRESQL_OPTIONS


@contextmanager
def transaction(engine: sa.Engine, *, writes: bool, is_bulk: bool = False, is_snapshot: bool = False) -> Iterator[sa.Connection]:
    """One transaction, committed at the end of the block and rolled back when it raises.

    Args:
        engine: The store's engine.
        writes: Take the write lock at the start instead of failing half way (SQLite), and bound the waiting (PostgreSQL).
        is_bulk: A load of unknown size: PostgreSQL does not stop it after 30 seconds.
        is_snapshot: All reads see the same moment on PostgreSQL, as they always do on SQLite.

    Raises:
        StoreUnavailableError: The store did not answer or is locked; nothing was written.
    """
    with translated_errors(engine.url), engine.connect() as unstarted:
        conn = unstarted.execution_options(**{_WRITES: writes})
        with conn.begin():
            if is_snapshot and engine.dialect.name == "postgresql":
                conn.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            if writes and engine.dialect.name == "postgresql":
                conn.execute(sa.text("SET LOCAL lock_timeout = '3s'"))
                conn.execute(sa.text(f"SET LOCAL statement_timeout = '{0 if is_bulk else 30}s'"))
            yield conn


@contextmanager
def translated_errors(url: sa.URL) -> Iterator[None]:
    """Inside the block, a store that does not answer is a `StoreUnavailableError` of one sentence."""
    try:
        yield
    except (DBAPIError, sqlite3.Error, psycopg.Error, adbc_driver_manager.Error) as exc:
        cause = exc.orig if isinstance(exc, DBAPIError) else exc
        reason = _reason(cause)
        if reason is None:
            raise
        raise StoreUnavailableError(f"Operational store {describe(url)} {reason}", is_passing=_is_passing(cause)) from None
    except (OSError, duckdb.Error) as exc:
        if _BROKEN_STREAM not in str(exc):
            raise
        raise StoreUnavailableError(f"Operational store {describe(url)} {_UNREACHABLE}", is_passing=True) from None


def require_file(url: sa.URL) -> None:
    """Refuse a SQLite address whose file is not there, before SQLite creates an empty one.

    Raises:
        StoreUnavailableError: The file is missing; nothing was created.
    """
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise StoreUnavailableError(f"There is no operational store at {describe(url)}; `make run` or `ordercast simulate` creates one.")


def _connect_sqlite_read_only(path: str) -> sqlite3.Connection:
    conn = sqlite3.connect(
        f"file:{quote(path)}?mode=ro", uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
    )
    conn.execute("PRAGMA query_only = ON").close()
    return conn


def _configure_sqlite(dbapi_connection: Any, _record: object) -> None:
    dbapi_connection.isolation_level = None  # the driver's own BEGIN would be a deferred one
    for pragma in ("journal_mode = WAL", "synchronous = FULL", f"busy_timeout = {BUSY_TIMEOUT_MS}", "foreign_keys = ON"):
        dbapi_connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(conn: sa.Connection) -> None:
    writes = conn.get_execution_options().get(_WRITES, False)
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_passing(cause: BaseException | None) -> bool:
    """Whether the same transaction may succeed at once: locks, serialisation, a server that restarts, a connection that broke."""
    if isinstance(cause, sqlite3.Error):
        return "locked" in str(cause) or "busy" in str(cause)
    if not isinstance(cause, psycopg.OperationalError | psycopg.errors.IdleInTransactionSessionTimeout):
        return False
    if cause.sqlstate is not None:
        return cause.sqlstate in _PASSING_STATES
    return _postgresql_reason(str(cause)) in {_UNREACHABLE, _FULL}


def _reason(cause: BaseException | None) -> str | None:
    """What went wrong and what to do, or None where the error is no matter of availability."""
    if isinstance(cause, sqlite3.Error):
        return _sqlite_reason(cause)
    if isinstance(cause, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected | psycopg.errors.QueryCanceled):
        return "is locked by another transaction; wait for it to end and try again."
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        return (
            f"does not let this user do that ({str(cause).splitlines()[0]}): give ORDERCAST_STORE_URL the login that this command wants "
            "(docs/methods/decisions.md), or grant the right, for instance with `ordercast connect` as the owner."
        )
    if isinstance(cause, adbc_driver_manager.ProgrammingError) and "permission denied" in str(cause):
        return "does not let this user read all of its tables; grant SELECT on them."
    if isinstance(cause, psycopg.OperationalError | psycopg.errors.IdleInTransactionSessionTimeout | adbc_driver_manager.OperationalError):
        return _postgresql_reason(str(cause))
    return None


def _sqlite_reason(cause: sqlite3.Error) -> str | None:
    text = str(cause)
    if "locked" in text or "busy" in text:
        return "is locked by another program; wait for it to end and try again."
    if "not a database" in text or "malformed" in text or "encrypted" in text:
        return "is not a readable SQLite database; move the file away and create the store anew, or correct ORDERCAST_STORE_URL."
    if "unable to open" in text:
        return "cannot be opened; check that the folder exists and may be written."
    if "readonly" in text:
        return "cannot be written; check the file's permissions."
    if "full" in text or "disk I/O" in text:
        return "cannot be written: the disk is full or failing."
    return None


def _postgresql_reason(text: str) -> str:
    """A sentence of our own: the server's text may repeat parts of the address."""
    if "password authentication failed" in text or "no password supplied" in text:
        return "refused the user name or password; correct ORDERCAST_STORE_URL."
    if "does not exist" in text and "database" in text:
        return "does not exist; create the database or correct ORDERCAST_STORE_URL."
    if "does not exist" in text and "role" in text:
        return "does not know the user; correct ORDERCAST_STORE_URL."
    if "too many" in text:
        return _FULL
    return _UNREACHABLE
