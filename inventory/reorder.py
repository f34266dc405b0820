"""How much to order: up to a quantile of demand, in quantities the supplier accepts, with what it costs to wait or to act."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from inventory.outlook import stock_outlook
from inventory.protection_demand import cumulative_demand, pair_lead_times, protection_demand, run_out
from inventory.schema import Inbound, LeadTime, OrderTerms, Position, ProtectionDemand, Reorder, ReorderPolicy, RoundedOrder

if TYPE_CHECKING:
    from datetime import date

    from forecasting.schema import PathArray

POLICY_VERSION: Final = "order_up_to/2"
DAYS_OF_YEAR: Final = 365


def plan_reorder(
    paths: PathArray,
    *,
    position: Position,
    lead_time: LeadTime,
    terms: OrderTerms,
    policy: ReorderPolicy,
    as_of: date,
    seed: int = 0,
) -> Reorder | None:
    """What to order for one item at one location today; None where stock is enough until the next review.

    The inventory position (free stock plus inbound that arrives within lead and review time) is brought up to the
    quantile of demand over lead and review time. Backorders, and committed units above stock on hand, lower it.

    `order_by` is the last day up to the next review on which ordering still keeps the chance to run out before that order
    arrives within what the service level leaves, on the simulated paths and lead times; the as-of day where even an order
    placed then does not. It is never after the day on which an order placed at once would arrive.

    Args:
        paths: Simulated demand [path, day] in units per day from the day after `as_of`, as long as the longest lead
            time plus the review period.
        position: Stock and inbound.
        lead_time: Its distribution.
        terms: The supplier's.
        policy: Service level, review period, holding cost.
        as_of: Last complete day; orders are placed on it.
        seed: Seed of how lead times and demand paths are paired.

    Raises:
        ValueError: The paths are too short, or the terms leave no quantity that could be ordered.
    """
    longest = int(lead_time.sample[-1]) + policy.review_period_days
    if paths.shape[1] < longest:
        raise ValueError(f"paths: hold {paths.shape[1]} days and lead plus review time is up to {longest}; simulate that many periods.")
    lead_days = pair_lead_times(lead_time, paths=paths.shape[0], seed=seed)
    cumulative = cumulative_demand(paths)
    protection = protection_demand(
        cumulative, lead_days=lead_days, review_period_days=policy.review_period_days, service_level=policy.service_level
    )
    until = as_of + timedelta(days=lead_time.quantile(0.5) + policy.review_period_days)
    in_time = tuple(one for one in position.inbound if one.expected_date is None or one.expected_date <= until)
    inbound_qty = sum(one.open_qty for one in in_time)
    raw_qty = protection.order_up_to_qty - position.free_qty - inbound_qty
    rounded = round_order(raw_qty, terms=terms)
    if rounded.qty == 0:
        return None
    running = run_out(
        cumulative,
        free_qty=position.free_qty,
        inbound=position.inbound,
        lead_days=lead_days,
        review_period_days=policy.review_period_days,
        service_level=policy.service_level,
        as_of=as_of,
    )
    need_by = as_of + timedelta(days=running.days)
    receipt = as_of + timedelta(days=lead_time.quantile(0.5))
    ahead = cumulative[: lead_time.quantile(0.9) + policy.review_period_days + 1]
    margin = None if terms.list_price_amount is None else max(0, terms.list_price_amount - terms.unit_cost_amount)
    return Reorder(
        as_of=as_of,
        protection=protection,
        lead_time=lead_time,
        policy=policy,
        position=position,
        terms=terms,
        inbound_qty=inbound_qty,
        overdue_inbound_qty=sum(one.open_qty for one in in_time if one.expected_date is not None and one.expected_date <= as_of),
        late_inbound_qty=sum(one.open_qty for one in position.inbound) - inbound_qty,
        raw_qty=raw_qty,
        rounded=rounded,
        run_out=running,
        order_by=min(as_of + timedelta(days=running.latest_order_days), receipt),
        need_by=need_by,
        expected_receipt=receipt,
        priority_score=running.lost_mean_qty * (terms.unit_cost_amount if margin is None else margin),
        cost_if_ignored_p50_amount=None if margin is None else round(running.lost_p50_qty * margin),
        cost_if_ignored_p90_amount=None if margin is None else round(running.lost_p90_qty * margin),
        cost_if_accepted_amount=_holding_cost(
            rounded.qty, position.free_qty + inbound_qty, protection=protection, lead_time=lead_time, terms=terms, policy=policy
        ),
        outlook_with_order=stock_outlook(
            ahead, free_qty=position.free_qty, inbound=(*position.inbound, Inbound(receipt, rounded.qty)), as_of=as_of
        ),
        outlook_without_order=stock_outlook(ahead, free_qty=position.free_qty, inbound=position.inbound, as_of=as_of),
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


def recommendation_key(*, kind: str, sku: str, location_id: str, supplier_id: str, need_by: date) -> str:
    """Identity of a need: the same while item, place, supplier and the week of need stay, whatever the quantity or run."""
    year, week, _ = need_by.isocalendar()
    # JSON keeps ids that hold separators apart
    return hashlib.sha256(json.dumps([kind, sku, location_id, supplier_id, f"{year}-W{week:02d}"]).encode()).hexdigest()


def _up(qty: int, multiple: int) -> int:
    return -(-qty // multiple) * multiple


def _holding_cost(
    qty: int, stock_qty: int, *, protection: ProtectionDemand, lead_time: LeadTime, terms: OrderTerms, policy: ReorderPolicy
) -> int:
    """Cost of holding the ordered units from receipt until half of them are used, at mean demand; in minor units.

    Units that are there already sell first, as far as they last beyond the lead time.
    """
    if protection.daily_mean_qty <= 0:
        return 0
    # an order that arrives after stock has ended sells from its first day
    waiting_days = max(0.0, stock_qty / protection.daily_mean_qty - lead_time.quantile(0.5))
    held_days = waiting_days + qty / 2 / protection.daily_mean_qty
    return round(qty * terms.unit_cost_amount * policy.holding_cost_rate * held_days / DAYS_OF_YEAR)
