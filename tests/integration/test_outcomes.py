"""What became of decided suggestions: a hand-made store and warehouse, on both databases."""

from __future__ import annotations

import json
import sys
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipelines.cli.app import main
from pipelines.decisions.service import decide
from pipelines.settings import Settings
from pipelines.steps.outcomes import OutcomeCounts, measure_decisions
from pipelines.stores.outcomes import list_outcomes
from pipelines.stores.warehouse import open_warehouse, replace_table
from tests.integration.decision_shop import AS_OF, NOW, open_shop, request, rows_of
from tests.integration.kinds_shop import open_change, open_shortage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

    from pipelines.stores.operational import OperationalStore

SETTINGS = Settings(_env_file=None, holding_cost_rate=0.365)  # type: ignore[call-arg]  # pydantic-settings takes it, its stub does not say so
DUE = date(2026, 7, 8)  # a suggestion of 30 June; its window ends a review period of 7 days later
OVER = DUE + timedelta(days=7)
SKUS = ("ITEM-1", "ITEM-2", "ITEM-3")


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(tmp_path / "warehouse.duckdb") as connection:
        yield connection


def fill_marts(
    conn: duckdb.DuckDBPyConnection, receipts: dict[str, tuple[date, int]], *, as_of: date = OVER, price: int | None = 500,
    others: tuple[date, int] | None = None,
) -> None:  # fmt: skip
    """Each item sells 5 a day of 40 on the as-of day; what a line of ours brought came on its day; on days without stock nobody buys.

    `others` is what other orders brought.
    """
    conn.execute("DELETE FROM meta.run_context")
    conn.execute("INSERT INTO meta.run_context VALUES ('r2', ?, 'Europe/Berlin', 'EUR', 'Shop', 'connected')", [as_of])
    stock: list[dict[str, Any]] = []
    demand: list[dict[str, Any]] = []
    for sku in SKUS:
        level = 40 + 5 * 20
        for day in (AS_OF + timedelta(days=number) for number in range(-19, max(17, (as_of - AS_OF).days + 1))):
            level += sum(qty for one, (came, qty) in receipts.items() if one == sku and came == day)
            level += others[1] if others is not None and others[0] == day else 0
            sold = min(5, level)
            level -= sold
            stock.append({"sku": sku, "location_id": "DC", "stock_date": day, "available_qty": level})
            demand += [{"sku": sku, "location_id": "DC", "demand_date": day, "demand_qty": sold}] if sold else []
    replace_table(conn, "marts", "fct_stock_daily", pl.DataFrame(stock))
    replace_table(conn, "marts", "fct_demand_daily", pl.DataFrame(demand))
    products = {"sku": SKUS, "list_price_amount": [price] * 3, "currency_code": ["EUR"] * 3, "category": ["tea"] * 3}
    replace_table(conn, "marts", "dim_products", pl.DataFrame(products, schema_overrides={"list_price_amount": pl.Int64}))
    replace_table(conn, "marts", "dim_locations", pl.DataFrame({"location_id": ["DC"], "holding_cost_rate": [None]}))
    schema = {"po_line_id": pl.String, "received_date": pl.Date, "received_qty": pl.Int64}
    lines = [{"po_line_id": f"L-{sku}", "received_date": day, "received_qty": qty} for sku, (day, qty) in receipts.items()]
    replace_table(conn, "marts", "fct_purchase_receipts", pl.DataFrame(lines, schema=schema))
    conn.execute("CREATE SCHEMA IF NOT EXISTS staging")
    for name, columns in (
        ("transfers", "transfer_id VARCHAR, shipped_at TIMESTAMP, received_at TIMESTAMP"),
        ("transfer_lines", "transfer_id VARCHAR, sku VARCHAR, transfer_qty BIGINT"),
    ):
        conn.execute(f"CREATE OR REPLACE TABLE staging.stg_shop__{name} ({columns})")


def fill_sender(conn: duckdb.DuckDBPyConnection, level: int, *, sells: int, left: date | None) -> None:
    """ITEM-1 at STORE, with so many on the as-of day; 50 leave on a day."""
    level += 20 * sells
    for day in (AS_OF + timedelta(days=number) for number in range(-19, 17)):
        level -= 50 if day == left else 0
        sold = min(sells, level)
        level -= sold
        conn.execute("INSERT INTO marts.fct_stock_daily VALUES ('ITEM-1', 'STORE', ?, ?)", [day, level])
        conn.execute("INSERT INTO marts.fct_demand_daily SELECT 'ITEM-1', 'STORE', ?, ?::BIGINT WHERE ? > 0", [day, sold, sold])


