"""Manual overrides of forecasts in the operational store: added or withdrawn, never changed, so every past plan can be explained."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from pipelines.errors import OverrideError
from pipelines.stores.own_tables import forecast_override

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import duckdb

    from pipelines.stores.operational import OperationalStore

OverrideKind = Literal["absolute", "factor"]
ABSOLUTE: Final = "absolute"
FACTOR: Final = "factor"
USUAL_FACTORS: Final = (0.2, 5.0)  # beyond, a person confirms
TABLE: Final = "meta.forecast_overrides"
COLUMNS: Final = (
    "override_id VARCHAR NOT NULL, sku VARCHAR NOT NULL, location_id VARCHAR NOT NULL, from_date DATE NOT NULL, to_date DATE NOT NULL, "
    "kind VARCHAR NOT NULL, value DOUBLE NOT NULL, reason VARCHAR NOT NULL, author VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL"
)
_COPIED: Final = (
    "override_id", "sku", "location_id", "from_date", "to_date", "kind", "value", "reason", "author", "created_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Override:
    """What a person expects of one item at one location: `value` units a day, or `value` times the statistical forecast."""

    sku: str
    location_id: str
    from_date: date
    to_date: date
    kind: OverrideKind
    value: float
    reason: str


def set_override(store: OperationalStore, override: Override, *, author: str, is_confirmed: bool = False) -> str:
    """The override stands and holds from the next run on; of overrides of one day the newest holds.

    Args:
        store: The operational store.
        override: What is expected.
        author: Who expects it.
        is_confirmed: They mean a factor that is outside of `USUAL_FACTORS`: a slip of x15 for x1.5 orders ten times too much.

    Returns:
        Its id.

    Raises:
        OverrideError: It holds on no day, its value is no quantity or unusual and not confirmed, or it has no reason. Nothing was
            written.
        StoreUnavailableError: The store did not answer. Nothing was written.
    """
    check_override(override, is_confirmed=is_confirmed)
    override_id = uuid.uuid4().hex[:12]
    with store.transaction() as conn:
        insert_override(conn, override, override_id=override_id, author=author)
    return override_id


def check_override(override: Override, *, is_confirmed: bool) -> None:
    """What `set_override` asks of an override.

    Raises:
        OverrideError: As there.
    """
    if override.to_date < override.from_date:
        raise OverrideError(f"An override from {override.from_date} to {override.to_date} holds on no day; give a later --to.")
    if not (math.isfinite(override.value) and override.value >= 0):
        raise OverrideError(f"An override of {override.value:g} is no demand: give a number of at least 0.")
    if not override.reason.strip():
        raise OverrideError("An override needs its reason: who reads the plan has to know why it differs from the forecast.")
    if override.kind == FACTOR and not is_confirmed and not USUAL_FACTORS[0] <= override.value <= USUAL_FACTORS[1]:
        least, most = USUAL_FACTORS
        raise OverrideError(
            f"{override.value:g} times the forecast is outside of {least:g} to {most:g} times; if it is meant, confirm it with --yes."
        )


def insert_override(conn: sa.Connection, override: Override, *, override_id: str, author: str) -> None:
    """A checked override stands. The caller holds the transaction."""
    facts = {name: getattr(override, name) for name in Override.__slots__}
    conn.execute(sa.insert(forecast_override).values(**facts, override_id=override_id, author=author, created_at=datetime.now(UTC)))


def withdraw_override(store: OperationalStore, override_id: str, *, author: str) -> Override:
    """From the next run on it holds no more; what it said and did stays on record.

    Raises:
        OverrideError: There is none of this id, or it was withdrawn before. Nothing was changed.
        StoreUnavailableError: The store did not answer. Nothing was changed.
    """
    with store.transaction() as conn:
        found = find_override(conn, override_id)
        close_override(conn, override_id, author=author)
    return found


def find_override(conn: sa.Connection, override_id: str) -> Override:
    """The override of this id, which nobody has withdrawn; nobody else does until the caller's transaction ends.

    Raises:
        OverrideError: There is none, or it was withdrawn before.
    """
    chosen = sa.select(forecast_override).where(forecast_override.c.override_id == override_id).with_for_update()
    row = conn.execute(chosen).mappings().first()
    if row is None:
        raise OverrideError(f"There is no override {override_id!r}; ordercast override list shows all.")
    if row["withdrawn_at"] is not None:
        raise OverrideError(f"Override {override_id} was withdrawn by {row['withdrawn_by']} already.")
    return Override(**{name: row[name] for name in Override.__slots__})


def close_override(conn: sa.Connection, override_id: str, *, author: str) -> None:
    """The override, which `find_override` found, holds no more. The caller holds the transaction."""
    chosen = sa.update(forecast_override).where(forecast_override.c.override_id == override_id)
    conn.execute(chosen.values(withdrawn_at=datetime.now(UTC), withdrawn_by=author))


def list_overrides(store: OperationalStore, *, is_standing: bool = False) -> list[dict[str, Any]]:
    """All columns of all overrides, oldest first; empty in a store that knows none yet.

    Args:
        store: The operational store.
        is_standing: Only those that nobody has withdrawn.
    """
    table = forecast_override
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(table.name):
            return []
        chosen = sa.select(table).order_by(table.c.created_at, table.c.override_id)
        if is_standing:
            chosen = chosen.where(table.c.withdrawn_at.is_(None))
        return [dict(row) for row in conn.execute(chosen).mappings()]


def write_overrides(conn: duckdb.DuckDBPyConnection, standing: Sequence[dict[str, Any]]) -> None:
    """The warehouse holds exactly these, as `list_overrides` gives them. The caller holds the transaction."""
    conn.execute(f"DELETE FROM {TABLE}")
    for line in standing:
        conn.execute(f"INSERT INTO {TABLE} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [line[name] for name in _COPIED])
