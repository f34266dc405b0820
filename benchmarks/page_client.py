"""A browser without a screen: opens pages of a Streamlit server over its WebSocket, as the frontend does, and waits for them."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import StringArray
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streamlit.proto.Delta_pb2 import Delta
    from websockets.asyncio.client import ClientConnection

PAGE_SECONDS = 60.0
ENDS = {
    ForwardMsg.FINISHED_SUCCESSFULLY,
    ForwardMsg.FINISHED_WITH_COMPILE_ERROR,
    ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY,
}


@dataclass(slots=True)
class Rendered:
    """One run of a page: how long until its last message, what came over the wire, and what it said went wrong."""

    seconds: float = 0.0
    first_seconds: float | None = None  # until its first element
    wire_bytes: int = 0
    elements: int = 0
    problems: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


class PageSession:
    """One open tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._hashes: dict[str, str] = {}  # a page's script hash by its path in the address
        self._page_hash = ""
        self._kept: tuple[set[str], set[str]] = (set(), set())  # messages the frontend still holds: of this run and the one before
        self._widgets: dict[str, WidgetState] = {}  # what was set in this tab, by the widget's id
        self._settable: dict[str, str] = {}  # ids of the filters on the page, by their name in the address
        self.rerun_every: dict[str, float] = {}  # seconds by fragment

    @property
    def paths(self) -> list[str]:
        """Paths of all pages, known once one was opened."""
        return list(self._hashes)

    async def open(self, path: str, query: str = "") -> Rendered:
        """Go to a page: the first time as by its address, then as by a click in the navigation."""
        self._page_hash = self._hashes.get(path, "")
        self.rerun_every.clear()
        self._settable.clear()
        return await self._run(query=query, page_name="" if self._page_hash else path)

    async def narrow(self, name: str, values: list[str]) -> Rendered:
        """Set a filter of the page that is open, by its name in the address."""
        widget = self._settable[name]
        self._widgets[widget] = WidgetState(id=widget, string_array_value=StringArray(data=values))
        return await self._run(query="")

    def can_narrow(self, name: str) -> bool:
        """Whether the page that is open has this filter."""
        return name in self._settable

    async def rerun_fragment(self, fragment_id: str, query: str = "") -> Rendered:
        """What the frontend asks for when a fragment's time has come."""
        return await self._run(query=query, fragment_id=fragment_id)

    async def _run(self, *, query: str, page_name: str = "", fragment_id: str = "") -> Rendered:
        message = BackMsg()
        wanted = message.rerun_script
        wanted.query_string, wanted.page_script_hash, wanted.page_name = query, self._page_hash, page_name
        wanted.fragment_id, wanted.is_auto_rerun = fragment_id, bool(fragment_id)
        wanted.widget_states.widgets.extend(self._widgets.values())
        wanted.cached_message_hashes.extend(self._kept[0] | self._kept[1])
        wanted.context_info.timezone, wanted.context_info.locale = "Europe/Berlin", "en-GB"
        self._kept = (set(), self._kept[0])
        rendered, started = Rendered(), time.perf_counter()
        await self._socket.send(message.SerializeToString())
        try:
            async with asyncio.timeout(PAGE_SECONDS):
                while not await self._receive(rendered, started):
                    pass
        except TimeoutError:
            rendered.problems.append(f"not done after {PAGE_SECONDS:.0f} s")
        rendered.seconds = time.perf_counter() - started
        return rendered

    async def _receive(self, rendered: Rendered, started: float) -> bool:
        """Take one message in; whether it was the run's last."""
        data = await self._socket.recv()
        message = ForwardMsg.FromString(data if isinstance(data, bytes) else data.encode())
        rendered.wire_bytes += len(data)
        if message.metadata.cacheable:
            self._kept[0].add(message.hash)
        match message.WhichOneof("type"):
            case "new_session":
                self._page_hash = message.new_session.page_script_hash
                if not message.metadata.run.fragment_ids:  # the whole page is drawn anew, its fragments with it
                    self.rerun_every.clear()
            case "navigation":
                self._hashes = {page.url_pathname: page.page_script_hash for page in message.navigation.app_pages}
            case "auto_rerun":
                self.rerun_every[message.auto_rerun.fragment_id] = message.auto_rerun.interval
            case "page_not_found":
                rendered.problems.append("page not found")
            case "ref_hash":
                self._kept[0].add(message.ref_hash)
                rendered.elements += 1
            case "delta":
                rendered.first_seconds = rendered.first_seconds or time.perf_counter() - started
                rendered.elements += 1
                _note(message.delta, rendered)
                self._note_filter(message.delta)
            case "script_finished":
                return message.script_finished in ENDS
        return False

    def _note_filter(self, delta: Delta) -> None:
        match delta.new_element.WhichOneof("type"):
            case "button_group":
                filter_ = delta.new_element.button_group
            case "multiselect":
                filter_ = delta.new_element.multiselect
            case _:
                return
        if filter_.query_param_key and not filter_.disabled:
            self._settable[filter_.query_param_key] = filter_.id


def _note(delta: Delta, rendered: Rendered) -> None:
    """What an element says, and whether that is that something went wrong."""
    element = delta.new_element
    match element.WhichOneof("type"):
        case "exception":
            rendered.problems.append(f"{element.exception.type}: {element.exception.message}")
        case "alert" if element.alert.format == Alert.ERROR:
            rendered.problems.append(element.alert.body)
        case "markdown":
            rendered.texts.append(element.markdown.body)


@asynccontextmanager
async def page_session(port: int) -> AsyncIterator[PageSession]:
    """A new tab on the server at this port of the machine."""
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    async with connect(
        address, subprotocols=["streamlit"], max_size=None, open_timeout=60, compression=None, origin=f"http://127.0.0.1:{port}"
    ) as socket:  # type: ignore[arg-type, list-item]
        yield PageSession(socket)
