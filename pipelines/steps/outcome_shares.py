"""Decided allocations measured: what the order lines of a shortage got, beside what another order of serving them would have given."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from inventory.share_outcomes import SharedLines, ShareOutcome, measure_shares, share_verdict
from pipelines.stores.metrics_values import MINOR_UNIT_EXPONENTS, major_units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from forecasting.schema import FloatArray
    from pipelines.settings import Settings
    from pipelines.steps.outcome_cases import Case

_WANTED: Final = {"rec_id": pl.String, "order_line_id": pl.String, "wanted_qty": pl.Int64, "share_qty": pl.Int64}
_LINES: Final = """
    SELECT w.rec_id, w.order_line_id, w.wanted_qty, w.share_qty, l.ordered_date, l.promised_ship_date, l.net_amount, l.ordered_qty,
        l.currency_code
    FROM shared_lines AS w LEFT JOIN marts.fct_order_lines AS l USING (order_line_id)
    ORDER BY w.rec_id, l.ordered_date, w.order_line_id
"""
_SENT: Final = """
    SELECT w.rec_id, s.order_line_id, s.sales_date AS day, s.location_id, sum(s.shipped_qty)::BIGINT AS qty
    FROM intermediate.int_stock_sales AS s JOIN shared_lines AS w USING (order_line_id)
    WHERE s.event_type = 'shipped' GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True, slots=True)
class _Shortage:
    """One case with what is known of its lines; `margin` is minor units of a unit of each line, NaN where it is not known."""

    case: Case
    lines: SharedLines
    margin: FloatArray
    missing: str | None


def measure_allocations(conn: duckdb.DuckDBPyConnection, cases: Sequence[Case], *, run_id: str, settings: Settings) -> list[dict[str, Any]]:
    """Columns of `recommendation_outcome` for each case, but `measured_at`.

    Units lost are units that had not left by the day promised, or by the end of the window where that day had passed before it. With an
    accepted split that is as it was, without it first come, first served; with a rejected one it is as proposed, without it as it was.

    Args:
        conn: The open warehouse, its marts built.
        cases: Of allocations.
        run_id: Of the run that measures.
        settings: For the share of late units that is lost.
    """
    if not cases:
        return []
    wanted = [
        (case.decided.rec_id, str(line["order_line_id"]), int(line["wanted_qty"]), int(line["qty"]))
        for case in cases
        for line in json.loads(case.decided.basis).get("lines", ())
    ]
    conn.register("shared_lines", pl.DataFrame(wanted, schema=_WANTED, orient="row").to_arrow())
    try:
        lines, sent = conn.sql(_LINES).pl(), conn.sql(_SENT).pl()
    finally:
        conn.unregister("shared_lines")
    categories = dict(conn.execute("SELECT sku, category FROM marts.dim_products").fetchall())
    rows = []
    for case in cases:
        own = pl.col("rec_id") == case.decided.rec_id
        shortage = _shortage(case, lines.filter(own), sent.filter(own))
        rows.append(_row(shortage, run_id=run_id, category=categories.get(case.decided.sku), lost_share=settings.lost_sales_share))
    return rows


def _shortage(case: Case, lines: pl.DataFrame, sent: pl.DataFrame) -> _Shortage:
    """What left from elsewhere is no more wanted here."""
    days = (case.window_to - case.window_from).days + 1
    place = {line_id: number for number, line_id in enumerate(lines["order_line_id"])}
    left, elsewhere = np.zeros((days, lines.height)), np.zeros(lines.height)
    for line_id, day, location_id, qty in sent.select("order_line_id", "day", "location_id", "qty").iter_rows():
        if 0 <= (row := case.row(day)) < days:
            if location_id == case.decided.location_id:
                left[row, place[line_id]] += qty
            else:
                elsewhere[place[line_id]] += qty
    due = np.array([_due(case, promised, days) for promised in lines["promised_ship_date"]], dtype=np.int64)
    wanted = np.maximum(0.0, lines["wanted_qty"].to_numpy() - elsewhere)
    return _Shortage(
        case, SharedLines(wanted, lines["share_qty"].to_numpy().astype(np.float64), left, due), _margins(case, lines), _missing(lines)
    )


