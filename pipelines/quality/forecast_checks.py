"""Whether forecasts broke: judged before anything is ordered by them. Limits and their reasons: docs/methods/forecast-checks.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from forecasting.schema import NO_MODEL, SERIES_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

# All forecasts together.
SIGMAS: Final = 3.0  # Shewhart's limits on what this merchant's own backtest windows vary by, but never narrower than these:
LEAST_BIAS_DRIFT: Final = 0.3
LEAST_COVERAGE_DRIFT: Final = 0.15
HIGHEST_FALLBACK_RATE: Final = 0.5
NOMINAL_COVERAGE: Final = 0.8  # p10 to p90
RECENT_DAYS: Final = 28
LEAST_RECENT_DAYS: Final = 7  # a whole week of published forecasts, else the newest backtest window speaks for them
LEAST_USUAL_WINDOWS: Final = 3

# One series.
RECORD_MULTIPLE: Final = 2.0
LEAST_RECORD_DAYS: Final = 28
LEAST_JUDGED_DAYS: Final = 14
HIGHEST_BELOW_BAND_RATE: Final = 0.5  # one in ten is what p10 means
OVER_MULTIPLE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Errors:
    """What forecasts of some days were off by, all series together; units. The dates are null where there were no days."""

    first_date: date | None
    last_date: date | None
    days_count: int
    actual_qty: float
    error_qty: float
    band_days_count: int
    in_band_days_count: int

    @property
    def bias_rate(self) -> float | None:
        """Forecast less actual over actual."""
        return round(self.error_qty / self.actual_qty, 6) if self.actual_qty > 0 else None

    @property
    def coverage_rate(self) -> float | None:
        """Share of series and days between p10 and p90."""
        return round(self.in_band_days_count / self.band_days_count, 6) if self.band_days_count else None


@dataclass(frozen=True, slots=True)
class ForecastCheck:
    """One check of all forecasts; `reason` says what a planner has to know where it failed."""

    check_name: str
    is_passed: bool
    measured_rate: float | None
    usual_rate: float | None
    limit_rate: float
    basis: str
    reason: str | None


def check_forecasts(*, recent: Errors, windows: Sequence[Errors], fallback_rate: float) -> tuple[ForecastCheck, ...]:
    """Bias drift, coverage drift and share of fallbacks.

    Args:
        recent: Published forecasts of the last `RECENT_DAYS` days against what came; `days_count` are calendar days.
        windows: Backtest windows, oldest first.
        fallback_rate: Share of series whose forecast is a fallback or missing.
    """
    basis = f"published forecasts of {recent.days_count} days"
    if recent.days_count < LEAST_RECENT_DAYS and windows:
        recent, basis = windows[-1], "newest backtest window"
    usual = [one for one in windows if _is_before(one, recent)]  # a break that windows saw would widen its own limits
    biases = [one.bias_rate for one in usual if one.bias_rate is not None]
    coverages = [one.coverage_rate for one in usual if one.coverage_rate is not None]
    return (
        _bias_drift(recent.bias_rate, biases, basis),
        _coverage_drift(recent.coverage_rate, coverages, basis),
        _fallback_share(fallback_rate),
    )


def broken_series(daily: pl.DataFrame, history: pl.DataFrame, recent: pl.DataFrame) -> pl.DataFrame:
    """Series whose statistical forecast nothing should be ordered by, each with its reason.

    A series without any forecast is not among them: it has its fallback reason. Nor is one that a person has overridden throughout.

    Args:
        daily: sku, location_id, demand_date, statistical_mean_qty, demand_p10_qty, demand_p90_qty, model, override_id.
        history: sku, location_id, demand_qty (units a day), is_censored.
        recent: Per series, from published forecasts: sku, location_id, band_days_count, below_days_count, band_actual_qty.

    Returns:
        sku, location_id, reason; sorted.
    """
    mean = pl.col("statistical_mean_qty")
    wrong = pl.any_horizontal(
        *(
            ~pl.col(name).is_finite().fill_null(value=False) | (pl.col(name) < 0)
            for name in ("statistical_mean_qty", "demand_p10_qty", "demand_p90_qty")
        )
    )
    own = daily.filter((pl.col("model") != NO_MODEL) & pl.col("override_id").is_null())
    ahead = own.group_by(SERIES_KEY).agg(wrong.sum().alias("wrong_count"), pl.len().alias("count"), mean.mean())
    seen = history.filter(~pl.col("is_censored")).group_by(SERIES_KEY)
    record = seen.agg(pl.col("demand_qty").max().alias("record_qty"), pl.len().alias("seen_count"))
    judged = ahead.join(record, on=SERIES_KEY, how="left").join(recent, on=SERIES_KEY, how="left")
    recent_mean = pl.col("band_actual_qty") / pl.col("band_days_count")
    rules = [
        (
            pl.col("wrong_count") > 0,
            pl.format("Broken: {} of the {} days ahead have no usable quantity.", "wrong_count", "count"),
        ),
        (
            (mean > RECORD_MULTIPLE * pl.col("record_qty")) & (pl.col("seen_count") >= LEAST_RECORD_DAYS),
            pl.format("Broken: {} a day ahead, and the most ever sold on one day is {}.", mean.round(1), "record_qty"),
        ),
        (
            (pl.col("band_days_count") >= LEAST_JUDGED_DAYS)
            & (pl.col("below_days_count") > HIGHEST_BELOW_BAND_RATE * pl.col("band_days_count"))
            & (mean > OVER_MULTIPLE * recent_mean),
            pl.format(
                "Broken: demand was below its 10 % quantile on {} of {} days, and {} a day are still forecast where {} were sold.",
                "below_days_count", "band_days_count", mean.round(1), recent_mean.round(1),
            ),
        ),
    ]  # fmt: skip
    reason = pl.coalesce(*(pl.when(applies.fill_null(value=False)).then(sentence) for applies, sentence in rules))
    return judged.select(*SERIES_KEY, reason.alias("reason")).filter(pl.col("reason").is_not_null()).sort(SERIES_KEY)


def _is_before(one: Errors, other: Errors) -> bool:
    return other.first_date is None or one.last_date is None or one.last_date < other.first_date


def _bias_drift(measured: float | None, usual: list[float], basis: str) -> ForecastCheck:
    middle, limit = _limits(usual, LEAST_BIAS_DRIFT, otherwise=0.0)
    failed = measured is not None and abs(measured - middle) > limit
    reason = None
    if failed and measured is not None:
        reason = (
            f"Forecasts were {_percent(abs(measured))} too {'high' if measured > 0 else 'low'} in total ({basis}); {_usual(middle, limit)}"
        )
    return ForecastCheck("bias_drift", not failed, measured, middle, limit, basis, reason)


def _coverage_drift(measured: float | None, usual: list[float], basis: str) -> ForecastCheck:
    middle, limit = _limits(usual, LEAST_COVERAGE_DRIFT, otherwise=NOMINAL_COVERAGE)
    failed = measured is not None and measured < middle - limit
    reason = None
    if failed and measured is not None:
        reason = f"Only {_percent(measured)} of days lay between the 10 % and 90 % quantiles ({basis}); {_usual(middle, limit)}"
    return ForecastCheck("coverage_drift", not failed, measured, middle, limit, basis, reason)


def _fallback_share(measured: float) -> ForecastCheck:
    failed = measured > HIGHEST_FALLBACK_RATE
    reason = f"{_percent(measured)} of forecasts are fallbacks, and at most {_percent(HIGHEST_FALLBACK_RATE)} may be" if failed else None
    return ForecastCheck("fallback_share", not failed, measured, None, HIGHEST_FALLBACK_RATE, "forecasts of this run", reason)


def _limits(usual: list[float], least: float, *, otherwise: float) -> tuple[float, float]:
    """Where the rate usually lies, and how far from there is drift."""
    if len(usual) < LEAST_USUAL_WINDOWS:
        return otherwise, least
    middle = sum(usual) / len(usual)
    variance = sum((one - middle) ** 2 for one in usual) / (len(usual) - 1)
    return middle, max(least, SIGMAS * variance**0.5)


def _usual(middle: float, limit: float) -> str:
    return f"usual is {_percent(middle)}, and {_percent(limit)} from there is the limit"


def _percent(rate: float) -> str:
    return f"{rate * 100:.0f} %"
