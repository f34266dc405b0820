"""How pages override forecasts: as whoever looks, through the service, with what came of the last click kept for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import streamlit as st

from dashboards import identity
from pipelines.decisions import overriding
from pipelines.errors import NotPermittedError, OverrideError, UnavailableError
from pipelines.settings import load_settings
from pipelines.stores.grants import WRITER
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.stores.overrides import Override

_TOLD: Final = "override_told"
_FROM_NEXT_RUN: Final = "It holds from the next run on; until then suggestions rest on what is shown."


class Told(NamedTuple):
    """What became of the last click, and whether it was done."""

    is_done: bool
    text: str


def set_override(override: Override, *, override_id: str, actor: str, is_confirmed: bool) -> None:
    """The override stands, or the page will say why not. A second click with the same id changes nothing."""

    def act(store: OperationalStore) -> str:
        overriding.set_override(store, override, override_id=override_id, actor=actor, is_confirmed=is_confirmed)
        return f"Override {override_id} is set. {_FROM_NEXT_RUN}"

    _keep(act, actor)


def withdraw_override(override_id: str, *, actor: str) -> None:
    """The override is withdrawn, or the page will say why not."""

    def act(store: OperationalStore) -> str:
        overriding.withdraw_override(store, override_id, actor=actor)
        return f"Override {override_id} is withdrawn. It holds to the next run, and stays on record."

    _keep(act, actor)


def last_told(place: object) -> Told | None:
    """What became of the last click, as long as the reader stays at the place where it was first told."""
    found: tuple[object, Told] | None = st.session_state.get(_TOLD)
    if found is None or found[0] not in (None, place):
        st.session_state.pop(_TOLD, None)
        return None
    st.session_state[_TOLD] = (place, found[1])
    return found[1]


def _keep(act: Callable[[OperationalStore], str], actor: str) -> None:
    try:
        identity.confirm(identity.current(), actor=actor)
        with OperationalStore.open(load_settings().resolved_store_url, role=WRITER) as store:
            told = Told(is_done=True, text=act(store))
    except (OverrideError, NotPermittedError, UnavailableError) as exc:
        told = Told(is_done=False, text=f"Nothing was changed: {exc}")
    st.session_state[_TOLD] = (None, told)
