from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from inventory import allocate
from inventory.wants import wants_from_paths, wants_from_quantiles

STOCK = {"sku": pl.String, "available_qty": pl.Int64}
WANTS = {"sku": pl.String, "location_id": pl.String, "level": pl.Int64, "marginal_value": pl.Float64}


def stock_of(**units: float | None) -> pl.DataFrame:
    return pl.DataFrame({"sku": list(units), "available_qty": list(units.values())})


def wants_of(sku: str = "tea", /, **values: list[float]) -> pl.DataFrame:
    """One unit a level."""
    rows = [(sku, place, level, value) for place, steps in values.items() for level, value in enumerate(steps, start=1)]
    return pl.DataFrame(rows, schema=WANTS, orient="row")


def floors_of(**units: int) -> pl.DataFrame:
    return pl.DataFrame({"sku": ["tea"] * len(units), "location_id": list(units), "qty": list(units.values())})


def given_to(result: pl.DataFrame) -> dict[str, int]:
    return dict(result.select("location_id", "qty").iter_rows())


def optimum(stock: pl.DataFrame, wants: pl.DataFrame, floors: pl.DataFrame | None, pack: int) -> float:
    """HiGHS on one variable per unit of each location, packs held together by equalities."""
    value = 0.0
    for sku, available in stock.iter_rows():
        units = [(place, level, worth) for one, place, level, worth in wants.sort("location_id", "level").iter_rows() if one == sku]
        packs: dict[tuple[str, int], list[float]] = {}
        for place, level, worth in units:
            packs.setdefault((place, (level - 1) // pack), []).append(worth)
        whole = {key: sum(worths) for key, worths in packs.items() if len(worths) == pack}
        if not whole:
            continue
        keys, least = list(whole), dict(floors.filter(sku=sku).select("location_id", "qty").iter_rows()) if floors is not None else {}
        bounds = [(1.0 if number * pack < least.get(place, 0) else 0.0, 1.0) for place, number in keys]
        found = linprog([-whole[key] for key in keys], A_ub=[[1.0] * len(keys)], b_ub=[available // pack], bounds=bounds, method="highs")
        assert found.status == 0
        value -= found.fun
    return value


@st.composite
def shortages(draw: Any) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, int]:
    """Stock, wants by unit in any order of rows, floors that can be met, and a pack."""
    pack = draw(st.sampled_from([1, 1, 2, 3, 6]))
    rows: list[tuple[str, str, int, float]] = []
    stock, floors = [], []
    for sku in draw(st.lists(st.sampled_from("abc"), unique=True, min_size=1)):
        needed = 0
        for place in draw(st.lists(st.sampled_from("wxyz"), unique=True, min_size=1)):
            values = sorted(draw(st.lists(st.sampled_from([-2.0, 0.0, 0.1, 0.7, 1.0, 2.5, 9.99]), min_size=1, max_size=9)), reverse=True)
            rows += [(sku, place, level, value) for level, value in enumerate(values, start=1)]
            if least := draw(st.integers(0, len(values) // pack)) * draw(st.booleans()):
                floors.append((sku, place, least * pack))
                needed += least * pack
        stock.append((sku, needed + draw(st.integers(0, 20))))
    order = draw(st.permutations(range(len(rows))))
    return (
        pl.DataFrame(stock, schema=STOCK, orient="row"),
        pl.DataFrame([rows[at] for at in order], schema=WANTS, orient="row"),
        pl.DataFrame(floors, schema={"sku": pl.String, "location_id": pl.String, "qty": pl.Int64}, orient="row"),
        pack,
    )


@settings(max_examples=30, deadline=None)
@given(shortages())
def test_what_is_allocated_is_worth_the_optimum_of_the_linear_programme(case: Any) -> None:
    stock, wants, floors, pack = case

    result = allocate(stock, wants, floors=floors, pack_qty=pack)

    assert result["value"].sum() == pytest.approx(optimum(stock, wants, floors, pack), abs=1e-9)
    assert result["floor_short_qty"].sum() == 0


@settings(max_examples=30, deadline=None)
@given(shortages())
def test_nothing_is_given_that_is_not_there_nor_wanted_nor_in_whole_packs(case: Any) -> None:
    stock, wants, floors, pack = case

    result = allocate(stock, wants, floors=floors, pack_qty=pack)

    per_sku = result.group_by("sku").agg(pl.col("qty").sum()).join(stock, on="sku")
    assert (per_sku["qty"] <= per_sku["available_qty"]).all()
    assert (result["qty"] <= result["wanted_qty"]).all()
    assert (result["qty"] % pack).sum() == 0


@settings(max_examples=15, deadline=None)
@given(shortages(), st.randoms())
def test_the_order_of_rows_never_matters(case: Any, random: Any) -> None:
    stock, wants, floors, pack = case
    seed = random.randint(0, 1000)

    mixed = allocate(
        stock.sample(fraction=1, shuffle=True, seed=seed),
        wants.sample(fraction=1, shuffle=True, seed=seed),
        floors=floors.sample(fraction=1, shuffle=True, seed=seed),
        pack_qty=pack,
    )

    assert mixed.equals(allocate(stock, wants, floors=floors, pack_qty=pack))


@settings(max_examples=15, deadline=None)
@given(shortages(), st.integers(1, 9))
def test_more_stock_is_never_worth_less(case: Any, more: int) -> None:
    stock, wants, _, pack = case

    richer = allocate(stock.with_columns(pl.col("available_qty") + more), wants, pack_qty=pack)

    assert richer["value"].sum() >= allocate(stock, wants, pack_qty=pack)["value"].sum() - 1e-9


@settings(max_examples=30, deadline=None)
@given(shortages(), st.integers(1, 4))
def test_steps_of_several_units_are_the_same_as_their_units(case: Any, size: int) -> None:
    stock, wants, _, pack = case
    steps = wants.with_columns(pl.col("level") * size)
    units = wants.select(
        "sku", "location_id", pl.int_ranges((pl.col("level") - 1) * size + 1, pl.col("level") * size + 1).alias("level"), "marginal_value"
    ).explode("level")

    result = allocate(stock, steps, pack_qty=pack)

    assert result["value"].sum() == pytest.approx(allocate(stock, units, pack_qty=pack)["value"].sum(), abs=1e-9)


def test_units_go_where_the_next_one_is_worth_most() -> None:
    result = allocate(stock_of(tea=3), wants_of(web=[9.0, 3.0, 1.0], shop=[8.0, 4.0]))

    assert result.select("location_id", "wanted_qty", "qty", "value", "binding").rows() == [
        ("shop", 2, 2, 12.0, "none"),
        ("web", 3, 1, 9.0, "stock"),
    ]


def test_at_equal_value_the_lower_level_is_served_first_and_then_the_first_location() -> None:
    result = allocate(stock_of(tea=3), wants_of(web=[5.0, 5.0], shop=[5.0, 5.0]))

    assert given_to(result) == {"shop": 2, "web": 1}


def test_a_class_with_a_lower_number_is_served_before_a_dearer_one() -> None:
    wants = wants_of(web=[9.0, 9.0], shop=[1.0, 1.0], kiosk=[5.0]).with_columns(
        priority=pl.col("location_id").replace_strict({"web": 2, "shop": 1, "kiosk": None}, return_dtype=pl.Int64)
    )

    result = allocate(stock_of(tea=3), wants)

    assert given_to(result) == {"kiosk": 0, "shop": 2, "web": 1}


def test_a_floor_is_met_before_what_is_worth_more() -> None:
    result = allocate(stock_of(tea=3), wants_of(web=[9.0, 9.0, 9.0], shop=[1.0, -1.0]), floors=floors_of(shop=2))

    assert given_to(result) == {"shop": 2, "web": 1}


def test_floors_that_cannot_all_be_met_are_shared_fairly_and_what_is_missing_is_said() -> None:
    result = allocate(stock_of(tea=5), wants_of(web=[9.0] * 8, shop=[1.0] * 8), floors=floors_of(web=2, shop=8))

    assert result.select("location_id", "qty", "floor_short_qty").rows() == [("shop", 4, 4), ("web", 1, 1)]


def test_a_floor_is_rounded_up_to_packs_and_ends_at_the_want() -> None:
    result = allocate(stock_of(tea=40), wants_of(web=[0.0] * 8, shop=[0.0] * 5), floors=floors_of(web=4, shop=9, kiosk=2), pack_qty=3)

    assert result.select("location_id", "qty", "floor_short_qty").rows() == [("kiosk", 0, 2), ("shop", 3, 6), ("web", 6, 0)]


def test_a_pack_of_the_stock_stands_before_the_argument() -> None:
    stock = pl.DataFrame({"sku": ["tea", "nut"], "available_qty": [5, 5], "pack_qty": [2, None]})

    result = allocate(stock, pl.concat([wants_of(web=[1.0] * 9), wants_of("nut", web=[1.0] * 9)]), pack_qty=5)

    assert result.select("sku", "qty", "binding").rows() == [("nut", 5, "pack"), ("tea", 4, "pack")]


def test_what_is_not_worth_giving_or_not_known_to_be_there_is_listed_with_its_reason() -> None:
    result = allocate(stock_of(tea=9), pl.concat([wants_of(web=[2.0, 0.0, 0.0]), wants_of("nut", web=[5.0])]))

    assert result.select("sku", "qty", "binding").rows() == [("nut", 0, "unknown_stock"), ("tea", 1, "value")]


def test_empty_frames_and_a_sku_without_stock_allocate_nothing() -> None:
    assert allocate(pl.DataFrame({"sku": [], "available_qty": []}), wants_of()).is_empty()
    assert given_to(allocate(stock_of(tea=0), wants_of(web=[1.0]))) == {"web": 0}


@pytest.mark.parametrize(
    ("stock", "wants", "names"),
    [
        (stock_of(tea=None), wants_of(web=[1.0]), r"stock.available_qty: 1 values .* sku tea"),
        (stock_of(tea=-1), wants_of(web=[1.0]), r"stock.available_qty"),
        (stock_of(tea=1.5), wants_of(web=[1.0]), r"no whole number"),
        (stock_of(tea=1e18), wants_of(web=[1.0]), r"1,000,000,000"),
        (pl.concat([stock_of(tea=1)] * 2), wants_of(web=[1.0]), r"stock: sku tea stands in several rows"),
        (stock_of(tea=1).rename({"sku": "item"}), wants_of(web=[1.0]), r"stock: has no column 'sku'"),
        (stock_of(tea=1), wants_of(web=[float("nan")]), r"wants.marginal_value"),
        (stock_of(tea=1), wants_of(web=[float("inf")]), r"wants.marginal_value"),
        (stock_of(tea=1), wants_of(web=[1.0, 2.0]), r"wants.marginal_value: rises at sku tea, location_id web, level 2"),
        (stock_of(tea=1), pl.concat([wants_of(web=[1.0])] * 2), r"wants.level: stands in several rows"),
        (stock_of(tea=1), wants_of(web=[1.0]).with_columns(level=0), r"wants.level"),
        (stock_of(tea=1), wants_of(web=[1.0]).with_columns(sku=pl.lit(None, pl.String)), r"wants: 1 row has no sku"),
        (stock_of(tea=1), wants_of(web=[1.0]).with_columns(marginal_value=pl.lit("1")), r"numbers are needed"),
        (stock_of(tea=1), wants_of(web=[2.0, 1.0]).with_columns(priority=pl.Series([1, 2])), r"wants.priority: differs"),
    ],
)
def test_bad_rows_are_refused_with_the_row_that_is_wrong(stock: pl.DataFrame, wants: pl.DataFrame, names: str) -> None:
    with pytest.raises(ValueError, match=names):
        allocate(stock, wants)


def test_a_floor_below_zero_and_a_pack_of_zero_are_refused() -> None:
    with pytest.raises(ValueError, match=r"floors\.qty"):
        allocate(stock_of(tea=1), wants_of(web=[1.0]), floors=floors_of(web=-1))
    with pytest.raises(ValueError, match="pack_qty"):
        allocate(stock_of(tea=1), wants_of(web=[1.0]), pack_qty=0)


def test_the_kth_unit_is_worth_the_chance_that_so_many_are_wanted() -> None:
    places = pl.DataFrame({"sku": ["tea", "nut"], "location_id": ["web", "web"], "unit_value": [10.0, 4.0]})

    wants = wants_from_paths(places, np.array([[3.0, 0.0], [1.0, 2.5], [0.0, 0.0], [1.0, 0.0]]))

    assert wants.rows() == [
        ("tea", "web", 1, 7.5),
        ("tea", "web", 2, 2.5),
        ("tea", "web", 3, 2.5),
        ("nut", "web", 1, 1.0),
        ("nut", "web", 2, 1.0),
        ("nut", "web", 3, 0.5),
    ]


def test_quantiles_give_nearly_the_chances_of_the_distribution_they_are_of() -> None:
    levels = np.arange(1, 100) / 100
    places = pl.DataFrame({"sku": ["tea"], "location_id": ["web"], "unit_value": [1.0]})

    wants = wants_from_quantiles(places, 50 * levels[None, :], levels=levels)

    # uniform on 0 to 50: the k-th unit sells with the chance that demand passes its middle
    assert wants["marginal_value"].to_numpy() == pytest.approx(1 - (wants["level"].to_numpy() - 0.5) / 50)


def test_units_above_the_highest_quantile_are_not_wanted() -> None:
    places = pl.DataFrame({"sku": ["tea", "nut"], "location_id": ["web", "web"], "unit_value": [1.0, 1.0]})

    wants = wants_from_quantiles(places, np.array([[2.0, 7.0], [0.0, 0.0]]), levels=np.array([0.5, 0.9]))

    assert wants.group_by("sku").agg(pl.col("level").max()).rows() == [("tea", 7)]
    assert wants["marginal_value"].is_sorted(descending=True)


@pytest.mark.parametrize(
    ("quantiles", "levels"),
    [
        ([[2.0, 1.0]], [0.5, 0.9]),
        ([[1.0, 2.0]], [0.9, 0.5]),
        ([[1.0, np.nan]], [0.5, 0.9]),
        ([[1.0, 2.0]], [0.5, 1.5]),
        ([[1.0]], [0.5, 0.9]),
    ],
)
def test_quantiles_that_are_none_are_refused(quantiles: list[list[float]], levels: list[float]) -> None:
    places = pl.DataFrame({"sku": ["tea"], "location_id": ["web"], "unit_value": [1.0]})

    with pytest.raises(ValueError, match=r"quantiles|levels"):
        wants_from_quantiles(places, np.array(quantiles), levels=np.array(levels))
