"""What Swiss customers pay in: a daily exchange rate, and amounts by it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipelines.simulator.clock import DAY, BoolArray, FloatArray, IntArray, stream

if TYPE_CHECKING:
    from pipelines.simulator.scenarios import Scenario
    from pipelines.simulator.view import View

FRANC: Final = "CHF"
_SATURDAY: Final = 5
_QUOTED_BEFORE: Final = 7  # days before the first, so that a first weekend has a rate
_FIRST_RATE: Final = 1.06
_DAILY_SPREAD: Final = 0.003
_EPOCH: Final = date(1970, 1, 1).toordinal()


def draw_franc_rate(scenario: Scenario, *, seed: int) -> FloatArray:
    """What a franc is worth in the merchant's currency on each local day; on weekends what it was on Friday."""
    days = np.arange(-_QUOTED_BEFORE, scenario.total_days)
    steps = stream(seed, "franc").normal(0.0, _DAILY_SPREAD, len(days))
    moves = np.where(_is_quoted(scenario, days) & (days >= 0), steps, 0.0)
    rate: FloatArray = np.round(_FIRST_RATE * np.exp(np.cumsum(moves)), 5)[_QUOTED_BEFORE:]
    return rate


def in_francs(cents: IntArray, rate: FloatArray) -> IntArray:
    """Cents as rappen, rounded; a rate of one leaves them as they are."""
    return np.rint(cents / rate).astype(np.int64)


def fx_rates(view: View) -> pl.DataFrame:
    """The table `fx_rates`: one rate per weekday, fixed at its start and known from then on."""
    scenario = view.history.scenario
    days = np.arange(-_QUOTED_BEFORE, view.days)
    quoted = days[_is_quoted(scenario, days)]
    return pl.DataFrame(
        {
            "rate_date": pl.Series(quoted + scenario.start.toordinal() - _EPOCH).cast(pl.Int32).cast(pl.Date),
            "from_currency": FRANC,
            "to_currency": scenario.currency,
            "rate": view.history.franc_rate[np.maximum(quoted, 0)],
            "updated_at": view.planned(quoted * DAY),
        }
    )


def _is_quoted(scenario: Scenario, days: IntArray) -> BoolArray:
    is_quoted: BoolArray = (scenario.start.weekday() + days) % 7 < _SATURDAY
    return is_quoted
