"""What sharing a shortage among open order lines was worth: the same units as they left, beside another order of who gets them first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inventory.outcomes import LEAST_LOST_QTY

if TYPE_CHECKING:
    from forecasting.schema import FloatArray, IntArray
    from inventory.outcomes import Verdict


@dataclass(frozen=True, slots=True)
class SharedLines:
    """The order lines of one shortage, in the order in which they were placed; units.

    Attributes:
        wanted: Still to be sent when the split was proposed, [line].
        proposed: Of these, what the split gave, [line].
        sent: What really left for the line each day, [day, line].
        due: Days of the window by whose end a line is in time, [line]; 0 where it is in time whenever it leaves.
    """

    wanted: FloatArray
    proposed: FloatArray
    sent: FloatArray
    due: IntArray


@dataclass(frozen=True, slots=True)
class ShareOutcome:
    """Units that were not sent in time, [line]: as they really were, first come, first served, and with the proposed split."""

    late: FloatArray
    late_in_turn: FloatArray
    late_as_proposed: FloatArray


def measure_shares(lines: SharedLines) -> ShareOutcome:
    """The units that left for these lines, on the days they left, given to the lines in three ways.

    As many units leave each day whoever gets them, so no way loses or makes a unit: lines that get theirs sooner take them from
    others. First come, first served fills one line after the other, the oldest first. The proposed split fills the shares in that
    order, then what the lines still want. A unit is late that has not left for its line by the day it is due.

    Args:
        lines: Of one shortage.
    """
    really = np.minimum(np.cumsum(lines.sent, axis=0), lines.wanted)
    left = really.sum(axis=1)
    in_turn = _filled(left, lines.wanted)
    shares = np.minimum(lines.proposed, lines.wanted)
    as_proposed = _filled(left, shares) + _filled(np.maximum(0.0, left - shares.sum()), lines.wanted - shares)
    return ShareOutcome(*(_late(given, lines) for given in (really, in_turn, as_proposed)))


def share_verdict(late_without: float, averted_qty: float, averted_amount: float) -> Verdict:
    """Whether a split was right; never too late, since nothing has to arrive for it.

    unneeded: without it less than `LEAST_LOST_QTY` would have been late.
    averted: with it fewer units were late, or as many of less margin.
    insufficient: as much was late with it, or more.

    Args:
        late_without: Units late without the split.
        averted_qty: These less the units late with it.
        averted_amount: The same in margin; NaN where it is not known.
    """
    if late_without < LEAST_LOST_QTY:
        return "unneeded"
    gain = averted_qty if np.isnan(averted_amount) else averted_amount
    return "averted" if gain > 0 else "insufficient"


def _filled(left: FloatArray, most: FloatArray) -> FloatArray:
    """[day, line] what the lines have by the end of a day where `left` units have left by then, one line after the other."""
    before = np.cumsum(most) - most
    filled: FloatArray = np.clip(left[:, None] - before, 0.0, most)
    return filled


def _late(given: FloatArray, lines: SharedLines) -> FloatArray:
    in_time = given[lines.due - 1, np.arange(len(lines.due))]
    late: FloatArray = np.where(lines.due > 0, lines.wanted - in_time, 0.0)
    return late
