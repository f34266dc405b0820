"""Demand is forecast per item and location, with what people expect instead, and judged before anything is ordered by it."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

import forecasting
from forecasting.like_items import LIKE_ITEMS
from forecasting.overrides import override_forecast, overrides_by_day
from forecasting.panel import TOO_YOUNG
from forecasting.schema import HISTORY_MEAN, NO_MODEL, SERIES_KEY
from pipelines.quality.forecast_checks import RECENT_DAYS, Errors, ForecastCheck, broken_series, check_forecasts
from pipelines.steps.backtest_rows import MODEL, SERIES_SCORES
from pipelines.steps.panel import HORIZON_DAYS, DemandHistory, read_demand_history
from pipelines.stores.check_results import CheckTally, record_checks, withheld_reason
from pipelines.stores.forecast_history import keep_forecasts
from pipelines.stores.warehouse import refill_table, replace_table, run_context

if TYPE_CHECKING:
    from datetime import date

    import duckdb

    from forecasting.panel import SeriesSelection
    from pipelines.settings import Settings

logger = logging.getLogger("ordercast.forecast")

FALLBACK_MODELS: Final = (LIKE_ITEMS, HISTORY_MEAN, NO_MODEL)  # what stands in where a series has too little to learn from

_FORECAST: Final = {
    "sku": pl.String, "location_id": pl.String, "demand_date": pl.Date, "demand_mean_qty": pl.Float64, "demand_p10_qty": pl.Float64,
    "demand_p50_qty": pl.Float64, "demand_p90_qty": pl.Float64, "statistical_mean_qty": pl.Float64, "override_id": pl.String,
    "model": pl.String, "fallback_reason": pl.String,
}  # fmt: skip
_EVIDENCE: Final = {
    "sku": pl.String, "location_id": pl.String, "model": pl.String, "fallback_reason": pl.String,
    **{name: kind for name, kind in SERIES_SCORES.items() if name not in SERIES_KEY},
    "censored_days_count": pl.Int64, "history_days_count": pl.Int64, "backtest_date": pl.Date,
}  # fmt: skip
# The last forecast that was published before each of the recent days, whatever a person expected.
_PUBLISHED: Final = """
    SELECT as_of_date, sku, location_id, demand_date, statistical_mean_qty, demand_p10_qty, demand_p90_qty
    FROM history.forecasts
    WHERE demand_date > $day - $days::INTEGER AND demand_date <= $day AND as_of_date < demand_date
    QUALIFY row_number() OVER (PARTITION BY sku, location_id, demand_date ORDER BY as_of_date DESC) = 1
    ORDER BY ALL
