"""Demand is forecast per item and location, and the forecasts' past performance stands beside them."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

import forecasting
from forecasting.backtest import most_windows
from forecasting.panel import SeriesSelection, select_series
from forecasting.schema import NO_MODEL, POOLED_ENSEMBLE, SEASONAL_NAIVE, SERIES_KEY
from pipelines.stores.warehouse import replace_table, run_context

if TYPE_CHECKING:
    from datetime import date

    import duckdb

    from forecasting.schema import Backtest
    from pipelines.settings import Settings

logger = logging.getLogger("ordercast.forecast")

FORECAST_DAYS: Final = 28
BACKTEST_DAYS: Final = 14
BACKTEST_WINDOWS: Final = 6

_SCORES: Final = {
    "sku": pl.String, "location_id": pl.String, "model": pl.String, "fallback_reason": pl.String, "windows_count": pl.Int64,
    "horizon_days": pl.Int64, "wape_rate": pl.Float64, "mase": pl.Float64, "bias_rate": pl.Float64, "naive_wape_rate": pl.Float64,
    "naive_mase": pl.Float64, "naive_bias_rate": pl.Float64, "band_coverage_rate": pl.Float64, "censored_days_count": pl.Int64,
    "history_days_count": pl.Int64,
}  # fmt: skip
_FORECAST: Final = {
    "sku": pl.String, "location_id": pl.String, "demand_date": pl.Date, "demand_mean_qty": pl.Float64, "demand_p10_qty": pl.Float64,
    "demand_p50_qty": pl.Float64, "demand_p90_qty": pl.Float64, "model": pl.String, "fallback_reason": pl.String,
}  # fmt: skip
_HORIZON_SCORES: Final = {
    "level": pl.Float64, "coverage_rate": pl.Float64, "weighted_quantile_loss": pl.Float64, "series_windows_count": pl.Int64
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ForecastSummary:
    """What one forecast run did; rates are null where there was nothing to test on."""

    series_count: int
    skipped_counts: dict[str, int]
    fallback_count: int
    censored_days_count: int
    windows_count: int
    wape_rate: float | None
    naive_wape_rate: float | None
    bias_rate: float | None
    band_coverage_rate: float | None
    horizon_p90_coverage_rate: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class DemandHistory:
    """What forecasts are made from: the panel of all forecastable series, their pools, and who was left out."""

    panel: pl.DataFrame
    attributes: pl.DataFrame
    selection: SeriesSelection


def forecast_demand(conn: duckdb.DuckDBPyConnection, *, settings: Settings) -> ForecastSummary:
    """`planning` holds forecast_daily, backtest_scores, horizon_scores and forecast_exclusions of this run's as-of date.

    Args:
        conn: The warehouse, its marts built.
        settings: For the seed.
    """
    began = time.monotonic()
    history = read_demand_history(conn, as_of=run_context(conn).as_of_date)
    skipped = history.selection.skipped
    replace_table(conn, "planning", "forecast_exclusions", skipped.select(*SERIES_KEY, "reason"))
    if history.panel.is_empty():
        for table, schema in (("forecast_daily", _FORECAST), ("backtest_scores", _SCORES), ("horizon_scores", _HORIZON_SCORES)):
            replace_table(conn, "planning", table, pl.DataFrame(schema=schema))
        logger.info("No series can be forecast; %d left out: %s", skipped.height, history.selection.skipped_counts)
        return _summary(history, None, pl.DataFrame(schema=_FORECAST), began)
    result = forecasting.forecast(
        history.panel, horizon=FORECAST_DAYS, frequency="daily", attributes=history.attributes, seed=settings.seed
    )
    logger.info("%d series forecast, %d left out", history.selection.forecastable.height, skipped.height)
    evidence = _backtest(history)
    models = result.frame.select(*SERIES_KEY, "model", "fallback_reason").unique(SERIES_KEY, keep="first", maintain_order=True)
    replace_table(conn, "planning", "forecast_daily", result.frame.select(list(_FORECAST)))
    replace_table(conn, "planning", "backtest_scores", _scores(history.panel, models, evidence))
    replace_table(conn, "planning", "horizon_scores", pl.DataFrame(schema=_HORIZON_SCORES) if evidence is None else evidence.horizon_scores)
    return _summary(history, evidence, models, began)


def read_demand_history(conn: duckdb.DuckDBPyConnection, *, as_of: date) -> DemandHistory:
    """Demand through `as_of` from the marts, with the days an item ended without stock marked as censored."""
    demand = conn.sql("SELECT sku, location_id, demand_date, demand_qty FROM marts.fct_demand_daily").pl()
    stock_outs = conn.sql("SELECT sku, location_id, stock_date FROM marts.fct_stock_daily WHERE available_qty <= 0").pl()
    items = conn.sql("SELECT sku, category, launched_date, is_active FROM marts.dim_products").pl()
    selection = select_series(demand, cutoff=as_of, stock_outs=stock_outs, items=items)
    chosen = demand.join(selection.forecastable, on=SERIES_KEY, how="semi")
    panel = forecasting.build_panel(chosen, cutoff=as_of, frequency="daily", stock_outs=stock_outs, items=items)
    return DemandHistory(panel=panel, attributes=items.select("sku", "category"), selection=selection)


def _backtest(history: DemandHistory) -> Backtest | None:
    days = history.panel["demand_date"].n_unique()
    windows = most_windows(days, horizon=BACKTEST_DAYS, at_most=BACKTEST_WINDOWS)
    if windows == 0:
        logger.info("%d days of history are too few to test forecasts on", days)
        return None
    return forecasting.backtest(history.panel, horizon=BACKTEST_DAYS, frequency="daily", windows=windows, attributes=history.attributes)


def _scores(panel: pl.DataFrame, models: pl.DataFrame, evidence: Backtest | None) -> pl.DataFrame:
    """One row per forecast series and one over all, whose key is null."""
    days = [pl.col("is_censored").sum().cast(pl.Int64).alias("censored_days_count"), pl.len().cast(pl.Int64).alias("history_days_count")]
    rows = models.join(panel.group_by(SERIES_KEY).agg(days), on=SERIES_KEY, how="left")
    overall = pl.DataFrame({"sku": [None], "location_id": [None], "model": [POOLED_ENSEMBLE]}, schema_overrides=_SCORES).join(
        panel.select(days), how="cross"
    )
    if evidence is not None:
        rows = rows.join(_side_by_side(evidence.series_scores, SERIES_KEY), on=SERIES_KEY, how="left")
        overall = overall.join(_side_by_side(evidence.scores.filter(pl.col("class_kind") == "all"), []), how="cross")
    return _in_schema(pl.concat([overall, rows], how="diagonal")).sort(SERIES_KEY, nulls_last=False)


def _side_by_side(scores: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    rates = ["wape_rate", "mase", "bias_rate"]
    own = scores.filter(pl.col("model") == "auto").select(*keys, "windows_count", *rates, "band_coverage_rate")
    naive = scores.filter(pl.col("model") == SEASONAL_NAIVE).select(*keys, *(pl.col(name).alias(f"naive_{name}") for name in rates))
    both = own.join(naive, on=keys, how="left") if keys else own.join(naive, how="cross")
    return both.with_columns(pl.lit(BACKTEST_DAYS, dtype=pl.Int64).alias("horizon_days"))


def _in_schema(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select((pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name) for name, kind in _SCORES.items())


def _summary(history: DemandHistory, evidence: Backtest | None, models: pl.DataFrame, began: float) -> ForecastSummary:
    overall: dict[str, float | None] = {}
    if evidence is not None:
        overall = _side_by_side(evidence.scores.filter(pl.col("class_kind") == "all"), []).row(0, named=True)
    p90 = evidence.horizon_scores.filter(pl.col("level") == 0.9)["coverage_rate"] if evidence is not None else pl.Series([])
    return ForecastSummary(
        series_count=history.selection.forecastable.height,
        skipped_counts=history.selection.skipped_counts,
        fallback_count=models.filter(pl.col("fallback_reason").is_not_null() | (pl.col("model") == NO_MODEL)).height,
        censored_days_count=int(history.panel["is_censored"].sum()),
        windows_count=int(overall.get("windows_count") or 0),
        wape_rate=overall.get("wape_rate"),
        naive_wape_rate=overall.get("naive_wape_rate"),
        bias_rate=overall.get("bias_rate"),
        band_coverage_rate=overall.get("band_coverage_rate"),
        horizon_p90_coverage_rate=float(p90[0]) if len(p90) else None,
        seconds=round(time.monotonic() - began, 3),
    )
