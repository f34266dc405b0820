"""What the Stock page says of stock-outs, idle stock, classes and one item; and when an item counts as run out."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, cast

import duckdb
import polars as pl
import pytest

from dashboards.components import class_matrix, idle_stock, item_card, stock_network, stock_outs
from dashboards.components.stock_outlook import outlook_words
from dashboards.queries import reorder, stock
from dashboards.queries.releases import Served
from dashboards.queries.stock import Projection
from dashboards.queries.stock_item import ItemCard
from pipelines.stores.warehouse import RunContext

if TYPE_CHECKING:
    from pipelines.stores.releases import Release

AS_OF = date(2026, 11, 20)


def test_what_runs_out_is_counted_with_what_nothing_covers_and_its_money() -> None:
    rows = pl.DataFrame(
        {
            "runs_out_days": [0, 3, 9],
            "is_covered": [True, False, True],
            "at_risk": [73.5, None, 20.0],
            "currency_code": ["EUR", None, "EUR"],
        }
    )

    assert stock_outs.stock_out_title(rows, 14) == (
        "3 items at locations run out within 14 days, 1 of them are out now; for 1 nothing is suggested. Margin at risk: EUR 94"
    )
    assert stock_outs.stock_out_title(rows.clear(), 14) == "Nothing runs out within 14 days"


def test_what_cannot_be_judged_is_counted_beside_the_list() -> None:
    said = stock_outs.unjudged_words(Projection(pl.DataFrame(), unjudged_count=95, empty_unjudged_count=17))

    assert said.startswith("Not judged: 95 active items at locations without a forecast, 17 of them with nothing free")


def test_idle_stock_is_said_by_its_worst_state_with_money() -> None:
    frame = pl.DataFrame({"state": ["Dead", "Aged", "Dead"], "idle_reporting_amount": [100.0, 5.0, 11.0]})

    assert idle_stock.idle_title(frame, "EUR") == "3 items at locations lie idle: 2 dead (EUR 111), 1 aged (EUR 5)"


def test_the_matrix_names_who_sells_most_and_who_holds_most_for_what_it_sells() -> None:
    rows = pl.DataFrame(
        {
            "abc_class": ["A", "C", "none"],
            "xyz_class": ["X", "new", "none"],
            "net_sales_rate": [0.9, 0.1, None],
            "stock_value": [60.0, 40.0, 9.0],
        }
    )

    assert class_matrix.matrix_title(rows, "EUR") == (
        "AX makes 90.0 % of sales with 60.0 % of the stock; C new holds 40.0 % of it, EUR 40, for 10.0 % of sales"
    )
    assert class_matrix.cell_names(rows) == {"A-X": "AX", "C-new": "C new", "none-none": "Nothing sold"}


def test_the_network_says_where_the_money_stands_and_what_is_on_order() -> None:
    frame = pl.DataFrame(
        {"location": ["North", "South"], "stock_value_reporting_amount": [75.0, 25.0], "on_order_value_reporting_amount": [10.0, None]}
    )

    assert stock_network.network_title(frame, "EUR") == "EUR 100 stand at 2 locations, 75.0 % of it at North; EUR 10 more on order"


def test_an_item_says_where_nothing_is_free() -> None:
    positions = pl.DataFrame(
        {"location": ["North", "South"], "on_hand_qty": [5, 7], "available_qty": [5, 0], "inbound_qty": [0, 12],
         "stock_value_reporting_amount": [50.0, 70.0]}
    )  # fmt: skip

    said = item_card.item_title(ItemCard({}, positions, pl.DataFrame(), pl.DataFrame()), "EUR")

    assert said == "12 units on hand, 5 free, 12 under way; EUR 120 at cost. Nothing free at South"


def test_an_item_runs_out_by_its_course_without_an_order_or_by_what_the_plan_says_it_lasts_and_says_by_which() -> None:
    conn = duckdb.connect()
    conn.execute(f"""
        create schema marts; create schema planning;
        create table marts.dim_products as select sku, null::varchar as title, 'Kitchen' as category, true as is_active,
            100::bigint as unit_cost_amount from (values ('ordered'), ('silent'), ('empty'), ('lasting'), ('unknown')) as t(sku);
        create table marts.dim_locations as select 'L' as location_id, 'North' as name;
        create table marts.fct_inventory_position as select sku, 'L' as location_id, if(sku = 'empty', 0, 9) as available_qty
            from marts.dim_products;
        create table planning.recommendations as select sku as recommendation_key, 'purchase' as kind, sku, 'L' as location_id,
            date '{AS_OF}' + days::int as need_by, 30.0 as priority_score, 'EUR' as currency_code, 5 as recommended_qty, 'Runs out' as reason
            from (values ('ordered', 9), ('lasting', 30)) as t(sku, days);
        create table planning.stock_outlook as select 'ordered' as recommendation_key, date '{AS_OF}' + day::int as stock_date,
            false as is_with_order, 6.0 - day as stock_p50_qty from range(0, 12) as t(day);
        create table planning.silent_items as select * from (values ('silent', 'L', 40, 'Enough'), ('empty', 'L', 40, 'Accepted'),
            ('unknown', 'L', null, 'No forecast')) as t(sku, location_id, lasts_days, reason);
        create table marts.fct_inbound as select 'silent' as sku, 'L' as location_id, 3 as open_qty, date '{AS_OF}' - 4 as expected_date;
    """)

    rows = {row["sku"]: row for row in conn.execute(stock._RUNS_OUT, [[], [], AS_OF]).pl().to_dicts()}

    assert {sku: row["runs_out_date"] for sku, row in rows.items()} == {
        "ordered": AS_OF + timedelta(days=6), "silent": AS_OF + timedelta(days=40), "empty": AS_OF,
        "lasting": AS_OF + timedelta(days=30), "unknown": None,
    }  # fmt: skip
    assert {sku: row["basis"] for sku, row in rows.items()} == {
        "ordered": stock.USED_UP, "silent": stock.MISSED, "empty": stock.OUT_NOW, "lasting": stock.MISSED, "unknown": None,
    }  # fmt: skip
    assert (rows["ordered"]["answer"], rows["silent"]["answer"], rows["silent"]["next_inbound_date"]) == (
        "Order 5", None, AS_OF + timedelta(days=1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("medians", "lasts", "said"),
    [
        ([2, 1, 0, 0, 0], 2, "Without the order, stock is used up on Sun 22 Nov in the median"),
        ([2, 0, 0, 6, 0], 1, "Without the order, stock is used up on Sat 21 Nov in the median, until the delivery of Mon 23 Nov"),
        ([2, 1, 0, 0, 0], 19, "Without the order, stock is used up on Sun 22 Nov in the median; the first sale is missed after Wed 9 Dec"),
        ([0, 0, 4, 4, 4], 0, "Nothing is free now, until the delivery of Sun 22 Nov"),
        ([3, 3, 3, 2, 2], 60, "Stock lasts through the days ahead in the median; the order guards against more"),
        ([3, 1, 3, 1, 2], 2, "Without the order, the first sale is missed after Sun 22 Nov in the median, though units are left at the end of "
         "each day"),
    ],
)  # fmt: skip
def test_a_course_says_when_stock_is_used_up_until_when_and_when_sales_are_missed(
    medians: list[float], lasts: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = pl.DataFrame(
        {
            "stock_date": [AS_OF + timedelta(days=day) for day in range(5)],
            "is_with_order": False,
            "stock_p50_qty": medians,
            "stock_p90_qty": 9.0,
        }
    )
    tables = {
        reorder._STOCK_OUTLOOK: days, reorder._STOCK_HISTORY: pl.DataFrame({"stock_date": [], "on_hand_qty": []}),
        reorder._UNDER_WAY: pl.DataFrame(schema={"expected_date": pl.Date, "open_qty": pl.Int64, "kind": pl.String}),
    }  # fmt: skip
    monkeypatch.setattr(reorder, "read_frame", lambda _release, sql, *_: tables[sql])
    served = Served(cast("Release", None), RunContext("run", AS_OF, "Europe/Berlin", "EUR", "m", "o"))
    order = {
        "sku": "A-1", "location_id": "L1", "recommendation_key": "k", "recommended_qty": 5, "expected_receipt": AS_OF + timedelta(days=4),
        "need_by": AS_OF + timedelta(days=lasts),
    }  # fmt: skip

    outlook = reorder.stock_outlook(served, order)

    assert outlook_words(outlook, today=AS_OF) == said
