"""What leaves the page with policy rules: their list, and what a rule that is tried would do."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from dashboards.components import rule_list, rule_trial
from dashboards.job_files import Job
from dashboards.jobs import Answered
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


def test_what_a_rule_would_do_leaves_the_page_as_raw_values_with_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    exported: list[tuple[str, pl.DataFrame, dict[str, str]]] = []
    monkeypatch.setattr(rule_trial, "data_table", lambda frame, *, name, filters, **_named: exported.append((name, frame, filters)))
    lived = {
        "cost_amount": 12.5, "holding_amount": 7.5, "lost_margin_amount": 5.0, "fill_rate": 0.9, "stock_value_amount": 90.0, "orders_count": 4,
    }  # fmt: skip
    answer = {
        "orders": [{"currency_code": "EUR", "lines_before": 4, "qty_before": 40, "amount_before": "100.50", "lines_after": 5, "qty_after": 60,
                    "amount_after": "130.00"}],
        "replay": {"currency_code": "EUR", "before": lived, "after": lived | {"cost_amount": 11.0}, "weeks_count": 52, "items_count": 9,
                   "left_out_count": 0, "first_date": "2025-11-21"},
    }  # fmt: skip
    argv = ("rules", "preview", "--json", "--for=category=Tea", "--set=cover_days=30", "--orders")
    found = Answered(answer, Job("k", "s", "rules preview", argv, "r", "2026-11-20", "ada", "2026-11-21T08:00:00"))

    rule_trial.show_orders(found, as_of=date(2026, 11, 20))
    rule_trial.show_replay(found, as_of=date(2026, 11, 20))

    orders, replay = exported
    assert orders[1].select("side", "orders_count", "order_qty", "order_amount").rows() == [
        ("Without the rule", 4, 40, 100.5), ("With it", 5, 60, 130.0),
    ]  # fmt: skip
    assert replay[1]["cost_amount"].to_list() == [12.5, 11.0]
    assert orders[2] == replay[2] == {"for": "category=Tea", "set": "cover_days=30"}
