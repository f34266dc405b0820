"""Paths that orders are simulated on."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from forecasting.matrix import SeriesMatrix, as_matrix
from inventory.demand_paths import learn_demand
from inventory.lumpy import LumpyDemand, lumpy_rows
from inventory.true_demand import with_sold_out_highs


def matrix_of(demand: Any) -> SeriesMatrix:
    count, weeks = demand.shape
    panel = pl.DataFrame(
        {
            "sku": np.repeat([f"s{row}" for row in range(count)], weeks),
            "location_id": "main",
            "demand_date": [date(2024, 1, 1) + timedelta(weeks=week) for week in range(weeks)] * count,
            "demand_qty": demand.ravel().astype(float),
            "is_censored": False,
        }
    )
    return as_matrix(panel, frequency="weekly")


@pytest.fixture(scope="module")
def shop() -> SeriesMatrix:
    generator = np.random.default_rng(6)
    lumps = (generator.random((20, 60)) < 0.2) * generator.choice([4, 8], size=(20, 60))
    return matrix_of(np.vstack([lumps, generator.poisson(9, size=(4, 60)), np.zeros((1, 60))]))


def test_only_series_that_are_often_silent_are_lumpy(shop: SeriesMatrix):
    assert lumpy_rows(shop).tolist() == [row for row, (sku, _) in enumerate(shop.keys.iter_rows()) if int(sku[1:]) < 20 or sku == "s24"]


def test_lumpy_paths_sell_as_often_and_as_much_at_once_as_the_past(shop: SeriesMatrix):
    law = LumpyDemand(shop)

    drawn = np.stack([law.draw(int(row), (2_000, 2), np.random.default_rng(0)) for row in lumpy_rows(shop)])

    assert set(np.unique(drawn)) <= {0, 4, 8, *shop.demand[shop.demand > 8]}
    assert (drawn > 0).mean() == pytest.approx(0.2, abs=0.05)


def test_a_series_keeps_its_paths_whoever_is_asked_for_beside_it(shop: SeriesMatrix):
    law = learn_demand(shop, periods=3, seed=1)
    alone = next(law.chunks(np.array([2]), periods=3, seed=1))[1][0]

    paths = {
        int(row): path for rows, drawn in law.chunks(np.array([7, 2, 24]), periods=3, seed=1) for row, path in zip(rows, drawn, strict=True)
    }

    assert (paths[1] == alone).all()
    assert (paths[0] != alone).any()


def test_a_series_that_never_sold_has_no_demand(shop: SeriesMatrix):
    row = shop.keys["sku"].to_list().index("s24")
    law = learn_demand(shop, periods=3, seed=1)

    paths = next(law.chunks(np.array([row]), periods=3, seed=1))[1]

    assert not paths.any()


def test_a_week_sold_out_above_the_usual_is_known_to_have_sold_that_and_one_below_it_stays_unknown():
    panel = pl.DataFrame(
        {
            "sku": "s0",
            "location_id": "main",
            "demand_date": [date(2024, 1, 1) + timedelta(weeks=week) for week in range(12)],
            "demand_qty": [4.0] * 10 + [9.0, 3.0],
            "is_censored": [False] * 10 + [True, True],
        }
    )

    matrix = with_sold_out_highs(panel, as_matrix(panel, frequency="weekly"))

    assert matrix.demand[10:, 0].tolist() == [9.0, 0.0]
    assert matrix.observed[10:, 0].tolist() == [True, False]
    assert matrix.censored[10:, 0].tolist() == [False, True]


def test_a_few_estimated_periods_leave_a_series_in_whole_units(shop: SeriesMatrix):
    raised = shop.demand.copy()
    raised[np.flatnonzero(raised[:, 0])[:2], 0] += 0.4
    weighed = shop.demand * 0.37

    law, by_weight = (learn_demand(matrix_of(demand), periods=3, seed=0) for demand in (raised, weighed))

    assert law.is_whole[0]
    assert not by_weight.is_whole[0]
