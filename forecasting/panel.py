"""The demand panel: one row per series and day, sold or not, with days out of stock marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from forecasting.schema import PANEL_COLUMNS, SERIES_KEY

if TYPE_CHECKING:
    from datetime import date

LEAST_HISTORY_DAYS: Final = 28  # four of each weekday
LEAST_SALE_DAYS: Final = 5  # below that a level is guesswork
DORMANT_DAYS: Final = 182  # days in stock without a sale after which an item counts as gone


@dataclass(frozen=True, slots=True)
class SeriesSelection:
    """Which series can be forecast.

    Attributes:
        forecastable: sku, location_id.
        skipped: sku, location_id, reason (a sentence with the series' own numbers), reason_kind (one of few).
    """

    forecastable: pl.DataFrame
    skipped: pl.DataFrame

    @property
    def skipped_counts(self) -> dict[str, int]:
        """How many series were left out, by kind of reason."""
        counts = self.skipped.group_by("reason_kind").len().sort("reason_kind")
        return dict(zip(counts["reason_kind"].to_list(), counts["len"].to_list(), strict=True))


def build_daily_panel(
    demand: pl.DataFrame, *, cutoff: date, stock_outs: pl.DataFrame | None = None, items: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Daily demand per series, with a row for every day from its start to `cutoff`, sold or not.

    A series starts on its first sale, or on its launch where that is earlier (but not before the first day of all
    demand). Days without a sale are real zeros, unless the item was out of stock: those are censored, what was sold on
    them is only a lower bound. Demand after `cutoff` is dropped, so a backtest cannot see its own future.

    Args:
        demand: sku, location_id, demand_date, demand_qty (units); several rows per day are added up.
        cutoff: Last day that is known in full.
        stock_outs: sku, location_id, stock_date of days that ended without stock.
        items: sku, launched_date.

    Returns:
        sku, location_id, demand_date, demand_qty (units per day, never null), is_censored; sorted by series and day,
        unique on the first three.

    Raises:
        ValueError: A quantity is negative or missing. Returns are not negative demand.
    """
    _check_demand(demand)
    known = (
        demand.filter(pl.col("demand_date") <= cutoff).group_by(*SERIES_KEY, "demand_date").agg(pl.col("demand_qty").cast(pl.Float64).sum())
    )
    if known.is_empty():
        return _empty_panel()
    starts = _series_starts(known, items)
    days = starts.select(*SERIES_KEY, pl.date_ranges("start_date", pl.lit(cutoff), interval="1d").alias("demand_date")).explode(
        "demand_date"
    )
    panel = days.join(known, on=[*SERIES_KEY, "demand_date"], how="left")
    return (
        _with_censoring(panel, stock_outs)
        .with_columns(pl.col("demand_qty").fill_null(0.0))
        .select(PANEL_COLUMNS)
        .sort(*SERIES_KEY, "demand_date")
    )


def select_series(
    demand: pl.DataFrame, *, cutoff: date, stock_outs: pl.DataFrame | None = None, items: pl.DataFrame | None = None
) -> SeriesSelection:
    """Every series that ever sold is either forecastable or skipped with a reason.

    Works on sales alone, before a panel exists: a shop with tens of thousands of items that sold once never needs
    their zero days in memory.

    Args:
        demand: As for `build_daily_panel`.
        cutoff: Last day that is known in full.
        stock_outs: As for `build_daily_panel`; an item that could not sell is not dormant.
        items: sku, launched_date, is_active where known; inactive items are not forecast.

    Raises:
        ValueError: A quantity is negative or missing.
    """
    _check_demand(demand)
    known = demand.filter((pl.col("demand_date") <= cutoff) & (pl.col("demand_qty") > 0))
    facts = known.group_by(SERIES_KEY).agg(
        pl.col("demand_date").n_unique().alias("sale_days_count"), pl.col("demand_date").max().alias("last_sale_date")
    )
    facts = facts.join(_series_starts(known, items), on=SERIES_KEY)
    facts = _with_activity(_with_days_in_stock(facts, cutoff, stock_outs), items)
    history = (pl.lit(cutoff) - pl.col("start_date")).dt.total_days() + 1
    rules: list[tuple[str, pl.Expr, pl.Expr]] = [
        ("item inactive", ~pl.col("is_active"), pl.lit("Item is inactive or discontinued.")),
        (
            "no sale lately",
            pl.col("days_in_stock_since_sale") > DORMANT_DAYS,
            pl.format("No sale on {} days in stock, the last one on {}.", "days_in_stock_since_sale", "last_sale_date"),
        ),
        (
            "history too short",
            history < LEAST_HISTORY_DAYS,
            pl.format(f"Only {{}} days of history, {LEAST_HISTORY_DAYS} are needed.", history),
        ),
        (
            "too few sales",
            pl.col("sale_days_count") < LEAST_SALE_DAYS,
            pl.format(f"Sold on {{}} days only, {LEAST_SALE_DAYS} are needed.", "sale_days_count"),
        ),
    ]
    reason = pl.coalesce(*(pl.when(applies).then(sentence) for _, applies, sentence in rules))
    kind = pl.coalesce(*(pl.when(applies).then(pl.lit(name)) for name, applies, _ in rules))
    judged = facts.with_columns(reason.alias("reason"), kind.alias("reason_kind")).sort(SERIES_KEY)
    return SeriesSelection(
        forecastable=judged.filter(pl.col("reason").is_null()).select(SERIES_KEY),
        skipped=judged.filter(pl.col("reason").is_not_null()).select(*SERIES_KEY, "reason", "reason_kind"),
    )


def _series_starts(known: pl.DataFrame, items: pl.DataFrame | None) -> pl.DataFrame:
    first_day = known["demand_date"].min()
    starts = known.group_by(SERIES_KEY).agg(pl.col("demand_date").min().alias("start_date"))
    if items is None or "launched_date" not in items.columns:
        return starts
    launch = items.select("sku", pl.col("launched_date").cast(pl.Date)).unique("sku", keep="first", maintain_order=True)
    launched = pl.max_horizontal(pl.col("launched_date"), pl.lit(first_day))
    return (
        starts.join(launch, on="sku", how="left")
        .with_columns(
            pl.when(pl.col("launched_date").is_not_null())
            .then(pl.min_horizontal("start_date", launched))
            .otherwise(pl.col("start_date"))
            .alias("start_date")
        )
        .drop("launched_date")
    )


def _with_censoring(panel: pl.DataFrame, stock_outs: pl.DataFrame | None) -> pl.DataFrame:
    if stock_outs is None:
        return panel.with_columns(pl.lit(False).alias("is_censored"))
    marks = stock_outs.select(*SERIES_KEY, pl.col("stock_date").alias("demand_date"), pl.lit(True).alias("is_censored")).unique()
    return panel.join(marks, on=[*SERIES_KEY, "demand_date"], how="left").with_columns(pl.col("is_censored").fill_null(False))


def _with_days_in_stock(facts: pl.DataFrame, cutoff: date, stock_outs: pl.DataFrame | None) -> pl.DataFrame:
    since_sale = (pl.lit(cutoff) - pl.col("last_sale_date")).dt.total_days()
    if stock_outs is None:
        return facts.with_columns(since_sale.alias("days_in_stock_since_sale"))
    out = (
        stock_outs.join(facts.select(*SERIES_KEY, "last_sale_date"), on=SERIES_KEY)
        .filter((pl.col("stock_date") > pl.col("last_sale_date")) & (pl.col("stock_date") <= cutoff))
        .group_by(SERIES_KEY)
        .agg(pl.col("stock_date").n_unique().cast(pl.Int64).alias("out_count"))
    )
    return facts.join(out, on=SERIES_KEY, how="left").with_columns(
        (since_sale - pl.col("out_count").fill_null(0)).alias("days_in_stock_since_sale")
    )


def _with_activity(facts: pl.DataFrame, items: pl.DataFrame | None) -> pl.DataFrame:
    if items is None or "is_active" not in items.columns:
        return facts.with_columns(pl.lit(True).alias("is_active"))
    active = items.select("sku", "is_active").unique("sku", keep="first", maintain_order=True)
    return facts.join(active, on="sku", how="left").with_columns(pl.col("is_active").fill_null(True))


def _check_demand(demand: pl.DataFrame) -> None:
    quantity = pl.col("demand_qty").cast(pl.Float64)
    bad = demand.filter(quantity.is_null() | ~quantity.is_finite() | (quantity < 0))
    if not bad.is_empty():
        raise ValueError(
            f"demand_qty: {bad.height} of {demand.height} rows are negative or missing, the first one {bad.row(0, named=True)!r}; "
            "returns are not negative demand, leave them out."
        )


def _empty_panel() -> pl.DataFrame:
    return pl.DataFrame(
        schema={"sku": pl.String, "location_id": pl.String, "demand_date": pl.Date, "demand_qty": pl.Float64, "is_censored": pl.Boolean}
    )
