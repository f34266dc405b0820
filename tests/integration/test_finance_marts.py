"""Money, suppliers and reconciliation, recounted in Polars from the raw rows of a shop that also sells in francs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pytest

from pipelines.settings import Settings
from pipelines.simulator.merchant import simulate
from pipelines.simulator.scenarios import SCENARIOS
from pipelines.stores.metrics import Metric, catalogue_from_manifest, evaluate
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.warehouse import open_warehouse
from tests.integration.partial_build import transform_only

if TYPE_CHECKING:
    from collections.abc import Iterator

SCENARIO = replace(SCENARIOS["small"], bad_documents=())
NOT_QUOTED = (date(2026, 8, 3), date(2026, 8, 23))  # three weeks without a rate; the last one serves seven days more
ZONE = ZoneInfo(SCENARIO.time_zone)
CENTS = Decimal(100)

# Customers who pay before the invoice, in time, in two parts, in part only, too much, and not at all; orders by their number.
_INVOICES = """
    create temp table billed as
        select order_id, currency, total_price, created_at, cast(substr(order_id, 3) as integer) as number
        from raw.orders where cancelled_at is null and not is_test and total_price > 0 and financial_status = 'paid';
    insert into raw.invoices by name
        select 'I' || order_id as invoice_id, order_id, created_at + interval 30 hour as issued_at, created_at + interval 15 day as due_at, total_price as amount
        from billed;
    insert into raw.payments by name
        select 'P1' || order_id as payment_id, 'I' || order_id as invoice_id,
            created_at + case number % 6 when 0 then interval 1 hour else to_days(3 + number % 40) end as paid_at,
            cast(case number % 6 when 2 then total_price * 0.3 when 3 then total_price * 0.6 when 4 then total_price + 2 else total_price end as decimal(18, 4)) as amount
        from billed where number % 6 <> 5
        union all
        select 'P2' || order_id, 'I' || order_id, created_at + to_days(50), total_price - cast(total_price * 0.3 as decimal(18, 4))
        from billed where number % 6 = 2;
"""


def _prepare(conn: duckdb.DuckDBPyConnection) -> None:
    """The simulated shop with every tenth order in francs, rates with a hole in them, invoices, payments and rebates."""
    merchant = simulate(SCENARIO, seed=3)
    for name, frame in merchant.tables.items():
        conn.register("frame", frame.rename({"customer_id": "customer_key"}, strict=False).to_arrow())
        conn.execute(f"delete from raw.{name}")
        conn.execute(f"insert into raw.{name} by name select * from frame")
        conn.unregister("frame")
    for name in ("invoices", "payments", "rebate_agreements", "fx_rates"):
        conn.execute(f"delete from raw.{name}")
    conn.execute("update raw.orders set currency = 'CHF' where order_id like '%0'")
    conn.execute(
        "update raw.returns set currency = 'CHF' from raw.orders where orders.order_id = returns.order_id and orders.currency = 'CHF'"
    )
    days = [SCENARIO.start + timedelta(days=n) for n in range((SCENARIO.last_day - SCENARIO.start).days + 1)]
    quoted = [(day, 1 + day.day / 1000) for day in days if not NOT_QUOTED[0] <= day <= NOT_QUOTED[1]]
    conn.executemany("insert into raw.fx_rates (rate_date, from_currency, to_currency, rate) values (?, 'CHF', 'EUR', ?)", quoted)
    conn.execute(_INVOICES)
    first = SCENARIO.start
    conn.executemany(
        "insert into raw.rebate_agreements (partner_id, basis, tier_from, rate, valid_from, valid_to) values (?, ?, ?, ?, ?, ?)",
        [
            (partner, basis, tier, rate, first, date(2026, 12, 31))
            for partner, basis in (("SUP-01", "purchase_amount"), ("SUP-02", "purchase_amount"), ("C-000001", "sales_amount"))
            for tier, rate in ((1_000, 0.01), (3_000, 0.025), (1_000_000, 0.05))
        ],
    )
    conn.execute(
        "insert into meta.run_context values ('run', ?, ?, ?, 'Simulated', 'simulator')",
        [SCENARIO.last_day, SCENARIO.time_zone, SCENARIO.currency],
    )
    present = [(table.name, field, True) for table in SOURCE_TABLES.values() for field in table.field_names]
    conn.executemany("insert into meta.source_fields values (?, ?, ?)", present)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict[str, Metric]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    with open_warehouse(settings.warehouse_path) as conn:
        _prepare(conn)
        conn.execute("update raw.orders set total_price = total_price + 5 where order_id = 'O-000101'")
        conn.execute("delete from raw.stock_movements where reference_id = 'S-000050-1'")
        conn.execute("insert into raw.payments select * replace ('again' as payment_id) from raw.payments where payment_id = 'P1O-000103'")
    result = transform_only(settings, "marts.finance", "marts.suppliers", "marts.quality")
    return settings, catalogue_from_manifest(json.loads(result.manifest_path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def conn(built: tuple[Settings, dict[str, Metric]]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(built[0].warehouse_path), read_only=True) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def catalogue(built: tuple[Settings, dict[str, Metric]]) -> dict[str, Metric]:
    return built[1]


def local_day(column: str) -> pl.Expr:
    return pl.col(column).dt.replace_time_zone("UTC").dt.convert_time_zone(SCENARIO.time_zone).dt.date()


def rate_on(day: date) -> float | None:
    """Francs to euros: the day's rate, or in the hole the last one for a week."""
    quoted = min(day, NOT_QUOTED[0] - timedelta(days=1)) if day <= NOT_QUOTED[1] else day
    return 1 + quoted.day / 1000 if (day - quoted).days <= 7 else None


