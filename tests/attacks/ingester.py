"""An ingest in a process of its own, to be killed; the server that these are forked from imports this once."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from pipelines.settings import Settings
from pipelines.steps import ingest as step
from pipelines.steps import ingest_reading
from pipelines.stores.operational import OperationalStore
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    import duckdb

STATE = (
    "SELECT (SELECT sum(hash(t)::hugeint) FROM raw.orders AS t), (SELECT sum(hash(t)::hugeint) FROM raw.order_lines AS t), "
    "(SELECT count(*) FROM raw.orders), (SELECT position FROM meta.feed_state)"
)


def ingest_once(store_url: str, home: Path, run_id: str) -> None:
    settings = Settings(home=home, _env_file=None)
    with OperationalStore.open(store_url) as store, open_warehouse(settings.warehouse_path) as conn:
        step.ingest(store, conn, run_id=run_id, settings=settings)


def ingest_position_first(store_url: str, home: Path, run_id: str) -> None:
    """What must not be done: the position is committed before the rows, and nothing compares them afterwards."""
    whole = step._ingest_tables

    def after_the_position(gate: Any, reading: Any) -> Any:
        step._write_position(reading.conn, reading.changes.position, run_id, ())
        reading.conn.commit()
        reading.conn.begin()
        return whole(gate, reading)

    step._ingest_tables = after_the_position
    ingest_reading.counts_differ = lambda *_args, **_kwargs: False
    ingest_once(store_url, home, run_id)


def ingest_and_die(store_url: str, home: Path, statements: list[str], states: Connection) -> None:
    """An ingest after each statement, with nothing checkpointed, and a state after each; then the process is gone."""
    settings = Settings(home=home, _env_file=None)
    with OperationalStore.open(store_url) as store, open_warehouse(settings.warehouse_path) as conn:
        states.send(state(conn))
        for number, statement in enumerate(statements):
            with store.transaction() as writing:
                writing.exec_driver_sql(statement)
            step.ingest(store, conn, run_id=f"run-{number}", settings=settings)
            states.send(state(conn))
        os.kill(os.getpid(), signal.SIGKILL)


def state(conn: duckdb.DuckDBPyConnection) -> tuple[Any, ...]:
    return conn.execute(STATE).fetchone() or ()
