"""What people do with the pages, from the first click to what stands in the store; and every part of every page before axe."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from dashboards.pages import PAGES
from pipelines.decisions.roles import Operator, set_operator
from pipelines.stores.operational import OperationalStore
from pipelines.stores.own_tables import metadata
from tests.dashboards.axe import serious_violations
from tests.dashboards.real_release import copy_home, published_home
from tests.dashboards.serving import browsing, free_port, needs_browser, served, settle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Locator, Page

    from dashboards.pages import PageSpec

pytestmark = needs_browser


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small merchant whom the whole job served, with an admin and a planner."""
    copied = copy_home(published_home(tmp_path_factory), tmp_path_factory.mktemp("stories") / "home")
    with OperationalStore.open(f"sqlite:///{copied / 'store.db'}") as store:
        store.migrate()
    set_role(copied, "ada", "admin")
    set_role(copied, "pam", "planner")
    return copied


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    """The app, with pam at it."""
    with served(home, free_port(), {"ORDERCAST_OPERATOR": "pam"}) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    with browsing() as context:
        yield context


def set_role(home: Path, actor: str, role: str) -> None:
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store:
        set_operator(store, Operator(actor, role), by="ada")  # type: ignore[arg-type]  # a role's name


def rows(home: Path, table: str) -> list[dict[str, Any]]:
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store, store.transaction(writes=False) as conn:
        return [dict(row) for row in conn.execute(sa.select(metadata.tables[table])).mappings()]


def path_of(page: PageSpec) -> str:
    return "" if page is PAGES[0] else page.name


@pytest.mark.parametrize("spec", PAGES, ids=lambda spec: spec.name)
def test_axe_finds_nothing_serious_on_any_part_of_a_page_or_in_the_dark(address: str, browser: BrowserContext, spec: PageSpec) -> None:
    page = browser.new_page()
    page.goto(f"{address}/{path_of(spec)}")
    settle(page)

    found = {"first part": serious_violations(page)}
    page.emulate_media(color_scheme="dark")
    settle(page)
    found["in the dark"] = serious_violations(page)
    page.emulate_media(color_scheme="light")
    for part in other_parts(page):  # the pointer stays on what it chose, whose colours are others then
        page.get_by_role("radio", name=part, exact=True).click()
        settle(page)
        found[part] = serious_violations(page)
    page.close()

    assert {where: said for where, said in found.items() if said} == {}


def other_parts(page: Page) -> list[str]:
    """The names of the page's parts that are not shown: its first choice beside the period is among them."""
    choices = page.get_by_test_id("stMain").locator(".stElementContainer:not(.st-key-days)").get_by_test_id("stButtonGroup")
    if not choices.count():
        return []
    return choices.first.get_by_role("radio", checked=False).all_inner_texts()


def test_axe_is_heard_about_everything_but_what_streamlit_draws_itself(browser: BrowserContext) -> None:
    page = browser.new_page()
    page.set_content("""<html lang="en"><title>T</title><main><img src="x.png"><ul><div>not an item</div></ul>
        <ul data-testid="stSidebarNavItems"><div><li>Streamlit's</li></div></ul><p style="color: #aaa">faint</p></main></html>""")

    found = [said.partition(":")[0] for said in serious_violations(page)]
    page.close()

    assert sorted(found) == ["color-contrast", "image-alt", "list"]


