"""Customer marts recounted in Polars from the raw rows of a simulated shop, some of whose customers hold contracts."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from itertools import combinations
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

from pipelines.errors import ReportError
from pipelines.settings import Settings
from pipelines.simulator.merchant import simulate
from pipelines.simulator.scenarios import SCENARIOS
from pipelines.steps.transform import transform
from pipelines.stores.experiments import compare_experiment
from pipelines.stores.metrics import Metric, catalogue_from_manifest, evaluate
from pipelines.stores.reports import read_report, reports_from_manifest
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.timelines import customer_timeline, order_timeline
from pipelines.stores.warehouse import open_warehouse
from tests.integration.conversion import in_reporting_cents

if TYPE_CHECKING:
    from collections.abc import Iterator

SCENARIO = replace(SCENARIOS["small"], bad_documents=())
AS_OF = SCENARIO.last_day

# Every third of 90 contracts ends, all begin on different days; every customer is in an experiment; the first ten orders become a guest's.
_ADDED = """
    insert into raw.subscriptions by name
        select
            'SUB-' || i as customer_key, cast($as_of as timestamp) - to_days(cast(120 - i as integer)) as started_at,
            case when i % 3 = 0 then cast($as_of as timestamp) - to_days(cast((120 - i) // 2 as integer)) end as cancelled_at
        from range(90) as numbers (i);
    insert into raw.experiments by name
        select
            'loyalty' as experiment_id, customer_key as unit_id, if(hash(customer_key) % 2 = 0, 'points', 'control') as variant,
            cast($as_of as timestamp) - interval 60 day as assigned_at
        from raw.customers;
    update raw.orders set customer_key = null where order_id in (select order_id from raw.orders order by created_at, order_id limit 10)
"""


@pytest.fixture(scope="module")
def manifest_and_conn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, object], duckdb.DuckDBPyConnection]]:
    """dbt's manifest and the built warehouse."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    merchant = simulate(SCENARIO, seed=3)
    with open_warehouse(settings.warehouse_path) as conn:
        for name, frame in merchant.tables.items():
            conn.register("frame", frame.rename({"customer_id": "customer_key"}, strict=False).to_arrow())
            conn.execute(f"insert into raw.{name} by name select * from frame")
            conn.unregister("frame")
        conn.execute("delete from raw.subscriptions")
        for statement in _ADDED.split(";"):
            conn.execute(statement, {"as_of": AS_OF} if "$as_of" in statement else None)
        conn.execute(
            "insert into meta.run_context values ('run', ?, ?, ?, 'Simulated', 'simulator')", [AS_OF, SCENARIO.time_zone, SCENARIO.currency]
        )
        conn.execute(
            "insert into planning.customer_scores by name select ? as status_date, 'unjudged' as customer_key, 2 as repeat_count, "
            "9 as t_x_weeks, 20 as age_weeks, 'EUR' as currency_code, false as is_one_time, false as is_too_young",
            [AS_OF],
        )
        present = [(table.name, field, True) for table in SOURCE_TABLES.values() for field in table.field_names]
        conn.executemany("insert into meta.source_fields values (?, ?, ?)", present)
    result = transform(settings)
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as conn:
        yield json.loads(result.manifest_path.read_text(encoding="utf-8")), conn


@pytest.fixture(scope="module")
def conn(manifest_and_conn: tuple[dict[str, object], duckdb.DuckDBPyConnection]) -> duckdb.DuckDBPyConnection:
    return manifest_and_conn[1]


@pytest.fixture(scope="module")
def catalogue(manifest_and_conn: tuple[dict[str, object], duckdb.DuckDBPyConnection]) -> dict[str, Metric]:
    return catalogue_from_manifest(manifest_and_conn[0])


@pytest.fixture(scope="module")
def orders(conn: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Orders of known customers that count, by local day: customer_key, order_id, ordered_at, day, first (the customer's first day)."""
    raw = conn.sql("select order_id, customer_key, created_at, cancelled_at, is_test from raw.orders").pl()
    lines = conn.sql("select distinct order_id from raw.order_lines").pl()
    local = pl.col("created_at").dt.replace_time_zone("UTC").dt.convert_time_zone(SCENARIO.time_zone).dt.date()
    return (
        raw.filter(pl.col("customer_key").is_not_null(), pl.col("cancelled_at").is_null(), ~pl.col("is_test").fill_null(value=False))
        .join(lines, on="order_id", how="semi")
        .select("customer_key", "order_id", ordered_at="created_at", day=local)
        .filter(pl.col("day") <= AS_OF)
        .with_columns(first=pl.col("day").min().over("customer_key"))
        .sort("customer_key", "ordered_at", "order_id")
    )


@pytest.fixture(scope="module")
def sales(conn: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Sales and refunds in cents, straight from the raw rows: order_id, customer_key, day, cents."""
    sold = conn.sql(
        "select order_id, customer_key, currency, created_at as at, cast(round((quantity * unit_price - coalesce(total_discount, 0)) * 100) as bigint) as cents "
        "from raw.order_lines join raw.orders using (order_id) where cancelled_at is null and not is_test"
    ).pl()
    refunded = conn.sql(
        "select order_id, customer_key, raw.orders.currency, refunded_at as at, -cast(round(refund_amount * 100) as bigint) as cents "
        "from raw.returns join raw.orders using (order_id) where refunded_at is not null and cancelled_at is null and not is_test"
    ).pl()
    local = pl.col("at").dt.replace_time_zone("UTC").dt.convert_time_zone(SCENARIO.time_zone).dt.date()
    events = pl.concat([sold, refunded]).with_columns(day=local).filter(pl.col("day") <= AS_OF)
    rates = conn.sql("select rate_date, from_currency, to_currency, rate from raw.fx_rates").pl()
    return events.with_columns(cents=in_reporting_cents(events, "cents", day="day", rates=rates, reporting=SCENARIO.currency))


def month_number(day: pl.Expr) -> pl.Expr:
    return day.dt.year().cast(pl.Int64) * 12 + day.dt.month()


def test_cohorts_equal_a_recount_from_the_raw_tables(conn: duckdb.DuckDBPyConnection, orders: pl.DataFrame, sales: pl.DataFrame) -> None:
    since = (month_number(pl.col("day")) - month_number(pl.col("first"))).alias("months_since_first")
    cohort = pl.col("first").dt.truncate("1mo").alias("cohort_month")
    counted = orders.group_by(cohort, since).agg(active_customer_count=pl.col("customer_key").n_unique(), order_count=pl.len())
    money = (
        sales.join(orders.select("customer_key", "first").unique(), on="customer_key").group_by(cohort, since).agg(pl.col("cents").sum())
    )
    expected = counted.join(money, on=["cohort_month", "months_since_first"], how="full", coalesce=True).sort(
        "cohort_month", "months_since_first"
    )

    mart = conn.sql("select * from marts.fct_cohorts_monthly order by cohort_month, months_since_first").pl()

    assert (
        mart.filter((pl.col("order_count") > 0) | (pl.col("net_reporting_amount") != 0))
        .select("cohort_month", "months_since_first", "active_customer_count", "order_count", cents="net_reporting_amount")
        .rows()
        == expected.with_columns(pl.col("cents").fill_null(0)).rows()
    )
    assert dict(mart.select("cohort_month", "customer_count").unique().iter_rows()) == dict(
        orders.group_by(cohort).agg(pl.col("customer_key").n_unique()).iter_rows()
    )
    assert mart.filter(~pl.col("is_complete")).is_empty() == ((AS_OF + timedelta(days=1)).day == 1)


def test_customers_and_guests_make_up_net_sales(conn: duckdb.DuckDBPyConnection, sales: pl.DataFrame, catalogue: dict[str, Metric]) -> None:
    expected = {key: cents for key, cents in sales.group_by("customer_key").agg(pl.col("cents").sum()).iter_rows() if cents}

    mart = dict(
        conn.execute("select customer_key, net_reporting_amount from marts.dim_customers where net_reporting_amount <> 0").fetchall()
    )
    (net_sales,) = evaluate(conn, catalogue, ["net_sales"], since=SCENARIO.start)

    guests = expected.pop(None)
    assert guests > 0
    assert mart == expected
    assert (sum(mart.values()) + guests) / 100 == pytest.approx(float(net_sales.value or 0))


def test_the_next_order_curve_equals_a_product_taken_by_hand(conn: duckdb.DuckDBPyConnection, orders: pl.DataFrame) -> None:
    spells: dict[int, list[tuple[int, bool]]] = {1: [], 2: [], 3: []}
    for (_,), own in orders.group_by("customer_key", maintain_order=True):
        days = own["day"].to_list()
        for number, day in enumerate(days):
            end = days[number + 1] if number + 1 < len(days) else AS_OF
            spells[min(number + 1, 3)].append(((end - day).days, number + 1 < len(days)))

    def ordered_again(number: int, until: int) -> float:
        waiting = 1.0
        for day in range(until + 1):
            at_risk = sum(length >= day for length, _ in spells[number])
            if at_risk:
                waiting *= 1 - sum(length == day and again for length, again in spells[number]) / at_risk
        return 1 - waiting

    mart = conn.execute(
        "select order_number, days_since_order, ordered_again_rate, at_risk_count, order_count from marts.fct_next_orders"
    ).fetchall()

    assert {number for number, *_ in mart} == {1, 2, 3}
    for number, days, rate, at_risk, count in mart:
        assert rate == pytest.approx(ordered_again(number, days)), (number, days)
        assert at_risk == sum(length >= days for length, _ in spells[number])
        assert count == len(spells[number])


def test_basket_pairs_equal_a_count_by_hand(conn: duckdb.DuckDBPyConnection) -> None:
    lines = conn.sql(
        "select distinct order_id, sku from raw.order_lines join raw.orders using (order_id) where cancelled_at is null and not is_test"
    ).pl()
    baskets = [sorted(own["sku"].to_list()) for _, own in lines.group_by("order_id")]
    pairs: dict[tuple[str, str], int] = {}
    for basket in baskets:
        for pair in combinations(basket, 2):
            pairs[pair] = pairs.get(pair, 0) + 1
    holding = {sku: sum(sku in basket for basket in baskets) for sku in set(lines["sku"])}

    mart = conn.sql("select * from marts.fct_basket_pairs where item_kind = 'sku'").pl()

    found = {tuple(sorted((row["item"], row["other_item"]))): row for row in mart.iter_rows(named=True)}
    assert {pair: row["order_count"] for pair, row in found.items()} == {pair: count for pair, count in pairs.items() if count >= 10}
    for (one, other), row in found.items():
        both = pairs[one, other]
        assert row["support_rate"] == pytest.approx(both / len(baskets))
        assert row["confidence_rate"] == pytest.approx(both / holding[row["item"]])
        assert row["reverse_confidence_rate"] == pytest.approx(both / holding[row["other_item"]])
        assert row["lift"] == pytest.approx(both * len(baskets) / holding[one] / holding[other])


def test_customer_metrics_equal_a_recount(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], orders: pl.DataFrame) -> None:
    days = orders.group_by("customer_key").agg(pl.col("first").first(), second=pl.col("day").slice(1, 1).first(), count=pl.len())
    mature = days.filter(pl.col("first") <= AS_OF - timedelta(days=91))
    back = mature.filter((pl.col("second") - pl.col("first")).dt.total_days() <= 91)

    new, repeat, within = evaluate(conn, catalogue, ["new_customers", "repeat_rate", "repeat_rate_91_days"], since=SCENARIO.start)

    assert new.value == days.height
    assert new.excluded == {"guest_orders": 10}
    assert (repeat.numerator, repeat.denominator) == (mature.filter(pl.col("count") >= 2).height, mature.height)
    assert (within.numerator, within.denominator) == (back.height, mature.height)
    assert within.excluded["too_young"] == days.height - mature.height


def test_an_active_customer_counts_once(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], orders: pl.DataFrame) -> None:
    recent = orders.filter(pl.col("day") > AS_OF - timedelta(days=28))

    (value,) = evaluate(conn, catalogue, ["active_customers"])

    assert value.value == recent["customer_key"].n_unique() < recent.height


def test_contractual_churn_is_cancelled_of_those_active_at_the_start(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    contracts = conn.sql("select cast(started_at as date) as start, cast(cancelled_at as date) as stop from raw.subscriptions").pl()
    first = AS_OF - timedelta(days=27)

    def churn(since: date, until: date) -> tuple[int, int]:
        active = contracts.filter(pl.col("start") < since, pl.col("stop").is_null() | (pl.col("stop") >= since))
        return active.filter(pl.col("stop") <= until).height, active.height

    (value,) = evaluate(conn, catalogue, ["contractual_churn_28_days_rate"])
    months = evaluate(conn, catalogue, ["contractual_churn_month_rate"], grain="month")

    assert (value.numerator, value.denominator) == churn(first, AS_OF)
    cancelled, active = churn(first - timedelta(days=28), first - timedelta(days=1))
    assert value.prior == pytest.approx(cancelled / active)
    for month, at_start, lost in conn.execute(
        "select contract_month, active_at_start_count, cancelled_count from marts.fct_subscription_months"
    ).fetchall():
        month_end = (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        assert (lost, at_start) == churn(month, min(month_end, AS_OF))
    assert [one.value for one in months] == [
        pytest.approx(lost / at_start) if at_start else None for lost, at_start in (churn(one.period_from, one.period_to) for one in months)
    ]
    assert sum(one.numerator or 0 for one in months) > 5


@pytest.mark.parametrize("name", ["churn_rate", "customers_alive", "customer_lifetime_value_predicted"])
def test_what_rests_on_a_model_that_was_refused_says_where_the_reason_stands(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], name: str
) -> None:
    (value,) = evaluate(conn, catalogue, [name])

    assert (value.status, value.value, value.n) == ("no_data", None, 0)
    assert (value.note or "").startswith("1 of 1 customers could not be ")
    assert (value.note or "").endswith("ordercast report customer_model says why")


def test_an_experiment_on_customers_is_compared_on_what_each_brought_since(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], sales: pl.DataFrame
) -> None:
    assigned = conn.sql("select unit_id as customer_key, variant from raw.experiments where experiment_id = 'loyalty'").pl()
    since = conn.execute("select order_id from raw.orders where created_at >= ?", [AS_OF - timedelta(days=60)]).pl()
    brought = sales.join(since, on="order_id", how="semi").group_by("customer_key").agg(pl.col("cents").sum())
    each = assigned.join(brought, on="customer_key", how="left")

    (found,) = compare_experiment(conn, catalogue, "loyalty", ["net_sales"])

    means = dict(each.group_by("variant").agg(pl.col("cents").fill_null(0).mean() / 100).iter_rows())
    assert found.unit_kind == "customer"
    assert {arm.variant: arm.value for arm in found.arms} == {name: pytest.approx(mean) for name, mean in means.items()}
    assert sum(arm.n for arm in found.arms) == each.height
    assert 0 < each["cents"].null_count() < each.height


def test_every_report_can_be_read(
    manifest_and_conn: tuple[dict[str, object], duckdb.DuckDBPyConnection], conn: duckdb.DuckDBPyConnection
) -> None:
    reports = reports_from_manifest(manifest_and_conn[0])

    heights = {name: read_report(conn, report, limit=3).height for name, report in reports.items()}

    own = {"basket_pairs", "cohorts_monthly", "next_orders", "subscription_months", "top_customers"}
    assert {name: heights[name] for name in own} == dict.fromkeys(own, 3)


def test_a_customers_timeline_holds_every_channel_and_reconciles_with_the_raw_rows(
    conn: duckdb.DuckDBPyConnection, orders: pl.DataFrame, sales: pl.DataFrame
) -> None:
    row = conn.execute(
        "select customer_key from raw.orders join raw.returns using (order_id) where refunded_at is not null and cancelled_at is null "
        "group by all having count(distinct channel_id) > 1 order by 1"
    ).fetchone()
    assert row is not None
    placed = conn.execute("select order_id from raw.orders where customer_key = ?", row).fetchall()

    told = customer_timeline(conn, row, asked="somebody")

    by_type = {event_type: own for (event_type,), own in told.events.group_by("event_type")}
    own_sales = sales.filter(pl.col("customer_key") == row[0])
    assert sorted(by_type["ordered"]["order_id"]) == sorted(order_id for (order_id,) in placed)
    assert by_type["ordered"]["channel_id"].n_unique() > 1
    assert float(by_type["refunded"]["amount"].sum()) * 100 == pytest.approx(-own_sales.filter(pl.col("cents") < 0)["cents"].sum())
    assert told.events["event_at"].is_sorted()
    assert told.profile is not None
    assert float(told.profile["net_reporting_amount"]) * 100 == pytest.approx(own_sales["cents"].sum())
    assert told.status is None or "p_alive" in told.status


def test_a_guests_order_is_found_by_its_number_and_a_stranger_by_nothing(conn: duckdb.DuckDBPyConnection) -> None:
    row = conn.execute("select order_id from raw.orders where customer_key is null order by order_id").fetchone()
    assert row is not None

    told = order_timeline(conn, row[0])

    assert (told.customer_key, told.profile) == (None, None)
    assert set(told.events["order_id"]) == {row[0]}
    assert told.events["event_type"][0] == "ordered"
    with pytest.raises(ReportError, match="a guest has neither"):
        customer_timeline(conn, ("nobody",), asked="nobody")
    with pytest.raises(ReportError, match="No order 'nothing'"):
        order_timeline(conn, "nothing")


def test_a_contract_stands_in_its_customers_timeline(conn: duckdb.DuckDBPyConnection) -> None:
    row = conn.execute("select customer_key from raw.subscriptions where cancelled_at is not null limit 1").fetchone()
    assert row is not None

    told = customer_timeline(conn, row, asked="contract only")

    assert told.events["event_type"].to_list() == ["subscription_started", "subscription_ended"]
    assert told.profile is not None
    assert told.profile["segment"] == "prospect"
