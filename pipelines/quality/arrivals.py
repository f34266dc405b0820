"""The rows of one batch as they arrived, as text in temporary tables, and what can be worked out about them in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from pipelines.quality.suites import AGREED_WITH, LONGEST_FIELD_BYTES, PRECEDED_BY, SOUND, TAKEN_FROM
from pipelines.stores.source_contract import SOURCE_TABLES, WAREHOUSE_TYPES, Field, SourceTable
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb
    import pandas as pd

    from pipelines.quality.suites import RowRule

# A whole number may carry zeros behind a point, as numeric columns print them; DuckDB alone would round 1.5 to 2.
_WHOLE_NUMBER: Final = r"\s*[+-]?\d+(\.0*)?\s*"

# DuckDB alone would leave an hour's distance to UTC out and keep the rest as if it were UTC.
_OFFSET: Final = r":\d\d(\.\d+)?\s*[+-]\d\d(:?\d\d)?\s*$"

# Table of lines -> table of their headers, as the contract's names pair them: order_lines -> orders.
_HEADER_OF_LINES: Final = {line: header for header in SOURCE_TABLES if (line := f"{header.removesuffix('s')}_lines") in SOURCE_TABLES}


@dataclass(frozen=True, slots=True)
class Arrival:
    """What arrived of one table: `incoming` holds its rows as text, `gone` the keys of rows that are no more.

    Attributes:
        fields: Contract fields that the source has.
        rows_in: Rows and deletions that arrived, copies included.
    """

    table: SourceTable
    fields: frozenset[str]
    rows_in: int
    rows_incoming: int
    rows_gone: int
    rows_duplicate: int

    @property
    def is_line(self) -> bool:
        """The rows are lines of a document that has a header table."""
        return self.table.name in _HEADER_OF_LINES

    @property
    def is_grouped(self) -> bool:
        """A document of this table may have rows in another table too."""
        return self.is_line or self.table.name in _HEADER_OF_LINES.values()

    @property
    def incoming(self) -> str:
        """Temporary table of the rows that arrived: `_key` and one text column per field."""
        return quoted(f"incoming_{self.table.name}")

    @property
    def gone(self) -> str:
        """Temporary table of keys that are deleted: `_key` and the typed key columns."""
        return quoted(f"gone_{self.table.name}")

    @property
    def raw(self) -> str:
        """The table in the warehouse."""
        return f"raw.{quoted(self.table.name)}"

    @property
    def unit(self) -> str:
        """SQL over `incoming` for what is quarantined as a whole: the document where lines belong to it, or the row."""
        if not self.is_grouped:
            return "_key"
        return f"coalesce({quoted(self.table.field(self.table.document).warehouse_name)}, _key)"

    @property
    def key_columns(self) -> list[str]:
        """The key's columns as the warehouse names them."""
        return [self.table.field(name).warehouse_name for name in self.table.key]

    @property
    def present(self) -> list[Field]:
        """The fields that the source has, in contract order."""
        return [field for field in self.table.fields if field.name in self.fields]

    def typed_key(self) -> dict[str, str]:
        """The key's columns as the warehouse names them, each with the SQL over `_key` that casts its text, or gives null."""
        return {
            column: _cast(self.table.field(self.table.key[place]), f"(_key ->> {place})") for place, column in enumerate(self.key_columns)
        }

    def typed_columns(self) -> dict[str, str]:
        """Warehouse columns that arrived, each with the SQL over `incoming` that casts its text, or gives null."""
        return {field.warehouse_name: _cast(field, quoted(field.warehouse_name)) for field in self.present}


def document_groups() -> list[tuple[SourceTable, ...]]:
    """Tables that make up one document, header before lines, in load order; most tables stand alone."""
    lines = {header: SOURCE_TABLES[line] for line, header in _HEADER_OF_LINES.items()}
    return [(table, lines[name]) if name in lines else (table,) for name, table in SOURCE_TABLES.items() if name not in _HEADER_OF_LINES]


def receive(
    conn: duckdb.DuckDBPyConnection,
    table: SourceTable,
    *,
    fields: frozenset[str],
    rows: pa.RecordBatchReader | None,
    changed_keys: pa.Table | None,
) -> Arrival:
    """The rows stand in temporary tables; rows that are copies of one another in every column are there once.

    Args:
        rows: Current rows as text, or None where nothing of the table changed.
        changed_keys: Keys that changed; those without a current row are gone. None when all rows were read.
    """
    shell = Arrival(table, fields, 0, 0, 0, 0)
    if rows is None:
        columns = ", ".join(f"{quoted(field.warehouse_name)} VARCHAR" for field in shell.present)
        conn.execute(f"CREATE OR REPLACE TEMP TABLE {shell.incoming} (_key VARCHAR, {columns})")
    else:
        conn.register("arriving_rows", rows)
        conn.execute(f"CREATE OR REPLACE TEMP TABLE {shell.incoming} AS SELECT * FROM arriving_rows")
        conn.unregister("arriving_rows")
    arrived = count(conn, f"SELECT count(*) FROM {shell.incoming}")
    duplicate = _drop_copies(conn, shell, arrived)
    gone = _split_off_gone(conn, shell, changed_keys)
    unmarked = count(conn, f"SELECT count(*) FROM {shell.incoming}")
    marked = arrived - duplicate - unmarked
    return Arrival(table, fields, arrived + gone - marked, unmarked, gone, duplicate)


