"""What other quantities of one order would come to, on the simulated courses that the order itself was reckoned on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from inventory.money import cost_of_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecasting.schema import FloatArray
    from inventory.protection_demand import Courses
    from inventory.schema import UnitMoney

FACTORS: Final = (0.0, 0.5, 1.0, 1.5, 2.0)  # of the order's quantity; each costs a pass over the courses
ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class OrderChoice:
    """One quantity of an order and what it comes to.

    Attributes:
        qty: Units.
        enough_rate: Share of courses on which no unit is missed between its arrival and that of the order after it.
        lost_mean_qty: Units missed in that time, in the mean.
        holding_amount: Of holding what it adds until that is sold.
        lost_amount: Margin of the units missed; None where no margin is known. Amounts are in one unit throughout, minor or major.
    """

    qty: int
    enough_rate: float
    lost_mean_qty: float
    holding_amount: float
    lost_amount: float | None


def weigh_choices(courses: Courses, *, qty: int, need: FloatArray, money: UnitMoney) -> tuple[OrderChoice, ...]:
    """The order beside none, half, one and a half and twice of it, by quantity; amounts in minor units.

    Args:
        courses: Demand, supply and losses without the order.
        qty: Units ordered, above 0.
        need: [path] units that an order has to bring.
        money: Of one unit.
    """
    quantities = sorted({round(factor * qty) for factor in FACTORS})
    return tuple(_choice(courses, qty=one, need=need, money=money) for one in quantities)


def choice_at(choices: Sequence[OrderChoice], qty: int) -> OrderChoice | None:
    """What a quantity comes to, in a straight line between the two that were reckoned beside it; None beyond the largest.

    Losses and holding are convex in the quantity, so they are at most what the line says.

    Args:
        choices: By quantity, from `weigh_choices`.
        qty: Units.
    """
    for below, above in pairwise(choices):
        if below.qty <= qty <= above.qty:
            share = (qty - below.qty) / (above.qty - below.qty)
            return OrderChoice(
                qty,
                _between(below.enough_rate, above.enough_rate, share),
                _between(below.lost_mean_qty, above.lost_mean_qty, share),
                _between(below.holding_amount, above.holding_amount, share),
                None if below.lost_amount is None or above.lost_amount is None else _between(below.lost_amount, above.lost_amount, share),
            )
    return None


def _choice(courses: Courses, *, qty: int, need: FloatArray, money: UnitMoney) -> OrderChoice:
    missed = (need - qty).clip(min=0.0)
    holding, lost = cost_of_order(courses, qty=qty, money=money)
    return OrderChoice(qty, float((missed <= ROUNDING).mean()), float(missed.mean()), holding, lost)


def _between(below: float, above: float, share: float) -> float:
    return below + share * (above - below)
