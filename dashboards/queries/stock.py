"""Reads of the Stock page: where stock stands, when it runs out, what lies idle, and classes of items."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl

from dashboards.queries.metrics import breakdown
from dashboards.queries.names import offered
from dashboards.queries.reading import read_frame
from dashboards.queries.reports import report
from pipelines.stores.reports import with_money

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from dashboards.queries.reports import ReportTable

OUT_NOW, USED_UP, MISSED = "Nothing free now", "Used up in the median", "Sales missed after it"
Measure = Literal["stock_value", "units", "days_of_supply", "in_stock_rate"]


@dataclass(frozen=True, slots=True)
class Projection:
    """When stock runs out.

    Attributes:
        rows: sku, title, location_id, location, runs_out_date, basis (`OUT_NOW`, `USED_UP` or `MISSED`: what that day is), runs_out_days
            (0 and less: nothing is free now), available_qty, inbound_qty, next_inbound_date, at_risk (margin, in currency_code), answer
            (what is suggested; null where nothing is), is_covered, reason; soonest first, more margin at risk before less on the same
            day.
        unjudged_count: Active items at locations of which nobody knows when they run out, since they have no forecast.
        empty_unjudged_count: Those of them with nothing free now.
    """

    rows: pl.DataFrame
    unjudged_count: int
    empty_unjudged_count: int

    def within(self, days: int) -> pl.DataFrame:
        """Those that run out within so many days."""
        return self.rows.filter(pl.col("runs_out_days") <= days)


def network(served: Served, filters: Filters) -> pl.DataFrame:
    """Stock by location, most value first.

    Returns:
        location_id, location, owned_qty, stock_value_reporting_amount, available_qty, held_qty (committed, reserved or damaged),
        in_transit_qty, on_order_qty, on_order_value_reporting_amount, unvalued_count (items without a cost or a rate).
    """
    return _money(served, read_frame(served.release, _NETWORK, _bound(filters)))


def across(served: Served, measure: Measure, filters: Filters) -> pl.DataFrame:
    """location, category, value: a measure by both; value is None where nothing was counted."""
    if measure in {"units", "stock_value"}:
        frame = read_frame(served.release, _ACROSS, _bound(filters))
        if measure == "units":
            return frame.select("location", "category", pl.col("owned_qty").cast(pl.Float64).alias("value"))
        return _money(served, frame).select("location", "category", pl.col("stock_value_reporting_amount").cast(pl.Float64).alias("value"))
    places = offered(served, "location")
    parts = [
        breakdown(served, measure, "category", replace(filters, location=(place,))).rows.select(
            pl.lit(name).alias("location"), pl.col("member").alias("category"), pl.col("value").cast(pl.Float64)
        )
        for place, name in places.items()
        if not filters.location or place in filters.location
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema=_CELLS)


def projection(served: Served, filters: Filters) -> Projection:
    """When each item at each location runs out if nothing new is ordered, and what is suggested about it."""
    as_of = served.context.as_of_date
    rows = read_frame(served.release, _RUNS_OUT, (*_bound(filters), as_of))
    judged = rows.filter(pl.col("runs_out_date").is_not_null()).with_columns(
        runs_out_days=(pl.col("runs_out_date") - pl.lit(as_of)).dt.total_days(), is_covered=pl.col("answer").is_not_null()
    )
    unjudged = rows.filter(pl.col("runs_out_date").is_null() & pl.col("is_active"))
    return Projection(judged, unjudged.height, unjudged.filter(pl.col("available_qty") <= 0).height)


def idle(served: Served, filters: Filters) -> pl.DataFrame:
    """Stock that lies idle, most money first.

    Returns:
        sku, title, location_id, location, state ("Dead", "Excess" or "Aged", the worst of what holds), idle_reporting_amount (the most of
        the three amounts), dead_, excess_ and aged_value_reporting_amount, stock_value_reporting_amount, on_hand_qty, days_of_supply,
        days_since_last_sale, inbound_qty, advice.
    """
    return _money(served, read_frame(served.release, _IDLE, _bound(filters)))


def ages(served: Served, filters: Filters) -> pl.DataFrame:
    """age_band, is_aged, qty, stock_value_reporting_amount: stock at cost by how long ago it came in, youngest first."""
    return _money(served, read_frame(served.release, _AGES, _bound(filters)))


def class_matrix(served: Served, filters: Filters) -> tuple[int, ReportTable]:
    """The period that reports tell for the chosen days, and what each class sold and holds in it."""
    return filters.report_days, report(served, "product_class_matrix", where={"period_days": filters.report_days})


def class_items(served: Served, filters: Filters, abc_class: str, xyz_class: str) -> pl.DataFrame:
    """The items of a class, most stock value first.

    Returns:
        sku, title, net_sales_reporting_amount (of 364 days), stock_value_reporting_amount, on_hand_qty, available_qty, out_count
        (locations with nothing free), locations_count.
    """
    return _money(served, read_frame(served.release, _CLASS_ITEMS, (*_bound(filters), abc_class, xyz_class)))


def _bound(filters: Filters) -> tuple[Any, ...]:
    return (filters.category, filters.location)


def _money(served: Served, frame: pl.DataFrame) -> pl.DataFrame:
    return with_money(frame, served.context.currency_code)


_CELLS: Final[dict[str, Any]] = {"location": pl.String, "category": pl.String, "value": pl.Float64}

_CHOSEN: Final = """
    chosen as (
        select sku, coalesce(title, sku) as title, coalesce(category, 'unknown') as category, is_active, unit_cost_amount
        from marts.dim_products
        where len(?1::varchar[]) = 0 or list_contains(?1::varchar[], category)
    ),
    places as (
        select location_id, coalesce(name, location_id) as location from marts.dim_locations
        where len(?2::varchar[]) = 0 or list_contains(?2::varchar[], location_id)
    )
