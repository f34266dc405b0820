"""Reading exports exactly as declared: a file that is not what the mapping says is refused, never guessed at."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.faults import files as faults
from pipelines.faults.fault import escaped
from pipelines.steps.import_defects import defect, refused
from pipelines.steps.import_mapping import Dialect, SourceFile, did_you_mean
from pipelines.steps.import_unpacking import LARGEST_FILE_BYTES, unpacked
from pipelines.stores.source_contract import Kind

LONGEST_FIELD: Final = 64 * 1024  # characters
_CHUNK_ROWS: Final = 100_000
_BATCH_ROWS: Final = 8_192
_MOST_PARQUET_BYTES: Final = LARGEST_FILE_BYTES  # of the values, unpacked
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_PARQUET_MARK: Final = b"PAR1"
_SEPARATORS: Final = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class ReadFile:
    """One file as it stands on disk: `rows` holds the declared columns, `_line` and `_defect` (null where a row is sound).

    CSV columns are all text. Parquet columns keep their types. `_line` is the physical line of a CSV, the row number of a Parquet file.
    `is_copy`: an earlier part is the same file, so every row of this one is a duplicate.
    """

    name: str
    sha256: str
    rows: pl.DataFrame
    rows_read: int
    extra_columns: tuple[str, ...]
    is_copy: bool = False

    def without_rows(self) -> ReadFile:
        """The same file with its rows let go, which are by far the most of it."""
        return replace(self, rows=self.rows.clear())


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hex.

    Raises:
        SourceFileError: The file cannot be opened.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as exc:
        raise refused(faults.CLOSED, path.name, detail=f" ({exc.strerror})") from None


def read_file(path: Path, *, declared: SourceFile, dialect: Dialect) -> ReadFile:
    """One file, read in full and checked as a whole; single bad rows are marked in `_defect`.

    Raises:
        SourceFileError: The file is missing, empty, damaged, in another encoding or dialect, or lacks a declared column.
    """
    if not path.is_file():
        near = did_you_mean(path.name, [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else [])
        raise refused(faults.MISSING, path.name, detail=f" {path.parent.name or path.parent}{near}")
    size = path.stat().st_size
    if size == 0:
        raise refused(faults.EMPTY, path.name)
    if size > LARGEST_FILE_BYTES:
        raise refused(faults.TOO_LARGE, path.name, detail=f" ({size:,} bytes)")
    digest = sha256_of(path)
    if declared.format == "parquet":
        frame, header = _read_parquet(path, declared.columns)
    else:
        frame, header = _read_csv(path, declared.columns, dialect)
    extra = tuple(name for name in header if name not in declared.columns)
    rows = _with_text_defects(frame, tuple(declared.columns))
    return ReadFile(name=path.name, sha256=digest, rows=rows, rows_read=rows.height, extra_columns=extra)


def _check_header(file: str, header: Sequence[str], columns: Mapping[str, Kind], *, line: int | None = None) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise refused(faults.REPEATED_COLUMN, file, line=line, column=repeated[0])
    for column in columns:
        if column not in header:
            spare = [name for name in header if name not in columns]
            hint = did_you_mean(column, spare) or f"; the file has {', '.join(map(escaped, header[:12]))}"
            raise refused(faults.MISSING_COLUMN, file, detail=hint, line=line, column=column)


def _read_parquet(path: Path, columns: Mapping[str, Kind]) -> tuple[pl.DataFrame, list[str]]:
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(-min(4, path.stat().st_size), io.SEEK_END)
        tail = stream.read(4)
    if head != _PARQUET_MARK or tail != _PARQUET_MARK:
        detail = " (a Parquet file without its end)" if head == _PARQUET_MARK else " (not a Parquet file)"
        raise refused(faults.DAMAGED, path.name, detail=detail)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
            header = list(parquet.schema_arrow.names)
            _check_header(path.name, header, columns)
            for column, kind in columns.items():
                _check_parquet_type(path.name, column, kind, parquet.schema_arrow.field(column).type)
            table = _bounded_table(path, parquet, list(columns))
            table.validate(full=True)
            if table.num_rows != parquet.metadata.num_rows:
                detail = f" ({table.num_rows:,} rows, its footer says {parquet.metadata.num_rows:,})"
                raise refused(faults.DAMAGED, path.name, detail=detail)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:
        raise refused(faults.DAMAGED, path.name, detail=f" ({escaped(exc)})") from None
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table of Arrow is never a series
    return frame.with_columns(_line=pl.int_range(1, pl.len() + 1, dtype=pl.Int64), _defect=pl.lit(None, pl.String)), header


def _bounded_table(path: Path, parquet: pq.ParquetFile, columns: list[str]) -> pa.Table:
    """The columns, read piece by piece: a few bytes may stand for any number of equal values."""
    batches, size = [], 0
    for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
        size += batch.nbytes
        if size > _MOST_PARQUET_BYTES:
            raise refused(faults.BOMB, path.name)
        batches.append(batch)
    table = pa.Table.from_batches(batches) if batches else parquet.read(columns=columns)
    # Built anew without metadata, which no check looks at: a damaged byte in it would end the process in Polars.
    return pa.Table.from_arrays([table.column(column) for column in columns], names=columns)


def _check_parquet_type(file: str, column: str, kind: Kind, found: pa.DataType) -> None:
    is_number = pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found)
    is_text = pa.types.is_string(found) or pa.types.is_large_string(found)
    fits = {
        "text": pa.types.is_integer(found),
        "integer": pa.types.is_integer(found),
        "decimal": is_number,
        "float": is_number,
        "timestamp": pa.types.is_timestamp(found) and found.tz is None,
        "date": pa.types.is_date(found),
        "boolean": pa.types.is_boolean(found),
    }[kind]
    if not (fits or is_text):
        raise refused(faults.RETYPED_COLUMN, file, detail=f" ({kind})", column=column, got=found)


def _read_csv(path: Path, columns: Mapping[str, Kind], dialect: Dialect) -> tuple[pl.DataFrame, list[str]]:
    text = _decoded(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=dialect.separator, strict=True)
    csv.field_size_limit(LARGEST_FILE_BYTES)  # a long field spoils its row, not the file; `_with_text_defects` finds it
    records = _records(path.name, reader)
    line, header = next(records, (1, []))
    other = next((mark for mark in _SEPARATORS if mark != dialect.separator and len(header) == 1 and mark in header[0]), None)
    if other is not None and len(columns) > 1:
        detail = f", by {dialect.separator!r}, but seemingly by {other!r}"
        raise refused(faults.WRONG_SEPARATOR, path.name, detail=detail, line=line, got=header[0])
    _check_header(path.name, header, columns, line=line)
    return _csv_frame(records, header, columns), header


def _decoded(path: Path) -> str:
    content = unpacked(path)
    if content.startswith(_UTF16_MARKS) or (b"\x00" in content[:2] and len(content) > 1):
        raise refused(faults.NOT_UTF8, path.name, detail=" but UTF-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        begin, end = content.rfind(b"\n", 0, exc.start) + 1, content.find(b"\n", exc.start)
        got = content[begin : end if end >= 0 else None].decode("utf-8", errors="backslashreplace").rstrip()
        raise refused(faults.NOT_UTF8, path.name, line=line, got=got) from None


def _records(file: str, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line on which it begins; blank lines are no records."""
    while True:
        begins = reader.line_num + 1  # type: ignore[attr-defined]  # csv.reader has no public type
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            raise refused(faults.BROKEN_QUOTES, file, detail=f" ({exc})", line=begins) from None
        if record:
            yield begins, record


