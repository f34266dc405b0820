"""`ordercast rules`: how stock is kept, as versioned data: add a rule, see what it changes, schedule another version, revert."""

from __future__ import annotations

import getpass
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from inventory.rule_preview import RulePreview, first_day, preview_rules
from pipelines.cli import rule_words as words
from pipelines.cli.display import emit_json, progress_bar
from pipelines.cli.rule_listing import (
    DAY,
    AsJson,
    Name,
    On,
    Shown,
    day_of,
    rules_effective,
    rules_list,
    rules_show,
    shown_rules,
    standing_rule,
)
from pipelines.decisions import rules as rule_book
from pipelines.errors import PolicyRuleError
from pipelines.settings import load_settings
from pipelines.steps.rule_orders import preview_orders
from pipelines.steps.rule_replay import preview_replay
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import open_served

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from inventory.rules import PolicyRule
    from pipelines.steps.rule_replay import RuleReplay

rules_app = typer.Typer(no_args_is_help=True, help="Policy rules: how stock is kept, by item, place, class, season and date.")
_SHOWN = 8

_For = Annotated[
    list[str] | None, typer.Option("--for", help=f"Whom it is for, as name=value; may be repeated. Names: {', '.join(words.SCOPE_WORDS)}.")
]
_Set = Annotated[
    list[str] | None, typer.Option("--set", help=f"What it sets, as name=value; may be repeated. Names: {', '.join(words.SET_WORDS)}.")
]
_From = Annotated[datetime | None, typer.Option("--from", formats=[DAY], help="First day; default is the day after the as-of day.")]
_To = Annotated[datetime | None, typer.Option("--to", formats=[DAY], help="Last day; default is for good.")]
_Season = Annotated[str | None, typer.Option(help=f"Days of each year, such as 10-01:12-31, or {words.ALL_YEAR}.")]
_Priority = Annotated[int | None, typer.Option(help="Decides between rules of one scope; the higher wins.")]
_Replay = Annotated[
    bool, typer.Option("--replay", help="Live through the last year without it and with it too: cost, fill rate, stock; takes minutes.")
]
_Reason = Annotated[str, typer.Option(help="Why; kept with the rule and in the audit log.")]
_Actor = Annotated[str | None, typer.Option(help="Who says so, an admin; default is the user of this computer.")]


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    rules_app.command("add")(rules_add)
    rules_app.command("list")(rules_list)
    rules_app.command("show")(rules_show)
    rules_app.command("preview")(rules_preview)
    rules_app.command("schedule")(rules_schedule)
    rules_app.command("revert")(rules_revert)
    rules_app.command("effective")(rules_effective)
    app.add_typer(rules_app, name="rules")


def rules_add(
    name: Name,
    *,
    sets: _Set = None,
    scope: _For = None,
    since: _From = None,
    until: _To = None,
    season: _Season = None,
    priority: _Priority = None,
    reason: _Reason,
    actor: _Actor = None,
    with_replay: _Replay = False,
    is_confirmed: Annotated[bool, typer.Option("--yes", help="A rule that is for no item now is meant.")] = False,
) -> None:
    """Add a rule; what it changes is shown and kept with it. It holds from its first day on, beginning with the next run.

    Of several rules the narrowest wins, setting by setting: sku before location, channel, supplier, category, abc, xyz.

    Examples: [b]ordercast rules add a-steady --for abc=A --for xyz=X --set service_level=98% --reason "What we live from"[/b] |
    [b]ordercast rules add stores-first --season 10-01:12-31 --set sourcing=store_first --reason "Clear shelves for spring"[/b]
    """
    with shown_rules() as shown:
        rule = words.built(
            name, scope=words.scope_of(scope or []), values=words.values_of(sets or []), valid_from=day_of(since) or shown.next_day,
            valid_to=day_of(until), season=words.season_of(season), priority=priority or 0,
        )  # fmt: skip
        _write(shown, rule, is_new=True, reason=reason, actor=actor, with_replay=with_replay, is_confirmed=is_confirmed)


def rules_schedule(
    name: Name,
    *,
    sets: _Set = None,
    since: _From = None,
    until: _To = None,
    season: _Season = None,
    priority: _Priority = None,
    reason: _Reason,
    actor: _Actor = None,
    with_replay: _Replay = False,
) -> None:
    """Let another version of a rule begin on a day; until then the one before holds. What is not said stays, but for the last day.

    Examples: [b]ordercast rules schedule a-steady --set service_level=99% --from 2026-11-15 --reason "Christmas"[/b] |
    [b]ordercast rules schedule stores-first --to 2027-01-31 --reason "The last season of it"[/b]
    """
    with shown_rules() as shown:
        before = standing_rule(shown, name)
        rule = words.built(
            name, scope=before.scope, values=before.values.named | words.values_of(sets or []),
            valid_from=day_of(since) or shown.next_day, valid_to=day_of(until),
            season=before.season if season is None else words.season_of(season),
            priority=before.priority if priority is None else priority,
        )  # fmt: skip
        _write(shown, rule, is_new=False, reason=reason, actor=actor, with_replay=with_replay, is_confirmed=True)


