"""Stock moved between locations where that is worth more than it costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from inventory.exchange import NEVER, Ledger, exchange
from inventory.keys import alike, as_given
from inventory.reading import MOST_UNITS, all_skus, check_pack, codes, finite, read_wants, require, whole
from inventory.runs import Runs, runs_of_packs

if TYPE_CHECKING:
    from forecasting.schema import FloatArray, IntArray
    from inventory.reading import Wants

FINENESS: Final = 44  # bits of the largest value: the rest of 58 is for sums along a path
CELLS: Final = 400_000  # of sku x from x to at a time: they stay in the processor's cache


@dataclass(frozen=True, slots=True)
class _Network:
    """Stock, wants and lanes as arrays over the sorted skus and locations.

    Attributes:
        skus, locations: Each once, sorted.
        runs: Packs that each sku-location could have, with tails.
        supply: Packs, [sku, location].
        most: Packs up to which a location may receive, [sku-location].
        cost: Of a unit, [from, to]; infinite where there is no lane.
    """

    skus: pl.Series
    locations: pl.Series
    runs: Runs
    supply: IntArray
    most: IntArray
    cost: FloatArray


def transfers(stock: pl.DataFrame, wants: pl.DataFrame, lanes: pl.DataFrame, *, pack_qty: int = 1) -> pl.DataFrame:
    """Packs to move between locations, such that no other plan is worth more after its cost.

    Per sku: maximise the value of the units that each location ends with, by its wants, less the cost of the lanes used. A location
    sends only what it has at the start, and nothing arrives beyond its wants; beyond its last level a unit is worth nothing. The plan is
    the optimum of the flow's linear programme in whole packs (`inventory.exchange`), with values rounded to 2**-44 of the largest. A
    move that gains nothing is not made. The order of rows never matters.

    Args:
        stock: sku, location_id, available_qty (units that could be sent). A location without a row has none.
        wants: sku, location_id, level, marginal_value, as for `allocate`, the units on hand included: level 1 is the first
            unit the location has. Values below 0 count as 0: nobody has to use a unit.
        lanes: from_location_id, to_location_id, unit_cost (per unit of any sku, in the unit of marginal_value).
        pack_qty: Units that move together; what a location has beyond whole packs stays.

    Returns:
        sku, from_location_id, to_location_id, qty, value_gained (at the receiver less what the sender loses; split over several moves
        by units), cost (qty x unit cost); sorted by the first three, which are of the types they have in stock.

    Raises:
        ValueError: A frame is no Polars one, a column is missing, a key null, twice or of another kind in another frame, a number null,
            NaN, negative or not whole, a marginal value rises, a lane ends where it begins, or lanes have a max_qty or a fixed_cost.
    """
    pack_qty, asked = check_pack(pack_qty), stock
    network = _read(*alike(stock=stock, wants=wants, lanes=lanes), pack_qty=pack_qty)
    moves = _best_moves(network.runs, network.supply, network.most, network.cost * pack_qty)
    found = _with_worth(moves, network.runs, network.supply).select(
        pl.Series("sku", network.skus[moves["sku"]]),
        pl.Series("from_location_id", network.locations[moves["from"]]),
        pl.Series("to_location_id", network.locations[moves["to"]]),
        qty=pl.col("packs") * pack_qty,
        value_gained=pl.col("value_gained"),
        cost=pl.Series(network.cost[moves["from"], moves["to"]]) * pl.col("packs") * pack_qty,
    )
    return as_given(found, asked)


def _read(stock: pl.DataFrame, wants: pl.DataFrame, lanes: pl.DataFrame, *, pack_qty: int) -> _Network:
    """The frames as arrays.

    Raises:
        ValueError: A row is bad.
    """
    stock = require(stock, "stock", ["sku", "location_id", "available_qty"], key=["sku", "location_id"])
    read = read_wants(wants.drop("priority", strict=False))
    read = replace(read, value=np.maximum(read.value, 0.0))
    lanes = _read_lanes(lanes)
    skus = all_skus(stock, read.places)
    locations = pl.concat([stock["location_id"].unique(), read.places["location_id"].unique()]).unique().sort()
    available = np.zeros((len(skus), len(locations)), dtype=np.int64)
    available[codes(stock["sku"], skus), codes(stock["location_id"], locations)] = whole(stock, "stock", "available_qty")
    place = codes(read.skus, skus)[read.sku_of] * len(locations) + codes(read.places["location_id"], locations)
    rest = available.ravel() % pack_qty
    wanted = np.zeros(available.size, dtype=np.int64)
    wanted[place] = read.wanted_qty
    return _Network(
        skus=skus,
        locations=locations,
        runs=_with_tails(read, place, rest, pack_qty),
        supply=available // pack_qty,
        most=np.maximum(wanted - rest, 0) // pack_qty,
        cost=_cost_per_unit(lanes, locations),
    )


def _read_lanes(lanes: pl.DataFrame) -> pl.DataFrame:
    key = ["from_location_id", "to_location_id"]
    lanes = require(lanes, "lanes", [*key, "unit_cost"], key=key)
    if "max_qty" in lanes.columns and lanes["max_qty"].is_not_null().any():
        raise ValueError(
            "lanes.max_qty: a lane's capacity is not provided for, as it binds all skus together; drop the column and cut the plan to it."
        )
    if "fixed_cost" in lanes.columns and lanes["fixed_cost"].is_not_null().any():
        raise ValueError("lanes.fixed_cost: a cost per trip is not provided for; drop the column and spread it over units in unit_cost.")
    if (same := lanes.filter(pl.col(key[0]) == pl.col(key[1]))).height:
        raise ValueError(f"lanes: {same.height} begin where they end, such as at {same[key[0]][0]}; leave them out.")
    return lanes.with_columns(pl.Series("unit_cost", finite(lanes, "lanes", "unit_cost", least=0)))


def _cost_per_unit(lanes: pl.DataFrame, locations: pl.Series) -> FloatArray:
    """[from, to]; infinite where there is no lane, 0 on the diagonal."""
    cost = np.full((len(locations), len(locations)), np.inf)
    start, end = codes(lanes["from_location_id"], locations), codes(lanes["to_location_id"], locations)
    known = (start >= 0) & (end >= 0)
    cost[start[known], end[known]] = lanes["unit_cost"].to_numpy()[known]
    np.fill_diagonal(cost, 0.0)
    return cost


def _with_tails(wants: Wants, place: IntArray, rest: IntArray, pack_qty: int) -> Runs:
    """Runs of every sku-location, each ending in one without value and without end.

    Args:
        wants: Steps.
        place: Of each place of the wants among all sku-locations, [place].
        rest: Units beyond whole packs, which stay, [sku-location].
        pack_qty: Units of a pack.
    """
    runs = runs_of_packs(wants, rest[place], np.full(len(place), pack_qty), with_part=True)
    held = np.bincount(place[runs.place_of], weights=runs.size, minlength=len(rest)).astype(np.int64)
    tails = np.full(len(rest), MOST_UNITS) - held
    place_of = np.concatenate([place[runs.place_of], np.arange(len(rest))])
    order = np.argsort(place_of, kind="stable")
    return Runs(
        places=len(rest),
        place_of=place_of[order],
        end=np.concatenate([runs.end, np.full(len(rest), MOST_UNITS)])[order],
        size=np.concatenate([runs.size, tails])[order],
        value=np.concatenate([runs.value, np.zeros(len(rest))])[order],
    )


def _best_moves(runs: Runs, supply: IntArray, most: IntArray, cost: FloatArray) -> pl.DataFrame:
    """sku, from, to (positions), packs; sorted.

    Args:
        runs: With tails.
        supply: Packs, [sku, location].
        most: Packs up to which a location may receive, [sku-location].
        cost: Of a pack, [from, to].
    """
    count, locations = supply.shape
    highest = float(runs.value.max(initial=0.0))
    if highest <= 0:
        return _as_moves(np.zeros((0, locations, locations), dtype=np.int64), 0)
    unit = highest / 2.0**FINENESS
    grid_cost = np.full(cost.shape, NEVER)
    grid_cost[cost <= highest] = np.rint(cost[cost <= highest] / unit).astype(np.int64)
    value = np.rint(runs.value / unit).astype(np.int64)
    gain = np.where((runs.end <= most[runs.place_of]) & (value > 0), value, -NEVER)
    first = np.searchsorted(runs.place_of, np.arange(runs.places))
    giving, getting = _run_of(runs, first, supply.ravel()), _run_of(runs, first, supply.ravel() + 1)
    giving_left = supply.ravel() - (runs.end - runs.size)[giving]
    getting_left = runs.end[getting] - supply.ravel()
    grids = [array.reshape(supply.shape) for array in (giving, giving_left, getting, getting_left, supply)]
    step = max(1, CELLS // max(1, locations) ** 2)
    parts = [
        _as_moves(exchange(Ledger(value, gain, runs.size, *(grid[at : at + step].copy() for grid in grids)), grid_cost), at)
        for at in range(0, count, step)
    ]
    return pl.concat(parts)


def _run_of(runs: Runs, first: IntArray, pack: IntArray) -> IntArray:
    """The run that holds a pack of each place, [place]; the first run for pack 0."""
    width = MOST_UNITS + 2
    return np.maximum(np.searchsorted(runs.place_of * width + runs.end, np.arange(runs.places) * width + pack), first)


def _as_moves(moved: IntArray, first_sku: int) -> pl.DataFrame:
    apart = ~np.eye(moved.shape[1], dtype=bool)
    sku, start, end = np.nonzero((moved > 0) & apart)
    return pl.DataFrame({"sku": sku + first_sku, "from": start, "to": end, "packs": moved[sku, start, end]})


def _with_worth(moves: pl.DataFrame, runs: Runs, supply: IntArray) -> pl.DataFrame:
    """The moves with value_gained: what each location gains or loses in all, split over what it receives or sends."""
    locations = supply.shape[1]
    start, end = ((moves["sku"] * locations + moves[side]).to_numpy() for side in ("from", "to"))
    packs = moves["packs"].to_numpy()
    sent, received = (np.bincount(at, weights=packs, minlength=supply.size).astype(np.int64) for at in (start, end))
    held = supply.ravel()
    change = runs.worth(held + received - sent) - runs.worth(held)
    is_more = received >= sent
    gained = np.where(is_more, change, 0.0)[end] * packs / np.maximum(received, 1)[end]
    lost = np.where(is_more, 0.0, change)[start] * packs / np.maximum(sent, 1)[start]
    return moves.with_columns(pl.Series("value_gained", gained + lost))
