from __future__ import annotations

import numpy as np
import polars as pl
from numpy.testing import assert_allclose

from forecasting.hierarchy import group_sums, groupings, reconciling_factors
from forecasting.matrix import as_matrix

GROUPS = (np.array([0, 0, 0, 0]), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))


def test_items_and_sums_agree_as_generalised_least_squares_has_it() -> None:
    point = np.array([[4.0, 1.0, 3.0, 2.0]])
    sums = [np.array([[12.0]]), np.array([[5.5, 5.0]]), np.array([[8.0, 3.0]])]

    ours = point * reconciling_factors(point, GROUPS, sums)

    summing = np.vstack([*((group[None, :] == np.arange(group.max() + 1)[:, None]).astype(float) for group in GROUPS), np.eye(4)])
    base = np.concatenate([total[0] for total in sums] + [point[0]])
    weight = np.diag(1.0 / (summing @ point[0]))
    theirs = np.linalg.solve(summing.T @ weight @ summing, summing.T @ weight @ base)
    assert_allclose(ours[0], theirs)


def test_items_that_add_up_already_stay_as_they_are() -> None:
    point = np.array([[4.0, 1.0, 3.0, 2.0], [1.0, 1.0, 0.0, 0.0]])

    factors = reconciling_factors(point, GROUPS, [group_sums(point, group) for group in GROUPS])

    assert_allclose(factors, 1.0)


def test_an_item_that_sells_nothing_takes_no_share() -> None:
    point = np.array([[4.0, 0.0]])

    moved = point * reconciling_factors(point, (np.array([0, 0]),), [np.array([[6.0]])])

    assert_allclose(moved, [[5.0, 0.0]])


def test_places_are_crossed_with_categories_and_items_stay_single() -> None:
    panel = pl.DataFrame(
        {
            "sku": ["a", "a", "b", "b", "c", "c"], "location_id": ["x", "y"] * 3, "demand_date": [pl.Series(["2024-01-01"]).str.to_date()[0]] * 6,
            "demand_qty": 1.0, "is_censored": False,
        }
    )  # fmt: skip
    attributes = pl.DataFrame({"sku": ["a", "b", "c"], "category": ["one", "one", "two"]})

    counts = [int(group.max()) + 1 for group in groupings(as_matrix(panel, attributes=attributes))]

    assert counts == [1, 2, 2, 4]
