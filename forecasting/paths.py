"""Demand as it may come, period by period: simulated paths whose sums have the spread of demand over a lead time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.spread import fit_spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forecasting.pooled import PooledFit
    from forecasting.schema import BoolArray, FloatArray, IntArray, PathArray
    from forecasting.spread import SumDistribution

CHUNK_CELLS: Final = 6_000_000  # path periods simulated at once, which bounds memory at about 100 MB
LARGEST_LATER_STRETCH: Final = 3.0
LEAST_WHOLE_RATE: Final = 0.75  # of the periods with sales: those partly out of stock are estimates, and seldom whole
WHOLE_BELOW: Final = 2.0**23  # above it a path's running sum in single precision has no half units


def path_chunks(
    fit: PooledFit,
    rows: IntArray,
    *,
    periods: int,
    paths: int,
    seed: int,
    spread_periods: int | None = None,
    spread: SumDistribution | None = None,
) -> Iterator[tuple[IntArray, PathArray]]:
    """Simulated demand of some series, a bounded number at a time.

    Paths draw the series' own one-step errors anew and carry the level on, cut at zero; that gives them their lumps. The
    path with the k-th smallest sum is then stretched to the k-th quantile of the sum. Items that sell
    whole units have whole units on every path: what a path has left over of a unit waits for its next demand.

    Source: Clark et al. (2004), The Schaake shuffle, Journal of Hydrometeorology 5, for quantiles in the order of simulated sums.

    Args:
        fit: Levels of all series.
        rows: Positions in `fit.matrix.keys`.
        periods: Length of a path.
        paths: Paths per series.
        seed: Seed of the draws. A series' draws depend on its key and the seed only.
        spread_periods: The spread is calibrated for the sum of so many first periods, by default of all; other sums
            inherit the stretch. Pass the usual number of periods where `periods` is the longest one.
        spread: The distribution of the sum of `spread_periods`, where it is known already; by default that of `fit_spread`.

    Yields:
        Positions, and demand as [position, path, period] in units; NaN for a series without a forecast.
    """
    spread_periods = periods if spread_periods is None else min(spread_periods, periods)
    spread = fit_spread(fit, periods=spread_periods) if spread is None else spread
    probabilities = (np.arange(paths) + 0.5) / paths
    profile = fit.future_profile(periods)
    size = max(1, CHUNK_CELLS // (paths * periods))
    for start in range(0, len(rows), size):
        chunk = rows[start : start + size]
        generators = [np.random.default_rng([seed, key_number(*key)]) for key in fit.matrix.keys[chunk].iter_rows()]
        drawn = _residual_paths(fit, chunk, profile[:, chunk].astype(np.float32), paths=paths, generators=generators)
        targets = spread.quantiles(probabilities, chunk).T
        stretched = _stretched(drawn, targets, profile[:spread_periods, chunk])
        starts = np.stack([generator.random(paths, dtype=np.float32) for generator in generators])
        yield chunk, _whole_units(stretched, _whole_places(fit, chunk), starts=starts)


def _residual_paths(fit: PooledFit, rows: IntArray, profile: PathArray, *, paths: int, generators: list[np.random.Generator]) -> PathArray:
    periods = len(profile)
    drawn = np.empty((periods, len(rows), paths), dtype=np.float32)
    for position, (row, generator) in enumerate(zip(rows.tolist(), generators, strict=True)):
        own = fit.residuals[:, row]
        own = own[np.isfinite(own)].astype(np.float32)
        drawn[:, position] = own.take(generator.integers(len(own), size=(periods, paths), dtype=np.int32)) if len(own) else 0.0
    level = np.repeat(fit.level[rows, None].astype(np.float32), paths, axis=1)
    by_period = np.empty((len(rows), periods, paths), dtype=np.float32)  # paths side by side: several times faster than periods
    for period in range(periods):
        share = profile[period][:, None]
        mean = share * level
        demand = np.maximum(mean + np.sqrt(share) * drawn[period], np.float32(0.0))
        by_period[:, period] = demand
        level += np.minimum(np.float32(fit.smoothing), 1 / np.maximum(share, np.float32(1e-3))) * (demand - mean)
    return by_period.swapaxes(1, 2)


def _stretched(drawn: PathArray, targets: FloatArray, profile: FloatArray) -> PathArray:
    """Paths whose sums over the profile's periods are the targets [series, path], in the order the sums had."""
    periods = len(profile)
    sums = drawn[:, :, :periods].sum(axis=2, dtype=np.float64)
    wanted = np.empty_like(sums)
    np.put_along_axis(wanted, np.argsort(sums, axis=1, kind="stable"), targets, axis=1)
    factor = np.divide(wanted, sums, out=np.ones_like(sums), where=sums > 0)
    stretched = drawn * factor[:, :, None].astype(np.float32)
    # a path that hardly sells at first may have to grow a thousandfold there; what comes later did not ask for that
    stretched[:, :, periods:] = drawn[:, :, periods:] * np.minimum(factor, LARGEST_LATER_STRETCH)[:, :, None].astype(np.float32)
    # a path without any demand cannot be stretched: what it should sum to is laid out along the profile
    silent, path = np.nonzero((sums == 0) & (wanted > 0))
    if len(silent):
        share = (profile / np.maximum(profile.sum(axis=0), 1e-9)).T
        stretched[silent, path, :periods] = (wanted[silent, path, None] * share[silent]).astype(np.float32)
    result: PathArray = stretched
    return result


def sells_whole_units(demand: FloatArray) -> BoolArray:
    """[series]; whole in nearly all periods with sales of [period, series]. A period partly out of stock was raised to a whole one."""
    whole = (demand > 0) & (demand == np.rint(demand))
    result: BoolArray = whole.sum(axis=0) >= LEAST_WHOLE_RATE * (demand > 0).sum(axis=0)
    return result


def _whole_places(fit: PooledFit, rows: IntArray) -> IntArray:
    """Places in `rows` of the series that sell whole units, in numbers that single precision can hold."""
    demand = fit.matrix.demand[:, rows]
    whole = sells_whole_units(demand) & (demand.sum(axis=0) < WHOLE_BELOW)
    return np.flatnonzero(whole & np.isfinite(fit.level[rows]))


def _whole_units(paths: PathArray, places: IntArray, *, starts: PathArray) -> PathArray:
    """Whole units where asked for: a path's running sum is cut down to whole ones from a random start between 0 and 1."""
    running = np.cumsum(paths[places], axis=2, dtype=np.float64) + starts[places, :, None]
    paths[places] = np.diff(np.floor(running), axis=2, prepend=0.0)
    return paths


def key_number(sku: str, location_id: str) -> int:
    """A number that belongs to a series alone, to seed its draws with."""
    return int.from_bytes(hashlib.sha256(f"{sku}\x1f{location_id}".encode()).digest()[:8])
