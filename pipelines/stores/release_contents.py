"""What stands in a release's file: written whole, or brought up to date in a copy of the release before."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import duckdb

from pipelines.stores import quarantine_rows
from pipelines.stores.durable import copy_hashed, is_of_full_disk
from pipelines.stores.source_watch import last_changes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Fingerprint: TypeAlias = tuple[int, int, int]
log = logging.getLogger("ordercast.publish")
PUBLISHED_SCHEMAS: Final = ("marts", "planning", "meta")
_WORTH_A_COMPARISON_ROWS: Final = 100_000  # smaller tables are replaced in less time than it takes to find what differs
_HASHES: Final = "release_hashes"
_HASHED_BY: Final = f"DuckDB {duckdb.__version__}"  # another version may hash otherwise
_COLUMNS: Final = (
    "SELECT database_name, schema_name || '.' || table_name, list((column_name, data_type) ORDER BY column_index) FROM duckdb_columns() "
    "WHERE database_name IN (current_database(), 'release') AND list_contains(?, schema_name) GROUP BY ALL"
)


def write_whole(conn: duckdb.DuckDBPyConnection, target: Path, *, told: Mapping[str, str]) -> dict[str, int]:
    """The file holds the warehouse's published schemas: tables as they are, and views as the tables they amount to.

    Args:
        conn: The warehouse.
        target: A file that is not there.
        told: What the release says of itself, by table: metric_catalogue, report_catalogue, release_facts.

    Returns:
        Rows by table.
    """
    with _attached(conn, target):
        written: dict[str, Fingerprint] = {}
        for name in _tables(conn):
            conn.execute(f"CREATE TABLE release.{name} AS FROM {name}")
            written[name] = _fingerprint(conn, f"release.{name}")
        return _finish(conn, told, written)


def write_from(conn: duckdb.DuckDBPyConnection, target: Path, *, base: Path, sha256: str, told: Mapping[str, str]) -> dict[str, int] | None:
    """The same as `write_whole`, in a fraction of its time: a copy of an earlier release in which only what differs is written.

    Of each table all rows of the warehouse are hashed and held against what the earlier release says its rows hash to; after writing,
    those of the release are hashed as well, and a table that still differs is replaced. Rows stand in another order than in a file that was
    written whole. What the earlier release says is believed only where all its bytes are those that were published.

    Args:
        conn: The warehouse.
        target: A file that is not there.
        base: The earlier release.
        sha256: Of the earlier release, as its manifest says.
        told: As of `write_whole`.

    Returns:
        Rows by table; None where the earlier release is damaged or cannot be read, and then nothing is there.
    """
    try:
        if copy_hashed(base, target, mode=0o666) != sha256:
            log.warning("The release %s is damaged (its sha256 differs from the manifest), so the new one is written whole", base.stem)
            target.unlink()
            return None
        with _attached(conn, target):
            standing, wanted = _shapes(conn)
            known = _known_fingerprints(conn, standing)
            written: dict[str, Fingerprint] = {}
            for name in standing.keys() - wanted.keys():
                conn.execute(f"DROP TABLE release.{name}")
            for name in _tables(conn):
                written[name] = _fingerprint(conn, name)
                if standing.get(name) != wanted[name]:
                    _replace(conn, name)
                elif known.get(name) != written[name]:
                    _bring_up_to_date(conn, name, written[name])
            return _finish(conn, told, written)
    except (duckdb.Error, FileNotFoundError) as exc:
        if is_of_full_disk(str(exc)):
            raise
        log.warning("The release %s cannot be read, so the new one is written whole: %s", base.stem, str(exc).partition("\n")[0])
        for leftover in target.parent.glob(f"{target.name}*"):
            leftover.unlink()
        return None


def _bring_up_to_date(conn: duckdb.DuckDBPyConnection, name: str, fingerprint: Fingerprint) -> None:
    if fingerprint[0] < _WORTH_A_COMPARISON_ROWS or not _is_table(conn, name):
        _replace(conn, name)
        return
    for side, table in (("now", name), ("before", f"release.{name}")):
        conn.execute(f"CREATE OR REPLACE TEMP TABLE {side}_hashes AS SELECT rowid AS row, hash(t) AS h FROM {table} AS t")
    conn.execute(f"DELETE FROM release.{name} WHERE rowid IN (SELECT row FROM before_hashes ANTI JOIN now_hashes USING (h))")
    conn.execute(
        f"INSERT INTO release.{name} SELECT * FROM {name} WHERE rowid IN (SELECT row FROM now_hashes ANTI JOIN before_hashes USING (h))"
    )
    for side in ("now", "before"):
        conn.execute(f"DROP TABLE {side}_hashes")
    if _fingerprint(conn, f"release.{name}") != fingerprint:  # rows that stand there twice
        _replace(conn, name)


def _replace(conn: duckdb.DuckDBPyConnection, name: str) -> None:
    conn.execute(f"CREATE OR REPLACE TABLE release.{name} AS FROM {name}")


def _fingerprint(conn: duckdb.DuckDBPyConnection, table: str) -> Fingerprint:
    """The same for the same rows in any order, and else another; the number of rows is first."""
    counts = "count(*), coalesce(bit_xor(hash(t)), 0), coalesce(sum(hash(t)::HUGEINT), 0)"
    rows, exclusive_or, total = conn.execute(f"SELECT {counts} FROM {table} AS t").fetchall()[0]
    return int(rows), int(exclusive_or), int(total)


def _known_fingerprints(conn: duckdb.DuckDBPyConnection, standing: Mapping[str, object]) -> dict[str, Fingerprint]:
    """What the earlier release says of its tables; nothing where it was written by a program or DuckDB that hashes otherwise."""
    if (release_hashes := f'meta."{_HASHES}"') not in standing:
        return {}
    rows = conn.execute(
        f"SELECT table_name, rows_count, exclusive_or, total FROM release.{release_hashes} WHERE hashed_by = ?", [_HASHED_BY]
    )
    return {name: (count, exclusive_or, int(total)) for name, count, exclusive_or, total in rows.fetchall()}


def _finish(conn: duckdb.DuckDBPyConnection, told: Mapping[str, str], written: Mapping[str, Fingerprint]) -> dict[str, int]:
    counts = {name.replace('"', ""): fingerprint[0] for name, fingerprint in written.items()}
    conn.execute(
        f"CREATE OR REPLACE TABLE release.meta.{_HASHES} "
        "(table_name VARCHAR, rows_count BIGINT, exclusive_or UBIGINT, total HUGEINT, hashed_by VARCHAR)"
    )
    for name, fingerprint in written.items():
        conn.execute(f"INSERT INTO release.meta.{_HASHES} VALUES (?, ?, ?, ?, ?)", [name, *fingerprint, _HASHED_BY])
    columns = {"metric_catalogue": "catalogue", "report_catalogue": "catalogue", "release_facts": "facts"}
    for table, text in told.items():
        conn.execute(f"CREATE TABLE release.meta.{table} ({columns[table]} VARCHAR)")
        conn.execute(f"INSERT INTO release.meta.{table} VALUES (?)", [text])
    conn.execute(f"CREATE TABLE release.meta.source_changes AS {last_changes(conn)}")
    if conn.execute("FROM duckdb_tables() WHERE schema_name = 'quarantine' AND table_name = 'document_rows'").fetchone():
        conn.execute(f"CREATE TABLE release.meta.quarantined_documents AS {quarantine_rows.PUBLISHED}")
    conn.execute("CHECKPOINT release")
    return counts


def _tables(conn: duckdb.DuckDBPyConnection) -> list[str]:
    """Tables and views to publish, as SQL names them."""
    rows = conn.execute(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'VIEW') "
        "AND table_catalog = current_database() AND list_contains(?, table_schema) ORDER BY ALL",
        [list(PUBLISHED_SCHEMAS)],
    ).fetchall()
    return [f'{schema}."{table}"' for schema, table in rows]


def _is_table(conn: duckdb.DuckDBPyConnection, name: str) -> bool:
    schema, table = name.replace('"', "").split(".")
    return conn.execute(
        "FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = ? AND table_name = ?", [schema, table]
    ).fetchone() is not None  # fmt: skip


def _shapes(conn: duckdb.DuckDBPyConnection) -> tuple[dict[str, object], dict[str, object]]:
    """Names and types of columns by table: as the release has them, and as the warehouse does."""
    standing: dict[str, object] = {}
    wanted: dict[str, object] = {}
    for database, name, columns in conn.execute(_COLUMNS, [list(PUBLISHED_SCHEMAS)]).fetchall():
        schema, _, table = name.partition(".")
        (standing if database == "release" else wanted)[f'{schema}."{table}"'] = columns
    return standing, wanted


@contextmanager
def _attached(conn: duckdb.DuckDBPyConnection, target: Path) -> Iterator[None]:
    """The file is the database `release` inside the block, with the published schemas in it."""
    conn.execute(f"ATTACH '{str(target).replace(chr(39), chr(39) * 2)}' AS release")
    try:
        for schema in PUBLISHED_SCHEMAS:
            conn.execute(f"CREATE SCHEMA IF NOT EXISTS release.{schema}")
        yield
    except BaseException:
        with suppress(duckdb.Error):  # after a full disk the connection is dead, and what killed it is what is to be told
            conn.execute("DETACH release")
        raise
    conn.execute("DETACH release")
