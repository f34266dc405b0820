import numpy as np
import pytest

from forecasting.logistic import fit_logistic


def test_it_finds_back_the_slopes_that_the_rows_were_drawn_with() -> None:
    draw = np.random.default_rng(1)
    columns = draw.normal(size=(40_000, 2))
    is_hit = (draw.random(40_000) < 1 / (1 + np.exp(-(-1.0 + 0.8 * columns[:, 0] - 0.5 * columns[:, 1])))).astype(float)

    fitted = fit_logistic(columns, is_hit, np.ones(40_000))

    assert fitted.slopes / fitted.spreads == pytest.approx([0.8, -0.5], abs=0.04)


def test_a_row_of_weight_two_counts_like_two_rows() -> None:
    draw = np.random.default_rng(2)
    columns, is_hit = draw.normal(size=(300, 2)), (draw.random(300) < 0.3).astype(float)
    twice = np.r_[np.arange(300), np.arange(100)]

    weighted = fit_logistic(columns, is_hit, np.r_[np.full(100, 2.0), np.ones(200)])

    assert weighted.probability(columns) == pytest.approx(fit_logistic(columns[twice], is_hit[twice], np.ones(400)).probability(columns))


def test_a_column_that_parts_hits_from_the_rest_still_ends_in_a_fit() -> None:
    columns = np.r_[np.zeros((200, 1)), np.ones((200, 1))]

    likely = fit_logistic(columns, columns[:, 0], np.ones(400)).probability(columns)

    assert likely[0] < 0.1
    assert likely[-1] > 0.9
