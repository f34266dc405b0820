"""A recommendation's row under lock, and the one way its status changes: legal, counted and logged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.decisions import audit
from pipelines.decisions.lifecycle import next_status
from pipelines.errors import DecisionError, OutdatedDecisionError
from pipelines.stores.own_tables import recommendation, stock_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.decisions.lifecycle import Action


def lock_recommendation(conn: sa.Connection, rec_id: str) -> dict[str, Any]:
    """The recommendation as it stands; nobody else changes it until the transaction ends.

    Raises:
        DecisionError: There is none of this id.
    """
    row = conn.execute(sa.select(recommendation).where(recommendation.c.rec_id == rec_id).with_for_update()).mappings().first()
    if row is None:
        raise DecisionError(f"There is no recommendation {rec_id!r}; ordercast recommendations lists all that are open.")
    return dict(row)


def lock_item(conn: sa.Connection, row: Mapping[Any, Any]) -> None:
    """No other decision moves the position of this item, at either end of a transfer, until the transaction ends."""
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    for place in _places(row):
        conn.execute(insert(stock_version).values(sku=row["sku"], location_id=place, version=0).on_conflict_do_nothing())
        chosen = (stock_version.c.sku == row["sku"], stock_version.c.location_id == place)
        conn.execute(sa.select(stock_version.c.version).where(*chosen).with_for_update())


def count_item_change(conn: sa.Connection, row: Mapping[Any, Any]) -> None:
    """The version of the item's stock rises: a decision has moved its position. The caller has locked it."""
    for place in _places(row):
        chosen = (stock_version.c.sku == row["sku"], stock_version.c.location_id == place)
        conn.execute(sa.update(stock_version).where(*chosen).values(version=stock_version.c.version + 1))


def move(
    conn: sa.Connection,
    row: Mapping[Any, Any],
    action: Action,
    *,
    actor: str,
    decision_id: str | None = None,
    after: Mapping[str, Any],
    **columns: Any,
) -> tuple[str, int]:
    """The recommendation has the status that the action leads to, and the log says who did it; returns status and version.

    Args:
        conn: The caller's transaction, which holds the row.
        row: As `lock_recommendation` gave it.
        action: What happens.
        actor: Who does it.
        decision_id: The decision behind it, if any.
        after: What the log keeps besides status and version.
        columns: Other columns of the recommendation that change with it.

    Raises:
        DecisionError: The action is not legal in the row's status. Nothing was changed.
        OutdatedDecisionError: The row was changed by somebody who did not lock it. The transaction cannot go on.
    """
    before, status = str(row["status"]), next_status(row["status"], action)
    version = int(row["version"]) + (action != "wait")  # a second person decides about the version that the first one saw
    matches = (recommendation.c.rec_id == row["rec_id"], recommendation.c.version == row["version"], recommendation.c.status == before)
    changed = conn.execute(sa.update(recommendation).where(*matches).values(status=status, version=version, **columns))
    if changed.rowcount != 1:
        raise OutdatedDecisionError("The recommendation has changed meanwhile; look at it again.")
    audit.append(
        conn, actor=actor, rec_id=row["rec_id"], decision_id=decision_id, states=(before, status),
        before={"version": row["version"], "recommended_qty": row["recommended_qty"], "unit_cost": row["unit_cost"]},
        after={"action": action, "version": version, **after},
    )  # fmt: skip
    return status, version


def _places(row: Mapping[Any, Any]) -> list[str]:
    return sorted({row["location_id"], row["source_location_id"]} - {None})
