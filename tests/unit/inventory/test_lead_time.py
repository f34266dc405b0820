from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from inventory.lead_time import blend_lead_time, lead_times
from inventory.schema import LeadTime


def blended(*, promise: int = 10, own: list[int] | None = None, ratios: list[float] | None = None) -> LeadTime:
    return blend_lead_time(promise_days=promise, own=np.array(own or [], dtype=float), supplier_ratios=np.array(ratios or [], dtype=float))


def test_a_supplier_never_seen_is_taken_at_its_word() -> None:
    found = blended(promise=14)

    assert set(found.sample.tolist()) == {14}
    assert found.basis == "0 receipts of the item, 0 of the supplier, promise 14 days"


def test_an_item_never_received_takes_the_suppliers_punctuality() -> None:
    found = blended(promise=20, ratios=[1.5] * 95)

    assert found.quantile(0.5) == 30
    assert (found.sample == 20).mean() == 0.05


def test_many_receipts_of_the_item_outweigh_promise_and_supplier() -> None:
    found = blended(promise=10, own=[15, 16, 17] * 50, ratios=[1.0] * 50)

    assert found.quantile(0.5) == 16
    assert found.quantile(0.99) == 17


def test_a_lead_time_of_nothing_is_accepted_with_a_note() -> None:
    found = blended(promise=0)

    assert found.quantile(0.95) == 0
    assert found.note == "The supplier promises a lead time of 0 days."


@given(st.lists(st.integers(0, 90), max_size=40), st.integers(0, 90), st.floats(0.01, 0.99))
def test_quantiles_lie_between_promise_and_receipts_and_do_not_fall(own: list[int], promise: int, level: float) -> None:
    found = blended(promise=promise, own=own)

    assert min([promise, *own]) <= found.quantile(level) <= max([promise, *own])
    assert found.quantile(level) <= found.quantile(0.99)
    assert len(found.sample) == 200


def test_the_order_of_receipts_of_a_day_changes_nothing() -> None:
    terms = pl.DataFrame({"supplier_id": ["s", "s", "s"], "sku": ["a", "b", "none"], "lead_time_days": [10, 5, None]})
    receipts = pl.DataFrame(
        {"supplier_id": "s", "sku": ["a", "b", "a", "b"], "received_date": [date(2025, 1, 1)] * 4, "lead_time_days": [12, 6, 14, 9]}
    )

    first, second = lead_times(terms, receipts), lead_times(terms, receipts.reverse())

    assert set(first) == {("s", "a"), ("s", "b")}
    assert all(np.array_equal(first[key].sample, second[key].sample) for key in first)
