"""Whoever takes data out, or looks at one customer or order, is on record; readers cannot change anything; scopes hold for lists."""

from __future__ import annotations

import getpass
import json
import sys
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from pipelines.cli.app import main
from pipelines.decisions.access import Access, list_accesses, record_access
from pipelines.decisions.roles import Operator, set_operator
from pipelines.errors import AccessNotRecordedError, NotPermittedError, StoreUnavailableError
from pipelines.settings import Settings, load_settings
from pipelines.stores.customer_keys import Pseudonyms
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import ReleaseFacts, publish
from tests.integration.decision_shop import open_shop, whole_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ordercast(store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The command line on the store under test, with this computer's user as its admin."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORDERCAST_STORE_URL", store_url)
    monkeypatch.setenv("COLUMNS", "200")
    with OperationalStore.open(store_url) as store:
        set_operator(store, Operator(getpass.getuser(), "admin"), by=getpass.getuser())

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ordercast", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def anna(ordercast: Command) -> str:
    """The key of a customer with one order in the served release."""
    home = load_settings().resolved_home
    home.mkdir()
    key = Pseudonyms.of_home(home).key_of("anna@example.org")
    with duckdb.connect(":memory:") as conn:
        conn.execute("create schema marts; create schema meta; create schema planning")
        conn.execute(
            "create table meta.run_context as select date '2024-03-28' as as_of_date, 'EUR' as currency_code, 'Europe/Berlin' as reporting_time_zone"
        )
        conn.execute("create table meta.source_fields as select 'orders' as table_name, 'customer_id' as field_name, true as is_present")
        conn.execute("create table marts.fct_subscription_periods (customer_key varchar, started_at timestamp, cancelled_at timestamp)")
        conn.execute(
            "create table marts.fct_customer_events as select 'O1' as order_id, 'web' as channel_id, timestamp '2024-03-01' as event_at, "
            "'ordered' as event_type, 'O1' as reference_id, 2 as qty, 4200 as amount, null::int as review_score, ? as customer_key, "
            "'EUR' as currency_code", [key],
        )  # fmt: skip
        conn.execute("create table marts.fct_orders as select 'O1' as order_id, ? as customer_key", [key])
        conn.execute(
            "create table marts.dim_customers as select ? as customer_key, 'loyal' as segment, 'DE' as country, 'web' as first_channel_id, "
            "date '2024-03-01' as first_order_date, date '2024-03-20' as last_order_date, 1 as order_count, 2 as net_qty, 4200 as net_reporting_amount",
            [key],
        )  # fmt: skip
        facts = ReleaseFacts("20240329T060000-aaaaaa", "2024-03-28", "2024-03-29T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
        publish(conn, home / "releases", facts=facts, catalogue="{}", keep=5)
    return key


def log_of(store: OperationalStore) -> list[tuple[Any, ...]]:
    found = list_accesses(store, actor=getpass.getuser())
    return [(one["action"], one["object_type"], one["object_id"], one["rows_count"], one["filters"]) for one in reversed(found)]


def test_a_look_at_a_customer_or_an_order_is_on_record_without_the_customers_id(
    ordercast: Command, store: OperationalStore, anna: str
) -> None:
    ordercast("timeline", "--customer", "anna@example.org")
    ordercast("timeline", "--order", "O1", "--json")

    assert log_of(store) == [("drill", "customer", anna, 1, {}), ("drill", "order", "O1", 1, {})]
    assert "anna" not in json.dumps(whole_store(store)["access_log"])


def test_who_exports_a_list_is_on_record_with_its_filters(ordercast: Command, store: OperationalStore) -> None:
    code, out, _ = ordercast("recommendations", "--status", "proposed", "--json")
    _, shown, _ = ordercast("access")

    assert (code, json.loads(out)) == (0, [])
    assert log_of(store) == [("export", "recommendations", None, 0, {"status": "proposed"})]
    assert "status proposed" in shown


def test_reading_on_the_screen_what_names_no_customer_is_not_recorded(ordercast: Command, store: OperationalStore) -> None:
    ordercast("recommendations")

    assert log_of(store) == []


def test_what_cannot_be_recorded_is_not_shown_where_it_is_about_persons(
    ordercast: Command, store: OperationalStore, anna: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERCAST_STORE_URL", "sqlite:////nowhere/store.db")

    code, out, err = ordercast("timeline", "--customer", anna)

    assert (code, out) == (4, "")
    assert "Not shown, because who looks at single customers or orders is recorded first. There is no operational store" in err


def test_other_lists_leave_though_the_store_is_away_and_it_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    away = Settings(home=tmp_path, store_url="sqlite:////nowhere/store.db")  # type: ignore[arg-type]

    record_access(away, Access("ann", "export", "metrics", 3))

    assert "missing from the access log" in caplog.text
    with pytest.raises(AccessNotRecordedError):
        record_access(away, Access("ann", "export", "report top_customers", 3, is_personal=True))


def test_a_customers_id_in_a_filter_is_replaced_by_its_key(ordercast: Command, store: OperationalStore, anna: str) -> None:
    for value in ("anna@example.org", anna):
        record_access(load_settings(), Access("ann", "export", "orders", 1, filters={"customer_key": value, "day": date(2024, 3, 1)}))

    assert [filters for *_, filters in log_of(store)] == [{"customer_key": anna, "day": "2024-03-01"}] * 2


def test_only_admins_see_who_looked(ordercast: Command, store: OperationalStore) -> None:
    set_operator(store, Operator("pam", "approver"), by=getpass.getuser())

    code, _, err = ordercast("access", "--actor", "pam")

    assert code == 3
    assert "takes an admin" in err
    with pytest.raises(NotPermittedError):
        list_accesses(store, actor="nobody")


@pytest.mark.parametrize("statement", ["DELETE FROM access_log", "UPDATE access_log SET actor = 'else'"])
def test_the_access_log_is_append_only(ordercast: Command, store: OperationalStore, statement: str) -> None:
    ordercast("recommendations", "--json")

    with pytest.raises(DBAPIError, match="append-only"), store.transaction() as conn:
        conn.execute(sa.text(statement))


def test_a_reader_changes_nothing(store: OperationalStore, store_url: str) -> None:
    open_shop(store)
    before = whole_store(store)

    with OperationalStore.open_to_read(store_url) as reader:
        for statement in ("DELETE FROM recommendation", "UPDATE stock_levels SET on_hand = 0", "CREATE TABLE mine (a int)"):
            with pytest.raises((DBAPIError, StoreUnavailableError)), reader.transaction() as conn:
                conn.execute(sa.text(statement))
        with reader.transaction(writes=False) as conn:
            assert conn.execute(sa.text("SELECT count(*) FROM recommendation")).scalar() == 2

    assert whole_store(store) == before


def test_a_reader_of_a_file_creates_none(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="There is no operational store"):
        OperationalStore.open_to_read(f"sqlite:///{tmp_path / 'store.db'}")

    assert list(tmp_path.iterdir()) == []


def test_a_reader_finds_a_file_whose_path_means_something_in_an_address(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'one #1 & 100%41' / 'store.db'}"
    with OperationalStore.open(url, must_exist=False) as store:
        store.migrate()

    with OperationalStore.open_to_read(url) as reader:
        assert reader.is_prepared()


def test_listings_and_pages_leave_a_store_file_as_it_is(sqlite_url: str, tmp_path: Path) -> None:
    content = (tmp_path / "store.db").read_bytes()

    with OperationalStore.open_to_read(sqlite_url) as reader:
        assert reader.merchant() is None

    assert (tmp_path / "store.db").read_bytes() == content
    assert {path.name for path in tmp_path.iterdir()} <= {"store.db", "store.db-shm", "store.db-wal"}  # SQLite's own, for its locks


def test_a_worklist_holds_what_the_named_operator_may_decide_about(ordercast: Command, store: OperationalStore) -> None:
    admin = getpass.getuser()
    with store.transaction() as conn:
        conn.execute(sa.text("DELETE FROM operator"))
    open_shop(store, items=3)
    set_operator(store, Operator(admin, "admin"), by="ada")
    set_operator(store, Operator("sid", "planner", locations=("STORE",)), by="ada")
    set_operator(store, Operator("dee", "viewer", locations=("DC",), suppliers=("SUP",)), by="ada")
    set_operator(store, Operator("oz", "planner", suppliers=("OTHER",)), by="ada")
    with store.transaction() as conn:
        conn.execute(
            sa.text("UPDATE recommendation SET supplier_id = NULL, kind = 'transfer', source_location_id = 'STORE' WHERE sku = 'ITEM-3'")
        )

    def listed(*arguments: str) -> list[str]:
        return sorted(row["sku"] for row in json.loads(ordercast("recommendations", "--json", *arguments)[1]))

    assert listed() == ["ITEM-1", "ITEM-2", "ITEM-3"]
    assert (listed("--actor", "sid"), listed("--actor", "dee"), listed("--actor", "oz")) == ([], ["ITEM-1", "ITEM-2"], ["ITEM-3"])
    assert ordercast("recommendations", "--actor", "nobody")[0] == 3