def rules_preview(
    name: Annotated[str | None, typer.Argument(help="A rule that stands: what it changes against being without it.")] = None,
    *,
    sets: _Set = None,
    scope: _For = None,
    on: On = None,
    with_orders: Annotated[
        bool, typer.Option("--orders", help="Plan the next run's orders both ways too; takes as long as that does.")
    ] = False,
    with_replay: _Replay = False,
    as_json: AsJson = False,
) -> None:
    """What a rule would change for the items of the release, with --orders for what is ordered, and with --replay would have cost.

    Nothing is written.

    Examples: [b]ordercast rules preview --for abc=A --set service_level=98% --orders[/b] |
    [b]ordercast rules preview a-steady --replay[/b]
    """
    if name is not None and (sets or scope):
        raise PolicyRuleError("Preview a rule that stands by its name, or a new one by --for and --set, not both.")
    with shown_rules() as shown:
        if name is None:
            rule = words.built(
                words.NEW, scope=words.scope_of(scope or []), values=words.values_of(sets or []), valid_from=day_of(on) or shown.next_day
            )
            before, after = shown.standing, [*shown.standing, rule]
        else:
            rule = standing_rule(shown, name)
            before, after = [one for one in shown.standing if one.rule_id != name], shown.standing
        day = day_of(on) or first_day(rule, not_before=shown.next_day)
        found = preview_rules(shown.items, before=before, after=after, on=day)
        orders = preview_orders(shown.release, before=before, after=after, on=day, settings=load_settings()) if with_orders else ()
        lived = _replayed(before, after, day) if with_replay else None
    if as_json:
        more = {"replay": words.replay_facts(lived)} if lived else {}
        emit_json(asdict(found) | ({"orders": orders} if with_orders else {}) | more)
        return
    _tell(found, lived=lived)
    for one in orders:
        Console().print(words.orders_said(one), highlight=False, markup=False)
    if with_orders and not orders:
        Console().print("Nothing would be ordered, with the rule or without it.")


def rules_revert(name: Name, *, reason: _Reason, actor: _Actor = None) -> None:
    """The newest version of a rule counts no more, and the one before it again, from the next run on.

    Example: [b]ordercast rules revert a-steady --reason "Too dear"[/b]
    """
    with OperationalStore.open(load_settings().resolved_store_url) as store:
        store.migrate()
        gone, again = rule_book.revert(store, name, reason=reason, actor=actor or getpass.getuser())
    rest = f"{again.name} counts again" if again else "no version of it is left"
    Console().print(f"{gone.name} is reverted: {rest}. It shows after the next run: ordercast run.", highlight=False, markup=False)


def _replayed(before: Sequence[PolicyRule], after: Sequence[PolicyRule], on: date) -> RuleReplay:
    settings = load_settings()
    with open_served(settings.releases_path) as (_, conn), progress_bar(Console(stderr=True), "Replaying") as report:
        return preview_replay(conn, before=before, after=after, on=on, settings=settings, on_progress=report)


def _write(shown: Shown, rule: PolicyRule, *, is_new: bool, reason: str, actor: str | None, with_replay: bool, is_confirmed: bool) -> None:
    # the last of all versions, so that it counts where an older one of the name does too
    as_next = replace(rule, version=1 + max((one.version for one in shown.standing), default=0))
    day = first_day(rule, not_before=shown.next_day)
    after = [*shown.standing, as_next]
    found = preview_rules(shown.items, before=shown.standing, after=after, on=day)
    if found.items_count == 0 and rule.scope.channel_id is None and not is_confirmed:
        raise PolicyRuleError(
            f"The rule would change nothing: of {words.items_said(shown.items.height)} none is {words.scope_said(rule.scope)}, or a "
            "narrower rule holds for all of them. If that is meant, confirm it with --yes."
        )
    lived = _replayed(shown.standing, after, day) if with_replay else None
    kept = asdict(found) | ({"replay": words.replay_facts(lived)} if lived else {})
    with OperationalStore.open(load_settings().resolved_store_url) as store:
        store.migrate()
        added = rule_book.add_version(store, rule, is_new=is_new, reason=reason, preview=kept, actor=actor or getpass.getuser())
    _tell(found, lived=lived, named={as_next.name: added.name})
    Console().print(
        f"{added.name} holds {words.times_said(added)}. It counts from the next run on: ordercast run.", highlight=False, markup=False
    )


def _tell(found: RulePreview, *, lived: RuleReplay | None, named: dict[str, str] | None = None) -> None:
    """What a change of rules changes; `named` says what rules are called that had no number yet."""
    console = Console(highlight=False, markup=False)

    def called(rule: str) -> str:
        return (named or {}).get(rule, rule)

    console.print(
        f"On {found.on} it changes {words.items_said(found.items_count)}:" if found.items_count else f"On {found.on} it changes nothing."
    )
    for change in found.changes[:_SHOWN]:
        console.print(f"  {words.change_said(change)}")
    if len(found.changes) > _SHOWN:
        console.print(f"  and {len(found.changes) - _SHOWN} more: --json has all")
    for one in found.conflicts[:_SHOWN]:
        other = called(one["other_rule"])
        text = f"{called(one['rule'])} and {other} want a different {one['setting']} for {words.items_said(one['items_count'])}"
        console.print(f"{text}: the newer holds. Give one of them a higher --priority.", style="yellow")
    for one in found.problems[:_SHOWN]:
        console.print(f"{one['sku']} at {one['location_id']}: {one['reason']}", style="yellow")
    if len(found.problems) > _SHOWN:
        console.print(f"and {len(found.problems) - _SHOWN:,} more items without a policy: --json has all", style="yellow")
    for line in words.replay_said(lived) if lived else ():
        console.print(line)
