"""`ordercast alerts rules`: what is looked for, as versioned data: add a rule, see what it would have raised, change it, switch it off."""

from __future__ import annotations

import getpass
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from pipelines.alerts import rule_book
from pipelines.alerts.rules import KINDS, METRIC_KINDS, SEVERITIES, AlertRule, checked_rule, rule_of
from pipelines.cli.display import emit_json
from pipelines.errors import AlertError
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import open_served

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from pipelines.alerts.findings import Findings

rules_app = typer.Typer(no_args_is_help=True, help="What is looked for: rules as versioned data.")
_NEW: Final = "new-rule"
_SHOWN: Final = 5

_Name = Annotated[str, typer.Argument(help="The rule's name, such as stock-out.")]
_Kind = Annotated[str | None, typer.Option(help=f"What it looks for: {', '.join(KINDS)}.")]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="What the kind is told, as name=value; may be repeated; name= takes the default. See `rules kinds`."),
]
_Owner = Annotated[str | None, typer.Option(help="Operator or team that exceptions go to.")]
_Due = Annotated[float | None, typer.Option("--due-hours", help="Hours in which somebody has to have settled one; default 24.")]
_Quiet = Annotated[
    float | None, typer.Option("--quiet-hours", help="Hours a condition has to be gone before its return is a new exception; default 36.")
]
_Severity = Annotated[str | None, typer.Option(help=f"How bad it is: {', '.join(SEVERITIES)}; default medium.")]
_Told = Annotated[bool | None, typer.Option("--told/--not-told", help="Whether the channel is told; default is not.")]
_Reason = Annotated[str, typer.Option(help="Why; kept with the rule and in the audit log.")]
_Actor = Annotated[str | None, typer.Option(help="Who says so, an admin; default is the user of this computer.")]
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    commands = (
        ("list", rules_list), ("kinds", rules_kinds), ("add", rules_add), ("change", rules_change), ("disable", rules_disable),
        ("revert", rules_revert), ("history", rules_history), ("preview", rules_preview),
    )  # fmt: skip
    for name, command in commands:
        rules_app.command(name)(command)
    app.add_typer(rules_app, name="rules")


def rules_list(as_json: _Json = False) -> None:
    """Every rule as it stands, with what it is told.

    Example: [b]ordercast alerts rules list[/b]
    """
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        standing = rule_book.standing_rules(store)
    if as_json:
        emit_json([asdict(rule) for rule in standing])
        return
    console = Console(highlight=False)
    for rule in standing:
        console.print(f"[b]{rule.name}[/b]  {rule.kind}{'' if rule.is_enabled else ', disabled'}  {escape(_told_said(rule))}")
        console.print(f"  {_terms_said(rule)}", style="dim", markup=False)


def rules_kinds(as_json: _Json = False) -> None:
    """What rules can look for, and what each kind can be told.

    Example: [b]ordercast alerts rules kinds[/b]
    """
    if as_json:
        emit_json({
            name: {"looks_for": said, "parameters": {one: asdict(about) for one, about in known.items()}}
            for name, (said, known) in KINDS.items()
        })  # fmt: skip
        return
    console = Console(highlight=False)
    for name, (said, known) in KINDS.items():
        console.print(f"[b]{name}[/b]: {said}")
        for one, about in known.items():
            default = ", required" if about.is_required else "" if about.default is None else f"; default {about.default}"
            console.print(f"  {one}: {about.said}{default}", markup=False)


def rules_add(
    name: _Name,
    *,
    kind: Annotated[str, typer.Option(help=f"What it looks for: {', '.join(KINDS)}.")],
    owner: Annotated[str, typer.Option(help="Operator or team that exceptions go to.")],
    sets: _Set = None,
    due_hours: _Due = None,
    quiet_hours: _Quiet = None,
    severity: _Severity = None,
    is_told: _Told = None,
    reason: _Reason,
    actor: _Actor = None,
) -> None:
    """Add a rule; it looks from the next run on. Preview it before: ordercast alerts rules preview.

    Example: [b]ordercast alerts rules add web-returns --kind threshold --set metric=return_rate --set where=channel=web
    --set above=0.2 --owner returns --reason "Agreed with the web team"[/b]
    """
    rule = replace(_new(name, kind, _parameters(sets)), owner=owner)
    _write(_with(rule, due_hours=due_hours, quiet_hours=quiet_hours, severity=severity, is_told=is_told), True, reason, actor)


