"""Steps of single units regrouped into runs of packs of equal value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from forecasting.schema import FloatArray, IntArray
    from inventory.reading import Wants


@dataclass(frozen=True, slots=True)
class Runs:
    """Packs that a place could have beyond those it starts from, in runs of equal value; sorted by place, then pack.

    Attributes:
        places: How many places there are.
        place_of: [run].
        end: Packs of the place once the run is complete, [run].
        size: Packs in the run, [run].
        value: Value of one pack, never rising within a place, [run].
    """

    places: int
    place_of: IntArray
    end: IntArray
    size: IntArray
    value: FloatArray

    def worth(self, packs: IntArray) -> FloatArray:
        """Value of so many packs of each place, [place]."""
        held = np.clip(packs[self.place_of] - (self.end - self.size), 0, self.size)
        return np.bincount(self.place_of, weights=held * self.value, minlength=self.places).astype(np.float64)

    def worth_next(self, packs: IntArray) -> FloatArray:
        """Value of the pack after so many of each place; 0 beyond the last run, [place]."""
        rows = (self.end > packs[self.place_of]) & (self.end - self.size <= packs[self.place_of])
        result = np.zeros(self.places)
        result[self.place_of[rows]] = self.value[rows]
        return result


def runs_of_packs(wants: Wants, base: IntArray, pack: IntArray, *, with_part: bool = False) -> Runs:
    """Packs of each place beyond `base` units, as far as the wants fill them.

    A run of packs that lie within one step is worth its units; a pack that straddles steps is a run of its own, worth the sum
    of its units. A last pack that the wants fill in part is left out, or a run of its own `with_part`.

    Args:
        wants: Steps.
        base: Units that the place has before the first pack, [place].
        pack: Units of a pack, [place].
    """
    places = len(wants.first)
    if not base.any() and (pack == 1).all():
        return Runs(places, wants.place_of, wants.level, wants.size, wants.value)
    per_pack = pack[wants.place_of]
    end = np.maximum(wants.level - base[wants.place_of], 0)
    start = np.maximum(wants.level - wants.size - base[wants.place_of], 0)
    # a step is cut where its first whole pack begins and where its last one ends
    head = np.minimum(-(-start // per_pack) * per_pack, end)
    tail = np.maximum(end // per_pack * per_pack, head)
    cuts = np.stack([start, head, tail, end], axis=1)
    units, begin = np.diff(cuts, axis=1).ravel(), cuts[:, :3].ravel()
    kept = np.flatnonzero(units)
    step = kept // 3
    units, place_of, pack_before = units[kept], wants.place_of[step], begin[kept] // per_pack[step]
    opens = np.append(True, (place_of[1:] != place_of[:-1]) | (pack_before[1:] != pack_before[:-1]))[: len(kept)]
    opening = np.flatnonzero(opens)
    if not len(opening):
        return Runs(places, place_of, pack_before, units, units.astype(np.float64))
    size = np.add.reduceat(units, opening) // per_pack[step][opening]
    if with_part:
        size = np.maximum(size, 1)
    total = np.add.reduceat(units * wants.value[step], opening)
    full = size > 0
    place_of, pack_before, size, total = place_of[opening][full], pack_before[opening][full], size[full], total[full]
    return Runs(places, place_of, pack_before + size, size, total / size)
