"""What the kinds of recommendation differ in: what an approval is checked against, writes, and says; and how it is taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from pipelines.decisions.basis import check_basis
from pipelines.decisions.changes import cancel_change, check_change, said_change, write_change
from pipelines.decisions.drafts import cancel_draft, write_draft
from pipelines.decisions.reservations import cancel_reservations, check_allocation, write_reservations
from pipelines.errors import DecisionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import sqlalchemy as sa

    from pipelines.decisions.basis import Check
    from pipelines.decisions.drafts import Draft
    from pipelines.decisions.shop import Shop

_ANEW: Final = "Nothing of it is left to do as it was proposed; snooze or reject it, and the next run looks anew."


class _Write(Protocol):
    def __call__(
        self, conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], check: Check, *, qty: int, key: str, has_target: bool
    ) -> Draft: ...


class _Cancel(Protocol):
    def __call__(self, conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], *, key: str) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Act:
    """One kind of recommendation.

    Attributes:
        done: What an approval has done, as in "nothing was ordered".
        check: What was proposed beside what holds now, in the decision's transaction.
        write: What an approval causes, once.
        said: The approval in words, up to the name of what it wrote.
        cancel: Takes that back, and returns it as it was: qty, draft_id, line_id.
        undone: That in words.
        nothing_left: What to do where nothing of it is needed any more.
    """

    done: str
    check: Callable[[sa.Connection, Shop, Mapping[Any, Any]], Check]
    write: _Write
    said: Callable[[Mapping[Any, Any], Check, int], str]
    cancel: _Cancel
    undone: Callable[[Mapping[str, Any]], str]
    nothing_left: str = _ANEW


def act_of(row: Mapping[Any, Any]) -> Act:
    """What the recommendation's kind does.

    Raises:
        DecisionError: Nothing is known about this kind.
    """
    found = _ACTS.get(row["kind"])
    if found is None:
        raise DecisionError(f"A recommendation to {row['kind']} cannot be decided here.")
    return found


def _write_order(
    conn: sa.Connection, shop: Shop, row: Mapping[Any, Any], check: Check, *, qty: int, key: str, has_target: bool  # noqa: ARG001 - as all kinds
) -> Draft:  # fmt: skip
    return write_draft(conn, shop, row, qty=qty, unit_cost=check.now.unit_cost, currency_code=check.now.currency_code, key=key)


_ORDER: Final = Act(
    "ordered", check_basis, _write_order, lambda _row, _check, qty: f"{qty} units on draft", cancel_draft,
    lambda line: f"its line on draft {line['draft_id']} is cancelled", "Nothing needs ordering any more; reject it.",
)  # fmt: skip
_CHANGE: Final = Act(
    "changed", check_change, write_change, lambda row, _check, qty: f"{said_change(row, qty)}, as draft change", cancel_change,
    lambda change: f"its draft change {change['draft_id']} is cancelled",
)  # fmt: skip
_ALLOCATION: Final = Act(
    "reserved", check_allocation, write_reservations, lambda _row, check, qty: _said_shares(check, qty), cancel_reservations,
    lambda held: f"{held['lines_count']} proposed reservations of {held['draft_id']} are cancelled",
)  # fmt: skip
_ACTS: Final = {
    "purchase": _ORDER, "transfer": _ORDER, "expedite": _CHANGE, "defer": _CHANGE, "cancel_po": _CHANGE, "allocate": _ALLOCATION,
}  # fmt: skip
KINDS: Final = tuple(_ACTS)


def _said_shares(check: Check, qty: int) -> str:
    count = sum(line["qty"] > 0 for line in check.now.as_dict()["lines"])
    return f"{qty} units proposed for {count} order line{'' if count == 1 else 's'}, as"
