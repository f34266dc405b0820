"""What customer models are fitted on: how often, when last and since when each customer bought, one row per customer or kind."""

from __future__ import annotations

from typing import Final

import polars as pl

LEAST_REPEAT_CUSTOMERS: Final = 100  # four parameters from fewer are noise


class CustomerModelError(ValueError):
    """No model can be made of these customers."""


class UnusableSummaryError(CustomerModelError):
    """A row of the summary contradicts itself, or holds no finite number."""


class TooFewRepeatCustomersError(CustomerModelError):
    """Too few customers bought again."""


class NoUsableFitError(CustomerModelError):
    """The best parameters lie at an edge or were not found."""


def validated_summary(summary: pl.DataFrame) -> pl.DataFrame:
    """The summary with float columns and a `weight`: how many customers a row stands for.

    Raises:
        UnusableSummaryError: A number is missing, negative or not finite, or a row contradicts itself.
    """
    weight = pl.col("customers_count") if "customers_count" in summary.columns else pl.lit(1.0)
    rows = summary.with_columns(pl.col("x", "t_x", "T").cast(pl.Float64), weight.cast(pl.Float64).alias("weight"))
    known = pl.all_horizontal(pl.col("x", "t_x", "T", "weight").is_finite() & (pl.col("x", "t_x", "T", "weight") >= 0)).fill_null(
        value=False
    )
    for is_wrong, what in (
        (~known, "have an x, t_x, T or customers_count that is missing, negative or not finite"),
        (pl.col("t_x") > pl.col("T"), "bought last after the end of their time (t_x > T): cut purchases off at the date T counts to"),
        ((pl.col("x") == 0) & (pl.col("t_x") > 0), "have a time of a last repeat purchase and no such purchase (x = 0, t_x > 0)"),
    ):
        wrong = rows.filter(is_wrong)
        if not wrong.is_empty():
            example = {name: wrong[name][0] for name in ("x", "t_x", "T")}
            raise UnusableSummaryError(f"{wrong.height:,} of {rows.height:,} rows {what}; for example {example}.")
    return rows


def require_repeat_customers(rows: pl.DataFrame) -> None:
    """Enough customers bought again.

    Raises:
        TooFewRepeatCustomersError: They did not.
    """
    repeat = int(rows.filter(pl.col("x") > 0)["weight"].sum())
    if repeat < LEAST_REPEAT_CUSTOMERS:
        raise TooFewRepeatCustomersError(
            f"{repeat:,} of {int(rows['weight'].sum()):,} customers bought again and at least {LEAST_REPEAT_CUSTOMERS} are needed: "
            "wait for more history."
        )
