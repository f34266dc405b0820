"""Overrides of forecasts: what people set in the operational store reaches the plan beside the forecast, and is judged afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest
import sqlalchemy as sa

from pipelines.decisions import audit, overriding
from pipelines.decisions.roles import Operator, set_operator
from pipelines.errors import NotPermittedError, OverrideError
from pipelines.stores.forecast_history import SNAPSHOT_HORIZON_DAYS, keep_forecasts
from pipelines.stores.overrides import Override, list_overrides, set_override, withdraw_override, write_overrides
from pipelines.stores.warehouse import open_warehouse, replace_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

    from pipelines.stores.operational import OperationalStore

AS_OF = date(2025, 6, 30)
CAMPAIGN = Override("A", "DC", date(2025, 7, 1), date(2025, 7, 10), "factor", 1.5, "TV campaign")


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(tmp_path / "warehouse.duckdb") as connection:
        yield connection


def test_an_override_stands_until_it_is_withdrawn_and_on_record_for_ever(store: OperationalStore) -> None:
    override_id = set_override(store, CAMPAIGN, author="ann")

    withdraw_override(store, override_id, author="bob")

    (line,) = list_overrides(store)
    assert (line["author"], line["reason"], line["value"], line["withdrawn_by"]) == ("ann", "TV campaign", 1.5, "bob")
    assert list_overrides(store, is_standing=True) == []


@pytest.mark.parametrize(
    "wrong",
    [{"to_date": date(2025, 6, 1)}, {"value": -1.0}, {"value": float("nan")}, {"reason": "  "}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_an_override_that_cannot_hold_or_has_no_reason_is_refused(store: OperationalStore, wrong: dict[str, object]) -> None:
    with pytest.raises(OverrideError):
        set_override(store, replace(CAMPAIGN, **wrong), author="ann")  # type: ignore[arg-type]

    assert list_overrides(store) == []


@pytest.mark.parametrize(("factor", "is_usual"), [(0.2, True), (5.0, True), (0.19, False), (5.1, False), (0.0, False), (15.0, False)])
def test_a_factor_that_looks_like_a_slip_is_confirmed_first(store: OperationalStore, factor: float, is_usual: bool) -> None:
    wanted = replace(CAMPAIGN, value=factor)

    if not is_usual:
        with pytest.raises(OverrideError, match="confirm it with --yes"):
            set_override(store, wanted, author="ann")
    set_override(store, wanted, author="ann", is_confirmed=not is_usual)

    assert [line["value"] for line in list_overrides(store)] == [factor]


def test_nobody_withdraws_twice_or_what_is_not_there(store: OperationalStore) -> None:
    override_id = set_override(store, CAMPAIGN, author="ann")
    withdraw_override(store, override_id, author="ann")

    with pytest.raises(OverrideError, match="withdrawn by ann already"):
        withdraw_override(store, override_id, author="bob")
    with pytest.raises(OverrideError, match="no override 'x'"):
        withdraw_override(store, "x", author="bob")


def test_the_warehouse_holds_what_stands(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    first, second = set_override(store, CAMPAIGN, author="ann"), set_override(store, CAMPAIGN, author="bob")
    write_overrides(conn, list_overrides(store, is_standing=True))
    withdraw_override(store, first, author="ann")

    write_overrides(conn, list_overrides(store, is_standing=True))

    assert conn.sql("SELECT override_id, author FROM meta.forecast_overrides").fetchall() == [(second, "bob")]


def _publish(conn: duckdb.DuckDBPyConnection, as_of: date, *, statistical: float, override_id: str | None = "o", days: int = 5) -> None:
    """A run's forecasts, the override holding on the first days."""
    conn.execute("DELETE FROM meta.forecast_overrides")
    facts = ["o", "A", "DC", as_of, as_of, "factor", 2.0, "why", "ann", datetime(2025, 6, 1)]
    conn.execute("INSERT INTO meta.forecast_overrides VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", facts)
    held = [override_id if day < days else None for day in range(28)]
    frame = pl.DataFrame(
        {
            "sku": "A",
            "location_id": "DC",
            "demand_date": [as_of + timedelta(days=day) for day in range(1, 29)],
            "demand_mean_qty": [statistical * (1 if one is None else 2) for one in held],
            "demand_p10_qty": 0.0,
            "demand_p90_qty": 9.0,
            "statistical_mean_qty": statistical,
            "override_id": pl.Series(held, dtype=pl.String),
        }
    )
    replace_table(conn, "planning", "forecast_daily", frame)


