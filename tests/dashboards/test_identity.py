"""Who looks, as far as no browser is needed: what claims say, and when nothing is shown."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from streamlit import config

from dashboards import identity
from dashboards.identity import Account, Identity, account_of
from dashboards.server import OnePlaceEach, place_of
from pipelines.cli.running import dashboards
from pipelines.decisions.roles import Operator, set_operator
from pipelines.errors import NotPermittedError, SettingsError
from pipelines.stores.operational import OperationalStore
from tests.dashboards.conftest import DEFAULT_VIEW, open_at

if TYPE_CHECKING:
    from pathlib import Path

    from streamlit.testing.v1 import AppTest

CLAIMS: dict[str, Any] = {
    "iss": "https://id.example.com",
    "sub": "1001",
    "aud": "pages",
    "iat": 1_700_000_000,
    "name": "Pam",
    "email": "p@x.org",
}
SETTINGS = {
    "METADATA_URL": "https://id.example.com/.well-known/openid-configuration", "CLIENT_ID": "pages", "CLIENT_SECRET": "hunter2",
    "BASE_URL": "https://ordercast.example.com", "COOKIE_SECRET": "k3J9-qLx7_Wm2Zp5Rt8Vb1Nc4Yd6Fg0H",
}  # fmt: skip


def words(page: AppTest) -> str:
    return " ".join(part.value for part in (*page.markdown, *page.error, *page.warning, *page.info)).replace("\\", "")


def test_claims_become_the_account_that_the_provider_vouches_for() -> None:
    assert account_of(CLAIMS, client_id="pages") == Account(
        "https://id.example.com", "1001", "Pam", "p@x.org", datetime.fromtimestamp(1_700_000_000, UTC)
    )
    assert account_of(CLAIMS | {"aud": ["other", "pages"]}, client_id="pages") is not None


@pytest.mark.parametrize(
    "other",
    [
        {"aud": "another-program"}, {"aud": ["another-program"]}, {"aud": None}, {"iss": ""}, {"iss": None}, {"sub": ""}, {"sub": 1001},
        {"iat": None}, {"iat": "yesterday"}, {"iat": True},
    ],
)  # fmt: skip
def test_claims_about_another_program_or_nobody_are_no_account(other: dict[str, Any]) -> None:
    assert account_of(CLAIMS | other, client_id="pages") is None


def test_a_sign_in_of_long_ago_is_over_and_nothing_is_written_by_it() -> None:
    account = Account("https://id.example.com", "1001", "Pam", None, datetime(2020, 1, 1, tzinfo=UTC))

    assert account.is_expired
    with pytest.raises(NotPermittedError, match="too long ago"):
        identity.confirm(Identity("pam", account=account), actor="pam")


def test_nothing_is_done_in_somebody_elses_name() -> None:
    with pytest.raises(NotPermittedError, match="somebody else's name"):
        identity.confirm(Identity("vic"), actor="ada")


def test_without_sign_in_every_page_says_that_whoever_looks_is_a_local_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_OPERATOR", "ada")

    page = open_at(DEFAULT_VIEW).run()

    assert ":material/person_off: Local user **ada**, not signed in" in words(page)


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.7", "::", ""])
def test_without_sign_in_nothing_is_shown_beyond_this_machine(home: Path, address: str) -> None:
    config.set_option("server.address", address or None)

    page = open_at(DEFAULT_VIEW).run()

    assert "Not served beyond this machine without sign-in" in words(page)
    assert not page.title[0].value.startswith("Overview")


@pytest.mark.parametrize("address", ["0.0.0.0", "shop.example.com"])
def test_the_command_refuses_to_serve_others_without_sign_in(home: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr("os.execv", lambda *_arguments: pytest.fail("it was started"))

    with pytest.raises(SettingsError, match=f"on {address} everybody could see and decide"):
        dashboards(address=address)


def test_with_sign_in_the_command_serves_others_under_the_name_they_know(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr("os.execv", lambda _program, arguments: started.extend(arguments))
    monkeypatch.setenv("ORDERCAST_STORE_URL", f"sqlite:///{home / 'store.db'}")  # the command sets it for the program that it becomes
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"ORDERCAST_OIDC_{name}", value)

    dashboards(address="0.0.0.0")

    assert started[started.index("--server.address") + 1] == "0.0.0.0"
    assert started[started.index("--server.allowedHosts") + 1] == "ordercast.example.com"
    assert not any("hunter2" in argument for argument in started)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://ordercast.example.com/reorder?show=Stale&kind=a+b", "/reorder?show=Stale&kind=a+b"),
        ("https://ordercast.example.com/", "/"), ("https://ordercast.example.com", "/"), ("", "/"),
        ("https://evil.example.com/reorder", "/"), ("http://ordercast.example.com/reorder", "/"),
        ("https://ordercast.example.com//evil.example.com", "/"), ("https://ordercast.example.com/\\evil.example.com", "/"),
        ("https://ordercast.example.com@evil.example.com/", "/"), ("https://ordercast.example.com.evil.example.com/x", "/"),
        ("https://ordercast.example.com/x\r\nSet-Cookie: a=b", "/"),
    ],
)  # fmt: skip
def test_signing_in_leads_back_to_a_page_of_ours_and_nowhere_else(url: str, place: str) -> None:
    assert place_of(url, base_url="https://ordercast.example.com") == place


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ("/overview", "/"), ("/Overview?days=91+days", "/?days=91+days"), ("/Reorder", "/reorder"), ("/REORDER/?a=b%20c", "/reorder?a=b%20c"),
        ("/reorder", None), ("/", None), ("/unknown", None), ("/Static/app.js", None),
    ],
)  # fmt: skip
def test_a_page_typed_by_hand_is_found_whatever_its_letters(typed: str, place: str | None) -> None:
    async def ask() -> httpx.Response:
        served = httpx.ASGITransport(OnePlaceEach(PlainTextResponse("the app")))
        async with httpx.AsyncClient(transport=served, base_url="http://here") as reader:
            return await reader.get(typed)

    asked = asyncio.run(ask())

    assert asked.headers.get("location") == place
    assert (asked.text == "the app") == (place is None)


def test_a_server_that_was_started_without_the_configured_sign_in_shows_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"ORDERCAST_OIDC_{name}", value)
    app = open_at(DEFAULT_VIEW)
    app.user = CLAIMS | {"is_logged_in": True, "iat": datetime.now(UTC).timestamp()}

    page = app.run()

    assert "this server was started without it" in words(page)


def test_who_has_signed_in_is_nobody_while_the_store_does_not_answer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"ORDERCAST_OIDC_{name}", value)
    app = open_at(DEFAULT_VIEW)
    app.secrets = {"auth": {
        "redirect_uri": "https://ordercast.example.com/oauth2callback", "cookie_secret": SETTINGS["COOKIE_SECRET"], "client_id": "pages",
        "client_secret": "hunter2", "server_metadata_url": SETTINGS["METADATA_URL"],
    }}  # fmt: skip
    app.user = CLAIMS | {"is_logged_in": True, "iat": datetime.now(UTC).timestamp()}

    page = app.run()

    assert "the operational store does not answer" in words(page)


def test_a_role_that_is_taken_from_a_local_user_is_seen_at_the_next_look(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_OPERATOR", "pam")
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}", must_exist=False) as store:
        store.migrate()
        for actor, role in (("ada", "admin"), ("pam", "planner")):
            set_operator(store, Operator(actor, role), by="ada")  # type: ignore[arg-type]
        page = open_at(DEFAULT_VIEW).run()
        before = page.session_state["ordercast-identity"].operator
        set_operator(store, Operator("pam", "viewer", locations=("L1",)), by="ada")
        page.run()

    after = page.session_state["ordercast-identity"].operator
    assert (before.role, before.locations) == ("planner", None)
    assert (after.role, after.locations) == ("viewer", ("L1",))
