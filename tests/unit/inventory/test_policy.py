from dataclasses import FrozenInstanceError
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from inventory import Policy


def test_costs_alone_give_the_ratio_that_is_started_from():
    lost, waiting = Policy(holding_cost=1, shortage_cost=4), Policy(holding_cost=1, shortage_cost=4, shortage="backorder")

    assert (lost.starting_ratio, waiting.starting_ratio) == (pytest.approx(4 / 5.5), 0.8)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"shortage": "maybe"}, "shortage: 'maybe'"),
        ({"critical_ratio": 1.2}, "critical_ratio"),
        ({"critical_ratio": float("nan")}, "critical_ratio"),
        ({"min_fill_rate": -0.1}, "min_fill_rate"),
        ({"pack_qty": 0}, "pack_qty"),
        ({"pack_qty": 1.5}, "pack_qty"),
        ({"holding_cost": -1}, "holding_cost"),
        ({"shortage_cost": float("inf")}, "shortage_cost"),
        ({"holding_cost": 0, "shortage_cost": 0}, "both are 0"),
        ({"lead_periods": -1}, "lead_periods"),
        ({"lead_periods": 20_000}, "unit"),
        ({"review_periods": 0}, "review_periods"),
        ({"review_periods": True}, "review_periods"),
        ({"min_order_qty": None}, "min_order_qty"),
        ({"max_order_qty": 5, "min_order_qty": 8}, "max_order_qty"),
        ({"max_order_qty": 5, "pack_qty": 6}, "max_order_qty"),
        ({"budget_amount": Decimal(-1)}, "budget_amount"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_by_the_name_of_its_field(wrong: dict[str, Any], named: str):
    with pytest.raises(ValueError, match=named):
        Policy(**wrong)


def test_a_policy_never_changes():
    policy = Policy()

    with pytest.raises(FrozenInstanceError):
        policy.lead_periods = 3  # type: ignore[misc]


def test_numbers_of_an_array_are_taken_as_any_others():
    policy = Policy(lead_periods=np.int64(3), pack_qty=np.int32(6), holding_cost=np.float32(1), critical_ratio=np.float64(0.9))  # type: ignore[arg-type]

    assert (policy.lead_periods, policy.pack_qty, policy.holding_cost, policy.critical_ratio) == (3, 6, 1.0, 0.9)
