"""`metrics`, `targets` and `baseline` on a small release: what they print, and what they refuse."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest
from rich.console import Console

from pipelines.cli.metrics import print_notes
from pipelines.cli.wording import heading, mid_sentence
from pipelines.stores.metrics import catalogue_from_manifest, catalogue_to_json
from pipelines.stores.metrics_targets import COLUMNS, Goal, write_targets
from pipelines.stores.metrics_values import Basis, unavailable_value
from pipelines.stores.metrics_windows import Span, Window
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import ReleaseFacts, publish
from pipelines.stores.targets import list_targets
from tests.integration.test_cli import Terminal
from tests.unit.test_metrics_language import AS_OF, manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
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


def publish_one(home: Path, release_id: str, *, channels: Sequence[str] = ("web", "shop")) -> None:
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
            "if(i % 2 = 0, '=late', null) as cancel_reason, (?::varchar[])[i % ? + 1] as channel, 'k' as customer, 1000::bigint as net_reporting_amount "
            "from range(800) r(i)",
            [AS_OF, list(channels), len(channels)],
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


def test_where_narrows_to_members_and_wants_both_names(ordercast: Terminal) -> None:
    (both,) = ordercast.json("metrics", "order_count", "--where", "channel=web", "--where", "channel=shop")
    (tea,) = ordercast.json("metrics", "order_count", "--where", "channel=web", "--where", "category=tea")
    code, _, refusal = ordercast("metrics", "order_count", "--where", "web")

    assert (both["value"], tea["value"]) == (56, 28)
    assert code == 3
    assert "as in --where channel=web, not 'web'" in " ".join(refusal.split())


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


@pytest.mark.parametrize(
    ("metric", "said", "meant", "stored"),
    [
        ("cancellation_rate", "95%", "target 95 % from", 0.95),
        ("cancellation_rate", "0.9725", "target 97.25 % from", 0.9725),
        ("average_order_value", "1,250.50", "target EUR 1,250.5 from", 1250.5),
        ("order_count", "12,500", "target 12,500 for 28 days from", 12500.0),
    ],
)
def test_a_target_is_told_as_it_was_understood(ordercast: Terminal, metric: str, said: str, meant: str, stored: float) -> None:
    _, told, _ = ordercast("targets", "set", metric, said, "--author", "ann")
    _, table, _ = ordercast("targets", "list")

    assert meant in " ".join(told.split())
    assert meant.removeprefix("target ").removesuffix(" from").removesuffix(" for 28 days") in table
    assert [one["target"] for one in ordercast.json("targets", "list")] == [stored]


def test_a_member_far_down_the_alphabet_is_suggested_too(ordercast: Terminal, tmp_path: Path) -> None:
    publish_one(tmp_path / "home", "20240329T070000-bbbbbb", channels=[f"web-{i:02}" for i in range(40)])

    _, _, err = ordercast("targets", "set", "cancellation_rate", "0.1", "--by", "channel", "--member", "web39")

    assert "did you mean web-39?" in err


@pytest.mark.parametrize("command", [("targets", "list"), ("baseline", "list"), ("baseline", "review", "before"), ("metrics",)])
def test_before_the_first_run_every_reader_is_refused_alike(
    ordercast: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "elsewhere"))

    code, _, err = ordercast(*command)

    assert (code, err.strip()) == (3, "Nothing is published yet: run `ordercast run` (or `make run`).")


@pytest.mark.parametrize("command", [("metrics",), ("report", "top_customers")])
def test_two_formats_at_once_are_wrong_usage(ordercast: Terminal, command: tuple[str, ...]) -> None:
    code, out, err = ordercast(*command, "--json", "--csv")

    assert (code, out) == (2, "")
    assert "either --json or --csv" in err


def test_a_note_about_many_metrics_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    basis = Basis(AS_OF, "EUR", frozenset())
    span = Span(AS_OF, AS_OF)
    window = Window(span, span, span, None, is_complete=True)
    one = catalogue_from_manifest(manifest())["order_count"]
    values = [
        unavailable_value(replace(one, label=f"Metric {i}"), basis, window, Goal(None, 0.0, "higher"), missing=(), by="carrier")
        for i in range(60)
    ]

    print_notes(Console(), values)

    assert capsys.readouterr().out.split() == ["60", "metrics:", "not", "available", "by", "carrier"]


def test_words_are_those_of_a_sentence() -> None:
    assert heading("customer_status") == "Customer status"
    assert mid_sentence("Minutes are standards") == "minutes are standards"
    assert mid_sentence("ABC classes hold") == "ABC classes hold"


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
        (("cancellation_rate", "95"), "'95' could be 95 % or 9,500 %: write 95% or 9,500%."),
        (("cancellation_rate", "0.1", "--band", "5"), "'5' could be 5 % or 500 %"),
        (("order_count", "3,5"), "a comma only parts thousands"),
        (("order_count", "1,2345"), "a comma only parts thousands"),
        (("order_count", "nan"), "'nan' is no number"),
        (("order_count", "95%"), "order_count is no percentage but count: write 95, without %"),
        (("nope", "1"), "There is no metric 'nope'"),
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
    assert "about the same" in out
    assert "EUR 10.00" in out
    assert max(map(len, out.splitlines())) <= 80
