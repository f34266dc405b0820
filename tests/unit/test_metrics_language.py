"""What the YAML of a metric can say beyond sums and ratios, each on rows that can be counted by hand."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import MetricError
from pipelines.stores.metrics import catalogue_from_json, catalogue_from_manifest, catalogue_to_json, daily_values, evaluate
from pipelines.stores.metrics_catalogue import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator

AS_OF = date(2024, 3, 28)  # a Thursday


def model(name: str, table: str, time: str, measures: list[dict[str, Any]], **facts: Any) -> dict[str, Any]:
    return {
        "name": name, "node_relation": {"schema_name": "marts", "alias": table}, "defaults": {"agg_time_dimension": time}, "primary_entity": name,
        "entities": facts.get("entities", []), "measures": measures,
        "dimensions": [{"name": time, "type": "time", "expr": None, "config": None}]
        + [{"name": key, "type": "categorical", "expr": expr, "config": {"meta": meta}} for key, expr, meta in facts.get("dimensions", [])],
    }  # fmt: skip


def measure(name: str, agg: str, expr: str | None = None, **facts: Any) -> dict[str, Any]:
    return {"name": name, "agg": agg, "expr": expr, "agg_params": None, "agg_time_dimension": None} | facts


def metric(name: str, *measures: str, original_file_path: str = "models/semantic/orders.yml", **meta: Any) -> dict[str, Any]:
    keys = ("numerator", "denominator") if len(measures) == 2 else ("measure",)
    return {
        "name": name, "label": name.capitalize(), "description": "One.", "type": "ratio" if len(measures) == 2 else "simple",
        "type_params": {key: {"name": one} for key, one in zip(keys, measures, strict=True)}, "filter": None,
        "original_file_path": original_file_path, "config": {"meta": {"better": "higher", "owner": "operations"} | meta if meta else {}},
    }  # fmt: skip


def manifest() -> dict[str, Any]:
    level = {"non_additive_dimension": {"name": "stock_date", "window_choice": "max", "window_groupings": []}}
    product = {"name": "product", "type": "foreign", "expr": "sku"}
    return {
        "semantic_models": {
            "products": model(
                "products", "dim_products", "none", [], entities=[{"name": "product", "type": "primary", "expr": "sku"}],
                dimensions=[("category", None, {"needs": ["products.category"]}), ("supplier", "lower(supplier_id)", {}), ("is_active", None, {})],
            ),
            "orders": model(
                "order", "fct_orders", "ordered_date",
                [
                    measure("orders", "count", "order_id"), measure("cancelled", "sum_boolean", "is_cancelled"),
                    measure("order_amount", "sum", "net_reporting_amount"), measure("customers", "count_distinct", "customer"),
                ],
                entities=[product], dimensions=[("reason", "cancel_reason", {"splits": "numerator"}), ("channel", None, {})],
            ),
            "stock": model(
                "stock", "fct_stock", "stock_date",
                [measure("stock_qty", "sum", "qty", **level), measure("stock_amount", "sum", "qty * cost_amount", **level)],
                entities=[product], dimensions=[("category", "'own'", {})],
            ),
        },
        "metrics": {
            one["name"]: one
            for one in (
                metric("orders", "orders"), metric("cancelled", "cancelled"), metric("order_amount", "order_amount"),
                metric("stock_qty", "stock_qty"), metric("stock_amount", "stock_amount"),
                metric("cancellation_rate", "cancelled", "orders", unit="percent", better="lower",
                       exclusions=[{"name": "void", "where": "false"}, {"name": "lost", "where": "true", "model": "fct_losses", "time_column": "lost_date"}]),
                metric("order_count", "orders", unit="count", exclusions=[{"name": "void", "where": "false"}]),
                metric("customer_count", "customers", unit="count"),
                metric("average_order_value", "order_amount", "orders", unit="money", assumption="every order is real",
                       blocked=[{"where": "net_reporting_amount is null", "text": "orders have no exchange rate: load fx_rates"}]),
                metric("stock", "stock_qty", unit="count"),
                metric("unit_cost_rate", "stock_amount", "stock_amount", unit="number"),
                metric("stock_value", "stock_amount", unit="money"),
            )
        },
    }  # fmt: skip


CATALOGUE = catalogue_from_manifest(manifest())


@pytest.fixture
def conn() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as memory:
        memory.execute("create schema marts; create schema meta")
        memory.execute("create table meta.run_context as select ?::date as as_of_date, 'EUR' as currency_code", [AS_OF])
        memory.execute("create table meta.source_fields (table_name text, field_name text, is_present boolean)")
        memory.execute("insert into meta.source_fields values ('products', 'category', true)")
        memory.execute("create table marts.dim_products (sku text, category text, supplier_id text, is_active boolean)")
        memory.execute(
            "insert into marts.dim_products values ('A', 'tea', 'S1', true), ('B', 'cups', 'S1', true), ('C', 'tea', null, false)"
        )
        memory.execute(
            "create table marts.fct_orders (order_id text, ordered_date date, sku text, channel text, customer text, is_cancelled boolean, "
            "cancel_reason text, net_reporting_amount bigint)"
        )
        memory.execute("create table marts.fct_stock (stock_date date, sku text, qty bigint, cost_amount bigint)")
        memory.execute("create table marts.fct_losses (lost_date date)")
        yield memory


def add_order(
    conn: duckdb.DuckDBPyConnection, day: str, sku: str = "A", *, reason: str | None = None, is_cancelled: bool = False,
    amount: int | None = 1000, customer: str = "K1", channel: str = "web",
) -> None:  # fmt: skip
    values = [day, sku, channel, customer, is_cancelled or reason is not None, reason, amount]
    conn.execute("insert into marts.fct_orders values ('o', ?, ?, ?, ?, ?, ?, ?)", values)


def test_a_fact_is_split_by_what_the_dimension_table_knows(conn: duckdb.DuckDBPyConnection) -> None:
    for sku in ("A", "B", "A", "C", "gone"):
        add_order(conn, "2024-03-05", sku)

    by_category = evaluate(conn, CATALOGUE, ["order_count"], by="category")
    by_supplier = evaluate(conn, CATALOGUE, ["order_count"], by="supplier")

    assert [(value.member, value.value) for value in by_category] == [("tea", 3), ("cups", 1), ("unknown", 1)]
    assert [(value.member, value.value) for value in by_supplier] == [("s1", 3), ("unknown", 2)]
    assert "is_active" not in CATALOGUE["order_count"].dimensions


def test_a_facts_own_dimension_wins_over_an_inherited_one(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute("insert into marts.fct_stock values ('2024-03-28', 'A', 3, 100)")

    (value,) = evaluate(conn, CATALOGUE, ["stock"], by="category")

    assert (value.member, value.value) == ("own", 3)


def test_an_inherited_dimension_needs_what_its_table_needs(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute("update meta.source_fields set is_present = false")

    (value,) = evaluate(conn, CATALOGUE, ["order_count"], by="category")

    assert value.note == "not available: needs products.category"


def test_a_reason_is_a_share_of_all_and_the_shares_add_up(conn: duckdb.DuckDBPyConnection) -> None:
    for _ in range(6):
        add_order(conn, "2024-03-05")
    add_order(conn, "2024-03-05", reason="fraud")
    add_order(conn, "2024-03-05", reason="fraud")
    add_order(conn, "2024-03-06", reason="late")
    add_order(conn, "2024-03-06", is_cancelled=True)
    conn.execute("insert into marts.fct_losses values ('2024-03-06')")

    values = evaluate(conn, CATALOGUE, ["cancellation_rate"], by="reason")
    (whole,) = evaluate(conn, CATALOGUE, ["cancellation_rate"])

    assert [(value.member, value.value, value.numerator, value.denominator, value.n) for value in values] == [
        ("fraud", 0.2, 2, 10, 10), ("late", 0.1, 1, 10, 10), ("unknown", 0.1, 1, 10, 10),
    ]  # fmt: skip
    assert whole.value == 0.4
    assert {tuple(value.excluded.items()) for value in values} == {(("void", 0), ("lost", 1))}


def test_orders_without_a_reason_are_no_reason(conn: duckdb.DuckDBPyConnection) -> None:
    add_order(conn, "2024-03-05")
    add_order(conn, "2024-02-05", reason="late")
    add_order(conn, "2023-01-01")

    values = evaluate(conn, CATALOGUE, ["cancellation_rate"], by="reason")

    assert [(value.member, value.value, value.prior) for value in values] == [("late", 0.0, 1.0)]


def test_an_exclusion_in_a_table_without_the_dimension_is_counted_as_unknown(conn: duckdb.DuckDBPyConnection) -> None:
    add_order(conn, "2024-03-05", channel="web")
    conn.execute("insert into marts.fct_losses values ('2024-03-06')")

    values = evaluate(conn, CATALOGUE, ["cancellation_rate"], by="channel")

    assert {value.member: value.excluded["lost"] for value in values} == {"web": 0, "unknown": 1}


def test_of_a_level_only_the_last_day_with_rows_counts_in_every_period(conn: duckdb.DuckDBPyConnection) -> None:
    conn.executemany(
        "insert into marts.fct_stock values (?, ?, ?, 250)",
        [("2024-03-25", "A", 9), ("2024-03-27", "A", 4), ("2024-03-27", "B", 1), ("2024-02-20", "A", 7), ("2023-03-30", "A", 2), ("2023-03-15", "A", 8)],
    )  # fmt: skip

    count, amount = evaluate(conn, CATALOGUE, ["stock", "stock_value"])

    assert (count.value, count.n, count.prior, count.last_year) == (5, 2, 7, 2)
    assert (amount.value, amount.prior, amount.change_last_year) == (Decimal("12.50"), Decimal("17.50"), Decimal("7.50"))


def test_a_level_by_month_is_that_of_each_months_last_day(conn: duckdb.DuckDBPyConnection) -> None:
    conn.executemany(
        "insert into marts.fct_stock values (?, 'A', ?, 250)", [("2024-01-30", 5), ("2024-01-31", 6), ("2024-02-29", 7), ("2024-03-28", 8)]
    )

    values = evaluate(conn, CATALOGUE, ["stock"], grain="month", since=date(2024, 1, 1))

    assert [(value.value, value.prior, value.is_complete) for value in values] == [(6, None, False), (7, 6, True), (8, 7, False)]


def test_people_are_counted_once_however_often_they_order(conn: duckdb.DuckDBPyConnection) -> None:
    for customer in ("K1", "K1", "K2"):
        add_order(conn, "2024-03-05", customer=customer)

    (value,) = evaluate(conn, CATALOGUE, ["customer_count"])

    assert (value.value, value.n) == (2, 3)


def test_money_per_order_is_a_decimal_of_the_major_unit(conn: duckdb.DuckDBPyConnection) -> None:
    for amount in (1000, 1000, 1001):
        add_order(conn, "2024-03-05", amount=amount)

    (value,) = evaluate(conn, CATALOGUE, ["average_order_value"])

    assert (value.value, value.numerator, value.denominator) == (Decimal("10.0033"), Decimal("30.01"), 3)
    assert (value.currency_code, value.assumption) == ("EUR", "every order is real")


def test_a_ratio_of_two_amounts_shows_them_in_major_units(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute("insert into marts.fct_stock values ('2024-03-28', 'A', 3, 150)")

    (value,) = evaluate(conn, CATALOGUE, ["unit_cost_rate"])

    assert (value.value, value.numerator, value.denominator) == (1.0, Decimal("4.50"), Decimal("4.50"))


def test_a_row_that_forbids_a_value_blocks_it_and_says_how_many_do(conn: duckdb.DuckDBPyConnection) -> None:
    add_order(conn, "2024-03-05", amount=None)
    add_order(conn, "2024-03-05")
    add_order(conn, "2024-02-05")
    add_order(conn, "2023-01-01")

    (value,) = evaluate(conn, CATALOGUE, ["average_order_value"])
    (later,) = evaluate(conn, CATALOGUE, ["average_order_value"], since=date(2024, 3, 6))

    assert (value.status, value.value, value.change, value.n) == ("blocked", None, None, 2)
    assert value.note == "1 of 2 orders have no exchange rate: load fx_rates"
    assert (value.prior, later.prior, later.last_year) == (Decimal("10.0000"), None, None)


def test_what_grows_with_age_is_compared_with_no_earlier_period_and_says_where_to_look(conn: duckdb.DuckDBPyConnection) -> None:
    known = manifest()
    known["metrics"]["order_count"]["config"]["meta"]["grows_with_age"] = "see the cohorts"
    for day in ("2023-03-01", "2024-02-05", "2024-03-05"):
        add_order(conn, day)

    (value,) = evaluate(conn, catalogue_from_manifest(known), ["order_count"])
    (plain,) = evaluate(conn, CATALOGUE, ["order_count"])

    assert (plain.value, plain.prior, plain.note) == (1, 1, None)
    assert (value.value, value.prior, value.change, value.last_year, value.change_last_year) == (1, None, None, None, None)
    assert value.note == "periods are not compared, younger ones have had less time: see the cohorts"


def test_last_year_is_the_same_weekdays(conn: duckdb.DuckDBPyConnection) -> None:
    day = date(2024, 3, 18)
    for ordered in (day, day - timedelta(days=364), day - timedelta(days=365)):
        add_order(conn, ordered.isoformat())

    monday, tuesday = evaluate(conn, CATALOGUE, ["order_count"], since=day, until=day + timedelta(days=1), grain="day")

    assert (monday.value, monday.last_year, tuesday.value, tuesday.last_year) == (1, 1, 0, 0)
    assert (tuesday.period_from, tuesday.grain, tuesday.n, tuesday.prior) == (date(2024, 3, 19), "day", 0, 1)


def test_a_long_period_overlaps_last_year_and_both_are_whole(conn: duckdb.DuckDBPyConnection) -> None:
    for day in ("2023-06-01", "2022-06-02", "2022-01-01", "2021-12-01", "2021-04-01"):
        add_order(conn, day)

    (value,) = evaluate(conn, CATALOGUE, ["order_count"], since=date(2022, 4, 1))

    assert (value.value, value.prior, value.last_year) == (2, None, 3)


def test_weeks_begin_on_monday_and_broken_ones_say_so(conn: duckdb.DuckDBPyConnection) -> None:
    for day in ("2024-03-08", "2024-03-11", "2024-03-17", "2024-03-18", "2024-03-25", "2024-03-20"):
        add_order(conn, day)

    values = evaluate(conn, CATALOGUE, ["order_count"], since=date(2024, 3, 8), grain="week")

    assert [(value.period_from, value.period_to, value.value, value.prior, value.is_complete) for value in values] == [
        (date(2024, 3, 8), date(2024, 3, 10), 1, None, False),
        (date(2024, 3, 11), date(2024, 3, 17), 2, None, True),
        (date(2024, 3, 18), date(2024, 3, 24), 2, 2, True),
        (date(2024, 3, 25), AS_OF, 1, 2, False),
    ]


@pytest.mark.parametrize(
    ("grain", "first", "count"),
    [("day", date(2024, 3, 1), 28), ("week", date(2024, 1, 8), 12), ("month", date(2023, 4, 1), 12), ("quarter", date(2022, 4, 1), 8), ("year", date(2022, 1, 1), 3)],
)  # fmt: skip
def test_without_a_first_day_the_last_buckets_that_hold_data_are_shown(
    conn: duckdb.DuckDBPyConnection, grain: Any, first: date, count: int
) -> None:
    add_order(conn, "2022-03-31")

    values = evaluate(conn, CATALOGUE, ["order_count"], grain=grain)

    assert (values[0].period_from, len(values), values[-1].period_to) == (first, count, AS_OF)


def test_an_empty_bucket_is_zero_for_sums_and_unknown_for_rates_and_members_have_no_gaps(conn: duckdb.DuckDBPyConnection) -> None:
    add_order(conn, "2024-03-26", "A")
    add_order(conn, "2024-03-28", "B")
    days: Any = {"since": date(2024, 3, 26), "grain": "day"}

    counts = evaluate(conn, CATALOGUE, ["order_count"], by="category", **days)
    rates = evaluate(conn, CATALOGUE, ["cancellation_rate"], **days)

    assert [(value.member, value.value) for value in counts] == [("cups", 0), ("cups", 0), ("cups", 1), ("tea", 1), ("tea", 0), ("tea", 0)]
    assert [(value.value, value.status) for value in rates] == [(0.0, "no_target"), (None, "no_data"), (0.0, "no_target")]


def test_the_catalogue_with_all_it_can_say_survives_its_release() -> None:
    assert catalogue_from_json(catalogue_to_json(CATALOGUE)) == CATALOGUE
    assert CATALOGUE["order_count"].domain == "orders"


def test_of_many_names_an_unknown_one_is_answered_with_the_nearest_or_what_shows_them() -> None:
    known = [f"metric_{i}" for i in range(100)]

    assert suggestion("metrik_7", known) == "did you mean metric_7?"
    assert suggestion("sales", known, shown_by="ordercast metrics --all") == "none of the 100 there are is near: ordercast metrics --all"
    assert suggestion("sales", known[:2]) == "there are: metric_0, metric_1."


def test_a_course_with_blocked_days_is_not_drawn(conn: duckdb.DuckDBPyConnection) -> None:
    add_order(conn, "2024-03-28", amount=None)

    assert daily_values(conn, CATALOGUE, "average_order_value", since=date(2024, 3, 1), until=AS_OF).is_empty()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "euros"}, "there is no unit 'euros'"),
        ({"unit": "count", "exclusion": []}, "knows no 'exclusion'; did you mean exclusions?"),
    ],
)
def test_a_definition_with_a_slip_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    bad = manifest()
    bad["metrics"]["slip"] = metric("slip", "orders", **change)

    with pytest.raises(MetricError, match=f"Metric slip: .*{message}"):
        catalogue_from_manifest(bad)


def test_two_tables_that_name_one_dimension_are_refused() -> None:
    bad = manifest()
    bad["semantic_models"]["more"] = bad["semantic_models"]["products"] | {"name": "more"}

    with pytest.raises(MetricError, match="give the entity product a dimension category"):
        catalogue_from_manifest(bad)


def test_the_splits_come_in_one_order_whatever_file_dbt_read_first() -> None:
    entity = [{"name": "product", "type": "primary", "expr": "sku"}]
    classes = model("classes", "dim_product_classes", "none", [], entities=entity, dimensions=[("abc_class", None, {})])
    models = manifest()["semantic_models"] | {"classes": classes}

    read = [manifest() | {"semantic_models": dict(order)} for order in (models.items(), reversed(models.items()))]
    first, second = ({name: list(metric.dimensions) for name, metric in catalogue_from_manifest(one).items()} for one in read)

    assert first == second


orders = st.lists(
    st.tuples(
        st.dates(AS_OF - timedelta(days=70), AS_OF), st.sampled_from(["A", "B", "C", "D"]),
        st.sampled_from([None, "late", "fraud", "unknown", ""]), st.integers(-500, 500), st.booleans(),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(rows=orders)
def test_members_and_buckets_of_a_sum_add_up_to_the_whole(rows: list[tuple[date, str, str | None, int, bool]]) -> None:
    with duckdb.connect(":memory:") as conn:
        conn.execute("create schema marts; create schema meta")
        conn.execute("create table meta.run_context as select ?::date as as_of_date, 'EUR' as currency_code", [AS_OF])
        conn.execute("create table meta.source_fields as select 'products' as table_name, 'category' as field_name, true as is_present")
        conn.execute(
            "create table marts.dim_products as select * from (values ('A', 'tea', 's'), ('B', null, 's')) t(sku, category, supplier_id)"
        )
        conn.execute("create table marts.fct_losses (lost_date date)")
        conn.execute(
            "create table marts.fct_orders (ordered_date date, sku text, cancel_reason text, net_reporting_amount bigint, is_cancelled boolean, "
            "order_id text, channel text, customer text)"
        )
        for row in rows:
            conn.execute("insert into marts.fct_orders values (?, ?, ?, ?, ?, 'o', 'c', 'k')", row)

        (whole,) = evaluate(conn, CATALOGUE, ["order_count"])
        members = evaluate(conn, CATALOGUE, ["order_count"], by="category")
        weeks = evaluate(conn, CATALOGUE, ["order_count"], by="supplier", grain="week", since=whole.period_from)
        (rate,) = evaluate(conn, CATALOGUE, ["cancellation_rate"])
        shares = evaluate(conn, CATALOGUE, ["cancellation_rate"], by="reason")

    expected = sum(whole.period_from <= row[0] <= AS_OF for row in rows)
    assert (whole.n, sum(one.n or 0 for one in members), sum(one.n or 0 for one in weeks)) == (expected, expected, expected)
    assert sum(one.prior or 0 for one in members) == (whole.prior or 0)
    assert sum(one.numerator or 0 for one in shares) == (rate.numerator or 0)
    assert {one.n for one in shares if one.n} <= {rate.n}
