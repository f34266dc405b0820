"""Recommendations with what they were made by: the run, its settings, its code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.steps.code_version import code_version
from pipelines.steps.number_settings import config_hash, number_settings
from pipelines.steps.recommend import recommend
from pipelines.steps.rule_policies import standing_policies
from pipelines.stores.planning_runs import PlanningRun, record_planning_run
from pipelines.stores.warehouse import run_context

if TYPE_CHECKING:
    import duckdb

    from pipelines.settings import Settings
    from pipelines.steps.recommend import RecommendSummary


def finish_planning(conn: duckdb.DuckDBPyConnection, *, settings: Settings) -> RecommendSummary:
    """As `recommend`, by the rules that stand; `planning.planning_run` says that all plans are this run's, and what they were made with.

    Args:
        conn: The warehouse, its demand forecast by this run.
        settings: Of this run.
    """
    summary = recommend(conn, settings=settings, rules=standing_policies(conn, settings=settings))
    context, code = run_context(conn), code_version()
    record_planning_run(
        conn,
        PlanningRun(
            run_id=context.run_id,
            as_of_date=context.as_of_date,
            code_version=code.version,
            code_fingerprint=code.fingerprint,
            code=code.parts,
            config_hash=config_hash(settings),
            settings=number_settings(settings),
        ),
    )
    return summary
