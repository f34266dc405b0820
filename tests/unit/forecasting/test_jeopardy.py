"""Probabilities of missed promises on drawn snapshots, whose true probability is known."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.jeopardy import LEAST_ORDERS, JeopardyModel, fit_jeopardy
from forecasting.jeopardy_rates import fit_miss_rates
from forecasting.jeopardy_scores import area_under_curve, calibration, hold_out, score_probabilities, score_rules

AS_OF = date(2026, 10, 31)
DAYS = 150


def draw_snapshots(count: int, *, seed: int) -> pl.DataFrame:
    """Snapshots of as many orders, each one evening; short goods and few days left make a miss likely."""
    draw = np.random.default_rng(seed)
    days_left, short = draw.integers(1, 8, count), np.where(draw.random(count) < 0.2, draw.integers(1, 5, count), 0)
    place = draw.integers(0, 2, count)
    odds = -2.5 - 0.4 * days_left + 3.0 * (short > 0) + 1.5 * place
    begun = np.sort(draw.integers(0, DAYS, count))
    rows = pl.DataFrame(
        {
            "order_id": [f"O-{number:05}" for number in range(count)],
            "snapshot_date": [AS_OF - timedelta(days=int(DAYS - day)) for day in begun],
            "days": days_left,
            "stage": draw.integers(1, 6, count),
            "stage_hours": draw.exponential(30.0, count),
            "working_days_left": days_left,
            "short_qty": short,
            "inbound_gap_days": np.where(short > 0, draw.integers(-5, 10, count), 0),
            "is_held": draw.random(count) < 0.05,
            "backlog_days": draw.uniform(0.5, 3.0, count),
            "intake_ratio": draw.uniform(0.5, 1.5, count),
            "lines_count": draw.integers(1, 6, count),
            "location_id": pl.Series(["NORTH", "SOUTH"]).gather(place),
            "channel_id": pl.Series(["web"] * count),
            "ship_to_region": pl.Series(["DE-BE"] * count),
            "carrier": pl.Series([None] * count, dtype=pl.String),
            "true_probability": 1 / (1 + np.exp(-odds)),
            "is_missed": draw.random(count) < 1 / (1 + np.exp(-odds)),
        }
    )
    return rows.with_columns(
        due_date=pl.col("snapshot_date") + pl.duration(days="days"),
        inbound_gap_days=pl.when(pl.col("short_qty") > 0).then("inbound_gap_days"),
    ).with_columns(is_missed=pl.when(pl.col("due_date") <= AS_OF).then("is_missed"))


@pytest.fixture(scope="module")
def snapshots() -> pl.DataFrame:
    return draw_snapshots(12_000, seed=5)


@pytest.fixture(scope="module")
def model(snapshots: pl.DataFrame) -> JeopardyModel:
    found = fit_jeopardy(snapshots, as_of=AS_OF)
    assert found is not None
    return found


def test_what_is_learned_lies_near_the_true_probability(model: JeopardyModel) -> None:
    fresh = draw_snapshots(5_000, seed=6)

    said = model.probability(fresh)

    assert model.basis == "learned"
    assert np.abs(said - fresh["true_probability"].to_numpy()).mean() < 0.03


@settings(max_examples=60, deadline=None)
@given(row=st.integers(0, 4_999), fewer=st.integers(0, 30), more=st.integers(0, 30), is_plain=st.booleans())
def test_a_probability_is_one_and_more_days_left_never_raise_it(
    model: JeopardyModel, snapshots: pl.DataFrame, row: int, fewer: int, more: int, *, is_plain: bool
) -> None:
    asked = pl.concat([snapshots[row]] * 2).with_columns(working_days_left=pl.Series([fewer, fewer + more], dtype=pl.Int64))

    soon, later = (model.rates if is_plain else model).probability(asked)

    assert 0.0 <= later <= soon <= 1.0


def test_a_promise_that_comes_due_after_the_last_known_day_changes_nothing(snapshots: pl.DataFrame) -> None:
    cutoff = AS_OF - timedelta(days=40)
    after = pl.col("due_date") > cutoff
    told = snapshots.with_columns(is_missed=pl.when(after).then(~pl.col("is_missed")).otherwise("is_missed"))

    with_the_future, without = fit_jeopardy(told, as_of=cutoff), fit_jeopardy(snapshots.filter(~after), as_of=cutoff)

    assert with_the_future is not None
    assert without is not None
    assert with_the_future.probability(snapshots).tolist() == without.probability(snapshots).tolist()


def test_the_same_snapshots_give_the_same_probabilities_to_the_last_digit(model: JeopardyModel, snapshots: pl.DataFrame) -> None:
    again = fit_jeopardy(snapshots, as_of=AS_OF)

    assert again is not None
    assert again.probability(snapshots).tobytes() == model.probability(snapshots).tobytes()


def test_few_promises_are_judged_by_plain_rates_that_say_why(snapshots: pl.DataFrame) -> None:
    found = fit_jeopardy(snapshots.head(300), as_of=AS_OF)

    assert found is not None
    assert found.basis == "rates"
    assert "300 orders came due" in (found.fallback_reason or "")


def test_of_hardly_any_promise_nothing_is_said(snapshots: pl.DataFrame) -> None:
    assert fit_jeopardy(snapshots.head(LEAST_ORDERS - 1), as_of=AS_OF) is None
    assert fit_jeopardy(snapshots.clear(), as_of=AS_OF) is None
    assert score_rules(
        hold_out(snapshots.clear(), as_of=AS_OF), snapshots.select("order_id", first_date="snapshot_date"), kind="ship"
    ).is_empty()


def test_every_window_is_judged_by_what_had_come_due_before_it(snapshots: pl.DataFrame) -> None:
    first = AS_OF - timedelta(days=56)
    spoilt = snapshots.with_columns(is_missed=pl.when(pl.col("due_date") > first).then(statement=True).otherwise("is_missed"))

    told, known = (
        hold_out(one, as_of=AS_OF).scored.filter(pl.col("window_from") == first + timedelta(days=1)) for one in (spoilt, snapshots)
    )

    both = told.join(known, on="order_id", suffix="_known")
    assert both.height > 500
    assert both["learned"].to_list() == both["learned_known"].to_list()


def test_what_was_said_is_what_came(snapshots: pl.DataFrame) -> None:
    held = hold_out(snapshots, as_of=AS_OF)

    bands = calibration(held).filter(pl.col("snapshots_count") > 150)

    assert held.is_learned_better
    assert bands.height >= 4
    assert (bands["said_rate"] - bands["missed_rate"]).abs().max() < 0.08  # type: ignore[operator]


def test_errors_of_probabilities_are_below_those_of_the_share_of_all(snapshots: pl.DataFrame) -> None:
    found = score_probabilities(hold_out(snapshots, as_of=AS_OF))

    total = found.filter(pl.col("window_from").is_null()).row(0, named=True)
    assert found.height == 5
    assert total["brier_score"] < total["plain_brier_score"] < total["base_brier_score"]
    assert total["auc"] > 0.8


def test_an_order_is_alerted_once_by_its_first_evening_over_the_threshold() -> None:
    evenings = pl.DataFrame(
        {
            "order_id": ["missed", "missed", "kept", "unseen"],
            "snapshot_date": [date(2026, 10, 20), date(2026, 10, 21), date(2026, 10, 20), date(2026, 10, 20)],
            "due_date": [date(2026, 10, 23), date(2026, 10, 23), date(2026, 10, 22), date(2026, 10, 22)],
            "stage": [3, 3, 2, 3],
            "is_missed": [True, True, False, True],
            "learned": [0.85, 0.95, 0.85, 0.05],
        }
    )
    held = hold_out(draw_snapshots(10, seed=1).clear(), as_of=AS_OF)
    window = {"window_from": pl.lit(date(2026, 10, 18)), "window_until": pl.lit(date(2026, 10, 31))}
    held = type(held)(evenings.with_columns(**window, plain=0.0, base=0.1), is_learned_better=True, brier_learned=0.0, brier_plain=0.1)

    found = score_rules(held, evenings.group_by("order_id").agg(first_date=pl.col("snapshot_date").min()), kind="ship")

    all_of_it = found.filter(pl.col("window_from").is_null())
    model = all_of_it.filter(pl.col("threshold") == 0.8).row(0, named=True)
    assert (model["alerts_count"], model["hits_count"], model["missed_orders_count"], model["lead_p50_hours"]) == (2, 1, 2, 72.0)
    assert (model["precision_rate"], model["recall_rate"], model["value_per_100_orders"]) == (0.5, 0.5, pytest.approx(100 * (2.5 - 2) / 3))
    assert all_of_it.filter(pl.col("rule") == "due_soon")["alerts_count"].to_list() == [0]


def test_the_area_under_the_curve_is_the_share_of_pairs_in_right_order() -> None:
    assert area_under_curve(np.array([0.9, 0.4, 0.6, 0.1]), np.array([True, True, False, False])) == 0.75
    assert area_under_curve(np.array([0.9, 0.4]), np.array([True, True])) is None


def test_rates_that_rise_with_the_days_left_are_pooled(snapshots: pl.DataFrame) -> None:
    alike = snapshots.head(400).with_columns(stage=3, stage_hours=1.0, short_qty=0, working_days_left=pl.Series([1, 5] * 200))
    turned = alike.with_columns(is_missed=(pl.col("working_days_left") == 5) & (pl.int_range(pl.len()) % 4 == 1))

    said = fit_miss_rates(turned, np.ones(400)).probability(turned)

    assert said[0] == said[1] == pytest.approx(0.25, abs=0.01)
