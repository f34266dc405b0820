"""Looking at one customer or order: the look is in the access log before anything of it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards import identity
from pipelines.decisions.access import Access, record_access
from pipelines.settings import load_settings

if TYPE_CHECKING:
    from pipelines.stores.timelines import Timeline

_OPEN: Final = "open_drill"


def record_look(story: Timeline) -> None:
    """That this order or customer is looked at is recorded: once while it stays open, however often the page is drawn meanwhile.

    Call it with what was read and before anything of it is drawn.

    Raises:
        AccessNotRecordedError: The store did not take it, so nothing may be shown.
        NotPermittedError: Who looks is not who the page was drawn for any more.
    """
    object_type, object_id = ("customer", story.customer_key) if story.order_id is None else ("order", story.order_id)
    who = identity.current()
    look = (who.actor, object_type, object_id)
    if st.session_state.get(_OPEN) == look:
        return
    identity.confirm(who)
    record_access(load_settings(), Access(who.actor, "drill", object_type, story.events.height, object_id, is_personal=True))
    st.session_state[_OPEN] = look


def look_closed() -> None:
    """Nothing single is open: the next look is a new one."""
    st.session_state.pop(_OPEN, None)
