"""Recommendations reach the operational store, where a person decides; what became of earlier decisions is followed."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipelines.decisions.kinds import KINDS
from pipelines.decisions.messages import TROUBLED
from pipelines.decisions.upkeep import expire_proposals, follow_shop
from pipelines.delivery.outbox import deliver
from pipelines.delivery.settling import count_open
from pipelines.stores import recommendations
from pipelines.stores.check_results import withheld_reason
from pipelines.stores.warehouse import run_context

if TYPE_CHECKING:
    import duckdb

    from pipelines.delivery.message import Target
    from pipelines.stores.operational import OperationalStore
    from pipelines.stores.releases import Release

logger = logging.getLogger("ordercast.write_back")


def write_back(
    store: OperationalStore,
    conn: duckdb.DuckDBPyConnection,
    *,
    release: Release,
    draft_days: int,
    target: Target | None = None,
    attempts: int = 1,
) -> recommendations.ProposalCounts:
    """The store holds this run's proposals, each once; what a person decided is untouched.

    Before, messages in the outbox are delivered, approved ones are brought to where the shop has taken their drafts, and snoozes that
    ended wake; after, proposals past their day that this run did not repeat expire.

    Where suggestions are withheld because the forecasts broke, the proposals of earlier runs stay until they expire.

    Args:
        store: The operational store.
        conn: The open warehouse, whose schema `planning` holds the recommendations.
        release: The release they were published with.
        draft_days: Days after which a draft that nobody submitted counts as inbound no more.
        target: Where messages in the outbox go; None: nowhere, they wait.
        attempts: Attempts after which a message that could not be delivered is dead.
    """
    delivered = _deliver(store, target, attempts)
    followed = follow_shop(store, draft_days=draft_days)
    context, withheld = run_context(conn), withheld_reason(conn)
    run = recommendations.RecommendationRun(
        run_id=context.run_id,
        as_of_date=context.as_of_date,
        release_id=release.release_id,
        code_version=release.code_version,
        config_hash=release.config_hash,
        seed=release.seed,
        gate_status="passed" if withheld is None else f"withheld: {withheld}",
        kinds=KINDS if withheld is None else (),  # what an earlier run proposed stays as it stands
    )
    counts = recommendations.propose(
        store,
        run,
        conn.sql("from planning.recommendations").pl(),
        conn.sql("from planning.recommendation_steps").pl(),
        conn.sql("from planning.backtest_scores").pl(),
    )
    expired = expire_proposals(store)
    done = {name: count for name, count in asdict(followed).items() if count} | ({"expired": expired} if expired else {})
    if done:
        logger.info("Earlier decisions: %s", ", ".join(f"{count:,} {name}" for name, count in done.items()))
    proposed = ", ".join(f"{count:,} {name}" for name, count in asdict(counts).items())
    logger.info("%s%s", proposed, f"; outbox: {delivered}" if delivered else "")
    return counts


def _deliver(store: OperationalStore, target: Target | None, attempts: int) -> str:
    """Messages that are due have been tried; returns what became of them, "" where none was due.

    What waits for a person is a warning of the run, and stops nothing.
    """
    counts = {} if target is None else asdict(deliver(store, target, attempts=attempts))
    standing = count_open(store)
    if target is None and standing:
        logger.warning("%d messages wait in the outbox, and ORDERCAST_OUTBOX_TARGET names no target.", sum(standing.values()))
    troubled = {state: standing[state] for state in TROUBLED if state in standing}
    if troubled:
        logger.warning(
            "Messages that wait for a person: %s; see ordercast outbox.", ", ".join(f"{n} {name}" for name, n in troubled.items())
        )
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count)
