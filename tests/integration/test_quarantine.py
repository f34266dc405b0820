"""What people do about quarantine: blocks that stand until mended or accepted, mends, and judging again."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.decisions.audit import verify
from pipelines.decisions.roles import Operator, set_operator
from pipelines.errors import DecisionError, NotPermittedError, SettingsError
from pipelines.quality.holds import list_holds
from pipelines.quality.mending import accept, mend, unmend
from pipelines.settings import Settings
from pipelines.steps.ingest import ingest
from pipelines.stores.change_feed import install_feed
from pipelines.stores.mends import list_mends
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.quarantine_rows import HeldRow, held_row, quarantined_documents
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

FIELDS = {
    "products": ["sku"],
    "orders": ["order_id", "created_at", "currency", "customer_id"],
    "order_lines": ["order_line_id", "order_id", "sku", "quantity", "unit_price"],
    "subscriptions": ["customer_id", "started_at"],
}


def order(store: OperationalStore, *order_ids: str, quantity: int = 2) -> None:
    count = len(order_ids)
    at = [datetime(2025, 3, 10, 22, 30)] * count
    store.append("orders", pl.DataFrame({"order_id": order_ids, "created_at": at, "currency": ["EUR"] * count}))
    store.append("order_lines", pl.DataFrame({
        "order_line_id": [f"{name}-1" for name in order_ids], "order_id": order_ids, "sku": ["MUG"] * count, "quantity": [quantity] * count,
        "unit_price": [Decimal("12.50")] * count,
    }))  # fmt: skip


@pytest.fixture
def shop(store: OperationalStore) -> OperationalStore:
    """Fifty good orders and an admin, who is planner and approver too."""
    prepare(store)
    return store


def prepare(store: OperationalStore) -> None:
    store.create_source_tables(FIELDS)
    store.append("products", pl.DataFrame({"sku": ["MUG"]}))
    order(store, *(f"O{number}" for number in range(50)))
    install_feed(store)
    store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "test"))
    set_operator(store, Operator("ada", "admin"), by="ada")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", quarantine_block_documents=2, _env_file=None)


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(settings.warehouse_path) as conn:
        yield conn


def sql(store: OperationalStore, statement: str) -> None:
    with store.transaction() as conn:
        conn.execute(sa.text(statement))


def codes(conn: duckdb.DuckDBPyConnection) -> list[str]:
    return [hold.code for hold in list_holds(conn) if not hold.is_accepted]


def waiting(conn: duckdb.DuckDBPyConnection, line: str) -> HeldRow:
    row = held_row(conn, "order_lines", line)
    assert row is not None
    return row


def test_a_suspect_batch_blocks_until_it_is_mended_however_many_good_orders_follow(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    order(shop, "X1", "X2", quantity=0)
    first = ingest(shop, warehouse, run_id="r1", settings=settings)
    order(shop, *(f"G{number}" for number in range(400)))  # two of 452 are less than 1 %
    diluted = ingest(shop, warehouse, run_id="r2", settings=settings)
    sql(shop, "UPDATE order_lines SET quantity = 1 WHERE order_id = 'X1'")

    mended = ingest(shop, warehouse, run_id="r3", settings=settings)

    assert str(first.block_reason).startswith("E501 2 of 52 documents of orders of the batch are bad")
    assert diluted.block_reason == first.block_reason
    assert mended.is_publishable
    assert list_holds(warehouse) == []


def test_what_an_approver_accepts_is_published_and_what_comes_later_blocks_again(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    set_operator(shop, Operator("pam", "planner"), by="ada")
    order(shop, "X1", "X2", quantity=0)
    ingest(shop, warehouse, run_id="r1", settings=settings)
    (hold,) = list_holds(warehouse)
    with pytest.raises(NotPermittedError, match="takes an approver"):
        accept(shop, hold, reason="known", actor="pam")
    accept(shop, hold, reason="known", actor="ada")
    with pytest.raises(DecisionError, match="accepted already"):
        accept(shop, hold, reason="known", actor="ada")

    accepted = ingest(shop, warehouse, run_id="r2", settings=settings)
    again = ingest(shop, warehouse, run_id="r3", settings=settings)
    warehouse.execute("DELETE FROM meta.feed_state")
    resynced = ingest(shop, warehouse, run_id="r4", settings=settings)
    order(shop, "X3", "{4}", quantity=0)
    order(shop, *(f"G{number}" for number in range(10)))
    worse = ingest(shop, warehouse, run_id="r5", settings=settings)

    assert accepted.is_publishable
    assert again.is_publishable
    assert resynced.is_publishable
    assert str(worse.block_reason).startswith(
        "E501 2 of 12 documents of orders of the batch are bad (more than 1%), for example order_lines"
    )
    assert verify(shop).problems == ()


def test_bad_documents_that_trickle_in_block_once_they_are_too_many_together(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    order(shop, "X1", quantity=0)
    first = ingest(shop, warehouse, run_id="r1", settings=settings)
    order(shop, "X2", quantity=0)
    second = ingest(shop, warehouse, run_id="r2", settings=settings)
    (hold,) = list_holds(warehouse)
    accept(shop, hold, reason="known", actor="ada")
    third = ingest(shop, warehouse, run_id="r3", settings=settings)
    order(shop, "X3", quantity=0)
    fourth = ingest(shop, warehouse, run_id="r4", settings=settings)

    assert first.is_publishable
    assert str(second.block_reason).startswith("E503 2 of 52 documents of orders wait in quarantine")
    assert third.is_publishable
    assert str(fourth.block_reason).startswith("E503 3 of 53")


def test_a_mend_lies_over_the_shops_value_until_it_is_taken_back_or_the_shop_has_another(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    def loaded() -> list[Any]:
        return [row[0] for row in warehouse.execute("SELECT quantity FROM raw.order_lines WHERE order_id = 'X1'").fetchall()]

    order(shop, "X1", quantity=0)
    ingest(shop, warehouse, run_id="r1", settings=settings)
    wrong = mend(shop, waiting(warehouse, "X1-1"), field="quantity", value="-3", reason="slip", actor="ada")
    ingest(shop, warehouse, run_id="r2", settings=settings)
    still = waiting(warehouse, "X1-1").reason
    right = mend(shop, waiting(warehouse, "X1-1"), field="quantity", value="3", reason="delivery note", actor="ada")
    ingest(shop, warehouse, run_id="r3", settings=settings)
    mended = loaded()
    sql(shop, "UPDATE order_lines SET unit_price = 9 WHERE order_id = 'X1'")
    ingest(shop, warehouse, run_id="r4", settings=settings)
    read_again = loaded()
    unmend(shop, right, actor="ada")
    ingest(shop, warehouse, run_id="r5", settings=settings)
    taken_back = quarantined_documents(warehouse)["document_id"].to_list()
    mend(shop, waiting(warehouse, "X1-1"), field="quantity", value="3", reason="delivery note", actor="ada")
    sql(shop, "UPDATE order_lines SET quantity = 7 WHERE order_id = 'X1'")

    ingest(shop, warehouse, run_id="r6", settings=settings)

    assert still.startswith('E310 quantity is below 1 or above 1,000,000,000, got "-3"')
    assert (mended, read_again, taken_back) == ([3], [3], ["X1"])
    assert loaded() == [7]
    assert [one["old_value"] for one in list_mends(shop)] == ["0"]
    assert wrong not in {one["mend_id"] for one in list_mends(shop)}
    assert verify(shop).problems == ()


@pytest.mark.parametrize(
    ("field", "actor", "message"),
    [
        ("quantity", "eve", "no operator"),
        ("order_line_id", "ada", "correct it in the shop"),
        ("colour", "ada", "no field 'colour' to mend; it has order_id, quantity, sku"),
    ],
)
def test_a_mend_needs_a_planner_and_a_field_that_is_no_key(
    sqlite_url: str, warehouse: duckdb.DuckDBPyConnection, settings: Settings, field: str, actor: str, message: str
) -> None:
    with OperationalStore.open(sqlite_url) as shop:
        prepare(shop)
        order(shop, "X1", quantity=0)
        ingest(shop, warehouse, run_id="r1", settings=settings)

        with pytest.raises(DecisionError, match=message):
            mend(shop, waiting(warehouse, "X1-1"), field=field, value="1", reason="x", actor=actor)

        assert list_mends(shop) == []


def test_the_stores_zone_must_exist(sqlite_url: str, warehouse: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    with OperationalStore.open(sqlite_url) as shop:
        prepare(shop)
        shop.save_merchant(Merchant("m1", "Corner Shop", "CEST", "EUR", "test"))

        with pytest.raises(SettingsError, match="E703 The store's reporting time zone 'CEST' is no IANA time zone"):
            ingest(shop, warehouse, run_id="r1", settings=settings)

    assert warehouse.execute("SELECT count(*) FROM raw.orders").fetchone() == (0,)


def test_the_command_lists_shows_mends_accepts_and_judges_again(
    sqlite_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HOME": settings.home, "STORE_URL": sqlite_url, "QUARANTINE_BLOCK_DOCUMENTS": 2}.items():
        monkeypatch.setenv(f"ORDERCAST_{name}", str(value))
    with OperationalStore.open(sqlite_url) as shop:
        prepare(shop)
        order(shop, "X1", "X2", quantity=0)
        shop.append("subscriptions", pl.DataFrame({"customer_id": ["c1"], "started_at": [datetime(2999, 1, 1)]}))
        with open_warehouse(settings.warehouse_path) as conn:
            ingest(shop, conn, run_id="r1", settings=settings)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["quarantine", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    listed = run()
    documents = json.loads(run("--code", "E310", "--document", "X1", "--json"))
    rows = json.loads(run("show", "X1", "--json"))
    run("mend", "order_lines", "X1-1", "quantity", "4", "--reason", "slip", "--actor", "ada")
    mends = json.loads(run("mends", "--json"))
    again = json.loads(run("requeue", "--json"))
    run("unmend", mends[0]["mend_id"], "--actor", "ada")
    with open_warehouse(settings.warehouse_path) as conn:
        conn.execute("INSERT INTO meta.publishing_holds VALUES ('r1:E505:orders', 'E505', 'orders', 'E505 fell', 'r1', 1, 999, false)")
    accepted = run("accept", "E505", "--reason", "archived", "--actor", "ada")

    assert "Nothing is published: E501" in listed
    assert "E310  2  is below 1" in listed
    assert [(one["code"], one["document_id"]) for one in documents] == [("E310", "X1")]
    assert {(row["table"], row["key"], row["code"]) for row in rows} == {("order_lines", "X1-1", "E310"), ("orders", "X1", "E326")}
    assert (again["waited"], again["still_waiting"], again["block_reason"]) == (4, 2, None)
    assert "Accepted" in accepted