def _due(case: Case, promised: Any, days: int) -> int:
    if promised is None or promised < case.window_from:
        return days
    return 0 if promised > case.window_to else case.row(promised) + 1


def _margins(case: Case, lines: pl.DataFrame) -> FloatArray:
    one = case.decided
    if one.unit_cost is None or one.currency_code is None:
        return np.full(lines.height, np.nan)
    cost = float(one.unit_cost.scaleb(MINOR_UNIT_EXPONENTS.get(one.currency_code, 2)))
    price = pl.col("net_amount") / pl.when(pl.col("ordered_qty") > 0).then(pl.col("ordered_qty"))
    known = pl.when(pl.col("currency_code") == one.currency_code).then((price - cost).clip(lower_bound=0.0))
    margins: FloatArray = lines.select(known.cast(pl.Float64).fill_null(np.nan).alias("margin"))["margin"].to_numpy()
    return margins


def _missing(lines: pl.DataFrame) -> str | None:
    if lines.is_empty():
        return "not available: needs the order lines that it was shared among"
    if unknown := lines["ordered_date"].null_count():
        return f"not available: needs {unknown} of its order lines, which the shop does not have any more"
    return None


def _row(shortage: _Shortage, *, run_id: str, category: str | None, lost_share: float) -> dict[str, Any]:
    one, case, why = shortage.case.decided, shortage.case, shortage.missing
    told = None if why else _told(shortage, measure_shares(shortage.lines), lost_share=lost_share)
    amount = None if told is None or np.isnan(told["amount"]) else major_units(round(told["amount"]), one.currency_code or "")
    none = None if amount is None else Decimal(0)
    needs = "unit cost" if one.unit_cost is None else f"the price of each order line in {one.currency_code}"
    quantities = ("demand_qty", "lost_qty", "lost_without_qty", "lost_with_qty", "averted_qty", "excess_unit_days")
    row = {
        "rec_id": one.rec_id, "decision_id": one.decision_id, "run_id": run_id, "is_accepted": one.is_accepted,
        "window_from": case.window_from, "window_to": case.window_to, "category": category, "proposed_qty": one.proposed_qty,
        "decided_qty": one.decided_qty, "received_qty": 0 if told is None else int(told["sent"]),
        **{name: None if told is None else told[name] for name in quantities},
        "averted_margin": amount, "excess_cost": none, "value_added": none if one.is_accepted or amount is None else -amount,
        "currency_code": one.currency_code, "verdict": "unknown" if told is None else told["verdict"],
        "missing": why or (f"not available: needs {needs}" if amount is None else None),
    }  # fmt: skip
    return row | {"data_hash": _digest(row, shortage)}


def _told(shortage: _Shortage, measured: ShareOutcome, *, lost_share: float) -> dict[str, Any]:
    """Figures of the outcome; `amount` is minor units."""
    is_accepted = shortage.case.decided.is_accepted
    without, with_split = (measured.late_in_turn, measured.late) if is_accepted else (measured.late, measured.late_as_proposed)
    averted, amount = float((without - with_split).sum()), float(((without - with_split) * shortage.margin).sum()) * lost_share
    return {
        "demand_qty": float(shortage.lines.wanted.sum()),
        "lost_qty": float(measured.late.sum()),
        "lost_without_qty": float(without.sum()),
        "lost_with_qty": float(with_split.sum()),
        "averted_qty": averted,
        "excess_unit_days": 0.0,
        "sent": shortage.lines.sent.sum(),
        "amount": amount,
        "verdict": share_verdict(float(without.sum()), averted, amount),
    }


def _digest(row: Mapping[str, Any], shortage: _Shortage) -> str:
    """SHA-256 of all that the outcome follows from."""
    facts = {name: str(value) for name, value in row.items() if name != "run_id"}
    lines = shortage.lines
    values = [
        lines.wanted.tolist(),
        lines.proposed.tolist(),
        lines.sent.tolist(),
        lines.due.tolist(),
        [str(one) for one in shortage.margin],
    ]
    return hashlib.sha256(json.dumps([facts, values], sort_keys=True).encode()).hexdigest()
