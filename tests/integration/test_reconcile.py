"""What changes past the change feed is found, mended and told; what the feed or quarantine knows is not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import sqlalchemy as sa

from pipelines.settings import Settings
from pipelines.steps.ingest import IngestResult, ingest
from pipelines.stores.change_feed import forbid_triggers, install_feed
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.source_rows import FRAME_TYPES
from pipelines.stores.source_watch import Difference, freshness_note, incident_lines
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

CREATED = datetime(2026, 3, 29, 1, 30, 0, 7)
FIELDS = {
    "products": ["sku", "title", "unit_cost", "weight"],
    "customers": ["customer_id", "country"],
    "orders": ["order_id", "created_at", "currency", "customer_id", "is_test"],
    "order_lines": ["order_line_id", "order_id", "sku", "quantity", "unit_price"],
    "payment_holds": ["order_id", "placed_at", "amount"],
    "fx_rates": ["rate_date", "from_currency", "to_currency", "rate"],
    "subscriptions": ["customer_id", "started_at"],
    "rebate_agreements": ["partner_id", "basis", "tier_from", "rate", "valid_from"],
}
NAMES = [f"O{number}" for number in range(1, 6)]


def rows(table: str, **columns: list[Any]) -> pl.DataFrame:
    schema = {name: FRAME_TYPES[SOURCE_TABLES[table].field(name).kind] for name in columns}
    return pl.DataFrame(columns, schema=schema)


def fill(store: OperationalStore) -> None:
    count = len(NAMES)
    store.append("products", rows("products", sku=["MUG"], title=["Mug"], unit_cost=[Decimal("3.5")], weight=[0.1 + 0.2]))
    store.append("customers", rows("customers", customer_id=["anna@example.org", "ben@example.org"], country=["DE", None]))
    store.append("orders", rows("orders", order_id=NAMES, created_at=[CREATED] * count, currency=["EUR"] * count,
                                customer_id=["anna@example.org", None] * 2 + [None], is_test=[True, False, None, None, None]))  # fmt: skip
    store.append("order_lines", rows("order_lines", order_line_id=[f"{name}-1" for name in NAMES], order_id=NAMES, sku=["MUG"] * count,
                                     quantity=[2] * count, unit_price=[Decimal("12.5")] * count))  # fmt: skip
    store.append(
        "payment_holds", rows("payment_holds", order_id=["O1"], placed_at=[CREATED + timedelta(microseconds=1)], amount=[Decimal(1)])
    )
    store.append("fx_rates", rows("fx_rates", rate_date=[date(2026, 3, 29)], from_currency=["USD"], to_currency=["EUR"], rate=[0.1]))
    store.append("subscriptions", rows("subscriptions", customer_id=["anna@example.org", "ben@example.org"], started_at=[CREATED] * 2))
    store.append("rebate_agreements", rows("rebate_agreements", partner_id=["ben@example.org"], basis=["units"], tier_from=[Decimal("100.5")],
                                           rate=[0.1], valid_from=[date(2026, 1, 1)]))  # fmt: skip


@pytest.fixture
def shop(store: OperationalStore) -> OperationalStore:
    """Five orders of one line each, and a row or two of every kind of key, watched."""
    store.create_source_tables(FIELDS)
    fill(store)
    install_feed(store)
    store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1"))
    return store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(settings.warehouse_path) as conn:
        yield conn


def sql(store: OperationalStore, *statements: str) -> None:
    with store.transaction() as conn:
        for statement in statements:
            conn.execute(sa.text(statement))


def past_the_feed(store: OperationalStore, table: str, *statements: str) -> None:
    """The table's triggers are off for these statements and stand afterwards as before."""
    if store.dialect == "postgresql":
        triggers = [f"ALTER TABLE {table} {{}} TRIGGER {name}" for name in ("ordercast_feed", "ordercast_feed_truncate")]
        off, on = [one.format("DISABLE") for one in triggers], [one.format("ENABLE ALWAYS") for one in triggers]
    else:
        with store.transaction(writes=False) as conn:
            found = conn.exec_driver_sql(f"SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'").all()
        off, on = [f"DROP TRIGGER {name}" for name, _ in found], [text for _, text in found]
    with store.transaction() as conn:
        for statement in (*off, *statements, *on):
            conn.exec_driver_sql(statement)


