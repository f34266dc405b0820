"""Open order lines of a release: who ships them by the rules of a day, and when they can be promised."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from inventory.rules import PolicyRule, RuleScope, RuleValues
from pipelines.cli.app import main
from pipelines.decisions.roles import Operator, set_operator
from pipelines.decisions.rules import add_version
from pipelines.settings import load_settings
from pipelines.steps.promises import promise_open_orders
from pipelines.steps.sourcing import source_open_orders
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import ReleaseFacts, publish
from pipelines.stores.warehouse import OWN_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AS_OF = date(2026, 9, 29)
OCTOBER = date(2026, 10, 1)
STORES = PolicyRule("stores", 1, RuleScope(), RuleValues(sourcing="store_first"), OCTOBER, datetime(2026, 1, 1))
# O1 wants one of A and B, O2 one of A; the centre has one of each, the store one of A. P at the supplier only.
_MARTS = f"""
    create schema marts; create schema meta; create schema planning;
    create table meta.run_context ({OWN_TABLES["meta.run_context"]});
    insert into meta.run_context values ('r', '{AS_OF}', 'Europe/Berlin', 'EUR', 'Shop', 'test');
    create table meta.source_fields as
        select unnest(['stock_levels', 'shipments']) as table_name, 'sku' as field_name, true as is_present;
    create table marts.fct_open_order_lines as select *, date '{AS_OF}' - 3 as ordered_date, date '{AS_OF}' as promised_ship_date from (values
        ('O1-1', 'O1', 'A', 'DC', 'web', 1::bigint, 1::bigint), ('O1-2', 'O1', 'B', 'DC', 'web', 1, 1),
        ('O2-1', 'O2', 'P', 'DC', 'web', 1, 7), ('O3-1', 'O3', 'C', 'DC', 'web', 1, 4)
    ) t(order_line_id, order_id, sku, location_id, channel_id, channel_priority, open_qty);
    create table marts.fct_inventory_position as select *, 0::bigint as reserved_qty, null::bigint as damaged_qty from (values
        ('A', 'DC', 1::bigint), ('B', 'DC', 1), ('A', 'S1', 1), ('C', 'DC', 1)
    ) t(sku, location_id, on_hand_qty);
    create table marts.fct_inbound as
        select 'C' as sku, 'DC' as location_id, date '{AS_OF}' + 5 as expected_date, 2::bigint as open_qty;
    create table marts.dim_locations as select *, true as is_active, true as fulfills_online
        from (values ('DC', 'dc'), ('S1', 'Store')) t(location_id, location_type);
    create table marts.fct_shipping_costs as select *, 'EUR' as currency_code
        from (values ('DC', 500::bigint), ('S1', 700)) t(location_id, mean_shipment_amount);
    create table marts.fct_supplier_stock as select 'SUP' as supplier_id, 'P' as sku, 5::bigint as available_qty;
    create table marts.dim_products as select unnest(['A', 'B', 'C', 'P']) as sku, 'all' as category, 'SUP' as supplier_id;
    create table marts.dim_product_classes as select sku, 'A' as abc_class, 'X' as xyz_class from marts.dim_products;
    create table marts.dim_supplier_items as select 'SUP' as supplier_id, unnest(['C', 'P']) as sku, unnest([10, null])::bigint as lead_time_days,
        100::bigint as unit_cost_amount, 'EUR' as currency_code, 1::bigint as min_order_qty, 1::bigint as order_multiple,
        null::bigint as max_order_qty, 1::bigint as priority, null::bigint as review_period_days, null::bigint as order_minimum_amount;
    create table marts.fct_supplier_lead_times as
        select 'SUP' as supplier_id, 'C' as sku, current_date as received_date, 10::bigint as lead_time_days limit 0;
