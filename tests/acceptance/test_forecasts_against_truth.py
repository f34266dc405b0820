"""Forecasts from the books of simulated merchants against what their customers wanted, part of which no book has."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from benchmarks.forecast_truth import DAYS, LEAD_LEVELS, Window, covered, inside, window
from pipelines.simulator.merchant import simulate
from pipelines.simulator.scenarios import SCENARIOS

# Two half years of 80 series: windows of one merchant are wrong together, so their mean strays by some points from the rate.
TOLERANCE = {0.5: 0.07, 0.8: 0.08, 0.9: 0.05, 0.95: 0.03, 0.99: 0.02}


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    merchants = [simulate(SCENARIOS["calm"], seed=seed) for seed in (1, 2)]
    return [window(merchant, merchant.scenario.last_day - timedelta(days=DAYS * number)) for merchant in merchants for number in (3, 2, 1)]


@pytest.mark.parametrize("only_in_stock", [True, False])
def test_wanted_demand_lies_inside_the_bands_of_single_days_at_their_rate(windows: list[Window], only_in_stock: bool) -> None:
    days = pl.concat([one.days for one in windows]).filter(pl.col("is_in_stock") | (not only_in_stock))

    assert days.height > 8_000
    assert inside(days) == pytest.approx(0.8, abs=0.04)  # whole units: many a day lies on a quantile
    assert days["demand_mean_qty"].sum() == pytest.approx(days["demand_qty"].sum(), rel=0.1)


@pytest.mark.parametrize("level", LEAD_LEVELS)
def test_wanted_demand_of_a_lead_time_stays_at_or_below_its_quantiles_at_their_rate(windows: list[Window], level: float) -> None:
    sums = pl.concat([one.sums for one in windows])
    in_stock = sums.filter("is_in_stock")
    column = f"demand_p{round(100 * level)}_qty"

    assert in_stock.height > 250
    assert covered(in_stock["demand_qty"], in_stock[column]) == pytest.approx(level, abs=TOLERANCE[level])
    assert covered(sums["demand_qty"], sums[column]) == pytest.approx(
        level, abs=TOLERANCE[level] + 0.03
    )  # where stock ran out more was wanted
