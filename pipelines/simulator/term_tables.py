"""Terms that hold for a time - list prices, rebate agreements, exchange rates - as of a day."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.simulator.catalogue import LISTED_DAYS, NO_DAY
from pipelines.simulator.clock import DAY, NEVER, IntArray
from pipelines.simulator.currencies import fx_rates
from pipelines.simulator.ordering import CHANNELS, WEB
from pipelines.simulator.view import money, named

if TYPE_CHECKING:
    from pipelines.simulator.view import View

REBATE_BASIS = "purchase_amount"  # what was received in the year, at cost
REBATE_TIERS = ((0.3, 0.01), (0.7, 0.02), (1.1, 0.035))  # from this share of a usual year's purchases, this share back
_UNITS_PER_LINE = 1.3


def term_tables(view: View, listed: IntArray) -> dict[str, pl.DataFrame]:
    """The tables `prices`, `rebate_agreements` and `fx_rates`."""
    return {"rebate_agreements": _rebate_agreements(view), "prices": _prices(view, listed), "fx_rates": fx_rates(view)}


def _prices(view: View, listed: IntArray) -> pl.DataFrame:
    """The web shop's list price of each sku from its listing, and from the day it changed."""
    catalogue = view.history.catalogue
    changes = np.where(catalogue.price_change_day < NO_DAY, catalogue.price_change_day * DAY, NEVER)
    changed = listed[changes[listed] < view.now]
    sku = np.concatenate([listed, changed])
    is_first = np.arange(len(sku)) < len(listed)
    starts = np.where(is_first, (catalogue.launch_day[sku] - LISTED_DAYS) * DAY, changes[sku])
    ends = np.where(is_first, changes[sku], NEVER)
    return pl.DataFrame(
        {
            "sku": named(catalogue.skus, sku),
            "channel_id": CHANNELS[WEB],
            "price": money(np.where(is_first, catalogue.list_price_cents[sku], catalogue.changed_price_cents[sku])),
            "currency": view.history.scenario.currency,
            "valid_from": view.planned(starts),
            "valid_to": view.at(ends),
            "updated_at": view.latest(starts, ends),
        }
    ).sort("sku", "valid_from")


def _rebate_agreements(view: View) -> pl.DataFrame:
    """A yearly agreement in three tiers with each of the two or three largest suppliers."""
    history = view.history
    scenario, catalogue = history.scenario, history.catalogue
    suppliers = len(catalogue.supplier_ids)
    planned = catalogue.planned_daily_qty.sum(axis=1)
    units_a_year = scenario.orders * scenario.lines_per_order * _UNITS_PER_LINE * 365 / scenario.days
    amounts = planned / planned.sum() * units_a_year * catalogue.unit_cost_cents / 100
    usual = np.bincount(catalogue.supplier, weights=amounts, minlength=suppliers)
    partners = np.argsort(-usual, kind="stable")[: 3 if suppliers > 3 else 2]
    first, last = scenario.start, date.fromordinal(scenario.start.toordinal() + view.days - 1)
    rows = [
        {
            "partner_id": catalogue.supplier_ids[partner],
            "basis": REBATE_BASIS,
            "tier_from": max(round(usual[partner] * share, -2), 100.0),
            "rate": rate,
            "valid_from": date(year, 1, 1),
            "valid_to": date(year, 12, 31),
            "updated_at": history.clock.utc(max((date(year, 1, 1) - first).days, 0) * DAY),
        }
        for year in range(first.year, last.year + 1)
        for partner in sorted(partners)
        for share, rate in REBATE_TIERS
    ]
    return pl.DataFrame(rows).with_columns(pl.col("updated_at").cast(pl.Datetime("us")))
