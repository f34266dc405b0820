"""`ordercast quarantine`: what is held back and why, and what a person may do about it."""

from __future__ import annotations

import getpass
import uuid
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.cli import accesses
from pipelines.cli.display import emit_json, quarantine_lines
from pipelines.errors import DecisionError
from pipelines.faults import documents as faults
from pipelines.quality.holds import list_holds
from pipelines.quality.mending import accept, mend, unmend
from pipelines.settings import load_settings
from pipelines.stores.grants import INGEST, WRITER
from pipelines.stores.mends import list_mends
from pipelines.stores.operational import OperationalStore
from pipelines.stores.quarantine_rows import held_row, held_rows, quarantined_documents
from pipelines.stores.run_lock import only_run
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from pipelines.quality.holds import Hold
    from pipelines.settings import Settings
    from pipelines.steps.ingest import IngestResult

quarantine_app = typer.Typer(
    invoke_without_command=True,
    help="Documents that were held back, and blocks of publishing: list them, mend a value, accept a block, judge again.",
)
_WHAT: dict[str, str] = {fault.code: fault.what for fault in faults.FAULTS}
_Actor = Annotated[str | None, typer.Option(help="Who does it; default is the user of this computer.")]
_Reason = Annotated[str, typer.Option(help="Why; it stays in the audit log, so name no person.")]


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    quarantine_app.callback()(quarantine)
    quarantine_app.command("show")(quarantine_show)
    quarantine_app.command("mend")(quarantine_mend)
    quarantine_app.command("unmend")(quarantine_unmend)
    quarantine_app.command("mends")(quarantine_mends)
    quarantine_app.command("accept")(quarantine_accept)
    quarantine_app.command("requeue")(quarantine_requeue)
    app.add_typer(quarantine_app, name="quarantine")


def quarantine(
    context: typer.Context,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    code: Annotated[str | None, typer.Option(help="Only this code, as docs/errors.md lists them.")] = None,
    document: Annotated[str | None, typer.Option(help="Only the document of this id.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the documents as JSON.")] = False,
) -> None:
    """Documents that were held back, by code, with the reason and the next step; they load by themselves once mended.

    Examples: [b]ordercast quarantine[/b] | [b]ordercast quarantine --table orders --json[/b] | [b]ordercast quarantine show O-1001[/b]
    """
    if context.invoked_subcommand is not None:
        return
    with open_warehouse(load_settings().warehouse_path, read_only=True) as conn:
        documents = quarantined_documents(conn, table=table, code=code, document=document).to_dicts()
        holds = list_holds(conn)
    if as_json:
        chosen = {"table": table, "code": code, "document": document}
        accesses.record("quarantine", len(documents), columns=("document_id",), filters=chosen)
        emit_json(documents)
        return
    if documents:
        chosen = {"table": table, "code": code, "document": document}
        accesses.record("quarantine", len(documents), action="drill", filters=chosen)
    console = Console()
    for hold in holds:
        mark = "Accepted" if hold.is_accepted else "Nothing is published"
        console.print(f"{mark}: {hold.reason}. ({hold.hold_id})", style=None if hold.is_accepted else "red", markup=False, highlight=False)
    if not documents:
        console.print("Nothing is in quarantine." if table is code is document is None else "Nothing of that is in quarantine.")
    for found, count in sorted(Counter(one["code"] for one in documents).items()):
        console.print(f"{found}  {count:,}  {_WHAT.get(found, '')}", markup=False, highlight=False)
    quarantine_lines(console, documents, at_most=len(documents))


