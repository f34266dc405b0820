"""What a reader of the change feed offers, whichever database it reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import pyarrow as pa

from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.source_rows import key_sql, quoted, text_sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pipelines.stores.connections import Dialect

# How changes of a table are found: its triggers note them; rows updated in the last while are read again; or all rows are compared.
ReadBy: TypeAlias = Literal["feed", "overlap", "comparison"]

KEY_COLUMN = "_key"


@dataclass(frozen=True, slots=True)
class FeedPosition:
    """How far a reader has read. It belongs in the same transaction as the rows that were read."""

    epoch: str
    position: str


class ChangeReader(ABC):
    """One snapshot of the store and what changed up to it; lives inside `read_changes`.

    Attributes:
        position: Where the next read goes on, once the rows of this one are stored.
        is_full_resync: `rows` gives every row, and what is not among them no longer exists.
        untracked: Tables without change triggers, whose changes the caller has to look for, see `read_by`.
    """

    dialect: Dialect

    def __init__(
        self, types: Mapping[str, Mapping[str, str]], retry_keys: Mapping[str, Sequence[str]],
        *, position: FeedPosition, is_full_resync: bool, untracked: frozenset[str],
    ) -> None:  # fmt: skip
        self.position = position
        self.is_full_resync = is_full_resync
        self.untracked = untracked
        self._types = types
        self._retry_keys = {table: list(keys) for table, keys in retry_keys.items()}

    @property
    def fields(self) -> dict[str, frozenset[str]]:
        """The contract's tables and columns that the store has."""
        return {table: frozenset(columns) for table, columns in self._types.items()}

    def read_by(self, table: str) -> ReadBy:
        """How changes of this table can be found."""
        if table not in self.untracked:
            return "feed"
        return "overlap" if "updated_at" in self._types[table] else "comparison"

    def read_again(self, table: str, keys: Sequence[str]) -> None:
        """These keys count as changed, besides those that are known to have."""
        self._retry_keys.setdefault(table, []).extend(keys)

    @abstractmethod
    def changed_keys(self, table: str) -> pa.Table:
        """Keys that were inserted, updated or deleted, and those to be retried: one column `key`, each once, in no order.

        Empty on a full resync, where every key counts as changed.
        """

    @abstractmethod
    def rows(self, table: str) -> pa.RecordBatchReader:
        """The rows that the changed keys have now; on a full resync, every row. A changed key without a row was deleted.

        Every contract column the store has, as text (see `source_rows.text_sql`), and `_key`, equal to `changed_keys`' `key`.
        Read one table to its end before asking for the next.
        """

    @abstractmethod
    def keys(self, table: str, *, updated_since: datetime | None = None) -> pa.Table:
        """Keys of the rows the table has now: one column `key`, in no order.

        Args:
            table: A table that the store has.
            updated_since: Only rows whose `updated_at` is not before this naive UTC time, or empty.
        """

    @abstractmethod
    def count(self, table: str) -> int:
        """How many rows the table has now, without those that it marks as deleted."""

    @abstractmethod
    def everything(self, table: str) -> pa.RecordBatchReader:
        """Every row of the table, as `rows` gives them, whatever changed."""

    def _is_standing(self, table: str) -> str:
        """SQL over the alias `t`: the row is not marked as deleted."""
        if "is_deleted" not in self._types[table]:
            return "true"
        marked = text_sql("t.is_deleted", "boolean", self.dialect, self._types[table]["is_deleted"])
        return f"coalesce({marked}, 'false') <> 'true'"

    def _select(self, table: str) -> str:
        """The select list of `rows`, over the alias `t`."""
        contract, types = SOURCE_TABLES[table], self._types[table]
        columns = [
            f"{text_sql(f't.{quoted(name)}', contract.field(name).kind, self.dialect, types[name])} AS {quoted(name)}"
            for name in self._columns(table)
        ]
        return ", ".join([*columns, f"{key_sql(contract, 't', self.dialect, types)} AS {quoted(KEY_COLUMN)}"])

    def _columns(self, table: str) -> list[str]:
        return [name for name in SOURCE_TABLES[table].field_names if name in self._types[table]]

    def _schema(self, table: str) -> pa.Schema:
        return pa.schema([(name, pa.string()) for name in [*self._columns(table), KEY_COLUMN]])


def no_rows() -> pa.RecordBatchReader:
    """What a table gives that the store does not have."""
    return pa.RecordBatchReader.from_batches(pa.schema([(KEY_COLUMN, pa.string())]), iter(()))


def no_keys() -> pa.Table:
    """What a table gives of which no key changed."""
    return pa.table({"key": pa.array([], pa.string())})
