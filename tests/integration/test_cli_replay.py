"""`what-if` and `replay` on a small release, which neither changes."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from inventory.rules import PolicyRule, RuleScope, RuleValues
from pipelines.decisions.roles import Operator, set_operator
from pipelines.errors import PolicyRuleError
from pipelines.settings import Settings, load_settings
from pipelines.steps.replay import replay_history
from pipelines.steps.rule_replay import preview_replay
from pipelines.steps.what_if import Scenario, suppose, what_if
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import served_release
from pipelines.stores.scratch import open_scratch
from pipelines.stores.warehouse import open_warehouse
from tests.integration.small_release import publish_small_release
from tests.integration.test_cli import Terminal

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("planned") / "home"
    publish_small_release(home)
    return home


@pytest.fixture
def ordercast(planned: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    shutil.copytree(planned / "releases", tmp_path / "home" / "releases")
    return Terminal(monkeypatch, capsys)


def test_more_demand_orders_more_and_leaves_release_and_store_as_they_were(ordercast: Terminal) -> None:
    settings = load_settings()
    release = served_release(settings.releases_path).path
    OperationalStore.open(settings.resolved_store_url, must_exist=False).close()
    before = hashlib.sha256(release.read_bytes()).hexdigest()

    told = ordercast.json("what-if", "--demand", "+50%")

    assert hashlib.sha256(release.read_bytes()).hexdigest() == before
    assert sorted(path.name for path in release.parent.iterdir()) == [
        "20250701T060000-aaaaaa.duckdb",
        "20250701T060000-aaaaaa.json",
        "CURRENT",
    ]
    assert ordercast.json("recommendations") == []
    assert told["base"]["orders_count"] >= 1
    assert told["changed"]["order_qty"] > told["base"]["order_qty"]
    line = next(line for line in told["lines"] if line["sku"] == "busy")
    assert line["scenario_qty"] > line["base_qty"] > 0


def test_the_base_is_what_the_release_suggests(ordercast: Terminal) -> None:
    told = ordercast.json("what-if", "--cost", "+10%")

    assert told["base"]["orders_count"] == told["changed"]["orders_count"] == 1
    assert told["changed"]["money"][0]["order_amount"] == pytest.approx(1.1 * told["base"]["money"][0]["order_amount"])
    assert told["lines"] == []


def test_both_sides_follow_the_rules_that_the_release_was_made_with(tmp_path: Path) -> None:
    cover = PolicyRule(
        "cover", 1, RuleScope(sku="busy"), RuleValues(method="days_of_cover", cover_days=90), date(2025, 1, 1), datetime(2025, 1, 1)
    )
    release = publish_small_release(tmp_path / "home", rules=[cover])

    told = what_if(release, Scenario(cost_factor=1.1), settings=Settings(_env_file=None, home=tmp_path / "home"))  # type: ignore[call-arg]

    with open_warehouse(release.path, read_only=True) as conn:
        suggested = conn.sql("SELECT recommended_qty FROM planning.recommendations WHERE sku = 'busy'").fetchall()
    assert told.base.orders["recommended_qty"].to_list() == told.changed.orders["recommended_qty"].to_list() == [suggested[0][0]]
    assert suggested[0][0] > 700  # 90 days at 9.4


def test_a_higher_service_level_orders_more(ordercast: Terminal) -> None:
    safer = ordercast.json("what-if", "--service-level", "0.99")

    assert safer["changed"]["order_qty"] > safer["base"]["order_qty"]


def test_a_longer_lead_time_orders_more_where_customers_wait(ordercast: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_LOST_SALES_SHARE", "0")

    longer = ordercast.json("what-if", "--lead-time", "7")

    assert longer["changed"]["order_qty"] > longer["base"]["order_qty"]


def test_without_a_supplier_its_items_go_to_the_next_one_or_to_nobody(ordercast: Terminal) -> None:
    told = ordercast.json("what-if", "--supplier-fails", "s1")
    code, said, err = ordercast("what-if", "--supplier-fails", "s1")

    assert code == 0, err
    assert {row["sku"] for row in told["newly_excluded"]} == {"calm"}
    twins, busy = told["lines"]
    assert (twins["sku"], twins["base_qty"]) == ("twins", 0)  # two shared its first priority
    assert (busy["sku"], busy["scenario_qty"] > busy["base_qty"]) == ("busy", True)  # the 24 under way do not come
    assert told["changed"]["orders_count"] == 2
    assert "calm at main cannot be ordered then: No supplier sells this item." in " ".join(said.split())
    assert "Nothing was changed" in said
    assert max(map(len, said.splitlines())) <= 80


def test_what_was_on_its_way_from_a_failed_supplier_does_not_come(planned: Path) -> None:
    release = served_release(planned / "releases")

    with open_scratch(release) as conn:
        suppose(conn, Scenario(failed_supplier_id="s1"))

        assert conn.sql("SELECT count(*) FROM marts.fct_inbound").fetchall() == [(0,)]
        assert conn.sql("SELECT count(*) FROM release.marts.fct_inbound").fetchall() == [(1,)]


def test_a_closed_location_orders_nothing(ordercast: Terminal) -> None:
    told = ordercast.json("what-if", "--closes", "main")

    assert told["changed"]["orders_count"] == 0
    assert {row["reason"] for row in told["newly_excluded"]} == {"Location is inactive."}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 3, "Nothing differs from the base"),
        (("--supplier-fails", "nobody"), 3, "There is no supplier 'nobody' in the served release; there are s1, s2."),
        (("--closes", "nowhere"), 3, "There is no location 'nowhere'"),
        (("--demand", "20"), 2, "such as +20%"),
        (("--demand", "-100%"), 2, "above -100%"),
        (("--service-level", "95"), 2, "0.98 is 98 %"),
        (("--lead-time", "400"), 2, "up to 365"),
    ],
)
def test_a_scenario_that_makes_no_sense_is_refused_with_what_to_write(
    ordercast: Terminal, arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended, _, err = ordercast("what-if", *arguments)

    assert ended == code
    assert words in " ".join(err.replace("│", " ").split())


def test_past_weeks_are_replayed_under_each_policy_and_foresight_is_cheapest(ordercast: Terminal) -> None:
    told = ordercast.json("replay", "--from", "2025-03-01", "--policies", "textbook,ours,min_max,clairvoyant,current")

    assert (told["from"], told["to"], told["weeks_count"], told["currency_code"]) == ("2025-02-24", "2025-06-29", 18, "EUR")
    assert told["items_count"] == 4
    costs = [row["cost_amount"] for row in told["results"]]
    assert costs[1:] == sorted(costs[1:])
    assert [row["policy"] for row in told["results"][:2]] == ["current", "clairvoyant"]
    assert {row["policy"] for row in told["results"]} == {"textbook", "ours", "min_max", "clairvoyant", "current"}
    for row in told["results"]:
        assert row["cost_amount"] == pytest.approx(row["holding_amount"] + row["lost_margin_amount"])
        assert (
            row["cost_at_low_demand_amount"] == row["cost_at_high_demand_amount"] == row["cost_amount"]
        )  # no week was mostly without stock
        assert 0.5 < row["fill_rate"] <= 1.0
    assert {row["sku"]: row["reason"] for row in told["left_out"]}["orphan"] == "not available: needs a supplier."


def test_a_replay_fits_the_terminal_and_says_who_is_left_out(ordercast: Terminal) -> None:
    code, said, err = ordercast("replay", "--from", "2025-05-19", "--policies", "textbook, min_max", "--sku", "busy")

    assert code == 0, err
    assert max(map(len, said.splitlines())) <= 80
    assert "1 item, 6 weeks from 2025-05-19 to 2025-06-29, in EUR" in said
    assert "In whole weeks" in said
    assert "not replayed" not in said


def test_an_item_that_a_plan_would_refuse_is_told_and_counted_in_no_result(planned: Path, tmp_path: Path) -> None:
    shutil.copyfile(planned / "warehouse.duckdb", tmp_path / "warehouse.duckdb")
    with open_warehouse(tmp_path / "warehouse.duckdb") as conn:
        conn.execute("UPDATE marts.dim_supplier_items SET max_order_qty = 5 WHERE sku = 'busy'")  # in packs of 6
        told = replay_history(conn, settings=Settings(home=tmp_path), policies=["textbook", "min_max"], since=date(2025, 5, 19))

    assert told.left_out.row(by_predicate=pl.col("sku") == "busy", named=True)["reason"].startswith("max_order_qty 5 is below")
    assert told.items_count == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--policies", "ours,magic"), "There is no policy 'magic'; there are current, ours, textbook, min_max"),
        (("--from", "2024-07-01"), "52 weeks; a replay needs 26 of them to learn from"),
        (("--from", "2025-06-20"), "lasts at least 4"),
        (("--to", "2025-07-20"), "The history in whole weeks goes from 2024-07-01 to 2025-06-29"),
        (("--sku", "nobody"), "Nothing was ever sold of sku 'nobody'"),
        (("--sku", "orphan"), "No item can be replayed: not available: needs a supplier."),
    ],
)
def test_a_replay_that_cannot_be_is_refused_with_the_reason(ordercast: Terminal, arguments: tuple[str, ...], words: str) -> None:
    code, _, err = ordercast("replay", *arguments)

    assert code == 3
    assert words in " ".join(err.split())


def test_a_rule_is_lived_through_before_and_after_it_and_the_figures_are_kept_with_it(
    ordercast: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    with OperationalStore.open(load_settings().resolved_store_url, must_exist=False) as store:
        store.migrate()
        set_operator(store, Operator("ann", "admin"), by="ann")

    code, said, err = ordercast(
        "rules", "add", "much", "--for", "sku=busy", "--set", "method=days_of_cover", "--set", "cover_days=90", "--reason", "Fair",
        "--replay",
    )  # fmt: skip

    assert code == 0, err
    (line,) = ordercast.json("rules", "show", "much")
    lived = line["preview"]["replay"]
    assert (lived["items_count"], lived["left_out_count"], lived["currency_code"]) == (1, 0, "EUR")
    assert float(lived["after"]["stock_value_amount"]) > 2 * float(lived["before"]["stock_value_amount"])
    assert lived["after"]["orders_count"] < lived["before"]["orders_count"] + lived["weeks_count"]
    assert f"{lived['weeks_count']} weeks from {lived['first_date']} lived through again by 1 item" in " ".join(said.split())
    assert "weeks replayed cost EUR" in " ".join(ordercast("rules", "show", "much")[1].split())


def test_a_rule_of_a_season_is_lived_through_in_its_season(planned: Path, tmp_path: Path) -> None:
    shutil.copyfile(planned / "warehouse.duckdb", tmp_path / "warehouse.duckdb")
    rule = PolicyRule(
        "much", 1, RuleScope(sku="busy"), RuleValues(method="days_of_cover", cover_days=90), date(2025, 7, 1), datetime(2025, 7, 1)
    )
    lived = {}
    with open_warehouse(tmp_path / "warehouse.duckdb") as conn:
        for season in (None, ("03-01", "03-31"), ("07-07", "12-23")):
            try:
                told = preview_replay(
                    conn, before=[], after=[replace(rule, season=season)], on=date(2025, 7, 1), settings=Settings(home=tmp_path)
                )
                lived[season] = told.after.stock_value_amount / told.before.stock_value_amount
            except PolicyRuleError as exc:
                lived[season] = str(exc)

    assert 1.0 < lived["03-01", "03-31"] < lived[None]
    assert "Nothing of it shows in a replay" in lived["07-07", "12-23"]  # no week of it is replayed


def test_what_no_replay_can_tell_is_refused_with_the_reason(ordercast: Terminal) -> None:
    OperationalStore.open(load_settings().resolved_store_url, must_exist=False).close()

    code, _, err = ordercast("rules", "preview", "--for", "sku=busy", "--set", "sourcing=store_first", "--replay")

    assert code == 3
    assert "Nothing of it shows in a replay" in " ".join(err.split())
