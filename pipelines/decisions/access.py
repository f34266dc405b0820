"""Who took data out, and who looked at one customer or order: a row in `access_log` for each, before anything is shown."""

from __future__ import annotations

import json
import logging
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from pipelines.decisions import roles
from pipelines.errors import AccessNotRecordedError, OrdercastError
from pipelines.stores.customer_keys import Pseudonyms
from pipelines.stores.grants import WRITER
from pipelines.stores.operational import OperationalStore
from pipelines.stores.own_tables import access_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipelines.settings import Settings

Action = Literal["export", "drill"]
_LOG: Final = logging.getLogger("ordercast.access")
_KEY: Final = re.compile("[0-9a-f]{32}")  # as `customer_keys` makes them
_ABOUT_PERSONS: Final = frozenset({"customer_id", "customer_key", "order_id", "unit_id", "document_id"})
NO_FILTERS: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Access:
    """One access.

    Attributes:
        actor: Who.
        action: export (a list leaves as JSON or CSV) or drill (one customer or order is looked at).
        object_type: What: a list's name, customer or order.
        rows_count: How many rows.
        object_id: Which customer (its key) or order; None for a list.
        filters: By what the rows were chosen. A customer's id is replaced by the customer's key.
        is_personal: Whether rows are about single customers or orders; these are not shown where this cannot be recorded.
    """

    actor: str
    action: Action
    object_type: str
    rows_count: int
    object_id: str | None = None
    filters: Mapping[str, Any] = field(default_factory=lambda: NO_FILTERS)
    is_personal: bool = False


def is_about_persons(columns: Iterable[str]) -> bool:
    """Whether rows of these columns are about single customers or orders."""
    return not _ABOUT_PERSONS.isdisjoint(columns)


def record_access(settings: Settings, access: Access) -> None:
    """The access stands in the log. Call it before the rows are shown.

    Raises:
        AccessNotRecordedError: The store did not take it, and the rows are about single customers or orders. Other rows may be
            shown all the same: a warning says that the log lacks them.
    """
    try:
        filters = {name: _hidden(settings, name, value) for name, value in access.filters.items() if value is not None}
        values = {
            "access_id": uuid.uuid4().hex, "at": datetime.now(UTC), "actor": access.actor, "action": access.action,
            "object_type": access.object_type, "object_id": access.object_id, "rows_count": access.rows_count,
            "filters": json.dumps(filters, sort_keys=True, default=str, ensure_ascii=False) if filters else None,
        }  # fmt: skip
        with OperationalStore.open(settings.resolved_store_url, role=WRITER) as store:
            store.migrate()
            with store.transaction() as conn:
                conn.execute(sa.insert(access_log).values(values))
    except OrdercastError as exc:
        if access.is_personal:
            raise AccessNotRecordedError(f"Not shown, because who looks at single customers or orders is recorded first. {exc}") from exc
        _LOG.warning("This export is missing from the access log: %s", exc)


def list_accesses(store: OperationalStore, *, actor: str, limit: int | None = None) -> list[dict[str, Any]]:
    """All columns of the log's rows, newest first; empty in a store that knows none yet.

    Raises:
        NotPermittedError: `actor` is no admin.
    """
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(access_log.name):
            return []
        roles.require(conn, actor, "admin")
        chosen = sa.select(access_log).order_by(access_log.c.at.desc(), access_log.c.access_id).limit(limit)
        rows = [dict(row) for row in conn.execute(chosen).mappings()]
    return [row | {"filters": json.loads(row["filters"] or "{}")} for row in rows]


def _hidden(settings: Settings, name: str, value: Any) -> Any:
    """The value, or a customer's key in the place of the id that somebody typed."""
    if name not in {"customer_id", "customer_key"} or _KEY.fullmatch(str(value)):
        return value
    pseudonyms = Pseudonyms.already_of_home(settings.resolved_home)
    return pseudonyms.key_of(str(value)) if pseudonyms else "unknown"
