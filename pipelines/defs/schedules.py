"""The one job, and when it runs."""

from __future__ import annotations

import dagster as dg

JOB_NAME = "ordercast"

job = dg.define_asset_job(
    JOB_NAME,
    selection=dg.AssetSelection.all(),
    description="From what changed in the operational store to proposals that stand in it.",
)

daily = dg.ScheduleDefinition(
    name="daily",
    job=job,
    cron_schedule="30 4 * * *",
    description="Daily at 04:30 UTC; off until switched on in the UI. West of UTC-4 choose a later hour, after the local day has closed.",
)