def rules_change(
    name: _Name,
    *,
    sets: _Set = None,
    owner: _Owner = None,
    due_hours: _Due = None,
    quiet_hours: _Quiet = None,
    severity: _Severity = None,
    is_told: _Told = None,
    reason: _Reason,
    actor: _Actor = None,
) -> None:
    """Write another version of a rule, and switch it on if it was off. What is not said stays as it is.

    Example: [b]ordercast alerts rules change stock-out --set probability=0.7 --told --reason "Only what is nearly certain"[/b]
    """
    before = _standing(name)
    merged = {one: value for one, value in (dict(before.parameters) | _parameters(sets)).items() if value is not None}
    rule = replace(before, parameters=merged, is_enabled=True, owner=owner or before.owner)
    _write(_with(rule, due_hours=due_hours, quiet_hours=quiet_hours, severity=severity, is_told=is_told), False, reason, actor)


def rules_disable(name: _Name, *, reason: _Reason, actor: _Actor = None) -> None:
    """Switch a rule off: it looks no more, and what it has open is resolved by the next run. `change` switches it on again.

    Example: [b]ordercast alerts rules disable sales-unusual --reason "We are closed in August"[/b]
    """
    _write(replace(_standing(name), is_enabled=False), False, reason, actor)


def rules_revert(name: _Name, *, reason: _Reason, actor: _Actor = None) -> None:
    """The newest version of a rule counts no more, and the one before it again.

    Example: [b]ordercast alerts rules revert stock-out --reason "Too many"[/b]
    """
    with OperationalStore.open(load_settings().resolved_store_url) as store:
        store.migrate()
        gone, again = rule_book.revert(store, name, reason=reason, actor=actor or getpass.getuser())
    rest = f"{again.name} counts again" if again else "no version of it is left"
    Console().print(f"{gone.name} is reverted: {rest}.", highlight=False, markup=False)


def rules_history(name: _Name, as_json: _Json = False) -> None:
    """All versions of one rule: who wrote each, when and why, and which were reverted.

    Example: [b]ordercast alerts rules history stock-out[/b]
    """
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        versions = rule_book.list_versions(store, name)
    if not versions:
        raise AlertError(f"There is no alert rule {name!r}; ordercast alerts rules list shows those there are.")
    if as_json:
        emit_json(versions)
        return
    console = Console(highlight=False)
    for row in versions:
        rule = rule_of(row)
        state = f"reverted by {row['reverted_by']}: {row['revert_reason']}" if row["reverted_at"] else "" if rule.is_enabled else "disabled"
        console.print(f"[b]{rule.name}[/b]  {row['created_at']:%Y-%m-%d %H:%M}  {escape(_told_said(rule))}  {escape(state)}")
        console.print(f"  {row['author']}: {row['reason']} ({_terms_said(rule)})", style="dim", markup=False)


def rules_preview(
    name: Annotated[str | None, typer.Argument(help="A rule that stands; with --set as it would be then.")] = None,
    *,
    kind: _Kind = None,
    sets: _Set = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="Of rules on metrics: so many last days of history.")] = 28,
    as_json: _Json = False,
) -> None:
    """What a rule would have raised: on the last days of history for rules on metrics, by the served release for others.

    Nothing is written. Days in a row are one exception.

    Examples: [b]ordercast alerts rules preview sales-unusual --days 91[/b] |
    [b]ordercast alerts rules preview --kind threshold --set metric=return_rate --set above=0.15[/b]
    """
    if (name is None) == (kind is None):
        raise AlertError("Preview a rule that stands by its name, or a new one by --kind and --set.")
    if name is None:
        rule = checked_rule(replace(_new(_NEW, str(kind), _parameters(sets)), owner="preview"))
    else:
        before = _standing(name)
        rule = checked_rule(replace(before, parameters=dict(before.parameters) | _parameters(sets)))
    found = _previewed(rule, days)
    if as_json:
        emit_json({
            day.isoformat(): {"not_available": one.not_available, "findings": [asdict(each) for each in one.found]}
            for day, one in found.items()
        })  # fmt: skip
        return
    _show_preview(rule, found)