"""


@dataclass(frozen=True, slots=True)
class ForecastSummary:
    """What one forecast run did; `weekly_qty` is demand forecast for the coming weeks, `checks` is what judged it.

    `idle_overrides` are those that would hold in these weeks, of series that have no forecast: "override o-1 of A at DC".
    """

    series_count: int
    rows_count: int
    skipped_counts: dict[str, int]
    fallback_count: int
    overridden_series_count: int
    idle_overrides: tuple[str, ...]
    broken_count: int
    withheld_reason: str | None
    checks: tuple[ForecastCheck, ...]
    weekly_qty: tuple[float, ...]
    seconds: float


def forecast_demand(conn: duckdb.DuckDBPyConnection, *, settings: Settings) -> ForecastSummary:
    """`planning` holds forecast_daily, backtest_scores, forecast_checks and forecast_broken of this run's as-of date, and recent_forecasts.

    Where a person's override holds, `demand_mean_qty` and the quantiles are the overridden ones, with the statistical mean beside
    them. What is forecast is kept in `history` as well, so that it can be judged when its days have passed.

    Args:
        conn: The warehouse, its marts built and its forecasts back-tested.
        settings: For the seed.
    """
    began = time.monotonic()
    as_of = run_context(conn).as_of_date
    history = read_demand_history(conn, as_of=as_of)
    daily = _forecast(conn, history, as_of=as_of, settings=settings)
    models = daily.unique(SERIES_KEY, keep="first", maintain_order=True).select(*SERIES_KEY, "model", "fallback_reason")
    published = conn.execute(_PUBLISHED, {"day": as_of, "days": RECENT_DAYS}).pl()
    recent = _published_errors(published, history.panel)
    rate = _fallback_rate(models, history.selection)
    checks = check_forecasts(recent=_total(recent), windows=_backtest_windows(conn), fallback_rate=rate)
    broken = broken_series(daily, history.panel, _by_series(recent))
    replace_table(conn, "planning", "recent_forecasts", published)
    replace_table(conn, "planning", "forecast_daily", daily)
    replace_table(conn, "planning", "backtest_scores", _evidence(conn, history.panel, models))
    refill_table(conn, "planning.forecast_broken", broken)
    refill_table(conn, "planning.forecast_checks", pl.DataFrame([asdict(check) for check in checks], infer_schema_length=None))
    record_checks(conn, origin="forecast", tallies=[CheckTally(check.check_name, 1, int(not check.is_passed)) for check in checks])
    keep_forecasts(conn, as_of=as_of)
    withheld = withheld_reason(conn)
    overridden = daily.filter(pl.col("override_id").is_not_null()).n_unique(SERIES_KEY)
    idle = _idle_overrides(conn, daily, as_of)
    if idle:
        logger.warning("Without effect, since there is no forecast: %s", "; ".join(idle))
    logger.info("%d series forecast, %d overridden, %d broken", models.height, overridden, broken.height)
    if withheld is not None:
        logger.warning("Reorder suggestions are withheld: %s", withheld)
    return ForecastSummary(
        series_count=models.height,
        rows_count=daily.height,
        skipped_counts=history.selection.skipped_counts,
        fallback_count=models.filter(pl.col("model").is_in(FALLBACK_MODELS)).height,
        overridden_series_count=overridden,
        idle_overrides=idle,
        broken_count=broken.height,
        withheld_reason=withheld,
        checks=checks,
        weekly_qty=_weekly(daily, as_of),
        seconds=round(time.monotonic() - began, 3),
    )


def read_overrides(conn: duckdb.DuckDBPyConnection, *, as_of: date, days: int) -> pl.DataFrame:
    """What people expect for the coming days, as `overrides_by_day` gives it, with kind, reason and author."""
    overrides = conn.sql("SELECT * FROM meta.forecast_overrides ORDER BY created_at, override_id").pl()
    by_day = overrides_by_day(overrides, first=as_of + timedelta(days=1), days=days)
    return by_day.join(overrides.select("override_id", "reason", "author"), on="override_id", how="left", maintain_order="left")


def _forecast(conn: duckdb.DuckDBPyConnection, history: DemandHistory, *, as_of: date, settings: Settings) -> pl.DataFrame:
    if history.panel.is_empty():
        logger.info("No series can be forecast: %s", history.selection.skipped_counts)
        return pl.DataFrame(schema=_FORECAST)
    logger.info("forecasting %d series", history.selection.forecastable.height)
    result = forecasting.forecast(
        history.panel, horizon=HORIZON_DAYS, frequency="daily", attributes=history.attributes, calendar=history.calendar, seed=settings.seed
    )
    by_day = read_overrides(conn, as_of=as_of, days=HORIZON_DAYS).drop("reason", "author")
    return override_forecast(result.frame, by_day).select(list(_FORECAST))


def _published_errors(published: pl.DataFrame, panel: pl.DataFrame) -> pl.DataFrame:
    """What was forecast for the recent days beside what came, on days in stock."""
    actual = panel.filter(~pl.col("is_censored")).select(*SERIES_KEY, "demand_date", pl.col("demand_qty").alias("actual_qty"))
    return published.join(actual, on=[*SERIES_KEY, "demand_date"], maintain_order="left")


def _idle_overrides(conn: duckdb.DuckDBPyConnection, daily: pl.DataFrame, as_of: date) -> tuple[str, ...]:
    known = daily.filter(pl.col("statistical_mean_qty").is_not_null()).select(SERIES_KEY).unique()
    idle = read_overrides(conn, as_of=as_of, days=HORIZON_DAYS).join(known, on=SERIES_KEY, how="anti")
    rows = idle.select("override_id", *SERIES_KEY).unique().sort("override_id").iter_rows()
    return tuple(f"override {override_id} of {sku} at {location_id}" for override_id, sku, location_id in rows)


def _fallback_rate(models: pl.DataFrame, selection: SeriesSelection) -> float:
    """Share of series with a fallback, or left out because they are young; 0 where none is forecast and so none can be ordered by."""
    young_count = selection.skipped_counts.get(TOO_YOUNG, 0)
    fallback_count = models.filter(pl.col("model").is_in(FALLBACK_MODELS)).height
    return (fallback_count + young_count) / (models.height + young_count) if models.height else 0.0


def _total(recent: pl.DataFrame) -> Errors:
    has_band = pl.col("demand_p10_qty").is_not_null()
    in_band = pl.col("actual_qty").is_between("demand_p10_qty", "demand_p90_qty")
    sums = recent.select(
        pl.col("demand_date").min().alias("first_date"),
        pl.col("demand_date").max().alias("last_date"),
        pl.col("demand_date").n_unique(),
        pl.col("actual_qty").sum(),
        (pl.col("statistical_mean_qty") - pl.col("actual_qty")).sum(),
        has_band.sum(),
        in_band.sum().alias("in_band"),
    )
    return Errors(*sums.row(0))


def _by_series(recent: pl.DataFrame) -> pl.DataFrame:
    return (
        recent.filter(pl.col("demand_p10_qty").is_not_null())
        .group_by(SERIES_KEY)
        .agg(
            pl.len().cast(pl.Int64).alias("band_days_count"),
            (pl.col("actual_qty") < pl.col("demand_p10_qty")).sum().cast(pl.Int64).alias("below_days_count"),
            pl.col("actual_qty").sum().alias("band_actual_qty"),
        )
    )


def _backtest_windows(conn: duckdb.DuckDBPyConnection) -> list[Errors]:
    rows = conn.execute(
        "SELECT cutoff_date + 1, max(until_date), max(until_date) - cutoff_date, sum(actual_qty), sum(error_qty), sum(days_count)::BIGINT, "
        "sum(in_band_days_count)::BIGINT FROM (FROM planning.backtest_weeks ORDER BY ALL) GROUP BY cutoff_date ORDER BY cutoff_date"
    ).fetchall()
    return [Errors(*row) for row in rows]


def _evidence(conn: duckdb.DuckDBPyConnection, panel: pl.DataFrame, models: pl.DataFrame) -> pl.DataFrame:
    """One row per forecast series and one over all, whose key is null: today's model beside what the last backtest says of it."""
    days = [pl.col("is_censored").sum().cast(pl.Int64).alias("censored_days_count"), pl.len().cast(pl.Int64).alias("history_days_count")]
    schema = {name: kind for name, kind in _EVIDENCE.items() if name in models.columns}
    overall = pl.DataFrame({"sku": [None], "location_id": [None], "model": [MODEL], "fallback_reason": [None]}, schema=schema)
    rows = pl.concat(
        [overall.join(panel.select(days), how="cross"), models.join(panel.group_by(SERIES_KEY).agg(days), on=SERIES_KEY, how="left")]
    )
    scores = conn.sql("SELECT s.*, r.as_of_date AS backtest_date FROM planning.backtest_series AS s, planning.backtest_run AS r").pl()
    if models.is_empty():
        return pl.DataFrame(schema=_EVIDENCE)
    return (
        rows.join(scores, on=SERIES_KEY, how="left", nulls_equal=True)
        .select(pl.col(name).cast(kind) for name, kind in _EVIDENCE.items())
        .sort(SERIES_KEY, nulls_last=False)
    )


def _weekly(daily: pl.DataFrame, as_of: date) -> tuple[float, ...]:
    week = (pl.col("demand_date") - pl.lit(as_of + timedelta(days=1))).dt.total_days() // 7
    return tuple(daily.group_by(week.alias("week")).agg(pl.col("demand_mean_qty").sum()).sort("week")["demand_mean_qty"].to_list())
