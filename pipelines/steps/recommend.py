"""Forecasts, stock, inbound and suppliers' terms become reorder recommendations."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forecasting.matrix import as_matrix
from forecasting.paths import path_chunks
from forecasting.schema import POOLED_ENSEMBLE, SERIES_KEY
from forecasting.selection import Choice
from inventory.eligibility import judge_items, preferred_suppliers
from inventory.lead_time import lead_times
from inventory.reorder import plan_reorder
from inventory.schema import Inbound, OrderTerms, Position, Reorder, ReorderPolicy
from pipelines.steps.forecast import FALLBACK_MODELS
from pipelines.steps.panel import DemandHistory, read_demand_history
from pipelines.steps.recommend_overrides import like_means, like_paths, series_overrides
from pipelines.steps.recommend_rows import (
    EXCLUSIONS,
    OUTLOOK,
    RECOMMENDATIONS,
    STEPS,
    exclusion_frame,
    outlook_frame,
    recommendation_frames,
)
from pipelines.stores.check_results import withheld_reason
from pipelines.stores.warehouse import replace_table, run_context

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    import duckdb

    from forecasting.schema import PathArray
    from inventory.schema import LeadTime
    from pipelines.settings import Settings

logger = logging.getLogger("ordercast.recommend")

NEEDED_TABLES: Final = ("stock_levels", "supplier_items")
PATHS: Final = 400
HORIZON_STEPS: Final = (7, 14, 21, 28, 42, 56, 84, 112, 168, 252, 365)  # items of like protection time are simulated together


@dataclass(frozen=True, slots=True)
class RecommendSummary:
    """What one run recommends.

    `not_available` names what the source would have to provide, `withheld_reason` why its forecasts are not to be ordered by.
    """

    recommended_count: int
    items_count: int
    enough_stock_count: int
    excluded_counts: dict[str, int]
    not_available: str | None
    withheld_reason: str | None
    seconds: float


def recommend(conn: duckdb.DuckDBPyConnection, *, settings: Settings) -> RecommendSummary:
    """`planning` holds recommendations, recommendation_steps, stock_outlook and recommendation_exclusions of this run's as-of date.

    Where the source has no stock or no suppliers' terms, or where the forecasts broke, the four tables are empty and the summary says
    why. A series whose own forecast broke is excluded with its reason.

    Args:
        conn: The warehouse, its marts built and its demand forecast.
        settings: For service level, review period, holding cost and seed.
    """
    began = time.monotonic()
    missing = [table for table in NEEDED_TABLES if not _present_fields(conn, table)]
    withheld = withheld_reason(conn)
    if missing or withheld:
        for table, schema in (
            ("recommendations", RECOMMENDATIONS),
            ("recommendation_steps", STEPS),
            ("recommendation_exclusions", EXCLUSIONS),
            ("stock_outlook", OUTLOOK),
        ):
            replace_table(conn, "planning", table, pl.DataFrame(schema=schema))
        not_available = f"needs {', '.join(missing)}" if missing else None
        logger.info(f"not available, {not_available}" if not_available else "withheld, the forecasts broke")
        return RecommendSummary(0, 0, 0, {}, not_available, withheld, round(time.monotonic() - began, 3))
    as_of = run_context(conn).as_of_date
    history = read_demand_history(conn, as_of=as_of)
    items = _read_items(conn, history)
    judged = judge_items(items, is_pack_size_known="order_multiple" in _present_fields(conn, "supplier_items"))
    excluded = judged.filter(pl.col("exclusion_reason").is_not_null())
    eligible = judged.filter(pl.col("exclusion_reason").is_null())
    planned = list(_plan(conn, eligible, history, as_of=as_of, settings=settings))
    recommendations, steps = recommendation_frames(planned, as_of=as_of)
    replace_table(conn, "planning", "recommendations", recommendations)
    replace_table(conn, "planning", "recommendation_steps", steps)
    replace_table(conn, "planning", "stock_outlook", outlook_frame(planned, as_of=as_of))
    replace_table(conn, "planning", "recommendation_exclusions", exclusion_frame(excluded))
    logger.info("%d of %d items to order, %d cannot be ordered", len(planned), items.height, excluded.height)
    return RecommendSummary(
        recommended_count=len(planned),
        items_count=items.height,
        enough_stock_count=eligible.height - len(planned),
        excluded_counts=_counted(excluded),
        not_available=None,
        withheld_reason=None,
        seconds=round(time.monotonic() - began, 3),
    )


def _present_fields(conn: duckdb.DuckDBPyConnection, table: str) -> frozenset[str]:
    rows = conn.execute("SELECT field_name FROM meta.source_fields WHERE table_name = ? AND is_present", [table]).fetchall()
    return frozenset(name for (name,) in rows)


def _read_items(conn: duckdb.DuckDBPyConnection, history: DemandHistory) -> pl.DataFrame:
    """One row per item and place that has stock or sells, with its supplier's terms and why it has no forecast."""
    positions = conn.sql(
        "SELECT sku, location_id, on_hand_qty, committed_qty, reserved_qty, damaged_qty, backorder_qty, stock_version "
        "FROM marts.fct_inventory_position"
    ).pl()
    products = conn.sql("SELECT sku, is_active, list_price_amount, currency_code AS list_price_currency_code FROM marts.dim_products").pl()
    locations = conn.sql("SELECT location_id, is_active AS is_location_active, holding_cost_rate FROM marts.dim_locations").pl()
    terms = conn.sql(
        "SELECT supplier_id, sku, lead_time_days, unit_cost_amount, currency_code, min_order_qty, order_multiple, max_order_qty, "
        "priority, review_period_days FROM marts.dim_supplier_items"
    ).pl()
    selection = history.selection
    known = pl.concat(
        [
            selection.forecastable.with_columns(pl.lit(None, dtype=pl.String).alias("reason")),
            selection.skipped.select(*SERIES_KEY, "reason"),
        ]
    ).rename({"reason": "forecast_reason"})
    universe = pl.concat([positions.select(SERIES_KEY), selection.forecastable]).unique(maintain_order=True)
    never_sold = universe.join(known, on=SERIES_KEY, how="anti").with_columns(pl.lit("Never sold here.").alias("forecast_reason"))
    broken = conn.sql("SELECT sku, location_id, reason AS broken_reason FROM planning.forecast_broken").pl()
    in_stock = history.panel.filter(~pl.col("is_censored")).select(SERIES_KEY).unique()
    return (
        universe.join(pl.concat([known, never_sold]), on=SERIES_KEY, how="left")
        .join(in_stock.with_columns(pl.lit(True).alias("was_in_stock")), on=SERIES_KEY, how="left")
        .with_columns(
            pl.when(pl.col("forecast_reason").is_null() & pl.col("was_in_stock").is_null())
            .then(pl.lit("Never in stock at the end of a day."))
            .otherwise(pl.col("forecast_reason"))
            .alias("forecast_reason")
        )
        .join(broken, on=SERIES_KEY, how="left")
        .with_columns(pl.coalesce("forecast_reason", "broken_reason").alias("forecast_reason"))
        .join(positions, on=SERIES_KEY, how="left")
        .join(products, on="sku", how="left")
        .join(locations, on="location_id", how="left")
        .join(preferred_suppliers(terms), on="sku", how="left")
        .with_columns(pl.col("is_active", "is_location_active").fill_null(True))
    )


