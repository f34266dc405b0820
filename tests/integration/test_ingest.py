from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import sqlalchemy as sa

from pipelines.decisions.roles import Operator, set_operator
from pipelines.errors import QualityError, SourceContractError, WarehouseUnavailableError
from pipelines.quality.holds import list_holds
from pipelines.quality.mending import accept
from pipelines.settings import PROJECT_ROOT, Settings
from pipelines.steps.ingest import IngestResult, TableIngest, ingest
from pipelines.stores.change_feed import install_feed
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.source_contract import SOURCE_TABLES, Field
from pipelines.stores.source_rows import FRAME_TYPES
from pipelines.stores.warehouse import open_warehouse, run_context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

FIELDS = {
    "products": ["sku", "title"],
    "customers": ["customer_id", "country"],
    "orders": ["order_id", "created_at", "currency", "customer_id", "is_deleted"],
    "order_lines": ["order_line_id", "order_id", "sku", "quantity", "unit_price"],
    "shipments": ["shipment_id", "order_id", "status"],
    "shipment_lines": ["shipment_id", "order_line_id", "quantity"],
}
SHIPPED = ["O1", "O2"]


def rows(table: str, **columns: list[Any]) -> pl.DataFrame:
    schema = {name: FRAME_TYPES[SOURCE_TABLES[table].field(name).kind] for name in columns}
    return pl.DataFrame(columns, schema=schema)


def orders(*order_ids: str) -> pl.DataFrame:
    count = len(order_ids)
    return rows(
        "orders", order_id=list(order_ids), created_at=[datetime(2025, 3, 10, 22, 30)] * count, currency=["EUR"] * count,
        customer_id=["anna@example.org"] * count,
    )  # fmt: skip


def lines(*order_ids: str, quantity: int = 2, sku: str = "MUG") -> pl.DataFrame:
    count = len(order_ids)
    return rows(
        "order_lines", order_line_id=[f"{name}-1" for name in order_ids], order_id=list(order_ids), sku=[sku] * count,
        quantity=[quantity] * count, unit_price=[Decimal("12.50")] * count,
    )  # fmt: skip


@pytest.fixture
def shop(store: OperationalStore) -> OperationalStore:
    """Five orders of one line each, two of them shipped."""
    names = [f"O{number}" for number in range(1, 6)]
    store.create_source_tables(FIELDS)
    store.append("products", rows("products", sku=["MUG", "CAP"], title=["Mug", None]))
    store.append("customers", rows("customers", customer_id=["anna@example.org"], country=["DE"]))
    store.append("orders", orders(*names))
    store.append("order_lines", lines(*names))
    store.append("shipments", rows("shipments", shipment_id=["S1", "S2"], order_id=SHIPPED, status=["delivered"] * 2))
    store.append("shipment_lines", rows("shipment_lines", shipment_id=["S1", "S2"], order_line_id=["O1-1", "O2-1"], quantity=[2, 2]))
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


def sql(store: OperationalStore, statement: str) -> None:
    with store.transaction() as conn:
        conn.execute(sa.text(statement))


def table(result: IngestResult, name: str) -> TableIngest:
    return next(entry for entry in result.tables if entry.name == name)


def contents(conn: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[Any, ...]]]:
    return {name: conn.execute(f"SELECT * FROM raw.{name} ORDER BY ALL").fetchall() for name in SOURCE_TABLES}


