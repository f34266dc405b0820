"""`ordercast targets`: what a metric, or a member of a dimension, should reach from which day on."""

from __future__ import annotations

import getpass
import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.cli import accesses
from pipelines.cli.display import emit_json
from pipelines.cli.metrics import read_catalogue
from pipelines.cli.wording import exact
from pipelines.errors import MetricError
from pipelines.settings import Settings, load_settings
from pipelines.stores import targets as target_store
from pipelines.stores.metrics import evaluate
from pipelines.stores.metrics_catalogue import find_metric, suggestion
from pipelines.stores.metrics_targets import DatedTarget
from pipelines.stores.metrics_values import Basis, read_basis
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import open_served

if TYPE_CHECKING:
    from pipelines.stores.metrics_catalogue import Direction, Metric

targets_app = typer.Typer(no_args_is_help=True, help="Dated targets of metrics: list them, set one, or go back to the default.")
_DAY = "%Y-%m-%d"
_LONG_AGO = date(1990, 1, 1)
_NUMBER: Final = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d+)?")

_Metric = Annotated[str, typer.Argument(help="The metric's name.")]
_By = Annotated[str | None, typer.Option("--by", help="Dimension of the member the target is for; default is the whole.")]
_Member = Annotated[str | None, typer.Option("--member", help="The member, such as a location or a channel.")]
_From = Annotated[datetime | None, typer.Option("--from", formats=[_DAY], help="First day it holds; default is the release's as-of.")]


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    targets_app.command("list")(targets_list)
    targets_app.command("set")(targets_set)
    targets_app.command("remove")(targets_remove)
    app.add_typer(targets_app, name="targets")


def targets_list(
    on: Annotated[datetime | None, typer.Option("--on", formats=[_DAY], help="Only lines that are valid on this day.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as JSON.")] = False,
) -> None:
    """Every line of the history of targets, oldest first; of lines that overlap the one that begins last holds.

    Example: [b]ordercast targets list --on 2026-10-31[/b]
    """
    settings = load_settings()
    with open_served(settings.releases_path) as (_, conn):
        catalogue, basis = read_catalogue(conn), read_basis(conn)
    with OperationalStore.open_to_read(settings.resolved_store_url) as store:
        lines = target_store.list_targets(store, on=on.date() if on else None)
    if as_json:
        accesses.record("targets", len(lines), filters={"on": on and on.date()})
        emit_json(lines)
        return
    console = Console()
    if not lines:
        console.print("No target is set: the defaults of docs/metrics.md hold. Set one: ordercast targets set")
        return
    table = Table("Metric", "For", "From", "To", "Target", "Watch band", "Better", "By", box=None, pad_edge=False)
    for line in lines:
        table.add_row(
            line["metric"], _whom(line["dimension"], line["member"]), str(line["valid_from"]), str(line["valid_to"] or "-"),
            _said(line["target"], catalogue.get(line["metric"]), basis) or "default",
            _said(line["watch_band"], catalogue.get(line["metric"]), basis) or "-", line["direction"] or "-", escape(line["author"]),
        )  # fmt: skip
    console.print(table)


def targets_set(
    metric: _Metric,
    target: Annotated[str, typer.Argument(help="In the metric's unit: 0.95 or 95%, 3.5 days, money in major units; of a sum for 28 days.")],
    *,
    by: _By = None,
    member: _Member = None,
    since: _From = None,
    until: Annotated[datetime | None, typer.Option("--to", formats=[_DAY], help="Last day it holds; default is for good.")] = None,
    band: Annotated[str | None, typer.Option(help="How far from the target is still 'watch'; default is the metric's own.")] = None,
    direction: Annotated[str | None, typer.Option(help="Which way is good: higher or lower; default is the metric's own.")] = None,
    author: Annotated[str | None, typer.Option(help="Who sets it; default is the user of this computer.")] = None,
) -> None:
    """Set a target from a day on; nothing that was set before is changed, so the past keeps the targets it had.

    Examples: [b]ordercast targets set unit_fill_rate 97%[/b] |
    [b]ordercast targets set unit_fill_rate 0.99 --by location --member LOC-CENTRAL --from 2026-11-01[/b]
    """
    settings = load_settings()
    found, basis = _checked(settings, metric, by, member)
    line = DatedTarget(
        metric, by, member, since.date() if since else basis.as_of, until.date() if until else None, _amount(target, found),
        None if band is None else abs(_amount(band, found)), _direction(direction),
    )  # fmt: skip
    _add(settings, line, author)
    Console().print(
        f"{metric} for {_whom(by, member)}: target {_said(line.target, found, basis)}{' for 28 days' if found.is_additive else ''} "
        f"from {line.valid_from}{f' to {line.valid_to}' if line.valid_to else ' on'}. "
        "It shows after the next run: ordercast run.",
        highlight=False, markup=False,
    )  # fmt: skip


