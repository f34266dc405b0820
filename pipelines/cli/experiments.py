"""The command `experiment`: what is being tried out, and whether it changed a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.cli import accesses
from pipelines.cli.display import emit_json
from pipelines.errors import MetricError
from pipelines.settings import load_settings
from pipelines.stores.metrics import catalogue_from_json
from pipelines.stores.releases import open_served

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forecasting.comparison import Comparison
    from pipelines.stores.experiments import Experiment, MetricComparison

_FACTORS: Final = {"percent": (100.0, " %", " pp"), "days": (1.0, " d", " d"), "hours": (1.0, " h", " h"), "minutes": (1.0, " min", " min")}


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("experiment")(experiment)


def experiment(
    name: Annotated[str | None, typer.Argument(help="Experiment to judge; default is a list of all.")] = None,
    metrics: Annotated[list[str] | None, typer.Argument(help="Metrics to compare the variants on.")] = None,
    control: Annotated[str | None, typer.Option(help="Variant to compare with; default is control, else the first by name.")] = None,
    split: Annotated[str | None, typer.Option(help="Planned split, such as A=90,B=10; default is equal.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the experiments or comparisons as JSON.")] = False,
) -> None:
    """Compare the variants of an experiment on any metric of orders: effect, interval, and a refusal where units are too few.

    Units are orders or customers; a customer brings the orders placed since the assignment.

    Examples: [b]ordercast experiment[/b] | [b]ordercast experiment packaging-2026 return_rate order_cycle_time_mean_days --json[/b]
    """
    from pipelines.stores.experiments import compare_experiment, list_experiments  # noqa: PLC0415 - SciPy takes a second to import

    settings = load_settings()
    with open_served(settings.releases_path) as (_, conn):
        if name is None:
            found = list_experiments(conn)
            if as_json:
                accesses.record("experiments", len(found))
                emit_json(found)
            else:
                _print_list(Console(), found)
            return
        if not metrics:
            raise MetricError(f"Name the metrics to compare {name} on; `ordercast metrics` shows them all.")
        row = conn.execute("select catalogue from meta.metric_catalogue").fetchone()
        catalogue = catalogue_from_json(row[0] if row else "{}")
        compared = compare_experiment(conn, catalogue, name, metrics, control=control, planned=_weights(split), seed=settings.seed)
    if as_json:
        accesses.record(f"experiment {name}", len(compared), filters={"metrics": metrics})
        emit_json(compared)
        return
    console = Console()
    for one in compared:
        _print_comparison(console, one, is_per_unit=catalogue[one.metric].is_additive)


def _weights(split: str | None) -> Mapping[str, float] | None:
    if split is None:
        return None
    try:
        return {name.strip(): float(weight) for name, weight in (part.split("=") for part in split.split(","))}
    except ValueError:
        raise MetricError(f"A split is written like A=90,B=10, not {split!r}.") from None


def _print_list(console: Console, found: list[Experiment]) -> None:
    if not found:
        console.print("There is no experiment: the table experiments is empty or the source does not have it.")
        return
    table = Table("Experiment", "Units", "Left out", "First assigned", "Last assigned", box=None, pad_edge=False)
    for one in found:
        table.add_row(
            escape(one.experiment_id), " ".join((_counts(one.units), " and ".join(f"{kind}s" for kind in one.unit_kinds))),
            _counts(one.excluded), (one.first_assigned_at or "-")[:10], (one.last_assigned_at or "-")[:10],
        )  # fmt: skip
    console.print(table)


def _counts(counts: Mapping[str, int]) -> str:
    return escape(", ".join(f"{count:,} {name}" for name, count in counts.items() if count)) or "-"


def _print_comparison(console: Console, one: MetricComparison, *, is_per_unit: bool) -> None:
    """A sum is compared by what one unit brings, and says so."""
    per_unit = f" per {one.unit_kind}" if is_per_unit else ""
    console.print(f"\n[b]{escape(one.label)}{per_unit}[/b] ({'more' if one.better == 'higher' else 'less'} is better)", highlight=False)
    for arm in one.arms:
        console.print(f"  {escape(arm.variant)}: {_amount(arm.value, one)}{per_unit} over {arm.n:,} {one.unit_kind}s", highlight=False)
    for effect in one.effects:
        console.print(f"  {escape(_sentence(effect, one))}", highlight=False)
    if one.note:
        console.print(f"  Not judged. {escape(one.note)}", style="yellow", highlight=False)
    if any(one.excluded.values()):
        console.print(f"  Left out: {_counts(one.excluded)}", style="dim", highlight=False)


def _sentence(effect: Comparison, one: MetricComparison) -> str:
    span = f"{_change(effect.effect, one)} (95 %: {_change(effect.low, one)} to {_change(effect.high, one)})"
    pair = f"{effect.variant} against {effect.control}"
    sought, visible = (_change(size, one).lstrip("+") for size in (effect.sought_effect, effect.minimal_detectable_effect))
    match effect.verdict:
        case "different":
            is_better = (effect.effect > 0) == (one.better == "higher")
            relative = f", {effect.relative_effect:+.1%} of the control" if effect.relative_effect is not None else ""
            return f"{pair}: {'better' if is_better else 'worse'} by {span}{relative}; p = {effect.p_value:.2g}."
        case "no_difference_shown":
            return f"{pair}: no difference shown, {span}; effects larger than {sought} either way are ruled out."
        case "undecided":
            return f"{pair}: undecided, {span}; an effect of {sought} is not ruled out."
        case _:
            return (
                f"{pair}: underpowered, {span}. It would need about {effect.needed_per_variant:,} {one.unit_kind}s per variant to see an "
                f"effect of {sought}; what could be seen now is {visible}."
            )


def _amount(value: float, one: MetricComparison) -> str:
    factor, suffix, _ = _FACTORS.get(one.unit, (1.0, f" {one.currency_code}" if one.currency_code else "", ""))
    return f"{value * factor:,.2f}{suffix}"


def _change(value: float, one: MetricComparison) -> str:
    factor, _, suffix = _FACTORS.get(one.unit, (1.0, "", f" {one.currency_code}" if one.currency_code else ""))
    return f"{value * factor:+,.2f}{suffix}"
