"""What an order is held to now: the supplier's terms, or what a transfer's source can give. What cannot be read is not ordered."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from inventory.schema import OrderTerms
from pipelines.decisions.sales import held_by_line
from pipelines.decisions.shop import DRAFT, query, whole
from pipelines.errors import DecisionError
from pipelines.stores.metrics_values import MINOR_UNIT_EXPONENTS
from pipelines.stores.own_tables import draft_order, draft_order_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipelines.decisions.shop import Shop

    Terms = tuple[OrderTerms, Decimal | None, str | None]

_TERMS: Final = ("unit_cost", "currency", "min_order_qty", "order_multiple", "max_order_qty", "effective_from", "effective_to")


def purchase_terms(conn: sa.Connection, shop: Shop, row: Mapping[Any, Any]) -> Terms:
    """Terms, unit price and currency that the recommendation's supplier sells at today.

    The price is rounded to minor units, as proposals' are.

    Raises:
        DecisionError: It does not sell the item today, or its terms cannot be read or are in another currency than was proposed.
    """
    if shop.has("supplier_items"):
        columns = ", ".join(shop.column("supplier_items", name, "i") for name in _TERMS)
        statement = (
            f"SELECT {columns} FROM supplier_items AS i WHERE i.supplier_id = :supplier AND i.sku = :sku "
            f"AND {shop.alive('supplier_items', 'i')}"
        )
        for *found, begins, ends in query(conn, statement, supplier=row["supplier_id"], sku=row["sku"]):
            today = shop.today.isoformat()
            if str(begins or today) <= today <= str(ends or today):
                return _purchase_terms(found, row, is_pack_known="order_multiple" in shop.columns["supplier_items"])
    raise DecisionError(f"{row['supplier_id']} does not sell {row['sku']} any more; the next run proposes what is possible.")


def transfer_terms(
    conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], basis: Mapping[str, Any], free_qty: Callable[[str], int]
) -> Terms:
    """A transfer takes at most what is free at its source, less what drafts take and orders have proposed there; its cost stays.

    Args:
        conn: The caller's transaction, which holds the stock version of both ends.
        shop: The shop's tables.
        row: The recommendation.
        basis: What it was computed from.
        free_qty: Units free at a location.

    Raises:
        DecisionError: Less is free there than the least a transfer takes.
    """
    place = row["source_location_id"]
    most = free_qty(place) - _leaving_qty(conn, shop, row["sku"], place) - sum(held_by_line(conn, shop, row["sku"], place).values())
    least = max(1, basis.get("min_order_qty") or 1)
    if most < least:
        raise DecisionError(
            f"{max(0, most)} units of {row['sku']} are free at {place} now, too few for a transfer; the next run proposes anew."
        )
    return OrderTerms(0, None, least, basis.get("order_multiple") or 1, most), row["unit_cost"], row["currency_code"]


def _purchase_terms(found: list[Any], row: Mapping[Any, Any], *, is_pack_known: bool) -> Terms:
    unit_cost, currency, minimum, pack, maximum = found
    what = f"of {row['sku']} at {row['supplier_id']}"
    if is_pack_known and pack is None:
        raise DecisionError(f"The pack size of {row['sku']} is missing now; correct the supplier's terms.")
    code = currency or row["currency_code"]
    if code != row["currency_code"]:
        raise DecisionError(
            f"The price {what} is in {code} now and was in {row['currency_code']}; the next run (ordercast run) proposes it anew."
        )
    terms = OrderTerms(
        unit_cost_amount=0, list_price_amount=None, min_order_qty=max(1, whole(minimum or 1, f"The least order {what}")),
        order_multiple=1 if pack is None else whole(pack, f"The pack size {what}"),
        max_order_qty=None if maximum is None else whole(maximum, f"The most to order {what}"),
    )  # fmt: skip
    return terms, _price(unit_cost, code, what), code


def _price(value: Any, currency_code: str | None, what: str) -> Decimal:
    step = Decimal(1).scaleb(-MINOR_UNIT_EXPONENTS.get(currency_code or "", 2))
    try:
        price = Decimal(str(value)).quantize(step, rounding=ROUND_HALF_UP)
        if price >= 0:
            return price
    except ArithmeticError:
        pass
    raise DecisionError(f"The price {what} is recorded as {value!r} now, which is no price; correct the supplier's terms.")


def _leaving_qty(conn: sa.Connection, shop: Shop, sku: str, location_id: str) -> int:
    """Units that draft transfers take from there, in the shop or on their way to it; the shop commits them once they are submitted."""
    line, order = draft_order_line.c, draft_order.c
    waiting = (
        sa.select(sa.func.coalesce(sa.func.sum(line.qty), 0))
        .join(draft_order, order.draft_id == line.draft_id)
        .where(order.kind == "transfer", order.target == "outbox", order.source_location_id == location_id)
        .where(line.sku == sku, line.status == DRAFT)
    )
    leaving = int(conn.execute(waiting).scalar_one())
    if not shop.has("transfers", "transfer_lines"):
        return leaving
    statement = (
        "SELECT coalesce(sum(l.quantity), 0) FROM transfer_lines AS l JOIN transfers AS t ON t.transfer_id = l.transfer_id "
        f"WHERE l.sku = :sku AND t.from_location_id = :location AND lower(t.status) = '{DRAFT}' "
        f"AND {shop.alive('transfer_lines', 'l')} AND {shop.alive('transfers', 't')}"
    )
    ((drafted,),) = query(conn, statement, sku=sku, location=location_id)
    return leaving + int(drafted)
