"""Which run a recommendation is of, as the operational store remembers it after the run's release is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from pipelines.stores.own_tables import recommendation, recommendation_run

if TYPE_CHECKING:
    from datetime import date

    from pipelines.stores.operational import OperationalStore


def runs_of_recommendation(store: OperationalStore, beginning: str) -> dict[str, str]:
    """The run that last proposed it, by the id of each recommendation that begins so.

    Args:
        store: The operational store, prepared.
        beginning: Of a rec_id, or all of it.
    """
    chosen = sa.select(recommendation.c.rec_id, recommendation.c.last_run_id).where(
        recommendation.c.rec_id.startswith(beginning, autoescape=True)
    )
    with store.transaction(writes=False) as conn:
        return {str(row.rec_id): str(row.last_run_id) for row in conn.execute(chosen.order_by(recommendation.c.rec_id))}


def proposing_runs(store: OperationalStore) -> dict[str, date]:
    """The last complete day that each run knew, by run_id, of all runs that ever proposed; the newest first."""
    chosen = sa.select(recommendation_run.c.run_id, recommendation_run.c.as_of_date).order_by(recommendation_run.c.run_id.desc())
    with store.transaction(writes=False) as conn:
        return {str(row.run_id): row.as_of_date for row in conn.execute(chosen)}
