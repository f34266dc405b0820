"""Reads about policy rules: which stand, which hold, and what a change of them would change for the items of the release."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.queries.reading import BY_RELEASE, CACHE_ENTRIES, CACHE_SECONDS, reading
from inventory.rule_preview import RulePreview, first_day, preview_rules
from inventory.rules import SCOPES, resolve
from pipelines.decisions.rules import state_said
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore
from pipelines.stores.policy_rules import list_rules, read_rule_items, rule_of

if TYPE_CHECKING:
    from dashboards.queries.releases import Served
    from inventory.rules import PolicyRule
    from pipelines.stores.releases import Release

NOT_YET: Final = datetime.fromisoformat("9999-12-31")  # of a rule that is not written: the newest of all


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rules as the operational store has them now, beside the items of the release.

    Attributes:
        versions: rule_id, version, name, state, scope, settings (dicts), valid_from, valid_to, season_from, season_to, priority,
            author, created_at, reason, reverted_by, reverted_at, revert_reason, items_count (that take a value from it now); newest first.
        standing: All versions that nobody has reverted.
        items: As `read_rule_items` gives them.
        next_day: The day after the as-of day, which states are about.
    """

    versions: list[dict[str, Any]]
    standing: list[PolicyRule]
    items: pl.DataFrame
    next_day: date

    @property
    def names(self) -> list[str]:
        """Rules of which a version stands."""
        return sorted({rule.rule_id for rule in self.standing})

    def newest(self, rule_id: str) -> PolicyRule:
        """The last version of it that stands."""
        return max((rule for rule in self.standing if rule.rule_id == rule_id), key=lambda rule: rule.version)

    def members(self, scope: str) -> list[str]:
        """What a rule can be for by this name: values that the release's items have; none where items do not have it."""
        return self.items[scope].drop_nulls().unique().sort().to_list() if scope in self.items.columns else []


def rule_book(served: Served) -> RuleBook:
    """All versions, and which hold.

    Raises:
        StoreUnavailableError: The store did not answer.
    """
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        rows = list_rules(store)
    items = _items(served.release)
    day = served.context.as_of_date + timedelta(days=1)
    standing = [rule_of(row) for row in rows if row["reverted_at"] is None]
    held = resolve(items, standing, on=day).frame["policy_rules"].str.split(", ").explode().value_counts()
    counts = dict(held.iter_rows())
    versions = [_version(row, standing, counts, on=day) for row in rows]
    return RuleBook(versions[::-1], standing, items, day)


def preview(book: RuleBook, rule: PolicyRule) -> RulePreview:
    """What one more version would change for items, on the first day that it holds."""
    as_next = replace(rule, version=1 + max((one.version for one in book.standing), default=0), created_at=NOT_YET)
    day = first_day(as_next, not_before=book.next_day)
    return preview_rules(book.items, before=book.standing, after=[*book.standing, as_next], on=day)


def _version(row: dict[str, Any], standing: list[PolicyRule], counts: dict[str, int], *, on: date) -> dict[str, Any]:
    rule = rule_of(row)
    return row | {
        "name": rule.name, "state": state_said(row, rule, standing, on=on), "scope": rule.scope.named, "settings": rule.values.named,
        "preview": json.loads(row["preview"]), "items_count": counts.get(rule.name, 0),
    }  # fmt: skip


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner=False, hash_funcs=BY_RELEASE)
def _items(release: Release) -> pl.DataFrame:
    with reading(release) as conn:
        found = read_rule_items(conn)
    return found.select("sku", "location_id", *(name for name in found.columns if name in SCOPES[1:] and name != "location_id"))
