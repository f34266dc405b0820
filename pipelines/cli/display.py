"""How the terminal shows long work, reports and JSON."""

from __future__ import annotations

import dataclasses
import json
import logging
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.progress import TaskID

    from pipelines.steps.import_report import ImportReport

STEPS: Final = {
    "ingest": "Ingest what changed",
    "transform": "Build and test models",
    "forecast": "Forecast demand",
    "recommend": "Recommend orders",
    "publish": "Publish a release",
    "write_back": "Write proposals back",
}


def emit_json(value: Any) -> None:
    """`value` stands on standard output as JSON that other programs can read."""
    typer.echo(json.dumps(value, default=_plain, indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


@contextmanager
def progress_bar(console: Console, title: str) -> Iterator[Callable[..., None]]:
    """A bar for one long piece of work; call what is yielded with a word on the work and, where known, the share done, 0 to 1."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[detail]}", style="dim"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None, detail="")

        def report(detail: str, share: float | None = None) -> None:
            progress.update(task, total=None if share is None else 1.0, completed=min(share or 0.0, 1.0), detail=detail)

        yield report
        progress.update(task, total=1.0, completed=1.0, detail="")


@contextmanager
def run_progress(console: Console) -> Iterator[None]:
    """One line per step of the run, fed by what the steps log; without a terminal, a plain line as each step ends."""
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[detail]}", style="dim"),
        TimeElapsedColumn(),
    )
    logger = logging.getLogger("ordercast")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        handler = _StepHandler(progress, console)
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)


class _StepHandler(logging.Handler):
    def __init__(self, progress: Progress, console: Console) -> None:
        super().__init__(logging.INFO)
        self._progress = progress
        self._console = console
        self._last: dict[str, str] = {}
        self._tasks: dict[str, TaskID] = {step: progress.add_task(title, total=1, start=False, detail="") for step, title in STEPS.items()}

    def emit(self, record: logging.LogRecord) -> None:
        step = record.name.removeprefix("ordercast.").split(".")[0]
        task = self._tasks.get(step)
        if task is None:
            return
        state = getattr(record, "state", None)
        if state == "started":
            self._progress.start_task(task)
        elif state == "finished":
            self._progress.update(task, completed=1)
            if not self._console.is_terminal:
                self._console.print(f"{STEPS[step]}: {self._last.get(step, 'done')}", markup=False, highlight=False)
        elif state == "failed":
            self._progress.update(task, detail="failed")
            self._progress.stop_task(task)
        else:
            self._last[step] = record.getMessage()
            self._progress.update(task, detail=record.getMessage()[:100])


def import_report(console: Console, report: ImportReport, *, seconds: float) -> None:
    """What became of every row of every file."""
    facts = report.as_dict()
    console.print(f"[b]Imported[/b] in {seconds} s")
    files = Table("File", "Rows read", "Used", "Excluded", "Redirected", "Duplicates", "Rejected", box=None, pad_edge=False)
    for file in facts["files"]:
        files.add_row(
            str(file["name"]),
            *(
                f"{file[name]:,}"
                for name in (
                    "rows_read",
                    "rows_used",
                    "rows_excluded",
                    "rows_redirected",
                    "rows_duplicate",
                    "rows_rejected",
                )
            ),
        )
    console.print(files)
    console.print("Next: [b]ordercast run[/b]")
