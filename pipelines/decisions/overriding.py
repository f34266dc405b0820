"""Who overrides forecasts on the pages: a planner, at locations of theirs, and the audit log says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipelines.decisions import audit
from pipelines.decisions.roles import require, require_scope
from pipelines.stores.overrides import Override, check_override, close_override, find_override, insert_override
from pipelines.stores.own_tables import forecast_override

if TYPE_CHECKING:
    from pipelines.stores.operational import OperationalStore


def set_override(store: OperationalStore, override: Override, *, override_id: str, actor: str, is_confirmed: bool) -> bool:
    """The override stands under this id and holds from the next run on. Asked again with the same id, it stands once.

    Args:
        store: The operational store.
        override: What is expected.
        override_id: Made before the first try, so that a second one is known.
        actor: A planner who may decide about the location.
        is_confirmed: They mean a factor that looks like a slip, as `pipelines.stores.overrides.set_override` says.

    Returns:
        Whether it is new.

    Raises:
        OverrideError: It cannot hold, looks like a slip or has no reason. Nothing was written.
        NotPermittedError: The actor is no planner, or the location is not theirs. Nothing was written.
        StoreUnavailableError: The store did not answer. Nothing was written.
    """
    check_override(override, is_confirmed=is_confirmed)
    with store.transaction() as conn:
        _permit(conn, actor, override)
        same_id = sa.select(forecast_override.c.override_id).where(forecast_override.c.override_id == override_id)
        if conn.execute(same_id).first() is not None:
            return False
        insert_override(conn, override, override_id=override_id, author=actor)
        audit.append(conn, actor=actor, before={}, after=_said(override, override_id))
    return True


def withdraw_override(store: OperationalStore, override_id: str, *, actor: str) -> Override:
    """From the next run on it holds no more; what it said and did stays on record.

    Returns:
        What it said.

    Raises:
        OverrideError: There is none of this id, or it was withdrawn before. Nothing was changed.
        NotPermittedError: The actor is no planner, or the location is not theirs. Nothing was changed.
        StoreUnavailableError: The store did not answer. Nothing was changed.
    """
    with store.transaction() as conn:
        found = find_override(conn, override_id)
        _permit(conn, actor, found)
        close_override(conn, override_id, author=actor)
        audit.append(conn, actor=actor, before=_said(found, override_id), after={"withdrawn": override_id})
    return found


def _permit(conn: sa.Connection, actor: str, override: Override) -> None:
    require_scope(require(conn, actor, "planner"), {"location_id": override.location_id, "source_location_id": None, "supplier_id": None})


def _said(override: Override, override_id: str) -> dict[str, Any]:
    return {"override": override_id} | {name: getattr(override, name) for name in Override.__slots__}
