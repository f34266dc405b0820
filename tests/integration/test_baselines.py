"""Baselines: frozen once, and compared with as many days after."""

from __future__ import annotations

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
            "select date '2024-01-01' + i::int as ordered_date, 'o' as order_id, i % 3 = 0 as is_cancelled, 1000::bigint as net_reporting_amount from range(30) r(i) "
            "union all select date '2024-01-31' + (i // 2)::int, 'o', i % 6 = 0, 1500 from range(144) r(i)"
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
