"""What a broken rule means for the rows of its document, and the record of it in `quarantine.document_rows`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from pipelines.faults.documents import WITH_ITS_DOCUMENT
from pipelines.quality.arrivals import Arrival, count, document_groups
from pipelines.quality.suites import LONGEST_FIELD_BYTES
from pipelines.stores.source_contract import SOURCE_TABLES, SourceTable
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from pipelines.quality.runner import RuleOutcome

_HELD: Final = f"{WITH_ITS_DOCUMENT.code} {WITH_ITS_DOCUMENT.what}"


def open_keys(conn: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Keys of the rows in quarantine, by table, to be read again.

    Tables that a customer's id may be the key of are left out: the warehouse does not know their keys, so a mended row comes by the feed.
    """
    rows = conn.execute(
        "SELECT table_name, list(DISTINCT row_key ORDER BY row_key) FROM quarantine.document_rows "
        "WHERE resolved_run_id IS NULL GROUP BY table_name ORDER BY table_name"
    ).fetchall()
    return {table: keys for table, keys in rows if table in SOURCE_TABLES and not _is_keyed_by_customer(SOURCE_TABLES[table])}


def requeue(conn: duckdb.DuckDBPyConnection) -> int:
    """The next ingest reads all that waits; returns how many rows that are.

    Rows whose keys the warehouse does not know can only be read with all others.
    """
    tables = conn.execute("SELECT table_name, count(*) FROM quarantine.document_rows WHERE resolved_run_id IS NULL GROUP BY ALL").fetchall()
    if any(table in SOURCE_TABLES and _is_keyed_by_customer(SOURCE_TABLES[table]) for table, _ in tables):
        conn.execute("DELETE FROM meta.feed_state")
    return sum(rows for _, rows in tables)


def _is_keyed_by_customer(table: SourceTable) -> bool:
    return table.customer_field is not None and table.customer_field.name in table.key


def start_group(conn: duckdb.DuckDBPyConnection) -> None:
    """No violation is known of the group that comes next."""
    conn.execute(
        "CREATE OR REPLACE TEMP TABLE violations (table_name VARCHAR, row BIGINT, position INTEGER, rule VARCHAR, "
        "reason VARCHAR, got VARCHAR, next_step VARCHAR, unit VARCHAR, row_key VARCHAR)"
    )


def record_violations(conn: duckdb.DuckDBPyConnection, arrival: Arrival, outcomes: Sequence[RuleOutcome]) -> None:
    """Every row that breaks a rule stands in `violations` with the rule, the value it carries and the next step."""
    for position, outcome in enumerate(outcomes):
        if not outcome.failed_rows:
            continue
        rule = outcome.rule
        text = quoted(arrival.table.field(rule.field).warehouse_name)
        conn.register("failed_rows", pa.table({"row": pa.array(outcome.failed_rows, pa.int64())}))
        conn.execute(
            f"INSERT INTO violations SELECT ?, i.rowid, ?, ?, "
            f"?, ', got ' || coalesce(to_json(left({text}, 80))::VARCHAR, 'nothing'), ?, {arrival.unit}, _key "
            f"FROM {arrival.incoming} i JOIN failed_rows f ON i.rowid = f.row",
            [arrival.table.name, position, rule.name, rule.reason, rule.fault.next_step],
        )
        conn.unregister("failed_rows")


def hold_back(conn: duckdb.DuckDBPyConnection, group: Sequence[Arrival]) -> None:
    """`bad_units` names the documents that stay out, and `held_<table>` every arriving row of theirs with its reason."""
    conn.execute(
        "CREATE OR REPLACE TEMP TABLE bad_units AS SELECT unit, "
        "arg_min(table_name || ' ' || row_key || ': ' || reason, position) AS example, "
        "arg_min(table_name || ' ' || row_key || ': ' || reason || got, position) AS cause, "
        "arg_min(next_step, position) AS next_step FROM violations GROUP BY unit"
    )
    for arrival in group:
        document = quoted(arrival.table.field(arrival.table.document).warehouse_name)
        packed = ", ".join(f"{name} := left({name}, {LONGEST_FIELD_BYTES})" for name in (quoted(f.warehouse_name) for f in arrival.present))
        conn.execute(
            f"CREATE OR REPLACE TEMP TABLE {held(arrival)} AS "
            "WITH broken AS (SELECT row, arg_min(rule, position) AS rule, "
            "string_agg(reason || got, '; ' ORDER BY position) AS reason, arg_min(next_step, position) AS next_step "
            "FROM violations WHERE table_name = ? GROUP BY row), "
            f"arrived AS (SELECT rowid AS row, *, {arrival.unit} AS unit FROM {arrival.incoming}) "
            f"SELECT a._key AS row_key, a.{document} AS document_id, to_json(struct_pack({packed}))::VARCHAR AS row_json, "
            "coalesce(b.rule, 'document_is_whole') AS rule, "
            f"coalesce(b.reason, '{_HELD} (' || u.cause || ')') AS reason, "
            f"coalesce(b.next_step, '{WITH_ITS_DOCUMENT.next_step}') AS next_step "
            "FROM arrived a JOIN bad_units u ON a.unit = u.unit LEFT JOIN broken b ON a.row = b.row"
            f"{_held_deletions(arrival)}",
            [arrival.table.name],
        )


def end_group(conn: duckdb.DuckDBPyConnection, group: Sequence[Arrival]) -> None:
    """The temporary tables of the group are gone."""
    for arrival in group:
        for name in (arrival.incoming, arrival.gone, held(arrival)):
            conn.execute(f"DROP TABLE {name}")


