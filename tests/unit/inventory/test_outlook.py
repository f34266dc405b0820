from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from inventory.outlook import stock_outlook
from inventory.schema import Inbound

AS_OF = date(2026, 6, 30)


def cumulative(*demand: float, paths: int = 3) -> np.ndarray:
    """The same demand per day on every path, cumulated from 0."""
    return np.repeat(np.concatenate([[0.0], np.cumsum(demand)])[:, None], paths, axis=1)


def test_stock_falls_by_demand_and_rises_on_the_day_a_delivery_is_expected() -> None:
    outlook = stock_outlook(cumulative(3, 3, 3), free_qty=10, inbound=[Inbound(date(2026, 7, 2), 5)], as_of=AS_OF)

    assert outlook[1].tolist() == [10, 7, 9, 6]


def test_what_is_missed_is_lost_and_does_not_eat_the_next_delivery() -> None:
    outlook = stock_outlook(cumulative(4, 4, 4), free_qty=5, inbound=[Inbound(date(2026, 7, 3), 10)], as_of=AS_OF)

    assert outlook[1].tolist() == [5, 1, 0, 6]


def test_owed_units_are_served_from_the_next_delivery_first() -> None:
    outlook = stock_outlook(cumulative(0, 1), free_qty=-4, inbound=[Inbound(None, 10)], as_of=AS_OF)

    assert outlook[1].tolist() == [0, 6, 5]


def test_the_band_holds_eight_of_ten_paths() -> None:
    demand = np.vstack([np.zeros(101), np.arange(101.0)])

    outlook = stock_outlook(demand, free_qty=200, inbound=[], as_of=AS_OF)

    assert outlook[:, 1].tolist() == pytest.approx([110, 150, 190])
