"""Orders at risk: what a planner sees, what is done about an exception, and what stands in the store afterwards."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import polars as pl
import pytest
import sqlalchemy as sa
import streamlit as st
from streamlit.components.v2 import manifest_scanner

from dashboards import handling
from dashboards.components import at_risk_list, at_risk_proof, exception_card
from dashboards.components.at_risk_detail import evidence
from dashboards.filters import Filters
from dashboards.queries import at_risk, releases
from dashboards.queries.exceptions import Exceptions, exceptions, page_of
from dashboards.queries.names import member_names
from dashboards.queries.reading import reading
from pipelines.alerts.listing import list_exceptions
from pipelines.alerts.verdicts import RulePrecision
from pipelines.decisions.roles import Operator, set_operator
from pipelines.stores.operational import OperationalStore
from pipelines.stores.own_tables import exception, exception_event
from tests.dashboards.conftest import open_at
from tests.dashboards.real_release import copy_home, published_home
from tests.dashboards.test_pages import words

if TYPE_CHECKING:
    from pathlib import Path

    from streamlit.testing.v1 import AppTest

    from dashboards.queries.releases import Served
    from pipelines.alerts.listing import ExceptionEntry

PAGE = "views/at_risk.py"
TODAY = date(2026, 11, 20)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small merchant's home, with an admin, a planner and a viewer."""
    home = copy_home(published_home(tmp_path_factory), tmp_path_factory.mktemp("at-risk") / "home")
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store:
        for actor, role in (("ada", "admin"), ("pam", "planner"), ("vic", "viewer")):
            set_operator(store, Operator(actor, role), by="ada")  # type: ignore[arg-type]  # a role's name
    return home


