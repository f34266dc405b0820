"""What customers owe and pay - holds, invoices, payments - as of a day.

Web orders are paid when they are placed, marketplace orders by a weekly settlement, wholesale orders on 30 days' credit. Each order has
one invoice, over its whole price, when its first parcel leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.simulator.clock import DAY, HOUR, NEVER, FloatArray, IntArray, stream
from pipelines.simulator.ordering import MARKETPLACE, PAYMENT_FAILED, WEB, WHOLESALE
from pipelines.simulator.view import money, named, text

if TYPE_CHECKING:
    from pipelines.simulator.order_tables import OrderBook
    from pipelines.simulator.view import View

CREDIT_DAYS = 30
HELD_AFTER = 18  # seconds after the order, when customer service or the payment provider stops it
PAID_AFTER = 15  # seconds after a web order
_SETTLEMENT_WEEKDAY = 3  # Thursday
_HABITS = (0.77, 0.91, 0.945, 0.975)  # wholesale: in time, late, a part and later the rest, a part only; the others never


def payment_tables(view: View, book: OrderBook) -> dict[str, pl.DataFrame]:
    """The tables `payment_holds`, `invoices` and `payments`."""
    row = np.flatnonzero(book.progress.first_shipped < view.now)
    issued, basket = book.progress.first_shipped[row], book.order[row]
    channel = view.history.orders.channel[basket]
    settled = _settlement(view, issued)
    due = np.where(channel == WHOLESALE, (issued // DAY + CREDIT_DAYS) * DAY + 20 * HOUR, np.where(channel == WEB, issued, settled))
    order_ids = book.order_ids.gather(row)
    ids = text("INV-", order_ids.str.slice(2))
    issued_at = view.at(issued)
    invoices = pl.DataFrame(
        {
            "invoice_id": ids,
            "order_id": order_ids,
            "issued_at": issued_at,
            "due_at": view.planned(due),
            "amount": money(book.total_cents[row]),
            "updated_at": issued_at,
        }
    )
    return {"payment_holds": _holds(view, book), "invoices": invoices, "payments": _payments(view, book, row, ids, issued)}


def _payments(view: View, book: OrderBook, row: IntArray, invoice_ids: pl.Series, issued: IntArray) -> pl.DataFrame:
    """One or two payments of each invoice; money that came before its invoice is booked when that is issued."""
    orders, basket = view.history.orders, book.order[row]
    channel, total = orders.channel[basket], book.total_cents[row]
    first, second, share = _on_credit(view, basket, issued)
    first = np.where(
        channel == WEB, orders.created[basket] + PAID_AFTER, np.where(channel == MARKETPLACE, _settlement(view, issued), first)
    )
    paid_first = np.where(channel == WHOLESALE, np.rint(total * share).astype(np.int64), total)
    second = np.where((channel == WHOLESALE) & (paid_first < total), second, NEVER)
    invoice = np.tile(np.arange(len(row)), 2)
    nth = np.repeat([1, 2], len(row))
    paid, cents = np.concatenate([first, second]), np.concatenate([paid_first, total - paid_first])
    known = np.flatnonzero((np.maximum(paid, issued[invoice]) < view.now) & (cents > 0))
    known = known[np.lexsort((nth[known], invoice[known]))]
    return pl.DataFrame(
        {
            "payment_id": text("PAY-", invoice_ids.gather(invoice[known]).str.slice(4), "-", pl.Series(nth[known]).cast(pl.String)),
            "invoice_id": invoice_ids.gather(invoice[known]),
            "paid_at": view.at(paid[known]),
            "amount": money(cents[known]),
            "updated_at": view.latest(paid[known], issued[invoice[known]]),
        }
    )


def settled_at(view: View, book: OrderBook) -> IntArray:
    """When each order's invoice is paid in full, NEVER where it is not or has not been issued yet."""
    basket, issued = book.order, book.progress.first_shipped
    channel, is_issued = view.history.orders.channel[basket], issued < NEVER
    known = np.where(is_issued, issued, 0)  # a stand-in where nothing is owed yet
    first, second, share = _on_credit(view, basket, known)
    on_credit = np.where(share < 1, second, first)
    settled = np.where(channel == WEB, known, np.where(channel == MARKETPLACE, _settlement(view, known), on_credit))
    return np.where(is_issued, settled, NEVER)


def _on_credit(view: View, basket: IntArray, issued: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """When a wholesale customer pays, when the rest of a part follows, and the part; NEVER for what does not come."""
    history = view.history

    def uniform(name: str) -> FloatArray:
        return stream(history.seed, f"payment-{name}").random(len(history.orders))[basket]

    habit = np.searchsorted(_HABITS, uniform("habit"), side="right")
    chance = uniform("days")
    in_time = 6 + (chance * (CREDIT_DAYS - 7)).astype(np.int64)
    late = CREDIT_DAYS + 2 + np.minimum(-np.log1p(-chance) * 14, 120).astype(np.int64)
    hour = (uniform("hour") * 6 * HOUR).astype(np.int64) + 10 * HOUR
    day = history.clock.working_day(issued // DAY + np.where(habit == 1, late, in_time))
    rest = history.clock.working_day(day + 20 + (uniform("rest") * 40).astype(np.int64))
    share = np.where((habit == 2) | (habit == 3), 0.4 + 0.5 * uniform("share"), 1.0)
    return np.where(habit < 4, day * DAY + hour, NEVER), np.where(habit == 2, rest * DAY + hour, NEVER), share


def _settlement(view: View, issued: IntArray) -> IntArray:
    """Noon of the first Thursday after a parcel left."""
    day = issued // DAY
    wait = (_SETTLEMENT_WEEKDAY - view.history.clock.weekday[day] - 1) % 7 + 1
    return (day + wait) * DAY + 12 * HOUR


def _holds(view: View, book: OrderBook) -> pl.DataFrame:
    """Orders that customer service looked at before approval, and those whose payment failed."""
    orders, basket = view.history.orders, book.order
    placed = orders.created[basket] + HELD_AFTER
    cancelled = book.cancelled[basket]
    is_stopped = (orders.is_reviewed[basket] & (orders.channel[basket] != WHOLESALE)) | (orders.cancel_reason[basket] == PAYMENT_FAILED)
    held = np.flatnonzero(is_stopped & (placed < np.minimum(cancelled, view.now)))
    approved = orders.approved[basket[held]]
    over = np.minimum(approved, cancelled[held])
    outcome = np.where(over < view.now, np.where(approved < cancelled[held], 0, 1), -1)
    return pl.DataFrame(
        {
            "order_id": book.order_ids.gather(held),
            "placed_at": view.at(placed[held]),
            "released_at": view.at(over),
            "outcome": named(("released", "cancelled"), outcome),
            "amount": money(book.total_cents[held]),
            "updated_at": view.latest(placed[held], over),
        }
    )
