"""Who looks, on every page; and what stands in the place of all pages where nobody may."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards import identity
from dashboards.components.formats import escape_markdown
from dashboards.components.states import main_button

if TYPE_CHECKING:
    from dashboards.identity import Account, Identity

_WATCHED: Final = "watched_for"  # whom the open page was drawn for


def who_bar(who: Identity) -> None:
    """Who looks and how that is known, with the way out."""
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", gap="small"):
        if who.account is None:
            st.markdown(f":gray[:material/person_off: Local user **{escape_markdown(who.actor)}**, not signed in]", width="content")
            return
        role = who.operator.role if who.operator else "no operator"
        account = who.account.email or who.account.name
        said = f":gray[:material/verified_user: Signed in as **{escape_markdown(who.actor)}**, {role} · {escape_markdown(account)}]"
        st.markdown(said, width="content")
        _sign_out()


def closed_door(who: Identity) -> None:
    """Why no page is shown, and what to do about it."""
    st.title("Ordercast", anchor=False)
    if who.closed == "not signed in":
        st.markdown("Sign in to see orders, stock and what to order.")
        st.button("Sign in", icon=":material/login:", type=main_button(), on_click=st.login)
    elif who.closed == "expired":
        st.info("**Sign in again.** You signed in too long ago, or for another program.", icon=":material/schedule:")
        st.button("Sign in", icon=":material/login:", type=main_button(), on_click=st.login)
    elif who.closed == "unknown" and who.account is not None:
        _unknown(who.account)
        _sign_out()
    elif who.closed == "store":
        st.warning(
            "**Nothing is shown, because the operational store does not answer** and it alone knows who may look. "
            f"This page opens by itself once it does. {escape_markdown(who.problem)}",
            icon=":material/cloud_off:",
        )
        _sign_out()
    elif who.closed == "setting":
        st.error(f"The pages cannot be shown: {escape_markdown(who.problem)}", icon=":material/error:")
    elif who.closed == "without sign-in":
        st.error(
            "**Not served.** Sign-in is configured (`ORDERCAST_OIDC_*`), but this server was started without it. "
            "Start the pages with `ordercast dashboards`.",
            icon=":material/lock:",
        )
    else:
        st.error(
            "**Not served beyond this machine without sign-in.** Serve the pages on 127.0.0.1 with `ordercast dashboards`, "
            "or configure sign-in (`ORDERCAST_OIDC_*`, see docs/methods/sign-in.md).",
            icon=":material/lock:",
        )


@st.fragment(run_every=identity.WATCH_SECONDS)
def watch(who: Identity) -> None:
    """The open page is drawn anew as soon as somebody else looks, or their rights have changed."""
    is_drawn_with_the_page = st.session_state.get(_WATCHED) is not who  # which has just looked itself
    st.session_state[_WATCHED] = who
    if not is_drawn_with_the_page and identity.look() != who:
        st.rerun()


def _unknown(account: Account) -> None:
    known = f"{account.name}, {account.email}" if account.email and account.email != account.name else account.name
    st.warning(f"**Signed in as {escape_markdown(known)}, but no operator yet.**", icon=":material/person_off:")
    email = f" --email {shlex.quote(account.email)}" if account.email else ""
    st.markdown(
        "Send these two lines to an admin of this shop, who puts your name in the place of NAME and runs them. "
        "This page opens by itself within half a minute of that."
    )
    st.code(
        "ordercast operators set NAME --role viewer\n"
        f"ordercast operators link NAME --issuer {shlex.quote(account.issuer)} --subject {shlex.quote(account.subject)}{email}",
        language=None, wrap_lines=True,
    )  # fmt: skip
    st.caption("viewer looks; planner decides; approver is the second of two persons too; admin sets operators too.")


def _sign_out() -> None:
    st.button("Sign out", icon=":material/logout:", type="tertiary", on_click=st.logout)
