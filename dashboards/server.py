"""What `ordercast dashboards` serves: the app, with the settings' sign-in as secrets that lie in no file.

It answers once all that pages need is imported and the served release is open, so that nobody's first page waits for that.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

import streamlit as st
from altair.utils import schemapi
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse

from dashboards import identity
from dashboards.pages import PAGES
from pipelines.errors import OrdercastError
from pipelines.settings import load_settings
from pipelines.stores.releases import current_release, served_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HERE: Final = Path(__file__).parent
PLACE_COOKIE: Final = "ordercast_place"
_PLACE_SECONDS: Final = 600
_NAMES: Final = frozenset(page.name for page in PAGES)


class KeepPlace:
    """A link to a page leads there through signing in, which by itself ends on the first page: a cookie keeps the place meanwhile."""

    def __init__(self, app: ASGIApp, base_url: str) -> None:
        self.app = app
        self.base_url = base_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever is not about signing in passes as it is."""
        if scope["type"] != "http" or scope["path"] not in {"/auth/login", "/oauth2callback"}:
            await self.app(scope, receive, send)
            return
        request = Request(scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if scope["path"] == "/auth/login":
                    self._keep(place_of(request.headers.get("referer", ""), base_url=self.base_url), headers, _PLACE_SECONDS)
                elif headers.get("location") == "/" and (place := unquote(request.cookies.get(PLACE_COOKIE, ""))):
                    headers["location"] = place_of(self.base_url + place, base_url=self.base_url)
                    self._keep("", headers, 0)
            await send(message)

        await self.app(scope, receive, answer)

    def _keep(self, place: str, headers: MutableHeaders, seconds: int) -> None:
        secure = "; Secure" if self.base_url.startswith("https:") else ""
        cookie = f"{PLACE_COOKIE}={quote(place, safe='')}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
        headers.append("set-cookie", cookie)


class OnePlaceEach:
    """A page has one address: the first page `/`, others their name in lower case. Its name typed otherwise leads there."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever names no page passes as it is."""
        name = scope["path"].strip("/").lower() if scope["type"] == "http" else ""
        place = "/" if name == PAGES[0].name else f"/{name}"
        if name not in _NAMES or scope["path"] == place:
            await self.app(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        await RedirectResponse(place + (f"?{query}" if query else ""))(scope, receive, send)


def place_of(url: str, *, base_url: str) -> str:
    """Path and query of a page of ours; the first page where the address is not ours."""
    ours, parts = urlsplit(base_url), urlsplit(url)
    is_ours = (parts.scheme, parts.netloc) == (ours.scheme, ours.netloc) and parts.path[:1] == "/" and parts.path[1:2] not in {"/", "\\"}
    if not is_ours or not url.isascii() or not url.isprintable():
        return "/"
    return parts.path + (f"?{parts.query}" if parts.query else "")


def warm_up() -> None:
    """What the first page would wait for is done. A release that cannot be read is for the pages to speak of."""
    for package in ("components", "queries"):
        for module in iter_modules([str(HERE / package)]):
            import_module(f"dashboards.{package}.{module.name}")
    import_module("pandas")  # Streamlit itself does, for the first table it draws
    schemapi.disable_debug_mode()  # what charts are made of is held against Vega-Lite's schema in tests only: half of their time
    open_served()


def open_served() -> None:
    """The served release was looked at, byte for byte, and is open."""
    with suppress(OrdercastError):
        release = current_release(load_settings().releases_path)
        if release is not None:
            reading = import_module("dashboards.queries.reading")
            with reading.reading(release) as conn:
                conn.execute("select count(*) from duckdb_columns()").fetchall()  # reads what the tables are
                conn.execute("select count(*) from duckdb_tables()").fetchall()  # and how large, which metrics ask for


@asynccontextmanager
async def _ready(_app: st.App) -> AsyncIterator[None]:
    await asyncio.to_thread(warm_up)
    watching = asyncio.create_task(_open_what_comes())
    yield
    watching.cancel()


async def _open_what_comes() -> None:
    """A new release is open before the pages, which look every few seconds, ask for it."""
    known = None
    while True:
        with suppress(OrdercastError, OSError):
            now_served = served_id(load_settings().releases_path)
            if now_served != known:
                await asyncio.to_thread(open_served)
                known = now_served
        await asyncio.sleep(1)


_settings = load_settings()
app = st.App(
    HERE / "app.py",
    secrets=identity.secrets(_settings),
    lifespan=_ready,
    middleware=[
        Middleware(OnePlaceEach),
        *([Middleware(KeepPlace, base_url=_settings.oidc_base_url)] if _settings.oidc_base_url else []),
    ],
)
