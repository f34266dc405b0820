"""Frames of stock, wants, floors and lanes, read into arrays or refused with a sentence that names the row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.schema import check_positive
from inventory.keys import check_given

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecasting.schema import BoolArray, FloatArray, IntArray

MOST_UNITS: Final = 10**9  # beyond it products of two quantities leave 64 bits, and no merchant has them
MOST_SEATS: Final = 16  # for a row
TOLERANCE: Final = 1e-9  # a marginal value that rises by less, relatively, has risen by rounding


@dataclass(frozen=True, slots=True)
class Wants:
    """What each sku-location ("place") wants, step by step; arrays of places are sorted by sku, then location.

    Attributes:
        places: sku, location_id; one row per place.
        skus: Those of the places, each once, sorted.
        sku_of: Index into `skus`, [place].
        first: Index of a place's first step, [place]; its steps follow each other with rising level.
        place_of: The place of a step, [step].
        level: Units the place has once the step is complete, [step].
        size: Units in the step, [step].
        value: Value per unit of the step, never rising within a place, [step].
        priority: 0 for the class that is served first, [place].
    """

    places: pl.DataFrame
    skus: pl.Series
    sku_of: IntArray
    first: IntArray
    place_of: IntArray
    level: IntArray
    size: IntArray
    value: FloatArray
    priority: IntArray

    @property
    def wanted_qty(self) -> IntArray:
        """Units up to the last level, [place]."""
        last = np.append(self.first[1:], len(self.level)) - 1
        return self.level[last] if len(self.first) else np.zeros(0, dtype=np.int64)


def require(frame: pl.DataFrame, name: str, columns: Sequence[str], *, key: Sequence[str] = (), unique: bool = True) -> pl.DataFrame:
    """The frame, once every column is there, no key is null and, where asked for, no key comes twice.

    Raises:
        ValueError: One of these does not hold.
    """
    check_given(**{name: frame})
    if missing := [column for column in columns if column not in frame.columns]:
        raise ValueError(f"{name}: has no column {missing[0]!r}; it needs {', '.join(columns)}.")
    if not key:
        return frame
    if strange := [column for column in key if frame.schema[column].is_nested() or frame.schema[column] == pl.Object]:
        raise ValueError(f"{name}.{strange[0]}: holds {frame.schema[strange[0]]}; keys are texts or numbers.")
    if any(frame[column].null_count() for column in key):
        nulls = frame.select(pl.any_horizontal(pl.col(key).is_null()).sum()).item()
        raise ValueError(f"{name}: {nulls} rows have no {' or '.join(key)}; leave them out or fill them.")
    if unique and (twice := frame.filter(frame.select(key).is_duplicated())).height:
        raise ValueError(f"{name}: {_row(twice.select(key), 0)} stands in several rows; add them up first.")
    return frame


def whole(frame: pl.DataFrame, name: str, column: str, *, least: int = 0) -> IntArray:
    """A column of units as whole numbers.

    Raises:
        ValueError: A value is null, NaN, not whole, below `least` or above `MOST_UNITS`.
    """
    given = frame[column]
    if given.dtype.is_integer() and not given.null_count() and _lies_within(given, least, MOST_UNITS):
        return given.cast(pl.Int64).to_numpy()
    values = finite(frame, name, column)
    bad = (values != np.floor(values)) | (values < least) | (values > MOST_UNITS)
    if bad.any():
        at = int(np.argmax(bad))
        raise ValueError(
            f"{name}.{column}: {int(bad.sum())} values are no whole number from {least} to {MOST_UNITS:,}, "
            f"such as {_row(frame, at)}; correct them."
        )
    return values.astype(np.int64)


def finite(frame: pl.DataFrame, name: str, column: str, *, least: float = -np.inf) -> FloatArray:
    """A column of numbers as floats.

    Raises:
        ValueError: It holds no numbers, or a value is null, NaN, infinite or below `least`.
    """
    kind = frame.schema[column]
    if not (kind.is_numeric() or kind == pl.Null):
        raise ValueError(f"{name}.{column}: holds {kind}; numbers are needed.")
    values = frame[column].cast(pl.Float64).fill_null(np.nan).to_numpy()
    bad = ~np.isfinite(values) | (values < least)
    if bad.any():
        at = int(np.argmax(bad))
        floor = "" if least == -np.inf else f" from {least:g} on"
        raise ValueError(f"{name}.{column}: {int(bad.sum())} values are no finite number{floor}, such as {_row(frame, at)}; correct them.")
    return values


def _lies_within(values: pl.Series, least: int, most: int) -> bool:
    low, high = values.min(), values.max()
    return low is None or bool(least <= low and high <= most)  # type: ignore[operator] # polars types an extreme as anything


def ranked(values: pl.Series) -> tuple[IntArray, pl.Series]:
    """The position of each text or whole number, none null, among those there are; and these, each once, sorted."""
    if values.dtype != pl.String:
        known = values.unique().sort()
        return codes(values, known), known
    hashed = values.cast(pl.Categorical(pl.Categories.random()))  # of its own: numbered from 0 on, and sought in one pass
    present = hashed.unique()
    known = present.cast(pl.String).sort()
    position = np.zeros(len(known), dtype=np.int64)
    position[present.to_physical().to_numpy()] = codes(present.cast(pl.String), known)
    return position[hashed.to_physical().to_numpy()], known


def codes(values: pl.Series, known: pl.Series) -> IntArray:
    """The position of each text or whole number in `known`, which has none twice; -1 where it is not there."""
    if values.dtype == pl.Int64 == known.dtype:
        numbered = known.alias("key").to_frame().with_columns(position=pl.int_range(pl.len()))
        joined = values.alias("key").to_frame().join(numbered, on="key", how="left", maintain_order="left")
        return joined["position"].fill_null(-1).to_numpy()
    found = values.cast(pl.Enum(known), strict=False).to_physical().cast(pl.Int64).fill_null(-1)
    return found.to_numpy()


def read_stock(stock: pl.DataFrame, skus: pl.Series, *, pack_qty: int) -> tuple[IntArray, IntArray]:
    """Units available of each of `skus` (-1 where the stock has no row of it) and the units of a pack, [sku].

    Args:
        stock: sku, available_qty; where it has pack_qty and that is not null, it stands before the argument.
        skus: Unique.
        pack_qty: Units of a pack.

    Raises:
        ValueError: A row is bad, or a pack is below 1.
    """
    stock = require(stock, "stock", ["sku", "available_qty"], key=["sku"])
    pack_qty = check_pack(pack_qty)
    if "pack_qty" not in stock.columns:
        stock = stock.with_columns(pack_qty=pl.lit(pack_qty))
    stock = stock.with_columns(pl.col("pack_qty").fill_null(pack_qty))
    units, packs = whole(stock, "stock", "available_qty"), whole(stock, "stock", "pack_qty", least=1)
    row = codes(skus, stock["sku"])
    if not stock.height:
        return np.full(len(skus), -1), np.full(len(skus), pack_qty)
    return np.where(row >= 0, units[row], -1), np.where(row >= 0, packs[row], pack_qty)


def check_pack(pack_qty: int) -> int:
    """The units of a pack.

    Raises:
        ValueError: It is no int of at least 1.
    """
    check_positive(pack_qty=pack_qty)
    if pack_qty > MOST_UNITS:
        raise ValueError(f"pack_qty: has to be at most {MOST_UNITS:,}, got {pack_qty}; correct the pack size.")
    return int(pack_qty)


def read_wants(wants: pl.DataFrame) -> Wants:
    """The wants in order, whatever the order of their rows.

    Args:
        wants: sku, location_id, level, marginal_value and optionally priority; see `inventory.allocation.allocate`.

    Raises:
        ValueError: A row is bad, a level stands twice, a marginal value rises with the level, or one place has two priorities.
    """
    wants = require(wants, "wants", ["sku", "location_id", "level", "marginal_value"], key=["sku", "location_id"], unique=False)
    level = whole(wants, "wants", "level", least=1)
    value, classes = finite(wants, "wants", "marginal_value"), priority_classes(wants)
    (sku, skus), (location, locations) = ranked(wants["sku"]), ranked(wants["location_id"])
    width = int(level.max(initial=0)) + 1
    key = (sku * len(locations) + location) * width + level
    order = None if (key[1:] > key[:-1]).all() else _order(key)
    if order is not None:
        key, value, classes = key[order], value[order], classes[order]
    place = key // width
    level = key - place * width
    starts = np.append(True, place[1:] != place[:-1])[: len(place)]
    first = np.flatnonzero(starts)
    if fault := _fault(key=key, starts=starts, value=value, classes=classes):
        raise ValueError(f"wants.{fault[0].format(_row(wants, fault[1] if order is None else int(order[fault[1]])))}")
    sku_of, location_of = np.divmod(place[first], max(1, len(locations)))
    return Wants(
        places=pl.DataFrame({"sku": skus[sku_of], "location_id": locations[location_of]}),
        skus=skus,
        sku_of=sku_of,
        first=first,
        place_of=np.cumsum(starts) - 1,
        level=level,
        size=level - np.where(starts, 0, np.append(0, level[:-1])[: len(level)]),
        value=value,
        priority=classes[first],
    )


def _order(key: IntArray) -> IntArray:
    """What brings the keys, 0 or more, into order; a seat for every number is quicker than a sort while the seats are few."""
    seats = int(key.max(initial=0)) + 1
    if seats <= min(MOST_SEATS * len(key), np.iinfo(np.int32).max):
        row = np.full(seats, -1, dtype=np.int32)
        row[key] = np.arange(len(key), dtype=np.int32)
        taken = row[row >= 0]
        if len(taken) == len(key):  # else two rows want one seat
            return taken.astype(np.int64)
    return np.argsort(key, kind="stable")


def _fault(*, key: IntArray, starts: BoolArray, value: FloatArray, classes: IntArray) -> tuple[str, int] | None:
    """What is wrong with steps in order of place and level, and the first step where it is."""
    follows = ~starts[1:]
    faults = {
        "level: stands in several rows at {}; give each level of a place once.": key[1:] == key[:-1],
        "marginal_value: rises at {} against the level before; a further unit is never worth more than the one before it.": (
            follows & (value[1:] > value[:-1] + TOLERANCE * np.abs(value[:-1]))
        ),
        "priority: differs at {} from the level before; give a place one priority.": follows & (classes[1:] != classes[:-1]),
    }
    for sentence, is_wrong in faults.items():
        if is_wrong.any():
            return sentence, int(np.argmax(is_wrong)) + 1
    return None


def priority_classes(rows: pl.DataFrame) -> IntArray:
    """The class of each row by the number in `priority`, 0 for the lowest number and null last; one class without the column."""
    if "priority" not in rows.columns or not rows.height:
        return np.zeros(rows.height, dtype=np.int64)
    finite(rows.select(pl.col("priority").drop_nulls()), "wants", "priority")
    rank = rows["priority"].cast(pl.Float64).rank("dense").cast(pl.Int64).fill_null(rows.height + 1).to_numpy()
    return np.unique(rank, return_inverse=True)[1].astype(np.int64)


def all_skus(*frames: pl.DataFrame) -> pl.Series:
    """The skus of all frames, each once, sorted."""
    return pl.concat([frame["sku"].unique() for frame in frames]).unique().sort()


def _row(frame: pl.DataFrame, at: int) -> str:
    return ", ".join(f"{column} {value}" for column, value in frame.row(at, named=True).items())
