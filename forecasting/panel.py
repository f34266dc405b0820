"""The demand panel: one row per series and period, sold or not, with what could not be sold marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from forecasting.like_items import LEAST_LIKE
from forecasting.schema import PANEL_COLUMNS, SERIES_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from forecasting.schema import Frequency

LEAST_HISTORY_DAYS: Final = 28  # four of each weekday
TOO_YOUNG: Final = "history too short"
LEAST_SALE_DAYS: Final = 5  # below that a level is guesswork
DORMANT_DAYS: Final = 182  # days in stock without a sale after which an item counts as gone
LEAST_ON_SALE_RATE: Final = 0.5  # share of a week or month on sale from which the rest is inferred; docs/methods/panels.md has the figures
LEAST_OPEN_RATE: Final = 0.8  # share of a weekday's days with a sale from which a day without any is a closure
LEAST_OPEN_SERIES: Final = 7.0  # series that sell on such a day; that all of them pause by chance is one in a thousand

_STEPS: Final[Mapping[Frequency, str]] = {"daily": "1d", "weekly": "1w", "monthly": "1mo"}


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


def build_panel(
    demand: pl.DataFrame,
    *,
    cutoff: date,
    frequency: Frequency,
    stock_outs: pl.DataFrame | None = None,
    items: pl.DataFrame | None = None,
    calendar: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Demand per series, with a row for every day, week or month from its start to the last whole one, sold or not.

    A series starts on its first sale, or on its launch where that is earlier (but not before the first day of all
    demand), and ends at the cut-off, or when it is discontinued and sold out. A period without a sale is a real zero,
    unless the item was not to be had: such periods are censored, and what was sold in them is kept as the least that
    was wanted. A week or month that was on sale for `LEAST_ON_SALE_RATE` of its days or more counts as if it had been
    for all of them. A day on which a whole location sold nothing, against its habit on that weekday, is censored for
    all of its series, unless the calendar knows of it: then it is the zero from which the event is learned.
    `cutoff` cuts off what comes later, so a backtest cannot see its own future.

    Args:
        demand: sku, location_id, demand_date, demand_qty (units); several rows per day are added up.
        cutoff: Last day that is known in full. A week or month that goes on after it is dropped.
        frequency: "daily", "weekly" (a week starts on Monday) or "monthly" (on the 1st).
        stock_outs: sku, location_id, stock_date of days that ended without stock.
        items: sku, and where known launched_date and discontinued_date (last day on sale).
        calendar: demand_date, and events (text) or flags (true or false) that are known ahead.

    Returns:
        sku, location_id, demand_date (first day of the period), demand_qty (units, never null), is_censored; sorted by
        series and date, unique on the first three.

    Raises:
        ValueError: A quantity is negative or missing, or the frequency not known.
    """
    if frequency not in _STEPS:
        raise ValueError(f"frequency: {frequency!r} is not known; pass 'daily', 'weekly' or 'monthly'.")
    _check_demand(demand)
    step = _STEPS[frequency]
    after = pl.select(pl.lit(cutoff).dt.offset_by("1d").dt.truncate(step)).item()  # the first period that is not whole
    days = (
        demand.filter(pl.col("demand_date") < after).group_by(*SERIES_KEY, "demand_date").agg(pl.col("demand_qty").cast(pl.Float64).sum())
    )
    if days.is_empty():
        return _empty_panel()
    spans = _series_spans(days, items, after)
    out = _days_out(days, spans, stock_outs)
    start = pl.col("start_date").dt.truncate(step)
    panel = (
        spans.with_columns(pl.date_ranges(start, "end_date", interval=step, closed="both").alias("demand_date"))
        .explode("demand_date")
        .join(_per_period(days, step, pl.col("demand_qty").sum()), on=[*SERIES_KEY, "demand_date"], how="left")
        .join(_per_period(out, step, pl.len().alias("out_count"), pl.col("out_qty").sum()), on=[*SERIES_KEY, "demand_date"], how="left")
        .with_columns(pl.col("demand_qty", "out_qty").fill_null(0.0), pl.col("out_count").fill_null(0))
    )
    panel = _as_if_on_sale(panel, step).select(PANEL_COLUMNS).sort(*SERIES_KEY, "demand_date")
    return _with_closures(panel, calendar) if frequency == "daily" else panel


