"""How good forecasts would have been on past days: tested once a week, and the evidence stands with its date until the next test."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

import forecasting
from forecasting.backtest import most_windows
from pipelines.steps.backtest_rows import (
    CLASS_SCORES,
    HORIZON_SCORES,
    STEP_SCORES,
    class_rows,
    horizon_rows,
    series_rows,
    step_rows,
    weekly_errors,
)
from pipelines.steps.panel import HORIZON_DAYS, DemandHistory, read_demand_history
from pipelines.stores.warehouse import refill_table, replace_table, run_context

if TYPE_CHECKING:
    from datetime import date

    import duckdb

    from forecasting.schema import Backtest
    from pipelines.stores.warehouse import RunContext

logger = logging.getLogger("ordercast.backtest")

BACKTEST_WINDOWS: Final = 6
CUTOFF_STEP_DAYS: Final = 14  # windows overlap: a history of four months has three that end before the newest, to judge drift by
STANDS_DAYS: Final = 7
ANOTHER_PAST_RATE: Final = 0.05  # demand before the last test that has changed by more was corrected or is another merchant's


@dataclass(frozen=True, slots=True)
class ModelScore:
    """How one model did over all series and windows; `fva_rate` is the share of seasonal naive's absolute error that it saves."""

    model: str
    wape_rate: float | None
    fva_rate: float | None
    bias_rate: float | None
    band_coverage_rate: float | None


@dataclass(frozen=True, slots=True)
class BacktestSummary:
    """What the standing evidence says; `is_new` tells whether this run tested. Rates are null where there was nothing to test on."""

    is_new: bool
    why: str
    backtest_date: str
    windows_count: int
    series_count: int
    rows_count: int
    wape_rate: float | None
    naive_wape_rate: float | None
    fva_rate: float | None
    bias_rate: float | None
    band_coverage_rate: float | None
    horizon_p90_coverage_rate: float | None
    models: tuple[ModelScore, ...]
    wape_by_window: tuple[float, ...]
    coverage_by_window: tuple[float, ...]
    seconds: float


def backtest_forecasts(conn: duckdb.DuckDBPyConnection, *, tests_anew: bool = False) -> BacktestSummary:
    """`planning` holds evidence at most a week old: backtest_run, _weeks, _series, _classes, _steps and horizon_scores.

    Forecasts are tested where there is no evidence yet, where it is seven as-of days old or of a later day, where the methods or the
    past itself have changed; else nothing is written. A run that dies meanwhile leaves no backtest_run, and so the next one tests.

    Args:
        conn: The warehouse, its marts built.
        tests_anew: Test whatever the age of the evidence.
    """
    began = time.monotonic()
    context, version = run_context(conn), method_version()
    as_of = context.as_of_date
    why = "Asked to test anew" if tests_anew else _why_due(conn, as_of=as_of, version=version)
    if why is not None:
        refill_table(conn, "planning.backtest_run", _run_row(conn, context, version).clear())
        history = read_demand_history(conn, as_of=as_of)
        logger.info("%s: testing %d series", why, history.selection.forecastable.height)
        _write_evidence(conn, _backtest(history))
        refill_table(conn, "planning.backtest_run", _run_row(conn, context, version))
    summary = _summary(conn, why, began)
    wape = "nothing to test on" if summary.wape_rate is None else f"WAPE {summary.wape_rate:.1%} (naive {summary.naive_wape_rate or 0:.1%})"
    logger.info("%s, tested on %s", wape, summary.backtest_date)
    return summary


