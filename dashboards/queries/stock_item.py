"""Reads about one item's stock: its position at each location, its course, its age and its class."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from dashboards.queries.reading import read_frame
from pipelines.stores.reports import with_money

if TYPE_CHECKING:
    import polars as pl

    from dashboards.queries.releases import Served

HISTORY_DAYS: Final = 182


@dataclass(frozen=True, slots=True)
class ItemCard:
    """One item.

    Attributes:
        facts: sku, title, category, status, is_active, abc_class, xyz_class, unit_cost_amount, currency_code.
        positions: A row per location: location_id, location, on_hand_qty, committed_qty, reserved_qty, damaged_qty, available_qty,
            backorder_qty, inbound_qty, next_inbound_date, daily_sales_91_qty, days_of_supply, stock_value_reporting_amount, aged_qty,
            excess_qty, is_dead, days_since_last_sale, reason (what the plan says of it); most value first.
        ages: location, age_band, is_aged, qty, stock_value_reporting_amount.
        inbound: location, expected_date, open_qty, reference, supplier, is_overdue; soonest first.
    """

    facts: dict[str, Any]
    positions: pl.DataFrame
    ages: pl.DataFrame
    inbound: pl.DataFrame


def item_card(served: Served, sku: str) -> ItemCard | None:
    """All that is known of an item's stock; None where no product has this SKU."""
    release, as_of, currency = served.release, served.context.as_of_date, served.context.currency_code
    facts = with_money(read_frame(release, _FACTS, (sku,)), currency)
    if facts.is_empty():
        return None
    return ItemCard(
        facts=facts.row(0, named=True),
        positions=with_money(read_frame(release, _POSITIONS, (sku, as_of)), currency),
        ages=with_money(read_frame(release, _AGES, (sku,)), currency),
        inbound=read_frame(release, _INBOUND, (sku, as_of)),
    )


def stock_course(served: Served, sku: str, location_id: str) -> pl.DataFrame:
    """stock_date, on_hand_qty, available_qty, is_in_stock of the last `HISTORY_DAYS` days; empty where no stock was ever kept."""
    return read_frame(served.release, _COURSE, (sku, location_id, served.context.as_of_date - timedelta(days=HISTORY_DAYS)))


_FACTS: Final = """
    select products.sku, coalesce(title, products.sku) as title, category, status, is_active, abc_class, xyz_class, unit_cost_amount,
        currency_code
    from marts.dim_products as products left join marts.dim_product_classes as classes on classes.sku = products.sku
    where products.sku = ?
"""

_POSITIONS: Final = """
    with inbound as (
        select location_id, sum(open_qty)::bigint as inbound_qty, min(greatest(expected_date, ?2::date + 1)) as next_inbound_date
        from marts.fct_inbound where sku = ?1 and open_qty > 0 group by all
    ),
    told as (
        select location_id, reason from planning.silent_items where sku = ?1
        union all
        select location_id, reason from planning.recommendations where sku = ?1 and kind = 'purchase'
    )
    select position.location_id, coalesce(locations.name, position.location_id) as location, position.on_hand_qty, position.committed_qty,
        position.reserved_qty, position.damaged_qty, position.available_qty, position.backorder_qty,
        coalesce(inbound.inbound_qty, 0) as inbound_qty, inbound.next_inbound_date, health.daily_sales_91_qty, health.days_of_supply,
        health.stock_value_reporting_amount, health.aged_qty, health.excess_qty, health.is_dead, health.days_since_last_sale,
        (select any_value(reason) from told where told.location_id = position.location_id) as reason
    from marts.fct_inventory_position as position
    left join marts.fct_stock_health as health on health.sku = position.sku and health.location_id = position.location_id
    left join marts.dim_locations as locations on locations.location_id = position.location_id
    left join inbound on inbound.location_id = position.location_id
    where position.sku = ?1
    order by health.stock_value_reporting_amount desc nulls last, position.location_id
"""

_AGES: Final = """
    select coalesce(name, location_id) as location, age_band, is_aged, qty, stock_value_reporting_amount
    from marts.fct_stock_age left join marts.dim_locations using (location_id)
    where sku = ?
    order by location, age_band
"""

_INBOUND: Final = """
    select coalesce(locations.name, inbound.location_id) as location, inbound.expected_date, inbound.open_qty,
        coalesce(inbound.po_id, inbound.reference_id) as reference, inbound.supplier_id as supplier,
        inbound.expected_date <= ?2::date as is_overdue
    from marts.fct_inbound as inbound left join marts.dim_locations as locations using (location_id)
    where inbound.sku = ?1 and inbound.open_qty > 0
    order by inbound.expected_date, reference
"""

_COURSE: Final = """
    select stock_date, on_hand_qty, available_qty, is_in_stock from marts.fct_stock_daily
    where sku = ? and location_id = ? and stock_date > ?
    order by stock_date
"""
