"""How rows of the source contract look in each database: frames in, text out."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import polars as pl

from pipelines.errors import SourceContractError
from pipelines.stores.source_contract import Kind, SourceTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.stores.connections import Dialect

FRAME_TYPES: Final[dict[Kind, pl.DataType]] = {
    "text": pl.String(), "integer": pl.Int64(), "decimal": pl.Decimal(18, 4), "timestamp": pl.Datetime("us"),
    "date": pl.Date(), "boolean": pl.Boolean(), "float": pl.Float64(),
}  # fmt: skip


def quoted(name: str) -> str:
    """An SQL identifier; names come from the contract or the database's own catalogue."""
    return '"' + name.replace('"', '""') + '"'


def checked_frame(table: SourceTable, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with exactly the contract's types.

    Raises:
        SourceContractError: A column is unknown, lacks the key or has another type; nothing was written.
    """
    if missing := [name for name in table.key if name not in frame.columns]:
        raise SourceContractError(f"Rows for {table.name} lack the key column {', '.join(missing)}; add it.")
    casts = []
    for name, found in frame.schema.items():
        if name not in table.field_names:
            raise SourceContractError(f"Rows for {table.name} have a column {name!r} that the contract does not know; leave it out.")
        wanted = FRAME_TYPES[table.field(name).kind]
        if not _fits(found, wanted):
            raise SourceContractError(f"{table.name}.{name} is {found}, but {wanted} is needed; cast it before writing.")
        casts.append(pl.col(name).cast(wanted))
    return frame.select(casts)


def _fits(found: pl.DataType, wanted: pl.DataType) -> bool:
    if found == pl.Null() or found == wanted:
        return True
    if isinstance(wanted, pl.Decimal):
        return isinstance(found, pl.Decimal) and found.scale <= 4
    if isinstance(wanted, pl.Int64):
        return found.is_integer()
    if isinstance(wanted, pl.String):
        return isinstance(found, pl.Categorical | pl.Enum)
    return isinstance(wanted, pl.Datetime) and isinstance(found, pl.Datetime) and found.time_zone is None


def sqlite_frame(table: SourceTable, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame as SQLite stores it: decimals ("12.50"), times and dates are text, booleans are 0 and 1."""
    forms = {
        "decimal": lambda col: col.cast(pl.String).str.replace(r"0{1,2}$", ""),
        "timestamp": lambda col: col.dt.strftime("%Y-%m-%d %H:%M:%S%.6f"),
        "date": lambda col: col.dt.strftime("%Y-%m-%d"),
        "boolean": lambda col: col.cast(pl.Int64),
    }
    return frame.with_columns(forms[table.field(name).kind](pl.col(name)) for name in frame.columns if table.field(name).kind in forms)


def copy_text(frame: pl.DataFrame) -> bytes:
    r"""The frame as `COPY ... (FORMAT csv, NULL '\N')` reads it; only an unquoted \N is null."""
    buffer = io.BytesIO()
    frame.write_csv(buffer, include_header=False, null_value="\\N", quote_style="non_numeric", datetime_format="%Y-%m-%d %H:%M:%S%.6f")
    return buffer.getvalue()


def text_sql(column: str, kind: Kind, dialect: Dialect, stored_type: str) -> str:
    """SQL that gives a stored value as text, the same text on both databases wherever the database knows the type.

    Times are UTC `YYYY-MM-DD HH:MM:SS.ffffff` without suffix, booleans 'true' and 'false'. A value that is not of its kind
    (SQLite keeps what it is given) comes out as it stands, so that the reader can name it.

    Args:
        column: The column, qualified and quoted.
        kind: What the contract says it holds; decides on SQLite, which has no types for it.
        dialect: The database.
        stored_type: What the catalogue says it is; decides on PostgreSQL.
    """
    if dialect == "postgresql":
        if stored_type.startswith("timestamp"):
            return f"coalesce(to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), {column}::text)"
        return f"{column}::text"
    if kind == "boolean":
        return f"CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE CAST({column} AS TEXT) END"
    if kind == "float":
        return f"CASE typeof({column}) WHEN 'real' THEN printf('%!.17g', {column}) ELSE CAST({column} AS TEXT) END"
    return column if stored_type == "TEXT" else f"CAST({column} AS TEXT)"


def key_sql(table: SourceTable, row: str, dialect: Dialect, stored_types: Mapping[str, str]) -> str:
    """SQL that gives a row's key as a JSON array of texts without white space, such as ["S1","A-7"].

    Triggers and readers share it: the key a trigger wrote is byte for byte the key a reader computes.

    Args:
        table: The contract table.
        row: What stands before the columns: an alias, NEW or OLD.
        dialect: The database.
        stored_types: The types of the table's columns by the database's catalogue.
    """
    parts = [text_sql(f"{row}.{quoted(name)}", table.field(name).kind, dialect, stored_types[name]) for name in table.key]
    if dialect == "sqlite":
        return f"json_array({', '.join(f'CAST({part} AS TEXT)' for part in parts)})"
    return "'[' || " + " || ',' || ".join(f"coalesce(to_json({part})::text, 'null')" for part in parts) + " || ']'"


def typed_frame(table: SourceTable, texts: pl.DataFrame) -> pl.DataFrame:
    """Rows read as text, cast to the contract's types; a value that does not cast raises."""
    return texts.select(_typed(pl.col(name), table.field(name).kind) for name in texts.columns)


def _typed(column: pl.Expr, kind: Kind) -> pl.Expr:
    if kind == "boolean":
        return column == "true"
    if kind == "timestamp":
        return column.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us")
    if kind == "date":
        return column.str.to_date("%Y-%m-%d")
    return column.cast(FRAME_TYPES[kind])
