"""Everything Dagster is to know."""

from __future__ import annotations

import dagster as dg

from pipelines.defs import (
    compare_days,
    customer_values,
    forecast,
    ingest,
    jeopardy,
    publish,
    recommend,
    schedules,
    transform,
    upkeep,
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
        write_back.proposals,
    ],
    jobs=[schedules.job, upkeep.upkeep],
    schedules=[schedules.daily, upkeep.daily_upkeep],
    resources={"platform": Platform()},
)
