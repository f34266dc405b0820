from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import SourceFileError
from pipelines.faults import files as faults
from pipelines.steps import import_reading
from pipelines.steps.import_defects import defect
from pipelines.steps.import_mapping import Dialect, SourceFile
from pipelines.steps.import_reading import read_file

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.steps.import_reading import ReadFile
    from pipelines.stores.source_contract import Kind

COLUMNS: dict[str, Kind] = {"number": "text", "price": "decimal"}


def read_csv(folder: Path, content: bytes, *, columns: dict[str, Kind] | None = None, dialect: Dialect | None = None) -> ReadFile:
    path = folder / "orders.csv"
    path.write_bytes(content)
    declared = SourceFile(parts=("orders.csv",), format="csv", columns=columns or COLUMNS)
    return read_file(path, declared=declared, dialect=dialect or Dialect())


def read_parquet(folder: Path, *, columns: dict[str, Kind] | None = None) -> ReadFile:
    declared = SourceFile(parts=("orders.parquet",), format="parquet", columns=columns or COLUMNS)
    return read_file(folder / "orders.parquet", declared=declared, dialect=Dialect())


def test_csv_is_read_as_text_with_the_line_each_record_begins_on(tmp_path: Path) -> None:
    content = b'number,price\n00123,"1.50"\n\n"two\nlines",\n1E5,NA\n'

    found = read_csv(tmp_path, content)

    assert found.rows.select("number", "price", "_line").rows() == [("00123", "1.50", 2), ("two\nlines", None, 4), ("1E5", "NA", 6)]
    assert found.sha256 == hashlib.sha256(content).hexdigest()


def test_a_byte_order_mark_other_columns_and_their_order_do_not_matter(tmp_path: Path) -> None:
    found = read_csv(tmp_path, "\ufeffprice,note,number\r\n1,späť 🚚,A\r\n".encode())

    assert found.rows.select("number", "price").rows() == [("A", "1")]
    assert found.extra_columns == ("note",)


def test_a_header_alone_is_a_file_without_rows(tmp_path: Path) -> None:
    assert read_csv(tmp_path, b"number,price\n").rows_read == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "E102 orders.csv: is empty (0 bytes)"),
        ("number,price\nA,1\n".encode("utf-16"), "E104 orders.csv: is not UTF-8 but UTF-16"),
        ("number,price\nA,1\n".encode("utf-16-le"), "E104 orders.csv: is not UTF-8 but UTF-16"),
        ("number,price\nA,1\nMünchen,2\n".encode("latin-1"), 'E104 orders.csv line 3: is not UTF-8, got "M\\xfcnchen,2"'),
        (
            b"number;price\nA;1\n",
            "E105 orders.csv line 1: its columns are not separated as the mapping declares, by ',', but seemingly by ';'",
        ),
        (
            b'number,price\nA,1\n"B,2\nC,3\n',
            "E106 orders.csv line 3: a quote is opened and never closed, or stands inside a field (unexpected end of data)",
        ),
        (b"number,price,number\nA,1,B\n", "E107 orders.csv line 1 number: the header names this column twice"),
        (b"number,Price\nA,1\n", "E108 orders.csv line 1 price: this column is missing; did you mean 'Price'?"),
        (b"number,colour\nA,1\n", "E108 orders.csv line 1 price: this column is missing; the file has number, colour"),
    ],
)
def test_a_file_that_is_not_what_was_declared_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(SourceFileError) as refused:
        read_csv(tmp_path, content)

    assert str(refused.value).startswith(message)
    assert "nothing was imported" in str(refused.value)


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "order.parquet").touch()

    with pytest.raises(SourceFileError, match=r"^E101 orders\.parquet: is not in the folder .*; did you mean 'order\.parquet'\?"):
        read_parquet(tmp_path)


def test_another_separator_is_read_when_it_is_declared(tmp_path: Path) -> None:
    found = read_csv(tmp_path, b"number;price\nA;1,5\n", dialect=Dialect(separator=";", decimal_mark=","))

    assert found.rows.select("number", "price").rows() == [("A", "1,5")]


