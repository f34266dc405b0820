"""Amounts in the reporting currency, recounted in plain Polars: the last rate quoted by the day, at most a week old, line by line."""

from __future__ import annotations

import polars as pl


def in_reporting_cents(frame: pl.DataFrame, cents: str, *, day: str, rates: pl.DataFrame, reporting: str) -> pl.Series:
    """The column `cents` at the rate of its own `currency` and `day`, in the frame's order; null where no rate is known."""
    quoted = rates.filter(pl.col("to_currency") == reporting).select(
        pl.col("from_currency").alias("currency"), pl.col("rate_date").alias(day), pl.col("rate").cast(pl.Float64)
    )
    dated = frame.select(pl.int_range(pl.len()).alias("nth"), "currency", day, cents).sort(day)
    rated = dated.join_asof(quoted.sort(day), on=day, by="currency", strategy="backward", tolerance="7d", check_sortedness=False).sort(
        "nth"
    )
    rate = pl.when(pl.col("currency") == reporting).then(1.0).otherwise(pl.col("rate"))
    return rated.select((pl.col(cents) * rate).round(mode="half_away_from_zero").cast(pl.Int64)).to_series()
