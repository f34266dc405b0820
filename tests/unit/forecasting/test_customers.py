"""BG/NBD and Gamma-Gamma against published figures, against the models' own definition, and on customers who were drawn from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from scipy import integrate, special, stats

from forecasting.customer_likelihood import bg_nbd_objective, gamma_gamma_objective
from forecasting.customer_summary import NoUsableFitError, TooFewRepeatCustomersError, UnusableSummaryError
from forecasting.customers import (
    BgNbd,
    GammaGamma,
    bg_nbd_log_likelihood,
    expected_purchases,
    expected_value,
    fit_bg_nbd,
    fit_gamma_gamma,
    holdout_error,
    lifetime_value,
    probability_alive,
)

if TYPE_CHECKING:
    from forecasting.customer_likelihood import FloatArray, Objective

# Parameters published for the CDNOW cohort, whose customers are not in this repository; time in weeks, money in dollars.
CDNOW = BgNbd(r=0.2426, alpha=4.4136, a=0.7929, b=2.4259, log_likelihood=-9582.43, customers_count=2357)
CDNOW_SPEND = GammaGamma(p=6.250, q=3.744, gamma=15.443, log_likelihood=float("nan"), customers_count=946)


def customer(x: float = 0, t_x: float = 0, age: float = 0, **more: Any) -> pl.DataFrame:
    return pl.DataFrame({"x": [x], "t_x": [t_x], "T": [age], **{name: [value] for name, value in more.items()}})


def drawn(count: int, model: BgNbd, *, seed: int, longest: float = 78.0, after: float = 0.0) -> pl.DataFrame:
    """Customers as the model says they come about; `holdout_x` counts purchases in the `after` time units behind each one's T."""
    generator = np.random.default_rng(seed)
    rate, leaving = generator.gamma(model.r, 1 / model.alpha, count), generator.beta(model.a, model.b, count)
    age = generator.uniform(longest / 4, longest, count)
    x, t_x, later, now, is_there = np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(count), np.ones(count, dtype=bool)
    while is_there.any():
        now = np.where(is_there, now + generator.exponential(1 / np.maximum(rate, 1e-300)), np.inf)
        is_there &= now <= age + after
        is_before = is_there & (now <= age)
        x, t_x, later = x + is_before, np.where(is_before, now, t_x), later + (is_there & ~is_before)
        is_there &= generator.random(count) > leaving
    return pl.DataFrame({"x": x, "t_x": t_x, "T": age, "holdout_x": later})


def test_it_gives_the_conditional_expectation_of_hardies_worked_customer() -> None:
    (value,) = expected_purchases(CDNOW, customer(2, 30.43, 38.86), horizon=39)

    assert value == pytest.approx(1.226, abs=5e-4)


def test_it_gives_the_expected_purchases_of_a_new_customer_of_hardies_sheet() -> None:
    values = [expected_purchases(CDNOW, customer(), horizon=weeks)[0] for weeks in (0.1429, 1.0, 3.0, 31.8571, 32.0, 78.0)]

    assert values == pytest.approx([0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8576], abs=5e-4)


def test_it_gives_the_mean_amounts_of_hardies_first_customers() -> None:
    first = pl.DataFrame({"x": [2, 1, 0, 7, 2], "t_x": 1.0, "T": 2.0, "monetary_value": [22.35, 11.77, None, 73.74, 25.55]}).with_columns(
        t_x=pl.when(pl.col("x") > 0).then(1.0).otherwise(0.0)
    )

    assert expected_value(CDNOW_SPEND, first).to_list() == pytest.approx([24.65, 18.91, 35.17, 71.46, 27.28], abs=0.02)
    assert pytest.approx(35.17, abs=0.01) == CDNOW_SPEND.mean_value


