"""`ordercast metrics`: every KPI of the served release, as a table, JSON or CSV."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from pipelines.cli import accesses
from pipelines.cli.display import emit_csv, emit_json
from pipelines.cli.reading import served_release
from pipelines.cli.wording import change, heading, mid_sentence, number, period, status_words
from pipelines.errors import MetricError
from pipelines.settings import load_settings
from pipelines.stores import metrics as metric_store
from pipelines.stores.metrics_catalogue import suggestion
from pipelines.stores.releases import Release, open_release

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    import duckdb

    from pipelines.stores.metrics import Metric, MetricValue

# From what width on a column is shown; the narrowest terminal still says what it is, how it stands and against what.
_COLUMNS: Final = {"Prior": 96, "n": 88, "Last year": 124, "Period": 112}
_DAY: Final = "%Y-%m-%d"
MOST_LABELS: Final = 6  # metrics one note names; of more it says how many


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("metrics")(metrics)


def metrics(
    names: Annotated[list[str] | None, typer.Argument(help="Metrics to show; default is all.")] = None,
    *,
    by: Annotated[
        str | None, typer.Option(help="Split by a dimension: channel, location, country, region, category, sku, ... (docs/metrics.md).")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="Count only one member of a dimension, channel=web; again for more members or dimensions.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=[_DAY], help="First day; default is 27 days before the last, with --grain the last buckets."),
    ] = None,
    until: Annotated[datetime | None, typer.Option("--to", formats=[_DAY], help="Last day; default is the release's as-of.")] = None,
    grain: Annotated[
        str | None, typer.Option(help="A row per day, week (Monday to Sunday), month, quarter or year; incomplete ones are marked.")
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Show metrics that are not available too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of metric values as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the metric values as CSV.")] = False,
) -> None:
    """KPIs of the served release, with target, prior period and the same weekdays a year before.

    Examples: [b]ordercast metrics[/b] | [b]ordercast metrics unit_fill_rate --by location[/b] |
    [b]ordercast metrics net_sales --grain month --where channel=web[/b] | [b]ordercast metrics --from 2026-10-01 --to 2026-10-31 --json[/b]
    """
    if as_json and as_csv:
        raise typer.BadParameter("Give either --json or --csv.")
    release = served_release(load_settings())
    values = metric_values(
        release,
        names=names or None,
        by=by,
        since=since.date() if since else None,
        until=until.date() if until else None,
        grain=_grain(grain),
        where=(narrowed := _narrowing(where or [])),
    )
    if as_json or as_csv:
        chosen = {
            "metrics": names,
            "by": by,
            "from": since and since.date(),
            "to": until and until.date(),
            "grain": grain,
            "where": narrowed or None,
        }
        accesses.record("metrics", len(values), filters=chosen)
    if as_json:
        emit_json([metric_as_dict(value) for value in values])
    elif as_csv:
        emit_csv([value.as_dict() for value in values])
    else:
        print_metrics(Console(), release, values, by=by, hides_unavailable=not show_all and not names)


def print_metrics(console: Console, release: Release, values: list[MetricValue], *, by: str | None, hides_unavailable: bool) -> None:
    """Metrics under the name of their domain; columns that the terminal has no room for are left out, and that is said."""
    hidden = [value for value in values if hides_unavailable and value.status == "not_available"]
    shown = [value for value in values if value not in hidden]
    has_grain = any(value.grain for value in values)
    width = console.width - (14 if by else 0)
    heads = [head for head, least in _COLUMNS.items() if width >= least and not (has_grain and head == "Period")]
    table = Table(*_head("Metric", by, "Period" if has_grain else None), box=None, pad_edge=False)
    for head in ("Value", "Target", "Status", "Change", *heads):
        table.add_column(head, justify="left" if head in {"Status", "Period"} else "right", no_wrap=head != "Status")
    domain = None
    for value in shown:
        if value.domain != domain and not by and not has_grain:
            domain = value.domain
            table.add_row(f"[b]{escape(heading(domain))}[/b]")
        cells = _cells(value)
        table.add_row(
            escape(value.label), *([escape(value.member or "-")] if by else []), *([_bucket(value)] if has_grain else []),
            *(cells[head] for head in ("Value", "Target", "Status", "Change", *heads)),
        )  # fmt: skip
    console.print(f"As of {release.as_of_date}, release {release.release_id}", highlight=False)
    console.print(table)
    print_notes(console, shown)
    _print_hidden(console, hidden)


def print_notes(console: Console, values: list[MetricValue]) -> None:
    """What a reader must know of single values: what they lack or suppose, and what was left out and counted."""
    labels: dict[str, list[str]] = {}
    for value in values:
        said = [value.note] if value.note and not value.member else []
        said += [f"assumes {mid_sentence(value.assumption)}"] if value.assumption else []
        for note in said:
            named = labels.setdefault(note, [])
            if value.label not in named:
                named.append(value.label)
    for note, named in labels.items():
        whose = ", ".join(named) if len(named) <= MOST_LABELS else f"{len(named):,} metrics"
        console.print(f"  {escape(whose)}: {escape(note)}", style="dim", highlight=False)


def metric_values(
    release: Release,
    *,
    names: list[str] | None = None,
    by: str | None = None,
    since: date | None = None,
    until: date | None = None,
    grain: metric_store.Grain | None = None,
    where: Mapping[str, Sequence[str]] | None = None,
) -> list[MetricValue]:
    """Metrics of this release, by the catalogue it carries; all of them come domain by domain."""
    with open_release(release) as conn:
        catalogue = read_catalogue(conn)
        return metric_store.evaluate(
            conn, catalogue, names or _in_domains(catalogue.values()), by=by, since=since, until=until, grain=grain, where=where
        )


def read_catalogue(conn: duckdb.DuckDBPyConnection) -> dict[str, Metric]:
    """What metrics the opened release knows."""
    row = conn.execute("select catalogue from meta.metric_catalogue").fetchone()
    return metric_store.catalogue_from_json(row[0] if row else "{}")


def metric_as_dict(value: MetricValue) -> dict[str, Any]:
    """The value as JSON carries it; a split metric has the split's name as a key of its own."""
    facts = value.as_dict()
    dimension, member = facts.pop("dimension"), facts.pop("member")
    return facts | ({dimension: member} if dimension else {})


