"""What a recommendation asks for, in a few words."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KIND_NAMES: Final = {
    "purchase": "Order", "transfer": "Transfer", "expedite": "Expedite", "defer": "Defer", "cancel_po": "Cancel", "allocate": "Allocate",
}  # fmt: skip


def asked(row: Mapping[str, Any], *, qty: int, source: str | None, day: Callable[[date], str] = date.isoformat) -> str:
    """The recommendation in words: "Move 60 from South", "Pull PO-17 forward to 3 Nov", "Share 50 among 3 orders".

    Args:
        row: A recommendation: its kind and basis.
        qty: Units that it is about.
        source: What the place is called that a transfer takes them from.
        day: How a day reads.
    """
    basis = basis_of(row)
    order, wanted = basis.get("po_id"), _day(basis.get("wanted_date"))
    said = {
        "purchase": f"Order {qty:,}",
        "transfer": f"Move {qty:,} from {source}",
        "expedite": f"Pull {order} forward to {'an earlier day' if wanted is None else day(wanted)}",
        "defer": f"Put {order} off to {'a later day' if wanted is None else day(wanted)}",
        "cancel_po": f"Cancel {qty:,} of {order}",
        "allocate": f"Share {qty:,} among {_orders(basis)}",
    }
    return said[row["kind"]]


def basis_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What it was computed from, as JSON or read from it; empty where that cannot be read."""
    found = row["basis"]
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            return {}
    return found if isinstance(found, dict) else {}


def _orders(basis: Mapping[str, Any]) -> str:
    lines = basis.get("lines")
    count = len({line.get("order_id") for line in lines if line.get("qty")}) if isinstance(lines, list) else 0
    return "1 order" if count == 1 else f"{count:,} orders"


def _day(value: Any) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) else None
