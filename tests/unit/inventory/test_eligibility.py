from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.eligibility import judge_items, preferred_suppliers
from pipelines.faults.planning import BY_KIND

SCHEMA = {
    "sku": pl.String, "location_id": pl.String, "is_active": pl.Boolean, "is_location_active": pl.Boolean, "on_hand_qty": pl.Int64,
    "supplier_id": pl.String, "preferred_count": pl.Int64, "lead_time_days": pl.Int64, "unit_cost_amount": pl.Int64,
    "currency_code": pl.String, "min_order_qty": pl.Int64, "order_multiple": pl.Int64, "max_order_qty": pl.Int64, "forecast_reason": pl.String,
}  # fmt: skip
FINE: dict[str, Any] = {
    "sku": "a", "location_id": "main", "is_active": True, "is_location_active": True, "on_hand_qty": 5, "supplier_id": "s",
    "preferred_count": 1, "lead_time_days": 7, "unit_cost_amount": 100, "currency_code": "EUR", "min_order_qty": 1, "order_multiple": 1,
    "max_order_qty": None, "forecast_reason": None,
}  # fmt: skip


def judged(*, is_pack_size_known: bool = True, **changes: Any) -> dict[str, Any]:
    return judge_items(pl.DataFrame([{**FINE, **changes}], schema=SCHEMA), is_pack_size_known=is_pack_size_known).row(0, named=True)


CASES: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"is_active": False}, "Item is inactive or discontinued."),
    ({"is_location_active": False}, "Location is inactive."),
    ({"on_hand_qty": None}, "No stock level for this item at this location."),
    ({"supplier_id": None, "preferred_count": None}, "No supplier sells this item."),
    ({"preferred_count": 2}, "2 suppliers share the first priority; give one of them a lower number."),
    ({"currency_code": None}, "The supplier's price has no currency."),
    ({"unit_cost_amount": None}, "The supplier's price is missing."),
    ({"lead_time_days": None}, "The supplier's lead time is missing."),
    ({"lead_time_days": -2}, "The supplier's lead time of -2 days is negative."),
    ({"lead_time_days": 0}, None),
    ({"order_multiple": None}, "The pack size is missing."),
    ({"order_multiple": 0}, "A pack size of 0 cannot be ordered."),
    ({"max_order_qty": 11, "min_order_qty": 12}, "At most 11 can be ordered, and the smallest order is 12."),
    ({"max_order_qty": 20, "min_order_qty": 12, "order_multiple": 10}, None),
    ({"forecast_reason": "Sold on 2 days only, 5 are needed."}, "No forecast: Sold on 2 days only, 5 are needed."),
]


@pytest.mark.parametrize(("changes", "expected"), CASES)
def test_what_stands_in_the_way_of_an_order_is_named(changes: dict[str, Any], expected: str | None) -> None:
    assert judged(**changes)["exclusion_reason"] == expected


def test_every_kind_of_reason_has_its_code_and_a_case() -> None:
    kinds = {judged(**changes)["exclusion_kind"] for changes, expected in CASES if expected is not None}

    assert kinds == set(BY_KIND)


def test_without_pack_sizes_in_the_source_a_pack_is_one_unit() -> None:
    row = judged(is_pack_size_known=False, order_multiple=None)

    assert (row["order_multiple"], row["exclusion_reason"]) == (1, None)


@pytest.mark.parametrize("minimum", [None, 0])
def test_no_minimum_is_a_minimum_of_one(minimum: int | None) -> None:
    assert judged(min_order_qty=minimum)["min_order_qty"] == 1


def test_the_lowest_priority_number_is_preferred_and_a_missing_one_comes_last() -> None:
    items = pl.DataFrame(
        {"supplier_id": ["x", "y", "z", "x", "y"], "sku": ["a", "a", "a", "b", "b"], "priority": [None, 2, 1, None, None]},
        schema_overrides={"priority": pl.Int64},
    )

    best = preferred_suppliers(items).select("sku", "supplier_id", "preferred_count").rows()

    assert best == [("a", "z", 1), ("b", "x", 2)]


@given(st.permutations([("x", 3), ("y", 1), ("z", 1), ("w", 2)]))
def test_the_order_of_suppliers_changes_nothing(rows: list[tuple[str, int]]) -> None:
    items = pl.DataFrame(
        [(supplier, "a", priority) for supplier, priority in rows], schema=["supplier_id", "sku", "priority"], orient="row"
    )

    assert preferred_suppliers(items)["supplier_id"].to_list() == ["y"]
