"""Scarce stock shared in proportion to what each location wants, where no value of a unit is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from inventory.keys import alike, as_given
from inventory.reading import all_skus, codes, priority_classes, read_stock, require, whole

if TYPE_CHECKING:
    from forecasting.schema import IntArray

NO_FLOORS: Final = pl.DataFrame(schema={"sku": pl.String, "location_id": pl.String, "qty": pl.Int64})


def fair_share(stock: pl.DataFrame, wants: pl.DataFrame, *, floors: pl.DataFrame | None = None, pack_qty: int = 1) -> pl.DataFrame:
    """Stock of each sku shared in proportion to the wants: 50 units on wants of 10, 20 and 50 are 6, 13 and 31.

    Each location's share in whole packs is rounded down, and the packs left go to the largest remainders; at equal
    remainders to the larger want, then to the location_id that sorts first. Nobody gets more than it wants, so a part of a
    pack is not given. Floors come first; what is left is shared in proportion to what is still wanted, one priority class
    after the other. Rounding in this way can give a location a pack less when there is more stock (the Alabama paradox);
    the sum never falls.

    Source: Hamilton's method of largest remainders; Balinski and Young (2001), Fair Representation, 2nd ed., chapter 3.

    Args:
        stock: sku, available_qty (units that may be given away), and optionally pack_qty, which stands before the argument.
        wants: sku, location_id, wanted_qty (units), one row per place, and optionally priority: the class with the lowest
            number is served first, null last. A channel is a location_id of its own.
        floors: sku, location_id, qty: units guaranteed first, rounded up to packs, never above the want. Where they cannot
            all be met they are shared by the same rule, classes first.
        pack_qty: Units that move together.

    Returns:
        sku, location_id, wanted_qty, floor_short_qty (units of the floor that are not met), qty, binding: what ended the
        share ("none": all is met, "stock", "pack": less than a pack is wanted or left, "unknown_stock": the stock has no
        row of the sku); one row per place of wants and floors, sorted, keys of the types they have in wants.

    Raises:
        ValueError: A frame is no Polars one, a column is missing, a key null, twice or of another kind in another frame, a quantity
            null, negative or not whole, or a pack below 1.
    """
    asked = wants
    stock, wants, floors = alike(stock=stock, wants=wants, floors=NO_FLOORS if floors is None else floors)
    wants = require(wants, "wants", ["sku", "location_id", "wanted_qty"], key=["sku", "location_id"]).sort("sku", "location_id")
    skus = all_skus(wants)
    available, packs = read_stock(stock, skus, pack_qty=pack_qty)
    sku_of, wanted = codes(wants["sku"], skus), whole(wants, "wants", "wanted_qty")
    classes = priority_classes(wants)
    pack = packs[sku_of]
    floor, unwanted = read_floors(floors, wants)
    free = np.maximum(available, 0) // packs
    given = share_by_class(free, np.minimum(-(-floor // pack), wanted // pack), sku_of, classes)
    free = free - sums(given, sku_of, len(skus))
    given = given + share_by_class(free, wanted // pack - given, sku_of, classes)
    qty = given * pack
    left = np.maximum(available, 0) - sums(qty, sku_of, len(skus))
    binding = np.select(
        [available[sku_of] < 0, qty == wanted, (wanted - qty < pack) | ((left[sku_of] > 0) & (left[sku_of] < pack))],
        ["unknown_stock", "none", "pack"],
        "stock",
    )
    result = wants.select("sku", "location_id").with_columns(
        pl.Series("wanted_qty", wanted),
        pl.Series("floor_short_qty", np.maximum(floor - qty, 0)),
        pl.Series("qty", qty),
        pl.Series("binding", binding.tolist(), dtype=pl.String),
    )
    return as_given(with_unwanted_floors(result, unwanted), asked)


def share_by_class(free: IntArray, wanted: IntArray, sku_of: IntArray, classes: IntArray) -> IntArray:
    """Packs for each place: the first class is served before the second sees any, and each class shares by largest remainders.

    Args:
        free: Packs of each sku, [sku].
        wanted: Packs, [place]; places are sorted by sku, then location.
        sku_of: Index of the sku, [place].
        classes: 0 is served first, [place].
    """
    given = np.zeros(len(wanted), dtype=np.int64)
    left = free
    for number in range(int(classes.max(initial=-1)) + 1):
        part = share(left, np.where(classes == number, wanted, 0), sku_of)
        given += part
        left = left - sums(part, sku_of, len(free))
    return given


def share(free: IntArray, wanted: IntArray, sku_of: IntArray) -> IntArray:
    """Packs for each place of one class, by largest remainders; shapes as in `share_by_class`."""
    total = sums(wanted, sku_of, len(free))
    pool = np.minimum(free, total)
    base, remainder = np.divmod(pool[sku_of] * wanted, np.maximum(total, 1)[sku_of])
    left = pool - sums(base, sku_of, len(free))
    if not left.any():
        return base
    order = np.lexsort((-wanted, -remainder, sku_of))  # stable: the location that sorts first wins a tie
    sorted_skus = sku_of[order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_skus, sorted_skus)
    base[order] += rank < left[sorted_skus]
    return base


def sums(values: IntArray, groups: IntArray, size: int) -> IntArray:
    """Sum of whole values per group, [group]."""
    # floats of bincount are exact up to 2**53
    return np.bincount(groups, weights=values, minlength=size).astype(np.int64)


def read_floors(floors: pl.DataFrame, places: pl.DataFrame) -> tuple[IntArray, pl.DataFrame]:
    """The floor of each place in units, [place], and the floors of places that want nothing.

    Args:
        floors: sku, location_id, qty.
        places: sku, location_id; unique.

    Raises:
        ValueError: A row is bad.
    """
    floors = require(floors, "floors", ["sku", "location_id", "qty"], key=["sku", "location_id"])
    floors = floors.select("sku", "location_id", pl.Series("qty", whole(floors, "floors", "qty")))
    joined = places.select("sku", "location_id").join(floors, on=["sku", "location_id"], how="left", maintain_order="left")
    return joined["qty"].fill_null(0).to_numpy().copy(), floors.join(places, on=["sku", "location_id"], how="anti")


def with_unwanted_floors(result: pl.DataFrame, unwanted: pl.DataFrame) -> pl.DataFrame:
    """The result and a row for each floor of a place that wants nothing: it gets nothing, and what it is short of is said."""
    rows = unwanted.select(
        "sku",
        "location_id",
        wanted_qty=pl.lit(0, dtype=pl.Int64),
        floor_short_qty=pl.col("qty"),
        qty=pl.lit(0, dtype=pl.Int64),
        binding=pl.lit("none"),
    )
    return pl.concat([result, rows], how="diagonal").sort("sku", "location_id") if rows.height else result
