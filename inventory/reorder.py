"""How much to order: up to a quantile of demand, in quantities the supplier accepts, with what it costs to wait or to act."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from inventory.choices import weigh_choices
from inventory.freshness import keep_fresh, most_sold_fresh
from inventory.money import LEAST_RATIO, bounded_ratio, money_ratio, rounding_ratio, unit_money
from inventory.outlook import stock_outlook
from inventory.protection_demand import Courses, cumulative_demand, pair_lead_times, protection_demand, run_out, units_to_bring
from inventory.reorder_decision import NoOrder, Reorder, inbound_in_time
from inventory.rounding import SupplierTerms, round_by_cost
from inventory.schema import Declined, Inbound, RoundedOrder
from inventory.targets import find_target
from inventory.wording import counted

if TYPE_CHECKING:
    from datetime import date

    from forecasting.schema import FloatArray, PathArray
    from inventory.schema import LeadTime, OrderTerms, Position, ProtectionDemand, ReorderPolicy, RunOut, Target, UnitMoney


def plan_reorder(
    paths: PathArray,
    *,
    position: Position,
    lead_time: LeadTime,
    terms: OrderTerms,
    policy: ReorderPolicy,
    as_of: date,
    shelf_life_days: int | None = None,
    order: RoundedOrder | None = None,
    seed: int = 0,
) -> Reorder | NoOrder:
    """What to order for one item at one location today, or why nothing.

    Where what is missed is lost (`path_newsvendor`), the order is the quantile, over simulated courses, of the units missed until an
    order of the next review could arrive, less those that no order brings back; packs are rounded to what costs least. Where
    customers wait (`order_up_to`), the inventory position (free stock plus inbound that arrives within lead and review time) is
    brought up to the quantile of demand over lead and review time. The quantile is what money asks for, within the service level
    (`inventory.money`). The other methods take the position as it is. Units owed to customers raise the order.

    `order_by` is the last day up to the next review on which ordering still keeps the chance to run out before that order
    arrives within what the service level leaves, on the simulated paths and lead times; the as-of day where even an order
    placed then does not. It is never after the day on which an order placed at once would arrive.

    Args:
        paths: Simulated demand [path, day] in units per day from the day after `as_of`, as long as the longest lead
            time plus the review period.
        position: Stock and inbound.
        lead_time: Its distribution.
        terms: The supplier's.
        policy: Method, service level, review period, holding cost.
        as_of: Last complete day; orders are placed on it.
        shelf_life_days: Days after receipt for which a unit can be sold; no more is ordered than the median sells within them.
        order: The quantity, where it is decided already (a budget, a supplier's minimum); above 0.
        seed: Seed of how lead times and demand paths are paired.

    Raises:
        ValueError: The paths are too short, or the terms leave no quantity that could be ordered.
    """
    review = policy.review_period_days
    courses = Courses.follow(paths, position=position, lead_time=lead_time, review_period_days=review, as_of=as_of, seed=seed)
    money = unit_money(terms, policy)
    asked = money_ratio(money, policy)
    ratio = bounded_ratio(asked, policy)
    protection = protection_demand(courses.cumulative, lead_days=courses.lead_days, review_period_days=review, service_level=ratio)
    need, running = units_to_bring(courses), run_out(courses, service_level=ratio)
    position_qty = position.free_qty + sum(one.open_qty for one in inbound_in_time(position, lead_time, policy, as_of=as_of))
    target = find_target(
        policy, ratio=ratio, money_ratio=asked, need=need, own_demand_qty=courses.own_demand_qty, protection=protection,
        position_qty=position_qty,
    )  # fmt: skip
    if order is None:
        least = max(target.floor_qty, -position_qty)  # units owed are never rounded away
        order = round_by_worth(
            target.raw_qty, need, stock_beside_qty=courses.stock_beside_qty, ratio=rounding_ratio(asked, policy), least_qty=least,
            terms=terms, money=money,
        )  # fmt: skip
    fresh = None if shelf_life_days is None else most_sold_fresh(courses, days=shelf_life_days)
    rounded = keep_fresh(order, fresh, terms=terms)
    if rounded.qty == 0:
        return _nothing(target, running, protection, lead_time=lead_time, policy=policy, rounded=rounded, fresh_qty=fresh)
    choices = weigh_choices(courses, qty=rounded.qty, need=need, money=money)
    own = next(choice for choice in choices if choice.qty == rounded.qty)
    new = Inbound(as_of + timedelta(days=lead_time.quantile(0.5)), rounded.qty)
    ahead, free_qty = courses.cumulative[: lead_time.quantile(0.9) + review + 1], position.free_qty
    return Reorder(
        as_of=as_of, protection=protection, lead_time=lead_time, policy=policy, position=position, terms=terms, money=money,
        target=target, rounded=rounded, run_out=running, holding_amount=own.holding_amount, lost_amount=own.lost_amount, need=need,
        choices=choices, most_sold_fresh_qty=fresh,
        outlook_with_order=stock_outlook(ahead, free_qty=free_qty, inbound=(*position.inbound, new), as_of=as_of),
        outlook_without_order=stock_outlook(ahead, free_qty=free_qty, inbound=position.inbound, as_of=as_of),
    )  # fmt: skip


def _nothing(
    target: Target,
    running: RunOut,
    protection: ProtectionDemand,
    *,
    lead_time: LeadTime,
    policy: ReorderPolicy,
    rounded: RoundedOrder,
    fresh_qty: int | None,
) -> NoOrder:
    """Why nothing is ordered, with how long stock lasts."""
    days, arrival = running.days, lead_time.quantile(0.5) + policy.review_period_days
    if target.raw_qty > 0:
        return _too_much(target, days, rounded=rounded, fresh_qty=fresh_qty)
    lasts, arrives = counted(days, "day"), counted(arrival, "day")
    if protection.daily_mean_qty <= 0:
        return NoOrder("not_wanted", days, f"Nobody is expected to want it within {arrives}.")
    if target.trigger_qty is not None:
        return NoOrder(
            "enough_stock", days, f"Enough stock: it lasts about {lasts} and is above the reorder point of {target.trigger_qty}."
        )
    if days < arrival:
        risk = f"{running.stockout_probability * 100:.0f} % chance to run out before"
        why = (
            "what an order would save is too little to pay for holding it"
            if target.ratio == LEAST_RATIO and policy.critical_ratio is None
            else "within what the policy accepts"
        )
        return NoOrder("enough_stock", days, f"Lasts about {lasts}; {risk} an order at the next review arrives in {arrives} is {why}.")
    return NoOrder(
        "enough_stock", days, f"Enough stock: lasts about {lasts}, and the next review covers it: its order arrives in {arrives}."
    )


def _too_much(target: Target, days: int, *, rounded: RoundedOrder, fresh_qty: int | None) -> NoOrder:
    """Why less than the smallest order is wanted."""
    least, declined = f"the smallest order is {rounded.smallest_qty}", rounded.declined
    if declined is None:
        return NoOrder("shelf_life", days, f"Within its shelf life {fresh_qty} of a new order would sell in the median, and {least}.")
    saves = f"it would save {declined.saved_qty:,.1f} sales until the next order arrives, less than holding the rest costs"
    return NoOrder("not_worth", days, f"{counted(target.raw_qty, 'unit is', 'units are')} wanted and {least}: {saves}.", declined)


def median_demand(paths: PathArray, *, lead_time: LeadTime, policy: ReorderPolicy, seed: int = 0) -> float:
    """Median demand over lead and review time in units, as `plan_reorder` takes it from the same paths."""
    lead_days = pair_lead_times(lead_time, paths=paths.shape[0], seed=seed)
    total = cumulative_demand(paths)[lead_days + policy.review_period_days, np.arange(paths.shape[0])]
    return float(np.quantile(total, 0.5))


def round_order(raw_qty: int, *, terms: OrderTerms) -> RoundedOrder:
    """The least quantity a supplier accepts that is not below `raw_qty`, or the most it sells if that is less.

    A minimum that is no multiple of the pack is rounded up to one, a maximum down.

    Raises:
        ValueError: The pack is not positive, or the maximum is below the smallest order.
    """
    pack = terms.order_multiple
    if pack < 1:
        raise ValueError(f"order_multiple: has to be at least 1, got {pack}; correct the supplier's pack size.")
    smallest = _up(max(1, terms.min_order_qty), pack)
    largest = None if terms.max_order_qty is None else terms.max_order_qty // pack * pack
    if largest is not None and largest < smallest:
        raise ValueError(
            f"max_order_qty: at most {terms.max_order_qty} in packs of {pack} is below the smallest order of {smallest}; "
            "correct the supplier's terms."
        )
    if raw_qty <= 0:
        return RoundedOrder(qty=0, smallest_qty=smallest, binding_constraint="none")
    wanted = max(_up(raw_qty, pack), smallest)
    if largest is not None and wanted > largest:
        return RoundedOrder(qty=largest, smallest_qty=smallest, binding_constraint="maximum_order")
    if wanted == raw_qty:
        return RoundedOrder(qty=wanted, smallest_qty=smallest, binding_constraint="none")
    return RoundedOrder(qty=wanted, smallest_qty=smallest, binding_constraint="minimum_order" if raw_qty < smallest else "order_multiple")


def round_by_worth(
    raw_qty: int, need: FloatArray, *, stock_beside_qty: float, ratio: float | None, least_qty: int, terms: OrderTerms, money: UnitMoney
) -> RoundedOrder:
    """`round_order`, or the accepted quantity below it where the units between cost more than they save (`inventory.rounding`).

    Source: Veinott (1965), The optimal inventory policy for batch ordering, Operations Research 13: with one cost of a period for
    shortage and holding, ordering a batch is optimal where the position with it costs less than without it.

    Args:
        raw_qty: Units asked for.
        need: [path] units that an order has to bring.
        stock_beside_qty: From `Courses.stock_beside_qty`.
        ratio: From `rounding_ratio`; None rounds up.
        least_qty: Units that are not to be rounded away.
        terms: The supplier's.
        money: Of one unit, for what is said about the units left out.

    Raises:
        ValueError: As of `round_order`.
    """
    up = round_order(raw_qty, terms=terms)
    if ratio is None or money.shortage_amount is None or up.qty <= max(0, raw_qty):
        return up
    most = np.inf if terms.max_order_qty is None else terms.max_order_qty
    supplier = SupplierTerms(*(np.array([value], dtype=np.float64) for value in (terms.order_multiple, terms.min_order_qty, most)))
    asked, floor = np.array([float(raw_qty)]), np.array([float(max(0, least_qty))])
    rounded = round_by_cost(asked, need[None, :], np.array([ratio]), floor=floor, terms=supplier, stock_beside=np.array([stock_beside_qty]))
    best = int(rounded.maximum[0])
    if best >= up.qty:
        return up
    saved = float((np.minimum(need, up.qty) - np.minimum(need, best)).mean())
    left_amount = money.shortage_amount * (1.0 - ratio) / ratio  # 1.5 h a review period, or p where only the median is asked for
    declined = Declined(up.qty - best, saved, saved * money.shortage_amount, (up.qty - best - saved) * left_amount)
    return RoundedOrder(best, up.smallest_qty, up.binding_constraint, declined)


def recommendation_key(
    *,
    kind: str,
    sku: str,
    location_id: str,
    supplier_id: str | None,
    need_by: date,
    source_location_id: str | None = None,
    po_line_id: str | None = None,
) -> str:
    """Identity of a need: the same while kind, item, places, supplier and the week of need stay, whatever the quantity or run.

    A change of an order that stands is also of its line.
    """
    year, week, _ = need_by.isocalendar()
    further = [part for part in (source_location_id, po_line_id) if part is not None]
    # JSON keeps ids that hold separators apart
    return hashlib.sha256(json.dumps([kind, sku, location_id, supplier_id, f"{year}-W{week:02d}", *further]).encode()).hexdigest()


def _up(qty: int, multiple: int) -> int:
    return -(-qty // multiple) * multiple
