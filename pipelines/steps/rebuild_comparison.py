"""Plans made again beside those that were published: the same to the byte, or what differs first."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

if TYPE_CHECKING:
    import duckdb

EXAMPLES: Final = 3
# What is compared, and the columns that name a row.
COMPARED: Final[dict[str, tuple[str, ...]]] = {
    "recommendations": ("recommendation_key",),
    "recommendation_steps": ("recommendation_key", "step_number"),
    "recommendation_exclusions": ("sku", "location_id"),
    "silent_items": ("sku", "location_id"),
    "stock_outlook": ("recommendation_key", "is_with_order", "stock_date"),
    "order_choices": ("recommendation_key", "order_qty"),
    "forecast_daily": ("sku", "location_id", "demand_date"),
    "forecast_checks": ("check_name",),
    "forecast_broken": ("sku", "location_id"),
    "backtest_scores": ("sku", "location_id"),
    "demand_series": ("sku", "location_id"),
}
# These as well, where the run has tested the forecasts itself.
COMPARED_EVIDENCE: Final[dict[str, tuple[str, ...]]] = {
    "backtest_series": ("sku", "location_id"),
    "backtest_weeks": ("cutoff_date", "week_ahead", "sku", "location_id"),
    "backtest_classes": ("class_kind", "class_name", "model"),
    "backtest_steps": ("model", "step"),
    "horizon_scores": ("level",),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs; `row` names the row by its key. A row that only one side has differs in the column "(row)"."""

    row: dict[str, Any]
    column: str
    published: Any
    rebuilt: Any


@dataclass(frozen=True, slots=True)
class ComparedTable:
    """One table of plans as published and as made again.

    Attributes:
        table: Its name in the schema planning.
        rows_count: As published.
        published_sha256: Of its canonical text.
        rebuilt_sha256: The same, of what was made again.
        differing_counts: Values that differ, by column; "(row)" counts rows that one side lacks, or more than one row of a key.
        examples: The first of them.
    """

    table: str
    rows_count: int
    published_sha256: str
    rebuilt_sha256: str
    differing_counts: dict[str, int] = field(default_factory=dict)
    examples: tuple[Difference, ...] = ()

    @property
    def is_same(self) -> bool:
        """To the byte."""
        return self.published_sha256 == self.rebuilt_sha256


def canonical_text(frame: pl.DataFrame) -> bytes:
    """The rows as UTF-8 text that is the same wherever the values are: one JSON object a line.

    Columns stand in the order of their names and rows are sorted by all of them, null first. Whole numbers and booleans are JSON's own, all
    else is text: a fraction the shortest decimal that reads back as the same number, dates and times as in ISO 8601.
    """
    ordered = frame.select(sorted(frame.columns))
    plain = ordered.with_columns(pl.col(pl.Float64, pl.Decimal, pl.Date, pl.Datetime).cast(pl.String))
    text = io.BytesIO()
    plain.sort(plain.columns, nulls_last=False).write_ndjson(text)
    return text.getvalue()


def sha256_of_text(text: bytes) -> str:
    """In hexadecimal digits."""
    return hashlib.sha256(text).hexdigest()


def read_table(conn: duckdb.DuckDBPyConnection, table: str, *, catalog: str) -> pl.DataFrame:
    """A table of `COMPARED` or `COMPARED_EVIDENCE` of one side: "release" or "memory"."""
    return conn.sql(f"FROM {catalog}.planning.{table}").pl()


def compare_table(table: str, published: pl.DataFrame, rebuilt: pl.DataFrame, *, key: tuple[str, ...]) -> ComparedTable:
    """How what was made again compares with what was published.

    Args:
        table: Its name.
        published: As the release holds it.
        rebuilt: As it was made again.
        key: Columns that name a row.
    """
    then, now = (sha256_of_text(canonical_text(frame)) for frame in (published, rebuilt))
    if then == now:
        return ComparedTable(table, published.height, then, now)
    counts, examples = _differences(published, rebuilt, key=list(key))
    return ComparedTable(table, published.height, then, now, counts, tuple(examples))


def _differences(published: pl.DataFrame, rebuilt: pl.DataFrame, *, key: list[str]) -> tuple[dict[str, int], list[Difference]]:
    shared = sorted(set(published.columns) & set(rebuilt.columns) - set(key))
    one_sided = sorted(set(published.columns) ^ set(rebuilt.columns))
    counts: dict[str, int] = {name: max(published.height, rebuilt.height) for name in one_sided}
    examples = [Difference({}, name, name in published.columns, name in rebuilt.columns) for name in one_sided]
    then, now = (frame.select(*key, *shared).with_columns(pl.lit(value=True).alias("is_there")) for frame in (published, rebuilt))
    both = then.join(now, on=key, how="full", coalesce=True, nulls_equal=True, suffix="_rebuilt").sort(key, nulls_last=False)
    lacking = both.filter(pl.col("is_there").is_null() | pl.col("is_there_rebuilt").is_null())
    extra = then.height + now.height - 2 * (both.height - lacking.height) - lacking.height  # more than one row of a key
    if lacking.height + extra:
        counts["(row)"] = lacking.height + abs(extra)
        examples += [
            Difference({name: row[name] for name in key}, "(row)", bool(row["is_there"]), bool(row["is_there_rebuilt"]))
            for row in lacking.head(EXAMPLES).iter_rows(named=True)
        ]
    on_both = both.filter(pl.col("is_there") & pl.col("is_there_rebuilt"))
    for name in shared:
        other = f"{name}_rebuilt"
        changed = on_both.filter(pl.col(name).ne_missing(pl.col(other)))
        if changed.height:
            counts[name] = changed.height
            examples += [
                Difference({one: row[one] for one in key}, name, row[name], row[other])
                for row in changed.head(EXAMPLES).iter_rows(named=True)
            ]
    return counts, examples
