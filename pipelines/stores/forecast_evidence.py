"""What a release says of forecasts: the coming days, and how good they were on past ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from pipelines.errors import ReleaseError

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class ForecastEvidence:
    """The last backtest.

    Attributes:
        overall: Scores over all series, None where there was nothing to test on.
        levels: level, coverage_rate, weighted_quantile_loss, series_windows_count of demand summed over the horizon.
        series: Scores of each forecast series, the one with the most error first.
    """

    overall: dict[str, Any] | None
    levels: pl.DataFrame
    series: pl.DataFrame


def read_evidence(conn: duckdb.DuckDBPyConnection) -> ForecastEvidence:
    """The backtest that the release carries.

    Raises:
        ReleaseError: It carries none.
    """
    scores = _read(conn, "select * from planning.backtest_scores").fill_nan(None)
    overall = scores.filter(scores["sku"].is_null() & scores["wape_rate"].is_not_null())
    return ForecastEvidence(
        overall=overall.row(0, named=True) if overall.height else None,
        levels=_read(conn, "select * from planning.horizon_scores order by level"),
        series=scores.filter(scores["sku"].is_not_null()).sort("wape_rate", "sku", descending=[True, False], nulls_last=True),
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
