"""Spoiled exports, many to an import: each is refused by name, or every row of it has one fate; and nothing is half loaded."""

from __future__ import annotations

import csv
import gzip
import io
import random
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from pipelines.errors import SourceFileError
from pipelines.steps.import_files import import_files
from pipelines.stores.change_feed import read_changes
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Size

SEED: Final = 20260301
FILES_PER_IMPORT: Final = 100
ROWS_PER_FILE: Final = 24
HEADER: Final = ["number", "line", "code", "units", "price", "sold_at"]
MAPPING: Final = """
merchant: Shop
zone: Europe/Berlin
currency: EUR
files:
  moves:
    parts: [{moves}]
    format: parquet
    key: [id]
    columns: {{id: text, code: text, units: integer, moved_at: timestamp}}
  lines:
    parts: [{lines}]
    format: csv
    document: {{order: number}}
    columns: {{number: text, line: integer, code: text, units: integer, price: decimal, sold_at: timestamp}}
    rules:
      - {{name: gift, when: code = 'GIFT', then: exclude, because: A gift is no sale}}
tables:
  order_lines:
    from: lines
    columns: {{order_line_id: number || '-' || line, order_id: number, sku: code, quantity: units, unit_price: price}}
  orders:
    from: lines
    one_row_per_key: true
    columns: {{order_id: number, created_at: min(sold_at)}}
  stock_movements:
    from: moves
    columns: {{movement_id: id, sku: code, location_id: "'SHOP'", quantity: units, movement_type: "'sale'", occurred_at: moved_at}}
"""

Rows = list[list[str]]


@dataclass(slots=True)
class Tally:
    """What became of the files, and what must not be."""

    files: int = 0
    refused: int = 0
    rows_in: int = 0
    loaded: int = 0
    rejected: int = 0
    duplicates: int = 0
    excluded: int = 0
    lost: int = 0
    half_loaded: int = 0


def sound_rows(rng: random.Random) -> Rows:
    tag = f"{rng.getrandbits(48):012x}"  # no spoiled byte turns one file's orders into another's
    return [
        [
            f"{tag}-{number // 2}",
            str(number % 2),
            rng.choice(["CUP", "MÜG", "00123", "1E5", "NA", "GIFT"]),
            str(rng.randint(1, 9)),
            "9.50",
            f"2026-03-{number + 1:02} 10:00:00",
        ]
        for number in range(ROWS_PER_FILE)
    ]


