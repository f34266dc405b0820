"""What only the simulator knows; kept beside the tables and never written to a store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.simulator.clock import DAY, NEVER
from pipelines.simulator.customer_tables import LATENESS, SCORE_RATES, SUBSCRIPTION_MONTHLY_HAZARD
from pipelines.simulator.differences import planted_in
from pipelines.simulator.experiments import DELIVERY_WINDOW, PACKAGING, SPARED_DAMAGE_RATE, first_day
from pipelines.simulator.ordering import RETIRED
from pipelines.simulator.view import numbered

if TYPE_CHECKING:
    from datetime import date

    from pipelines.simulator.history import History


@dataclass(frozen=True, slots=True)
class Truth:
    """The hidden side of a merchant.

    Attributes:
        latent_demand: sku, location_id, demand_date, demand_qty (units customers wanted, without test orders and orders
            called off by the customer), lost_qty (units of it that no order asked for because the shelf was empty),
            direct_qty (units of it that came straight from a supplier); only days with demand, sorted.
        lead_times: supplier_id, promised_days, true_mean_days, spread_rate (coefficient of variation), outside a supplier delay.
        customers: customer_id, relative_rate (orders in proportion to it), left_at_date (null: still there on the last day).
        review_scores: lateness (on_time, late, very_late: more than three days after the promise), mean_score.
        subscription_monthly_hazard: Share of contracts in force that end in a month.
        experiments: experiment_id, started_date, measure, effect of B (a share of A's value, or days).
        retired_item_orders: order_id of the orders for an item that had been retired before; none of their units ever leaves.
        planted_differences: kind, order_id of the differences between the books that can be found in the tables.
    """

    latent_demand: pl.DataFrame
    lead_times: pl.DataFrame
    customers: pl.DataFrame
    review_scores: pl.DataFrame
    subscription_monthly_hazard: float
    experiments: pl.DataFrame
    retired_item_orders: pl.Series
    planted_differences: pl.DataFrame


def reveal(history: History, tables: dict[str, pl.DataFrame]) -> Truth:
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
        review_scores=pl.DataFrame({"lateness": LATENESS, "mean_score": np.array(SCORE_RATES) @ np.arange(1, 6)}),
        subscription_monthly_hazard=SUBSCRIPTION_MONTHLY_HAZARD,
        experiments=pl.DataFrame(
            {
                "experiment_id": [PACKAGING, DELIVERY_WINDOW],
                "started_date": [start + timedelta(days=first_day(history.scenario))] * 2,
                "measure": ["share of damaged returns", "days from shipment to delivery of web standard orders"],
                "effect": [-SPARED_DAMAGE_RATE, -_saved_days(history)],
            }
        ),
        retired_item_orders=_retired_item_orders(history),
        planted_differences=planted_in(history, tables),
    )


def _saved_days(history: History) -> float:
    """Mean days that B saves a parcel: each one's own arrival in B against its arrival in A, whichever it was in."""
    orders, parts, clock = history.orders, history.flow.parts, history.clock
    order = history.lines.order[parts.line]
    chosen = (orders.assignment.delivery_window[order] >= 0) & (parts.shipped < NEVER) & parts.is_first
    usual = orders.transit_days[order[chosen]] + orders.assignment.saved_days[order[chosen]]
    left = parts.shipped[chosen] // DAY
    return float((clock.working_day(left + usual) - clock.working_day(left + usual - (usual >= 2))).mean())


def _retired_item_orders(history: History) -> pl.Series:
    chosen = history.is_order & (history.orders.cancel_reason == RETIRED)
    return numbered("O-", history.order_number[chosen], 6).alias("order_id")


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
            "direct_qty": np.where(lines.is_direct, lines.wanted, 0)[is_real],
        }
    )
    return (
        frame.group_by("sku_number", "place", "day")
        .agg(pl.col("demand_qty", "lost_qty", "direct_qty").sum())
        .sort("sku_number", "place", "day")
        .select(
            _lookup(history.catalogue.skus, "sku_number", "sku"),
            _lookup(places, "place", "location_id"),
            _date(history.scenario.start, "day").alias("demand_date"),
            "demand_qty",
            "lost_qty",
            "direct_qty",
        )
    )


def _lookup(names: list[str], number: str, alias: str) -> pl.Expr:
    return pl.lit(pl.Series(names)).gather(pl.col(number)).alias(alias)


def _date(start: date, day: str) -> pl.Expr:
    return pl.lit(start) + pl.duration(days=pl.col(day))