"""

_NETWORK: Final = f"""
    with {_CHOSEN}
    select location_id, any_value(location) as location,
        coalesce(sum(qty) filter (is_owned), 0)::bigint as owned_qty,
        sum(stock_value_reporting_amount) filter (is_owned)::bigint as stock_value_reporting_amount,
        coalesce(sum(qty) filter (stock_state = 'available'), 0)::bigint as available_qty,
        coalesce(sum(qty) filter (stock_state in ('committed', 'reserved', 'damaged')), 0)::bigint as held_qty,
        coalesce(sum(qty) filter (stock_state = 'in_transit'), 0)::bigint as in_transit_qty,
        coalesce(sum(qty) filter (stock_state = 'on_order'), 0)::bigint as on_order_qty,
        sum(stock_value_reporting_amount) filter (stock_state = 'on_order')::bigint as on_order_value_reporting_amount,
        count(distinct sku) filter (stock_value_reporting_amount is null) as unvalued_count
    from marts.fct_stock_network join chosen using (sku) join places using (location_id)
    group by location_id
    order by stock_value_reporting_amount desc nulls last, location_id
"""

_ACROSS: Final = f"""
    with {_CHOSEN}
    select location, category, sum(qty)::bigint as owned_qty, sum(stock_value_reporting_amount)::bigint as stock_value_reporting_amount
    from marts.fct_stock_network join chosen using (sku) join places using (location_id)
    where is_owned
    group by all
"""

_RUNS_OUT: Final = f"""
    with {_CHOSEN},
    outlook as (
        select recommendation_key, min(stock_date) filter (stock_p50_qty < 1) as used_up_date from planning.stock_outlook
        where not is_with_order group by all
    ),
    suggested as (
        select sku, location_id, min(coalesce(used_up_date, need_by)) filter (kind = 'purchase') as runs_out_date,
            arg_min(if(used_up_date is null, '{MISSED}', '{USED_UP}'), coalesce(used_up_date, need_by)) filter (kind = 'purchase') as basis,
            max(priority_score) as at_risk, any_value(currency_code) as currency_code,
            any_value(reason) filter (kind = 'purchase') as reason,
            string_agg(case kind
                when 'purchase' then 'Order ' || recommended_qty when 'transfer' then 'Move ' || recommended_qty || ' here'
                when 'expedite' then 'Pull ' || recommended_qty || ' forward' when 'allocate' then 'Share ' || recommended_qty
            end, ', ' order by kind) filter (kind in ('purchase', 'transfer', 'expedite', 'allocate')) as answer
        from planning.recommendations left join outlook using (recommendation_key)
        group by all
    ),
    inbound as (
        select sku, location_id, sum(open_qty)::bigint as inbound_qty, min(greatest(expected_date, ?3::date + 1)) as next_inbound_date
        from marts.fct_inbound where open_qty > 0 group by all
    )
    select position.sku, chosen.title, position.location_id, places.location, chosen.is_active, position.available_qty,
        case
            when position.available_qty <= 0 and (suggested.sku is not null or silent.lasts_days is not null) then ?3::date
            when suggested.runs_out_date is not null then suggested.runs_out_date
            when silent.lasts_days is not null then ?3::date + silent.lasts_days::int
        end as runs_out_date,
        case
            when position.available_qty <= 0 and (suggested.sku is not null or silent.lasts_days is not null) then '{OUT_NOW}'
            when suggested.runs_out_date is not null then suggested.basis
            when silent.lasts_days is not null then '{MISSED}'
        end as basis,
        coalesce(inbound.inbound_qty, 0) as inbound_qty, inbound.next_inbound_date, suggested.at_risk, suggested.currency_code,
        suggested.answer,
        coalesce(suggested.reason, silent.reason) as reason
    from marts.fct_inventory_position as position
    join chosen on chosen.sku = position.sku
    join places on places.location_id = position.location_id
    left join suggested on suggested.sku = position.sku and suggested.location_id = position.location_id
    left join planning.silent_items as silent on silent.sku = position.sku and silent.location_id = position.location_id
    left join inbound on inbound.sku = position.sku and inbound.location_id = position.location_id
    order by runs_out_date, suggested.at_risk desc nulls last, position.sku, position.location_id
