"""How a suggestion reads on the command line."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from pipelines.cli.reading import recommendation_lines

ROW: dict[str, Any] = {
    "rec_id": "3f2a9c0d1b7e4c55", "status": "proposed", "kind": "purchase", "sku": "A-1", "location_id": "L1", "source_location_id": None,
    "recommended_qty": 240, "unit_cost": Decimal("8.0000"), "currency_code": "EUR", "basis": "{}",
    "order_by": date(2026, 11, 20), "priority_score": 500.0, "cost_if_ignored_p50": Decimal("0.0000"), "reason": "Out of stock.",
    "model": "pooled_ensemble", "wape_rate": 0.31, "naive_wape_rate": 0.43, "windows_count": 6, "backtest_date": date(2026, 11, 18),
}  # fmt: skip


@pytest.mark.parametrize(
    ("p90", "words"),
    [
        (Decimal("2240.0000"), "at risk EUR 500, up to EUR 2,240"),
        # a loss that is rare and large: nine cases of ten lose less than the average
        (Decimal("0.0000"), "at risk EUR 500"),
        (None, "at risk EUR 500 at unit cost (no margin is known)"),
    ],
)
def test_at_risk_is_what_waiting_is_expected_to_lose(p90: Decimal | None, words: str) -> None:
    console = Console(width=200)

    with console.capture() as capture:
        recommendation_lines(console, [ROW | {"cost_if_ignored_p90": p90}])

    assert capture.get().splitlines()[:2] == [f"3f2a9c0d  A-1 at L1: order 240 by 2026-11-20 for EUR 1,920; {words}", "  Out of stock."]


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (
            {},
            "Daily forecasts were off by 31 % (WAPE), seasonal naive by 43 % "
            "(6 cut-offs, tested with the data of 2026-11-18, pooled_ensemble).",
        ),
        ({"wape_rate": None}, "Its forecast could not be tested: the history is too short or holds no demand."),
    ],
)
def test_a_suggestion_says_how_good_its_forecast_has_been(evidence: dict[str, Any], words: str) -> None:
    console = Console(width=200)

    with console.capture() as capture:
        recommendation_lines(console, [ROW | {"cost_if_ignored_p90": None} | evidence])

    assert capture.get().splitlines()[2] == f"  {words}"
