"""Links from one page to another that keep what the reader narrowed the first one to."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import streamlit as st

from dashboards.filters import DEFAULT_DAYS
from dashboards.pages import page_spec
from dashboards.queries.names import offered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served


def page_link(served: Served, filters: Filters, page: str, label: str, *, icon: str = "arrow_forward", **state: str) -> None:
    """A link to a page with the same filters.

    Args:
        served: What is shown.
        filters: What it is narrowed to.
        page: The other page's name in `pages.PAGES`.
        label: What the reader finds there.
        icon: A Material symbol.
        state: What else the address sets there, as that page's own controls name it; overrides a filter of the same name.
    """
    pairs = [("days", f"{filters.days} days")] if filters.days != DEFAULT_DAYS else []
    pairs += [(name, offered(served, name).get(member, member)) for name, members in filters.where.items() for member in members]
    kept = [(name, value) for name, value in pairs if name not in state]
    st.page_link(page_spec(page).path, label=label, icon=f":material/{icon}:", query_params=[*kept, *state.items()])


def own_button(
    label: str, *, icon: str, key: str, address: Mapping[str, str | None], chosen: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """A button that changes what the page itself shows: a link to the own page would not change its address.

    Args:
        label: What the reader finds then.
        icon: A Material symbol.
        key: Of the button; one of a kind on the page.
        address: What the address says then; None takes it out.
        chosen: What the page's own controls stand at then, by their keys; a filter's value is a list of ids.
    """
    st.button(label, icon=f":material/{icon}:", key=key, type="tertiary", on_click=_set, args=(address, chosen))


def _set(address: Mapping[str, str | None], chosen: Mapping[str, Any]) -> None:
    for name, value in chosen.items():
        st.session_state[name] = value
    for name, said in address.items():
        if said is not None:
            st.query_params[name] = said
        elif name in st.query_params:
            del st.query_params[name]