def _in_domains(metrics: Iterable[Metric]) -> list[str]:
    return [metric.name for metric in sorted(metrics, key=lambda one: (one.domain, one.name))]


def _grain(name: str | None) -> metric_store.Grain | None:
    found = next((grain for grain in metric_store.GRAINS if grain == name), None)
    if name is not None and found is None:
        raise MetricError(f"There is no grain {name!r}; {suggestion(name, metric_store.GRAINS)}")
    return found


def _narrowing(asked: Iterable[str]) -> dict[str, list[str]]:
    """`channel=web` and `channel=app` as {channel: [web, app]}."""
    narrowed: dict[str, list[str]] = {}
    for one in asked:
        dimension, sign, member = one.partition("=")
        if not (dimension and sign and member):
            raise MetricError(f"--where wants a dimension and a member, as in --where channel=web, not {one!r}.")
        narrowed.setdefault(dimension, []).append(member)
    return narrowed


def _head(*names: str | None) -> list[Column]:
    return [Column(name.capitalize(), overflow="fold") for name in names if name]


def _cells(value: MetricValue) -> dict[str, str]:
    return {
        "Value": number(value.value, value), "Target": number(value.target, value), "Status": status_words(value),
        "Change": change(value, value.prior), "Prior": number(value.prior, value), "Last year": number(value.last_year, value),
        "n": "-" if value.n is None else f"{value.n:,}", "Period": period(value),
    }  # fmt: skip


def _bucket(value: MetricValue) -> str:
    first = f"{value.period_from:%Y-%m-%d}"
    return first if value.is_complete else f"{first} to {value.period_to:%m-%d}, incomplete"


def _print_hidden(console: Console, hidden: list[MetricValue]) -> None:
    """One line about what the source cannot say."""
    if not hidden:
        return
    needs = sorted({need for value in hidden for need in value.needs_missing})
    reason = f"need {', '.join(needs[:5])}{' and more' if len(needs) > 5 else ''}" if needs else "cannot be split or narrowed this way"
    word = "metric is" if len(hidden) == 1 else "metrics are"
    console.print(f"{len(hidden):,} {word} not available: {escape(reason)}; --all shows them.", highlight=False)
