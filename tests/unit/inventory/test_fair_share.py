from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.fair_share import fair_share


def stock_of(**units: float | None) -> pl.DataFrame:
    return pl.DataFrame({"sku": list(units), "available_qty": list(units.values())})


def wants_of(sku: str = "tea", /, **units: int) -> pl.DataFrame:
    return pl.DataFrame({"sku": [sku] * len(units), "location_id": list(units), "wanted_qty": list(units.values())})


def floors_of(**units: int) -> pl.DataFrame:
    return wants_of(**units).rename({"wanted_qty": "qty"})


@st.composite
def shortages(draw: Any) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    skus = draw(st.lists(st.sampled_from("abc"), unique=True, min_size=1))
    rows = [
        (sku, place, draw(st.integers(0, 40)), draw(st.sampled_from([1, 2, None])))
        for sku in skus
        for place in draw(st.lists(st.sampled_from("vwxyz"), unique=True, min_size=1))
    ]
    wants = pl.DataFrame(
        rows, schema={"sku": pl.String, "location_id": pl.String, "wanted_qty": pl.Int64, "priority": pl.Int64}, orient="row"
    )
    return stock_of(**{sku: draw(st.integers(0, 120)) for sku in skus}), wants, draw(st.sampled_from([1, 1, 6]))


def test_fifty_units_on_wants_of_10_20_and_50_are_6_13_and_31() -> None:
    result = fair_share(stock_of(tea=50), wants_of(a=10, b=20, c=50))

    assert result["qty"].to_list() == [6, 13, 31]


def test_a_tie_of_remainders_goes_to_the_larger_want_and_then_to_the_first_location() -> None:
    assert fair_share(stock_of(tea=2), wants_of(b=1, a=1, c=2))["qty"].to_list() == [1, 0, 1]
    assert fair_share(stock_of(tea=1), wants_of(b=1, a=1))["qty"].to_list() == [1, 0]


def test_packs_are_shared_whole_and_no_want_is_exceeded() -> None:
    result = fair_share(stock_of(tea=50), wants_of(a=10, b=20, c=50), pack_qty=6)

    assert result.select("qty", "binding").rows() == [(6, "pack"), (12, "pack"), (30, "pack")]  # two units are left


def test_the_first_class_is_served_before_the_second_sees_any() -> None:
    wants = wants_of(a=10, b=20, c=50).with_columns(priority=pl.Series([None, 1, 2]))

    assert fair_share(stock_of(tea=50), wants)["qty"].to_list() == [0, 20, 30]


def test_floors_come_first_and_the_rest_is_shared_by_what_is_still_wanted() -> None:
    result = fair_share(stock_of(tea=50), wants_of(a=10, b=20, c=50), floors=floors_of(a=10, d=3))

    assert result.select("location_id", "qty", "floor_short_qty").rows() == [("a", 10, 0), ("b", 11, 0), ("c", 29, 0), ("d", 0, 3)]


def test_floors_that_cannot_be_met_are_shared_by_the_same_rule() -> None:
    result = fair_share(stock_of(tea=8), wants_of(a=10, b=20, c=50), floors=floors_of(a=10, b=20))

    assert result.select("qty", "floor_short_qty").rows() == [(3, 7), (5, 15), (0, 0)]


def test_a_sku_that_the_stock_does_not_know_is_listed_with_nothing() -> None:
    result = fair_share(stock_of(tea=5), pl.concat([wants_of(a=1), wants_of("nut", a=1)]))

    assert result.select("sku", "qty", "binding").rows() == [("nut", 0, "unknown_stock"), ("tea", 1, "none")]


@settings(max_examples=30, deadline=None)
@given(shortages())
def test_all_that_can_be_shared_is_and_no_more(case: Any) -> None:
    stock, wants, pack = case

    result = fair_share(stock, wants, pack_qty=pack)

    given_out = (
        result.group_by("sku").agg(pl.col("qty").sum(), (pl.col("wanted_qty") // pack * pack).sum().alias("most")).join(stock, on="sku")
    )
    assert (given_out["qty"] == given_out.select(pl.min_horizontal("most", pl.col("available_qty") // pack * pack)).to_series()).all()
    assert (result["qty"] <= result["wanted_qty"]).all()
    assert (result["qty"] % pack).sum() == 0


@settings(max_examples=30, deadline=None)
@given(shortages())
def test_within_a_class_nobody_is_a_pack_away_from_its_proportion(case: Any) -> None:
    stock, wants, pack = case
    wants = wants.drop("priority").with_columns(pl.col("wanted_qty") // pack * pack)

    result = fair_share(stock, wants, pack_qty=pack).join(stock, on="sku")

    total = pl.col("wanted_qty").sum().over("sku")
    exact = pl.col("wanted_qty") * pl.min_horizontal(pl.col("available_qty") // pack * pack, total) / pl.max_horizontal(total, 1)
    assert (result.select((pl.col("qty") - exact).abs()).to_series() < pack).all()


@settings(max_examples=15, deadline=None)
@given(shortages(), st.integers(0, 1000))
def test_the_order_of_rows_never_matters(case: Any, seed: int) -> None:
    stock, wants, pack = case

    mixed = fair_share(stock, wants.sample(fraction=1, shuffle=True, seed=seed), pack_qty=pack)

    assert mixed.equals(fair_share(stock, wants, pack_qty=pack))


def test_empty_wants_share_nothing() -> None:
    assert fair_share(stock_of(tea=5), wants_of()).is_empty()


@pytest.mark.parametrize(
    ("stock", "wants", "names"),
    [
        (stock_of(tea=-1), wants_of(a=1), r"stock\.available_qty"),
        (stock_of(tea=1), wants_of(a=-1), r"wants\.wanted_qty"),
        (stock_of(tea=1), pl.concat([wants_of(a=1)] * 2), r"several rows"),
        (stock_of(tea=1), wants_of(a=1).with_columns(wanted_qty=pl.lit(float("nan"))), r"wants\.wanted_qty"),
        (stock_of(tea=1), wants_of(a=1).drop("wanted_qty"), r"no column 'wanted_qty'"),
    ],
)
def test_bad_rows_are_refused(stock: pl.DataFrame, wants: pl.DataFrame, names: str) -> None:
    with pytest.raises(ValueError, match=names):
        fair_share(stock, wants)
