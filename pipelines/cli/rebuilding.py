"""`rebuild`: what a run recommended is made again, and it is said whether it is the same."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from pipelines.cli import accesses
from pipelines.cli.display import emit_json, progress_bar
from pipelines.cli.doctor import UNHEALTHY
from pipelines.errors import ReleaseError
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.steps.rebuild import Rebuilt
    from pipelines.stores.releases import Release

_LETTERS: Final = 80  # of a value in a line
_EXAMPLES: Final = 3  # of a table; --json has three of each column


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("rebuild")(rebuild)


def rebuild(
    run: Annotated[str, typer.Argument(help="A run's id or its beginning, an as-of day such as 2026-10-31, or a recommendation's id.")],
    to: Annotated[Path | None, typer.Option(help="Empty or new folder for every table as canonical text.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was compared, and with what it was made, as JSON.")] = False,
) -> None:
    """Make the recommendations of a run again from what its release keeps; exit code 5 if they are not the same to the byte.

    Where an input is gone or the code is another one, it says which. Nothing that stands is changed.

    Examples: [b]ordercast rebuild 20261031T060000-a1b2c3[/b] | [b]ordercast rebuild 2026-10-31 --json[/b]
    """
    from pipelines.steps.rebuild import rebuild as make_again  # noqa: PLC0415 - keeps other commands quick to start

    settings = load_settings()
    release = _release(settings, run)
    if to is not None:
        _record(release)
    with progress_bar(Console(stderr=True), "Rebuilding") as report:
        made = make_again(release, to=to, on_progress=report)
    if to is None and (as_json or not made.is_same):
        _record(release)
    if as_json:
        emit_json(_as_json(made))
    else:
        _print(Console(soft_wrap=True), made, to)
    if not made.is_same:
        raise typer.Exit(UNHEALTHY)


def _release(settings: Settings, run: str) -> Release:
    from pipelines.steps.rebuild_finding import find_planning_release  # noqa: PLC0415 - keeps other commands quick to start

    try:
        return find_planning_release(settings.releases_path, None, run)
    except ReleaseError:  # the store may know what this was, or whose recommendation it is
        with OperationalStore.open_to_read(settings.resolved_store_url) as store:
            return find_planning_release(settings.releases_path, store if store.is_prepared() else None, run)


def _record(release: Release) -> None:
    rows = release.row_counts.get("planning.recommendations", 0)
    accesses.record("rebuild", rows, columns=("order_id",), filters={"run": release.release_id})  # an allocation names customers' orders


def _as_json(made: Rebuilt) -> dict[str, Any]:
    return {
        "is_same": made.is_same,
        "sha256": made.sha256,
        "run": asdict(made.run),
        "code_differences": [asdict(one) for one in made.code_differences],
        "is_evidence_rebuilt": made.is_evidence_rebuilt,
        "tables": [asdict(table) | {"is_same": table.is_same} for table in made.tables],
    }


def _print(console: Console, made: Rebuilt, to: Path | None) -> None:
    def line(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False)

    whose = f"Run {made.run.run_id}, as of {made.run.as_of_date}"
    if made.is_same:
        rows = sum(table.rows_count for table in made.tables)
        line(f"{whose}: the same, sha256 {made.sha256} ({len(made.tables)} tables, {rows:,} rows).")
    else:
        differing = [table for table in made.tables if not table.is_same]
        line(f"{whose}: {len(differing)} of {len(made.tables)} tables differ.", "red")
        for table in differing:
            counts = ", ".join(f"{name} {count:,}" for name, count in table.differing_counts.items())
            line(f"{table.table}, {table.rows_count:,} rows, differs in: {counts or 'what no value shows (the type of a column)'}.")
            for one in table.examples[:_EXAMPLES]:
                row = ", ".join(f"{name} {value}" for name, value in one.row.items()) or "all rows"
                line(f"  {row}: {one.column} was {_short(one.published)}, is {_short(one.rebuilt)}")
    if made.code_differences:
        parts = "; ".join(f"{one.part} was {one.then}, is {one.now}" for one in made.code_differences)
        may = "It makes no difference here." if made.is_same else "The differences may come from that: use the version that planned."
        line(f"The code is not that of the run ({made.run.code_version}, {made.run.code_fingerprint}): {parts}. {may}", "yellow")
    if not made.is_evidence_rebuilt:
        line("The test of the forecasts is of an earlier run and was taken as it was kept.", "dim")
    if to is not None:
        line(f"Written to {to}.")


def _short(value: Any) -> str:
    text = {True: "there", False: "missing"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]}..."
