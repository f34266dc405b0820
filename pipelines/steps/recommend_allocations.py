"""A shortage shared among the order lines that wait for it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from forecasting.schema import SERIES_KEY
from inventory.explain_targets import Step
from inventory.fair_share import fair_share
from inventory.reorder import recommendation_key
from inventory.wording import counted
from pipelines.steps.recommend_rows import Suggestion, expiry, inbound_within

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import duckdb

    from inventory.schema import Inbound
    from pipelines.steps.recommend_policies import Item

METHOD: Final = "fair_share"


def share_shortages(
    conn: duckdb.DuckDBPyConnection, inbound: Mapping[Item, tuple[Inbound, ...]], *, as_of: date, review_period_days: int
) -> list[Suggestion]:
    """An allocation for each item at a location whose open order lines want more than lies there and comes in time.

    What lies there is stock on hand less reserved and damaged units: what is committed is committed to lines like these. In time is by
    the first day that a line was promised for, tomorrow at the least. The channel with the lowest priority number is served first;
    within a channel's class each line gets in proportion to what it wants (`inventory.fair_share`).

    Args:
        conn: The warehouse.
        inbound: What is on its way.
        as_of: Last complete day.
        review_period_days: Days for which the suggestion stands.
    """
    lines = conn.sql(
        "SELECT l.sku, l.location_id, l.order_line_id, l.order_id, l.channel_priority, l.promised_ship_date, l.open_qty, p.stock_version, "
        "greatest(0, p.on_hand_qty) - coalesce(p.reserved_qty, 0) - coalesce(p.damaged_qty, 0) AS free_qty "
        "FROM marts.fct_open_order_lines AS l JOIN marts.fct_inventory_position AS p USING (sku, location_id) "
        "QUALIFY sum(l.open_qty) OVER (PARTITION BY l.sku, l.location_id) > free_qty AND free_qty > 0 "
        "ORDER BY l.sku, l.location_id, l.order_line_id"
    ).pl()
    found = []
    for (sku, location_id), own in lines.group_by(SERIES_KEY, maintain_order=True):
        promised: list[date] = own["promised_ship_date"].drop_nulls().to_list()
        until = max(min(promised, default=as_of), as_of + timedelta(days=1))
        coming = inbound_within(inbound.get((str(sku), str(location_id)), ()), until)
        if own["free_qty"][0] + coming < own["open_qty"].sum():
            found.append(_allocation(own, as_of=as_of, days=review_period_days))
    return found


def _allocation(lines: pl.DataFrame, *, as_of: date, days: int) -> Suggestion:
    first = lines.row(0, named=True)
    free, wanted = int(first["free_qty"]), int(lines["open_qty"].sum())
    wants = lines.select("sku", pl.col("order_line_id").alias("location_id"), wanted_qty="open_qty", priority="channel_priority")
    shared = fair_share(pl.DataFrame({"sku": [first["sku"]], "available_qty": [free]}), wants)
    got = dict(shared.select("location_id", "qty").iter_rows())
    shares: list[dict[str, Any]] = [
        {
            "order_line_id": line["order_line_id"], "order_id": line["order_id"], "wanted_qty": line["open_qty"],
            "qty": got[line["order_line_id"]], "priority": line["channel_priority"], "floor_qty": 0,
        }
        for line in lines.iter_rows(named=True)
    ]  # fmt: skip
    qty = sum(share["qty"] for share in shares)
    waiting = f"{counted(wanted, 'unit is', 'units are')} open on {counted(len(shares), 'order line')}"
    row = {
        "recommendation_key": recommendation_key(
            kind="allocate", sku=first["sku"], location_id=first["location_id"], supplier_id=None, need_by=as_of
        ),
        "kind": "allocate", "sku": first["sku"], "location_id": first["location_id"], "raw_qty": qty, "recommended_qty": qty,
        "order_by": as_of, "need_by": as_of, "priority_score": 0.0, "binding_constraint": "none",
        "reason": f"{waiting} and {counted(free, 'lies', 'lie')} here; nothing more comes in time.",
        "policy_version": f"{METHOD}/1",
        "basis": json.dumps({"as_of_date": as_of.isoformat(), "free_qty": free, "lines": shares, "method": METHOD}, sort_keys=True),
        "basis_version": first["stock_version"],
        "expires_at": expiry(as_of, days),
    }  # fmt: skip
    steps = [
        Step("Lies here", free, "On hand less reserved and damaged."),
        Step("Open on order lines", -wanted, f"{counted(len(shares), 'line')}."),
        Step("Missing", free - wanted, "No delivery comes before the first line was promised."),
        *(_share_step(share) for share in shares),
        Step("Recommended quantity", qty, "Shared in proportion to what is wanted, channel by channel in their priority."),
        Step("If ignored", None, "not available: needs what a late line costs."),
    ]
    return Suggestion(row, steps)


def _share_step(share: Mapping[str, Any]) -> Step:
    channel = "" if share["priority"] is None else f", channel priority {share['priority']}"
    return Step(f"To {share['order_id']}", share["qty"], f"Of {share['wanted_qty']} wanted on {share['order_line_id']}{channel}.")
