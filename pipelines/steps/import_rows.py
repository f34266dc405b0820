"""The rows of an export with their declared types, and what becomes of each: used, redirected, excluded, duplicate or rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import duckdb
import polars as pl

from pipelines.errors import ContractError
from pipelines.faults import files as faults
from pipelines.steps.import_defects import defect_sql, raise_all, refused
from pipelines.steps.import_mapping import Dialect, SourceFile
from pipelines.steps.import_reading import ReadFile
from pipelines.stores.source_contract import WAREHOUSE_TYPES, Kind

_A_KIND: Final[dict[Kind, str]] = {
    "text": "a text", "integer": "an integer", "decimal": "a decimal", "float": "a number",
    "timestamp": "a time", "date": "a date", "boolean": "true or false",
}  # fmt: skip
_BOUNDS: Final[dict[Kind, tuple[str, str]]] = {
    "integer": ("-999999999999999999", "999999999999999999"),
    "timestamp": ("TIMESTAMP '0001-01-01'", "TIMESTAMP '9999-12-31 23:59:59.999999'"),
    "date": ("DATE '0001-01-01'", "DATE '9999-12-31'"),
}
_MAPPING_MISTAKES: Final = (
    duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException, duckdb.ConversionException,
    duckdb.InvalidInputException, duckdb.PermissionException, duckdb.NotImplementedException, duckdb.OutOfRangeException,
)  # fmt: skip


def file_table(name: str) -> str:
    """The table that holds the rows of one declared file: `_row`, `_part`, `_line`, its columns, `_defect`, `_rule`, `_fate`."""
    return f'"file_{name}"'


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def run_mapped(conn: duckdb.DuckDBPyConnection, where: str, sql: str) -> None:
    """Run SQL that holds an expression of the mapping.

    Raises:
        ContractError: The expression does not work; the message says where it stands.
    """
    try:
        conn.execute(sql)
    except _MAPPING_MISTAKES as exc:
        raise mapping_mistake(where, exc) from None


def mapping_mistake(where: str, exc: duckdb.Error) -> ContractError:
    """What is wrong with an expression, without the SQL that was made around it."""
    lines = str(exc).splitlines()
    told = " ".join(line.strip() for line in lines if line.strip() and not line.startswith(("LINE", " ")))
    near = next((f" near: {line.partition(': ')[2]}" for line in lines if line.startswith("LINE")), "")
    return ContractError(f"Mapping, {where}: {told}{near}. Nothing was imported; correct the expression and import again.")


def load_rows(conn: duckdb.DuckDBPyConnection, name: str, declared: SourceFile, parts: Sequence[ReadFile], dialect: Dialect) -> None:
    """The rows of one declared file stand in `file_table(name)` with types and fates.

    Rows that a later part shares with an earlier one, and all rows of a part that is the same file, are duplicates; then the first
    rule that holds decides; a row that no rule excludes and that has a defect is rejected.

    Raises:
        SourceFileError: The declared key repeats.
        ContractError: A rule does not work on these columns.
    """
    offset = 0
    for number, part in enumerate(parts):
        _load_part(conn, number, part, declared, dialect, offset=offset)
        offset += part.rows.height
    derived = "".join(f", ({expression}) AS {quoted(column)}" for column, expression in declared.derived.items())
    union = " UNION ALL ".join(f"SELECT *{derived} FROM part_{number}" for number in range(len(parts)))
    conn.execute("CREATE OR REPLACE TEMP TABLE shared (_row BIGINT)")
    for number, part in enumerate(parts):
        if part.is_copy:
            conn.execute(f"INSERT INTO shared SELECT _row FROM part_{number}")
        elif declared.drop_rows_shared_by_parts and number:
            _find_shared_rows(conn, number, list(map(quoted, declared.columns)))
    deciding = [rule for rule in declared.rules if rule.then != "warn"]
    rule = f"CASE {' '.join(f'WHEN ({rule.when}) THEN {literal(rule.name)}' for rule in deciding)} END" if deciding else "NULL::VARCHAR"
    excluding = ", ".join(map(literal, declared.rule_names("exclude"))) or "''"
    sql = f"""
        CREATE TABLE {file_table(name)} AS
        WITH every AS ({union}), judged AS (SELECT *, {rule} AS _decided FROM every ANTI JOIN shared USING (_row))
        SELECT * EXCLUDE (_decided), CASE WHEN _defect IS NULL OR _decided IN ({excluding}) THEN _decided END AS _rule,
            CASE WHEN _decided IN ({excluding}) THEN 'excluded' WHEN _defect IS NOT NULL THEN 'rejected'
                WHEN _decided IS NOT NULL THEN 'redirected' ELSE 'used' END AS _fate
        FROM judged
        UNION ALL SELECT *, NULL AS _rule, 'duplicate' AS _fate FROM every SEMI JOIN shared USING (_row)
    """
    run_mapped(conn, f"files.{name}", sql)
    for number in range(len(parts)):
        conn.execute(f"DROP TABLE part_{number}")
    if declared.key:
        _refuse_repeated_key(conn, name, declared, parts)


def _load_part(
    conn: duckdb.DuckDBPyConnection, number: int, part: ReadFile, declared: SourceFile, dialect: Dialect, *, offset: int
) -> None:
    found: Mapping[str, pl.DataType] = part.rows.schema
    typed = {column: typed_sql(column, kind, found[column], dialect) for column, kind in declared.columns.items()}
    selected = ", ".join(f"{sql} AS {quoted(column)}" for column, sql in typed.items())
    failures = " ".join(
        f"WHEN {quoted(column)} IS NOT NULL AND {typed[column]} IS NULL "
        f"THEN {defect_sql(faults.UNREADABLE, column=column, detail=literal(f', {_A_KIND[kind]}'), got=f'{quoted(column)}::VARCHAR')}"
        for column, kind in declared.columns.items()
        if kind != "text"
    )
    defect = f"CASE WHEN _defect IS NOT NULL THEN _defect {failures} END"
    view = conn.from_arrow(part.rows.with_row_index("_row", offset=offset).to_arrow())
    view.create_view("part_on_disk", replace=True)
    sql = f"SELECT _row::BIGINT AS _row, {number} AS _part, _line, {selected}, {defect} AS _defect FROM part_on_disk"
    conn.execute(f"CREATE TABLE part_{number} AS {sql}")
    conn.execute("DROP VIEW part_on_disk")


def typed_sql(column: str, kind: Kind, found: pl.DataType, dialect: Dialect) -> str:
    """SQL for a column with its declared kind; null where a value does not fit. "1.5" is no integer and "NaN" no decimal."""
    name = quoted(column)
    if found != pl.String:
        value = f"CASE WHEN isfinite({name}) THEN {name} END" if found.is_float() else name
        return _bounded(f"TRY_CAST({value} AS {WAREHOUSE_TYPES[kind]})", kind)
    mark = dialect.decimal_mark
    number = name if mark == "." else f"replace({name}, {literal(mark)}, '.')"
    digits = rf"[+-]?\d{{1,18}}([{mark}]\d+)?"
    return {
        "text": name,
        "integer": rf"CASE WHEN regexp_full_match({name}, '[+-]?\d{{1,18}}') THEN TRY_CAST({name} AS BIGINT) END",
        "decimal": f"CASE WHEN regexp_full_match({name}, '{digits}') THEN TRY_CAST({number} AS DECIMAL(18, 4)) END",
        "float": f"CASE WHEN regexp_full_match({name}, '{digits}') THEN TRY_CAST({number} AS DOUBLE) END",
        "timestamp": _bounded(f"try_strptime({name}, {literal(dialect.timestamp)})", kind),
        "date": _bounded(f"try_strptime({name}, {literal(dialect.date)})::DATE", kind),
        "boolean": f"CASE lower({name}) WHEN 'true' THEN true WHEN '1' THEN true WHEN 'false' THEN false WHEN '0' THEN false END",
    }[kind]


def _bounded(value: str, kind: Kind) -> str:
    """The value where it leaves room to reckon with: integers of 18 digits, the years 1 to 9999; null beyond."""
    if kind in _BOUNDS:
        least, most = _BOUNDS[kind]
        return f"CASE WHEN {value} BETWEEN {least} AND {most} THEN {value} END"
    return value


def _find_shared_rows(conn: duckdb.DuckDBPyConnection, number: int, names: list[str]) -> None:
    """Add to `shared` the rows of a part that earlier parts hold too, as often as one of those does.

    A line that stands three times in the later part and twice in an earlier one is shared twice: the third is a real line.
    """
    earlier = " UNION ALL ".join(f"SELECT * FROM part_{before}" for before in range(number))
    same = " AND ".join(f"later.{column} IS NOT DISTINCT FROM earlier.{column}" for column in names)
    columns = ", ".join(names)
    conn.execute(f"""
        INSERT INTO shared
        WITH earlier_rows AS ({earlier}),
        later AS (
            SELECT later.*, row_number() OVER (PARTITION BY {columns} ORDER BY _row) AS occurrence
            FROM part_{number} AS later SEMI JOIN earlier_rows AS earlier ON {same}
        ),
        times AS (
            SELECT _part, {columns}, count(*) AS times
            FROM earlier_rows AS earlier SEMI JOIN part_{number} AS later ON {same} GROUP BY ALL
        ),
        earlier AS (SELECT {columns}, max(times) AS times FROM times GROUP BY ALL)
        SELECT later._row FROM later JOIN earlier ON {same} WHERE occurrence <= times
    """)


def _refuse_repeated_key(conn: duckdb.DuckDBPyConnection, name: str, declared: SourceFile, parts: Sequence[ReadFile]) -> None:
    keys = ", ".join(map(quoted, declared.key))
    shown = f"concat_ws(', ', {', '.join(f'{quoted(column)}::VARCHAR' for column in declared.key)})"
    given = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in declared.key)
    again = f"""
        WITH again AS (
            SELECT _part, _line, _row, {shown} AS got FROM {file_table(name)} WHERE _fate IN ('used', 'redirected') AND {given}
            QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY _row) > 1
        )
        SELECT _part, arg_min(_line, _row), arg_min(got, _row) FROM again GROUP BY _part ORDER BY _part
    """
    raise_all(
        refused(faults.REPEATED_KEY, parts[part].name, line=line, column=", ".join(declared.key), got=got)
        for part, line, got in conn.execute(again).fetchall()
    )
