"""Panels made from matrices."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

MONDAY = date(2024, 1, 1)
WEEK = np.array([0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 0.9])


class PanelOf(Protocol):
    def __call__(self, demand: Any, *, censored: Any = None) -> pl.DataFrame: ...


@pytest.fixture(scope="session")
def panel_of() -> PanelOf:
    """A panel of series "s000", "s001", ... at "main" from [series, day] units, from a Monday on."""

    def build(demand: Any, *, censored: Any = None) -> pl.DataFrame:
        units = np.atleast_2d(np.asarray(demand, dtype=float))
        count, days = units.shape
        return pl.DataFrame(
            {
                "sku": np.repeat([f"s{index:03d}" for index in range(count)], days),
                "location_id": "main",
                "demand_date": [MONDAY + timedelta(days=day) for day in range(days)] * count,
                "demand_qty": units.ravel(),
                "is_censored": np.zeros(units.size, dtype=bool) if censored is None else np.asarray(censored, dtype=bool).ravel(),
            }
        )

    return build


@pytest.fixture(scope="session")
def poisson_demand() -> Callable[..., Any]:
    """[series, day] Poisson demand around each rate, with a weekday pattern."""

    def draw(rates: Any, *, days: int, seed: int = 5) -> Any:
        mean = np.asarray(rates, dtype=float)[:, None] * WEEK[np.arange(days) % 7][None, :]
        return np.random.default_rng(seed).poisson(mean)

    return draw
