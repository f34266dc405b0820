"""Decided suggestions whose window has passed are measured against what happened."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from inventory.outcomes import DAYS_OF_YEAR, Measured, Senders, StockPath, UnitMoney, measure_outcomes
from pipelines.steps.outcome_cases import ALLOCATE, SAVING_KINDS, TRANSFER, case_of, proposed_units, sent_units, units_without
from pipelines.steps.outcome_shares import measure_allocations
from pipelines.stores.metrics_values import MINOR_UNIT_EXPONENTS, major_units
from pipelines.stores.outcomes import list_decided, save_outcomes
from pipelines.stores.warehouse import run_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    import duckdb

    from forecasting.schema import BoolArray, FloatArray, IntArray
    from pipelines.settings import Settings
    from pipelines.steps.outcome_cases import Case
    from pipelines.stores.operational import OperationalStore

logger = logging.getLogger("ordercast.outcomes")

RECHECKED_DAYS: Final = 91  # after its window an outcome is measured again where late data changed it
BEFORE_DAYS: Final = 56  # whose demand, with the window's, says what to expect on a day without stock
_FACTS: Final = dict.fromkeys(("rec_id", "sku", "location_id", "line_id"), pl.String) | {"window_from": pl.Date, "window_to": pl.Date}
_KNOWN_DAYS: Final = {
    "demand": "SELECT w.rec_id, d.demand_date AS day, d.demand_qty AS qty FROM marts.fct_demand_daily AS d "
    f"JOIN outcome_windows AS w USING (sku, location_id) WHERE d.demand_date BETWEEN w.window_from - {BEFORE_DAYS} AND w.window_to",
    "stock": "SELECT w.rec_id, s.stock_date AS day, s.available_qty AS qty FROM marts.fct_stock_daily AS s "
    f"JOIN outcome_windows AS w USING (sku, location_id) WHERE s.stock_date BETWEEN w.window_from - {BEFORE_DAYS} AND w.window_to",
}
_MOVED: Final = {
    "received": "SELECT w.rec_id, r.received_date AS day, sum(r.received_qty) AS qty FROM marts.fct_purchase_receipts AS r "
    "JOIN staging.stg_shop__purchase_order_lines AS l USING (po_line_id) "
    "JOIN outcome_windows AS w ON l.rec_id = w.rec_id OR l.po_line_id = w.line_id WHERE r.received_qty > 0 GROUP BY ALL "
    "UNION ALL SELECT w.rec_id, CAST(timezone(?, timezone('UTC', t.received_at)) AS DATE), sum(l.transfer_qty) "
    "FROM staging.stg_shop__transfers AS t JOIN staging.stg_shop__transfer_lines AS l USING (transfer_id) "
    "JOIN outcome_windows AS w ON t.transfer_id = w.line_id AND l.sku = w.sku WHERE t.received_at IS NOT NULL GROUP BY ALL",
    "sent": "SELECT w.rec_id, CAST(timezone(?, timezone('UTC', t.shipped_at)) AS DATE) AS day, sum(l.transfer_qty) AS qty "
    "FROM staging.stg_shop__transfers AS t JOIN staging.stg_shop__transfer_lines AS l USING (transfer_id) "
    "JOIN outcome_windows AS w ON t.transfer_id = w.line_id AND l.sku = w.sku "
    "WHERE coalesce(t.shipped_at, t.received_at) IS NOT NULL AND w.location_id IS NOT NULL GROUP BY ALL",
}


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """Decisions measured for the first time, measured again, as they stood, and those whose window has not passed."""

    measured: int = 0
    remeasured: int = 0
    unchanged: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class _Days:
    """What is known of the days of each case: rows are days from `BEFORE_DAYS` before its window on, NaN where nothing is known.

    `moved` is what its order brought or, where a transfer came from, what left; `undated` names cases that brought or sent on no known day.
    """

    demand: FloatArray
    stock: FloatArray
    moved: FloatArray
    undated: frozenset[str]

    def in_window(self, path: StockPath) -> FloatArray:
        """[day, decision] units moved in the window."""
        moved: FloatArray = np.nan_to_num(self.moved[BEFORE_DAYS:]) * path.is_in_window
        return moved


@dataclass(frozen=True, slots=True)
class _Place:
    """Days and stock of each case at one of its places, and whether they are known enough."""

    days: _Days
    path: StockPath
    is_known: BoolArray
    lacks_demand: BoolArray


def measure_decisions(store: OperationalStore, conn: duckdb.DuckDBPyConnection, *, settings: Settings) -> OutcomeCounts:
    """The store knows the outcome of every decision whose window has passed, each measured once.

    The window is from the day after the as-of day that the suggestion was made on to its expected receipt plus the review period. An
    outcome is measured again only where demand, stock, receipts or prices of its days changed within 91 days after it.

    Args:
        store: The operational store.
        conn: The open warehouse, its marts built.
        settings: For the review period and holding cost where suggestion and location name none.
    """
    context = run_context(conn)
    cases = [case for one in list_decided(store) if (case := case_of(one, settings)) is not None]
    passed = [case for case in cases if case.window_to <= context.as_of_date]
    oldest = context.as_of_date - timedelta(days=RECHECKED_DAYS)
    open_cases = [case for case in passed if case.decided.data_hash is None or case.window_to > oldest]
    shared = [case for case in open_cases if case.decided.kind == ALLOCATE]
    rest = [case for case in open_cases if case.decided.kind != ALLOCATE]
    rows = _measure(conn, rest, zone=context.reporting_time_zone, run_id=context.run_id, settings=settings) if rest else []
    rows += measure_allocations(conn, shared, run_id=context.run_id, settings=settings)
    known = {case.decided.rec_id: case.decided.data_hash for case in open_cases}
    changed = [row for row in rows if row["data_hash"] != known[row["rec_id"]]]
    save_outcomes(store, changed)
    first = sum(known[row["rec_id"]] is None for row in changed)
    counts = OutcomeCounts(first, len(changed) - first, len(passed) - len(changed), len(cases) - len(passed))
    logger.info("%d measured, %d measured again, %d wait", counts.measured, counts.remeasured, counts.waiting)
    return counts


def _measure(conn: duckdb.DuckDBPyConnection, cases: Sequence[Case], *, zone: str, run_id: str, settings: Settings) -> list[dict[str, Any]]:
    here = _read_place(conn, cases, [case.decided.location_id for case in cases], "received", zone)
    there = _read_place(conn, cases, [case.decided.source_location_id for case in cases], "sent", zone)
    prices, received, sent = _read_prices(conn, cases, settings), here.days.in_window(here.path), there.days.in_window(there.path)
    measured = measure_outcomes(
        here.path,
        received=received,
        proposed=proposed_units(cases, received),
        without=units_without(cases, received),
        saves_holding=np.array([case.decided.kind in SAVING_KINDS for case in cases]),
        is_accepted=np.array([case.decided.is_accepted for case in cases]),
        money=UnitMoney(np.array([one["margin"] for one in prices]), np.array([one["holding"] for one in prices])),
        senders=Senders(there.path, sent, sent_units(cases, sent), np.array([one.get("holding_there", 0.0) for one in prices])),
    )
    rows = []
    for index, case in enumerate(cases):
        why = _why_unknown(case, index, here, there)
        row = _row(case, measured, index, why=why, price=prices[index], received=int(received[:, index].sum()), run_id=run_id)
        places = (here, there) if case.decided.kind == TRANSFER else (here,)
        known = [table[:, index] for one in places for table in (one.days.demand, one.days.stock, one.days.moved)]
        rows.append(row | {"data_hash": _digest(case, known, prices[index], why)})
    return rows


def _read_place(conn: duckdb.DuckDBPyConnection, cases: Sequence[Case], places: Sequence[str | None], moved: str, zone: str) -> _Place:
    """What is known of each case at its place; where that is None there was no stock and no demand."""
    days = _read_days(conn, cases, places, moved, zone)
    path, is_known, lacks_demand = _paths(days, np.array([(case.window_to - case.window_from).days + 1 for case in cases]))
    return _Place(days, path, is_known, lacks_demand)


def _paths(days: _Days, lengths: IntArray) -> tuple[StockPath, BoolArray, BoolArray]:
    """The stock of each case, whether it is known on every day, and whether nothing says what demand a day without stock had.

    Expected demand is the mean of the days that ended with stock, of the window and the `BEFORE_DAYS` before it.
    """
    day = np.arange(len(days.demand))[:, None] - BEFORE_DAYS
    is_in_window = (day >= 0) & (day < lengths)
    is_censored = days.stock <= 0
    is_seen = (day < lengths) & (days.stock > 0)
    demand = np.nan_to_num(days.demand)
    expected = (demand * is_seen).sum(axis=0) / np.maximum(1, is_seen.sum(axis=0))
    path = StockPath(
        opening=np.nan_to_num(days.stock[BEFORE_DAYS - 1]),
        closing=np.nan_to_num(days.stock[BEFORE_DAYS:]),
        demand=(demand * is_in_window)[BEFORE_DAYS:],
        expected=np.tile(expected, (len(demand) - BEFORE_DAYS, 1)),
        is_censored=is_censored[BEFORE_DAYS:],
        is_in_window=is_in_window[BEFORE_DAYS:],
    )
    is_known: BoolArray = ~np.any(np.isnan(days.stock) & (is_in_window | (day == -1)), axis=0)
    lacks_demand: BoolArray = np.any(is_censored & is_in_window, axis=0) & ~np.any(is_seen, axis=0)
    return path, is_known, lacks_demand


def _read_days(conn: duckdb.DuckDBPyConnection, cases: Sequence[Case], places: Sequence[str | None], moved: str, zone: str) -> _Days:
    facts = [
        {"rec_id": one.rec_id, "sku": one.sku, "location_id": place, "line_id": case.line_id, "window_from": case.window_from,
         "window_to": case.window_to} for case, place in zip(cases, places, strict=True) for one in (case.decided,)
    ]  # fmt: skip
    conn.register("outcome_windows", pl.DataFrame(facts, schema=_FACTS).to_arrow())
    length = BEFORE_DAYS + max((case.window_to - case.window_from).days for case in cases) + 1
    positions = {case.decided.rec_id: index for index, case in enumerate(cases)}
    tables: dict[str, FloatArray] = {}
    undated: set[str] = set()
    try:
        for name, statement in (_KNOWN_DAYS | {moved: _MOVED[moved]}).items():
            values = np.full((length, len(cases)), np.nan)
            for rec_id, day, qty in conn.execute(statement, [zone] if name == moved else []).fetchall():
                index = positions[rec_id]
                if day is None:
                    undated.add(rec_id)
                elif 0 <= (row := (day - cases[index].window_from).days + BEFORE_DAYS) < length:
                    values[row, index] = np.nan_to_num(values[row, index]) + float(qty)
            tables[name] = values
    finally:
        conn.unregister("outcome_windows")
    return _Days(tables["demand"], tables["stock"], tables[moved], frozenset(undated))


def _read_prices(conn: duckdb.DuckDBPyConnection, cases: Sequence[Case], settings: Settings) -> list[dict[str, Any]]:
    """Margin and a day's holding cost per unit in minor units, NaN where a price is missing; and the category."""
    products = {
        row[0]: row[1:] for row in conn.execute("SELECT sku, list_price_amount, currency_code, category FROM marts.dim_products").fetchall()
    }
    rates = dict(conn.execute("SELECT location_id, holding_cost_rate FROM marts.dim_locations").fetchall())
    prices = []
    for case in cases:
        one = case.decided
        list_price, currency, category = products.get(one.sku, (None, None, None))
        cost = None if one.unit_cost is None else float(one.unit_cost.scaleb(MINOR_UNIT_EXPONENTS.get(one.currency_code or "", 2)))
        price = list_price if currency == one.currency_code else None

        def holding(place: str | None, cost: float | None = cost) -> float:
            rate = rates.get(place)
            return np.nan if cost is None else cost * (settings.holding_cost_rate if rate is None else rate) / DAYS_OF_YEAR

        prices.append(
            {
                "margin": np.nan if price is None or cost is None else max(0.0, price - cost),
                "holding": holding(one.location_id),
                "category": category,
                "missing": "unit cost" if cost is None else f"a list price in {one.currency_code}" if price is None else None,
            }
            | ({"holding_there": holding(one.source_location_id)} if one.kind == TRANSFER else {})
        )
    return prices


