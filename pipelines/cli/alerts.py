"""`ordercast alerts`: what needs somebody, worst first; what people do about it; and how often alerts were right."""

from __future__ import annotations

import getpass
import uuid
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.alerts.digests import make_digests, send_digests
from pipelines.alerts.exceptions import DUE, RESOLUTIONS, State
from pipelines.alerts.handling import Action, Handling, handle
from pipelines.alerts.listing import find_exception, list_exceptions
from pipelines.alerts.verdicts import rule_precision
from pipelines.cli import accesses, alert_rules
from pipelines.cli.display import emit_json
from pipelines.cli.wording import counted
from pipelines.errors import SettingsError
from pipelines.settings import load_settings
from pipelines.stores.grants import WRITER
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.alerts.digests import Digest
    from pipelines.alerts.listing import ExceptionEntry

alerts_app = typer.Typer(invoke_without_command=True)
_SHOWN: Final = 20
_STYLES: Final = {"critical": "red", "high": "yellow"}
_DAY: Final = "%Y-%m-%d"

AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
_Id = Annotated[str, typer.Argument(help="The exception, by its id or the beginning of it.")]
_Actor = Annotated[str | None, typer.Option(help="Who says so, at least a planner; default is the user of this computer.")]
_Note = Annotated[str | None, typer.Option(help="In your own words; kept in its history.")]
_Key = Annotated[str | None, typer.Option("--key", help="Key of this request: the same one twice has one effect; default is a new one.")]


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    alerts_app.callback()(alerts_list)
    commands = (
        ("show", alerts_show), ("acknowledge", acknowledge), ("snooze", snooze), ("resolve", resolve), ("assign", assign),
        ("digest", digest), ("check", check), ("precision", precision),
    )  # fmt: skip
    for name, command in commands:
        alerts_app.command(name)(command)
    alert_rules.register(alerts_app)
    app.add_typer(alerts_app, name="alerts")


def alerts_list(
    context: typer.Context,
    *,
    owner: Annotated[str | None, typer.Option(help="Only what goes to this operator or team.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only what this rule raised.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind, such as stock_out or draft_not_submitted.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what is past its due time.")] = False,
    is_whole: Annotated[bool, typer.Option("--all", help="Also what sleeps and what is resolved.")] = False,
    as_json: AsJson = False,
) -> None:
    """What needs somebody: critical first, then by what is expected to be lost (chance times amount at stake).

    Without a command: exceptions that are open or acknowledged, those of drafts and messages among them.

    Examples: [b]ordercast alerts[/b] | [b]ordercast alerts --owner purchasing --overdue[/b] | [b]ordercast alerts --all --json[/b]
    """
    if context.invoked_subcommand is not None:
        return
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        states = get_args(State) if is_whole else DUE
        entries = list_exceptions(store, states=states, owner=owner, rule_id=rule, kind=kind)
    chosen = [one for one in entries if one.is_overdue or not overdue]
    _record(chosen, filters={"owner": owner, "rule": rule, "kind": kind, "overdue": overdue, "all": is_whole})
    if as_json:
        emit_json([asdict(one) for one in chosen])
        return
    console = Console()
    if not chosen:
        console.print("Nothing needs anybody.")
        return
    console.print(_table(chosen[:_SHOWN]))
    if len(chosen) > _SHOWN:
        console.print(f"and {len(chosen) - _SHOWN:,} more: --json has all", style="dim")


def alerts_show(name: _Id, as_json: AsJson = False) -> None:
    """One exception whole: what holds, what is at stake and why, and everything that became of it.

    Example: [b]ordercast alerts show 3f2a[/b]
    """
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        entry, events = find_exception(store, name)
    _record([entry], filters={"exception": entry.exception_id})
    if as_json:
        emit_json(asdict(entry) | {"events": [asdict(one) for one in events]})
        return
    console = Console(highlight=False)
    console.print(f"[b]{escape(entry.title)}[/b]  {entry.state}, {entry.severity}")
    console.print(escape(entry.detail))
    facts = {
        "Owner": entry.owner, "Due": _when(entry.due_at) + (", overdue" if entry.is_overdue else ""), "At stake": _stake_said(entry),
        "Rule": entry.rule_id, "Seen": f"{counted(entry.seen_count, 'time')}, last {_when(entry.last_seen_at)}", "Page": entry.link,
        "Resolved": entry.resolution, "Was it right": _verdict_said(entry), "Id": entry.exception_id,
    }  # fmt: skip
    for title, text in facts.items():
        if text:
            console.print(f"  {title}: {escape(text)}")
    for one in events:
        console.print(f"  {_when(one.at)}  {escape(one.actor)}: {one.action}" + (f". {escape(one.note)}" if one.note else ""), style="dim")


