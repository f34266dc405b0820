"""What a replay takes from a release: weeks of demand, the merchant's own costs, and what is lacking."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from pipelines.errors import ContractError
from pipelines.steps.replay_inputs import read_replay_inputs
from pipelines.stores.warehouse import open_warehouse
from tests.integration.test_planning_steps import fill_marts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(tmp_path / "warehouse.duckdb") as connection:
        fill_marts(connection)
        yield connection


def test_costs_of_a_week_come_from_the_merchants_own_figures(conn: duckdb.DuckDBPyConnection) -> None:
    found = read_replay_inputs(conn, holding_cost_rate=0.25)

    row = found.items.filter(found.items["sku"] == "busy").row(0, named=True)
    assert row["unit_cost"] == 1050
    assert row["holding_cost"] == pytest.approx(0.25 * 1050 * 7 / 365)
    assert row["shortage_cost"] == 1999 - 1050
    assert set(row["lead_periods"]) == {2}  # 10 to 13 days: there at the start of the third week after the order's
    assert (row["pack_qty"], row["min_order_qty"], row["max_order_qty"]) == (6, 0, None)
    assert found.currency_code == "EUR"


def test_of_a_unit_missed_only_the_share_that_is_lost_costs_its_margin(conn: duckdb.DuckDBPyConnection) -> None:
    found = read_replay_inputs(conn, holding_cost_rate=0.25, lost_sales_share=0.4)

    assert found.items.filter(found.items["sku"] == "busy")["shortage_cost"].to_list() == [pytest.approx(0.4 * (1999 - 1050))]


def test_weeks_begin_on_monday_and_are_whole(conn: duckdb.DuckDBPyConnection) -> None:
    found = read_replay_inputs(conn, holding_cost_rate=0.25)

    assert set(found.panel["demand_date"].dt.weekday()) == {1}
    assert found.panel["demand_date"].max() == date(2025, 6, 23)


def test_an_item_that_lacks_a_figure_is_left_out_with_what_it_needs(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute("UPDATE marts.dim_products SET list_price_amount = NULL WHERE sku = 'calm'")
    conn.execute("UPDATE marts.dim_products SET list_price_amount = 900 WHERE sku = 'twins'")
    conn.execute("UPDATE marts.dim_supplier_items SET currency_code = 'CHF' WHERE sku = 'unlisted'")

    found = read_replay_inputs(conn, holding_cost_rate=0.25)

    assert dict(found.left_out.select("sku", "reason").iter_rows()) == {
        "calm": "not available: needs a list price.",
        "gone": "Item is inactive or discontinued.",
        "orphan": "not available: needs a supplier.",
        "twins": "not available: needs a list price above the supplier's price.",
        "unlisted": "not available: needs prices in EUR.",
        "zero-pack": "not available: needs a pack size above zero.",
    }
    assert set(found.panel["sku"]) == set(found.items["sku"]) == {"busy"}


def test_one_item_can_be_chosen_and_one_that_never_sold_is_refused(conn: duckdb.DuckDBPyConnection) -> None:
    assert read_replay_inputs(conn, holding_cost_rate=0.25, sku="busy", location_id="main").items["sku"].to_list() == ["busy"]
    with pytest.raises(ContractError, match="Nothing was ever sold of sku 'busy', category 'tea'"):
        read_replay_inputs(conn, holding_cost_rate=0.25, sku="busy", category="tea")
