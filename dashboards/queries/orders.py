"""Reads about orders that are open, about what blocks them, and about a single order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from dashboards.queries.metrics import breakdown
from dashboards.queries.names import member_names
from dashboards.queries.reading import read_frame, read_money
from dashboards.queries.reports import report
from pipelines.stores.reports import with_money

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

MOST_ROWS: Final = 1_000
BLOCKED_PARTS: Final = ("blocked_value_released", "blocked_value_lost")
_NARROWABLE: Final = {"channel": "channel_id", "location": "location_id"}
_OPEN_COLUMNS: Final = """
    order_id, ordered_date, age_days, age_band, stage, stage_number, cause, is_overdue, promised_ship_date, promised_delivery_date,
    promise_basis, ordered_qty, shipped_qty, net_reporting_amount, net_amount, currency_code, channel_id, location_id, ship_to_country,
    ship_to_region, carrier
"""
_ORDER: Final = """
    select order_id, promised_ship_at, promised_delivery_at, promised_delivery_date, delivered_date, promise_basis, ship_promise_basis,
        channel_id, location_id, ship_to_country, carrier, currency_code, cancel_reason, is_cancelled, is_test, is_open, closed_at,
        has_impossible_timeline, cycle_time_days, create_to_approve_days, approve_to_release_days, release_to_ship_days,
        ship_to_deliver_days, ordered_qty, net_amount
    from marts.fct_orders where order_id = ?
