"""From typed rows to contract tables, in an in-memory DuckDB that can reach nothing outside itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Final

import duckdb
import polars as pl

from pipelines.errors import ContractError
from pipelines.faults import files as faults
from pipelines.steps.import_defects import defect_sql
from pipelines.steps.import_mapping import ImportMapping, Lookup, TableMapping
from pipelines.steps.import_rows import file_table, literal, quoted, run_mapped
from pipelines.steps.import_times import skipped_times
from pipelines.stores.source_contract import SOURCE_TABLES, WAREHOUSE_TYPES, Kind
from pipelines.stores.source_rows import FRAME_TYPES

CUSTOMER_OF_RETURN: Final = "_customer_id"  # beside the contract's columns of return_lines, where returns are to be matched
_MEMORY: Final = "512MB"  # beyond it, rows go to a temporary folder
_LOCKS: Final = ("SET python_enable_replacements = false", "SET enable_external_access = false", "SET lock_configuration = true")
# For mappings: the value that occurs most often, the first in order where several do; DuckDB's own `mode` leaves ties to chance.
_MOST_FREQUENT: Final = """
    CREATE MACRO most_frequent(v) AS
    list_sort(list_transform(map_entries(histogram(v)), lambda e: {'rank': -e.value::BIGINT, 'value': e.key}))[1].value
"""
_INTEGERS: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_FITTING: Final[dict[Kind, tuple[str, ...]]] = {
    "text": ("VARCHAR",),
    "integer": _INTEGERS,
    "decimal": (*_INTEGERS, "DECIMAL", "DOUBLE", "FLOAT"),
    "float": (*_INTEGERS, "DECIMAL", "DOUBLE", "FLOAT"),
    "timestamp": ("TIMESTAMP", "DATE"),
    "date": ("DATE",),
    "boolean": ("BOOLEAN",),
}


@dataclass(frozen=True, slots=True)
class FateCount:
    """Rows of one part of a file with the same fate, decided by the same rule."""

    part: int
    fate: str
    rule: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Defect:
    """What is wrong with one rejected row, as `import_defects` packs it."""

    part: int
    line: int
    text: str


@contextmanager
def open_workbench() -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory database of bounded size, from which no expression reaches a file, the network or a Python variable."""
    with TemporaryDirectory(prefix="ordercast-") as spill, duckdb.connect(":memory:") as conn:
        conn.execute(f"SET memory_limit = '{_MEMORY}'; SET threads = 2; SET temp_directory = {literal(spill)}")
        conn.execute("SET enable_progress_bar = false")  # DuckDB would draw it into the JSON on standard output
        for statement in (_MOST_FREQUENT, *_LOCKS):
            conn.execute(statement)
        yield conn


def build_tables(conn: duckdb.DuckDBPyConnection, mapping: ImportMapping) -> None:
    """Every mapped contract table stands in `conn`, complete in its required columns and unique by its key.

    A row that cannot be so is rejected, and with it every other row of its document in all files.

    Raises:
        ContractError: An expression of the mapping does not work on these files.
    """
    _reject_documents(conn, mapping)
    rejects_more = True
    while rejects_more:
        for name, lookup in mapping.lookups.items():
            _build_lookup(conn, name, lookup)
        for name, table in mapping.tables.items():
            if table.source is not None:
                _build_table(conn, name, table, mapping)
        rejects_more = False
        for name, table in mapping.tables.items():
            if table.source is not None and _reject_unloadable(conn, name, table, zone=mapping.zone):
                rejects_more = True
        if rejects_more:
            _reject_documents(conn, mapping)


def table_frame(conn: duckdb.DuckDBPyConnection, name: str, mapping: ImportMapping) -> pl.DataFrame:
    """The rows of one built contract table, in key order; times are still local."""
    table = mapping.tables[name]
    if table.source is None:
        return _given_rows(name, table, zone=mapping.zone)
    columns = [*_target_columns(name, table, mapping)]
    if table.match_to_sales_of:
        columns.append(CUSTOMER_OF_RETURN)
    keys = ", ".join(map(quoted, SOURCE_TABLES[name].key))
    return conn.sql(f"SELECT {', '.join(map(quoted, columns))} FROM {_built(name)} ORDER BY {keys}").pl()


def fate_counts(conn: duckdb.DuckDBPyConnection, file: str) -> list[FateCount]:
    """Rows of one declared file by part, fate and rule."""
    rows = conn.sql(f"SELECT _part, _fate, _rule, count(*) FROM {file_table(file)} GROUP BY ALL ORDER BY ALL").fetchall()
    return [FateCount(*row) for row in rows]


def rejected_defects(conn: duckdb.DuckDBPyConnection, file: str) -> list[Defect]:
    """What is wrong with the rejected rows of a declared file, in file order."""
    query = f"SELECT _part, _line, _defect FROM {file_table(file)} WHERE _fate = 'rejected' ORDER BY _row"
    return [Defect(*row) for row in conn.sql(query).fetchall()]