def link_lines(conn: duckdb.DuckDBPyConnection, rec_ids: list[str]) -> None:
    """The shop's order lines name the suggestions they came from."""
    links = {"po_line_id": [f"L-{sku}" for sku in SKUS], "rec_id": rec_ids}
    replace_table(conn, "staging", "stg_shop__purchase_order_lines", pl.DataFrame(links))


def decided_shop(store: OperationalStore, conn: duckdb.DuckDBPyConnection, **marts: Any) -> list[str]:
    """The first suggestion was ordered larger and came in time, the second rejected, the third came too late."""
    rec_ids = open_shop(store, items=3)
    decide(store, request(rec_ids[0], qty=72), now=NOW)
    decide(store, request(rec_ids[1], "reject", reason_code="forecast_too_high"), now=NOW)
    decide(store, request(rec_ids[2], actor="ada"), now=NOW)
    fill_marts(conn, {"ITEM-1": (DUE, 72), "ITEM-3": (OVER - timedelta(days=2), 60)}, **marts)
    link_lines(conn, rec_ids)
    return rec_ids


def outcomes_of(store: OperationalStore) -> dict[str, dict[str, Any]]:
    return {row["sku"]: row for row in list_outcomes(store)}


def test_each_decision_has_a_verdict_in_units_and_money_once_its_window_is_over(
    store: OperationalStore, conn: duckdb.DuckDBPyConnection
) -> None:
    decided_shop(store, conn)

    counts = measure_decisions(store, conn, settings=SETTINGS)

    found = outcomes_of(store)
    assert counts == OutcomeCounts(measured=3)
    # 40 units last for 8 of 15 days: without an order 35 are lost, with the rejected one none, and the late one saved those of 3 days
    assert [(found[sku]["verdict"], found[sku]["lost_without_qty"], found[sku]["averted_qty"]) for sku in SKUS] == [
        ("averted", 35, 35), ("averted", 35, 35), ("too_late", 35, 15),
    ]  # fmt: skip
    assert found["ITEM-1"]["averted_margin"] == Decimal("52.5000")  # a unit costs 3.50 and sells for 5.00
    # 12 units more than proposed were held for 8 days, at 0.365 a year of 3.50; the last of them are still there
    assert found["ITEM-1"]["value_added"] == Decimal("-0.3400")
    # 60 were to come on the 8th day: the margin of 35, less 60, 55, ... 25 units held
    assert found["ITEM-2"]["value_added"] == Decimal("-51.3100")
    assert (found["ITEM-2"]["is_accepted"], found["ITEM-2"]["reason_code"], found["ITEM-2"]["category"]) == (
        False,
        "forecast_too_high",
        "tea",
    )


def test_a_second_run_measures_nothing_twice_and_again_what_late_data_changed(
    store: OperationalStore, conn: duckdb.DuckDBPyConnection
) -> None:
    rec_ids = decided_shop(store, conn)
    measure_decisions(store, conn, settings=SETTINGS)
    before = rows_of(store, "recommendation_outcome")

    again = measure_decisions(store, conn, settings=SETTINGS)

    assert again == OutcomeCounts(unchanged=3)
    assert rows_of(store, "recommendation_outcome") == before
    fill_marts(conn, {"ITEM-1": (DUE, 72), "ITEM-3": (DUE, 60)})
    link_lines(conn, rec_ids)
    assert measure_decisions(store, conn, settings=SETTINGS) == OutcomeCounts(remeasured=1, unchanged=2)
    assert outcomes_of(store)["ITEM-3"]["verdict"] == "averted"


