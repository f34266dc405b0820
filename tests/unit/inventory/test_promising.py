from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.promising import promise_dates

AS_OF = date(2025, 6, 30)
LINE = {
    "order_line_id": pl.String, "sku": pl.String, "location_id": pl.String, "open_qty": pl.Int64, "ordered_date": pl.Date, "priority": pl.Int64,
}  # fmt: skip
INBOUND = {"sku": pl.String, "location_id": pl.String, "expected_date": pl.Date, "open_qty": pl.Int64}
PARTS = ["on_hand_qty", "inbound_qty", "supplier_qty", "unknown_qty"]


def after(days: int) -> date:
    return AS_OF + timedelta(days=days)


def line(name: str, qty: int, *, sku: str = "tea", place: str = "web", ordered: int = 0, priority: int | None = None) -> tuple[Any, ...]:
    return (name, sku, place, qty, after(ordered), priority)


def lines_of(*rows: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=LINE, orient="row")


def stock_of(units: float | None, *, sku: str = "tea") -> pl.DataFrame:
    return pl.DataFrame({"sku": [sku], "location_id": ["web"], "on_hand_qty": [units]})


def inbound_of(*rows: tuple[int | None, int]) -> pl.DataFrame:
    return pl.DataFrame([("tea", "web", None if days is None else after(days), qty) for days, qty in rows], schema=INBOUND, orient="row")


def leads_of(**days: int | None) -> pl.DataFrame:
    return pl.DataFrame({"sku": list(days), "lead_time_days": list(days.values())}, schema={"sku": pl.String, "lead_time_days": pl.Int64})


def promised(*rows: tuple[Any, ...], units: float | None = 0, coming: Any = (), leads: pl.DataFrame | None = None) -> pl.DataFrame:
    return promise_dates(lines_of(*rows), stock_of(units), inbound_of(*coming), leads_of() if leads is None else leads, as_of=AS_OF)


@st.composite
def shops(draw: Any) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(1, 9), st.integers(-9, 0), st.sampled_from([None, 1, 2])),
            max_size=9,
        )
    )
    lines = lines_of(
        *(line(str(at), qty, sku=sku, place=place, ordered=day, priority=first) for at, (sku, place, qty, day, first) in enumerate(rows))
    )
    position = pl.DataFrame(
        [(sku, place, draw(st.integers(-2, 15)), draw(st.integers(0, 3))) for sku in "ab" for place in "xy" if draw(st.booleans())],
        schema={"sku": pl.String, "location_id": pl.String, "on_hand_qty": pl.Int64, "committed_qty": pl.Int64},
        orient="row",
    )
    coming = draw(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from([None, *map(after, range(-2, 12))]), st.integers(0, 9)),
            max_size=8,
        )
    )
    leads = leads_of(**{sku: draw(st.integers(0, 9)) for sku in "ab" if draw(st.booleans())})
    return lines, position, pl.DataFrame(coming, schema=INBOUND, orient="row"), leads


def test_a_line_is_promised_for_the_day_of_its_last_unit() -> None:
    result = promised(line("1", 4), line("2", 6), units=5, coming=[(3, 2), (9, 9)])

    assert result.select("promised_date", "binding", *PARTS).rows() == [
        (after(1), "on_hand", 4, 0, 0, 0),
        (after(9), "inbound", 1, 5, 0, 0),
    ]
    assert result["reason"].to_list() == ["All units are on hand.", "Inbound of 2025-07-09 brings 5 of 6 units."]


def test_units_that_come_exactly_far_enough_count_from_the_first_day_they_do() -> None:
    result = promised(line("1", 2), units=0, coming=[(3, 2), (5, 0), (7, 1)])

    assert result["promised_date"].to_list() == [after(3)]


@pytest.mark.parametrize(("units", "binding"), [(5, "on_hand"), (0, "supplier_lead_time")])
def test_the_as_of_day_is_over_so_the_earliest_day_is_the_next(units: int, binding: str) -> None:
    result = promised(line("1", 5), units=units, leads=leads_of(tea=0))

    assert result.select("promised_date", "binding").row(0) == (after(1), binding)


def test_priority_goes_before_order_date_and_order_date_before_the_id() -> None:
    result = promised(line("1", 1), line("2", 1, ordered=-3), line("3", 1, priority=2), line("4", 1, priority=1), line("0", 1), units=3)

    assert result.select("order_line_id", "on_hand_qty").rows() == [("4", 1), ("3", 1), ("2", 1), ("0", 0), ("1", 0)]


def test_what_is_neither_there_nor_coming_waits_for_the_supplier() -> None:
    result = promised(line("1", 5), units=2, coming=[(3, 1)], leads=leads_of(tea=10))

    assert result.select("promised_date", "binding", *PARTS).row(0) == (after(10), "supplier_lead_time", 2, 1, 2, 0)


def test_nobody_waits_for_inbound_that_comes_after_a_new_order_would() -> None:
    result = promised(line("1", 5), line("2", 5), units=0, coming=[(60, 5)], leads=leads_of(tea=10))

    assert result.select("promised_date", "binding").rows() == [(after(10), "supplier_lead_time")] * 2


