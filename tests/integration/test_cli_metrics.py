"""`metrics`, `targets` and `baseline` on a small release: what they print, and what they refuse."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest

from pipelines.stores.metrics import catalogue_from_manifest, catalogue_to_json
from pipelines.stores.metrics_targets import COLUMNS, write_targets
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import ReleaseFacts, publish
from pipelines.stores.targets import list_targets
from tests.integration.test_cli import Terminal
from tests.unit.test_metrics_language import AS_OF, manifest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ordercast(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    with OperationalStore.open(f"sqlite:///{tmp_path / 'home' / 'store.db'}", must_exist=False) as store:
        store.migrate()
    publish_one(tmp_path / "home", "20240329T060000-aaaaaa")
    return Terminal(monkeypatch, capsys)


def publish_one(home: Path, release_id: str) -> None:
    """Four hundred days of two orders a day, one of them cancelled; stock is not known."""
    facts = ReleaseFacts(release_id, AS_OF.isoformat(), "2024-03-29T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    known = manifest()
    known["metrics"]["stock"]["config"]["meta"]["needs"] = ["stock_levels.on_hand"]
    known["metrics"]["stock"]["original_file_path"] = "models/semantic/stock.yml"
    for name in ("stock_value", "unit_cost_rate"):
        del known["metrics"][name]
    with duckdb.connect(":memory:") as conn, OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store:
        conn.execute(f"create schema marts; create schema meta; create table meta.metric_targets ({COLUMNS})")
        conn.execute("create table meta.run_context as select ?::date as as_of_date, 'EUR' as currency_code", [AS_OF])
        conn.execute("create table meta.source_fields as select 'products' as table_name, 'category' as field_name, true as is_present")
        conn.execute("create table marts.dim_products as select 'A' as sku, 'tea' as category, 'S' as supplier_id")
        conn.execute("create table marts.fct_losses (lost_date date)")
        conn.execute(
            "create table marts.fct_orders as select ?::date - (i // 2)::int as ordered_date, 'o' as order_id, 'A' as sku, i % 2 = 0 as is_cancelled, "
            "if(i % 2 = 0, '=late', null) as cancel_reason, if(i % 2 = 0, 'web', 'shop') as channel, 'k' as customer, 1000::bigint as net_reporting_amount "
            "from range(800) r(i)",
            [AS_OF],
        )
        write_targets(conn, list_targets(store))
        publish(conn, home / "releases", facts=facts, catalogue=catalogue_to_json(catalogue_from_manifest(known)), keep=5)


def test_the_table_fits_80_columns_and_hides_what_is_not_available(ordercast: Terminal) -> None:
    _, out, _ = ordercast("metrics")
    _, everything, _ = ordercast("metrics", "--all")

    assert max(map(len, out.splitlines())) <= 80
    assert "1 metric is not available: need stock_levels.on_hand; --all shows them." in " ".join(out.split())
    assert "Stock" not in out
    assert "Not available" in everything
    assert "assumes every order is real" in out
    assert "Cancellation_rate 50.0 % - No target" in " ".join(out.split())


def test_a_month_a_row_with_broken_ones_marked(ordercast: Terminal) -> None:
    values = ordercast.json("metrics", "order_count", "--grain", "month", "--from", "2024-02-01")
    _, out, _ = ordercast("metrics", "order_count", "--grain", "month", "--from", "2024-02-01")

    assert [(one["value"], one["prior"], one["last_year"], one["is_complete"]) for one in values] == [
        (58, 62, None, True),
        (56, 56, 56, False),
    ]
    assert "2024-03-01 to 03-28, incomplete" in out
    assert ordercast("metrics", "--grain", "moon")[0] == 3


def test_csv_is_whole_and_holds_no_formula(ordercast: Terminal) -> None:
    code, out, _ = ordercast("metrics", "cancellation_rate", "--by", "reason", "--csv")

    (row,) = csv.DictReader(io.StringIO(out))
    assert code == 0
    assert (row["member"], row["value"], row["n"], row["excluded"]) == ("'=late", "0.5", "56", '{"void": 0, "lost": 0}')


def test_a_target_shows_in_the_next_release_and_the_past_keeps_its_own(ordercast: Terminal, tmp_path: Path) -> None:
    code, told, err = ordercast("targets", "set", "cancellation_rate", "40%", "--band", "0.05", "--author", "ann")
    ordercast("targets", "set", "cancellation_rate", "0.6", "--by", "channel", "--member", "web", "--from", "2024-01-01", "--author", "bob")
    publish_one(tmp_path / "home", "20240329T070000-bbbbbb")

    (whole,) = ordercast.json("metrics", "cancellation_rate")
    (earlier,) = ordercast.json("metrics", "cancellation_rate", "--to", "2024-03-27")
    members = ordercast.json("metrics", "cancellation_rate", "--by", "channel")
    lines = ordercast.json("targets", "list")
    _, table, _ = ordercast("targets", "list")

    assert code == 0, err
    assert "ordercast run" in told
    assert (whole["target"], whole["status"], earlier["target"]) == (0.4, "off_target", None)
    assert {one["channel"]: one["target"] for one in members} == {"web": 0.6, "shop": None}
    assert [(one["author"], one["valid_from"]) for one in lines] == [("ann", "2024-03-28"), ("bob", "2024-01-01")]
    assert "channel web" in table


def test_a_removed_target_is_history_and_one_that_never_was_is_refused(ordercast: Terminal) -> None:
    ordercast("targets", "set", "order_count", "60")
    code, out, _ = ordercast("targets", "remove", "order_count")
    refused, _, err = ordercast("targets", "remove", "cancellation_rate")

    assert (code, refused) == (0, 3)
    assert "the default holds from 2024-03-28 on" in " ".join(out.split())
    assert "No target of cancellation_rate is set for the whole" in err
    assert [one["target"] for one in ordercast.json("targets", "list")] == [60.0, None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cancelation_rate", "0.1"), "did you mean cancellation_rate?"),
        (("cancellation_rate", "0.1", "--by", "chanel", "--member", "web"), "did you mean channel?"),
        (("cancellation_rate", "0.1", "--by", "channel", "--member", "wep"), "did you mean web?"),
        (("cancellation_rate", "0.1", "--by", "channel"), "both --by and --member"),
        (("cancellation_rate", "much"), "'much' is no number"),
        (("cancellation_rate", "0.1", "--direction", "up"), "There is no direction 'up'"),
        (("cancellation_rate", "0.1", "--to", "2020-01-01"), "holds on no day"),
    ],
)
def test_a_target_with_a_slip_is_refused_with_what_was_meant(ordercast: Terminal, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = ordercast("targets", "set", *arguments)

    assert code == 3
    assert message in err
    assert ordercast.json("targets", "list") == []


def test_a_baseline_is_frozen_listed_and_reviewed(ordercast: Terminal) -> None:
    end = AS_OF - timedelta(days=70)
    frozen = ordercast.json("baseline", "freeze", "before", "--from", str(end - timedelta(days=29)), "--to", str(end))
    again, _, err = ordercast("baseline", "freeze", "before", "--from", "2024-01-01", "--to", "2024-01-02")
    (listed,) = ordercast.json("baseline", "list")
    compared = {(one["name"], one["days"]): one for one in ordercast.json("baseline", "review", "before")}
    _, out, _ = ordercast("baseline", "review", "before")

    assert frozen["metrics_count"] == 4
    assert again == 3
    assert "never overwritten" in err
    assert (listed["name"], date.fromisoformat(listed["period_to"])) == ("before", end)
    assert [compared["order_count", 60][key] for key in ("before", "after", "verdict")] == [120.0, 120.0, "same"]
    assert compared["order_count", 90]["note"] == "not yet: 70 of 90 days have passed"
    assert "60 days after before" in out
    assert max(map(len, out.splitlines())) <= 80
