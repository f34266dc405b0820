"""What a reader of the change feed offers, whichever database it reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.source_rows import key_sql, quoted, text_sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.stores.connections import Dialect

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
        untracked: Tables without change triggers; while there is one, every read is a full resync.
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
        self._retry_keys = retry_keys

    @property
    def fields(self) -> dict[str, frozenset[str]]:
        """The contract's tables and columns that the store has."""
        return {table: frozenset(columns) for table, columns in self._types.items()}

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
