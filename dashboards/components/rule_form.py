"""A policy rule is written: whom it is for, what it sets, and when; what it would change is shown before it can be saved."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards import decisions
from dashboards.components.formats import escape_markdown, format_count, format_date, spoken
from dashboards.components.rule_list import ANSWER
from dashboards.components.rule_trial import rule_trial
from dashboards.components.rule_words import SCOPE_LABELS, SETTING_LABELS, change_words, rule_times_words, scope_words, settings_words
from dashboards.components.states import main_button
from dashboards.queries import rules
from inventory.rules import CHOICES, SCOPES, SETTINGS, PolicyRule, RuleScope, RuleValues
from pipelines.errors import OrdercastError

if TYPE_CHECKING:
    from datetime import date

    from dashboards.queries.releases import Served
    from dashboards.queries.rules import RuleBook
    from inventory.rule_preview import RulePreview

_NOTHING: Final = "no item is in its scope, a narrower rule holds, or it sets what holds already"
NEW: Final = "A new rule"
CHANGES_SHOWN: Final = 8
_OFFERED: Final = tuple(name for name in SETTINGS if name != "budget_currency_code")


def rule_form(served: Served, book: RuleBook, *, actor: str | None, today: date) -> None:
    """The fields, the preview of exactly what they say, and the button that saves it, for admins."""
    which = st.selectbox(
        "Rule", [NEW, *book.names], key="rule-which",
        help="A further version of a rule schedules a change: until its first day the version before holds.",
    )  # fmt: skip
    base = None if which == NEW else book.newest(which)
    key = f"rule-{which}"
    name = st.text_input("Name", placeholder="tea-in-autumn", key=f"{key}-name") if base is None else which
    scope = _scope(book, key) if base is None else base.scope
    if base is not None:
        st.caption(f"For {escape_markdown(scope_words(base.scope.named))}. A version keeps whom its rule is for.")
    values = _values(base, key, currency_code=served.context.currency_code)
    times = _times(book, base, key)
    reason = st.text_input("Why", key=f"{key}-reason", max_chars=500, help="Kept with the rule and in the audit log.")
    if not values:
        st.caption("Choose at least one setting.")
        return
    try:
        rule = PolicyRule(name or "new", 1, scope, RuleValues(**values), created_at=rules.NOT_YET, **times)
    except ValueError as exc:
        st.error(escape_markdown(str(exc)), icon=":material/error:")
        return
    _preview_then_save(served, book, rule, base=base, reason=reason, actor=actor, today=today)


def _scope(book: RuleBook, key: str) -> RuleScope:
    chosen: dict[str, str | None] = {}
    with st.container(horizontal=True):
        chosen["sku"] = st.text_input(SCOPE_LABELS["sku"], placeholder="Any", key=f"{key}-sku").strip() or None
        for name in SCOPES[1:]:
            if members := book.members(name):
                chosen[name] = st.selectbox(SCOPE_LABELS[name], members, index=None, placeholder="Any", key=f"{key}-{name}")
    return RuleScope(**chosen)


def _values(base: PolicyRule | None, key: str, *, currency_code: str) -> dict[str, Any]:
    known = {} if base is None else base.values.named
    default = [name for name in _OFFERED if name in known]
    names = st.multiselect("Sets", _OFFERED, default=default, format_func=SETTING_LABELS.__getitem__, key=f"{key}-sets")
    values: dict[str, Any] = {}
    with st.container(horizontal=True):
        for name in names:
            values[name] = _value(name, known.get(name), key)
    if "budget_amount" in values:
        values["budget_currency_code"] = known.get("budget_currency_code", currency_code)
    return values


def _value(name: str, known: Any, key: str) -> Any:
    label, field = SETTING_LABELS[name], f"{key}-{name}"
    if name in CHOICES:
        choices = list(CHOICES[name])
        return st.selectbox(label, choices, index=choices.index(known) if known else 0, format_func=spoken, key=field)
    if SETTINGS[name] == pl.Float64():
        share = st.number_input(f"{label} (%)", 0.0, 100.0, 100 * known if known is not None else 95.0, 0.5, key=field)
        return round(share / 100, 6)
    if name == "budget_amount":
        return Decimal(str(st.number_input(label, min_value=0.0, value=float(known or 1000), step=100.0, key=field)))
    return st.number_input(label, min_value=0, value=int(known or 1), step=1, key=field)


def _times(book: RuleBook, base: PolicyRule | None, key: str) -> dict[str, Any]:
    season = base.season if base is not None else None
    with st.container(horizontal=True):
        first = st.date_input("First day", value=book.next_day, min_value=book.next_day, key=f"{key}-from")
        last = st.date_input("Last day (none: for good)", value=None, min_value=book.next_day, key=f"{key}-to")
        begins = st.text_input("Season from (MM-DD)", value=season[0] if season else "", placeholder="10-01", key=f"{key}-season-from")
        ends = st.text_input("Season to (MM-DD)", value=season[1] if season else "", placeholder="12-31", key=f"{key}-season-to")
        priority = st.number_input(
            "Priority", value=base.priority if base else 0, step=1, key=f"{key}-priority",
            help="Between rules of one scope the higher wins.",
        )  # fmt: skip
    whole = (begins.strip(), ends.strip()) if begins.strip() or ends.strip() else None
    return {"valid_from": first, "valid_to": last, "season": whole, "priority": priority}


def _preview_then_save(
    served: Served, book: RuleBook, rule: PolicyRule, *, base: PolicyRule | None, reason: str, actor: str | None, today: date
) -> None:
    found = rules.preview(book, rule)
    with st.container(border=True):
        told = f"{scope_words(rule.scope.named)}: {settings_words(rule.values.named)}, {rule_times_words(rule, today=today)}"
        st.markdown(f"**{escape_markdown(told[0].upper() + told[1:])}**")
        show_preview(book, found, today=today)
        with st.expander("What it would do to orders, and would have cost", icon=":material/calculate:"):
            rule_trial(served, book, rule, found)
        if actor is None:
            st.markdown(":material/lock: Only an admin may save a rule.")
            return
        ready = bool(reason.strip()) and rule.rule_id != "new"
        st.button(
            f"Save {'the rule' if base is None else f'a version of {rule.rule_id}'}", icon=":material/save:", type=main_button(),
            key=f"save-{rule.rule_id}-{len(book.versions)}", on_click=_save, disabled=not ready,
            args=(rule, found, base is None, reason, actor, len(book.versions)),
            help=None if ready else "A rule needs a name and its reason.",
        )  # fmt: skip


def show_preview(book: RuleBook, found: RulePreview, *, today: date) -> None:
    """What would change for how many items, and what would then contradict itself or leave an item without a policy."""
    on = format_date(found.on, today=today)
    of_all = f"{format_count(found.items_count, 'item')} of {book.items.height:,}"
    st.markdown(f"On {on} it changes {of_all}:" if found.items_count else f"On {on} it changes nothing: {_NOTHING}.")
    lines = [f"- {escape_markdown(change_words(change))}" for change in found.changes[:CHANGES_SHOWN]]
    if len(found.changes) > CHANGES_SHOWN:
        lines.append(f"- and {len(found.changes) - CHANGES_SHOWN:,} more changes")
    if lines:
        st.markdown("\n".join(lines))
    for one in found.conflicts[:CHANGES_SHOWN]:
        st.warning(
            escape_markdown(
                f"{one['rule']} and {one['other_rule']} want a different {SETTING_LABELS[one['setting']].lower()} for "
                f"{format_count(one['items_count'], 'item')}: the newer holds. Give one of them a higher priority."
            ),
            icon=":material/warning:",
        )
    if found.problems:
        first = found.problems[0]
        said = f"{format_count(len(found.problems), 'item')} would be left without a policy, for example {first['sku']} at "
        st.warning(escape_markdown(f"{said}{first['location_id']}: {first['reason']}"), icon=":material/warning:")


def _save(rule: PolicyRule, found: RulePreview, is_new: bool, reason: str, actor: str, versions_count: int) -> None:  # noqa: PLR0917 - a callback
    """A click; one that comes twice finds that the book it was drawn from has been written to."""
    drawn = (rule.rule_id, versions_count)
    if st.session_state.get("rule_saved") == drawn:
        return
    try:
        added = decisions.add_rule(rule, is_new=is_new, reason=reason, found=found, actor=actor)
    except OrdercastError as exc:
        st.session_state[ANSWER] = (escape_markdown(str(exc)), False)
        return
    st.session_state["rule_saved"] = drawn
    st.session_state[ANSWER] = (f"**{escape_markdown(added.name)} stands**. It counts from the next run on (`ordercast run`).", True)
