"""Dagster's event log in SQLite files that stay open from one event to the next."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from dagster import StringSource
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorageWatchdog
from watchdog.observers import Observer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagster._core.event_api import EventHandlerFn
    from dagster._serdes import ConfigurableClassData
    from watchdog.events import FileSystemEvent

_BUSY_SECONDS: Final = 60
_MOST_OPEN: Final = 4  # the index, the run that goes on, and two that a person looks at


class OpenSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's own storage opens a file anew for every event, and so waits for the disk three times or more to keep one row.

    A run of ours has some eight hundred events. Here a file stays open, and the disk is waited for when the write-ahead log is moved into
    the file (SQLite's `synchronous = NORMAL`): after a power failure the last events of a run may be missing, what stands is whole. Files
    and their places are those of Dagster's own storage, which can read them.
    """

    _obs: Any

    def __init__(self, dagster_home: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, sa.Engine] = {}
        super().__init__(str(Path(dagster_home, "history", "runs")), inst_data)

    @classmethod
    def config_type(cls) -> Any:
        """`dagster_home`: the folder that Dagster keeps its state in."""
        return {"dagster_home": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> OpenSqliteEventLogStorage:
        """The storage that `dagster.yaml` asks for."""
        return cls(inst_data=inst_data, **config_value)

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Call back for every new event of a run, whichever process stores it."""
        if not self._obs:
            self._obs = Observer()
            self._obs.start()
        watchdog = _Watchdog(self, run_id, callback, cursor)
        self._watchers[run_id][callback] = (watchdog, self._obs.schedule(watchdog, self._base_dir, recursive=True))

    def delete_events(self, run_id: str) -> None:
        """Forget a run; its file goes too, which Dagster's own storage leaves empty."""
        super().delete_events(run_id)
        with self._db_lock:
            if engine := self._engines.pop(run_id, None):
                engine.dispose()
            self._initialized_dbs.discard(run_id)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path_for_shard(run_id)}{suffix}").unlink(missing_ok=True)

    def wipe(self) -> None:
        """Forget all events."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Close all files."""
        self._close()
        super().dispose()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock:
            self._engines[shard] = self._engines.pop(shard) if shard in self._engines else self._open(shard)  # last used, last in line
            if len(self._engines) > _MOST_OPEN:
                self._engines.pop(next(iter(self._engines))).dispose()
            with self._engines[shard].connect() as conn, conn.begin():
                yield conn

    def _open(self, shard: str) -> sa.Engine:
        engine = sa.create_engine(self.conn_string_for_shard(shard), connect_args={"timeout": _BUSY_SECONDS})
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = NORMAL"))
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        return engine

    def _close(self) -> None:
        with self._db_lock:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()


class _Watchdog(SqliteEventLogStorageWatchdog):
    """Looks at the write-ahead log as well: new events stand there first."""

    def __init__(self, storage: OpenSqliteEventLogStorage, run_id: str, callback: EventHandlerFn, cursor: str | None) -> None:
        super().__init__(storage, run_id, callback, cursor)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:
        del event
        self._process_log()
