"""The process map and the touches, recounted from the raw tables in plain Polars."""

from __future__ import annotations

import json
from datetime import timedelta
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
EDGE = ["from_event", "to_event"]


@pytest.fixture(scope="module")
def merchant() -> SimulatedMerchant:
    return simulate(SCENARIO, seed=5)


@pytest.fixture(scope="module")
def built(merchant: SimulatedMerchant, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, TransformResult]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    with open_warehouse(settings.warehouse_path) as conn:
        fill_raw(conn, merchant)
    return settings, transform_only(settings, "marts.process")


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
def orders(merchant: SimulatedMerchant) -> pl.DataFrame:
    """order_id, created_at, is_test, value (net, cents), finished_date (null while open)."""
    tables = merchant.tables
    arrived = (
        tables["shipment_lines"]
        .join(tables["shipments"].filter(pl.col("delivered_at").is_not_null()), on="shipment_id")
        .group_by("order_line_id")
        .agg(pl.col("quantity").sum().alias("arrived"), pl.col("delivered_at").max())
    )
    lines = tables["order_lines"].join(tables["orders"].select("order_id", "currency", day=local_date("created_at")), on="order_id")
    net = 100 * (pl.col("quantity") * pl.col("unit_price") - pl.col("total_discount").fill_null(0))
    cents = lines.with_columns(net.round().cast(pl.Int64).alias("cents"))
    value = in_reporting_cents(cents, "cents", day="day", rates=tables["fx_rates"], reporting=SCENARIO.currency)
    by_order = (
        lines.with_columns(value.alias("value"))
        .join(arrived, on="order_line_id", how="left")
        .group_by("order_id")
        .agg(
            (pl.col("arrived").fill_null(0) >= pl.col("quantity")).all().alias("is_complete"),
            pl.col("delivered_at").max(),
            pl.col("value").sum(),
        )
    )
    arrival = pl.when("is_complete").then(local_date("delivered_at"))
    ended = pl.min_horizontal(local_date("cancelled_at"), local_date("closed_at"), arrival)
    return (
        tables["orders"]
        .join(by_order, on="order_id")
        .with_columns(ended.alias("finished_date"))
        .select(
            "order_id",
            "created_at",
            "is_test",
            "value",
            pl.when(pl.col("finished_date") <= AS_OF).then("finished_date").alias("finished_date"),
        )
    )


@pytest.fixture(scope="module")
def steps(merchant: SimulatedMerchant, orders: pl.DataFrame) -> pl.DataFrame:
    """order_id, from_event, to_event, hours, is_touch, performed_by: one row per step, written down without any window."""
    of_order: dict[str, list[dict[str, object]]] = {}
    known = merchant.tables["order_events"].filter(local_date("occurred_at") <= AS_OF).sort("occurred_at", "event_id")
    for event in known.iter_rows(named=True):
        of_order.setdefault(event["order_id"], []).append(event)
    end_of_day = pl.Series([AS_OF + timedelta(days=1)]).cast(pl.Datetime).dt.replace_time_zone(SCENARIO.time_zone)
    now = end_of_day.dt.convert_time_zone("UTC").dt.replace_time_zone(None)[0]
    rows = []
    for order in orders.iter_rows(named=True):
        node, at = "start", order["created_at"]
        for event in of_order.get(order["order_id"], []):
            who = event["station"] or event["actor_role"]
            hours = (event["occurred_at"] - at).total_seconds() / 3600  # type: ignore[operator]
            rows.append((order["order_id"], node, event["event_type"], hours, event["actor_type"] == "human", who, event["station"]))
            node, at = event["event_type"], event["occurred_at"]
        is_open = order["finished_date"] is None
        rows.append(
            (
                order["order_id"],
                node,
                "open" if is_open else "end",
                (now - at).total_seconds() / 3600 if is_open else 0.0,
                False,
                None,
                None,
            )
        )
    return pl.DataFrame(rows, schema=["order_id", *EDGE, "hours", "is_touch", "performed_by", "station"], orient="row")


def finished_within(orders: pl.DataFrame, days: int) -> pl.DataFrame:
    return orders.filter(~pl.col("is_test") & pl.col("finished_date").is_between(AS_OF - timedelta(days=days - 1), AS_OF))


@pytest.mark.parametrize("period_days", [28, 91, 364])
def test_the_map_equals_a_recount_of_every_step(
    conn: duckdb.DuckDBPyConnection, orders: pl.DataFrame, steps: pl.DataFrame, period_days: int
) -> None:
    is_open = orders.filter(~pl.col("is_test") & pl.col("finished_date").is_null())
    waiting = steps.filter(pl.col("to_event") == "open").join(is_open, on="order_id")
    counted = pl.concat([steps.join(finished_within(orders, period_days), on="order_id"), waiting])
    expected = (
        counted.group_by(EDGE)
        .agg(
            pl.len().cast(pl.Int64).alias("transition_count"),
            pl.col("order_id").n_unique().cast(pl.Int64).alias("order_count"),
            pl.col("hours").median().alias("p50_hours"),
            pl.col("hours").quantile(0.9, "linear").alias("p90_hours"),
            pl.col("hours").sum().alias("total_hours"),
            ((pl.col("hours") * pl.col("value")).sum().cast(pl.Float64) / 100).alias("bottleneck_score"),
        )
        .sort(EDGE)
    )

    found = conn.execute(f"select * from marts.fct_process_edges where period_days = {period_days}").pl().sort(EDGE)

    assert found.select(EDGE).equals(expected.select(EDGE))
    for column in expected.columns[2:]:
        assert found[column].to_list() == pytest.approx(expected[column].to_list()), column
    for state in ("done", "open"):
        ranked = found.filter(pl.col("wait_state") == state).sort("bottleneck_rank")
        assert ranked["bottleneck_score"].is_sorted(descending=True)
        assert ranked["bottleneck_rank"][0] == 1
        assert ranked["transition_share"].sum() == pytest.approx(1)
    still = found.filter(pl.col("wait_state") == "open")
    assert set(still["to_event"]) == {"open"}
    assert still["transition_count"].sum() == len(is_open)
    assert "open" not in set(found.filter(pl.col("wait_state") == "done")["to_event"])


