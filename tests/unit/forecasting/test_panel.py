from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting import build_daily_panel
from forecasting.panel import select_series

FIRST = date(2025, 1, 1)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def sales(*rows: tuple[str, int, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [(sku, "main", day(number), quantity) for sku, number, quantity in rows],
        schema={"sku": pl.String, "location_id": pl.String, "demand_date": pl.Date, "demand_qty": pl.Float64},
        orient="row",
    )


def test_days_without_a_sale_are_zero_from_the_first_sale_to_the_cutoff() -> None:
    panel = build_daily_panel(sales(("a", 2, 3), ("a", 2, 1), ("a", 4, 2)), cutoff=day(6))

    assert panel["demand_date"].to_list() == [day(number) for number in range(2, 7)]
    assert panel["demand_qty"].to_list() == [4.0, 0.0, 2.0, 0.0, 0.0]


def test_a_series_starts_at_its_launch_but_not_before_all_demand() -> None:
    items = pl.DataFrame({"sku": ["old", "new"], "launched_date": [day(-400), day(3)]})

    panel = build_daily_panel(sales(("first", 0, 1), ("old", 5, 1), ("new", 5, 1)), cutoff=day(6), items=items)

    starts = dict(panel.group_by("sku").agg(pl.col("demand_date").min()).rows())
    assert starts == {"first": day(0), "old": day(0), "new": day(3)}


def test_a_launch_after_the_first_sale_is_no_start() -> None:
    items = pl.DataFrame({"sku": ["a"], "launched_date": [day(5)]})

    panel = build_daily_panel(sales(("a", 2, 1)), cutoff=day(6), items=items)

    assert panel["demand_date"].min() == day(2)


def test_demand_after_the_cutoff_is_not_known() -> None:
    panel = build_daily_panel(sales(("a", 0, 1), ("a", 9, 5), ("late", 9, 5)), cutoff=day(3))

    assert panel["sku"].unique().to_list() == ["a"]
    assert panel["demand_qty"].sum() == 1.0


def test_days_out_of_stock_are_marked_and_keep_what_was_sold() -> None:
    out = pl.DataFrame({"sku": ["a", "a"], "location_id": ["main", "main"], "stock_date": [day(1), day(2)]})

    panel = build_daily_panel(sales(("a", 0, 1), ("a", 1, 2)), cutoff=day(3), stock_outs=out)

    assert panel["is_censored"].to_list() == [False, True, True, False]
    assert panel["demand_qty"].to_list() == [1.0, 2.0, 0.0, 0.0]


def test_a_negative_quantity_is_refused_with_its_row() -> None:
    with pytest.raises(ValueError, match=r"1 of 2 rows are negative or missing.*returns are not negative demand"):
        build_daily_panel(sales(("a", 0, 1), ("a", 1, -2)), cutoff=day(3))


def test_series_that_cannot_be_forecast_are_listed_and_counted() -> None:
    steady = [("steady", number, 1.0) for number in range(0, 300, 7)]
    gone = [("gone", number, 1.0) for number in range(30)]
    rare = [("rare", number, 1.0) for number in (0, 150, 290)]
    young = [("young", number, 1.0) for number in range(290, 300)]
    closed = [("closed", number, 1.0) for number in range(300)]
    items = pl.DataFrame({"sku": ["closed"], "is_active": [False]})

    selection = select_series(sales(*steady, *gone, *rare, *young, *closed), cutoff=day(299), items=items)

    assert selection.forecastable["sku"].to_list() == ["steady"]
    assert selection.skipped_counts == {"history too short": 1, "item inactive": 1, "no sale lately": 1, "too few sales": 1}
    assert selection.skipped.filter(pl.col("sku") == "rare")["reason"].to_list() == ["Sold on 3 days only, 5 are needed."]


def test_an_item_that_could_not_sell_is_not_dormant() -> None:
    demand = sales(*[("empty", number, 1.0) for number in range(60)])
    out = pl.DataFrame({"sku": "empty", "location_id": "main", "stock_date": [day(number) for number in range(60, 300)]})

    without = select_series(demand, cutoff=day(299))
    with_stock = select_series(demand, cutoff=day(299), stock_outs=out)

    assert without.skipped_counts == {"no sale lately": 1}
    assert with_stock.forecastable.height == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=30))
def test_the_panel_has_no_gap_and_loses_no_unit(rows: list[tuple[str, int, int]]) -> None:
    panel = build_daily_panel(sales(*rows), cutoff=day(40))

    assert panel["demand_qty"].sum() == sum(quantity for *_, quantity in rows)
    for _, series in panel.group_by("sku"):
        assert series["demand_date"].to_list() == [day(40 - back) for back in reversed(range(series.height))]
