"""Every page, part by part, in every state: with a merchant's data, with none, old, unpublished, lacking what it needs, and before a viewer or planner."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner

from dashboards.pages import PAGES
from dashboards.queries import releases
from pipelines.decisions.roles import Operator, set_operator
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import current_release
from tests.dashboards.conftest import open_at
from tests.dashboards.real_release import copy_home, empty, provide_orders_only, published_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streamlit.testing.v1 import AppTest
    from streamlit.testing.v1.element_tree import ButtonGroup

    from dashboards.pages import PageSpec

STATES: Final[
    dict[str, tuple[Callable[[duckdb.DuckDBPyConnection], None] | None, int, str | None]]
] = {  # what is changed, days since publication, who looks
    "normal": (None, 0, None),
    "viewer": (None, 0, "vic"),
    "planner": (None, 0, "pam"),
    "stale": (None, 5, None),
    "empty": (empty, 0, None),
    "not available": (provide_orders_only, 0, None),
    "missing release": (None, 0, None),
}
# Pages and parts that speak of nothing but what orders and lines say go on without the rest; the others say what they need.
NEEDS_NOTHING_ELSE: Final = frozenset({"demand", "health", "metrics", "replay"})
NEED_ORDERS: Final = frozenset({"Coming back", "Worth", "Segments", "Best customers", "Bought together", "One customer"})
# What is proposed and what needs somebody stand in the store and what is checked in the release, whatever there is to sell; one customer is asked for first.
NEVER_EMPTY: Final = frozenset({"reorder", "health", "One customer", "Other exceptions"})
EMPTY: Final = re.compile(r"\b(no|nobody|nothing|none|not available|not enough|n = 0)\b", re.IGNORECASE)
ON_ALL_PAGES: Final = re.compile(r"No order has arrived yet|no operator is named")
HEAD_ONLY: Final = frozenset({"stale", "missing release"})  # what these states say stands above all parts
DECIDING: Final = re.compile(r"(Accept|Acknowledge|Approve|Give|Resolve|Order \d|Reject|Snooze|Undo|Save|Revert|Withdraw|Set )")


@pytest.fixture(scope="module", params=STATES)
def state(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, AppTest]]:
    """A name of `STATES`, and the app opened in it."""
    change, days, actor = STATES[request.param]
    home = copy_home(published_home(tmp_path_factory), tmp_path_factory.mktemp("state") / "home", change=change)
    release = current_release(home / "releases")
    assert release is not None
    now = datetime.fromisoformat(release.published_at) + timedelta(days=days, minutes=14)
    if request.param == "missing release":
        shutil.rmtree(home / "releases")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("ORDERCAST_HOME", str(home))
        if actor is not None:
            _add_operators(home)
            patch.setenv("ORDERCAST_OPERATOR", actor)
        patch.setattr(releases, "now", lambda: now)
        patch.setattr(manifest_scanner, "scan_component_manifests", list)  # looks through all installed packages at every run
        st.cache_data.clear()
        yield request.param, open_at("views/overview.py").run()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_what_it_can_in_all_its_parts(state: tuple[str, AppTest], page: PageSpec, subtests: pytest.Subtests) -> None:
    name, app = state

    app.switch_page(f"views/{page.name}.py").run()

    with subtests.test(part="first"):
        assert_says(name, page, app)
    for part in other_parts(app) if name not in HEAD_ONLY else ():
        own_choice(app)[0].set_value(part).run()
        with subtests.test(part=part):
            assert_says(name, page, app, part=part)


def own_choice(app: AppTest) -> list[ButtonGroup[Any]]:
    """What a page offers to choose beside the period; among its parts first."""
    return [group for group in app.button_group if group.key != "days"]


def other_parts(app: AppTest) -> list[str]:
    """The parts that are not shown."""
    return [option for group in own_choice(app)[:1] for option in group.options if option != group.value]


def assert_says(state: str, page: PageSpec, app: AppTest, *, part: str | None = None) -> None:
    """What is shown holds what this page, or this part of it, has to say in this state."""
    assert not app.exception
    assert not app.error
    assert [title.value for title in app.title] == [page.title]
    said = words(app)
    assert page.question in said
    if state == "missing release":
        assert "Nothing published yet: run `make run`" in said
        return
    assert "as of" in said
    assert ("No order has arrived yet" in said) is (state == "empty")
    deciding = {found[1] for button in app.button if not button.disabled and (found := DECIDING.match(button.label))}
    match state:
        case "stale":
            assert "days ago" in said
            assert "ordercast run" in said
        case "not available" if page.name not in NEEDS_NOTHING_ELSE and part not in NEED_ORDERS:
            assert "not available" in said.lower()
            assert "needs " in said
        case "empty" if NEVER_EMPTY.isdisjoint({page.name, part}):
            assert EMPTY.search(ON_ALL_PAGES.sub("", said))
        case "planner" if page.name == "reorder" and part is None:
            assert deciding >= {"Accept", "Approve", "Reject", "Snooze"}
        case "planner" if page.name == "at_risk" and part is None:
            assert deciding == {"Acknowledge", "Give", "Resolve", "Snooze"}
        case "normal" | "viewer":  # no operator is named, or one who may only look
            assert deciding == set()


def words(app: AppTest) -> str:
    """All that the page says outside tables and figures."""
    elements = [*app.title, *app.subheader, *app.markdown, *app.caption, *app.info, *app.success, *app.warning, *app.error]
    return "\n".join(element.value for element in elements)


def _add_operators(home: Path) -> None:
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store:
        for actor, role in (("ada", "admin"), ("pam", "planner"), ("vic", "viewer")):
            set_operator(store, Operator(actor, role, None, None, None), by="ada")  # type: ignore[arg-type]  # a role's name
