"""When one person is not enough: unusual size, unusual breadth, or more money than the one may decide alone."""

from __future__ import annotations

import json
import statistics
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipelines.decisions.shop import CALLED_OFF, DRAFT, in_reporting_currency, query, whole
from pipelines.stores.own_tables import recommendation_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from pipelines.decisions.roles import Operator
    from pipelines.decisions.shop import Shop

SIZE_MULTIPLE: Final = 3  # times the item's median past order value
BREADTH_RATE: Final = Decimal("0.20")  # of all items: a run that proposes for no more is never unusual
BREADTH_MULTIPLE: Final = Decimal("1.5")  # times the items that the shop's runs usually propose for
BREADTH_LEAST: Final = 10  # items: so few are read one by one
UNKNOWN_BREADTH: Final = Decimal("0.8")  # of all items: taken for usual while fewer days are known than the next line says
USUAL_DAYS_LEAST: Final = 3
USUAL_DAYS_MOST: Final = 10
_RUNS_READ: Final = 100

PRICED: Final = ("purchase", "cancel_po")  # what an approval of these amounts to is held to the limits
_NOT_PAST: Final = ", ".join(f"'{status}'" for status in (*CALLED_OFF, DRAFT))


def second_person_reasons(
    conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], *, amount: Decimal, currency_code: str | None, actor: Operator, most: Decimal
) -> tuple[str, ...]:
    """Why a second person has to approve this order; empty where one is enough.

    Args:
        conn: The caller's transaction.
        shop: The shop's tables.
        row: The recommendation.
        amount: What is ordered or called off, in the currency below; 0 where only units or days move.
        currency_code: Its currency.
        actor: Who approves.
        most: What one person may approve alone, in the reporting currency.
    """
    reasons = []
    limit = most if actor.approve_limit is None else min(most, actor.approve_limit)
    value = in_reporting_currency(conn, shop, amount, currency_code)
    if row["kind"] in PRICED and amount == 0:
        reasons.append(f"its price is {'0' if row['kind'] == 'purchase' else 'not known'}, so the limit of {limit:,.0f} says nothing")
    elif value is None:
        reasons.append(f"no exchange rate is known for {currency_code}, so the limit of {limit:,.0f} cannot be checked")
    elif value > limit:
        reasons.append(f"{value:,.0f} is above {limit:,.0f} {shop.currency_code or ''}".rstrip() + ", which one person may approve")
    usual = _median_past_value(conn, shop, row["sku"], currency_code)
    if row["kind"] == "purchase" and usual is not None and amount > SIZE_MULTIPLE * usual:
        reasons.append(f"the order is {amount / usual:.1f} times the item's median order of {usual:,.0f} {currency_code or ''}".rstrip())
    if shop.has("products"):
        ((every,),) = query(conn, f"SELECT count(*) FROM products AS p WHERE {shop.alive('products', 'p')}")
        proposed, earlier = _breadths(conn, row["last_run_id"])
        if is_unusually_broad(proposed, every=every, earlier=earlier):
            compared = f", where {statistics.median(earlier):.0f} are usual" if len(earlier) >= USUAL_DAYS_LEAST else ""
            reasons.append(f"the run proposes to order {proposed} of {every} items{compared}")
    return tuple(reasons)


def is_unusually_broad(proposed: int, *, every: int, earlier: Sequence[int]) -> bool:
    """Whether a run proposes to order for more items than this shop's runs do: 1.5 times as many, and over half of the way to all.

    A shop that reviews everything weekly proposes for most of its items in every run, so a share alone says nothing.

    Args:
        proposed: Items that the run proposes for.
        every: All items.
        earlier: Items that the runs of earlier days proposed for, a number per day.
    """
    usual = Decimal(statistics.median(earlier)) if len(earlier) >= USUAL_DAYS_LEAST else UNKNOWN_BREADTH * every
    return proposed > max(Decimal(BREADTH_LEAST), BREADTH_RATE * every, min(BREADTH_MULTIPLE * usual, (usual + every) / 2))


def _median_past_value(conn: sa.Connection, shop: Shop, sku: str, currency_code: str | None) -> Decimal | None:
    """Median value of past order lines of the item, in this currency; None where there is none with a price."""
    if not shop.has("purchase_orders", "purchase_order_lines") or "unit_cost" not in shop.columns["purchase_order_lines"]:
        return None
    statement = (
        f"SELECT l.ordered_qty, l.unit_cost, {shop.column('purchase_orders', 'currency', 'o')} FROM purchase_order_lines AS l "
        f"JOIN purchase_orders AS o ON o.po_id = l.po_id WHERE l.sku = :sku AND l.unit_cost IS NOT NULL "
        f"AND lower(o.status) NOT IN ({_NOT_PAST}) AND {shop.alive('purchase_order_lines', 'l')} AND {shop.alive('purchase_orders', 'o')}"
    )
    values = [
        Decimal(str(cost)) * whole(qty, f"A past order of {sku}") for qty, cost, currency in query(conn, statement, sku=sku)
        if currency in (None, currency_code)
    ]  # fmt: skip
    usual = statistics.median(values) if values else None
    return usual if usual else None


def _breadths(conn: sa.Connection, run_id: str) -> tuple[int, list[int]]:
    """Items that the run proposes for, and those of the last run of each of the ten days before its own that has one."""
    run = recommendation_run.c
    this = conn.execute(sa.select(run.as_of_date, run.counts).where(run.run_id == run_id)).first()
    if this is None:
        return 0, []
    before = (
        sa.select(run.as_of_date, run.counts)
        .where(run.as_of_date < this.as_of_date, run.gate_status == "passed")
        .order_by(run.as_of_date.desc(), run.proposed_at.desc())
        .limit(_RUNS_READ)
    )
    by_day: dict[date, int] = {}
    for row in conn.execute(before):
        if (items := json.loads(row.counts).get("items")) is not None:
            by_day.setdefault(row.as_of_date, items)
    return json.loads(this.counts).get("items", 0), list(by_day.values())[:USUAL_DAYS_MOST]