def _drop_copies(conn: duckdb.DuckDBPyConnection, arrival: Arrival, arrived: int) -> int:
    if count(conn, f"SELECT count(DISTINCT hash(_key)) FROM {arrival.incoming}") == arrived:
        return 0
    conn.execute(f"CREATE OR REPLACE TEMP TABLE {arrival.incoming} AS SELECT DISTINCT * FROM {arrival.incoming}")
    return arrived - count(conn, f"SELECT count(*) FROM {arrival.incoming}")


def _split_off_gone(conn: duckdb.DuckDBPyConnection, arrival: Arrival, changed_keys: pa.Table | None) -> int:
    """Deleted keys: those that changed and have no row, and rows that the source marks as deleted."""
    selects = []
    if changed_keys is not None:
        conn.register("arriving_keys", changed_keys)
        selects.append(f"SELECT key AS _key FROM arriving_keys ANTI JOIN {arrival.incoming} i ON i._key = key")
    marked = "TRY_CAST(is_deleted AS BOOLEAN)" if "is_deleted" in arrival.fields else "false"
    selects.append(f"SELECT _key FROM {arrival.incoming} WHERE {marked}")
    typed = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in arrival.typed_key().items())
    conn.execute(f"CREATE OR REPLACE TEMP TABLE {arrival.gone} AS SELECT _key, {typed} FROM ({' UNION '.join(selects)})")
    if changed_keys is not None:
        conn.unregister("arriving_keys")
    conn.execute(f"DELETE FROM {arrival.incoming} WHERE {marked}")
    return count(conn, f"SELECT count(*) FROM {arrival.gone}")


def frame_to_check(
    conn: duckdb.DuckDBPyConnection,
    arrival: Arrival,
    rules: Sequence[RowRule],
    *,
    headers: Mapping[str, Arrival],
    sound: Sequence[RowRule] = (),
    only: Sequence[int] | None = None,
) -> pd.DataFrame:
    """One row per arriving row, indexed by its row id, with exactly the columns that the rules judge, as `check_rows` asks.

    Args:
        headers: Tables of the same group that are not applied yet, by name; a reference into them may be found there.
        sound: Rules that the column of `SOUND` answers together.
        only: Row ids to give; all where None.
    """
    columns = {rule.column: _judged(conn, arrival, rule, headers) for rule in rules}
    if sound:
        columns[SOUND.column] = " AND ".join(_judged(conn, arrival, rule, headers) for rule in sound)
    select = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in columns.items())
    asked = "" if only is None else " WHERE rowid IN (SELECT row FROM asked_rows)"
    conn.register("asked_rows", pa.table({"row": pa.array(only or (), pa.int64())}))
    frame = conn.execute(f"SELECT rowid AS _row, {select} FROM {arrival.incoming}{asked}").df()
    conn.unregister("asked_rows")
    return frame.set_index("_row").rename_axis(None)


def _judged(conn: duckdb.DuckDBPyConnection, arrival: Arrival, rule: RowRule, headers: Mapping[str, Arrival]) -> str:
    field = arrival.table.field(rule.field)
    text = quoted(field.warehouse_name)
    match rule.aspect:
        case "given":
            return f"({text} IS NOT NULL AND {text} <> '')"
        case "intact" | "short":
            test = f"NOT contains({text}, chr(0))" if rule.aspect == "intact" else f"strlen({text}) <= {LONGEST_FIELD_BYTES}"
            return f"({text} IS NULL OR {test})"
        case "readable":
            return f"({text} IS NULL OR {_cast(field, text)} IS NOT NULL)"
        case "known":
            return f"({text} IS NULL OR {text} IN ({_known_values(field, headers)}))"
        case "in_order" | "agreed" | "covered" | "unique":
            return _compared(conn, arrival, rule)
        case "sound" | "past" | "plausible" | "allowed":
            return f"epoch({_cast(field, text)})" if field.kind == "timestamp" else _cast(field, text)


