"""Policy rules as people read them on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from dashboards.components.formats import format_date, format_money, format_percent, format_units, spoken
from inventory.rules import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from inventory.rule_preview import RuleChange
    from inventory.rules import PolicyRule

SCOPE_LABELS: Final = {
    "sku": "Item", "location_id": "Location", "channel_id": "Channel", "supplier_id": "Supplier", "category": "Category",
    "abc_class": "ABC class", "xyz_class": "XYZ class",
}  # fmt: skip
SETTING_LABELS: Final = {
    "service_level": "Service level", "method": "Method", "critical_ratio": "Critical ratio", "review_period_days": "Review period (days)",
    "lost_sales_share": "Share of sales lost", "min_qty": "Minimum stock (units)", "max_qty": "Maximum stock (units)",
    "reorder_qty": "Reorder quantity (units)", "cover_days": "Cover (days)", "min_fill_rate": "Least fill rate",
    "budget_amount": "Budget of a round", "budget_currency_code": "Currency of the budget", "sourcing": "Sourcing goes by",
}  # fmt: skip


def scope_words(scope: Mapping[str, str]) -> str:
    """As in "Category Tea, ABC class A"; "everything" where nothing is named."""
    return ", ".join(f"{SCOPE_LABELS[name]} {value}" for name, value in scope.items()) or "everything"


def settings_words(settings: Mapping[str, Any]) -> str:
    """As in "Service level 98.0 %, Review period (days) 7"."""
    said = [f"{SETTING_LABELS[name]} {value_words(name, value)}" for name, value in settings.items() if not name.startswith("budget_")]
    if (amount := settings.get("budget_amount")) is not None:
        said.append(f"{SETTING_LABELS['budget_amount']} {format_money(amount, settings['budget_currency_code'])}")
    return ", ".join(said)


def value_words(name: str, value: Any) -> str:
    """A setting's value with its unit; "default" where no rule sets it."""
    if value is None:
        return "default"
    if SETTINGS[name] == pl.Float64():
        return format_percent(value)
    return spoken(value) if isinstance(value, str) else format_units(float(value))


def times_words(rule: Mapping[str, Any], *, today: date) -> str:
    """As in "from Thu 1 Oct to Thu 31 Dec, each year from 10-01 to 12-31"."""
    until = "on" if rule["valid_to"] is None else f"to {format_date(rule['valid_to'], today=today)}"
    season = "" if rule["season_from"] is None else f", each year from {rule['season_from']} to {rule['season_to']}"
    return f"from {format_date(rule['valid_from'], today=today)} {until}{season}"


def rule_times_words(rule: PolicyRule, *, today: date) -> str:
    """The same of a rule that is not written yet."""
    first, last = rule.season or (None, None)
    return times_words({"valid_from": rule.valid_from, "valid_to": rule.valid_to, "season_from": first, "season_to": last}, today=today)


def change_words(change: RuleChange) -> str:
    """As in "Service level default to 98.0 %: 12 items"."""
    before, after = (value_words(change.setting, value) for value in (change.before, change.after))
    count = "1 item" if change.items_count == 1 else f"{change.items_count:,} items"
    return f"{SETTING_LABELS[change.setting]} from {before} to {after}: {count}"
