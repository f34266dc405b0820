"""Demand as it is forecast from: which series there are, what each one's history holds, and why the others are left out."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

import forecasting
from forecasting.panel import SeriesSelection, select_series
from forecasting.schema import SERIES_KEY
from pipelines.stores.planning_runs import forget_planning_run
from pipelines.stores.standing_plans import begin_planning
from pipelines.stores.warehouse import replace_table, run_context

if TYPE_CHECKING:
    from datetime import date

    import duckdb

logger = logging.getLogger("ordercast.panel")

HORIZON_DAYS: Final = 28  # ahead, of forecasts and of each window they are tested on
WEEKS_SHOWN: Final = 26
_DAYS_OF_WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class DemandHistory:
    """What forecasts are made from: the panel of all forecastable series, their pools, what is known ahead, and who was left out.

    `calendar` is None for a merchant without promotions.
    """

    panel: pl.DataFrame
    attributes: pl.DataFrame
    calendar: pl.DataFrame | None
    selection: SeriesSelection


@dataclass(frozen=True, slots=True)
class PanelSummary:
    """What one run can forecast; `weekly_qty` is demand of the last whole weeks up to as-of, oldest first."""

    series_count: int
    skipped_counts: dict[str, int]
    days_count: int
    censored_days_count: int
    weekly_qty: tuple[float, ...]
    seconds: float


def gather_panel(conn: duckdb.DuckDBPyConnection) -> PanelSummary:
    """`planning.demand_series` has a row for every series that ever sold, with its history or the reason why it is not forecast.

    The days themselves are not stored: they follow from the marts. Planning begins here, so no run's plans stand whole until it ends.

    Args:
        conn: The warehouse, its marts built.
    """
    began = time.monotonic()
    begin_planning(conn)
    forget_planning_run(conn)
    as_of = run_context(conn).as_of_date
    history = read_demand_history(conn, as_of=as_of)
    skipped = history.selection.skipped
    facts = history.panel.group_by(SERIES_KEY).agg(
        pl.col("demand_date").min().alias("first_date"),
        pl.len().cast(pl.Int64).alias("days_count"),
        pl.col("is_censored").sum().cast(pl.Int64).alias("censored_days_count"),
        (pl.col("demand_qty") > 0).sum().cast(pl.Int64).alias("sale_days_count"),
        pl.col("demand_qty").sum(),
    )
    series = pl.concat([history.selection.forecastable.join(facts, on=SERIES_KEY, how="left"), skipped], how="diagonal")
    replace_table(conn, "planning", "demand_series", series.sort(SERIES_KEY))
    logger.info("%d series to forecast, %d left out: %s", facts.height, skipped.height, history.selection.skipped_counts)
    return PanelSummary(
        series_count=facts.height,
        skipped_counts=history.selection.skipped_counts,
        days_count=history.panel.height,
        censored_days_count=int(history.panel["is_censored"].sum()),
        weekly_qty=_weekly(history.panel, as_of),
        seconds=round(time.monotonic() - began, 3),
    )


def read_demand_history(conn: duckdb.DuckDBPyConnection, *, as_of: date) -> DemandHistory:
    """Demand through `as_of` from the marts, with the days an item ended without stock marked as censored."""
    demand = conn.sql("SELECT sku, location_id, demand_date, demand_qty FROM marts.fct_demand_daily ORDER BY ALL").pl()
    stock_outs = conn.sql("SELECT sku, location_id, stock_date FROM marts.fct_stock_daily WHERE available_qty <= 0 ORDER BY ALL").pl()
    items = conn.sql("SELECT sku, category, launched_date, is_active FROM marts.dim_products ORDER BY ALL").pl()
    selection = select_series(demand, cutoff=as_of, stock_outs=stock_outs, items=items)
    chosen = demand.join(selection.forecastable, on=SERIES_KEY, how="semi")
    panel = forecasting.build_panel(chosen, cutoff=as_of, frequency="daily", stock_outs=stock_outs, items=items)
    calendar = read_calendar(conn, panel)
    return DemandHistory(panel=panel, attributes=items.select("sku", "category"), calendar=calendar, selection=selection)


def read_calendar(conn: duckdb.DuckDBPyConnection, panel: pl.DataFrame) -> pl.DataFrame | None:
    """sku, demand_date, is_promotion: days on promotion of the panel's items, past and ahead; None where none is known.

    A day without a row is one without a promotion. Past ones count as known ahead, as they were to the merchant.
    """
    days = conn.sql("SELECT sku, promotion_date AS demand_date, true AS is_promotion FROM marts.fct_promotion_days ORDER BY 1, 2").pl()
    known = days.join(panel.select("sku").unique(), on="sku", how="semi", maintain_order="left")
    in_history = known.filter(pl.col("demand_date").is_between(panel["demand_date"].min(), panel["demand_date"].max()))
    return None if in_history.is_empty() else known


def _weekly(panel: pl.DataFrame, as_of: date) -> tuple[float, ...]:
    weeks_ago = (pl.lit(as_of) - pl.col("demand_date")).dt.total_days() // _DAYS_OF_WEEK
    sums = panel.group_by(weeks_ago.alias("weeks_ago")).agg(pl.col("demand_qty").sum()).filter(pl.col("weeks_ago") < WEEKS_SHOWN)
    return tuple(sums.sort("weeks_ago", descending=True)["demand_qty"].to_list())
