from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from pipelines.quality.forecast_checks import Errors, broken_series, check_forecasts

NOTHING = Errors(None, None, 0, 0.0, 0.0, 0, 0)
LAST = date(2025, 6, 30)
RECENT = pl.DataFrame(
    schema={
        "sku": pl.String,
        "location_id": pl.String,
        "band_days_count": pl.Int64,
        "below_days_count": pl.Int64,
        "band_actual_qty": pl.Float64,
    }
)


def errors(bias: float, coverage: float = 0.8, days: int = 14, *, last: date = LAST) -> Errors:
    return Errors(last - timedelta(days=days - 1), last, days, 1000.0, 1000.0 * bias, 1000, round(1000 * coverage))


def earlier(bias: float, coverage: float = 0.8) -> Errors:
    return errors(bias, coverage, last=LAST - timedelta(days=28))


def verdicts(recent: Errors, *windows: Errors, fallback_rate: float = 0.0) -> dict[str, bool]:
    return {check.check_name: check.is_passed for check in check_forecasts(recent=recent, windows=windows, fallback_rate=fallback_rate)}


def test_a_bias_as_usual_passes_and_one_beyond_the_limit_does_not() -> None:
    usual = [earlier(0.02), earlier(-0.03), earlier(0.01)]

    assert verdicts(errors(0.25), *usual)["bias_drift"]
    assert not verdicts(errors(0.35), *usual)["bias_drift"]
    assert not verdicts(errors(-0.35), *usual)["bias_drift"]


def test_a_merchant_whose_windows_vary_much_has_wider_limits() -> None:
    restless = [earlier(-0.4), earlier(0.0), earlier(0.4), earlier(0.3)]

    assert verdicts(errors(0.6), *restless)["bias_drift"]
    assert not verdicts(errors(1.5), *restless)["bias_drift"]


def test_only_too_few_days_in_the_band_are_a_drift_of_coverage() -> None:
    usual = [earlier(0.0), earlier(0.0), earlier(0.0)]

    assert verdicts(errors(0.0, coverage=1.0), *usual)["coverage_drift"]
    assert verdicts(errors(0.0, coverage=0.7), *usual)["coverage_drift"]
    assert not verdicts(errors(0.0, coverage=0.6), *usual)["coverage_drift"]


def test_before_a_week_was_published_the_newest_window_is_judged() -> None:
    windows = [earlier(0.0), earlier(0.0), earlier(0.0), errors(0.5)]

    bias, *_ = check_forecasts(recent=errors(0.0, days=6), windows=windows, fallback_rate=0.0)

    assert not bias.is_passed
    assert bias.basis == "newest backtest window"
    assert bias.reason == "Forecasts were 50 % too high in total (newest backtest window); usual is 0 %, and 30 % from there is the limit"


def test_a_break_that_the_newest_window_saw_does_not_widen_its_own_limit() -> None:
    windows = [earlier(0.0), earlier(0.0), earlier(0.0), earlier(0.0), errors(-0.67)]

    bias, *_ = check_forecasts(recent=errors(-0.67), windows=windows, fallback_rate=0.0)

    assert not bias.is_passed
    assert bias.usual_rate == 0.0


def test_where_nothing_is_known_nothing_is_broken() -> None:
    assert all(verdicts(NOTHING).values())


def test_more_fallbacks_than_forecasts_are_no_forecast() -> None:
    assert verdicts(NOTHING, fallback_rate=0.5)["fallback_share"]
    assert not verdicts(NOTHING, fallback_rate=0.51)["fallback_share"]


def _daily(mean: float | None, *, model: str = "pooled_ensemble", override_id: str | None = None) -> pl.DataFrame:
    days = [date(2025, 7, day) for day in range(1, 29)]
    frame = pl.DataFrame({"sku": "A", "location_id": "DC", "demand_date": days, "model": model})
    return frame.with_columns(
        *(pl.lit(mean, dtype=pl.Float64).alias(name) for name in ("statistical_mean_qty", "demand_p10_qty", "demand_p90_qty")),
        pl.lit(override_id, dtype=pl.String).alias("override_id"),
    )


def _history(days: int = 60, qty: float = 5.0) -> pl.DataFrame:
    return pl.DataFrame({"sku": ["A"] * days, "location_id": "DC", "demand_qty": qty, "is_censored": False})


def _recent(below: int, actual: float) -> pl.DataFrame:
    return pl.DataFrame([("A", "DC", 20, below, actual)], schema=RECENT.schema, orient="row")


def test_a_forecast_of_twice_the_record_is_broken_once_there_is_a_record() -> None:
    assert broken_series(_daily(10.1), _history(), RECENT)["reason"].to_list() == [
        "Broken: 10.1 a day ahead, and the most ever sold on one day is 5.0."
    ]
    assert broken_series(_daily(9.9), _history(), RECENT).is_empty()
    assert broken_series(_daily(10.1), _history(days=27), RECENT).is_empty()


def test_days_without_a_number_are_broken_and_a_series_without_a_model_is_not() -> None:
    assert broken_series(_daily(float("nan")), _history(), RECENT).height == 1
    assert broken_series(_daily(-1.0), _history(), RECENT).height == 1
    assert broken_series(_daily(None), _history(), RECENT).height == 1
    assert broken_series(_daily(None, model="none"), _history(), RECENT).is_empty()


def test_what_lies_below_its_band_and_is_forecast_on_is_broken() -> None:
    assert broken_series(_daily(4.0), _history(), _recent(11, 20.0)).height == 1
    assert broken_series(_daily(4.0), _history(), _recent(10, 20.0)).is_empty()
    assert broken_series(_daily(2.0), _history(), _recent(11, 20.0)).is_empty()  # the forecast has followed


def test_a_person_who_has_overridden_all_days_is_not_held_up() -> None:
    assert broken_series(_daily(100.0, override_id="o"), _history(), RECENT).is_empty()
