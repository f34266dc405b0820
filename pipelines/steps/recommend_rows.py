"""Reorder decisions as the rows that are written back and shown."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from datetime import time as clock_time
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from forecasting.schema import SERIES_KEY
from inventory.explain import explain, reason
from inventory.reorder import POLICY_VERSION, recommendation_key
from pipelines.faults.planning import BY_KIND
from pipelines.stores.metrics_values import major_units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from decimal import Decimal

    from inventory.schema import Reorder

RECOMMENDATIONS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "recommendation_key": pl.String, "kind": pl.String, "sku": pl.String, "location_id": pl.String, "source_location_id": pl.String,
    "supplier_id": pl.String, "raw_qty": pl.Int64, "recommended_qty": pl.Int64, "unit_cost": pl.Decimal(18, 4),
    "currency_code": pl.String, "order_by": pl.Date, "need_by": pl.Date, "expected_receipt": pl.Date, "priority_score": pl.Float64,
    "p_stockout_if_ignored": pl.Float64, "cost_if_ignored_p50": pl.Decimal(18, 4), "cost_if_ignored_p90": pl.Decimal(18, 4),
    "cost_if_accepted": pl.Decimal(18, 4), "binding_constraint": pl.String, "reason": pl.String, "policy_version": pl.String,
    "basis": pl.String, "basis_version": pl.Int64, "expires_at": pl.Datetime("us"),
}  # fmt: skip
STEPS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "recommendation_key": pl.String,
    "step_number": pl.Int64,
    "step": pl.String,
    "qty": pl.Float64,
    "note": pl.String,
}
OUTLOOK: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "recommendation_key": pl.String,
    "stock_date": pl.Date,
    "is_with_order": pl.Boolean,
    "stock_p10_qty": pl.Float64,
    "stock_p50_qty": pl.Float64,
    "stock_p90_qty": pl.Float64,
}
EXCLUSIONS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "sku": pl.String, "location_id": pl.String, "code": pl.String, "reason": pl.String,
}  # fmt: skip
_CODES: Final = {kind: fault.code for kind, fault in BY_KIND.items()}


def exclusion_frame(excluded: pl.DataFrame) -> pl.DataFrame:
    """Items that cannot be ordered as `inventory.eligibility.judge_items` gives them, each with its code (E6xx) and reason."""
    code = pl.col("exclusion_kind").replace_strict(_CODES, return_dtype=pl.String).alias("code")
    return excluded.select("sku", "location_id", code, pl.col("exclusion_reason").alias("reason"))


def recommendation_frames(planned: Sequence[tuple[Mapping[str, Any], Reorder]], *, as_of: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The recommendations, last day to order first and then most at risk, and the steps of each.

    Args:
        planned: Items as read from the marts, with their decisions.
        as_of: Last complete day.
    """
    rows = [_recommendation(item, reorder, as_of) for item, reorder in planned]
    steps = [
        {
            "recommendation_key": row["recommendation_key"],
            "step_number": number,
            "step": step.name,
            "qty": float(step.qty),
            "note": step.note,
        }
        for row, (_, reorder) in zip(rows, planned, strict=True)
        for number, step in enumerate(explain(reorder), start=1)
    ]
    ordered = pl.DataFrame(rows, schema=RECOMMENDATIONS, orient="row").sort(
        "order_by", "priority_score", *SERIES_KEY, descending=[False, True, False, False]
    )
    return ordered, pl.DataFrame(steps, schema=STEPS, orient="row").sort("recommendation_key", "step_number")


def outlook_frame(planned: Sequence[tuple[Mapping[str, Any], Reorder]], *, as_of: date) -> pl.DataFrame:
    """Stock of each recommended item from the as-of day on, with the order and without it, sorted by recommendation and day."""
    keyed = ((_key(item, reorder), reorder) for item, reorder in planned)
    rows = [
        (key, as_of + timedelta(days=day), is_with_order, *quantiles)
        for key, reorder in keyed
        for is_with_order, outlook in ((False, reorder.outlook_without_order), (True, reorder.outlook_with_order))
        for day, quantiles in enumerate(outlook.T.round(3).tolist())
    ]
    return pl.DataFrame(rows, schema=OUTLOOK, orient="row").sort("recommendation_key", "is_with_order", "stock_date")


def _key(item: Mapping[str, Any], reorder: Reorder) -> str:
    return recommendation_key(
        kind="purchase", sku=item["sku"], location_id=item["location_id"], supplier_id=item["supplier_id"], need_by=reorder.need_by
    )


def _recommendation(item: Mapping[str, Any], reorder: Reorder, as_of: date) -> dict[str, Any]:
    currency = item["currency_code"]

    def money(amount: int | None) -> Decimal | None:
        return None if amount is None else major_units(amount, currency)

    return {
        "recommendation_key": _key(item, reorder),
        "kind": "purchase",
        "sku": item["sku"],
        "location_id": item["location_id"],
        "source_location_id": None,
        "supplier_id": item["supplier_id"],
        "raw_qty": reorder.raw_qty,
        "recommended_qty": reorder.rounded.qty,
        "unit_cost": money(reorder.terms.unit_cost_amount),
        "currency_code": currency,
        "order_by": reorder.order_by,
        "need_by": reorder.need_by,
        "expected_receipt": reorder.expected_receipt,
        "priority_score": float(major_units(round(reorder.priority_score), currency)),
        "p_stockout_if_ignored": reorder.run_out.stockout_probability,
        "cost_if_ignored_p50": money(reorder.cost_if_ignored_p50_amount),
        "cost_if_ignored_p90": money(reorder.cost_if_ignored_p90_amount),
        "cost_if_accepted": money(reorder.cost_if_accepted_amount),
        "binding_constraint": reorder.rounded.binding_constraint,
        "reason": reason(reorder),
        "policy_version": POLICY_VERSION,
        "basis": _basis(reorder, as_of),
        "basis_version": item["stock_version"],
        "expires_at": datetime.combine(as_of + timedelta(days=1 + reorder.policy.review_period_days), clock_time()),
    }


def _basis(reorder: Reorder, as_of: date) -> str:
    """The inputs of the decision, as JSON with sorted keys."""
    position, terms, policy = reorder.position, reorder.terms, reorder.policy
    return json.dumps(
        {
            "as_of_date": as_of.isoformat(),
            "on_hand_qty": position.on_hand_qty,
            "committed_qty": position.committed_qty,
            "reserved_qty": position.reserved_qty,
            "damaged_qty": position.damaged_qty,
            "backorder_qty": position.backorder_qty,
            "inbound_qty": reorder.inbound_qty,
            "demand_p50_qty": round(reorder.protection.p50_qty, 3),
            "order_up_to_qty": reorder.protection.order_up_to_qty,
            "lead_time_p50_days": reorder.lead_time.quantile(0.5),
            "lead_time_p90_days": reorder.lead_time.quantile(0.9),
            "review_period_days": policy.review_period_days,
            "service_level": policy.service_level,
            "min_order_qty": terms.min_order_qty,
            "order_multiple": terms.order_multiple,
            "max_order_qty": terms.max_order_qty,
            "override_ids": [] if reorder.override is None else list(reorder.override.override_ids),
            "statistical_demand_p50_qty": None if reorder.override is None else round(reorder.override.statistical_p50_qty, 3),
        },
        sort_keys=True,
    )
