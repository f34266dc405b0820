"""`ordercast outcomes`: what became of decided suggestions, one by one or as a scorecard."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape

from inventory.outcomes import VERDICTS, scorecard
from pipelines.cli import accesses
from pipelines.cli.display import emit_json
from pipelines.settings import load_settings
from pipelines.stores import outcomes as outcome_store
from pipelines.stores.operational import OperationalStore
from pipelines.stores.recommendation_matching import ORDER_CHANGES

Side = Literal["planner", "supplier", "category", "reason"]
_COLUMNS: Final[dict[Side, str]] = {"planner": "actor", "supplier": "supplier_id", "category": "category", "reason": "reason_code"}
_AMOUNTS: Final = {"averted_margin": "averted_margin_amount", "excess_cost": "excess_cost_amount", "value_added": "value_added_amount"}


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("outcomes")(outcomes)


def outcomes(
    by: Annotated[Side | None, typer.Option("--by", help="A scorecard per planner, supplier, category or reason of rejection.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcomes, or the scorecard, as JSON.")] = False,
) -> None:
    """What each decided suggestion did in its window, beside a replay of the same days without it, and what people's changes added.

    Examples: [b]ordercast outcomes[/b] | [b]ordercast outcomes --by planner[/b]
    """
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        lines = [_line(row) for row in outcome_store.list_outcomes(store)]
    shown = lines if by is None else _scores(lines, by)
    if as_json:
        accesses.record("outcomes", len(shown), filters={"by": by})
        emit_json(shown)
        return
    console = Console()
    if not lines:
        console.print(
            "No decision has an outcome yet: its window has to pass, from the suggestion to the expected receipt and a review period more."
        )
        return
    for line in shown:
        head, tail = _told(line) if by is None else _told_score(line, by)
        console.print(f"[b]{escape(head)}[/b]", highlight=False)
        console.print(f"  {escape(tail)}", style="dim", highlight=False)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    """An outcome as it is shown; hashes and run ids are not."""
    is_override = not row["is_accepted"] or row["decided_qty"] != row["proposed_qty"]
    return {name: value for name, value in row.items() if name not in {"data_hash", "run_id"}} | {"is_override": is_override}


def _scores(lines: list[dict[str, Any]], by: Side) -> list[dict[str, Any]]:
    if not lines:
        return []
    frame = pl.DataFrame(lines, infer_schema_length=None).rename(_AMOUNTS)
    return scorecard(frame.with_columns(pl.col(*_AMOUNTS.values()).cast(pl.Decimal(38, 4))), _COLUMNS[by]).to_dicts()


def _told(line: dict[str, Any]) -> tuple[str, str]:
    is_shared = line["kind"] == "allocate"
    verb = "shared" if is_shared else "accepted" if line["kind"] in ORDER_CHANGES else "ordered"
    did = (
        f"{verb} {line['decided_qty']:,} of {line['proposed_qty']:,} proposed"
        if line["is_accepted"]
        else f"rejected {line['proposed_qty']:,}"
    )
    head = f"{line['verdict'].replace('_', ' ')}: {line['kind']} of {line['sku']} at {line['location_id']}, {did} by {line['actor']}"
    days = f"{line['window_from']} to {line['window_to']}"
    if line["verdict"] == "unknown":
        return head, f"{days}: {line['missing']}."
    if is_shared:
        late = f"{line['lost_without_qty']:,.1f} units late without it, {line['lost_with_qty']:,.1f} with it"
        return head, f"{days}: {late}. {_money(line, 'averted_margin', 'excess_cost', 'value_added')}."
    days_held = line["excess_unit_days"]
    units = (
        f"{line['lost_without_qty']:,.1f} units lost without it, {line['lost_with_qty']:,.1f} with it; "
        f"{abs(days_held):,.0f} unit-days {'saved by it' if days_held < 0 else 'held for it'}"
    )
    return head, f"{days}: {units}. {_money(line, 'averted_margin', 'excess_cost', 'value_added')}."


def _told_score(line: dict[str, Any], by: Side) -> tuple[str, str]:
    name = line[_COLUMNS[by]]
    head = f"{'no ' + by if name is None else name}: {line['decided_count']:,} decided, {line['overridden_count']:,} of them changed"
    verdicts = ", ".join(f"{line[f'{one}_count']:,} {one.replace('_', ' ')}" for one in VERDICTS if line[f"{one}_count"])
    return head, f"{verdicts}. {_money(line, 'averted_margin_amount', 'excess_cost_amount', 'override_value_amount')}."


def _money(line: dict[str, Any], averted: str, excess: str, added: str) -> str:
    if line[averted] is None or line[excess] is None or line[added] is None:
        return f"Money: {line.get('missing') or 'not available'}"
    return (
        f"Averted {line[averted]:,.2f}, held for {line[excess]:,.2f}, the person's change added {line[added]:+,.2f} {line['currency_code']}"
    )
