"""What a release says of forecasts: the coming days, and how good they were on past ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from forecasting.schema import SERIES_KEY
from pipelines.errors import ReleaseError

if TYPE_CHECKING:
    from datetime import date


@dataclass(frozen=True, slots=True)
class ForecastEvidence:
    """The last backtest.

    Attributes:
        backtest_date: As-of day it was made with; None where there was nothing to test on.
        windows_count: Past cut-offs.
        horizon_days: Days ahead of each.
        classes: Scores over all series and per class of volume and pattern, model by model; empty where nothing was tested.
        steps: Scores per model and day ahead.
        levels: level, coverage_rate, weighted_quantile_loss, series_windows_count of demand summed over the horizon.
        series: Scores of each series that is forecast, the one with most units of absolute error first.
    """

    backtest_date: date | None
    windows_count: int
    horizon_days: int
    classes: pl.DataFrame
    steps: pl.DataFrame
    levels: pl.DataFrame
    series: pl.DataFrame


def read_evidence(conn: duckdb.DuckDBPyConnection) -> ForecastEvidence:
    """The backtest that the release carries.

    Raises:
        ReleaseError: It carries none.
    """
    scores = _read(conn, "select * from planning.backtest_scores").fill_nan(None)
    overall = scores.filter(scores["sku"].is_null() & scores["windows_count"].is_not_null())
    tested = overall.row(0, named=True) if overall.height else {"backtest_date": None, "windows_count": 0, "horizon_days": 0}
    return ForecastEvidence(
        backtest_date=tested["backtest_date"],
        windows_count=tested["windows_count"],
        horizon_days=tested["horizon_days"],
        classes=_read(conn, "select * from planning.backtest_classes").fill_nan(None),
        steps=_read(conn, "select * from planning.backtest_steps order by model, step").fill_nan(None),
        levels=_read(conn, "select * from planning.horizon_scores order by level"),
        series=scores.filter(scores["sku"].is_not_null()).sort(
            pl.col("wape_rate") * pl.col("actual_qty"), *SERIES_KEY, descending=[True, False, False], nulls_last=True
        ),
    )


def read_forecast(conn: duckdb.DuckDBPyConnection, *, sku: str | None = None) -> pl.DataFrame:
    """planning.forecast_daily by series and day, of one item or of all.

    Raises:
        ReleaseError: The release carries no forecast.
    """
    return _read(
        conn, "select * from planning.forecast_daily where $sku is null or sku = $sku order by sku, location_id, demand_date", sku=sku
    )


def _read(conn: duckdb.DuckDBPyConnection, query: str, **values: object) -> pl.DataFrame:
    try:
        return conn.execute(query, values or None).pl()
    except duckdb.CatalogException as exc:
        raise ReleaseError("The served release carries no forecasts: publish a new one with `ordercast run`.") from exc
