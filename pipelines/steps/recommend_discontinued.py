"""What is still on order of items that the shop has discontinued, to be called off."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from inventory.changes import NOTICE_DAYS
from inventory.explain_targets import Step
from inventory.reorder import recommendation_key
from inventory.wording import counted, day_words
from pipelines.steps.recommend_rows import Suggestion, expiry, major
from pipelines.steps.recommend_wording import money_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import duckdb

METHOD: Final = "discontinued"
_NO_FORECAST: Final = "not available: needs a forecast, and a discontinued item has none"
_LINES: Final = """
    SELECT i.sku, i.location_id, i.reference_id AS po_line_id, i.po_id, i.supplier_id, i.expected_date, i.open_qty, p.discontinued_date,
        s.unit_cost_amount, s.currency_code, stock.on_hand_qty, stock.stock_version
    FROM marts.fct_inbound AS i
    JOIN marts.dim_products AS p ON i.sku = p.sku
    LEFT JOIN marts.dim_supplier_items AS s ON i.supplier_id = s.supplier_id AND i.sku = s.sku
    LEFT JOIN marts.fct_inventory_position AS stock ON i.sku = stock.sku AND i.location_id = stock.location_id
    WHERE (p.discontinued_date <= $as_of OR lower(p.status) = 'discontinued') AND i.po_id IS NOT NULL AND i.expected_date >= $from_date
        AND lower(i.order_status) NOT IN ('draft', 'shipped', 'in_transit', 'dispatched', 'partially_received')
    ORDER BY i.sku, i.location_id, po_line_id
"""


def call_off_discontinued(conn: duckdb.DuckDBPyConnection, *, as_of: date, review_period_days: int) -> list[Suggestion]:
    """A cancellation for each open line of a purchase order of an item that the shop has discontinued.

    A line that has left its supplier, by its order's status, or that is due within the notice is left alone. No demand is forecast for
    these items, so what of the goods would still sell is not known; they rank by what they cost.

    Args:
        conn: The warehouse.
        as_of: Last complete day.
        review_period_days: Days for which the suggestion stands.
    """
    days = {"as_of": as_of, "from_date": as_of + timedelta(days=NOTICE_DAYS)}
    lines = conn.execute(_LINES, days).pl()
    return [_called_off(line, as_of=as_of, days=review_period_days) for line in lines.iter_rows(named=True)]


def _called_off(line: Mapping[str, Any], *, as_of: date, days: int) -> Suggestion:
    qty, due, currency = int(line["open_qty"]), line["expected_date"], line["currency_code"]
    unit = None if line["unit_cost_amount"] is None or currency is None else int(line["unit_cost_amount"])
    amount = None if unit is None else unit * qty
    since = "" if line["discontinued_date"] is None else f" since {day_words(line['discontinued_date'], as_of)}"
    row = {
        "recommendation_key": recommendation_key(
            kind="cancel_po", sku=line["sku"], location_id=line["location_id"], supplier_id=line["supplier_id"], need_by=due,
            po_line_id=line["po_line_id"],
        ),
        "kind": "cancel_po", "sku": line["sku"], "location_id": line["location_id"], "supplier_id": line["supplier_id"],
        "raw_qty": qty, "recommended_qty": qty, "unit_cost": major(unit, currency or ""), "currency_code": currency,
        "order_by": as_of, "need_by": due, "expected_receipt": due, "priority_score": float(major(amount, currency or "") or 0),
        "binding_constraint": "none", "policy_version": f"{METHOD}/1", "basis_version": line["stock_version"],
        "expires_at": expiry(as_of, days),
        "reason": f"The item is discontinued{since}, and {line['po_id']} brings {counted(qty, 'unit')} on {day_words(due, as_of)}.",
        "basis": json.dumps(
            {
                "as_of_date": as_of.isoformat(), "on_hand_qty": line["on_hand_qty"], "po_id": line["po_id"],
                "po_line_id": line["po_line_id"], "open_qty": qty, "expected_date": due.isoformat(), "wanted_date": None,
                "review_period_days": days,
            },
            sort_keys=True,
        ),
    }  # fmt: skip
    worth = money_words(amount, currency or "", needs="the supplier's price and its currency")
    steps = [
        Step("On hand", line["on_hand_qty"], f"The item is discontinued{since}."),
        Step("Open on the line", qty, f"{line['po_line_id']}, expected on {day_words(due, as_of)}."),
        Step("If ignored", None, f"Goods for {worth} come. What of them would still sell: {_NO_FORECAST}."),
        Step("If accepted", None, f"What they could have sold: {_NO_FORECAST}. The supplier has to agree."),
    ]
    return Suggestion(row, steps)