def euro_cents(amount: Decimal, currency: str, day: date) -> int | None:
    """Half a cent goes away from zero, as money is rounded everywhere."""
    cents = int((amount * CENTS).to_integral_value(rounding="ROUND_HALF_UP"))
    if currency == "EUR":
        return cents
    rate = rate_on(day)
    return None if rate is None else int(Decimal(cents * rate).to_integral_value(rounding="ROUND_HALF_UP"))


def billed(conn: duckdb.DuckDBPyConnection) -> list[tuple[str, str, date, date, Decimal]]:
    """invoice_id, currency, local day of issue, last day to pay, amount; issued by as-of."""
    rows = conn.sql(
        "select invoice_id, currency, issued_at, due_at, amount from raw.invoices join raw.orders using (order_id) order by all"
    ).pl()
    return list(rows.with_columns(local_day("issued_at"), local_day("due_at")).filter(pl.col("issued_at") <= SCENARIO.last_day).iter_rows())


def test_sales_in_francs_are_worth_their_days_rate_or_nothing(conn: duckdb.DuckDBPyConnection) -> None:
    lines = conn.sql(
        "select order_line_id, currency, created_at, cast(quantity * unit_price - coalesce(total_discount, 0) as decimal(18, 4)) as net "
        "from raw.order_lines join raw.orders using (order_id) where cancelled_at is null and not is_test"
    ).pl()
    expected = {
        f"sale:{line}": euro_cents(net, currency, day)
        for line, currency, day, net in lines.with_columns(local_day("created_at")).iter_rows()
    }

    found = dict(
        conn.execute("select sales_event_id, net_reporting_amount from marts.fct_sales_events where event_type = 'sale'").fetchall()
    )

    assert found == expected
    assert sum(value is None for value in expected.values()) > 5


def test_gross_sales_are_prices_before_discounts(conn: duckdb.DuckDBPyConnection) -> None:
    expected = conn.execute(
        "select sum(quantity * unit_price) * 100, sum(total_discount) * 100 from raw.order_lines join raw.orders using (order_id) "
        "where cancelled_at is null and not is_test and currency = 'EUR'"
    ).fetchone()

    found = conn.execute(
        "select sum(gross_reporting_amount), sum(gross_reporting_amount - net_reporting_amount) from marts.fct_sales_events "
        "where currency_code = 'EUR'"
    ).fetchone()

    assert found == expected


