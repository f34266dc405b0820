from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting import build_panel
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
    panel = build_panel(sales(("a", 2, 3), ("a", 2, 1), ("a", 4, 2)), frequency="daily", cutoff=day(6))

    assert panel["demand_date"].to_list() == [day(number) for number in range(2, 7)]
    assert panel["demand_qty"].to_list() == [4.0, 0.0, 2.0, 0.0, 0.0]


def test_a_series_starts_at_its_launch_but_not_before_all_demand() -> None:
    items = pl.DataFrame({"sku": ["old", "new"], "launched_date": [day(-400), day(3)]})

    panel = build_panel(sales(("first", 0, 1), ("old", 5, 1), ("new", 5, 1)), frequency="daily", cutoff=day(6), items=items)

    starts = dict(panel.group_by("sku").agg(pl.col("demand_date").min()).rows())
    assert starts == {"first": day(0), "old": day(0), "new": day(3)}


def test_a_launch_after_the_first_sale_is_no_start() -> None:
    items = pl.DataFrame({"sku": ["a"], "launched_date": [day(5)]})

    panel = build_panel(sales(("a", 2, 1)), frequency="daily", cutoff=day(6), items=items)

    assert panel["demand_date"].min() == day(2)


def test_demand_after_the_cutoff_is_not_known() -> None:
    panel = build_panel(sales(("a", 0, 1), ("a", 9, 5), ("late", 9, 5)), frequency="daily", cutoff=day(3))

    assert panel["sku"].unique().to_list() == ["a"]
    assert panel["demand_qty"].sum() == 1.0


def test_days_out_of_stock_are_marked_and_keep_what_was_sold() -> None:
    out = pl.DataFrame({"sku": ["a", "a"], "location_id": ["main", "main"], "stock_date": [day(1), day(2)]})

    panel = build_panel(sales(("a", 0, 1), ("a", 1, 2)), frequency="daily", cutoff=day(3), stock_outs=out)

    assert panel["is_censored"].to_list() == [False, True, True, False]
    assert panel["demand_qty"].to_list() == [1.0, 2.0, 0.0, 0.0]


def test_a_negative_quantity_is_refused_with_its_row() -> None:
    with pytest.raises(ValueError, match=r"1 of 2 rows are negative or missing.*returns are not negative demand"):
        build_panel(sales(("a", 0, 1), ("a", 1, -2)), frequency="daily", cutoff=day(3))


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


def launches(count: int) -> list[tuple[str, int, float]]:
    return [(f"launch {item}", number, 1.0) for item in range(count) for number in range(100 + item, 300)]


def test_a_young_item_is_forecastable_where_the_history_has_seen_five_launches() -> None:
    old = [("old", number, 1.0) for number in range(300)]
    young = [("young", 296, 1.0), ("young", 299, 1.0)]

    with_five = select_series(sales(*old, *young, *launches(5)), cutoff=day(299))
    with_four = select_series(sales(*old, *young, *launches(4)), cutoff=day(299))

    assert "young" in with_five.forecastable["sku"]
    assert with_four.skipped.select("sku", "reason").rows() == [
        ("young", "Only 4 days of history; 28 are needed, or 5 items whose launch was seen.")
    ]


def test_an_item_that_could_not_sell_is_not_dormant() -> None:
    demand = sales(*[("empty", number, 1.0) for number in range(60)])
    out = pl.DataFrame({"sku": "empty", "location_id": "main", "stock_date": [day(number) for number in range(60, 300)]})

    without = select_series(demand, cutoff=day(299))
    with_stock = select_series(demand, cutoff=day(299), stock_outs=out)

    assert without.skipped_counts == {"no sale lately": 1}
    assert with_stock.forecastable.height == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=30))
def test_the_panel_has_no_gap_and_loses_no_unit(rows: list[tuple[str, int, int]]) -> None:
    panel = build_panel(sales(*rows), frequency="daily", cutoff=day(40))

    assert panel["demand_qty"].sum() == sum(quantity for *_, quantity in rows)
    for _, series in panel.group_by("sku"):
        assert series["demand_date"].to_list() == [day(40 - back) for back in reversed(range(series.height))]


def test_weeks_start_on_monday_and_the_one_that_goes_on_is_dropped() -> None:
    monday = date(2025, 1, 6)
    demand = sales(*[("a", (monday - FIRST).days + number, 1.0) for number in range(17)])

    panel = build_panel(demand, cutoff=monday + timedelta(days=16), frequency="weekly")

    assert panel["demand_date"].to_list() == [monday, monday + timedelta(days=7)]
    assert panel["demand_qty"].to_list() == [7.0, 7.0]
    assert panel["is_censored"].to_list() == [False, False]


def test_months_start_on_the_1st_and_are_whole_at_their_last_day() -> None:
    demand = sales(*[("a", number, 1.0) for number in range(59)])

    at_month_end = build_panel(demand, cutoff=date(2025, 2, 28), frequency="monthly")
    a_day_before = build_panel(demand, cutoff=date(2025, 2, 27), frequency="monthly")

    assert at_month_end.select("demand_date", "demand_qty").rows() == [(date(2025, 1, 1), 31.0), (date(2025, 2, 1), 28.0)]
    assert a_day_before["demand_date"].to_list() == [date(2025, 1, 1)]


