from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from inventory import transfers

STOCK = {"sku": pl.String, "location_id": pl.String, "available_qty": pl.Int64}
WANTS = {"sku": pl.String, "location_id": pl.String, "level": pl.Int64, "marginal_value": pl.Float64}
LANES = {"from_location_id": pl.String, "to_location_id": pl.String, "unit_cost": pl.Float64}
PLACES = "vwxyz"


def stock_of(**units: float | None) -> pl.DataFrame:
    return pl.DataFrame([("tea", place, qty) for place, qty in units.items()], schema=STOCK, orient="row", strict=False)


def wants_of(**values: list[float]) -> pl.DataFrame:
    rows = [("tea", place, level, value) for place, steps in values.items() for level, value in enumerate(steps, start=1)]
    return pl.DataFrame(rows, schema=WANTS, orient="row")


def lanes_of(**cost: float) -> pl.DataFrame:
    """`xy=1.5` is a lane from x to y."""
    return pl.DataFrame([(*lane, worth) for lane, worth in cost.items()], schema=LANES, orient="row")


def moves(result: pl.DataFrame) -> list[tuple[Any, ...]]:
    return result.select("from_location_id", "to_location_id", "qty").rows()


def gain(result: pl.DataFrame) -> float:
    return float(result["value_gained"].sum() - result["cost"].sum())


