"""Policy rules as a person types and reads them: "category=Tea", "service_level=98%", "from 1 Oct on"."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from inventory.rules import CHOICES, SETTINGS, PolicyRule, RuleScope, RuleValues
from pipelines.cli.wording import exact, reasons_counted
from pipelines.errors import PolicyRuleError
from pipelines.stores.metrics_catalogue import suggestion
from pipelines.stores.metrics_values import major_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.rule_preview import RuleChange
    from pipelines.steps.rule_orders import OrdersChange
    from pipelines.steps.rule_replay import RuleReplay

# How a person names what a rule is for; the narrowest first.
SCOPE_WORDS: Final = {
    "sku": "sku", "location": "location_id", "channel": "channel_id", "supplier": "supplier_id", "category": "category",
    "abc": "abc_class", "xyz": "xyz_class",
}  # fmt: skip
BUDGET: Final = "budget"
_REASONS_SHOWN: Final = 5
SET_WORDS: Final = (*(name for name in SETTINGS if not name.startswith("budget_")), BUDGET)
ALL_YEAR: Final = "all-year"
NEW: Final = "(new)"  # what no rule can be called
_NOT_YET: Final = datetime.fromisoformat("9999-12-31")  # the newest of all
_BUDGET: Final = re.compile(r"([A-Z]{3}) ?(\d[\d,]*(?:\.\d{1,4})?)")


def scope_of(texts: Sequence[str]) -> RuleScope:
    """What the rule is for, from texts such as "category=Tea".

    Raises:
        PolicyRuleError: One is no such text, or names something twice.
    """
    return RuleScope(**{SCOPE_WORDS[name]: value for name, value in _pairs(texts, SCOPE_WORDS, "--for").items()})


def values_of(texts: Sequence[str]) -> dict[str, Any]:
    """What the rule sets, from texts such as "service_level=98%" or "budget=EUR 2,500".

    Raises:
        PolicyRuleError: One is no such text, or its value cannot be read.
    """
    values: dict[str, Any] = {}
    for name, text in _pairs(texts, SET_WORDS, "--set").items():
        if name == BUDGET:
            found = _BUDGET.fullmatch(text)
            if found is None:
                raise PolicyRuleError(f"{text!r} is no budget: write currency and amount, such as budget='EUR 2,500'.")
            values |= {"budget_currency_code": found[1], "budget_amount": Decimal(found[2].replace(",", ""))}
        else:
            values[name] = text if name in CHOICES else _number(name, text)
    return values


def season_of(text: str | None) -> tuple[str, str] | None:
    """First and last day of each year, from "10-01:12-31"; None for "all-year" and where nothing is said.

    Raises:
        PolicyRuleError: It is no such text.
    """
    if text is None or text == ALL_YEAR:
        return None
    first, colon, last = text.partition(":")
    if not colon:
        raise PolicyRuleError(f"{text!r} is no season: write two days of the year, such as 10-01:12-31, or {ALL_YEAR}.")
    return first, last


def built(rule_id: str, *, scope: RuleScope, values: dict[str, Any], **times: Any) -> PolicyRule:
    """A first version that is not written yet.

    Raises:
        PolicyRuleError: It sets nothing or something impossible, or holds on no day.
    """
    try:
        return PolicyRule(rule_id, 1, scope, RuleValues(**values), created_at=_NOT_YET, **times)
    except ValueError as exc:
        raise PolicyRuleError(str(exc)) from None


def scope_said(scope: RuleScope) -> str:
    """As in "category Tea, abc A"; "everything" where nothing is named."""
    words = {column: word for word, column in SCOPE_WORDS.items()}
    return ", ".join(f"{words[name]} {value}" for name, value in scope.named.items()) or "everything"


def values_said(values: RuleValues) -> str:
    """As in "service_level 98 %, review_period_days 7"."""
    said = {name: said_value(name, value) for name, value in values.named.items() if not name.startswith("budget_")}
    if values.budget_amount is not None:
        said[BUDGET] = exact(float(values.budget_amount), "money", values.budget_currency_code)
    return ", ".join(f"{name} {value}" for name, value in said.items())


def times_said(rule: PolicyRule) -> str:
    """As in "from 2026-10-01 to 2026-12-31, each year from 10-01 to 12-31"."""
    until = "on" if rule.valid_to is None else f"to {rule.valid_to}"
    season = "" if rule.season is None else ", each year from {} to {}".format(*rule.season)
    return f"from {rule.valid_from} {until}{season}"


def change_said(change: RuleChange) -> str:
    """As in "service_level 95 % -> 98 %: 12 items"."""
    before, after = (said_value(change.setting, value) for value in (change.before, change.after))
    return f"{change.setting} {before} -> {after}: {items_said(change.items_count)}"


def orders_said(change: OrdersChange) -> str:
    """As in "Orders: 28 lines, 1,240 units, EUR 12,300.00 -> 31 lines, 1,400 units, EUR 14,100.00"."""
    sides = (
        (change.lines_before, change.qty_before, change.amount_before),
        (change.lines_after, change.qty_after, change.amount_after),
    )
    before, after = (
        f"{lines:,} {'line' if lines == 1 else 'lines'}, {qty:,} units, {change.currency_code} {amount:,.2f}"
        for lines, qty, amount in sides
    )
    return f"Orders: {before} -> {after}"


def replay_facts(lived: RuleReplay) -> dict[str, Any]:
    """What a replay of rules found as it is kept with a version and printed as JSON; amounts in major units."""
    told = asdict(lived) | {"weeks_count": lived.weeks_count, "left_out_count": len(lived.left_out)}
    for side in ("before", "after"):
        one = getattr(lived, side)
        amounts = [name for name in (*told[side], "cost_amount") if name.endswith("_amount")]
        told[side] |= {name: major_units(getattr(one, name), lived.currency_code) for name in amounts}
        del told[side]["policy"]
    return told


def replay_said(lived: RuleReplay) -> list[str]:
    """What a replay of rules found, line by line."""
    sides = (lived.before, lived.after)

    def amounts(name: str) -> str:
        before, after = (f"{major_units(getattr(one, name), lived.currency_code):,.2f}" for one in sides)
        return f"{before} -> {after}"

    fills = " -> ".join("-" if one.fill_rate is None else f"{one.fill_rate * 100:.1f} %" for one in sides)
    rest = f"; {items_said(len(lived.left_out))} more cannot be replayed" if lived.left_out else ""
    reasons = reasons_counted(one["reason"] for one in lived.left_out)[:_REASONS_SHOWN]
    return [
        f"{lived.weeks_count} weeks from {lived.first_date} lived through again by {items_said(lived.items_count)}{rest}, "
        f"in {lived.currency_code}:",
        f"  cost {amounts('cost_amount')} (holding {amounts('holding_amount')}, lost margin {amounts('lost_margin_amount')})",
        f"  fill rate {fills}, stock value {amounts('stock_value_amount')}",
        f"  order lines {lived.before.orders_count:,} -> {lived.after.orders_count:,}",
        *(f"  not replayed, {count:,}: {reason}" for reason, count in reasons),
    ]


def items_said(count: int) -> str:
    """Items at locations."""
    return "1 item" if count == 1 else f"{count:,} items"


def said_value(setting: str, value: Any) -> str:
    """A setting's value with its unit; "default" where no rule sets it."""
    if value is None:
        return "default"
    if isinstance(value, Decimal):
        return f"{value:,.2f}"
    return exact(value, "percent", None) if SETTINGS[setting] == pl.Float64() else str(value)


def _pairs(texts: Sequence[str], known: Any, option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not value:
            raise PolicyRuleError(
                f"{option} {text!r}: write name=value, such as {'category=Tea' if option == '--for' else 'service_level=98%'}."
            )
        if name not in known:
            raise PolicyRuleError(f"{option} knows no {name!r}; {suggestion(name, list(known))}")
        if name in found:
            raise PolicyRuleError(f"{option} names {name} twice; a rule is for one value: add a second rule.")
        found[name] = value
    return found


def _number(name: str, text: str) -> float | int:
    is_share = SETTINGS[name] == pl.Float64()
    plain = text.removesuffix("%").strip()
    try:
        if is_share:
            return float(plain) / 100 if text.endswith("%") else float(plain)
        return int(text.replace(",", ""))
    except ValueError:
        wanted = "a share such as 0.98 or 98%" if is_share else "a whole number"
        raise PolicyRuleError(f"{name}={text}: write {wanted}.") from None
