"""What a run ends with: what came in, how the merchant is doing, what to order, where it lies, what next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.table import Table

from pipelines.cli.display import quarantine_lines, warning_lines
from pipelines.cli.metrics import metric_values, print_notes
from pipelines.cli.reading import recommendation_lines, served_release
from pipelines.cli.wording import value_cells
from pipelines.stores.grants import RECOMMENDER
from pipelines.stores.operational import OperationalStore
from pipelines.stores.quarantine_rows import quarantined_documents, standing_warnings
from pipelines.stores.recommendations import list_recommendations
from pipelines.stores.source_watch import freshness_note, incident_lines
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.cli.in_process import RunOutcome
    from pipelines.settings import Settings

HEADLINE: Final = [
    "order_cycle_time_p50_days",
    "unit_fill_rate",
    "on_time_in_full",
    "net_sales",
    "return_rate",
    "in_stock_rate",
]
MOST_URGENT: Final = 10
MOST_QUARANTINED: Final = 5
_WRITTEN: Final = {
    "proposed": "new", "updated": "with other figures than before", "unchanged": "as before", "superseded": "needed no more",
    "protected": "left as a person decided",
}  # fmt: skip


def print_summary(console: Console, *, settings: Settings, outcome: RunOutcome, seconds: float) -> None:
    """The readable end of a run."""
    _print_ingest(console, settings, outcome)
    release = served_release(settings)
    console.print(f"\n[b]KPIs[/b] as of {release.as_of_date}", highlight=False)
    kpis = Table("", "Value", "Target", "Status", "Prior", "Change", box=None, pad_edge=False)
    values = metric_values(release, names=HEADLINE)
    for value in values:
        kpis.add_row(value.label, *value_cells(value))
    console.print(kpis)
    print_notes(console, values)
    _print_recommendations(console, settings, outcome)
    steps = ", ".join(f"{step} {spent:.1f}" for step, spent in outcome.seconds.items())
    console.print(f"\n[b]Release[/b] {release.path}", highlight=False, soft_wrap=True)
    console.print(f"[b]Took[/b]    {seconds:.1f} s, of them {sum(outcome.seconds.values()):.1f} s in steps: {steps}", highlight=False)
    console.print(
        "[b]Next[/b]    make dashboards (pages on 127.0.0.1:8501)  ·  make dagster (asset graph on 127.0.0.1:3000)",
        highlight=False,
    )


def _print_ingest(console: Console, settings: Settings, outcome: RunOutcome) -> None:
    tables = outcome.counts.get("ingest", {})
    console.print("\n[b]Ingested[/b]")
    rows = Table("Table", "Rows in", "Loaded", "Deleted", "Quarantined", "Duplicates", box=None, pad_edge=False)
    changed = {name: facts for name, facts in tables.items() if facts["rows_in"] or facts["rows_deleted"]}
    for name, facts in changed.items():
        rows.add_row(
            name,
            *(f"{facts[count]:,}" for count in ("rows_in", "rows_loaded", "rows_deleted", "rows_quarantined", "rows_duplicate")),
        )
    if changed:
        console.print(rows)
    else:
        console.print("Nothing changed since the last run.")
    with open_warehouse(settings.warehouse_path, read_only=True) as conn:
        quarantine_lines(console, quarantined_documents(conn).to_dicts(), at_most=MOST_QUARANTINED)
        note = freshness_note(conn)
        for line in [*incident_lines(conn), *([note] if note else [])]:
            console.print(line, style="yellow", markup=False, highlight=False)
        warning_lines(console, standing_warnings(conn))


def _print_recommendations(console: Console, settings: Settings, outcome: RunOutcome) -> None:
    for line in outcome.counts.get("forecast", {}).get("idle_overrides") or ():
        console.print(f"\nWithout effect: {escape(line)}, which has no forecast. Withdraw it or wait.", highlight=False)
    not_available = outcome.counts.get("recommend", {}).get("not_available")
    if not_available:
        console.print(f"\n[b]Reorder suggestions[/b]\nNot available: {not_available}.")
        return
    if withheld := outcome.counts.get("recommend", {}).get("withheld_reason"):
        console.print(f"\n[b]Reorder suggestions[/b]\nWithheld: {escape(withheld)} Those proposed before stand.", highlight=False)
        return
    with OperationalStore.open(settings.resolved_store_url, role=RECOMMENDER, is_read_only=True) as store:
        rows = list_recommendations(store, status="proposed").to_dicts()
    written = outcome.counts.get("write_back", {})
    console.print(
        f"\n[b]Reorder suggestions[/b]  {len(rows):,} open; this run: "
        + ", ".join(f"{count:,} {_WRITTEN.get(name, name)}" for name, count in written.items() if isinstance(count, int)),
        highlight=False,
    )
    if lacking := outcome.counts.get("recommend", {}).get("transfers_not_available"):
        console.print(f"Transfers: not available: {lacking}.", highlight=False)
    if rows:
        recommendation_lines(console, rows[:MOST_URGENT])
    else:
        console.print("Nothing needs ordering today.")
