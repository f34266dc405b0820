"""What is scarce, what moves, and the rules: shown, previewed, decided."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import polars as pl
import pytest

from dashboards.components.rule_trial import preview_options
from dashboards.components.rule_words import settings_words, times_words
from dashboards.components.share_table import split_words
from dashboards.jobs import COMMANDS
from dashboards.queries import allocation
from inventory.rule_preview import RulePreview
from inventory.rules import PolicyRule, RuleScope, RuleValues
from pipelines.cli.rule_words import scope_of, values_of
from pipelines.stores.operational import OperationalStore
from pipelines.stores.policy_rules import list_rules
from tests.dashboards.conftest import open_at
from tests.dashboards.example_shop import Shop
from tests.dashboards.test_deciding import labels, press
from tests.dashboards.test_reorder import words

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

    from dashboards.queries.releases import Served

ORDERED = {"O-1-1": date(2026, 11, 18), "O-2-1": date(2026, 11, 19), "O-3-1": date(2026, 11, 17)}


@pytest.fixture
def shop(kinds_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop of this test's own, with ada, an admin, at the pages."""
    monkeypatch.setenv("ORDERCAST_OPERATOR", "ada")
    return kinds_shop


def allocated(monkeypatch: pytest.MonkeyPatch, wants: list[tuple[str, int, int, int | None]], *, free: int) -> pl.DataFrame:
    """The shares of lines (order line, wants, gets, channel priority) of so many free units."""
    known = pl.DataFrame({"order_line_id": list(ORDERED), "ordered_date": list(ORDERED.values())}).with_columns(
        channel_id=pl.lit("web"), promised_ship_date=pl.lit(date(2026, 11, 21))
    )
    monkeypatch.setattr(allocation, "read_frame", lambda *_: known)
    lines = [
        {"order_line_id": line, "order_id": line[:3], "wanted_qty": wanted, "qty": qty, "priority": priority}
        for line, wanted, qty, priority in wants
    ]
    basis = json.dumps({"free_qty": free, "lines": lines, "method": "fair_share"})
    served = cast("Served", type("Served", (), {"release": None}))
    return allocation.shares(served, {"sku": "C-3", "location_id": "L1", "basis": basis})


def test_a_split_stands_beside_fair_share_and_first_come_first_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """50 units on wants of 10, 20 and 50 are 6, 13 and 31 (as in `inventory.fair_share`); O-3 came first and would take all."""
    lines = allocated(monkeypatch, [("O-1-1", 10, 10, 1), ("O-2-1", 20, 11, 2), ("O-3-1", 50, 29, 2)], free=50)

    assert lines["order_line_id"].to_list() == ["O-1-1", "O-3-1", "O-2-1"]
    assert lines["equal_qty"].to_list() == [6, 31, 13]
    assert lines["in_turn_qty"].to_list() == [0, 50, 0]
    assert lines["why"].to_list() == [
        "Channel priority 1: enough is there for all it wants",
        *["Channel priority 2: 40 of 70 wanted, in proportion to what each line wants"] * 2,
    ]
    assert split_words(lines) == "50 of 80 wanted units for 3 order lines; 1 gets all"


def test_a_class_that_nothing_is_left_for_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = allocated(monkeypatch, [("O-1-1", 10, 5, 1), ("O-2-1", 20, 0, None)], free=5)

    assert lines["why"][1] == "Every line counts alike: nothing is left once those before it are served"
    assert split_words(lines) == "5 of 30 wanted units for 2 order lines; 1 nothing"


def test_lanes_sum_what_moves_save_and_give_up() -> None:
    row: dict[str, Any] = {
        "currency_code": "EUR",
        "source": "West",
        "location": "South",
        "qty": 4,
        "at_risk": 30.0,
        "cost_if_accepted": 5.0,
    }

    (most, least) = allocation.lanes(
        pl.DataFrame([row, row | {"qty": 6, "cost_if_accepted": None}, row | {"source": "East", "at_risk": 9.0}])
    ).to_dicts()

    assert (most["lane"], most["transfers_count"], most["units_qty"], most["net_amount"]) == ("West → South", 2, 10, 55.0)
    assert (least["lane"], least["net_amount"]) == ("East → South", 4.0)


def test_what_a_rule_sets_reads_with_its_units() -> None:
    assert settings_words({"service_level": 0.98, "cover_days": 30, "method": "days_of_cover"}) == (
        "Service level 98.0 %, Cover (days) 30, Method days of cover"
    )
    assert settings_words({"budget_amount": 2500, "budget_currency_code": "EUR"}) == "Budget of a round EUR 2,500"
    ends = {"valid_from": date(2026, 10, 1), "valid_to": date(2026, 12, 31), "season_from": "10-01", "season_to": "12-31"}
    assert times_words(ends, today=date(2026, 11, 21)) == "from Thu 1 Oct to Thu 31 Dec, each year from 10-01 to 12-31"


