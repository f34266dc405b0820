from datetime import date
from typing import Any

import polars as pl
import pytest

from pipelines.steps.jeopardy_wording import reason_codes, with_reasons

PLAIN: dict[str, Any] = {
    "stage": 3, "stage_hours": 30.0, "short_qty": 0, "inbound_gap_days": None, "inbound_date": None, "is_held": False, "backlog_days": 1.0,
    "location_id": "DC", "carrier": None, "promise_kind": "ship", "due_date": date(2026, 11, 3),
}  # fmt: skip
SHORT = {"short_qty": 2, "inbound_gap_days": 4, "inbound_date": date(2026, 11, 7)}
TYPES = {"inbound_gap_days": pl.Int64, "inbound_date": pl.Date, "carrier": pl.String}


@pytest.mark.parametrize(
    ("facts", "reason", "owner"),
    [
        ({**SHORT, "is_held": True}, "Payment is held.", "payments"),
        (SHORT, "The shelf at DC lacks 2 units; inbound is due on 2026-11-07, after the promise.", "purchasing"),
        ({"short_qty": 1}, "The shelf at DC lacks 1 unit, and no inbound is known.", "purchasing"),
        ({}, "Released 30 hours ago and not shipped.", "warehouse"),
        ({"stage": 5, "stage_hours": 75.0, "carrier": "Carrier B"}, "On its way for 3 days with Carrier B.", "carrier"),
        ({"stage": 5, "promise_kind": "broken"}, "The promise was for 2026-11-03 and is broken. On its way for 30 hours.", "carrier"),
    ],
)
def test_the_strongest_cause_is_told_with_who_can_do_something(facts: dict[str, Any], reason: str, owner: str) -> None:
    rows = pl.DataFrame([PLAIN | facts], schema_overrides=TYPES)

    told = with_reasons(rows.with_columns(reason_codes(rows, None)))

    assert told.select("reason", "owner").rows() == [(reason, owner)]
