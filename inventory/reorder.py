"""How much to order: up to a quantile of demand, in quantities the supplier accepts, with what it costs to wait or to act."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from inventory.freshness import keep_fresh, most_sold_fresh
from inventory.money import LEAST_RATIO, bounded_ratio, cost_of_order, money_ratio, unit_money
from inventory.outlook import stock_outlook
from inventory.protection_demand import (
    cumulative_demand,
    lost_units,
    pair_lead_times,
    protection_demand,
    run_out,
    supply_by_day,
    units_to_bring,
)
from inventory.schema import Inbound, NoOrder, Reorder, RoundedOrder
from inventory.targets import find_target

if TYPE_CHECKING:
    from datetime import date

    from forecasting.schema import PathArray
    from inventory.schema import LeadTime, OrderTerms, Position, ProtectionDemand, ReorderPolicy, RunOut, Target


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
    order of the next review could arrive, less those that no order brings back. Where customers wait (`order_up_to`), the inventory
    position (free stock plus inbound that arrives within lead and review time) is brought up to the quantile of demand over lead and
    review time. The quantile is what money asks for, within the service level (`inventory.money`). The other methods take the
    position as it is. Units owed to customers raise the order.

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
    longest = int(lead_time.sample[-1]) + policy.review_period_days
    if paths.shape[1] < longest:
        raise ValueError(f"paths: hold {paths.shape[1]} days and lead plus review time is up to {longest}; simulate that many periods.")
    lead_days = pair_lead_times(lead_time, paths=paths.shape[0], seed=seed)
    cumulative = cumulative_demand(paths)
    supply = supply_by_day(paths.shape[1], free_qty=position.free_qty, inbound=position.inbound, as_of=as_of)
    lost = lost_units(cumulative, supply)
    review, money = policy.review_period_days, unit_money(terms, policy)
    asked = money_ratio(money, policy)
    ratio = bounded_ratio(asked, policy)
    protection = protection_demand(cumulative, lead_days=lead_days, review_period_days=review, service_level=ratio)
    need = units_to_bring(lost, supply, lead_days=lead_days, review_period_days=review)
    until = as_of + timedelta(days=lead_time.quantile(0.5) + review)
    in_time = tuple(one for one in position.inbound if one.expected_date is None or one.expected_date <= until)
    inbound_qty = sum(one.open_qty for one in in_time)
    own = cumulative[lead_days + review, np.arange(len(lead_days))] - cumulative[lead_days, np.arange(len(lead_days))]
    target = find_target(
        policy, ratio=ratio, money_ratio=asked, need=need, own_demand_qty=float(own.mean()), protection=protection,
        position_qty=position.free_qty + inbound_qty,
    )  # fmt: skip
    running = run_out(lost, cumulative, supply, lead_days=lead_days, review_period_days=review, service_level=ratio)
    fresh = None if shelf_life_days is None else most_sold_fresh(cumulative, supply, lost, lead_days=lead_days, days=shelf_life_days)
    rounded = keep_fresh(round_order(target.raw_qty, terms=terms) if order is None else order, fresh, terms=terms)
    if rounded.qty == 0:
        return _nothing(target, running, protection, lead_time=lead_time, policy=policy, rounded=rounded, fresh_qty=fresh)
    receipt = as_of + timedelta(days=lead_time.quantile(0.5))
    ahead = cumulative[: lead_time.quantile(0.9) + review + 1]
    unit = money.shortage_amount
    holding, still_lost = cost_of_order(
        cumulative, supply, lost, qty=rounded.qty, lead_days=lead_days, review_period_days=review, money=money
    )
    return Reorder(
        as_of=as_of,
        protection=protection,
        lead_time=lead_time,
        policy=policy,
        position=position,
        terms=terms,
        money=money,
        target=target,
        inbound_qty=inbound_qty,
        overdue_inbound_qty=sum(one.open_qty for one in in_time if one.expected_date is not None and one.expected_date <= as_of),
        late_inbound_qty=sum(one.open_qty for one in position.inbound) - inbound_qty,
        rounded=rounded,
        run_out=running,
        order_by=min(as_of + timedelta(days=running.latest_order_days), receipt),
        need_by=as_of + timedelta(days=running.days),
        expected_receipt=receipt,
        priority_score=running.lost_mean_qty * (terms.unit_cost_amount if unit is None else unit),
        cost_if_ignored_p50_amount=None if unit is None else round(running.lost_p50_qty * unit),
        cost_if_ignored_p90_amount=None if unit is None else round(running.lost_p90_qty * unit),
        cost_if_accepted_amount=None if still_lost is None else round(holding + still_lost),
        holding_cost_amount=round(holding),
        need=need,
        outlook_with_order=stock_outlook(
            ahead, free_qty=position.free_qty, inbound=(*position.inbound, Inbound(receipt, rounded.qty)), as_of=as_of
        ),
        outlook_without_order=stock_outlook(ahead, free_qty=position.free_qty, inbound=position.inbound, as_of=as_of),
        most_sold_fresh_qty=fresh,
    )


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
        least = f"the smallest order is {rounded.smallest_qty}"
        return NoOrder("shelf_life", days, f"Within its shelf life {fresh_qty} of a new order would sell in the median, and {least}.")
    if protection.daily_mean_qty <= 0:
        return NoOrder("not_wanted", days, f"Nobody is expected to want it within {arrival} days.")
    if target.trigger_qty is not None:
        return NoOrder(
            "enough_stock", days, f"Enough stock: it lasts about {days} days and is above the reorder point of {target.trigger_qty}."
        )
    if days < arrival:
        risk = f"{running.stockout_probability * 100:.0f} % chance to run out before"
        why = (
            "what an order would save is too little to pay for holding it"
            if target.ratio == LEAST_RATIO and policy.critical_ratio is None
            else "within what the policy accepts"
        )
        return NoOrder("enough_stock", days, f"Lasts about {days} days; {risk} an order at the next review arrives in {arrival} is {why}.")
    return NoOrder(
        "enough_stock", days, f"Enough stock: lasts about {days} days, and the next review covers it: its order arrives in {arrival}."
    )


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
