"""`ordercast sourcing` and `ordercast promises`: who ships each open order line, and when its units can be there. Nothing is written."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import duckdb
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.cli import accesses
from pipelines.cli.display import emit_json
from pipelines.cli.rule_listing import On, day_of
from pipelines.cli.wording import counted, money, quantity
from pipelines.errors import ContractError, ReleaseError
from pipelines.settings import load_settings
from pipelines.steps.promises import promise_open_orders
from pipelines.steps.sourcing import source_open_orders
from pipelines.stores.metrics_values import MINOR_UNIT_EXPONENTS
from pipelines.stores.operational import OperationalStore
from pipelines.stores.policy_rules import list_rules, rule_of
from pipelines.stores.releases import open_served

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from inventory.rules import PolicyRule
    from pipelines.steps.promises import Promises
    from pipelines.steps.sourcing import OrderSourcing
    from pipelines.stores.releases import Release

_SHOWN: Final = 20
_UNTIL_THEN: Final = {
    "on_hand": "on hand", "inbound": "inbound", "supplier_lead_time": "supplier's lead time", "nothing_known": "not available",
}  # fmt: skip

AsJson = Annotated[bool, typer.Option("--json", help="Print every line as JSON.")]


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    app.command("sourcing")(sourcing)
    app.command("promises")(promises)


def sourcing(on: On = None, as_json: AsJson = False) -> None:
    """Which location would ship each open order line, by the policy rules as they stand now; nothing is changed.

    Stock and orders are those of the served release. With --on it is what rules that hold on that day would do.

    Examples: [b]ordercast sourcing[/b] | [b]ordercast sourcing --on 2026-10-01[/b] | [b]ordercast sourcing --json[/b]
    """
    rules = _standing_rules()
    with _served() as (release, conn):
        day = day_of(on) or date.fromisoformat(release.as_of_date) + timedelta(days=1)
        found = source_open_orders(conn, rules, on=day)
    rows = found.lines.height + found.unfilled.height
    accesses.record("sourcing", rows, columns=found.lines.columns, filters={"on": day})
    if as_json:
        emit_json(_sourcing_json(release, found, day))
        return
    console = Console(highlight=False)
    console.print(f"Release {release.release_id}, as of {release.as_of_date}; rules of {day}", style="bold")
    if found.not_available:
        console.print(f"Not available: {found.not_available}.", style="yellow")
        return
    _show_sourcing(console, found)


def promises(as_json: AsJson = False) -> None:
    """The day on which the units of each open order line can be there, what it waits for, and what was promised.

    Days are those on which the goods are at the place that sends them. Nothing is changed and nobody is told.

    Examples: [b]ordercast promises[/b] | [b]ordercast promises --json[/b]
    """
    with _served() as (release, conn):
        found = promise_open_orders(conn)
    accesses.record("promises", found.lines.height, columns=found.lines.columns)
    if as_json:
        lines = found.lines.to_dicts()
        emit_json(
            {"release_id": release.release_id, "as_of": found.as_of, "not_available": found.not_available, "lines": lines}
        )  # fmt: skip
        return
    console = Console(highlight=False)
    console.print(f"Release {release.release_id}, as of {release.as_of_date}", style="bold")
    if found.not_available:
        console.print(f"Not available: {found.not_available}.", style="yellow")
        return
    _show_promises(console, found)


@contextmanager
def _served() -> Iterator[tuple[Release, duckdb.DuckDBPyConnection]]:
    with open_served(load_settings().releases_path) as (release, conn):
        try:
            yield release, conn
        except (duckdb.CatalogException, duckdb.BinderException) as exc:
            first_line = str(exc).partition("\n")[0]
            raise ReleaseError(f"Release {release.release_id} lacks what this takes ({first_line}): ordercast run.") from None
        except ValueError as exc:
            raise ContractError(f"Release {release.release_id}: {exc}") from exc


def _standing_rules() -> list[PolicyRule]:
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        return [rule_of(row) for row in list_rules(store, is_standing=True)]


def _sourcing_json(release: Release, found: OrderSourcing, day: date) -> dict[str, Any]:
    return {
        "release_id": release.release_id, "as_of": release.as_of_date, "on": day, "not_available": found.not_available,
        "figures": found.figures, "currency_code": found.currency_code, "cost_needs": found.cost_needs, "notes": found.notes,
        "lines": found.lines.to_dicts(), "unfilled": found.unfilled.to_dicts(),
    }  # fmt: skip


def _show_sourcing(console: Console, found: OrderSourcing) -> None:
    ours, greedy = found.figures, {name.removeprefix("greedy_"): one for name, one in found.figures.items() if name.startswith("greedy_")}
    table = Table("", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("So", "By most lines covered"):
        table.add_column(title, justify="right", no_wrap=True)
    for label, name in (("Units shipped", "shipped_qty"), ("Shipments", "shipments"), ("Splits", "splits")):
        table.add_row(label, quantity(ours[name] or 0), quantity(greedy[name] or 0))
    cost = (_amount(side["cost_amount"], found.currency_code) for side in (ours, greedy))
    table.add_row("Cost of shipping", *cost)
    console.print(table)
    if found.cost_needs:
        console.print(f"Cost of shipping is not available: {escape(found.cost_needs)}.", style="yellow")
    if ours["supplier_qty"]:
        console.print(f"Besides {quantity(ours['supplier_qty'])} units from stock that lies at suppliers; what they charge is not known.")
    for note in found.notes:
        console.print(escape(note), style="yellow")
    for (way, rule), lines in found.lines.group_by("sourcing", "sourcing_rule", maintain_order=True):
        by = f"rule {escape(rule)}" if rule else "no rule"
        moved = lines.filter(lines["location_id"] != lines["planned_location_id"])
        console.print(f"{way} ({by}): {lines.height:,} lines, {moved.height:,} from another place than the shop has them")
    _show_lines(console, found)


def _show_lines(console: Console, found: OrderSourcing) -> None:
    if found.lines.height:
        table = Table("Order", "Line", "SKU", "Units", "From", "Shop has it at", box=None, pad_edge=False)
        shown = found.lines.select("order_id", "order_line_id", "sku", "qty", "location_id", "planned_location_id").head(_SHOWN)
        for cells in shown.iter_rows():
            table.add_row(*(escape(str(cell)) for cell in cells))
        console.print(table)
        _say_more(console, found.lines)
    for row in found.unfilled.head(_SHOWN).iter_rows(named=True):
        units = "" if row["qty"] is None else f"{quantity(row['qty'])} of "
        console.print(f"Nobody ships {units}{escape(row['sku'])} on {escape(row['order_line_id'])}: {row['reason']}.", style="yellow")
    _say_more(console, found.unfilled)
    if not found.lines.height and not found.unfilled.height:
        console.print("No order line is open.")


def _show_promises(console: Console, found: Promises) -> None:
    lines = found.lines
    if not lines.height:
        console.print("No order line is open.")
        return
    late, undated = lines.filter(lines["late_days"] > 0).height, lines["promised_date"].null_count()
    console.print(f"{lines.height:,} open lines: {late:,} later than promised, {undated:,} without a day.")
    table = Table("Order", "Line", "SKU", "Units", "Can be there", "Promised", "Waits for", "Why", box=None, pad_edge=False)
    for row in lines.head(_SHOWN).iter_rows(named=True):
        said = (
            "-"
            if row["promised_ship_date"] is None
            else f"{row['promised_ship_date']}" + (f" ({counted(row['late_days'], 'day')} late)" if row["late_days"] else "")
        )
        cells = (row["order_id"], row["order_line_id"], row["sku"], quantity(row["open_qty"]), str(row["promised_date"] or "not available"))
        table.add_row(*map(escape, (*cells, said, _UNTIL_THEN[row["binding"]], row["reason"])))
    console.print(table)
    _say_more(console, lines)


def _say_more(console: Console, rows: pl.DataFrame) -> None:
    if rows.height > _SHOWN:
        console.print(f"{rows.height - _SHOWN:,} more: --json has them all.", style="dim")


def _amount(minor: int | None, currency: str | None) -> str:
    return "not available" if minor is None or currency is None else money(minor / 10 ** MINOR_UNIT_EXPONENTS.get(currency, 2), currency)
