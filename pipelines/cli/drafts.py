"""`ordercast drafts`: what was accepted and waits for a person to submit or carry out in the shop."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from rich.console import Console

from pipelines.cli import accesses
from pipelines.cli.display import emit_json
from pipelines.cli.wording import counted, money
from pipelines.decisions.standing import read_standing
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore

_STATES: Final = {"source": "in the shop", "outbox": "in the outbox"}
_CHANGES: Final = {"expedite": "earlier", "defer": "later", "cancel_po": "cancel"}


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("drafts")(drafts)


def drafts(
    as_json: Annotated[bool, typer.Option("--json", help="Print drafts with their lines, changes and reservations.")] = False,
) -> None:
    """Draft orders and transfers, draft changes of orders and proposed reservations that nobody has carried out in the shop.

    An order is one per supplier, location and day of need, a transfer one per lane. Nothing is submitted from here.

    Examples: [b]ordercast drafts[/b] | [b]ordercast drafts --json[/b]
    """
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        standing = read_standing(store, actor=None)
    orders, changes, held = standing.drafts.to_dicts(), standing.changes.to_dicts(), standing.reservations.to_dicts()
    if as_json:
        lines = standing.draft_lines.partition_by("draft_id", as_dict=True)
        told = [order | {"lines": lines[order["draft_id"],].drop("draft_id").to_dicts()} for order in orders]
        accesses.record("drafts", len(orders) + len(changes) + len(held), columns=standing.reservations.columns)
        emit_json({"drafts": told, "changes": changes, "reservations": held})
        return
    console = Console(highlight=False)
    if not orders and not changes and not held:
        console.print("Nothing is on draft. What is accepted stands here: ordercast recommendations, then ordercast decide.")
        return
    for order in orders:
        console.print(f"{order['draft_id']}: {_order_said(order)}", markup=False)
    for change in changes:
        late = ", not carried out in time" if change["is_released"] else ""
        what = f"{_CHANGES.get(change['kind'], change['kind'])}, {counted(change['qty'], 'unit')} of {change['sku']}"
        console.print(f"{change['change_id']}: {change['po_id']} {what}{late}", markup=False)
    if held:
        units = counted(sum(one["qty"] for one in held), "unit")
        console.print(f"Proposed reservations: {units} for {counted(len(held), 'order line')}")


def _order_said(order: dict[str, Any]) -> str:
    """As in "order to S1 for L1, needed 2026-11-23: 1 line, 240 units, EUR 1,920, EUR 580 below the minimum; in the shop"."""
    ends = f"{order['supplier_id']} for" if order["kind"] == "purchase" else f"{order['source_location_id']} to"
    noun = "order to" if order["kind"] == "purchase" else "transfer from"
    facts = [counted(order["lines_count"], "line"), counted(order["qty"], "unit")]
    if order["amount"] is not None:
        facts.append(money(order["amount"], order["currency_code"]))
    if order["missing_amount"]:
        facts.append(f"{money(order['missing_amount'], order['currency_code'])} below the minimum")
    state = "not submitted in time" if order["is_released"] else _STATES.get(order["target"], order["target"])
    return f"{noun} {ends} {order['location_id']}, needed {order['need_by'] or '-'}: {', '.join(facts)}; {state}"