def test_an_overridden_day_is_kept_as_it_stood_when_the_override_first_held(conn: duckdb.DuckDBPyConnection) -> None:
    _publish(conn, AS_OF, statistical=3.0)
    keep_forecasts(conn, as_of=AS_OF)
    _publish(conn, AS_OF + timedelta(days=1), statistical=4.0)

    keep_forecasts(conn, as_of=AS_OF + timedelta(days=1))

    kept = conn.sql(
        "SELECT demand_date, as_of_date, statistical_mean_qty, override_mean_qty FROM history.forecast_overrides ORDER BY 1"
    ).fetchall()
    assert kept[:5] == [(AS_OF + timedelta(days=day), AS_OF, 3.0, 6.0) for day in range(1, 6)]
    assert kept[5:] == [(AS_OF + timedelta(days=6), AS_OF + timedelta(days=1), 4.0, 8.0)]


def test_what_is_withdrawn_before_its_day_came_leaves_only_the_days_it_held(conn: duckdb.DuckDBPyConnection) -> None:
    _publish(conn, AS_OF, statistical=3.0)
    keep_forecasts(conn, as_of=AS_OF)
    _publish(conn, AS_OF + timedelta(days=2), statistical=3.0, override_id=None)

    keep_forecasts(conn, as_of=AS_OF + timedelta(days=2))

    assert conn.sql("SELECT demand_date FROM history.forecast_overrides ORDER BY 1").fetchall() == [
        (AS_OF + timedelta(days=1),),
        (AS_OF + timedelta(days=2),),
    ]


def test_a_snapshot_a_week_is_kept_and_a_rerun_replaces_its_own(conn: duckdb.DuckDBPyConnection) -> None:
    for day, statistical in ((0, 1.0), (0, 2.0), (6, 3.0), (7, 4.0)):
        _publish(conn, AS_OF + timedelta(days=day), statistical=statistical)
        keep_forecasts(conn, as_of=AS_OF + timedelta(days=day))

    kept = conn.sql("SELECT as_of_date, any_value(statistical_mean_qty), count(*) FROM history.forecasts GROUP BY 1 ORDER BY 1").fetchall()
    assert kept == [(AS_OF, 2.0, SNAPSHOT_HORIZON_DAYS), (AS_OF + timedelta(days=7), 4.0, SNAPSHOT_HORIZON_DAYS)]


def test_a_run_for_a_past_day_keeps_nothing(conn: duckdb.DuckDBPyConnection) -> None:
    _publish(conn, AS_OF, statistical=1.0)
    keep_forecasts(conn, as_of=AS_OF)
    before = conn.sql("SELECT * FROM history.forecasts ORDER BY ALL").fetchall()
    _publish(conn, AS_OF - timedelta(days=7), statistical=5.0)

    assert not keep_forecasts(conn, as_of=AS_OF - timedelta(days=7))

    assert conn.sql("SELECT * FROM history.forecasts ORDER BY ALL").fetchall() == before


def test_old_snapshots_go(conn: duckdb.DuckDBPyConnection) -> None:
    for week in range(20):
        _publish(conn, AS_OF + timedelta(days=7 * week), statistical=1.0)
        keep_forecasts(conn, as_of=AS_OF + timedelta(days=7 * week))

    assert conn.sql("SELECT count(DISTINCT as_of_date) FROM history.forecasts").fetchone() == (13,)


@pytest.fixture
def planners(store: OperationalStore) -> OperationalStore:
    """The store with an admin, and a planner of another location than the campaign's."""
    set_operator(store, Operator("ann", "admin"), by="ann")
    set_operator(store, Operator("bob", "planner", locations=("STORE",)), by="ann")
    return store


def test_an_override_from_a_page_stands_once_however_often_it_is_sent_and_the_audit_log_knows_it(planners: OperationalStore) -> None:
    tries = [overriding.set_override(planners, CAMPAIGN, override_id="key", actor="ann", is_confirmed=False) for _ in range(2)]

    overriding.withdraw_override(planners, "key", actor="ann")

    (line,) = list_overrides(planners)
    assert tries == [True, False]
    assert (line["override_id"], line["author"], line["withdrawn_by"]) == ("key", "ann", "ann")
    assert audit.verify(planners).problems == ()
    with planners.transaction(writes=False) as conn:
        told: list[str] = list(conn.execute(sa.text("SELECT after FROM audit_log ORDER BY seq")).scalars())
    assert ['"override":"key"' in told[-2], told[-1]] == [True, '{"withdrawn":"key"}']


@pytest.mark.parametrize(("actor", "why"), [("eve", "no operator"), ("bob", "may not decide about DC")])
def test_who_may_not_decide_about_a_location_overrides_nothing_there(planners: OperationalStore, actor: str, why: str) -> None:
    overriding.set_override(planners, CAMPAIGN, override_id="key", actor="ann", is_confirmed=False)

    with pytest.raises(NotPermittedError, match=why):
        overriding.set_override(planners, CAMPAIGN, override_id="other", actor=actor, is_confirmed=False)
    with pytest.raises(NotPermittedError, match=why):
        overriding.withdraw_override(planners, "key", actor=actor)

    assert [line["override_id"] for line in list_overrides(planners, is_standing=True)] == ["key"]
