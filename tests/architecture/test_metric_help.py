"""Every figure on a card says what it means: no `metric` is drawn without help."""

from __future__ import annotations

import ast
from pathlib import Path

DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"


def without_help(source: str) -> list[int]:
    """Lines that draw a metric, on the page or in a part of it, and explain nothing."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "metric" and len(node.args) > 1
        and not any(one.arg == "help" and not (isinstance(one.value, ast.Constant) and one.value.value is None) for one in node.keywords)
    ]  # fmt: skip


def test_every_metric_that_is_drawn_has_help() -> None:
    found = {path.name: lines for path in DASHBOARDS.rglob("*.py") if (lines := without_help(path.read_text(encoding="utf-8")))}

    assert found == {}


def test_a_metric_without_help_is_found() -> None:
    assert without_help('st.metric("Orders", "3")\ngrid.cell().metric("Orders", "3", help=None)') == [1, 2]
    assert without_help('st.metric("Orders", "3", help="What was ordered.")') == []
