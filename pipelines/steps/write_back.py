"""Recommendations reach the operational store, where a person decides."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipelines.stores import recommendations
from pipelines.stores.warehouse import run_context

if TYPE_CHECKING:
    import duckdb

    from pipelines.stores.operational import OperationalStore
    from pipelines.stores.releases import Release

logger = logging.getLogger("ordercast.write_back")


def write_back(store: OperationalStore, conn: duckdb.DuckDBPyConnection, *, release: Release) -> recommendations.ProposalCounts:
    """The store holds this run's proposals, each once; what a person decided is untouched.

    Args:
        store: The operational store.
        conn: The open warehouse, whose schema `planning` holds the recommendations.
        release: The release they were published with.
    """
    context = run_context(conn)
    run = recommendations.RecommendationRun(
        run_id=context.run_id,
        as_of_date=context.as_of_date,
        release_id=release.release_id,
        code_version=release.code_version,
        config_hash=release.config_hash,
        seed=release.seed,
        gate_status="passed",
    )
    counts = recommendations.propose(
        store,
        run,
        conn.sql("from planning.recommendations").pl(),
        conn.sql("from planning.recommendation_steps").pl(),
        conn.sql("from planning.backtest_scores").pl(),
    )
    logger.info("%s", ", ".join(f"{count:,} {name}" for name, count in asdict(counts).items()))
    return counts
