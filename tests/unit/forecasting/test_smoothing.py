from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from forecasting.smoothing import adida_levels, imapa_levels, mean_intervals, naive_levels, sba_levels, ses_levels, tsb_levels
from forecasting.trends import holt_damped_growth, theta_growth

SPARSE = np.random.default_rng(4).poisson(0.3, (200, 3)).astype(float)
EVERY = np.ones(SPARSE.shape)


@pytest.mark.parametrize("method", [naive_levels, ses_levels, tsb_levels, sba_levels, adida_levels, imapa_levels])
def test_a_constant_demand_is_its_own_level(method: Any) -> None:
    levels = method(np.full((50, 1), 4.0), np.ones((50, 1)), smoothing=0.1)

    assert levels[-1, 0] == pytest.approx(4.0 * (0.95 if method is sba_levels else 1.0))


@pytest.mark.parametrize("method", [naive_levels, ses_levels, tsb_levels, adida_levels, imapa_levels])
def test_a_season_in_the_exposure_is_none_in_the_level(method: Any) -> None:
    season = np.tile([0.5, 1.0, 1.5], 40)[:, None]

    levels = method(8.0 * season, season, smoothing=0.1)

    assert levels[-1, 0] == pytest.approx(8.0)


@pytest.mark.parametrize("method", [naive_levels, ses_levels, tsb_levels, sba_levels, imapa_levels])
def test_periods_out_of_stock_change_nothing(method: Any) -> None:
    gap = np.zeros((20, 3))

    without = method(SPARSE, EVERY, smoothing=0.1)[-1]
    levels = method(np.vstack([SPARSE, gap]), np.vstack([EVERY, gap]), smoothing=0.1)[-1]

    assert_allclose(levels, without)


def test_tsb_follows_its_recursion_and_sinks_while_nothing_sells() -> None:
    demand = np.array([2.0, 0.0, 4.0, 0.0, 0.0])[:, None]

    levels = tsb_levels(demand, np.ones((5, 1)), smoothing=0.5)[1:, 0]

    rates, sizes = [1.0, 0.5, 0.75, 0.375, 0.1875], [2.0, 2.0, 3.0, 3.0, 3.0]
    assert_allclose(levels, np.multiply(rates, sizes))


def test_sba_is_croston_less_half_the_weight() -> None:
    demand = np.array([0.0, 3.0, 0.0, 0.0, 5.0])[:, None]

    levels = sba_levels(demand, np.ones((5, 1)), smoothing=0.2)[:, 0]

    assert levels[-1] == pytest.approx(0.9 * 4.0 / 2.5)


def test_adida_smooths_sums_of_buckets_that_end_with_the_last_period() -> None:
    demand = np.array([1.0, 0.0, 2.0, 0.0, 4.0])[:, None]

    levels = adida_levels(demand, np.ones((5, 1)), smoothing=0.5, buckets=np.array([2]))[:, 0]

    # buckets {1}, {0, 2}, {0, 4}: a mean while few are seen, then half of the newest
    assert levels[-1] == pytest.approx(levels[3] + 0.5 * (2.0 - levels[3]))
    assert levels[1] == pytest.approx(1.0)


def test_imapa_is_the_mean_over_bucket_lengths() -> None:
    demand, exposure = SPARSE[:, :1], EVERY[:, :1]
    assert 2 <= mean_intervals(demand, exposure)[0] < 8

    parts = [ses_levels(demand, exposure, smoothing=0.1)]
    length = 2
    while length <= mean_intervals(demand, exposure)[0]:
        parts.append(adida_levels(demand, exposure, smoothing=0.1, buckets=np.array([length])))
        length *= 2

    assert_allclose(imapa_levels(demand, exposure, smoothing=0.1), np.mean(parts, axis=0))


def test_holt_and_theta_carry_a_steady_growth_on() -> None:
    growing = (10.0 + 0.5 * np.arange(200))[:, None]

    holt = holt_damped_growth(growing, np.ones((200, 1)), smoothing=0.3, periods=5)[:, 0]
    theta = theta_growth(growing, np.ones((200, 1)), smoothing=0.3, periods=5)[:, 0]

    flat = ses_levels(growing, np.ones((200, 1)), smoothing=0.3)[-1, 0]
    assert (np.diff(holt) > 0).all()
    assert (np.diff(theta) == pytest.approx(0.25)) is True
    assert theta[0] == pytest.approx(flat + 0.25 / 0.3, rel=1e-3)
