"""Dated targets: what people set in the operational store is what a metric's status is judged by on that day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from pipelines.errors import MetricError
from pipelines.stores.metrics import catalogue_from_manifest, evaluate
from pipelines.stores.metrics_targets import COLUMNS, DatedTarget, goal_on, read_targets, write_targets
from pipelines.stores.operational import MIGRATIONS, VERSION_TABLE
from pipelines.stores.targets import add_target, list_targets
from tests.unit.test_metrics_language import AS_OF, manifest

if TYPE_CHECKING:
    from pipelines.stores.operational import OperationalStore

CATALOGUE = catalogue_from_manifest(manifest())
RATE = replace(CATALOGUE["cancellation_rate"], target=0.1, watch_band=0.02)
COUNT = replace(CATALOGUE["order_count"], target=280.0, watch_band=28.0)


def line(valid_from: str, target: float | None, **facts: Any) -> DatedTarget:
    common: dict[str, Any] = {
        "metric": RATE.name,
        "dimension": None,
        "member": None,
        "valid_to": None,
        "watch_band": None,
        "direction": None,
    }
    return DatedTarget(**common | {"valid_from": date.fromisoformat(valid_from), "target": target} | facts)


def held(*lines: DatedTarget, day: str = "2024-03-28", by: str | None = None, member: str | None = None) -> float | None:
    return goal_on(RATE, lines, day=date.fromisoformat(day), by=by, member=member).target


def test_the_history_stands_as_it_was_written(store: OperationalStore) -> None:
    add_target(store, line("2024-01-01", 0.05, watch_band=0.01, direction="lower"), author="ann")
    add_target(store, line("2024-02-01", 0.04, dimension="channel", member="web", valid_to=date(2024, 2, 29)), author="bob")
    add_target(store, line("2024-03-01", None), author="ann")

    written = list_targets(store)

    assert [(one["target"], one["author"], one["valid_from"], one["valid_to"], one["member"]) for one in written] == [
        (0.05, "ann", date(2024, 1, 1), None, None),
        (0.04, "bob", date(2024, 2, 1), date(2024, 2, 29), "web"),
        (None, "ann", date(2024, 3, 1), None, None),
    ]
    assert [one["author"] for one in list_targets(store, on=date(2024, 2, 10))] == ["ann", "bob"]


def test_a_name_with_quotes_is_a_name(store: OperationalStore) -> None:
    member = "x'); DROP TABLE metric_target; --"

    add_target(store, line("2024-01-01", 1.0, dimension="channel", member=member), author="o'hara")

    assert [one["member"] for one in list_targets(store)] == [member]


def test_a_target_that_holds_on_no_day_or_for_half_a_member_is_refused(store: OperationalStore) -> None:
    with pytest.raises(MetricError, match="holds on no day"):
        add_target(store, line("2024-01-02", 0.1, valid_to=date(2024, 1, 1)), author="ann")
    with pytest.raises(MetricError, match="name both or neither"):
        add_target(store, line("2024-01-02", 0.1, dimension="channel"), author="ann")

    assert list_targets(store) == []


def test_a_store_of_the_first_version_is_brought_up_and_back(store: OperationalStore) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["version_table"] = VERSION_TABLE
    with store.transaction() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "0001")
    tables = set(sa.inspect(store.engine).get_table_names())
    before = list_targets(store)

    store.migrate()
    add_target(store, line("2024-01-01", 0.1), author="ann")

    assert "metric_target" not in tables
    assert before == []
    assert len(list_targets(store)) == 1


def test_the_line_that_begins_last_holds_and_of_equals_the_newest() -> None:
    lines = (
        line("2024-01-01", 0.05),
        line("2024-03-01", 0.04),
        line("2024-01-01", 0.06),
        line("2024-03-10", 0.01, valid_to=date(2024, 3, 20)),
    )

    assert held(*lines, day="2023-12-31") == 0.1
    assert held(*lines, day="2024-02-29") == 0.06
    assert held(*lines, day="2024-03-10") == 0.01
    assert held(*lines, day="2024-03-21") == 0.04


def test_a_removed_target_leaves_the_default() -> None:
    assert held(line("2024-01-01", 0.05), line("2024-03-01", None)) == 0.1
    assert held(line("2024-01-01", 0.05), line("2024-03-01", None), day="2024-02-29") == 0.05


def test_the_wholes_target_holds_for_members_until_one_has_its_own() -> None:
    whole, web = line("2024-01-01", 0.05), line("2024-02-01", 0.03, dimension="channel", member="web")

    assert held(whole, by="channel", member="shop") == 0.05
    assert held(whole, web, by="channel", member="web") == 0.03
    assert held(whole, web, by="channel", member="shop") is None
    assert held(whole, web, by="reason", member="late") == 0.05
    assert held(whole, web) == 0.05


def test_narrowed_to_one_member_is_held_against_its_target_and_to_several_against_the_wholes() -> None:
    web = line("2024-01-01", 0.03, dimension="channel", member="web")

    def narrowed(*lines: DatedTarget, **where: list[str]) -> float | None:
        return goal_on(RATE, lines, day=AS_OF, by=None, member=None, where=where).target

    assert narrowed(web, channel=["web"]) == 0.03
    assert narrowed(web, channel=["web", "shop"]) is None
    assert narrowed(web, channel=["web"], reason=["late"]) is None
    assert narrowed(web, reason=["late"], category=["tea"]) == 0.1
    assert goal_on(COUNT, (), day=AS_OF, by=None, member=None, where={"channel": ["web"]}).target is None


def test_a_sums_target_is_for_28_days_and_for_no_member() -> None:
    goal = goal_on(COUNT, (), day=AS_OF, by=None, member=None)

    assert (goal.for_days(COUNT, 28), goal.for_days(COUNT, 7), goal.band_for_days(COUNT, 7)) == (280.0, 70.0, 7.0)
    assert goal_on(COUNT, (), day=AS_OF, by="channel", member="web").target is None
    assert goal_on(RATE, (), day=AS_OF, by=None, member=None).for_days(RATE, 7) == 0.1


def test_status_follows_the_target_of_the_periods_last_day_and_its_direction(store: OperationalStore) -> None:
    add_target(store, line("2024-03-01", 0.4), author="ann")
    add_target(store, line("2024-03-20", 0.6, direction="higher", watch_band=0.05), author="ann")
    with duckdb.connect(":memory:") as conn:
        conn.execute(f"create schema marts; create schema meta; create table meta.metric_targets ({COLUMNS})")
        conn.execute("create table meta.run_context as select ?::date as as_of_date, 'EUR' as currency_code", [AS_OF])
        conn.execute("create table meta.source_fields (table_name text, field_name text, is_present boolean)")
        conn.execute("create table marts.fct_losses (lost_date date)")
        conn.execute(
            "create table marts.fct_orders as select date '2024-03-18' + i::int as ordered_date, 'o' as order_id, i % 2 = 0 as is_cancelled from range(4) r(i)"
        )
        write_targets(conn, list_targets(store))
        write_targets(conn, list_targets(store))

        early, late = evaluate(conn, CATALOGUE, ["cancellation_rate"], since=date(2024, 3, 18), until=date(2024, 3, 21), grain="day")[1:3]
        (period,) = evaluate(conn, CATALOGUE, ["cancellation_rate"], since=date(2024, 3, 18))
        count = len(read_targets(conn))

    assert count == 2
    assert (early.target, early.better, early.status) == (0.4, "lower", "on_target")
    assert (late.target, late.better, late.status) == (0.6, "higher", "on_target")
    assert (period.value, period.target, period.status) == (0.5, 0.6, "off_target")
