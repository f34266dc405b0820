"""What every page has around its content: its question, as of when, what it is narrowed to, and a watch for a newer release."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import streamlit as st

from dashboards.components.deciding import page_is_drawn
from dashboards.components.formats import escape_markdown
from dashboards.components.states import errors_as_sentences, page_head, show_freshness, show_no_orders, show_nothing_published
from dashboards.filters import DEFAULT_DAYS, DIMENSIONS, LABELS, PERIODS, Filters
from dashboards.pages import page_spec
from dashboards.queries import releases
from dashboards.queries.names import offered
from dashboards.usage import page_opened
from pipelines.errors import OrdercastError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.delta_generator import DeltaGenerator

    from dashboards.pages import PageSpec
    from dashboards.queries.releases import Served

WATCH_SECONDS: Final = 3  # an open page looks so often for a new release; which of many is drawn anew first, their turns say
_AGE_SECONDS: Final = 60  # ages are told in minutes
_SHOWN: Final = "shown_release"
_AT_ONCE: Final = 2  # open pages that are drawn anew for a new release
_LONGEST_TURN: Final = 10.0  # seconds; a page that was closed while it was drawn anew holds up the others no longer


def show_page(name: str, body: Callable[[Served, Filters], None]) -> None:
    """The whole page: its head, then `body` with what is served and what it is narrowed to; a sentence where nothing can be shown.

    Args:
        name: The page's, as in `pages.PAGES`.
        body: Draws the content. An error of ours inside it is a sentence below what was drawn before.
    """
    spec = page_spec(name)
    page_is_drawn()
    page_head(spec.title, spec.question)
    with errors_as_sentences("The release"):
        st.session_state[_SHOWN] = releases.served_id()
        served = releases.served()
        if served is None:
            show_nothing_published()
        else:
            page_opened(name)
            freshness(served)
            if not releases.has_orders(served):
                show_no_orders()
            filters, place = filter_bar(served, spec)
            with st.spinner("Reading the release"):  # shown only where it takes half a second or more
                body(served, filters)
            with place:
                _copy_link()  # last: the page's own controls have set the address by now
    _turns.give_back(_this_page())
    watch_for_a_newer_release()


def filter_bar(served: Served, spec: PageSpec) -> tuple[Filters, DeltaGenerator]:
    """The global filters, on every page, so that they stand in its address; and a place beside them.

    Those that a page does not follow cannot be set there.
    """
    unknown = _unknown_members(served)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        days = _period() if "days" in spec.narrowed_by else None
        with st.popover("Narrow to" if spec.narrowed_by else "Not narrowed", icon=":material/filter_alt:", width="content"):
            if days is None:
                days = _period(is_followed=False)
            chosen = {name: _members(served, name, is_followed=name in spec.narrowed_by) for name in DIMENSIONS}
        place = st.container(width="content")
    filters = Filters(days or DEFAULT_DAYS, **{name: tuple(members) for name, members in chosen.items()}).only(spec.narrowed_by)
    if unknown:
        st.warning(
            f"The address also asks for {escape_markdown(', '.join(unknown))}, which this release does not know: "
            "figures are not narrowed to it.",
            icon=":material/filter_alt_off:",
        )
    if said := _said(served, filters):
        st.markdown(f":material/filter_alt: {said}")
    if unfollowed := [LABELS[name].lower() for name in DIMENSIONS if chosen[name] and name not in spec.narrowed_by]:
        st.caption(f"Not narrowed by {' and '.join(unfollowed)}: this page speaks of all of it.")
    return filters, place


def _unknown_members(served: Served) -> list[str]:
    """What the address would narrow to and cannot: Streamlit drops it in silence."""
    asked = [(name, value) for name in DIMENSIONS for value in st.query_params.get_all(name)]
    found = [f"{LABELS[name].lower()} {value}" for name, value in asked if value not in offered(served, name).values()]
    days = [value for value in st.query_params.get_all("days") if value not in {f"{days} days" for days in PERIODS}]
    return found + [f"a period of {value}" for value in days]


def _period(*, is_followed: bool = True) -> int | None:
    return st.segmented_control(
        LABELS["days"], PERIODS, default=DEFAULT_DAYS, format_func="{} days".format, required=True, bind="query-params", key="days",
        disabled=not is_followed, help=None if is_followed else "This page has no period of its own.",
    )  # fmt: skip


def _members(served: Served, name: str, *, is_followed: bool) -> list[str]:
    names = offered(served, name)
    return st.multiselect(
        LABELS[name], list(names), format_func=lambda member: names.get(member, member), placeholder="All", bind="query-params", key=name,
        disabled=not is_followed, help=None if is_followed else "This page is not narrowed by it.",
    )  # fmt: skip


def _copy_link() -> None:
    """The address of what is shown, to be copied; the reader's browser has it in its address line as well."""
    with st.popover("Copy link", icon=":material/link:", width="content"):
        base = (st.context.url or "").partition("?")[0]
        query = urlencode([(name, value) for name in st.query_params for value in st.query_params.get_all(name)])
        st.code(f"{base}{'?' if query else ''}{query}", language=None, wrap_lines=True)
        st.caption("Opens this page with its filters, for anyone who can reach these pages.")


def _said(served: Served, filters: Filters) -> str:
    """What the page is narrowed to, in words; empty where it speaks of everything."""
    parts = [
        f"{LABELS[name]}: **{', '.join(offered(served, name).get(member, member) for member in members)}**"
        for name, members in filters.where.items()
    ]
    return " · ".join(parts)


@st.fragment(run_every=_AGE_SECONDS)
def freshness(served: Served) -> None:
    """How old what is shown is; it ages in an open page, too."""
    show_freshness(served, now=releases.now())


@st.fragment(run_every=WATCH_SECONDS)
def watch_for_a_newer_release() -> None:
    """The page is drawn anew once another release is served than the one it shows."""
    try:
        now_served = releases.served_id()
    except OrdercastError:
        return
    if now_served != st.session_state.get(_SHOWN) and _turns.take(_this_page()):
        st.rerun()


def _this_page() -> str:
    """A name for the open page, as long as it stays open."""
    return str(st.session_state.setdefault("open_page", uuid.uuid4().hex))


class Turns:
    """Open pages are drawn anew for a new release a few at a time.

    All at once, they would hold up whoever clicks for as long as all of them take together.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._changing = threading.Lock()

    def take(self, page: str) -> bool:
        """Whether it is this page's turn; if not, it asks again at its next look."""
        now = time.monotonic()
        with self._changing:
            self._until = {one: until for one, until in self._until.items() if until > now and one != page}
            if len(self._until) >= _AT_ONCE:
                return False
            self._until[page] = now + _LONGEST_TURN
            return True

    def give_back(self, page: str) -> None:
        """It is drawn; the next may begin."""
        with self._changing:
            self._until.pop(page, None)


_turns: Final = Turns()
