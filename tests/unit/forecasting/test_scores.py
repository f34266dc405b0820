from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forecasting.scores import LEVELS, RATES, Said, Scales, added_up, class_scores, quantile_loss, series_scores, window_sums

STEPS, COUNT = 5, 4
KEYS = pl.DataFrame({"sku": [f"s{number}" for number in range(COUNT)], "location_id": "main"})
CLASSES = KEYS.with_columns(pl.Series("volume", ["A", "A", "B", "C"]))
units = hnp.arrays(np.float64, (STEPS, COUNT), elements=st.integers(0, 40).map(float))
flags = hnp.arrays(np.bool_, (STEPS, COUNT))


def said(point: np.ndarray, width: float = 3.0) -> Said:  # type: ignore[type-arg]
    return Said(point, np.stack([point - width, point, point + width]))


def scores_of(actual: np.ndarray, observed: np.ndarray, point: np.ndarray, naive: np.ndarray, unit: float = 1.0) -> tuple[pl.DataFrame, pl.DataFrame]:  # type: ignore[type-arg]  # fmt: skip
    scales = Scales(absolute=np.full(COUNT, 2.0 * unit), squared=np.full(COUNT, 9.0 * unit**2))
    sums, _ = window_sums(actual * unit, observed, said(point * unit, 3.0 * unit), said(naive * unit), scales)
    whole = added_up({"m": [sums, sums]}, KEYS)
    return series_scores(whole), class_scores(whole, CLASSES)


@given(units, flags, units, units)
def test_no_rate_changes_with_the_unit_demand_is_counted_in(actual, observed, point, naive) -> None:  # type: ignore[no-untyped-def]
    _, one = scores_of(actual, observed, point, naive)
    _, dozens = scores_of(actual, observed, point, naive, unit=12.0)

    for rate in RATES:
        assert one[rate].to_list() == pytest.approx(dozens[rate].to_list())


@given(units, flags, units, units)
def test_scores_of_all_equal_a_recount_from_the_cells(actual, observed, point, naive) -> None:  # type: ignore[no-untyped-def]
    _, scores = scores_of(actual, observed, point, naive)

    row, sold = scores.row(0, named=True), actual[observed].sum()
    error = (point - actual)[observed]
    loss = np.mean([quantile_loss(actual, said(point).quantiles[i], level=level)[observed].sum() for i, level in enumerate(LEVELS)])
    per_series = np.where(observed, np.abs(point - actual), 0).sum(axis=0) / np.maximum(observed.sum(axis=0), 1)
    assert row["class_kind"] == "all"
    assert row["periods_count"] == 2 * observed.sum()
    if sold > 0:
        assert row["wape_rate"] == pytest.approx(np.abs(error).sum() / sold)
        assert row["bias_rate"] == pytest.approx(error.sum() / sold)
        assert row["cumulative_bias_rate"] == pytest.approx(np.abs(np.where(observed, point - actual, 0).sum(axis=0)).sum() / sold)
        assert row["weighted_quantile_loss"] == pytest.approx(loss / sold)
    else:
        assert row["wape_rate"] is row["bias_rate"] is None
    naive_error = np.abs(naive - actual)[observed].sum()
    assert row["fva_rate"] == (pytest.approx(1 - np.abs(error).sum() / naive_error) if naive_error else None)
    if observed.any():
        assert row["mase"] == pytest.approx(per_series[observed.any(axis=0)].mean() / 2.0)


@given(units, flags, units)
def test_a_perfect_forecast_scores_nothing_and_saves_all_of_the_naive_error(actual, observed, naive) -> None:  # type: ignore[no-untyped-def]
    series, _ = scores_of(actual, observed, actual, naive)

    for rate in ("wape_rate", "bias_rate", "cumulative_bias_rate", "mase", "rmsse"):
        assert set(series[rate].drop_nulls()) <= {0.0}
    assert set(series["fva_rate"].drop_nulls()) <= {1.0}
    assert set(series["band_coverage_rate"].drop_nulls()) <= {1.0}


@given(units, flags, units, units)
def test_rates_keep_their_order(actual, observed, point, naive) -> None:  # type: ignore[no-untyped-def]
    series, _ = scores_of(actual, observed, point, naive)
    known = series.drop_nulls(["wape_rate", "mase"])

    assert (known["bias_rate"].abs() <= known["cumulative_bias_rate"] + 1e-9).all()
    assert (known["cumulative_bias_rate"] <= known["wape_rate"] + 1e-9).all()
    assert (known["mase"] * 2.0 <= known["rmsse"] * 3.0 + 1e-9).all()
    assert known["band_coverage_rate"].is_between(0, 1).all()


def test_a_model_without_a_forecast_is_not_scored_and_value_added_compares_like_with_like() -> None:
    actual, point, naive = (np.full((STEPS, COUNT), value) for value in (4.0, 5.0, 7.0))
    point[:, 0] = np.nan
    naive[:, 1] = np.nan

    series, scores = scores_of(actual, np.ones((STEPS, COUNT), dtype=bool), point, naive)

    assert series["wape_rate"].to_list() == [None, 0.25, 0.25, 0.25]
    assert series["fva_rate"].to_list() == [None, None, pytest.approx(2 / 3), pytest.approx(2 / 3)]
    assert scores.filter(pl.col("class_kind") == "all").select("series_count", "fva_rate").rows() == [(3, pytest.approx(2 / 3))]


@given(hnp.arrays(np.float64, 30, elements=st.floats(0, 100)))
def test_the_quantile_loss_is_least_at_the_quantile(sample) -> None:  # type: ignore[no-untyped-def]
    for level in LEVELS:
        best = np.quantile(sample, level, method="inverted_cdf")
        losses = [quantile_loss(sample, np.full_like(sample, candidate), level=level).sum() for candidate in (best, *sample)]
        assert losses[0] <= min(losses) + 1e-6