def targets_remove(
    metric: _Metric,
    by: _By = None,
    member: _Member = None,
    since: _From = None,
    author: Annotated[str | None, typer.Option(help="Who removes it; default is the user of this computer.")] = None,
) -> None:
    """From a day on the default holds again; the history stays, and so do later lines.

    Example: [b]ordercast targets remove unit_fill_rate --from 2027-01-01[/b]
    """
    settings = load_settings()
    _, basis = _checked(settings, metric, by, member)
    with OperationalStore.open(settings.resolved_store_url) as store:
        known = [(one["metric"], one["dimension"], one["member"]) for one in target_store.list_targets(store)]
    if (metric, by, member) not in known:
        raise MetricError(f"No target of {metric} is set for {_whom(by, member)}; ordercast targets list shows what is.")
    line = DatedTarget(metric, by, member, since.date() if since else basis.as_of, None, None, None, None)
    _add(settings, line, author)
    Console().print(f"{metric} for {_whom(by, member)}: the default holds from {line.valid_from} on.", highlight=False, markup=False)


def _add(settings: Settings, line: DatedTarget, author: str | None) -> None:
    with OperationalStore.open(settings.resolved_store_url) as store:
        store.migrate()
        target_store.add_target(store, line, author=author or getpass.getuser())


def _checked(settings: Settings, metric: str, by: str | None, member: str | None) -> tuple[Metric, Basis]:
    """The metric, and what the release says about itself, once metric, dimension and member are known to it.

    Raises:
        MetricError: One of them is not; the message suggests the nearest.
    """
    with open_served(settings.releases_path) as (_, conn):
        catalogue = read_catalogue(conn)
        found = find_metric(catalogue, metric)
        if (by is None) != (member is None):
            raise MetricError("A target is for the whole, or for a member of a dimension: give both --by and --member, or neither.")
        if by is not None:
            if by not in found.dimensions:
                raise MetricError(f"{metric} cannot be split by {by!r}; {suggestion(by, found.dimensions)}")
            values = evaluate(conn, catalogue, [metric], by=by, since=_LONG_AGO)
            members = {value.member for value in values if value.member}
            if member not in members:
                raise MetricError(f"{by} has no member {member!r}; {suggestion(str(member), members)}")
        return found, read_basis(conn)


def _amount(text: str, metric: Metric) -> float:
    """`95%` is 0.95; thousands may have commas.

    Raises:
        MetricError: It is no number, or it can be read in two ways.
    """
    is_percent = text.rstrip().endswith("%")
    plain = text.strip().removesuffix("%").rstrip()
    if not any(map(str.isdigit, plain)) or not _NUMBER.fullmatch(plain):
        raise MetricError(f"{text!r} is no number: write 0.95, 95%, 3.5 or 12,500; a comma only parts thousands.")
    amount = float(plain.replace(",", ""))
    if is_percent and metric.unit != "percent":
        raise MetricError(f"{metric.name} is no percentage but {metric.unit}: write {plain}, without %.")
    if metric.unit == "percent" and not is_percent and abs(amount) > 1:
        small, large = (exact(one, "percent", None) for one in (amount / 100, amount))
        raise MetricError(f"{text!r} could be {small} or {large}: write {small.replace(' ', '')} or {large.replace(' ', '')}.")
    return amount / 100 if is_percent else amount


def _said(amount: float | None, metric: Metric | None, basis: Basis) -> str:
    """In the metric's unit, as far as the release knows the metric; nothing where nothing is set."""
    if amount is None:
        return ""
    return exact(amount, metric.unit, basis.currency_code) if metric else f"{amount:g}"


def _direction(text: str | None) -> Direction | None:
    match text:
        case None | "higher" | "lower":
            return text
        case other:
            raise MetricError(f"There is no direction {other!r}; {suggestion(other, ['higher', 'lower'])}")


def _whom(by: Any, member: Any) -> str:
    return f"{by} {member}" if by else "the whole"
