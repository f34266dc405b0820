"""Everything that happened to one customer or one order, across channels, as a release knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import duckdb
import polars as pl

from pipelines.errors import ReportError
from pipelines.stores.metrics_values import read_basis
from pipelines.stores.reports import with_money

_NEEDED: Final = "orders.customer_id"
_PROFILE: Final = (
    "customer_key, segment, country, first_channel_id, first_order_date, last_order_date, order_count, net_qty, net_reporting_amount"
)
# A contract belongs to a customer and not to an order; its rows are one per block of days, so each is named once.
_EVENTS: Final = """
    with contracts as (
        select distinct customer_key, started_at, cancelled_at from marts.fct_subscription_periods where customer_key = $customer_key
    ),
    events as (
        select event_at, event_type, order_id, channel_id, qty, amount, currency_code, review_score, reference_id
        from marts.fct_customer_events
        where customer_key = $customer_key or order_id = $order_id
        union all by name
        select started_at as event_at, 'subscription_started' as event_type from contracts
        union all by name
        select cancelled_at as event_at, 'subscription_ended' as event_type from contracts where cancelled_at is not null
    )
    select
        events.* replace (coalesce(events.currency_code, context.currency_code) as currency_code),
        timezone(context.reporting_time_zone, timezone('UTC', events.event_at)) as event_at_local
    from events
    cross join (select currency_code, reporting_time_zone from meta.run_context) as context
    order by event_at, order_id, list_position($story, event_type), reference_id
"""
# What follows what where moments are the same.
_STORY: Final = (
    "ordered", "approved", "payment_hold_placed", "payment_hold_released", "released", "cancelled", "invoiced", "shipped", "paid",
    "delivered", "return_announced", "return_received", "refunded", "reviewed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Timeline:
    """A customer's or an order's events in the order they happened.

    `profile` is what the customers' mart says, `status` what the latest scores say; None for a guest, or where there is none.
    Events: event_at (UTC), event_at_local, event_type, order_id, channel_id, qty, amount (decimal, major units) with
    currency_code, review_score, reference_id.
    """

    customer_key: str | None
    order_id: str | None
    profile: dict[str, Any] | None
    status: dict[str, Any] | None
    events: pl.DataFrame


def customer_timeline(conn: duckdb.DuckDBPyConnection, keys: tuple[str, ...], *, asked: str) -> Timeline:
    """The timeline of the first of these keys that the release knows.

    Raises:
        ReportError: None of them is known, or the source names no customers.
    """
    _require_events(conn)
    if read_basis(conn).missing((_NEEDED,)):
        raise ReportError(f"A customer's timeline is not available: needs {_NEEDED}. One order's is: ordercast timeline --order ID.")
    for key in keys:
        profile = _row(conn, f"select {_PROFILE} from marts.dim_customers where customer_key = ?", key)
        if profile is not None:
            return _timeline(conn, customer_key=key, order_id=None, profile=profile)
    raise ReportError(
        f"No customer {asked!r} is in this release. Give the source's customer id, or the key that reports show; "
        "a guest has neither: ordercast timeline --order ID."
    )


def order_timeline(conn: duckdb.DuckDBPyConnection, order_id: str) -> Timeline:
    """The timeline of one order, a guest's as well.

    Raises:
        ReportError: The release has no such order.
    """
    _require_events(conn)
    found = _row(conn, "select customer_key from marts.fct_orders where order_id = ?", order_id)
    if found is None:
        raise ReportError(f"No order {order_id!r} is in this release.")
    key = found["customer_key"]
    profile = _row(conn, f"select {_PROFILE} from marts.dim_customers where customer_key = ?", key) if key else None
    return _timeline(conn, customer_key=key, order_id=order_id, profile=profile)


def _timeline(
    conn: duckdb.DuckDBPyConnection, *, customer_key: str | None, order_id: str | None, profile: dict[str, Any] | None
) -> Timeline:
    currency = read_basis(conn).currency_code
    bound = {"customer_key": None if order_id else customer_key, "order_id": order_id, "story": list(_STORY)}
    events = with_money(conn.execute(_EVENTS, bound).pl(), currency)
    return Timeline(customer_key, order_id, _with_money(profile, currency), _status(conn, customer_key), events)


def why_not_judged(status: dict[str, Any]) -> str | None:
    """Why nobody can say whether the customer is still there, in a sentence; None where the model says how likely it is."""
    if status["is_too_young"]:
        return "Too young to say whether this customer stays."
    if status["is_one_time"]:
        return "Bought on one day only, so there is no rhythm to judge by."
    if status["p_alive"] is None:
        return f"Whether this customer is still there is not known: {status['refusal_reason']} See ordercast report customer_model."
    return None


def _with_money(profile: dict[str, Any] | None, currency: str) -> dict[str, Any] | None:
    return None if profile is None else with_money(pl.DataFrame([profile]), currency).row(0, named=True)


def _status(conn: duckdb.DuckDBPyConnection, customer_key: str | None) -> dict[str, Any] | None:
    """The customer's row among the latest scores, with how far their model was off; None where the run made none."""
    try:
        scores = _row(
            conn,
            "select scores.* exclude (customer_key), refusal_reason, holdout_bias_rate, holdout_value_bias_rate "
            "from planning.customer_scores as scores "
            "left join planning.customer_model on true where customer_key = ? order by status_date desc limit 1",
            customer_key,
        )
    except duckdb.CatalogException:
        return None
    return _with_money(scores, scores["currency_code"]) if scores else None


def _row(conn: duckdb.DuckDBPyConnection, query: str, value: str | None) -> dict[str, Any] | None:
    cursor = conn.execute(query, [value])
    columns = [column[0] for column in cursor.description or ()]
    row = cursor.fetchone()
    return None if row is None else dict(zip(columns, row, strict=True))


def _require_events(conn: duckdb.DuckDBPyConnection) -> None:
    found = conn.execute("select 1 from information_schema.tables where table_schema = 'marts' and table_name = 'fct_customer_events'")
    if found.fetchone() is None:
        raise ReportError("This release carries no timelines: publish a new one with `ordercast run`.")
