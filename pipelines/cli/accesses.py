"""`ordercast access`: who took data out and who looked at single customers or orders; and how other commands record that."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.cli.display import emit_json
from pipelines.decisions.access import NO_FILTERS, Access, is_about_persons, list_accesses, record_access
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pipelines.decisions.access import Action

_ROWS_SHOWN = 20


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("access")(access)


def record(
    object_type: str,
    rows_count: int,
    *,
    columns: Collection[str] = (),
    action: Action = "export",
    object_id: str | None = None,
    filters: Mapping[str, Any] = NO_FILTERS,
) -> None:
    """This computer's user has the rows, and the log says so. Call it before they are printed.

    Args:
        object_type: What: a list's name, customer or order.
        rows_count: How many rows.
        columns: The rows' columns; where one names customers or orders, nothing is shown that cannot be recorded.
        action: Whether a list leaves, or one customer or order is looked at.
        object_id: Which customer (its key) or order.
        filters: By what the rows were chosen.

    Raises:
        AccessNotRecordedError: They are about single customers or orders, and the store did not take it.
    """
    is_personal = action == "drill" or is_about_persons(columns)
    one = Access(getpass.getuser(), action, object_type, rows_count, object_id, filters, is_personal)
    record_access(load_settings(), one)


def access(
    actor: Annotated[str | None, typer.Option(help="Who asks, an admin; default is the user of this computer.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many; default 20, and all with --json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of accesses as JSON.")] = False,
) -> None:
    """Who took lists out as JSON or CSV, and who looked at single customers or orders, newest first. Only admins see it.

    Example: [b]ordercast access --limit 50[/b]
    """
    with OperationalStore.open(load_settings().resolved_store_url, is_read_only=True) as store:
        found = list_accesses(store, actor=actor or getpass.getuser(), limit=limit or (None if as_json else _ROWS_SHOWN))
    if as_json:
        emit_json(found)
        return
    console = Console()
    if not found:
        console.print("Nobody has taken data out or looked at a single customer or order.")
        return
    table = Table("When (UTC)", "Who", "Did", "What", "Rows", "Chosen by", box=None, pad_edge=False)
    for one in found:
        what = one["object_type"] if one["object_id"] is None else f"{one['object_type']} {one['object_id']}"
        chosen = ", ".join(f"{name} {value}" for name, value in one["filters"].items())
        cells = (f"{one['at']:%Y-%m-%d %H:%M}", one["actor"], one["action"], what, f"{one['rows_count']:,}", chosen)
        table.add_row(*map(escape, cells))
    console.print(table)