def test_a_refund_knows_its_own_day_and_that_of_its_order(conn: duckdb.DuckDBPyConnection) -> None:
    returns = conn.sql(
        "select return_id, refunded_at, orders.created_at from raw.returns join raw.orders using (order_id) "
        "where refunded_at is not null and cancelled_at is null and not is_test"
    ).pl()
    days = returns.with_columns(local_day("refunded_at"), local_day("created_at"))
    expected = {f"refund:{return_id}-1": (refunded, ordered) for return_id, refunded, ordered in days.iter_rows()}

    rows = conn.execute("select sales_event_id, event_date, order_date from marts.fct_sales_events where event_type = 'refund'").fetchall()

    assert {event: (event_date, order_date) for event, event_date, order_date in rows} == expected


def test_average_order_value_divides_by_orders(conn: duckdb.DuckDBPyConnection) -> None:
    orders = conn.execute(
        "select count(distinct order_id) from raw.orders join raw.order_lines using (order_id) where cancelled_at is null and not is_test"
    ).fetchone()

    counted = conn.execute("select count_if(is_first_line_of_order) from marts.fct_sales_events").fetchone()

    assert counted == orders


@pytest.mark.parametrize("day", [SCENARIO.last_day, SCENARIO.last_day - timedelta(days=45), NOT_QUOTED[1]])
def test_receivables_are_what_was_invoiced_and_not_yet_paid(conn: duckdb.DuckDBPyConnection, day: date) -> None:
    paid: dict[str, Decimal] = {}
    payments = conn.sql("select invoice_id, paid_at, amount from raw.payments").pl().with_columns(local_day("paid_at"))
    for invoice_id, _, amount in payments.filter(pl.col("paid_at") <= day).iter_rows():
        paid[invoice_id] = paid.get(invoice_id, Decimal(0)) + amount
    owed = overdue = partly = 0
    for invoice_id, currency, issued, due, amount in billed(conn):
        open_amount = max(amount - paid.get(invoice_id, Decimal(0)), Decimal(0))
        value = euro_cents(open_amount, currency, issued) if issued <= day else 0
        owed += value or 0
        overdue += (value or 0) if due < day else 0
        partly += currency == "CHF" and 0 < open_amount < amount

    found = conn.execute(
        "select sum(receivable_reporting_amount), sum(overdue_reporting_amount) from marts.fct_receivables_daily where receivable_date = ?",
        [day],
    ).fetchone()

    assert found is not None
    assert found[0] == pytest.approx(owed, abs=partly)  # a part of an invoice in francs is rounded with the part that was paid
    assert found[1] == pytest.approx(overdue, abs=partly)
    assert owed > overdue > 0


