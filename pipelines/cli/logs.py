"""`ordercast logs`: what runs said of themselves."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.display import emit_json
from pipelines.settings import load_settings
from pipelines.stores.run_logs import read_log


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("logs")(logs)


def logs(
    run: Annotated[str | None, typer.Option(help="Only of the run whose Dagster id begins so.")] = None,
    days: Annotated[int, typer.Option(min=1, help="How many days that have logs, newest last.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of records as JSON.")] = False,
) -> None:
    """What runs said of themselves, oldest first; the same lines stand as JSON in the logs folder of the home folder.

    Examples: [b]ordercast logs[/b] | [b]ordercast logs --run 5f3a --days 3 --json[/b]
    """
    records = list(read_log(load_settings().logs_path, run_id=run, days=days))
    if as_json:
        emit_json(records)
        return
    console = Console(soft_wrap=True)
    if not records:
        console.print("No run has said anything yet; `ordercast run` does.")
    for record in records:
        took = f" after {record['seconds']:.1f} s" if "seconds" in record else ""
        error = f": {record['error']}" if "error" in record else ""
        line = f"{record['at'][:19]} {str(record.get('run_id', ''))[:8]} {record.get('step', '')}: {record['message']}{took}{error}"
        console.print(line, style="yellow" if record["level"] != "info" or error else "", markup=False, highlight=False)