def as_csv(rows: Rows, header: list[str] = HEADER) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def flipped(content: bytes, rng: random.Random) -> bytes:
    spoiled = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
    return bytes(spoiled)


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def with_inserted(content: bytes, rng: random.Random) -> bytes:
    """Quotes, NUL bytes, separators, line ends, invalid UTF-8 and what turns the direction of writing, somewhere."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(content) + 1)
        what = rng.choice(
            [b'"', b'""', b"\0", b",", b";", b"\r", b"\n", b"\r\n\n", b"\xff", b"\xc3", "\u202e".encode(), b"\x1f", b"'", b"\\", b"|"]
        )
        content = content[:at] + what + content[at:]
    return content


def in_another_encoding(content: bytes, rng: random.Random) -> bytes:
    return content.decode().encode(rng.choice(["utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp037", "utf-8-sig", "utf-32"]))


def with_another_separator(content: bytes, rng: random.Random) -> bytes:
    return content.replace(b",", rng.choice([b";", b"\t", b"|", b" ", b",,"]))


def with_other_values(rows: Rows, rng: random.Random) -> Rows:
    """Huge numbers, other notations, empty fields and dates that never were, in a few rows."""
    values = ["9" * 30, "-9223372036854775808", "1e309", "NaN", "Inf", "1.5", "3,50", "1.234,00", "", "NULL", "0", "-1", "2025-02-30 00:00:00",
              "2026-03-29 02:30:00", "2026-10-25 02:30:00", "9999-12-31 23:59:59", "0001-01-01 00:00:00", "C" * 70_000, "=1+1", "'; DROP TABLE orders", "🚚"]  # fmt: skip
    spoiled = [list(row) for row in rows]
    for row in rng.sample(spoiled, rng.randint(1, 3)):
        row[rng.randrange(1, len(row))] = rng.choice(values)  # a number that two files share would be one order
    return spoiled


def with_repeated_rows(rows: Rows, rng: random.Random) -> Rows:
    return sorted([*rows, *rng.choices(rows, k=rng.randint(1, 3))])


def with_ragged_rows(rows: Rows, rng: random.Random) -> Rows:
    return [row[: rng.randrange(1, 6)] if rng.random() < 0.08 else [*row, "more"] if rng.random() < 0.04 else row for row in rows]


def with_swapped_columns(rows: Rows, rng: random.Random) -> Rows:
    left, right = rng.sample(range(1, len(HEADER)), 2)
    share = rng.choice([0.05, 1.0])
    return [
        [row[right if at == left else left if at == right else at] for at in range(len(row))] if rng.random() < share else row
        for row in rows
    ]


def with_another_header(rows: Rows, rng: random.Random) -> bytes:
    header = list(HEADER)
    header[rng.randrange(len(header))] = rng.choice(["number", "Line", "unit", "", "price "])
    return as_csv(rows, header)


BYTES: Final[list[Callable[[bytes, random.Random], bytes]]] = [flipped, cut, with_inserted, in_another_encoding, with_another_separator]
ROWS: Final[list[Callable[[Rows, random.Random], Rows]]] = [with_other_values, with_repeated_rows, with_ragged_rows, with_swapped_columns]


def spoiled_csv(rng: random.Random) -> bytes:
    rows = sound_rows(rng)
    kind = rng.randrange(12)
    if kind == 0:
        return as_csv(rows)
    if kind == 1:
        return with_another_header(rows, rng)
    if kind <= 6:
        return rng.choice(BYTES)(as_csv(rows), rng)
    spoiled = as_csv(rng.choice(ROWS)(rows, rng))
    return flipped(spoiled, rng) if kind == 11 else spoiled


def spoiled_gzip(rng: random.Random) -> bytes:
    packed = gzip.compress(spoiled_csv(rng), mtime=0)
    return rng.choice([lambda: packed, lambda: cut(packed, rng), lambda: flipped(packed, rng), lambda: gzip.compress(b"\n" * 3_000_000)])()


def sound_moves(rng: random.Random) -> pl.DataFrame:
    tag = f"{rng.getrandbits(48):012x}"
    moved_at = [datetime(2026, 3, number + 1) for number in range(ROWS_PER_FILE)]
    ids = [f"{tag}-{number}" for number in range(ROWS_PER_FILE)]
    return pl.DataFrame({"id": ids, "code": "CUP", "units": 1, "moved_at": moved_at})


def as_parquet(frame: pl.DataFrame) -> bytes:
    target = io.BytesIO()
    frame.write_parquet(target, use_pyarrow=True)
    return target.getvalue()


def spoiled_parquet(rng: random.Random) -> bytes:
    frame = sound_moves(rng)
    first = pl.int_range(pl.len()) < 2
    spoiled = rng.choice([
        frame,
        frame,
        frame.with_columns(units=pl.lit("1e309")),
        frame.with_columns(units=pl.when(first).then(float("nan")).otherwise(1.0)),
        frame.with_columns(units=pl.when(first).then(-(2**63)).otherwise(1)),
        frame.with_columns(id=pl.when(~first).then("id")),
        frame.rename({"id": "code", "code": "id"}),
        frame.with_columns(moved_at=pl.lit(datetime(9999, 12, 31, 23, 59))),
        frame.clear(),
        frame.drop("units"),
    ])  # fmt: skip
    return rng.choice([lambda content, _: content, flipped, cut, with_inserted])(as_parquet(spoiled), rng)


def records_in(path: Path) -> int:
    """Records that stand in a file, counted apart from the product's reader."""
    if path.suffix == ".parquet":
        return int(pq.ParquetFile(path).metadata.num_rows)
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    csv.field_size_limit(2**31)
    return sum(1 for record in csv.reader(io.StringIO(content.decode("utf-8-sig", "replace"), newline="")) if record) - 1


