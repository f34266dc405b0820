"""What a change of a whole is made of, member by member: exact arithmetic, no reads. `docs/methods/movers.md` has the formulas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from statistics import fmean, median
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

Kind = Literal["sum", "ratio", "share"]
MOST_NAMED: Final = 3  # members a change is put down to; the others are the rest
FEWEST_PAST: Final = 6  # past changes below which nothing can be called unusual
_NORMAL_MAD: Final = 0.6745  # median absolute deviation of a standard normal variable
_NORMAL_MEAN_DEVIATION: Final = 0.7979  # its mean absolute deviation


@dataclass(frozen=True, slots=True)
class Member:
    """One member's part of the whole in both periods; without a denominator the part is the numerator alone."""

    name: str
    numerator_before: float | Decimal
    denominator_before: float | Decimal
    numerator: float | Decimal
    denominator: float | Decimal


@dataclass(frozen=True, slots=True)
class Part:
    """What one member contributed to the change of the whole, exactly.

    Of a ratio, `rate` is what came of the member's own rate and `mix` what came of its weight, and the two add up to `total`; both
    None elsewhere. `before` and `value` are the member's own in each period, None where it had none.
    """

    name: str
    total: Fraction
    rate: Fraction | None
    mix: Fraction | None
    before: Fraction | None
    value: Fraction | None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The whole's change by the members of one dimension: the parts named and the rest add up to the change, exactly.

    Attributes:
        dimension: Which dimension.
        change: Of the whole.
        named: The members with the largest parts, at most three, largest first.
        rest: What all others contributed together.
        rest_count: How many others there are.
        concentration: Share of all movement that is the named ones', less the share of the whole that they are; -1 to 1.
    """

    dimension: str
    change: Fraction
    named: tuple[Part, ...]
    rest: Fraction
    rest_count: int
    concentration: float

    def rounded(self, *, digits: int, scale: int = 1) -> tuple[float, list[float], float]:
        """The change, the parts named and the rest, times `scale` and rounded so that what is shown adds up too.

        What rounding leaves over is the rest's, or where there is none the largest part's.
        """
        change = round(self.change * scale, digits)
        named = [round(part.total * scale, digits) for part in self.named]
        rest = change - sum(named)
        if named and not self.rest_count:
            named[0], rest = named[0] + rest, Fraction(0)
        return float(change), [float(one) for one in named], float(rest)


def unusualness(change: float, past: Sequence[float]) -> float | None:
    """How far a change lies from the median of earlier ones, in robust standard deviations; with its sign, and 0 at the median.

    Where most earlier changes are the same, their mean deviation takes the place of the median one; where all are, any other
    change is infinitely unusual. None with fewer than six.

    Source: the modified z-score of Iglewicz and Hoaglin (1993), How to Detect and Handle Outliers, section 3.3.
    """
    if len(past) < FEWEST_PAST:
        return None
    middle = median(past)
    deviations = [abs(one - middle) for one in past]
    if spread := median(deviations):
        return _NORMAL_MAD * (change - middle) / spread
    if spread := fmean(deviations):
        return _NORMAL_MEAN_DEVIATION * (change - middle) / spread
    return 0.0 if change == middle else math.copysign(math.inf, change - middle)


def break_down(dimension: str, members: Sequence[Member], kind: Kind) -> Breakdown | None:
    """The change by these members, with those named that concentrate it most; None where the whole has no value in a period.

    Of a `ratio` numerators are added and divided by denominators added, of a `share` by the one denominator that all members carry, and a
    `sum` is of numerators alone.
    """
    if not members:
        return None
    numerators, unit = _integers([amount for one in members for amount in (one.numerator_before, one.numerator)])
    before, now = numerators[::2], numerators[1::2]
    if kind == "sum":
        parts = [after - earlier for earlier, after in zip(before, now, strict=True)]
        sizes = _shares([abs(after) + abs(earlier) for earlier, after in zip(before, now, strict=True)])
    else:
        denominators, per = _integers([amount for one in members for amount in (one.denominator_before, one.denominator)])
        whole = denominators[:2] if kind == "share" else [sum(denominators[::2]), sum(denominators[1::2])]
        if not all(whole):
            return None
        parts, sizes, scale = _ratio_parts(before, now, denominators, whole, kind)
        unit = unit / per * scale
    named, concentration = _named(members, parts, sizes)
    change = sum(parts) * unit
    told = tuple(_part(members, i, parts[i] * unit, kind) for i in named)
    rest = change - sum(part.total for part in told)
    return Breakdown(dimension, change, told, Fraction(rest), len(members) - len(named), concentration)


def _ratio_parts(
    before: Sequence[int], now: Sequence[int], denominators: Sequence[int], whole: Sequence[int], kind: Kind
) -> tuple[list[int], list[float], Fraction]:
    """Each member's part as an integer of one unit, its size, and that unit."""
    earlier, later = denominators[::2], denominators[1::2]
    if kind == "share":
        parts = [n1 * whole[0] - n0 * whole[1] for n0, n1 in zip(before, now, strict=True)]
        return parts, _shares([abs(n0) + abs(n1) for n0, n1 in zip(before, now, strict=True)]), Fraction(1, whole[0] * whole[1])
    total = sum(before)
    # n1/D1 - w1 R0 - (n0/D0 - w0 R0) over the common denominator D1 D0 D0
    parts = [
        n1 * whole[0] ** 2 - d1 * total * whole[0] - n0 * whole[1] * whole[0] + d0 * total * whole[1]
        for n0, n1, d0, d1 in zip(before, now, earlier, later, strict=True)
    ]
    sizes = _shares([abs(d0 * whole[1]) + abs(d1 * whole[0]) for d0, d1 in zip(earlier, later, strict=True)])
    return parts, sizes, Fraction(1, whole[1] * whole[0] ** 2)


