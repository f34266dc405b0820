"""What a person may do about quarantine: mend a value, take that back, accept that something is published nevertheless.

The truth is the merchant's store. A mend is a correction of ours that lies over it: ingest puts it in the place of the value that was
wrong before it judges the row, and only while the shop still has that value. Once the shop has another, the shop counts again.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipelines.decisions import audit
from pipelines.decisions.roles import require
from pipelines.errors import DecisionError
from pipelines.faults import publishing
from pipelines.quality.suites import LONGEST_FIELD_BYTES
from pipelines.stores.own_tables import publishing_acceptance, quarantine_mend
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

    from pipelines.quality.arrivals import Arrival
    from pipelines.quality.holds import Hold
    from pipelines.stores.operational import OperationalStore
    from pipelines.stores.quarantine_rows import HeldRow

_ID_CHARACTERS: Final = 12


def mend(store: OperationalStore, row: HeldRow, *, field: str, value: str | None, reason: str, actor: str) -> str:
    """From the next ingest on the row is read with this value, for as long as the shop has the one it has now.

    A mend of the same field that stood before is withdrawn.

    Args:
        store: The operational store.
        row: The row in quarantine.
        field: A field of the contract that is no part of the key and names no customer.
        value: As the shop would hold it, as text; None: no value.
        reason: Why, in a sentence without personal data; it stays in the audit log.
        actor: A planner.

    Returns:
        The id of the mend.

    Raises:
        DecisionError: The row or field cannot be mended, or no reason is given. Nothing was changed.
        NotPermittedError: The actor is no planner. Nothing was changed.
        StoreUnavailableError: The store did not answer. Nothing was changed.
    """
    old = _value_before(row, field)
    if not reason.strip():
        raise DecisionError("A mend needs its reason.")
    table, mend_id = quarantine_mend, uuid.uuid4().hex[:_ID_CHARACTERS]
    same = (table.c.table_name == row.table) & (table.c.row_key == row.row_key) & (table.c.field == field) & table.c.withdrawn_at.is_(None)
    now = datetime.now(UTC)
    with store.transaction() as conn:
        require(conn, actor, "planner")
        before = conn.execute(sa.select(table.c.old_value).where(same).with_for_update()).first()
        if before is not None:
            old = before.old_value  # what the shop has, and not what the mend before made of it
            conn.execute(sa.update(table).where(same).values(withdrawn_at=now, withdrawn_by=actor))
        conn.execute(sa.insert(table).values(
            mend_id=mend_id, table_name=row.table, row_key=row.row_key, field=field, old_value=old, new_value=value, reason=reason,
            mended_by=actor, mended_at=now,
        ))  # fmt: skip
        subject = {"mend_id": mend_id, "table": row.table, "row_key": row.row_key, "field": field}
        audit.append(conn, actor=actor, before=subject | {"value": old}, after=subject | {"value": value, "reason": reason})
    return mend_id


def unmend(store: OperationalStore, mend_id: str, *, actor: str) -> Mapping[str, Any]:
    """The row is read as the shop has it from the next ingest on; returns the mend.

    Raises:
        DecisionError: There is no such mend, or it was withdrawn before. Nothing was changed.
        NotPermittedError: The actor is no planner. Nothing was changed.
        StoreUnavailableError: The store did not answer. Nothing was changed.
    """
    table = quarantine_mend
    with store.transaction() as conn:
        require(conn, actor, "planner")
        found = conn.execute(sa.select(table).where(table.c.mend_id == mend_id).with_for_update()).mappings().first()
        if found is None or found["withdrawn_at"] is not None:
            raise DecisionError(f"There is no mend {mend_id!r} that stands; ordercast quarantine mends lists those that do.")
        conn.execute(sa.update(table).where(table.c.mend_id == mend_id).values(withdrawn_at=datetime.now(UTC), withdrawn_by=actor))
        subject = {"mend_id": mend_id, "table": found["table_name"], "row_key": found["row_key"], "field": found["field"]}
        audit.append(conn, actor=actor, before=subject | {"value": found["new_value"]}, after=subject | {"value": found["old_value"]})
    return dict(found)


def accept(store: OperationalStore, hold: Hold, *, reason: str, actor: str) -> None:
    """The next run publishes in spite of this hold; what is worse than it, or comes later, blocks again.

    Raises:
        DecisionError: It is accepted already, cannot be accepted, or no reason is given. Nothing was changed.
        NotPermittedError: The actor is no approver. Nothing was changed.
        StoreUnavailableError: The store did not answer. Nothing was changed.
    """
    if not reason.strip():
        raise DecisionError("To accept it needs a reason.")
    if hold.code == publishing.OVERFLOW.code:
        raise DecisionError(f"{hold.reason}. It cannot be accepted: no figure could be computed.")
    table = publishing_acceptance
    with store.transaction() as conn:
        require(conn, actor, "approver")
        if conn.execute(sa.select(table.c.hold_id).where(table.c.hold_id == hold.hold_id)).first() is not None:
            raise DecisionError(f"{hold.hold_id} was accepted already; run again to publish.")
        conn.execute(sa.insert(table).values(
            hold_id=hold.hold_id, code=hold.code, table_name=hold.table, found=hold.reason, reason=reason, accepted_by=actor,
            accepted_at=datetime.now(UTC),
        ))  # fmt: skip
        audit.append(conn, actor=actor, before={"hold_id": hold.hold_id, "found": hold.reason}, after={"accepted": reason})


def apply(conn: duckdb.DuckDBPyConnection, arrival: Arrival, mends: Iterable[Mapping[str, Any]]) -> None:
    """The arriving rows carry the mended values in the place of those that were found wrong."""
    for one in mends:
        if one["table_name"] != arrival.table.name or one["field"] not in arrival.fields:
            continue
        column = quoted(one["field"])
        conn.execute(
            f"UPDATE {arrival.incoming} SET {column} = ? WHERE _key = ? AND left({column}, {LONGEST_FIELD_BYTES}) IS NOT DISTINCT FROM ?",
            [one["new_value"], one["row_key"], one["old_value"]],
        )


def _value_before(row: HeldRow, field: str) -> str | None:
    contract = SOURCE_TABLES[row.table]
    person = contract.customer_field
    if row.values is None:
        raise DecisionError("What is held back is that the row was deleted: there is nothing to mend.")
    if field not in contract.field_names or field not in row.values:
        fields = sorted(set(row.values) & set(contract.field_names) - set(contract.key))
        raise DecisionError(f"{row.table} has no field {field!r} to mend; it has {', '.join(fields)}.")
    if field in contract.key or (person is not None and (field == person.name or person.name in contract.key)):
        raise DecisionError(f"{row.table}.{field} says which row or whose it is: correct it in the shop.")
    value = row.values[field]
    return None if value is None else str(value)
