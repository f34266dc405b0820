"""What changed in one snapshot of the store, on its way to the gate: told by the feed, looked for, or found by comparing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import pyarrow as pa

from pipelines.quality import erasure, mending, warnings
from pipelines.quality.arrivals import Arrival, receive
from pipelines.quality.reconcile import counts_differ, differences_in, differing_keys, find_differing
from pipelines.stores.customer_keys import Pseudonyms, no_customers
from pipelines.stores.source_watch import Difference, TableWatch, watched_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import date

    import duckdb

    from pipelines.quality.dated_documents import DatedDocuments
    from pipelines.stores.change_feed import ChangeReader
    from pipelines.stores.source_contract import SourceTable

# Which tables are compared with the store row by row: all of them; all once a day, and where the numbers of rows differ; or, where the feed
# is trusted until a run looks again, only those that no feed tells of.
Comparing: TypeAlias = Literal["everything", "when_due", "what_no_feed_tells"]

# Less than a day, so that a run at the same hour every day compares every day.
COMPARE_EVERY: Final = timedelta(hours=20)
OVERLAP: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One table of the store held against `raw`; an incident where a feed that should have told of the differences did not."""

    table_name: str
    rows_compared: int
    differences: tuple[Difference, ...]
    is_incident: bool


@dataclass(frozen=True, slots=True)
class Corrections:
    """How rows are read that do not come in as the store has them: ids hidden, the forgotten left out, mends in place.

    Attributes:
        as_of: The day that the run before reported; None on a first or full read, where everything is old.
    """

    pseudonyms: Pseudonyms
    mends: Sequence[dict[str, Any]]
    as_of: date | None

    def apply(self, conn: duckdb.DuckDBPyConnection, arrival: Arrival) -> Arrival:
        """The batch as it is to be judged; ids are hidden already."""
        arrival = erasure.without_forgotten(conn, arrival)
        mending.apply(conn, arrival, self.mends)
        warnings.note_arriving(conn, arrival, as_of=self.as_of)
        return arrival


