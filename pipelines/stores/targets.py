"""Dated targets in the operational store: lines are added and never changed, so what held on any day can be said for ever."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipelines.errors import MetricError
from pipelines.stores.own_tables import metric_target

if TYPE_CHECKING:
    from datetime import date

    from pipelines.stores.metrics_targets import DatedTarget
    from pipelines.stores.operational import OperationalStore

_SHOWN = (
    "metric", "dimension", "member", "valid_from", "valid_to", "target", "watch_band", "direction", "author", "created_at",
)  # fmt: skip


def add_target(store: OperationalStore, line: DatedTarget, *, author: str) -> None:
    """The line stands in the history; of lines that overlap the one that begins last decides, of equals the newest.

    Raises:
        MetricError: It ends before it begins, or has half a member. Nothing was written.
        StoreUnavailableError: The store did not answer. Nothing was written.
    """
    if line.valid_to is not None and line.valid_to < line.valid_from:
        raise MetricError(f"A target from {line.valid_from} to {line.valid_to} holds on no day; give a later --to.")
    if (line.dimension is None) != (line.member is None):
        raise MetricError("A target is for the whole, or for a member of a dimension: name both or neither.")
    facts = {name: getattr(line, name) for name in _SHOWN if name not in {"author", "created_at"}}
    with store.transaction() as conn:
        conn.execute(sa.insert(metric_target).values(**facts, target_id=uuid.uuid4().hex, author=author, created_at=datetime.now(UTC)))


def list_targets(store: OperationalStore, *, on: date | None = None) -> list[dict[str, Any]]:
    """The whole history, oldest first, or what is valid on a day; empty in a store that knows no targets yet.

    Columns: metric, dimension, member, valid_from, valid_to, target, watch_band, direction, author, created_at (UTC).
    """
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(metric_target.name):
            return []
        chosen = sa.select(*(metric_target.c[name] for name in _SHOWN)).order_by(metric_target.c.created_at, metric_target.c.target_id)
        if on is not None:
            chosen = chosen.where(
                metric_target.c.valid_from <= on, sa.or_(metric_target.c.valid_to.is_(None), metric_target.c.valid_to >= on)
            )
        return [dict(row) for row in conn.execute(chosen).mappings()]
