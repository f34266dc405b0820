"""Metrics on hand-made marts in memory: values, periods, exclusions, and what cannot be said."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from pipelines.errors import MetricError
from pipelines.stores.metrics import catalogue_from_json, catalogue_from_manifest, catalogue_to_json, daily_values, evaluate
from pipelines.stores.metrics_catalogue import Caveat

if TYPE_CHECKING:
    from collections.abc import Iterator

AS_OF = date(2024, 3, 28)


def manifest() -> dict[str, Any]:
    """The parts of a dbt manifest that the catalogue reads."""
    return {
        "semantic_models": {
            "orders": _model(
                "orders", "fct_orders", "delivered_date",
                dimensions=[("channel", "channel_id", ["orders.channel_id"]), ("is_cancelled", None, []), ("is_timed", "cycle_days is not null", [])],
                measures=[_measure("p50", "percentile", "cycle_days", percentile=0.5), _measure("mean", "average", "cycle_days")],
            ),
            "lines": _model(
                "lines", "fct_lines", "promised_date",
                dimensions=[("category", None, [])],
                measures=[_measure("on_time", "sum", "on_time_qty"), _measure("ordered", "sum", "ordered_qty")],
            ),
            "sales": _model(
                "sales", "fct_sales", "event_date",
                dimensions=[("channel", "channel_id", [])],
                measures=[_measure("net_amount", "sum", None)],
            ),
        },
        "metrics": {
            "p50": _simple("cycle_p50", "p50", filter_by=_FINISHED, **_CYCLE),
            "mean": _simple("cycle_mean", "mean", filter_by=_FINISHED, **_CYCLE),
            "on_time": _simple("on_time", "on_time"),
            "ordered": _simple("ordered", "ordered"),
            "fill": _ratio("fill", "on_time", "ordered", unit="percent", better="higher", target=0.95, watch_band=0.05, needs=["shipments.shipped_at"]),
            "young": _ratio("mature", "on_time", "ordered", unit="percent", better="higher", maturity_days=7),
            "sales": _simple("sales", "net_amount", unit="money", better="higher", blocked=_OTHER_CURRENCY),
        },
    }  # fmt: skip


_OTHER_CURRENCY = [
    {"where": "currency_code <> (select currency_code from meta.run_context)", "text": "rows have no exchange rate: load fx_rates"}
]
_FINISHED = "not {{ Dimension('order__is_cancelled') }} and {{ Dimension('order__is_timed') }}"
_CYCLE: dict[str, Any] = {
    "unit": "days", "better": "lower", "target": 2.0, "watch_band": 1.0,
    "exclusions": [{"name": "cancelled", "where": "is_cancelled"}, {"name": "open", "where": "delivered_date is null", "time_column": "ordered_date"}],
    "caveats": [{"where": "promise_basis = 'derived'", "text": "orders have a derived promise"}],
}  # fmt: skip


def _model(
    name: str, table: str, time: str, *, dimensions: list[tuple[str, str | None, list[str]]], measures: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "name": name,
        "node_relation": {"schema_name": "marts", "alias": table},
        "defaults": {"agg_time_dimension": time},
        "primary_entity": None,
        "entities": [{"name": name.removesuffix("s"), "type": "primary"}],
        "dimensions": [{"name": time, "type": "time", "expr": None, "config": None}]
        + [{"name": key, "type": "categorical", "expr": expr, "config": {"meta": {"needs": needs}}} for key, expr, needs in dimensions],
        "measures": measures,
    }


def _measure(name: str, aggregation: str, expr: str | None, *, percentile: float | None = None) -> dict[str, Any]:
    return {"name": name, "agg": aggregation, "expr": expr, "agg_params": {"percentile": percentile}, "agg_time_dimension": None}


def _simple(name: str, measure: str, *, filter_by: str | None = None, **meta: Any) -> dict[str, Any]:
    return _metric(name, "simple", {"measure": {"name": measure}}, filter_by, meta)


def _ratio(name: str, numerator: str, denominator: str, **meta: Any) -> dict[str, Any]:
    return _metric(name, "ratio", {"numerator": {"name": numerator}, "denominator": {"name": denominator}}, None, meta)


def _metric(name: str, kind: str, parameters: dict[str, Any], filter_by: str | None, meta: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name, "label": name.capitalize(), "description": "One.", "type": kind, "type_params": parameters,
        "filter": {"where_filters": [{"where_sql_template": filter_by}]} if filter_by else None,
        "config": {"meta": meta | {"owner": "fulfilment"} if meta else {}},
    }  # fmt: skip


CATALOGUE = catalogue_from_manifest(manifest())


@pytest.fixture
def conn() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as memory:
        memory.execute("create schema marts; create schema meta")
        memory.execute("create table meta.run_context as select ?::date as as_of_date, 'EUR' as currency_code", [AS_OF])
        memory.execute("create table meta.source_fields (table_name text, field_name text, is_present boolean)")
        memory.execute("insert into meta.source_fields values ('shipments', 'shipped_at', true), ('orders', 'channel_id', false)")
        memory.execute(
            "create table marts.fct_orders (order_id text, ordered_date date, delivered_date date, cycle_days double, "
            "is_cancelled boolean, channel_id text, promise_basis text)"
        )
        memory.execute("create table marts.fct_lines (promised_date date, on_time_qty bigint, ordered_qty bigint, category text)")
        memory.execute("create table marts.fct_sales (event_date date, net_amount bigint, currency_code text, channel_id text)")
        yield memory


def add_orders(conn: duckdb.DuckDBPyConnection, *rows: tuple[str, str, str | None, float | None, bool]) -> None:
    conn.executemany("insert into marts.fct_orders values (?, ?, ?, ?, ?, 'web', 'given')", rows)


LONG_AGO_LINE = ("2023-01-01", 1, 1, None)  # makes the prior period one that the data covers


def add_lines(conn: duckdb.DuckDBPyConnection, *rows: tuple[str, int, int, str | None]) -> None:
    conn.executemany("insert into marts.fct_lines values (?, ?, ?, ?)", rows)


def add_sales(conn: duckdb.DuckDBPyConnection, *rows: tuple[str, int, str]) -> None:
    conn.executemany("insert into marts.fct_sales values (?, ?, ?, 'web')", rows)


def test_the_catalogue_survives_the_release_it_travels_in() -> None:
    text = catalogue_to_json(CATALOGUE)

    assert catalogue_from_json(text) == CATALOGUE
    assert set(CATALOGUE) == {"cycle_p50", "cycle_mean", "fill", "mature", "sales"}
    assert set(CATALOGUE["cycle_p50"].dimensions) == {"channel"}


def test_a_filter_on_what_the_table_does_not_have_is_refused() -> None:
    bad = manifest()
    bad["metrics"] = {"bad": _simple("bad", "p50", filter_by="{{ Dimension('line__is_cancelled') }}", unit="days", better="lower")}

    with pytest.raises(MetricError, match="Metric bad filters by"):
        catalogue_from_manifest(bad)


def test_the_default_period_is_28_complete_days_against_the_28_before(conn: duckdb.DuckDBPyConnection) -> None:
    add_lines(
        conn,
        ("2024-03-28", 1, 1, None),
        ("2024-03-01", 1, 2, None),
        ("2024-02-29", 1, 4, None),
        ("2024-02-02", 0, 4, None),
        ("2024-02-01", 9, 9, None),
    )

    (value,) = evaluate(conn, CATALOGUE, ["fill"])

    assert (value.period_from, value.period_to, value.as_of) == (date(2024, 3, 1), AS_OF, AS_OF)
    assert (value.value, value.numerator, value.denominator, value.n) == (2 / 3, 2, 3, 2)
    assert (value.prior, value.change) == (1 / 8, 2 / 3 - 1 / 8)


def test_a_rate_is_a_ratio_of_sums_and_never_a_mean_of_rates(conn: duckdb.DuckDBPyConnection) -> None:
    add_lines(conn, ("2024-03-05", 75, 80, "tea"), ("2024-03-06", 20, 20, "tea"))

    (value,) = evaluate(conn, CATALOGUE, ["fill"])

    assert value.value == 0.95
    assert value.status == "on_target"


@pytest.mark.parametrize(("on_time", "status"), [(95, "on_target"), (94, "watch"), (90, "watch"), (89, "off_target")])
def test_status_compares_with_target_and_watch_band(conn: duckdb.DuckDBPyConnection, on_time: int, status: str) -> None:
    add_lines(conn, ("2024-03-05", on_time, 100, None))

    (value,) = evaluate(conn, CATALOGUE, ["fill"])

    assert value.status == status


@pytest.mark.parametrize(("days", "status"), [(2.0, "on_target"), (3.0, "watch"), (3.1, "off_target")])
def test_lower_is_better_turns_the_comparison_round(conn: duckdb.DuckDBPyConnection, days: float, status: str) -> None:
    add_orders(conn, ("1", "2024-03-01", "2024-03-05", days, False))

    (value,) = evaluate(conn, CATALOGUE, ["cycle_p50"])

    assert value.status == status


def test_who_is_left_out_is_counted_by_name(conn: duckdb.DuckDBPyConnection) -> None:
    add_orders(
        conn,
        ("1", "2024-03-01", "2024-03-02", 1.0, False),
        ("2", "2024-03-01", "2024-03-04", 3.0, False),
        ("3", "2024-03-01", "2024-03-09", 8.0, True),
        ("4", "2024-03-10", None, None, False),
        ("5", "2024-01-10", None, None, False),
        ("6", "2024-03-10", "2024-03-09", None, False),
    )

    median, mean = evaluate(conn, CATALOGUE, ["cycle_p50", "cycle_mean"])

    assert (median.value, median.numerator, median.denominator, median.n) == (2.0, None, None, 2)
    assert (mean.value, mean.numerator, mean.denominator, mean.n) == (2.0, 4.0, 2, 2)
    assert median.excluded == {"cancelled": 1, "open": 1, "other": 1}


def test_a_caveat_says_how_many_of_how_many(conn: duckdb.DuckDBPyConnection) -> None:
    add_orders(conn, ("1", "2024-03-01", "2024-03-02", 1.0, False), ("2", "2024-03-01", "2024-03-02", 1.0, False))
    conn.execute("update marts.fct_orders set promise_basis = 'derived' where order_id = '2'")

    (value,) = evaluate(conn, CATALOGUE, ["cycle_p50"])

    assert value.note == "1 of 2 orders have a derived promise"


def test_a_caveat_can_carry_a_figure_of_the_rows_it_counts(conn: duckdb.DuckDBPyConnection) -> None:
    add_orders(conn, ("1", "2024-03-01", "2024-03-02", 1.0, False), ("2", "2024-03-01", "2024-03-02", 1.0, False))
    late = Caveat("order_id = '2'", "orders rest on a model that was off by {figure:+.0%}", "0.16")
    unknown = Caveat("true", "orders have an error of {figure:.0%}", "case when false then 1.0 end")
    metric = replace(CATALOGUE["cycle_p50"], caveats=(late, unknown))

    (value,) = evaluate(conn, {"cycle_p50": metric}, ["cycle_p50"])

    assert value.note == "1 of 2 orders rest on a model that was off by +16%; 2 of 2 orders have an error of -"
    assert late.explained == "orders rest on a model that was off by `0.16`"


def test_nothing_counted_is_no_data_and_not_zero(conn: duckdb.DuckDBPyConnection) -> None:
    values = evaluate(conn, CATALOGUE, list(CATALOGUE))

    assert {(value.status, value.value, value.n, value.prior, value.change) for value in values} == {("no_data", None, 0, None, None)}


def test_a_field_the_source_lacks_makes_a_metric_unavailable_by_name(conn: duckdb.DuckDBPyConnection) -> None:
    add_lines(conn, ("2024-03-05", 75, 80, "tea"))
    conn.execute("update meta.source_fields set is_present = false")

    (value,) = evaluate(conn, CATALOGUE, ["fill"])

    assert (value.status, value.value, value.n) == ("not_available", None, None)
    assert value.needs_missing == ("shipments.shipped_at",)
    assert value.note == "not available: needs shipments.shipped_at"


def test_a_split_by_a_field_the_source_lacks_is_unavailable_too(conn: duckdb.DuckDBPyConnection) -> None:
    (value,) = evaluate(conn, CATALOGUE, ["cycle_p50"], by="channel")

    assert (value.status, value.needs_missing, value.member) == ("not_available", ("orders.channel_id",), None)


def test_members_of_a_dimension_come_with_most_rows_first_and_unknown_by_name(conn: duckdb.DuckDBPyConnection) -> None:
    add_lines(conn, ("2024-03-05", 1, 2, None), ("2024-03-05", 1, 1, "tea"), ("2024-03-06", 1, 1, "tea"), ("2024-02-06", 1, 1, "cups"))
    add_lines(conn, LONG_AGO_LINE)

    values = evaluate(conn, CATALOGUE, ["fill"], by="category")

    assert [(value.member, value.value, value.prior, value.status) for value in values] == [
        ("tea", 1.0, None, "on_target"), ("unknown", 0.5, None, "off_target"), ("cups", None, 1.0, "no_data"),
    ]  # fmt: skip


def test_a_metric_that_cannot_be_split_says_so_beside_those_that_can(conn: duckdb.DuckDBPyConnection) -> None:
    add_lines(conn, ("2024-03-05", 1, 1, "tea"))

    fill, sales = evaluate(conn, CATALOGUE, ["fill", "sales"], by="category")

    assert (fill.member, fill.value) == ("tea", 1.0)
    assert (sales.status, sales.note) == ("not_available", "not available by category")


def test_a_period_that_is_too_young_is_cut_and_counted(conn: duckdb.DuckDBPyConnection) -> None:
    add_lines(conn, ("2024-03-22", 1, 1, None), ("2024-03-21", 1, 2, None), ("2024-02-23", 1, 2, None), ("2024-02-22", 5, 5, None))
    add_lines(conn, LONG_AGO_LINE)

    (default,) = evaluate(conn, CATALOGUE, ["mature"])
    (explicit,) = evaluate(conn, CATALOGUE, ["mature"], since=date(2024, 3, 20), until=AS_OF)

    assert (default.period_from, default.period_to) == (date(2024, 2, 23), date(2024, 3, 21))
    assert (default.value, default.prior, default.excluded) == (0.5, 1.0, {"too_young": 1})
    assert (explicit.period_to, explicit.value, explicit.excluded) == (date(2024, 3, 21), 0.5, {"too_young": 1})


def test_money_is_exact_decimal_in_major_units(conn: duckdb.DuckDBPyConnection) -> None:
    add_sales(conn, ("2024-03-05", 10, "EUR"), ("2024-03-06", 20, "EUR"), ("2024-02-05", 5, "EUR"), ("2023-01-01", 9, "EUR"))

    (value,) = evaluate(conn, CATALOGUE, ["sales"])

    assert (value.value, value.prior, value.change, value.currency_code) == (Decimal("0.30"), Decimal("0.05"), Decimal("0.25"), "EUR")
    assert json.loads(json.dumps(value.as_dict()))["value"] == 0.3


def test_a_prior_period_that_data_covers_only_in_part_is_no_prior(conn: duckdb.DuckDBPyConnection) -> None:
    add_sales(conn, ("2024-03-05", 30, "EUR"), ("2024-02-20", 5, "EUR"))

    (value,) = evaluate(conn, CATALOGUE, ["sales"])

    assert (value.value, value.prior, value.change) == (Decimal("0.30"), None, None)


@pytest.mark.parametrize(("currency", "expected"), [("JPY", "1250"), ("EUR", "12.50"), ("KWD", "1.250")])
def test_minor_units_follow_the_currency(conn: duckdb.DuckDBPyConnection, currency: str, expected: str) -> None:
    add_sales(conn, ("2024-03-05", 1250, currency))
    conn.execute("update meta.run_context set currency_code = ?", [currency])

    (value,) = evaluate(conn, CATALOGUE, ["sales"])

    assert (str(value.value), value.currency_code) == (expected, currency)


def test_several_currencies_are_never_added(conn: duckdb.DuckDBPyConnection) -> None:
    add_sales(conn, ("2024-03-05", 10, "EUR"), ("2024-03-06", 20, "USD"))

    (value,) = evaluate(conn, CATALOGUE, ["sales"])

    assert (value.status, value.value, value.n, value.note) == ("blocked", None, 2, "1 of 2 rows have no exchange rate: load fx_rates")


def test_a_prior_period_in_another_currency_is_no_prior(conn: duckdb.DuckDBPyConnection) -> None:
    add_sales(conn, ("2024-03-05", 10, "EUR"), ("2024-02-06", 20, "USD"))

    (value,) = evaluate(conn, CATALOGUE, ["sales"])

    assert (value.value, value.prior, value.change) == (Decimal("0.10"), None, None)


def test_a_wrong_name_is_answered_with_the_nearest(conn: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(MetricError, match=r"There is no metric 'fil'; did you mean fill\?"):
        evaluate(conn, CATALOGUE, ["fil"])
    with pytest.raises(MetricError, match=r"by 'catgory'; did you mean category\?"):
        evaluate(conn, CATALOGUE, ["fill"], by="catgory")
    with pytest.raises(MetricError, match="there are: channel"):
        evaluate(conn, CATALOGUE, ["sales"], by="chanel'; drop table x; --")


def test_a_period_that_begins_after_its_end_is_refused(conn: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(MetricError, match="holds no day; data is complete until 2024-03-28"):
        evaluate(conn, CATALOGUE, ["fill"], since=date(2024, 3, 29))


@pytest.mark.parametrize("since", [date(2030, 1, 1), None])
def test_a_period_that_begins_after_the_data_is_refused_with_or_without_an_end(conn: duckdb.DuckDBPyConnection, since: date | None) -> None:
    with pytest.raises(MetricError, match="to 2030-02-01 holds no day; data is complete until 2024-03-28"):
        evaluate(conn, CATALOGUE, ["fill"], since=since, until=date(2030, 2, 1))


def test_days_after_the_as_of_date_count_only_where_they_are_named_and_say_so(conn: duckdb.DuckDBPyConnection) -> None:
    add_lines(conn, ("2024-03-28", 1, 1, None), ("2024-03-29", 0, 1, None))

    (until_as_of,) = evaluate(conn, CATALOGUE, ["fill"], since=date(2024, 3, 28))
    (past_as_of,) = evaluate(conn, CATALOGUE, ["fill"], since=date(2024, 3, 28), until=date(2024, 4, 30))

    assert (until_as_of.period_to, until_as_of.value, until_as_of.note) == (AS_OF, 1.0, None)
    assert (past_as_of.period_to, past_as_of.value) == (date(2024, 4, 30), 0.5)
    assert past_as_of.note == "counts days after 2024-03-28, which may be incomplete"


def test_a_series_has_every_day_and_tells_zero_from_unknown(conn: duckdb.DuckDBPyConnection) -> None:
    add_sales(conn, ("2024-03-26", 150, "EUR"), ("2024-03-28", -50, "EUR"))
    add_lines(conn, ("2024-03-26", 1, 2, None))
    days = {"since": date(2024, 3, 26), "until": AS_OF}

    sales = daily_values(conn, CATALOGUE, "sales", **days)
    fill = daily_values(conn, CATALOGUE, "fill", **days)

    assert sales["value"].to_list() == [1.5, 0.0, -0.5]
    assert fill["value"].to_list() == [0.5, None, None]
    assert fill["metric_date"].to_list() == [date(2024, 3, 26), date(2024, 3, 27), AS_OF]


def test_a_series_of_percentiles_is_weekly_and_without_a_broken_week(conn: duckdb.DuckDBPyConnection) -> None:
    add_orders(
        conn,
        ("1", "2024-03-01", "2024-03-14", 9.0, False),
        ("2", "2024-03-01", "2024-03-15", 1.0, False),
        ("3", "2024-03-01", "2024-03-21", 3.0, False),
        ("4", "2024-03-01", "2024-03-28", 5.0, False),
    )

    weeks = daily_values(conn, CATALOGUE, "cycle_p50", since=date(2024, 3, 10), until=AS_OF)

    assert weeks.select("metric_date", "value").rows() == [(date(2024, 3, 21), 2.0), (AS_OF, 5.0)]


def test_a_series_of_an_unavailable_metric_is_empty(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute("update meta.source_fields set is_present = false")

    assert daily_values(conn, CATALOGUE, "fill", since=date(2024, 3, 1), until=AS_OF).is_empty()
