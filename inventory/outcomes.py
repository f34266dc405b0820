"""What a decided suggestion was worth: the stock that really was, beside a replay of the same days without (or with) its order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

if TYPE_CHECKING:
    import numpy.typing as npt

    from forecasting.schema import BoolArray, FloatArray

Verdict = Literal["averted", "unneeded", "too_late", "insufficient", "unknown"]
VERDICTS: Final[tuple[Verdict, ...]] = ("averted", "unneeded", "too_late", "insufficient", "unknown")
LEAST_LOST_QTY: Final = 0.5  # expected demand has fractions; below half a unit nothing was lost
AVERTED_SHARE: Final = 0.95
DAYS_OF_YEAR: Final = 365.0


@dataclass(frozen=True, slots=True)
class StockPath:
    """How stock really went, day by day from the first day of each decision's window; units.

    Attributes:
        opening: Free stock before the first day, [decision].
        closing: Free stock at the end of the day, [day, decision]. Below zero, units are owed; that counts as none.
        demand: Demand that was seen, [day, decision].
        expected: Demand to expect where stock had run out, so that not all of it was seen, [day, decision].
        is_censored: Where that is so, [day, decision].
        is_in_window: Days that belong to the window, the first ones, [day, decision].
    """

    opening: FloatArray
    closing: FloatArray
    demand: FloatArray
    expected: FloatArray
    is_censored: BoolArray
    is_in_window: BoolArray


@dataclass(frozen=True, slots=True)
class Senders:
    """The other side of transfers: where their units lay; all 0 for a decision that takes none from anywhere.

    Attributes:
        path: How stock went there.
        sent: Units on the day they really left, [day, decision].
        proposed: Units of the proposed quantity on the day they left or would have left, [day, decision].
        holding_per_day: A day's holding of a unit there, [decision], in minor units; NaN is not known.
    """

    path: StockPath
    sent: FloatArray
    proposed: FloatArray
    holding_per_day: FloatArray


@dataclass(frozen=True, slots=True)
class UnitMoney:
    """Per decision, in minor units of one currency: what a sold unit brings and what a day of holding one costs; NaN is not known."""

    margin: FloatArray
    holding_per_day: FloatArray


@dataclass(frozen=True, slots=True)
class Measured:
    """What became of each decision, [decision]; units, and minor units where it is an amount (NaN: not known).

    Attributes:
        demand_qty: Demand in the window, expected demand of days without stock included.
        lost_qty: Demand of the window that was not served, as things really went; of a transfer at both places, as all that follows.
        lost_without_qty, lost_with_qty: The same without the order, and with it: the one that came, or where the suggestion was
            rejected the one that was proposed.
        averted_qty: Their difference; below 0 where a change of an order lost more than it saved.
        excess_unit_days: Stock at the ends of days that only the order explains, summed over days; below 0 where a change saved it.
        averted_margin_amount, excess_cost_amount: Both in money.
        value_added_amount: What the person's quantity was worth beyond the proposed one; 0 where they left it.
        verdict: [decision] of `VERDICTS`; never unknown here.
    """

    demand_qty: FloatArray
    lost_qty: FloatArray
    lost_without_qty: FloatArray
    lost_with_qty: FloatArray
    averted_qty: FloatArray
    excess_unit_days: FloatArray
    averted_margin_amount: FloatArray
    excess_cost_amount: FloatArray
    value_added_amount: FloatArray
    verdict: npt.NDArray[np.str_]


def measure_outcomes(
    path: StockPath,
    *,
    received: FloatArray,
    proposed: FloatArray,
    is_accepted: BoolArray,
    money: UnitMoney,
    without: FloatArray | None = None,
    saves_holding: BoolArray | None = None,
    senders: Senders | None = None,
) -> Measured:
    """What each order did in its window, what the proposed quantity would have done, and whether the suggestion was right.

    Demand that finds no stock is lost. A day takes in first, then serves; all else that moved stock (other receipts, corrections,
    transfers) happens in every replay as it really did.

    An order's worth is averted units x margin less excess unit-days x holding cost. The value a person added is the worth of what they
    ordered less the worth of what was proposed: of a rejected suggestion that is the loss or gain of not having it.

    The verdict, on the order that came or, of a rejected suggestion, on the one proposed:
        unneeded: without it less than `LEAST_LOST_QTY` would have been lost, or by as much less than with it.
        averted: of what would have been lost, at least `AVERTED_SHARE` was not.
        too_late: more, and most of what was still lost was so before its first unit arrived.
        insufficient: more, and most of it after that.
    Of a suggestion that was to save holding:
        unneeded: with it at least `LEAST_LOST_QTY` more was lost than without.
        averted: that was not so, and units were held for fewer days.
        too_late: nothing was saved, the units came as they stood.

    Args:
        path: What happened.
        received: Units of the order on the day they really came, [day, decision]; zeros for a rejected order.
        proposed: Units of the proposed quantity on the day they came or would have come, [day, decision].
        is_accepted: [decision].
        money: Per unit.
        without: Units of the same order on the day they would have come had nothing been suggested, [day, decision]; None is no order.
        saves_holding: Suggestions to have less or later, [decision]; None is none of them.
        senders: What transfers did where they came from; None where there are none.
    """
    stood = np.zeros_like(received) if without is None else without
    here = _ways(path, extra=(stood - received, np.zeros_like(received), proposed - received))
    (none, really, planned), held = _with_senders(here, money, senders)

    def worth(way: _Way, held_amount: FloatArray) -> FloatArray:
        net: FloatArray = (none.lost_qty - way.lost_qty) * money.margin - (held_amount - held[0])
        return net

    lost_with = np.where(is_accepted, really.lost, planned.lost)
    averted_qty = none.lost_qty - lost_with.sum(axis=0)
    unit_days = np.where(is_accepted, really.unit_days, planned.unit_days) - none.unit_days
    verdict = _verdicts(none.lost, lost_with, np.where(is_accepted, received, proposed))
    if saves_holding is not None:
        verdict = np.where(saves_holding, _saving_verdicts(averted_qty, unit_days), verdict).astype(np.str_)
    return Measured(
        demand_qty=_wanted(path).sum(axis=0),
        lost_qty=really.lost_qty,
        lost_without_qty=none.lost_qty,
        lost_with_qty=lost_with.sum(axis=0),
        averted_qty=averted_qty,
        excess_unit_days=unit_days,
        averted_margin_amount=averted_qty * money.margin,
        excess_cost_amount=np.where(is_accepted, held[1], held[2]) - held[0],
        value_added_amount=worth(really, held[1]) - worth(planned, held[2]),
        verdict=verdict,
    )


@dataclass(frozen=True, slots=True)
class _Way:
    """How the days went one way: units lost, [day, decision], and stock at the ends of the window's days added up, [decision]."""

    lost: FloatArray
    unit_days: FloatArray

    def __add__(self, other: _Way) -> _Way:
        return _Way(self.lost + other.lost, self.unit_days + other.unit_days)

    @property
    def lost_qty(self) -> FloatArray:
        """[decision]."""
        total: FloatArray = self.lost.sum(axis=0)
        return total