def _part(members: Sequence[Member], place: int, total: Fraction, kind: Kind) -> Part:
    one = members[place]
    n0, n1 = Fraction(one.numerator_before), Fraction(one.numerator)
    if kind == "sum":
        return Part(one.name, total, None, None, n0, n1)
    d0, d1 = Fraction(one.denominator_before), Fraction(one.denominator)
    before, value = (n0 / d0 if d0 else None), (n1 / d1 if d1 else None)
    if kind == "share":
        return Part(one.name, total, None, None, before, value)
    rate = Fraction(0)
    if before is not None and value is not None:  # one that is new or gone has no rate to compare: all it brought is its weight
        rate = d1 / sum(Fraction(other.denominator) for other in members) * (value - before)
    return Part(one.name, total, rate, total - rate, before, value)


def _named(members: Sequence[Member], parts: Sequence[int], sizes: Sequence[float]) -> tuple[list[int], float]:
    """The places of the members to name, and how concentrated the change is on them."""
    movement = sum(map(abs, parts))
    if not movement:
        return [], 0.0
    largest = sorted(range(len(parts)), key=lambda i: (-abs(parts[i]), members[i].name))[:MOST_NAMED]
    gains = [
        sum(abs(parts[i]) for i in largest[:count]) / movement - sum(sizes[i] for i in largest[:count])
        for count in range(1, len(largest) + 1)
    ]  # fmt: skip
    best = max(range(len(gains)), key=lambda i: gains[i])
    return largest[: best + 1], gains[best]


def _integers(amounts: Sequence[float | Decimal]) -> tuple[list[int], Fraction]:
    """The amounts as integers of one unit, which is exact and fast."""
    ratios = [amount.as_integer_ratio() for amount in amounts]
    scale = math.lcm(*{denominator for _, denominator in ratios})
    return [numerator * (scale // denominator) for numerator, denominator in ratios], Fraction(1, scale)


def _shares(sizes: Sequence[int]) -> list[float]:
    whole = sum(sizes)
    return [size / whole if whole else 0.0 for size in sizes]