def test_order_to_cash_and_what_was_invoiced_equal_a_recount(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    payments = conn.sql(
        "select order_id, o.created_at, i.issued_at, p.paid_at, p.amount, i.amount as asked from raw.payments p "
        "join raw.invoices i using (invoice_id) join raw.orders o using (order_id)"
    ).pl()
    known = payments.with_columns(day=local_day("paid_at"), issued=local_day("issued_at")).filter(
        pl.max_horizontal("day", "issued") <= SCENARIO.last_day
    )
    complete = (
        known.sort("paid_at")
        .with_columns(so_far=pl.col("amount").cum_sum().over("order_id"))
        .filter(pl.col("so_far") >= pl.col("asked"))
        .group_by("order_id")
        .agg(pl.col("paid_at").min(), pl.col("created_at").first(), pl.col("issued_at").first())
    )
    days = complete.select((pl.col("paid_at") - pl.col("created_at")).dt.total_microseconds() / 86_400e6).to_series()
    after_invoice = complete.select(
        (pl.max_horizontal("paid_at", "issued_at") - pl.col("issued_at")).dt.total_microseconds() / 86_400e6
    ).to_series()

    names = ["order_to_cash_p50_days", "order_to_cash_p90_days", "invoice_to_cash_p50_days"]
    p50, p90, invoice = evaluate(conn, catalogue, names, since=SCENARIO.start)
    since = SCENARIO.last_day - timedelta(days=27)
    rows = conn.sql("select receivable_date, receivable_reporting_amount, invoiced_reporting_amount from marts.fct_receivables_daily").pl()
    period = rows.filter(pl.col("receivable_date") >= since)
    asked = sum(euro_cents(amount, currency, issued) or 0 for _, currency, issued, _, amount in billed(conn) if issued >= since)

    assert p50.n == len(days)
    assert p50.value == pytest.approx(days.median())
    assert p90.value == pytest.approx(days.quantile(0.9, interpolation="linear"))
    assert invoice.value == pytest.approx(after_invoice.median())
    assert period["invoiced_reporting_amount"].sum() == asked


def test_ageing_shares_out_the_receivables(conn: duckdb.DuckDBPyConnection) -> None:
    bands = dict(conn.execute("select age_band, outstanding_reporting_amount from marts.fct_receivables_ageing").fetchall())
    last = conn.execute(
        "select sum(receivable_reporting_amount), sum(overdue_reporting_amount) from marts.fct_receivables_daily where receivable_date = ?",
        [SCENARIO.last_day],
    ).fetchone()

    assert last is not None
    assert sum(bands.values()) == last[0]
    assert sum(bands.values()) - bands["not due"] == last[1]
    assert bands["no due date"] == 0


def test_suppliers_are_measured_from_confirmation_to_receipt(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    lines = conn.sql(
        "select l.ordered_qty, l.received_qty, o.status, o.confirmed_at, coalesce(l.expected_at, o.expected_at) as expected_at, "
        "coalesce(l.received_at, o.received_at) as received_at from raw.purchase_order_lines l join raw.purchase_orders o using (po_id)"
    ).pl()
    lines = lines.with_columns(local_day(name) for name in ("confirmed_at", "expected_at", "received_at"))
    came = lines.filter(pl.col("received_qty") > 0, pl.col("received_at").is_not_null())
    took = (came["received_at"] - came["confirmed_at"]).dt.total_days()
    due = lines.filter(pl.col("expected_at") <= SCENARIO.last_day)
    in_time = due.filter((pl.col("received_at") <= pl.col("expected_at")) & (pl.col("received_qty") > 0))
    closed = lines.filter((pl.col("status") == "received") | (pl.col("received_qty") >= pl.col("ordered_qty")))
    short = closed.filter(pl.col("received_qty") < pl.col("ordered_qty"))

    names = ["lead_time_actual_p50_days", "lead_time_actual_p90_days", "supplier_on_time_rate", "short_delivery_rate", "short_unit_rate"]
    p50, p90, on_time, short_rate, unit_rate = evaluate(conn, catalogue, names, since=SCENARIO.start)
    promised, mean = evaluate(conn, catalogue, ["lead_time_promised_p50_days", "lead_time_promised_mean_days"], since=SCENARIO.start)
    promise = (came["expected_at"] - came["confirmed_at"]).dt.total_days()

    assert (p50.n, p50.value) == (len(took), took.median())
    assert p90.value == pytest.approx(took.quantile(0.9, interpolation="linear"))
    assert promised.value == promise.median()
    assert mean.value == pytest.approx(promise.mean())
    assert on_time.value == in_time.height / due.filter(pl.col("expected_at") >= SCENARIO.start).height
    assert (short_rate.numerator, short_rate.denominator) == (short.height, closed.height)
    assert unit_rate.numerator == short.select(pl.col("ordered_qty") - pl.col("received_qty")).to_series().sum()
    assert unit_rate.denominator == closed["ordered_qty"].sum()


def test_rebates_are_the_reached_rate_of_all_that_was_received(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    received = conn.sql(
        "select supplier_id, sum(received_qty * unit_cost) as volume from raw.purchase_order_lines l join raw.purchase_orders o using (po_id) "
        "where received_qty > 0 and coalesce(l.received_at, o.received_at) is not null and supplier_id in ('SUP-01', 'SUP-02') group by all"
    ).fetchall()
    expected = {
        supplier: round(float(volume) * (0.025 if volume >= 3_000 else 0.01 if volume >= 1_000 else 0) * 100)
        for supplier, volume in received
    }

    reported = dict(
        conn.execute("select supplier_id, rebate_reporting_amount from marts.fct_supplier_rebates where supplier_id <> 'others'").fetchall()
    )
    others = conn.execute(
        "select agreements_count, volume_reporting_amount from marts.fct_supplier_rebates where supplier_id = 'others'"
    ).fetchone()
    (accrued,) = evaluate(conn, catalogue, ["rebates_accrued"], since=SCENARIO.start)

    assert {supplier: amount for supplier, amount in reported.items() if amount} == expected
    assert sum(expected.values()) > 0
    assert accrued.value == Decimal(sum(expected.values())) / 100
    assert others == (1, None)
    assert not conn.execute("select 1 from marts.fct_supplier_rebates where supplier_id like 'C-%'").fetchall()


def test_exactly_what_was_made_to_differ_differs(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    found = conn.execute(
        "select rule, document_id, row_ids, coalesce(difference_amount, difference_qty) from marts.fct_reconciliation "
        "where rule not in ('payments_vs_invoice', 'stock_level_vs_movements', 'refunds_vs_paid') order by all"
    ).fetchall()
    stock = conn.execute("select sum(difference_qty) from marts.fct_reconciliation where rule = 'stock_level_vs_movements'").fetchone()
    behind_stock = conn.execute(
        "select document_id, row_ids, rows_count from marts.fct_reconciliation where rule = 'stock_level_vs_movements'"
    ).fetchall()
    parcel = conn.execute("select order_line_id from raw.shipment_lines where shipment_id = 'S-000050-1' order by all").fetchall()
    gone = conn.execute("select -sum(quantity) from raw.shipment_lines where shipment_id = 'S-000050-1'").fetchone()
    overpaid = conn.execute("select count(*) from (select invoice_id from raw.payments join raw.invoices using (invoice_id) "
                            "where timezone(?, timezone('UTC', paid_at))::date <= ? group by invoice_id having sum(payments.amount) > any_value(invoices.amount) + 0.01)",
                            [SCENARIO.time_zone, SCENARIO.last_day]).fetchone()  # fmt: skip
    counts = dict(conn.execute("select rule, sum(differing_count) from marts.fct_reconciliation_checks group by rule").fetchall())

    (differences, agreeing) = evaluate(conn, catalogue, ["reconciliation_differences", "reconciliation_match_rate"], since=SCENARIO.start)
    by_rule = evaluate(conn, catalogue, ["reconciliation_differences"], by="reason", since=SCENARIO.start)

    assert gone is not None
    assert overpaid is not None
    assert [(rule, document, difference) for rule, document, _, difference in found] == [
        ("invoices_vs_order_total", "O-000101", -500),
        ("order_total_vs_lines", "O-000101", 500),
        ("shipped_units_vs_movements", "S-000050-1", gone[0]),
    ]
    assert found[0][2] == "IO-000101"
    assert found[1][2].startswith("O-000101-1")
    assert found[2][2] == ", ".join(line for (line,) in parcel)
    for document, row_ids, rows_count in behind_stock:
        moved = conn.execute(
            "select movement_id from raw.stock_movements where sku || ' at ' || location_id = ? order by occurred_at desc, movement_id",
            [document],
        ).fetchall()
        assert rows_count == len(moved)
        assert row_ids == ", ".join(sorted(movement for (movement,) in moved[:20]))
    assert stock == (gone[0],)
    assert counts["payments_vs_invoice"] == overpaid[0]
    assert differences.value == sum(counts.values())
    assert {value.member: value.value for value in by_rule} == counts
    assert agreeing.denominator - agreeing.numerator == differences.value  # type: ignore[operator]


def test_the_double_payment_is_listed_with_both_payments(conn: duckdb.DuckDBPyConnection) -> None:
    row = conn.execute("select row_ids, difference_amount > 0 from marts.fct_reconciliation where document_id = 'IO-000103'").fetchone()

    assert row == ("P1O-000103, again", True)
