"""The tables that change rarely - places, channels, customers, products, suppliers, promotions - as of a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipelines.simulator.catalogue import CATEGORIES, LISTED_DAYS, NO_DAY
from pipelines.simulator.clock import DAY, HOUR, NEVER, IntArray
from pipelines.simulator.customers import REGIONS
from pipelines.simulator.ordering import CHANNELS
from pipelines.simulator.term_tables import term_tables
from pipelines.simulator.view import money, named, numbered

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.simulator.view import View

TRANSFER_DAYS: Final = 5  # Wednesday evening to Monday morning, as `transfers` sends


def shelf_tables(view: View) -> dict[str, pl.DataFrame]:
    """Locations, channels, customers, products, suppliers, terms of both, and promotions announced so far."""
    listed = np.flatnonzero((view.history.catalogue.launch_day - LISTED_DAYS) * DAY < view.now)
    return {
        "locations": _locations(view),
        "channels": _channels(view),
        "customers": _customers(view),
        "products": _products(view)[listed],
        "suppliers": _suppliers(view),
        "supplier_items": _supplier_items(view, listed),
        "promotions": _promotions(view),
        **term_tables(view, listed),
    }


def _locations(view: View) -> pl.DataFrame:
    places = view.history.scenario.places
    return pl.DataFrame(
        {
            "location_id": [place.location_id for place in places],
            "name": [place.name for place in places],
            "type": [place.location_type for place in places],
            "time_zone": view.history.scenario.time_zone,
            "is_active": True,
            "fulfills_online": True,
            "holding_cost_rate": [0.22 if place.location_type == "dc" else 0.28 for place in places],
            "transfer_lead_time_days": pl.Series([TRANSFER_DAYS if len(places) > 1 else None] * len(places), dtype=pl.Int64),
            "updated_at": _first_instant(view),
        }
    )


def _channels(view: View) -> pl.DataFrame:
    names = ["Web shop", "Marketplace", "Wholesale"]
    return pl.DataFrame({"channel_id": CHANNELS, "name": names, "priority": [2, 3, 1], "updated_at": _first_instant(view)})


def _customers(view: View) -> pl.DataFrame:
    customers = view.history.customers
    known = np.flatnonzero(customers.created < view.now)
    created = view.at(customers.created[known])
    return pl.DataFrame(
        {
            "customer_id": pl.Series(view.history.customer_ids).gather(known),
            "country": named([country for country, _ in REGIONS], customers.region[known]),
            "created_at": created,
            "updated_at": created,
        }
    )


def _products(view: View) -> pl.DataFrame:
    """One row per sku, listed or not."""
    catalogue = view.history.catalogue
    launch, gone = catalogue.launch_day * DAY, np.where(catalogue.discontinued_day < NO_DAY, catalogue.discontinued_day * DAY, NEVER)
    repriced = np.where(catalogue.price_change_day < NO_DAY, catalogue.price_change_day * DAY, NEVER)
    vendors = [f"Vendor {number + 1}" for number in range(len(catalogue.supplier_ids))]
    return pl.DataFrame(
        {
            "sku": catalogue.skus,
            "title": catalogue.titles,
            "category": named(CATEGORIES, catalogue.category),
            "vendor": named(vendors, catalogue.supplier),
            "status": np.where(gone < view.now, "discontinued", np.where(launch < view.now, "active", "announced")),
            "unit_cost": money(catalogue.unit_cost_cents),
            "list_price": money(np.where(repriced < view.now, catalogue.changed_price_cents, catalogue.list_price_cents)),
            "currency": view.history.scenario.currency,
            "unit_of_measure": "piece",
            "weight": catalogue.weight_kg,
            "launched_at": view.planned(launch),
            "discontinued_at": view.at(gone),
            "updated_at": view.latest(launch - LISTED_DAYS * DAY, launch, gone, repriced),
        }
    )


def _suppliers(view: View) -> pl.DataFrame:
    suppliers = view.history.catalogue.supplier_ids
    return pl.DataFrame(
        {
            "supplier_id": suppliers,
            "name": [f"Supplier {number + 1}" for number in range(len(suppliers))],
            "currency": view.history.scenario.currency,
            "review_period_days": 7,
            "updated_at": _first_instant(view),
        }
    )


def _first_instant(view: View) -> datetime:
    return view.history.clock.utc(0)


def _supplier_items(view: View, listed: IntArray) -> pl.DataFrame:
    catalogue = view.history.catalogue
    second = listed[catalogue.second_supplier[listed] >= 0]
    sku = np.concatenate([listed, second])
    supplier = np.concatenate([catalogue.supplier[listed], catalogue.second_supplier[second]])
    is_second = np.arange(len(sku)) >= len(listed)
    first_cost = catalogue.unit_cost_cents[sku]
    changed = np.maximum(catalogue.launch_day[sku] - LISTED_DAYS, 0) * DAY
    return pl.DataFrame(
        {
            "supplier_id": named(catalogue.supplier_ids, supplier),
            "sku": named(catalogue.skus, sku),
            "lead_time_days": catalogue.supplier_lead_days[supplier],
            "unit_cost": money(np.where(is_second, np.rint(first_cost * 1.07).astype(np.int64), first_cost)),
            "currency": view.history.scenario.currency,
            "min_order_qty": catalogue.min_order_qty[sku],
            "order_multiple": catalogue.order_multiple[sku],
            "supplier_sku": numbered("A-", 1000 + 7 * sku, 6),
            "priority": np.where(is_second, 2, 1),
            "updated_at": view.planned(changed),
        }
    ).sort("supplier_id", "sku")


def _promotions(view: View) -> pl.DataFrame:
    catalogue = view.history.catalogue
    shown = [p for p in view.history.promotions if p.announced_day < view.days <= max(p.withdrawn_day, p.announced_day + 1)]
    announced = np.array([max(p.announced_day, 0) * DAY + 9 * HOUR for p in shown], dtype=np.int64)
    return pl.DataFrame(
        {
            "promotion_id": numbered("PROMO-", np.array([p.number for p in shown], dtype=np.int64), 6),
            "sku": named(catalogue.skus, np.array([p.sku for p in shown], dtype=np.int64)),
            "category": named(CATEGORIES, np.array([p.category for p in shown], dtype=np.int64)),
            "starts_at": view.planned(np.array([p.start_day * DAY for p in shown], dtype=np.int64)),
            "ends_at": view.planned(np.array([p.end_day * DAY for p in shown], dtype=np.int64)),
            "mechanic": pl.Series(["percent_off"] * len(shown), dtype=pl.String),
            "discount": pl.Series([p.discount for p in shown], dtype=pl.Float64),
            "updated_at": view.at(announced),
        }
    )