def _previewed(rule: AlertRule, days: int) -> dict[date, Findings]:
    from pipelines.steps.alerts import RUN_FAILED, look_at, open_sight, preview_rule  # noqa: PLC0415 - keeps help quick

    if rule.kind == RUN_FAILED:
        raise AlertError("A rule of kind run_failed looks at runs as they end; there is nothing to preview.")
    with open_served(load_settings().releases_path) as (release, conn):
        sight = open_sight(conn, release)
        if rule.kind in METRIC_KINDS:
            return preview_rule(sight, rule, days=days)
        looked = look_at(sight, rule)
        return {sight.as_of: replace(looked, found=[one for one in looked.found if one.raises])}


def _show_preview(rule: AlertRule, found: Mapping[date, Findings]) -> None:
    console = Console(highlight=False, markup=False)
    unable = next((one.not_available for one in found.values() if one.not_available), None)
    if unable and not any(one.found for one in found.values()):
        console.print(f"{unable}.", style="yellow")
        return
    last: set[str] = set()
    raised = 0
    for day, one in found.items():
        new = [each for each in one.found if each.subject not in last]
        raised += len(new)
        last = {each.subject for each in one.found}
        for each in sorted(new, key=lambda each: -(each.expected_amount or 0))[:_SHOWN]:
            console.print(f"{day}  {each.detail}")
        if len(new) > _SHOWN:
            console.print(f"{day}  and {len(new) - _SHOWN:,} more")
    over = f"on {len(found)} days" if rule.kind in METRIC_KINDS else f"by the data of {next(iter(found))}"
    console.print(f"It would have raised {raised:,} {over}. Nothing was written.")


def _write(rule: AlertRule, is_new: bool, reason: str, actor: str | None) -> None:
    with OperationalStore.open(load_settings().resolved_store_url) as store:
        store.migrate()
        added = rule_book.write_version(store, rule, is_new=is_new, reason=reason, actor=actor or getpass.getuser())
    when = "It looks from the next run on" if added.is_enabled else "It looks no more; the next run resolves what it has open"
    Console().print(f"{added.name}: {_told_said(added) or added.kind}. {when}.", highlight=False, markup=False)


def _standing(name: str) -> AlertRule:
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        return rule_book.standing_rule(store, name)


def _new(name: str, kind: str, parameters: Mapping[str, Any]) -> AlertRule:
    told = {one: value for one, value in parameters.items() if value is not None}
    return AlertRule(
        rule_id=name, version=1, kind=kind, parameters=told, owner="", due_hours=24, quiet_hours=36, severity="medium", is_told=False,
        is_enabled=True,
    )  # fmt: skip


def _with(rule: AlertRule, **said: Any) -> AlertRule:
    return replace(rule, **{name: value for name, value in said.items() if value is not None})


def _parameters(sets: list[str] | None) -> dict[str, str | None]:
    """What was said as name=value; None where the default is wanted again."""
    found: dict[str, str | None] = {}
    for text in sets or []:
        name, is_said, value = text.partition("=")
        if not is_said:
            raise AlertError(f"--set is name=value, such as days=7, got {text[:80]!r}.")
        found[name.strip()] = value.strip() or None
    return found


def _told_said(rule: AlertRule) -> str:
    return ", ".join(f"{name}={value}" for name, value in rule.parameters.items())


def _terms_said(rule: AlertRule) -> str:
    told = "the channel is told" if rule.is_told else "in lists and digests only"
    return f"{rule.severity}, to {rule.owner}, due in {rule.due_hours:g} hours; {told}"