@pytest.mark.parametrize(("x", "t_x", "age"), [(0, 0.0, 38.9), (1, 1.7, 38.9), (2, 30.43, 38.86), (6, 22.0, 30.0), (1, 5.0, 5.0)])
def test_the_likelihood_is_the_models_definition_integrated_over_customers(x: int, t_x: float, age: float) -> None:
    def over_rates(time: float) -> float:
        return float(integrate.quad(lambda rate: rate**x * np.exp(-rate * time) * stats.gamma.pdf(rate, 1.3, scale=1 / 4.0), 0, np.inf)[0])

    def over_leaving(times_left: int, times_stayed: int) -> float:
        weight = stats.beta(1.6, 2.4).pdf
        return float(integrate.quad(lambda leaving: leaving**times_left * (1 - leaving) ** times_stayed * weight(leaving), 0, 1)[0])

    by_hand = over_leaving(0, x) * over_rates(age) + (over_leaving(1, x - 1) * over_rates(t_x) if x else 0.0)

    assert bg_nbd_log_likelihood(1.3, 4.0, 1.6, 2.4, customer(x, t_x, age)) == pytest.approx(np.log(by_hand), rel=1e-6)


@pytest.mark.parametrize("parameters", [(0.24, 4.4, 0.79, 2.43), (1.5, 10.0, 0.3, 0.5), (0.5, 2.0, 2.5, 4.0), (3.0, 20.0, 0.05, 3.0)])
@pytest.mark.parametrize(("x", "t_x", "age"), [(0, 0.0, 0.0), (0, 0.0, 60.0), (3, 41.0, 60.0), (40, 99.0, 100.0)])
@pytest.mark.parametrize("horizon", [1.0, 52.0])
def test_expected_purchases_are_equation_10_as_it_was_published(
    parameters: tuple[float, float, float, float], x: int, t_x: float, age: float, horizon: float
) -> None:
    r, alpha, a, b = parameters
    until = alpha + age + horizon
    series = special.hyp2f1(r + x, b + x, a + b + x - 1, horizon / until)
    above = (a + b + x - 1) / (a - 1) * (1 - ((alpha + age) / until) ** (r + x) * series)
    below = 1 + (a / (b + x - 1) * ((alpha + age) / (alpha + t_x)) ** (r + x) if x else 0)

    (value,) = expected_purchases(BgNbd(r, alpha, a, b, 0.0, 1), customer(x, t_x, age), horizon=horizon)

    assert value == pytest.approx(above / below, rel=1e-7)


@pytest.mark.parametrize("scale", [1e3, 1e5])
@pytest.mark.parametrize(("x", "horizon"), [(0, 52.0), (0, 5_000.0), (9, 5_000.0)])
def test_customers_who_all_leave_with_one_probability_buy_as_that_probability_says(scale: float, x: int, horizon: float) -> None:
    model = BgNbd(r=0.5, alpha=4.0, a=0.25 * scale, b=0.75 * scale, log_likelihood=0.0, customers_count=1)
    summary = customer(x, 30.0 if x else 0.0, 30.0)

    (value,) = expected_purchases(model, summary, horizon=horizon)

    while_there = (1 - (34 / (34 + 0.25 * horizon)) ** (0.5 + x)) / 0.25
    assert value == pytest.approx(while_there * probability_alive(model, summary)[0], rel=20 / scale)


@pytest.mark.parametrize("objective", ["bg_nbd", "gamma_gamma"])
def test_the_gradient_is_the_slope_of_the_likelihood(objective: str) -> None:
    rows = drawn(200, CDNOW, seed=2).filter(pl.col("x") > 0)
    x, t_x, age = (rows[name].to_numpy() for name in ("x", "t_x", "T"))
    weight = np.linspace(1, 3, rows.height)
    likelihood = bg_nbd_objective(x, t_x, age, weight) if objective == "bg_nbd" else gamma_gamma_objective(x, age, weight)
    at = np.log([0.7, 3.0, 0.9, 2.0])[: 4 if objective == "bg_nbd" else 3]

    steps = 1e-6 * np.eye(len(at))
    slopes = [(likelihood(at + step)[0] - likelihood(at - step)[0]) / 2e-6 for step in steps]

    assert likelihood(at)[1] == pytest.approx(slopes, rel=1e-5, abs=1e-8)