@dataclass(slots=True)
class SourceReading:
    """The tables of one snapshot, each to be received once, in load order.

    When comparing is due: every table is counted on each read, and compared row by row where counts differ, where its trigger was lost,
    where neither trigger nor `updated_at` tells of changes, and all of them where the last time is most of a day ago.

    Attributes:
        now: Naive UTC of this machine's clock.
        repaired: Tables whose triggers were missing until just before the snapshot.
        comparing: Which tables are compared row by row.
        dated: Days whose documents are compared in any case.
        on_progress: Told the table that is read and the share of tables done.
        comparisons: What was compared so far.
    """

    conn: duckdb.DuckDBPyConnection
    changes: ChangeReader
    corrections: Corrections
    now: datetime
    repaired: frozenset[str] = frozenset()
    comparing: Comparing = "when_due"
    dated: DatedDocuments | None = None
    on_progress: Callable[[str, float], None] | None = None
    comparisons: list[Comparison] = field(default_factory=list)
    _before: dict[str, TableWatch] = field(init=False)
    _watches: dict[str, TableWatch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before = watched_tables(self.conn)
        oldest = min((watch.compared_at for watch in self._before.values()), default=self.now)
        if self.comparing == "when_due" and self.now - oldest > COMPARE_EVERY:
            self.comparing = "everything"

    @property
    def watches(self) -> dict[str, TableWatch]:
        """How each table that was received is watched."""
        return self._watches

    def receive(self, table: SourceTable) -> Arrival:
        """The table's changes stand in temporary tables, those that were found by comparing among them."""
        if self.on_progress:
            self.on_progress(table.name, len(self._watches) / len(self.changes.fields))
        before = self._before.get(table.name)
        is_compared = True
        if self.changes.is_full_resync:
            arrival, _ = self._receive(table)
        else:
            if self.changes.read_by(table.name) == "overlap":
                self._read_recent_again(table, before)
            if erasure.is_of_returned(self.conn, table):
                self._read_returned_again(table)
            arrival, others = self._receive(table)
            is_compared = self._is_to_be_compared(arrival, before)
            if is_compared or (self.dated and self.dated.is_told_by(arrival)):
                arrival = self._compared(table, arrival, others, dated=None if is_compared else self.dated)
        compared_at = self.now if is_compared or before is None else before.compared_at
        self._watches[table.name] = TableWatch(self.changes.read_by(table.name), self.now, compared_at)
        return arrival

    def _is_to_be_compared(self, arrival: Arrival, before: TableWatch | None) -> bool:
        name = arrival.table.name
        if self.comparing == "everything" or before is None or name in self.repaired or self.changes.read_by(name) == "comparison":
            return True
        return self.comparing == "when_due" and counts_differ(self.conn, arrival, rows_in_store=self.changes.count(name))

    def _read_recent_again(self, table: SourceTable, before: TableWatch | None) -> None:
        """Rows updated since a day before the last that was read. A clock that runs ahead of ours must not hide those that do not."""
        row = self.conn.execute(f"SELECT max(updated_at) FROM raw.{table.name}").fetchone()
        latest = row[0] if row and row[0] is not None else datetime.min + OVERLAP  # noqa: DTZ901 - naive UTC like all of raw
        since = min(latest, before.read_at if before else latest) - OVERLAP
        self.changes.read_again(table.name, self.changes.keys(table.name, updated_since=since)["key"].to_pylist())

    def _read_returned_again(self, table: SourceTable) -> None:
        """Rows of customers who were forgotten and are back: the shop did not change them, and `raw` has them as nobody's or not at all."""
        rows, others = self._pseudonymised(table, self.changes.everything(table.name))
        keys = erasure.keys_of_returned(self.conn, table, rows)
        self.changes.read_again(table.name, self._keys_in_store(table, keys, others))

    def _compared(self, table: SourceTable, arrival: Arrival, others: Collection[str], *, dated: DatedDocuments | None) -> Arrival:
        """The batch with what differs read again; where only dated documents are compared, what differs of theirs."""
        rows, others = self._pseudonymised(table, self.changes.everything(table.name), known=others)
        day = self.dated.day_of(arrival) if self.dated else None
        rows_compared = find_differing(self.conn, arrival, rows, day=day)
        if self.dated:
            self.dated.remember_days(arrival)
        if dated:
            dated.keep_differing()
        lost, gone = differing_keys(self.conn)
        if lost or gone:
            self.changes.read_again(table.name, self._keys_in_store(table, lost, others))
            arrival, _ = self._receive(table, gone=gone)
        differences = differences_in(self.conn, arrival)
        is_incident = bool(differences) and self.changes.read_by(table.name) == "feed"
        self.comparisons.append(Comparison(table.name, rows_compared, differences, is_incident))
        return arrival

    def _keys_in_store(self, table: SourceTable, keys: list[str], others: Collection[str]) -> list[str]:
        """The store's own keys; a customer's id is found by hashing all of them once more, so that none is ever kept."""
        if table.customer_field is None or table.customer_field.name not in table.key:
            return keys
        own = self.changes.keys(table.name)["key"]
        wanted = set(keys)
        hashed = self.corrections.pseudonyms.replace_in_keys(table, own, others=others).to_pylist()
        return [key for key, replaced in zip(own.to_pylist(), hashed, strict=True) if replaced in wanted]

    def _receive(self, table: SourceTable, *, gone: Collection[str] = ()) -> tuple[Arrival, Collection[str]]:
        changes, pseudonyms = self.changes, self.corrections.pseudonyms
        keys = None if changes.is_full_resync else changes.changed_keys(table.name)
        doubtful = _doubtful(table)
        if keys is not None and doubtful is not None:
            pseudonyms.show_again(self.conn, table, changes.changed_keys(doubtful)["key"])
        rows = changes.rows(table.name) if keys is None or keys.num_rows else None
        others: Collection[str] = ()
        if rows is not None:
            rows, others = self._pseudonymised(table, rows, keys=keys)
        if keys is not None:
            hashed = pseudonyms.replace_in_keys(table, keys["key"], others=others)
            keys = pa.table({"key": pa.array([*hashed.to_pylist(), *gone], pa.string())}) if gone else keys.set_column(0, "key", hashed)
        arrival = receive(self.conn, table, fields=changes.fields[table.name], rows=rows, changed_keys=keys)
        return self.corrections.apply(self.conn, arrival), others

    def _pseudonymised(
        self, table: SourceTable, rows: pa.RecordBatchReader, *, keys: pa.Table | None = None, known: Collection[str] = ()
    ) -> tuple[pa.RecordBatchReader, Collection[str]]:
        """The rows with customers' ids replaced, and the ids that name none."""
        others: Collection[str] = known
        if _doubtful(table) is not None and table.customer_field is not None:
            whole = rows.read_all()  # the warehouse is asked before it reads them: it cannot answer while it does
            name = table.customer_field.name
            changed = [] if keys is None else [str(json.loads(key)[table.key.index(name)]) for key in keys["key"].to_pylist()]
            others = no_customers(self.conn, table, [*whole[name].to_pylist(), *changed])
            rows = whole.to_reader()
        return self.corrections.pseudonyms.replace_in(table, rows, others=others), others


def _doubtful(table: SourceTable) -> str | None:
    """The table that tells whether this one's customer field names a customer, where that is in doubt."""
    unless = table.customer_field.customer_unless if table.customer_field else None
    return unless.partition(".")[0] if unless else None
