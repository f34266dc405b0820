from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from forecasting import lead_time_demand
from forecasting.coverage import CHECKED_WINDOWS, checked_begins, past_coverage
from forecasting.matrix import as_matrix
from forecasting.pooled import fit_pooled
from forecasting.spread import sums_and_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import PanelOf

    from forecasting.spread import PastErrors

LEVELS = (0.5, 0.8, 0.95)


def errors_of(panel_of: PanelOf, demand: Any, *, periods: int, censored: Any = None) -> PastErrors:
    return sums_and_errors(fit_pooled(as_matrix(panel_of(demand, censored=censored))), periods=periods)[1]


def test_steady_demand_was_covered_at_the_nominal_rate(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    panel = panel_of(poisson_demand(np.linspace(20.0, 60.0, 60), days=364))

    coverage = lead_time_demand(panel, periods=7, frequency="daily", levels=LEVELS).coverage

    assert coverage["level"].to_list() == list(LEVELS)
    assert coverage["coverage_rate"].to_numpy() == pytest.approx(LEVELS, abs=0.05)
    assert coverage["windows_count"].to_list() == [CHECKED_WINDOWS] * 3
    assert coverage["series_windows_count"].to_list() == [CHECKED_WINDOWS * 60] * 3


def test_a_break_that_no_earlier_window_knew_shows_as_missed_coverage(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    demand = poisson_demand(np.full(40, 30.0), days=280)
    demand[:, -14:] *= 2

    broken = lead_time_demand(panel_of(demand), periods=14, frequency="daily", levels=LEVELS).coverage
    steady = lead_time_demand(panel_of(demand[:, :-14]), periods=14, frequency="daily", levels=LEVELS).coverage

    # of eight windows the last one lies above all quantiles
    assert broken["coverage_rate"][2] == pytest.approx(steady["coverage_rate"][2] * 7 / 8, abs=0.03)


def test_windows_tried_do_not_overlap_and_each_had_one_before_it(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    errors = errors_of(panel_of, poisson_demand([5.0], days=100), periods=10)

    begins = checked_begins(errors, periods=10)

    assert begins[-1] == 90
    assert np.diff(begins).min() >= 10
    assert begins[0] >= errors.begins.min() + 10
    assert checked_begins(errors, periods=10, first=75).tolist() == [80, 90]


def test_a_window_with_a_stock_out_is_not_tried(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    censored = np.zeros((3, 120), dtype=bool)
    censored[1, -4] = True
    errors = errors_of(panel_of, poisson_demand([5.0, 5.0, 5.0], days=120), periods=10, censored=censored)

    coverage = past_coverage(errors, np.array([90, 110]), periods=10, levels=LEVELS)

    assert coverage["series_windows_count"].to_list() == [5] * 3


def test_a_history_without_two_windows_has_no_rate(panel_of: PanelOf) -> None:
    coverage = lead_time_demand(panel_of(np.full((2, 20), 3.0)), periods=14, frequency="daily", levels=LEVELS).coverage

    assert coverage["coverage_rate"].to_list() == [None] * 3
    assert coverage["windows_count"].to_list() == [0] * 3