"""


@pytest.fixture
def conn() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as opened:
        opened.execute(_MARTS)
        yield opened


def shipped(conn: duckdb.DuckDBPyConnection, *rules: PolicyRule, on: date) -> dict[str, str]:
    """Which place ships each line of O1."""
    lines = source_open_orders(conn, rules, on=on).lines.filter(order_id="O1")
    return dict(lines.select("order_line_id", "location_id").iter_rows())


def test_a_rule_that_begins_in_october_sources_by_it_from_then_on_only(conn: duckdb.DuckDBPyConnection) -> None:
    before, after = (shipped(conn, STORES, on=day) for day in (OCTOBER - timedelta(days=1), OCTOBER))

    assert before == {"O1-1": "DC", "O1-2": "DC"}
    assert after == {"O1-1": "S1", "O1-2": "DC"}


def test_each_line_names_the_rule_and_where_the_shop_has_it(conn: duckdb.DuckDBPyConnection) -> None:
    found = source_open_orders(conn, [STORES], on=OCTOBER)

    line = found.lines.filter(order_line_id="O1-1").row(0, named=True)
    assert (line["sourcing"], line["sourcing_rule"], line["planned_location_id"]) == ("store_first", "stores/1", "DC")
    assert (found.figures["splits"], found.figures["cost_amount"], found.cost_needs) == (1, 500 + 700 + 500, None)


def test_stock_at_suppliers_fills_what_own_stock_cannot_and_is_not_owned(conn: duckdb.DuckDBPyConnection) -> None:
    found = source_open_orders(conn, [], on=OCTOBER)

    supplied = found.lines.filter(order_line_id="O2-1").row(0, named=True)
    assert (supplied["location_id"], supplied["qty"], supplied["is_owned"], found.figures["supplier_qty"]) == ("SUP", 5, False, 5)
    assert dict(found.unfilled.select("order_line_id", "qty").iter_rows()) == {"O2-1": 2, "O3-1": 3}


def test_without_the_cost_of_a_place_none_is_told_and_lowest_cost_says_so(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute("DELETE FROM marts.fct_shipping_costs WHERE location_id = 'S1'")
    cheap = PolicyRule("cheap", 1, RuleScope(), RuleValues(sourcing="lowest_cost"), AS_OF, datetime(2026, 1, 1))

    found = source_open_orders(conn, [cheap], on=OCTOBER)

    assert (found.figures["cost_amount"], found.cost_needs) == (None, "needs shipping_cost of shipments from S1")
    assert found.notes == ("lowest_cost is fewest_splits here: cost is not available, needs shipping_cost of shipments from S1.",)


def test_a_source_without_stock_says_what_is_needed(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute("UPDATE meta.source_fields SET is_present = false WHERE table_name = 'stock_levels'")

    assert source_open_orders(conn, [], on=OCTOBER).not_available == "needs stock_levels"
    assert promise_open_orders(conn).not_available == "needs stock_levels"


def test_each_line_is_promised_with_what_it_waits_for_and_how_late_that_is(conn: duckdb.DuckDBPyConnection) -> None:
    lines = promise_open_orders(conn).lines

    found = {row["order_line_id"]: (row["binding"], row["promised_date"], row["late_days"]) for row in lines.iter_rows(named=True)}
    assert found["O1-1"] == ("on_hand", AS_OF + timedelta(days=1), 1)  # it was promised for the as-of day, which is over
    assert found["O3-1"] == ("supplier_lead_time", AS_OF + timedelta(days=10), 10)
    assert found["O2-1"] == ("nothing_known", None, None)


@pytest.fixture
def shop(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OperationalStore:
    """A store with the october rule, beside a release of the end of september."""
    for name, value in {"ORDERCAST_HOME": str(tmp_path / "home"), "ORDERCAST_STORE_URL": sqlite_url, "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    store = OperationalStore.open(sqlite_url)
    store.migrate()
    set_operator(store, Operator("ann", "admin"), by="ann")
    add_version(store, STORES, is_new=True, reason="Clear shelves", preview={"items_count": 3}, actor="ann")
    facts = ReleaseFacts("20260930T060000-aaaaaa", AS_OF.isoformat(), "2026-09-30T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    load_settings().resolved_home.mkdir()
    with duckdb.connect(":memory:") as conn:
        conn.execute(_MARTS)
        publish(conn, load_settings().releases_path, facts=facts, catalogue="{}", keep=2)
    return store


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["ordercast", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out = capsys.readouterr().out
    assert not ended.value.code
    return json.loads(out) if "--json" in arguments else out


def test_what_october_brings_is_seen_before_it_holds_and_the_look_is_recorded(
    shop: OperationalStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = told(monkeypatch, capsys, "sourcing", "--json")
    then = told(monkeypatch, capsys, "sourcing", "--on", "2026-10-01")
    dated = told(monkeypatch, capsys, "promises", "--json")
    text = told(monkeypatch, capsys, "promises")
    log = told(monkeypatch, capsys, "access", "--actor", "ann", "--json")

    assert {line["sourcing_rule"] for line in now["lines"]} == {None}
    assert "store_first (rule stores/1): 4 lines" in then
    assert "Besides 5 units from stock that lies at suppliers" in then
    assert next(line["order_line_id"] for line in dated["lines"]) == "O3-1"
    assert "4 open lines: 3 later than promised, 1 without a day." in text  # two lie there, promised for the as-of day
    assert [one["object_type"] for one in log] == ["promises", "promises", "sourcing", "sourcing"]