def _compared(conn: duckdb.DuckDBPyConnection, arrival: Arrival, rule: RowRule) -> str:
    if rule.aspect == "in_order":
        return _in_order(arrival, rule.field)
    if rule.aspect == "agreed":
        return _agreed(arrival, rule.field)
    return _covered(arrival, rule.field) if rule.aspect == "covered" else _unique(conn, arrival)


def _in_order(arrival: Arrival, name: str) -> str:
    link, earlier, at = PRECEDED_BY[arrival.table.name, name]
    field = arrival.table.field(name)
    before = f"SELECT max(e.{at})::DATE FROM raw.{quoted(earlier)} e WHERE e.{link} = {arrival.incoming}.{link}"
    return f"coalesce({_cast(field, quoted(field.warehouse_name))}::DATE >= ({before}), true)"


def _agreed(arrival: Arrival, name: str) -> str:
    link, other, column = AGREED_WITH[arrival.table.name, name]
    theirs = f"SELECT max(o.{column}) FROM raw.{quoted(other)} o WHERE o.{link} = {arrival.incoming}.{link}"
    return f"coalesce({quoted(name)} = ({theirs}), true)"


def _covered(arrival: Arrival, name: str) -> str:
    """Rows are served in the order of their keys, after those in `raw`: of several only those beyond the whole are held back."""
    link, origin, whole = TAKEN_FROM[arrival.table.name, name]
    key, quantity, link = quoted(arrival.key_columns[0]), quoted(name), quoted(link)
    replaced = (
        f"SELECT {key} FROM {arrival.incoming} WHERE {key} IS NOT NULL UNION ALL SELECT {key} FROM {arrival.gone} WHERE {key} IS NOT NULL"
    )
    taken = (
        f"SELECT '' AS _key, 0 AS turn, {link}, {quantity} AS qty FROM {arrival.raw} WHERE {key} NOT IN ({replaced}) "
        f"UNION ALL SELECT _key, 1, {link}, {_cast(arrival.table.field(name), quantity)} FROM {arrival.incoming}"
    )
    sums = (
        f"SELECT _key, turn, {link}, sum(greatest(TRY_CAST(qty AS BIGINT), 0)) OVER (PARTITION BY {link} ORDER BY turn, _key) AS total "
        f"FROM ({taken}) WHERE {link} IS NOT NULL"
    )
    most = f"SELECT {link}, TRY_CAST({quoted(whole)} AS BIGINT) AS most FROM raw.{quoted(origin)}"
    return f"(_key NOT IN (SELECT _key FROM ({sums}) JOIN ({most}) USING ({link}) WHERE turn = 1 AND total > most))"


def _unique(conn: duckdb.DuckDBPyConnection, arrival: Arrival) -> str:
    if count(conn, f"SELECT count(DISTINCT hash(_key)) FROM {arrival.incoming}") == arrival.rows_incoming:
        return "true"
    return f"(_key NOT IN (SELECT _key FROM {arrival.incoming} GROUP BY _key HAVING count(*) > 1))"


def _known_values(field: Field, headers: Mapping[str, Arrival]) -> str:
    referenced, _, column = str(field.references).partition(".")
    standing = f"SELECT {quoted(column)} FROM raw.{quoted(referenced)} WHERE {quoted(column)} IS NOT NULL"
    header = headers.get(referenced)
    if header is None:
        return standing
    kept = f"{standing} AND {quoted(column)} NOT IN (SELECT {quoted(column)} FROM {header.gone})"
    arrived = f"SELECT {quoted(column)} FROM {header.incoming} WHERE {quoted(column)} IS NOT NULL"
    return f"{kept} UNION ALL {arrived}"


def _cast(field: Field, text: str) -> str:
    """SQL that turns a field's text into its type in the warehouse, or null."""
    cast = f"TRY_CAST({text} AS {WAREHOUSE_TYPES[field.kind]})"
    match field.kind:
        case "text":
            return text
        case "integer":
            return f"(CASE WHEN regexp_full_match({text}, '{_WHOLE_NUMBER}') THEN {cast} END)"
        case "float":
            return f"(CASE WHEN isfinite({cast}) THEN {cast} END)"
        case "timestamp":
            moved = f"(TRY_CAST({text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
            cast = f"(CASE WHEN regexp_matches({text}, '{_OFFSET}') THEN {moved} ELSE {cast} END)"
    if field.kind in {"timestamp", "date"}:  # beyond these years nothing can be reckoned with
        return f"(CASE WHEN isfinite({cast}) AND year({cast}) BETWEEN 1 AND 9999 THEN {cast} END)"
    return cast


def count(conn: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object] = ()) -> int:
    """The one number that the query or the statement answers."""
    row = conn.execute(query, list(parameters)).fetchone()
    return int(row[0]) if row else 0
