"""What every page has around its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.components import frame
from dashboards.components.frame import REDRAW_SECONDS, _Redraws

if TYPE_CHECKING:
    import pytest


def test_open_pages_take_turns_in_being_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr(frame.time, "monotonic", lambda: clock)
    turns = _Redraws()

    assert [turns.may_begin() for _ in range(3)] == [True, False, False]
    clock += REDRAW_SECONDS
    assert [turns.may_begin() for _ in range(2)] == [True, False]
