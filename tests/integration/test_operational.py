from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import psycopg
import pytest
import sqlalchemy as sa
from polars.testing import assert_frame_equal

from pipelines.errors import SettingsError, SourceContractError, StoreUnavailableError
from pipelines.stores import own_tables
from pipelines.stores.change_feed import read_changes
from pipelines.stores.connections import parse_store_url, translated_errors
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.source_rows import FRAME_TYPES
from tests.conftest import database_url

if TYPE_CHECKING:
    from pathlib import Path

SHIPMENT_FIELDS = ["shipment_id", "order_id", "status", "shipping_cost", "shipped_at", "document_error", "carrier"]


def shipments(**columns: list[object]) -> pl.DataFrame:
    schema = {name: FRAME_TYPES[SOURCE_TABLES["shipments"].field(name).kind] for name in columns}
    return pl.DataFrame(columns, schema=schema)


SAMPLE = shipments(
    shipment_id=["S1", "S2", "S3"],
    order_id=["00123", "=HYPERLINK(1)", '"; DROP TABLE orders; --'],
    status=["", "\\N", "späť 🚚 \n,\t"],
    shipping_cost=[Decimal("12.50"), None, Decimal("-0.0001")],
    shipped_at=[datetime(2026, 3, 29, 1, 30), None, datetime(1999, 12, 31, 23, 59, 59, 999999)],
    document_error=[True, None, False],
    carrier=[None, "", "NA"],
)


def test_rows_come_back_as_they_were_appended(store: OperationalStore) -> None:
    store.create_source_tables({"shipments": SHIPMENT_FIELDS})

    store.append("shipments", SAMPLE)

    assert_frame_equal(store.read_source("shipments", SAMPLE.columns), SAMPLE, check_column_order=False)


def test_every_contract_table_can_be_created_with_every_field(store: OperationalStore) -> None:
    everything = {name: table.field_names for name, table in SOURCE_TABLES.items()}

    store.create_source_tables(everything)

    assert store.present_fields() == {name: frozenset(fields) for name, fields in everything.items()}


def test_a_store_has_only_what_its_source_provides(store: OperationalStore) -> None:
    store.create_source_tables({"channels": ["channel_id", "name"]})

    assert store.present_fields() == {"channels": frozenset({"channel_id", "name", "updated_at"})}


def test_a_column_that_arrives_later_is_added_and_keeps_the_rows(store: OperationalStore) -> None:
    store.create_source_tables({"channels": ["channel_id", "name"]})
    store.append("channels", pl.DataFrame({"channel_id": ["web"], "name": ["Web"]}))

    store.create_source_tables({"channels": ["channel_id", "name", "priority"]})

    assert store.read_source("channels", ["channel_id", "priority"]).rows() == [("web", None)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"channels": ["name"]}, "channels lacks the required column channel_id"),
        ({"channels": ["channel_id", "name", "colour"]}, "no column 'colour'"),
        ({"chanels": ["channel_id"]}, "no table 'chanels'"),
    ],
)
def test_a_table_that_breaks_the_contract_is_not_created(store: OperationalStore, fields: dict[str, list[str]], message: str) -> None:
    with pytest.raises(SourceContractError, match=message):
        store.create_source_tables({"locations": SOURCE_TABLES["locations"].field_names, **fields})

    assert store.present_fields() == {}


def test_an_upsert_changes_only_the_columns_it_brings(store: OperationalStore) -> None:
    store.create_source_tables({"shipments": SHIPMENT_FIELDS})
    store.append("shipments", SAMPLE)

    store.upsert("shipments", shipments(shipment_id=["S2", "S2"], carrier=["first", "last"]))

    assert store.read_source("shipments", ["shipment_id", "order_id", "carrier"]).rows() == [
        ("S1", "00123", None), ("S2", "=HYPERLINK(1)", "last"), ("S3", '"; DROP TABLE orders; --', "NA"),
    ]  # fmt: skip


def test_an_upsert_adds_what_is_new(store: OperationalStore) -> None:
    store.create_source_tables({"shipment_lines": ["shipment_id", "order_line_id", "quantity"]})
    lines = pl.DataFrame({"shipment_id": ["S1", "S1"], "order_line_id": ["a", "b"], "quantity": [1, 2]})
    store.append("shipment_lines", lines.head(1))

    store.upsert("shipment_lines", lines.with_columns(pl.col("quantity") * 10))

    assert store.read_source("shipment_lines", ["order_line_id", "quantity"]).rows() == [("a", 10), ("b", 20)]


def test_an_upsert_that_cannot_add_a_row_changes_none(store: OperationalStore) -> None:
    store.create_source_tables({"shipments": SHIPMENT_FIELDS})
    store.append("shipments", SAMPLE)

    with pytest.raises(SourceContractError, match="1 of 2 rows for shipments are new but lack order_id, status"):
        store.upsert("shipments", shipments(shipment_id=["S1", "S9"], carrier=["changed", "new"]))

    assert store.read_source("shipments", ["carrier"])["carrier"].to_list() == [None, "", "NA"]


