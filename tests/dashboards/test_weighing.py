"""How suggestions are weighed: how soon, how sure, what they rest on, and what a supplier's come to."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, cast

import polars as pl
import pytest
import streamlit as st

from dashboards.components.worklist import due_words, sure_words, what_words
from dashboards.components.worklist_cards import is_phone
from dashboards.queries import releases, worklist
from dashboards.queries.suggestions import TO_DECIDE, Suggestions
from dashboards.queries.worklist import DEARER, LATER, NOT_TESTED, OVERDUE, SECOND, SURE, THIS_WEEK, TODAY, UNDECIDED
from pipelines.settings import Settings
from pipelines.stores.warehouse import RunContext

if TYPE_CHECKING:
    from pipelines.stores.releases import Release

AS_OF = date(2026, 11, 20)
NOW = date(2026, 11, 21)
ITEM: dict[str, Any] = {
    "recommendation_key": "k", "rec_id": "r", "state": TO_DECIDE, "kind": "purchase", "sku": "A-1", "location_id": "L1",
    "source_location_id": None, "supplier_id": "S1", "supplier": "Supplier one", "currency_code": "EUR", "order_by": AS_OF,
    "need_by": AS_OF, "expected_receipt": AS_OF, "at_risk": 100.0, "at_risk_basis": "margin", "is_dearer_than_waiting": False,
    "cost": 50.0,
}  # fmt: skip
TYPES = {"source_location_id": pl.String, "order_by": pl.Date, "cost": pl.Float64}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> releases.Served:
    """A release whose tables are these frames: A-1 and C-1 were tested, k-rest counts a move, S1 asks for EUR 200 an order."""
    scores = {"sku": ["A-1", "C-1"], "location_id": ["L1", "L1"], "forecast_gain_rate": [0.28, -0.1]}
    tables = {
        worklist._SCORES: pl.DataFrame(scores),
        worklist._COUNTING: pl.DataFrame({"recommendation_key": ["k-rest"], "rests_on": ["4 units from L2."]}),
        worklist._MINIMA: pl.DataFrame({"supplier_id": ["S1"], "currency_code": ["EUR"], "minor_amount": [20_000]}),
    }
    monkeypatch.setattr(worklist, "read_frame", lambda _release, sql, *_: tables[sql])
    st.cache_data.clear()
    return releases.Served(cast("Release", None), RunContext("run", AS_OF, "Europe/Berlin", "EUR", "m", "o"))


def weighed(served: releases.Served, *rows: dict[str, Any]) -> pl.DataFrame:
    """These suggestions, weighed, by key."""
    frame = pl.DataFrame([ITEM | row for row in rows], schema_overrides=TYPES, infer_schema_length=None)
    none = pl.DataFrame()
    found = Suggestions(frame, none, none, none, none, None, "away")
    return worklist.weighed(served, found, settings=Settings(one_person_amount=1000))


def test_sure_is_what_nothing_speaks_against_and_else_the_first_reason_stands(served: releases.Served) -> None:
    found = weighed(
        served, {"recommendation_key": "sure"}, {"recommendation_key": "dear", "is_dearer_than_waiting": True},
        {"recommendation_key": "k-rest"}, {"recommendation_key": "new", "sku": "B-1"}, {"recommendation_key": "large", "cost": 1001.0},
        {"recommendation_key": "move", "kind": "transfer", "source_location_id": "L2"}, {"recommendation_key": "bad", "sku": "C-1"},
    )  # fmt: skip

    assert dict(found.select("recommendation_key", "sure").iter_rows()) == {
        "sure": SURE, "dear": DEARER, "k-rest": UNDECIDED, "new": NOT_TESTED, "large": SECOND, "move": None,
        "bad": worklist.NOT_BETTER,
    }  # fmt: skip


def test_an_order_rests_on_a_move_only_while_nobody_has_accepted_it(served: releases.Served) -> None:
    move = {"recommendation_key": "move", "kind": "transfer", "source_location_id": "L2"}

    undecided, accepted = (
        weighed(served, {"recommendation_key": "k-rest"}, move | {"state": state}).filter(kind="purchase")["rests_on"][0]
        for state in (TO_DECIDE, "Approved")
    )

    assert (undecided, accepted) == ("4 units from L2.", None)


def test_due_separates_what_comes_too_late_from_what_is_to_do_today(served: releases.Served) -> None:
    later = date(2026, 12, 1)
    found = weighed(
        served, {"recommendation_key": "late", "expected_receipt": later}, {"recommendation_key": "today"},
        {"recommendation_key": "week", "order_by": date(2026, 11, 25)}, {"recommendation_key": "later", "order_by": later},
    )  # fmt: skip

    assert dict(found.select("recommendation_key", "due").iter_rows()) == {
        "late": OVERDUE, "today": TODAY, "week": THIS_WEEK, "later": LATER,
    }  # fmt: skip


def test_most_at_risk_comes_first_and_most_of_it_lies_in_few(served: releases.Served) -> None:
    found = weighed(served, *({"recommendation_key": str(risk), "at_risk": risk} for risk in (5.0, 80.0, 15.0)))

    assert found["at_risk"].to_list() == [80.0, 15.0, 5.0]
    assert worklist.count_holding(found) == 1
    assert worklist.count_holding(found, 0.9) == 2


def test_how_urgent_a_list_is_counts_what_is_due_and_sums_one_currency_only(served: releases.Served) -> None:
    late = {"recommendation_key": "late", "expected_receipt": date(2026, 12, 1), "at_risk": 80.0}
    one = weighed(served, late, {"at_risk": 15.0}, {"recommendation_key": "week", "order_by": date(2026, 11, 25), "at_risk": 5.0})
    several = weighed(served, late, {"currency_code": "USD"})

    counted = worklist.pressure(one)

    assert (counted.overdue_count, counted.today_count) == (1, 1)
    assert (counted.at_risk_amount, counted.currency_code, counted.holding_count) == (100.0, "EUR", 1)
    assert worklist.pressure(several).at_risk_amount is None
    assert worklist.pressure(one.clear()).at_risk_amount is None


def test_a_supplier_is_held_to_its_minimum_at_each_place(served: releases.Served) -> None:
    """EUR 200 an order: L1 asks for 250 and reaches it, L2 for 50 and lacks 150."""
    listed = weighed(served, {"cost": 250.0}, {"recommendation_key": "k-2", "location_id": "L2", "cost": 50.0, "at_risk": 1.0})
    none = pl.DataFrame()

    (group,) = worklist.supplier_groups(served, listed, Suggestions(listed, none, none, none, none, None, "away")).to_dicts()

    assert (group["orders_count"], group["cost"], group["minimum_amount"]) == (2, 300.0, 200.0)
    assert (group["missing_amount"], group["below_count"]) == (150.0, 1)


def test_filters_leave_what_all_of_them_allow(served: releases.Served) -> None:
    found = weighed(
        served, {"recommendation_key": "a"}, {"recommendation_key": "b", "at_risk": 10.0}, {"recommendation_key": "c", "sku": "B-1"}
    )

    kept = worklist.narrowed(found, dues=[TODAY], sureness=[SURE], least=50)

    assert kept["recommendation_key"].to_list() == ["a"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (what_words({"kind": "purchase", "state": TO_DECIDE, "raw_qty": 231, "qty": 240, "source": None, "basis": "{}"}, today=NOW),
         "Order 240 (need 231)"),
        (what_words({"kind": "purchase", "state": TO_DECIDE, "raw_qty": 240, "qty": 240, "source": None, "basis": "{}"}, today=NOW),
         "Order 240"),
        (due_words({"due": OVERDUE, "order_by": AS_OF}, as_of=AS_OF, today=NOW), "Overdue"),
        (due_words({"due": LATER, "order_by": date(2026, 12, 1)}, as_of=AS_OF, today=NOW), "Tue 1 Dec"),
        (sure_words({"sure": SURE, "forecast_gain_rate": 0.28}), "Sure: forecast 28 % better"),
        (sure_words({"sure": DEARER, "forecast_gain_rate": -0.1}), "Dearer than waiting; forecast no better than naive"),
        (sure_words({"sure": NOT_TESTED, "forecast_gain_rate": None}), "Forecast not tested"),
        (sure_words({"sure": None, "forecast_gain_rate": 0.2}), None),
    ],
)  # fmt: skip
def test_a_row_says_what_when_and_how_sure(said: str | None, expected: str | None) -> None:
    assert said == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Sec-CH-UA-Mobile": "?1"}, True),
        ({"User-Agent": "Mozilla/5.0 (iPhone) Mobile/15E148"}, True),
        ({"User-Agent": "Mozilla/5.0 (X11; Linux)", "Sec-CH-UA-Mobile": "?0"}, False),
        ({}, False),
    ],
)
def test_a_phone_is_known_by_its_headers(headers: dict[str, str], *, expected: bool) -> None:
    assert is_phone(headers) is expected
