"""dbt builds the marts from raw tables, says what failed, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

from pipelines.errors import TransformError, WarehouseUnavailableError
from pipelines.settings import Settings
from pipelines.simulator.merchant import SimulatedMerchant, simulate
from pipelines.simulator.scenarios import SCENARIOS
from pipelines.steps.backtest import backtest_forecasts
from pipelines.steps.customer_values import score_customers
from pipelines.steps.transform import DBT_PROJECT, NodeOutcome, TransformResult, prepare_manifest, transform
from pipelines.stores.metrics import Metric, catalogue_from_manifest, evaluate
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.transform_state import note_changed_tables
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

SCENARIO = replace(SCENARIOS["small"], bad_documents=())


def fill_raw(conn: duckdb.DuckDBPyConnection, merchant: SimulatedMerchant) -> None:
    """The merchant's frames stand in `raw` as ingest would leave them."""
    for name, frame in merchant.tables.items():
        _insert(conn, name, frame)
    conn.execute(
        "insert into meta.run_context values ('run', ?, ?, ?, 'Simulated', 'simulator')",
        [merchant.scenario.last_day, merchant.scenario.time_zone, merchant.scenario.currency],
    )
    present = [
        (table.name, field, table.name in merchant.tables and field in merchant.tables[table.name].columns)
        for table in SOURCE_TABLES.values()
        for field in table.field_names
    ]
    conn.executemany("insert into meta.source_fields values (?, ?, ?)", present)


def _insert(conn: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame) -> None:
    conn.register("frame", frame.rename({"customer_id": "customer_key"}, strict=False).to_arrow())
    conn.execute(f"insert into raw.{name} by name select * from frame")
    conn.unregister("frame")


def _keep_an_override(conn: duckdb.DuckDBPyConnection, merchant: SimulatedMerchant) -> None:
    """A person expected more of one item in the last week than the forecast of the week before."""
    item = merchant.tables["stock_levels"].row(0, named=True)
    last = merchant.scenario.last_day
    conn.executemany(
        "insert into history.forecast_overrides values ('o1', ?, ?, ?, ?, 'factor', 2.0, 'Campaign', 'ann', 1.5, 3.0)",
        [(item["sku"], item["location_id"], last - timedelta(days=day), last - timedelta(days=7)) for day in range(7)],
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, TransformResult, list[NodeOutcome]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    merchant = simulate(SCENARIO, seed=42)  # one whose customers tell enough to hold some days out
    with open_warehouse(settings.warehouse_path) as conn:
        fill_raw(conn, merchant)
        _keep_an_override(conn, merchant)
    announced: list[NodeOutcome] = []
    result = transform(settings, on_node=announced.append, with_unit_tests=True)
    with open_warehouse(settings.warehouse_path) as conn:
        score_customers(conn)  # views of dbt stand on what these steps fill
        backtest_forecasts(conn)
    return settings, result, announced


def model_counts_by_schema(result: TransformResult) -> dict[str, int]:
    """How many models the project declares for each schema."""
    nodes = json.loads(result.manifest_path.read_text(encoding="utf-8"))["nodes"].values()
    return dict(Counter(node["schema"] for node in nodes if node["resource_type"] == "model"))


def test_a_build_leaves_every_layer_in_its_own_schema(built: tuple[Settings, TransformResult, list[NodeOutcome]]) -> None:
    settings, result, announced = built

    with open_warehouse(settings.warehouse_path, read_only=True) as conn:
        rows = conn.execute("select table_schema, count(*) from information_schema.tables group by all").fetchall()
        order_count = conn.execute("select count(*) from marts.fct_orders").fetchone()
        raw_count = conn.execute("select count(*) from raw.orders").fetchone()

    schemas = dict(rows)
    models = model_counts_by_schema(result)
    assert {schema: schemas[schema] for schema in models} == models
    assert set(models) == {"staging", "intermediate", "marts", "utilities"}
    assert order_count == raw_count
    assert tuple(announced) == result.nodes
    assert {node.status for node in result.nodes} <= {"success", "pass"}
    assert {node.resource_type for node in result.nodes} == {"model", "seed", "test", "unit_test"}


def test_state_lies_in_the_home_folder_and_none_in_the_source_tree(
    built: tuple[Settings, TransformResult, list[NodeOutcome]],
) -> None:
    settings, result, _ = built

    assert result.manifest_path.is_relative_to(settings.resolved_home)
    assert {path.name for path in DBT_PROJECT.iterdir()} == {"dbt_project.yml", "profiles.yml", "macros", "models", "seeds", "tests"}
    assert "ORDERCAST_WAREHOUSE" not in os.environ


def test_a_second_build_gives_the_same_marts(built: tuple[Settings, TransformResult, list[NodeOutcome]], tmp_path: Path) -> None:
    settings, _, _ = built
    again = _copy(settings, tmp_path)

    result = transform(again)

    assert {node.resource_type for node in result.nodes} == {"model", "test"}
    assert _mart_hashes(again) == _mart_hashes(settings)


def test_a_failure_names_every_node_that_failed(built: tuple[Settings, TransformResult, list[NodeOutcome]], tmp_path: Path) -> None:
    settings, _, _ = built
    broken = _copy(settings, tmp_path)
    with open_warehouse(broken.warehouse_path) as conn:
        doubled = conn.execute("insert into raw.supplier_items select * from raw.supplier_items").fetchone()
        note_changed_tables(conn, ["raw.supplier_items"])
    assert doubled is not None

    with pytest.raises(TransformError, match=r"^3 of \d+ dbt nodes failed; nothing may be published") as error:
        transform(broken)

    assert f"- test unique_grain_dim_supplier_items_: {doubled[0]} rows break it" in str(error.value)
    assert "- test unique_grain_fct_inbound_" in str(error.value)
    assert "- test unique_fct_purchase_receipts_po_line_id" in str(error.value)


def test_a_missing_warehouse_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WarehouseUnavailableError, match="There is no warehouse at"):
        transform(Settings(home=tmp_path))

    assert not (tmp_path / "warehouse.duckdb").exists()