def test_a_row_that_is_there_already_makes_the_whole_append_fail(store: OperationalStore) -> None:
    store.create_source_tables({"channels": ["channel_id", "name"]})
    store.append("channels", pl.DataFrame({"channel_id": ["web"], "name": ["Web"]}))

    with pytest.raises(SourceContractError, match=r"Rows for channels cannot be stored: .*; correct them\. Nothing was written"):
        store.append("channels", pl.DataFrame({"channel_id": ["shop", "web"], "name": ["Shop", "Twice"]}))

    assert store.read_source("channels")["channel_id"].to_list() == ["web"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"sku": ["a"], "unit_cost": [1.5]}), "products.unit_cost is Float64"),
        (pl.DataFrame({"sku": ["a"], "launched_at": [datetime(2026, 1, 1, tzinfo=UTC)]}), "products.launched_at is Datetime"),
        (pl.DataFrame({"sku": ["a"], "colour": ["red"]}), "column 'colour'"),
        (pl.DataFrame({"title": ["a"]}), "key column sku"),
    ],
)
def test_a_frame_of_the_wrong_form_is_refused(store: OperationalStore, frame: pl.DataFrame, message: str) -> None:
    store.create_source_tables({"products": ["sku", "title", "unit_cost", "launched_at"]})

    with pytest.raises(SourceContractError, match=message):
        store.append("products", frame)


def test_migrating_again_keeps_the_merchant(store: OperationalStore) -> None:
    merchant = Merchant(
        "m1", "Müller", "Europe/Berlin", "EUR", "simulator:default:7", date(2026, 6, 30), datetime(2026, 6, 30, 22, 0, 0, 5)
    )
    assert store.merchant() is None
    store.save_merchant(Merchant("m0", "Other", "UTC", "USD", "mapping:other"))
    store.save_merchant(merchant)

    store.migrate()

    assert store.merchant() == merchant


def test_two_processes_may_migrate_at_once(postgresql_server: str, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pipelines.stores.operational import OperationalStore\n"
        "with OperationalStore.open(sys.argv[1], must_exist=False) as store: store.migrate()"
    )
    with psycopg.connect(postgresql_server, autocommit=True) as conn:
        conn.execute("CREATE DATABASE bare TEMPLATE template0")

    for url in (f"sqlite:///{tmp_path / 'bare.db'}", database_url(postgresql_server, "bare")):
        started = [subprocess.Popen([sys.executable, "-c", script, url], stderr=subprocess.PIPE, text=True) for _ in range(2)]
        ended = [(process.communicate()[1], process.returncode) for process in started]

        assert ended == [("", 0)] * 2


def test_the_migrations_make_the_tables_that_queries_expect(store: OperationalStore) -> None:
    inspector = sa.inspect(store.engine)

    found = {name: [column["name"] for column in inspector.get_columns(name)] for name in own_tables.metadata.tables}

    assert found == {name: [column.name for column in table.columns] for name, table in own_tables.metadata.tables.items()}


def test_sqlite_is_strict_durable_and_patient(sqlite_url: str) -> None:
    with OperationalStore.open(sqlite_url) as store, store.transaction(writes=False) as conn:
        pragmas = {
            name: conn.execute(sa.text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
        loose = conn.execute(sa.text("SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT strict")).scalars().all()

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 5000, "foreign_keys": 1}
    assert {name for name in loose if not name.startswith("sqlite_")} == {"ordercast_version"}


def test_a_missing_file_says_what_to_run_and_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=r"no operational store at .*absent\.db; `make run` or `ordercast simulate`"):
        OperationalStore.open(f"sqlite:///{tmp_path / 'absent.db'}")

    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"order_id,created_at\n" * 200)

    with pytest.raises(StoreUnavailableError, match=r"store\.db is not a readable SQLite database"):
        OperationalStore.open(f"sqlite:///{path}")