def _csv_frame(records: Iterator[tuple[int, list[str]]], header: list[str], columns: Mapping[str, Kind]) -> pl.DataFrame:
    schema = {**dict.fromkeys(columns, pl.String), "_line": pl.Int64, "_defect": pl.String}
    positions = [header.index(column) for column in columns]
    width = len(header)
    chunks = [pl.DataFrame(schema=schema)]
    rows: list[tuple[str | int | None, ...]] = []
    for line, record in records:
        told = None
        if len(record) != width:
            told = defect(faults.RAGGED, detail=f" ({len(record)}, the header has {width})")
            record = [*record, *[""] * width]  # noqa: PLW2901 - only so that its document can be told
        rows.append((*[record[position] or None for position in positions], line, told))
        if len(rows) == _CHUNK_ROWS:
            chunks.append(pl.DataFrame(rows, schema=schema, orient="row"))
            rows = []
    chunks.append(pl.DataFrame(rows, schema=schema, orient="row"))
    return pl.concat(chunks)


def _with_text_defects(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Mark rows whose text no database can hold or nobody meant."""
    text = [column for column in columns if frame.schema[column] == pl.String]
    if not text:
        return frame
    nul = pl.any_horizontal(pl.col(column).str.contains("\0", literal=True) for column in text)
    long = pl.any_horizontal(pl.col(column).str.len_chars() > LONGEST_FIELD for column in text)
    has_nul, is_long = pl.lit(defect(faults.NUL)), pl.lit(defect(faults.TOO_LONG))
    return frame.with_columns(_defect=pl.coalesce("_defect", pl.when(nul).then(has_nul).when(long).then(is_long)))