def _wanted(path: StockPath) -> FloatArray:
    wanted: FloatArray = np.where(path.is_censored, np.maximum(path.demand, path.expected), path.demand) * path.is_in_window
    return wanted


def _ways(path: StockPath, *, extra: tuple[FloatArray, FloatArray, FloatArray]) -> tuple[_Way, _Way, _Way]:
    wanted = _wanted(path)
    replays = (_replay(path, wanted, one) for one in extra)
    none, really, planned = (_Way(lost, (stock * path.is_in_window).sum(axis=0)) for lost, stock in replays)
    return none, really, planned


def _with_senders(
    here: tuple[_Way, _Way, _Way], money: UnitMoney, senders: Senders | None
) -> tuple[tuple[_Way, _Way, _Way], list[FloatArray]]:
    """The ways with what happened at the senders, and what each held there and here, [decision], in minor units."""
    held = [way.unit_days * money.holding_per_day for way in here]
    if senders is None:
        return here, held
    sent = senders.sent
    there = _ways(senders.path, extra=(sent, np.zeros_like(sent), sent - senders.proposed))
    both = (here[0] + there[0], here[1] + there[1], here[2] + there[2])
    return both, [one + way.unit_days * senders.holding_per_day for one, way in zip(held, there, strict=True)]


def scorecard(outcomes: pl.DataFrame, by: str) -> pl.DataFrame:
    """Per value of `by` how many suggestions were right and what that was worth; amounts of one currency each.

    Args:
        outcomes: currency_code, verdict, is_accepted, is_override (rejected, or another quantity), averted_qty, averted_margin_amount,
            excess_cost_amount, value_added_amount (null where not known) and the column `by`.
        by: A column, such as actor, supplier_id, category or reason_code; null is a value of its own.

    Returns:
        `by`, currency_code, decided_count, accepted_count, overridden_count, a count per verdict (`averted_count`, ...), averted_qty,
        averted_margin_amount, excess_cost_amount, override_value_amount (the value that overrides added), no_money_count (outcomes of a
        known verdict left out of these three amounts, because a price is missing; where all are, the amounts are null); most decided first.

    Raises:
        ValueError: A column is missing.
    """
    missing = sorted({by, "currency_code", "verdict", "is_accepted", "is_override", "averted_qty", *_AMOUNTS} - set(outcomes.columns))
    if missing:
        raise ValueError(f"outcomes: lacks {', '.join(missing)}.")
    has_money = pl.all_horizontal(pl.col(name).is_not_null() for name in _AMOUNTS)
    is_known = pl.col("verdict") != "unknown"

    def total(name: str, condition: pl.Expr) -> pl.Expr:
        return pl.when(has_money.any()).then(pl.col(name).filter(condition).sum()).alias(name)

    return (
        outcomes.group_by(by, "currency_code")
        .agg(
            pl.len().alias("decided_count"),
            pl.col("is_accepted").sum().alias("accepted_count"),
            pl.col("is_override").sum().alias("overridden_count"),
            *((pl.col("verdict") == verdict).sum().alias(f"{verdict}_count") for verdict in VERDICTS),
            pl.col("averted_qty").filter(is_known).sum(),
            total("averted_margin_amount", has_money),
            total("excess_cost_amount", has_money),
            total("value_added_amount", has_money & pl.col("is_override")).alias("override_value_amount"),
            (is_known & ~has_money).sum().alias("no_money_count"),
        )
        .sort("decided_count", by, "currency_code", descending=[True, False, False], nulls_last=True)
    )


