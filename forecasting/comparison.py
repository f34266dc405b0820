"""Did the variant change it? Effects of an experiment with their uncertainty, and a refusal where that is too large to say.

Every unit (an order or a customer) brings a numerator and a denominator. Their ratio's variance is linearised over units (delta method),
so rows of one unit may depend on each other; a mean is the ratio whose denominators are all one, and then this is Welch's test.

Source: Deng, Knoblich and Lu (2018), Applying the Delta Method in Metric Analytics; Welch (1947), Biometrika 34; Holm (1979),
Scandinavian Journal of Statistics 6; Fabijan et al. (2019), Diagnosing Sample Ratio Mismatch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

Verdict = Literal["different", "no_difference_shown", "undecided", "underpowered"]

CONFIDENCE: Final = 0.95
POWER: Final = 0.80
SAMPLE_RATIO_ALPHA: Final = 0.001  # an honest split is called broken once in a thousand experiments
LEAST_UNITS: Final = 30  # per variant; below it neither the linearisation nor a normal mean is to be trusted
RESAMPLES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Arm:
    """One variant's value with its standard error over `n` units; `degrees` of freedom serve Welch's."""

    variant: str
    n: int
    value: float
    standard_error: float
    degrees: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A variant against the control. Effects are variant less control; relative ones are shares of the control's value.

    `p_value` is corrected for the number of variants (Holm); the interval stands for this comparison alone. `needed_per_variant` is
    how many units each variant would need to show `sought_effect` with 80 % power. No difference is shown where the whole interval lies
    within `sought_effect` either way; one that is narrow enough and reaches beyond it leaves the question undecided.
    """

    variant: str
    control: str
    effect: float
    low: float
    high: float
    relative_effect: float | None
    relative_low: float | None
    relative_high: float | None
    p_value: float
    minimal_detectable_effect: float
    sought_effect: float
    needed_per_variant: int
    verdict: Verdict


def ratio_arm(variant: str, numerator: FloatArray, denominator: FloatArray) -> Arm:
    """Sum of numerators over sum of denominators, with the standard error over units by the delta method.

    Args:
        variant: Its name.
        numerator: One entry per unit.
        denominator: One entry per unit; all ones for a mean.

    Raises:
        ValueError: Fewer than `LEAST_UNITS` units, a number that is not finite, or denominators that sum to zero.
    """
    _require_units(variant, len(numerator))
    if not (np.isfinite(numerator).all() and np.isfinite(denominator).all()):
        raise ValueError(f"Variant {variant} has units whose value is not finite: leave units of unknown value out.")
    n, total = len(numerator), float(denominator.sum())
    if total == 0:
        raise ValueError(f"Variant {variant} has nothing to divide by: its denominators sum to zero.")
    value = float(numerator.sum()) / total
    residuals = numerator - value * denominator
    error = float(np.sqrt(np.sum(residuals**2) / (n - 1) / n) / abs(total / n))
    return Arm(variant=variant, n=n, value=value, standard_error=error, degrees=n - 1)


def percentile_arm(variant: str, values: FloatArray, unit: IntArray, *, level: float, seed: int) -> Arm:
    """A percentile over rows, with its standard error by resampling whole units.

    Args:
        variant: Its name.
        values: One entry per row.
        unit: The number of each row's unit, from 0 without gaps.
        level: 0.5 for the median.
        seed: Same seed, same error.

    Raises:
        ValueError: Fewer than `LEAST_UNITS` units.
    """
    n = int(unit.max(initial=-1)) + 1
    _require_units(variant, n)
    generator = np.random.default_rng(seed)
    order = np.argsort(values, kind="stable")
    ordered, owner = values[order], unit[order]
    drawn = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        times = np.bincount(generator.integers(0, n, n), minlength=n)
        drawn[i] = _weighted_percentile(ordered, times[owner], level)
    return Arm(variant=variant, n=n, value=float(np.quantile(values, level)), standard_error=float(drawn.std(ddof=1)), degrees=n - 1)