def quarantined(conn: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Reasons of what is open in quarantine, by `table key`."""
    found = conn.execute("SELECT table_name, row_key, reason FROM quarantine.document_rows WHERE resolved_run_id IS NULL")
    return {f"{name} {'/'.join(json.loads(key))}": reason for name, key, reason in found.fetchall()}


def epoch(conn: duckdb.DuckDBPyConnection) -> tuple[Any, ...] | None:
    """The feed's epoch and run; a position counts the store's transactions, of which a later ingest is one itself."""
    return conn.execute("SELECT source_epoch, run_id FROM meta.feed_state").fetchone()


def position(conn: duckdb.DuckDBPyConnection) -> tuple[Any, ...] | None:
    return conn.execute("SELECT source_epoch, position, run_id FROM meta.feed_state").fetchone()


def loaded_orders(conn: duckdb.DuckDBPyConnection) -> list[str]:
    return [name for (name,) in conn.execute("SELECT order_id FROM raw.orders ORDER BY 1").fetchall()]


def test_the_first_ingest_loads_every_table_with_the_contracts_types(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    result = ingest(shop, warehouse, run_id="run-1", settings=settings)

    assert result.is_full_resync
    assert result.is_publishable
    assert table(result, "orders").rows_loaded == 5
    line = warehouse.execute("SELECT quantity, unit_price, sku FROM raw.order_lines WHERE order_line_id = 'O1-1'").fetchone()
    assert line == (2, Decimal("12.5000"), "MUG")
    created = warehouse.execute("SELECT DISTINCT created_at FROM raw.orders").fetchall()
    assert created == [(datetime(2025, 3, 10, 22, 30),)]
    assert [entry.name for entry in result.tables] == list(SOURCE_TABLES)


def test_a_second_ingest_without_changes_reads_nothing_and_changes_nothing(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    before = contents(warehouse)

    result = ingest(shop, warehouse, run_id="run-2", settings=settings)

    assert not result.is_full_resync
    assert sum(entry.rows_in for entry in result.tables) == 0
    assert contents(warehouse) == before


def test_only_what_changed_is_read_again(shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    sql(shop, "UPDATE order_lines SET quantity = 7 WHERE order_line_id = 'O3-1'")
    sql(shop, "DELETE FROM order_lines WHERE order_line_id = 'O4-1'")
    sql(shop, "DELETE FROM orders WHERE order_id = 'O4'")
    shop.append("orders", orders("O6"))

    result = ingest(shop, warehouse, run_id="run-2", settings=settings)

    assert (table(result, "orders").rows_loaded, table(result, "orders").rows_deleted) == (1, 1)
    assert (table(result, "order_lines").rows_loaded, table(result, "order_lines").rows_deleted) == (1, 1)
    assert loaded_orders(warehouse) == ["O1", "O2", "O3", "O5", "O6"]
    assert warehouse.execute("SELECT quantity FROM raw.order_lines WHERE order_line_id = 'O3-1'").fetchall() == [(7,)]


def test_a_row_that_the_source_marks_as_deleted_leaves_the_warehouse(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    shop.upsert("orders", orders("O5").with_columns(is_deleted=pl.lit(value=True)))

    result = ingest(shop, warehouse, run_id="run-2", settings=settings)

    assert table(result, "orders").rows_deleted == 1
    assert loaded_orders(warehouse) == ["O1", "O2", "O3", "O4"]


def test_a_bad_line_keeps_its_whole_order_out_and_the_rest_loads(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    sql(shop, "UPDATE order_lines SET quantity = 0 WHERE order_line_id = 'O1-1'")

    result = ingest(shop, warehouse, run_id="run-1", settings=settings)

    assert loaded_orders(warehouse) == ["O2", "O3", "O4", "O5"]
    reasons = quarantined(warehouse)
    assert reasons["order_lines O1-1"] == 'E310 quantity is below 1 or above 1,000,000,000, got "0"'
    assert reasons["orders O1"].startswith('E326 is held back with its document (order_lines ["O1-1"]: E310 quantity is below 1')
    assert reasons["shipments S1"] == 'E316 order_id is not found in orders.order_id, got "O1"'
    assert set(reasons) == {"order_lines O1-1", "orders O1", "shipments S1", "shipment_lines S1/O1-1"}
    assert result.is_publishable
    assert [(rule.name, rule.rows_failed) for rule in table(result, "order_lines").suite.failures] == [("quantity_is_allowed", 1)]


def test_a_mended_document_loads_with_all_that_hangs_on_it(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    sql(shop, "UPDATE order_lines SET quantity = 0 WHERE order_line_id = 'O1-1'")
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    sql(shop, "UPDATE order_lines SET quantity = 2 WHERE order_line_id = 'O1-1'")

    result = ingest(shop, warehouse, run_id="run-2", settings=settings)

    assert not result.is_full_resync
    assert quarantined(warehouse) == {}
    assert loaded_orders(warehouse) == ["O1", "O2", "O3", "O4", "O5"]
    assert warehouse.execute("SELECT count(*) FROM raw.shipment_lines").fetchone() == (2,)
    assert warehouse.execute("SELECT DISTINCT first_run_id, resolved_run_id FROM quarantine.document_rows").fetchall() == [
        ("run-1", "run-2")
    ]


def test_a_document_that_turns_bad_keeps_its_last_good_version(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    shop.append("order_lines", lines("O1").with_columns(order_line_id=pl.lit("O1-2")))
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    before = contents(warehouse)
    sql(shop, "UPDATE order_lines SET quantity = -1 WHERE order_line_id = 'O1-1'")
    sql(shop, "DELETE FROM order_lines WHERE order_line_id = 'O1-2'")

    ingest(shop, warehouse, run_id="run-2", settings=settings)

    assert contents(warehouse) == before
    assert set(quarantined(warehouse)) == {"order_lines O1-1", "order_lines O1-2"}

    sql(shop, "UPDATE order_lines SET quantity = 5 WHERE order_line_id = 'O1-1'")
    ingest(shop, warehouse, run_id="run-3", settings=settings)

    assert warehouse.execute("SELECT order_line_id, quantity FROM raw.order_lines WHERE order_id = 'O1'").fetchall() == [("O1-1", 5)]
    assert quarantined(warehouse) == {}


def test_an_unknown_sku_waits_until_the_product_is_there(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    shop.append("orders", orders("O6"))
    shop.append("order_lines", lines("O6", sku="HAT"))
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    waiting = quarantined(warehouse)
    ingest(shop, warehouse, run_id="run-2", settings=settings)
    shop.append("products", rows("products", sku=["HAT"], title=["Hat"]))

    ingest(shop, warehouse, run_id="run-3", settings=settings)

    assert waiting["order_lines O6-1"] == 'E316 sku is not found in products.sku, got "HAT"'
    assert quarantined(warehouse) == {}
    assert "O6" in loaded_orders(warehouse)


def test_a_quarantined_row_that_the_shop_deletes_is_resolved(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    sql(shop, "UPDATE orders SET currency = 'EURO' WHERE order_id = 'O5'")
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    sql(shop, "DELETE FROM order_lines WHERE order_id = 'O5'")
    sql(shop, "DELETE FROM orders WHERE order_id = 'O5'")

    ingest(shop, warehouse, run_id="run-2", settings=settings)

    assert quarantined(warehouse) == {}
    assert loaded_orders(warehouse) == ["O1", "O2", "O3", "O4"]


def test_too_many_bad_documents_load_but_must_not_be_published(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    strict = settings.model_copy(update={"quarantine_block_documents": 1})
    sql(shop, "UPDATE orders SET currency = 'EURO' WHERE order_id = 'O5'")

    first = ingest(shop, warehouse, run_id="run-1", settings=strict)
    second = ingest(shop, warehouse, run_id="run-2", settings=strict)

    assert not first.is_publishable
    assert first.block_reason is not None
    assert first.block_reason.startswith("E501 1 of 5 documents of orders of the batch are bad (more than 1%), for example orders")
    assert loaded_orders(warehouse) == ["O1", "O2", "O3", "O4"]
    assert not second.is_publishable


def test_far_too_many_bad_documents_reject_the_batch_and_it_is_read_again(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    strict = settings.model_copy(update={"quarantine_block_documents": 2})
    ingest(shop, warehouse, run_id="run-1", settings=strict)
    before, at = contents(warehouse), position(warehouse)
    sql(shop, "UPDATE orders SET currency = 'EURO'")

    with pytest.raises(QualityError, match=r"E502 5 of 5 documents of orders of the batch are bad.*nothing was changed"):
        ingest(shop, warehouse, run_id="run-2", settings=strict)

    assert contents(warehouse) == before
    assert position(warehouse) == at
    assert quarantined(warehouse) == {}

    sql(shop, "UPDATE orders SET currency = 'SEK'")
    result = ingest(shop, warehouse, run_id="run-3", settings=strict)

    assert table(result, "orders").rows_loaded == 5


@pytest.mark.parametrize("reject_rate", [0.0, 1.0])
def test_why_a_batch_is_bad_names_row_and_column_and_only_quarantine_the_value(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings, reject_rate: float
) -> None:
    strict = settings.model_copy(update={"quarantine_block_documents": 1, "quarantine_reject_rate": reject_rate})
    sql(shop, "UPDATE orders SET currency = 'Lange Str. 5' WHERE order_id = 'O5'")

    try:
        said = str(ingest(shop, warehouse, run_id="run-1", settings=strict).block_reason)
    except QualityError as refused:
        said = str(refused)

    assert 'for example orders ["O5"]: E314 currency' in said
    assert "Lange Str." not in said
    shown = 'E314 currency is no ISO 4217 currency code, got "Lange Str. 5"' if reject_rate else None
    assert quarantined(warehouse).get("orders O5") == shown


def test_a_missing_required_column_is_named_with_the_column_that_may_be_meant(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    before, at = contents(warehouse), position(warehouse)
    sql(shop, "DROP TRIGGER IF EXISTS feed_order_lines_update" + (" ON order_lines" if shop.dialect == "postgresql" else ""))
    sql(shop, "ALTER TABLE order_lines RENAME COLUMN unit_price TO unit_prize")

    with pytest.raises(SourceContractError, match=r"order_lines .* lacks the required column unit_price: did you mean unit_prize"):
        ingest(shop, warehouse, run_id="run-2", settings=settings)

    assert contents(warehouse) == before
    assert position(warehouse) == at


def test_a_store_without_order_lines_is_refused(store: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    store.create_source_tables({"orders": FIELDS["orders"]})

    with pytest.raises(SourceContractError, match="has no table order_lines"):
        ingest(store, warehouse, run_id="run-1", settings=settings)


def test_every_row_is_accounted_for(shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    sql(shop, "UPDATE order_lines SET quantity = 0 WHERE order_line_id = 'O1-1'")
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    sql(shop, "DELETE FROM shipment_lines WHERE shipment_id = 'S2'")
    sql(shop, "UPDATE order_lines SET sku = 'NONE' WHERE order_line_id = 'O2-1'")

    ingest(shop, warehouse, run_id="run-2", settings=settings)

    open_sums = warehouse.execute(
        "SELECT run_id, sum(rows_in), sum(rows_in - rows_loaded - rows_deleted - rows_quarantined - rows_duplicate) "
        "FROM meta.ingest_counts GROUP BY run_id ORDER BY run_id"
    ).fetchall()
    assert open_sums == [("run-1", 17, 0), ("run-2", 6, 0)]


def test_an_ingest_that_breaks_off_leaves_nothing_and_its_rerun_equals_a_clean_run(
    shop: OperationalStore, settings: Settings, tmp_path: Path
) -> None:
    sql(shop, "UPDATE order_lines SET quantity = 0 WHERE order_line_id = 'O1-1'")
    with open_warehouse(settings.warehouse_path) as conn:
        conn.execute("DROP TABLE meta.run_context")  # the last thing but one that ingest writes
        with pytest.raises(Exception, match="run_context"):
            ingest(shop, conn, run_id="run-1", settings=settings)
        left_behind = (contents(conn), position(conn), quarantined(conn))

    with open_warehouse(settings.warehouse_path) as conn:
        ingest(shop, conn, run_id="run-1", settings=settings)
        after_rerun = (contents(conn), epoch(conn), quarantined(conn))
    with open_warehouse(tmp_path / "clean.duckdb") as conn:
        ingest(shop, conn, run_id="run-1", settings=settings)
        clean = (contents(conn), epoch(conn), quarantined(conn))

    assert left_behind == ({name: [] for name in SOURCE_TABLES}, None, {})
    assert after_rerun == clean


def test_no_customer_id_reaches_the_warehouse(shop: OperationalStore, settings: Settings) -> None:
    sql(shop, "UPDATE orders SET currency = 'EURO' WHERE order_id = 'O5'")
    sql(shop, "UPDATE customers SET country = 'FR'")
    with open_warehouse(settings.warehouse_path) as conn:
        ingest(shop, conn, run_id="run-1", settings=settings)
        sql(shop, "UPDATE customers SET country = 'AT'")
        ingest(shop, conn, run_id="run-2", settings=settings)
        keys = conn.execute("SELECT customer_key FROM raw.customers UNION SELECT customer_key FROM raw.orders").fetchall()
        countries = conn.execute("SELECT country FROM raw.customers").fetchall()

    assert len(keys) == 1
    assert len(keys[0][0]) == 32
    assert countries == [("AT",)]
    assert b"anna@example" not in settings.warehouse_path.read_bytes()
    assert (settings.resolved_home / "customer_key.secret").stat().st_mode & 0o777 == 0o600


PERSON = "anna@example.org"


def example(field: Field) -> Any:
    """A value that the rules let pass wherever the field stands."""
    named: dict[str, Any] = {"currency": "EUR", "score": 5, "rate": 0.5, "match_basis": "given", "order_id": "O1", "sku": "MUG"}
    by_kind: dict[str, Any] = {
        "text": "x", "integer": 1, "decimal": Decimal("1.00"), "float": 0.5, "boolean": False,
        "timestamp": datetime(2025, 3, 10, 22, 30), "date": date(2025, 3, 10),
    }  # fmt: skip
    return named.get(field.name, by_kind[field.kind])


@pytest.mark.parametrize("name", [name for name, contract in SOURCE_TABLES.items() if contract.customer_field])
def test_no_table_that_may_name_a_customer_brings_the_id_into_the_warehouse(name: str, shop: OperationalStore, settings: Settings) -> None:
    """A row arrives, changes, is broken and then deleted: in `raw`, in quarantine and in every key there is a hash."""
    contract, person = SOURCE_TABLES[name], SOURCE_TABLES[name].customer_field
    assert person is not None
    fields = [field for field in contract.fields if field.is_required or field in (person, contract.field("updated_at"))]
    row = {field.name: [PERSON if field is person else "O9" if field.name == "order_id" else example(field)] for field in fields}
    if name not in FIELDS:
        shop.create_source_tables({name: list(row)})
    if name != "customers":
        shop.append(name, rows(name, **{key: value for key, value in row.items() if name not in FIELDS or key in FIELDS[name]}))
    install_feed(shop)
    breakable = next((field.name for field in contract.fields if field.name in {"currency", "rate"} and field.name in row), None)
    changes = [f"UPDATE {name} SET {contract.required_fields[-1]} = {contract.required_fields[-1]}"]
    changes += [f"UPDATE {name} SET {breakable} = '-7'"] if breakable else []
    changes.append(f"DELETE FROM {name} WHERE {person.name} = '{PERSON}'" + (" AND order_id = 'O9'" if name == "orders" else ""))

    with open_warehouse(settings.warehouse_path) as conn:
        ingest(shop, conn, run_id="run-0", settings=settings)
        column = conn.execute(f"SELECT DISTINCT {person.warehouse_name} FROM raw.{name}").fetchall()
        for number, change in enumerate(changes, start=1):
            sql(shop, change)
            with contextlib.suppress(QualityError):
                ingest(shop, conn, run_id=f"run-{number}", settings=settings)
        conn.execute("CHECKPOINT")

    assert [len(value) for (value,) in column] == [32]
    for path in settings.resolved_home.rglob("*"):
        assert not path.is_file() or PERSON.encode() not in path.read_bytes(), path


def test_what_is_known_as_an_order_or_a_supplier_stays_readable_and_the_rest_is_hashed(shop: OperationalStore, settings: Settings) -> None:
    with open_warehouse(settings.warehouse_path) as conn:
        assigned(shop, "O1", PERSON)
        agreed(shop, "S1", PERSON)
        ingest(shop, conn, run_id="run-1", settings=settings)

        units = conn.execute("SELECT unit_id FROM raw.experiments ORDER BY length(unit_id)").fetchall()
        partners = conn.execute("SELECT partner_id FROM raw.rebate_agreements ORDER BY length(partner_id)").fetchall()
        keys = conn.execute("SELECT DISTINCT customer_key FROM raw.orders").fetchall()

    assert units == [("O1",), *keys]
    assert partners == [("S1",), *keys]


def test_a_unit_whose_order_comes_later_is_shown_and_keeps_one_row_through_every_change(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    assigned(shop, "O9")
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    before = warehouse.execute("SELECT unit_id, variant FROM raw.experiments").fetchall()
    seen = []

    for number, change in enumerate(
        ("order comes", "UPDATE experiments SET variant = 'paper'", "DELETE FROM orders WHERE order_id = 'O9'",
         "UPDATE experiments SET variant = 'control'", "DELETE FROM experiments"), start=2,
    ):  # fmt: skip
        if change == "order comes":
            shop.append("orders", orders("O9"))
        else:
            sql(shop, change)
        ingest(shop, warehouse, run_id=f"run-{number}", settings=settings)
        seen.append(warehouse.execute("SELECT unit_id, variant FROM raw.experiments").fetchall())

    assert len(before[0][0]) == 32
    assert seen == [[("O9", "control")], [("O9", "paper")], [("O9", "paper")], [("O9", "control")], []]


def test_a_held_back_agreement_leaves_quarantine_after_its_partner_became_a_supplier(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    agreed(shop, "S7", rate=7.0)
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    hidden = quarantined(warehouse)
    shop.append("suppliers", rows("suppliers", supplier_id=["S7"]))
    ingest(shop, warehouse, run_id="run-2", settings=settings)
    shown = quarantined(warehouse)
    sql(shop, "UPDATE rebate_agreements SET rate = 0.07")

    ingest(shop, warehouse, run_id="run-3", settings=settings)

    assert (len(hidden), len(shown)) == (1, 1)
    assert not any("S7" in key for key in hidden)
    assert all("S7" in key for key in shown)
    assert quarantined(warehouse) == {}
    assert warehouse.execute("SELECT partner_id, rate FROM raw.rebate_agreements").fetchall() == [("S7", 0.07)]


def assigned(store: OperationalStore, *unit_ids: str) -> None:
    """The store knows an experiment of these units, all in one variant."""
    store.create_source_tables({"experiments": ["experiment_id", "unit_id", "variant"]})
    count = len(unit_ids)
    store.append(
        "experiments", rows("experiments", experiment_id=["packaging"] * count, unit_id=list(unit_ids), variant=["control"] * count)
    )
    install_feed(store)


def agreed(store: OperationalStore, *partner_ids: str, rate: float = 0.05) -> None:
    """The store knows supplier S1 and a rebate with each of these partners."""
    fields = ["partner_id", "basis", "tier_from", "rate", "valid_from", "valid_to"]
    store.create_source_tables({"suppliers": ["supplier_id"], "rebate_agreements": fields})
    store.append("suppliers", rows("suppliers", supplier_id=["S1"]))
    count = len(partner_ids)
    store.append("rebate_agreements", rows(
        "rebate_agreements", partner_id=list(partner_ids), basis=["sales_amount"] * count, tier_from=[Decimal(100)] * count, rate=[rate] * count,
        valid_from=[date(2025, 1, 1)] * count, valid_to=[date(2025, 12, 31)] * count,
    ))  # fmt: skip
    install_feed(store)


def test_a_table_that_lost_all_its_rows_blocks_publishing_until_rows_are_back(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    sql(shop, "DELETE FROM shipment_lines")

    emptied = ingest(shop, warehouse, run_id="run-2", settings=settings)
    later = ingest(shop, warehouse, run_id="run-3", settings=settings)
    shop.append("shipment_lines", rows("shipment_lines", shipment_id=["S1"], order_line_id=["O1-1"], quantity=[2]))
    refilled = ingest(shop, warehouse, run_id="run-4", settings=settings)

    assert "E504" in str(emptied.block_reason)
    assert not table(emptied, "shipment_lines").suite.passed
    assert not later.is_publishable
    assert refilled.is_publishable


@pytest.mark.parametrize(
    ("merchant_says", "setting", "expected"),
    [
        ({}, None, date(2025, 3, 9)),  # the last order is of 23:30 on the 10th in Berlin
        ({"data_until": datetime(2025, 3, 10, 23, 0)}, None, date(2025, 3, 10)),  # midnight in Berlin: the 10th is over
        ({"data_until": datetime(2025, 3, 10, 22, 59)}, None, date(2025, 3, 9)),
        ({"data_until": datetime(2025, 3, 10, 23, 0), "as_of_date": date(2025, 2, 1)}, None, date(2025, 2, 1)),
        ({"as_of_date": date(2025, 2, 1)}, date(2025, 1, 5), date(2025, 1, 5)),
    ],
)
def test_the_day_reported_is_the_last_that_is_complete(
    shop: OperationalStore, tmp_path: Path, merchant_says: dict[str, Any], setting: date | None, expected: date
) -> None:
    shop.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1", **merchant_says))
    settings = Settings(home=tmp_path / "home", as_of=setting, _env_file=None)

    with open_warehouse(settings.warehouse_path) as conn:
        ingest(shop, conn, run_id="run-1", settings=settings)
        context = run_context(conn)

    assert context.as_of_date == expected


def test_rows_keyed_by_customer_and_time_are_changed_and_deleted_in_place(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    shop.create_source_tables({"subscriptions": ["customer_id", "started_at", "cancelled_at"]})
    began = [datetime(2025, 1, 1, 8), datetime(2025, 2, 1, 8, 0, 0, 250_000)]
    held = rows("subscriptions", customer_id=["anna@example.org"] * 2, started_at=began, cancelled_at=[None, None])
    shop.append("subscriptions", held)
    install_feed(shop)
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    shop.upsert("subscriptions", held[1:].with_columns(cancelled_at=pl.lit(datetime(2025, 3, 1), pl.Datetime("us"))))
    sql(shop, "DELETE FROM subscriptions WHERE cancelled_at IS NULL")

    result = ingest(shop, warehouse, run_id="run-2", settings=settings)

    assert not result.is_full_resync
    left = warehouse.execute("SELECT started_at, cancelled_at FROM raw.subscriptions").fetchall()
    assert left == [(began[1], datetime(2025, 3, 1))]


def test_a_table_that_the_source_lost_is_empty_and_marked_absent(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    sql(shop, "DROP TABLE shipment_lines")

    result = ingest(shop, warehouse, run_id="run-2", settings=settings)

    assert result.is_publishable
    assert warehouse.execute("SELECT count(*) FROM raw.shipment_lines").fetchone() == (0,)
    present = warehouse.execute(
        "SELECT table_name, count(*) FROM meta.source_fields WHERE is_present AND table_name LIKE 'shipment%' GROUP BY 1"
    ).fetchall()
    assert present == [("shipments", 4)]


def test_a_second_process_is_told_that_the_warehouse_is_in_use(warehouse: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    attempt = (
        "from pathlib import Path; from pipelines.stores.warehouse import open_warehouse\n"
        f"with open_warehouse(Path({str(settings.warehouse_path)!r})): pass"
    )

    other = subprocess.run([sys.executable, "-c", attempt], capture_output=True, text=True, check=False, cwd=PROJECT_ROOT)

    assert other.returncode == 1
    assert "WarehouseUnavailableError: The warehouse" in other.stderr
    assert f"is in use by another process (PID {os.getpid()}): let it end and run again." in other.stderr


def test_a_nearly_full_disk_is_noticed_before_anything_is_written(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(settings.home.parent)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage._replace(free=5 * 1024**2))

    with pytest.raises(WarehouseUnavailableError, match="has 5 MB free and a run needs 256 MB"), open_warehouse(settings.warehouse_path):
        pass

    assert not settings.warehouse_path.exists()


def accept_all(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    """A person accepts whatever forbids to publish."""
    set_operator(store, Operator("ada", "admin"), by="ada")
    for hold in list_holds(conn):
        accept(store, hold, reason="looked into it", actor="ada")


@pytest.fixture
def stocked(store: OperationalStore) -> OperationalStore:
    """30 orders and 60 places with stock."""
    names = [f"O{number}" for number in range(30)]
    skus = [f"SKU{number:02d}" for number in range(60)]
    store.create_source_tables(FIELDS | {"locations": ["location_id", "name", "type", "time_zone"],
                                         "stock_levels": ["sku", "location_id", "on_hand"]})  # fmt: skip
    store.append("locations", rows("locations", location_id=["L"], name=["Shop"], type=["store"], time_zone=["Europe/Berlin"]))
    store.append("products", rows("products", sku=["MUG", *skus], title=[None] * 61))
    store.append("customers", rows("customers", customer_id=["anna@example.org"], country=["DE"]))
    store.append("orders", orders(*names))
    store.append("order_lines", lines(*names))
    store.append("stock_levels", rows("stock_levels", sku=skus, location_id=["L"] * 60, on_hand=[5] * 60))
    install_feed(store)
    store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1"))
    return store


@pytest.mark.parametrize("is_full_resync", [False, True])
def test_a_table_that_loses_nine_rows_in_ten_loads_but_is_published_only_once_a_person_accepts_it(
    stocked: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings, is_full_resync: bool
) -> None:
    ingest(stocked, warehouse, run_id="run-1", settings=settings)
    sql(stocked, "DELETE FROM order_lines WHERE order_id NOT IN ('O1', 'O2')")
    sql(stocked, "DELETE FROM orders WHERE order_id NOT IN ('O1', 'O2')")
    if is_full_resync:
        warehouse.execute("DELETE FROM meta.feed_state")

    blocked = ingest(stocked, warehouse, run_id="run-2", settings=settings)
    again = ingest(stocked, warehouse, run_id="run-3", settings=settings)
    accept_all(stocked, warehouse)
    accepted = ingest(stocked, warehouse, run_id="run-4", settings=settings)

    assert loaded_orders(warehouse) == ["O1", "O2"]
    assert blocked.is_full_resync == is_full_resync
    assert blocked.block_reason is not None
    assert "E505 orders lost over 90 % of its rows in one batch: 30 became 2; mend the source" in blocked.block_reason
    assert [rule.name for rule in table(blocked, "orders").suite.failures] == ["keeps_a_tenth_of_its_rows"]
    assert not table(blocked, "orders").suite.passed
    assert again.block_reason == blocked.block_reason
    assert accepted.is_publishable


def test_a_tenth_that_is_left_or_few_rows_lost_block_nothing(
    stocked: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(stocked, warehouse, run_id="run-1", settings=settings)
    sql(stocked, "DELETE FROM order_lines WHERE order_id NOT IN ('O1', 'O2', 'O3')")

    result = ingest(stocked, warehouse, run_id="run-2", settings=settings)

    assert result.is_publishable


@pytest.mark.parametrize("is_full_resync", [False, True])
def test_stock_that_falls_to_zero_in_most_places_at_once_blocks_publishing_until_it_is_back(
    stocked: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings, is_full_resync: bool
) -> None:
    ingest(stocked, warehouse, run_id="run-1", settings=settings)
    sql(stocked, "UPDATE stock_levels SET on_hand = 0 WHERE sku < 'SKU30'")
    half = ingest(stocked, warehouse, run_id="run-2", settings=settings)
    sql(stocked, "UPDATE stock_levels SET on_hand = 0 WHERE sku < 'SKU55'")
    if is_full_resync:
        warehouse.execute("DELETE FROM meta.feed_state")

    most = ingest(stocked, warehouse, run_id="run-3", settings=settings)
    left = warehouse.execute("SELECT count(*) FROM raw.stock_levels WHERE on_hand > 0").fetchone()
    still = ingest(stocked, warehouse, run_id="run-4", settings=settings)
    sql(stocked, "UPDATE stock_levels SET on_hand = 4 WHERE sku < 'SKU30'")
    back = ingest(stocked, warehouse, run_id="run-5", settings=settings)

    assert half.is_publishable
    assert most.block_reason is not None
    assert most.block_reason.startswith("E506 stock_levels lost the stock at over half of its places in one batch")
    assert "fell from 30 to 5" in most.block_reason
    assert left == (5,)
    assert not still.is_publishable
    assert back.is_publishable


@pytest.mark.parametrize("is_full_resync", [False, True])
def test_an_order_id_with_a_nul_byte_waits_in_quarantine_until_it_is_mended(
    sqlite_url: str, warehouse: duckdb.DuckDBPyConnection, settings: Settings, is_full_resync: bool
) -> None:
    with OperationalStore.open(sqlite_url) as shop:
        shop.create_source_tables(FIELDS)
        shop.append("products", rows("products", sku=["MUG"], title=["Mug"]))
        shop.append("orders", orders("O1"))
        install_feed(shop)
        shop.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1"))
        if not is_full_resync:
            ingest(shop, warehouse, run_id="run-1", settings=settings)
        shop.append("orders", orders("O2", "O3\x00a", "O3"))
        shop.append("order_lines", lines("O3\x00a"))

        held = ingest(shop, warehouse, run_id="run-2", settings=settings)
        waiting = quarantined(warehouse)
        still = ingest(shop, warehouse, run_id="run-3", settings=settings)
        sql(shop, "UPDATE orders SET order_id = 'O4' WHERE order_id > 'O3' AND order_id < 'O4'")
        sql(shop, "UPDATE order_lines SET order_id = 'O4', order_line_id = 'O4-1'")
        mended = ingest(shop, warehouse, run_id="run-4", settings=settings)

    assert (table(held, "orders").rows_quarantined, table(held, "orders").rows_deleted) == (1, 0)
    assert (table(still, "orders").rows_quarantined, table(still, "orders").rows_deleted) == (1, 0)
    assert waiting["orders O3\x00a"] == 'E308 order_id holds a NUL byte, got "O3\\u0000a"'
    assert set(waiting) == {"orders O3\x00a", "order_lines O3\x00a-1"}
    assert table(mended, "orders").rows_loaded == 1
    assert loaded_orders(warehouse) == ["O1", "O2", "O3", "O4"]
    assert quarantined(warehouse) == {}


def returned(return_id: str, quantity: int) -> dict[str, pl.DataFrame]:
    """A return of one line of order O1, of which two were sold."""
    return {
        "returns": rows("returns", return_id=[return_id], created_at=[datetime(2025, 3, 20)]),
        "return_lines": rows(
            "return_lines", return_line_id=[f"{return_id}-1"], return_id=[return_id], sku=["MUG"], quantity=[quantity],
            order_line_id=["O1-1"],
        ),
    }  # fmt: skip


def test_no_more_comes_back_than_was_sold(shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    shop.create_source_tables({"returns": ["return_id", "created_at"],
                               "return_lines": ["return_line_id", "return_id", "sku", "quantity", "order_line_id"]})  # fmt: skip
    install_feed(shop)
    for return_id, quantity in (("R1", 1), ("R2", 2)):
        for name, frame in returned(return_id, quantity).items():
            shop.append(name, frame)
    ingest(shop, warehouse, run_id="run-1", settings=settings)
    at_once = quarantined(warehouse)
    for name, frame in returned("R0", 1).items():
        shop.append(name, frame)
    ingest(shop, warehouse, run_id="run-2", settings=settings)
    later = quarantined(warehouse)
    sql(shop, "UPDATE return_lines SET quantity = 2 WHERE return_id = 'R1'")
    ingest(shop, warehouse, run_id="run-3", settings=settings)
    changed = quarantined(warehouse)
    sql(shop, "UPDATE order_lines SET quantity = 5 WHERE order_id = 'O1'")

    ingest(shop, warehouse, run_id="run-4", settings=settings)

    assert at_once["return_lines R2-1"] == 'E321 quantity brings the sum of its order line to more than was ordered, got "2"'
    assert set(at_once) == set(later) == {"returns R2", "return_lines R2-1"}
    assert {"return_lines R1-1", "return_lines R2-1"} < set(changed)
    assert quarantined(warehouse) == {}
    assert warehouse.execute("SELECT sum(quantity) FROM raw.return_lines").fetchone() == (5,)


def changed_orders(conn: duckdb.DuckDBPyConnection) -> set[tuple[str, datetime | None]]:
    return set(conn.execute("SELECT order_id, ordered_at FROM meta.changed_orders").fetchall())


def test_a_first_ingest_names_no_changed_order_since_all_are_new(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="r1", settings=settings)

    assert changed_orders(warehouse) == set()


def test_an_order_is_changed_by_its_shipment_and_by_the_lines_of_it(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="r1", settings=settings)
    at = datetime(2025, 3, 10, 22, 30)
    shop.upsert("shipment_lines", rows("shipment_lines", shipment_id=["S2"], order_line_id=["O2-1"], quantity=[1]))
    shop.append("shipments", rows("shipments", shipment_id=["S3"], order_id=["O3"], status=["packed"]))

    ingest(shop, warehouse, run_id="r2", settings=settings)

    assert changed_orders(warehouse) == {("O2", at), ("O3", at)}


def test_an_order_that_moves_to_another_day_is_named_with_both_times(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="r1", settings=settings)
    earlier = orders("O1").with_columns(created_at=pl.lit(datetime(2025, 3, 9, 10)))
    shop.upsert("orders", earlier)

    ingest(shop, warehouse, run_id="r2", settings=settings)

    assert changed_orders(warehouse) == {("O1", datetime(2025, 3, 10, 22, 30)), ("O1", datetime(2025, 3, 9, 10))}


def test_a_deleted_order_is_named_as_changed(shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    ingest(shop, warehouse, run_id="r1", settings=settings)
    sql(shop, "DELETE FROM order_lines WHERE order_id = 'O5'")
    sql(shop, "DELETE FROM orders WHERE order_id = 'O5'")

    ingest(shop, warehouse, run_id="r2", settings=settings)

    assert ("O5", datetime(2025, 3, 10, 22, 30)) in changed_orders(warehouse)


def test_no_invoice_and_no_hold_stands_before_its_order(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    shop.create_source_tables({"payment_holds": ["order_id", "placed_at"], "invoices": ["invoice_id", "order_id", "issued_at", "amount"]})
    install_feed(shop)
    days = [datetime(2025, 3, 9), datetime(2025, 3, 10)]  # the orders are of the 10th
    shop.append("payment_holds", rows("payment_holds", order_id=["O1", "O2"], placed_at=days))
    shop.append("invoices", rows("invoices", invoice_id=["I1", "I2"], order_id=SHIPPED, issued_at=days, amount=[Decimal(25)] * 2))

    ingest(shop, warehouse, run_id="run-1", settings=settings)

    waiting = quarantined(warehouse)
    assert len(waiting) == 2
    assert waiting["invoices I1"].startswith("E320 issued_at lies before that of its order")
    assert any(reason.startswith("E320 placed_at lies before that of its order") for reason in waiting.values())
    assert (
        warehouse.execute("SELECT order_id FROM raw.payment_holds UNION ALL SELECT order_id FROM raw.invoices").fetchall() == [("O2",)] * 2
    )
