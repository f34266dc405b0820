"""Reads about how orders went: stages, fill rates, promises against arrivals, the backlog's past, and the orders behind a figure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl

from dashboards.queries.metrics import breakdown, course
from dashboards.queries.names import member_names
from dashboards.queries.reading import read_frame
from pipelines.stores.reports import with_money

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

STAGES: Final = {
    "order_stage_create_to_approve_mean_days": "Creation to approval",
    "order_stage_approve_to_release_mean_days": "Approval to release",
    "order_stage_release_to_ship_mean_days": "Release to shipment",
    "order_stage_ship_to_deliver_mean_days": "Shipment to arrival",
}
FILL_RATES: Final = {"order_fill_rate": "Orders", "line_fill_rate": "Lines", "unit_fill_rate": "Units"}
MOST_ROWS: Final = 1_000
EARLIEST_DAYS, LATEST_DAYS = -8, 14  # the ends of the distribution gather what lies beyond them
NOWHERE: Final = "unknown"  # as metrics name rows without a member
_MEAN: Final = "order_cycle_time_mean_days"
_TIMELINE: Final = "timeline"
_COLUMNS: Final = {
    "location": "location_id",
    "channel": "channel_id",
    "carrier": "carrier",
    "country": "ship_to_country",
    "currency": "currency_code",
}
# The orders that on_time_in_full is about, as its definition has them.
_DUE: Final = "promised_delivery_date between ? and ? and not is_cancelled and not is_test and is_on_time_in_full is not null"
_LATE: Final = "date_diff('day', promised_delivery_date, delivered_date)"

Outcome = Literal["missed", "all"]


@dataclass(frozen=True, slots=True)
class Stages:
    """Where an order's time goes.

    Attributes:
        means: member, name, stage, days: a row per member and stage; the first member is everything, and stages sum to its total.
        totals: member, name, days, n.
        impossible_count: Delivered orders whose timestamps run backwards; no stage counts them.
        not_available: Why there are no rows.
    """

    means: pl.DataFrame
    totals: pl.DataFrame
    impossible_count: int
    not_available: str | None


def stages(served: Served, filters: Filters, by: str) -> Stages:
    """Mean days per stage, of all orders and by the members of a dimension."""
    everything = {name: breakdown(served, name, _TIMELINE, filters) for name in (*STAGES, _MEAN)}
    why_not = next((found.not_available for found in everything.values() if found.not_available), None)
    if why_not:
        return Stages(pl.DataFrame(), pl.DataFrame(), 0, why_not)
    timelines = everything[_MEAN].rows
    impossible = timelines.filter(pl.col("member") == "impossible")["n"].sum()
    parts, totals = [], [_total(timelines.filter(pl.col("member") == "possible"), everybody=True)]
    for name, label in STAGES.items():
        whole = everything[name].rows.filter(pl.col("member") == "possible")
        members = breakdown(served, name, by, filters).rows
        parts += [_stage(whole, label, everybody=True), _stage(members, label)]
    means = pl.concat(parts).drop_nulls("days")
    summed = (
        means.filter(pl.col("member") != "").group_by("member", "name", maintain_order=True).agg(pl.col("days").sum(), pl.col("n").first())
    )
    return Stages(means, pl.concat([*totals, summed.select("member", "name", "days", "n")]), int(impossible), None)


def fill_rates(served: Served, filters: Filters, by: str) -> tuple[pl.DataFrame, str | None]:
    """The three fill rates by the members of a dimension: member, name, rate_of, value, target, n; and why there are none."""
    found = {label: breakdown(served, name, by, filters) for name, label in FILL_RATES.items()}
    usable = [
        one.rows.select("member", "name", pl.lit(label).alias("rate_of"), "value", "target", "n")
        for label, one in found.items() if not one.not_available
    ]  # fmt: skip
    if not usable:
        return pl.DataFrame(), next(iter(found.values())).not_available
    return pl.concat(usable).drop_nulls("value"), None


def backlog_course(served: Served, filters: Filters) -> tuple[pl.DataFrame, str | None]:
    """Open orders at the end of each day by age: period_from, age_band, value; about 90 days; and why there are none."""
    found = course(served, "open_orders", filters, grain="day", by="age_band")
    return found.rows.select("period_from", pl.col("member").alias("age_band"), "value"), found.not_available


def arrivals(served: Served, filters: Filters) -> pl.DataFrame:
    """Orders promised for the chosen days by how many days after their promise they arrived.

    Returns:
        late_days (the ends gather what lies beyond; null: not arrived), arrival (on time, late, not arrived, or closed: it ended
        without arriving and never will), orders_count, cut_count (arrived in time without all that was ordered), confirmed_count,
        requested_count, derived_count (what their promise rests on).
    """
    condition, bound = _due(served, filters)
    basis = ", ".join(f"count(*) filter (where promise_basis = '{name}') as {name}_count" for name in ("confirmed", "requested", "derived"))
    return read_frame(
        served.release,
        # of a null, least and greatest would make one of the ends
        "select case when delivered_date is not null "
        f"then greatest({EARLIEST_DAYS}, least({LATEST_DAYS}, {_LATE})) end as late_days, "
        f"case when {_LATE} > 0 then 'late' when {_LATE} <= 0 then 'on time' when is_open then 'not arrived' else 'closed' end as arrival, "
        "count(*) as orders_count, "
        f"count(*) filter (where {_LATE} <= 0 and not is_on_time_in_full) as cut_count, {basis} "
        f"from marts.fct_orders where {condition} group by all order by late_days nulls last, arrival desc",
        bound,
    )


def orders_behind(served: Served, filters: Filters, *, by: str, member: str | None, outcome: Outcome) -> tuple[pl.DataFrame, int]:
    """The orders behind on_time_in_full of one member, or of all: those that were not first, the latest before others.

    Args:
        served: What is shown.
        filters: Days of the promise, channels, locations and currencies.
        by: Dimension of the member.
        member: Its id, `NOWHERE` for orders without one, None for all.
        outcome: "missed" for those that did not arrive in full by their promise.

    Returns:
        At most `MOST_ROWS` orders with late_days (null: not arrived) and the location's name; and how many there are.
    """
    condition, bound = _due(served, filters)
    if member is not None:
        column = _COLUMNS[by]
        condition += f" and {column} is null" if member == NOWHERE else f" and {column} = ?"
        bound = bound if member == NOWHERE else (*bound, member)
    if outcome == "missed":
        condition += " and not is_on_time_in_full"
    rows = read_frame(
        served.release,
        f"select order_id, ordered_date, promised_delivery_date, promise_basis, delivered_date, {_LATE} as late_days, is_on_time_in_full, "
        "ordered_qty, shipped_qty, net_reporting_amount, channel_id, location_id, carrier, ship_to_country, count(*) over () as all_count "
        f"from marts.fct_orders where {condition} "
        f"order by is_on_time_in_full, late_days desc nulls first, promised_delivery_date, order_id limit {MOST_ROWS}",
        bound,
    )
    named = with_money(rows.drop("all_count"), served.context.currency_code)
    location = pl.col("location_id").replace(member_names(served, "location")).alias("location")
    return named.with_columns(location), rows["all_count"][0] if rows.height else 0


def touches_by_cause(served: Served, filters: Filters) -> tuple[pl.DataFrame, str | None]:
    """What made people touch orders: name, touches_per_100 and prior_per_100 finished orders, most first; and why there are none."""
    found = breakdown(served, "touches_per_order", "reason", filters)
    per_100 = found.rows.select("name", touches_per_100=pl.col("value") * 100, prior_per_100=pl.col("prior") * 100)
    return per_100.filter(pl.col("touches_per_100") > 0).sort("touches_per_100", descending=True), found.not_available


def _due(served: Served, filters: Filters) -> tuple[str, tuple[Any, ...]]:
    until = served.context.as_of_date
    bound: list[Any] = [until - timedelta(days=filters.days - 1), until]
    parts = [_DUE]
    for name, members in filters.where.items():
        parts.append(f"list_contains(?, {_COLUMNS[name]})")
        bound.append(list(members))
    return " and ".join(parts), tuple(bound)


def _stage(rows: pl.DataFrame, label: str, *, everybody: bool = False) -> pl.DataFrame:
    member, name = (pl.lit(""), pl.lit("All")) if everybody else (pl.col("member"), pl.col("name"))
    return rows.select(member.alias("member"), name.alias("name"), pl.lit(label).alias("stage"), pl.col("value").alias("days"), "n")


def _total(rows: pl.DataFrame, *, everybody: bool) -> pl.DataFrame:
    return _stage(rows, "", everybody=everybody).select("member", "name", "days", "n")