def compare(arms: Sequence[Arm], *, control: str, least_effect: float | None = None) -> list[Comparison]:
    """Every other variant against the control.

    Args:
        arms: All variants, the control among them.
        control: Its name.
        least_effect: The smallest difference worth knowing of, in the metric's unit; default is 5 % of the control's value.

    Raises:
        ValueError: There is no such control, or nothing beside it.
    """
    named = {arm.variant: arm for arm in arms}
    if control not in named or len(named) < 2:
        raise ValueError(f"Nothing to compare with {control!r}: the variants are {', '.join(sorted(named)) or 'none'}.")
    base = named.pop(control)
    sought = least_effect or 0.05 * abs(base.value)
    raw = [_p_value(arm, base) for arm in named.values()]
    return [_comparison(arm, base, p_value=p, sought=sought) for arm, p in zip(named.values(), holm(raw), strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number, in the same order: the smallest times m, the next times m - 1, never falling."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda j: p_values[j])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def sample_ratio_p_value(counts: Mapping[str, int], planned: Mapping[str, float] | None = None) -> float:
    """How likely at least this uneven a split is by chance; below `SAMPLE_RATIO_ALPHA` the assignment or the data are broken.

    Args:
        counts: Units per variant.
        planned: Shares or weights per variant, in any scale; default is an equal split.

    Raises:
        ValueError: The plan does not name exactly the variants that were seen, or a weight is not positive.
    """
    weights = dict(planned) if planned else dict.fromkeys(counts, 1.0)
    if set(weights) != set(counts) or min(weights.values(), default=0) <= 0:
        raise ValueError(f"The planned split must give a positive weight to each of {', '.join(sorted(counts))}.")
    total, whole = sum(counts.values()), sum(weights.values())
    return float(stats.chisquare([counts[name] for name in counts], [total * weights[name] / whole for name in counts]).pvalue)


def _require_units(variant: str, n: int) -> None:
    if n < LEAST_UNITS:
        raise ValueError(f"Variant {variant} has {n} units and at least {LEAST_UNITS} are needed: let the experiment run on.")


def _weighted_percentile(ordered: FloatArray, times: IntArray, level: float) -> float:
    """The percentile, interpolated like NumPy's, of the values each repeated so many times."""
    until = np.cumsum(times)
    place = level * (until[-1] - 1)
    low, high = (ordered[np.searchsorted(until, position, side="right")] for position in (np.floor(place), np.ceil(place)))
    return float(low + (high - low) * (place - np.floor(place)))


def _degrees(arm: Arm, base: Arm) -> float:
    """Welch and Satterthwaite's degrees of freedom."""
    each = [one.standard_error**4 / one.degrees for one in (arm, base)]
    return float((arm.standard_error**2 + base.standard_error**2) ** 2 / sum(each)) if sum(each) else float("inf")


def _error(arm: Arm, base: Arm) -> float:
    return float(np.hypot(arm.standard_error, base.standard_error))


def _p_value(arm: Arm, base: Arm) -> float:
    difference, error = arm.value - base.value, _error(arm, base)
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stats.t.sf(abs(difference) / error, _degrees(arm, base)))


def _comparison(arm: Arm, base: Arm, *, p_value: float, sought: float) -> Comparison:
    error, degrees = _error(arm, base), _degrees(arm, base)
    effect = arm.value - base.value
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees)) * error
    seen_with_power = float(stats.norm.ppf((1 + CONFIDENCE) / 2) + stats.norm.ppf(POWER))
    unit_variance = arm.n * arm.standard_error**2 + base.n * base.standard_error**2
    relative = effect / abs(base.value) if base.value else None
    relative_reach = 0.0
    if base.value:
        spread = np.hypot(arm.standard_error / base.value, arm.value * base.standard_error / base.value**2)
        relative_reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees) * spread)
    verdict: Verdict = "no_difference_shown"
    if p_value < 1 - CONFIDENCE:
        verdict = "different"
    elif reach > sought:
        verdict = "underpowered"
    elif abs(effect) + reach > sought:
        verdict = "undecided"
    return Comparison(
        variant=arm.variant,
        control=base.variant,
        effect=effect,
        low=effect - reach,
        high=effect + reach,
        relative_effect=relative,
        relative_low=None if relative is None else relative - relative_reach,
        relative_high=None if relative is None else relative + relative_reach,
        p_value=p_value,
        minimal_detectable_effect=seen_with_power * error,
        sought_effect=sought,
        needed_per_variant=int(np.ceil(seen_with_power**2 * unit_variance / sought**2)) if sought else 0,
        verdict=verdict,
    )
