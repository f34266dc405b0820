"""Every fault of a file and of its rows, brought about once: a code without a case fails."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import zipfile
from dataclasses import replace as changed
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipelines.errors import SourceFileError, UnavailableError
from pipelines.faults import files as faults
from pipelines.faults.catalogue import FAULTS
from pipelines.steps import import_keeping, import_reading, import_unpacking
from pipelines.steps.import_files import import_files
from pipelines.stores import refused_files
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipelines.steps.import_report import ImportReport

MAPPING = """
merchant: Corner Shop
zone: Europe/Berlin
currency: EUR
files:
  tickets:
    parts: [tickets.csv]
    format: csv
    key: [ticket]
    document: {order: ticket}
    columns: {ticket: text, sold_at: timestamp, card: text}
  lines:
    parts: [lines.csv, more.csv]
    drop_rows_shared_by_parts: true
    format: csv
    document: {order: ticket}
    columns: {ticket: text, line: integer, code: text, units: integer, price: decimal}
  moves:
    parts: [moves.parquet]
    format: parquet
    columns: {id: text, code: text, units: integer, moved_at: timestamp}
tables:
  orders:
    from: tickets
    columns: {order_id: ticket, created_at: sold_at, customer_id: card}
  order_lines:
    from: lines
    columns: {order_line_id: ticket || ':' || line, order_id: ticket, sku: code, quantity: units, unit_price: price, total_discount: price * units}
  stock_movements:
    from: moves
    columns: {movement_id: id, sku: code, location_id: "'SHOP'", quantity: units, movement_type: "'sale'", occurred_at: moved_at}
"""
TICKETS = "ticket,sold_at,card\n" + "".join(f"T{number},2026-03-0{number} 10:00:00,ann\n" for number in range(1, 8))
LINES = "ticket,line,code,units,price\n" + "".join(f"T{number},{line},CUP,1,9.50\n" for number in range(1, 8) for line in (1, 2))
MORE = "ticket,line,code,units,price\nT1,3,MUG,1,4.00\n"
MOVES = pl.DataFrame(
    {
        "id": [f"M{number}" for number in range(500)],
        "code": ["CUP"] * 500,
        "units": list(range(500)),
        "moved_at": [datetime(2026, 3, 1)] * 500,
    }
)
Spoil = "Callable[[Path, pytest.MonkeyPatch], object]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A mapping and sound exports."""
    export = tmp_path / "export"
    export.mkdir()
    for name, content in (("tickets.csv", TICKETS), ("lines.csv", LINES), ("more.csv", MORE)):
        (export / name).write_text(content, encoding="utf-8")
    MOVES.write_parquet(export / "moves.parquet")
    (tmp_path / "corner.yml").write_text(MAPPING, encoding="utf-8")
    return export


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[OperationalStore]:
    """Reading files is the same whatever the store is."""
    with OperationalStore.open(sqlite_url) as opened:
        yield opened


def run(store: OperationalStore, folder: Path) -> ImportReport:
    return import_files(store, mapping=folder.parent / "corner.yml", folder=folder, keep_in=folder.parent / "refused")


def replace(path: Path, old: str, new: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new), encoding="utf-8")