_AMOUNTS: Final = ("averted_margin_amount", "excess_cost_amount", "value_added_amount")


def _replay(path: StockPath, wanted: FloatArray, extra: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lost units and stock at the end of the day, [day, decision], with `extra` units more than really came each day."""
    closing = np.maximum(0.0, path.closing)
    stock = np.maximum(0.0, path.opening)
    before = np.vstack([stock[None, :], closing[:-1]])
    came = closing - before + path.demand  # whatever else moved it; on a day without stock, what was served had to come
    lost, ends = np.zeros_like(wanted), np.zeros_like(wanted)
    for day in range(len(wanted)):
        there = np.maximum(0.0, stock + came[day] + extra[day])
        lost[day] = np.maximum(0.0, wanted[day] - there)
        stock = np.maximum(0.0, there - wanted[day])
        ends[day] = stock
    return lost, ends


def _verdicts(lost_without: FloatArray, lost_with: FloatArray, order: FloatArray) -> npt.NDArray[np.str_]:
    has_arrived = np.cumsum(order, axis=0) > 0
    early, late = (lost_with * ~has_arrived).sum(axis=0), (lost_with * has_arrived).sum(axis=0)
    total = lost_without.sum(axis=0)
    is_idle = (total < LEAST_LOST_QTY) | (early + late - total >= LEAST_LOST_QTY)
    return np.select(
        [is_idle, early + late <= (1.0 - AVERTED_SHARE) * total, early >= late],
        ["unneeded", "averted", "too_late"],
        "insufficient",
    ).astype(np.str_)


def _saving_verdicts(averted: FloatArray, unit_days: FloatArray) -> npt.NDArray[np.str_]:
    """Of changes that have less or later."""
    return np.select([averted <= -LEAST_LOST_QTY, unit_days < 0], ["unneeded", "averted"], "too_late").astype(np.str_)
