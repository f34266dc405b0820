"""Every way a panel can be wrong has one result, the same through every door."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting import backtest, forecast, lead_time_demand
from forecasting.mending import mend_panel

if TYPE_CHECKING:
    from conftest import PanelOf

DAYS = 84
STEADY = np.tile([3.0, 4.0, 5.0, 4.0, 3.0, 6.0, 2.0], DAYS // 7) + np.random.default_rng(2).integers(-2, 3, DAYS)


def of(values: Any, *, sku: str | None = "bad") -> pl.DataFrame:
    first = date(2024, 1, 1)
    return pl.DataFrame(
        {
            "sku": pl.Series([sku] * len(values), dtype=pl.String),
            "location_id": "main",
            "demand_date": [first + timedelta(days=day) for day in range(len(values))],
            "demand_qty": pl.Series(list(values), dtype=pl.Float64),
            "is_censored": pl.Series([False] * len(values), dtype=pl.Boolean),
        }
    )


def with_value(place: int, value: float | None) -> pl.DataFrame:
    values: list[float | None] = STEADY.tolist()
    values[place] = value
    return of(values)


GOOD = of(STEADY, sku="good")
DAY_10 = pl.col("demand_date") == date(2024, 1, 11)
# what is wrong with one series, what its forecast is (None: none), and what its reason says
FAILURES: dict[str, tuple[pl.DataFrame, float | None, str]] = {
    "too short": (of(STEADY[:5]).with_columns(pl.col("demand_date") + pl.duration(days=DAYS - 5)), 3.8, "5 days"),
    "one observation": (of([2.0]).with_columns(pl.col("demand_date") + pl.duration(days=DAYS - 1)), 3.9, "1 day"),
    "all zero": (of(np.zeros(DAYS)), 0.0, "nothing was sold in 84 days in stock: zero"),
    "constant": (of(np.full(DAYS, 4.0)), 4.0, "demand was the same in all 84 days"),
    "all censored": (of(STEADY).with_columns(is_censored=pl.lit(True)), None, "no day in stock"),
    "one huge outlier": (with_value(40, 80_995.0), 3.9, "count as"),
    "negative": (with_value(40, -9.0), 3.9, "1 quantities are below zero: unknown, returns are not negative demand"),
    "repeated date": (pl.concat([of(STEADY), of(STEADY).filter(DAY_10)]), 3.9, "1 rows repeat a day: added up"),
    "missing dates": (of(STEADY).filter(~DAY_10), 3.9, "1 days are missing: unknown"),
    "not a number": (with_value(40, math.nan), 3.9, "1 quantities are missing or not finite: unknown"),
    "infinite": (with_value(40, math.inf), 3.9, "1 quantities are missing or not finite: unknown"),
    "null quantity": (with_value(40, None), 3.9, "1 quantities are missing or not finite: unknown"),
    "null date": (of(STEADY).with_columns(pl.when(DAY_10).then(None).otherwise("demand_date").alias("demand_date")), 3.9, "1 rows lack a date: left out"),
    "stray date": (pl.concat([of(STEADY), of([9.0]).with_columns(demand_date=pl.date(2034, 3, 1))]), 3.9, "1 rows lie more than a year from nearly all others: left out"),
    "ancient date": (pl.concat([of(STEADY), of([9.0]).with_columns(demand_date=pl.date(1900, 1, 1))]), 3.9, "1 rows lie more than a year"),
    "null mark": (of(STEADY).with_columns(pl.when(~DAY_10).then("is_censored").alias("is_censored")), 3.9, "1 rows lack is_censored: taken as in stock"),
    "null key": (of(STEADY, sku=None), None, "84 rows lack sku or location_id"),
    "ended before the panel": (of(STEADY[:70]), 3.9, "ends with 2024-03-10, before the panel does"),
}  # fmt: skip


def own(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("sku").ne_missing("good"))


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("model", ["auto", "seasonal_naive"])
def test_a_bad_series_has_its_forecast_and_reason_and_changes_no_other(failure: str, model: Any) -> None:
    bad, mean, reason = FAILURES[failure]

    result = forecast(pl.concat([GOOD, bad]), horizon=7, frequency="daily", model=model).frame

    assert result.filter(pl.col("sku") == "good")["fallback_reason"].null_count() == 7
    assert result.filter(pl.col("sku") == "good")["demand_mean_qty"].is_finite().all()
    assert own(result).height == 7
    told = own(result)["fallback_reason"][0] or ""
    assert reason in told or (model == "seasonal_naive" and failure in {"too short", "one observation"})
    if mean is None:
        assert own(result)["model"].unique().to_list() == ["none"]
        assert own(result)["demand_mean_qty"].null_count() == 7
    elif model == "auto":
        assert own(result)["demand_mean_qty"].mean() == pytest.approx(mean, rel=0.5)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_bad_series_has_its_lead_time_demand_and_reason(failure: str) -> None:
    bad, mean, reason = FAILURES[failure]

    row = own(lead_time_demand(pl.concat([GOOD, bad]), periods=7, frequency="daily").frame).row(0, named=True)

    assert reason in row["fallback_reason"]
    assert (row["demand_mean_qty"] is None) == (mean is None)
    assert mean is None or row["demand_p90_qty"] >= row["demand_p50_qty"] >= 0


@pytest.mark.parametrize("failure", FAILURES)
def test_a_bad_series_is_in_the_backtest_with_its_reason(failure: str) -> None:
    bad, _, reason = FAILURES[failure]

    result = backtest(pl.concat([GOOD, bad]), horizon=7, frequency="daily", windows=2)

    assert own(result.series_scores).height == 2
    told = own(result.series_scores.filter(pl.col("model") != "seasonal_naive"))["fallback_reason"][0]
    if failure in {"too short", "one observation"}:
        assert "no day in stock" in told
    elif failure in {"all zero", "constant"}:
        assert reason.replace("84", "77") in told
    else:
        assert reason in told
    assert result.series_scores.filter(pl.col("sku") == "good")["wape_rate"].is_not_null().all()


@pytest.mark.parametrize("failure", FAILURES)
def test_a_bad_series_alone_is_forecast_as_well(failure: str) -> None:
    bad, mean, reason = FAILURES[failure]

    result = forecast(bad, horizon=3, frequency="daily").frame

    assert result["demand_mean_qty"].null_count() == (3 if mean is None else 0)
    if failure != "ended before the panel":
        assert reason in result["fallback_reason"][0]


@pytest.mark.parametrize("year", [2034, 2124, 9999])
def test_one_stray_date_moves_no_other_forecast_and_no_date(panel_of: PanelOf, year: int) -> None:
    panel = panel_of(np.tile(STEADY, (6, 1)))
    stray = panel[:1].with_columns(demand_date=pl.date(year, 6, 1))

    alone = forecast(panel, horizon=7, frequency="daily").frame
    beside = forecast(pl.concat([panel, stray]), horizon=7, frequency="daily").frame

    assert beside.drop("fallback_reason").equals(alone.drop("fallback_reason"))
    assert beside["fallback_reason"].drop_nulls().unique().to_list() == ["1 rows lie more than a year from nearly all others: left out"]


@pytest.mark.parametrize(("frequency", "every"), [("daily", "1d"), ("weekly", "1w"), ("monthly", "1mo")])
def test_a_stray_date_is_left_out_of_weeks_and_months_too(frequency: Any, every: str) -> None:
    dates = pl.date_range(date(2020, 1, 1), date(2026, 1, 1), interval=every, eager=True)[:60]
    panel = of(np.arange(60.0)).with_columns(demand_date=dates)
    stray = panel[:1].with_columns(demand_date=dates[0].replace(year=2052))

    mended, notes = mend_panel(pl.concat([panel, stray]), frequency=frequency)

    assert mended.equals(panel)
    assert notes["note"].to_list() == ["1 rows lie more than a year from nearly all others: left out"]


def test_a_series_with_nothing_but_stray_dates_has_no_forecast_and_a_reason() -> None:
    stray = of([9.0, 8.0]).with_columns(demand_date=pl.Series([date(9999, 12, 30), date(9999, 12, 31)]))

    frame = forecast(pl.concat([GOOD, stray]), horizon=7, frequency="daily").frame

    assert own(frame)["model"].unique().to_list() == ["none"]
    assert own(frame)["demand_date"].max() == date(2024, 1, 1) + timedelta(days=DAYS + 6)
    assert own(frame)["fallback_reason"][0].startswith("2 rows lie more than a year from nearly all others: left out")
    assert "repeat" not in own(frame)["fallback_reason"][0]


def test_dates_that_hardly_any_series_reach_are_stray_however_many_rows_carry_them(panel_of: PanelOf) -> None:
    panel = panel_of(np.ones((300, 30)))
    later = of(np.ones(80), sku="s000").with_columns(pl.col("demand_date") + pl.duration(days=30 + 400))

    few, _ = mend_panel(pl.concat([panel, later]), frequency="daily")
    enough, _ = mend_panel(pl.concat([panel, *(later.with_columns(sku=pl.lit(f"s00{number}")) for number in range(3))]), frequency="daily")

    assert few.equals(panel)
    assert enough["demand_date"].max() == later["demand_date"].max()


def test_sales_after_a_year_without_any_are_no_stray_dates() -> None:
    reopened = of(np.ones(90)).with_columns(pl.col("demand_date") + pl.duration(days=DAYS + 500))

    mended, notes = mend_panel(pl.concat([of(STEADY), reopened]), frequency="daily")

    assert mended["demand_date"].max() == date(2024, 1, 1) + timedelta(days=DAYS + 500 + 89)
    assert notes["note"].to_list() == ["500 days are missing: unknown (pass zeros where nothing was sold)"]


def test_an_outlier_is_known_only_once_it_has_come(panel_of: PanelOf) -> None:
    demand = STEADY.copy()
    demand[80] = 80_995.0

    result = backtest(panel_of(demand), horizon=7, frequency="daily", windows=2)

    assert result.frame["actual_qty"].max() == 80_995.0
    assert result.series_scores["fallback_reason"].null_count() == 2


def test_a_good_panel_comes_back_as_it_is_without_a_note(panel_of: PanelOf) -> None:
    panel = panel_of(np.ones((3, 20)))

    mended, notes = mend_panel(panel.sample(fraction=1.0, shuffle=True, seed=1), frequency="daily")

    assert mended.equals(panel)
    assert notes.is_empty()


@pytest.mark.parametrize("rounding", [7e-304, 1e-12, -1e-12])
def test_what_only_the_rounding_of_a_sum_left_is_nothing_sold_and_no_note(rounding: float) -> None:
    mended, notes = mend_panel(with_value(10, rounding), frequency="daily")

    assert mended.filter(DAY_10)["demand_qty"].item() == 0.0
    assert notes.is_empty()


def test_weeks_keep_the_weekday_they_begin_on_and_stray_dates_are_counted_in_their_week() -> None:
    sundays = [date(2024, 1, 7) + timedelta(days=7 * week) for week in range(6)]
    panel = of(np.ones(6)).with_columns(demand_date=pl.Series([*sundays[:5], sundays[5] + timedelta(days=3)]))

    mended, notes = mend_panel(panel, frequency="weekly")

    assert mended["demand_date"].to_list() == sundays
    assert notes["note"].to_list() == ["1 rows are not on a week's first day: counted in the week they lie in"]


@pytest.mark.parametrize(
    ("frequency", "hint"), [("weekly", "72 of 84 dates are no week's first day"), ("monthly", "81 of 84 dates are no month's")]
)
def test_days_are_refused_as_weeks_or_months(frequency: Any, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        mend_panel(GOOD, frequency=frequency)


quantities = st.one_of(st.none(), st.just(math.nan), st.just(-math.inf), st.floats(-5, 50))
rows_of_panels = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.one_of(st.none(), st.integers(0, 12)), quantities, st.sampled_from([True, False, None])),
    min_size=1, max_size=40,
).filter(lambda rows: any(row[1] is not None for row in rows))  # fmt: skip


def panel_from(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (sku, "main", None if day is None else date(2024, 1, 1) + timedelta(days=day), quantity, mark)
            for sku, day, quantity, mark in rows
        ],
        schema={"sku": pl.String, "location_id": pl.String, "demand_date": pl.Date, "demand_qty": pl.Float64, "is_censored": pl.Boolean},
        orient="row",
    )


@given(rows_of_panels)
def test_any_rows_become_a_whole_panel_and_mending_twice_changes_nothing(rows: list[tuple[Any, ...]]) -> None:
    mended, _ = mend_panel(panel_from(rows), frequency="daily")

    assert mended.select("demand_date", "demand_qty", "is_censored").null_count().sum_horizontal().item() == 0
    assert (mended["demand_qty"].is_finite() & (mended["demand_qty"] >= 0)).all()
    for _, series in mended.group_by("sku", "location_id"):
        days = series["demand_date"].to_list()
        assert days == [days[0] + timedelta(days=number) for number in range(len(days))]
    named = mended.filter(pl.col("sku").is_not_null())
    assert mend_panel(named, frequency="daily")[0].equals(named) if named.height else True


@given(rows_of_panels, st.randoms(use_true_random=False))
def test_mending_does_not_depend_on_the_order_of_rows(rows: list[tuple[Any, ...]], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)

    mended, notes = mend_panel(panel_from(rows), frequency="daily")
    again, same = mend_panel(panel_from(shuffled), frequency="daily")

    assert mended["demand_qty"].to_list() == pytest.approx(again["demand_qty"].to_list())
    assert mended.drop("demand_qty").equals(again.drop("demand_qty"))
    assert notes.equals(same)
