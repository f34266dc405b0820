"""What customers say, subscribe to and are assigned to, as of a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.simulator.clock import DAY, HOUR, stream
from pipelines.simulator.experiments import DELIVERY_WINDOW, PACKAGING, VARIANTS
from pipelines.simulator.view import named, text

if TYPE_CHECKING:
    from pipelines.simulator.order_tables import OrderBook
    from pipelines.simulator.view import View

REVIEW_RATE = 0.3
LATENESS = ("on_time", "late", "very_late")
VERY_LATE_DAYS = 3
# Chance of a score of 1, 2, 3, 4, 5 by lateness of the complete order against its promise.
SCORE_RATES = ((0.03, 0.03, 0.08, 0.22, 0.64), (0.15, 0.12, 0.2, 0.27, 0.26), (0.38, 0.18, 0.17, 0.15, 0.12))
SUBSCRIBER_RATE = 0.06
SUBSCRIPTION_MONTHLY_HAZARD = 0.05
_DAYS_PER_MONTH = 365.25 / 12


def customer_tables(view: View, book: OrderBook) -> dict[str, pl.DataFrame]:
    """The tables `reviews`, `subscriptions` and `experiments`."""
    return {"reviews": _reviews(view, book), "subscriptions": _subscriptions(view), "experiments": _experiments(view, book)}


def _reviews(view: View, book: OrderBook) -> pl.DataFrame:
    """Some customers speak half a day to ten days after their whole order arrived; what they say depends on its lateness."""
    history, basket = view.history, book.order
    writes, lag, mood = (stream(history.seed, f"review-{name}").random(len(history.orders))[basket] for name in ("writes", "lag", "score"))
    delivered = book.progress.completed
    created = delivered + DAY // 2 + (lag * 9.5 * DAY).astype(np.int64)
    row = np.flatnonzero((writes < REVIEW_RATE) & (created < view.now))
    late = delivered[row] - history.orders.promised_delivery[basket[row]]
    lateness = (late > 0).astype(np.int64) + (late > VERY_LATE_DAYS * DAY)
    score = 1 + (mood[row, None] >= np.cumsum(SCORE_RATES, axis=1)[lateness, :-1]).sum(axis=1)
    order_ids, at = book.order_ids.gather(row), view.at(created[row])
    ids = text("RV-", order_ids.str.slice(2))
    return pl.DataFrame({"review_id": ids, "order_id": order_ids, "score": score, "created_at": at, "updated_at": at})


def _subscriptions(view: View) -> pl.DataFrame:
    """Some customers take out a contract within their first weeks; every month the same share of those who still have one ends it."""
    history = view.history
    count = len(history.customers.created)
    chance, lag, life = (stream(history.seed, f"subscription-{name}") for name in ("starts", "lag", "life"))
    started = history.customers.created + HOUR + (lag.random(count) * 45 * DAY).astype(np.int64)
    mean_seconds = _DAYS_PER_MONTH * DAY / SUBSCRIPTION_MONTHLY_HAZARD
    cancelled = started + DAY + (life.exponential(1.0, count) * mean_seconds).astype(np.int64)
    known = np.flatnonzero((chance.random(count) < SUBSCRIBER_RATE) & (started < view.now))
    return pl.DataFrame(
        {
            "customer_id": pl.Series(history.customer_ids).gather(known),
            "started_at": view.at(started[known]),
            "cancelled_at": view.at(cancelled[known]),
            "updated_at": view.latest(started[known], cancelled[known]),
        }
    )


def _experiments(view: View, book: OrderBook) -> pl.DataFrame:
    """One row per experiment and order that takes part."""
    orders = view.history.orders
    found = []
    for name, variants in ((DELIVERY_WINDOW, orders.assignment.delivery_window), (PACKAGING, orders.assignment.packaging)):
        row = np.flatnonzero(variants[book.order] >= 0)
        at = view.at(orders.created[book.order[row]])
        found.append(
            pl.DataFrame(
                {
                    "experiment_id": pl.Series([name]).new_from_index(0, len(row)),
                    "unit_id": book.order_ids.gather(row),
                    "variant": named(VARIANTS, variants[book.order[row]]),
                    "assigned_at": at,
                    "updated_at": at,
                }
            )
        )
    return pl.concat(found)
