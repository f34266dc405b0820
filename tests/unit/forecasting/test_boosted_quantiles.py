from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from forecasting.boosted_quantiles import boosted_quantiles
from forecasting.matrix import as_matrix
from forecasting.pooled import fit_pooled

if TYPE_CHECKING:
    from conftest import PanelOf

    from forecasting.schema import FloatArray

SERIES, DAYS, PERIODS = 300, 200, 14
LEVELS = (0.9, 0.5, 0.8)


@cache
def rates() -> FloatArray:
    return np.random.default_rng(6).gamma(2.0, 2.0, SERIES)


@cache
def demand() -> Any:
    """[series, day]; half of the series sell single units, the others five at once: the same mean with another spread."""
    pack = np.where(np.arange(SERIES) % 2, 5, 1)[:, None]
    return np.random.default_rng(7).poisson(rates()[:, None] / pack, (SERIES, DAYS + PERIODS)) * pack


def learned(panel_of: PanelOf, factor: float = 1.0) -> FloatArray:
    fit = fit_pooled(as_matrix(panel_of(demand()[:, :DAYS] * factor)))
    return boosted_quantiles(fit, periods=PERIODS, levels=LEVELS, seed=0)


@pytest.fixture(scope="module")
def quantiles(panel_of: PanelOf) -> FloatArray:
    return learned(panel_of)


def test_as_many_sums_stay_below_as_the_level_says(quantiles: FloatArray) -> None:
    actual = demand()[:, DAYS:].sum(axis=1)

    covered = (actual <= quantiles).mean(axis=1)

    assert_allclose(covered, LEVELS, atol=0.09)


def test_lumpy_series_get_the_wider_distribution(quantiles: FloatArray) -> None:
    spread = (quantiles[0] - quantiles[1]) / np.sqrt(rates() * PERIODS)

    assert np.median(spread[1::2]) > 1.4 * np.median(spread[::2])


def test_quantiles_keep_the_order_of_their_levels_and_do_not_cross(quantiles: FloatArray) -> None:
    assert (quantiles[1] <= quantiles[2]).all()
    assert (quantiles[2] <= quantiles[0]).all()
    assert quantiles.min() >= 0


def test_quantiles_scale_with_demand(quantiles: FloatArray, panel_of: PanelOf) -> None:
    assert_allclose(learned(panel_of, 8.0), 8.0 * quantiles, rtol=1e-3)
