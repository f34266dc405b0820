"""`ordercast what-if`: what would be ordered if something were otherwise, beside what is suggested as it is."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.cli import accesses
from pipelines.cli.display import emit_json, progress_bar
from pipelines.cli.reading import served_release
from pipelines.cli.wording import money, quantity
from pipelines.settings import load_settings
from pipelines.steps.what_if import Scenario, what_if

if TYPE_CHECKING:
    from pipelines.steps.what_if import Comparison, Suggested
    from pipelines.stores.releases import Release

_PERCENT: Final = re.compile(r"([+-]\d+(?:\.\d+)?)\s?%")
_LARGEST_DAYS: Final = 365
_LINES_SHOWN: Final = 10
_REASONS_SHOWN: Final = 5


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("what-if")(compare)


def compare(  # noqa: PLR0917 - options by name
    demand: Annotated[str | None, typer.Option(help="Change of all demand, past and to come: +20% or -10%.")] = None,
    lead_time: Annotated[int | None, typer.Option(help="Days that every delivery takes longer, below 0 shorter: +7.")] = None,
    cost: Annotated[str | None, typer.Option(help="Change of all suppliers' prices: +10%.")] = None,
    service_level: Annotated[float | None, typer.Option(help="Chance that stock lasts, in place of the setting: 0.98.")] = None,
    supplier_fails: Annotated[str | None, typer.Option(help="This supplier delivers nothing any more; others take over.")] = None,
    closes: Annotated[str | None, typer.Option(help="This location orders nothing any more; its demand goes nowhere else.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print both sides and every item that differs as JSON.")] = False,
) -> None:
    """What would be suggested if something were otherwise. Nothing is changed: neither the release nor any suggestion.

    Both sides are worked out now, from the served release, in the same way. Options may be combined.

    Examples: [b]ordercast what-if --demand +20%[/b] | [b]ordercast what-if --lead-time 7 --supplier-fails SUP-01[/b]
    """
    if service_level is not None and not 0.5 < service_level < 1.0:
        raise typer.BadParameter(f"--service-level lies between 0.5 and 1, got {service_level:g}; 0.98 is 98 %.")
    if lead_time is not None and abs(lead_time) > _LARGEST_DAYS:
        raise typer.BadParameter(f"--lead-time is a number of days up to {_LARGEST_DAYS}, got {lead_time}.")
    scenario = Scenario(
        demand_factor=_factor("--demand", demand),
        lead_time_days=lead_time or 0,
        cost_factor=_factor("--cost", cost),
        service_level=service_level,
        failed_supplier_id=supplier_fails,
        closed_location_id=closes,
    )
    settings = load_settings()
    release = served_release(settings)
    with progress_bar(Console(stderr=True), "What if") as report:
        compared = what_if(release, scenario, settings=settings, on_progress=report)
    if as_json:
        accesses.record("what-if", compared.lines.height, filters=asdict(scenario))
        emit_json(_as_json(release, scenario, compared))
        return
    _show(Console(), release, scenario, compared)


def _factor(option: str, text: str | None) -> float:
    """1.2 of "+20%"."""
    if text is None:
        return 1.0
    found = _PERCENT.fullmatch(text.strip())
    factor = 1.0 + float(found[1]) / 100.0 if found else 0.0
    if not 0.0 < factor <= 100.0:
        raise typer.BadParameter(f"{option} is a change in percent with its sign, above -100%, such as +20%; got {text!r}.")
    return factor


def _as_json(release: Release, scenario: Scenario, compared: Comparison) -> dict[str, Any]:
    return {
        "release_id": release.release_id,
        "as_of": release.as_of_date,
        "scenario": asdict(scenario),
        "base": _figures(compared.base),
        "changed": _figures(compared.changed),
        "lines": compared.lines.to_dicts(),
        "newly_excluded": _newly_excluded(compared),
    }


def _figures(side: Suggested) -> dict[str, Any]:
    return {
        "orders_count": side.orders.height,
        "order_qty": int(side.orders["recommended_qty"].sum()),
        "money": side.money.to_dicts(),
        "likely_to_run_out_count": side.likely_to_run_out_count,
        "excluded_count": side.excluded.height,
        "not_available": side.not_available,
    }


def _newly_excluded(compared: Comparison) -> list[dict[str, Any]]:
    return compared.changed.excluded.join(compared.base.excluded, on=["sku", "location_id"], how="anti", maintain_order="left").to_dicts()


def _show(console: Console, release: Release, scenario: Scenario, compared: Comparison) -> None:
    console.print(f"Release {release.release_id}, as of {release.as_of_date}", style="bold", highlight=False)
    console.print(f"What if {escape(_in_words(scenario))}?", highlight=False)
    for name, side in (("As it is", compared.base), ("If so", compared.changed)):
        if side.not_available:
            console.print(f"{name}: not available: {escape(side.not_available)}", style="yellow", highlight=False)
    table = Table("", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("As it is", "If so", "Change"):
        table.add_column(title, justify="right", no_wrap=True)
    first, second = _figures(compared.base), _figures(compared.changed)
    for label, name in (("Items to order", "orders_count"), ("Units to order", "order_qty")):
        table.add_row(label, *_counts(first[name], second[name]))
    for label, name in (("Cost of orders", "order_amount"), ("Loss expected if ordering waits", "at_risk_amount")):
        _add_money(table, label, name, compared)
    table.add_row(
        "Items likely to run out before an order of the next review",
        *_counts(first["likely_to_run_out_count"], second["likely_to_run_out_count"]),
    )
    table.add_row("Items that cannot be ordered", *_counts(first["excluded_count"], second["excluded_count"]))
    console.print(table)
    _show_lines(console, compared)


def _add_money(table: Table, label: str, name: str, compared: Comparison) -> None:
    """A row per currency; amounts of different currencies are never added."""
    sides = [dict(side.money.select("currency_code", name).rows()) for side in (compared.base, compared.changed)]
    for currency in sorted(sides[0].keys() | sides[1].keys()):
        before, after = (side.get(currency, 0.0) for side in sides)
        change = f"{after / before - 1:+.1%}".replace("%", " %") if before else "-"
        table.add_row(label, money(before, currency), money(after, currency), change)


def _show_lines(console: Console, compared: Comparison) -> None:
    lines = compared.lines
    if lines.height:
        console.print("\nLargest changes in money", highlight=False)
    for sku, location_id, before, after in lines.head(_LINES_SHOWN).iter_rows():
        console.print(f"  {escape(sku)} at {escape(location_id)}: {quantity(before)} -> {quantity(after)}", highlight=False)
    if lines.height > _LINES_SHOWN:
        console.print(f"{lines.height - _LINES_SHOWN:,} more items differ: --json has them all.", style="dim", highlight=False)
    gone = _newly_excluded(compared)
    for row in gone[:_REASONS_SHOWN]:
        console.print(
            f"  {row['sku']} at {row['location_id']} cannot be ordered then: {row['reason']}", style="yellow", markup=False, highlight=False
        )
    if len(gone) > _REASONS_SHOWN:
        console.print(f"{len(gone) - _REASONS_SHOWN:,} more cannot be ordered then: --json has them all.", style="yellow", highlight=False)
    if gone:
        console.print("What cannot be ordered is in no other figure, whatever it would lose.", style="yellow", highlight=False)
    console.print("Nothing was changed: neither the release nor any suggestion.", style="dim", highlight=False)


def _counts(before: int, after: int) -> tuple[str, str, str]:
    return quantity(before), quantity(after), f"{after - before:+,}"


def _in_words(scenario: Scenario) -> str:
    said = [
        _percent("demand", scenario.demand_factor),
        f"deliveries take {abs(scenario.lead_time_days)} days {'longer' if scenario.lead_time_days > 0 else 'less'}"
        if scenario.lead_time_days
        else "",
        _percent("prices", scenario.cost_factor, plural=True),
        f"stock is to last with a chance of {scenario.service_level:.10g}" if scenario.service_level is not None else "",
        f"supplier {scenario.failed_supplier_id} delivers nothing" if scenario.failed_supplier_id is not None else "",
        f"location {scenario.closed_location_id} orders nothing" if scenario.closed_location_id is not None else "",
    ]
    return ", ".join(one for one in said if one)


def _percent(what: str, factor: float, *, plural: bool = False) -> str:
    if factor == 1.0:
        return ""
    return f"{what} {'are' if plural else 'is'} {abs(factor - 1) * 100:.4g} % {'higher' if factor > 1 else 'lower'}"
