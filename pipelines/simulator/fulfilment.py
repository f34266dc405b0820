"""Stock flows, day by day: receipts, allocation, backorders, lost sales, shipments, shrinkage, and the buyer's reviews."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from pipelines.simulator.clock import DAY, HOUR, MINUTE, MONDAY, NEVER, BoolArray, Clock, IntArray, stacked, stream
from pipelines.simulator.ordering import STANDARD
from pipelines.simulator.returns import Returns, plan_returns
from pipelines.simulator.transfers import Transfers, balance, is_transfer_day, no_transfers

if TYPE_CHECKING:
    from pipelines.simulator.catalogue import Catalogue
    from pipelines.simulator.ordering import Lines, Orders
    from pipelines.simulator.purchasing import Buyer, PurchaseLines, PurchaseOrders
    from pipelines.simulator.scenarios import Scenario

Calendar: TypeAlias = npt.NDArray[np.int32]  # units by day and cell

_PLAN_DAYS = 200  # how far ahead of its last day a run still plans; later events lie beyond what anybody sees


@dataclass(frozen=True, slots=True)
class Parts:
    """One entry per allocation of stock to a line: the units that leave together. `shipped` is NEVER for what is called off."""

    line: IntArray
    quantity: IntArray
    allocated: IntArray
    freed: IntArray  # when the stock is no longer committed: shipped or called off
    shipped: IntArray
    delivered: IntArray
    is_first: BoolArray


@dataclass(frozen=True, slots=True)
class StockChanges:
    """Changes of stock that no order caused, one unit each: cell, moment, and whether a unit went missing, broke, or was thrown out."""

    cell: IntArray
    quantity: IntArray
    moment: IntArray
    kind: IntArray


MISSING, BROKEN, THROWN_OUT = range(3)


@dataclass(frozen=True, slots=True)
class Flow:
    """Everything that happened to stock, as events. `accepted` is units per line that became an order; the rest was lost."""

    opening: IntArray
    accepted: IntArray
    gave_up: IntArray  # per order: moment a customer who waited in vain cancelled, NEVER otherwise
    parts: Parts
    returns: Returns
    changes: StockChanges
    purchase_orders: PurchaseOrders
    purchase_lines: PurchaseLines
    transfers: Transfers


def run_stock(orders: Orders, lines: Lines, catalogue: Catalogue, buyer: Buyer, clock: Clock, *, scenario: Scenario, seed: int) -> Flow:
    """Live through every day in turn; each day knows only the days before it."""
    shop = _Shop(orders, lines, catalogue=catalogue, buyer=buyer, clock=clock, seed=seed)
    starts = np.searchsorted(lines.day, np.arange(clock.total_days + 1))
    for day in range(clock.total_days):
        shop.receive(day)
        shop.fill_backlog(day)
        shop.sell(day, np.arange(starts[day], starts[day + 1]))
        shop.close(day)
        if is_transfer_day(scenario, clock, day):
            shop.balance_places(day)
    return shop.flow()


class _Shop:
    """Stock per cell (sku x location) as arrays, and what is already known to happen on later days."""

    def __init__(self, orders: Orders, lines: Lines, *, catalogue: Catalogue, buyer: Buyer, clock: Clock, seed: int) -> None:
        self.orders, self.lines, self.catalogue, self.buyer, self.clock, self.seed = orders, lines, catalogue, buyer, clock, seed
        cells = len(buyer.plan)
        horizon = clock.total_days + _PLAN_DAYS
        self.opening = buyer.opening_stock()
        self.on_hand = self.opening.copy()
        self.committed, self.damaged, self.on_order, self.backlog_qty = (np.zeros(cells, dtype=np.int64) for _ in range(4))
        self.arriving, self.leaving, self.freeing = (np.zeros((horizon, cells), dtype=np.int32) for _ in range(3))
        self.ending_order = np.zeros((horizon, cells), dtype=np.int32)  # on-order units that arrive or are given up
        self.sold = np.zeros((clock.total_days + 1, cells), dtype=np.int64)
        self.accepted = np.zeros(len(lines), dtype=np.int64)
        self.is_served = np.zeros(len(orders), dtype=np.bool_)
        self.gave_up = np.full(len(orders), NEVER)
        self.backlog = np.empty(0, dtype=np.int64)  # lines, by cell and age
        self.missing = np.zeros(len(lines), dtype=np.int64)
        self.parts: list[Parts] = []
        self.changes: list[StockChanges] = []
        self.transfers: list[Transfers] = [no_transfers()]

    def receive(self, day: int) -> None:
        """Morning: goods and returns come in, stock of orders called off is free again."""
        self.on_hand += self.arriving[day]
        self.on_order -= self.ending_order[day]
        self.committed -= self.freeing[day]

    def fill_backlog(self, day: int) -> None:
        """Customers who wait are served first, oldest first; some lose patience before anything of their order was sent."""
        if len(self.backlog) == 0:
            return
        waiting = self.backlog
        served = self._serve(waiting, self.missing[waiting])
        got = np.flatnonzero(served)
        if len(got):
            is_first = self.missing[waiting[got]] == self.lines.wanted[waiting[got]]
            self._allocate(waiting[got], served[got], np.full(len(got), day * DAY + 11 * HOUR), day, is_first=is_first)
        self.missing[waiting] -= served
        np.subtract.at(self.backlog_qty, self.lines.cell[waiting], served)
        order = self.lines.order[waiting]
        tired = ~self.is_served[order] & (self.orders.patience_day[order] <= day)
        self.gave_up[order[tired]] = day * DAY + 21 * HOUR
        np.subtract.at(self.backlog_qty, self.lines.cell[waiting[tired]], self.missing[waiting[tired]])
        self.missing[waiting[tired]] = 0
        self.backlog = waiting[self.missing[waiting] > 0]

    def sell(self, day: int, today: IntArray) -> None:
        """Customers come in order of time; where the shelf is short, one part of them waits and the others take what there is or go."""
        lines, wanted = self.lines, self.lines.wanted[today]
        served = self._serve(today, np.where(lines.is_direct[today], 0, wanted))
        stopped = day >= self.catalogue.discontinued_day[lines.sku[today]] - 40
        waits = lines.waits[today] & ~stopped & (self.orders.cancelled[lines.order[today]] >= NEVER)
        is_direct = lines.is_direct[today]
        served[is_direct] = wanted[is_direct]
        accepted = np.where(waits, wanted, served)
        self.accepted[today] = accepted
        sold = np.where(is_direct, 0, accepted)
        self.sold[day + 1] = self.sold[day] + np.bincount(lines.cell[today], weights=sold, minlength=len(self.on_hand)).astype(np.int64)
        got = np.flatnonzero(served)
        created = self.orders.created[lines.order[today[got]]]
        self._allocate(today[got], served[got], created, day, is_first=np.ones(len(got), dtype=np.bool_))
        missing = accepted - served
        late = today[missing > 0]
        self.missing[late] = missing[missing > 0]
        np.add.at(self.backlog_qty, lines.cell[late], self.missing[late])
        joined = np.concatenate([self.backlog, late])
        self.backlog = joined[np.lexsort((joined, lines.cell[joined]))]

    def close(self, day: int) -> None:
        """Evening: parcels have left, units break or go missing, the buyer orders."""
        self.on_hand -= self.leaving[day]
        self.committed -= self.leaving[day]
        self._shrink(day)
        placed = self.buyer.review(day, sold=self.sold, position=self._position(), backlog=self.backlog_qty)
        if placed is not None:
            self.on_order += np.bincount(placed.cell, weights=placed.quantity, minlength=len(self.on_hand)).astype(np.int64)
            first, second = placed.first_received // DAY, placed.second_received // DAY
            rest = placed.quantity - placed.first_qty
            is_short = placed.second_received >= NEVER
            self._plan(self.arriving, first, placed.cell, placed.first_qty)
            self._plan(self.ending_order, first, placed.cell, np.where(is_short, placed.quantity, placed.first_qty))
            self._plan(self.arriving, second, placed.cell, rest)
            self._plan(self.ending_order, second, placed.cell, rest)

    def balance_places(self, day: int) -> None:
        """Later that evening: spare stock leaves for places that have run out."""
        free = self.on_hand - self.committed - self.damaged
        expected = self.buyer.expected_daily(day, self.sold)
        moved = balance(day, self.clock, places=self.buyer.places, free=free, position=self._position(), expected_daily=expected)
        self.on_hand[moved.source] -= moved.quantity
        self.on_order[moved.target] += moved.quantity
        for calendar in (self.arriving, self.ending_order):
            self._plan(calendar, moved.received // DAY, moved.target, moved.quantity)
        self.transfers.append(moved)

    def _position(self) -> IntArray:
        """Units per cell that are free or on their way, less what customers wait for."""
        return self.on_hand - self.committed - self.damaged + self.on_order - self.backlog_qty

    def flow(self) -> Flow:
        """The events of all days."""
        parts, changes = stacked(self.parts), stacked(self.changes)
        returns = self._plan_returns(parts)
        purchase_orders, purchase_lines = self.buyer.history()
        moved = stacked(self.transfers)
        return Flow(self.opening, self.accepted, self.gave_up, parts, returns, changes, purchase_orders, purchase_lines, moved)

    def _serve(self, rows: IntArray, wanted: IntArray) -> IntArray:
        """Units that free stock covers for lines sorted by cell, first come first served; takes them off nobody's stock yet."""
        cell = self.lines.cell[rows]
        running = np.cumsum(wanted)
        is_start = np.append(True, cell[1:] != cell[:-1])[: len(cell)]
        before_cell = np.maximum.accumulate(np.where(is_start, running - wanted, 0))
        free = np.maximum(self.on_hand - self.committed - self.damaged, 0)[cell]
        served: IntArray = np.clip(free - (running - wanted - before_cell), 0, wanted)
        return served

    def _allocate(self, line: IntArray, quantity: IntArray, allocated: IntArray, day: int, *, is_first: BoolArray) -> None:
        """Commit stock to lines and settle when it leaves, or when it is freed because the order is called off.

        What comes straight from a supplier leaves at the same time and is never ours.
        """
        order = self.lines.order[line]
        shipped, delivered = self._leave(order, line, day)
        called_off = self.orders.cancelled[order]
        freed = np.where(called_off < NEVER, called_off, shipped)
        shipped = np.where(called_off < NEVER, NEVER, shipped)
        delivered = np.where(called_off < NEVER, NEVER, delivered)
        cell = self.lines.cell[line]
        ours = np.where(self.lines.is_direct[line], 0, quantity)
        np.add.at(self.committed, cell, ours)
        self.is_served[order] = True
        self._plan(self.leaving, shipped // DAY, cell, ours)
        self._plan(self.freeing, called_off // DAY + 1, cell, ours)
        parts = Parts(line, quantity, allocated, freed, shipped, delivered, is_first)
        self.parts.append(parts)
        back = self._plan_returns(parts)
        kept = back.is_restocked
        self._plan(self.arriving, back.received[kept] // DAY, self.lines.cell[back.line[kept]], back.quantity[kept])

    def _plan_returns(self, parts: Parts) -> Returns:
        """Only what arrives first of a line may come back; a later part never does."""
        first = np.flatnonzero(parts.is_first)
        found = plan_returns(
            self.lines, self.catalogue, self.clock, line=parts.line[first], quantity=parts.quantity[first], delivered=parts.delivered[first]
        )
        return replace(found, part=first[found.part])

    def _leave(self, order: IntArray, line: IntArray, day: int) -> tuple[IntArray, IntArray]:
        """When what is allocated on `day` ships and arrives: picked in the afternoon of a working day, after release."""
        orders, clock = self.orders, self.clock
        ready = np.maximum(orders.released[order], day * DAY + 11 * HOUR) + orders.pick_seconds[order]
        ready_day = ready // DAY
        fits = (ready % DAY < 19 * HOUR) & (clock.working_day(ready_day) == ready_day)
        later = self.lines.is_second_parcel[line].astype(np.int64)
        wait = orders.delay_days[order] + later
        ship_day = clock.working_day(np.where(fits, ready_day, ready_day + 1), wait)
        on_time = np.maximum(ready % DAY, 12 * HOUR)
        shipped = ship_day * DAY + np.where(fits & (wait == 0), on_time, 12 * HOUR + orders.ship_jitter[order])
        arrival = clock.working_day(ship_day + orders.transit_days[order])
        is_lost = (orders.service[order] == STANDARD) & (orders.ship_jitter[order] % 400 == 0)  # a parcel in 400 never arrives
        return shipped, np.where(is_lost, NEVER, arrival * DAY + orders.delivery_hour[order])

    def _shrink(self, day: int) -> None:
        """A few units go missing or break; what is broken is thrown out on Mondays."""
        rng = stream(self.seed, "shrinkage", day)
        cells = len(self.on_hand)
        cell = np.unique(rng.integers(0, cells, 1 + cells // 400))
        cell = cell[(self.on_hand - self.committed - self.damaged)[cell] > 0]
        is_broken = rng.random(len(cell)) < 0.5
        self.damaged[cell[is_broken]] += 1
        self.on_hand[cell[~is_broken]] -= 1
        moment = np.full(len(cell), day * DAY + 19 * HOUR + 30 * MINUTE)
        self.changes.append(StockChanges(cell, np.ones_like(cell), moment, np.where(is_broken, BROKEN, MISSING)))
        if self.clock.weekday[day] == MONDAY:
            out = np.flatnonzero(self.damaged)
            evening = np.full(len(out), day * DAY + 20 * HOUR)
            self.changes.append(StockChanges(out, self.damaged[out], evening, np.full(len(out), THROWN_OUT)))
            self.on_hand -= self.damaged
            self.damaged[:] = 0

    def _plan(self, calendar: Calendar, day: IntArray, cell: IntArray, quantity: IntArray) -> None:
        """Put units on a later day; what lies beyond the plan's end is not seen by anybody."""
        seen = np.flatnonzero(day < len(calendar))
        np.add.at(calendar, (day[seen], cell[seen]), quantity[seen])