def test_where_nothing_is_known_no_day_is_promised_and_what_is_needed_is_said() -> None:
    result = promised(line("1", 5), units=2, leads=leads_of(tea=None))

    assert result.select("promised_date", "binding", "unknown_qty").row(0) == (None, "nothing_known", 3)
    assert result["reason"][0] == "Not available: needs a dated inbound or a supplier's lead time for 3 of 5 units."


def test_one_unit_and_one_day_are_said_in_the_singular() -> None:
    result = promised(line("1", 1), units=0, leads=leads_of(tea=1))

    assert result["reason"][0] == "A new order brings 1 of 1 unit; the supplier takes 1 day."


def test_overdue_and_undated_inbound_is_not_promised() -> None:
    result = promised(line("1", 1), units=0, coming=[(None, 5), (0, 5), (-4, 5)])

    assert result["binding"].to_list() == ["nothing_known"]


def test_committed_units_and_an_unknown_stock_level_are_not_promised() -> None:
    taken = stock_of(5).with_columns(committed_qty=pl.lit(4))

    committed = promise_dates(lines_of(line("1", 2)), taken, inbound_of(), leads_of(), as_of=AS_OF)
    unknown = promised(line("1", 2), units=None, leads=leads_of(tea=3))

    assert committed["on_hand_qty"].to_list() == [1]
    assert unknown.select("promised_date", "on_hand_qty").row(0) == (after(3), 0)
    assert unknown["reason"][0].endswith("No stock level is known here.")


def test_a_lead_time_of_a_location_holds_there_only() -> None:
    leads = pl.DataFrame({"sku": ["tea"], "location_id": ["shop"], "lead_time_days": [3]})

    result = promised(line("1", 1), line("2", 1, place="shop"), leads=leads)

    assert result.select("location_id", "promised_date").rows() == [("shop", after(3)), ("web", None)]


@settings(max_examples=30, deadline=None)
@given(shops())
def test_no_unit_is_promised_twice_and_every_unit_is_accounted_for(shop: Any) -> None:
    lines, position, inbound, leads = shop

    result = promise_dates(lines, position, inbound, leads, as_of=AS_OF)

    assert (result.select(pl.sum_horizontal(PARTS)).to_series() == result["open_qty"]).all()
    assert sorted(result["order_line_id"]) == sorted(lines["order_line_id"])
    per_place = result.group_by("sku", "location_id").agg(pl.col(PARTS).sum()).join(position, on=["sku", "location_id"], how="left")
    free = (pl.col("on_hand_qty_right").clip(0) - pl.col("committed_qty")).clip(0).fill_null(0)
    assert per_place.filter(pl.col("on_hand_qty") > free).is_empty()
    for sku, place, day in result.filter(pl.col("inbound_qty") > 0).select("sku", "location_id", "promised_date").drop_nulls().iter_rows():
        here = result.filter(sku=sku, location_id=place).filter(pl.col("promised_date") <= day)
        arrived = inbound.filter(sku=sku, location_id=place).filter(pl.col("expected_date").is_between(AS_OF, day, closed="right"))
        assert here["inbound_qty"].sum() <= arrived["open_qty"].sum()


@settings(max_examples=30, deadline=None)
@given(shops(), st.integers(0, 1000))
def test_nobody_is_promised_a_later_day_than_one_behind_and_rows_order_never_matters(shop: Any, seed: int) -> None:
    lines, position, inbound, leads = shop

    result = promise_dates(lines, position, inbound, leads, as_of=AS_OF)
    mixed = promise_dates(lines.sample(fraction=1, shuffle=True, seed=seed), position, inbound.reverse(), leads, as_of=AS_OF)

    day = pl.col("promised_date").fill_null(date.max)
    assert result.filter(day < day.shift(1).over("sku", "location_id")).is_empty()
    assert mixed.equals(result)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"lines": lines_of(line("1", 0))}, r"order_lines\.open_qty"),
        ({"lines": lines_of(line("1", 1), line("1", 1))}, r"order_line_id 1 stands in several rows"),
        ({"lines": lines_of(line("1", 1)).with_columns(ordered_date=pl.lit(None, pl.Date))}, r"order_lines: 1 row has no"),
        ({"position": stock_of(float("nan"))}, r"position\.on_hand_qty"),
        ({"inbound": inbound_of((1, -1))}, r"inbound\.open_qty"),
        ({"leads": leads_of(tea=-1)}, r"lead_times\.lead_time_days"),
        ({"leads": leads_of(tea=99_999)}, r"no lead time"),
        ({"leads": pl.concat([leads_of(tea=1)] * 2)}, r"several rows"),
    ],
)
def test_bad_rows_are_refused(change: dict[str, pl.DataFrame], names: str) -> None:
    frames = {"lines": lines_of(line("1", 1)), "position": stock_of(1), "inbound": inbound_of(), "leads": leads_of()} | change

    with pytest.raises(ValueError, match=names):
        promise_dates(frames["lines"], frames["position"], frames["inbound"], frames["leads"], as_of=AS_OF)
