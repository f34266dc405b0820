"""Every code of bad input that can arrive in a store (E3xx, E4xx), each hit by a case, on both databases."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from pipelines.faults import documents as faults
from pipelines.quality.warnings import note_derived
from pipelines.settings import Settings
from pipelines.steps.ingest import ingest
from pipelines.stores.change_feed import install_feed
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.quarantine_rows import standing_warnings
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Row = dict[str, str | None]
AT = "2025-03-10 10:00:00"
# A good row of each table; `{n}` is the number of the case.
GOOD: dict[str, Row] = {
    "locations": {"location_id": "P{n}", "name": "Shop", "type": "store", "time_zone": "Europe/Berlin", "is_active": "true"},
    "products": {"sku": "SKU{n}", "list_price": "20", "unit_cost": "5", "currency": "EUR"},
    "suppliers": {"supplier_id": "V{n}", "name": "Maker"},
    "supplier_items": {
        "supplier_id": "V", "sku": "SKU{n}", "lead_time_days": "7", "unit_cost": "5", "currency": "EUR", "min_order_qty": "1",
        "order_multiple": "1",
    },
    "orders": {"order_id": "O{n}", "created_at": AT, "currency": "EUR", "location_id": "P"},
    "order_lines": {"order_line_id": "L{n}", "order_id": "O{n}", "sku": "MUG", "quantity": "2", "unit_price": "10"},
    "shipments": {"shipment_id": "S{n}", "order_id": "O{n}", "status": "delivered"},
    "returns": {"return_id": "R{n}", "order_id": "O", "created_at": "2025-03-11 10:00:00", "currency": "EUR"},
    "return_lines": {"return_line_id": "B{n}", "return_id": "R{n}", "sku": "MUG", "quantity": "1", "order_line_id": "L"},
    "stock_levels": {"sku": "SKU{n}", "location_id": "P", "on_hand": "5"},
    "fx_rates": {"rate_date": "2025-03-{n:02d}", "from_currency": "CHF", "to_currency": "EUR", "rate": "1.05"},
}  # fmt: skip
STANDING: dict[str, Row] = {
    "locations": {"location_id": "P"}, "products": {"sku": "MUG"}, "suppliers": {"supplier_id": "V"}, "orders": {"order_id": "O"},
    "order_lines": {"order_line_id": "L", "order_id": "O"},
}  # fmt: skip
# What stands in the shop, by what is wrong with it; a table, what differs from a good row, and the code that its row gets.
HELD: list[tuple[str, Row, str]] = [
    *(("order_lines", {"quantity": text}, "E310") for text in ("-1", "0", "1000000001")),
    *(
        ("order_lines", {"quantity": text}, "E302")
        for text in ("abc", "1.5", "NaN", "Inf", "1e309", "9223372036854775808", "1_000", "3,50", "12 pcs")
    ),
    ("order_lines", {"quantity": None}, "E301"),
    ("order_lines", {"quantity": ""}, "E301"),
    *(("order_lines", {"unit_price": text}, "E303") for text in ("3,50", "1.234,00", "NaN", "1e309", "ten")),
    ("order_lines", {"unit_price": "-0.01"}, "E312"),
    ("order_lines", {"sku": "NONE"}, "E316"),
    ("order_lines", {"order_id": "NO-ORDER"}, "E317"),
    ("shipments", {"order_id": "NO-ORDER"}, "E316"),
    ("shipments", {"status": "x" * 70_000}, "E309"),
    ("orders", {"currency": None}, "E301"),
    ("orders", {"currency": "EURO"}, "E314"),
    ("orders", {"location_id": "NOWHERE"}, "E316"),
    ("orders", {"created_at": "1970-01-01 00:00:00"}, "E319"),
    ("orders", {"created_at": "2019-12-31 23:59:59"}, "E319"),
    ("orders", {"created_at": "2999-01-01 00:00:00"}, "E318"),
    *(
        ("orders", {"created_at": text}, "E305")
        for text in ("2025-02-30 10:00:00", "03/04/2025", "yesterday", "infinity", "99999-01-01", "2025-03-30 02:30 Europe/Berlin")
    ),
    ("supplier_items", {"lead_time_days": "-1"}, "E313"),
    ("supplier_items", {"lead_time_days": "1000000000"}, "E313"),
    ("supplier_items", {"order_multiple": "-6"}, "E313"),
    ("supplier_items", {"supplier_id": "NOBODY"}, "E316"),
    ("stock_levels", {"on_hand": "1000000001"}, "E311"),
    ("returns", {"created_at": "2025-03-01 10:00:00"}, "E320"),
    ("returns", {"currency": "SEK"}, "E315"),
    ("return_lines", {"quantity": "3"}, "E321"),
    ("locations", {"type": "attic"}, "E323"),
    ("locations", {"time_zone": "CEST"}, "E325"),
    ("locations", {"is_active": "perhaps"}, "E307"),
    ("fx_rates", {"rate": "0"}, "E324"),
    ("fx_rates", {"rate": "dear"}, "E304"),
    ("fx_rates", {"rate_date": "2025-02-30"}, "E306"),
    ("products", {"title": "a\x00b"}, "E308"),
]


def filled(table: str, number: int | None, **changes: str | None) -> Row:
    """A good row of the case's number (None: of the standing rows) with these changes."""
    label = "" if number is None else number
    row = {name: value.format(n=label) if value and "{n" in value else value for name, value in GOOD[table].items()}
    return row | changes


