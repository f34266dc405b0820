"""What each method sets against the position, as the first steps of a reckoning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inventory.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.reorder_decision import Reorder


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the reckoning; quantities in units, signed as they enter the sum; None where the step is no quantity."""

    name: str
    qty: float | None
    note: str


def wanted_steps(reorder: Reorder, *, rest: float) -> list[Step]:
    """Steps that add up to `rest`: the raw quantity without what the position takes off or adds.

    Args:
        reorder: The decision.
        rest: Units.
    """
    policy, target = reorder.policy, reorder.target
    match policy.method:
        case "min_max" | "reorder_point":
            note = f"Ordered up to at a position of {target.trigger_qty} or less{_point_basis(reorder)}."
            return [Step("Order-up-to level", rest, note)]
        case "reorder_quantity":
            short = Step("Reorder point", target.base_qty, f"Ordered at this position or less{_point_basis(reorder)}.")
            lots = Step("Up to whole reorder quantities", rest - target.base_qty, f"Always in lots of {policy.reorder_qty}.")
            return [short, lots]
        case "days_of_cover":
            mean = f"{reorder.protection.daily_mean_qty:.2f} a day in the mean"
            return [Step(f"Demand of {counted(policy.cover_days or 0, 'day')} of cover", rest, f"{mean}, in whole units.")]
        case "path_newsvendor":
            steps = [*_demand_steps(reorder), *_missed_step(reorder)]
        case _:
            steps = _demand_steps(reorder)
    fill = _fill_step(reorder)
    safety = rest - total_qty([*steps, *fill])
    return [*steps, Step("Safety stock", safety, f"{_up_to(reorder)} {ratio_words(reorder)}"), *fill]


def total_qty(steps: Sequence[Step]) -> float:
    """The sum of the steps' quantities."""
    return sum(step.qty for step in steps if step.qty is not None)


def ratio_words(reorder: Reorder) -> str:
    """Where the quantile comes from."""
    target, level = reorder.target, percent(reorder.policy.service_level)
    if target.ratio is None:
        return ""
    if reorder.policy.critical_ratio is not None:
        return f"{percent(target.ratio)} is what the rule names."
    if target.money_ratio is None:
        why = f"needs {reorder.money.needs}" if reorder.money.needs else "no sale is lost"
        return f"{percent(target.ratio)} is the service level; what money asks for is not available: {why}."
    if target.ratio == target.money_ratio:
        return f"Money asks for {percent(target.ratio)}: a unit missed against one held until the next review."
    if target.ratio < target.money_ratio:
        return f"Money asks for {percent(target.money_ratio)}, the service level allows {level}."
    return f"Money asks for {percent(target.money_ratio)} only; the median is always covered."


def percent(share: float) -> str:
    """`95 %`, `97.5 %`."""
    rounded = round(share * 100, 1)
    return f"{rounded:.0f} %" if rounded.is_integer() else f"{rounded:.1f} %"


def _demand_steps(reorder: Reorder) -> list[Step]:
    """The median of demand; where a person has overridden the forecast, the forecast's own and what the override adds to it."""
    lead = reorder.lead_time
    usual, review = counted(lead.quantile(0.5), "day"), counted(reorder.policy.review_period_days, "day")
    span = f"Lead time {usual} (p90 {lead.quantile(0.9)}) plus review {review}"
    note = " ".join(part for part in (f"{span}; {lead.basis}.", lead.note) if part)
    name, p50_qty, override = "Demand over lead and review time, p50", reorder.protection.p50_qty, reorder.override
    if override is None:
        return [Step(name, p50_qty, note)]
    changed_qty = p50_qty - override.statistical_p50_qty
    return [Step(name, override.statistical_p50_qty, f"{note} As forecast."), Step("Override of the forecast", changed_qty, override.note)]


def _missed_step(reorder: Reorder) -> list[Step]:
    missed = reorder.run_out.unavoidable_p50_qty
    return [Step("Lost before an order can arrive, p50", -missed, "No order brings it back.")] if missed else []


def _fill_step(reorder: Reorder) -> list[Step]:
    if not reorder.target.fill_qty:
        return []
    rate = percent(reorder.policy.min_fill_rate or 0.0)
    return [
        Step("Least fill rate", reorder.target.fill_qty, f"Up to what meets {rate} of the demand from its arrival to the next order's.")
    ]


def _up_to(reorder: Reorder) -> str:
    return f"From p50 up to what is enough in {percent(reorder.target.ratio or 0.0)} of simulated courses."


def _point_basis(reorder: Reorder) -> str:
    if reorder.target.ratio is None:
        return ", as the policy names it"
    return f", enough for lead and review time in {percent(reorder.target.ratio)} of cases"