def warned_counts(conn: duckdb.DuckDBPyConnection, mapping: ImportMapping) -> dict[str, int]:
    """For each `warn` rule the rows it holds for, among those that no other rule concerns."""
    counts = {}
    for name, file in mapping.files.items():
        for rule in (rule for rule in file.rules if rule.then == "warn"):
            judged = f"SELECT ({rule.when}) AS holds FROM {file_table(name)} WHERE _fate = 'used'"
            run_mapped(conn, f"files.{name}.rules.{rule.name}", f"CREATE OR REPLACE TEMP TABLE warned AS {judged}")
            counts[rule.name] = int(conn.sql("SELECT count(*) FROM warned WHERE holds").fetchall()[0][0])
    return counts


def _built(name: str) -> str:
    return f'"table_{name}"'


def _target_columns(name: str, table: TableMapping, mapping: ImportMapping) -> dict[str, str]:
    """Contract column -> expression. A table's currency is the mapping's where no column of the file says it."""
    columns = dict(table.columns)
    if "currency" in SOURCE_TABLES[name].field_names and "currency" not in columns:
        columns["currency"] = literal(mapping.currency)
    return columns


def _given_rows(name: str, table: TableMapping, *, zone: str) -> pl.DataFrame:
    contract = SOURCE_TABLES[name]
    given = {column: [row.get(column) for row in table.values] for column in table.target_columns}
    try:
        series = {column: pl.Series(column, values).cast(FRAME_TYPES[contract.field(column).kind]) for column, values in given.items()}
    except (pl.exceptions.PolarsError, TypeError) as exc:
        raise ContractError(f"Mapping, tables.{name}.values: {exc}. Nothing was imported; correct the values and import again.") from None
    for column in (column for column in series if contract.field(column).kind == "timestamp"):
        if len(skipped := skipped_times(series[column], zone=zone)):
            raise ContractError(
                f"Mapping, tables.{name}.values: clocks in {zone} skip {column} {skipped[0]}. Nothing was imported; correct it."
            )
    return pl.DataFrame(series)


def _build_lookup(conn: duckdb.DuckDBPyConnection, name: str, lookup: Lookup) -> None:
    columns = ", ".join(f"({expression}) AS {quoted(column)}" for column, expression in lookup.columns.items())
    rows = f"SELECT ({lookup.by}) AS _by, {columns} FROM {file_table(lookup.source)} WHERE _fate IN ('used', 'redirected') GROUP BY 1"
    run_mapped(conn, f"lookups.{name}", f'CREATE OR REPLACE TABLE "lookup_{name}" AS {rows}')


def _build_table(conn: duckdb.DuckDBPyConnection, name: str, table: TableMapping, mapping: ImportMapping) -> None:
    contract = SOURCE_TABLES[name]
    columns = _target_columns(name, table, mapping)
    selected = [f"({expression}) AS {quoted(column)}" for column, expression in columns.items()]
    if table.match_to_sales_of:
        selected.append(f"({table.match_to_sales_of}) AS {CUSTOMER_OF_RETURN}")
    joins = " ".join(f'LEFT JOIN "lookup_{lookup}" AS "{lookup}" ON "{lookup}"._by = ({key})' for lookup, key in table.join.items())
    streams = ", ".join(map(literal, table.rows))
    where = f"_fate IN ('used', 'redirected') AND coalesce(_rule, 'used') IN ({streams})" + (f" AND ({table.where})" if table.where else "")
    rows, grouping = "_row", ""
    if table.one_row_per_key:
        rows, grouping = "list(_row) AS _rows", "GROUP BY " + ", ".join(f"({columns[key]})" for key in contract.key)
    inner = f"SELECT {', '.join(selected)}, {rows} FROM {file_table(table.source or '')} AS source {joins} WHERE {where} {grouping}"
    run_mapped(conn, f"tables.{name}", f"CREATE OR REPLACE TEMP TABLE untyped AS {inner}")
    _check_types(conn, name)
    fitting = {column: f"TRY_CAST({quoted(column)} AS {WAREHOUSE_TYPES[contract.field(column).kind]})" for column in columns}
    casts = ", ".join(f"{cast} AS {quoted(column)}" for column, cast in fitting.items())
    lost = " ".join(
        f"WHEN {quoted(column)} IS NOT NULL AND {cast} IS NULL THEN "
        + defect_sql(faults.DOES_NOT_FIT, detail=literal(f" ({column} of {name})"), got=f"{quoted(column)}::VARCHAR")
        for column, cast in fitting.items()
    )
    conn.execute(f"CREATE OR REPLACE TABLE {_built(name)} AS SELECT * REPLACE ({casts}), CASE {lost} END AS _unfit FROM untyped")
    conn.execute("DROP TABLE untyped")


