from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from dashboards.components import cash_panel, supplier_card, supplier_panel
from dashboards.filters import Filters
from dashboards.queries import releases, suppliers
from dashboards.queries.releases import Served
from pipelines.stores.releases import current_release
from tests.dashboards.example_release import AS_OF, Merchant
from tests.resealing import reseal

Publish = Callable[[Merchant], None]


def supplier(name: str, promised: float | None, usual: float | None, most: float | None) -> dict[str, Any]:
    gaps = (None, None) if promised is None or usual is None or most is None else (usual - promised, most - promised)
    return {
        "supplier": name, "promised_days": promised, "actual_p50_days": usual, "actual_p90_days": most, "gap_p50_days": gaps[0],
        "gap_p90_days": gaps[1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "title"),
    [
        (
            [supplier("A", 5.0, 7.0, 9.0), supplier("B", 10.0, 10.0, 16.0), supplier("C", None, 3.0, 4.0)],
            "1 of 2 suppliers usually take longer than promised; reckon with 6.0 days more at B",
        ),
        ([supplier("A", 9.0, 7.0, 8.0)], "0 of 1 supplier usually take longer than promised; nine in ten lines of each are there in time"),
        ([supplier("A", None, None, None)], "No delivery of the period has both a promise and a receipt"),
    ],
)
def test_promises_are_told_in_one_sentence(rows: list[dict[str, Any]], title: str) -> None:
    frame = pl.DataFrame(rows, schema={"supplier": pl.String} | dict.fromkeys(list(rows[0])[1:], pl.Float64))

    assert supplier_panel.promise_title(frame) == title


def test_lateness_says_how_many_were_late_and_by_how_much() -> None:
    rows = pl.DataFrame({"days_late": [-2, 0, 1, 4, 9], "lines_count": [30, 5, 5, 4, 3]})

    assert supplier_card.lateness_title(rows) == "12 of 47 lines came after the promise, half of these by 4 days or more"
    assert supplier_card.lateness_title(rows.head(2)) == "None of 35 lines came after the promise"


def agreement(name: str, *, is_running: bool, share: float | None) -> dict[str, Any]:
    return {
        "supplier": name, "is_running": is_running, "rebate_reporting_amount": Decimal("2500.00"), "left_days": 61,
        "next_rebate_rate": None if share is None else 0.02,
        "next_tier_distance_reporting_amount": None if share is None else Decimal("17156.00"), "next_tier_share_rate": share,
        "currency_code": "EUR",
    }  # fmt: skip


def test_rebates_say_what_has_accrued_and_whose_next_tier_is_nearest() -> None:
    rows = pl.DataFrame(
        [
            agreement("A", is_running=True, share=0.6),
            agreement("B", is_running=True, share=0.9),
            agreement("C", is_running=False, share=0.99),
        ]
    )

    assert supplier_panel.rebate_title(rows) == (
        "EUR 5,000 of rebates have accrued under 2 running agreements; B is EUR 17,156 short of 2.0 %, with 61 days left"
    )
    assert supplier_panel.rebate_title(rows.tail(1)) == "No rebate agreement with a supplier runs"


def test_ageing_says_how_much_is_past_due_and_how_much_is_oldest() -> None:
    rows = pl.DataFrame(
        {
            "band_order": [1, 2, 5], "age_band": ["not due", "1-30 days", "91 days and more"],
            "outstanding_reporting_amount": [Decimal(500), Decimal(100), Decimal(400)], "outstanding_rate": [0.5, 0.1, 0.4],
            "currency_code": ["EUR"] * 3,
        }
    )  # fmt: skip

    assert cash_panel.ageing_title(rows) == "50.0 % of the EUR 1,000 that customers owe is past due; EUR 400 of it 91 days and more"
    assert cash_panel.ageing_title(rows.head(1)) == "Customers owe EUR 500, and nothing is past due"


@pytest.fixture
def served(home: Path, publish_for: Publish) -> Served:
    """A release with a handful of order lines to two suppliers, and of invoices."""
    publish_for(Merchant())
    release = current_release(home / "releases")
    assert release is not None
    with duckdb.connect(str(release.path)) as conn:
        conn.execute(_MARTS.format(as_of=AS_OF))
    reseal(release.path)
    found = releases.served()
    assert found is not None
    return found


def test_receipts_are_counted_by_days_against_their_promise(served: Served) -> None:
    everybody = suppliers.lateness(served, Filters(days=28))
    of_one = suppliers.lateness(served, Filters(days=28), supplier_id="S1")
    elsewhere = suppliers.lateness(served, Filters(days=28, location=("L2",)))

    # the one that took 40 days longer stands in the last bar; what was called off and what came before the period in none
    assert everybody.rows() == [(-1, 1), (0, 1), (suppliers.LATENESS_BOUND, 1)]
    assert of_one.rows() == [(-1, 1), (0, 1)]
    assert elsewhere.rows() == [(suppliers.LATENESS_BOUND, 1)]


def test_what_is_overdue_is_listed_with_what_is_still_to_come(served: Served) -> None:
    rows = suppliers.open_late_lines(served, Filters())

    assert rows.select("po_line_id", "supplier", "location", "open_qty", "overdue_days", "lines_count").rows() == [
        ("P5", "Supplier two", "North", 6, 9, 1)
    ]


def test_invoices_past_due_are_listed_by_amount_and_counted_whole(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppliers, "MOST_INVOICES", 1)

    rows = suppliers.overdue_invoices(served, Filters())

    assert rows.select("invoice_id", "overdue_days", "overdue_reporting_amount").rows() == [("I2", 40, 120.0)]
    assert rows.select("invoices_count", "overdue_total_amount", "unvalued_invoices_count").rows() == [(3, 150.0, 1)]
    assert suppliers.overdue_invoices(served, Filters(channel=("store",)))["invoice_id"].to_list() == ["I1"]


_MARTS = """
    create table marts.fct_purchase_receipts as
    select supplier_id, po_line_id, 'A-1' as sku, location_id, ordered_qty::bigint as ordered_qty, received_qty::bigint as received_qty,
        date '{as_of}' + expected::int as expected_date, date '{as_of}' + received::int as received_date, promised::bigint as promised_days,
        took::bigint as lead_time_days, is_open, is_cancelled, 'given' as promise_basis
    from (values
        ('S1', 'P1', 'L1', 10, 10, -5, -5, 7, 7, false, false), ('S1', 'P2', 'L1', 10, 10, -5, -6, 7, 6, false, false),
        ('S2', 'P3', 'L2', 10, 10, -45, -5, 7, 47, false, false), ('S2', 'P4', 'L1', 10, 10, -5, -4, 7, 8, false, true),
        ('S2', 'P5', 'L1', 10, 4, -9, null, 7, null, true, false), ('S2', 'P6', 'L1', 10, 0, 3, null, 7, null, true, false),
        ('S1', 'P7', 'L1', 10, 10, -60, -50, 7, 17, false, false)
    ) as t(supplier_id, po_line_id, location_id, ordered_qty, received_qty, expected, received, promised, took, is_open, is_cancelled);
    create table marts.fct_invoices as
    select invoice_id, invoice_id || '-order' as order_id, channel_id, 'L1' as location_id, 'EUR' as currency_code, is_overdue,
        date '{as_of}' - days::int - 30 as issued_date, date '{as_of}' - days::int as due_date, amount::bigint as outstanding_reporting_amount
    from (values ('I1', 'store', 3, 3000, true), ('I2', 'web', 40, 12000, true), ('I3', 'web', -5, 9000, false), ('I4', 'web', 8, null, true))
        as t(invoice_id, channel_id, days, amount, is_overdue);
"""