def example_of_violation(conn: duckdb.DuckDBPyConnection, table: str) -> str:
    """One row of the group that breaks a rule, with the rule's reason, of a document that was not in quarantine before.

    The value is left out: the example goes into logs and to channels, and where columns moved the value may be an address.
    """
    row = conn.execute(f"SELECT example FROM bad_units WHERE unit NOT IN ({_open_units(table)}) ORDER BY unit LIMIT 1").fetchone()
    return str(row[0]) if row else ""


def held(arrival: Arrival) -> str:
    """Temporary table of the arriving rows that go into quarantine."""
    return quoted(f"held_{arrival.table.name}")


def _held_deletions(arrival: Arrival) -> str:
    """A line's deletion waits with its document, whose last good version stays whole."""
    if not arrival.is_line:
        return ""
    document = quoted(arrival.table.document)
    same = " AND ".join(f"r.{quoted(name)} = g.{quoted(name)}" for name in arrival.key_columns)
    return (
        f" UNION ALL SELECT g._key, r.{document}, NULL, 'document_is_whole', "
        f"'{_HELD} (' || u.cause || ')', '{WITH_ITS_DOCUMENT.next_step}' "
        f"FROM {arrival.gone} g JOIN {arrival.raw} r ON {same} JOIN bad_units u ON r.{document} = u.unit"
    )


def count_documents(conn: duckdb.DuckDBPyConnection, group: Sequence[Arrival]) -> tuple[int, int]:
    """Documents that arrived, and how many of them are bad; those in quarantine before count in neither: a hold remembers them."""
    units = " UNION ".join(f"SELECT {arrival.unit} AS unit FROM {arrival.incoming}" for arrival in group)
    row = conn.execute(
        f"SELECT count(*), count(*) FILTER (b.unit IS NOT NULL) FROM ({units}) u LEFT JOIN bad_units b ON b.unit = u.unit "
        f"WHERE u.unit NOT IN ({_open_units(group[0].table.name)})"
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def count_held_documents(conn: duckdb.DuckDBPyConnection, arrival: Arrival) -> int:
    """Documents of this table that the batch keeps out."""
    return count(conn, f"SELECT count(DISTINCT coalesce(document_id, row_key)) FROM {held(arrival)}")


def count_open_documents(conn: duckdb.DuckDBPyConnection, table: str, *, but_of_runs: Sequence[str] = ()) -> int:
    """Documents of this table and its lines that are in quarantine now, without those that came in one of these runs."""
    return count(conn, f"SELECT count(*) FROM ({_open_units(table)} AND NOT list_contains(?, first_run_id))", [list(but_of_runs)])


def count_documents_of_run(conn: duckdb.DuckDBPyConnection, table: str, *, run_id: str) -> int:
    """Documents of this table and its lines that came into quarantine in this run and are there still."""
    return count(conn, f"SELECT count(*) FROM ({_open_units(table)} AND first_run_id = ?)", [run_id])


def _open_units(table: str) -> str:
    group = next(names for names in ([one.name for one in group] for group in document_groups()) if table in names)
    unit = "coalesce(document_id, row_key)" if len(group) > 1 else "row_key"
    tables = ", ".join(f"'{name}'" for name in group)
    return f"SELECT DISTINCT {unit} AS unit FROM quarantine.document_rows WHERE resolved_run_id IS NULL AND table_name IN ({tables})"


def write_quarantine(conn: duckdb.DuckDBPyConnection, arrival: Arrival, *, run_id: str, is_full_resync: bool) -> int:
    """Rows held back are open in quarantine, rows that came in clean or are gone are resolved; returns the rows held.

    Of what is resolved only the reason stays. A row that was open before keeps the run in which it was first seen.
    """
    name = arrival.table.name
    came = "true" if is_full_resync else (
        f"row_key IN (SELECT _key FROM {arrival.incoming} UNION ALL SELECT _key FROM {arrival.gone})"
    )  # fmt: skip
    conn.execute(
        f"UPDATE quarantine.document_rows SET resolved_run_id = ?, row_json = NULL WHERE table_name = ? AND resolved_run_id IS NULL "
        f"AND {came} AND row_key NOT IN (SELECT row_key FROM {held(arrival)})",
        [run_id, name],
    )
    conn.execute(
        "CREATE OR REPLACE TEMP TABLE first_seen AS SELECT row_key, min(first_run_id) AS run FROM quarantine.document_rows "
        "WHERE table_name = ? AND resolved_run_id IS NULL GROUP BY row_key",
        [name],
    )
    conn.execute(
        f"DELETE FROM quarantine.document_rows WHERE table_name = ? AND resolved_run_id IS NULL "
        f"AND row_key IN (SELECT row_key FROM {held(arrival)})",
        [name],
    )
    return count(
        conn,
        f"INSERT INTO quarantine.document_rows SELECT ?, document_id, h.row_key, row_json, rule, reason, next_step, "
        f"coalesce(f.run, ?), ?, NULL FROM {held(arrival)} h LEFT JOIN first_seen f ON f.row_key = h.row_key "
        "ORDER BY h.row_key",
        [name, run_id, run_id],
    )


def resolve_all(conn: duckdb.DuckDBPyConnection, table: str, *, run_id: str) -> None:
    """Nothing of this table is open in quarantine: the source has it no more."""
    conn.execute(
        "UPDATE quarantine.document_rows SET resolved_run_id = ?, row_json = NULL WHERE table_name = ? AND resolved_run_id IS NULL",
        [run_id, table],
    )