def acknowledge(name: _Id, *, note: _Note = None, actor: _Actor = None, key: _Key = None, as_json: AsJson = False) -> None:
    """Say that somebody has seen it and is at it. It stays in the list, and wakes if it slept.

    Example: [b]ordercast alerts acknowledge 3f2a --note "Supplier called"[/b]
    """
    _handle(name, "acknowledge", note=note, actor=actor, key=key, as_json=as_json)


def snooze(
    name: _Id,
    *,
    days: Annotated[float, typer.Option(min=0.01, max=92, help="For so many days.")] = 1.0,
    note: _Note = None,
    actor: _Actor = None,
    key: _Key = None,
    as_json: AsJson = False,
) -> None:
    """Let it sleep; it comes back by itself, or is resolved meanwhile if it is gone.

    Example: [b]ordercast alerts snooze 3f2a --days 3[/b]
    """
    until = (datetime.now(UTC) + timedelta(days=days)).replace(tzinfo=None)
    _handle(name, "snooze", note=note, actor=actor, key=key, as_json=as_json, until=until)


def resolve(
    name: _Id,
    *,
    code: Annotated[str, typer.Option("--as", help="; ".join(f"{name}: {said}" for name, said in RESOLUTIONS.items()) + ".")],
    note: _Note = None,
    actor: _Actor = None,
    key: _Key = None,
    as_json: AsJson = False,
) -> None:
    """Settle it. What is fixed and comes back after its rule's quiet hours is a new one; the others stay away as long as it lasts.

    Examples: [b]ordercast alerts resolve 3f2a --as fixed --note "Ordered by phone"[/b] |
    [b]ordercast alerts resolve 3f2a --as false_alarm[/b]
    """
    _handle(name, "resolve", note=note, actor=actor, key=key, as_json=as_json, resolution_code=code)


def assign(
    name: _Id,
    owner: Annotated[str, typer.Argument(help="Operator or team.")],
    *,
    note: _Note = None,
    actor: _Actor = None,
    key: _Key = None,
    as_json: AsJson = False,
) -> None:
    """Give it to somebody else; its digest goes there from then on.

    Example: [b]ordercast alerts assign 3f2a tom[/b]
    """
    _handle(name, "assign", note=note, actor=actor, key=key, as_json=as_json, owner=owner)


