"""The rules that stand, what each was shown to change, and what holds for an item."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from inventory.rules import SETTINGS, PolicyRule, resolve
from pipelines.cli import accesses
from pipelines.cli import rule_words as words
from pipelines.cli.display import emit_json
from pipelines.decisions.rules import state_said
from pipelines.errors import PolicyRuleError
from pipelines.settings import load_settings
from pipelines.stores.metrics_catalogue import suggestion
from pipelines.stores.operational import OperationalStore
from pipelines.stores.policy_rules import list_rules, read_rule_items, rule_of
from pipelines.stores.releases import open_served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl

DAY = "%Y-%m-%d"
Name = Annotated[str, typer.Argument(help="The rule's name, such as tea-in-autumn.")]
On = Annotated[datetime | None, typer.Option("--on", formats=[DAY], help="The day; default is the day after the as-of day.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@dataclass(frozen=True, slots=True)
class Shown:
    """What rules are held against: the release's file, the day after its as-of day, its items, all versions, and those that stand."""

    release: Path
    next_day: date
    items: pl.DataFrame
    versions: list[dict[str, Any]]
    standing: list[PolicyRule]


@contextmanager
def shown_rules() -> Iterator[Shown]:
    """The rules of the operational store as they are now, beside the items of the release that is served."""
    settings = load_settings()
    with open_served(settings.releases_path) as (release, conn):
        next_day = date.fromisoformat(release.as_of_date) + timedelta(days=1)
        items = read_rule_items(conn)
    with OperationalStore.open_to_read(settings.resolved_store_url) as store:
        versions = list_rules(store)
    yield Shown(release.path, next_day, items, versions, [rule_of(row) for row in versions if row["reverted_at"] is None])


def standing_rule(shown: Shown, name: str) -> PolicyRule:
    """The newest version of the rule.

    Raises:
        PolicyRuleError: None of it stands; the message suggests the nearest name.
    """
    found = [one for one in shown.standing if one.rule_id == name]
    if not found:
        raise PolicyRuleError(f"No rule {name!r} stands; {suggestion(name, sorted({one.rule_id for one in shown.standing}))}")
    return max(found, key=lambda one: one.version)


def day_of(moment: datetime | None) -> date | None:
    """The day that an option names."""
    return None if moment is None else moment.date()


def rules_list(
    is_standing: Annotated[bool, typer.Option("--standing", help="Only versions that nobody has reverted.")] = False,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """All versions of all rules, oldest first, and whether each counts on a day.

    Example: [b]ordercast rules list --standing --on 2026-12-01[/b]
    """
    with shown_rules() as shown:
        day = day_of(on) or shown.next_day
        lines = _lines(shown, day=day, is_standing=is_standing)
    if as_json:
        accesses.record("policy rules", len(lines), filters={"on": day})
        emit_json(lines)
        return
    console = Console()
    for line in lines:
        rule = rule_of(line)
        console.print(f"[b]{rule.name}[/b]  {escape(words.scope_said(rule.scope))}: {words.values_said(rule.values)}", highlight=False)
        told = f"{line['state']}; {words.times_said(rule)}. {line['author']}: {line['reason'].rstrip('.')}."
        console.print(f"  {escape(told)}", style="dim", highlight=False)
    if not lines:
        console.print("There is no rule: the settings hold for all items. Add one: ordercast rules add")


def rules_show(name: Name, as_json: AsJson = False) -> None:
    """All versions of one rule, with what each was shown to change when it was added.

    Example: [b]ordercast rules show a-steady[/b]
    """
    with shown_rules() as shown:
        lines = [line for line in _lines(shown, day=shown.next_day) if line["rule_id"] == name]
        if not lines:
            standing_rule(shown, name)
    if as_json:
        accesses.record("policy rules", len(lines), filters={"rule": name})
        emit_json(lines)
        return
    console = Console()
    for line in lines:
        rule = rule_of(line)
        facts = {
            "For": words.scope_said(rule.scope), "Sets": words.values_said(rule.values), "Holds": words.times_said(rule),
            "Priority": str(rule.priority), "State": line["state"], "Why": f"{line['reason']} ({line['author']})",
            "Reverted": line["revert_reason"], "Changed": _items_of(line["preview"]),
        }  # fmt: skip
        console.print(f"[b]{rule.name}[/b]", highlight=False)
        for title, text in facts.items():
            if text:
                console.print(f"  {title}: {escape(text)}", highlight=False)


def _items_of(preview: dict[str, Any]) -> str:
    """How many items a version was shown to change when it was added, from which day on, and what replayed weeks cost."""
    said = f"{words.items_said(preview['items_count'])} on {preview['on']}, as shown when it was added"
    lived = preview.get("replay")
    if lived is None:
        return said
    before, after = (f"{Decimal(lived[side]['cost_amount']):,.2f}" for side in ("before", "after"))
    return f"{said}; {lived['weeks_count']} weeks replayed cost {lived['currency_code']} {before} -> {after}"


def rules_effective(
    item: Annotated[str, typer.Argument(metavar="SKU[@LOCATION]", help="The item, and the location where one is enough.")],
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """What holds for an item on a day, and which rule says so; by the rules as they stand now, whether or not a run has used them.

    Example: [b]ordercast rules effective SKU-0142@LOC-CENTRAL --on 2026-12-01[/b]
    """
    sku, _, location = item.partition("@")
    with shown_rules() as shown:
        rows = shown.items.filter((shown.items["sku"] == sku) & ((shown.items["location_id"] == location) | (not location)))
        if rows.is_empty():
            known = [f"{one}@{place}" if location else one for one, place in shown.items.select("sku", "location_id").iter_rows()]
            raise PolicyRuleError(f"There is no item {item!r}; {suggestion(item, known)}")
        found = resolve(rows, shown.standing, on=day_of(on) or shown.next_day)
    if as_json:
        emit_json(found.frame.to_dicts())
        return
    console = Console()
    for row in found.frame.iter_rows(named=True):
        console.print(f"[b]{escape(row['sku'])} at {escape(row['location_id'])}[/b]", highlight=False)
        for setting in (name for name in SETTINGS if row[name] is not None):
            console.print(f"  {setting} {words.said_value(setting, row[setting])}  ({row[f'{setting}_rule']})", highlight=False)
        if not row["policy_rules"]:
            console.print("  No rule: the settings hold.", highlight=False)
    for problem in found.problems.iter_rows(named=True):
        console.print(f"  {problem['location_id']}: {problem['reason']}", style="yellow", highlight=False, markup=False)


def _lines(shown: Shown, *, day: date, is_standing: bool = False) -> list[dict[str, Any]]:
    return [
        line | {"state": state_said(line, rule_of(line), shown.standing, on=day), "preview": json.loads(line["preview"])}
        for line in shown.versions
        if not (is_standing and line["reverted_at"] is not None)
    ]
