"""A shortage shared among the order lines that wait for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forecasting.schema import SERIES_KEY
from inventory.eligibility import preferred_suppliers
from inventory.explain_targets import Step
from inventory.fair_share import fair_share
from inventory.reorder import recommendation_key
from inventory.wording import counted
from pipelines.steps.recommend_reading import read_terms
from pipelines.steps.recommend_rows import Suggestion, expiry, inbound_within, major
from pipelines.steps.recommend_wording import money_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import duckdb

    from inventory.schema import Inbound, ReorderPolicy
    from pipelines.settings import Settings
    from pipelines.steps.recommend_policies import Item

METHOD: Final = "fair_share"


@dataclass(frozen=True, slots=True)
class _Money:
    """What the units that stay short cost in lost margin, in minor units, first come, first served and as shared; or what is needed."""

    unit_cost_amount: int | None
    currency_code: str | None
    in_turn: float | None
    as_shared: float | None
    needs: str | None


def share_shortages(
    conn: duckdb.DuckDBPyConnection,
    inbound: Mapping[Item, tuple[Inbound, ...]],
    *,
    as_of: date,
    settings: Settings,
    policies: Mapping[Item, ReorderPolicy],
) -> list[Suggestion]:
    """An allocation for each item at a location whose open order lines want more than lies there and comes in time.

    What lies there is stock on hand less reserved and damaged units: what is committed is committed to lines like these. In time is by
    the first day that a line was promised for, tomorrow at the least. The channel with the lowest priority number is served first;
    within a channel's class each line gets in proportion to what it wants (`inventory.fair_share`). A unit that stays short costs its
    line's price less the first supplier's, times the share of sales that is lost; ignored, lines are served in the order they came in.

    Args:
        conn: The warehouse.
        inbound: What is on its way.
        as_of: Last complete day.
        settings: For the days for which the suggestion stands and the share of sales lost.
        policies: Of items, for the same share where a rule says it.
    """
    lines = conn.sql(
        "SELECT l.sku, l.location_id, l.order_line_id, l.order_id, l.channel_priority, l.ordered_date, l.promised_ship_date, l.open_qty, "
        "p.stock_version, greatest(0, p.on_hand_qty) - coalesce(p.reserved_qty, 0) - coalesce(p.damaged_qty, 0) AS free_qty, "
        "o.net_amount / nullif(o.ordered_qty, 0) AS unit_price, o.currency_code "
        "FROM marts.fct_open_order_lines AS l JOIN marts.fct_inventory_position AS p USING (sku, location_id) "
        "LEFT JOIN marts.fct_order_lines AS o USING (order_line_id) "
        "QUALIFY sum(l.open_qty) OVER (PARTITION BY l.sku, l.location_id) > free_qty AND free_qty > 0 "
        "ORDER BY l.sku, l.location_id, l.order_line_id"
    ).pl()
    found = []
    terms = {row["sku"]: row for row in preferred_suppliers(read_terms(conn)).iter_rows(named=True)} if lines.height else {}
    for (sku, location_id), own in lines.group_by(SERIES_KEY, maintain_order=True):
        item = (str(sku), str(location_id))
        promised: list[date] = own["promised_ship_date"].drop_nulls().to_list()
        until = max(min(promised, default=as_of), as_of + timedelta(days=1))
        coming = inbound_within(inbound.get(item, ()), until)
        if own["free_qty"][0] + coming < own["open_qty"].sum():
            lost_share = policies[item].lost_sales_share if item in policies else settings.lost_sales_share
            shared = own.with_columns(share_qty=_shares(own))
            money = _money(shared, terms.get(item[0], {}), lost_share)
            found.append(_allocation(shared, money, as_of=as_of, days=settings.review_period_days))
    return found


def _shares(lines: pl.DataFrame) -> pl.Series:
    """Units for each line, in their order."""
    wants = lines.select("sku", pl.col("order_line_id").alias("location_id"), wanted_qty="open_qty", priority="channel_priority")
    stock = lines.head(1).select("sku", available_qty="free_qty")
    got = dict(fair_share(stock, wants).select("location_id", "qty").iter_rows())
    return pl.Series([got[line_id] for line_id in lines["order_line_id"]], dtype=pl.Int64)


def _money(lines: pl.DataFrame, terms: Mapping[str, Any], lost_share: float) -> _Money:
    cost, currency = terms.get("unit_cost_amount"), terms.get("currency_code")
    if cost is None or currency is None:
        return _Money(cost, currency, None, None, "a supplier's price")
    if lines["unit_price"].null_count() or not (lines["currency_code"] == currency).fill_null(value=False).all():
        return _Money(cost, currency, None, None, f"the price of each order line in {currency}")
    in_turn = lines.sort("ordered_date", "order_line_id", nulls_last=True)
    wanted, shared = (in_turn[name].to_numpy().astype(np.float64) for name in ("open_qty", "share_qty"))
    margin = np.maximum(0.0, in_turn["unit_price"].to_numpy() - cost) * lost_share
    first = np.clip(lines["free_qty"][0] - (np.cumsum(wanted) - wanted), 0.0, wanted)
    return _Money(cost, currency, float(((wanted - first) * margin).sum()), float(((wanted - shared) * margin).sum()), None)


def _allocation(lines: pl.DataFrame, money: _Money, *, as_of: date, days: int) -> Suggestion:
    first = lines.row(0, named=True)
    free, wanted = int(first["free_qty"]), int(lines["open_qty"].sum())
    shares: list[dict[str, Any]] = [
        {
            "order_line_id": line["order_line_id"], "order_id": line["order_id"], "wanted_qty": line["open_qty"],
            "qty": line["share_qty"], "priority": line["channel_priority"], "floor_qty": 0,
        }
        for line in lines.iter_rows(named=True)
    ]  # fmt: skip
    qty, currency = sum(share["qty"] for share in shares), money.currency_code or ""
    waiting = f"{counted(wanted, 'unit is', 'units are')} open on {counted(len(shares), 'order line')}"
    at_cost = None if money.unit_cost_amount is None else (wanted - qty) * money.unit_cost_amount
    at_risk = at_cost if money.in_turn is None else money.in_turn
    basis = {"as_of_date": as_of.isoformat(), "free_qty": free, "lines": shares, "method": METHOD, "review_period_days": days}
    row = {
        "recommendation_key": recommendation_key(
            kind="allocate", sku=first["sku"], location_id=first["location_id"], supplier_id=None, need_by=as_of
        ),
        "kind": "allocate", "sku": first["sku"], "location_id": first["location_id"], "raw_qty": qty, "recommended_qty": qty,
        "unit_cost": major(money.unit_cost_amount, currency), "currency_code": money.currency_code,
        "order_by": as_of, "need_by": as_of, "priority_score": float(major(at_risk, currency) or 0), "binding_constraint": "none",
        "cost_if_ignored_p50": major(money.in_turn, currency), "cost_if_ignored_p90": major(money.in_turn, currency),
        "cost_if_accepted": major(money.as_shared, currency),
        "reason": f"{waiting} and {counted(free, 'lies', 'lie')} here; nothing more comes in time.",
        "policy_version": f"{METHOD}/1",
        "basis": json.dumps(basis, sort_keys=True),
        "basis_version": first["stock_version"],
        "expires_at": expiry(as_of, days),
    }  # fmt: skip
    steps = [
        Step("Lies here", free, "On hand less reserved and damaged."),
        Step("Open on order lines", -wanted, f"{counted(len(shares), 'line')}."),
        Step("Missing", free - wanted, "No delivery comes before the first line was promised."),
        *(_share_step(share) for share in shares),
        Step("Recommended quantity", qty, "Shared in proportion to what is wanted, channel by channel in their priority."),
        *_money_steps(money, short=wanted - qty),
    ]
    return Suggestion(row, steps)


def _money_steps(money: _Money, *, short: int) -> list[Step]:
    """What stays short either way, in margin; sharing changes who waits and not how many units do."""
    currency = money.currency_code or ""
    ignored, accepted = (money_words(amount, currency, needs=money.needs) for amount in (money.in_turn, money.as_shared))
    return [
        Step(
            "If ignored",
            None,
            f"{counted(short, 'unit stays', 'units stay')} short, first come, first served; lost margin {ignored}.",
        ),
        Step("If accepted", None, f"As many stay short, shared as above; lost margin {accepted}."),
    ]


def _share_step(share: Mapping[str, Any]) -> Step:
    channel = "" if share["priority"] is None else f", channel priority {share['priority']}"
    return Step(f"To {share['order_id']}", share["qty"], f"Of {share['wanted_qty']} wanted on {share['order_line_id']}{channel}.")
