"""What to ask of orders that stand already, before a new one: bring it forward, put it off, or call it off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from inventory.protection_demand import LEAST_UNITS, lost_units, supply_by_day
from inventory.schema import Inbound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from forecasting.schema import FloatArray
    from inventory.schema import LeadTime, Position, ReorderPolicy, UnitMoney

ChangeKind = Literal["expedite", "defer", "cancel_po"]
AlternativeKind = Literal["purchase", "cancel_po", "defer"]
LEAST_SAVED_QTY: Final = 1.0  # units that bringing forward has to save in the mean
LEAST_SAVED_SHARE: Final = 0.01  # of a line's cost, that putting it off has to save in holding
NOTICE_DAYS: Final = 7  # what is due sooner can no longer be put off or called off
DEAD_STOCK_DAYS: Final = 365  # what is not touched for a year without it is dead stock


@dataclass(frozen=True, slots=True)
class Alternative:
    """What else could be done, weighed on the same simulated days, and how much dearer than the change it is.

    Attributes:
        kind: Order as many units anew, call the line off, or put it off.
        arrives_date: When it would come, at the usual lead time; None where nothing would.
        more_lost_mean_qty: Units that it loses beyond the change.
        more_held_amount: Holding beyond the change's, in minor units.
    """

    kind: AlternativeKind
    arrives_date: date | None
    more_lost_mean_qty: float
    more_held_amount: float


@dataclass(frozen=True, slots=True)
class OrderChange:
    """One change of one line of a purchase order, which stands with `expected_date`. Money in minor units, None where no margin is known.

    `wanted_date` is when the line should arrive, or the as-of day where it should not at all. `priority_score` is the expected value at
    risk: margin that bringing forward saves (at unit cost where no margin is known), or holding that putting off or calling off saves.
    `rejected` is what was weighed beside it.
    """

    kind: ChangeKind
    line: Inbound
    expected_date: date
    wanted_date: date
    stockout_probability: float
    saved_mean_qty: float
    lasts_days: int
    priority_score: float
    cost_if_ignored_p50_amount: int | None
    cost_if_ignored_p90_amount: int | None
    cost_if_accepted_amount: int | None
    rejected: Alternative


def propose_changes(
    cumulative: FloatArray,
    *,
    position: Position,
    lead_time: LeadTime,
    policy: ReorderPolicy,
    money: UnitMoney,
    unit_cost_amount: int,
    ratio: float,
    as_of: date,
) -> list[OrderChange]:
    """Changes of lines that stand, each weighed with all others as they are or as already changed; none where nothing pays.

    A line is brought forward where it arrives after stock has run out on the median path and arriving with the best tenth of lead
    times from today saves a unit or more in the mean. A line is put off where stock lasts without it, at the ratio, for so much longer
    that holding it costs more than a hundredth of it; a line is called off where stock lasts a year without it.

    Args:
        cumulative: From `cumulative_demand`, [day + 1, path].
        position: Stock and what is on its way.
        lead_time: Of the item's supplier.
        policy: For the review period.
        money: Of one unit.
        unit_cost_amount: Of one unit.
        ratio: Chance with which stock has to last without a line that is put off.
        as_of: Last complete day.
    """
    lines = [
        (one, one.expected_date)
        for one in position.inbound
        if one.po_line_id is not None and one.expected_date is not None and one.expected_date > as_of
    ]
    if not lines:
        return []
    course = _Course(cumulative, position.free_qty, as_of, money, unit_cost_amount)
    inbound = list(position.inbound)
    earliest, usual = (as_of + timedelta(days=max(1, lead_time.quantile(level))) for level in (0.1, 0.5))
    for line, due in lines:
        change = course.brought_forward(inbound, line, due, earliest, usual)
        if change is not None:
            return [change]
    found: list[OrderChange] = []
    for line, due in reversed(lines):
        change = course.put_off(inbound, line, due, ratio=ratio, least_days=policy.review_period_days)
        if change is not None:
            found.append(change)
            inbound = apply_changes(inbound, [change])
    return found


def apply_changes(inbound: Sequence[Inbound], changes: Sequence[OrderChange]) -> list[Inbound]:
    """What is on its way once the changes are made."""
    by_line = {change.line.po_line_id: change for change in changes}
    kept = [one for one in inbound if one.po_line_id not in by_line or by_line[one.po_line_id].kind != "cancel_po"]
    return [replace(one, expected_date=by_line[one.po_line_id].wanted_date) if one.po_line_id in by_line else one for one in kept]


@dataclass(frozen=True, slots=True)
class _Course:
    cumulative: FloatArray
    free_qty: int
    as_of: date
    money: UnitMoney
    unit_cost_amount: int

    def brought_forward(self, inbound: Sequence[Inbound], line: Inbound, due: date, earliest: date, usual: date) -> OrderChange | None:
        if due <= earliest:
            return None
        day = min((due - self.as_of).days, len(self.cumulative) - 1)
        supply, lost = self._lost(inbound)
        runs_out = _first_miss(lost, share=0.5)
        if runs_out is None or runs_out > day:
            return None
        moved = [replace(one, expected_date=earliest) if one is line else one for one in inbound]
        sooner, lost_sooner = self._lost(moved)
        saved = lost[day] - lost_sooner[day]
        if saved.mean() < LEAST_SAVED_QTY:
            return None
        stock = _unit_days(sooner, lost_sooner)
        held = stock - _unit_days(supply, lost)
        anew, lost_anew = self._lost([*inbound, Inbound(usual, line.open_qty)])
        more_held = (_unit_days(anew, lost_anew) - stock) * self.money.holding_amount
        rejected = Alternative("purchase", usual, float((lost_anew[day] - lost_sooner[day]).mean()), more_held)
        return self._change(
            "expedite",
            line,
            due,
            earliest,
            saved=saved,
            lasts_days=runs_out - 1,
            accepted=max(0.0, held) * self.money.holding_amount,
            rejected=rejected,
        )

    def put_off(self, inbound: Sequence[Inbound], line: Inbound, due: date, *, ratio: float, least_days: int) -> OrderChange | None:
        if (due - self.as_of).days < NOTICE_DAYS:
            return None
        without = [one for one in inbound if one is not line]
        supply, lost = self._lost(without)
        last = len(self.cumulative) - 1
        rate = float(self.cumulative[-1].mean()) / last
        lasts = float(supply[-1]) / rate if rate > 0 else float("inf")
        if lasts > DEAD_STOCK_DAYS and not (lost[-1] > LEAST_UNITS).any():
            days = min(lasts, 10.0 * DEAD_STOCK_DAYS) - (due - self.as_of).days
            lasts_days = min(int(lasts), 10 * DEAD_STOCK_DAYS)
            rejected = Alternative("defer", self.as_of + timedelta(days=lasts_days), 0.0, 0.0)
            return self._saving("cancel_po", line, due, self.as_of, days=days, lasts_days=lasts_days, lost_mean_qty=0.0, rejected=rejected)
        needed = _first_miss(lost, share=1.0 - ratio) or last
        wanted = self.as_of + timedelta(days=needed)
        days = (wanted - due).days
        saved = self.money.holding_amount * days
        if days < least_days or saved < LEAST_SAVED_SHARE * self.unit_cost_amount or saved <= 0:
            return None
        _, as_it_stands = self._lost(inbound)
        _, later = self._lost([replace(one, expected_date=wanted) if one is line else one for one in inbound])
        more_lost = float((later[-1] - as_it_stands[-1]).mean())
        rejected = Alternative("cancel_po", None, float((lost[-1] - later[-1]).mean()), 0.0)
        return self._saving("defer", line, due, wanted, days=days, lasts_days=needed, lost_mean_qty=more_lost, rejected=rejected)

    def _lost(self, inbound: Sequence[Inbound]) -> tuple[FloatArray, FloatArray]:
        supply = supply_by_day(len(self.cumulative) - 1, free_qty=self.free_qty, inbound=inbound, as_of=self.as_of)
        return supply, lost_units(self.cumulative, supply)

    def _change(
        self, kind: ChangeKind, line: Inbound, due: date, wanted: date, *, saved: FloatArray, lasts_days: int, accepted: float,
        rejected: Alternative,
    ) -> OrderChange:  # fmt: skip
        unit, mean = self.money.shortage_amount, float(saved.mean())
        return OrderChange(
            kind, line, due, wanted,
            stockout_probability=float((saved > LEAST_UNITS).mean()),
            saved_mean_qty=mean,
            lasts_days=lasts_days,
            priority_score=mean * (self.unit_cost_amount if unit is None else unit),
            cost_if_ignored_p50_amount=None if unit is None else round(float(np.quantile(saved, 0.5)) * unit),
            cost_if_ignored_p90_amount=None if unit is None else round(float(np.quantile(saved, 0.9)) * unit),
            cost_if_accepted_amount=round(accepted),
            rejected=rejected,
        )  # fmt: skip

    def _saving(
        self, kind: ChangeKind, line: Inbound, due: date, wanted: date, *, days: float, lasts_days: int, lost_mean_qty: float,
        rejected: Alternative,
    ) -> OrderChange:  # fmt: skip
        saved, unit = self.money.holding_amount * line.open_qty * days, self.money.shortage_amount
        return OrderChange(
            kind, line, due, wanted,
            stockout_probability=0.0,
            saved_mean_qty=0.0,
            lasts_days=lasts_days,
            priority_score=saved,
            cost_if_ignored_p50_amount=round(saved),
            cost_if_ignored_p90_amount=round(saved),
            cost_if_accepted_amount=None if unit is None and lost_mean_qty > LEAST_UNITS else round(lost_mean_qty * (unit or 0.0)),
            rejected=rejected,
        )  # fmt: skip


def _first_miss(lost: FloatArray, *, share: float) -> int | None:
    """The first day by whose end more than this share of the paths has missed a unit; None where there is none."""
    missed = np.flatnonzero((lost > LEAST_UNITS).mean(axis=1) > share)
    return int(missed[0]) if len(missed) else None


def _unit_days(supply: FloatArray, lost: FloatArray) -> float:
    """Stock at the ends of the simulated days added up, in the mean, but for the demand that is the same whatever comes."""
    return float((np.maximum(supply, 0.0)[:, None] + lost).sum(axis=0).mean())