def test_a_rule_is_asked_about_in_the_words_of_the_command_line() -> None:
    """What the form builds, `ordercast rules preview` reads back as the same rule."""
    scope = RuleScope(sku="A-1", category="Tea & Co", abc_class="A")
    values = RuleValues(
        service_level=0.985, cover_days=30, method="days_of_cover", budget_amount=Decimal("2500.5"), budget_currency_code="EUR"
    )
    rule = PolicyRule("tea", 1, scope, values, valid_from=date(2026, 11, 21), created_at=datetime(2026, 11, 20))

    options = preview_options(rule, RulePreview(date(2026, 11, 21), 0, (), (), ()))

    said = {flag: [value for name, value in options if name == flag] for flag in ("--for", "--set", "--on")}
    assert scope_of(said["--for"]) == scope
    assert RuleValues(**values_of(said["--set"])) == values
    assert said["--on"] == ["2026-11-21"]
    assert all(re.fullmatch(COMMANDS["rules preview"][name], value) for name, value in options)


def test_a_shortage_is_split_and_accepted_where_it_is_shown(shop: Shop) -> None:
    page = open_at("views/allocation.py").run()
    split = next(table.value for table in page.dataframe if "in_turn_qty" in table.value.columns)
    said = words(page)
    press(page, "Accept: Share 50 among 3 orders")

    assert not page.exception
    assert "**1 item with more wanted than is there and comes in time; EUR 70 at risk**" in said
    assert split[["order_id", "wanted_qty", "qty", "equal_qty", "in_turn_qty"]].to_numpy().tolist() == [
        ["O-1", 10, 6, 6, 10], ["O-2", 20, 13, 13, 20], ["O-3", 50, 31, 31, 20],
    ]  # fmt: skip
    assert [row["qty"] for row in shop.rows("order_line_reservation")] == [6, 13, 31]


def test_a_transfer_is_shown_on_its_lane_and_accepted(shop: Shop) -> None:
    page = open_at("views/allocation.py", part="Transfers").run()
    said = words(page)
    done = press(page, "Accept: Move 59 from South")

    assert "**1 transfer would save EUR 60 and give up EUR 0; most of it from South to North**" in said
    drafts = next(table.value for table in done.dataframe if "draft_id" in table.value.columns and "source" in table.value.columns)
    assert drafts[["source", "location", "qty"]].to_numpy().tolist() == [["South", "North", 59]]


def test_an_admin_previews_a_rule_schedules_it_and_reverts_it(shop: Shop) -> None:
    page = written(open_at("views/allocation.py", part="Rules").run())
    page.date_input(key="rule-A new rule-from").set_value(date(2026, 12, 7)).run()
    previewed = words(page)
    press(page, "Save the rule")
    after = words(page)
    listed = next(table.value for table in page.dataframe if "times" in table.value.columns)
    (scheduled,) = kept(shop)
    page.text_input(key="revert-reason").set_value("Too dear")
    press(page, "Revert steady/1")
    (version,) = kept(shop)

    assert "**Everything\\: Service level 98.0 %, from Mon 7 Dec on**" in previewed
    assert "On Mon 7 Dec it changes 3 items of 3:" in previewed
    assert "Service level from default to 98.0 %\\: 3 items" in previewed
    assert "**steady/1 stands**" in after
    assert (scheduled["valid_from"], scheduled["reverted_by"]) == (date(2026, 12, 7), None)
    assert listed[["rule", "state", "times"]].to_numpy().tolist() == [["steady/1", "To come", "from Mon 7 Dec on"]]
    assert (version["rule_id"], version["author"], version["reason"], version["reverted_by"]) == ("steady", "ada", "We live from it", "ada")
    assert "**steady/1 is reverted**\\: no version of it is left" in words(page).replace("**:", "**\\:")


def test_who_is_no_admin_may_look_and_not_save(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_OPERATOR", "ann")

    page = written(open_at("views/allocation.py", part="Rules").run())

    assert "Only an admin may save a rule." in words(page)
    assert not [label for label in labels(page) if label.startswith(("Save", "Revert"))]
    assert kept(shop) == []


def written(page: AppTest) -> AppTest:
    """A rule of a name, a setting and a reason stands in the form."""
    page.text_input(key="rule-A new rule-name").set_value("steady")
    page.text_input(key="rule-A new rule-reason").set_value("We live from it")
    page.multiselect(key="rule-A new rule-sets").set_value(["service_level"]).run()
    return page.number_input(key="rule-A new rule-service_level").set_value(98.0).run()


def kept(shop: Shop) -> list[dict[str, Any]]:
    """All versions in the store."""
    with OperationalStore.open(f"sqlite:///{shop.home / 'store.db'}") as store:
        return list_rules(store)
