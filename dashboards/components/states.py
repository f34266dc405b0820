"""What a page says when it cannot show what it is for, each with the next step; and how old what it shows is."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo

import streamlit as st

from dashboards.components.formats import escape_markdown, format_age, format_date
from pipelines.errors import OrdercastError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from dashboards.queries.releases import Served
    from pipelines.stores.warehouse import RunContext

STALE_AFTER: Final = timedelta(hours=36)  # amber: a nightly run was missed
TOO_OLD_AFTER: Final = timedelta(days=7)  # red: a weekly order cycle has passed


def page_head(title: str, question: str) -> None:
    """A page's name and the one question it answers."""
    with st.container(gap="xxsmall"):
        st.title(title, anchor=False)
        st.markdown(f":gray[{question}]")


def main_button() -> Literal["primary", "secondary"]:
    """How the button looks that a page leads to: in the dark theme as others, for Streamlit writes white on the light accent there."""
    return "secondary" if st.context.theme.type == "dark" else "primary"


@contextmanager
def errors_as_sentences(what: str) -> Iterator[None]:
    """An error of ours inside the block is one sentence on the page, and the page goes on below it."""
    try:
        yield
    except OrdercastError as exc:
        st.error(f"{what} cannot be shown: {escape_markdown(str(exc))}", icon=":material/error:")


def show_nothing_published() -> None:
    """The page of a platform that has not run yet."""
    st.info(
        "**Nothing published yet: run `make run`.**\n\n"
        "It simulates a merchant where no operational store exists, runs the whole job and publishes the first release. "
        "To look at your own data instead, run `ordercast import` or set `ORDERCAST_STORE_URL`, then `ordercast run`.",
        icon=":material/inbox:",
    )


def show_no_orders() -> None:
    """Pages of a shop from which no order has arrived."""
    st.info(
        "**No order has arrived yet**, so figures stay empty. Once the shop has orders, or with other data "
        "(`ordercast import`, or `ORDERCAST_STORE_URL`), run `ordercast run`.",
        icon=":material/inbox:",
    )


def show_not_available(what: str, needs: Sequence[str]) -> None:
    """What the merchant's source would have to provide."""
    st.info(f"{what}: not available, needs {escape_markdown(', '.join(needs))}.", icon=":material/block:")


def show_store_problem(problem: str | None) -> None:
    """Why the status of suggestions is unknown; nothing where it is known."""
    if problem:
        st.warning(
            f"Status of suggestions unknown, they are shown as the release proposed them: {escape_markdown(problem)}",
            icon=":material/cloud_off:",
        )


def show_freshness(served: Served, *, now: datetime) -> None:
    """As of when, how long published, how many checks passed; amber where data or release is older than 36 hours, red past a week."""
    release, context = served.release, served.context
    published_age = now - datetime.fromisoformat(release.published_at)
    as_of = format_date(context.as_of_date, today=now.date())
    st.caption(
        f"{escape_markdown(context.merchant_name)} · **as of {as_of}**, {context.reporting_time_zone} · "
        f"release {format_age(published_age)} old · checks {release.checks_passed:,}/{release.checks_total:,} passed"
    )
    if release.planned_by is not None and release.planned_at is not None:
        planned_age = format_age(now - datetime.fromisoformat(release.planned_at))
        st.caption(
            f":material/update: Figures are newer than the plans: forecasts and suggestions are of the run "
            f"{escape_markdown(release.planned_by)}, {planned_age} old."
        )
    if served.may_miss:
        st.caption(f":material/visibility_off: {escape_markdown(served.may_miss)}")
    data_age = now - end_of_day(context.as_of_date, context.reporting_time_zone)
    if data_age > STALE_AFTER:
        _show_old(
            f"**{'Too old to act on' if data_age > TOO_OLD_AFTER else 'Old data'}**: it ends on {as_of}, {format_age(data_age)} ago. "
            f"Figures and suggestions describe that day; {_next_step(context, data_age)}, then run `ordercast run`.",
            is_red=data_age > TOO_OLD_AFTER,
        )
    elif published_age > STALE_AFTER:
        _show_old(
            f"**Old release**: it was published {format_age(published_age)} ago. Run `ordercast run`; "
            "if runs fail, `ordercast doctor` says why.",
            is_red=published_age > TOO_OLD_AFTER,
        )


def _show_old(said: str, *, is_red: bool) -> None:
    """Amber, or red; an error's box is for what failed, and age is no failure of the page."""
    if is_red:
        with st.container(border=True):
            st.markdown(f":red[:material/history: {said}]")
    else:
        st.warning(said, icon=":material/history:")


def _next_step(context: RunContext, data_age: timedelta) -> str:
    if context.origin.startswith("simulator"):
        return f"let the simulated merchant live on with `ordercast simulate --continue {max(1, data_age.days)}`"
    return "load newer data"


def end_of_day(day: date, zone: str) -> datetime:
    """The instant at which a local day was over."""
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)
