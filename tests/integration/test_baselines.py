"""Baselines: frozen once, and compared with as many days after."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest

from pipelines.errors import MetricError
from pipelines.stores.baselines import freeze, list_baselines, read_baseline, review
from pipelines.stores.metrics import catalogue_from_manifest, evaluate
from tests.unit.test_metrics_language import manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.stores.operational import OperationalStore

CATALOGUE = {
    name: metric
    for name, metric in catalogue_from_manifest(manifest()).items()
    if name in {"order_count", "cancellation_rate", "average_order_value"}
}
DISTINCT = {"customer_count": catalogue_from_manifest(manifest())["customer_count"]}
END = date(2024, 1, 30)


@pytest.fixture
def conn() -> Iterator[duckdb.DuckDBPyConnection]:
    """Thirty days of one order a day, of which every third is cancelled; then two a day, of which every sixth is."""
    with duckdb.connect(":memory:") as memory:
        memory.execute("create schema marts; create schema meta")
        memory.execute("create table meta.run_context as select ?::date as as_of_date, 'EUR' as currency_code", [END + timedelta(days=72)])
        memory.execute("create table meta.source_fields (table_name text, field_name text, is_present boolean)")
        memory.execute("create table marts.fct_losses (lost_date date)")
        memory.execute(
            "create table marts.fct_orders as "
            "select date '2024-01-01' + i::int as ordered_date, 'o' as order_id, 'k' || i % 20 as customer, i % 3 = 0 as is_cancelled, 1000::bigint as net_reporting_amount from range(30) r(i) "
            "union all select date '2024-01-31' + (i // 2)::int, 'o', 'k' || i % 40, i % 6 = 0, 1500 from range(144) r(i)"
        )
        yield memory


def test_a_review_compares_like_with_like_and_says_what_has_not_come_yet(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    values = evaluate(conn, CATALOGUE, list(CATALOGUE), since=date(2024, 1, 1), until=END)

    frozen = freeze(store, "before", values, release_id="r1")
    after_60 = {one.name: one for one in review(conn, CATALOGUE, read_baseline(store, "before"), days=60)}
    after_90 = review(conn, CATALOGUE, read_baseline(store, "before"), days=90)

    assert frozen == 3
    count, rate, amount = after_60["order_count"], after_60["cancellation_rate"], after_60["average_order_value"]
    assert (count.before, count.n_before, count.after, count.change, count.verdict) == (60.0, 30, 120.0, 60.0, "better")
    assert (round(rate.before, 4), round(rate.after or 0, 4), rate.n_after, rate.verdict) == (0.3333, 0.1667, 120, "better")
    assert (amount.before, amount.after, amount.currency_code, amount.verdict) == (10.0, 15.0, "EUR", "better")
    assert {(one.verdict, one.after, one.note) for one in after_90} == {("not_yet", None, "not yet: 72 of 90 days have passed")}


def test_people_counted_once_are_compared_only_over_as_many_days_as_were_frozen(
    store: OperationalStore, conn: duckdb.DuckDBPyConnection
) -> None:
    freeze(store, "before", evaluate(conn, DISTINCT, list(DISTINCT), since=date(2024, 1, 1), until=END), release_id="r1")

    (longer,) = review(conn, DISTINCT, read_baseline(store, "before"), days=60)
    (as_long,) = review(conn, DISTINCT, read_baseline(store, "before"), days=30)

    assert (longer.verdict, longer.before, longer.after) == ("not_compared", 20.0, None)
    assert longer.note == "not compared: 60 days cannot be held against 30, it does not grow in step with the days; review --days 30"
    assert (as_long.verdict, as_long.before, as_long.after) == ("better", 20.0, 40.0)


@pytest.mark.parametrize(("band", "verdict"), [(27.9, "better"), (28.1, "same")])
def test_a_change_within_the_watch_band_is_about_the_same(
    store: OperationalStore, conn: duckdb.DuckDBPyConnection, band: float, verdict: str
) -> None:
    """Thirty orders become sixty; the band of a sum is for 28 days, so 28 of it are 30 in 30 days."""
    known = {"order_count": replace(CATALOGUE["order_count"], watch_band=band)}
    freeze(store, "before", evaluate(conn, known, list(known), since=date(2024, 1, 1), until=END), release_id="r1")

    (one,) = review(conn, known, read_baseline(store, "before"), days=30)

    assert (one.before, one.after, one.verdict) == (30.0, 60.0, verdict)


@pytest.mark.parametrize(("extra", "verdict"), [(1, "same"), (-1, "same"), (2, "better"), (-2, "worse")])
def test_without_a_watch_band_less_than_one_percent_is_about_the_same(
    store: OperationalStore, conn: duckdb.DuckDBPyConnection, extra: int, verdict: str
) -> None:
    known = {"order_count": replace(CATALOGUE["order_count"], watch_band=0.0)}
    conn.execute("create or replace table marts.fct_orders as select ?::date as ordered_date, 'o' as order_id from range(150)", [END])
    conn.execute("insert into marts.fct_orders select ?::date, 'o' from range(?)", [END + timedelta(days=1), 150 + extra])
    freeze(store, "before", evaluate(conn, known, list(known), since=END, until=END), release_id="r1")

    (one,) = review(conn, known, read_baseline(store, "before"), days=1)

    assert (one.change, one.verdict) == (extra, verdict)


def test_what_grows_with_age_is_never_reviewed(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    known = {"cancellation_rate": replace(CATALOGUE["cancellation_rate"], grows_with_age="see the cohorts")}
    freeze(store, "before", evaluate(conn, known, list(known), since=date(2024, 1, 1), until=END), release_id="r1")

    (one,) = review(conn, known, read_baseline(store, "before"), days=30)

    assert (one.verdict, one.after, one.note) == (
        "not_compared",
        None,
        "not compared, younger periods have had less time: see the cohorts",
    )


def test_a_baseline_is_never_overwritten(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    values = evaluate(conn, CATALOGUE, list(CATALOGUE), since=date(2024, 1, 1), until=END)
    freeze(store, "before", values, release_id="r1")

    with pytest.raises(MetricError, match="There is a baseline 'before' already"):
        freeze(store, "before", values[:1], release_id="r2")

    (one,) = list_baselines(store)
    assert (one["name"], one["metrics_count"], one["period_from"], one["period_to"], one["release_id"]) == (
        "before",
        3,
        date(2024, 1, 1),
        END,
        "r1",
    )


def test_nothing_without_a_value_is_frozen(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    values = evaluate(conn, CATALOGUE, list(CATALOGUE), since=date(2020, 1, 1), until=date(2020, 1, 2))

    with pytest.raises(MetricError, match="nothing to freeze"):
        freeze(store, "empty", values, release_id="r1")

    assert list_baselines(store) == []


def test_an_unknown_baseline_is_answered_with_the_nearest(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    freeze(store, "before-packing", evaluate(conn, CATALOGUE, ["order_count"], until=END), release_id="r1")

    with pytest.raises(MetricError, match="did you mean before-packing"):
        read_baseline(store, "before-pakcing")


def test_a_metric_that_is_gone_is_named(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    freeze(store, "before", evaluate(conn, CATALOGUE, ["order_count"], until=END), release_id="r1")

    (one,) = review(conn, {}, read_baseline(store, "before"), days=60)

    assert (one.verdict, one.note) == ("unknown", "this metric is not defined any more")
