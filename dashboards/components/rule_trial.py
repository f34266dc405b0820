"""What a rule that is not saved yet would do to orders, and would have cost: worked out by the command line, aside of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards import jobs
from dashboards.components.formats import format_count
from dashboards.components.job_panel import long_question
from dashboards.components.replay_panel import DEFINITIONS, priced
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from dashboards.jobs import Answered
    from dashboards.queries.releases import Served
    from dashboards.queries.rules import RuleBook
    from inventory.rule_preview import RulePreview
    from inventory.rules import PolicyRule

# How the command line calls what a rule is for; settings are called alike.
_FOR: Final = {
    "sku": "sku", "location_id": "location", "channel_id": "channel", "supplier_id": "supplier", "category": "category",
    "abc_class": "abc", "xyz_class": "xyz",
}  # fmt: skip
_SIDES: Final = {"before": "Without the rule", "after": "With it"}
_ORDER_DEFINITIONS: Final = {
    "orders_count": "Order lines, one per item and location.",
    "order_amount": "What they come to at the suppliers' prices.",
}
_REPLAYED: Final = ("cost_amount", "holding_amount", "lost_margin_amount", "fill_rate", "stock_value_amount", "orders_count")


def rule_trial(served: Served, book: RuleBook, rule: PolicyRule, found: RulePreview) -> None:
    """Both questions, each with its button, its progress and its answer."""
    options = preview_options(rule, found)
    standing = " ".join(sorted(one.name for one in book.standing))
    orders = jobs.question(served, "rules preview", [*options, ("--orders", "")], depends_on=standing)
    answer = long_question(orders, button="Plan the next orders both ways", name="rule-orders", note="As long as a run plans.")
    if answer is not None:
        show_orders(answer, as_of=served.context.as_of_date)
    lived = jobs.question(served, "rules preview", [*options, ("--replay", "")], depends_on=standing)
    answer = long_question(lived, button="Replay last year both ways", name="rule-replay", note="Takes minutes.")
    if answer is not None:
        show_replay(answer, as_of=served.context.as_of_date)


def preview_options(rule: PolicyRule, found: RulePreview) -> list[tuple[str, str]]:
    """The rule in the words of `ordercast rules preview`."""
    values = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in rule.values.named.items()}
    if "budget_amount" in values:
        values["budget"] = f"{values.pop('budget_currency_code')} {values.pop('budget_amount')}"
    scope = [("--for", f"{_FOR[name]}={value}") for name, value in rule.scope.named.items()]
    return [*scope, *(("--set", f"{name}={value}") for name, value in values.items()), ("--on", found.on.isoformat())]


def show_orders(found: Answered, *, as_of: date) -> None:
    """The next orders without the rule and with it, by currency."""
    orders: list[Mapping[str, Any]] = found.content["orders"]
    if not orders:
        st.caption("Nothing would be ordered, with the rule or without it.")
        return
    rows = [
        {
            "side": said, "currency_code": one["currency_code"], "orders_count": one[f"lines_{side}"], "order_qty": one[f"qty_{side}"],
            "order_amount": float(one[f"amount_{side}"]),
        }
        for one in orders
        for side, said in _SIDES.items()
    ]  # fmt: skip
    data_table(
        pl.DataFrame(rows), name="rule-orders", as_of=as_of, alt="The next orders without the rule and with it",
        labels={"side": "Rule", "currency_code": "Currency", "orders_count": "Order lines", "order_qty": "Units", "order_amount": "Amount"},
        filters=jobs.as_filters(found.job), definitions=_ORDER_DEFINITIONS,
    )  # fmt: skip


def show_replay(found: Answered, *, as_of: date) -> None:
    """The same weeks lived through without the rule and with it."""
    lived: Mapping[str, Any] = found.content["replay"]
    rows = [
        {"side": said, "currency_code": lived["currency_code"], **{name: lived[side][name] for name in _REPLAYED}}
        for side, said in _SIDES.items()
    ]
    data_table(
        pl.DataFrame(rows), name="rule-replay", as_of=as_of, alt="The same weeks without the rule and with it",
        columns=("side", *_REPLAYED), labels=priced(lived["currency_code"]) | {"side": "Rule", "fill_rate": "Fill rate (%)"},
        filters=jobs.as_filters(found.job), definitions={name: DEFINITIONS[name] for name in _REPLAYED},
    )  # fmt: skip
    left_out = f"; {format_count(lived['left_out_count'], 'item')} more cannot be replayed" if lived["left_out_count"] else ""
    st.caption(
        f"{format_count(lived['weeks_count'], 'week')} from {lived['first_date']} lived through by "
        f"{format_count(lived['items_count'], 'item')}{left_out}."
    )
