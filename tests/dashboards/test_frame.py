"""What every page has around its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.components import frame
from dashboards.components.frame import Turns

if TYPE_CHECKING:
    import pytest


def test_open_pages_are_drawn_anew_two_at_a_time() -> None:
    turns = Turns()

    assert [turns.take(page) for page in ("a", "b", "c", "a")] == [True, True, False, True]
    turns.give_back("c")  # a page that was drawn for another reason
    assert not turns.take("c")
    turns.give_back("a")
    assert turns.take("c")


def test_a_page_that_was_closed_while_it_was_drawn_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr(frame.time, "monotonic", lambda: clock)
    turns = Turns()

    assert turns.take("closed")
    assert turns.take("closed too")
    clock += 9
    assert not turns.take("open")
    clock += 2
    assert turns.take("open")
