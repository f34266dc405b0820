"""What an order's steps say of money."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from inventory.reorder import plan_reorder
from inventory.reorder_decision import Reorder
from inventory.schema import LeadTime, OrderTerms, Position, ReorderPolicy
from pipelines.steps.recommend_planning import ItemPlan
from pipelines.steps.recommend_rows import purchase

AS_OF = date(2026, 10, 31)
POLICY = ReorderPolicy(service_level=0.95, review_period_days=7, holding_cost_rate=0.25)
LEAD = LeadTime(sample=np.array([10]), basis="as promised")
ITEM: dict[str, Any] = {"sku": "A-1", "location_id": "L1", "supplier_id": "S1", "currency_code": "EUR", "stock_version": 1}
ALL_MISSED = "Chance that a unit is missed before an order of the next review arrives: 100 %;"


def if_ignored(*, list_price: int | None, owed: int = 0) -> str:
    """Nothing lies there; each course misses a unit tomorrow, which no order brings back, and 20 of 100 one after the order came."""
    paths = np.zeros((100, 17), dtype=np.float32)
    paths[:, 0] = 1
    paths[:20, 12] = 1
    position, terms = Position(on_hand_qty=0, backorder_qty=owed), OrderTerms(unit_cost_amount=1000, list_price_amount=list_price)
    decision = plan_reorder(paths, position=position, lead_time=LEAD, terms=terms, policy=POLICY, as_of=AS_OF)
    assert isinstance(decision, Reorder)
    suggestion = purchase(ItemPlan(ITEM, position, decision, policy=POLICY), decision, as_of=AS_OF)
    assert suggestion.row["p_stockout_if_ignored"] == pytest.approx(1.0)
    return next(step.note for step in suggestion.steps if step.name == "If ignored")


def test_the_chance_beside_the_money_counts_only_what_this_order_saves() -> None:
    note = if_ignored(list_price=1500)  # a margin of EUR 5, wherever the sale is lost

    assert note == (
        f"{ALL_MISSED} that this order saves a sale or serves one that is owed: 20 %. "
        "What it saves is EUR 0 in the median, at least EUR 5.00 in one case of ten, EUR 1.00 in the mean."
    )


def test_without_a_margin_the_units_that_the_order_saves_are_told() -> None:
    note = if_ignored(list_price=None)

    assert "serves one that is owed: 20 %. It saves about 0.2 units; their margin is not available: needs a list price" in note


def test_an_order_that_serves_what_is_owed_does_so_on_every_course() -> None:
    note = if_ignored(list_price=1500, owed=2)

    assert note.startswith(f"{ALL_MISSED} that this order saves a sale or serves one that is owed: 100 %.")