def test_as_many_orders_start_as_end_or_are_open(conn: duckdb.DuckDBPyConnection, orders: pl.DataFrame) -> None:
    edges = conn.sql("select from_event, to_event, count(*) as orders from marts.fct_order_transitions group by all").pl()

    started = edges.filter(pl.col("from_event") == "start")["orders"].sum()
    done = {end: edges.filter(pl.col("to_event") == end)["orders"].sum() for end in ("end", "open")}

    assert started == len(orders)
    assert done == {"end": orders["finished_date"].count(), "open": orders["finished_date"].null_count()}
    assert done["open"] > 0


def test_paths_equal_a_recount(conn: duckdb.DuckDBPyConnection, orders: pl.DataFrame, steps: pl.DataFrame) -> None:
    paths = (
        steps.filter(pl.col("to_event") != "end")
        .join(finished_within(orders, 91), on="order_id")
        .group_by("order_id", maintain_order=True)
        .agg(pl.col("to_event").str.join(" > ").alias("variant"), pl.col("hours").sum())
    )
    expected = {
        row["variant"]: (row["len"], pytest.approx(row["hours"]))
        for row in paths.group_by("variant").agg(pl.len(), pl.col("hours").median()).iter_rows(named=True)
    }

    found = conn.sql(
        "select variant, order_count, p50_hours, variant_rank, order_share from marts.fct_process_variants where period_days = 91"
    ).pl()

    named = found.filter(pl.col("variant_rank").is_not_null())
    assert {row["variant"]: (row["order_count"], row["p50_hours"]) for row in named.iter_rows(named=True)}.items() <= expected.items()
    assert (
        named.sort("variant_rank")["order_count"].to_list() == sorted((count for count, _ in expected.values()), reverse=True)[: len(named)]
    )
    assert found["order_count"].sum() == len(paths)
    assert found["order_share"].sum() == pytest.approx(1)


def test_touches_equal_a_recount(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], orders: pl.DataFrame, steps: pl.DataFrame
) -> None:
    finished = finished_within(orders, 28)
    touches = steps.join(finished, on="order_id").group_by("order_id").agg(pl.col("is_touch").sum())

    per_order, touchless = evaluate(conn, catalogue, ["touches_per_order", "touchless_rate"])

    assert (per_order.numerator, per_order.denominator) == (touches["is_touch"].sum(), len(finished))
    assert touchless.value == pytest.approx((touches["is_touch"] == 0).mean())
    assert per_order.excluded.keys() >= {"test", "open", "no_events"}


def test_causes_equal_a_recount_and_sum_to_the_touches(conn: duckdb.DuckDBPyConnection, orders: pl.DataFrame, steps: pl.DataFrame) -> None:
    finished = finished_within(orders, 91)
    touched = (
        steps.filter("is_touch")
        .join(finished, on="order_id")
        .group_by("to_event", "performed_by")
        .agg(pl.len(), pl.col("order_id").n_unique())
    )

    found = conn.execute(
        "select cause, performed_by, touch_count, order_count, touches_per_order, finished_order_count from marts.fct_touch_causes where period_days = 91"
    ).fetchall()

    assert {row[:4] for row in found} == set(touched.iter_rows())
    assert {row[5] for row in found} == {len(finished)}
    assert sum(row[4] for row in found) == pytest.approx(touched["len"].sum() / len(finished))


@pytest.mark.parametrize("period_days", [28, 91, 364])
def test_touches_of_a_cause_are_the_metric_of_that_reason(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], period_days: int
) -> None:
    split = evaluate(conn, catalogue, ["touches_per_order"], by="reason", since=AS_OF - timedelta(days=period_days - 1))

    found = conn.execute(
        "select cause, sum(touches_per_order), sum(touch_count) from marts.fct_touch_causes where period_days = ? and touch_count > 0 group by cause",
        [period_days],
    ).fetchall()

    assert {cause: per_order for cause, per_order, _ in found} == pytest.approx({one.member: one.value for one in split if one.numerator})
    assert {cause: touches for cause, _, touches in found} == {one.member: one.numerator for one in split if one.numerator}


def test_labour_is_the_standard_of_each_step_done_by_people_or_at_a_station(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], orders: pl.DataFrame, steps: pl.DataFrame
) -> None:
    standards = pl.read_csv(DBT_PROJECT / "seeds/labour_standards.csv")
    work = steps.filter(pl.col("is_touch") | pl.col("station").is_not_null()).join(
        standards, left_on=["to_event", "performed_by"], right_on=["event_type", "performed_by"]
    )
    finished = finished_within(orders, 28)
    all_orders = orders.filter(~pl.col("is_test"))

    minutes, cost = evaluate(conn, catalogue, ["labour_minutes_per_order", "labour_cost"], since=SCENARIO.start)
    (lately,) = evaluate(conn, catalogue, ["labour_minutes_per_order"])

    assert lately.value == pytest.approx(work.join(finished, on="order_id")["standard_minutes"].sum() / len(finished))
    whole = work.join(all_orders, on="order_id")
    cents = (100 * whole["standard_minutes"] * whole["cost_per_hour"] / 60).round()
    assert float(cost.value or 0) == pytest.approx(cents.sum() / 100)
    assert minutes.status == cost.status == "no_target"
