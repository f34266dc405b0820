"""`ordercast baseline`: freeze what every metric amounts to before a change, and compare 60 and 90 days after."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from pipelines.cli import accesses
from pipelines.cli.display import emit_json
from pipelines.cli.metrics import MOST_LABELS, metric_values, read_catalogue
from pipelines.cli.reading import served_release
from pipelines.cli.wording import difference, number
from pipelines.settings import load_settings
from pipelines.stores import baselines
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import open_release

if TYPE_CHECKING:
    from pipelines.stores.baselines import Comparison

baseline_app = typer.Typer(no_args_is_help=True, help="Baselines: what metrics amounted to before a change, and what became of them.")
REVIEW_DAYS: Final = (60, 90)
_DAY: Final = "%Y-%m-%d"
_VERDICTS: Final = {
    "better": "[green]better[/green]", "worse": "[red]worse[/red]", "same": "about the same", "unknown": "unknown",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    baseline_app.command("freeze")(baseline_freeze)
    baseline_app.command("review")(baseline_review)
    baseline_app.command("list")(baseline_list)
    app.add_typer(baseline_app, name="baseline")


def baseline_freeze(
    name: Annotated[str, typer.Argument(help="A name that no baseline has yet.")],
    since: Annotated[datetime, typer.Option("--from", formats=[_DAY], help="First day.")],
    until: Annotated[datetime, typer.Option("--to", formats=[_DAY], help="Last day.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was frozen as JSON.")] = False,
) -> None:
    """Freeze every available metric over a period; a baseline is never overwritten.

    Example: [b]ordercast baseline freeze before-new-packing --from 2026-07-01 --to 2026-09-30[/b]
    """
    settings = load_settings()
    release = served_release(settings)
    values = metric_values(release, since=since.date(), until=until.date())
    with OperationalStore.open(settings.resolved_store_url) as store:
        store.migrate()
        count = baselines.freeze(store, name, values, release_id=release.release_id)
    if as_json:
        emit_json({"name": name, "metrics_count": count, "period_from": since.date(), "period_to": until.date()})
        return
    Console().print(f"Frozen as {name}: {count:,} metrics, {since:%Y-%m-%d} to {until:%Y-%m-%d}.", highlight=False, markup=False)


def baseline_review(
    name: Annotated[str, typer.Argument(help="The baseline's name.")],
    days: Annotated[list[int] | None, typer.Option(min=1, help="Days after its end; may be repeated. Default is 60 and 90.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of comparisons as JSON.")] = False,
) -> None:
    """Every metric so many days after the baseline's end, against it; a sum against as many of the baseline's days.

    What lies within a metric's watch band, or within 1 % where it has none, is about the same.

    Example: [b]ordercast baseline review before-new-packing --days 60[/b]
    """
    settings = load_settings()
    release = served_release(settings)
    with OperationalStore.open_to_read(settings.resolved_store_url) as store:
        frozen = baselines.read_baseline(store, name)
    with open_release(release) as conn:
        catalogue = read_catalogue(conn)
        compared = {length: baselines.review(conn, catalogue, frozen, days=length) for length in days or REVIEW_DAYS}
    if as_json:
        accesses.record(f"baseline {name}", sum(map(len, compared.values())))
        emit_json([asdict(one) for rows in compared.values() for one in rows])
        return
    console = Console()
    for length, rows in compared.items():
        console.print(f"[b]{length} days after {escape(name)}[/b]", highlight=False)
        _print_review(console, rows)


def baseline_list(as_json: Annotated[bool, typer.Option("--json", help="Print the baselines as JSON.")] = False) -> None:
    """Baselines that were frozen, newest first.

    Example: [b]ordercast baseline list --json[/b]
    """
    settings = load_settings()
    served_release(settings)  # before the first run there is no store either, and what to do is the same
    with OperationalStore.open_to_read(settings.resolved_store_url) as store:
        known = baselines.list_baselines(store)
    if as_json:
        accesses.record("baselines", len(known))
        emit_json(known)
        return
    console = Console()
    if not known:
        console.print("No baseline is frozen yet: ordercast baseline freeze NAME --from DAY --to DAY")
        return
    table = Table("Name", "From", "To", Column("Metrics", justify="right"), "Release", box=None, pad_edge=False)
    for one in known:
        table.add_row(escape(one["name"]), str(one["period_from"]), str(one["period_to"]), f"{one['metrics_count']:,}", one["release_id"])
    console.print(table)


def _print_review(console: Console, rows: list[Comparison]) -> None:
    untold = [one for one in rows if one.verdict not in _VERDICTS]
    told = [one for one in rows if one.verdict in _VERDICTS]
    if told:
        heads = [Column(head, justify="right", no_wrap=True) for head in ("Before", "After", "Change", "n")]
        table = Table("Metric", *heads, "", box=None, pad_edge=False)
        for one in told:
            table.add_row(
                escape(one.label), number(one.before, one), number(one.after, one), difference(one.after, one.before, one),
                "-" if one.n_after is None else f"{one.n_after:,}", _VERDICTS[one.verdict],
            )  # fmt: skip
        console.print(table)
    notes: dict[str, list[str]] = {}
    for one in [*told, *untold]:
        if one.note:
            notes.setdefault(one.note, []).append(one.label)
    for note, labels in notes.items():
        said = ", ".join(labels) if len(labels) <= MOST_LABELS else f"{len(labels):,} metrics"
        console.print(f"  {escape(said)}: {escape(note)}", style="dim", highlight=False)