def _plan(
    conn: duckdb.DuckDBPyConnection, eligible: pl.DataFrame, history: DemandHistory, *, as_of: date, settings: Settings
) -> Iterator[tuple[dict[str, Any], Reorder]]:
    """The items to order now, each with its decision; items of like protection time are simulated together."""
    if eligible.is_empty():
        return
    receipts = conn.sql("SELECT supplier_id, sku, received_date, lead_time_days FROM marts.fct_supplier_lead_times").pl()
    delays = lead_times(eligible.select("supplier_id", "sku", "lead_time_days").unique(), receipts)
    inbound, starts = _read_inbound(conn), like_means(conn)
    overrides = series_overrides(conn, as_of=as_of, days=max(HORIZON_STEPS[-1], _longest(eligible.to_dicts(), delays, settings)))
    fit = _published_choice(conn).fit(as_matrix(history.panel, attributes=history.attributes, calendar=history.calendar))
    positions = {key: index for index, key in enumerate(fit.matrix.keys.iter_rows())}
    groups: dict[int, dict[int, dict[str, Any]]] = {}
    for item in eligible.iter_rows(named=True):
        usual = delays[item["supplier_id"], item["sku"]].quantile(0.5) + _review_days(item, settings)
        step = next((step for step in HORIZON_STEPS if step >= usual), usual)
        groups.setdefault(step, {})[positions[item["sku"], item["location_id"]]] = item
    for step, members in sorted(groups.items()):
        longest = _longest(members.values(), delays, settings)
        rows = np.array(sorted(members), dtype=np.int64)
        for chunk, paths in path_chunks(fit, rows, periods=max(step, longest), paths=PATHS, seed=settings.seed, spread_periods=step):
            for row, demand in zip(chunk.tolist(), paths, strict=True):
                item = members[row]
                key, delay = (item["sku"], item["location_id"]), delays[item["supplier_id"], item["sku"]]
                statistical = like_paths(demand, starts[key]) if key in starts else demand
                override = overrides.get(key)
                expected = statistical if override is None else override.applied(statistical)
                reorder = _decide(item, expected, delay, inbound.get(key, ()), as_of=as_of, settings=settings)
                if reorder is not None:
                    yield item, reorder if override is None else override.explained(reorder, statistical, seed=settings.seed)


