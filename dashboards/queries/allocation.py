"""Reads about what is scarce: who wants it, who would get how much by other rules, and what moves between places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from dashboards.queries.reading import read_frame
from inventory.fair_share import fair_share
from pipelines.decisions.wording import basis_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboards.queries.releases import Served

_SHARE: Final[dict[str, Any]] = {
    "order_line_id": pl.String, "order_id": pl.String, "priority": pl.Int64, "wanted_qty": pl.Int64, "qty": pl.Int64,
}  # fmt: skip


def shares(served: Served, suggestion: Mapping[str, Any]) -> pl.DataFrame:
    """Who wants a scarce item and who would get how much of it, first who is served first.

    Returns:
        order_line_id, order_id, channel_id, priority, ordered_date, promised_ship_date, wanted_qty, qty (as proposed), equal_qty (the same
        units in proportion to wants, whatever the channel), in_turn_qty (first come, first served), why; a row per order line.
    """
    basis = basis_of(suggestion)
    lines = basis.get("lines")
    rows = [{name: line.get(name) for name in _SHARE} for line in lines] if isinstance(lines, list) else []
    wants = pl.DataFrame(rows, schema=_SHARE, orient="row")
    if wants.is_empty():
        return wants.with_columns(channel_id=None, ordered_date=None, promised_ship_date=None, equal_qty=None, in_turn_qty=None, why=None)
    known = read_frame(served.release, _LINES, (suggestion["sku"], suggestion["location_id"]))
    free = int(basis.get("free_qty") or 0)
    came = wants.join(known, on="order_line_id", how="left", maintain_order="left").sort(
        "ordered_date", "order_line_id", nulls_last=True, maintain_order=True
    )
    before = pl.col("wanted_qty").cum_sum() - pl.col("wanted_qty")
    in_turn = came.with_columns(in_turn_qty=(pl.lit(free) - before).clip(0).clip(upper_bound=pl.col("wanted_qty")))
    told = in_turn.join(_in_proportion(wants, free=free), on="order_line_id", how="left", maintain_order="left")
    ordered = told.sort("priority", "ordered_date", "order_line_id", nulls_last=True)
    return ordered.with_columns(pl.Series("why", _reasons(ordered, free=free), dtype=pl.String))


def lanes(transfers: pl.DataFrame) -> pl.DataFrame:
    """What transfers come to per lane, most saved first.

    Args:
        transfers: Rows of `worklist.weighed` of this kind.

    Returns:
        lane, source, location, transfers_count, units_qty, saved_amount, given_up_amount, net_amount, currency_code.
    """
    costs = pl.col("cost_if_accepted").fill_null(0.0)
    found = transfers.group_by("source", "location", "currency_code").agg(
        pl.len().cast(pl.Int64).alias("transfers_count"), pl.col("qty").sum().alias("units_qty"),
        pl.col("at_risk").fill_null(0.0).sum().alias("saved_amount"), costs.sum().alias("given_up_amount"),
    )  # fmt: skip
    return found.with_columns(
        lane=pl.format("{} → {}", "source", "location"), net_amount=pl.col("saved_amount") - pl.col("given_up_amount")
    ).sort("net_amount", "lane", descending=[True, False])


def _in_proportion(wants: pl.DataFrame, *, free: int) -> pl.DataFrame:
    """order_line_id, equal_qty: fair share with all channels alike."""
    stock = pl.DataFrame({"sku": ["item"], "available_qty": [max(0, free)]})
    asked = wants.select(pl.lit("item").alias("sku"), pl.col("order_line_id").alias("location_id"), "wanted_qty")
    return fair_share(stock, asked).select(order_line_id="location_id", equal_qty="qty")


def _reasons(lines: pl.DataFrame, *, free: int) -> list[str]:
    """Why each line gets what it gets: its class is served before others, and within it in proportion."""
    reasons, left = [], free
    for (priority,), own in lines.group_by("priority", maintain_order=True):
        wanted, given = int(own["wanted_qty"].sum()), int(own["qty"].sum())
        first = "Every line counts alike" if priority is None else f"Channel priority {priority}"
        if left <= 0:
            said = f"{first}: nothing is left once those before it are served"
        elif given >= wanted:
            said = f"{first}: enough is there for all it wants"
        else:
            said = f"{first}: {given:,} of {wanted:,} wanted, in proportion to what each line wants"
        reasons += [said] * own.height
        left -= given
    return reasons


_LINES: Final = """
    select order_line_id, channel_id, ordered_date, promised_ship_date from marts.fct_open_order_lines
    where sku = ? and location_id = ?
"""
