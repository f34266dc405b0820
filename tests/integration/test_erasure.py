"""A customer whose row the shop deletes is forgotten, and what a shop knows of persons besides is never written by us."""

from __future__ import annotations

import logging
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest
import sqlalchemy as sa

from pipelines.settings import Settings
from pipelines.steps.ingest import ingest
from pipelines.stores.change_feed import install_feed
from pipelines.stores.customer_keys import Pseudonyms
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT = datetime(2025, 3, 10, 10)
FIELDS = {
    "products": ["sku"],
    "customers": ["customer_id", "country", "created_at"],
    "orders": ["order_id", "created_at", "currency", "customer_id"],
    "order_lines": ["order_line_id", "order_id", "sku", "quantity", "unit_price"],
    "returns": ["return_id", "created_at", "order_id"],
    "return_lines": ["return_line_id", "return_id", "sku", "quantity"],
    "subscriptions": ["customer_id", "started_at"],
    "experiments": ["experiment_id", "unit_id", "variant", "assigned_at"],
}


@pytest.fixture
def shop(store: OperationalStore) -> OperationalStore:
    """Anna and Ben each have an order, a broken one, a contract and a place in an experiment."""
    store.create_source_tables(FIELDS)
    who = ["anna", "ben"]
    store.append("products", pl.DataFrame({"sku": ["MUG"]}))
    store.append("customers", pl.DataFrame({"customer_id": who, "country": ["DE", "AT"]}))
    for suffix, quantity in (("1", 2), ("2", 0)):
        ids = [f"{name}-{suffix}" for name in who]
        store.append("orders", pl.DataFrame({"order_id": ids, "created_at": [AT] * 2, "currency": ["EUR"] * 2, "customer_id": who}))
        store.append("order_lines", pl.DataFrame({
            "order_line_id": ids, "order_id": ids, "sku": ["MUG"] * 2, "quantity": [quantity] * 2, "unit_price": [Decimal(5)] * 2,
        }))  # fmt: skip
    store.append("subscriptions", pl.DataFrame({"customer_id": who, "started_at": [AT] * 2}))
    store.append("experiments", pl.DataFrame({
        "experiment_id": ["box"] * 2, "unit_id": who, "variant": ["a", "b"], "assigned_at": [AT, datetime(1970, 1, 1)],
    }))  # fmt: skip
    install_feed(store)
    store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "test"))
    return store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(settings.warehouse_path) as conn:
        yield conn


def sql(store: OperationalStore, statement: str) -> None:
    with store.transaction() as conn:
        conn.execute(sa.text(statement))


def places_of(conn: duckdb.DuckDBPyConnection, text: str) -> dict[str, int]:
    """Rows that hold the text anywhere, by table; what keeps the customer forgotten is left out."""
    tables = conn.execute(
        "SELECT schema_name || '.\"' || table_name || '\"' FROM duckdb_tables() WHERE database_name = current_database() "
        "AND NOT temporary AND table_name <> 'known_customers'"
    ).fetchall()
    found = {name: conn.execute(f"SELECT count(*) FROM {name} t WHERE contains(t::VARCHAR, ?)", [text]).fetchone() for (name,) in tables}
    return {name.replace('"', ""): row[0] for name, row in found.items() if row and row[0]}


