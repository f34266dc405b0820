"""Finding the sale that a return undoes, where the source does not say."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime

import polars as pl


@dataclass(slots=True)
class _Sales:
    """The sales of one customer and sku in time order, with the units that have not come back yet."""

    sold_at: list[datetime]
    order_line_ids: list[str]
    units_left: list[int]

    def take(self, quantity: int, *, returned_at: datetime) -> str | None:
        """The latest sale up to `returned_at` that still has that many units out; its units are then taken."""
        for position in range(bisect_right(self.sold_at, returned_at) - 1, -1, -1):
            if self.units_left[position] >= quantity:
                self.units_left[position] -= quantity
                return self.order_line_ids[position]
        return None


def match_returns(return_lines: pl.DataFrame, order_lines: pl.DataFrame) -> pl.DataFrame:
    """Each return line with the order line it undoes, or null where no single sale can be named.

    A return goes to the latest sale of the same customer and sku, not after the return, with enough units left. Returns are
    served in time order, then by id, so the same input always gives the same answer. A return is never split over sales.

    Args:
        return_lines: return_line_id, customer_id, sku, quantity (units, positive), created_at. Nobody's returns (null
            customer_id) stay unmatched.
        order_lines: order_line_id, customer_id, sku, quantity (units), created_at (of the order).

    Returns:
        return_line_id, order_line_id (null = unmatched); one row per return line, sorted by return_line_id.
    """
    buyers = ["customer_id", "sku"]
    known = return_lines.filter(pl.col("customer_id").is_not_null() & (pl.col("quantity") > 0))
    sales = _sales_by_buyer(order_lines.join(known.select(buyers).unique(), on=buyers, how="semi"))
    matches: dict[str, str | None] = {}
    ordered = known.sort("created_at", "return_line_id").select("return_line_id", *buyers, "quantity", "created_at")
    for return_line_id, customer_id, sku, quantity, created_at in ordered.iter_rows():
        candidates = sales.get((customer_id, sku))
        matches[return_line_id] = candidates.take(quantity, returned_at=created_at) if candidates else None
    found = pl.DataFrame(
        {"return_line_id": list(matches), "order_line_id": list(matches.values())},
        schema={"return_line_id": pl.String, "order_line_id": pl.String},
    )
    return return_lines.select("return_line_id").join(found, on="return_line_id", how="left").sort("return_line_id")


def _sales_by_buyer(order_lines: pl.DataFrame) -> dict[tuple[str, str], _Sales]:
    grouped = (
        order_lines.sort("created_at", "order_line_id")
        .group_by("customer_id", "sku", maintain_order=True)
        .agg("created_at", "order_line_id", "quantity")
    )
    return {(customer_id, sku): _Sales(sold_at, ids, units) for customer_id, sku, sold_at, ids, units in grouped.iter_rows()}
