"""How the terminal shows long work, reports and JSON."""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
import sys
import time
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pipelines.faults.documents import FAULTS
from pipelines.stores.spreadsheets import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import Console
    from rich.progress import TaskID

    from pipelines.steps.import_report import ImportReport

QUIET_SECONDS: Final = 2.0
STEPS: Final = {
    "ingest": "Ingest what changed",
    "transform": "Build and test models",
    "compare_days": "Compare the day with weeks before",
    "panel": "Gather demand",
    "backtest": "Test forecasts on the past",
    "forecast": "Forecast demand",
    "recommend": "Recommend orders",
    "customer_values": "Score customers",
    "jeopardy": "Judge open orders",
    "publish": "Publish a release",
    "alerts": "Raise alerts",
    "write_back": "Write proposals back",
    "backfill": "Read days anew",
}
PLANNED_STEPS: Final = tuple(step for step in STEPS if step != "backfill")
REFRESHED_STEPS: Final = ("ingest", "transform", "publish", "alerts")


def emit_json(value: Any) -> None:
    """`value` stands on standard output as JSON that other programs can read."""
    typer.echo(json.dumps(value, default=_plain, indent=2, ensure_ascii=False, allow_nan=False))


def emit_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    """`rows` stand on standard output as CSV, a column per key of the first, lists and mappings as JSON; nothing where none is."""
    if not rows:
        return
    writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})


def quarantine_lines(console: Console, documents: list[dict[str, Any]], *, at_most: int) -> None:
    """A line per cause: which document, why, what to do."""
    for one in documents[:at_most]:
        text = f"In quarantine: {one['document_id']} ({one['table_name']}): {one['reason']}; {one['next_step']}."
        console.print(text, style="yellow", markup=False, highlight=False)
    if len(documents) > at_most:
        console.print(f"{len(documents) - at_most:,} more are in quarantine: ordercast quarantine", style="yellow", highlight=False)


def warning_lines(console: Console, warnings: list[tuple[str, str, int, str]]) -> None:
    """A line per code and table: what was taken although it looks wrong, how often, and one to look at."""
    known = {fault.code: fault for fault in FAULTS}
    for code, table, count, example in warnings:
        text = f"Warning: {code} {count:,} {known[code].what} ({table}), for example {example}; {known[code].next_step}."
        console.print(text, style="yellow", markup=False, highlight=False)


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula is quoted; a list or a mapping is JSON."""
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return guarded(value)


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
    """A bar for one long piece of work; call what is yielded with a word on the work and, where known, the share done, 0 to 1.

    Without a terminal it is a plain line every `QUIET_SECONDS`: "Replaying: 2026-03-01, 34 %".
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[detail]}", style="dim"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None, detail="")
        said_at = time.monotonic()

        def report(detail: str, share: float | None = None) -> None:
            nonlocal said_at
            if not console.is_terminal and share is not None and time.monotonic() - said_at >= QUIET_SECONDS:
                console.print(f"{title}: {detail}, {min(share, 1.0) * 100:.0f} %", markup=False, highlight=False)
                said_at = time.monotonic()
            progress.update(task, total=None if share is None else 1.0, completed=min(share or 0.0, 1.0), detail=detail)

        yield report
        progress.update(task, total=1.0, completed=1.0, detail="")


@contextmanager
def run_progress(console: Console, steps: Sequence[str] = PLANNED_STEPS) -> Iterator[None]:
    """One line per step of the run, of `STEPS`, fed by what the steps log; without a terminal, a plain line as each step ends."""
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
        handler = _StepHandler(progress, console, steps)
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)


class _StepHandler(logging.Handler):
    def __init__(self, progress: Progress, console: Console, steps: Sequence[str]) -> None:
        super().__init__(logging.INFO)
        self._progress = progress
        self._console = console
        self._last: dict[str, str] = {}
        self._tasks: dict[str, TaskID] = {step: progress.add_task(STEPS[step], total=1, start=False, detail="") for step in steps}

    def emit(self, record: logging.LogRecord) -> None:
        step = record.name.removeprefix("ordercast.").split(".")[0]
        if record.levelno >= logging.WARNING:
            self._console.print(record.getMessage(), style="yellow", markup=False, highlight=False)
            return
        task = self._tasks.get(step)
        if task is None:
            return
        state = getattr(record, "state", None)
        if state == "started":
            self._progress.start_task(task)
        elif state == "finished":
            self._progress.update(task, completed=1)
            if not self._console.is_terminal:
                self._console.print(f"{STEPS[step]}: {self._last.get(step, 'done')}", markup=False, highlight=False, soft_wrap=True)
        elif state == "failed":
            self._progress.update(task, detail="failed")
            self._progress.stop_task(task)
        else:
            self._last[step] = record.getMessage()
            self._progress.update(task, detail=record.getMessage()[:100])


def import_report(console: Console, report: ImportReport, *, seconds: float) -> None:
    """What became of every row of every file, why rows were left out, and what a reader of the figures should know."""
    console.print(f"[b]Imported[/b] in {seconds} s: {report.rows_read:,} rows read, {report.rows_rejected:,} rejected", highlight=False)
    console.print(_file_table(report))
    by_rule = {name: rows for name, rows in report.rows_by_rule().items() if rows}
    _section(
        console,
        "Left out or sent elsewhere by a rule:",
        [f"{rows:,} rows, {name}: {report.rules.get(name, '')}" for name, rows in by_rule.items()],
    )
    _section(console, f"Rejected, {report.rows_rejected:,} rows, for example:", [row.message for row in report.rejected_examples])
    _section(console, "All rejected rows, to mend them in their files:", report.rejected_in)
    _section(console, "Accepted, but worth knowing:", [note.message for note in report.warnings])
    basis = ", ".join(f"{rows:,} {basis}" for basis, rows in report.return_match_basis.items())
    _section(console, "Returns by how their sale was found:", [basis] if basis else [])
    _section(console, "In the folder, but not in the mapping:", report.files_not_mapped)
    console.print("Next: [b]ordercast run[/b]")


def _file_table(report: ImportReport) -> Table:
    """Columns that are zero in every file are left out, and names fold rather than end in dots: it fits 80 columns."""
    always = {"Read": "rows_read", "Used": "rows_used"}
    fates = {"Excluded": "rows_excluded", "Redirected": "rows_redirected", "Duplicates": "rows_duplicate"}
    told = {title: name for title, name in fates.items() if any(getattr(file, name) for file in report.files)}
    columns = always | told | {"Rejected": "rows_rejected"}
    table = Table(box=None, pad_edge=False)
    table.add_column("File", overflow="fold")
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for file in report.files:
        table.add_row(escape(file.name), *(f"{getattr(file, name):,}" for name in columns.values()))
    return table


def _section(console: Console, title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    console.print(title, style="bold", markup=False, highlight=False)
    for line in lines:
        console.print(Padding(Text(line, overflow="fold"), (0, 0, 0, 2)))
