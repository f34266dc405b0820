"""Transforming what changed gives, row for row, what transforming everything gives."""

from __future__ import annotations

import shutil
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb
import pytest
import sqlalchemy as sa

from pipelines.errors import TransformError
from pipelines.settings import Settings
from pipelines.simulator.load import continue_merchant, load_merchant, scenario_named
from pipelines.steps.ingest import ingest
from pipelines.steps.transform import TransformResult, read_parsed, transform, untouched_models
from pipelines.stores.operational import OperationalStore
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.transform_state import note_changed_tables
from pipelines.stores.warehouse import open_warehouse
from tests.integration.partial_build import narrowed_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def lived_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, OperationalStore]]:
    """A merchant whose models were built, then lived through three more days, with old documents mended and removed on the way."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    with OperationalStore.open(settings.resolved_store_url, must_exist=False) as store:
        load_merchant(store, scenario_named("small"), seed=5)
        assert run(store, settings, "r1").scope == "everything"
        continue_merchant(store, days=2)
        assert run(store, settings, "r2").scope == "new_day"
        change_the_past(store)
        change_hands(store)
        assert run(store, settings, "r3").scope == "same_day"
        continue_merchant(store, days=1)
        forget_someone(store)
        assert run(store, settings, "r4").scope == "new_day"
        yield settings, store


@pytest.fixture(scope="module")
def again(lived_on: tuple[Settings, OperationalStore], tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, TransformResult]:
    """The same merchant after one more run on the same day, to which nothing new came."""
    settings = copy(lived_on[0], tmp_path_factory.mktemp("again"))
    return settings, run(lived_on[1], settings, "r5")


def run(store: OperationalStore, settings: Settings, run_id: str) -> TransformResult:
    """What the transform built of what an ingest brought."""
    with open_warehouse(settings.warehouse_path) as conn:
        ingest(store, conn, run_id=run_id, settings=settings)
    return transform(settings)


def built(result: TransformResult) -> set[str]:
    return {node.name for node in result.nodes if node.resource_type == "model"}


def change_the_past(store: OperationalStore) -> None:
    """An old order is cancelled, one moves to another day, one is deleted, a refund doubles and a parcel turns out to have come later."""
    with store.transaction() as conn:
        old = [
            row[0] for row in conn.execute(sa.text("SELECT order_id FROM orders WHERE cancelled_at IS NULL ORDER BY created_at LIMIT 4"))
        ]
        conn.execute(
            sa.text("UPDATE orders SET cancelled_at = '2026-08-01 10:00:00', cancel_reason = 'fraud_suspected' WHERE order_id = :o"),
            {"o": old[0]},
        )
        conn.execute(sa.text("UPDATE orders SET created_at = '2026-07-20 09:00:00' WHERE order_id = :o"), {"o": old[1]})
        conn.execute(sa.text("UPDATE shipments SET delivered_at = '2026-08-09 09:00:00' WHERE order_id = :o"), {"o": old[2]})
        conn.execute(
            sa.text("DELETE FROM shipment_lines WHERE order_line_id IN (SELECT order_line_id FROM order_lines WHERE order_id = :o)"),
            {"o": old[3]},
        )
        for table in ("order_events", "shipments", "order_lines", "orders"):
            conn.execute(sa.text(f"DELETE FROM {table} WHERE order_id = :o"), {"o": old[3]})
        refund = conn.execute(
            sa.text("SELECT return_id FROM returns WHERE refunded_at IS NOT NULL ORDER BY created_at LIMIT 1")
        ).scalar_one()
        conn.execute(sa.text("UPDATE returns SET refund_amount = '123.45' WHERE return_id = :r"), {"r": refund})


def change_hands(store: OperationalStore) -> None:
    """A customer's order turns out to be another's and its parcel to have left earlier; goods that were scrapped are back on the shelf."""
    bought = "SELECT max(order_id) FROM orders WHERE customer_id IS NOT NULL AND cancelled_at IS NULL AND created_at < '2026-08-01'"
    with store.transaction() as conn:
        order_id, customer = conn.execute(
            sa.text(
                "SELECT o.order_id, (SELECT max(customer_id) FROM orders p WHERE p.customer_id <> o.customer_id) FROM orders o "
                f"WHERE order_id = ({bought})"
            )
        ).one()
        conn.execute(sa.text("UPDATE orders SET customer_id = :c WHERE order_id = :o"), {"c": customer, "o": order_id})
        conn.execute(sa.text("UPDATE shipments SET shipped_at = '2026-07-02 09:00:00' WHERE order_id = :o"), {"o": order_id})
        scrapped = "SELECT min(return_line_id) FROM return_lines WHERE restock_type <> 'return'"
        conn.execute(sa.text(f"UPDATE return_lines SET restock_type = 'return' WHERE return_line_id = ({scrapped})"))


def forget_someone(store: OperationalStore) -> None:
    """The shop deletes a customer who has bought, and keeps the orders."""
    bought = "SELECT min(customer_id) FROM customers WHERE customer_id IN (SELECT customer_id FROM orders)"
    with store.transaction() as conn:
        conn.execute(sa.text(f"DELETE FROM customers WHERE customer_id = ({bought})"))


def contents(settings: Settings) -> dict[str, list[tuple[object, ...]]]:
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as conn:
        tables = conn.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('intermediate', 'marts') "
            "AND table_name NOT IN ('int_changed_orders', 'int_changed_customers') ORDER BY ALL"
        ).fetchall()
        return {f"{schema}.{table}": conn.execute(f"SELECT * FROM {schema}.{table} ORDER BY ALL").fetchall() for schema, table in tables}


def copy(settings: Settings, folder: Path) -> Settings:
    shutil.copytree(settings.resolved_home, folder / "home")
    return Settings(home=folder / "home")


def test_models_built_change_by_change_equal_a_build_from_all_rows(lived_on: tuple[Settings, OperationalStore], tmp_path: Path) -> None:
    anew = copy(lived_on[0], tmp_path)

    result = transform(anew, from_all_rows=True)

    assert result.scope == "everything"
    expected, found = contents(anew), contents(lived_on[0])
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def test_a_customer_whom_the_shop_deleted_is_in_no_model(lived_on: tuple[Settings, OperationalStore]) -> None:
    forgotten = "SELECT customer_key FROM history.known_customers WHERE is_forgotten"
    with duckdb.connect(str(lived_on[0].warehouse_path), read_only=True) as conn:
        gone = [key for (key,) in conn.execute(forgotten).fetchall()]
        columns = conn.execute(
            "SELECT table_schema, table_name, column_name FROM information_schema.columns WHERE data_type = 'VARCHAR' "
            "AND table_schema <> 'information_schema' AND table_name <> 'known_customers'"
        ).fetchall()
        found = [
            f"{schema}.{table}.{column}" for schema, table, column in columns
            if conn.execute(f'SELECT count(*) FROM {schema}."{table}" WHERE list_contains(?, "{column}")', [gone]).fetchone() != (0,)
        ]  # fmt: skip

    assert len(gone) == 1
    assert found == []


def test_a_run_that_brings_nothing_new_computes_only_what_planning_may_have_changed(again: tuple[Settings, TransformResult]) -> None:
    settings, result = again

    with duckdb.connect(str(settings.warehouse_path), read_only=True) as conn:
        assert conn.execute("SELECT count(*) FROM meta.changed_tables").fetchone() == (0,)
    assert result.scope == "same_day"
    assert built(result) >= {"fct_customer_status", "fct_forecast_scores"}
    assert built(result).isdisjoint({"fct_orders", "fct_stock_daily", "int_changed_orders", "fct_customer_order_days"})


def test_a_pass_within_a_day_builds_what_rests_on_what_came_and_nothing_told_of_complete_days(
    lived_on: tuple[Settings, OperationalStore], tmp_path: Path
) -> None:
    settings, store = copy(lived_on[0], tmp_path), lived_on[1]
    with store.transaction() as conn:
        for statement in (
            "UPDATE products SET title = 'Renamed', vendor = 'Somebody else' WHERE sku = (SELECT min(sku) FROM products)",
            "UPDATE supplier_items SET unit_cost = '0.77' WHERE sku = (SELECT min(sku) FROM supplier_items)",
            "UPDATE stock_levels SET on_hand = on_hand + 7 WHERE sku = (SELECT min(sku) FROM stock_levels)",
            "UPDATE purchase_orders SET expected_at = '2026-08-30 00:00:00' WHERE po_id = (SELECT max(po_id) FROM purchase_orders)",
        ):
            assert conn.execute(sa.text(statement)).rowcount > 0

    result = run(store, settings, "r6")

    anew = Settings(home=shutil.copytree(settings.resolved_home, tmp_path / "anew"))
    transform(anew, from_all_rows=True)
    expected, found = contents(anew), contents(settings)
    daily = {node.name for node in read_parsed(settings).nodes.values() if "daily" in node.tags}
    assert result.scope == "same_day"
    assert {"dim_products", "fct_stock_daily", "fct_inbound"} <= built(result)
    assert built(result).isdisjoint({"int_changed_orders", "fct_payments", "stg_shop__orders", *daily})
    assert {name.partition(".")[2] for name in expected if found[name] != expected[name]} <= daily


@pytest.mark.parametrize("table", [*SOURCE_TABLES])
def test_every_model_and_test_that_rests_on_a_changed_table_is_built(
    lived_on: tuple[Settings, OperationalStore], tmp_path: Path, table: str
) -> None:
    parsed = read_parsed(lived_on[0])
    with open_warehouse(tmp_path / "warehouse.duckdb") as conn:
        note_changed_tables(conn, [f"raw.{table}"])

        untouched = set(untouched_models(conn, parsed))

    above: dict[str, set[str]] = {}
    sources = {key: {source.identifier} for key, source in parsed.sources.items() if source.schema == "raw"}

    def rests_on(key: str) -> set[str]:
        if key not in above:
            node = parsed.nodes.get(key)
            above[key] = sources.get(key, set()).union(*(rests_on(parent) for parent in (node.depends_on_nodes if node else ())))
        return above[key]

    resting = [key for key in parsed.nodes if table in rests_on(key)]
    assert len(resting) > 0
    assert {parsed.nodes[key].name for key in resting if key.startswith("model.")}.isdisjoint(untouched)
    for key in (key for key in resting if key.startswith("test.")):
        assert {parsed.nodes[parent].name for parent in parsed.nodes[key].depends_on_nodes if parent in parsed.nodes}.isdisjoint(untouched)


def test_a_late_order_is_added_and_no_other_order_is_computed(lived_on: tuple[Settings, OperationalStore], tmp_path: Path) -> None:
    settings, _ = lived_on
    again = copy(settings, tmp_path)
    late = datetime(2026, 7, 10, 8)
    with open_warehouse(again.warehouse_path) as conn:
        note_changed_tables(conn, ["raw.orders"])
        conn.execute("INSERT INTO raw.orders (order_id, created_at, currency) VALUES ('LATE', ?, 'EUR')", [late])
        conn.execute("INSERT INTO meta.changed_orders VALUES ('LATE', ?)", [late])

    with narrowed_to("+fct_orders"):
        transform(again)

    with duckdb.connect(str(again.warehouse_path), read_only=True) as conn:
        assert conn.execute("SELECT order_id, ordered_date FROM intermediate.int_changed_orders").fetchall() == [("LATE", late.date())]
        assert conn.execute("SELECT count(*) FROM marts.fct_orders WHERE order_id = 'LATE'").fetchone() == (1,)


def test_a_customer_who_lost_an_order_is_computed_though_a_transform_broke_off(
    lived_on: tuple[Settings, OperationalStore], tmp_path: Path
) -> None:
    again = copy(lived_on[0], tmp_path)
    with open_warehouse(again.warehouse_path) as conn:
        order_id, customer = conn.execute(
            "SELECT order_id, customer_key FROM intermediate.int_customer_orders WHERE order_number = 1 AND next_order_date IS NULL "
            "ORDER BY ALL LIMIT 1"
        ).fetchall()[0]
        changed = "INSERT INTO meta.changed_orders SELECT order_id, created_at FROM raw.orders WHERE order_id = ?"
        conn.execute("UPDATE raw.orders SET customer_key = 'OTHER' WHERE order_id = ?", [order_id])
        conn.execute(changed, [order_id])
    with narrowed_to("+fct_customer_order_days"):
        transform(again)
    with open_warehouse(again.warehouse_path) as conn:  # as if it had broken off before this model: the list of orders stands
        conn.execute("DELETE FROM marts.fct_customer_order_days WHERE customer_key = 'OTHER'")
        conn.execute("INSERT INTO marts.fct_customer_order_days VALUES (?, '2026-08-01', 1)", [customer])
        conn.execute(changed, [order_id])

    with narrowed_to("+fct_customer_order_days"):
        transform(again)

    with duckdb.connect(str(again.warehouse_path), read_only=True) as conn:
        found = conn.execute(
            "SELECT customer_key FROM marts.fct_customer_order_days WHERE customer_key IN ('OTHER', ?)", [customer]
        ).fetchall()
    assert found == [("OTHER",)]


def test_tests_of_an_incremental_model_find_what_its_new_rows_break(lived_on: tuple[Settings, OperationalStore], tmp_path: Path) -> None:
    again = copy(lived_on[0], tmp_path)
    with open_warehouse(again.warehouse_path) as conn:
        conn.execute("INSERT INTO meta.changed_orders SELECT order_id, created_at FROM raw.orders LIMIT 1")
        conn.execute("INSERT INTO raw.orders SELECT o.* FROM raw.orders o JOIN meta.changed_orders USING (order_id)")

    with narrowed_to("+fct_order_lines"), pytest.raises(TransformError, match="unique_fct_order_lines_order_line_id"):
        transform(again)


def test_other_definitions_or_an_earlier_as_of_date_build_everything(lived_on: tuple[Settings, OperationalStore], tmp_path: Path) -> None:
    again = copy(lived_on[0], tmp_path)
    with open_warehouse(again.warehouse_path) as conn:
        conn.execute("UPDATE meta.run_context SET as_of_date = as_of_date - 10")

    with narrowed_to("int_changed_orders", "fct_customer_model"):
        assert transform(again).scope == "everything"
        assert transform(again).scope == "same_day"
        with open_warehouse(again.warehouse_path) as conn:
            conn.execute("UPDATE meta.transform_state SET project_hash = 'before'")
        assert transform(again).scope == "everything"