def test_a_window_that_has_not_passed_waits(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    decided_shop(store, conn, as_of=OVER - timedelta(days=1))

    assert measure_decisions(store, conn, settings=SETTINGS) == OutcomeCounts(waiting=3)
    assert list_outcomes(store) == []


def test_what_was_undone_or_never_decided_has_no_outcome(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    rec_ids = open_shop(store, items=3)
    decide(store, request(rec_ids[0]), now=NOW)
    decide(store, request(rec_ids[0], "undo", version=2), now=NOW)
    fill_marts(conn, {})
    link_lines(conn, rec_ids)

    assert measure_decisions(store, conn, settings=SETTINGS) == OutcomeCounts()


def test_days_without_known_stock_leave_the_verdict_open_and_a_missing_price_only_the_money(
    store: OperationalStore, conn: duckdb.DuckDBPyConnection
) -> None:
    decided_shop(store, conn, price=None)
    conn.execute("DELETE FROM marts.fct_stock_daily WHERE sku = 'ITEM-2' AND stock_date = ?", [DUE])

    measure_decisions(store, conn, settings=SETTINGS)

    found = outcomes_of(store)
    assert (found["ITEM-1"]["verdict"], found["ITEM-1"]["averted_margin"]) == ("averted", None)
    assert found["ITEM-1"]["missing"] == "not available: needs a list price in EUR"
    assert (found["ITEM-2"]["verdict"], found["ITEM-2"]["averted_qty"]) == ("unknown", None)
    assert "needs stock of every day from 2026-06-30 to 2026-07-15" in found["ITEM-2"]["missing"]


def test_an_order_without_a_day_of_receipt_is_not_judged(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    decided_shop(store, conn)
    conn.execute("UPDATE marts.fct_purchase_receipts SET received_date = NULL WHERE po_line_id = 'L-ITEM-1'")

    measure_decisions(store, conn, settings=SETTINGS)

    assert outcomes_of(store)["ITEM-1"]["missing"] == "not available: needs the day of receipt"


def test_a_transfer_is_judged_by_the_local_day_it_was_received_on(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    rec_ids = open_shop(store, items=3, kind="transfer", source_location_id="STORE", supplier_id=None, recommended_qty=50)
    line = decide(store, request(rec_ids[0]), now=NOW).line_id
    fill_marts(conn, {"ITEM-1": (DUE, 50)})
    conn.execute("DELETE FROM marts.fct_purchase_receipts")
    link_lines(conn, [""] * 3)
    fill_sender(conn, 100, sells=0, left=date(2026, 7, 3))
    moments = [f"{day - timedelta(days=1)} 22:30:00" for day in (date(2026, 7, 3), DUE)]
    conn.execute("INSERT INTO staging.stg_shop__transfers VALUES (?, ?, ?)", [line, *moments])
    conn.execute("INSERT INTO staging.stg_shop__transfer_lines VALUES (?, 'ITEM-1', 50)", [line])

    measure_decisions(store, conn, settings=SETTINGS)

    (row,) = list_outcomes(store)
    assert (row["verdict"], row["received_qty"], row["averted_qty"]) == ("averted", 50, 35)
    assert row["excess_unit_days"] == 260 - 50 * 13  # held here from the 8th on (50, 45, ... 15), not there since the 3rd


@pytest.mark.parametrize(
    ("action", "level", "sent", "came", "found"),
    [
        # 80 units lie where 5 a day sell as well: without the 50 they last 6 of 15 days, with them all; here 35 are lost without them
        ("approve", 80, date(2026, 7, 3), DUE, ("unneeded", 35, 45, None)),
        ("reject", 80, None, None, ("unneeded", 35, 45, None)),
        (
            "approve",
            None,
            date(2026, 7, 3),
            DUE,
            ("unknown", None, None, "needs stock at STORE of every day from 2026-06-30 to 2026-07-15"),
        ),
        ("approve", 80, None, DUE, ("unknown", None, None, "needs the day it was sent")),
    ],
)
def test_what_a_transfer_loses_where_it_comes_from_counts(
    store: OperationalStore, conn: duckdb.DuckDBPyConnection, action: str, level: int | None, sent: date | None, came: date | None,
    found: tuple[Any, ...],
) -> None:  # fmt: skip
    rec_ids = open_shop(store, items=3, kind="transfer", source_location_id="STORE", supplier_id=None, recommended_qty=50)
    reason = {"reason_code": "forecast_too_high"} if action == "reject" else {}
    line = decide(store, request(rec_ids[0], action, **reason), now=NOW).line_id
    fill_marts(conn, {} if came is None else {"ITEM-1": (came, 50)})
    conn.execute("DELETE FROM marts.fct_purchase_receipts")
    link_lines(conn, [""] * 3)
    if level is not None:
        fill_sender(conn, level, sells=5, left=sent)
    conn.execute("INSERT INTO staging.stg_shop__transfers VALUES (?, ?, ?)", [line, sent, came])
    conn.execute("INSERT INTO staging.stg_shop__transfer_lines VALUES (?, 'ITEM-1', 50)", [line])

    measure_decisions(store, conn, settings=SETTINGS)

    (row,) = list_outcomes(store)
    assert (row["verdict"], row["lost_without_qty"], row["lost_with_qty"]) == found[:3]
    if found[3] is None:
        assert (row["averted_qty"], row["averted_margin"]) == (-10, Decimal("-15.0000"))
        assert (row["value_added"] > 0) == (action == "reject")
    else:
        assert found[3] in row["missing"]


@pytest.mark.parametrize(
    ("kind", "came", "others", "until", "found"),
    [
        # 40 last until 8 July, others come on the 17th: on its old day, the 20th, the line would have been too late for 40 units
        ("expedite", date(2026, 7, 6), (date(2026, 7, 17), 100), date(2026, 7, 27), ("averted", 40, 40, 0, "60.0000")),
        # nobody missed the 40 units, which would have been held from 20 July on, less what was held of them in August
        ("defer", date(2026, 8, 10), (date(2026, 7, 5), 100), date(2026, 8, 17), ("averted", 60, 0, -360, "0.0000")),
        ("cancel_po", None, (date(2026, 7, 5), 200), date(2026, 7, 27), ("averted", 0, 0, -320, "0.0000")),
    ],
)
def test_a_changed_order_is_judged_against_the_day_it_stood_with(
    store: OperationalStore, conn: duckdb.DuckDBPyConnection, kind: str, came: date | None, others: tuple[date, int], until: date,
    found: tuple[Any, ...],
) -> None:  # fmt: skip
    decide(store, request(open_change(store, kind)), now=NOW)
    fill_marts(conn, {} if came is None else {"ITEM-1": (came, 40)}, as_of=until, others=others)
    link_lines(conn, [""] * 3)
    for table in ("marts.fct_purchase_receipts", "staging.stg_shop__purchase_order_lines"):
        conn.execute(f"UPDATE {table} SET po_line_id = 'PO-17-1' WHERE po_line_id = 'L-ITEM-1'")

    measure_decisions(store, conn, settings=SETTINGS)

    (row,) = list_outcomes(store)
    assert (row["verdict"], row["lost_without_qty"], row["averted_qty"]) == found[:3]
    assert row["window_to"] == until
    assert row["averted_margin"] == Decimal(found[4])
    if found[3]:
        assert (row["excess_unit_days"], row["excess_cost"]) == (found[3], Decimal(found[3]) * Decimal("0.0035"))


def test_not_bringing_a_line_forward_that_was_needed_cost_its_margin(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    decide(store, request(open_change(store, "expedite"), "reject", reason_code="forecast_too_high"), now=NOW)
    fill_marts(conn, {"ITEM-1": (date(2026, 7, 20), 40)}, as_of=date(2026, 7, 27), others=(date(2026, 7, 17), 100))
    link_lines(conn, [""] * 3)
    for table in ("marts.fct_purchase_receipts", "staging.stg_shop__purchase_order_lines"):
        conn.execute(f"UPDATE {table} SET po_line_id = 'PO-17-1' WHERE po_line_id = 'L-ITEM-1'")

    measure_decisions(store, conn, settings=SETTINGS)

    (row,) = list_outcomes(store)
    assert (row["verdict"], row["lost_qty"], row["averted_qty"]) == ("averted", 40, 40)
    assert row["value_added"] == row["excess_cost"] - Decimal("60.0000")


def fill_shares(
    conn: duckdb.DuckDBPyConnection, sent: dict[str, tuple[date, int]], *, prices: tuple[int | None, ...] = (900, 900, 900)
) -> None:
    """The lines of the three orders that share 50 units, the oldest first, and what left for them; the first is promised for 3 July."""
    fill_marts(conn, {}, as_of=date(2026, 7, 7))
    link_lines(conn, [""] * 3)
    lines = {
        "order_line_id": ["O-1-1", "O-2-1", "O-3-1"], "ordered_date": [date(2026, 6, 26), date(2026, 6, 27), date(2026, 6, 28)],
        "promised_ship_date": [date(2026, 7, 3), date(2026, 6, 29), None], "ordered_qty": [10, 20, 50],
        "net_amount": [None if price is None else price * qty for price, qty in zip(prices, (10, 20, 50), strict=True)],
        "currency_code": ["EUR"] * 3,
    }  # fmt: skip
    replace_table(conn, "marts", "fct_order_lines", pl.DataFrame(lines))
    conn.execute("CREATE SCHEMA IF NOT EXISTS intermediate")
    schema = {"order_line_id": pl.String, "sales_date": pl.Date, "location_id": pl.String, "shipped_qty": pl.Int64}
    left = pl.DataFrame([(line, day, "DC", qty) for line, (day, qty) in sent.items()], schema=schema, orient="row")
    replace_table(conn, "intermediate", "int_stock_sales", left.with_columns(event_type=pl.lit("shipped")))


JULY_2, JULY_6 = date(2026, 7, 2), date(2026, 7, 6)
AS_SHARED = {"O-1-1": (JULY_2, 6), "O-2-1": (JULY_2, 13), "O-3-1": (JULY_6, 31)}
IN_TURN = {"O-1-1": (JULY_2, 10), "O-2-1": (JULY_2, 20), "O-3-1": (JULY_6, 20)}


@pytest.mark.parametrize(
    ("action", "sent", "prices", "found"),
    [
        # in turn the dear lines get all of theirs: 10 + 20 + 20 units instead of 6, 13 and 31, of which each brings 5.50 or 1.50
        ("approve", AS_SHARED, (900, 900, 500), ("insufficient", 30, 30, 0, "-44.0000", "0.0000")),
        ("approve", AS_SHARED, (500, 500, 900), ("averted", 30, 30, 0, "44.0000", "0.0000")),
        ("reject", IN_TURN, (500, 500, 900), ("averted", 30, 30, 0, "44.0000", "-44.0000")),
        # what left after the day that the first order was promised for is late; as many left then, so in turn it would have had all
        ("approve", AS_SHARED | {"O-1-1": (JULY_6, 6)}, (900, 900, 900), ("insufficient", 30, 36, -6, "-33.0000", "0.0000")),
        ("approve", {"O-1-1": (JULY_2, 10), "O-2-1": (JULY_2, 20), "O-3-1": (JULY_6, 50)}, (900, 900, 900),
         ("unneeded", 0, 0, 0, "0.0000", "0.0000")),
        ("approve", AS_SHARED, (900, None, 900), ("insufficient", 30, 30, 0, None, None)),
    ],
)  # fmt: skip
def test_a_shared_shortage_is_judged_by_what_left_for_its_lines(
    store: OperationalStore, conn: duckdb.DuckDBPyConnection, action: str, sent: dict[str, tuple[date, int]],
    prices: tuple[int | None, ...], found: tuple[Any, ...],
) -> None:  # fmt: skip
    rec_id = open_shortage(store, unit_cost=Decimal("3.5000"), currency_code="EUR")
    reason = {"reason_code": "forecast_too_high"} if action == "reject" else {}
    decide(store, request(rec_id, action, **reason), now=NOW)
    fill_shares(conn, sent, prices=prices)

    counts = measure_decisions(store, conn, settings=SETTINGS)

    (row,) = list_outcomes(store)
    assert counts == OutcomeCounts(measured=1)
    assert (row["window_from"], row["window_to"]) == (date(2026, 7, 1), date(2026, 7, 7))
    assert (row["verdict"], row["lost_without_qty"], row["lost_with_qty"], row["averted_qty"]) == found[:4]
    assert (row["averted_margin"], row["value_added"]) == tuple(None if one is None else Decimal(one) for one in found[4:])
    assert row["missing"] == (None if found[4] else "not available: needs the price of each order line in EUR")
    assert measure_decisions(store, conn, settings=SETTINGS) == OutcomeCounts(unchanged=1)


def test_a_shared_shortage_whose_order_lines_are_gone_is_not_judged(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> None:
    decide(store, request(open_shortage(store)), now=NOW)
    fill_shares(conn, AS_SHARED)
    conn.execute("DELETE FROM marts.fct_order_lines WHERE order_line_id = 'O-2-1'")

    measure_decisions(store, conn, settings=SETTINGS)

    (row,) = list_outcomes(store)
    assert (row["verdict"], row["missing"]) == (
        "unknown",
        "not available: needs 1 of its order lines, which the shop does not have any more",
    )


@pytest.mark.parametrize("by", ["planner", "supplier", "category", "reason"])
def test_the_command_lists_outcomes_and_adds_them_up(
    store: OperationalStore, store_url: str, conn: duckdb.DuckDBPyConnection, by: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:  # fmt: skip
    decided_shop(store, conn)
    measure_decisions(store, conn, settings=SETTINGS)
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORDERCAST_STORE_URL", store_url)

    def printed(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["ordercast", "outcomes", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    scores = json.loads(printed("--by", by, "--json"))
    listed = printed()

    assert sum(one["decided_count"] for one in scores) == 3
    assert sum(Decimal(str(one["override_value_amount"])) for one in scores) == Decimal("-51.65")
    assert "averted: purchase of ITEM-2 at DC, rejected 60 by ann" in listed
    assert printed("--by", by)