def documents(cases: Iterable[tuple[str, Row, str]], *, has_nul: bool) -> tuple[dict[str, list[Row]], dict[tuple[str, str], str]]:
    """Rows by table for all cases, a document each, and the code that is expected of each row by table and key."""
    rows: dict[str, list[Row]] = {name: [filled(name, None, **STANDING[name])] for name in STANDING}
    expected: dict[tuple[str, str], str] = {}
    for number, (table, changes, code) in enumerate(cases, start=1):
        if code == "E308" and not has_nul:
            continue
        day = {"rate_date": str(date(2024, 1, 1 + number % 28))} if table == "fx_rates" else {}
        row = filled(table, number, **{**day, **changes}) if table == "fx_rates" else filled(table, number, **changes)
        if table in {"order_lines", "shipments"}:
            rows["orders"].append(filled("orders", number))
        if table in {"supplier_items", "stock_levels"}:
            rows["products"].append(filled("products", number))
        if table == "return_lines":
            rows.setdefault("returns", []).append(filled("returns", number))
        rows.setdefault(table, []).append(row)
        expected[table, "/".join(str(row[name]) for name in SOURCE_TABLES[table].key)] = code
    return rows, expected


def fill(store: OperationalStore, rows: dict[str, list[Row]]) -> None:
    """The store has these tables and rows; every column is text and none is guarded, as a merchant's may be."""
    with store.transaction() as conn:
        for table, found in rows.items():
            names = sorted({name for row in found for name in row} | set(SOURCE_TABLES[table].required_fields))
            conn.execute(sa.text(f"CREATE TABLE {table} ({', '.join(f'{name} TEXT' for name in names)})"))
            for row in found:
                given = {name: row.get(name) for name in names}
                conn.execute(sa.text(f"INSERT INTO {table} VALUES ({', '.join(f':{name}' for name in names)})"), given)
    install_feed(store)
    store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "test"))


def settings_for(folder: Path, **changes: Any) -> Settings:
    lenient = {"quarantine_block_documents": 10_000, "business_start": date(2020, 1, 1)}
    return Settings(home=folder / "home", _env_file=None, **(lenient | changes))


def held_codes(conn: Any) -> dict[tuple[str, str], str]:
    rows = conn.execute("SELECT table_name, row_key, reason FROM quarantine.document_rows WHERE resolved_run_id IS NULL").fetchall()
    return {(table, "/".join(str(part) for part in json.loads(key))): reason[:4] for table, key, reason in rows}


def test_every_kind_of_bad_row_waits_with_its_code(store: OperationalStore, tmp_path: Path) -> None:
    twice = filled("products", None, sku="TWICE")
    rows, expected = documents(HELD, has_nul=store.dialect == "sqlite")
    rows["products"] += [twice, twice | {"list_price": "21"}]
    fill(store, rows)
    settings = settings_for(tmp_path)

    with open_warehouse(settings.warehouse_path) as conn:
        result = ingest(store, conn, run_id="run-1", settings=settings)
        found = held_codes(conn)
        steps = conn.execute("SELECT DISTINCT next_step FROM quarantine.document_rows").fetchall()

    wanted = expected | {("products", "TWICE"): "E322"}
    assert {key: found.get(key) for key in wanted} == wanted
    assert {code for key, code in found.items() if key not in wanted} == {"E326"}  # the rest of their documents
    assert all(step for (step,) in steps)
    assert all(one.rows_in == one.rows_loaded + one.rows_quarantined + one.rows_duplicate for one in result.tables)


def test_every_code_of_a_document_has_a_case() -> None:
    held = {code for _, _, code in HELD} | {"E322", "E326"}
    warned = {code for _, _, code in TAKEN} | {"E401", "E404", "E407"}

    assert {fault.code for fault in faults.FAULTS} == held | warned


TAKEN: list[tuple[str, Row, str]] = [
    ("order_lines", {"unit_price": "0"}, "E402"),
    ("order_lines", {"unit_price": "101"}, "E403"),
    ("order_lines", {"sku": " MUG"}, "E413"),
    ("orders", {"location_id": "P-CLOSED"}, "E405"),
    ("orders", {}, "E406"),
    ("stock_levels", {"on_hand": "-3"}, "E408"),
    ("supplier_items", {"lead_time_days": "0"}, "E409"),
    ("supplier_items", {"min_order_qty": "0"}, "E410"),
    ("supplier_items", {"min_order_qty": "10", "order_multiple": "6"}, "E411"),
    ("products", {"unit_cost": "21"}, "E412"),
    ("products", {"sku": "CAP "}, "E413"),
]