def lose_triggers(store: OperationalStore, table: str) -> None:
    names = ["ordercast_feed"] if store.dialect == "postgresql" else [f"feed_{table}_update", f"feed_{table}_delete"]
    sql(store, *(f"DROP TRIGGER {name}" + (f" ON {table}" if store.dialect == "postgresql" else "") for name in names))


def days_pass(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute("UPDATE meta.source_tables SET compared_at = compared_at - INTERVAL 21 HOUR")


def missed(result: IngestResult) -> dict[str, tuple[int, int, int]]:
    """Rows missing, stale and ghost by table, where the feed should have told."""
    return {
        one.table_name: tuple(sum(getattr(day, f"{kind}_count") for day in one.differences) for kind in ("missing", "stale", "ghost"))
        for one in result.comparisons if one.is_incident
    }  # type: ignore[misc]  # fmt: skip


def assert_equal_to_a_first_read(store: OperationalStore, conn: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    standing = {name: conn.execute(f"SELECT * FROM raw.{name} ORDER BY ALL").fetchall() for name in FIELDS}
    conn.execute("DELETE FROM meta.feed_state")
    ingest(store, conn, run_id="afresh", settings=settings)
    assert standing == {name: conn.execute(f"SELECT * FROM raw.{name} ORDER BY ALL").fetchall() for name in FIELDS}


def test_values_of_every_kind_compare_equal_to_what_was_loaded(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="run-1", settings=settings)

    result = ingest(shop, warehouse, run_id="run-2", settings=settings, comparing="everything")

    assert {one.table_name: (one.rows_compared, one.differences) for one in result.comparisons} == {
        name: (shop.read_source(name).height, ()) for name in FIELDS
    }


def test_rows_that_came_and_went_past_the_feed_are_found_by_the_next_run(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    past_the_feed(shop, "order_lines", "DELETE FROM order_lines WHERE order_id IN ('O1', 'O2')")
    past_the_feed(shop, "orders", "INSERT INTO orders (order_id, created_at, currency) VALUES ('O9', '2026-03-30 10:00:00.000000', 'EUR')")

    result = ingest(shop, warehouse, run_id="run-2", settings=settings)

    assert not result.is_full_resync
    assert missed(result) == {"orders": (1, 0, 0), "order_lines": (0, 0, 2)}
    assert next(one for one in result.comparisons if one.table_name == "orders").differences == (Difference(date(2026, 3, 30), 1, 0, 0),)
    failed = warehouse.execute(
        "SELECT subject FROM meta.check_results WHERE origin = 'reconcile' AND failed_count > 0 ORDER BY 1"
    ).fetchall()
    assert failed == [("order_lines",), ("orders",)]
    assert [line.partition(" ")[0] for line in incident_lines(warehouse)] == ["order_lines", "orders"]
    assert_equal_to_a_first_read(shop, warehouse, settings)


def test_a_value_that_changed_past_the_feed_is_found_within_a_day(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    past_the_feed(shop, "products", "UPDATE products SET title = 'Cup'")

    soon = ingest(shop, warehouse, run_id="run-2", settings=settings)
    days_pass(warehouse)
    next_day = ingest(shop, warehouse, run_id="run-3", settings=settings)
    after = ingest(shop, warehouse, run_id="run-4", settings=settings)

    assert soon.comparisons == ()
    assert missed(next_day) == {"products": (0, 1, 0)}
    assert after.comparisons == ()
    assert incident_lines(warehouse) == []
    assert_equal_to_a_first_read(shop, warehouse, settings)


def test_what_the_feed_tells_in_the_same_run_is_no_incident(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    sql(shop, "UPDATE products SET title = 'Cup'", "DELETE FROM subscriptions WHERE customer_id = 'ben@example.org'",
        "DELETE FROM fx_rates", "UPDATE customers SET country = 'FR'", "DELETE FROM payment_holds")  # fmt: skip
    days_pass(warehouse)

    result = ingest(shop, warehouse, run_id="run-2", settings=settings)

    assert missed(result) == {}
    assert_equal_to_a_first_read(shop, warehouse, settings)


def test_a_lost_trigger_is_made_again_and_its_table_compared_in_the_same_run(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    lose_triggers(shop, "orders")
    sql(shop, "UPDATE orders SET currency = 'USD' WHERE order_id = 'O3'")

    found = ingest(shop, warehouse, run_id="run-2", settings=settings)
    sql(shop, "UPDATE orders SET currency = 'CHF' WHERE order_id = 'O4'")
    told = ingest(shop, warehouse, run_id="run-3", settings=settings)

    assert (found.is_full_resync, missed(found)) == (False, {"orders": (0, 1, 0)})
    assert [table.rows_in for table in told.tables if table.name == "orders"] == [1]
    assert (told.is_full_resync, told.comparisons) == (False, ())
    assert_equal_to_a_first_read(shop, warehouse, settings)


@pytest.mark.parametrize("table", ["customers", "subscriptions", "rebate_agreements"])
def test_rows_keyed_by_customers_are_mended_and_no_id_is_kept(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings, table: str
) -> None:
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    key = SOURCE_TABLES[table].key[0]
    copied = ", ".join(f"'carl@example.org' AS {name}" if name == key else name for name in shop.stored_types()[table])
    names = ", ".join(shop.stored_types()[table])
    past_the_feed(
        shop, table, f"INSERT INTO {table} ({names}) SELECT {copied} FROM {table} LIMIT 1",
        f"UPDATE {table} SET updated_at = '2026-04-01 00:00:00.000000' WHERE {key} = 'carl@example.org'",
        f"DELETE FROM {table} WHERE {key} = 'ben@example.org'",
    )  # fmt: skip

    result = ingest(shop, warehouse, run_id="run-2", settings=settings, comparing="everything")

    assert missed(result) == {table: (1, 0, 1)}
    assert "example.org" not in str(warehouse.execute(f"SELECT * FROM raw.{table}").fetchall())
    assert_equal_to_a_first_read(shop, warehouse, settings)


def test_what_waits_in_quarantine_is_no_incident(shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    sql(shop, "UPDATE order_lines SET quantity = 0 WHERE order_line_id = 'O1-1'")  # never loaded
    sql(shop, "UPDATE payment_holds SET amount = -1")
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    sql(shop, "UPDATE order_lines SET sku = 'NONE' WHERE order_line_id = 'O2-1'")  # its last good version stays
    sql(shop, "INSERT INTO subscriptions (customer_id, started_at) VALUES ('dora@example.org', '1200-01-01 00:00:00')")

    second = ingest(shop, warehouse, run_id="run-2", settings=settings)
    third = ingest(shop, warehouse, run_id="run-3", settings=settings, comparing="everything")

    assert (missed(second), missed(third)) == ({}, {})
    assert warehouse.execute("SELECT sku FROM raw.order_lines WHERE order_line_id = 'O2-1'").fetchone() == ("MUG",)


def test_white_space_that_was_taken_off_an_sku_is_no_incident_once_its_product_is_gone(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    sql(shop, "INSERT INTO products (sku) VALUES ('CUP')", "UPDATE order_lines SET sku = 'CUP ' WHERE order_line_id = 'O1-1'")
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    sql(shop, "DELETE FROM products WHERE sku = 'CUP'")

    result = ingest(shop, warehouse, run_id="run-2", settings=settings, comparing="everything")

    assert warehouse.execute("SELECT sku FROM raw.order_lines WHERE order_line_id = 'O1-1'").fetchone() == ("CUP",)
    assert [one.table_name for one in result.comparisons if one.differences] == []
    assert sum(one.rows_quarantined for one in result.tables) == 0


def test_what_a_comparison_finds_unfit_to_publish_holds_the_next_run_back(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    sql(shop, "DELETE FROM fx_rates")

    compared = ingest(shop, warehouse, run_id="run-2", settings=settings, comparing="everything")
    later = ingest(shop, warehouse, run_id="run-3", settings=settings)

    assert compared.block_reason is not None
    assert "fx_rates holds no row" in compared.block_reason
    assert later.block_reason == compared.block_reason


def test_where_triggers_are_forbidden_recent_rows_are_read_again_and_the_rest_waits_for_the_comparison(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    forbid_triggers(shop)
    sql(shop, "UPDATE orders SET updated_at = '2026-04-10 12:00:00.000000'", "UPDATE orders SET updated_at = NULL WHERE order_id = 'O5'")
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    late = "UPDATE orders SET currency = 'USD', updated_at = '2026-04-{} 12:00:00.000000' WHERE order_id = '{}'"
    sql(shop, late.format("09", "O1"), late.format("08", "O2"), "UPDATE orders SET currency = 'USD' WHERE order_id = 'O5'")

    soon = ingest(shop, warehouse, run_id="run-2", settings=settings)
    seen_soon = warehouse.execute("SELECT order_id FROM raw.orders WHERE currency = 'USD' ORDER BY 1").fetchall()
    sql(shop, "DELETE FROM order_lines WHERE order_id = 'O4'", "DELETE FROM orders WHERE order_id = 'O4'")
    counted = ingest(shop, warehouse, run_id="run-3", settings=settings)

    assert not soon.is_full_resync
    assert seen_soon == [("O1",), ("O5",)]
    assert (missed(soon), missed(counted)) == ({}, {})
    assert str(freshness_note(warehouse)).startswith("Without change triggers, customers, fx_rates, order_lines, orders, ")
    assert_equal_to_a_first_read(shop, warehouse, settings)


def test_a_clock_that_runs_ahead_hides_no_row_that_changes_now(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    forbid_triggers(shop)
    sql(shop, "UPDATE orders SET updated_at = '2126-01-01 00:00:00.000000'")
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    sql(shop, f"UPDATE orders SET currency = 'USD', updated_at = '{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}' WHERE order_id = 'O1'")

    ingest(shop, warehouse, run_id="run-2", settings=settings)

    assert warehouse.execute("SELECT currency FROM raw.orders WHERE order_id = 'O1'").fetchone() == ("USD",)


def test_a_view_without_a_time_of_change_is_compared_on_every_run(
    store: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    store.create_source_tables({name: FIELDS[name] for name in ("products", "order_lines", "orders")})
    sql(store, "ALTER TABLE products RENAME TO wares", "CREATE VIEW products AS SELECT sku, title FROM wares",
        "INSERT INTO wares (sku, title) VALUES ('MUG', 'Mug'), ('CAP', 'Cap')",
        "INSERT INTO orders (order_id, created_at, currency) VALUES ('O1', '2026-03-30 10:00:00.000000', 'EUR')")  # fmt: skip
    install_feed(store)
    store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1"))
    ingest(store, warehouse, run_id="run-1", settings=settings)
    sql(store, "UPDATE wares SET title = 'Cup' WHERE sku = 'MUG'", "DELETE FROM wares WHERE sku = 'CAP'")

    result = ingest(store, warehouse, run_id="run-2", settings=settings)

    assert (result.is_full_resync, missed(result)) == (False, {})
    assert [(table.rows_loaded, table.rows_deleted) for table in result.tables if table.name == "products"] == [(1, 1)]
    assert warehouse.execute("SELECT sku, title FROM raw.products").fetchall() == [("MUG", "Cup")]
    assert freshness_note(warehouse) is None


def test_a_partition_that_is_taken_away_is_found_by_the_next_run(
    postgresql_url: str, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    with OperationalStore.open(postgresql_url) as store:
        store.create_source_tables({name: FIELDS[name] for name in ("products", "order_lines")})
        sql(store, "CREATE TABLE orders (order_id text, created_at timestamptz, currency text, PRIMARY KEY (order_id, created_at)) "
            "PARTITION BY RANGE (created_at)",
            "CREATE TABLE orders_march PARTITION OF orders FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
            "CREATE TABLE orders_april PARTITION OF orders FOR VALUES FROM ('2026-04-01') TO ('2026-05-01')",
            "INSERT INTO orders VALUES ('M', '2026-03-02', 'EUR'), ('A', '2026-04-02', 'EUR')")  # fmt: skip
        install_feed(store)
        store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1"))
        ingest(store, warehouse, run_id="run-1", settings=settings)
        sql(
            store,
            "UPDATE orders SET created_at = '2026-04-03' WHERE order_id = 'M'",
            "INSERT INTO orders_march VALUES ('N', '2026-03-03', 'EUR')",
        )
        told = ingest(store, warehouse, run_id="run-2", settings=settings)
        sql(store, "ALTER TABLE orders DETACH PARTITION orders_april")
        found = ingest(store, warehouse, run_id="run-3", settings=settings)

    assert (told.is_full_resync, missed(told), missed(found)) == (False, {}, {"orders": (0, 0, 2)})
    assert warehouse.execute("SELECT order_id FROM raw.orders").fetchall() == [("N",)]
