"""The jobs, and when they run."""

from __future__ import annotations

from typing import Final

import dagster as dg

from pipelines.defs.alerts import raised
from pipelines.defs.automation import DAILY_AT
from pipelines.defs.backfill import days_read_anew
from pipelines.defs.ingest import shop
from pipelines.defs.publish import release
from pipelines.defs.transform import models
from pipelines.settings import load_settings

JOB_NAME: Final = "ordercast"
REFRESH_JOB_NAME: Final = "refresh"
BACKFILL_JOB_NAME: Final = "backfill"
REFRESH_CONFIG: Final = {"ops": {"ingest": {"config": {"is_refresh": True}}}}

# Once, from its first step: publishing refuses what another run has read. Refreshes are asked for again by their sensor.
REPEATED_IF_KILLED: Final = {"dagster/max_retries": "1", "dagster/retry_strategy": "ALL_STEPS"}

_SETTINGS: Final = load_settings()
_ZONE: Final = _SETTINGS.time_zone or "UTC"
_SWITCH: Final = "It is on." if _SETTINGS.runs_by_itself else "Off until switched on here, or by ORDERCAST_RUNS_BY_ITSELF."
IS_ON: Final = _SETTINGS.runs_by_itself

job = dg.define_asset_job(
    JOB_NAME,
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(days_read_anew),
    executor_def=dg.in_process_executor,  # a process per step would take longer to start than most steps take
    tags=REPEATED_IF_KILLED,
    description="The whole run: from what changed in the operational store to proposals that stand in it.",
)

refresh = dg.define_asset_job(
    REFRESH_JOB_NAME,
    selection=dg.AssetSelection.assets(shop, models, release, raised),
    config=REFRESH_CONFIG,
    executor_def=dg.in_process_executor,
    description="Figures follow what changed in the operational store; plans and suggestions stay those of the last whole run.",
)

backfill = dg.define_asset_job(
    BACKFILL_JOB_NAME,
    selection=dg.AssetSelection.assets(days_read_anew),
    executor_def=dg.in_process_executor,
    description="Documents of chosen days are compared with the store, read again where they differ, and their orders computed anew.",
)

# One whole run a day: on its day the weekly one takes the place of the daily one, which would test week-old evidence anew as well.
daily = dg.ScheduleDefinition(
    name="daily",
    job=job,
    cron_schedule=f"{DAILY_AT} * * 1-6",
    execution_timezone=_ZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING if IS_ON else dg.DefaultScheduleStatus.STOPPED,
    description=f"The whole run, at 04:30 ({_ZONE}) of every day but Sunday, which is weekly_backtest's. {_SWITCH}"
    + ("" if _SETTINGS.time_zone else " Set ORDERCAST_TIME_ZONE, so that it runs after the local day has closed."),
)

weekly = dg.ScheduleDefinition(
    name="weekly_backtest",
    job=job,
    cron_schedule=f"{DAILY_AT} * * 0",
    execution_timezone=_ZONE,
    run_config={"ops": {"backtest": {"config": {"tests_anew": True}}}},
    default_status=dg.DefaultScheduleStatus.RUNNING if IS_ON else dg.DefaultScheduleStatus.STOPPED,
    description="The whole run with forecasts tested on the past, however old the evidence is: "
    f"Sundays at 04:30 ({_ZONE}), when daily does not run. {_SWITCH}",
)
