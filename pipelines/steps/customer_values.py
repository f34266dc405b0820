"""Customers are scored: who is still there, how often each will buy, what that is worth, and how far such scores were off before."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forecasting.customer_summary import CustomerModelError
from forecasting.customers import (
    BgNbd,
    GammaGamma,
    HoldoutError,
    expected_purchases,
    fit_bg_nbd,
    fit_gamma_gamma,
    holdout_error,
    lifetime_value,
    probability_alive,
)
from pipelines.stores.standing_plans import begin_planning
from pipelines.stores.warehouse import refill_table, run_context

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger("ordercast.customer_values")

STATUS_DAYS_BACK: Final = (0, 28, 364)  # as-of, the day before its period of 28 days, and the same weekday a year before
CHURN_THRESHOLD: Final = 0.5  # below it a customer is likelier gone than not: the fewest wrong verdicts, if probabilities are right
TOO_YOUNG_WEEKS: Final = 13.0  # a silence cannot be judged before there was time for one
HOLDOUT_DAYS: Final = 91
LEAST_HOLDOUT_DAYS: Final = 28

_SUMMARY: Final = """
    with visits as (
        select *, min(purchase_date) over (partition by customer_key) as first_date
        from marts.fct_customer_order_days
        where purchase_date <= $until
    )
    select
        customer_key,
        count(*) filter (where purchase_date <= $day and purchase_date > first_date) as x,
        (max(purchase_date) filter (where purchase_date <= $day) - any_value(first_date)) / 7.0 as t_x,
        ($day - any_value(first_date)) / 7.0 as "T",
        avg(net_reporting_amount) filter (
            where purchase_date <= $day and purchase_date > first_date and net_reporting_amount > 0
        ) as monetary_value,
        count(*) filter (where purchase_date > $day) as holdout_x,
        coalesce(sum(net_reporting_amount) filter (where purchase_date > $day), 0) as holdout_amount,
        count(*) filter (where purchase_date > $day and net_reporting_amount is null) as holdout_unknown_count
    from visits
    where first_date <= $day
    group by customer_key