def quarantine_show(
    document: Annotated[str, typer.Argument(help="Id of the document.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """All rows of a document in quarantine as they arrived, each with its reason.

    Example: [b]ordercast quarantine show O-1001[/b]
    """
    with open_warehouse(load_settings().warehouse_path, read_only=True) as conn:
        rows = held_rows(conn, document)
    if rows:
        accesses.record("quarantine", len(rows), action="drill", object_id=document)
    if as_json:
        emit_json([asdict(row) | {"key": row.key} for row in rows])
        return
    if not rows:
        raise DecisionError(f"No document {document!r} is in quarantine; ordercast quarantine lists those that are.")
    console = Console()
    for row in rows:
        console.print(f"{row.table} {row.key}: {row.reason}; {row.next_step}.", style="yellow", markup=False, highlight=False)
        for name, value in (row.values or {}).items():
            console.print(f"  {name}: {'-' if value is None else value!r}", markup=False, highlight=False)


def quarantine_mend(
    table: Annotated[str, typer.Argument(help="Table of the row, such as order_lines.")],
    key: Annotated[str, typer.Argument(help="Its key as `show` gives it; parts joined by a slash.")],
    field: Annotated[str, typer.Argument(help="Field to mend.")],
    value: Annotated[str | None, typer.Argument(help="Value as the shop would hold it; left out: no value.")] = None,
    *,
    reason: _Reason,
    actor: _Actor = None,
) -> None:
    """Read a row with another value from the next run on, for as long as the shop keeps the one it has now.

    Correct the shop where you can: a mend is our own, and gives way as soon as the shop has another value.

    Example: [b]ordercast quarantine mend order_lines O-1001-2 quantity 3 --reason "see the delivery note"[/b]
    """
    settings = load_settings()
    with open_warehouse(settings.warehouse_path, read_only=True) as conn:
        row = held_row(conn, table, key)
    if row is None:
        raise DecisionError(f"No row {key!r} of {table!r} is in quarantine; ordercast quarantine show <document> gives tables and keys.")
    with OperationalStore.open(settings.resolved_store_url, role=WRITER) as store:
        store.migrate()
        mend_id = mend(store, row, field=field, value=value, reason=reason, actor=actor or getpass.getuser())
    Console().print(f"Mended as {mend_id}; the next run, or ordercast quarantine requeue, reads it.", markup=False, highlight=False)


def quarantine_unmend(mend_id: Annotated[str, typer.Argument(help="Id of the mend.")], *, actor: _Actor = None) -> None:
    """Take a mend back: the row is read as the shop has it from the next run on.

    Example: [b]ordercast quarantine unmend 3f2a9c04b1d7[/b]
    """
    with OperationalStore.open(load_settings().resolved_store_url, role=WRITER) as store:
        store.migrate()
        gone = unmend(store, mend_id, actor=actor or getpass.getuser())
    Console().print(
        f"{gone['table_name']} {gone['row_key']} is read as the shop has it from the next run on.", markup=False, highlight=False
    )


def quarantine_mends(as_json: Annotated[bool, typer.Option("--json", help="Print the mends as JSON.")] = False) -> None:
    """All mends that stand, oldest first, with who made them and why.

    Example: [b]ordercast quarantine mends --json[/b]
    """
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        mends = list_mends(store)
    if as_json:
        accesses.record("quarantine mends", len(mends), columns=("document_id",))
        emit_json(mends)
        return
    console = Console()
    for one in mends:
        change = f"{one['field']} {one['old_value']!r} -> {one['new_value']!r}"
        who = f"{one['mended_by']}, {one['mended_at']:%Y-%m-%d}: {one['reason']}"
        console.print(f"{one['mend_id']}  {one['table_name']} {one['row_key']}: {change}, {who}", markup=False, highlight=False)
    if not mends:
        console.print("Nothing is mended.")


def quarantine_accept(
    hold: Annotated[str, typer.Argument(help="Id of the block as `ordercast quarantine` shows it, or its code where only one stands.")],
    *,
    reason: _Reason,
    actor: _Actor = None,
) -> None:
    """Publish from the next run on in spite of what was found; what gets worse, or comes later, blocks again.

    Example: [b]ordercast quarantine accept HOLD --reason "old orders were archived"[/b]
    """
    settings = load_settings()
    with open_warehouse(settings.warehouse_path, read_only=True) as conn:
        chosen = _chosen(list_holds(conn), hold)
    with OperationalStore.open(settings.resolved_store_url, role=WRITER) as store:
        store.migrate()
        accept(store, chosen, reason=reason, actor=actor or getpass.getuser())
    Console().print("Accepted; ordercast run publishes.", markup=False, highlight=False)


def _chosen(holds: list[Hold], name: str) -> Hold:
    standing = [hold for hold in holds if name in {hold.hold_id, hold.code} and not hold.is_accepted]
    if len(standing) != 1:
        known = ", ".join(hold.hold_id for hold in holds if not hold.is_accepted) or "none"
        raise DecisionError(f"{name!r} names {len(standing)} blocks; those that stand are: {known}.")
    return standing[0]


def quarantine_requeue(as_json: Annotated[bool, typer.Option("--json", help="Print counts per table as JSON.")] = False) -> None:
    """Read and judge now what waits in quarantine, with all that changed; models, forecasts and releases wait for the next run.

    Whatever waits is read again by every run; this only does not wait for it.

    Example: [b]ordercast quarantine requeue[/b]
    """
    settings = load_settings()
    with only_run(settings.resolved_home):
        before, after, result = _judge_again(settings)
    if as_json:
        emit_json({"waited": before, "still_waiting": after, "block_reason": result.block_reason})
        return
    Console().print(f"{before:,} rows waited, {after:,} still do. ordercast run takes the others on.", markup=False, highlight=False)


def _judge_again(settings: Settings) -> tuple[int, int, IngestResult]:
    from pipelines.quality.quarantine import requeue  # noqa: PLC0415 - what judges rows takes seconds to import
    from pipelines.steps.ingest import ingest  # noqa: PLC0415

    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    with OperationalStore.open(settings.resolved_store_url, role=INGEST) as store, open_warehouse(settings.warehouse_path) as conn:
        store.migrate()
        before = requeue(conn)
        result = ingest(store, conn, run_id=run_id, settings=settings)
        rows = conn.execute("SELECT count(*) FROM quarantine.document_rows WHERE resolved_run_id IS NULL").fetchone()
    return before, rows[0] if rows else 0, result