def test_a_locked_store_is_one_sentence(store: OperationalStore, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.stores.connections.BUSY_TIMEOUT_MS", 50)
    with OperationalStore.open(store_url) as other, store.transaction() as conn:
        lock = "SELECT 1" if store.dialect == "sqlite" else "LOCK TABLE merchant IN ACCESS EXCLUSIVE MODE"
        conn.execute(sa.text(lock))

        with pytest.raises(StoreUnavailableError, match="is locked by another") as caught:
            other.save_merchant(Merchant("m", "M", "UTC", "EUR", "mapping:x"))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["postgresql://planner:s3cret-word@127.0.0.1:1/shop", "postgres://planner@127.0.0.1:1/shop?password=s3cret-word"],
)
def test_an_unreachable_server_is_one_sentence_without_the_password(url: str) -> None:
    with pytest.raises(StoreUnavailableError, match=r"PostgreSQL database shop at 127\.0\.0\.1:1 cannot be reached") as caught:
        OperationalStore.open(url)

    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ('connection failed: FATAL:  password authentication failed for user "planner"', "refused the user name or password"),
        ('connection failed: FATAL:  role "planner" does not exist', "does not know the user"),
        ("connection failed: FATAL:  sorry, too many clients already", "has no free connection"),
        ("could not translate host name\nmore lines", "cannot be reached"),
    ],
)
def test_what_a_server_says_becomes_one_sentence(said: str, sentence: str) -> None:
    url = parse_store_url("postgresql://planner:s3cret@db.example:5433/shop")

    with (
        pytest.raises(StoreUnavailableError, match=f"PostgreSQL database shop at db.example:5433 {sentence}") as caught,
        translated_errors(url),
    ):
        raise psycopg.OperationalError(said)

    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("cause", "is_passing"),
    [
        (psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"), True),
        (psycopg.errors.SerializationFailure("could not serialize access"), True),
        (psycopg.errors.DeadlockDetected("deadlock detected"), True),
        (psycopg.errors.AdminShutdown("terminating connection due to administrator command"), True),
        (psycopg.OperationalError("server closed the connection unexpectedly"), True),
        (psycopg.OperationalError("connection failed: Connection refused"), True),
        (psycopg.OperationalError('connection failed: FATAL:  password authentication failed for user "planner"'), False),
        (psycopg.errors.InsufficientPrivilege("permission denied for table recommendation"), False),
        (sqlite3.OperationalError("database is locked"), True),
        (sqlite3.OperationalError("database or disk is full"), False),
    ],
)
def test_only_what_may_pass_is_worth_the_same_call_at_once(cause: Exception, is_passing: bool) -> None:
    with (
        pytest.raises(StoreUnavailableError) as caught,
        translated_errors(parse_store_url("postgresql://planner:s3cret@db.example:5433/shop")),
    ):
        raise cause

    assert caught.value.is_passing == is_passing


def test_migrating_what_is_up_to_date_waits_for_nobody(store: OperationalStore, store_url: str) -> None:
    with OperationalStore.open(store_url) as other, other.transaction() as conn:
        conn.execute(sa.text("DELETE FROM merchant"))

        store.migrate()

        assert store.merchant() is None


def test_a_missing_database_is_named(postgresql_server: str) -> None:
    with pytest.raises(StoreUnavailableError, match=r"PostgreSQL database nowhere at .* does not exist"):
        OperationalStore.open(postgresql_server.replace("/postgres?", "/nowhere?"))


def test_a_search_path_in_the_address_is_kept(postgresql_url: str) -> None:
    with OperationalStore.open(postgresql_url) as store, store.transaction() as conn:
        conn.execute(sa.text("CREATE SCHEMA shop"))
    with OperationalStore.open(postgresql_url + "&options=-csearch_path%3Dshop") as store:
        store.create_source_tables({"channels": ["channel_id", "name"]})

        with store.transaction(writes=False) as conn, read_changes(store, since=None) as reader:
            found = conn.execute(sa.text("SELECT current_setting('timezone'), 'shop.channels'::regclass::text")).one()
            rows = reader.rows("channels").read_all().num_rows

    assert (tuple(found), rows) == (("UTC", "channels"), 0)


@pytest.mark.parametrize("url", ["mysql://root:s3cret@localhost/shop", "s3cret no address", "sqlite://", "sqlite:///:memory:"])
def test_an_address_of_another_kind_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError, match="ORDERCAST_STORE_URL") as caught:
        OperationalStore.open(url)

    assert "s3cret" not in str(caught.value)


def test_a_reader_never_waits_for_a_writer(store: OperationalStore, store_url: str) -> None:
    store.create_source_tables({"channels": ["channel_id", "name"]})
    with OperationalStore.open(store_url) as other, store.transaction() as conn:
        conn.execute(sa.text("INSERT INTO channels (channel_id, name) VALUES ('web', 'Web')"))

        seen = other.read_source("channels").height

    assert seen == 0


def test_what_another_process_writes_is_kept_while_this_one_reads_and_writes(sqlite_url: str) -> None:
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0.1); "
        "c.execute(\"INSERT INTO channels VALUES ('other', 'x', NULL)\"); c.commit()"
    )
    path = sqlite_url.removeprefix("sqlite:///")
    with OperationalStore.open(sqlite_url) as store:
        store.create_source_tables({"channels": ["channel_id", "name"]})
        with store.transaction() as conn:
            conn.execute(sa.text("INSERT INTO channels (channel_id, name) VALUES ('mine', 'x')"))
            with read_changes(store, since=None) as reader:
                reader.rows("channels").read_all()
            refused = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
        subprocess.run([sys.executable, "-c", script, path], check=True)

        kept = store.read_source("channels")["channel_id"].to_list()

    assert "database is locked" in refused.stderr
    assert kept == ["mine", "other"]
