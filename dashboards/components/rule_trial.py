"""What a rule that is not saved yet would do to orders, and would have cost: worked out by the command line, aside of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from dashboards import jobs
from dashboards.components.formats import UNKNOWN, format_count, format_money, format_percent, format_units
from dashboards.components.job_panel import long_question

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboards.queries.releases import Served
    from dashboards.queries.rules import RuleBook
    from inventory.rule_preview import RulePreview
    from inventory.rules import PolicyRule

# How the command line calls what a rule is for; settings are called alike.
_FOR: Final = {
    "sku": "sku", "location_id": "location", "channel_id": "channel", "supplier_id": "supplier", "category": "category",
    "abc_class": "abc", "xyz_class": "xyz",
}  # fmt: skip


def rule_trial(served: Served, book: RuleBook, rule: PolicyRule, found: RulePreview) -> None:
    """Both questions, each with its button, its progress and its answer."""
    options = preview_options(rule, found)
    standing = " ".join(sorted(one.name for one in book.standing))
    orders = jobs.question(served, "rules preview", [*options, ("--orders", "")], depends_on=standing)
    answer = long_question(orders, button="Plan the next orders both ways", name="rule-orders", note="As long as a run plans.")
    if answer is not None:
        show_orders(answer.content["orders"])
    lived = jobs.question(served, "rules preview", [*options, ("--replay", "")], depends_on=standing)
    answer = long_question(lived, button="Replay last year both ways", name="rule-replay", note="Takes minutes.")
    if answer is not None:
        show_replay(answer.content["replay"])


def preview_options(rule: PolicyRule, found: RulePreview) -> list[tuple[str, str]]:
    """The rule in the words of `ordercast rules preview`."""
    values = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in rule.values.named.items()}
    if "budget_amount" in values:
        values["budget"] = f"{values.pop('budget_currency_code')} {values.pop('budget_amount')}"
    scope = [("--for", f"{_FOR[name]}={value}") for name, value in rule.scope.named.items()]
    return [*scope, *(("--set", f"{name}={value}") for name, value in values.items()), ("--on", found.on.isoformat())]


def show_orders(orders: list[Mapping[str, Any]]) -> None:
    """The next orders without the rule and with it, by currency."""
    if not orders:
        st.caption("Nothing would be ordered, with the rule or without it.")
        return
    rows = [
        {
            "": side, "Orders": format_units(one[f"lines_{key}"]), "Units": format_units(one[f"qty_{key}"]),
            "Amount": format_money(float(one[f"amount_{key}"]), one["currency_code"]),
        }
        for one in orders
        for side, key in (("Without the rule", "before"), ("With it", "after"))
    ]  # fmt: skip
    st.table(rows, border="horizontal", hide_index=True, width="content")


def show_replay(lived: Mapping[str, Any]) -> None:
    """The same weeks lived through without the rule and with it."""
    code = lived["currency_code"]
    rows = [
        {
            "": side, "Cost": format_money(one["cost_amount"], code), "Holding": format_money(one["holding_amount"], code),
            "Lost margin": format_money(one["lost_margin_amount"], code),
            "Fill rate": UNKNOWN if one["fill_rate"] is None else format_percent(one["fill_rate"]),
            "Stock value": format_money(one["stock_value_amount"], code), "Order lines": format_units(one["orders_count"]),
        }
        for side, one in (("Without the rule", lived["before"]), ("With it", lived["after"]))
    ]  # fmt: skip
    st.table(rows, border="horizontal", hide_index=True, width="content")
    left_out = f"; {format_count(lived['left_out_count'], 'item')} more cannot be replayed" if lived["left_out_count"] else ""
    st.caption(
        f"{format_count(lived['weeks_count'], 'week')} from {lived['first_date']} lived through by "
        f"{format_count(lived['items_count'], 'item')}{left_out}."
    )
