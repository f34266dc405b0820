"""A shortage shared anew among order lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def share_anew(
    stock_qty: int, line_ids: Sequence[str], wants: Sequence[int], floors: Sequence[int], priorities: Sequence[int | None]
) -> list[int]:
    """Units for each line: floors first, then one priority after the other in proportion to what is still wanted, as fair_share does.

    50 units for wants of 10, 20 and 50 are 6, 13 and 31.

    Args:
        stock_qty: Units to give.
        line_ids: Names of the lines; unique.
        wants: Units that each wants.
        floors: Units that each gets first.
        priorities: The lowest number is served first, None last.
    """
    floored = _by_class(max(0, stock_qty), line_ids, [min(pair) for pair in zip(floors, wants, strict=True)], priorities)
    rest = [want - got for want, got in zip(wants, floored, strict=True)]
    return [a + b for a, b in zip(floored, _by_class(max(0, stock_qty) - sum(floored), line_ids, rest, priorities), strict=True)]


def _by_class(left: int, line_ids: Sequence[str], wants: Sequence[int], priorities: Sequence[int | None]) -> list[int]:
    given = [0] * len(wants)
    for number in sorted({(priority is None, priority or 0) for priority in priorities}):
        places = [place for place, one in enumerate(priorities) if (one is None, one or 0) == number]
        total = sum(wants[place] for place in places)
        pool = min(left, total)
        for place in places:
            given[place] = pool * wants[place] // total if total else 0
        ranked = sorted(places, key=lambda place: (-(pool * wants[place] % max(1, total)), -wants[place], line_ids[place]))
        for place in ranked[: pool - sum(given[place] for place in places)]:
            given[place] += 1
        left -= pool
    return given