def test_a_planner_accepts_edits_rejects_and_finds_the_drafts_in_the_store(address: str, home: Path, browser: BrowserContext) -> None:
    page = browser.new_page()
    page.goto(f"{address}/reorder?kind=Order")
    accepted = units(accept_button(page))
    double_click(page, accept_button(page))
    expect(page.get_by_text(f"Approved: {accepted} units on draft")).to_be_visible()
    assert len(rows(home, "draft_order_line")) == 1  # a double click orders once

    go_on(page)
    wanted = units(accept_button(page)) * 2
    page.get_by_role("button", name="Edit quantity").click()
    page.get_by_role("spinbutton", name="Units").fill(str(wanted))
    page.keyboard.press("Tab")
    order = page.get_by_role("button", name=re.compile(r"^Order [\d,]+ units$"))
    expect(order).not_to_have_text(f"Order {wanted // 2:,} units")
    edited = units(order)
    order.click()
    expect(page.get_by_text(f"Approved: {edited:,} units on draft")).to_be_visible()

    go_on(page)
    refused = units(accept_button(page))
    page.get_by_role("button", name="Reject", exact=True).click()
    page.get_by_label("Why", exact=True).click()
    page.get_by_role("option").first.click()
    page.get_by_role("button", name="Reject it").click()
    expect(page.get_by_text("Rejected; this need is not proposed again")).to_be_visible()

    assert sorted(line["qty"] for line in rows(home, "draft_order_line")) == sorted([accepted, edited])
    decisions = sorted((row["actor"], row["action"], row["qty_before"]) for row in rows(home, "decision"))
    assert decisions == sorted([("pam", "approve", accepted), ("pam", "approve", wanted // 2), ("pam", "reject", refused)])
    page.goto(f"{address}/reorder?show=Drafts")
    settle(page)
    expect(page.get_by_text("draft order").first).to_be_visible()
    assert page.get_by_test_id("stException").count() == 0


def test_two_clicks_on_an_order_at_risk_acknowledge_it_once_and_do_nothing_else(address: str, home: Path, browser: BrowserContext) -> None:
    page = browser.new_page()
    page.goto(f"{address}/at_risk")
    acknowledge = page.get_by_role("button", name="Acknowledge", exact=True)
    expect(acknowledge).to_be_visible()

    double_click(page, acknowledge)
    expect(page.get_by_text("is acknowledged.")).to_be_visible()
    settle(page)

    done = [row["action"] for row in rows(home, "exception_event") if row["actor"] == "pam"]
    assert done == ["acknowledged"]
    assert page.get_by_test_id("stException").count() == 0


def test_an_admin_schedules_a_rule_and_takes_it_back(address: str, home: Path, browser: BrowserContext) -> None:
    page = browser.new_page()
    page.goto(f"{address}/allocation?part=Rules")
    choose(page, "Sets", 1)
    expect(page.get_by_text("Only an admin may save a rule")).to_be_visible()  # pam is a planner
    set_role(home, "pam", "admin")
    page.reload()
    choose(page, "Sets", 1)
    page.get_by_role("textbox", name="Name").fill("calmer")
    page.get_by_role("textbox", name="Why").fill("A trial")
    page.keyboard.press("Tab")
    save = page.get_by_role("button", name="Save the rule")
    expect(save).to_be_enabled()
    save.click()
    expect(page.get_by_text("calmer/1 stands")).to_be_visible()
    (rule,) = rows(home, "policy_rule")
    assert (rule["rule_id"], rule["author"], rule["reason"], rule["reverted_by"]) == ("calmer", "pam", "A trial", None)

    page.get_by_role("button", name="Revert a rule").click()
    popover = page.get_by_test_id("stPopoverBody")
    popover.get_by_role("textbox", name="Why").fill("It was not")
    page.keyboard.press("Tab")
    popover.get_by_role("button", name="Revert calmer/1").click()
    expect(page.get_by_text("calmer/1 is reverted")).to_be_visible()

    (rule,) = rows(home, "policy_rule")
    assert (rule["reverted_by"], rule["revert_reason"]) == ("pam", "It was not")
    set_role(home, "pam", "planner")
    assert page.get_by_test_id("stException").count() == 0


def choose(page: Page, label: str, number: int) -> None:
    """The option of this number, from 1, in the list of this name."""
    settle(page)
    page.get_by_label(label, exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.get_by_role("option").nth(number - 1).click()
    page.keyboard.press("Tab")  # Escape would clear a single choice
    settle(page)


def test_a_manager_goes_from_a_tile_to_one_order_and_a_copied_link_shows_it_to_somebody_else(address: str, browser: BrowserContext) -> None:
    page = browser.new_page()
    page.goto(address)
    page.get_by_role("radio", name="91 days").click()
    page.get_by_text("By location", exact=True).first.click()
    page.wait_for_url("**/metrics?*metric=on_time_in_full*")
    expect(page.get_by_text("91 days").first).to_be_visible()
    choose(page, "Look closer at one location", 1)
    page.get_by_role("button", name=re.compile("^Narrow to ")).click()
    page.wait_for_url("**/metrics?*location=*")
    page.get_by_test_id("stMain").get_by_role("link", name="Open orders").click()
    page.wait_for_url("**/orders?*location=*")
    settle(page)
    table = page.get_by_test_id("stDataFrame").last
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 15, box["y"] + 52)  # the first row; tables are drawn on a canvas
    page.wait_for_url("**/orders?*order=O-*")
    expect(page.get_by_text("What happened", exact=True)).to_be_visible()
    page.get_by_role("button", name="Copy link").click()
    link = page.get_by_test_id("stPopoverBody").get_by_test_id("stCode").inner_text()
    seen = story_of(page)

    assert browser.browser is not None
    with browser.browser.new_context() as other:  # somebody else's: no cookie, no session
        again = other.new_page()
        again.goto(link)
        expect(again.get_by_text("What happened", exact=True)).to_be_visible(timeout=30_000)

        assert story_of(again) == seen
        assert again.url == page.url


def story_of(page: Page) -> tuple[str, list[str]]:
    """What the page shows of an order: what it was narrowed to, and its headings and bold words."""
    settle(page)
    return page.get_by_role("textbox", name="Find an order").input_value(), page.locator(
        "[data-testid=stMain] h1, [data-testid=stMain] h3"
    ).all_inner_texts()


def accept_button(page: Page) -> Locator:
    button = page.get_by_role("button", name=re.compile(r"^Accept [\d,]+ units"))
    expect(button).to_be_visible()
    return button


def units(button: Locator) -> int:
    (number,) = re.findall(r"(?:Accept|Order) ([\d,]+) units", button.inner_text())
    return int(number.replace(",", ""))


def double_click(page: Page, button: Locator) -> None:
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 20, box["y"] + 10, click_count=2, delay=150)


def go_on(page: Page) -> None:
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("button", name="Go on")).to_have_count(0)
    settle(page)
