"""Orders, their lines and their shipments as of a day."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.simulator.clock import DAY, HOUR, NEVER, FloatArray, IntArray, stream
from pipelines.simulator.currencies import FRANC, in_francs
from pipelines.simulator.customers import REGIONS
from pipelines.simulator.ordering import (
    CANCEL_REASONS,
    CARRIERS,
    CHANNELS,
    DROP_SHIP,
    OUT_OF_STOCK,
    SERVICES,
    SPECIAL_ORDER,
    STANDARD,
)
from pipelines.simulator.view import money, named, numbered, occurrence, text

if TYPE_CHECKING:
    from pipelines.simulator.view import View

FREE_SHIPPING_CENTS = np.array(4_900)
SHIPPING_CENTS = np.array([490, 1290, 5900])  # by service
TAX_RATES = np.array([0.19, 0.081])  # at home, in Switzerland
GIVEN_UP_DAYS = (21, 35)  # after the promised day, or after it left, a parcel that has not arrived is taken for lost and its order closed
DOCUMENT_ERROR_RATE = 0.004  # share of orders whose parcels travel with wrong papers


@dataclass(frozen=True, slots=True)
class Progress:
    """One entry per order: units that left, when the first (else NEVER) and the last of them did (else -NEVER), when all had arrived.

    `given_up` is when the shop closes an order whose parcel it takes for lost, NEVER otherwise.
    """

    shipped_qty: IntArray
    first_shipped: IntArray
    last_shipped: IntArray
    completed: IntArray
    given_up: IntArray


class OrderBook:
    """Baskets and lines that are orders by now, numbered, with prices and with what has left.

    Amounts are in minor units of each order's own currency.
    """

    def __init__(self, view: View) -> None:
        history = view.history
        orders, lines, flow = history.orders, history.lines, history.flow
        self.view = view
        self.order = np.flatnonzero(history.is_order & (orders.created < view.now))  # basket of each order
        number = history.order_number
        self.order_ids = numbered("O-", number[self.order], 6)
        taken = np.flatnonzero((flow.accepted > 0) & (orders.created[lines.order] < view.now))
        self.line = taken[np.argsort(lines.order[taken], kind="stable")]  # line of each order line, by order
        basket = lines.order[self.line]
        position = np.full(len(orders), -1)
        position[self.order] = np.arange(len(self.order))
        self.position = position  # basket -> row of orders
        self.row = position[basket]  # order line -> row of orders
        self.line_number = np.zeros(len(lines), dtype=np.int64)
        self.line_number[self.line] = occurrence(basket)
        self.line_position = np.full(len(lines), -1)
        self.line_position[self.line] = np.arange(len(self.line))
        self.line_ids = text(self.order_ids.gather(self.row), "-", pl.Series(self.line_number[self.line]).cast(pl.String))
        self.cancelled = np.minimum(orders.cancelled, flow.gave_up)
        self.quantity = flow.accepted[self.line]
        self.is_foreign = history.customers.is_swiss[history.customers.of_order[self.order]].astype(np.int64)
        self.rate = np.where(self.is_foreign, history.franc_rate[orders.created[self.order] // DAY], 1.0)
        list_cents = history.catalogue.price_cents(lines.sku[self.line], lines.day[self.line])
        self.list_cents = in_francs(list_cents, self.rate[self.row])
        share = history.discount[lines.day[self.line], lines.sku[self.line]]
        self.discount_cents = np.rint(self.list_cents * self.quantity * share).astype(np.int64)
        self.net_cents = self.list_cents * self.quantity - self.discount_cents

    def per_order(self, by_line: IntArray | FloatArray) -> IntArray:
        """Sum over the lines of each order."""
        return np.rint(np.bincount(self.row, weights=by_line, minlength=len(self.order))).astype(np.int64)

    def orders(self) -> pl.DataFrame:
        """The table `orders`."""
        view, history, basket = self.view, self.view.history, self.order
        orders = history.orders
        cancelled = self.cancelled[basket]
        approved = np.where(orders.approved[basket] < cancelled, orders.approved[basket], NEVER)
        released = np.where((approved < NEVER) & (orders.released[basket] < cancelled), orders.released[basket], NEVER)
        progress = self.progress
        closed = np.minimum(np.minimum(progress.completed, progress.given_up), cancelled)
        customer = history.customers.of_order[basket]
        region = history.customers.region[customer]
        return pl.DataFrame(
            {
                "order_id": self.order_ids,
                "created_at": view.at(orders.created[basket]),
                "currency": self.currency,
                "approved_at": view.at(approved),
                "released_at": view.at(released),
                "cancelled_at": view.at(cancelled),
                "cancel_reason": named(CANCEL_REASONS, self._cancel_reason()),
                "closed_at": view.at(closed),
                "customer_id": pl.Series(history.customer_ids).gather(customer),
                "channel_id": named(CHANNELS, orders.channel[basket]),
                "location_id": named([place.location_id for place in history.scenario.places], orders.location[basket]),
                "ship_to_country": named([country for country, _ in REGIONS], region),
                "ship_to_region": named([name for _, name in REGIONS], region),
                "financial_status": np.where(cancelled < view.now, "voided", np.where(approved < view.now, "paid", "pending")),
                "fulfillment_status": np.where(
                    progress.shipped_qty >= self.per_order(self.quantity),
                    "fulfilled",
                    np.where(progress.shipped_qty > 0, "partial", "unfulfilled"),
                ),
                "requested_delivery_at": view.planned(orders.requested_delivery[basket]),
                "promised_ship_at": view.planned(orders.promised_ship[basket]),
                "promised_delivery_at": view.planned(orders.promised_delivery[basket]),
                **self._totals(),
                "is_test": orders.is_test[basket],
                "updated_at": view.latest(orders.created[basket], approved, released, closed, progress.last_shipped),
            }
        )

    def _cancel_reason(self) -> IntArray:
        """Number of the reason of each order that is cancelled by now, -1 for the others."""
        orders, gave_up = self.view.history.orders, self.view.history.flow.gave_up[self.order]
        reason = np.where(gave_up < orders.cancelled[self.order], OUT_OF_STOCK, orders.cancel_reason[self.order])
        return np.where(self.cancelled[self.order] < self.view.now, reason, -1)

    @property
    def currency(self) -> pl.Series:
        """What each order is paid in."""
        return named((self.view.history.scenario.currency, FRANC), self.is_foreign)

    @cached_property
    def shipping_cents(self) -> IntArray:
        """What each order pays for shipping."""
        service = self.view.history.orders.service[self.order]
        is_free = (self.per_order(self.net_cents) >= in_francs(FREE_SHIPPING_CENTS, self.rate)) & (service == STANDARD)
        return np.where(is_free, 0, in_francs(SHIPPING_CENTS[service], self.rate))

    @cached_property
    def total_cents(self) -> IntArray:
        """What each order costs; prices hold tax."""
        return self.per_order(self.net_cents) + self.shipping_cents

    def _totals(self) -> dict[str, pl.Series]:
        tax_rate = TAX_RATES[self.is_foreign]
        return {
            "total_price": money(self.total_cents),
            "total_discounts": money(self.per_order(self.discount_cents)),
            "total_tax": money(np.rint(self.total_cents * tax_rate / (1 + tax_rate)).astype(np.int64)),
            "total_shipping": money(self.shipping_cents),
        }

    def order_lines(self) -> pl.DataFrame:
        """The table `order_lines`."""
        view, lines = self.view, self.view.history.lines
        parts = self.view.history.flow.parts
        gone = parts.shipped < view.now
        shipped = np.bincount(parts.line[gone], weights=parts.quantity[gone], minlength=len(lines)).astype(np.int64)[self.line]
        last = np.full(len(lines), -NEVER)
        np.maximum.at(last, parts.line[gone], parts.shipped[gone])
        cancelled = self.cancelled[lines.order[self.line]]
        open_qty = np.where(cancelled < view.now, 0, self.quantity - shipped)
        return pl.DataFrame(
            {
                "order_line_id": self.line_ids,
                "order_id": self.order_ids.gather(self.row),
                "sku": named(view.history.catalogue.skus, lines.sku[self.line]),
                "quantity": self.quantity,
                "unit_price": money(self.list_cents),
                "total_discount": money(self.discount_cents),
                "fulfillable_quantity": open_qty,
                "is_special_order": lines.source[self.line] == SPECIAL_ORDER,
                "is_drop_ship": lines.source[self.line] == DROP_SHIP,
                "updated_at": view.latest(view.history.orders.created[lines.order[self.line]], cancelled, last[self.line]),
            }
        )

    def shipments(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.Series]:
        """The tables `shipments` and `shipment_lines`, and the shipment id of each part that is packed (null for the others)."""
        view, history = self.view, self.view.history
        parts = history.flow.parts
        basket = history.lines.order[parts.line]
        packed = np.maximum(parts.allocated, history.orders.released[basket])
        chosen = np.flatnonzero((parts.shipped < NEVER) & (packed < view.now))
        chosen = chosen[np.lexsort((parts.line[chosen], parts.shipped[chosen], basket[chosen]))]
        basket, shipped, packed = basket[chosen], parts.shipped[chosen], packed[chosen]
        is_start = np.append(True, (basket[1:] != basket[:-1]) | (shipped[1:] != shipped[:-1]))[: len(chosen)]
        head, of_shipment = np.flatnonzero(is_start), np.cumsum(is_start) - 1
        first_packed = np.minimum.reduceat(packed, head)
        # Numbered in the order in which they come to be known, which later parcels cannot change.
        known = np.lexsort((shipped[head], first_packed, basket[head]))
        nth = np.empty(len(head), dtype=np.int64)
        nth[known] = occurrence(basket[head][known])
        order_ids = self.order_ids.gather(self.position[basket[head]])
        ids = text("S-", order_ids.str.slice(2), "-", pl.Series(nth).cast(pl.String))
        part_ids = ids.gather(of_shipment)
        weight = history.catalogue.weight_kg[history.lines.sku[parts.line[chosen]]] * parts.quantity[chosen]
        shipments = self._parcels(chosen[head], first_packed, np.bincount(of_shipment, weights=weight).astype(np.float64)).select(
            ids.alias("shipment_id"), order_ids.alias("order_id"), pl.all()
        )
        shipment_lines = (
            pl.DataFrame(
                {
                    "shipment_id": part_ids,
                    "order_line_id": self.line_ids.gather(self.line_position[parts.line[chosen]]),
                    "quantity": parts.quantity[chosen],
                    "updated_at": view.planned(packed),
                }
            )
            .group_by("shipment_id", "order_line_id", maintain_order=True)
            .agg(pl.col("quantity").sum(), pl.col("updated_at").max())
        )
        return shipments, shipment_lines, _scatter(part_ids, chosen, len(parts.line))

    def _parcels(self, part: IntArray, packed: IntArray, weight_kg: FloatArray) -> pl.DataFrame:
        """What is known of each parcel, given one part in it, when it was packed and what it weighs."""
        view, history = self.view, self.view.history
        orders, clock = history.orders, history.clock
        order = history.lines.order[history.flow.parts.line[part]]
        left, there = history.flow.parts.shipped[part], history.flow.parts.delivered[part]
        service = orders.service[order]
        expected = clock.working_day(left // DAY + np.array([2, 1, 3])[service]) * DAY + 20 * HOUR
        return pl.DataFrame(
            {
                "status": np.where(there < view.now, "delivered", np.where(left < view.now, "in_transit", "pending")),
                "location_id": named([place.location_id for place in history.scenario.places], orders.location[order]),
                "carrier": named(CARRIERS, orders.carrier[order]),
                "service": named(SERVICES, service),
                "shipping_cost": money(np.rint(np.array([390, 890, 2900])[service] + 55 * weight_kg).astype(np.int64)),
                "shipped_at": view.at(left),
                "delivered_at": view.at(there),
                "estimated_delivery_at": view.planned(expected),
                "document_error": stream(history.seed, "documents").random(len(orders))[order] < DOCUMENT_ERROR_RATE,
                "updated_at": view.latest(packed, left, there),
            }
        )

    @cached_property
    def progress(self) -> Progress:
        """How far each order has come by now."""
        view, history = self.view, self.view.history
        parts = history.flow.parts
        row = self.position[history.lines.order[parts.line]]
        gone = (parts.shipped < view.now) & (row >= 0)
        count = len(self.order)
        shipped = np.bincount(row[gone], weights=parts.quantity[gone], minlength=count).astype(np.int64)
        first_shipped, last_shipped, last_arrived = np.full(count, NEVER), np.full(count, -NEVER), np.full(count, -NEVER)
        np.minimum.at(first_shipped, row[gone], parts.shipped[gone])
        np.maximum.at(last_shipped, row[gone], parts.shipped[gone])
        np.maximum.at(last_arrived, row[gone], parts.delivered[gone])
        has_left = shipped >= self.per_order(self.quantity)
        completed = np.where(has_left & (last_arrived < view.now), last_arrived, NEVER)
        given_up = np.where(has_left & (last_arrived >= NEVER), self._given_up(last_shipped), NEVER)
        return Progress(shipped, first_shipped, last_shipped, completed, given_up)

    def _given_up(self, last_shipped: IntArray) -> IntArray:
        """When the shop would close each order, had its parcels been lost: some weeks after they were due, in office hours."""
        orders, first, last = self.view.history.orders, *GIVEN_UP_DAYS
        chance = stream(self.view.history.seed, "lost-parcels").random(len(orders))[self.order]
        due = np.maximum(orders.promised_delivery[self.order], last_shipped) // DAY
        moment = (first + chance * (last - first)) * DAY
        day = self.view.history.clock.working_day(due + moment.astype(np.int64) // DAY)
        return day * DAY + 9 * HOUR + moment.astype(np.int64) % DAY // 3


def _scatter(values: pl.Series, positions: IntArray, length: int) -> pl.Series:
    """A series of `length` with `values` at `positions` and null elsewhere."""
    index = np.full(length, len(values))
    index[positions] = np.arange(len(values))
    return pl.concat([values, pl.Series([None], dtype=pl.String)]).gather(pl.Series(index))