def owners(conn: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    return dict(conn.execute("SELECT order_id, customer_key FROM raw.orders ORDER BY ALL").fetchall())


@pytest.mark.parametrize("is_full_resync", [False, True])
def test_a_deleted_customer_is_found_nowhere_after_one_run_and_their_orders_stay(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings, is_full_resync: bool
) -> None:
    ingest(shop, warehouse, run_id="r1", settings=settings)
    anna, ben = (Pseudonyms.of_home(settings.resolved_home).key_of(name) for name in ("anna", "ben"))
    before = places_of(warehouse, anna)
    sql(shop, "DELETE FROM customers WHERE customer_id = 'anna'")
    if is_full_resync:
        warehouse.execute("DELETE FROM meta.feed_state")

    ingest(shop, warehouse, run_id="r2", settings=settings)

    assert set(before) == {"raw.customers", "raw.orders", "raw.subscriptions", "raw.experiments", "quarantine.document_rows"}
    assert places_of(warehouse, anna) == {}
    assert owners(warehouse) == {"anna-1": None, "ben-1": ben}
    if not is_full_resync:
        assert warehouse.execute("SELECT order_id FROM meta.changed_orders").fetchall() == [("anna-1",)]


def test_a_forgotten_customer_stays_forgotten_when_their_rows_come_again_and_is_known_again_when_they_do(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="r1", settings=settings)
    anna, ben = (Pseudonyms.of_home(settings.resolved_home).key_of(name) for name in ("anna", "ben"))
    sql(shop, "DELETE FROM customers WHERE customer_id = 'anna'")
    ingest(shop, warehouse, run_id="r2", settings=settings)
    sql(shop, "UPDATE orders SET currency = 'SEK'")
    sql(shop, "UPDATE order_lines SET quantity = 1")
    sql(shop, "UPDATE subscriptions SET started_at = '2025-03-01 00:00:00'")
    changed = ingest(shop, warehouse, run_id="r3", settings=settings)
    after_changes = places_of(warehouse, anna)
    shop.append("customers", pl.DataFrame({"customer_id": ["anna"], "country": ["DE"]}))
    back = ingest(shop, warehouse, run_id="r4", settings=settings, comparing="everything")
    after = ingest(shop, warehouse, run_id="r5", settings=settings, comparing="everything")

    assert after_changes == {}
    assert all(one.rows_in == one.rows_loaded + one.rows_deleted + one.rows_quarantined + one.rows_duplicate for one in changed.tables)
    assert not back.is_full_resync
    assert [one.table_name for result in (back, after) for one in result.comparisons if one.differences] == []
    assert sum(one.rows_in for one in after.tables) == 0
    assert set(places_of(warehouse, anna)) == {"raw.customers", "raw.orders", "raw.subscriptions", "raw.experiments"}
    assert owners(warehouse) == {"anna-1": anna, "anna-2": anna, "ben-1": ben, "ben-2": ben}


def test_customers_who_all_vanish_at_once_are_not_forgotten_before_a_person_has_looked(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="r1", settings=settings)
    sql(shop, "DELETE FROM customers")

    result = ingest(shop, warehouse, run_id="r2", settings=settings)

    assert str(result.block_reason).startswith("E504 customers holds no row")
    assert None not in owners(warehouse).values()


CANARY = {"name": "Zebulon Quagmire", "email": "zebulon@quagmire.example", "phone": "+49 170 5550199", "street": "Canary Lane 77"}
NOTE = "my sister Zenobia Quagmire rings twice"
# What a shop may know of persons: columns that the contract does not have, and free text.
EXTRA = {
    "customers": CANARY,
    "orders": {"ship_to_name": CANARY["name"], "ship_to_street": CANARY["street"], "email": CANARY["email"], "note": NOTE},
    "order_lines": {"engraving": NOTE},
    "returns": {"customer_note": NOTE},
    "return_lines": {"reason_note": NOTE},
    "subscriptions": {"iban": "DE00CANARY5550199"},
}  # fmt: skip
SECRETS = [*CANARY.values(), NOTE, "DE00CANARY5550199", "anna-canary@example.org"]


def plant(store: OperationalStore) -> None:
    """The canary stands in good rows and in bad ones, and one customer's id is an e-mail address."""
    sql(store, "INSERT INTO returns (return_id, created_at, order_id) VALUES ('R1', '2025-03-11 10:00:00', 'anna-1')")
    sql(store, "INSERT INTO return_lines (return_line_id, return_id, sku, quantity) VALUES ('R1', 'R1', 'MUG', 0)")
    sql(store, "INSERT INTO customers (customer_id, created_at) VALUES ('anna-canary@example.org', '2999-01-01 00:00:00')")
    sql(store, "UPDATE orders SET customer_id = 'anna-canary@example.org' WHERE order_id LIKE 'anna%'")
    for table, columns in EXTRA.items():
        for column, value in columns.items():
            sql(store, f"ALTER TABLE {table} ADD COLUMN {column} TEXT")
            sql(store, f"UPDATE {table} SET {column} = '{value}'")


def test_what_a_shop_knows_of_a_person_is_in_no_table_file_or_message_of_ours(
    shop: OperationalStore, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    plant(shop)
    install_feed(shop)
    with caplog.at_level(logging.DEBUG), open_warehouse(settings.warehouse_path) as conn:
        first = ingest(shop, conn, run_id="r1", settings=settings)
        sql(shop, "UPDATE order_lines SET quantity = -1, engraving = 'again'")
        ingest(shop, conn, run_id="r2", settings=settings)
        in_tables = {secret: places_of(conn, secret) for secret in SECRETS}
        conn.execute("CHECKPOINT")

    assert first.tables
    assert in_tables == {secret: {} for secret in SECRETS}
    assert not [secret for secret in SECRETS if secret in caplog.text]
    for path in (path for path in settings.resolved_home.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not [secret for secret in SECRETS if secret.encode() in content], path


def test_the_search_for_the_canary_finds_one_that_is_there(settings: Settings) -> None:
    with open_warehouse(settings.warehouse_path) as conn:
        conn.execute("INSERT INTO quarantine.document_rows (table_name, row_key, row_json, rule, reason, next_step, first_run_id, last_run_id) "
                     "VALUES ('orders', '[]', ?, 'x', 'x', 'x', 'x', 'x')", [f'{{"note":"{NOTE}"}}'])  # fmt: skip

        assert places_of(conn, NOTE) == {"quarantine.document_rows": 1}