def standard_errors(objective: Objective, at: tuple[float, ...], *, count: float) -> FloatArray:
    """Of parameters at the summit, from the inverse of the Hessian; relative, since the objective goes by logs."""
    steps = 1e-4 * np.eye(len(at))
    hessian = np.array([(objective(np.log(at) + step)[1] - objective(np.log(at) - step)[1]) / 2e-4 for step in steps])
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(count * (hessian + hessian.T) / 2))))


@pytest.mark.parametrize("truth", [CDNOW, BgNbd(1.2, 10.0, 0.5, 3.0, 0.0, 0)])
def test_a_fit_finds_back_the_parameters_that_100_000_customers_were_drawn_with(truth: BgNbd) -> None:
    customers = drawn(100_000, truth, seed=5)

    fitted = fit_bg_nbd(customers)

    x, t_x, age = (customers[name].to_numpy() for name in ("x", "t_x", "T"))
    found = (fitted.r, fitted.alpha, fitted.a, fitted.b)
    errors = standard_errors(bg_nbd_objective(x, t_x, age, np.ones(x.size)), found, count=x.size)
    assert (errors < 0.1).all()  # else two of them would allow anything
    assert (np.abs(np.log(found) - np.log((truth.r, truth.alpha, truth.a, truth.b))) < 2 * errors).all()
    assert fitted.log_likelihood >= bg_nbd_log_likelihood(truth.r, truth.alpha, truth.a, truth.b, customers)


def test_a_fit_finds_back_how_the_amounts_of_100_000_customers_were_drawn() -> None:
    generator = np.random.default_rng(8)
    x = generator.integers(1, 12, 100_000).astype(float)
    scale = 1 / generator.gamma(CDNOW_SPEND.q, 1 / CDNOW_SPEND.gamma, x.size)
    mean = generator.gamma(CDNOW_SPEND.p * x, scale) / x

    fitted = fit_gamma_gamma(pl.DataFrame({"x": x, "t_x": 1.0, "T": 2.0, "monetary_value": mean}))

    found = (fitted.p, fitted.q, fitted.gamma)
    errors = standard_errors(gamma_gamma_objective(x, mean, np.ones(x.size)), found, count=x.size)
    assert (errors < 0.1).all()
    assert (np.abs(np.log(found) - np.log((CDNOW_SPEND.p, CDNOW_SPEND.q, CDNOW_SPEND.gamma))) < 2 * errors).all()
    assert fitted.mean_value == pytest.approx(CDNOW_SPEND.mean_value, rel=0.02)


def test_days_or_weeks_give_the_same_model() -> None:
    weeks = drawn(3_000, CDNOW, seed=4)
    days = weeks.with_columns(pl.col("t_x", "T") * 7)

    by_week, by_day = fit_bg_nbd(weeks), fit_bg_nbd(days)

    assert by_day.alpha == pytest.approx(7 * by_week.alpha, rel=1e-5)
    assert (by_day.r, by_day.a, by_day.b) == pytest.approx((by_week.r, by_week.a, by_week.b), rel=1e-5)
    assert by_week.log_likelihood - by_day.log_likelihood == pytest.approx(float(weeks["x"].sum()) * np.log(7), rel=1e-9)
    assert by_week.log_likelihood == pytest.approx(bg_nbd_log_likelihood(by_week.r, by_week.alpha, by_week.a, by_week.b, weeks))


def test_customers_who_are_alike_may_come_as_one_row_with_their_number() -> None:
    each = drawn(5_000, CDNOW, seed=6).with_columns(pl.col("t_x").ceil(), pl.col("T").ceil())
    alike = each.group_by("x", "t_x", "T").agg(pl.len().alias("customers_count"))

    assert alike.height < each.height / 2
    assert fit_bg_nbd(alike) == fit_bg_nbd(each)


