"""Demand, its forecasts and their evidence as assets; what judges the forecasts as checks on them."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from pipelines.defs.automation import PLANS
from pipelines.defs.reporting import announced, sparkline, summary_metadata, table
from pipelines.defs.resources import DAILY, WAREHOUSE_POOL, Platform
from pipelines.steps.backtest import BacktestSummary, backtest_forecasts
from pipelines.steps.forecast import ForecastSummary, forecast_demand
from pipelines.steps.panel import PanelSummary, gather_panel

DEMAND_SERIES = dg.AssetKey(["planning", "demand_series"])
BACKTEST_WEEKS = dg.AssetKey(["planning", "backtest_weeks"])
FORECAST_DAILY = dg.AssetKey(["planning", "forecast_daily"])
BACKTEST_SCORES = dg.AssetKey(["planning", "backtest_scores"])
# Not blocking in Dagster's sense: the step recommend reads the verdict and proposes nothing, while everything else is published.
_ON_FAILURE = "Where it fails, reorder suggestions are withheld and say why; docs/methods/forecast-checks.md has the limits."
CHECKS = ("bias_drift", "coverage_drift", "fallback_share")
_MARTS = [dg.AssetKey(["marts", name]) for name in ("fct_demand_daily", "fct_stock_daily", "fct_promotion_days", "dim_products")]


def _spec(key: dg.AssetKey, description: str, deps: list[dg.AssetKey]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=deps,
        description=description,
        group_name="planning",
        kinds={"python", "polars"},
        freshness_policy=DAILY,
        automation_condition=PLANS,
    )


@dg.multi_asset(
    name="panel",
    specs=[_spec(DEMAND_SERIES, "Every series that ever sold: its history, or why it is not forecast.", _MARTS)],
    pool=WAREHOUSE_POOL,
)
def panel(platform: Platform) -> Iterator[dg.MaterializeResult[None]]:
    """Demand is gathered per item and location, and who cannot be forecast is told."""
    with announced("panel", platform.settings()) as cost, platform.warehouse() as conn:
        summary = gather_panel(conn)
    yield dg.MaterializeResult(
        asset_key=DEMAND_SERIES,
        metadata=_facts(summary, summary.series_count + sum(summary.skipped_counts.values()))
        | cost.metadata()
        | {"chart": _demand_chart(summary)},
    )


class BacktestConfig(dg.Config):
    """What a run may be told: to test forecasts whatever the age of the evidence."""

    tests_anew: bool = False


@dg.multi_asset(
    name="backtest",
    specs=[
        _spec(
            BACKTEST_WEEKS,
            "What forecasts would have been off by on past cut-offs, beside seasonal naive; tested again after seven as-of days.",
            [DEMAND_SERIES, *_MARTS],
        )
    ],
    pool=WAREHOUSE_POOL,
)
def backtest(config: BacktestConfig, platform: Platform) -> Iterator[dg.MaterializeResult[None]]:
    """Forecasts are tested on the past, where the evidence is a week old or the run is told to."""
    with announced("backtest", platform.settings()) as cost, platform.warehouse() as conn:
        summary = backtest_forecasts(conn, tests_anew=config.tests_anew)
    yield dg.MaterializeResult(
        asset_key=BACKTEST_WEEKS, metadata=_facts(summary, summary.rows_count) | cost.metadata() | {"chart": _backtest_chart(summary)}
    )


@dg.multi_asset(
    name="forecast",
    specs=[
        _spec(
            FORECAST_DAILY,
            "Daily demand per item and location with its 10 %, 50 % and 90 % quantiles, as forecast and as people expect it.",
            [DEMAND_SERIES, BACKTEST_WEEKS, *_MARTS],
        ),
        _spec(BACKTEST_SCORES, "Each forecast's model beside its score in the last backtest.", [DEMAND_SERIES, BACKTEST_WEEKS, *_MARTS]),
    ],
    check_specs=[dg.AssetCheckSpec(name, asset=FORECAST_DAILY, description=_ON_FAILURE) for name in CHECKS],
    pool=WAREHOUSE_POOL,
)
def forecast(platform: Platform) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Demand is forecast per item and location, and judged before anything is ordered by it."""
    with announced("forecast", platform.settings()) as cost, platform.warehouse() as conn:
        summary = forecast_demand(conn, settings=platform.settings())
    facts = _facts(summary, summary.rows_count) | cost.metadata()
    yield dg.MaterializeResult(asset_key=FORECAST_DAILY, metadata=facts | {"chart": _forecast_chart(summary)})
    yield dg.MaterializeResult(asset_key=BACKTEST_SCORES, metadata=summary_metadata(summary))
    for check in summary.checks:
        measured = {
            name: value
            for name in ("measured_rate", "usual_rate", "limit_rate", "basis", "reason")
            if (value := getattr(check, name)) is not None
        }
        yield dg.AssetCheckResult(
            asset_key=FORECAST_DAILY,
            check_name=check.check_name,
            passed=check.is_passed,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata=measured,
        )


def _facts(summary: PanelSummary | BacktestSummary | ForecastSummary, rows_count: int) -> dict[str, Any]:
    """What the summary says, and the table's rows where Dagster draws them run by run."""
    return summary_metadata(summary) | {"dagster/row_count": rows_count}


def _demand_chart(summary: PanelSummary) -> dg.MarkdownMetadataValue:
    weeks = f"{sparkline(summary.weekly_qty)} units a week, the last {len(summary.weekly_qty)} weeks"
    left_out = table(("left out because", "series"), [(kind, f"{count:,}") for kind, count in summary.skipped_counts.items()])
    return dg.MetadataValue.md(f"{weeks}\n\n{left_out}")


def _backtest_chart(summary: BacktestSummary) -> dg.MarkdownMetadataValue:
    rows = [
        (one.model, *(_percent(rate) for rate in (one.wape_rate, one.fva_rate, one.bias_rate, one.band_coverage_rate)))
        for one in summary.models
    ]
    scores = table(("model", "WAPE", "FVA", "bias", "p10-p90 held"), rows)
    windows = f"WAPE by window, oldest first: {sparkline(summary.wape_by_window)} {_each(summary.wape_by_window)}"
    covered = f"p10-p90 held by window: {sparkline(summary.coverage_by_window)} {_each(summary.coverage_by_window)}"
    return dg.MetadataValue.md(f"{summary.why}; tested on {summary.backtest_date}.\n\n{scores}\n\n{windows}\n\n{covered}")


def _forecast_chart(summary: ForecastSummary) -> dg.MarkdownMetadataValue:
    weeks = f"{sparkline(summary.weekly_qty)} units a week ahead"
    rows = [
        (check.check_name, "passed" if check.is_passed else "failed", _percent(check.measured_rate), _percent(check.limit_rate))
        for check in summary.checks
    ]
    return dg.MetadataValue.md(f"{weeks}\n\n{table(('check', 'result', 'measured', 'limit'), rows)}")


def _each(rates: Sequence[float]) -> str:
    return ", ".join(map(_percent, rates))


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"
