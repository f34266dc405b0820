"""The worked examples of docs/your-data do what the pages say."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from pipelines.settings import PROJECT_ROOT, Settings
from pipelines.steps.import_files import import_files
from pipelines.steps.ingest import ingest
from pipelines.stores.change_feed import forbid_triggers
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.warehouse import open_warehouse
from tests.conftest import database_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

EXAMPLES = PROJECT_ROOT / "docs/your-data"
ODOO = Path(__file__).with_name("odoo_database.sql")
ORDERS = """\
Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Currency,Shipping,Taxes,Total,Discount Amount,Created at,Lineitem quantity,\
Lineitem name,Lineitem price,Lineitem sku,Lineitem fulfillment status,Shipping Name,Shipping Country,Cancelled at,Source,Id,Lineitem discount
#1001,Ann@example.org,paid,2026-11-02 09:16:00 +0100,fulfilled,2026-11-03 14:00:00 +0100,EUR,4.90,5.41,33.90,0.00,2026-11-02 09:15:00 +0100,1,\
Tip,10.00,,fulfilled,Ann,DE,,web,5001,0.00
#1001,Ann@example.org,,,,,,,,,,2026-11-02 09:15:00 +0100,2,Mug - Red,9.50,MUG-RED,fulfilled,,,,,,0.00
#1002,ann@example.org,paid,2026-11-05 18:00:00 +0100,,,EUR,0.00,4.47,25.20,2.80,2026-11-05 17:59:00 +0100,2,Plate,14.00,PLATE,pending,Ann,DE,,pos,5002,2.80
"""
INVENTORY = """\
Handle,Title,SKU,Location,Incoming,Unavailable,Committed,Available,On hand
mug,Mug,MUG-RED,Main street 1,0,0,0,12,12
plate,Plate,PLATE,Main street 1,0,0,2,3,5
bowl,Bowl,BOWL,Main street 1,0,0,0,0,not stocked
"""
TERMS = "supplier,sku,lead_time_days,unit_cost,min_order_qty,order_multiple\nMug works,MUG-RED,14,4.20,12,6\n"


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(tmp_path / "warehouse.duckdb") as conn:
        yield conn


@pytest.fixture
def odoo(postgresql_server: str) -> Iterator[OperationalStore]:
    """A store whose tables are the views on an Odoo database."""
    name = f"odoo_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgresql_server, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = database_url(postgresql_server, name)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(ODOO.read_bytes())
        conn.execute((EXAMPLES / "odoo.sql").read_bytes())
    with OperationalStore.open(f"{url}&options=-csearch_path%3Dordercast") as store:
        store.migrate()
        store.save_merchant(Merchant("merchant", "Mug shop", "Europe/Brussels", "EUR", "connected"))
        forbid_triggers(store)
        yield store


def loaded(store: OperationalStore, warehouse: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, int]:
    settings = Settings(home=folder / "home", _env_file=None)
    result = ingest(store, warehouse, run_id="run-1", settings=settings)
    return {table.name: table.rows_loaded for table in result.tables if table.rows_loaded}


def rows(warehouse: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return warehouse.execute(query).fetchall()


def test_the_views_on_odoo_have_what_the_contract_requires_and_nothing_of_persons(odoo: OperationalStore) -> None:
    present = odoo.present_fields()

    assert len(present) == 15
    assert {name: lacks for name, fields in present.items() if (lacks := set(SOURCE_TABLES[name].required_fields) - fields)} == {}
    assert not {"email", "phone", "street"} & set().union(*present.values())


def test_an_odoo_database_loads_whole_and_in_the_items_own_unit(
    odoo: OperationalStore, warehouse: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    counts = loaded(odoo, warehouse, tmp_path)

    assert (counts["orders"], counts["order_lines"], counts["stock_movements"], counts["supplier_items"]) == (3, 3, 5, 3)
    assert rows(warehouse, "SELECT count(*) FROM quarantine.document_rows") == [(0,)]
    # A dozen sold, four dozen of five received; stock of one warehouse stands in two places.
    assert rows(warehouse, "SELECT sku, quantity, unit_price::double FROM raw.order_lines WHERE order_id = 'S00001'") == [
        ("MUG-RED", 12, 9.5)
    ]
    assert rows(warehouse, "SELECT ordered_qty, received_qty, received_at FROM raw.purchase_order_lines WHERE po_line_id = '1'") == [
        (60, 48, None)
    ]
    assert rows(warehouse, "SELECT on_hand FROM raw.stock_levels WHERE sku = 'MUG-RED' AND location_id = 'WH'") == [(30,)]
    # A quotation is no order, nor is a cancelled one that never asked for stock.
    assert rows(warehouse, "SELECT order_id, cancelled_at IS NOT NULL FROM raw.orders ORDER BY 1") == [
        ("S00001", False), ("S00003", False), ("S00004", True),
    ]  # fmt: skip
    # A variant's own terms come before its template's, and the smallest quantity before a dearer minimum.
    assert rows(warehouse, "SELECT sku, lead_time_days, min_order_qty FROM raw.supplier_items ORDER BY 1") == [
        ("MUG-BLUE", 21, 24), ("MUG-RED", 14, 12), ("ODOO-13", 10, 0),
    ]  # fmt: skip


def test_shopifys_exports_load_and_addresses_stay_in_the_file(
    warehouse: duckdb.DuckDBPyConnection, sqlite_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "orders_export.csv").write_text(ORDERS, encoding="utf-8")
    (folder / "inventory_export.csv").write_text(INVENTORY, encoding="utf-8")
    (folder / "supplier_terms.csv").write_text(TERMS, encoding="utf-8")
    with OperationalStore.open(sqlite_url) as store:
        import_files(store, mapping=EXAMPLES / "shopify.yml", folder=folder)

        counts = loaded(store, warehouse, tmp_path)

    assert (counts["orders"], counts["order_lines"], counts["customers"], counts["shipment_lines"], counts["stock_levels"]) == (
        2,
        2,
        1,
        1,
        2,
    )
    # The first line has what belongs to the order, and names no item; the clock is the shop's.
    assert rows(warehouse, "SELECT order_id, created_at::varchar, total_price::double FROM raw.orders ORDER BY 1") == [
        ("#1001", "2026-11-02 08:15:00", 33.9), ("#1002", "2026-11-05 16:59:00", 25.2),
    ]  # fmt: skip
    assert rows(warehouse, "SELECT sku, lead_time_days, currency FROM raw.supplier_items") == [("MUG-RED", 14, "EUR")]
    assert rows(warehouse, "SELECT order_line_id FROM raw.shipment_lines") == [("#1001:2",)]
    assert not any(b"example.org" in path.read_bytes() for path in tmp_path.glob("store.db*"))