@pytest.mark.parametrize(
    ("record", "defect"),
    [
        (b"A", defect(faults.RAGGED, detail=" (1, the header has 2)")),
        (b"A,1,2", defect(faults.RAGGED, detail=" (3, the header has 2)")),
        (b"A\x00B,1", defect(faults.NUL)),
        (b"A" * 65_537 + b",1", defect(faults.TOO_LONG)),
    ],
)
def test_a_bad_row_is_marked_and_the_rest_is_read(tmp_path: Path, record: bytes, defect: str) -> None:
    found = read_csv(tmp_path, b"number,price\n" + record + b"\nC,3\n")

    assert found.rows["_defect"].to_list() == [defect, None]


def test_parquet_keeps_its_types_and_counts_rows_as_lines(tmp_path: Path) -> None:
    pl.DataFrame({"number": ["A", "B"], "price": [1.5, None]}).write_parquet(tmp_path / "orders.parquet")

    found = read_parquet(tmp_path)

    assert found.rows.rows() == [("A", 1.5, 1, None), ("B", None, 2, None)]


@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_parquet_file_that_was_cut_off_is_refused(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "orders.parquet"
    pl.DataFrame({"number": [str(value) for value in range(5_000)], "price": [1.0] * 5_000}).write_parquet(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])

    with pytest.raises(
        SourceFileError, match=r"^E110 orders\.parquet: is damaged, cut off or of another format \(a Parquet file without its end"
    ):
        read_parquet(tmp_path)


def test_a_parquet_file_with_a_hole_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "orders.parquet"
    pl.DataFrame({"number": [str(value) for value in range(5_000)], "price": [1.0] * 5_000}).write_parquet(path)
    content = bytearray(path.read_bytes())
    content[4:2_000] = bytes(1_996)
    path.write_bytes(content)

    with pytest.raises(SourceFileError, match=r"^E110 orders\.parquet: is damaged, cut off or of another format"):
        read_parquet(tmp_path)


def test_a_parquet_file_with_a_damaged_column_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "orders.parquet"
    pl.DataFrame({"number": ["A"], "price": [1.5], "colour": ["red"]}).write_parquet(path, use_pyarrow=True)
    path.write_bytes(path.read_bytes().replace(b"colour", b"col\xf3ur"))

    with pytest.raises(SourceFileError, match=r"^E110 orders\.parquet: is damaged"):
        read_parquet(tmp_path)


def test_a_parquet_file_with_fewer_rows_than_its_footer_says_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pl.DataFrame({"number": ["A", "B"], "price": [1.5, None]}).write_parquet(tmp_path / "orders.parquet")
    whole = import_reading._bounded_table
    monkeypatch.setattr(import_reading, "_bounded_table", lambda *given: whole(*given).slice(1))

    with pytest.raises(SourceFileError, match=r"^E110 orders\.parquet: is damaged.*\(1 rows, its footer says 2\)"):
        read_parquet(tmp_path)


def test_metadata_of_a_parquet_file_may_be_anything(tmp_path: Path) -> None:
    odd = {b"note": b"\xf3"}
    schema = pa.schema([pa.field("number", pa.string(), metadata=odd), pa.field("price", pa.float64())], metadata=odd)
    pq.write_table(pa.table({"number": ["A"], "price": [1.5]}, schema=schema), tmp_path / "orders.parquet")

    assert read_parquet(tmp_path).rows.select("number", "price").rows() == [("A", 1.5)]


def test_a_text_file_that_is_called_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "orders.parquet").write_bytes(b"number,price\n")

    with pytest.raises(SourceFileError, match=r"^E110 orders\.parquet: is damaged, cut off or of another format \(not a Parquet file"):
        read_parquet(tmp_path)


def test_a_retyped_parquet_column_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"number": ["A"], "price": [datetime(2026, 1, 1)]}).write_parquet(tmp_path / "orders.parquet")

    with pytest.raises(
        SourceFileError,
        match=r'^E109 orders\.parquet price: this column has another type than the mapping declares \(decimal\), got "timestamp\[us\]"',
    ):
        read_parquet(tmp_path)
