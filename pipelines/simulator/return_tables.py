"""Returns of a history as of a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.simulator.clock import DAY, HOUR, NEVER, IntArray, stream
from pipelines.simulator.payment_tables import settled_at
from pipelines.simulator.returns import DAMAGED, REASONS, refund_cents
from pipelines.simulator.view import View, money, named, text

if TYPE_CHECKING:
    from pipelines.simulator.order_tables import OrderBook

EXCHANGE_WITHIN_DAYS = 14
EXCHANGE_RATE = 0.6  # share of returns whose customer orders again in that time and takes it in exchange
REFUND_AFTER = HOUR  # from the moment in which an invoice that was still owed is paid
_TIME_BITS = 33  # local seconds fit below


def return_tables(view: View, book: OrderBook) -> tuple[dict[str, pl.DataFrame], pl.Series]:
    """The tables `returns` and `return_lines`, and the id of each return of the history (null for those still to come)."""
    history = view.history
    returns, lines = history.flow.returns, history.lines
    known = np.flatnonzero(returns.created < view.now)
    known = known[np.lexsort((returns.line[known], returns.created[known]))]
    line = returns.line[known]
    position = book.line_position[line]
    ids = text("R-", book.line_ids.gather(position).str.slice(2))
    refund = refund_cents(book.net_cents[position].astype(np.float64), book.quantity[position], returns.quantity[known])
    received, refunded = view.seen(returns.received[known]), view.seen(_refunded(view, book, known))
    is_back = received < NEVER
    reason = returns.reason[known]
    restock = np.where(is_back, np.where(returns.is_restocked[known], 0, 1), -1)
    condition = np.where(restock == 1, np.where(reason == DAMAGED, 1, 2), restock)
    exchange = _exchange(view, known)
    taken_row = np.where(exchange >= 0, book.position[exchange], len(book.order_ids))
    taken = pl.concat([book.order_ids, pl.Series([None], dtype=pl.String)]).gather(pl.Series(taken_row))
    exchanged = np.where(exchange >= 0, history.orders.created[exchange], NEVER)
    updated = view.latest(returns.created[known], received, refunded, exchanged)
    tables = {
        "returns": pl.DataFrame(
            {
                "return_id": ids,
                "created_at": view.at(returns.created[known]),
                "order_id": book.order_ids.gather(book.position[lines.order[line]]),
                "received_at": view.at(received),
                "refunded_at": view.at(refunded),
                "refund_amount": pl.select(pl.when(pl.Series(refunded < NEVER)).then(money(refund))).to_series(),
                "currency": book.currency.gather(book.position[lines.order[line]]),
                "exchange_order_id": taken,
                "match_basis": "given",
                "updated_at": updated,
            }
        )
    }
    lines_table = pl.DataFrame(
        {
            "return_line_id": text(ids, "-1"),
            "return_id": ids,
            "sku": named(history.catalogue.skus, lines.sku[line]),
            "quantity": returns.quantity[known],
            "order_line_id": book.line_ids.gather(position),
            "reason_code": named(REASONS, reason),
            "restock_type": named(("return", "no_restock"), restock),
            "condition": named(("sellable", "damaged", "opened"), condition),
            "updated_at": updated,
        }
    )
    all_ids = np.full(len(returns.line), len(known))
    all_ids[known] = np.arange(len(known))
    return {**tables, "return_lines": lines_table}, pl.concat([ids, pl.Series([None], dtype=pl.String)]).gather(pl.Series(all_ids))


def _refunded(view: View, book: OrderBook, known: IntArray) -> IntArray:
    """When money for the returns `known` goes back: nobody is paid back what he still owes, so not before his invoice is paid in full."""
    returns = view.history.flow.returns
    settled = settled_at(view, book)[book.position[view.history.lines.order[returns.line[known]]]]
    planned = returns.refunded[known]
    return np.where(settled < planned, planned, np.where(planned < NEVER, np.minimum(settled + REFUND_AFTER, NEVER), NEVER))


def _exchange(view: View, known: IntArray) -> IntArray:
    """The basket that each of the returns `known` was exchanged for, -1 for none: the customer's next order, where it follows soon."""
    history = view.history
    orders, lines, returns, customers = history.orders, history.lines, history.flow.returns, history.customers.of_order
    real = np.flatnonzero(history.is_order & (orders.cancelled >= NEVER))
    by_customer = (customers[real] << _TIME_BITS) + orders.created[real]
    ranked = np.argsort(by_customer, kind="stable")
    customer, created = customers[lines.order[returns.line[known]]], returns.created[known]
    next_place = np.searchsorted(by_customer[ranked], (customer << _TIME_BITS) + created, side="right")
    following = real[ranked[np.minimum(next_place, len(real) - 1)]]
    when = orders.created[following]
    follows = (customers[following] == customer) & (when > created) & (when <= created + EXCHANGE_WITHIN_DAYS * DAY) & (when < view.now)
    is_wanted = stream(history.seed, "exchange").random(len(lines))[returns.line[known]] < EXCHANGE_RATE
    return np.where(follows & is_wanted, following, -1)
