"""Returns, recounted from the raw tables in plain Polars."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipelines.settings import Settings
from pipelines.simulator.merchant import SimulatedMerchant, simulate
from pipelines.steps.transform import DBT_PROJECT, TransformResult
from pipelines.stores.metrics import Metric, catalogue_from_manifest, evaluate
from pipelines.stores.warehouse import open_warehouse
from tests.integration.conversion import in_reporting_cents
from tests.integration.partial_build import transform_only
from tests.integration.test_transform import SCENARIO, fill_raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

AS_OF = SCENARIO.last_day


@pytest.fixture(scope="module")
def merchant() -> SimulatedMerchant:
    """Every fourth return is exchanged for some order, two of them at a time for the same one."""
    simulated = simulate(SCENARIO, seed=7)
    returns, order_ids = simulated.tables["returns"], simulated.tables["orders"]["order_id"]
    nth = pl.int_range(pl.len())
    taken = pl.when(nth % 4 == 0).then(pl.lit(order_ids).implode().list.get(nth // 8 * 7))
    return replace(simulated, tables={**simulated.tables, "returns": returns.with_columns(taken.alias("exchange_order_id"))})


@pytest.fixture(scope="module")
def built(merchant: SimulatedMerchant, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, TransformResult]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    with open_warehouse(settings.warehouse_path) as conn:
        fill_raw(conn, merchant)
    return settings, transform_only(settings, "marts.returns")


@pytest.fixture
def conn(built: tuple[Settings, TransformResult]) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(built[0].warehouse_path, read_only=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def catalogue(built: tuple[Settings, TransformResult]) -> dict[str, Metric]:
    return catalogue_from_manifest(json.loads(built[1].manifest_path.read_text(encoding="utf-8")))


def local_date(column: str) -> pl.Expr:
    return pl.col(column).dt.replace_time_zone("UTC").dt.convert_time_zone(SCENARIO.time_zone).dt.date()


@pytest.fixture(scope="module")
def returned(merchant: SimulatedMerchant) -> pl.DataFrame:
    """One row per return line of a real order, with its return, its order and its product."""
    tables = merchant.tables
    real = tables["orders"].filter(~pl.col("is_test") & pl.col("cancelled_at").is_null()).select("order_id")
    returns = tables["returns"].drop("updated_at").rename({"created_at": "announced_at"}).join(real, on="order_id")
    return tables["return_lines"].join(returns, on="return_id").join(tables["products"].select("sku", "unit_cost"), on="sku")


@pytest.fixture(scope="module")
def shipped(merchant: SimulatedMerchant) -> pl.DataFrame:
    """One row per line of a real order that left: order_line_id, sku, quantity, shipped_date (of its first unit)."""
    tables = merchant.tables
    real = tables["orders"].filter(~pl.col("is_test") & pl.col("cancelled_at").is_null()).select("order_id")
    parcels = tables["shipments"].filter(pl.col("shipped_at").is_not_null()).select("shipment_id", "shipped_at")
    left = (
        tables["shipment_lines"]
        .join(parcels, on="shipment_id")
        .group_by("order_line_id")
        .agg(pl.col("quantity").sum(), pl.col("shipped_at").min())
    )
    lines = tables["order_lines"].join(real, on="order_id").select("order_line_id", "sku")
    return lines.join(left, on="order_line_id").with_columns(local_date("shipped_at").alias("shipped_date"))


def cohort(shipped: pl.DataFrame, days: int) -> pl.DataFrame:
    """What left in the period that ended 30 days before as-of."""
    return shipped.filter(pl.col("shipped_date").is_between(AS_OF - timedelta(days=days + 29), AS_OF - timedelta(days=30)))


def at_its_rate(merchant: SimulatedMerchant, frame: pl.DataFrame, cents: str) -> pl.Series:
    """The cents in the merchant's currency, at the rate of the frame's column `day`."""
    return in_reporting_cents(frame, cents, day="day", rates=merchant.tables["fx_rates"], reporting=SCENARIO.currency)


def within(frame: pl.DataFrame, column: str, days: int) -> pl.DataFrame:
    return frame.filter(local_date(column).is_between(AS_OF - timedelta(days=days - 1), AS_OF))


def test_the_return_rate_is_what_left_and_came_back(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], returned: pl.DataFrame, shipped: pl.DataFrame
) -> None:
    left = cohort(shipped, 28)
    back = returned.join(left.select("order_line_id"), on="order_line_id")

    (rate,) = evaluate(conn, catalogue, ["return_rate"])

    assert (rate.numerator, rate.denominator) == (back["quantity"].sum(), left["quantity"].sum())
    assert rate.value == pytest.approx(back["quantity"].sum() / left["quantity"].sum())


def test_what_came_back_for_each_reason_sums_to_all_that_came_back(
    conn: duckdb.DuckDBPyConnection, returned: pl.DataFrame, shipped: pl.DataFrame
) -> None:
    expected = returned.join(shipped.select("order_line_id"), on="order_line_id").group_by("reason_code").agg(pl.col("quantity").sum())

    found = conn.execute(
        "select reason_code, sum(returned_qty)::bigint from marts.fct_ship_cohort_events "
        "where event_type = 'returned' and not is_cancelled and not is_test group by all"
    ).fetchall()

    assert dict(found) == dict(expected.iter_rows())


def test_units_refunds_and_pace_equal_a_recount(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], merchant: SimulatedMerchant, returned: pl.DataFrame
) -> None:
    refunded = within(returned, "refunded_at", 28)
    days = {
        "whole": refunded.select((pl.col("refunded_at") - pl.col("announced_at")).dt.total_microseconds() / 86_400e6).to_series(),
        "to_arrival": refunded.select((pl.col("received_at") - pl.col("announced_at")).dt.total_microseconds() / 86_400e6).to_series(),
        "to_refund": refunded.select((pl.col("refunded_at") - pl.col("received_at")).dt.total_microseconds() / 86_400e6).to_series(),
    }
    paid = refunded.unique("return_id").with_columns(
        local_date("refunded_at").alias("day"), (pl.col("refund_amount") * 100).cast(pl.Int64).alias("cents")
    )
    refunds = at_its_rate(merchant, paid, "cents")

    units, refund, median, p90, mean, first, second = evaluate(
        conn, catalogue,
        ["returned_units", "refunds", "return_cycle_time_p50_days", "return_cycle_time_p90_days", "return_cycle_time_mean_days",
         "return_announced_to_received_mean_days", "return_received_to_refunded_mean_days"],
    )  # fmt: skip

    assert units.value == within(returned, "announced_at", 28)["quantity"].sum()
    assert set(paid["currency"]) == {"EUR", "CHF"}
    assert refund.value == Decimal(refunds.sum()) / 100
    assert median.value == pytest.approx(days["whole"].median())
    assert p90.value == pytest.approx(days["whole"].quantile(0.9, "linear"))
    assert mean.value == pytest.approx(days["whole"].mean())
    assert first.value == pytest.approx(days["to_arrival"].mean())
    assert float(first.value or 0) + float(second.value or 0) == pytest.approx(float(mean.value or 0))
    assert second.value == pytest.approx(days["to_refund"].mean())


def test_what_is_put_back_and_what_is_lost_equal_a_recount(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], returned: pl.DataFrame
) -> None:
    received = within(returned, "received_at", 91).with_columns((pl.col("quantity") * pl.col("unit_cost")).alias("cost"))
    is_restocked = (pl.col("restock_type") == "return") & (pl.col("condition") != "damaged")
    standard = pl.read_csv(DBT_PROJECT / "seeds/labour_standards.csv").filter(pl.col("event_type") == "return_received").row(0, named=True)
    handling = len(received) * standard["standard_minutes"] * standard["cost_per_hour"] / 60

    since = AS_OF - timedelta(days=90)
    restocked, serving = evaluate(conn, catalogue, ["restock_value", "return_cost_to_serve"], since=since)

    assert float(restocked.value or 0) == pytest.approx(float(received.filter(is_restocked)["cost"].sum()))
    assert float(serving.value or 0) == pytest.approx(float(received.filter(~is_restocked)["cost"].sum()) + handling)


@pytest.mark.parametrize("period_days", [28, 91, 364])
def test_the_pareto_equals_a_recount(
    conn: duckdb.DuckDBPyConnection, returned: pl.DataFrame, shipped: pl.DataFrame, period_days: int
) -> None:
    cause = ["reason_code", "sku"]
    announced = within(returned, "announced_at", period_days)
    units = {(reason, sku): qty for reason, sku, qty in announced.group_by(cause).agg(pl.col("quantity").sum()).iter_rows()}
    left = cohort(shipped, period_days)
    left_by_sku = dict(left.group_by("sku").agg(pl.col("quantity").sum()).iter_rows())
    back = returned.join(left.select("order_line_id"), on="order_line_id").group_by(cause).agg(pl.col("quantity").sum())
    rates = {(reason, sku): qty / left_by_sku[sku] for reason, sku, qty in back.iter_rows()}

    found = conn.execute(
        f"select * from marts.fct_return_pareto where period_days = {period_days} order by returned_qty desc, sku, reason"
    ).pl()

    rows = {(row["reason"], row["sku"]): row for row in found.iter_rows(named=True)}
    assert {key: row["returned_qty"] for key, row in rows.items() if row["returned_qty"]} == units
    assert {key: row["return_rate"] for key, row in rows.items() if row["return_rate"]} == pytest.approx(rates)
    assert {row["sku"]: row["shipped_qty"] for row in rows.values() if row["shipped_qty"]}.items() <= left_by_sku.items()
    assert found["cumulative_share"].is_sorted()
    assert found["cumulative_share"][-1] == pytest.approx(1)
    assert found["returned_qty"].sum() == announced["quantity"].sum()


@pytest.mark.parametrize("period_days", [28, 91, 364])
def test_rates_of_the_pareto_add_up_to_the_return_rate_of_the_sku(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], period_days: int
) -> None:
    since = AS_OF - timedelta(days=period_days + 29)
    by_sku = {one.member: one for one in evaluate(conn, catalogue, ["return_rate"], by="sku", since=since) if one.denominator}

    found = conn.execute(
        "select sku, sum(return_rate), any_value(shipped_qty), sum(prior_return_rate) from marts.fct_return_pareto "
        "where period_days = ? and shipped_qty > 0 group by sku",
        [period_days],
    ).fetchall()

    assert found
    for sku, rate, shipped_qty, prior in found:
        assert (rate, shipped_qty) == (pytest.approx(by_sku[sku].value), by_sku[sku].denominator)
        assert prior == pytest.approx(by_sku[sku].prior)
    assert {sku for sku, one in by_sku.items() if one.numerator} <= {sku for sku, *_ in found}


def test_a_supplier_is_the_first_choice_of_today(conn: duckdb.DuckDBPyConnection, merchant: SimulatedMerchant) -> None:
    items = merchant.tables["supplier_items"].sort("sku", "priority", "supplier_id").unique("sku", keep="first", maintain_order=True)
    first_choice = dict(items.select("sku", "supplier_id").iter_rows())

    found = conn.execute("select distinct sku, supplier_id from marts.fct_return_pareto").fetchall()

    assert found
    assert all(first_choice[sku] == supplier_id for sku, supplier_id in found)


def test_exchanges_keep_what_a_recount_gives(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], merchant: SimulatedMerchant, returned: pl.DataFrame
) -> None:
    tables = merchant.tables
    orders = tables["orders"].select("order_id", "currency", local_date("created_at").alias("day"))
    net = (100 * (pl.col("quantity") * pl.col("unit_price") - pl.col("total_discount").fill_null(0))).cast(pl.Float64).round()
    lines = (
        tables["order_lines"]
        .select("order_line_id", "order_id", pl.col("quantity").alias("ordered"), net.alias("net"))
        .join(orders, on="order_id")
    )
    worth = dict(lines.with_columns(at_its_rate(merchant, lines, "net")).group_by("order_id").agg(pl.col("net").sum()).iter_rows())
    cancelled = set(tables["orders"].filter(pl.col("cancelled_at").is_not_null())["order_id"])
    exchanged = (
        returned.filter(pl.col("exchange_order_id").is_not_null())
        .drop("currency")
        .join(lines.drop("order_id"), on="order_line_id")
        .with_columns((pl.col("net") * pl.col("quantity") / pl.col("ordered")).round().alias("back"))
    )
    sold = exchanged.with_columns(at_its_rate(merchant, exchanged, "back")).group_by("exchange_order_id").agg(pl.col("back").sum())
    kept = sum(0 if order_id in cancelled else min(cents, worth[order_id]) for order_id, cents in sold.iter_rows())

    share, retained = evaluate(conn, catalogue, ["exchange_share", "retained_revenue"], since=SCENARIO.start)

    assert share.value == pytest.approx(exchanged["quantity"].sum() / returned["quantity"].sum())
    assert float(retained.value or 0) == pytest.approx(kept / 100, abs=0.01 * len(exchanged))
    assert 0 < kept < sold["back"].sum()
