"""Pages on a small published release, on a fixed wall clock."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import streamlit as st
from streamlit import config
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from dashboards.queries import releases
from pipelines.settings import Settings
from pipelines.steps.transform import prepare_manifest
from pipelines.stores.metrics import catalogue_from_manifest, catalogue_to_json
from tests.dashboards.example_kinds import open_kinds
from tests.dashboards.example_release import NOW, Merchant, publish_release
from tests.dashboards.example_shop import Shop, open_shop

if TYPE_CHECKING:
    from collections.abc import Callable

APP = Path(__file__).resolve().parents[2] / "dashboards" / "app.py"
DEFAULT_VIEW = "views/overview.py"


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The project's own metric catalogue, as releases carry it."""
    manifest = prepare_manifest(Settings(home=tmp_path_factory.mktemp("catalogue")))
    return catalogue_to_json(catalogue_from_manifest(json.loads(manifest.read_text(encoding="utf-8"))))


@pytest.fixture(scope="module", autouse=True)
def at_this_machine() -> None:
    """Pages are served on the loopback address, as `.streamlit/config.toml` says where tests do not run."""
    config.set_option("server.address", "127.0.0.1")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder that pages read, on a fixed wall clock, with nothing cached."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path))
    monkeypatch.setattr(releases, "now", lambda: NOW)
    config.set_option("server.address", "127.0.0.1")  # the test before may have served elsewhere
    # Every run of a page looks through all installed packages for components: most of what it costs, and we have none.
    monkeypatch.setattr(manifest_scanner, "scan_component_manifests", list)
    st.cache_data.clear()
    return tmp_path


@pytest.fixture
def publish_for(home: Path, catalogue: str) -> Callable[[Merchant], None]:
    """Publishes a merchant's release and puts its suggestions into the operational store."""

    def publish_merchant(merchant: Merchant) -> None:
        publish_release(home, merchant, catalogue=catalogue)

    return publish_merchant


@pytest.fixture(scope="session")
def home_of_kinds(tmp_path_factory: pytest.TempPathFactory, catalogue: str) -> Path:
    """A home folder with the example merchant's release and a suggestion of each kind, to be copied."""
    folder = tmp_path_factory.mktemp("kinds")
    publish_release(folder, Merchant(), catalogue=catalogue)
    open_kinds(open_shop(folder))
    return folder


@pytest.fixture
def kinds_shop(home: Path, home_of_kinds: Path) -> Shop:
    """A shop of this test's own with a suggestion of each kind."""
    shutil.copytree(home_of_kinds, home, dirs_exist_ok=True)
    return Shop(home)


@pytest.fixture
def overview(home: Path) -> Callable[[], AppTest]:
    """Opens the overview."""
    return lambda: open_at(DEFAULT_VIEW).run()


@pytest.fixture
def reorder(home: Path) -> Callable[[], AppTest]:
    """Opens the worklist."""
    return lambda: open_at("views/reorder.py").run()


def open_at(view: str, **address: str | list[str]) -> AppTest:
    """The app on one of its pages with this query string, not yet run."""
    page = AppTest.from_file(str(APP), default_timeout=30)
    if view != DEFAULT_VIEW:
        page.run().switch_page(view)
    page.query_params |= address
    return page
