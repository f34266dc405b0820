"""How often pages are opened: counted in this process, and added to the operational store at most once a minute."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Final

import streamlit as st

from pipelines.errors import OrdercastError
from pipelines.settings import load_settings
from pipelines.stores.grants import WRITER
from pipelines.stores.operational import OperationalStore
from pipelines.stores.page_use import add_page_use

EVERY: Final = timedelta(minutes=1)
_LAST_PAGE: Final = "last_page"
_LOG: Final = logging.getLogger("ordercast.pages")


class PageCounter:
    """Openings that are not in the store yet."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._lock = threading.Lock()
        self._opened: Counter[tuple[date, str]] = Counter()
        self._written_at = datetime.min.replace(tzinfo=UTC)

    def count(self, page: str, *, at: datetime) -> dict[tuple[date, str], int]:
        """The page was opened once more; returns what is due to be written now, which is the caller's from then on."""
        with self._lock:
            self._opened[at.date(), page] += 1
            if at - self._written_at < EVERY:
                return {}
            due, self._opened, self._written_at = dict(self._opened), Counter(), at
            return due

    def give_back(self, opened: dict[tuple[date, str], int]) -> None:
        """These could not be written; they go with the next."""
        with self._lock:
            self._opened.update(opened)


_COUNTER: Final = PageCounter()


def page_opened(page: str) -> None:
    """The reader came to this page; drawing it again is no opening. What the store does not take now is counted later."""
    if st.session_state.get(_LAST_PAGE) == page:
        return
    st.session_state[_LAST_PAGE] = page
    due = _COUNTER.count(page, at=datetime.now(UTC))
    if due:
        threading.Thread(target=_write, args=(due,), daemon=True).start()  # no reader waits for it


def _write(opened: dict[tuple[date, str], int]) -> None:
    try:
        with OperationalStore.open(load_settings().resolved_store_url, role=WRITER) as store:
            if store.is_migrated():
                add_page_use(store, opened)
    except OrdercastError as exc:
        _COUNTER.give_back(opened)
        _LOG.warning("Openings of pages are not counted yet: %s", exc)
