"""`ordercast replay`: what the merchant's own past weeks would have cost under one policy and another."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.cli import accesses
from pipelines.cli.display import emit_json, progress_bar
from pipelines.cli.wording import counted, money, reasons_counted
from pipelines.settings import load_settings
from pipelines.steps.replay import POLICIES, replay_history
from pipelines.stores.metrics_values import major_units
from pipelines.stores.releases import open_served

if TYPE_CHECKING:
    from pipelines.steps.replay import PolicyResult, ReplayReport
    from pipelines.stores.releases import Release

_DAY: Final = "%Y-%m-%d"
_REASONS_SHOWN: Final = 5


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("replay")(replay)


def replay(  # noqa: PLR0917 - options by name
    since: Annotated[datetime | None, typer.Option("--from", formats=[_DAY], help="In the first week; default is a year back.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", formats=[_DAY], help="In the last week; default is the last whole one.")] = None,
    policies: Annotated[
        str, typer.Option(help=f"With commas between: {', '.join(POLICIES)}.")
    ] = "current,ours,textbook,min_max,clairvoyant",
    sku: Annotated[str | None, typer.Option(help="This item only.")] = None,
    category: Annotated[str | None, typer.Option(help="Items of this category only.")] = None,
    location: Annotated[str | None, typer.Option(help="This location only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results and every item left out as JSON.")] = False,
) -> None:
    """What past weeks would have cost under each policy: stock held, margin lost, orders placed. Nothing is changed.

    Each policy knows at every week what was known then; demand on days without stock is estimated, and it says how much that is.

    Examples: [b]ordercast replay[/b] | [b]ordercast replay --from 2026-01-01 --policies ours,textbook --category tea[/b]
    """
    settings = load_settings()
    with open_served(settings.releases_path) as (release, conn), progress_bar(Console(stderr=True), "Replaying") as report:
        told = replay_history(
            conn,
            settings=settings,
            since=since.date() if since else None,
            until=until.date() if until else None,
            policies=[name.strip() for name in policies.split(",")],
            sku=sku,
            category=category,
            location_id=location,
            on_progress=report,
        )
    if as_json:
        chosen = {"sku": sku, "category": category, "location": location, "from": since and since.date(), "to": until and until.date()}
        accesses.record("replay", len(told.results), filters=chosen)
        emit_json(_as_json(release, told))
        return
    _show(Console(), release, told)


def _as_json(release: Release, told: ReplayReport) -> dict[str, Any]:
    return {
        "release_id": release.release_id,
        "as_of": release.as_of_date,
        "from": told.first_date,
        "to": told.last_date,
        "weeks_count": told.weeks_count,
        "items_count": told.items_count,
        "currency_code": told.currency_code,
        "estimated_rate": told.estimated_rate,
        "results": [_result(one, told.currency_code) for one in told.results],
        "left_out": told.left_out.to_dicts(),
    }


def _result(one: PolicyResult, currency_code: str) -> dict[str, Any]:
    amounts = [name for name in (*(field.name for field in fields(one)), "cost_amount") if name.endswith("_amount")]
    told = {name: major_units(getattr(one, name), currency_code) for name in amounts}
    return {"policy": one.policy, "fill_rate": one.fill_rate, "orders_count": one.orders_count} | told


def _show(console: Console, release: Release, told: ReplayReport) -> None:
    console.print(f"Release {release.release_id}, as of {release.as_of_date}", style="bold", highlight=False)
    items, weeks = counted(told.items_count, "item"), counted(told.weeks_count, "week")
    console.print(
        f"{items}, {weeks} from {told.first_date} to {told.last_date}, in {told.currency_code}",
        highlight=False,
    )
    table = Table("Policy", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("Cost", "Holding", "Lost margin", "Fill rate", "Stock value", "Orders"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in told.results:
        amounts = (one.cost_amount, one.holding_amount, one.lost_margin_amount)
        cost, holding, lost = (money(major_units(amount, told.currency_code), None) for amount in amounts)
        fill = "-" if one.fill_rate is None else _percent(one.fill_rate)
        value = money(major_units(one.stock_value_amount, told.currency_code), None)
        table.add_row(escape(one.policy), cost, holding, lost, fill, value, f"{one.orders_count:,}")
    console.print(table)
    _say_how_sure(console, told)
    _show_left_out(console, told)


def _say_how_sure(console: Console, told: ReplayReport) -> None:
    """What rests on estimated demand, and what each policy costs at less and at more of it."""
    if told.estimated_rate:
        console.print(
            f"{_percent(told.estimated_rate)} of the units are an estimate of what was wanted in weeks mostly without stock. "
            "If only what was sold was wanted in them, and if much more was, costs are:",
            highlight=False,
        )
        for one in told.results:
            amounts = (one.cost_at_low_demand_amount, one.cost_at_high_demand_amount)
            low, high = (money(major_units(amount, told.currency_code), None) for amount in amounts)
            console.print(f"  {escape(one.policy)}: {low} if only that, {high} if much more", highlight=False)
    console.print(
        "In whole weeks: a day's stock-out within a week is not seen, and lead times are rounded up.", style="dim", highlight=False
    )


def _percent(rate: float) -> str:
    return f"{rate * 100:.1f} %"


def _show_left_out(console: Console, told: ReplayReport) -> None:
    if told.left_out.is_empty():
        return
    console.print(f"{counted(told.left_out.height, 'item')} not replayed:", style="yellow", highlight=False)
    for reason, count in reasons_counted(told.left_out["reason"])[:_REASONS_SHOWN]:
        console.print(f"  {count:,}: {escape(reason)}", style="yellow", highlight=False)
    console.print("  Each with its reason: --json", style="yellow", highlight=False)