"""


@dataclass(frozen=True, slots=True)
class CustomerValuesSummary:
    """What one run said of customers; reasons are null where nothing was refused."""

    customers_count: int
    repeat_customers_count: int
    churned_count: int
    refusal_reason: str | None
    value_refusal_reason: str | None
    holdout_refusal_reason: str | None
    holdout_bias_rate: float | None
    holdout_naive_bias_rate: float | None
    holdout_value_bias_rate: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class _Models:
    """What could be fitted, and why the rest could not."""

    purchases: BgNbd | None = None
    refusal_reason: str | None = None
    value: GammaGamma | None = None
    value_refusal_reason: str | None = None
    holdout: HoldoutError | None = None
    holdout_amounts: tuple[int, int] | None = None  # what came, and what was expected, in minor units
    holdout_refusal_reason: str | None = None
    holdout_days: int | None = None


def score_customers(conn: duckdb.DuckDBPyConnection) -> CustomerValuesSummary:
    """`planning` holds customer_scores, customer_model and customer_holdout of this run's as-of date.

    Every status day is scored by the one model fitted on data up to as-of. Where the data do not allow a model the scores are null and
    customer_model says why; nothing is guessed.

    Args:
        conn: The warehouse, its marts built.
    """
    began = time.monotonic()
    begin_planning(conn)
    context = run_context(conn)
    as_of = context.as_of_date
    models = _fit(conn, as_of)
    days = [as_of - timedelta(days=back) for back in STATUS_DAYS_BACK]
    scores = pl.concat([_scored(_summary(conn, day), models, day, context.currency_code) for day in days])
    current = scores.filter(pl.col("status_date") == as_of)
    facts = _model_facts(conn, models, current, as_of) | {"currency_code": context.currency_code}
    refill_table(conn, "planning.customer_scores", scores)
    refill_table(conn, "planning.customer_model", pl.DataFrame([facts], infer_schema_length=None))
    refill_table(conn, "planning.customer_holdout", _holdout_classes(models.holdout))
    for reason in (models.refusal_reason, models.value_refusal_reason, models.holdout_refusal_reason):
        if reason:
            logger.info("not available: %s", reason)
    logger.info("%d customers scored", current.filter(pl.col("p_alive").is_not_null()).height)
    return CustomerValuesSummary(
        customers_count=current.height,
        repeat_customers_count=facts["repeat_customers_count"],
        churned_count=int(current["is_churned"].sum()),
        refusal_reason=models.refusal_reason,
        value_refusal_reason=models.value_refusal_reason,
        holdout_refusal_reason=models.holdout_refusal_reason,
        holdout_bias_rate=facts.get("holdout_bias_rate"),
        holdout_naive_bias_rate=facts.get("holdout_naive_bias_rate"),
        holdout_value_bias_rate=facts.get("holdout_value_bias_rate"),
        seconds=round(time.monotonic() - began, 3),
    )


def _summary(conn: duckdb.DuckDBPyConnection, day: date) -> pl.DataFrame:
    """One row per customer who had bought by the day: customer_key, x, t_x, T (weeks), monetary_value (minor units)."""
    return conn.execute(_SUMMARY, {"day": day, "until": day}).pl().select(pl.exclude("^holdout_.*$")).sort("customer_key")


def _grouped(conn: duckdb.DuckDBPyConnection, day: date, *, until: date) -> pl.DataFrame:
    """Customers who are alike as one row with their number; grouped in the database, so a million of them stay there."""
    query = f'select x, t_x, "T", holdout_x, count(*) as customers_count from ({_SUMMARY}) group by all order by all'
    return conn.execute(query, {"day": day, "until": until}).pl()


def _fit(conn: duckdb.DuckDBPyConnection, as_of: date) -> _Models:
    row = conn.execute("select min(purchase_date) from marts.fct_customer_order_days where purchase_date <= ?", [as_of]).fetchone()
    if row is None or row[0] is None:
        reason = "No order names its customer: orders.customer_id is needed."
        return _Models(refusal_reason=reason, value_refusal_reason=reason, holdout_refusal_reason=reason)
    found: dict[str, Any] = {}
    try:
        found["purchases"] = fit_bg_nbd(_grouped(conn, as_of, until=as_of))
    except CustomerModelError as exc:
        return _Models(refusal_reason=str(exc), value_refusal_reason=str(exc), holdout_refusal_reason=str(exc))
    try:
        found["value"] = fit_gamma_gamma(_summary(conn, as_of))
    except CustomerModelError as exc:
        found["value_refusal_reason"] = str(exc)
    history_days = (as_of - row[0]).days
    holdout_days = min(HOLDOUT_DAYS, history_days // 3)
    if holdout_days < LEAST_HOLDOUT_DAYS:
        return _Models(**found, holdout_refusal_reason=f"{history_days} days of history are too few to hold some of them out.")
    cutoff = as_of - timedelta(days=holdout_days)
    try:
        found["holdout"] = holdout_error(_grouped(conn, cutoff, until=as_of), horizon=holdout_days / 7)
        found["holdout_amounts"] = _held_out_amounts(conn, found["holdout"].model, cutoff, until=as_of)
    except CustomerModelError as exc:
        found["holdout_refusal_reason"] = f"Before the cut-off: {exc}"
    return _Models(**found, holdout_days=holdout_days)


def _held_out_amounts(conn: duckdb.DuckDBPyConnection, purchases: BgNbd, cutoff: date, *, until: date) -> tuple[int, int] | None:
    """What customers known at the cut-off spent after it, and what both models of the time before expected; None where that is unknown."""
    known = conn.execute(_SUMMARY, {"day": cutoff, "until": until}).pl().sort("customer_key")
    if known["holdout_unknown_count"].sum():
        return None
    expected = lifetime_value(purchases, fit_gamma_gamma(known), known, horizon=(until - cutoff).days / 7)
    return int(known["holdout_amount"].sum()), round(expected.sum())


def _scored(summary: pl.DataFrame, models: _Models, day: date, currency_code: str) -> pl.DataFrame:
    """The rows of planning.customer_scores of one status day."""
    purchases, value = models.purchases, models.value
    unknown = pl.lit(None, dtype=pl.Float64)
    is_judged = (pl.col("x") > 0) & (pl.col("T") >= TOO_YOUNG_WEEKS)
    scored = summary.with_columns(
        (probability_alive(purchases, summary) if purchases else unknown).alias("p_alive"),
        *(
            (expected_purchases(purchases, summary, horizon=days / 7) if purchases else unknown).alias(f"expected_purchases_{days}_days")
            for days in (91, 364)
        ),
        (lifetime_value(purchases, value, summary, horizon=364 / 7) if purchases and value else unknown).alias("lifetime_value"),
    )
    return scored.select(
        pl.lit(day).alias("status_date"),
        "customer_key",
        pl.col("x").alias("repeat_count"),
        pl.col("t_x").alias("t_x_weeks"),
        pl.col("T").alias("age_weeks"),
        "p_alive",
        "expected_purchases_91_days",
        "expected_purchases_364_days",
        pl.col("lifetime_value").round().cast(pl.Int64).alias("lifetime_value_364_days_amount"),
        pl.lit(currency_code).alias("currency_code"),
        (pl.col("x") == 0).alias("is_one_time"),
        (pl.col("T") < TOO_YOUNG_WEEKS).alias("is_too_young"),
        pl.when(is_judged).then(pl.col("p_alive") < CHURN_THRESHOLD).alias("is_churned"),
    )


def _model_facts(conn: duckdb.DuckDBPyConnection, models: _Models, current: pl.DataFrame, as_of: date) -> dict[str, Any]:
    """The row of planning.customer_model, without its currency."""
    facts: dict[str, Any] = {
        "as_of_date": as_of,
        "customers_count": current.height,
        "repeat_customers_count": current.filter(~pl.col("is_one_time")).height,
        "churn_threshold": CHURN_THRESHOLD,
        "refusal_reason": models.refusal_reason,
        "value_refusal_reason": models.value_refusal_reason,
        "holdout_refusal_reason": models.holdout_refusal_reason,
    }
    if models.purchases:
        fitted = asdict(models.purchases)
        facts |= {name: fitted[name] for name in ("r", "a", "b", "log_likelihood")} | {"alpha_weeks": fitted["alpha"]}
    if models.value:
        fitted = asdict(models.value)
        facts |= {"p": fitted["p"], "q": fitted["q"], "gamma_amount": fitted["gamma"], "value_log_likelihood": fitted["log_likelihood"]}
        facts["frequency_value_correlation"] = _correlation(conn, as_of)
    if models.holdout and models.holdout_days:
        facts |= {"holdout_from": as_of - timedelta(days=models.holdout_days - 1), "holdout_days": models.holdout_days}
        facts |= {f"holdout_{name}": value for name, value in asdict(models.holdout).items() if name not in {"model", "by_repeat_class"}}
    if models.holdout_amounts:
        actual, expected = models.holdout_amounts
        facts |= {"holdout_actual_amount": actual, "holdout_predicted_amount": expected}
        facts["holdout_value_bias_rate"] = expected / actual - 1 if actual > 0 else None
    return facts


def _correlation(conn: duckdb.DuckDBPyConnection, as_of: date) -> float | None:
    """Of a repeat customer's number of purchases with their mean amount: what Gamma-Gamma takes to be none.

    Not by the database, whose parallel sums differ in the last digit from run to run.
    """
    known = _summary(conn, as_of).filter(pl.col("x") > 0, pl.col("monetary_value").is_not_null())
    found = float(np.corrcoef(known["x"].to_numpy(), known["monetary_value"].to_numpy())[0, 1])
    return found if np.isfinite(found) else None


def _holdout_classes(holdout: HoldoutError | None) -> pl.DataFrame:
    if holdout is not None:
        return holdout.by_repeat_class
    counts = dict.fromkeys(("actual_count", "predicted_count", "naive_count"), pl.Float64)
    return pl.DataFrame(schema={"repeat_class": pl.Int64, "customers_count": pl.Int64, **counts})