def digest(
    *,
    owner: Annotated[str | None, typer.Option(help="Only this owner's.")] = None,
    send: Annotated[
        bool, typer.Option("--send", help="Send them to the channel, once a day and owner however often this is called.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What each owner has open, what is new, overdue, and resolved since their last digest, worst first.

    `ordercast alerts check` sends them by itself, once a day from 06:00 on, in the zone of ORDERCAST_TIME_ZONE.

    Examples: [b]ordercast alerts digest --owner purchasing[/b] | [b]ordercast alerts digest --send[/b]
    """
    settings = load_settings()
    if send and settings.outbox_target is None:
        raise SettingsError("ORDERCAST_OUTBOX_TARGET names no target; set it to webhook, email or folder.")
    at = datetime.now(UTC).replace(tzinfo=None)
    with OperationalStore.open_to_read(settings.resolved_store_url) as store:
        digests = make_digests(store, at=at, time_zone=settings.time_zone or "UTC", owner=owner)
    _record([entry for one in digests for entry in (*one.open, *one.resolved)], filters={"digest": owner or "all"})
    if as_json:
        emit_json([asdict(one) for one in digests])
    else:
        _show_digests(digests)
    if send:
        with OperationalStore.open(settings.resolved_store_url, role=("ops_recommender", WRITER)) as store:
            store.migrate()
            count = send_digests(store, digests, at=at)
        Console(stderr=True).print(f"{count} new in the outbox; the next run, alerts check or outbox deliver sends them.", highlight=False)


def check(as_json: AsJson = False) -> None:
    """Look without a run: is the release late, is a run missing? Also sends the day's digests. Made for cron, every few minutes.

    What could not be told to the store while it was down becomes exceptions now.

    Example: [b]ordercast alerts check[/b]
    """
    from pipelines.steps.watch_runs import check as look  # noqa: PLC0415 - keeps other commands quick to start

    done = look(load_settings())
    if as_json:
        emit_json(done)
        return
    console = Console(highlight=False, markup=False)
    for reason in done["not_available"]:
        console.print(reason, style="yellow")
    counts = ", ".join(f"{count} {name}" for name, count in done.items() if name != "not_available" and count)
    console.print(f"Looked: {counts}." if counts else "Nothing is late.")


def precision(as_json: AsJson = False) -> None:
    """How often each rule was right, and how long before: right over right and wrong, of the alerts that have been judged.

    Orders and items are judged by the data, everything else by how people resolved it.

    Example: [b]ordercast alerts precision[/b]
    """
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        rules = rule_precision(store)
    if as_json:
        emit_json([asdict(one) for one in rules])
        return
    if not rules:
        Console().print("No rule has raised anything yet.")
        return
    table = Table("Rule", "Raised", "Open", "Right", "Wrong", "Averted", "Precision", "Lead, days", box=None, pad_edge=False)
    for one in rules:
        rate = "-" if one.precision_rate is None else f"{one.precision_rate:.0%}"
        lead = "-" if one.lead_days_p50 is None else f"{one.lead_days_p50:.1f}"
        table.add_row(one.rule_id, str(one.alerts), str(one.open), str(one.right), str(one.wrong), str(one.averted), rate, lead)
    Console().print(table)


def _handle(name: str, action: Action, *, actor: str | None, key: str | None, as_json: bool, **asked: Any) -> None:
    request = Handling(request_id=key or uuid.uuid4().hex, exception_id=name, action=action, actor=actor or getpass.getuser(), **asked)
    with OperationalStore.open(load_settings().resolved_store_url, role=WRITER) as store:
        store.migrate()
        done = handle(store, request)
    if as_json:
        emit_json(asdict(done))
        return
    repeated = " It was so already: the key had been used for the same." if done.is_repeated else ""
    owner = f", with {done.owner}" if done.owner else ""
    Console().print(f"{done.exception_id[:8]} is {done.state}{owner}.{repeated}", highlight=False, markup=False)


def _record(entries: Sequence[ExceptionEntry], *, filters: dict[str, Any]) -> None:
    names_orders = any((one.subject or "").startswith("order:") for one in entries)
    accesses.record("exceptions", len(entries), columns=("order_id",) if names_orders else (), filters=filters)


def _show_digests(digests: Sequence[Digest]) -> None:
    console = Console()
    if not digests:
        console.print("Nobody has anything open.")
    for one in digests:
        counts = f"{len(one.open)} open, {one.new} new, {one.overdue} overdue, {one.snoozed} asleep, {len(one.resolved)} resolved"
        console.print(f"[b]{escape(one.owner)}[/b]: {counts} since {_when(one.since)}", highlight=False)
        console.print(_table(one.open[:_SHOWN]))
        for over in one.resolved[:_SHOWN]:
            console.print(f"  over: {escape(over.title)}. {escape(over.resolution or '')}", style="dim", highlight=False)


def _table(entries: Sequence[ExceptionEntry]) -> Table:
    table = Table("Id", "What", "State", "Owner", "Due (UTC)", "At stake", box=None, pad_edge=False)
    for one in entries:
        style = _STYLES.get(one.severity)
        what = escape(one.detail)
        due = escape(_when(one.due_at)) if not one.is_overdue else f"[red]{_when(one.due_at)}[/red]"
        amount = "-" if one.expected_amount is None else f"{one.expected_amount:,.0f} {one.currency_code}"
        table.add_row(
            one.exception_id[:8], f"[{style}]{what}[/{style}]" if style else what, one.state, escape(one.owner or "-"), due, amount
        )  # fmt: skip
    return table


def _stake_said(one: ExceptionEntry) -> str:
    if one.expected_amount is None or one.stake_amount is None:
        return one.basis or ""
    chance = "" if one.probability is None else f" ({one.probability:.0%} of {one.stake_amount:,.2f})"
    return f"{one.expected_amount:,.2f} {one.currency_code}{chance}: {one.basis}"


def _verdict_said(one: ExceptionEntry) -> str:
    if one.verdict is None:
        return ""
    return one.verdict + (f", {one.lead_days:.0f} days before" if one.lead_days is not None else "")


def _when(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}"
