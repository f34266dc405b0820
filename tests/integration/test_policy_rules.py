"""Policy rules: versions in the operational store, in the warehouse and on the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest
import sqlalchemy as sa

from inventory.rules import PolicyRule, RuleScope, RuleValues
from pipelines.cli.rule_words import orders_said
from pipelines.decisions.audit import verify
from pipelines.decisions.roles import Operator, set_operator
from pipelines.decisions.rules import add_version, revert
from pipelines.errors import NotPermittedError, PolicyRuleError
from pipelines.settings import Settings, load_settings
from pipelines.steps.backtest import backtest_forecasts
from pipelines.steps.forecast import forecast_demand
from pipelines.steps.panel import gather_panel
from pipelines.steps.replay_current import policies_by_week
from pipelines.steps.rule_orders import OrdersChange, preview_orders
from pipelines.steps.rule_policies import standing_policies
from pipelines.stores.operational import OperationalStore
from pipelines.stores.policy_rules import COLUMNS, TABLE, list_rules, read_rules, rule_of, write_rules
from pipelines.stores.releases import ReleaseFacts, publish
from pipelines.stores.warehouse import OWN_TABLES, open_warehouse
from tests.integration.small_release import fill_classes
from tests.integration.test_cli import Terminal
from tests.integration.test_planning_steps import SETTINGS, fill_marts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 1, 1)
RULE = PolicyRule(
    "tea", 1, RuleScope(category="Tea", abc_class="A"),
    RuleValues(service_level=0.98, method="min_max", min_qty=2, max_qty=9, budget_amount=Decimal("2500.50"), budget_currency_code="EUR"),
    date(2026, 10, 1), NOW, valid_to=date(2027, 1, 31), season=("10-01", "01-31"), priority=3,
)  # fmt: skip


@pytest.fixture
def book(store: OperationalStore) -> OperationalStore:
    """A store with an admin, ann, and an approver, bob."""
    set_operator(store, Operator("ann", "admin"), by="ann")
    set_operator(store, Operator("bob", "approver"), by="ann")
    return store


def add(store: OperationalStore, rule: PolicyRule = RULE, **facts: Any) -> PolicyRule:
    usual: dict[str, Any] = {"is_new": True, "reason": "Autumn", "preview": {"items_count": 3}, "actor": "ann"}
    return add_version(store, rule, **usual | facts)


def standing(store: OperationalStore) -> list[PolicyRule]:
    return [rule_of(row) for row in list_rules(store, is_standing=True)]


def test_a_rule_is_kept_whole_with_author_reason_and_preview(book: OperationalStore) -> None:
    added = add(book)

    (row,) = list_rules(book)
    assert rule_of(row) == added == replace(RULE, created_at=added.created_at)
    assert (row["author"], row["reason"], json.loads(row["preview"])) == ("ann", "Autumn", {"items_count": 3})


def test_a_scheduled_version_leaves_those_before_as_they_were(book: OperationalStore) -> None:
    first = add(book)

    second = add(book, replace(RULE, values=RuleValues(service_level=0.99)), is_new=False, reason="Christmas")

    assert (first.version, second.version) == (1, 2)
    assert standing(book) == [first, second]


def test_reverting_brings_back_the_version_before_and_then_none(book: OperationalStore) -> None:
    first, second = add(book), add(book, is_new=False)

    once = revert(book, "tea", reason="Too dear", actor="ann")
    twice = revert(book, "tea", reason="Not at all", actor="ann")

    assert (once, twice) == ((second, first), (first, None))
    assert standing(book) == []
    assert [(row["reverted_by"], row["revert_reason"]) for row in list_rules(book)] == [("ann", "Not at all"), ("ann", "Too dear")]


def test_a_name_that_was_reverted_goes_on_counting(book: OperationalStore) -> None:
    add(book)
    revert(book, "tea", reason="No", actor="ann")

    assert add(book).version == 2


@pytest.mark.parametrize("actor", ["bob", "eve"])
def test_only_an_admin_changes_rules(book: OperationalStore, actor: str) -> None:
    add(book)

    with pytest.raises(NotPermittedError):
        add(book, is_new=False, actor=actor)
    with pytest.raises(NotPermittedError):
        revert(book, "tea", reason="No", actor=actor)

    assert len(standing(book)) == 1


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "is a rule 'tea' already"),
        ({"rule": replace(RULE, rule_id="Tea 1")}, "no name for a rule"),
        ({"rule": replace(RULE, rule_id="mugs"), "is_new": False}, "No rule 'mugs' stands"),
        ({"is_new": False, "reason": "  "}, "needs its reason"),
    ],
    ids=["taken", "no name", "unknown", "no reason"],
)
def test_what_cannot_be_a_version_is_refused(book: OperationalStore, facts: dict[str, Any], words: str) -> None:
    add(book)

    with pytest.raises(PolicyRuleError, match=words):
        add(book, **facts)

    assert len(list_rules(book)) == 1


def test_nobody_reverts_what_does_not_stand_or_without_a_reason(book: OperationalStore) -> None:
    with pytest.raises(PolicyRuleError, match="No rule 'tea' stands"):
        revert(book, "tea", reason="No", actor="ann")
    with pytest.raises(PolicyRuleError, match="needs its reason"):
        revert(book, "tea", reason=" ", actor="ann")


def test_every_change_of_a_rule_is_in_the_audit_log(book: OperationalStore) -> None:
    before = verify(book).rows_count
    add(book)

    revert(book, "tea", reason="Too dear", actor="ann")

    report = verify(book)
    with book.transaction(writes=False) as conn:
        last: str = conn.execute(sa.text("SELECT after FROM audit_log ORDER BY seq DESC LIMIT 1")).scalar_one()
    assert (report.rows_count - before, report.problems) == (2, ())
    assert json.loads(last) == {"reason": "Too dear", "reverted": "tea/1"}


def test_the_warehouse_holds_the_versions_that_stand(book: OperationalStore, tmp_path: Path) -> None:
    add(book)
    kept = add(book, replace(RULE, rule_id="mugs", season=None, valid_to=None, values=RuleValues(sourcing="store_first")))
    revert(book, "tea", reason="No", actor="ann")

    with open_warehouse(tmp_path / "warehouse.duckdb") as conn:
        write_rules(conn, list_rules(book, is_standing=True))
        write_rules(conn, list_rules(book, is_standing=True))
        found = read_rules(conn)

    assert found == [kept]


def test_a_release_of_before_there_were_rules_has_none() -> None:
    with duckdb.connect(":memory:") as conn:
        assert read_rules(conn) == []


def test_rules_migrate_back_and_forth(store: OperationalStore) -> None:
    newest = store.migration()
    store.migrate(to="0009")
    before = list_rules(store)

    store.migrate()

    assert before == []
    assert (store.migration(), list_rules(store)) == (newest, [])


@pytest.fixture
def planned() -> Iterator[duckdb.DuckDBPyConnection]:
    """A warehouse of 2026-10-14 with two items, of which the supplier of one is reviewed each 14 days, and a dear location."""
    with duckdb.connect(":memory:") as conn:
        conn.execute(
            "create schema marts; create schema meta; create schema planning;"
            "create table planning.demand_series as select * from (values ('T-1', 'DC'), ('M-1', 'DC')) t(sku, location_id);"
            "create table marts.fct_inventory_position as select * from planning.demand_series;"
            "create table marts.dim_products as select * from (values ('T-1', 'Tea', 'S1'), ('M-1', 'Mugs', 'S1')) t(sku, category, supplier_id);"
            "create table marts.dim_product_classes as select sku, 'A' as abc_class, 'X' as xyz_class from marts.dim_products;"
            "create table marts.dim_supplier_items as select 'S1' as supplier_id, 'T-1' as sku, 14::bigint as review_period_days;"
            "create table marts.dim_locations as select 'DC' as location_id, 0.4::double as holding_cost_rate;"
            f"create table {TABLE} ({COLUMNS});"
            f"create table meta.run_context ({OWN_TABLES['meta.run_context']});"
            "insert into meta.run_context values ('r', '2026-10-14', 'Europe/Berlin', 'EUR', 'Shop', 'test')"
        )
        yield conn


def test_items_that_rules_name_are_planned_by_them_and_the_others_by_the_settings(
    book: OperationalStore, planned: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    add(book, replace(RULE, values=RuleValues(service_level=0.98)))
    add(book, replace(RULE, rule_id="floor", scope=RuleScope(sku="T-1"), season=None, valid_to=None, values=RuleValues(method="min_max", min_qty=2, max_qty=9)))  # fmt: skip
    add(book, replace(RULE, rule_id="stores", scope=RuleScope(), season=None, valid_to=None, values=RuleValues(sourcing="store_first")))
    write_rules(planned, list_rules(book, is_standing=True))

    policies = standing_policies(planned, settings=Settings(home=tmp_path))

    (policy,) = policies.values()
    assert policies.keys() == {("T-1", "DC")}
    assert (policy.service_level, policy.method, policy.min_qty, policy.max_qty) == (0.98, "min_max", 2, 9)
    assert (policy.review_period_days, policy.holding_cost_rate, policy.version) == (14, 0.4, "floor/1, tea/1")


def test_rules_that_leave_no_policy_leave_the_settings_and_are_told(
    book: OperationalStore, planned: duckdb.DuckDBPyConnection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add(book, replace(RULE, values=RuleValues(method="days_of_cover")))
    write_rules(planned, list_rules(book, is_standing=True))

    policies = standing_policies(planned, settings=Settings(home=tmp_path))

    assert policies == {}
    assert "T-1 at DC: Method days_of_cover needs cover_days." in caplog.text


def test_without_rules_no_policy_is_set(planned: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert standing_policies(planned, settings=Settings(home=tmp_path)) == {}


def test_past_weeks_have_the_rules_of_today_each_in_its_season(planned: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    today, tea = date(2026, 10, 15), RuleScope(category="Tea")
    made = {"version": 1, "scope": tea, "created_at": datetime(2026, 10, 1)}
    rules = [
        PolicyRule("winter", values=RuleValues(service_level=0.99), valid_from=today, season=("11-15", "01-31"), **made),
        PolicyRule("new", values=RuleValues(review_period_days=21), valid_from=date(2026, 10, 12), **made),
        PolicyRule("ended", values=RuleValues(max_qty=9), valid_from=date(2026, 1, 1), valid_to=date(2026, 9, 30), **made),
        PolicyRule("to come", values=RuleValues(lost_sales_share=0.2), valid_from=date(2026, 10, 16), **made),
    ]  # fmt: skip
    keys = pl.DataFrame({"sku": ["T-1", "M-1"], "location_id": ["DC", "DC"]})

    weeks = (date(2025, 11, 10), date(2026, 2, 2))
    found = policies_by_week(planned, keys, rules, on=today, weeks=weeks, settings=Settings(home=tmp_path))

    assert (min(found), max(found), len(found)) == (date(2025, 11, 10), date(2026, 2, 9), 14)
    levels = {monday: policies["T-1", "DC"].service_level for monday, policies in found.items()}
    in_season = [monday for monday, level in levels.items() if level == 0.99]
    assert (min(in_season), max(in_season), len(in_season)) == (date(2025, 11, 17), date(2026, 1, 26), 11)
    kept = {(one["T-1", "DC"].review_period_days, one["T-1", "DC"].max_qty, one["T-1", "DC"].lost_sales_share) for one in found.values()}
    assert kept == {(21, None, Settings(home=tmp_path).lost_sales_share)}
    assert len({id(policies) for policies in found.values()}) == 2  # one for each season


def test_what_the_next_run_would_order_is_shown_before_and_after(tmp_path: Path) -> None:
    with open_warehouse(tmp_path / "release.duckdb") as conn:
        fill_marts(conn)
        fill_classes(conn)
        gather_panel(conn)
        backtest_forecasts(conn)
        forecast_demand(conn, settings=SETTINGS)
    much = PolicyRule("much", 1, RuleScope(abc_class="A"), RuleValues(method="days_of_cover", cover_days=90), date(2025, 1, 1), NOW)

    (change,) = preview_orders(tmp_path / "release.duckdb", before=[], after=[much], on=date(2025, 7, 1), settings=SETTINGS)

    with open_warehouse(tmp_path / "release.duckdb", read_only=True) as conn:
        tables = conn.sql("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'planning'").fetchall()
    assert (change.currency_code, change.lines_before) == ("EUR", 1)
    assert change.qty_after > 90 * 9 - 30 - 24 > change.qty_before  # "busy" sells 9.4 a day
    assert change.amount_after == change.qty_after * Decimal("10.50")
    assert ("recommendations",) not in tables


@pytest.fixture
def ordercast(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    """The command line on a store whose admin is ann, and a release of 2024-03-28 with three items."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"ORDERCAST_HOME": str(tmp_path / "home"), "ORDERCAST_STORE_URL": sqlite_url, "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOGNAME", "ann")
    with OperationalStore.open(sqlite_url) as store:
        set_operator(store, Operator("ann", "admin"), by="ann")
    facts = ReleaseFacts("20240329T060000-aaaaaa", "2024-03-28", "2024-03-29T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    load_settings().resolved_home.mkdir()
    with duckdb.connect(":memory:") as conn:
        conn.execute(
            "create schema marts; create schema meta; create schema planning;"
            "create table planning.demand_series as select * from (values ('T-1', 'DC'), ('T-2', 'DC')) t(sku, location_id);"
            "create table marts.fct_inventory_position as select * from (values ('T-1', 'STORE'), ('T-1', 'DC')) t(sku, location_id);"
            "create table marts.dim_products as select * from (values ('T-1', 'Tea', 'S1'), ('T-2', 'Tea', 'S2')) "
            "t(sku, category, supplier_id);"
            "create table marts.dim_product_classes as select * from (values ('T-1', 'A', 'X'), ('T-2', 'C', 'Z')) t(sku, abc_class, xyz_class)"
        )
        publish(conn, load_settings().releases_path, facts=facts, catalogue="{}", keep=3)
    return Terminal(monkeypatch, capsys)


def test_a_rule_is_added_with_its_preview_and_shown(ordercast: Terminal) -> None:
    code, said, err = ordercast(
        "rules", "add", "steady", "--for", "abc=A", "--for", "xyz=X", "--set", "service_level=98%", "--reason", "Bread and butter"
    )

    (line,) = ordercast.json("rules", "list", "--json")
    assert (code, err) == (0, "")
    assert "service_level default -> 98 %: 2 items" in said
    assert (line["state"], line["preview"]["items_count"], line["preview"]["on"]) == ("in force", 2, "2024-03-29")
    assert "Sets: service_level 98 %" in ordercast("rules", "show", "steady")[1]


def test_a_season_is_previewed_on_its_first_day_and_told_to_come(ordercast: Terminal) -> None:
    ordercast("rules", "add", "stores", "--season", "10-01:12-31", "--set", "sourcing=store_first", "--reason", "Clear the shelves")

    (line,) = ordercast.json("rules", "list", "--json")
    (autumn,) = ordercast.json("rules", "effective", "T-1@STORE", "--on", "2024-12-01", "--json")
    assert (line["state"], line["preview"]["on"]) == ("out of season", "2024-10-01")
    assert (autumn["sourcing"], autumn["sourcing_rule"]) == ("store_first", "stores/1")


def test_a_version_is_scheduled_and_reverted(ordercast: Terminal) -> None:
    ordercast("rules", "add", "all", "--set", "service_level=0.95", "--reason", "Usual")
    code, said, _ = ordercast("rules", "schedule", "all", "--set", "service_level=99%", "--from", "2024-11-15", "--reason", "Christmas")
    states = [line["state"] for line in ordercast.json("rules", "list", "--on", "2024-11-20", "--json")]
    _, undone, _ = ordercast("rules", "revert", "all", "--reason", "Too dear")

    (now,) = ordercast.json("rules", "effective", "T-2", "--on", "2024-11-20", "--json")
    assert (code, "service_level 95 % -> 99 %: 3 items" in said) == (0, True)
    assert states == ["replaced by all/2", "in force"]
    assert "all/2 is reverted: all/1 counts again" in undone
    assert now["service_level"] == 0.95


def test_a_preview_writes_nothing_and_says_what_a_rule_that_stands_changes(ordercast: Terminal) -> None:
    made = ordercast.json("rules", "preview", "--for", "category=Tea", "--set", "method=min_max", "--set", "min_qty=2", "--json")
    ordercast("rules", "add", "all", "--set", "budget=EUR 2,500", "--reason", "Cash")
    _, told, _ = ordercast("rules", "preview", "all")

    assert made["items_count"] == 3
    assert {one["reason"] for one in made["problems"]} == {"Method min_max needs min_qty and max_qty."}
    assert "budget_amount default -> 2,500.00: 3 items" in told
    assert len(ordercast.json("rules", "list", "--json")) == 1


def test_orders_before_and_after_are_told_in_units_and_money() -> None:
    change = OrdersChange("EUR", 1, 2, 24, 1_240, Decimal("252.0000"), Decimal("13020.5000"))

    assert orders_said(change) == "Orders: 1 line, 24 units, EUR 252.00 -> 2 lines, 1,240 units, EUR 13,020.50"


def test_a_contradiction_is_told_when_the_rule_is_added(ordercast: Terminal) -> None:
    ordercast("rules", "add", "one", "--for", "category=Tea", "--set", "service_level=95%", "--reason", "Usual")

    _, said, _ = ordercast("rules", "add", "two", "--for", "category=Tea", "--set", "service_level=97%", "--reason", "More")

    assert "two/1 and one/1 want a different service_level for 3 items: the newer holds." in said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("add", "x", "--set", "service_level=98", "--reason", "r"), 3, "service_level is a share between 0 and 1"),
        (("add", "x", "--set", "service=98%", "--reason", "r"), 3, "did you mean service_level?"),
        (("add", "x", "--for", "abc=A", "--for", "abc=B", "--set", "min_qty=3", "--reason", "r"), 3, "names abc twice"),
        (("add", "x", "--for", "Tea", "--set", "min_qty=3", "--reason", "r"), 3, "write name=value"),
        (("add", "x", "--set", "min_qty=many", "--reason", "r"), 3, "write a whole number"),
        (("add", "x", "--set", "budget=2500", "--reason", "r"), 3, "write currency and amount"),
        (("add", "x", "--season", "autumn", "--set", "min_qty=3", "--reason", "r"), 3, "is no season"),
        (("add", "x", "--for", "category=Tee", "--set", "min_qty=3", "--reason", "r"), 3, "of 3 items none is category Tee"),
        (("add", "x", "--set", "min_qty=3", "--reason", "r", "--actor", "eve"), 3, "'eve' is no operator"),
        (("schedule", "x", "--reason", "r"), 3, "No rule 'x' stands"),
        (("preview", "x", "--set", "min_qty=3"), 3, "not both"),
        (("effective", "T-3"), 3, "did you mean T-2?"),
    ],
    ids=lambda one: " ".join(one[:3]) if isinstance(one, tuple) else "",
)
def test_what_cannot_be_meant_is_refused_with_what_to_do(ordercast: Terminal, arguments: tuple[str, ...], code: int, words: str) -> None:
    found, _, err = ordercast("rules", *arguments)

    assert (found, words in err) == (code, True), err
    assert ordercast.json("rules", "list", "--json") == []
