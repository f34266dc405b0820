"""Comparisons of variants: textbook examples, honest error rates, effects found back, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from forecasting.comparison import SAMPLE_RATIO_ALPHA, Arm, compare, holm, percentile_arm, ratio_arm, sample_ratio_p_value

ONES = np.ones


def mean_arm(variant: str, values: np.ndarray) -> Arm:
    return ratio_arm(variant, values, ONES(len(values)))


def test_a_mean_is_compared_by_welch_as_scipy_does_it() -> None:
    generator = np.random.default_rng(1)
    few, many = generator.normal(10, 4, 40), generator.normal(11, 1, 400)

    (found,) = compare([mean_arm("control", few), mean_arm("new", many)], control="control")

    welch = stats.ttest_ind(many, few, equal_var=False)
    interval = welch.confidence_interval(0.95)
    assert found.p_value == pytest.approx(welch.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_a_ratios_error_is_the_jackknifes() -> None:
    generator = np.random.default_rng(2)
    lines = generator.integers(1, 6, 3_000).astype(float)
    late = generator.binomial(lines.astype(int), generator.beta(2, 8, 3_000)).astype(float)

    arm = ratio_arm("new", late, lines)

    without_one = (late.sum() - late) / (lines.sum() - lines)
    jackknife = np.sqrt((len(lines) - 1) * np.mean((without_one - without_one.mean()) ** 2))
    assert arm.value == late.sum() / lines.sum()
    assert arm.standard_error == pytest.approx(jackknife, rel=1e-3)


def test_lines_of_one_order_are_not_taken_for_independent_evidence() -> None:
    generator = np.random.default_rng(3)
    lines = ONES(1_000) * 10
    all_or_nothing = 10 * generator.integers(0, 2, 1_000).astype(float)

    arm = ratio_arm("new", all_or_nothing, lines)

    assert arm.standard_error == pytest.approx(0.5 / np.sqrt(1_000), rel=0.01)


def test_two_variants_that_are_the_same_are_called_different_once_in_twenty() -> None:
    generator = np.random.default_rng(4)

    def one_experiment() -> bool:
        arms = []
        for variant in ("A", "B"):
            lines = generator.integers(1, 5, 300).astype(float)
            arms.append(ratio_arm(variant, lines * generator.beta(2, 5, 300), lines))
        return compare(arms, control="A")[0].verdict == "different"

    rate = np.mean([one_experiment() for _ in range(2_000)])

    assert 0.04 < rate < 0.062


def test_three_variants_that_are_the_same_give_one_false_finding_in_twenty_experiments() -> None:
    generator = np.random.default_rng(5)

    def one_experiment() -> bool:
        arms = [mean_arm(variant, generator.exponential(3, 200)) for variant in ("A", "B", "C", "D")]
        return any(found.verdict == "different" for found in compare(arms, control="A"))

    rate = np.mean([one_experiment() for _ in range(1_500)])

    assert 0.025 < rate < 0.062


def test_a_known_effect_lies_in_the_interval_nineteen_times_of_twenty() -> None:
    generator = np.random.default_rng(6)

    def covers() -> bool:
        found = compare([mean_arm("A", generator.gamma(2, 2, 400)), mean_arm("B", generator.gamma(2, 2.2, 400))], control="A")[0]
        return found.low <= 0.4 <= found.high

    assert 0.935 < np.mean([covers() for _ in range(2_000)]) < 0.965


def test_an_effect_of_the_minimal_detectable_size_is_found_four_times_of_five() -> None:
    generator = np.random.default_rng(7)
    pilot = compare([mean_arm("A", generator.normal(10, 3, 20_000)), mean_arm("B", generator.normal(10, 3, 20_000))], control="A")[0]
    effect = pilot.minimal_detectable_effect * np.sqrt(20_000 / 500)

    def is_found() -> bool:
        arms = [mean_arm("A", generator.normal(10, 3, 500)), mean_arm("B", generator.normal(10 + effect, 3, 500))]
        return compare(arms, control="A")[0].verdict == "different"

    assert 0.76 < np.mean([is_found() for _ in range(1_000)]) < 0.84


def test_the_percentiles_error_is_that_of_its_sampling_distribution() -> None:
    generator = np.random.default_rng(8)
    medians = [np.median(generator.exponential(2, 400)) for _ in range(2_000)]

    errors = [percentile_arm("A", generator.exponential(2, 400), np.arange(400), level=0.5, seed=i).standard_error for i in range(5)]

    assert np.mean(errors) == pytest.approx(np.std(medians), rel=0.15)


def test_a_percentile_resamples_orders_and_not_their_rows() -> None:
    values = np.random.default_rng(9).normal(0, 1, 200)

    each = percentile_arm("A", values, np.arange(200), level=0.9, seed=1)
    tripled = percentile_arm("A", np.repeat(values, 3), np.repeat(np.arange(200), 3), level=0.9, seed=1)

    assert tripled.n == each.n
    assert tripled.standard_error == pytest.approx(each.standard_error, rel=0.05)


def test_too_wide_an_interval_is_refused_with_the_number_it_would_take() -> None:
    generator = np.random.default_rng(10)
    arms = [mean_arm("A", generator.normal(100, 40, 60)), mean_arm("B", generator.normal(100, 40, 60))]

    (found,) = compare(arms, control="A", least_effect=5.0)

    assert found.verdict == "underpowered"
    assert found.needed_per_variant == pytest.approx(2 * (1.96 + 0.8416) ** 2 * 40**2 / 25, rel=0.3)


def test_enough_units_without_a_difference_are_no_refusal() -> None:
    generator = np.random.default_rng(11)
    arms = [mean_arm("A", generator.normal(100, 10, 5_000)), mean_arm("B", generator.normal(100, 10, 5_000))]

    (found,) = compare(arms, control="A")

    assert found.verdict == "no_difference_shown"
    assert found.low < 0 < found.high


@pytest.mark.parametrize(("value", "verdict"), [(100.3, "no_difference_shown"), (100.7, "undecided"), (99.3, "undecided")])
def test_no_difference_is_shown_only_where_the_whole_interval_lies_within_what_was_sought(value: float, verdict: str) -> None:
    arms = [Arm("A", 5_000, 100.0, 0.3, 4_999), Arm("B", 5_000, value, 0.3, 4_999)]

    (found,) = compare(arms, control="A", least_effect=1.2)

    assert found.high - found.effect < found.sought_effect
    assert found.verdict == verdict


def test_a_split_that_lost_units_on_one_side_is_found_and_an_honest_one_is_not() -> None:
    assert sample_ratio_p_value({"A": 5_000, "B": 5_050}) > 0.5
    assert sample_ratio_p_value({"A": 5_000, "B": 4_500}) < SAMPLE_RATIO_ALPHA
    assert sample_ratio_p_value({"A": 9_000, "B": 1_010}, {"A": 90, "B": 10}) > 0.5


def test_a_plan_for_other_variants_is_refused() -> None:
    with pytest.raises(ValueError, match="positive weight to each of A, B"):
        sample_ratio_p_value({"A": 10, "B": 10}, {"A": 1, "C": 1})


def test_holm_corrects_as_in_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_handful_of_units_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 30 are needed"):
        mean_arm("A", ONES(29))


def test_without_a_control_there_is_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="Nothing to compare with 'C'"):
        compare([mean_arm("A", np.arange(50.0)), mean_arm("B", np.arange(50.0))], control="C")