def test_what_only_looks_wrong_is_taken_and_counted(store: OperationalStore, tmp_path: Path) -> None:
    rows, _ = documents(TAKEN, has_nul=False)
    for order in rows["orders"]:
        order["created_at"] = "2025-03-20 10:00:00"
    rows["orders"][0]["created_at"] = AT  # the mug's usual price is of before
    rows["locations"].append(filled("locations", None, location_id="P-CLOSED", is_active="false"))
    fill(store, rows)
    settings = settings_for(tmp_path)

    with open_warehouse(settings.warehouse_path) as conn:
        ingest(store, conn, run_id="run-1", settings=settings)
        found, held = standing_warnings(conn), held_codes(conn)
        trimmed = conn.execute("SELECT count(*) FROM raw.order_lines WHERE sku = 'MUG'").fetchone()
        with store.transaction() as shop:
            shop.execute(sa.text("INSERT INTO orders (order_id, created_at, currency) VALUES ('LATE', '2023-01-05 08:00:00', 'EUR')"))
        ingest(store, conn, run_id="run-2", settings=settings)
        late = [row for row in standing_warnings(conn) if row[0] == "E407"]
        conn.execute("CREATE SCHEMA marts; CREATE TABLE marts.fct_orders AS SELECT 'O' AS order_id, true AS has_impossible_timeline")
        conn.execute("CREATE TABLE marts.fct_reconciliation AS SELECT 'O' AS document_id, 'order_total_vs_lines' AS rule")
        note_derived(conn)
        derived = [row for row in standing_warnings(conn) if row[0] in {"E401", "E404"}]

    assert held == {}
    assert {(code, table) for code, table, _, _ in found} == {(code, table) for table, _, code in TAKEN}
    assert {code: count for code, _, count, _ in found if code in {"E403", "E405", "E408"}} == {"E403": 1, "E405": 1, "E408": 1}
    assert trimmed == (4,)
    assert late == [("E407", "orders", 1, "LATE")]
    assert derived == [("E401", "orders", 1, "O"), ("E404", "orders", 1, "O")]


def test_a_line_that_comes_before_its_order_loads_by_itself_once_the_order_is_there(store: OperationalStore, tmp_path: Path) -> None:
    rows, _ = documents([("order_lines", {"order_id": "O-LATER"}, "E317")], has_nul=False)
    fill(store, rows)
    settings = settings_for(tmp_path)

    with open_warehouse(settings.warehouse_path) as conn:
        ingest(store, conn, run_id="run-1", settings=settings)
        waiting = held_codes(conn)
        with store.transaction() as shop:
            shop.execute(sa.text("INSERT INTO orders (order_id, created_at, currency) VALUES ('O-LATER', '2025-03-10 11:00:00', 'EUR')"))
        ingest(store, conn, run_id="run-2", settings=settings)
        after = held_codes(conn)

    assert waiting == {("order_lines", "L1"): "E317"}
    assert after == {}


def test_a_time_with_its_distance_to_utc_is_moved_and_not_cut_off(sqlite_url: str, tmp_path: Path) -> None:
    rows, _ = documents([("orders", {"created_at": "2025-03-10T01:30:00+01:00"}, "")], has_nul=False)
    settings = settings_for(tmp_path)

    with OperationalStore.open(sqlite_url) as store, open_warehouse(settings.warehouse_path) as conn:
        fill(store, rows)
        ingest(store, conn, run_id="run-1", settings=settings)
        at = conn.execute("SELECT created_at::VARCHAR FROM raw.orders WHERE order_id = 'O1'").fetchone()

    assert at == ("2025-03-10 00:30:00",)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("INSERT INTO orders (order_id, created_at, currency) VALUES ('F', '2025-03-10 09:00:00', 'SEK')", "E507"),
        ("UPDATE order_lines SET quantity = '1000000000', unit_price = '99999999999'", "E508"),
    ],
)
def test_what_cannot_be_added_up_is_loaded_and_blocks_publishing_until_it_is_mended(
    sqlite_url: str, tmp_path: Path, change: str, code: str
) -> None:
    rows, _ = documents([], has_nul=False)
    rows["fx_rates"] = [filled("fx_rates", 10)]
    rows["orders"].append(filled("orders", 7, currency="CHF"))  # has its rate
    settings = settings_for(tmp_path)

    with OperationalStore.open(sqlite_url) as store, open_warehouse(settings.warehouse_path) as conn:
        fill(store, rows)
        well = ingest(store, conn, run_id="run-1", settings=settings)
        with store.transaction() as shop:
            shop.execute(sa.text(change))
        ill = ingest(store, conn, run_id="run-2", settings=settings)
        still = ingest(store, conn, run_id="run-3", settings=settings)
        with store.transaction() as shop:
            shop.execute(sa.text("DELETE FROM orders WHERE order_id = 'F'"))
            shop.execute(sa.text("UPDATE order_lines SET unit_price = '10'"))
        mended = ingest(store, conn, run_id="run-4", settings=settings)

    assert well.is_publishable
    assert ill.block_reason is not None
    assert ill.block_reason.startswith(f"{code} ")
    assert still.block_reason == ill.block_reason
    assert mended.is_publishable
