"""Forecasts, stock, inbound and suppliers' terms become suggestions: what to order, and what to ask of orders that stand."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from forecasting.matrix import as_matrix
from forecasting.schema import POOLED_ENSEMBLE
from forecasting.selection import Choice
from inventory.eligibility import judge_items
from inventory.lead_time import lead_times
from inventory.reorder_decision import Reorder
from pipelines.steps.forecast import FALLBACK_MODELS
from pipelines.steps.panel import DemandHistory, read_demand_history
from pipelines.steps.recommend_allocations import share_shortages
from pipelines.steps.recommend_changes import order_change
from pipelines.steps.recommend_discontinued import call_off_discontinued
from pipelines.steps.recommend_limits import hold_to_limits
from pipelines.steps.recommend_overrides import like_means, series_overrides
from pipelines.steps.recommend_planning import HORIZON_STEPS, ItemPlan, Planner
from pipelines.steps.recommend_policies import item_policies
from pipelines.steps.recommend_reading import present_fields, read_inbound, read_items, read_terms, read_transfer_days, transfers_need
from pipelines.steps.recommend_rows import (
    CHOICES,
    EXCLUSIONS,
    OUTLOOK,
    RECOMMENDATIONS,
    SILENT_ITEMS,
    STEPS,
    choice_frame,
    exclusion_frame,
    outlook_frame,
    purchase,
    silent_frame,
    suggestion_frames,
)
from pipelines.steps.recommend_transfers import move_stock
from pipelines.stores.check_results import withheld_reason
from pipelines.stores.warehouse import replace_table, run_context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    import duckdb

    from inventory.explain_targets import Step
    from inventory.schema import ReorderPolicy
    from pipelines.settings import Settings
    from pipelines.steps.recommend_policies import Item
    from pipelines.steps.recommend_rows import Suggestion

logger = logging.getLogger("ordercast.recommend")

NEEDED_TABLES: Final = ("stock_levels", "supplier_items")
TABLES: Final = {
    "recommendations": RECOMMENDATIONS,
    "recommendation_steps": STEPS,
    "recommendation_exclusions": EXCLUSIONS,
    "stock_outlook": OUTLOOK,
    "order_choices": CHOICES,
    "silent_items": SILENT_ITEMS,
}


@dataclass(frozen=True, slots=True)
class RecommendSummary:
    """What one run recommends.

    `recommended_count` is of orders, `other_counts` of the other kinds of suggestions. `not_available` names what the source would have
    to provide, `withheld_reason` why its forecasts are not to be ordered by; `transfers_not_available` what it lacks for transfers alone.
    """

    recommended_count: int
    items_count: int
    enough_stock_count: int
    excluded_counts: dict[str, int]
    not_available: str | None
    withheld_reason: str | None
    seconds: float
    other_counts: dict[str, int] = field(default_factory=dict)
    transfers_not_available: str | None = None


def recommend(
    conn: duckdb.DuckDBPyConnection, *, settings: Settings, rules: Mapping[Item, ReorderPolicy] | None = None
) -> RecommendSummary:
    """`planning` holds what is suggested at this run's as-of date, with steps and outlooks, and why the other items have no suggestion.

    Where the source has no stock or no suppliers' terms, or where the forecasts broke, the tables are empty and the summary says
    why. A series whose own forecast broke is excluded with its reason.

    Args:
        conn: The warehouse, its marts built and its demand forecast.
        settings: For service level, share of lost sales, review period, holding cost, budget and seed.
        rules: Policies that rules set for the items they name; the settings hold for the rest.
    """
    began = time.monotonic()
    missing = [table for table in NEEDED_TABLES if not present_fields(conn, table)]
    withheld = withheld_reason(conn)
    if missing or withheld:
        return _nothing(conn, f"needs {', '.join(missing)}" if missing else None, withheld, began=began)
    context = run_context(conn)
    as_of = context.as_of_date
    history = read_demand_history(conn, as_of=as_of)
    terms, is_pack_known = read_terms(conn), "order_multiple" in present_fields(conn, "supplier_items")
    judged = judge_items(read_items(conn, history, terms), is_pack_size_known=is_pack_known)
    excluded = judged.filter(pl.col("exclusion_reason").is_not_null())
    eligible = judged.filter(pl.col("exclusion_reason").is_null()).to_dicts()
    plans: list[ItemPlan] = []
    moved: list[Suggestion] = []
    notes: Mapping[Item, list[Step]] = {}
    if eligible:
        planner = _planner(conn, eligible, history, _offers(terms, is_pack_known), rules, as_of=as_of, settings=settings)
        plans, moved, planner = move_stock(list(planner.plan(eligible)), planner)
        plans, notes = hold_to_limits(plans, planner, settings=settings, currency_code=context.currency_code)
    shared = share_shortages(conn, read_inbound(conn), as_of=as_of, settings=settings, policies={plan.key: plan.policy for plan in plans})
    ended = call_off_discontinued(conn, as_of=as_of, review_period_days=settings.review_period_days)
    suggestions = [*_suggestions(plans, notes, as_of=as_of), *moved, *shared, *ended]
    _write(conn, suggestions, excluded, plans, as_of=as_of)
    kinds = Counter(one.row["kind"] for one in suggestions)
    ordered = kinds.pop("purchase", 0)
    logger.info("%d of %d items to order, %d cannot be ordered", ordered, judged.height, excluded.height)
    return RecommendSummary(
        recommended_count=ordered,
        items_count=judged.height,
        enough_stock_count=len(eligible) - ordered,
        excluded_counts=_counted(excluded),
        not_available=None,
        withheld_reason=None,
        seconds=round(time.monotonic() - began, 3),
        other_counts=dict(sorted(kinds.items())),
        transfers_not_available=transfers_need(conn),
    )


def _nothing(conn: duckdb.DuckDBPyConnection, not_available: str | None, withheld: str | None, *, began: float) -> RecommendSummary:
    """Empty tables, and why."""
    for table, schema in TABLES.items():
        replace_table(conn, "planning", table, pl.DataFrame(schema=schema))
    logger.info(f"not available, {not_available}" if not_available else "withheld, the forecasts broke")
    return RecommendSummary(0, 0, 0, {}, not_available, withheld, round(time.monotonic() - began, 3))


def _suggestions(plans: list[ItemPlan], notes: Mapping[Item, list[Step]], *, as_of: date) -> Iterator[Suggestion]:
    for plan in plans:
        if isinstance(plan.decision, Reorder):
            yield purchase(plan, plan.decision, as_of=as_of, notes=notes.get(plan.key, ()))
        for change in plan.changes:
            yield order_change(plan, change, as_of=as_of)


def _write(
    conn: duckdb.DuckDBPyConnection, suggestions: list[Suggestion], excluded: pl.DataFrame, plans: list[ItemPlan], *, as_of: date
) -> None:
    recommendations, steps = suggestion_frames(suggestions)
    replace_table(conn, "planning", "recommendations", recommendations)
    replace_table(conn, "planning", "recommendation_steps", steps)
    replace_table(conn, "planning", "stock_outlook", outlook_frame(suggestions, as_of=as_of))
    replace_table(conn, "planning", "order_choices", choice_frame(suggestions))
    replace_table(conn, "planning", "recommendation_exclusions", exclusion_frame(excluded))
    replace_table(conn, "planning", "silent_items", silent_frame(excluded, plans))


def _planner(
    conn: duckdb.DuckDBPyConnection,
    eligible: list[dict[str, Any]],
    history: DemandHistory,
    offers: dict[str, list[dict[str, Any]]],
    rules: Mapping[Item, ReorderPolicy] | None,
    *,
    as_of: date,
    settings: Settings,
) -> Planner:
    receipts = conn.sql("SELECT supplier_id, sku, received_date, lead_time_days FROM marts.fct_supplier_lead_times ORDER BY ALL").pl()
    promised = [(one["supplier_id"], sku, one["lead_time_days"]) for sku, several in offers.items() for one in several]
    schema = {"supplier_id": pl.String, "sku": pl.String, "lead_time_days": pl.Int64}
    planner = Planner(
        as_of=as_of,
        seed=settings.seed,
        fit=_published_choice(conn).fit(as_matrix(history.panel, attributes=history.attributes, calendar=history.calendar)),
        policies=item_policies(eligible, settings=settings, rules=rules),
        delays=lead_times(pl.DataFrame(promised, schema=schema, orient="row"), receipts),
        offers=offers,
        inbound=read_inbound(conn),
        overrides={},
        like_means=like_means(conn),
        spreads={},
        transfer_days=read_transfer_days(conn),
    )
    longest = max(HORIZON_STEPS[-1], *(planner.longest(item) for item in eligible))
    return replace(planner, overrides=series_overrides(conn, as_of=as_of, days=longest))


def _offers(terms: pl.DataFrame, is_pack_known: bool) -> dict[str, list[dict[str, Any]]]:
    """For each sku the terms that can be ordered by, the first priority first."""
    whole = terms.with_columns(
        pl.lit("").alias("location_id"), pl.lit(True).alias("is_active", ), pl.lit(True).alias("is_location_active"),
        pl.lit(0).alias("on_hand_qty"), pl.lit(1).alias("preferred_count"), pl.lit(None, dtype=pl.String).alias("forecast_reason"),
    )  # fmt: skip
    judged = judge_items(whole, is_pack_size_known=is_pack_known).filter(pl.col("exclusion_reason").is_null())
    found: dict[str, list[dict[str, Any]]] = {}
    for offer in judged.sort("sku", "priority", "supplier_id", nulls_last=True).select(terms.columns).iter_rows(named=True):
        found.setdefault(offer["sku"], []).append(offer)
    return found


def _published_choice(conn: duckdb.DuckDBPyConnection) -> Choice:
    """The model of most published forecasts, so that quantities rest on what is shown and tested beside them.

    Seasonal naive has no sums over a lead time: where it is what is published, quantities rest on the pooled ensemble.
    """
    row = conn.execute(
        "SELECT model FROM planning.forecast_daily WHERE model NOT IN (?, ?, ?) GROUP BY model ORDER BY count(*) DESC, model LIMIT 1",
        list(FALLBACK_MODELS),
    ).fetchone()
    return Choice(POOLED_ENSEMBLE if row is None else row[0], {})


def _counted(excluded: pl.DataFrame) -> dict[str, int]:
    # numbers differ from item to item; the sentence without them is the kind of reason
    kinds = excluded.select(pl.col("exclusion_reason").str.replace_all(r"\d[\d-]*", "N").alias("kind"))
    counts = kinds.group_by("kind").len().sort("kind")
    return dict(zip(counts["kind"].to_list(), counts["len"].to_list(), strict=True))
