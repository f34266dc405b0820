"""Units are moved from where they would lie to where they are missed."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from inventory.moves import Holding, plan_moves, weigh_holding
from inventory.schema import Inbound, LeadTime, Position, ReorderPolicy

AS_OF = date(2025, 6, 30)


def holding(free: int, *, rate: float, transfer_days: int | None = None, inbound: tuple[Inbound, ...] = ()) -> Holding:
    return weigh_holding(
        np.full((50, 30), rate, dtype=np.float32), position=Position(free, inbound=inbound), lead_time=LeadTime(np.array([12]), "as promised"),
        policy=ReorderPolicy(0.95, 7, 0.25), as_of=AS_OF, transfer_days=transfer_days, seed=0,
    )  # fmt: skip


def moved(**holdings: Holding) -> list[tuple[str, str, int]]:
    found = plan_moves({("tea", place): one for place, one in holdings.items()})
    return [(move.source, move.target, move.qty) for move in found]


def test_what_a_location_does_not_need_goes_where_it_is_missed_after_it_can_arrive() -> None:
    # south needs 19 of 100 until an order of the next review comes; north has none and misses 10 a day from the third day on
    found = plan_moves({("tea", "north"): holding(0, rate=10.0, transfer_days=2), ("tea", "south"): holding(100, rate=1.0)})

    assert [(move.source, move.target, move.qty, move.lost_mean_qty) for move in found] == [("south", "north", 81, 0.0)]
    assert found[0].saved.tolist() == [81.0] * 50


def test_no_more_is_moved_than_is_missed() -> None:
    assert moved(north=holding(0, rate=2.0, transfer_days=2), south=holding(500, rate=1.0)) == [("south", "north", 34)]


@pytest.mark.parametrize(
    "north",
    [
        holding(0, rate=2.0, transfer_days=None),  # nobody knows how long a transfer takes
        holding(0, rate=2.0, transfer_days=25),  # an order comes sooner
        holding(38, rate=2.0, transfer_days=2),  # it has what it needs
        holding(4, rate=2.0, transfer_days=2, inbound=(Inbound(date(2025, 7, 2), 60),)),
    ],
)
def test_nothing_is_moved_where_nothing_is_saved(north: Holding) -> None:
    assert moved(north=north, south=holding(500, rate=1.0)) == []


def test_a_unit_that_is_wanted_as_much_where_it_lies_stays() -> None:
    assert moved(north=holding(0, rate=10.0, transfer_days=2), south=holding(100, rate=10.0)) == []


def test_two_locations_give_what_one_lacks_and_no_unit_saves_twice() -> None:
    found: Any = plan_moves(
        {
            ("tea", "north"): holding(0, rate=10.0, transfer_days=2),
            ("tea", "east"): holding(60, rate=1.0),
            ("tea", "south"): holding(60, rate=1.0),
        }
    )

    assert sorted((move.source, move.qty) for move in found) == [("east", 41), ("south", 41)]
    assert sum(move.saved.mean() for move in found) == 82


def test_of_nothing_nothing_is_moved() -> None:
    assert plan_moves({}) == []
