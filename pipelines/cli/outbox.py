"""`ordercast outbox`: messages for targets outside the database: what waits, what went wrong, and what a person says about it."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.cli import accesses
from pipelines.cli.display import emit_json
from pipelines.delivery import settling
from pipelines.delivery.outbox import deliver
from pipelines.delivery.targets import open_target
from pipelines.errors import SettingsError
from pipelines.settings import load_settings
from pipelines.stores.grants import RECOMMENDER, WRITER
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.delivery.settling import Entry

WAITS_FOR_A_PERSON: Final = 3
PUT_OFF: Final = 4

outbox_app = typer.Typer(invoke_without_command=True)
_STYLES: Final = {"sent": "green", "unknown": "yellow", "dead": "red", "refused": "red"}
_Key = Annotated[str, typer.Argument(help="The message, by its key or the beginning of it.")]
_Actor = Annotated[str | None, typer.Option(help="Who says so; default is the user of this computer.")]
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    outbox_app.callback()(outbox_list)
    for name, command in (("deliver", outbox_deliver), ("resend", resend), ("settle", settle)):
        outbox_app.command(name)(command)
    app.add_typer(outbox_app, name="outbox")


def outbox_list(
    context: typer.Context,
    *,
    is_whole: Annotated[bool, typer.Option("--all", help="Also what was sent or called off.")] = False,
    as_json: _Json = False,
) -> None:
    """Messages that carry drafts to a target outside the database (ORDERCAST_OUTBOX_TARGET): a webhook, a mailbox or a folder.

    Without a command: those that have not arrived, with state, attempts, next try and last error. unknown: it was sent and no answer
    came; it is not sent again by itself. dead: it could not be delivered. refused: the target will not have it.

    Examples: [b]ordercast outbox[/b] | [b]ordercast outbox --all --json[/b]
    """
    if context.invoked_subcommand is not None:
        return
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        entries = settling.list_messages(store, is_whole=is_whole)
    if as_json:
        accesses.record("outbox", len(entries), filters={"all": is_whole})
        emit_json([asdict(entry) for entry in entries])
    elif not entries:
        Console().print("Nothing waits in the outbox.")
    else:
        Console().print(_table(entries))


def outbox_deliver(*, as_json: _Json = False) -> None:
    """Send what is due now; every run does the same. Exit code 4 if something is tried again later, 3 if something waits for a person.

    Example: [b]ordercast outbox deliver[/b]
    """
    settings = load_settings()
    target = open_target(settings)
    if target is None:
        raise SettingsError("ORDERCAST_OUTBOX_TARGET names no target; set it to webhook, email or folder.")
    with OperationalStore.open(settings.resolved_store_url, role=RECOMMENDER) as store:
        store.migrate()
        counts = deliver(store, target, attempts=settings.outbox_attempts)
    if as_json:
        emit_json(asdict(counts))
    else:
        done = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in asdict(counts).items() if count)
        Console().print(f"{target.address}: {done or 'nothing was due'}.", highlight=False, markup=False)
    if counts.refused or counts.dead or counts.unknown:
        raise typer.Exit(WAITS_FOR_A_PERSON)
    if counts.put_off:
        raise typer.Exit(PUT_OFF)


def resend(key: _Key, *, actor: _Actor = None, as_json: _Json = False) -> None:
    """Have a message sent again, with all its attempts. One that is unknown may then arrive twice: ask the receiver before.

    Example: [b]ordercast outbox resend msg_3f2a[/b]
    """
    with OperationalStore.open(load_settings().resolved_store_url, role=WRITER) as store:
        store.migrate()
        entry = settling.resend(store, key, actor=actor or getpass.getuser())
    _say(entry, "is due now; the next run or ordercast outbox deliver sends it", as_json=as_json)


def settle(
    key: _Key,
    *,
    is_delivered: Annotated[bool, typer.Option("--delivered/--not-delivered", help="Whether the receiver has it.")],
    actor: _Actor = None,
    as_json: _Json = False,
) -> None:
    """Say whether a message has arrived that is unknown, dead or refused; one that has not can then be resent, or its approval undone.

    Example: [b]ordercast outbox settle msg_3f2a --delivered[/b]
    """
    with OperationalStore.open(load_settings().resolved_store_url, role=WRITER) as store:
        store.migrate()
        entry = settling.settle(store, key, is_delivered=is_delivered, actor=actor or getpass.getuser())
    _say(entry, f"is {entry.state} from now on", as_json=as_json)


def _say(entry: Entry, what: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(asdict(entry))
    else:
        Console().print(f"Message {entry.idem_key} {what}.", highlight=False, markup=False)


def _table(entries: Sequence[Entry]) -> Table:
    table = Table("Message", "About", "State", "Attempts", "Next try (UTC)", "Last error", box=None, pad_edge=False)
    for one in entries:
        style = _STYLES.get(one.state)
        state = f"[{style}]{one.state}[/{style}]" if style else one.state
        due = "-" if one.next_at is None else f"{one.next_at:%Y-%m-%d %H:%M}"
        waits = due if one.waits_for is None else f"after {one.waits_for[:12]}"
        about = one.action if one.rec_id is None else f"{one.action} {one.draft_id}, {one.rec_id[:8]}"
        table.add_row(one.idem_key[:12], escape(about), state, str(one.attempts), waits, escape(one.last_error or "-"))
    return table