"""

# What is best done about idle stock: what is suggested, else what the figures say, in this order.
_ADVICE: Final = """
    case
        when changed.said is not null then changed.said
        when coalesce(inbound.inbound_qty, 0) > 0 and (health.is_dead or health.excess_qty > 0)
            then 'Ask to cancel the ' || inbound.inbound_qty || ' on order'
        when health.is_dead and elsewhere.location is not null then 'Offer it to ' || elsewhere.location || ', where it sells'
        when health.is_dead then 'Clear it: mark down, return to the supplier or write off'
        when health.excess_qty > 0 and elsewhere.daily_qty > health.daily_sales_91_qty
            then 'Offer ' || health.excess_qty || ' to ' || elsewhere.location || ', where it sells faster'
        when health.excess_qty > 0 then 'Order no more; mark down ' || health.excess_qty
        else 'Sell the old units first; check their condition'
    end
"""

_IDLE: Final = f"""
    with {_CHOSEN},
    inbound as (select sku, location_id, sum(open_qty)::bigint as inbound_qty from marts.fct_inbound where open_qty > 0 group by all),
    changed as (
        select sku, coalesce(source_location_id, location_id) as location_id, string_agg(case kind
            when 'transfer' then 'Suggested: move ' || recommended_qty || ' to ' || coalesce(locations.name, location_id)
            when 'defer' then 'Suggested: put ' || recommended_qty || ' on order off'
            else 'Suggested: cancel ' || recommended_qty || ' on order' end, '; ' order by kind) as said
        from planning.recommendations left join marts.dim_locations as locations using (location_id)
        where kind in ('transfer', 'defer', 'cancel_po') and (kind <> 'transfer' or source_location_id is not null)
        group by all
    ),
    best as (
        select sku, location_id, daily_sales_91_qty as daily_qty,
            row_number() over (partition by sku order by daily_sales_91_qty desc, location_id) as place
        from marts.fct_stock_health where daily_sales_91_qty > 0
    ),
    elsewhere as (
        select sku, location_id, coalesce(name, location_id) as location, daily_qty from best
        left join marts.dim_locations using (location_id) where place = 1
    )
    select health.sku, chosen.title, health.location_id, places.location,
        case when health.is_dead then 'Dead' when health.excess_qty > 0 then 'Excess' else 'Aged' end as state,
        greatest(coalesce(health.dead_value_reporting_amount, 0), coalesce(health.excess_value_reporting_amount, 0),
            coalesce(health.aged_value_reporting_amount, 0)) as idle_reporting_amount,
        health.dead_value_reporting_amount, health.excess_value_reporting_amount, health.aged_value_reporting_amount,
        health.stock_value_reporting_amount, health.on_hand_qty, health.days_of_supply, health.days_since_last_sale,
        coalesce(inbound.inbound_qty, 0) as inbound_qty, {_ADVICE} as advice
    from marts.fct_stock_health as health
    join chosen on chosen.sku = health.sku
    join places on places.location_id = health.location_id
    left join inbound on inbound.sku = health.sku and inbound.location_id = health.location_id
    left join changed on changed.sku = health.sku and changed.location_id = health.location_id
    left join elsewhere on elsewhere.sku = health.sku and elsewhere.location_id <> health.location_id
    where health.is_dead or health.excess_qty > 0 or health.aged_qty > 0
    order by idle_reporting_amount desc, health.sku, health.location_id
"""

_AGES: Final = f"""
    with {_CHOSEN}
    select age_band, bool_or(is_aged) as is_aged, sum(qty)::bigint as qty,
        sum(stock_value_reporting_amount)::bigint as stock_value_reporting_amount
    from marts.fct_stock_age join chosen using (sku) join places using (location_id)
    group by age_band order by age_band
"""

_CLASS_ITEMS: Final = f"""
    with {_CHOSEN}
    select classes.sku, chosen.title, any_value(classes.net_sales_reporting_amount)::bigint as net_sales_reporting_amount,
        sum(health.stock_value_reporting_amount)::bigint as stock_value_reporting_amount,
        sum(health.on_hand_qty)::bigint as on_hand_qty, sum(position.available_qty)::bigint as available_qty,
        count(*) filter (position.available_qty <= 0) as out_count, count(position.location_id) as locations_count
    from marts.dim_product_classes as classes join chosen using (sku)
    left join marts.fct_inventory_position as position
        on position.sku = classes.sku and position.location_id in (select location_id from places)
    left join marts.fct_stock_health as health on health.sku = position.sku and health.location_id = position.location_id
    where classes.abc_class = ?3::varchar and classes.xyz_class = ?4::varchar
    group by classes.sku, chosen.title
    order by stock_value_reporting_amount desc nulls last, classes.sku
"""
