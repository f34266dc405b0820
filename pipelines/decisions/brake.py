"""When one person is not enough: unusual size, unusual breadth, or more money than the one may decide alone."""

from __future__ import annotations

import statistics
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipelines.decisions.shop import CALLED_OFF, DRAFT, in_reporting_currency, query, whole
from pipelines.stores.own_tables import recommendation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.decisions.roles import Operator
    from pipelines.decisions.shop import Shop

SIZE_MULTIPLE: Final = 3  # times the item's median past order value
BREADTH_RATE: Final = Decimal("0.20")  # of all SKUs in one run

_NOT_PAST: Final = ", ".join(f"'{status}'" for status in (*CALLED_OFF, DRAFT))


def second_person_reasons(
    conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], *, amount: Decimal, currency_code: str | None, actor: Operator, most: Decimal
) -> tuple[str, ...]:
    """Why a second person has to approve this order; empty where one is enough.

    Args:
        conn: The caller's transaction.
        shop: The shop's tables.
        row: The recommendation.
        amount: What is ordered, in the currency below; 0 for a transfer.
        currency_code: Its currency.
        actor: Who approves.
        most: What one person may approve alone, in the reporting currency.
    """
    reasons = []
    limit = most if actor.approve_limit is None else min(most, actor.approve_limit)
    value = in_reporting_currency(conn, shop, amount, currency_code)
    if row["kind"] == "purchase" and amount == 0:
        reasons.append(f"its price is 0, so the limit of {limit:,.0f} says nothing")
    elif value is None:
        reasons.append(f"no exchange rate is known for {currency_code}, so the limit of {limit:,.0f} cannot be checked")
    elif value > limit:
        reasons.append(f"{value:,.0f} is above {limit:,.0f} {shop.currency_code or ''}".rstrip() + ", which one person may approve")
    usual = _median_past_value(conn, shop, row["sku"], currency_code)
    if row["kind"] == "purchase" and usual is not None and amount > SIZE_MULTIPLE * usual:
        reasons.append(f"the order is {amount / usual:.1f} times the item's median order of {usual:,.0f} {currency_code or ''}".rstrip())
    breadth = _breadth(conn, shop, row["last_run_id"])
    if breadth > BREADTH_RATE:
        reasons.append(f"the run proposes to order {breadth:.0%} of all items, more than {BREADTH_RATE:.0%}")
    return tuple(reasons)


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


def _breadth(conn: sa.Connection, shop: Shop, run_id: str) -> Decimal:
    """Share of all SKUs that the run proposes to order."""
    if not shop.has("products"):
        return Decimal(0)
    proposed = conn.execute(
        sa.select(sa.func.count(recommendation.c.sku.distinct())).where(recommendation.c.last_run_id == run_id)
    ).scalar_one()
    ((every,),) = query(conn, f"SELECT count(*) FROM products AS p WHERE {shop.alive('products', 'p')}")
    return Decimal(proposed) / every if every else Decimal(0)
