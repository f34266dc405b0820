"""Orders that stand are brought forward, put off or called off before a new one is proposed."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from inventory.changes import Alternative, OrderChange, apply_changes, propose_changes
from inventory.protection_demand import cumulative_demand
from inventory.schema import Inbound, LeadTime, Position, ReorderPolicy, UnitMoney

AS_OF = date(2025, 6, 30)
MONEY = UnitMoney(shortage_amount=600.0, holding_amount=1000 * 0.25 / 365, needs=None)


def line(days: int, qty: int, *, name: str = "PO-9-1") -> Inbound:
    return Inbound(AS_OF + timedelta(days=days), qty, name, "PO-9", "SUP")


def changes(
    *inbound: Inbound, free: int, rate: float = 10.0, money: UnitMoney = MONEY, lead: tuple[int, ...] = (5, 12)
) -> list[OrderChange]:
    return propose_changes(
        cumulative_demand(np.full((50, 40), rate, dtype=np.float32)),
        position=Position(free, inbound=inbound),
        lead_time=LeadTime(np.array(lead), "as promised"),
        policy=ReorderPolicy(0.95, 7, 0.25),
        money=money,
        unit_cost_amount=1000,
        ratio=0.95,
        as_of=AS_OF,
    )


def test_a_line_that_comes_after_stock_has_run_out_is_brought_forward_to_the_best_tenth_of_lead_times() -> None:
    (found,) = changes(line(12, 80), free=30)

    # stock lasts three days; from day 5 to day 11 the line would sell 10 a day
    assert (found.kind, found.wanted_date, found.expected_date) == ("expedite", AS_OF + timedelta(days=5), AS_OF + timedelta(days=12))
    assert (found.lasts_days, found.saved_mean_qty, found.priority_score) == (3, 70, 70 * 600)
    assert found.cost_if_ignored_p50_amount == found.cost_if_ignored_p90_amount == 70 * 600
    # the units are held as long as they would be later
    assert found.cost_if_accepted_amount == 0


def test_beside_a_line_that_is_brought_forward_the_same_units_ordered_anew_are_weighed() -> None:
    (found,) = changes(line(12, 80), free=30, lead=(5, 8, 12))

    # 80 new ones that come on day 8 lose days 5 to 7; they lie 220 unit-days until day 12 and with the 80 that then come 660, not 280
    assert found.rejected == Alternative("purchase", AS_OF + timedelta(days=8), 30, pytest.approx(600 * MONEY.holding_amount))


@pytest.mark.parametrize(
    "inbound",
    [
        (line(4, 80),),  # nobody delivers sooner than on the fifth day
        (line(6, 80), line(8, 5, name="PO-9-2"), Inbound(AS_OF + timedelta(days=1), 40)),  # what comes before lasts until then
        (Inbound(AS_OF + timedelta(days=12), 80),),  # a transfer or draft, which has no line of an order
        (line(-3, 80),),  # overdue already
    ],
)
def test_a_line_that_cannot_come_sooner_or_need_not_is_left(inbound: tuple[Inbound, ...]) -> None:
    assert changes(*inbound, free=30) == []


def test_a_line_that_is_not_needed_for_weeks_is_put_off_until_it_is() -> None:
    (found,) = changes(line(8, 50), free=300)

    # 300 last thirty days: on the 31st the first unit would be missing
    assert (found.kind, found.wanted_date, found.lasts_days) == ("defer", AS_OF + timedelta(days=31), 31)
    assert found.priority_score == pytest.approx(50 * 23 * 1000 * 0.25 / 365)
    assert found.cost_if_accepted_amount == 0
    assert found.rejected == Alternative("cancel_po", None, 50, 0)  # of the 100 that are missing by day 40 it brings 50


@pytest.mark.parametrize(("free", "days"), [(150, 8), (300, 6), (300, 20)])
def test_a_line_that_is_needed_soon_or_comes_within_days_is_not_put_off(free: int, days: int) -> None:
    # needed on the 16th day for 150 free; what is due within a week cannot be stopped; 11 days save less than a hundredth of its cost
    assert changes(line(days, 50), free=free) == []


def test_a_line_that_nobody_needs_for_a_year_is_called_off() -> None:
    (found,) = changes(line(8, 50), free=500, rate=1.0)

    assert (found.kind, found.lasts_days) == ("cancel_po", 500)
    assert found.priority_score == pytest.approx(50 * (500 - 8) * 1000 * 0.25 / 365)


def test_of_two_lines_the_later_one_is_put_off_first_and_the_earlier_one_only_if_it_is_not_needed_either() -> None:
    found = changes(line(8, 50, name="first"), line(15, 50, name="second"), free=250)

    assert [(one.kind, one.line.po_line_id) for one in found] == [("defer", "second"), ("defer", "first")]
    # without both stock lasts 25 days, without the second one 30
    assert [(one.wanted_date - AS_OF).days for one in found] == [31, 26]


def test_without_a_margin_no_cost_of_lost_sales_is_stated() -> None:
    (found,) = changes(line(12, 80), free=30, money=UnitMoney(None, 0.7, "a list price"))

    assert (found.cost_if_ignored_p50_amount, found.cost_if_ignored_p90_amount) == (None, None)
    assert found.priority_score == 70 * 1000


def test_changes_are_applied_to_their_lines_only() -> None:
    kept, gone = Inbound(None, 4), line(8, 50)
    change: Any = changes(gone, free=500, rate=1.0)[0]

    assert apply_changes([kept, gone], [change]) == [kept]
