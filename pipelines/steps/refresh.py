"""Between whole runs: figures follow the shop within seconds, plans and suggestions stay those of the last whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import TransformError
from pipelines.steps.transform import project_fingerprint
from pipelines.stores.standing_plans import standing_plans

if TYPE_CHECKING:
    import duckdb

    from pipelines.settings import Settings


def refresh_settings(conn: duckdb.DuckDBPyConnection, settings: Settings) -> Settings:
    """The settings with the as-of day of the plans that stand, so that newer figures and these plans speak of the same day.

    Raises:
        TransformError: No whole run has planned and published yet, the last one did not end, or the models' definitions have changed
            since. Nothing was changed.
    """
    planned = standing_plans(conn)
    if planned is None:
        raise TransformError("No whole run has planned yet, so there is nothing to refresh: `ordercast run` first. Nothing was changed.")
    if planned.published_at is None:
        raise TransformError(
            f"Run {planned.run_id} began to plan and did not end, so plans are not whole: `ordercast run` plans anew. Nothing was changed."
        )
    if planned.project_hash != project_fingerprint():
        raise TransformError(
            f"The models have changed since run {planned.run_id} planned: `ordercast run` builds and plans anew. Nothing was changed."
        )
    return settings.model_copy(update={"as_of": planned.as_of_date})
