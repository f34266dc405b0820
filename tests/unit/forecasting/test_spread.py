from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from forecasting.matrix import as_matrix
from forecasting.past_sums import past_sums
from forecasting.pooled import fit_pooled
from forecasting.shapes import KNOTS, PROBABILITIES, STEPS, floored_quantiles, pooled_shapes
from forecasting.spread import CumulativeSpread, fit_spread

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import PanelOf


def test_a_sample_that_is_known_whole_has_its_own_quantiles() -> None:
    sample = np.random.default_rng(0).normal(size=2_001)

    quantiles = floored_quantiles(sample, np.zeros(2_001, dtype=np.bool_))

    assert quantiles == pytest.approx(np.quantile(sample, PROBABILITIES, method="hazen"), abs=1e-9)


def test_errors_known_to_be_at_least_so_large_restore_the_quantiles_of_all() -> None:
    generator = np.random.default_rng(1)
    wanted, limit = generator.normal(size=40_000), generator.normal(loc=1.0, size=40_000)

    naive = np.quantile(wanted[wanted <= limit], 0.9)
    restored = floored_quantiles(np.minimum(wanted, limit), wanted > limit)

    assert naive < 1.0
    assert np.interp(0.9, PROBABILITIES, restored) == pytest.approx(stats.norm.ppf(0.9), abs=0.05)


def test_kaplan_and_meier_weights_move_to_what_lies_above() -> None:
    # 1 and 3 known, 2 only at least so large: its third goes to 3 alone
    quantiles = floored_quantiles(np.array([1.0, 2.0, 3.0]), np.array([False, True, False]))

    assert np.interp(1 / 6, PROBABILITIES, quantiles) == pytest.approx(1.0, abs=0.01)
    assert np.interp(2 / 3, PROBABILITIES, quantiles) == pytest.approx(3.0, abs=0.01)


def test_without_past_errors_the_shape_is_a_gamma_distribution_of_the_same_variation() -> None:
    shapes = pooled_shapes(np.empty(0), np.empty(0), np.empty(0, dtype=np.bool_))

    assert shapes.mean(axis=1)[:8] == pytest.approx(0.0, abs=0.01)
    assert shapes.std(axis=1)[:8] == pytest.approx(1.0, abs=0.02)
    assert 1.0 + KNOTS[5] * shapes[5, 989:991].mean() == pytest.approx(stats.gamma.ppf(0.99, 1 / KNOTS[5] ** 2) * KNOTS[5] ** 2, rel=0.01)


def test_a_series_between_two_knots_has_a_shape_between_theirs() -> None:
    shapes = np.repeat(np.arange(len(KNOTS), dtype=float)[None, :, None], STEPS, axis=2)
    scale = 100.0 * np.array([KNOTS[4], np.sqrt(KNOTS[4] * KNOTS[5])])
    spread = CumulativeSpread(np.array([100.0, 100.0]), scale, np.zeros(2, dtype=np.int64), shapes)

    standard = (spread.quantiles((0.5,))[0] - 100.0) / spread.scale

    assert standard == pytest.approx([4.0, 4.5])


def test_a_past_window_is_set_against_the_level_known_before_it(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    fit = fit_pooled(as_matrix(panel_of(poisson_demand([4.0], days=70))))

    past = past_sums(fit, periods=10)

    expected = fit.levels[60, 0] * fit.profile[60:70, 0].sum()
    assert past.expected[60, 0] == pytest.approx(expected, rel=1e-6)
    assert past.error[60, 0] == pytest.approx(fit.matrix.demand[60:, 0].sum() - expected, abs=1e-4)


def test_windows_with_stock_outs_lift_the_coverage_of_what_was_wanted(panel_of: PanelOf, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(4)
    wanted = generator.poisson(generator.gamma(0.25, 16.0, size=(300, 322)))
    # 45 units at the start of each week; from the day they are gone to the week's end nothing sells
    gone = (np.cumsum(wanted.reshape(300, 46, 7), axis=2) > 45).reshape(300, 322)
    fit = fit_pooled(as_matrix(panel_of(np.where(gone, 0, wanted)[:, :315], censored=gone[:, :315])))

    def covered() -> Any:
        return (wanted[:, 315:].sum(axis=1) <= fit_spread(fit, periods=7).quantiles((0.9,))[0]).mean()

    with_floors = covered()
    past = past_sums(fit, periods=7)
    dropped = dataclasses.replace(past, is_floor=np.zeros_like(past.is_floor), is_exact=past.is_usable, least_error=past.error)
    monkeypatch.setattr("forecasting.spread.past_sums", lambda *_, **__: dropped)
    without = covered()

    assert with_floors >= without + 0.03
    assert with_floors >= 0.78


def test_a_window_with_a_stock_out_is_a_floor_and_no_exact_error(panel_of: PanelOf) -> None:
    censored = np.zeros(70, dtype=bool)
    censored[65] = True
    fit = fit_pooled(as_matrix(panel_of(np.full(70, 3.0), censored=censored)))

    past = past_sums(fit, periods=10)

    assert past.is_floor[60, 0]
    assert not past.is_exact[60, 0]
    assert past.is_usable[60, 0]
    assert past.error[60, 0] == pytest.approx(0.0, abs=0.1)
    assert past.least_error[60, 0] == pytest.approx(-3.0, abs=0.2)


def test_a_series_that_strays_far_has_the_wider_spread(panel_of: PanelOf, poisson_demand: Callable[..., Any]) -> None:
    steady = poisson_demand([10.0], days=300)
    wild = steady * np.repeat(np.random.default_rng(3).gamma(1.0, 1.0, 30), 10)

    spread = fit_spread(fit_pooled(as_matrix(panel_of(np.vstack([steady, wild])))), periods=10)

    assert spread.scale[1] > 3.0 * spread.scale[0]