def _published_choice(conn: duckdb.DuckDBPyConnection) -> Choice:
    """The model of most published forecasts, so that quantities rest on what is shown and tested beside them.

    Seasonal naive has no sums over a lead time: where it is what is published, quantities rest on the pooled ensemble.
    """
    row = conn.execute(
        "SELECT model FROM planning.forecast_daily WHERE model NOT IN (?, ?, ?) GROUP BY model ORDER BY count(*) DESC, model LIMIT 1",
        list(FALLBACK_MODELS),
    ).fetchone()
    return Choice(POOLED_ENSEMBLE if row is None else row[0], {})


def _decide(
    item: Mapping[str, Any], paths: PathArray, delay: LeadTime, inbound: tuple[Inbound, ...], *, as_of: date, settings: Settings
) -> Reorder | None:
    rate = item["holding_cost_rate"]
    is_one_currency = item["list_price_currency_code"] == item["currency_code"]
    return plan_reorder(
        paths,
        position=Position(
            on_hand_qty=item["on_hand_qty"],
            committed_qty=item["committed_qty"] or 0,
            reserved_qty=item["reserved_qty"] or 0,
            damaged_qty=item["damaged_qty"] or 0,
            backorder_qty=item["backorder_qty"] or 0,
            inbound=inbound,
        ),
        lead_time=delay,
        terms=OrderTerms(
            unit_cost_amount=item["unit_cost_amount"],
            list_price_amount=item["list_price_amount"] if is_one_currency else None,
            min_order_qty=item["min_order_qty"],
            order_multiple=item["order_multiple"],
            max_order_qty=item["max_order_qty"],
        ),
        policy=ReorderPolicy(
            service_level=settings.service_level,
            review_period_days=_review_days(item, settings),
            holding_cost_rate=settings.holding_cost_rate if rate is None else rate,
        ),
        as_of=as_of,
        seed=settings.seed,
    )


def _longest(items: Iterable[Mapping[str, Any]], delays: Mapping[tuple[str, str], LeadTime], settings: Settings) -> int:
    return max(int(delays[item["supplier_id"], item["sku"]].sample[-1]) + _review_days(item, settings) for item in items)


def _review_days(item: Mapping[str, Any], settings: Settings) -> int:
    return int(item["review_period_days"] or settings.review_period_days)


def _read_inbound(conn: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], tuple[Inbound, ...]]:
    rows = conn.execute(
        "SELECT sku, location_id, expected_date, open_qty FROM marts.fct_inbound WHERE open_qty > 0 "
        "ORDER BY sku, location_id, expected_date, reference_id"
    ).fetchall()
    inbound: dict[tuple[str, str], tuple[Inbound, ...]] = {}
    for sku, location_id, expected_date, open_qty in rows:
        inbound[sku, location_id] = (*inbound.get((sku, location_id), ()), Inbound(expected_date, int(open_qty)))
    return inbound


def _counted(excluded: pl.DataFrame) -> dict[str, int]:
    # numbers differ from item to item; the sentence without them is the kind of reason
    kinds = excluded.select(pl.col("exclusion_reason").str.replace_all(r"\d[\d-]*", "N").alias("kind"))
    counts = kinds.group_by("kind").len().sort("kind")
    return dict(zip(counts["kind"].to_list(), counts["len"].to_list(), strict=True))