def spoiled_files(folder: Path, rng: random.Random, *, count: int) -> Iterator[list[Path]]:
    """The files of one import after another; a sound one of each kind is among them."""
    kinds = [(".csv", spoiled_csv)] * 7 + [(".csv.gz", spoiled_gzip)] + [(".parquet", spoiled_parquet)] * 2
    made = 0
    while made < count:
        batch = folder / f"batch{made}"
        batch.mkdir()
        paths = []
        for number in range(made, min(made + FILES_PER_IMPORT, count)):
            suffix, spoil = kinds[number % len(kinds)]
            paths.append(batch / f"f{number}{suffix}")
            is_again = number % 10 == 4 and number % FILES_PER_IMPORT  # the same file under two names
            paths[-1].write_bytes(paths[-2].read_bytes() if is_again else spoil(rng))
        made += len(paths)
        for name, content in (("sound.csv", as_csv(sound_rows(rng))), ("sound.parquet", as_parquet(sound_moves(rng)))):
            paths.append(batch / name)
            paths[-1].write_bytes(content)
        yield paths


def position(store: OperationalStore) -> str:
    """Where the change feed stands: it moves with every row that is written."""
    if not store.present_fields():
        return "nothing"
    with read_changes(store, since=None) as reader:
        return str(reader.position)


def stored_lines(store: OperationalStore) -> int:
    return sum(
        store.read_source(table, [key]).height for table, key in (("order_lines", "order_line_id"), ("stock_movements", "movement_id"))
    )


def bring_in(store: OperationalStore, paths: list[Path], tally: Tally) -> None:
    """Import the files; what is refused is taken out of the mapping, as a person would, and the rest imported again."""
    left = {path.name: path for path in paths}
    while left:
        mapping = paths[0].parent / "shop.yml"
        lines, moves = (", ".join(name for name in left if name.endswith(".parquet") == is_moves) for is_moves in (False, True))
        mapping.write_text(MAPPING.format(lines=lines, moves=moves), encoding="utf-8")
        before, stood = position(store), stored_lines(store) if store.present_fields() else 0
        try:
            report = import_files(store, mapping=mapping, folder=mapping.parent)
        except SourceFileError as refusal:
            tally.half_loaded += position(store) != before
            named = set(refusal.files) & left.keys()
            if not named or any(name.startswith("sound") for name in named):
                raise
            tally.refused += len(named)
            left = {name: path for name, path in left.items() if name not in named}
            continue
        for counts in report.files:
            rows_in = records_in(left[counts.name])
            tally.rows_in += rows_in
            tally.loaded += counts.rows_used
            tally.rejected += counts.rows_rejected
            tally.duplicates += counts.rows_duplicate
            tally.excluded += counts.rows_excluded
            tally.lost += abs(rows_in - counts.rows_accounted_for)
        used = sum(counts.rows_used for counts in report.files)
        tally.lost += abs(stored_lines(store) - stood - used)
        return


def test_every_row_of_a_spoiled_file_has_a_fate(tmp_path: Path, sqlite_url: str, size: Size, tell: Callable[[str], None]) -> None:
    tally = Tally()

    with OperationalStore.open(sqlite_url) as store:
        for paths in spoiled_files(tmp_path, random.Random(SEED), count=size(small=500, full=10_000)):
            tally.files += len(paths)
            bring_in(store, paths, tally)

    tell(
        f"fuzzed files: {tally.files:,} files, {tally.refused:,} refused; {tally.rows_in:,} rows = {tally.loaded:,} loaded + {tally.rejected:,} rejected + "
        f"{tally.duplicates:,} duplicates + {tally.excluded:,} excluded; {tally.lost} lost, {tally.half_loaded} half loaded"
    )
    assert (tally.lost, tally.half_loaded) == (0, 0)
    assert tally.rows_in == tally.loaded + tally.rejected + tally.duplicates + tally.excluded
    assert min(tally.refused, tally.loaded, tally.rejected, tally.duplicates, tally.excluded) > tally.files / 20  # each fate is tried


@pytest.mark.parametrize("count", [100])
def test_the_harness_finds_the_rows_that_a_guessing_reader_drops(tmp_path: Path, tell: Callable[[str], None], count: int) -> None:
    lost, tracebacks = 0, 0
    for paths in spoiled_files(tmp_path, random.Random(SEED), count=count):
        for path in (path for path in paths if path.suffix == ".csv"):
            try:
                loaded = duckdb.read_csv(str(path), ignore_errors=True).count("*").fetchall()[0][0]
            except duckdb.Error:
                tracebacks += 1
            else:
                lost += max(0, records_in(path) - loaded)

    tell(f"fuzzed files, read by guessing: {lost:,} rows lost without a word, {tracebacks} tracebacks")
    assert lost > 0
