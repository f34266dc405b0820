"""Rules on items, orders and suppliers: stock that runs out, orders in jeopardy, returns beyond their rate, suppliers that are late."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from scipy.stats import binom, nbinom

from pipelines.alerts.findings import Finding, Findings, discoveries

if TYPE_CHECKING:
    import polars as pl

    from pipelines.alerts.rules import AlertRule

# A rate is learnt as if so many units had been shipped before at the shop's own rate: a new item has no rate of its own.
_PRIOR_UNITS: Final = 50.0
_PRIOR_LINES: Final = 10.0


def stock_out_findings(rule: AlertRule, items: pl.DataFrame, *, as_of: date) -> Findings:
    """Items that probably run out before anything arrives, even where what is suggested is ordered today.

    The chance is a lower bound: the outlook holds the tenth, half and nine tenths of courses, so zero stock at its p50 is "at least
    half". At stake is the margin of what is forecast to be wanted from then until the first arrival.

    Args:
        rule: Of kind stock_out.
        items: sku, location_id, receipt_date (when what is suggested arrives), out_10_date, out_50_date, out_90_date (first day on
            which that share of courses has no stock left before it), missed_qty (units wanted from out_50_date until the receipt),
            margin_amount (reporting currency per unit; null where unknown).
        as_of: The data's last complete day.
    """
    found = []
    for row in items.iter_rows(named=True):
        dated = [(chance, row[f"out_{name}_date"]) for chance, name in ((0.9, "90"), (0.5, "50"), (0.1, "10"))]
        chance, day = next(((chance, day) for chance, day in dated if day is not None), (0.0, None))
        if day is None or chance < rule.told("probability") or (day - as_of).days > rule.told("days"):
            continue
        is_out = row["out_90_date"] is not None and row["out_90_date"] <= as_of
        stake = _amount(row["missed_qty"], row["margin_amount"])
        if stake is not None and stake < Decimal(str(rule.told("least_amount"))):
            continue
        until = f"what is ordered now arrives on {row['receipt_date']}" if row["receipt_date"] else "nothing is on its way"
        when = "is out of stock" if is_out else f"runs out around {day}, with a chance of at least {chance:.0%}"
        found.append(
            Finding(
                subject=f"item:{row['sku']}@{row['location_id']}", title=f"{row['sku']} at {row['location_id']}",
                detail=f"{row['sku']} at {row['location_id']} {when}; {until}. "
                f"About {row['missed_qty'] or 0:,.1f} units are wanted in between.",
                link=f"reorder?{urlencode({'item': row['sku']})}", probability=1.0 if is_out else chance, stake_amount=stake,
                basis="chance by the simulated courses of stock, times the margin of the units wanted while there are none",
                evidence={"out_date": day.isoformat(), "receipt_date": _iso(row["receipt_date"]), "missed_qty": row["missed_qty"],
                          "chance_at_least": chance},
                judged_after=None if is_out else max(row["receipt_date"] or day, day), day=None if is_out else day,
            )
        )  # fmt: skip
    return Findings(found)


def jeopardy_findings(rule: AlertRule, orders: pl.DataFrame) -> Findings:
    """Open orders that probably miss their promise; those that have missed it keep the exception that they have, and raise none.

    Args:
        rule: Of kind order_jeopardy.
        orders: order_id, promise_kind (ship, delivery or broken), miss_probability, promised_date, reason, reason_code, owner, net_amount
            (reporting currency, major units).
    """
    found = []
    for row in orders.iter_rows(named=True):
        stake = None if row["net_amount"] is None else _rounded(row["net_amount"])
        is_broken = row["promise_kind"] == "broken"
        is_unlikely = not is_broken and row["miss_probability"] < rule.told("probability")
        if is_unlikely or (stake or Decimal(0)) < Decimal(str(rule.told("least_amount"))):
            continue
        chance = None if is_broken else row["miss_probability"]
        said = f"has missed its promise of {row['promised_date']}"
        if chance is not None:
            said = f"misses its promise of {row['promised_date']} with a chance of {chance:.0%}"
        reason = (row["reason"] or "no single cause stands out").rstrip(".")
        found.append(
            Finding(
                subject=f"order:{row['order_id']}", title=f"Order {row['order_id']}",
                detail=f"Order {row['order_id']} {said}: {reason}.",
                link=f"orders?{urlencode({'order': row['order_id']})}", probability=chance, stake_amount=stake,
                basis="what the order is worth; its promise is missed" if is_broken
                else "chance by the jeopardy model, times what the order is worth",
                owner=row["owner"], evidence={"promised_date": _iso(row["promised_date"]), "reason_code": row["reason_code"]},
                judged_after=row["promised_date"], day=row["promised_date"], promise_kind=row["promise_kind"], raises=not is_broken,
            )
        )  # fmt: skip
    return Findings(found)


def return_findings(rule: AlertRule, items: pl.DataFrame) -> Findings:
    """Items of which more came back than their own rate explains.

    The rate of an item is learnt from its past, drawn towards the shop's: Gamma(returned + 50 r, shipped + 50) with the shop's rate r. What
    comes back in the period is then negative binomial, so the item's own uncertainty is in the tail, and the tails of all items are held
    against the false discovery rate together.

    Source: Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.6 (Poisson model with a gamma prior).

    Args:
        rule: Of kind return_spike.
        items: sku, returned_qty and shipped_qty of the period (shipped so many days earlier as returns take), past_returned_qty and
            past_shipped_qty before it, refund_amount (reporting currency per unit; null where unknown).
    """
    shipped, returned = float(items["past_shipped_qty"].sum()), float(items["past_returned_qty"].sum())
    if shipped <= 0:
        return Findings(not_available="not available: needs returns and shipments of the days before")
    rate = returned / shipped
    rows = [row for row in items.iter_rows(named=True) if row["shipped_qty"] > 0]
    expected, tails = [], []
    for row in rows:
        shape, units = row["past_returned_qty"] + _PRIOR_UNITS * rate, row["past_shipped_qty"] + _PRIOR_UNITS
        expected.append(shape / units * row["shipped_qty"])
        tails.append(float(nbinom.sf(row["returned_qty"] - 1, shape, units / (units + row["shipped_qty"]))) if shape > 0 else 1.0)
    named = discoveries(tails, false_discovery=rule.told("false_discovery"))
    found = []
    for row, usual, tail, is_named in zip(rows, expected, tails, named, strict=True):
        if not is_named or row["returned_qty"] < rule.told("least_units"):
            continue
        found.append(
            Finding(
                subject=f"returns:{row['sku']}", title=f"Returns of {row['sku']}",
                detail=f"{row['returned_qty']:,.0f} units of {row['sku']} came back in {rule.told('days')} days; "
                f"{usual:,.1f} are usual for {row['shipped_qty']:,.0f} shipped. By chance so many come in {_odds(tail)}.",
                link=f"returns?{urlencode({'sku': row['sku']})}", stake_amount=_amount(row["returned_qty"] - usual, row["refund_amount"]),
                basis="refunds of the units beyond the usual, which have come about",
                evidence={"returned_qty": row["returned_qty"], "usual_qty": usual, "shipped_qty": row["shipped_qty"], "tail": tail},
            )
        )  # fmt: skip
    return Findings(found)


def supplier_findings(rule: AlertRule, suppliers: pl.DataFrame, *, as_of: date) -> Findings:
    """Suppliers with lines past their expected day, and suppliers of whose lines fewer come on time than before.

    Args:
        rule: Of kind supplier_late.
        suppliers: supplier_id, late_lines, late_qty, late_amount (reporting currency, major units; null where unknown), oldest_date,
            lines and on_time_lines expected in the period, past_lines and past_on_time_lines in the 364 days before it.
        as_of: The data's last complete day.
    """
    found = [_late_lines(row, as_of) for row in suppliers.iter_rows(named=True) if row["late_lines"]]
    judged, tails = [], []
    for row in suppliers.iter_rows(named=True):
        if row["lines"] and row["past_lines"]:
            # the share before is drawn towards one half by a few lines, so that a new supplier has no certain one
            usual = (row["past_on_time_lines"] + _PRIOR_LINES / 2) / (row["past_lines"] + _PRIOR_LINES)
            judged.append((row, usual))
            tails.append(float(binom.cdf(row["on_time_lines"], row["lines"], usual)))
    for (row, usual), tail, is_named in zip(judged, tails, discoveries(tails, false_discovery=rule.told("false_discovery")), strict=True):
        share = row["on_time_lines"] / row["lines"]
        if is_named and usual - share >= rule.told("fall"):
            found.append(_fallen_share(row, rule, usual=usual, share=share, tail=tail))
    return Findings(found)


def _late_lines(row: dict[str, Any], as_of: date) -> Finding:
    days = (as_of - row["oldest_date"]).days
    return Finding(
        subject=f"supplier:{row['supplier_id']}|late", title=f"Late lines of {row['supplier_id']}",
        detail=f"Order lines of {row['supplier_id']} are past the day they were expected: {row['late_lines']:,} with "
        f"{row['late_qty']:,} units, the oldest by {days} days.",
        link=f"suppliers?{urlencode({'supplier': row['supplier_id']})}", stake_amount=_rounded(row["late_amount"]),
        basis="what the late lines cost to buy, which is what waits",
        evidence={"late_lines": row["late_lines"], "late_qty": row["late_qty"], "oldest_date": row["oldest_date"].isoformat()},
    )  # fmt: skip


def _fallen_share(row: dict[str, Any], rule: AlertRule, *, usual: float, share: float, tail: float) -> Finding:
    return Finding(
        subject=f"supplier:{row['supplier_id']}|on-time", title=f"On-time share of {row['supplier_id']}",
        detail=f"{share:.0%} of {row['lines']:,} lines of {row['supplier_id']} that were expected in {rule.told('days')} days came "
        f"on time; {usual:.0%} are usual. By chance so few come in {_odds(tail)}.",
        link=f"suppliers?{urlencode({'supplier': row['supplier_id']})}",
        evidence={"on_time_rate": share, "usual_rate": usual, "lines": row["lines"], "tail": tail},
    )  # fmt: skip


def _odds(tail: float) -> str:
    return f"one period of {1 / tail:,.0f}" if tail > 1e-9 else "less than one period of a thousand million"


def _amount(units: float | None, each: Any) -> Decimal | None:
    return None if units is None or each is None else _rounded(float(units) * float(each))


def _rounded(amount: Any) -> Decimal | None:
    return None if amount is None else Decimal(str(round(max(float(amount), 0.0), 2)))


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