def method_version() -> str:
    """Twelve digits that change whenever the forecasting code or this test of it does."""
    digest = hashlib.sha256()
    for path in [*sorted(Path(forecasting.__file__).parent.glob("*.py")), *sorted(Path(__file__).parent.glob("backtest*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _why_due(conn: duckdb.DuckDBPyConnection, *, as_of: date, version: str) -> str | None:
    """Why forecasts have to be tested now; None where the evidence stands."""
    row = conn.execute("SELECT as_of_date, method_version, demand_qty FROM planning.backtest_run").fetchone()
    if row is None:
        return "No evidence yet"
    tested, tested_version, tested_qty = row
    if tested_version != version:
        return "The methods have changed"
    if tested > as_of:
        return f"The evidence is of a later day, {tested}"
    if (as_of - tested).days >= STANDS_DAYS:
        return f"The evidence is {(as_of - tested).days} days old"
    if abs(_demand_until(conn, tested) - tested_qty) > ANOTHER_PAST_RATE * tested_qty:
        return f"Demand before {tested} has changed since"
    return None


def _demand_until(conn: duckdb.DuckDBPyConnection, day: date) -> float:
    row = conn.execute("SELECT sum(demand_qty) FROM marts.fct_demand_daily WHERE demand_date <= ?", [day]).fetchone()
    return float(row[0] or 0) if row else 0.0


def _backtest(history: DemandHistory) -> Backtest | None:
    days = history.panel["demand_date"].n_unique()
    windows = most_windows(days - HORIZON_DAYS + CUTOFF_STEP_DAYS, horizon=CUTOFF_STEP_DAYS, at_most=BACKTEST_WINDOWS)
    if windows == 0:
        logger.info("%d days of history are too few to test forecasts on", days)
        return None
    return forecasting.backtest(
        history.panel,
        horizon=HORIZON_DAYS,
        frequency="daily",
        windows=windows,
        step=CUTOFF_STEP_DAYS,
        attributes=history.attributes,
        calendar=history.calendar,
        on_progress=lambda done_next, share: logger.info("%d %%, %s", round(100 * share), done_next),
    )


def _run_row(conn: duckdb.DuckDBPyConnection, context: RunContext, version: str) -> pl.DataFrame:
    day = context.as_of_date
    facts = {"run_id": context.run_id, "as_of_date": day, "method_version": version, "horizon_days": HORIZON_DAYS}
    return pl.DataFrame([facts | {"demand_qty": _demand_until(conn, day)}])


def _write_evidence(conn: duckdb.DuckDBPyConnection, evidence: Backtest | None) -> None:
    if evidence is None:
        for table in ("backtest_weeks", "backtest_series"):
            conn.execute(f"DELETE FROM planning.{table}")
    else:
        refill_table(conn, "planning.backtest_weeks", weekly_errors(evidence))
        refill_table(conn, "planning.backtest_series", series_rows(evidence, horizon_days=HORIZON_DAYS))
    for table, rows, schema in (
        ("backtest_classes", class_rows, CLASS_SCORES),
        ("backtest_steps", step_rows, STEP_SCORES),
        ("horizon_scores", horizon_rows, HORIZON_SCORES),
    ):
        replace_table(conn, "planning", table, pl.DataFrame(schema=schema) if evidence is None else rows(evidence))


def _summary(conn: duckdb.DuckDBPyConnection, why: str | None, began: float) -> BacktestSummary:
    run = conn.execute("SELECT as_of_date FROM planning.backtest_run").fetchone()
    tested = run[0] if run else None
    counts = conn.execute(
        "SELECT (SELECT count(sku) FROM planning.backtest_series), (SELECT count(*) FROM planning.backtest_weeks)"
    ).fetchone()
    series_count, rows_count = counts or (0, 0)
    overall = conn.sql("SELECT * FROM planning.backtest_series WHERE sku IS NULL").pl()
    found = overall.row(0, named=True) if overall.height else {}
    p90 = conn.execute("SELECT coverage_rate FROM planning.horizon_scores WHERE level = 0.9").fetchone()
    models = conn.execute(
        "SELECT model, wape_rate, fva_rate, bias_rate, band_coverage_rate FROM planning.backtest_classes "
        "WHERE class_kind = 'all' ORDER BY model"
    ).fetchall()
    windows = conn.execute(
        "SELECT sum(absolute_error_qty) / nullif(sum(actual_qty), 0) AS wape_rate, sum(in_band_days_count) / sum(days_count) "
        "FROM planning.backtest_weeks GROUP BY cutoff_date HAVING wape_rate IS NOT NULL ORDER BY cutoff_date"
    ).fetchall()
    wape, naive = found.get("wape_rate"), found.get("naive_wape_rate")
    return BacktestSummary(
        is_new=why is not None,
        why=why or f"The evidence of {tested} stands",
        backtest_date=str(tested),
        windows_count=int(found.get("windows_count") or 0),
        series_count=series_count,
        rows_count=rows_count,
        wape_rate=wape,
        naive_wape_rate=naive,
        fva_rate=1 - wape / naive if wape is not None and naive else None,
        bias_rate=found.get("bias_rate"),
        band_coverage_rate=found.get("band_coverage_rate"),
        horizon_p90_coverage_rate=p90[0] if p90 else None,
        models=tuple(ModelScore(*row) for row in models),
        wape_by_window=tuple(round(wape, 4) for wape, _ in windows),
        coverage_by_window=tuple(round(covered, 4) for _, covered in windows),
        seconds=round(time.monotonic() - began, 3),
    )
