"""What only the simulator knows; kept beside the tables and never written to a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from datetime import date

    from pipelines.simulator.history import History


@dataclass(frozen=True, slots=True)
class Truth:
    """The hidden side of a merchant.

    Attributes:
        latent_demand: sku, location_id, demand_date, demand_qty (units customers wanted, without test orders and orders
            called off by the customer), lost_qty (units of it that no order asked for because the shelf was empty);
            only days with demand, sorted.
        lead_times: supplier_id, promised_days, true_mean_days, spread_rate (coefficient of variation).
        customers: customer_id, relative_rate (orders in proportion to it), left_at_date (null: still there on the last day).
    """

    latent_demand: pl.DataFrame
    lead_times: pl.DataFrame
    customers: pl.DataFrame


def reveal(history: History) -> Truth:
    """The truth about a history, up to its last day."""
    catalogue, start = history.catalogue, history.scenario.start
    customers = history.customers
    lead = catalogue.supplier_lead_days
    left = pl.Series("left_day", customers.death_day).cast(pl.Int64)
    return Truth(
        latent_demand=_latent_demand(history),
        lead_times=pl.DataFrame(
            {
                "supplier_id": catalogue.supplier_ids,
                "promised_days": lead,
                "true_mean_days": lead * catalogue.supplier_lead_factor,
                "spread_rate": catalogue.supplier_lead_spread,
            }
        ),
        customers=pl.DataFrame({"customer_id": history.customer_ids, "relative_rate": customers.relative_rate, "left_day": left}).select(
            "customer_id",
            "relative_rate",
            pl.when(pl.col("left_day") < history.scenario.total_days).then(_date(start, "left_day")).alias("left_at_date"),
        ),
    )


def _latent_demand(history: History) -> pl.DataFrame:
    lines, orders = history.lines, history.orders
    is_real = ~orders.is_test[lines.order] & (orders.cancelled[lines.order] >= history.never)
    places = [place.location_id for place in history.scenario.places]
    frame = pl.DataFrame(
        {
            "sku_number": lines.sku[is_real],
            "place": orders.location[lines.order[is_real]],
            "day": lines.day[is_real],
            "demand_qty": lines.wanted[is_real],
            "lost_qty": (lines.wanted - history.flow.accepted)[is_real],
        }
    )
    return (
        frame.group_by("sku_number", "place", "day")
        .agg(pl.col("demand_qty", "lost_qty").sum())
        .sort("sku_number", "place", "day")
        .select(
            _lookup(history.catalogue.skus, "sku_number", "sku"),
            _lookup(places, "place", "location_id"),
            _date(history.scenario.start, "day").alias("demand_date"),
            "demand_qty",
            "lost_qty",
        )
    )


def _lookup(names: list[str], number: str, alias: str) -> pl.Expr:
    return pl.lit(pl.Series(names)).gather(pl.col(number)).alias(alias)


def _date(start: date, day: str) -> pl.Expr:
    return pl.lit(start) + pl.duration(days=pl.col(day))
