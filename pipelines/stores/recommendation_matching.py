"""Which open recommendation a proposal is about, where the day of need has moved and the key with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    _Rows = Mapping[str, Mapping[str, Any]]

SAME_NEED_DAYS: Final = 14

ORDER_CHANGES: Final = ("expedite", "defer", "cancel_po")
_SAME: Final = ("kind", "sku", "location_id", "supplier_id", "source_location_id")


def match_to_open(proposals: _Rows, standing: _Rows) -> dict[str, str]:
    """The key of the open recommendation that each proposal is about, by the proposal's key; those that are new are not in it.

    A proposal whose key is open is about that row. Any other is about an open row of the same kind, sku, location, supplier
    and source location that is needed within 14 days of it; the nearest day wins, and a row takes at most one proposal. So a
    row that takes on another key takes one that no open row had before: keys never have to change places.

    A change of a purchase order is about the order line that its basis names, whatever day is wanted.

    Args:
        proposals: What is proposed now, by `recommendation_key` (unique); each with kind, sku, location_id, supplier_id,
            source_location_id, need_by (a date; None is only matched by its key) and basis.
        standing: Open recommendations by key, proposed or decided, with the same fields.
    """
    found = {key: key for key in proposals if key in standing}
    free: dict[tuple[Any, ...], list[str]] = {}
    for key in standing.keys() - found.keys():
        free.setdefault(_identity(standing[key]), []).append(key)
    near = sorted(
        (days, key, row)
        for key in proposals.keys() - found.keys()
        for row in free.get(_identity(proposals[key]), ())
        if (days := _days_apart(proposals[key], standing[row])) is not None and days <= SAME_NEED_DAYS
    )
    taken: set[str] = set()
    for _, key, row in near:
        if key not in found and row not in taken:
            found[key] = row
            taken.add(row)
    return found


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    line = json.loads(row["basis"] or "{}").get("po_line_id") if row["kind"] in ORDER_CHANGES else None
    return (*(row[name] for name in _SAME), line)


def _days_apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> int | None:
    if one["kind"] in ORDER_CHANGES:
        return 0
    if one["need_by"] is None or other["need_by"] is None:
        return None
    return abs(int((one["need_by"] - other["need_by"]).days))