def select_series(
    demand: pl.DataFrame, *, cutoff: date, stock_outs: pl.DataFrame | None = None, items: pl.DataFrame | None = None
) -> SeriesSelection:
    """Every series that ever sold is either forecastable or skipped with a reason.

    A young series is forecastable where there are items like it to start from (`forecasting.like_items`). Works on sales alone,
    before a panel exists: a shop with tens of thousands of items that sold once never needs their zero days in memory.

    Args:
        demand: As for `build_panel`.
        cutoff: Last day that is known in full.
        stock_outs: As for `build_panel`; an item that could not sell is not dormant.
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
    facts = facts.with_columns((pl.lit(cutoff) - pl.col("start_date")).dt.total_days().alias("history_days_count") + 1)
    rules = _rules(has_like_items=_launched_and_grown(facts) >= LEAST_LIKE)
    reason = pl.coalesce(*(pl.when(applies).then(sentence) for _, applies, sentence in rules))
    kind = pl.coalesce(*(pl.when(applies).then(pl.lit(name)) for name, applies, _ in rules))
    judged = facts.with_columns(reason.alias("reason"), kind.alias("reason_kind")).sort(SERIES_KEY)
    return SeriesSelection(
        forecastable=judged.filter(pl.col("reason").is_null()).select(SERIES_KEY),
        skipped=judged.filter(pl.col("reason").is_not_null()).select(*SERIES_KEY, "reason", "reason_kind"),
    )


def _rules(*, has_like_items: bool) -> list[tuple[str, pl.Expr, pl.Expr]]:
    """Kind of reason, where it applies, and its sentence; the first that applies is said."""
    history, is_young = pl.col("history_days_count"), pl.col("history_days_count") < LEAST_HISTORY_DAYS
    return [
        ("item inactive", ~pl.col("is_active"), pl.lit("Item is inactive or discontinued.")),
        (
            "no sale lately",
            pl.col("days_in_stock_since_sale") > DORMANT_DAYS,
            pl.format("No sale on {} days in stock, the last one on {}.", "days_in_stock_since_sale", "last_sale_date"),
        ),
        (
            TOO_YOUNG,
            is_young & (not has_like_items),
            pl.format(f"Only {{}} days of history; {LEAST_HISTORY_DAYS} are needed, or {LEAST_LIKE} items whose launch was seen.", history),
        ),
        (
            "too few sales",
            ~is_young & (pl.col("sale_days_count") < LEAST_SALE_DAYS),
            pl.format(f"Sold on {{}} days only, {LEAST_SALE_DAYS} are needed.", "sale_days_count"),
        ),
    ]


def _launched_and_grown(facts: pl.DataFrame) -> int:
    """How many series the history has seen from their first day to the age at which they stand alone: what young ones go by."""
    is_grown = (pl.col("history_days_count") >= LEAST_HISTORY_DAYS) & (pl.col("sale_days_count") >= LEAST_SALE_DAYS)
    is_selling = pl.col("is_active") & (pl.col("days_in_stock_since_sale") <= DORMANT_DAYS)
    return facts.filter(is_grown & is_selling & (pl.col("start_date") > pl.col("start_date").min())).height


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


def _series_spans(known: pl.DataFrame, items: pl.DataFrame | None, after: date) -> pl.DataFrame:
    """sku, location_id, start_date, end_date: first and last day on sale."""
    last = pl.lit(after).dt.offset_by("-1d")
    sold = known.group_by(SERIES_KEY).agg(pl.col("demand_date").max().alias("sold_date"))
    spans = _series_starts(known, items).join(sold, on=SERIES_KEY)
    if items is None or "discontinued_date" not in items.columns:
        return spans.with_columns(last.alias("end_date"))
    ended = items.select("sku", pl.col("discontinued_date").cast(pl.Date)).unique("sku", keep="first", maintain_order=True)
    end = pl.when(pl.col("discontinued_date") < last).then(pl.max_horizontal("discontinued_date", "sold_date")).otherwise(last)
    return spans.join(ended, on="sku", how="left").with_columns(end.alias("end_date"))


def _days_out(days: pl.DataFrame, spans: pl.DataFrame, stock_outs: pl.DataFrame | None) -> pl.DataFrame:
    """sku, location_id, demand_date, out_qty: days of a series that ended without stock, and what was sold on them."""
    if stock_outs is None:
        return days.clear().rename({"demand_qty": "out_qty"})
    return (
        stock_outs.select(*SERIES_KEY, pl.col("stock_date").alias("demand_date"))
        .unique()
        .join(spans, on=SERIES_KEY)
        .filter(pl.col("demand_date").is_between("start_date", "end_date"))
        .join(days, on=[*SERIES_KEY, "demand_date"], how="left")
        .select(*SERIES_KEY, "demand_date", pl.col("demand_qty").alias("out_qty"))
    )


def _per_period(days: pl.DataFrame, step: str, *sums: pl.Expr) -> pl.DataFrame:
    return days.group_by(*SERIES_KEY, pl.col("demand_date").dt.truncate(step)).agg(*sums)


def _as_if_on_sale(panel: pl.DataFrame, step: str) -> pl.DataFrame:
    """`demand_qty` of periods mostly on sale is raised to the whole period; those less on sale are censored.

    Raised are the units sold on days on sale, by whole days over those days: what the other days would have sold, had
    they been like them.
    """
    first, following = pl.col("demand_date"), pl.col("demand_date").dt.offset_by(step)
    length = (following - first).dt.total_days()
    lived = (pl.min_horizontal(following.dt.offset_by("-1d"), "end_date") - pl.max_horizontal(first, "start_date")).dt.total_days() + 1
    rate = (lived - pl.col("out_count")) / length
    raised = pl.max_horizontal("demand_qty", (pl.col("demand_qty") - pl.col("out_qty")) / rate)
    return panel.with_columns(
        pl.when((rate >= LEAST_ON_SALE_RATE) & (rate < 1)).then(raised).otherwise("demand_qty").alias("demand_qty"),
        (rate < LEAST_ON_SALE_RATE).alias("is_censored"),
    )


def _with_closures(panel: pl.DataFrame, calendar: pl.DataFrame | None) -> pl.DataFrame:
    """Days on which a location that trades on that weekday sold nothing at all are no evidence of anything's demand."""
    by_day = panel.group_by("location_id", "demand_date").agg((pl.col("demand_qty") > 0).sum().alias("selling"))
    weekday = ["location_id", pl.col("demand_date").dt.weekday()]
    closed = by_day.filter(
        (pl.col("selling") == 0)
        & ((pl.col("selling") > 0).mean().over(weekday) >= LEAST_OPEN_RATE)
        & (pl.col("selling").mean().over(weekday) >= LEAST_OPEN_SERIES)
    ).select("location_id", "demand_date", pl.lit(True).alias("is_closed"))
    if calendar is not None:
        marks = [
            pl.col(name).fill_null(False) if kind == pl.Boolean else pl.col(name).is_not_null()
            for name, kind in calendar.schema.items()
            if kind in {pl.Boolean, pl.String} and name not in {*SERIES_KEY, "category"}
        ]
        known = calendar.filter(pl.any_horizontal(marks)) if marks else calendar.clear()
        closed = closed.join(known, on="demand_date", how="anti")
    return (
        panel.join(closed, on=["location_id", "demand_date"], how="left", maintain_order="left")
        .with_columns((pl.col("is_censored") | pl.col("is_closed").fill_null(False)).alias("is_censored"))
        .drop("is_closed")
    )


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