def test_a_week_on_sale_for_most_of_its_days_counts_as_if_for_all_of_them() -> None:
    monday = (date(2025, 1, 6) - FIRST).days
    demand = sales(*[("a", monday + number, 10.0) for number in range(21)])
    days_out = [day(monday + 7), day(monday + 14), day(monday + 15), day(monday + 16), day(monday + 17)]
    out = pl.DataFrame({"sku": "a", "location_id": "main", "stock_date": days_out})
    empty_when_out = demand.filter(~pl.col("demand_date").is_in(days_out))

    panel = build_panel(empty_when_out, cutoff=day(monday + 20), frequency="weekly", stock_outs=out)

    assert panel["demand_qty"].to_list() == pytest.approx([70.0, 70.0, 30.0])
    assert panel["is_censored"].to_list() == [False, False, True]


def test_a_week_keeps_what_was_sold_on_days_that_ended_without_stock() -> None:
    monday = (date(2025, 1, 6) - FIRST).days
    out = pl.DataFrame({"sku": "a", "location_id": "main", "stock_date": [day(monday + 6)]})

    panel = build_panel(sales(("a", monday, 1.0), ("a", monday + 6, 9.0)), cutoff=day(monday + 6), frequency="weekly", stock_outs=out)

    assert panel["demand_qty"].to_list() == [10.0]


def test_the_week_of_a_launch_is_raised_or_censored_by_its_days_on_sale() -> None:
    monday = (date(2025, 1, 6) - FIRST).days
    demand = sales(("early", monday + 1, 6.0), ("late", monday + 5, 6.0), ("late", monday + 7, 1.0))

    panel = build_panel(demand, cutoff=day(monday + 13), frequency="weekly")

    first = panel.group_by("sku", maintain_order=True).first()
    assert dict(first.select("sku", "demand_qty").rows()) == {"early": pytest.approx(7.0), "late": 6.0}
    assert dict(first.select("sku", "is_censored").rows()) == {"early": False, "late": True}


def test_a_discontinued_item_ends_on_its_last_day_on_sale() -> None:
    items = pl.DataFrame({"sku": ["ended", "sold later"], "discontinued_date": [day(3), day(3)]})

    panel = build_panel(sales(("ended", 0, 1), ("sold later", 0, 1), ("sold later", 5, 1)), cutoff=day(9), frequency="daily", items=items)

    assert dict(panel.group_by("sku").agg(pl.col("demand_date").max()).rows()) == {"ended": day(3), "sold later": day(5)}


def shop(*, closed: set[int]) -> pl.DataFrame:
    """Ten items that sell every day but Sundays (FIRST is a Wednesday) and what is closed."""
    return sales(*[(f"i{item}", number, 2.0) for item in range(10) for number in range(84) if number % 7 != 4 and number not in closed])


def test_a_day_the_whole_shop_was_closed_is_no_evidence_and_a_closed_weekday_is_zero() -> None:
    panel = build_panel(shop(closed={30}), cutoff=day(83), frequency="daily")

    assert panel.filter(pl.col("is_censored"))["demand_date"].unique().to_list() == [day(30)]
    assert panel.filter(pl.col("demand_date") == day(4))["demand_qty"].to_list() == [0.0] * 10


def test_a_closure_the_calendar_knows_of_stays_the_zero_it_is_learned_from() -> None:
    calendar = pl.DataFrame({"demand_date": [day(29), day(30)], "event": [None, "Christmas"], "price": [1.0, 1.0]})

    panel = build_panel(shop(closed={30}), cutoff=day(83), frequency="daily", calendar=calendar)

    assert not panel["is_censored"].any()


def test_a_small_shop_without_a_sale_is_not_called_closed() -> None:
    panel = build_panel(sales(*[("a", number, 2.0) for number in range(84) if number != 30]), cutoff=day(83), frequency="daily")

    assert not panel["is_censored"].any()


def test_an_unknown_frequency_is_refused() -> None:
    with pytest.raises(ValueError, match="pass 'daily', 'weekly' or 'monthly'"):
        build_panel(sales(("a", 0, 1)), cutoff=day(3), frequency="hourly")  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99), st.integers(1, 9)), min_size=1, max_size=40), st.integers(40, 99))
def test_weeks_and_months_are_never_less_than_the_days_in_them(rows: list[tuple[str, int, int]], cutoff: int) -> None:
    daily = build_panel(sales(*rows), frequency="daily", cutoff=day(cutoff))
    for frequency, step in (("weekly", "1w"), ("monthly", "1mo")):
        panel = build_panel(sales(*rows), frequency=frequency, cutoff=day(cutoff))  # type: ignore[arg-type]
        told = panel.join(
            daily.group_by("sku", pl.col("demand_date").dt.truncate(step)).agg(pl.col("demand_qty").sum().alias("sold_qty")),
            on=["sku", "demand_date"], how="left",
        )  # fmt: skip

        assert (told["demand_qty"] >= told["sold_qty"] - 1e-9).all()
        assert panel["demand_date"].dt.truncate(step).equals(panel["demand_date"])
        for _, series in panel.group_by("sku"):
            assert (
                series["demand_date"].to_list()
                == pl.date_range(series["demand_date"].min(), panel["demand_date"].max(), step, eager=True).to_list()
            )  # type: ignore[arg-type]
