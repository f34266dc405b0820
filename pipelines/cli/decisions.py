"""`ordercast decide`: approve, change, confirm, reject, snooze and take back suggestions; what is approved becomes a draft."""

from __future__ import annotations

import getpass
import uuid
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from pipelines.cli.display import emit_json
from pipelines.decisions.lifecycle import REASONS
from pipelines.decisions.requests import UNDONE_OUTCOMES, Decision, DecisionRequest, decision_key
from pipelines.decisions.service import DecisionPolicy, decide_all, find_versions, preview_all
from pipelines.errors import DecisionError
from pipelines.settings import load_settings
from pipelines.stores.grants import WRITER
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.decisions.lifecycle import DecisionAction

REFUSED: Final = 3
UNAVAILABLE: Final = 4
LOOK_AGAIN: Final = 6  # nothing was refused, but something is stale or waits for a second person

decide_app = typer.Typer(
    no_args_is_help=True,
    help="Decisions about suggestions. An approval writes a draft order, a draft change of an order, or proposed reservations, which a "
    "person carries out in the shop.\n\n"
    "A suggestion is named by its id or the beginning of it, as ordercast recommendations shows it. With --dry-run nothing is changed "
    "and the answer is the one that the real call would give.",
)
_DAY: Final = "%Y-%m-%d"
_STYLES: Final = {"approved": "green", "stale": "yellow", "waiting": "yellow", "refused": "red", "unavailable": "red"}
_Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Suggestions, each by its id or the beginning of it.")]
_Id = Annotated[str, typer.Argument(help="The suggestion, by its id or the beginning of it.")]
_Actor = Annotated[str | None, typer.Option(help="Who decides; default is the user of this computer.")]
_Key = Annotated[
    str | None, typer.Option(help="Key of this decision: sent again with the same key it has no second effect. Default is a new one.")
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would happen.")]
_Json = Annotated[bool, typer.Option("--json", help="Print a list of results as JSON.")]
_Comment = Annotated[str | None, typer.Option(help="In your own words; kept with the decision.")]


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    for name, command in (
        ("approve", approve), ("edit", edit), ("confirm", confirm), ("reject", reject), ("snooze", snooze), ("undo", undo),
    ):  # fmt: skip
        decide_app.command(name)(command)
    app.add_typer(decide_app, name="decide")


def approve(
    ids: _Ids, *, actor: _Actor = None, comment: _Comment = None, key: _Key = None, is_dry_run: _DryRun = False, as_json: _Json = False
) -> None:
    """Approve suggestions as they are: each becomes a line of a draft order, one draft per supplier, location and day of need.

    A suggestion to pull an order forward, put it off or cancel it becomes a draft change; one to share a shortage, proposed reservations.
    Where stock, inbound, price or terms have moved so that another quantity or price would be proposed now, nothing is ordered: the
    suggestion is stale until its new numbers are confirmed.

    Examples: [b]ordercast decide approve 3f2a9c0d[/b] | [b]ordercast decide approve 3f2a9c0d 77b1e2aa --dry-run[/b]
    """
    _decide(ids, "approve", actor, key, is_dry_run=is_dry_run, as_json=as_json, comment=comment)


def edit(
    suggestion: _Id,
    qty: Annotated[int, typer.Argument(min=1, help="Units to order; has to fit the supplier's pack, minimum and maximum.")],
    *,
    actor: _Actor = None,
    comment: _Comment = None,
    key: _Key = None,
    is_dry_run: _DryRun = False,
    as_json: _Json = False,
) -> None:
    """Approve a suggestion with another quantity; one that cannot be had is refused with what it rounds to.

    A change of days and a shared shortage have no quantity to choose.

    Example: [b]ordercast decide edit 3f2a9c0d 120 --comment "Listing at a key account"[/b]
    """
    _decide([suggestion], "approve", actor, key, is_dry_run=is_dry_run, as_json=as_json, qty=qty, comment=comment)


def confirm(
    suggestion: _Id,
    *,
    proposed: Annotated[int, typer.Option("--proposed", min=0, help="Units that the stale answer says are proposed now.")],
    price: Annotated[
        str | None, typer.Option("--price", help="Unit price that it says holds now, such as 3.60; none where it orders nothing.")
    ] = None,
    qty: Annotated[int | None, typer.Option(min=1, help="Order another quantity than is proposed now.")] = None,
    actor: _Actor = None,
    comment: _Comment = None,
    key: _Key = None,
    is_dry_run: _DryRun = False,
    as_json: _Json = False,
) -> None:
    """Approve a stale suggestion with the numbers you have seen; if they have moved again, it is stale again.

    Example: [b]ordercast decide confirm 3f2a9c0d --proposed 72 --price 3.60[/b]
    """
    try:
        seen = None if price is None else Decimal(price)
    except InvalidOperation:
        raise DecisionError(f"{price!r} is no price; write it like 3.60.") from None
    _decide(
        [suggestion], "approve", actor, key, is_dry_run=is_dry_run, as_json=as_json, qty=qty, confirmed_qty=proposed,
        confirmed_unit_cost=seen, comment=comment,
    )  # fmt: skip


def reject(
    ids: _Ids,
    *,
    reason: Annotated[str, typer.Option(help=f"Why: {', '.join(REASONS)}; other needs a comment.")],
    actor: _Actor = None,
    comment: _Comment = None,
    key: _Key = None,
    is_dry_run: _DryRun = False,
    as_json: _Json = False,
) -> None:
    """Reject suggestions, with the reason; the same need is not proposed again while the rejection stands.

    Example: [b]ordercast decide reject 3f2a9c0d --reason forecast_too_high --comment "The campaign was called off"[/b]
    """
    _decide(ids, "reject", actor, key, is_dry_run=is_dry_run, as_json=as_json, reason_code=reason, comment=comment)


def snooze(
    ids: _Ids,
    *,
    until: Annotated[datetime, typer.Option(formats=[_DAY], help="Day on which they come back.")],
    actor: _Actor = None,
    comment: _Comment = None,
    key: _Key = None,
    is_dry_run: _DryRun = False,
    as_json: _Json = False,
) -> None:
    """Put suggestions aside until a day; the first run from that day on proposes them again.

    Example: [b]ordercast decide snooze 3f2a9c0d --until 2026-12-01[/b]
    """
    _decide(ids, "snooze", actor, key, is_dry_run=is_dry_run, as_json=as_json, until=until.date(), comment=comment)


def undo(
    ids: _Ids, *, actor: _Actor = None, comment: _Comment = None, key: _Key = None, is_dry_run: _DryRun = False, as_json: _Json = False
) -> None:
    """Take back an approval, a rejection or a snooze; the draft line is cancelled with it. Once submitted, change the order in the shop.

    Example: [b]ordercast decide undo 3f2a9c0d[/b]
    """
    _decide(ids, "undo", actor, key, is_dry_run=is_dry_run, as_json=as_json, comment=comment)


def _decide(
    ids: Sequence[str], action: DecisionAction, actor: str | None, key: str | None, *, is_dry_run: bool, as_json: bool, **values: Any
) -> None:
    settings = load_settings()
    policy = DecisionPolicy(Decimal(str(settings.one_person_amount)), has_target=settings.outbox_target is not None)
    who, base = actor or getpass.getuser(), key or uuid.uuid4().hex
    with OperationalStore.open(settings.resolved_store_url, role=WRITER) as store:
        store.migrate()
        requests = [
            DecisionRequest(decision_id=decision_key(base, rec_id), rec_id=rec_id, rec_version=version, action=action, actor=who, **values)
            for rec_id, version in find_versions(store, list(dict.fromkeys(ids)), key=base)
        ]
        results = (preview_all if is_dry_run else decide_all)(store, requests, policy=policy)
    if as_json:
        emit_json([asdict(result) for result in results])
    else:
        _print(results, is_dry_run=is_dry_run)
    if code := _exit_code(results):
        raise typer.Exit(code)


def _print(results: Sequence[Decision], *, is_dry_run: bool) -> None:
    console = Console()
    for result in results:
        style = _STYLES.get(result.outcome)
        word = f"[{style}]{result.outcome}[/{style}]" if style else result.outcome
        console.print(f"{escape(result.rec_id[:8])}  {word}  {escape(result.message)}", highlight=False)
        if result.outcome == "stale" and result.basis_now is not None and result.basis_now["qty"]:
            now = result.basis_now
            price = "" if now["unit_cost"] is None else f" --price {now['unit_cost']}"
            console.print(f"          ordercast decide confirm {escape(result.rec_id[:8])} --proposed {now['qty']}{price}", highlight=False)
    done = sum(result.outcome not in UNDONE_OUTCOMES for result in results)
    if is_dry_run:
        console.print(f"Nothing was changed; {done} of {len(results)} would be done.", highlight=False)
    elif len(results) > 1:
        console.print(f"{done} of {len(results)} done.", highlight=False)


def _exit_code(results: Sequence[Decision]) -> int:
    outcomes = {result.outcome for result in results}
    if "unavailable" in outcomes:
        return UNAVAILABLE
    if "refused" in outcomes:
        return REFUSED
    return LOOK_AGAIN if outcomes & {"stale", "waiting"} else 0
