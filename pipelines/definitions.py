"""Everything Dagster is to know."""

from __future__ import annotations

import dagster as dg

from pipelines.defs import (
    alerts,
    backfill,
    compare_days,
    customer_values,
    forecast,
    ingest,
    jeopardy,
    publish,
    recommend,
    schedules,
    sensors,
    transform,
    upkeep,
    watch_runs,
    write_back,
)
from pipelines.defs.resources import Platform

defs = dg.Definitions(
    assets=[
        ingest.shop,
        transform.models,
        compare_days.day_checks,
        forecast.panel,
        forecast.backtest,
        forecast.forecast,
        recommend.recommendations,
        customer_values.customer_values,
        jeopardy.jeopardy,
        publish.release,
        alerts.raised,
        write_back.proposals,
        backfill.days_read_anew,
    ],
    jobs=[schedules.job, schedules.refresh, schedules.backfill, upkeep.upkeep],
    schedules=[schedules.daily, schedules.weekly, upkeep.hourly_upkeep],
    sensors=[sensors.changes, watch_runs.run_failed, watch_runs.run_succeeded, watch_runs.what_is_late],
    resources={"platform": Platform()},
)
