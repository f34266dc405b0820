"""What a further unit at a location is worth, from a distribution of its demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from inventory.reading import MOST_UNITS, finite, require

if TYPE_CHECKING:
    from forecasting.schema import FloatArray, IntArray


def wants_from_paths(places: pl.DataFrame, demand: FloatArray) -> pl.DataFrame:
    """One step per unit: the k-th is worth the unit's value times the expected part of it that sells.

    That part is E[min(D, k)] - E[min(D, k - 1)], which is P(D >= k) where demand D is in whole units: the derivative of the
    newsvendor's expected sales.

    Source: Snyder and Shen, Fundamentals of Supply Chain Theory (2nd ed.), section 4.3.2, with discrete demand.

    Args:
        places: sku, location_id, unit_value (what a unit sold is worth: margin, money in minor units); optionally priority.
        demand: Simulated demand over the period that the stock is for, [path, place], in units.

    Returns:
        sku, location_id, level, marginal_value, and priority where the places have it: the `wants` of `allocate` up to the
        highest demand of any path, places in their order.

    Raises:
        ValueError: A row is bad, or demand is negative, not finite or of another number of places.
    """
    value = _values(places)
    if demand.ndim != 2 or demand.shape[1] != places.height or not demand.shape[0]:
        raise ValueError(f"demand: is of shape {demand.shape} and there are {places.height} places; pass [path, place].")
    if not (np.isfinite(demand).all() and (demand >= 0).all() and (demand <= MOST_UNITS).all()):
        raise ValueError("demand: holds values that are negative or not finite; simulate it anew.")
    most = np.ceil(demand.max(axis=0, initial=0)).astype(np.int64)
    place_of, level, first = _units(most)
    units = np.floor(demand).astype(np.int64)
    # the unit that a path ends in sells in part, those below it in full: counted where they end, then summed from above
    ends = first + units
    size = len(level) + 1
    part = np.bincount(ends.ravel(), weights=(demand - units).ravel(), minlength=size)[: size - 1]
    is_one_below = units > 0
    full = np.bincount(ends[is_one_below] - 1, minlength=size)[: size - 1].astype(np.float64)
    from_above = np.cumsum(full[::-1])[::-1]
    beyond = np.append(from_above, 0.0)[np.append(first[1:], len(level))]
    sold = part + from_above - beyond[place_of]
    return _as_wants(places, place_of, level, value[place_of] * sold / demand.shape[0])


def wants_from_quantiles(places: pl.DataFrame, quantiles: FloatArray, *, levels: FloatArray) -> pl.DataFrame:
    """One step per unit: the k-th is worth the unit's value times the chance that demand passes its middle, k - 1/2.

    Between quantiles the distribution function is a straight line, from 0 units at chance 0. Units above the highest
    quantile are not wanted: nothing says how likely they are to sell.

    Args:
        places: As for `wants_from_paths`.
        quantiles: Of demand over the period that the stock is for, [place, level], in units.
        levels: Probabilities, rising, between 0 and 1.

    Returns:
        As `wants_from_paths`.

    Raises:
        ValueError: A row is bad, or quantiles are negative, not finite, fall with the level or are of another shape.
    """
    value = _values(places)
    if not (len(levels) and levels[0] > 0 and levels[-1] < 1 and (np.diff(levels) > 0).all()):
        raise ValueError(f"levels: {levels.tolist()} do not rise between 0 and 1.")
    if quantiles.shape != (places.height, len(levels)):
        raise ValueError(f"quantiles: are of shape {quantiles.shape}; pass [{places.height} places, {len(levels)} levels].")
    if not ((quantiles >= 0).all() and (np.diff(quantiles, axis=1) >= 0).all() and (quantiles <= MOST_UNITS).all()):
        raise ValueError("quantiles: are negative, not finite or fall with the level; sort them or forecast anew.")
    place_of, level, _ = _units(np.floor(quantiles[:, -1] + 0.5).astype(np.int64))
    known = np.hstack([np.zeros((places.height, 1)), quantiles])
    chances = np.append(0.0, levels)
    middle = level - 0.5
    above = np.zeros(len(level), dtype=np.int64)  # quantiles below the middle of the unit
    for column in range(len(levels)):
        above += known[:, column + 1][place_of] < middle
    above = np.minimum(above, len(levels) - 1)
    lower, upper = known[place_of, above], known[place_of, above + 1]
    share = np.minimum((middle - lower) / np.maximum(upper - lower, 1e-12), 1.0)
    below = chances[above] + share * (chances[above + 1] - chances[above])
    return _as_wants(places, place_of, level, value[place_of] * (1.0 - below))


def _values(places: pl.DataFrame) -> FloatArray:
    return finite(
        require(places, "places", ["sku", "location_id", "unit_value"], key=["sku", "location_id"]), "places", "unit_value", least=0
    )


def _units(most: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """For 1 to `most` units of each place: the place and the level, [unit], and where a place begins, [place]."""
    first = np.cumsum(most) - most
    place_of = np.repeat(np.arange(len(most)), most)
    return place_of, np.arange(len(place_of)) - first[place_of] + 1, first


def _as_wants(places: pl.DataFrame, place_of: IntArray, level: IntArray, value: FloatArray) -> pl.DataFrame:
    keys = [column for column in ("sku", "location_id", "priority") if column in places.columns]
    wants = places.select(keys)[place_of].with_columns(pl.Series("level", level), pl.Series("marginal_value", value))
    return wants.select("sku", "location_id", "level", "marginal_value", *keys[2:])
