"""What leaves the page with the list of policy rules."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from dashboards.components import rule_list
from dashboards.queries.rules import RuleBook

if TYPE_CHECKING:
    import pytest


def test_every_exported_column_of_the_rules_says_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    exported: list[tuple[list[str], dict[str, str]]] = []

    def export(frame: pl.DataFrame, *, definitions: dict[str, str], **_named: Any) -> None:
        exported.append((frame.columns, definitions))

    monkeypatch.setattr(rule_list, "export_button", export)
    version = {
        "name": "tea/1", "state": "in force", "scope": {"category": "Tea"}, "settings": {"service_level": 0.98}, "items_count": 12, "priority": 0,
        "valid_from": date(2026, 10, 1), "valid_to": None, "season_from": None, "season_to": None, "reason": "it sells out", "author": "ada",
        "created_at": datetime(2026, 9, 30, tzinfo=UTC), "reverted_by": None, "revert_reason": None,
    }  # fmt: skip

    rule_list.rule_list(RuleBook([version], [], pl.DataFrame(), date(2026, 11, 21)), as_of=date(2026, 11, 20), today=date(2026, 11, 21))

    ((columns, definitions),) = exported
    assert set(columns) == definitions.keys()
