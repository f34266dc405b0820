"""How pages handle exceptions: as whoever looks, through the service, with what came of the last click kept for the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from dashboards import identity
from dashboards.components.deciding import decision_id
from pipelines.alerts.handling import Handling, handle
from pipelines.decisions.requests import decision_key
from pipelines.errors import AlertError, KeyReusedError, NotPermittedError, UnavailableError
from pipelines.settings import load_settings
from pipelines.stores.grants import WRITER
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipelines.alerts.handling import Action

_TOLD: Final = "exceptions_told"
_DONE: Final = {"acknowledge": "acknowledged", "snooze": "asleep", "resolve": "resolved", "assign": "given away"}


@dataclass(frozen=True, slots=True)
class Told:
    """What became of the last click: how many were done as asked, of how many, and a sentence for each that was not."""

    action: Action
    titles: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def done_count(self) -> int:
        """How many were done."""
        return len(self.titles) - len(self.problems)

    @property
    def text(self) -> str:
        """What was done, in words."""
        if len(self.titles) == 1:
            return f"{self.titles[0]} is {_DONE[self.action]}."
        return f"{self.done_count:,} of {len(self.titles):,} exceptions are {_DONE[self.action]}."


def submit(form: str, named: Sequence[tuple[str, str]], action: Action, actor: str, values: Callable[[], Mapping[str, Any]]) -> None:
    """A click: it is done before the page is drawn anew. Clicked again, it is the same request and has no second effect.

    Args:
        form: What `deciding.form_of` gave when the form was drawn.
        named: Id and title of each exception.
        action: What to do with them.
        actor: Who.
        values: Reads what the form's fields hold at the click.
    """
    asked = dict(values())
    key = decision_id(form, (actor, action, asked))
    requests = [
        Handling(
            request_id=key if len(named) == 1 else decision_key(key, exception_id), exception_id=exception_id, action=action, actor=actor,
            **asked,
        )
        for exception_id, _ in named
    ]  # fmt: skip
    st.session_state[_TOLD] = Told(action, tuple(title for _, title in named), tuple(_problems(requests, actor)))


def last_told() -> Told | None:
    """What became of the last click, told once."""
    found: Told | None = st.session_state.pop(_TOLD, None)
    return found


def _problems(requests: Sequence[Handling], actor: str) -> list[str]:
    """Why some were not done, a sentence each; the others are done."""
    try:
        identity.confirm(identity.current(), actor=actor)
        with OperationalStore.open(load_settings().resolved_store_url, role=WRITER) as store:
            return [problem for request in requests if (problem := _refused(store, request))]
    except NotPermittedError as exc:
        return [str(exc)] * len(requests)
    except UnavailableError as exc:
        return [f"{exc} Click again once it answers: it has one effect however often it is asked for."] * len(requests)


def _refused(store: OperationalStore, request: Handling) -> str | None:
    try:
        handle(store, request)
    except (AlertError, KeyReusedError) as exc:
        return str(exc)
    return None
