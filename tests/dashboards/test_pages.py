"""Every page in every state: with a merchant's data, with none, old, unpublished, lacking what it needs, and before a viewer or planner."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

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
# Pages that speak of nothing but what orders and lines say go on without the rest; the others say what they need.
NEEDS_NOTHING_ELSE: Final = frozenset({"demand", "health", "metrics", "replay"})


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
def test_a_page_says_what_it_can(state: tuple[str, AppTest], page: PageSpec) -> None:
    name, app = state

    app.switch_page(f"views/{page.name}.py").run()

    assert not app.exception
    assert [title.value for title in app.title] == [page.title]
    said = words(app)
    assert page.question in said
    assert not app.error
    match name:
        case "missing release":
            assert "Nothing published yet" in said
        case "stale":
            assert "days ago" in said
            assert "ordercast run" in said
        case "not available" if page.name not in NEEDS_NOTHING_ELSE:
            assert "not available" in said.lower()
            assert "needs " in said
        case "viewer":
            assert not [button.label for button in app.button if button.label.startswith(("Accept", "Approve", "Save", "Revert"))]
        case _:
            assert "as of" in said


def words(app: AppTest) -> str:
    """All that the page says outside tables and figures."""
    elements = [*app.title, *app.subheader, *app.markdown, *app.caption, *app.info, *app.success, *app.warning, *app.error]
    return "\n".join(element.value for element in elements)


def _add_operators(home: Path) -> None:
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store:
        for actor, role in (("ada", "admin"), ("pam", "planner"), ("vic", "viewer")):
            set_operator(store, Operator(actor, role, None, None, None), by="ada")  # type: ignore[arg-type]  # a role's name