def _why_unknown(case: Case, index: int, here: _Place, there: _Place) -> str | None:
    one, said = case.decided, {"": (here, "the day of receipt")}
    if one.kind == TRANSFER:
        said[f" at {one.source_location_id}"] = (there, "the day it was sent")
    for where, (place, day) in said.items():
        if one.rec_id in place.days.undated:
            return f"not available: needs {day}"
        if not place.is_known[index]:
            return f"not available: needs stock{where} of every day from {case.window_from - timedelta(days=1)} to {case.window_to}"
        if place.lacks_demand[index]:
            return f"not available: needs a day with stock{where}, to say what demand was to be expected on days without"
    return None


def _row(
    case: Case, measured: Measured, index: int, *, why: str | None, price: Mapping[str, Any], received: int, run_id: str
) -> dict[str, Any]:
    one = case.decided
    quantities = ("demand_qty", "lost_qty", "lost_without_qty", "lost_with_qty", "averted_qty", "excess_unit_days")
    amounts = {"averted_margin": "averted_margin_amount", "excess_cost": "excess_cost_amount", "value_added": "value_added_amount"}

    def money(name: str) -> Decimal | None:
        amount = float(getattr(measured, name)[index])
        return None if why or np.isnan(amount) or one.currency_code is None else major_units(round(amount), one.currency_code)

    return {
        "rec_id": one.rec_id,
        "decision_id": one.decision_id,
        "run_id": run_id,
        "is_accepted": one.is_accepted,
        "window_from": case.window_from,
        "window_to": case.window_to,
        "category": price["category"],
        "proposed_qty": one.proposed_qty,
        "decided_qty": one.decided_qty,
        "received_qty": received,
        **{name: None if why else round(float(getattr(measured, name)[index]), 6) for name in quantities},
        **{column: money(name) for column, name in amounts.items()},
        "currency_code": one.currency_code,
        "verdict": "unknown" if why else str(measured.verdict[index]),
        "missing": why or (price["missing"] and f"not available: needs {price['missing']}"),
    }


def _digest(case: Case, days: Sequence[FloatArray], price: Mapping[str, Any], why: str | None) -> str:
    """SHA-256 of all that the outcome follows from."""
    one, length = case.decided, BEFORE_DAYS + (case.window_to - case.window_from).days + 1
    facts = [
        one.decision_id,
        one.proposed_qty,
        one.decided_qty,
        str(case.window_from),
        str(case.window_to),
        str(case.due),
        why,
        *([] if case.stood is None else [str(case.stood)]),
    ]
    values = [[None if np.isnan(value) else float(value) for value in table[:length]] for table in days]
    return hashlib.sha256(json.dumps([facts, values, sorted((k, str(v)) for k, v in price.items())]).encode()).hexdigest()
