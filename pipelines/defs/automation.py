"""When each asset is brought up to date, in words that Dagster's pages show beside it."""

from __future__ import annotations

from typing import Final

import dagster as dg

from pipelines.settings import load_settings

_ZONE: Final = load_settings().time_zone or "UTC"
DAILY_AT: Final = "30 4"  # minute and hour of the whole run, as cron writes them

# A run is whole or a refresh, never an asset alone: publishing refuses what another run ingested. So only what is read from the store asks
# by itself, and everything else follows in the same run; what the schedules and the sensor bring up to date asks for nothing.
READ_FROM_THE_STORE: Final = dg.AutomationCondition.cron_tick_passed(f"{DAILY_AT} * * *", cron_timezone=_ZONE).with_label(
    f"Daily at 04:30 ({_ZONE}) by the whole run, and between by a refresh whenever the store has changed"
)
_FOLLOWS: Final = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())
FIGURES: Final = _FOLLOWS.with_label("With every whole run and every refresh, after what it is computed from")
PLANS: Final = _FOLLOWS.with_label("With every whole run, after what it is computed from; a refresh leaves it as it is")
