"""`reconcile`: the store and the warehouse hold the same rows, or it is said where not."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.cli.display import emit_json, progress_bar
from pipelines.cli.doctor import UNHEALTHY
from pipelines.settings import load_settings
from pipelines.stores.grants import INGEST
from pipelines.stores.operational import OperationalStore
from pipelines.stores.run_lock import only_run
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from pipelines.steps.ingest import IngestResult


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("reconcile")(reconcile)


def reconcile(as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False) -> None:
    """Compare every row of the store with the warehouse and read again what differs; exit code 5 if the change feed had missed any.

    A run does the same once a day by itself, and counts rows every time. What changed since the last run is read as well.

    Examples: [b]ordercast reconcile[/b] | [b]ordercast reconcile --json[/b]
    """
    from pipelines.steps.ingest import ingest  # noqa: PLC0415 - keeps other commands quick to start

    settings = load_settings()
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-reconcile"
    with (
        OperationalStore.open(settings.resolved_store_url, role=INGEST) as store,
        only_run(settings.resolved_home),
        open_warehouse(settings.warehouse_path) as conn,
    ):
        store.migrate()
        with progress_bar(Console(stderr=True), "Comparing") as report:
            result = ingest(store, conn, run_id=run_id, settings=settings, comparing="everything", on_progress=report)
    if as_json:
        tables = [asdict(one) for one in result.comparisons]
        emit_json({"run_id": run_id, "is_full_resync": result.is_full_resync, "block_reason": result.block_reason, "tables": tables})
    else:
        _print(Console(), result)
    if any(one.is_incident for one in result.comparisons):
        raise typer.Exit(UNHEALTHY)


def _print(console: Console, result: IngestResult) -> None:
    if result.is_full_resync:
        console.print("Everything was read anew, so there was nothing to compare with.")
    else:
        _print_comparisons(console, result)
    if result.block_reason:
        console.print(f"Nothing will be published: {result.block_reason}.", markup=False, highlight=False)
        console.print("Next: [b]ordercast quarantine[/b] shows what to correct, mend or accept", highlight=False)
    else:
        console.print("Next: [b]ordercast run[/b]", highlight=False)


def _print_comparisons(console: Console, result: IngestResult) -> None:
    for one in result.comparisons:
        for difference in one.differences:
            day = f" of {difference.day}" if difference.day else ""
            console.print(
                f"{one.table_name}{day}: {difference.missing_count:,} missing, {difference.stale_count:,} stale, "
                f"{difference.ghost_count:,} gone from the store; read again.",
                highlight=False,
            )
    rows = sum(one.rows_compared for one in result.comparisons)
    console.print(f"{rows:,} rows of {len(result.comparisons)} tables compared.", highlight=False)
