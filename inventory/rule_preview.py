"""What a change of policy rules would change for items, before anybody decides on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from inventory.rules import SETTINGS, EffectivePolicies, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from inventory.rules import PolicyRule

_LONGEST_WAIT_DAYS: Final = 366


@dataclass(frozen=True, slots=True)
class RuleChange:
    """For how many items one setting would change, and from what to what; None: no rule sets it, so the platform's default holds."""

    setting: str
    before: Any
    after: Any
    items_count: int


@dataclass(frozen=True, slots=True)
class RulePreview:
    """What other rules would change.

    Attributes:
        on: The day they are compared for.
        items_count: Items at locations for which anything changes.
        changes: What, most items first.
        conflicts: Contradictions that come with them: setting, rule, other_rule, items_count.
        problems: Items that they leave without a policy: sku, location_id, reason.
    """

    on: date
    items_count: int
    changes: tuple[RuleChange, ...]
    conflicts: tuple[dict[str, Any], ...]
    problems: tuple[dict[str, Any], ...]


def first_day(rule: PolicyRule, *, not_before: date) -> date:
    """The first day from then on that lies in the rule's dates and season; where none comes within a year, the first of its dates."""
    begin = max(rule.valid_from, not_before)
    days = (begin + timedelta(days=offset) for offset in range(_LONGEST_WAIT_DAYS))
    return next((day for day in days if rule.holds_on(day)), begin)


def preview_rules(items: pl.DataFrame, *, before: Sequence[PolicyRule], after: Sequence[PolicyRule], on: date) -> RulePreview:
    """What the rules `after` in the place of those `before` would change on a day.

    Args:
        items: sku, location_id and the other names of `RuleScope`, one row per item and location.
        before: All versions that stand.
        after: All that would stand.
        on: The day of the decision.
    """
    old, new = resolve(items, before, on=on), resolve(items, after, on=on)
    differs = {name: ~old.frame[name].eq_missing(new.frame[name]) for name in SETTINGS}
    pairs = [
        RuleChange(name, was, becomes, count)
        for name, is_other in differs.items()
        for was, becomes, count in pl.DataFrame({"was": old.frame[name], "becomes": new.frame[name]})
        .filter(is_other)
        .group_by("was", "becomes")
        .len()
        .iter_rows()
    ]
    any_differs = pl.DataFrame(differs).select(pl.any_horizontal(pl.all()).sum()).item()
    return RulePreview(
        on=on,
        items_count=int(any_differs),
        changes=tuple(sorted(pairs, key=lambda one: (-one.items_count, one.setting, str(one.before), str(one.after)))),
        conflicts=_added(old, new, "conflicts"),
        problems=_added(old, new, "problems"),
    )


def _added(old: EffectivePolicies, new: EffectivePolicies, what: str) -> tuple[dict[str, Any], ...]:
    known = getattr(old, what).rows()
    found = getattr(new, what)
    return tuple(row for row, plain in zip(found.iter_rows(named=True), found.rows(), strict=True) if plain not in known)