@pytest.fixture
def small_home(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of this test's own, with pam at the pages."""
    home = tmp_path / "home"
    shutil.copytree(template, home)
    monkeypatch.chdir(home)
    monkeypatch.setenv("ORDERCAST_HOME", str(home))
    monkeypatch.setenv("ORDERCAST_OPERATOR", "pam")
    monkeypatch.setattr(manifest_scanner, "scan_component_manifests", list)
    st.cache_data.clear()
    return home


@pytest.fixture
def served(small_home: Path) -> Served:
    """Its release, read as pages read it."""
    found = releases.served()
    assert found is not None
    return found


def standing(home: Path) -> list[ExceptionEntry]:
    """Exceptions about orders that stand, worst first."""
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store:
        return list_exceptions(store, states=("open", "acknowledged", "snoozed"), kind="order_jeopardy")


def steps(home: Path, exception_id: str) -> list[tuple[str, str]]:
    """Who did what with it since it was raised."""
    chosen = sa.select(exception_event.c.actor, exception_event.c.action).where(exception_event.c.exception_id == exception_id)
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store, store.transaction(writes=False) as conn:
        return [(row.actor, row.action) for row in conn.execute(chosen.order_by(exception_event.c.number)) if row.action != "raised"]


def press(app: AppTest, label: str) -> AppTest:
    """Clicks the one button of this label."""
    (button,) = [one for one in app.button if one.label == label]
    return button.click().run()


def first_exception(app: AppTest) -> str:
    """The exception of the order that stands open, by the key of its button."""
    (button,) = [one for one in app.button if one.label == "Acknowledge"]
    return str(button.key).split()[-1].partition(":")[0]


def test_the_cards_count_what_the_release_and_the_store_say(served: Served, small_home: Path) -> None:
    with reading(served.release) as conn:
        row = conn.execute(
            "select count(*) filter (promise_kind <> 'broken' and miss_probability >= 0.5), count(*) filter (promise_kind = 'broken'), "
            "sum(miss_probability * net_reporting_amount) filter (promise_kind <> 'broken' and miss_probability >= 0.5) / 100 "
            "from planning.order_jeopardy"
        ).fetchone()
    assert row is not None

    app = open_at(PAGE).run()

    told = {one.label: one.value for one in app.metric}
    assert told["Open orders at risk"] == f"{row[0]:,}"
    assert told["Already broken, still open"] == f"{row[1]:,}"
    assert told["Expected to be lost"].endswith(f" {row[2]:,.0f}")
    assert row[0] > 0


def test_orders_are_ranked_by_what_is_expected_to_be_lost_and_carry_their_exception(served: Served, small_home: Path) -> None:
    found = at_risk.at_risk(served, Filters(), exceptions(now=releases.now()))

    lost = found.standing["expected_amount"].to_list()
    assert lost == sorted(lost, reverse=True)
    assert len(set(lost)) > 10
    assert sorted(found.risky["exception_id"]) == sorted(one.exception_id for one in standing(small_home))
    assert set(found.risky["state"]) == {"Open"}


def test_the_page_follows_location_and_says_nothing_of_other_places(served: Served) -> None:
    whole = at_risk.at_risk(served, Filters(), Exceptions(()))
    with reading(served.release) as conn:
        (place,) = conn.execute("select location_id from planning.order_jeopardy limit 1").fetchone() or ("",)
        (count,) = conn.execute("select count(*) from planning.order_jeopardy where location_id = ?", [place]).fetchone() or (0,)

    found = at_risk.at_risk(served, Filters(location=(place,)), Exceptions(()))

    assert found.orders.height == count < whole.orders.height


def test_a_double_click_acknowledges_once(small_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = handling.submit

    def twice(*click: Any) -> None:
        submit(*click)
        submit(*click)

    monkeypatch.setattr(exception_card, "submit", twice)
    app = open_at(PAGE).run()
    exception_id = first_exception(app)

    press(app, "Acknowledge")

    assert steps(small_home, exception_id) == [("pam", "acknowledged")]
    assert "is acknowledged." in words(app)
    assert "Acknowledge" not in [one.label for one in app.button]


def test_what_sleeps_is_brought_back(small_home: Path) -> None:
    app = open_at(PAGE).run()
    exception_id = first_exception(app)

    press(app, "Snooze it")
    asleep = {one.exception_id: one.state for one in standing(small_home)}[exception_id]
    press(app, "Bring it back now")

    assert asleep == "snoozed"
    assert steps(small_home, exception_id) == [("pam", "snoozed"), ("pam", "acknowledged")]


def test_it_goes_to_somebody_else_and_is_resolved_with_a_note(small_home: Path) -> None:
    app = open_at(PAGE).run()
    exception_id = first_exception(app)

    next(one for one in app.text_input if one.label == "Operator or team").set_value("night shift")
    press(app, "Give it to them")
    next(one for one in app.selectbox if one.label == "As").set_value("fixed")
    next(one for one in app.text_input if one.label == "In your own words").set_value("Sent by courier")
    press(app, "Resolve it")

    assert steps(small_home, exception_id) == [("pam", "assigned"), ("pam", "resolved")]
    with OperationalStore.open(f"sqlite:///{small_home / 'store.db'}") as store, store.transaction(writes=False) as conn:
        row = conn.execute(sa.select(exception).where(exception.c.exception_id == exception_id)).mappings().one()
    assert (row["owner"], row["resolution_code"]) == ("night shift", "fixed")
    assert "Sent by courier" in row["resolution"]


def test_an_action_that_cannot_be_says_why_and_changes_nothing(small_home: Path) -> None:
    app = open_at(PAGE).run()
    exception_id = first_exception(app)

    press(app, "Resolve it")

    assert "It is resolved as one of" in "\n".join(one.value for one in app.error)
    assert steps(small_home, exception_id) == []


def test_a_planner_who_became_a_viewer_meanwhile_is_refused(small_home: Path) -> None:
    app = open_at(PAGE).run()
    exception_id = first_exception(app)
    with OperationalStore.open(f"sqlite:///{small_home / 'store.db'}") as store:
        set_operator(store, Operator("pam", "viewer"), by="ada")

    press(app, "Acknowledge")

    assert app.error
    assert steps(small_home, exception_id) == []


def test_several_are_acknowledged_together(small_home: Path) -> None:
    app = open_at(PAGE, part="Other exceptions")
    others = [one for one in exceptions(now=releases.now()).others if one.state == "open"]
    app.session_state["chosen"] = [one.exception_id for one in others]
    app.run()

    press(app, f"Acknowledge {len(others)} exceptions")

    assert [steps(small_home, one.exception_id) for one in others] == [[("pam", "acknowledged")]] * len(others)
    assert f"{len(others)} of {len(others)} exceptions are acknowledged" in words(app)
    assert len(others) > 1


def test_orders_are_shown_while_the_store_does_not_answer(served: Served, small_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_STORE_URL", f"sqlite:///{small_home}/no-such-folder/store.db")

    app = open_at(PAGE).run()

    assert not app.exception
    assert "What became of exceptions is unknown" in words(app)
    assert {one.label: one.value for one in app.metric}["Overdue exceptions"] == "-"
    assert "Acknowledge" not in [one.label for one in app.button]


def test_what_is_past_its_due_time_counts_as_overdue(small_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "now", lambda: datetime.now(UTC) + timedelta(days=60))

    app = open_at(PAGE).run()

    with OperationalStore.open(f"sqlite:///{small_home / 'store.db'}") as store:
        count = len(list_exceptions(store))
    assert {one.label: one.value for one in app.metric}["Overdue exceptions"] == f"{count:,}"


@pytest.mark.parametrize(
    ("subject", "link", "page", "address"),
    [
        ("order:O-1", "orders?search=O-1", "orders", {"order": "O-1"}),
        ("item:SKU-1@LOC-1", "reorder?search=SKU-1", "reorder", {"item": "SKU-1"}),
        ("metric:net_sales", "metrics?metric=net_sales", "metrics", {"metric": "net_sales"}),
        ("supplier:S1|late", "suppliers?supplier=S1", "suppliers", {"whose": "Leaf & Co"}),
        ("supplier:S2|late", "suppliers?supplier=S2", "suppliers", {"whose": "S2"}),
        ("returns:TEA", "returns?sku=TEA", "returns", {"what": "What and why", "cut": "Products", "one_product": "Green tea · TEA"}),
        ("forecast:bias_drift", "demand", "demand", {}),
        ("run:x", "nowhere", "health", {}),
    ],
)
def test_an_exception_leads_to_the_page_that_shows_it(subject: str, link: str, page: str, address: dict[str, str]) -> None:
    entry = cast("ExceptionEntry", type("Entry", (), {"subject": subject, "link": link}))

    assert page_of(entry, {"supplier": {"S1": "Leaf & Co"}, "sku": {"TEA": "Green tea"}}) == (page, address)


def test_a_link_opens_the_supplier_and_the_item_that_it_names(served: Served) -> None:
    names = {dimension: member_names(served, dimension) for dimension in ("supplier", "sku")}
    supplier = sorted(names["supplier"])[-1]
    with reading(served.release) as conn:
        last_week = "created_date > (select as_of_date - 28 from meta.run_context)"
        (sku,) = conn.execute(f"select sku from marts.fct_return_lines where {last_week} order by sku desc limit 1").fetchone() or ("",)
    opened = {}
    for link in (f"suppliers?supplier={supplier}", f"returns?sku={sku}"):
        page, address = page_of(cast("ExceptionEntry", type("Entry", (), {"subject": "", "link": link})), names)
        app = open_at(f"views/{page}.py", **address).run()
        opened |= {one.label: one.value for one in app.selectbox}

    assert opened["Supplier"] == supplier
    assert opened["Look into one product"] == sku


def test_an_order_with_an_exception_is_at_risk_whatever_its_rule_asks_for(served: Served, small_home: Path) -> None:
    found = at_risk.at_risk(served, Filters(), Exceptions(()))
    calm = found.standing.filter(pl.col("chance_rate") < 0.5)["order_id"][0]
    with OperationalStore.open(f"sqlite:///{small_home / 'store.db'}") as store, store.transaction() as conn:
        one = conn.execute(sa.select(exception).where(exception.c.kind == "order_jeopardy")).mappings().first()
        assert one is not None
        conn.execute(sa.insert(exception).values(**dict(one) | {"exception_id": "mild", "subject": f"order:{calm}"}))

    with_it = at_risk.at_risk(served, Filters(), exceptions(now=releases.now()))

    assert calm not in found.risky["order_id"].to_list()
    assert set(with_it.risky["order_id"]) == {*found.risky["order_id"], calm}


@pytest.mark.parametrize(("chance", "said"), [(0.95, "almost certain"), (0.7, "likely"), (0.5, "more likely than not"), (0.05, "unlikely")])
def test_a_probability_has_a_word(chance: float, said: str) -> None:
    assert at_risk.band_words(chance) == said


def test_a_promise_reads_as_people_say_it() -> None:
    row = {"promise_kind": "ship", "due_date": date(2026, 11, 23), "days_left": 3}

    assert at_risk_list.promise_words(row, today=TODAY) == "Leave by Mon 23 Nov, 3 days left"
    broken = {"promise_kind": "broken", "due_date": date(2026, 11, 19), "days_left": -1}
    assert at_risk_list.promise_words(broken, today=TODAY) == "Broken: was Thu 19 Nov, 1 day ago"


def test_the_evidence_says_what_became_of_orders_judged_like_it(served: Served) -> None:
    found = at_risk.at_risk(served, Filters(), Exceptions(()))
    row = found.risky.row(0, named=True)
    like = found.said_like(row["promise_kind"], row["chance_rate"])
    assert like is not None

    said = " ".join(evidence(row, found, hours=30.0, today=served.context.as_of_date))

    assert f"Stage: {row['stage']}, for 30.0 hours" in said
    assert f"{100 * like['missed_rate']:.0f} missed their promise" in said


def test_calibration_is_the_mean_distance_weighted_by_evenings() -> None:
    bands = pl.DataFrame({"said_rate": [0.1, 0.9], "missed_rate": [0.2, 0.9], "snapshots_count": [300, 100]})

    assert at_risk_proof.calibration_title(bands) == "what was said is 7.5 pp off what came, in the mean of 400 evenings"


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((0, 0, 0, 0), "No order has been named at risk yet."),
        ((34, 0, 0, 0), "No alert about an order has come due yet: 34 raised, none judged."),
        ((40, 30, 10, 2), "30 of 40 alerts about orders were right (75 %), of 40 raised, and 2 did not come about"),
    ],
)
def test_past_alerts_are_told_honestly(counts: tuple[int, int, int, int], said: str) -> None:
    raised, right, wrong, averted = counts
    rule = RulePrecision("order-jeopardy", "order_jeopardy", raised, 0, right, wrong, averted, None, None)

    assert at_risk_proof.past_words([rule]).startswith(said)