def optimum(stock: pl.DataFrame, wants: pl.DataFrame, lanes: pl.DataFrame, pack: int) -> float:
    """HiGHS on the flow of each sku: what goes from place to place (itself included), and which packs are used."""
    cost = {(a, b): worth for a, b, worth in lanes.iter_rows()}
    total = 0.0
    for sku in stock["sku"].unique():
        held = {place: int(stock.filter(sku=sku, location_id=place)["available_qty"].sum()) for place in PLACES}
        values = {place: wants.filter(sku=sku, location_id=place).sort("level")["marginal_value"].clip(0).to_list() for place in PLACES}
        objective: list[float] = []
        columns: list[np.ndarray] = []
        most: list[float] = []

        def add(worth: float, limit: float, entries: list[tuple[int, float]], into: Any = (objective, columns, most)) -> None:
            column = np.zeros(2 * len(PLACES))
            for row, one in entries:
                column[row] = one
            for target, value in zip(into, (-worth, column, limit), strict=True):
                target.append(value)

        for at, place in enumerate(PLACES):
            packs, rest = divmod(held[place], pack)
            for to, other in enumerate(PLACES):
                if place == other or (place, other) in cost:
                    add(-cost.get((place, other), 0.0) * pack, packs, [(at, 1.0), (len(PLACES) + to, 1.0)])
            for number in range(max(packs, (len(values[place]) - rest) // pack)):
                units = values[place][rest + number * pack : rest + (number + 1) * pack]
                add(sum(units), 1, [(len(PLACES) + at, -1.0)])
        sides = [held[place] // pack for place in PLACES] + [0] * len(PLACES)
        found = linprog(objective, A_eq=np.array(columns).T, b_eq=sides, bounds=[(0, limit) for limit in most], method="highs")
        assert found.status == 0
        total += -found.fun - sum(sum(values[place][held[place] % pack : held[place]]) for place in PLACES)
    return total


@st.composite
def networks(draw: Any) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, int]:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    places = PLACES[: draw(st.integers(2, 5))]
    is_round = draw(st.booleans())  # round numbers tie often
    stock, wants = [], []
    for sku in ("a", "b"):
        for place in places:
            size = int(random.integers(0, 9))
            values = random.choice([-1.0, 0.0, 0.5, 1.0, 2.0, 5.0], size) if is_round else random.uniform(-1, 5, size)
            stock.append((sku, place, int(random.integers(0, 12) * (random.random() < 0.6))))
            wants += [(sku, place, level, float(value)) for level, value in enumerate(-np.sort(-values), start=1)]
    lanes = [
        (a, b, float(random.choice([0.0, 0.5, 1.0, 2.0]) if is_round else random.uniform(0, 2)))
        for a in places
        for b in places
        if a != b and random.random() < 0.7
    ]
    frames = [pl.DataFrame(rows, schema=schema, orient="row") for rows, schema in ((stock, STOCK), (wants, WANTS), (lanes, LANES))]
    return frames[0], frames[1], frames[2], draw(st.sampled_from([1, 1, 2, 3]))


@settings(max_examples=30, deadline=None)
@given(networks())
def test_a_plan_gains_the_optimum_of_the_linear_programme(network: Any) -> None:
    stock, wants, lanes, pack = network

    result = transfers(stock, wants, lanes, pack_qty=pack)

    assert gain(result) == pytest.approx(optimum(stock, wants, lanes, pack), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(networks())
def test_nothing_leaves_that_is_not_there_and_nothing_comes_beyond_the_wants(network: Any) -> None:
    stock, wants, lanes, pack = network
    key = ["sku", "location_id"]

    result = transfers(stock, wants, lanes, pack_qty=pack)

    sent = result.group_by("sku", location_id="from_location_id").agg(pl.col("qty").sum().alias("sent_qty"))
    received = result.group_by("sku", location_id="to_location_id").agg(pl.col("qty").sum().alias("received_qty"))
    wanted = wants.group_by(key).agg(pl.col("level").max().alias("wanted_qty"))
    places = stock.join(sent, on=key, how="left").join(received, on=key, how="left").join(wanted, on=key, how="left").fill_null(0)
    final = pl.col("available_qty") - pl.col("sent_qty") + pl.col("received_qty")
    assert places.filter(pl.col("sent_qty") > pl.col("available_qty")).is_empty()
    assert places.filter((final > pl.col("available_qty")) & (final > pl.col("wanted_qty"))).is_empty()
    assert result.filter((pl.col("qty") % pack != 0) | (pl.col("qty") <= 0)).is_empty()
    assert result.join(lanes, on=["from_location_id", "to_location_id"]).height == result.height


@settings(max_examples=15, deadline=None)
@given(networks(), st.integers(0, 1000))
def test_the_order_of_rows_never_matters(network: Any, seed: int) -> None:
    stock, wants, lanes, pack = network

    mixed = transfers(*(frame.sample(fraction=1, shuffle=True, seed=seed) for frame in (stock, wants, lanes)), pack_qty=pack)

    assert mixed.equals(transfers(stock, wants, lanes, pack_qty=pack))


def test_units_go_where_they_are_worth_more_than_here_and_the_way() -> None:
    result = transfers(stock_of(x=3), wants_of(x=[5.0, 2.0, 1.0], y=[6.0, 3.5, 2.5]), lanes_of(xy=1.0))

    assert result.rows() == [("tea", "x", "y", 2, 6.0 + 3.5 - 2.0 - 1.0, 2.0)]


def test_a_later_unit_can_turn_an_earlier_one_to_another_place() -> None:
    # y is served by x, until z, which only x reaches, wants that unit more and w stands in at y
    result = transfers(stock_of(x=1, w=1), wants_of(y=[5.0], z=[4.0]), lanes_of(xy=0.5, xz=1.0, wy=2.0))

    assert moves(result) == [("w", "y", 1), ("x", "z", 1)]


def test_a_place_may_send_its_own_and_be_supplied_where_there_is_no_lane() -> None:
    result = transfers(stock_of(x=1, y=1), wants_of(y=[5.0], z=[9.0]), lanes_of(xy=1.0, yz=1.0))

    assert moves(result) == [("x", "y", 1), ("y", "z", 1)]
    assert gain(result) == 9.0 - 2.0


def test_a_unit_does_not_travel_on_from_a_place_that_had_none() -> None:
    result = transfers(stock_of(x=1), wants_of(z=[9.0]), lanes_of(xy=1.0, yz=1.0))

    assert result.is_empty()


def test_only_whole_packs_move_and_a_pack_in_part_is_worth_its_units_where_it_is() -> None:
    result = transfers(stock_of(x=7), wants_of(x=[4.0] * 5, y=[3.0] * 5), lanes_of(xy=0.0), pack_qty=3)

    # six units are whole packs; the second holds two that x wants for 8 and none that are worth as much as y's 9
    assert moves(result) == [("x", "y", 3)]


@pytest.mark.parametrize(
    ("stock", "wants", "lanes"),
    [
        (stock_of(), wants_of(), lanes_of()),
        (stock_of(x=3), wants_of(), lanes_of(xy=1.0)),
        (stock_of(), wants_of(y=[3.0]), lanes_of(xy=1.0)),
        (stock_of(x=3), wants_of(y=[3.0]), lanes_of()),
        (stock_of(x=3), wants_of(y=[3.0]), lanes_of(xy=3.0)),
        (stock_of(x=0), wants_of(y=[3.0]), lanes_of(xy=1.0)),
    ],
)
def test_without_stock_wants_lanes_or_gain_nothing_moves(stock: pl.DataFrame, wants: pl.DataFrame, lanes: pl.DataFrame) -> None:
    assert transfers(stock, wants, lanes).is_empty()


@pytest.mark.parametrize(
    ("stock", "wants", "lanes", "names"),
    [
        (stock_of(x=-1), wants_of(x=[1.0]), lanes_of(xy=1.0), r"stock\.available_qty"),
        (stock_of(x=None), wants_of(x=[1.0]), lanes_of(xy=1.0), r"stock\.available_qty"),
        (pl.concat([stock_of(x=1)] * 2), wants_of(x=[1.0]), lanes_of(xy=1.0), r"several rows"),
        (stock_of(x=1), wants_of(x=[1.0, 2.0]), lanes_of(xy=1.0), r"rises"),
        (stock_of(x=1), wants_of(x=[1.0]), lanes_of(xy=-1.0), r"lanes\.unit_cost"),
        (stock_of(x=1), wants_of(x=[1.0]), lanes_of(xy=float("nan")), r"lanes\.unit_cost"),
        (stock_of(x=1), wants_of(x=[1.0]), lanes_of(xx=1.0), r"begin where they end"),
        (stock_of(x=1), wants_of(x=[1.0]), pl.concat([lanes_of(xy=1.0)] * 2), r"several rows"),
        (
            stock_of(x=1),
            wants_of(x=[1.0]),
            lanes_of(xy=1.0).with_columns(fixed_cost=pl.lit(5.0)),
            r"lanes\.fixed_cost: .* not provided for",
        ),
        (stock_of(x=1), wants_of(x=[1.0]), lanes_of(xy=1.0).with_columns(max_qty=pl.lit(5)), r"lanes\.max_qty: .* not provided for"),
    ],
)
def test_bad_rows_are_refused(stock: pl.DataFrame, wants: pl.DataFrame, lanes: pl.DataFrame, names: str) -> None:
    with pytest.raises(ValueError, match=names):
        transfers(stock, wants, lanes)
