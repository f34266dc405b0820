"""Scarce stock given to the locations and channels where a further unit is worth most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from inventory.fair_share import NO_FLOORS, read_floors, share_by_class, sums, with_unwanted_floors
from inventory.keys import alike, as_given
from inventory.reading import read_stock, read_wants
from inventory.runs import Runs, runs_of_packs

if TYPE_CHECKING:
    from forecasting.schema import BoolArray, FloatArray, IntArray
    from inventory.reading import Wants


def allocate(stock: pl.DataFrame, wants: pl.DataFrame, *, floors: pl.DataFrame | None = None, pack_qty: int = 1) -> pl.DataFrame:
    """Stock of each sku given out by marginal value, the dearest unit first: no other allocation is worth more.

    That is the optimum of the linear programme of one sku: maximise the sum of value x units over all steps, with no step
    above its size, the sum within the stock, and each location at its floor. With marginal values that never rise the
    programme is a fractional knapsack of unit weights, which taking the best step first solves in whole units. Packs
    group the marginal values: a pack is worth the sum of its units, so packs never rise either.

    Source: Gross (1956), A class of discrete-type minimization problems, RAND RM-1644; Ibaraki and Katoh (1988), Resource
    Allocation Problems, section 4.2: incremental allocation is optimal for separable concave values.

    Floors come first, rounded up to packs and never above the want; where they cannot all be met they are shared as
    `fair_share` shares. Then the priority classes, one after the other. At equal marginal value the lower level is served
    first, then the location_id that sorts first, so the order of rows never matters. A unit without value stays in stock,
    unless a floor asks for it.

    Args:
        stock: sku, available_qty (units that may be given away, 0 or more), and optionally pack_qty, which stands before
            the argument where it is not null.
        wants: sku, location_id, level, marginal_value, rows in any order. A row is one step: it brings the location from
            the level before it (0 before the first) up to `level` units, each unit worth `marginal_value` (any unit of
            value, money in minor units). So levels 1, 2, 3 are single units and levels 10, 30 a step of ten and one of
            twenty. Values never rise with the level. Optionally priority, one per location: the lowest number is served
            first, null last. A channel is a location_id of its own.
        floors: sku, location_id, qty: units guaranteed first.
        pack_qty: Units that move together; a part of a pack is never given.

    Returns:
        sku, location_id, wanted_qty (units up to the last level), floor_short_qty (units of the floor that are not met),
        qty, value (of those units), binding: what ended the quantity ("none": all that is wanted is there, "value": a
        further pack is worth nothing, "stock", "pack": less than a pack is wanted or left, "unknown_stock": the stock has no
        row of the sku); one row per sku and location of wants and floors, sorted by them and of the types they have in wants. Stock
            that nobody wants is not listed.

    Raises:
        ValueError: A frame is no Polars one, a column is missing, a key null, twice or of another kind in another frame, a number
            null, NaN, negative or not whole, a pack below 1, or a marginal value rises.
    """
    asked = wants
    stock, wants, floors = alike(stock=stock, wants=wants, floors=NO_FLOORS if floors is None else floors)
    read = read_wants(wants)
    available, packs = read_stock(stock, read.skus, pack_qty=pack_qty)
    pack = packs[read.sku_of]
    floor, unwanted = read_floors(floors, read.places)
    most = read.wanted_qty // pack
    free = np.maximum(available, 0) // packs
    guaranteed = share_by_class(free, np.minimum(-(-floor // pack), most), read.sku_of, read.priority)
    runs = runs_of_packs(read, np.zeros(len(pack), dtype=np.int64), pack)
    given = guaranteed + _best_packs(runs, read, guaranteed, free - sums(guaranteed, read.sku_of, len(read.skus)))
    left = np.maximum(available, 0) - sums(given * pack, read.sku_of, len(read.skus))
    result = read.places.with_columns(
        pl.Series("wanted_qty", read.wanted_qty),
        pl.Series("floor_short_qty", np.maximum(floor - given * pack, 0)),
        pl.Series("qty", given * pack),
        pl.Series("value", runs.worth(given)),
        _binding(
            given, has_value=runs.worth_next(given) > 0, is_known=available[read.sku_of] >= 0, left=left[read.sku_of], read=read, pack=pack
        ),
    )
    return as_given(with_unwanted_floors(result, unwanted), asked)


def _best_packs(runs: Runs, read: Wants, guaranteed: IntArray, free: IntArray) -> IntArray:
    """Packs for each place beyond those guaranteed, [place], class after class."""
    size = np.minimum(runs.size, np.maximum(runs.end - guaranteed[runs.place_of], 0))
    size[runs.value <= 0] = 0
    sku_of, class_of = read.sku_of[runs.place_of], read.priority[runs.place_of]
    taken = np.zeros(len(guaranteed), dtype=np.int64)
    for number in range(int(read.priority.max(initial=-1)) + 1):
        part = take_dearest(runs.value, np.where(class_of == number, size, 0), runs.end - runs.size, sku_of, free)
        part = sums(part, runs.place_of, len(guaranteed))
        taken += part
        free = free - sums(part, read.sku_of, len(free))
    return taken


def take_dearest(value: FloatArray, size: IntArray, level: IntArray, group_of: IntArray, free: IntArray) -> IntArray:
    """What each row gets if each group's `free` is given to its rows by falling value, then rising level, then their order.

    Args:
        value: Per unit, [row]; rows of a group stand together, groups ascend.
        size: The most a row takes, [row].
        level: Breaks ties of value, [row].
        group_of: [row].
        free: [group].
    """
    last = _last_values(value, size, group_of, free)[group_of]
    taken = np.where(value > last, size, 0)
    tied = np.flatnonzero((value == last) & (size > 0))
    tied = tied[np.lexsort((level[tied], group_of[tied]))]
    group, sizes = group_of[tied], size[tied]
    left = free - sums(taken, group_of, len(free))
    before = np.cumsum(sizes) - sizes
    before -= before[np.searchsorted(group, group)]
    taken[tied] = np.clip(left[group] - before, 0, sizes)
    return taken


def _last_values(value: FloatArray, size: IntArray, group_of: IntArray, free: IntArray) -> FloatArray:
    """The value of the unit with which `free` ends, if the dearest go first; below all values where it does not end, [group]."""
    last = np.full(len(free), -np.inf)
    counts = np.bincount(group_of, minlength=len(free))
    starts = np.cumsum(counts) - counts
    scarce = np.flatnonzero(sums(size, group_of, len(free)) > free)
    width_of = np.ceil(np.log2(np.maximum(counts[scarce], 1))).astype(np.int64)
    for width in np.unique(width_of):  # groups of like size are sorted as the rows of one matrix
        groups = scarce[width_of == width]
        column = np.arange(counts[groups].max())
        rows = starts[groups][:, None] + np.minimum(column, counts[groups][:, None] - 1)
        values = np.where(column < counts[groups][:, None], value[rows], -np.inf)
        order = np.argsort(-values, axis=1)
        through = np.cumsum(np.take_along_axis(np.where(column < counts[groups][:, None], size[rows], 0), order, axis=1), axis=1)
        end = np.argmax(through > free[groups][:, None], axis=1)
        at = order[np.arange(len(groups)), end]
        last[groups] = values[np.arange(len(groups)), at]
    return last


def _binding(given: IntArray, *, has_value: BoolArray, is_known: BoolArray, left: IntArray, read: Wants, pack: IntArray) -> pl.Series:
    qty = given * pack
    is_short_of_a_pack = (read.wanted_qty - qty < pack) | ((left > 0) & (left < pack))
    reasons = ["unknown_stock", "none", "pack", "value", "stock"]
    code = np.select([~is_known, qty == read.wanted_qty, read.wanted_qty - qty < pack, ~has_value, is_short_of_a_pack], [0, 1, 2, 3, 2], 4)
    return pl.Series("binding", reasons)[code]
