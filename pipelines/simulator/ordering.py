"""From units wanted to orders: lines, baskets, hours, channels, promises - everything about an order that stock does not decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipelines.simulator.clock import DAY, HOUR, MINUTE, NEVER, BoolArray, Clock, FloatArray, IntArray, stream
from pipelines.simulator.demand import UNIT_STARTS_LINE
from pipelines.simulator.experiments import SPARED_DAMAGE_RATE, Assignment, B, assign

if TYPE_CHECKING:
    from pipelines.simulator.catalogue import Catalogue
    from pipelines.simulator.scenarios import Scenario

CHANNELS: Final = ("web", "marketplace", "wholesale")
WEB, MARKETPLACE, WHOLESALE = range(3)
SERVICES: Final = ("standard", "express", "freight")
STANDARD, EXPRESS, FREIGHT = range(3)
CARRIERS: Final = ("Carrier A", "Carrier B", "Carrier C", "Carrier F")
CANCEL_REASONS: Final = (
    "customer_changed_mind",
    "payment_failed",
    "fraud_suspected",
    "address_problem",
    "test",
    "out_of_stock",
    "discontinued",
)
CHANGED_MIND, PAYMENT_FAILED, TEST, OUT_OF_STOCK, RETIRED = 0, 1, 4, 5, 6
WAVE: Final = 2 * HOUR
FUTURE_DATED_RATE: Final = 0.02
FROM_STOCK, SPECIAL_ORDER, DROP_SHIP = range(3)
_HOURS: Final = (1.2, 0.7, 0.4, 0.3, 0.3, 0.6, 1.5, 3, 4.5, 5.5, 6, 6, 6, 5.5, 5.5, 5.5, 5.5, 6, 6.5, 7.5, 8.5, 8, 6, 3)


@dataclass(frozen=True, slots=True)
class Orders:
    """One entry per basket, in order of creation; a basket whose every line is lost never becomes an order. Moments are local seconds.

    `cancelled` is when the customer or the merchant calls an order off for reasons other than stock, NEVER otherwise.
    `approved` and `released` are what happens unless it is cancelled before. A future-dated order waits for its release, and its
    promise is the day that was asked for.
    """

    created: IntArray
    location: IntArray
    channel: IntArray
    service: IntArray
    carrier: IntArray
    is_test: BoolArray
    is_reviewed: BoolArray
    approved: IntArray
    released: IntArray
    cancelled: IntArray
    cancel_reason: IntArray
    patience_day: IntArray
    pick_seconds: IntArray
    ship_jitter: IntArray
    delay_days: IntArray
    transit_days: IntArray
    delivery_hour: IntArray
    promised_ship: IntArray
    promised_delivery: IntArray
    requested_delivery: IntArray
    assignment: Assignment

    def __len__(self) -> int:
        return len(self.created)


@dataclass(frozen=True, slots=True)
class Lines:
    """One entry per line that a customer wants, sorted by day, cell (sku x location) and time. `wanted` is in units."""

    order: IntArray
    day: IntArray
    sku: IntArray
    cell: IntArray
    wanted: IntArray
    waits: BoolArray  # the customer orders although the shelf is empty
    is_second_parcel: BoolArray
    source: IntArray  # from stock, or straight from the supplier: special order, drop-ship
    is_spared: BoolArray  # packed so that it does not come back damaged
    draw: FloatArray  # one uniform each, for what may happen to the line later
    second_draw: FloatArray

    def __len__(self) -> int:
        return len(self.order)

    @property
    def is_direct(self) -> BoolArray:
        """Lines that never touch our stock."""
        is_direct: BoolArray = self.source != FROM_STOCK
        return is_direct


def draw_orders(scenario: Scenario, units: IntArray, catalogue: Catalogue, clock: Clock, *, seed: int) -> tuple[Orders, Lines]:
    """Baskets and lines for units wanted (day x sku x location)."""
    day, sku, place, wanted = _split_into_lines(units, seed=seed)
    key = stream(seed, "basket-shuffle").random(len(day))
    shuffled = np.lexsort((key, place, day))
    day, sku, place, wanted = day[shuffled], sku[shuffled], place[shuffled], wanted[shuffled]
    group = day * len(scenario.places) + place
    is_group_start = np.append(True, group[1:] != group[:-1])
    groups = scenario.days * len(scenario.places)
    lines = scenario.orders * scenario.lines_per_order
    starts = is_group_start | (stream(seed, "basket-start").random(len(day)) < max((scenario.orders - groups) / (lines - groups), 0.05))
    basket = np.cumsum(starts) - 1
    basket_day, basket_place = day[starts], place[starts]
    created = basket_day * DAY + _time_of_day(len(basket_day), seed=seed)
    rank = np.argsort(created, kind="stable")
    position = np.empty_like(rank)
    position[rank] = np.arange(len(rank))
    order = position[basket]
    units_of = np.bincount(order, weights=wanted).astype(np.int64)
    orders = _complete(scenario, created[rank], basket_place[rank], units_of, clock, seed=seed)
    cell = sku * len(scenario.places) + place
    by_cell = np.lexsort((order, cell, day))
    lost = stream(seed, "line-waits").random(len(day))
    is_packed_well = orders.assignment.packaging[order[by_cell]] == B
    return orders, Lines(
        order=order[by_cell],
        day=day[by_cell],
        sku=sku[by_cell],
        cell=cell[by_cell],
        wanted=wanted[by_cell],
        waits=(lost < np.array([0.35, 0.3, 0.75])[orders.channel[order]])[by_cell],
        is_second_parcel=stream(seed, "line-second-parcel").random(len(day)) < 0.012,
        source=_source(catalogue.is_sold_direct[sku[by_cell]], stream(seed, "line-source").random(len(day))),
        is_spared=is_packed_well & (stream(seed, "line-packaging").random(len(day)) < SPARED_DAMAGE_RATE),
        draw=stream(seed, "line-draw").random(len(day)),
        second_draw=stream(seed, "line-second-draw").random(len(day)),
    )


def _split_into_lines(units: IntArray, *, seed: int) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    day, sku, place = np.nonzero(units)
    wanted = units[day, sku, place]
    cell = np.repeat(np.arange(len(wanted)), wanted)
    is_first = np.append(True, cell[1:] != cell[:-1])
    starts = is_first | (stream(seed, "line-start").random(len(cell)) < UNIT_STARTS_LINE)
    first_unit = np.flatnonzero(starts)
    quantity = np.diff(np.append(first_unit, len(cell)))
    of_line = cell[first_unit]
    return day[of_line], sku[of_line], place[of_line], quantity


def _source(may_be_direct: BoolArray, chance: FloatArray) -> IntArray:
    """About one line in a hundred is a special order and one a drop-ship, all of them of a fifth of the items."""
    return np.where(may_be_direct & (chance < 0.1), np.where(chance < 0.05, SPECIAL_ORDER, DROP_SHIP), FROM_STOCK)


def _time_of_day(count: int, *, seed: int) -> IntArray:
    rng = stream(seed, "hour-profile")
    profile = np.array(_HOURS) * rng.lognormal(0.0, 0.15, 24)
    edges = np.append(0.0, np.cumsum(profile) / profile.sum())
    seconds = np.interp(stream(seed, "order-time").random(count), edges, np.arange(25) * HOUR)
    return np.minimum(seconds.astype(np.int64), DAY - 1)


def _complete(scenario: Scenario, created: IntArray, place: IntArray, units: IntArray, clock: Clock, *, seed: int) -> Orders:
    count = len(created)

    def uniform(name: str) -> FloatArray:
        return stream(seed, f"order-{name}").random(count)

    retail = np.where(uniform("marketplace") < 0.27, MARKETPLACE, WEB)
    channel = np.where(uniform("channel") < np.where(units >= 7, 0.55, 0.02), WHOLESALE, retail)
    parcel = np.where(uniform("express") < np.where(channel == WEB, 0.16, 0.06), EXPRESS, STANDARD)
    service = np.where(channel == WHOLESALE, FREIGHT, parcel)
    carrier = np.where(service == FREIGHT, 3, np.where(service == EXPRESS, 0, (uniform("carrier") * 2.4).astype(np.int64)))
    is_test = uniform("test") < 0.0003
    is_reviewed = (uniform("review") < 0.045) | (channel == WHOLESALE)
    approved = _approve(created, is_reviewed, uniform("approve"), clock)
    cancelled, reason = _cancel(created, approved, is_test, uniform("cancel"), uniform("cancel-lag"))
    is_future = uniform("future") < FUTURE_DATED_RATE
    starts = np.where(is_future, _future_start(created, uniform("future-days"), clock), created)
    promised_ship, promised_delivery = _promise(starts, service, clock)
    asked_days = np.where(is_future, 0, (uniform("requested") * 6).astype(np.int64))
    transit = _transit(service, carrier, uniform("transit"))
    assignment = assign(scenario, created, transit, takes_window=(channel == WEB) & (service == STANDARD), seed=seed)
    return Orders(
        created=created,
        location=place,
        channel=channel,
        service=service,
        carrier=carrier,
        is_test=is_test,
        is_reviewed=is_reviewed,
        approved=np.where(reason == PAYMENT_FAILED, NEVER, approved),
        released=np.where(is_future, np.maximum(_next_wave(approved, clock), starts), _next_wave(approved, clock)),
        cancelled=cancelled,
        cancel_reason=reason,
        patience_day=starts // DAY + 6 + (uniform("patience") * 26).astype(np.int64),
        pick_seconds=(uniform("pick") * 5 * HOUR).astype(np.int64) + 40 * MINUTE,
        ship_jitter=(uniform("ship") * 6.5 * HOUR).astype(np.int64),
        delay_days=_congestion(created // DAY, uniform("congestion"), uniform("congestion-days")),
        transit_days=transit - assignment.saved_days,
        delivery_hour=(uniform("delivery") * 10 * HOUR).astype(np.int64) + 9 * HOUR,
        promised_ship=promised_ship,
        promised_delivery=promised_delivery,
        requested_delivery=np.where((channel == WHOLESALE) | is_future, promised_delivery + asked_days * DAY, NEVER),
        assignment=assignment,
    )


def _future_start(created: IntArray, chance: FloatArray, clock: Clock) -> IntArray:
    """First wave of the working day on which an order for a later date is let onto the floor, one to four weeks ahead."""
    return clock.working_day(created // DAY + 7 + (chance * 21).astype(np.int64)) * DAY + 6 * HOUR


def _approve(created: IntArray, is_reviewed: BoolArray, chance: FloatArray, clock: Clock) -> IntArray:
    """Minutes by machine; a person looks at a review in office hours of the same or the next working day."""
    quick = created + (-np.log1p(-chance * 0.999) * 5 * MINUTE).astype(np.int64) + 20
    day = created // DAY
    office_day = clock.working_day(np.where(created % DAY < 14 * HOUR, day, day + 1))
    opened = np.maximum(created, office_day * DAY + 8 * HOUR)
    reviewed = opened + 15 * MINUTE + (chance * 2.5 * HOUR).astype(np.int64)
    return np.where(is_reviewed, reviewed, quick)


def _next_wave(approved: IntArray, clock: Clock) -> IntArray:
    """Orders go to the floor in waves every two hours from 6 to 16, on working days."""
    wave = -(-approved // WAVE) * WAVE
    day = wave // DAY
    is_evening = wave % DAY > 16 * HOUR
    fits = (clock.working_day(day) == day) & ~is_evening
    next_morning = clock.working_day(day + is_evening) * DAY + 6 * HOUR
    wave = np.where(fits, np.maximum(wave, day * DAY + 6 * HOUR), next_morning)
    return np.maximum(wave, approved)


def _cancel(created: IntArray, approved: IntArray, is_test: BoolArray, chance: FloatArray, lag: FloatArray) -> tuple[IntArray, IntArray]:
    is_cancelled = (chance < 0.02) | is_test
    reason = np.where(is_test, TEST, np.searchsorted([0.011, 0.014, 0.0165], chance))
    moment = created + 6 * MINUTE + (-np.log1p(-lag * 0.999) * 7 * HOUR).astype(np.int64)
    moment = np.where(reason == PAYMENT_FAILED, created + 30 * MINUTE, moment)
    moment = np.where(moment == approved, moment + 1, moment)
    return np.where(is_cancelled, moment, NEVER), np.where(is_cancelled, reason, -1)


def _promise(created: IntArray, service: IntArray, clock: Clock) -> tuple[IntArray, IntArray]:
    """The shop's promise: ship and delivery by 20:00 of a working day, not knowing whether stock is there."""
    day = created // DAY
    first = clock.working_day(np.where(created % DAY < 11 * HOUR, day, day + 1))
    ship_day = clock.working_day(first, np.array([1, 0, 3])[service])
    delivery_day = clock.working_day(ship_day + 1, np.array([2, 0, 3])[service])
    return ship_day * DAY + 20 * HOUR, delivery_day * DAY + 20 * HOUR


