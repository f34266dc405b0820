"""Customers of a simulated merchant are scored; the simulator knows who of them has truly left."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest
from scipy import stats

from pipelines.simulator.merchant import SimulatedMerchant, simulate
from pipelines.simulator.scenarios import SCENARIOS
from pipelines.steps.customer_values import score_customers
from pipelines.stores.warehouse import open_warehouse, replace_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

TABLES = ("customer_scores", "customer_model", "customer_holdout")


@pytest.fixture(scope="module")
def merchant() -> SimulatedMerchant:
    return simulate(replace(SCENARIOS["small"], days=500, orders=9_000, customers=1_500, bad_documents=()), seed=3)


@pytest.fixture
def conn(merchant: SimulatedMerchant, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(tmp_path / "warehouse.duckdb") as connection:
        connection.execute(
            "insert into meta.run_context values ('run', ?, 'Europe/Berlin', 'EUR', 'Shop', 'test')", [merchant.scenario.last_day]
        )
        replace_table(connection, "marts", "fct_customer_order_days", _order_days(merchant))
        yield connection


def _order_days(merchant: SimulatedMerchant) -> pl.DataFrame:
    orders, lines = merchant.tables["orders"], merchant.tables["order_lines"]
    worth = lines.group_by("order_id").agg((pl.col("quantity") * pl.col("unit_price")).sum().cast(pl.Float64).alias("worth"))
    return (
        orders.filter(pl.col("customer_id").is_not_null(), pl.col("cancelled_at").is_null(), ~pl.col("is_test").fill_null(value=False))
        .join(worth, on="order_id")
        .group_by(pl.col("customer_id").alias("customer_key"), pl.col("created_at").dt.date().alias("purchase_date"))
        .agg(pl.len().alias("order_count"), (pl.col("worth").sum() * 100).round().cast(pl.Int64).alias("net_reporting_amount"))
    )


def _table(conn: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
    return conn.sql(f"select * from planning.{name}").pl()


def test_who_is_truly_still_there_is_ranked_above_who_left(conn: duckdb.DuckDBPyConnection, merchant: SimulatedMerchant) -> None:
    as_of = merchant.scenario.last_day

    score_customers(conn)

    judged = (
        _table(conn, "customer_scores")
        .filter(pl.col("status_date") == as_of, pl.col("is_churned").is_not_null())
        .join(merchant.truth.customers, left_on="customer_key", right_on="customer_id")
        .with_columns((pl.col("left_at_date").is_null() | (pl.col("left_at_date") > as_of)).alias("is_there"))
    )
    there, gone = (judged.filter(pl.col("is_there") == side)["p_alive"].to_numpy() for side in (True, False))
    area = stats.mannwhitneyu(there, gone).statistic / (len(there) * len(gone))
    verdicts = judged.group_by("is_churned").agg(pl.col("is_there").mean())
    truly_there = dict(verdicts.iter_rows())
    assert min(len(there), len(gone)) > 200
    assert area > 0.85, area  # 0.93 when measured
    assert truly_there[True] < 0.2, truly_there
    assert truly_there[False] > 0.6, truly_there


def test_every_status_day_counts_who_had_bought_by_then_and_names_whom_it_leaves_out(
    conn: duckdb.DuckDBPyConnection, merchant: SimulatedMerchant
) -> None:
    as_of = merchant.scenario.last_day

    summary = score_customers(conn)

    scores, visits = _table(conn, "customer_scores"), _table_of_visits(conn)
    for back in (0, 28, 364):
        day = as_of - timedelta(days=back)
        known = visits.filter(pl.col("purchase_date") <= day).group_by("customer_key").agg(pl.len(), pl.col("purchase_date").min())
        own = scores.filter(pl.col("status_date") == day)
        assert own.height == known.height
        assert own.filter("is_one_time").height == known.filter(pl.col("len") == 1).height
        assert own.filter("is_too_young").height == known.filter((day - pl.col("purchase_date")).dt.total_days() < 91).height
        assert (
            own.filter(pl.col("is_one_time") | pl.col("is_too_young"))["is_churned"].null_count()
            == own.filter(pl.col("is_one_time") | pl.col("is_too_young")).height
        )
        assert own.filter("is_one_time")["p_alive"].unique().to_list() == [1.0]
    assert summary.customers_count == scores.filter(pl.col("status_date") == as_of).height
    assert scores["lifetime_value_364_days_amount"].null_count() == 0


def _table_of_visits(conn: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    return conn.sql("select * from marts.fct_customer_order_days").pl()


def test_the_holdout_error_stands_beside_that_of_everyones_own_past_rate(conn: duckdb.DuckDBPyConnection) -> None:
    score_customers(conn)

    model, classes = _table(conn, "customer_model").row(0, named=True), _table(conn, "customer_holdout")
    assert model["refusal_reason"] is None
    assert model["holdout_days"] == 91
    assert abs(model["holdout_bias_rate"]) < abs(model["holdout_naive_bias_rate"])
    assert model["holdout_absolute_error_mean"] < model["holdout_naive_absolute_error_mean"]
    assert classes["actual_count"].sum() == model["holdout_actual_count"]
    assert classes["customers_count"].sum() == model["holdout_customers_count"]


def test_what_the_held_out_purchases_came_to_stands_beside_what_was_expected(conn: duckdb.DuckDBPyConnection) -> None:
    score_customers(conn)

    model, visits = _table(conn, "customer_model").row(0, named=True), _table_of_visits(conn)
    known = visits.filter(pl.col("purchase_date") < model["holdout_from"])["customer_key"].unique()
    held_out = visits.filter(pl.col("purchase_date") >= model["holdout_from"], pl.col("customer_key").is_in(known.implode()))
    assert model["holdout_actual_amount"] == held_out["net_reporting_amount"].sum()
    assert model["holdout_value_bias_rate"] == pytest.approx(model["holdout_predicted_amount"] / model["holdout_actual_amount"] - 1)
    assert abs(model["holdout_value_bias_rate"]) < 0.5, model["holdout_value_bias_rate"]


def test_an_amount_without_an_exchange_rate_leaves_the_error_in_money_unknown(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute(
        "update marts.fct_customer_order_days set net_reporting_amount = null where (customer_key, purchase_date) in "
        "(select customer_key, purchase_date from marts.fct_customer_order_days order by purchase_date desc, customer_key limit 1)"
    )

    score_customers(conn)

    model = _table(conn, "customer_model").row(0, named=True)
    assert model["holdout_bias_rate"] is not None
    assert (model["holdout_actual_amount"], model["holdout_value_bias_rate"]) == (None, None)


def test_a_second_run_writes_the_same_rows(conn: duckdb.DuckDBPyConnection) -> None:
    score_customers(conn)
    first = [_table(conn, name) for name in TABLES]

    score_customers(conn)

    assert all(_table(conn, name).equals(before) for name, before in zip(TABLES, first, strict=True))


def test_tables_that_an_earlier_version_shaped_otherwise_are_made_anew(conn: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    score_customers(conn)
    conn.execute("alter table planning.customer_model drop column holdout_value_bias_rate")
    conn.close()

    with open_warehouse(tmp_path / "warehouse.duckdb") as reopened:
        kept, emptied = _table(reopened, "customer_scores"), _table(reopened, "customer_model")
        score_customers(reopened)
        model = _table(reopened, "customer_model")

    assert (kept.is_empty(), emptied.is_empty()) == (False, True)
    assert model["holdout_value_bias_rate"].null_count() == 0


def test_too_few_repeat_customers_get_no_scores_and_a_reason(conn: duckdb.DuckDBPyConnection) -> None:
    few = "select distinct customer_key from marts.fct_customer_order_days order by 1 limit 80"
    conn.execute(f"delete from marts.fct_customer_order_days where customer_key not in ({few})")

    summary = score_customers(conn)

    scores = _table(conn, "customer_scores")
    assert "customers bought again and at least 100 are needed" in (summary.refusal_reason or "")
    assert scores.height > 0
    for name in ("p_alive", "expected_purchases_91_days", "lifetime_value_364_days_amount", "is_churned"):
        assert scores[name].null_count() == scores.height
    assert _table(conn, "customer_model")["refusal_reason"].to_list() == [summary.refusal_reason]
    assert _table(conn, "customer_holdout").is_empty()


def test_orders_without_customers_say_what_is_missing(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute("delete from marts.fct_customer_order_days")

    summary = score_customers(conn)

    assert summary.refusal_reason == "No order names its customer: orders.customer_id is needed."
    assert _table(conn, "customer_scores").is_empty()