def test_nobody_is_held_to_have_left_without_a_repeat_purchase_and_silence_makes_leaving_likelier() -> None:
    regular = pl.DataFrame({"x": [0, 12, 12, 12], "t_x": [0.0, 50.0, 30.0, 10.0], "T": 50.0})

    alive = probability_alive(CDNOW, regular).to_list()

    assert alive[0] == 1.0
    assert alive[1] > 0.9
    assert alive == sorted(alive, reverse=True)
    assert alive[3] < 1e-5


def test_many_purchases_and_long_times_stay_finite() -> None:
    busy = pl.DataFrame({"x": [2_000, 2_000, 0], "t_x": [999.0, 1.0, 0.0], "T": [1_000.0, 1_000.0, 1e6]})

    purchases, alive = expected_purchases(CDNOW, busy, horizon=52), probability_alive(CDNOW, busy)

    assert purchases[0] == pytest.approx(alive[0] * 2_000 / 1_004.4 * 52, rel=0.05)
    assert (purchases[1], alive[1]) == (0.0, 0.0)
    assert 0 < purchases[2] < 1e-4


def test_lifetime_value_is_purchases_times_amount_and_discounting_takes_from_it() -> None:
    one = customer(2, 30.43, 38.86, monetary_value=22.35)

    (plain,) = lifetime_value(CDNOW, CDNOW_SPEND, one, horizon=39)
    (discounted,) = lifetime_value(CDNOW, CDNOW_SPEND, one, horizon=39, discount_rate=0.002, periods=39)

    assert plain == pytest.approx(1.226 * 24.65, rel=2e-3)
    assert plain * 1.002**-39 < discounted < plain


def test_the_holdout_shows_the_model_nearer_than_everyones_own_past_rate() -> None:
    error = holdout_error(drawn(20_000, CDNOW, seed=7, after=39.0), horizon=39)

    assert error.bias_rate == pytest.approx(0, abs=0.05)
    assert error.naive_bias_rate is not None
    assert error.naive_bias_rate > 0.3
    assert error.absolute_error_mean < error.naive_absolute_error_mean
    classes = error.by_repeat_class
    assert classes["repeat_class"].to_list() == list(range(8))
    assert classes["actual_count"].sum() == error.actual_count
    assert classes["naive_count"][0] == 0
    assert (classes["predicted_count"] / classes["actual_count"]).to_list() == pytest.approx([1.0] * 8, abs=0.2)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (customer(float("nan"), 1, 2), "missing, negative or not finite"),
        (customer(1, 1, float("inf")), "missing, negative or not finite"),
        (customer(-1, 1, 2), "missing, negative or not finite"),
        (customer(1, 3, 2), r"after the end of their time \(t_x > T\)"),
        (customer(0, 1, 2), r"x = 0, t_x > 0"),
    ],
)
def test_a_customer_who_contradicts_the_model_is_named(row: pl.DataFrame, message: str) -> None:
    with pytest.raises(UnusableSummaryError, match=message):
        fit_bg_nbd(row)


def test_too_few_repeat_customers_are_refused() -> None:
    few = drawn(3_000, CDNOW, seed=1).filter((pl.col("x") == 0) | (pl.col("x") > 12))

    with pytest.raises(TooFewRepeatCustomersError, match="customers bought again and at least 100 are needed"):
        fit_bg_nbd(few)


def test_customers_who_never_leave_and_are_all_alike_are_refused_and_not_fitted_silently() -> None:
    clockwork = pl.DataFrame({"x": [50] * 200, "t_x": [50.0] * 200, "T": [50.0] * 200})

    with pytest.raises(NoUsableFitError, match="still rises at the edge"):
        fit_bg_nbd(clockwork)


def test_amounts_that_are_all_the_same_are_refused() -> None:
    flat = pl.DataFrame({"x": [3] * 200, "t_x": [5.0] * 200, "T": [9.0] * 200, "monetary_value": [10.0] * 200})

    with pytest.raises(NoUsableFitError, match="use the plain mean amount"):
        fit_gamma_gamma(flat)