def _congestion(day: IntArray, chance: FloatArray, length: FloatArray) -> IntArray:
    """Working days lost on the floor: rare on a normal day, common when far more comes in than in the four weeks before."""
    per_day = np.bincount(day).astype(np.float64)
    total = np.append(0.0, np.cumsum(per_day))
    days = np.arange(len(per_day))
    since = np.maximum(days - 28, 0)
    usual = np.where(days > 0, (total[days] - total[since]) / np.maximum(days - since, 1), per_day)
    load = per_day / np.maximum(usual, 1.0)
    is_delayed = chance < 0.02 + 0.22 * np.clip(load - 1.25, 0, 1.2)[day]
    return np.where(is_delayed, 1 + (-np.log1p(-length * 0.98) * 0.8).astype(np.int64), 0)


def _transit(service: IntArray, carrier: IntArray, chance: FloatArray) -> IntArray:
    """Calendar days on the road; carrier B is slower and has the longer tail."""
    usual = np.array([1, 1, 2])[service] + (chance > 0.45) * (service != EXPRESS) + (chance > 0.82) * (service == FREIGHT)
    tail = np.maximum((chance - np.where(carrier == 1, 0.9, 0.96)) * 90, 0).astype(np.int64)
    days: IntArray = usual + tail
    return days