def test_a_warehouse_that_is_open_elsewhere_is_one_sentence(
    built: tuple[Settings, TransformResult, list[NodeOutcome]], tmp_path: Path
) -> None:
    settings = _copy(built[0], tmp_path)

    with (
        duckdb.connect(str(settings.warehouse_path), config={"access_mode": "READ_ONLY"}),
        pytest.raises(WarehouseUnavailableError, match="is in use by another"),
    ):
        transform(settings)


def test_the_manifest_is_parsed_again_only_when_the_project_changed(
    built: tuple[Settings, TransformResult, list[NodeOutcome]], tmp_path: Path
) -> None:
    settings = _copy(built[0], tmp_path)
    first = prepare_manifest(settings)
    written = first.stat().st_mtime_ns

    second = prepare_manifest(settings)

    assert second.stat().st_mtime_ns == written


def test_a_merchant_without_any_data_gives_empty_marts(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with open_warehouse(settings.warehouse_path) as conn:
        conn.execute("insert into meta.run_context values ('run', '2024-03-31', 'Europe/Berlin', 'EUR', 'Empty', 'mapping:none')")

    result = transform(settings)

    assert result.counts()["models"] == sum(model_counts_by_schema(result).values())
    assert set(_mart_hashes(settings).values()) == {None}


@pytest.fixture(scope="module")
def conn(built: tuple[Settings, TransformResult, list[NodeOutcome]]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(built[0].warehouse_path), read_only=True) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def catalogue(built: tuple[Settings, TransformResult, list[NodeOutcome]]) -> dict[str, Metric]:
    return catalogue_from_manifest(json.loads(built[1].manifest_path.read_text(encoding="utf-8")))


def test_nobody_is_left_out_of_a_metric_without_a_name(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    values = evaluate(conn, catalogue, list(catalogue), since=SCENARIO.start)

    assert {value.name for value in values if "other" in value.excluded} == set()
    assert {value.name for value in values if value.status in {"no_data", "not_available"}} == set()


def test_counted_and_left_out_orders_are_all_orders(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    row = conn.execute("select count(*) from marts.fct_orders where not is_test or delivered_date is not null").fetchone()

    (value,) = evaluate(conn, catalogue, ["order_cycle_time_p50_days"], since=SCENARIO.start)

    assert row is not None
    assert (value.n or 0) + sum(value.excluded.values()) == row[0]


def test_cycle_times_equal_a_recount_from_the_raw_tables(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    lines = conn.sql(
        "select l.order_id, l.order_line_id, l.quantity, sum(s.quantity) filter (where h.delivered_at is not null) as arrived, max(h.delivered_at) as at "
        "from raw.order_lines l left join raw.shipment_lines s using (order_line_id) left join raw.shipments h using (shipment_id) group by all"
    ).pl()
    complete = lines.group_by("order_id").agg((pl.col("arrived") >= pl.col("quantity")).fill_null(value=False).all(), pl.col("at").max())
    orders = conn.sql("select order_id, created_at from raw.orders where cancelled_at is null and not is_test").pl()
    days = (
        complete.filter("arrived")
        .join(orders, on="order_id")
        .select((pl.col("at") - pl.col("created_at")).dt.total_microseconds() / 86_400e6)
    ).to_series()

    median, mean = evaluate(conn, catalogue, ["order_cycle_time_p50_days", "order_cycle_time_mean_days"], since=SCENARIO.start)

    assert median.n == len(days)
    assert median.value == pytest.approx(days.median())
    assert mean.value == pytest.approx(days.mean())


def test_net_sales_equal_a_recount_from_the_raw_tables(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    amounts = conn.sql(
        "select timezone('Europe/Berlin', timezone('UTC', o.created_at))::date as day, o.currency, "
        "(l.quantity * l.unit_price - coalesce(l.total_discount, 0))::double as amount "
        "from raw.order_lines l join raw.orders o using (order_id) where cancelled_at is null and not is_test union all "
        "select timezone('Europe/Berlin', timezone('UTC', r.refunded_at))::date, o.currency, -r.refund_amount::double "
        "from raw.returns r join raw.orders o using (order_id) where refunded_at is not null and cancelled_at is null and not is_test"
    ).pl()
    rates = conn.sql("select rate_date as day, from_currency as currency, rate from raw.fx_rates where to_currency = 'EUR'").pl()
    priced = amounts.sort("day").join_asof(rates.sort("day"), on="day", by="currency", check_sortedness=False)
    expected = priced.select((pl.col("amount") * pl.when(pl.col("currency") == "EUR").then(1.0).otherwise("rate")).round(2).sum()).item()

    (value,) = evaluate(conn, catalogue, ["net_sales"], since=SCENARIO.start)

    assert amounts["currency"].n_unique() == 2
    assert float(value.value or 0) == pytest.approx(expected, abs=0.5)  # half a cent at most for each part of a refund in francs


def test_every_metric_adds_up_over_every_dimension(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    for name, metric in catalogue.items():
        (overall,) = evaluate(conn, catalogue, [name])
        for dimension in metric.dimensions:
            members = evaluate(conn, catalogue, [name], by=dimension)
            if metric.dimensions[dimension].splits_numerator_only:  # every member is a share of the whole
                assert sum(member.numerator or 0 for member in members) == overall.numerator, (name, dimension)
                assert {(member.n, *member.excluded.items()) for member in members} <= {(overall.n, *overall.excluded.items())}
            elif members[0].status != "not_available":
                assert sum(member.n or 0 for member in members) == overall.n, (name, dimension)
                assert sum(sum(member.excluded.values()) for member in members) == sum(overall.excluded.values()), (name, dimension)


def _copy(settings: Settings, folder: Path) -> Settings:
    home = folder / "home"
    shutil.copytree(settings.resolved_home, home)
    return Settings(home=home)


def _mart_hashes(settings: Settings) -> dict[str, int | None]:
    with open_warehouse(settings.warehouse_path, read_only=True) as conn:
        names = conn.execute("select table_name from information_schema.tables where table_schema = 'marts'").fetchall()
        hashes = {}
        for (name,) in names:
            row = conn.execute(f"select bit_xor(hash(one)) from marts.{name} as one").fetchone()
            hashes[name] = row[0] if row else None
        return hashes
