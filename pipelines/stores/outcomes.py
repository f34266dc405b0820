"""Decided suggestions of which the outcome can be measured, and outcomes as the operational store keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.stores.own_tables import decision, draft_order_line, recommendation, recommendation_outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from decimal import Decimal

    from pipelines.stores.operational import OperationalStore

APPROVED: Final = "approved"
REJECTED: Final = "rejected"
_STANDING: Final = ("approved", "applied", "closed", "rejected")


@dataclass(frozen=True, slots=True)
class Decided:
    """A suggestion that a person has decided: what was proposed and what they made of it.

    `proposed_qty` and `decided_qty` are units, the latter 0 where it was rejected. `unit_cost` is in major units of `currency_code`.
    `line_id` is the line in the shop that it became; None where there is none. `data_hash` is what its outcome was measured from; None
    where it was not measured yet. `source_location_id` is where a transfer takes its units from.
    """

    rec_id: str
    decision_id: str
    kind: str
    sku: str
    location_id: str
    source_location_id: str | None
    is_accepted: bool
    proposed_qty: int
    decided_qty: int
    unit_cost: Decimal | None
    currency_code: str | None
    expected_receipt: date | None
    basis: str
    line_id: str | None
    data_hash: str | None


def list_decided(store: OperationalStore) -> list[Decided]:
    """The suggestions whose approval or rejection stands, by the last decision on each; in the order of their ids."""
    rec, made, line, known = recommendation.c, decision.c, draft_order_line.c, recommendation_outcome.c
    chosen = (
        sa.select(
            rec.rec_id, rec.kind, rec.sku, rec.location_id, rec.source_location_id, rec.recommended_qty, rec.unit_cost,
            rec.currency_code, rec.expected_receipt,
            rec.basis, made.decision_id, made.outcome, made.qty_before, made.qty_after, line.line_id, known.data_hash,
        )
        .join(decision, made.rec_id == rec.rec_id)
        .outerjoin(draft_order_line, line.rec_id == rec.rec_id)
        .outerjoin(recommendation_outcome, known.rec_id == rec.rec_id)
        .where(rec.status.in_(_STANDING), made.outcome.in_((APPROVED, REJECTED)))
        .order_by(rec.rec_id, made.decided_at, made.decision_id)
    )  # fmt: skip
    with store.transaction(writes=False) as conn:
        latest = {row["rec_id"]: row for row in conn.execute(chosen).mappings()}
    return [_decided(row) for row in latest.values()]


def save_outcomes(store: OperationalStore, rows: Sequence[dict[str, Any]], *, now: datetime | None = None) -> None:
    """Each outcome (all columns but `measured_at`) stands, in the place of an earlier one of the same recommendation."""
    if not rows:
        return
    measured_at = now or datetime.now(UTC)
    with store.transaction() as conn:
        insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
        for row in rows:
            values = row | {"measured_at": measured_at}
            changed = {name: value for name, value in values.items() if name != "rec_id"}
            conn.execute(insert(recommendation_outcome).values(values).on_conflict_do_update(index_elements=["rec_id"], set_=changed))


def list_outcomes(store: OperationalStore, *, since: date | None = None) -> list[dict[str, Any]]:
    """All columns of all outcomes with kind, sku, location_id, supplier_id of the suggestion and actor, reason_code of the decision.

    Those whose window ended on the day or later, or all; newest window first. Empty in a store that has measured none.
    """
    rec, made = recommendation.c, decision.c
    chosen = (
        sa.select(recommendation_outcome, rec.kind, rec.sku, rec.location_id, rec.supplier_id, made.actor, made.reason_code)
        .join(recommendation, rec.rec_id == recommendation_outcome.c.rec_id)
        .join(decision, made.decision_id == recommendation_outcome.c.decision_id)
        .where(recommendation_outcome.c.window_to >= since if since else sa.true())
        .order_by(recommendation_outcome.c.window_to.desc(), recommendation_outcome.c.rec_id)
    )
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(recommendation_outcome.name):
            return []
        return [dict(row) for row in conn.execute(chosen).mappings()]


def _decided(row: Any) -> Decided:
    is_accepted = row["outcome"] == APPROVED
    proposed = row["recommended_qty"] if row["qty_before"] is None else row["qty_before"]
    return Decided(
        rec_id=row["rec_id"],
        decision_id=row["decision_id"],
        kind=row["kind"],
        sku=row["sku"],
        location_id=row["location_id"],
        source_location_id=row["source_location_id"],
        is_accepted=is_accepted,
        proposed_qty=int(proposed),
        decided_qty=int(row["qty_after"] or proposed) if is_accepted else 0,
        unit_cost=row["unit_cost"],
        currency_code=row["currency_code"],
        expected_receipt=row["expected_receipt"],
        basis=row["basis"] or "{}",
        line_id=row["line_id"],
        data_hash=row["data_hash"],
    )
