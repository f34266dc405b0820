"""Open orders are told how likely they miss their promise, with what keeps them, and how good such words were before."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from forecasting.jeopardy import LEAST_ORDERS, JeopardyModel, fit_jeopardy
from forecasting.jeopardy_scores import DEFAULT_THRESHOLD, Holdout, calibration, hold_out, score_probabilities, score_rules
from pipelines.steps.jeopardy_reading import KINDS, OrderSnapshots, read_snapshots
from pipelines.steps.jeopardy_wording import STAGES, reason_codes, with_reasons
from pipelines.steps.recommend_reading import present_fields
from pipelines.stores.warehouse import replace_table, run_context

if TYPE_CHECKING:
    from datetime import date

    import duckdb

logger = logging.getLogger("ordercast.jeopardy")

NO_MODEL: Final = "none"
BROKEN: Final = "broken"
_JEOPARDY: Final = {
    "as_of_date": pl.Date, "order_id": pl.String, "promise_kind": pl.String, "miss_probability": pl.Float64, "basis": pl.String,
    "fallback_reason": pl.String, "promised_ship_date": pl.Date, "promised_delivery_date": pl.Date, "due_date": pl.Date,
    "days_left": pl.Int64, "working_days_left": pl.Int64, "stage_number": pl.Int64, "stage": pl.String, "reason_code": pl.String,
    "reason": pl.String, "owner": pl.String, "net_reporting_amount": pl.Int64, "currency_code": pl.String, "location_id": pl.String,
    "channel_id": pl.String, "was_waiting": pl.Boolean,
}  # fmt: skip
_MODEL: Final = {
    "as_of_date": pl.Date, "promise_kind": pl.String, "not_available": pl.String, "basis": pl.String, "fallback_reason": pl.String,
    "orders_count": pl.Int64, "missed_orders_count": pl.Int64, "default_threshold": pl.Float64, "learned_brier_score": pl.Float64,
    "plain_brier_score": pl.Float64, "unseen_missed_count": pl.Int64,
}  # fmt: skip
_SCORES: Final = {
    "as_of_date": pl.Date, "promise_kind": pl.String, "window_from": pl.Date, "window_until": pl.Date, "rule": pl.String,
    "threshold": pl.Float64, "orders_count": pl.Int64, "missed_orders_count": pl.Int64, "alerts_count": pl.Int64, "hits_count": pl.Int64,
    "precision_rate": pl.Float64, "recall_rate": pl.Float64, "lead_p50_hours": pl.Float64, "value_per_100_orders": pl.Float64,
    "snapshots_count": pl.Int64, "miss_rate": pl.Float64, "brier_score": pl.Float64, "plain_brier_score": pl.Float64,
    "base_brier_score": pl.Float64, "auc": pl.Float64,
}  # fmt: skip
_CALIBRATION: Final = {
    "as_of_date": pl.Date, "promise_kind": pl.String, "band_from": pl.Float64, "band_until": pl.Float64, "snapshots_count": pl.Int64,
    "said_rate": pl.Float64, "missed_rate": pl.Float64,
}  # fmt: skip
_NEEDED: Final = {
    "ship": (("shipments", ("shipped_at",)), ("orders", ("promised_ship_at",))),
    "delivery": (("shipments", ("delivered_at",)), ("orders", ("promised_delivery_at", "requested_delivery_at"))),
}


@dataclass(frozen=True, slots=True)
class JeopardySummary:
    """What one run said of open orders; by kind of promise, what was not available."""

    open_orders_count: int
    at_risk_count: int
    broken_count: int
    ship_basis: str
    delivery_basis: str
    not_available: dict[str, str]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Said:
    """What can be said of one kind of promise."""

    kind: str
    model: JeopardyModel | None
    holdout: Holdout
    first_seen: pl.DataFrame


def score_open_orders(conn: duckdb.DuckDBPyConnection) -> JeopardySummary:
    """`planning` holds order_jeopardy, and order_jeopardy_model, _scores and _calibration of this run's as-of date.

    Where the source tells no promise of a kind, or no shipment, nothing is said about it: order_jeopardy_model says what it needs. Where
    too few promises came due, miss_probability is null.

    Args:
        conn: The warehouse, its marts built.
    """
    began = time.monotonic()
    context = run_context(conn)
    as_of = context.as_of_date
    not_available = _not_available(conn)
    told = read_snapshots(conn, as_of=as_of, kinds=frozenset(KINDS) - not_available.keys())
    said = [_learn(told.past.filter(pl.col("promise_kind") == kind), kind, as_of) for kind in KINDS]
    orders = _orders(told.current, said, as_of, context.currency_code)
    model = pl.DataFrame([_model_row(one, told, not_available, as_of) for one in said], schema=_MODEL)
    for name, frame, schema in (
        ("order_jeopardy", orders, _JEOPARDY),
        ("order_jeopardy_model", model, _MODEL),
        ("order_jeopardy_scores", _stacked([_scores(one) for one in said], said, as_of), _SCORES),
        ("order_jeopardy_calibration", _stacked([calibration(one.holdout) for one in said], said, as_of), _CALIBRATION),
    ):
        replace_table(conn, "planning", name, frame.select(pl.col(column).cast(kind) for column, kind in schema.items()))
    at_risk = orders.filter(pl.col("promise_kind") != BROKEN, pl.col("miss_probability") >= DEFAULT_THRESHOLD).height
    for kind, reason in not_available.items():
        logger.info("promises of %s: not available: %s", kind, reason)
    logger.info("%d open orders, %d in jeopardy", orders.height, at_risk)
    bases = dict(model.select("promise_kind", "basis").iter_rows())
    return JeopardySummary(
        open_orders_count=orders.height,
        at_risk_count=at_risk,
        broken_count=orders.filter(pl.col("promise_kind") == BROKEN).height,
        ship_basis=bases["ship"],
        delivery_basis=bases["delivery"],
        not_available=not_available,
        seconds=round(time.monotonic() - began, 3),
    )


def _not_available(conn: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """By kind of promise, what the source would have to tell; the first field of several that would do."""
    found = {}
    for kind, needed in _NEEDED.items():
        missing = [f"{table}.{fields[0]}" for table, fields in needed if present_fields(conn, table).isdisjoint(fields)]
        if missing:
            found[kind] = f"needs {', '.join(missing)}"
    return found


def _learn(past: pl.DataFrame, kind: str, as_of: date) -> _Said:
    holdout = hold_out(past, as_of=as_of)
    plain_because = None
    if not holdout.is_learned_better:
        errors = f"mean squared error {holdout.brier_plain:.4f}, learned {holdout.brier_learned:.4f}"
        plain_because = f"On the days held out the plain rates were as good: {errors}."
    model = fit_jeopardy(past, as_of=as_of, plain_because=plain_because)
    return _Said(kind, model, holdout, past.group_by("order_id").agg(first_date=pl.col("snapshot_date").min()))


def _model_row(said: _Said, told: OrderSnapshots, not_available: dict[str, str], as_of: date) -> dict[str, object]:
    model, holdout = said.model, said.holdout
    return {
        "as_of_date": as_of,
        "promise_kind": said.kind,
        "not_available": not_available.get(said.kind),
        "basis": model.basis if model else NO_MODEL,
        "fallback_reason": _fallback_reason(model),
        "orders_count": model.orders_count if model else 0,
        "missed_orders_count": model.missed_orders_count if model else 0,
        "default_threshold": DEFAULT_THRESHOLD,
        "learned_brier_score": holdout.brier_learned,
        "plain_brier_score": holdout.brier_plain,
        "unseen_missed_count": told.unseen_missed_counts[said.kind],
    }


def _fallback_reason(model: JeopardyModel | None) -> str | None:
    return model.fallback_reason if model else f"Fewer than {LEAST_ORDERS} orders had such a promise come due."


def _scores(said: _Said) -> pl.DataFrame:
    """The scores of rules, with those of the probabilities beside the model's own."""
    rules = score_rules(said.holdout, said.first_seen, kind=said.kind)
    errors = score_probabilities(said.holdout).with_columns(rule=pl.lit("model")).drop("window_until")
    return rules.join(errors, on=["window_from", "rule"], how="left", nulls_equal=True, maintain_order="left")


