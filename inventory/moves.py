"""Units that another location can spare, before they are bought: what a unit is worth where it lies and where it is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from inventory.protection_demand import LEAST_UNITS, cumulative_demand, lost_units, pair_lead_times, supply_by_day
from inventory.transfers import transfers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from forecasting.schema import FloatArray, PathArray
    from inventory.schema import LeadTime, Position, ReorderPolicy

FRICTION: Final = 0.25  # of a sale, that a unit has to be worth more elsewhere: no source names what a move costs
MOST_LEVELS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Holding:
    """What units of one item are worth at one location, in sales saved before an order of the next review arrives.

    Attributes:
        free_qty: Units that can be sold, and so be sent.
        kept: [path] units of the free ones that are needed here.
        missing: [path] units that are missed here after a transfer could have arrived; all 0 where nothing is to be moved here.
    """

    free_qty: int
    kept: FloatArray
    missing: FloatArray

    def chances(self) -> FloatArray:
        """[level] chance that a unit is needed: first those that are there, then those that a transfer would bring."""
        own = _exceeding(self.kept, min(max(0, self.free_qty), MOST_LEVELS))
        more = _exceeding(self.missing, min(int(np.ceil(self.missing.max() - LEAST_UNITS)), MOST_LEVELS))
        result: FloatArray = np.minimum.accumulate(np.concatenate([own, more]))
        return result


@dataclass(frozen=True, slots=True)
class Move:
    """Units of one item to move; `saved` at the receiver by path, `lost_mean_qty` at the sender, in units."""

    sku: str
    source: str
    target: str
    qty: int
    saved: FloatArray
    lost_mean_qty: float


def weigh_holding(
    paths: PathArray, *, position: Position, lead_time: LeadTime, policy: ReorderPolicy, as_of: date, transfer_days: int | None, seed: int
) -> Holding:
    """What the units at a location are worth there, and what more would be.

    Args:
        paths: Simulated demand [path, day], as long as the longest lead time plus the review period.
        position: Stock and what is on its way.
        lead_time: Of the item's supplier.
        policy: For the review period.
        as_of: Last complete day.
        transfer_days: Days until a transfer has arrived here; None: nothing is to be moved here.
        seed: Seed of how lead times and paths are paired.
    """
    cumulative = cumulative_demand(paths)
    supply = supply_by_day(paths.shape[1], free_qty=position.free_qty, inbound=position.inbound, as_of=as_of)
    until, number = pair_lead_times(lead_time, paths=len(paths), seed=seed) + policy.review_period_days, np.arange(len(paths))
    peak = np.maximum.accumulate(cumulative - (supply - position.free_qty)[:, None], axis=0)[until, number]
    missing = np.zeros(len(paths))
    if transfer_days is not None:
        lost = lost_units(cumulative, supply)
        missing = lost[until, number] - lost[np.minimum(transfer_days, until), number]
    return Holding(position.free_qty, np.maximum(peak, 0.0), missing)


def plan_moves(holdings: Mapping[tuple[str, str], Holding]) -> list[Move]:
    """Units to move between locations such that most sales are saved; each has to be worth a quarter of a sale more where it goes.

    The plan of `inventory.transfers.transfers` with a unit's value its chance to be needed, so it needs no money. Packs are not kept:
    units lie loose in a shop.

    Args:
        holdings: By sku and location_id; of items that are short somewhere.
    """
    if not holdings:
        return []
    steps = [(sku, place, one.chances()) for (sku, place), one in sorted(holdings.items())]
    wants = pl.DataFrame(
        {
            "sku": np.repeat([sku for sku, _, _ in steps], [len(chances) for _, _, chances in steps]),
            "location_id": np.repeat([place for _, place, _ in steps], [len(chances) for _, _, chances in steps]),
            "level": np.concatenate([np.arange(1, len(chances) + 1) for _, _, chances in steps]),
            "marginal_value": np.concatenate([chances for _, _, chances in steps]),
        }
    )
    stock = pl.DataFrame(
        [(sku, place, min(max(0, one.free_qty), MOST_LEVELS)) for (sku, place), one in sorted(holdings.items())],
        schema={"sku": pl.String, "location_id": pl.String, "available_qty": pl.Int64},
        orient="row",
    )
    places = sorted({place for _, place in holdings})
    lanes = pl.DataFrame(
        [(one, other, FRICTION) for one in places for other in places if one != other],
        schema={"from_location_id": pl.String, "to_location_id": pl.String, "unit_cost": pl.Float64},
        orient="row",
    )
    found = transfers(stock, wants, lanes)
    sent: dict[tuple[str, str], int] = {}
    received: dict[tuple[str, str], int] = {}
    moves = []
    for sku, source, target, qty in found.select("sku", "from_location_id", "to_location_id", "qty").iter_rows():
        giver, getter = holdings[sku, source], holdings[sku, target]
        before, had = sent.get((sku, source), 0), received.get((sku, target), 0)
        sent[sku, source], received[sku, target] = before + qty, had + qty
        left = giver.free_qty - before
        lost = np.minimum(giver.kept, left) - np.minimum(giver.kept, left - qty)
        saved = np.minimum(getter.missing, had + qty) - np.minimum(getter.missing, had)
        moves.append(Move(sku, source, target, qty, saved, float(lost.mean())))
    return moves


def _exceeding(units: FloatArray, levels: int) -> FloatArray:
    """[level] share of paths on which at least so many units are needed, levels 1 on."""
    ranked = np.sort(units)
    result: FloatArray = 1.0 - np.searchsorted(ranked, np.arange(levels) + LEAST_UNITS, side="right") / len(units)
    return result