"""
_LINES: Final = """
    select sku, products.title, ordered_qty, shipped_qty, returned_qty, given_up_qty, net_amount, lines.currency_code,
        lines.promised_ship_date, shipped_date
    from marts.fct_order_lines as lines left join marts.dim_products as products using (sku)
    where order_id = ? order by order_line_id
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Open orders by stage and age.

    Attributes:
        cells: stage_number, stage, age_from_days, age_band, cause, is_overdue, orders_count, open_reporting_amount (major units, None where
            one of them has no exchange rate).
        missing: Contract fields without which nobody knows which orders are open.
        definitions: What the columns of the list mean.
    """

    cells: pl.DataFrame
    missing: tuple[str, ...]
    definitions: dict[str, str]

    @property
    def by_stage_and_age(self) -> pl.DataFrame:
        """A row per stage and age: orders_count, overdue_count, open_reporting_amount; each stage and age in its own order."""
        sums = pl.col("orders_count").sum(), pl.col("orders_count").filter(pl.col("is_overdue")).sum().alias("overdue_count")
        worth = pl.when(pl.col("open_reporting_amount").is_not_null().all()).then(pl.col("open_reporting_amount").sum())
        keys = ["stage_number", "stage", "age_from_days", "age_band", "currency_code"]
        return self.cells.group_by(keys).agg(*sums, worth.alias("open_reporting_amount")).sort("stage_number", "age_from_days")

    @property
    def by_stage(self) -> pl.DataFrame:
        """A row per stage, in its order: orders_count, overdue_count."""
        counted = self.by_stage_and_age.group_by("stage_number", "stage").agg(pl.col("orders_count", "overdue_count").sum())
        return counted.sort("stage_number")


def backlog(served: Served, filters: Filters) -> Backlog:
    """The open orders of the chosen channels and locations, counted."""
    condition, bound = _condition(filters, {})
    cells = read_frame(
        served.release,
        "select stage_number, stage, age_from_days, age_band, cause, is_overdue, count(*) as orders_count, "
        "case when count(*) = count(net_reporting_amount) then cast(sum(net_reporting_amount) as bigint) end as open_reporting_amount "
        f"from marts.fct_open_orders where {condition} group by all order by stage_number, age_from_days, cause, is_overdue",
        bound,
    )
    declared = report(served, "open_orders", limit=1)
    return Backlog(with_money(cells, served.context.currency_code), declared.missing, declared.definitions)


def open_orders(served: Served, filters: Filters, chosen: Mapping[str, Any]) -> tuple[pl.DataFrame, int]:
    """Open orders, overdue ones first, at most `MOST_ROWS` of them, with the location's name; and how many there are.

    Args:
        served: What is shown.
        filters: Channels and locations.
        chosen: A value for some of stage, age_band, cause and is_overdue; None narrows nothing.
    """
    condition, bound = _condition(filters, chosen)
    rows = read_frame(
        served.release,
        f"select {_OPEN_COLUMNS}, count(*) over () as all_count from marts.fct_open_orders where {condition} "
        f"order by is_overdue desc, promised_delivery_date, order_id limit {MOST_ROWS}",
        bound,
    )
    names = member_names(served, "location")
    named = with_money(rows.drop("all_count"), served.context.currency_code).with_columns(
        pl.col("location_id").replace(names).alias("location")
    )
    return named, rows["all_count"][0] if rows.height else 0


def blocked(served: Served, filters: Filters) -> pl.DataFrame:
    """What was blocked in the chosen days, by cause: cause, part (released, lost or open), amount, orders_count, hold_p50_hours.

    A part is what the metrics of that name say; what is neither released nor lost is open. Empty where the source does not say.
    """
    value, orders, hold = (
        breakdown(served, name, "reason", filters) for name in ("blocked_value", "blocked_orders", "blocked_order_hold_p50_hours")
    )
    if value.not_available or value.rows.is_empty():
        return pl.DataFrame(schema=_BLOCKED)
    whole = value.rows.select(cause="member", whole="value")
    for name in BLOCKED_PARTS:
        part = breakdown(served, name, "reason", filters).rows.select(cause="member", **{name: "value"})
        whole = whole.join(part, on="cause", how="left")
    counted = orders.rows.select(cause="member", orders_count=pl.col("value").cast(pl.Int64))
    held = hold.rows.select(cause="member", hold_p50_hours="value")
    parts = whole.with_columns(released=pl.col(BLOCKED_PARTS[0]).fill_null(0), lost=pl.col(BLOCKED_PARTS[1]).fill_null(0)).with_columns(
        open=pl.col("whole") - pl.col("released") - pl.col("lost")
    )
    long = parts.unpivot(["released", "lost", "open"], index="cause", variable_name="part", value_name="amount")
    return long.join(counted, on="cause", how="left").join(held, on="cause", how="left").select(*_BLOCKED)


def order_facts(served: Served, order_id: str) -> dict[str, Any] | None:
    """The order's moments, promises, stages and worth; None where the release has no such order."""
    rows = read_money(served, _ORDER, (order_id,))
    if rows.is_empty():
        return None
    names = member_names(served, "location")
    facts = rows.row(0, named=True)
    waits = read_frame(served.release, "select stage_number, cause from marts.fct_open_orders where order_id = ?", (order_id,))
    return facts | {"location": names.get(facts["location_id"], facts["location_id"])} | (waits.row(0, named=True) if waits.height else {})


def order_lines(served: Served, order_id: str) -> pl.DataFrame:
    """The order's lines: sku, title, units ordered, shipped, returned and given up, worth."""
    return read_money(served, _LINES, (order_id,))


def _condition(filters: Filters, chosen: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    parts = [f"list_contains(?, {column})" for name, column in _NARROWABLE.items() if name in filters.where]
    bound: list[Any] = [list(filters.where[name]) for name in _NARROWABLE if name in filters.where]
    for column in ("stage", "age_band", "cause", "is_overdue"):
        if chosen.get(column) is not None:
            parts.append(f"{column} = ?")
            bound.append(chosen[column])
    return " and ".join(parts) or "true", tuple(bound)


_BLOCKED: Final = {
    "cause": pl.String, "part": pl.String, "amount": pl.Float64, "orders_count": pl.Int64, "hold_p50_hours": pl.Float64,
}  # fmt: skip