def read_list(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def text(name: str, old: str, new: str) -> Spoil:
    """A spoiler that replaces text in one file."""
    return lambda folder, _patch: replace(folder / name, old, new)


def content(name: str, give: Callable[[bytes], bytes]) -> Spoil:
    """A spoiler that makes other bytes of one file."""
    return lambda folder, _patch: (folder / name).write_bytes(give((folder / name).read_bytes()))


def packed(name: str, pack: Callable[[Path], object]) -> Spoil:
    """A spoiler that puts a packed file in the place of more.csv."""

    def spoil(folder: Path, _patch: pytest.MonkeyPatch) -> None:
        replace(folder.parent / "corner.yml", "more.csv", name)
        pack(folder / name)

    return spoil


def zipped(*members: str) -> Callable[[Path], object]:
    def pack(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for member in members:
                archive.writestr(member, MORE)

    return pack


def retyped(folder: Path, _patch: pytest.MonkeyPatch) -> None:
    MOVES.with_columns(units=pl.lit(datetime(2026, 3, 1))).write_parquet(folder / "moves.parquet")


def patched(target: Any, name: str, value: object) -> Spoil:
    return lambda _folder, patch: patch.setattr(target, name, value)


def forbidden(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


def grown_meanwhile(folder: Path, patch: pytest.MonkeyPatch) -> None:
    replace(folder / "lines.csv", "T7,2,CUP,1", "T7,2,CUP,one")
    read = import_reading.read_file
    patch.setattr(import_keeping, "read_file", lambda path, **declared: changed(read(path, **declared), sha256="another"))


REFUSED = [
    ("E101", "gone", lambda folder, _patch: (folder / "more.csv").unlink(), "more.csv: is not in the folder export"),
    ("E102", "no bytes", content("lines.csv", lambda _: b""), "lines.csv: is empty (0 bytes)"),
    ("E103", "huge", patched(import_reading, "LARGEST_FILE_BYTES", 100), "tickets.csv: is larger than 2 GB"),
    ("E104", "UTF-16", content("lines.csv", lambda old: old.decode().encode("utf-16")), "lines.csv: is not UTF-8 but UTF-16"),
    ("E104", "Latin-1", content("lines.csv", lambda old: old.replace(b"T7,2,CUP", b"T7,2,K\xfcbel")), 'line 15: is not UTF-8, got "T7,2,K\\xfcbel'),
    ("E105", "semicolons", content("lines.csv", lambda old: old.replace(b",", b";")), "by ',', but seemingly by ';', got \"ticket;line"),
    ("E106", "open quote", text("lines.csv", "T3,1,CUP", 'T3,1,"CUP'), "lines.csv line 6: a quote is opened and never closed"),
    ("E106", "quote inside", text("lines.csv", "T3,1,CUP", 'T3,1,"C"UP'), "lines.csv line 6: a quote is opened and never closed, or stands inside"),
    ("E107", "repeated column", text("lines.csv", "code,units", "code,code"), "lines.csv line 1 code: the header names this column twice"),
    ("E108", "missing column", text("lines.csv", ",price", ",amount"), "line 1 price: this column is missing; the file has ticket, line, code"),
    ("E108", "renamed column", text("lines.csv", ",price", ",Price"), "line 1 price: this column is missing; did you mean 'Price'?"),
    ("E109", "retyped Parquet", retyped, 'moves.parquet units: this column has another type than the mapping declares (integer), got "timestamp[us]"'),
    ("E110", "cut Parquet", content("moves.parquet", lambda old: old[:-100]), "moves.parquet: is damaged, cut off or of another format"),
    ("E110", "CSV as Parquet", content("moves.parquet", lambda _: MORE.encode()), "moves.parquet: is damaged, cut off or of another format (not a Parquet"),
    ("E110", "cut gzip", packed("more.csv.gz", lambda path: path.write_bytes(gzip.compress(MORE.encode())[:-9])), "more.csv.gz: is damaged"),
    ("E110", "no gzip", packed("more.csv.gz", lambda path: path.write_bytes(MORE.encode())), "more.csv.gz: is damaged"),
    ("E110", "cut zip", packed("more.zip", lambda path: path.write_bytes(b"PK\x03\x04cut off")), "more.zip: is damaged"),
    ("E111", "repeated key", text("tickets.csv", "T2,", "T1,"), 'tickets.csv line 3 ticket: a key that is unique stands there twice, got "T1"'),
    ("E112", "retyped CSV", text("lines.csv", ",CUP,1,", ",CUP,1.0,"), "lines.csv: more than a fifth of its rows are bad (14 of 14), for example: E204"),
    ("E113", "bomb", packed("more.csv.gz", lambda path: path.write_bytes(gzip.compress(MORE.encode() + b"\n" * 2_000_000))), "more.csv.gz: unpacks to more"),
    ("E113", "Parquet bomb", patched(import_reading, "_MOST_PARQUET_BYTES", 100), "moves.parquet: unpacks to more"),
    ("E114", "../", packed("more.zip", zipped("../more.csv")), 'more.zip: the archive holds a path that leads out of it, got "../more.csv"'),
    ("E114", "absolute", packed("more.zip", zipped("/etc/more.csv")), "more.zip: the archive holds a path that leads out of it"),
    ("E115", "two files", packed("more.zip", zipped("more.csv", "most.csv")), "more.zip: the archive does not hold exactly one file but 2 entries"),
    ("E116", "forbidden", patched(hashlib, "file_digest", forbidden), "tickets.csv: cannot be opened (Permission denied)"),
    ("E117", "growing", grown_meanwhile, "csv: changed while it was imported"),
]  # fmt: skip

REJECTED = [
    ("E201", "short row", text("lines.csv", "T7,2,CUP,1,9.50", "T7,2,CUP,1"), "line 15: has not as many fields as the header (4, the header has 5)"),
    ("E201", "long row", text("lines.csv", "T7,2,CUP,1,9.50", "T7,2,CUP,1,9.50,1"), "has not as many fields as the header (6, the header has 5)"),
    ("E202", "NUL", text("lines.csv", "T7,2,CUP", "T7,2,C\0P"), "line 15: holds a NUL character"),
    ("E203", "endless field", text("lines.csv", "T7,2,CUP", f"T7,2,{'C' * 65_537}"), "line 15: holds a field of more than 65,536 characters"),
    *(
        ("E204", f"units {value}", text("lines.csv", "T7,2,CUP,1", f"T7,2,CUP,{value}"), f'line 15 units: is not of the declared kind, an integer, got "{value}"')
        for value in ("abc", "1.5", "NaN", "Inf", "1e309", "9223372036854775808", "0x1F", "--1")
    ),
    *(
        ("E204", f"price {value}", text("lines.csv", "T7,2,CUP,1,9.50", f'T7,2,CUP,1,"{value}"'), f'line 15 price: is not of the declared kind, a decimal, got "{value}"')
        for value in ("3,50", "1.234,00", "1e5", "€5", "nan")
    ),
    *(
        ("E204", f"day {value}", text("tickets.csv", "T7,2026-03-07 10:00:00", f"T7,{value}"), f'tickets.csv line 8 sold_at: is not of the declared kind, a time, got "{value}"')
        for value in ("2025-02-30 10:00:00", "03/07/2026 10:00", "7.3.2026", "0000-01-01 00:00:00", "2026-03-07T10:00:00Z")
    ),
    ("E205", "no code", text("lines.csv", "T7,2,CUP", "T7,2,"), "line 15: gives no value where the contract wants one (sku of order_lines)"),
    ("E206", "same line", text("lines.csv", "T7,2,CUP,1", "T7,1,CUP,9"), 'gives the same key as another row of order_lines, got "T7:1"'),
    ("E207", "sister row", text("lines.csv", "T7,2,CUP,1", "T7,2,CUP,x"), "line 14: belongs to a document another row of which is bad (order T7)"),
    ("E208", "overflow", text("lines.csv", "T7,2,CUP,1,9.50", "T7,2,CUP,99999,99999999999"), "gives a value that the contract cannot hold (total_discount of order_lines)"),
    ("E209", "skipped hour", text("tickets.csv", "2026-03-07 10:00", "2026-03-29 02:30"), "gives a time in an hour that clocks skipped of Europe/Berlin (created_at of orders)"),
]  # fmt: skip

WARNED = [
    ("E251", "repeated hour", text("tickets.csv", "2026-03-07 10:00", "2026-10-25 02:30"), "orders.created_at: has times in an hour that clocks repeat (1 times"),
    ("E252", "header only", text("more.csv", "T1,3,MUG,1,4.00\n", ""), "more.csv: holds a header and no rows"),
    ("E253", "extra column", text("more.csv", "ticket,line,code,units,price\nT1,3", "note,ticket,line,code,units,price\nhi,T1,3"), "mapping does not read: note;"),
    ("E254", "same file", lambda folder, _patch: (folder / "more.csv").write_text(LINES), "more.csv: is the same file as an earlier part, by its sha256 (14 rows)"),
    ("E255", "overlap", text("more.csv", "T1,3,MUG,1,4.00\n", "T1,3,MUG,1,4.00\nT7,2,CUP,1,9.50\n"), "more.csv: holds rows that an earlier part holds too (1)"),
]  # fmt: skip


def cases(table: list[tuple[str, str, Any, str]]) -> Any:
    return pytest.mark.parametrize(
        ("code", "spoil", "said"), [pytest.param(code, spoil, said, id=f"{code} {name}") for code, name, spoil, said in table]
    )


@cases(REFUSED)
def test_a_file_is_refused_and_kept_and_the_store_stands(
    sqlite_store: OperationalStore, folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, spoil: Any, said: str
) -> None:
    spoil(folder, monkeypatch)

    with pytest.raises(SourceFileError) as refusal:
        run(sqlite_store, folder)

    line = str(refusal.value).splitlines()[0]
    assert line.startswith(f"{code} ")
    assert said in line
    assert line.endswith(f"; {FAULTS[code].next_step}.")
    assert sqlite_store.present_fields() == {}
    if code not in {"E101", "E116"}:  # there is nothing that could be read
        told = next((folder.parent / "refused").glob("*.json"))
        facts = json.loads(told.read_text(encoding="utf-8"))
        assert facts["reason"].startswith(f"{code} {facts['file']}")
        assert facts["sha256"] == hashlib.sha256(told.with_suffix("").read_bytes()).hexdigest()
        assert str(told.with_suffix("")) in str(refusal.value)


@cases(REJECTED)
def test_a_row_is_left_out_with_its_document_and_listed(
    sqlite_store: OperationalStore, folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, spoil: Any, said: str
) -> None:
    spoil(folder, monkeypatch)

    report = run(sqlite_store, folder)

    assert [row.message for row in report.rejected_examples if row.rule == code and said in row.message] != []
    assert sqlite_store.read_source("orders", ["order_id"])["order_id"].to_list() == [f"T{number}" for number in range(1, 7)]
    assert set(sqlite_store.read_source("order_lines", ["order_id"])["order_id"]) == {f"T{number}" for number in range(1, 7)}
    assert all(counts.rows_accounted_for == counts.rows_read for counts in report.files)
    listed = [row for path in report.rejected_in for row in read_list(path)]
    assert len(listed) == report.rows_rejected == 3
    assert {row["ticket"] for row in listed} == {"T7"}
    assert code in {row["_code"] for row in listed}


@cases(WARNED)
def test_a_warning_loses_no_row(
    sqlite_store: OperationalStore, folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, spoil: Any, said: str
) -> None:
    spoil(folder, monkeypatch)

    report = run(sqlite_store, folder)

    assert [note.message for note in report.warnings if note.message.startswith(f"{code} ") and said in note.message] != []
    assert report.rows_rejected == 0
    assert {f"T{number}:{line}" for number in range(1, 8) for line in (1, 2)} <= set(
        sqlite_store.read_source("order_lines", ["order_line_id"])["order_line_id"]
    )


def test_the_same_files_again_are_said_to_hold_nothing_new(sqlite_store: OperationalStore, folder: Path) -> None:
    run(sqlite_store, folder)

    report = run(sqlite_store, folder)

    assert [note.message.split(" ")[0] for note in report.warnings] == [faults.NOTHING_NEW.code]
    assert report.rows_written == 0


def test_every_fault_of_a_file_has_a_case() -> None:
    tried = {code for code, *_ in (*REFUSED, *REJECTED, *WARNED)} | {faults.NOTHING_NEW.code}

    assert tried == {code for code in FAULTS if code[1] in "12"}


@pytest.mark.parametrize(
    "value",
    [
        "00123",
        "1E5",
        "NA",
        "null",
        "🚚 späť",
        "\u202e\u05ea\u05d9\u05e7",
        '=HYPERLINK("x")',
        "<script>alert(1)</script>",
        "'; DROP TABLE orders; --",
        " CUP ",
    ],
)
def test_what_is_text_stays_text(store: OperationalStore, folder: Path, value: str) -> None:
    quoted = '"' + value.replace('"', '""') + '"'
    replace(folder / "lines.csv", "T7,2,CUP", f"T7,2,{quoted}")

    run(store, folder)

    assert store.read_source("order_lines", ["order_line_id", "sku"]).filter(order_line_id="T7:2")["sku"].to_list() == [value]


@pytest.mark.parametrize("units", [-1, 0, 2_000_000_000])
def test_what_can_be_read_but_not_be_true_reaches_the_store_for_the_run_to_judge(
    sqlite_store: OperationalStore, folder: Path, units: int
) -> None:
    replace(folder / "lines.csv", "T7,2,CUP,1", f"T7,2,CUP,{units}")

    assert run(sqlite_store, folder).rows_rejected == 0
    assert units in sqlite_store.read_source("order_lines", ["quantity"])["quantity"]


@pytest.mark.parametrize(
    ("name", "pack"), [("more.csv.gz", lambda path: path.write_bytes(gzip.compress(MORE.encode()))), ("more.zip", zipped("more.csv"))]
)
def test_a_packed_file_is_read_like_a_plain_one(sqlite_store: OperationalStore, folder: Path, name: str, pack: Any) -> None:
    replace(folder.parent / "corner.yml", "more.csv", name)
    pack(folder / name)

    run(sqlite_store, folder)

    assert "T1:3" in sqlite_store.read_source("order_lines", ["order_line_id"])["order_line_id"]


def test_mended_rows_come_in_with_the_next_import(sqlite_store: OperationalStore, folder: Path) -> None:
    replace(folder / "lines.csv", "T7,2,CUP,1", "T7,2,CUP,=1")
    refused = run(sqlite_store, folder)
    replace(folder / "lines.csv", "T7,2,CUP,=1", "T7,2,CUP,2")

    report = run(sqlite_store, folder)

    assert [row["units"] for row in read_list(refused.rejected_in[1])] == ["1", "'=1"]
    assert (report.rows_written, report.rows_rejected) == (3, 0)


def test_without_a_list_of_rejected_rows_nothing_is_imported(
    sqlite_store: OperationalStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(import_keeping, "write_rejected", full)
    replace(folder / "lines.csv", "T7,2,CUP,1", "T7,2,CUP,one")

    with pytest.raises(UnavailableError, match=r"csv cannot be listed in .*: No space left on device; nothing was imported"):
        run(sqlite_store, folder)

    assert sqlite_store.present_fields() == {}


def test_a_refusal_is_told_although_there_is_no_room_to_keep_the_file(
    sqlite_store: OperationalStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_files.shutil, "copyfile", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    (folder / "lines.csv").write_bytes(b"")

    with pytest.raises(SourceFileError, match=r"^E102 lines\.csv.*\nlines\.csv could not be kept: No space left on device\."):
        run(sqlite_store, folder)


def test_what_was_refused_is_for_its_owner_only_and_goes_after_some_days(sqlite_store: OperationalStore, folder: Path) -> None:
    (folder / "lines.csv").write_bytes(b"")
    with pytest.raises(SourceFileError):
        run(sqlite_store, folder)
    kept = folder.parent / "refused"

    assert kept.stat().st_mode & 0o077 == 0
    assert refused_files.remove_old_refused(kept, days=30) == 0
    assert refused_files.remove_old_refused(kept, days=30, now=datetime(2100, 1, 1)) == 2
    assert list(kept.iterdir()) == []


def test_an_archive_is_read_no_further_than_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_unpacking, "_CHUNK_BYTES", 1_000)
    monkeypatch.setattr(import_unpacking, "_ALWAYS_ALLOWED_BYTES", 5_000)
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"\n" * 100_000_000)[:2_000])  # the rest is not even there

    with pytest.raises(SourceFileError, match="unpacks to more"):
        import_unpacking.unpacked(path)