def _stacked(frames: list[pl.DataFrame], said: list[_Said], as_of: date) -> pl.DataFrame:
    named = [frame.with_columns(as_of_date=pl.lit(as_of), promise_kind=pl.lit(one.kind)) for frame, one in zip(frames, said, strict=True)]
    return pl.concat(named, how="diagonal_relaxed")


def _orders(current: pl.DataFrame, said: list[_Said], as_of: date, currency_code: str) -> pl.DataFrame:
    """The rows of planning.order_jeopardy, worst first."""
    models = {one.kind: one.model for one in said}
    parts = [_judged(part, str(kind), models) for (kind,), part in current.group_by("promise_kind", maintain_order=True)]
    if not parts:
        return pl.DataFrame(schema=_JEOPARDY)
    return (
        with_reasons(pl.concat(parts))
        .with_columns(
            as_of_date=pl.lit(as_of),
            days_left=(pl.col("due_date") - pl.lit(as_of)).dt.total_days(),
            currency_code=pl.lit(currency_code),
            stage_number="stage",
            stage=pl.col("stage").replace_strict(STAGES, return_dtype=pl.String),
        )
        .sort(pl.col("promise_kind") == BROKEN, -pl.col("miss_probability"), "due_date", "order_id", nulls_last=True)
    )


def _judged(part: pl.DataFrame, kind: str, models: dict[str, JeopardyModel | None]) -> pl.DataFrame:
    """Snapshots of one kind with miss_probability, basis, fallback_reason and reason_code."""
    model = models.get(kind)
    if kind == BROKEN:
        said, basis, fallback_reason = pl.lit(1.0), BROKEN, None
    elif model is None:
        said, basis, fallback_reason = pl.lit(None, dtype=pl.Float64), NO_MODEL, _fallback_reason(None)
    else:
        said, basis, fallback_reason = pl.lit(pl.Series(model.probability(part))).round(6), model.basis, model.fallback_reason
    return part.with_columns(
        reason_codes(part, model),
        miss_probability=said,
        basis=pl.lit(basis),
        fallback_reason=pl.lit(fallback_reason, dtype=pl.String),
    )
