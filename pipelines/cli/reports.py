"""`ordercast report`: tables that answer a question, in a terminal's width or as JSON and CSV."""

from __future__ import annotations

import os
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from pipelines.cli import accesses
from pipelines.cli.display import emit_json
from pipelines.decisions.access import is_about_persons
from pipelines.errors import ReportError
from pipelines.settings import load_settings
from pipelines.stores import reports as report_store
from pipelines.stores.releases import open_served
from pipelines.stores.spreadsheets import guarded_frame

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from pipelines.stores.releases import Release
    from pipelines.stores.reports import Report

_ROWS_SHOWN: Final = 20
_GAP: Final = 2
_UNBOUNDED: Final = 100_000  # characters in a line that no terminal has to break
_CODES: Final = {"currency_code": "Amounts", "reporting_currency_code": "Reporting amounts"}


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("report")(report)


def report(
    name: Annotated[str | None, typer.Argument(help="Report to show; without it, their names and questions.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="Only rows with this value, as column=value; column= for unknown. May be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many rows; default 20, and all with --csv or --json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report, its state and its rows as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all columns as CSV.")] = False,
) -> None:
    """Tables of the served release, each the answer to a question.

    Where a table is wider than the terminal, each row stands as a block with a line per column. Into a pipe or a file goes the table
    however wide, a line per row, unless COLUMNS names a width.

    Examples: [b]ordercast report[/b] | [b]ordercast report cohorts_monthly --limit 50[/b] |
    [b]ordercast report top_customers --where period_days=91 --csv[/b]
    """
    if as_json and as_csv:
        raise typer.BadParameter("Give either --json or --csv.")
    with open_served(load_settings().releases_path) as (release, conn):
        known = report_store.release_reports(conn)
        if name is None:
            _list(release, known, as_json=as_json)
            return
        wanted = report_store.find_report(known, name)
        missing = report_store.missing_fields(conn, wanted)
        if missing and not as_csv:
            _say_unavailable(release, wanted, missing, as_json=as_json)
            return
        conditions = _conditions(where or [])
        rows = report_store.read_report(conn, wanted, where=conditions, limit=limit or (None if as_json or as_csv else _ROWS_SHOWN))
        total = report_store.count_rows(conn, wanted, where=conditions)
        compared = None if conditions else report_store.count_compared(conn, wanted)
    if as_csv or as_json or is_about_persons(rows.columns):
        accesses.record(
            f"report {wanted.name}", rows.height, columns=rows.columns, action="export" if as_csv or as_json else "drill",
            filters=conditions,
        )  # fmt: skip
    if as_csv:
        typer.echo(guarded_frame(rows).write_csv(), nl=False)
    elif as_json:
        status = "ok" if total or compared else "no_data"
        facts = {"status": status, "compared_count": compared, "row_count": total, "rows": rows.to_dicts()}
        emit_json(_facts(release, wanted) | facts)
    else:
        _show(release, wanted, rows, total=total, compared=compared, conditions=conditions)


def _list(release: Release, known: Mapping[str, Report], *, as_json: bool) -> None:
    if as_json:
        emit_json([{"name": one.name, "question": one.question, "needs": one.needs} for one in known.values()])
        return
    if not known:
        raise ReportError(f"Release {release.release_id} carries no reports: publish a new one with `ordercast run`.")
    console = Console()
    for one in known.values():
        console.print(f"[b]{escape(one.name)}[/b]", highlight=False)
        console.print(Padding(escape(one.question), (0, 0, 0, 2)), highlight=False)
    console.print("Read one: ordercast report NAME", style="dim", highlight=False)


def _say_unavailable(release: Release, wanted: Report, missing: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        emit_json(_facts(release, wanted) | {"status": "not_available", "needs_missing": missing, "rows": []})
        return
    console = Console()
    console.print(escape(wanted.question), style="bold", highlight=False)
    console.print(f"not available: needs {escape(', '.join(missing))}", style="yellow", highlight=False)


def _facts(release: Release, wanted: Report) -> dict[str, Any]:
    return {
        "name": wanted.name,
        "question": wanted.question,
        "description": wanted.description,
        "as_of": release.as_of_date,
        "release_id": release.release_id,
        "needs_missing": (),
    }


def _conditions(words: Sequence[str]) -> dict[str, object]:
    conditions: dict[str, object] = {}
    for word in words:
        column, sign, value = word.partition("=")
        if not sign or column in conditions:
            raise typer.BadParameter(f"--where takes column=value, and each column once; got {word!r}.")
        conditions[column] = value
    return conditions


def _show(
    release: Release, wanted: Report, rows: pl.DataFrame, *, total: int, compared: int | None, conditions: Mapping[str, object]
) -> None:
    console = rows_console()
    console.print(escape(wanted.question), style="bold", highlight=False)
    filtered = "".join(f", {column} {value or 'unknown'}" for column, value in conditions.items())
    console.print(f"As of {release.as_of_date}{escape(filtered)}", highlight=False)
    if compared and not total:
        console.print(f"Nothing differs: {compared:,} documents compared.", highlight=False)
        return
    if not total:
        console.print("No row answers this: nothing of the kind happened, or --where leaves nothing.", highlight=False)
        return
    told = {column for column in rows.columns if column in conditions}
    print_rows(console, rows, told=told, total=total)


def rows_console() -> Console:
    """A console as wide as the terminal; where there is none, as COLUMNS says, and else as wide as any row."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=_UNBOUNDED)


def print_rows(console: Console, rows: pl.DataFrame, *, told: set[str], total: int, spare: str | None = None) -> None:
    """The rows as a table where it fits the console's width, and else as blocks with a line per column; notes say what is left out.

    Columns that are `told` elsewhere are not repeated. `spare` is one that a table is shown without rather than not at all.
    """
    told = told | {column for column in _CODES if column in rows.columns and rows[column].n_unique() == 1}
    cells = {column: _cells(rows[column]) for column in rows.columns if column not in told}
    unspared = {column: values for column, values in cells.items() if column != spare}
    shown = next((one for one in (cells, unspared) if table_width(one) <= console.width), None)
    console.print(_blocks(cells) if shown is None else _table(rows, shown))
    notes = [f"{words} in {rows[column][0]}." for column, words in _CODES.items() if column in told]
    if rows.height < total:
        notes.append(f"{rows.height:,} of {total:,} rows; --limit shows more.")
    if shown is not None and len(shown) < len(cells):
        notes.append(f"Not shown for want of width: {spare}; --json has it.")
    for note in notes:
        console.print(escape(note), style="dim", highlight=False)


def table_width(cells: Mapping[str, Sequence[str]]) -> int:
    """Characters that the columns take side by side, their headings broken at words and no value broken."""
    return sum(_width(column, values) for column, values in cells.items()) + _GAP * (len(cells) - 1)


def _width(column: str, values: Sequence[str]) -> int:
    return max(map(cell_len, [*_heading(column).split(), *values]))


def _table(rows: pl.DataFrame, cells: Mapping[str, Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for column, values in cells.items():
        side: Literal["left", "right"] = "right" if rows.schema[column].is_numeric() else "left"
        table.add_column(_heading(column), justify=side, width=_width(column, values), vertical="bottom")
    for row in zip(*cells.values(), strict=True):
        table.add_row(*map(escape, row))
    return table


def _blocks(cells: Mapping[str, Sequence[str]]) -> Table:
    """Every row from its first column to its last, values under one another and a blank line between two rows."""
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for number, row in enumerate(zip(*cells.values(), strict=True)):
        if number:
            grid.add_row()
        for column, value in zip(cells, row, strict=True):
            grid.add_row(_heading(column), escape(value))
    return grid


def _heading(column: str) -> str:
    return column.replace("_reporting_amount", "_amount").replace("_", " ").capitalize()  # a note names the currency


def _cells(values: pl.Series) -> list[str]:
    """A column as a person reads it; money without cents where ten thousand is reached anywhere in it."""
    amounts = [abs(value) for value in values if isinstance(value, Decimal)]
    return [_cell(values.name, value, decimals=0 if max(amounts, default=0) >= 10_000 else 2) for value in values]


def _cell(column: str, value: Any, *, decimals: int) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case Decimal() | int() | float():
            return _number(column, value, decimals=decimals)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case _:
            return str(value)


def _number(column: str, value: Decimal | float, *, decimals: int) -> str:
    """The column's last word says what a fraction is: a rate is a share, in percent."""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Decimal):
        return f"{value:,.{decimals}f}"
    if column.endswith(("_rate", "_share")):
        return f"{value:.1%}".replace("%", " %")
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"
