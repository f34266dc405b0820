"""Every kind of alert rule fires on what it is for, and stays silent on what only looks like it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.alerts.findings import discoveries
from pipelines.alerts.item_rules import jeopardy_findings, return_findings, stock_out_findings, supplier_findings
from pipelines.alerts.metric_rules import anomaly_findings, change_findings, threshold_findings
from pipelines.alerts.platform_rules import drift_findings, late_findings
from pipelines.alerts.rules import KINDS, AlertRule, checked_rule, row_of, rule_of
from pipelines.errors import AlertError
from pipelines.stores.metrics_catalogue import Measure, Metric
from pipelines.stores.metrics_values import MetricValue

AS_OF = date(2026, 10, 31)
NOW = datetime(2026, 11, 1, 6)


def rule(kind: str, **parameters: Any) -> AlertRule:
    return checked_rule(
        AlertRule(
            rule_id="a-rule", version=1, kind=kind, parameters=parameters, owner="team", due_hours=24, quiet_hours=36, severity="medium",
            is_told=False, is_enabled=True,
        )
    )  # fmt: skip


def value(amount: float | None, **facts: Any) -> MetricValue:
    usual = {
        "name": "fill", "label": "Fill rate", "value": amount, "numerator": None, "denominator": None, "n": 100, "unit": "percent",
        "currency_code": None, "better": "higher", "target": None, "status": "no_target", "prior": None, "change": None, "as_of": AS_OF,
        "period_from": AS_OF - timedelta(days=27), "period_to": AS_OF,
    }  # fmt: skip
    return MetricValue(**usual | facts)


def metric(unit: Any, *, is_ratio: bool = False) -> Metric:
    return Metric(
        name="m", label="M", description="", unit=unit, better="higher", target=None, watch_band=0.0, owner="o", needs=(), schema="marts",
        table="t", time_column="d", where="", numerator=Measure("sum", "x"), denominator=Measure("sum", "y") if is_ratio else None,
        dimensions={},
    )  # fmt: skip


def course(amounts: list[float], *, n: int = 100) -> pl.DataFrame:
    """A value a day, the last of them on the as-of day."""
    days = [AS_OF - timedelta(days=back) for back in reversed(range(len(amounts)))]
    return pl.DataFrame({"metric_date": days, "value": amounts, "n": [n] * len(amounts)}, schema_overrides={"value": pl.Float64})


def test_a_threshold_names_the_members_beyond_it_and_no_others() -> None:
    values = [value(0.91, dimension="channel", member="web"), value(0.97, dimension="channel", member="shop")]

    found = threshold_findings(rule("threshold", metric="fill", by="channel", below=0.95), values).found

    assert [one.subject for one in found] == ["metric:fill|channel=web"]
    assert "91.0%" in found[0].detail
    assert "95.0%" in found[0].detail


def test_a_threshold_without_a_limit_holds_the_target_and_lets_its_watch_band_be() -> None:
    asked = rule("threshold", metric="fill")

    silent = threshold_findings(asked, [value(0.94, target=0.95, status="watch")])
    found = threshold_findings(asked, [value(0.80, target=0.95, status="off_target")])

    assert (len(silent.found), len(found.found)) == (0, 1)


def test_a_threshold_on_too_few_rows_says_nothing() -> None:
    found = threshold_findings(rule("threshold", metric="fill", below=0.95, least_rows=50), [value(0.2, n=49), value(0.99, member="web")])

    assert found.found == []
    assert found.unjudged == {"metric:fill"}


def test_a_change_without_a_period_before_or_on_too_few_rows_cannot_be_judged() -> None:
    asked = rule("change", metric="fill", rise=0.5, least_rows=50)
    members = [
        value(0.2, n=49, prior=0.1, dimension="channel", member="few"),
        value(None, status="no_data", n=0, dimension="channel", member="none"),
        value(0.2, prior=None, dimension="channel", member="new"),
        value(0.2, prior=0.0, dimension="channel", member="from-nothing"),
        value(0.2, prior=0.19, dimension="channel", member="usual"),
    ]

    found = change_findings(asked, members)

    assert found.found == []
    assert found.unjudged == {f"metric:fill|channel={name}" for name in ("few", "none", "new", "from-nothing")}


def test_a_day_without_a_value_or_with_too_few_weeks_before_it_cannot_be_judged() -> None:
    asked, share = rule("anomaly", metric="m"), metric("percent", is_ratio=True)
    silent = course([0.1] * 69 + [0.9]).with_columns(
        pl.when(pl.col("metric_date") == AS_OF).then(None).otherwise(pl.col("value")).alias("value")
    )

    found = [anomaly_findings(asked, share, days, on=AS_OF, currency_code=None) for days in (silent, course([0.1] * 34 + [0.9]))]

    assert [(one.found, one.unjudged) for one in found] == [((), {"metric:m"})] * 2


def test_a_metric_that_is_not_available_raises_nothing_and_says_what_it_needs() -> None:
    missing = value(None, status="not_available", note="not available: needs shipments.shipped_at")

    found = threshold_findings(rule("threshold", metric="fill", below=0.95), [missing])

    assert (found.found, found.not_available) == ((), "not available: needs shipments.shipped_at")


@pytest.mark.parametrize(("amount", "prior", "count"), [(0.16, 0.10, 1), (0.14, 0.10, 0), (0.16, 0.0, 0), (0.04, 0.10, 0)])
def test_a_change_is_a_share_of_the_value_before_and_from_nothing_it_is_none(amount: float, prior: float, count: int) -> None:
    found = change_findings(rule("change", metric="fill", rise=0.5), [value(amount, prior=prior)])

    assert len(found.found) == count


def test_an_absolute_fall_of_money_is_at_stake_in_full() -> None:
    fell = value(900.0, prior=1500.0, unit="money", currency_code="EUR")

    (found,) = change_findings(rule("change", metric="fill", fall=500, measure="absolute"), [fell]).found

    assert found.expected_amount == Decimal("600.00")
    assert "EUR 900.00" in found.detail


def test_a_day_unlike_its_weekdays_is_found_though_other_weekdays_are_like_it() -> None:
    amounts = [1000.0 + day % 7 * 300 + day % 5 for day in range(70)]
    usual = anomaly_findings(rule("anomaly", metric="m"), metric("money"), course(amounts), on=AS_OF, currency_code="EUR")
    amounts[-1] = 1001.0 if amounts[-1] > 1500 else 2800.0

    (found,) = anomaly_findings(rule("anomaly", metric="m"), metric("money"), course(amounts), on=AS_OF, currency_code="EUR").found

    assert usual.found == ()
    assert abs(found.evidence["score"]) > 3.5


@pytest.mark.parametrize(("last", "count"), [(2.0, 0), (9.0, 1)])
def test_a_few_after_days_of_none_are_chance_and_many_are_not(last: float, count: int) -> None:
    amounts = [0.0] * 69 + [last]

    found = anomaly_findings(rule("anomaly", metric="m"), metric("count"), course(amounts), on=AS_OF, currency_code=None)

    assert len(found.found) == count


def test_a_share_of_few_orders_is_no_anomaly() -> None:
    amounts = [0.02, 0.03] * 35
    amounts[-1] = 0.12

    few = anomaly_findings(
        rule("anomaly", metric="m"), metric("percent", is_ratio=True), course(amounts, n=8), on=AS_OF, currency_code=None
    )
    many = anomaly_findings(
        rule("anomaly", metric="m"), metric("percent", is_ratio=True), course(amounts, n=9000), on=AS_OF, currency_code=None
    )

    assert (len(few.found), len(many.found)) == (0, 1)


def test_a_course_shorter_than_five_weeks_is_not_judged() -> None:
    found = anomaly_findings(rule("anomaly", metric="m"), metric("count"), course([0.0] * 34 + [99.0]), on=AS_OF, currency_code=None)

    assert (found.found, found.not_available) == ((), None)


def stock(**facts: Any) -> pl.DataFrame:
    row = {
        "sku": "A", "location_id": "L", "receipt_date": AS_OF + timedelta(days=20), "out_10_date": AS_OF + timedelta(days=5),
        "out_50_date": AS_OF + timedelta(days=9), "out_90_date": None, "missed_qty": 12.0, "margin_amount": 5.0,
    }  # fmt: skip
    dates = dict.fromkeys(("receipt_date", "out_10_date", "out_50_date", "out_90_date"), pl.Date)
    return pl.DataFrame([row | facts], schema_overrides=dates)


def test_a_run_out_before_the_receipt_is_worth_its_chance_of_the_margin_missed() -> None:
    (found,) = stock_out_findings(rule("stock_out"), stock(), as_of=AS_OF).found

    assert (found.subject, found.probability, found.expected_amount) == ("item:A@L", 0.5, Decimal("30.00"))
    assert (found.judged_after, found.day) == (AS_OF + timedelta(days=20), AS_OF + timedelta(days=9))


@pytest.mark.parametrize(
    ("told", "facts"),
    [({"probability": 0.6}, {}), ({"days": 8}, {}), ({"least_amount": 61}, {}), ({}, {"out_50_date": None})],
)
def test_a_run_out_that_is_unlikely_far_off_or_worth_little_is_left_out(told: dict[str, Any], facts: dict[str, Any]) -> None:
    assert stock_out_findings(rule("stock_out", **told), stock(**facts), as_of=AS_OF).found == []


def test_orders_in_jeopardy_go_to_whom_the_model_names() -> None:
    orders = pl.DataFrame({
        "order_id": ["O-1", "O-2"], "promise_kind": ["ship", "ship"], "miss_probability": [0.8, 0.4], "promised_date": [AS_OF, AS_OF],
        "reason": ["No stock", None], "reason_code": ["stock", None], "owner": ["purchasing", None], "net_amount": [120.0, 900.0],
    })  # fmt: skip

    (found,) = jeopardy_findings(rule("order_jeopardy", probability=0.5), orders).found

    assert (found.subject, found.owner, found.expected_amount) == ("order:O-1", "purchasing", Decimal("96.00"))
    assert (found.judged_after, found.day, found.promise_kind) == (AS_OF, AS_OF, "ship")
    assert found.detail.endswith("with a chance of 80%: No stock.")


def test_an_order_that_has_missed_its_promise_raises_nothing_new_and_says_what_it_missed() -> None:
    orders = pl.DataFrame({
        "order_id": ["O-1"], "promise_kind": ["broken"], "miss_probability": [1.0], "promised_date": [AS_OF], "reason": ["Payment is held."],
        "reason_code": ["payment_hold"], "owner": ["payments"], "net_amount": [120.0],
    })  # fmt: skip

    (found,) = jeopardy_findings(rule("order_jeopardy"), orders).found

    assert (found.raises, found.probability, found.expected_amount) == (False, None, Decimal(120))
    assert found.detail == "Order O-1 has missed its promise of 2026-10-31: Payment is held."


def returns(now: float, shipped: float, *, others: int = 200) -> pl.DataFrame:
    """One item beside others that come back at one in twenty."""
    rows = [{"sku": f"S{i}", "returned_qty": 5.0, "shipped_qty": 100.0, "past_returned_qty": 60.0, "past_shipped_qty": 1200.0,
             "refund_amount": 10.0} for i in range(others)]  # fmt: skip
    return pl.DataFrame([*rows, rows[0] | {"sku": "X", "returned_qty": now, "shipped_qty": shipped}])


def test_returns_far_beyond_an_items_own_rate_are_found_among_many_items() -> None:
    (found,) = return_findings(rule("return_spike"), returns(25, 100)).found

    assert found.subject == "returns:X"
    assert found.expected_amount == pytest.approx(Decimal(200), abs=1)


def test_a_new_item_begins_at_the_shops_rate() -> None:
    items = returns(30, 40).with_columns(
        pl.when(pl.col("sku") == "X").then(0.0).otherwise(pl.col(name)).alias(name) for name in ("past_returned_qty", "past_shipped_qty")
    )

    (found,) = return_findings(rule("return_spike"), items).found

    assert found.evidence["usual_qty"] == pytest.approx(2.0)


@pytest.mark.parametrize(("now", "shipped"), [(11, 100), (4, 4), (25, 400)])
def test_returns_that_many_items_make_likely_or_many_sales_explain_are_not_named(now: float, shipped: float) -> None:
    assert return_findings(rule("return_spike"), returns(now, shipped)).found == []


def suppliers(**facts: Any) -> pl.DataFrame:
    row = {"supplier_id": "S", "late_lines": 0, "late_qty": 0, "late_amount": None, "oldest_date": None, "lines": 40, "on_time_lines": 34,
           "past_lines": 400, "past_on_time_lines": 350}  # fmt: skip
    return pl.DataFrame([row | facts], schema_overrides={"oldest_date": pl.Date, "late_amount": pl.Float64})


def test_late_lines_are_named_with_the_oldest_and_what_they_cost() -> None:
    late = suppliers(late_lines=3, late_qty=60, late_amount=512.5, oldest_date=AS_OF - timedelta(days=9))

    (found,) = supplier_findings(rule("supplier_late"), late, as_of=AS_OF).found

    assert (found.subject, found.expected_amount) == ("supplier:S|late", Decimal("512.5"))
    assert "the oldest by 9 days" in found.detail


@pytest.mark.parametrize(("on_time", "lines", "count"), [(34, 40, 0), (20, 40, 1), (1, 2, 0)])
def test_a_fallen_share_on_time_is_named_where_chance_does_not_explain_it(on_time: int, lines: int, count: int) -> None:
    found = supplier_findings(rule("supplier_late"), suppliers(on_time_lines=on_time, lines=lines), as_of=AS_OF)

    assert [one.subject for one in found.found] == ["supplier:S|on-time"] * count


def test_failed_checks_and_biased_classes_are_drift() -> None:
    checks = pl.DataFrame({"check_name": ["bias_drift", "fallback_share"], "is_passed": [False, True], "measured_rate": [0.5, 0.0],
                           "limit_rate": [0.3, 0.5], "reason": ["Forecasts are 50 % too high", None]})  # fmt: skip
    classes = pl.DataFrame({"class_kind": ["volume"] * 3, "class_name": ["A", "B", "C"], "actual_qty": [9e3, 9e3, 5.0],
                            "bias_rate": [-0.4, 0.1, 3.0]})  # fmt: skip

    found = drift_findings(rule("forecast_drift"), checks, classes).found

    assert [one.subject for one in found] == ["forecast:bias_drift", "forecast:bias|volume=A"]
    assert "40% too low" in found[1].detail


def late(**facts: Any) -> list[str]:
    usual: dict[str, Any] = {
        "now": NOW, "published_at": NOW - timedelta(hours=2), "changes": {"orders": NOW - timedelta(hours=3)}, "pauses": {"orders": 1, "shipments": 3}, "as_of": AS_OF,
        "forecast_from": AS_OF + timedelta(days=1),
    }  # fmt: skip
    return [one.subject for one in late_findings(rule("data_late"), **usual | facts).found]


def test_what_is_fresh_is_not_late() -> None:
    assert late() == []


@pytest.mark.parametrize(
    ("facts", "subject"),
    [
        ({"published_at": NOW - timedelta(hours=27)}, "release"),
        ({"changes": {"orders": NOW - timedelta(days=3), "products": None}}, "source"),
        ({"forecast_from": AS_OF - timedelta(days=3)}, "forecasts"),
        ({"changes": {"orders": NOW - timedelta(hours=27), "products": NOW}}, "source:orders"),
        ({"changes": {"orders": NOW, "shipments": NOW - timedelta(hours=75)}}, "source:shipments"),
    ],
)
def test_a_release_a_source_and_forecasts_are_late_each_by_itself(facts: dict[str, Any], subject: str) -> None:
    assert late(**facts) == [subject]


def test_a_table_is_silent_for_its_usual_pause_and_one_without_a_rhythm_for_ever() -> None:
    assert late(changes={"orders": NOW, "shipments": NOW - timedelta(hours=73), "products": NOW - timedelta(days=40)}) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.001, 0.5))
def test_discoveries_are_the_smallest_and_more_where_more_may_be_chance(p_values: list[float], rate: float) -> None:
    named = discoveries(p_values, false_discovery=rate)
    more = discoveries(p_values, false_discovery=min(1.0, rate * 2))

    worst = max((p for p, is_named in zip(p_values, named, strict=True) if is_named), default=-1.0)
    assert all(is_named for p, is_named in zip(p_values, named, strict=True) if p <= worst)
    assert all(after for before, after in zip(named, more, strict=True) if before)


def test_it_reproduces_the_example_of_benjamini_and_hochberg() -> None:
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]

    assert discoveries(p_values, false_discovery=0.05) == [True] * 4 + [False] * 11


@pytest.mark.parametrize(
    ("kind", "parameters", "said"),
    [
        ("treshold", {}, "did you mean 'threshold'"),
        ("threshold", {}, "needs metric"),
        ("threshold", {"metric": "fill", "day": 7}, "did you mean 'days'"),
        ("threshold", {"metric": "fill", "days": 7.5}, "a whole number from 1 to 366"),
        ("threshold", {"metric": "fill", "below": "nan"}, "a number from"),
        ("threshold", {"metric": "fill", "where": "web"}, "dimension=member"),
        ("change", {"metric": "fill"}, "needs rise or fall"),
        ("anomaly", {"metric": "fill", "direction": "left"}, "one of both, up, down"),
        ("run_failed", {"days": 1}, "it takes no parameter"),
    ],
)
def test_a_rule_that_cannot_hold_is_refused_with_what_it_can_be(kind: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(AlertError, match=said):
        rule(kind, **parameters)


def test_a_rule_is_the_same_after_it_was_stored() -> None:
    stored = replace(rule("change", metric="fill", rise="0.5"), created_at=NOW)

    assert rule_of(row_of(stored)) == stored
    assert stored.parameters["rise"] == 0.5


def test_every_default_lies_within_what_may_be_told() -> None:
    known = [one for _, parameters in KINDS.values() for one in parameters.values() if isinstance(one.default, float | int)]

    assert all(one.least is not None and one.most is not None and one.least <= one.default <= one.most for one in known)  # type: ignore[operator]
