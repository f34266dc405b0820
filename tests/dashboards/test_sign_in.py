"""Signing in, with a real provider and a real browser: who is let in, as whom, for how long, and who is not."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from playwright.sync_api import expect

from pipelines.decisions.roles import Operator, set_operator
from pipelines.decisions.sign_ins import SignIn, link, unlink
from pipelines.stores.operational import OperationalStore
from tests.dashboards.example_release import Merchant, publish_release
from tests.dashboards.example_shop import Shop, open_shop
from tests.dashboards.oidc_provider import CLIENT_ID, CLIENT_SECRET, FAULTS, Provider, provider_for
from tests.dashboards.serving import browsing, free_port, needs_browser, served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import BrowserContext, Page

pytestmark = needs_browser
COOKIE_SECRET = "k3J9-qLx7_Wm2Zp5Rt8Vb1Nc4Yd6Fg0H"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, catalogue: str) -> Shop:
    home = tmp_path_factory.mktemp("home")
    publish_release(home, Merchant(published_at=datetime.now(UTC)), catalogue=catalogue)
    return open_shop(home)


@pytest.fixture(scope="module")
def pages(shop: Shop) -> Iterator[tuple[str, Provider]]:
    """The app's address, and the provider that people sign in with."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with provider_for(f"{base}/oauth2callback") as provider:
        settings = {
            "METADATA_URL": provider.metadata_url, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "COOKIE_SECRET": COOKIE_SECRET,
            "BASE_URL": base,
        }  # fmt: skip
        with served(shop.home, port, {f"ORDERCAST_OIDC_{name}": value for name, value in settings.items()}) as address:
            yield address, provider


@pytest.fixture
def browser() -> Iterator[BrowserContext]:
    with browsing() as context:
        yield context


def set_role(shop: Shop, actor: str, role: str) -> None:
    with OperationalStore.open(f"sqlite:///{shop.home / 'store.db'}") as store:
        set_operator(store, Operator(actor, role), by="ada")  # type: ignore[arg-type]


def sign_in(page: Page, account: str) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name=account, exact=True).click()


def test_a_planner_signs_in_decides_loses_the_role_and_leaves(pages: tuple[str, Provider], shop: Shop, browser: BrowserContext) -> None:
    address, provider = pages
    page = browser.new_page()
    page.goto(f"{address}/reorder?show=To+decide&days=91+days")
    expect(page.get_by_text("Sign in to see orders")).to_be_visible()
    assert page.get_by_role("link", name="Reorder").count() == 0  # not even the names of the pages
    with OperationalStore.open(f"sqlite:///{shop.home / 'store.db'}") as store:
        link(store, SignIn(provider.issuer, "sub-pam", "pam"), by="ada")

    sign_in(page, "sub-pam")
    expect(page.get_by_text("Signed in as pam, planner · pam@example.com")).to_be_visible()
    page.wait_for_url("**/reorder?*days=91*")  # the link that was opened leads where it should, through signing in
    page.get_by_role("button", name="Accept 240 units").click()
    expect(page.get_by_text("Approved: 240 units on draft")).to_be_visible()
    assert [row["actor"] for row in shop.rows("decision")] == ["pam"]

    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("button", name="Accept 100 units")).to_be_visible()
    set_role(shop, "pam", "viewer")
    page.get_by_role("button", name="Accept 100 units").click()  # at once: the page still shows the button, the store knows better
    expect(page.get_by_text("'pam' is a viewer, and this takes a planner")).to_be_visible()
    assert len(shop.rows("draft_order_line")) == 1
    expect(page.get_by_text("pam is a viewer")).to_be_visible(timeout=30_000)

    with OperationalStore.open(f"sqlite:///{shop.home / 'store.db'}") as store:
        unlink(store, "pam", by="ada")
    expect(page.get_by_text("but no operator yet")).to_be_visible(timeout=30_000)  # by itself, in the open page
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert provider.left == 1
    assert page.get_by_test_id("stException").count() == 0


def test_a_stranger_is_told_who_they_are_and_comes_in_once_an_admin_has_linked_them(
    pages: tuple[str, Provider], shop: Shop, browser: BrowserContext
) -> None:
    address, provider = pages
    page = browser.new_page()
    page.goto(address)

    sign_in(page, "sub-eve")
    expect(page.get_by_text("Signed in as Eve Ext, eve@example.com, but no operator yet")).to_be_visible()
    expect(page.get_by_text(f"link NAME --issuer {provider.issuer} --subject sub-eve --email eve@example.com")).to_be_visible()
    assert page.get_by_test_id("stMetric").count() == 0
    with OperationalStore.open(f"sqlite:///{shop.home / 'store.db'}") as store:
        link(store, SignIn(provider.issuer, "sub-eve", "vic", "eve@example.com"), by="ada")
    expect(page.get_by_text("Signed in as vic, viewer")).to_be_visible(timeout=40_000)


@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_a_token_signs_somebody_in_unless_it_is_wrong_in_any_one_way(pages: tuple[str, Provider], fault: str) -> None:
    address, provider = pages
    wanted = jwt.encode({"alg": "HS256"}, {"provider": "default", "exp": time.time() + 60}, OctKey.import_key(COOKIE_SECRET))

    with httpx.Client() as client:
        asked = client.get(f"{address}/auth/login", params={"provider": wanted})
        offered = client.get(asked.headers["location"]).text
        (link_back,) = re.findall(rf'href="([^"]+)">{f"sub-pam {fault}".strip()}</a>', offered)
        given = provider.tokens_given
        client.get(link_back)
        is_signed_in = "_streamlit_user" in client.cookies

    assert provider.tokens_given == given + 1
    assert is_signed_in is not bool(fault)


def test_a_cookie_that_was_changed_signs_nobody_in(pages: tuple[str, Provider], shop: Shop, browser: BrowserContext) -> None:
    address, provider = pages
    with OperationalStore.open(f"sqlite:///{shop.home / 'store.db'}") as store:
        link(store, SignIn(provider.issuer, "sub-pam", "pam"), by="ada")
    page = browser.new_page()
    page.goto(address)
    sign_in(page, "sub-pam")
    expect(page.get_by_text("Signed in as pam")).to_be_visible()
    (cookie,) = [one for one in browser.cookies() if one.get("name") == "_streamlit_user"]
    value = str(cookie.get("value"))
    browser.add_cookies([{"name": "_streamlit_user", "value": value[:9] + ("A" if value[9] != "A" else "B") + value[10:], "url": address}])

    page.reload()

    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
