"""Whole paths in a real browser: what only a browser shows, such as addresses, downloads and charts."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.dashboards.example_release import AS_OF, Merchant, publish_release
from tests.dashboards.example_shop import Shop, open_shop
from tests.dashboards.serving import browsing, free_port, needs_browser, served

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_browser


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, catalogue: str) -> Shop:
    """A published release and the shop behind it."""
    home = tmp_path_factory.mktemp("home")
    publish_release(home, Merchant(published_at=datetime.now(UTC)), catalogue=catalogue)
    return open_shop(home)


@pytest.fixture(scope="module")
def address(shop: Shop) -> Iterator[str]:
    """The app's address, with an operator at it."""
    with served(shop.home, free_port(), {"ORDERCAST_OPERATOR": "ann"}) as address:
        yield address


@pytest.fixture
def page() -> Iterator[Page]:
    """A page in a fresh browser."""
    with browsing() as context:
        yield context.new_page()


def test_a_manager_sees_the_figures_and_a_planner_leaves_with_the_list(address: str, shop: Shop, page: Page) -> None:
    page.goto(address)
    expect(page.get_by_test_id("stMetric")).to_have_count(6)
    page.get_by_role("radio", name="91 days").click()
    page.wait_for_url("**/?days=91*")
    page.get_by_role("link", name="Open the worklist").click()
    page.wait_for_url("**/reorder*")
    expect(page.get_by_text("Without the order, stock is used up on")).to_be_visible()
    expect(page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").first.click()
        page.get_by_role("button", name="CSV").click()

    assert download.value.suggested_filename == f"reorder-worklist-{AS_OF.isoformat()}.csv"
    lines = Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 3
    assert lines[2].count("'=HYPERLINK") == 1
    with sqlite3.connect(shop.home / "store.db") as store:
        assert store.execute("SELECT action, object_type, rows_count FROM access_log").fetchall() == [("export", "reorder-worklist", 2)]
    assert page.get_by_test_id("stException").count() == 0


def test_a_phone_shows_everything_without_scrolling_sideways(address: str, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})

    for path in ("", "/reorder"):
        page.goto(address + path)
        expect(page.get_by_test_id("stMetric" if not path else "stVegaLiteChart").first).to_be_visible()

        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    for name in ("Accept 240 units", "Edit quantity", "Snooze", "Reject"):
        box = page.get_by_role("button", name=name).first.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390


def test_two_clicks_a_third_of_a_second_apart_order_once_and_touch_no_other_suggestion(address: str, shop: Shop, page: Page) -> None:
    page.goto(address + "/reorder")
    accept = page.get_by_role("button", name="Accept 240 units")
    accept.scroll_into_view_if_needed()
    box = accept.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 20, box["y"] + 10, click_count=2, delay=150)
    expect(page.get_by_text("Approved: 240 units on draft")).to_be_visible()
    page.get_by_role("button", name="Go on").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Accept 100 units")).to_be_visible()

    assert [(line["sku"], line["qty"]) for line in shop.rows("draft_order_line")] == [("A-1", 240)]
    assert len(shop.rows("decision")) == 1
    assert page.get_by_test_id("stException").count() == 0