def _check_types(conn: duckdb.DuckDBPyConnection, name: str) -> None:
    contract = SOURCE_TABLES[name]
    for column, found, *_ in conn.sql("DESCRIBE untyped").fetchall():
        if column in contract.field_names:
            kind = contract.field(column).kind
            if str(found).partition("(")[0] not in _FITTING[kind]:
                raise ContractError(
                    f"Mapping, tables.{name}.columns.{column}: the expression gives {found}, the contract wants {kind}. "
                    "Nothing was imported; declare the file's column so, or cast in the expression."
                )


def _reject_unloadable(conn: duckdb.DuckDBPyConnection, name: str, table: TableMapping, *, zone: str) -> bool:
    """Reject the rows behind table rows that lack a required value, repeat a key or cannot be held; whether there were any."""
    contract = SOURCE_TABLES[name]
    needed = {*contract.required_fields, *contract.key} & table.columns.keys()
    rows = "unnest(_rows)" if table.one_row_per_key else "_row"
    queries = [
        f"SELECT {rows} AS _row, {defect_sql(faults.NO_VALUE, detail=literal(f' ({column} of {name})'))} AS defect "
        f"FROM {_built(name)} WHERE {quoted(column)} IS NULL"
        for column in sorted(needed)
    ]
    queries.append(f"SELECT {rows} AS _row, _unfit AS defect FROM {_built(name)} WHERE _unfit IS NOT NULL")
    queries += [_in_skipped_hours(conn, name, column, rows, zone=zone) for column in _times(name, table)]
    if not table.one_row_per_key:
        keys = ", ".join(map(quoted, contract.key))
        told = defect_sql(faults.SAME_KEY, detail=literal(f" of {name}"), got=f"concat_ws(', ', {keys})")
        repeated = f"SELECT {keys} FROM {_built(name)} GROUP BY ALL HAVING count(*) > 1"
        queries.append(f"SELECT _row, {told} AS defect FROM {_built(name)} SEMI JOIN ({repeated}) USING ({keys})")
    found = f"SELECT _row, min(defect) AS defect FROM ({' UNION ALL '.join(queries)}) GROUP BY _row"
    conn.execute(f"CREATE OR REPLACE TEMP TABLE unloadable AS {found}")
    if conn.sql("SELECT count(*) FROM unloadable").fetchall() == [(0,)]:
        return False
    conn.execute(f"""
        UPDATE {file_table(table.source or "")} AS file SET _fate = 'rejected', _rule = NULL, _defect = defect
        FROM unloadable WHERE file._row = unloadable._row
    """)
    return True


def _times(name: str, table: TableMapping) -> list[str]:
    return [column for column in table.columns if SOURCE_TABLES[name].field(column).kind == "timestamp"]


def _in_skipped_hours(conn: duckdb.DuckDBPyConnection, name: str, column: str, rows: str, *, zone: str) -> str:
    """A query for the rows whose time never was; such a time stands for none, so nobody can say which was meant."""
    times = conn.sql(f"SELECT DISTINCT {quoted(column)} FROM {_built(name)}").pl()[column]
    skipped = [f"TIMESTAMP {literal(str(time))}" for time in skipped_times(times, zone=zone)]
    told = defect_sql(faults.SKIPPED_HOUR, detail=literal(f" of {zone} ({column} of {name})"), got=f"{quoted(column)}::VARCHAR")
    return f"SELECT {rows} AS _row, {told} AS defect FROM {_built(name)} WHERE {quoted(column)} IN ({', '.join(skipped) or 'NULL'})"


def _reject_documents(conn: duckdb.DuckDBPyConnection, mapping: ImportMapping) -> None:
    """Reject every row of a document of which one row is rejected, in all files that name the document."""
    names = {document for file in mapping.files.values() for document in file.document}
    for document in sorted(names):
        columns = {name: quoted(file.document[document]) for name, file in mapping.files.items() if document in file.document}
        bad = " UNION ".join(
            f"SELECT {column}::VARCHAR AS id FROM {file_table(name)} WHERE _fate = 'rejected'" for name, column in columns.items()
        )
        conn.execute(f"CREATE OR REPLACE TEMP TABLE bad AS SELECT id FROM ({bad}) WHERE id IS NOT NULL")
        for name, column in columns.items():
            told = defect_sql(faults.BAD_DOCUMENT, detail=f"' (' || {literal(document)} || ' ' || {column}::VARCHAR || ')'")
            conn.execute(f"""
                UPDATE {file_table(name)} SET _fate = 'rejected', _rule = NULL, _defect = {told}
                WHERE _fate IN ('used', 'redirected') AND {column}::VARCHAR IN (SELECT id FROM bad)
            """)
