"""What was approved and has not arrived or been made, and the end of the audit log, as the warehouse knows them from each ingest."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from pipelines.stores.own_tables import audit_head, draft_order, draft_order_line, purchase_order_change

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from pipelines.stores.operational import OperationalStore

TABLES: Final[dict[str, str]] = {
    "meta.draft_lines": "rec_id VARCHAR NOT NULL, line_id VARCHAR NOT NULL, kind VARCHAR NOT NULL, sku VARCHAR NOT NULL, "
    "location_id VARCHAR NOT NULL, qty BIGINT NOT NULL, expected_date DATE, target VARCHAR NOT NULL, is_released BOOLEAN NOT NULL",
    "meta.order_changes": "po_line_id VARCHAR NOT NULL, cancelled_qty BIGINT NOT NULL, expected_at TIMESTAMP",
    "meta.audit_head": "seq BIGINT NOT NULL, hash VARCHAR NOT NULL",
}


def list_draft_lines(store: OperationalStore) -> list[tuple[Any, ...]]:
    """The columns of `meta.draft_lines` of every line that is approved and has not arrived; empty in a store that knows none yet.

    A released line was not submitted in time and counts as on its way no more while it is a draft.
    """
    line, order = draft_order_line.c, draft_order.c
    columns = (line.rec_id, line.line_id, order.kind, line.sku, line.location_id, line.qty, line.expected_date, order.target)
    chosen = (
        sa.select(*columns, line.released_at.is_not(None))
        .join(draft_order, order.draft_id == line.draft_id)
        .where(line.status.in_(("draft", "submitted")))
        .order_by(line.rec_id)
    )
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(draft_order_line.name):
            return []
        return [tuple(row) for row in conn.execute(chosen)]


def list_order_changes(store: OperationalStore) -> list[tuple[Any, ...]]:
    """po_line_id, units to be cancelled and the day wanted of every drafted change that still counts; empty in a store that knows none."""
    change = purchase_order_change.c
    cancelled = sa.case((change.kind == "cancel_po", change.qty), else_=0)
    chosen = sa.select(change.po_line_id, cancelled, change.to_date).where(change.status == "draft", change.released_at.is_(None))
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(purchase_order_change.name):
            return []
        return [tuple(row) for row in conn.execute(chosen.order_by(change.po_line_id))]


def read_audit_head(store: OperationalStore) -> tuple[int, str]:
    """Number and hash of the last row of the audit log; 0 and "" where there is none."""
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(audit_head.name):
            return 0, ""
        row = conn.execute(sa.select(audit_head.c.seq, audit_head.c.hash)).one()
    return row.seq, row.hash


def write_draft_lines(conn: duckdb.DuckDBPyConnection, lines: Sequence[tuple[Any, ...]], *, head: tuple[int, str]) -> None:
    """The warehouse holds exactly these lines and this end of the log, and a release takes both along. The caller holds the transaction."""
    conn.execute("DELETE FROM meta.draft_lines")
    for line in lines:
        conn.execute("INSERT INTO meta.draft_lines VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", list(line))
    conn.execute("DELETE FROM meta.audit_head")
    conn.execute("INSERT INTO meta.audit_head VALUES (?, ?)", list(head))


def write_order_changes(conn: duckdb.DuckDBPyConnection, changes: Sequence[tuple[Any, ...]], *, time_zone: str) -> None:
    """The warehouse holds the changes of `list_order_changes`, each day as its noon in this zone. The caller holds the transaction."""
    conn.execute("DELETE FROM meta.order_changes")
    for line, qty, day in changes:
        noon = None if day is None else datetime.combine(day, time(12), ZoneInfo(time_zone)).astimezone(UTC).replace(tzinfo=None)
        conn.execute("INSERT INTO meta.order_changes VALUES (?, ?, ?)", [line, qty, noon])
