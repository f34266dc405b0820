"""The gate between what arrived and `raw`: good documents pass, bad ones wait in quarantine, and every row is counted."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipelines.errors import QualityError
from pipelines.faults import publishing as faults
from pipelines.quality import quarantine
from pipelines.quality.arrivals import Arrival, count, frame_to_check
from pipelines.quality.changed_orders import note_after_change, note_before_change
from pipelines.quality.holds import Finding, Holds, stocked_items
from pipelines.quality.runner import RuleOutcome, check_rows
from pipelines.quality.suites import IS_TRUE, SOUND, rules_for
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    import duckdb

    from pipelines.settings import Settings

MUST_HAVE_ROWS: Final = "has_rows_where_there_is_history"
MUST_KEEP_ROWS: Final = "keeps_a_tenth_of_its_rows"
MUST_KEEP_STOCK: Final = "keeps_stock_at_half_of_its_places"

_LEAST_KEPT_RATE: Final = 0.1
_LEAST_STOCKED_RATE: Final = 0.5
_LEAST_LOST: Final = 20  # below that, a small shop that tidies up would be a catastrophe


@dataclass(frozen=True, slots=True)
class RuleCount:
    """One rule of a suite and how many arriving rows broke it."""

    name: str
    rows_failed: int


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What the suite of one raw table said; single bad rows go to quarantine and do not fail the suite."""

    passed: bool
    rules: tuple[RuleCount, ...] = ()

    @property
    def expectations_count(self) -> int:
        """How many rules were evaluated."""
        return len(self.rules)

    @property
    def failures(self) -> tuple[RuleCount, ...]:
        """The rules that at least one row broke."""
        return tuple(rule for rule in self.rules if rule.rows_failed)


@dataclass(frozen=True, slots=True)
class TableIngest:
    """What happened to one table: rows_in = rows_loaded + rows_deleted + rows_quarantined + rows_duplicate."""

    name: str
    rows_in: int = 0
    rows_loaded: int = 0
    rows_deleted: int = 0
    rows_quarantined: int = 0
    rows_duplicate: int = 0
    documents_quarantined: int = 0
    suite: SuiteResult = SuiteResult(passed=True)


@dataclass(frozen=True, slots=True)
class Standing:
    """What `raw` held before the batch: rows by table, and sku-locations with stock on hand."""

    rows: Mapping[str, int]
    stocked_items: int

    @classmethod
    def of(cls, conn: duckdb.DuckDBPyConnection) -> Standing:
        """What it holds now; to be asked before a full resync empties it."""
        return cls({name: count(conn, f"SELECT count(*) FROM raw.{quoted(name)}") for name in SOURCE_TABLES}, stocked_items(conn))


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gate needs to know beside the rows.

    Attributes:
        tables: Tables that the source has.
        now: Naive UTC, the latest time at which something can have happened.
        is_full_resync: All rows arrive and `raw` is empty.
        before: What `raw` held before the batch.
        holds: What forbade to publish before it.
    """

    conn: duckdb.DuckDBPyConnection
    run_id: str
    settings: Settings
    tables: Collection[str]
    now: datetime
    is_full_resync: bool
    before: Standing
    holds: Holds

    def let_through(self, group: Sequence[Arrival]) -> tuple[list[TableIngest], list[Finding]]:
        """Good documents of the group are in `raw`; also returns what forbids to publish.

        Raises:
            QualityError: Too many documents are bad. The caller rolls back.
        """
        quarantine.start_group(self.conn)
        outcomes = {arrival.table.name: self._judge(arrival, group) for arrival in group}
        quarantine.hold_back(self.conn, group)
        found = self._over_the_limit(group)
        results = [self._apply(arrival, outcomes[arrival.table.name]) for arrival in group]
        found = found or self._standing_over_the_limit(group)
        quarantine.end_group(self.conn, group)
        checked = [self._with_history_checked(result) for result in results]
        return [result for result, _ in checked], found + [one for _, findings in checked for one in findings]

    def _judge(self, arrival: Arrival, group: Sequence[Arrival]) -> tuple[RuleOutcome, ...]:
        if not arrival.rows_incoming:
            return ()
        start = self.settings.business_start
        rules = rules_for(arrival.table, fields=arrival.fields, tables=self.tables, now=self.now, business_start=start)
        headers: Mapping[str, Arrival] = {other.table.name: other for other in group if other is not arrival}
        on_values = [rule for rule in rules if rule.test is not IS_TRUE]
        worked_out = [rule for rule in rules if rule.test is IS_TRUE]
        frame = frame_to_check(self.conn, arrival, on_values, headers=headers, sound=worked_out)
        unsound, *outcomes = check_rows(frame, [SOUND, *on_values])
        found = {said.rule.name: said for said in outcomes}
        if unsound.failed_rows:
            suspects = frame_to_check(self.conn, arrival, worked_out, headers=headers, only=unsound.failed_rows)
            found |= {said.rule.name: said for said in check_rows(suspects, worked_out)}
        ordered = tuple(found.get(rule.name, RuleOutcome(rule, ())) for rule in rules)
        quarantine.record_violations(self.conn, arrival, ordered)
        return ordered

    def _over_the_limit(self, group: Sequence[Arrival]) -> list[Finding]:
        documents, bad = quarantine.count_documents(self.conn, group)
        rate, reject_rate = self.settings.quarantine_block_rate, self.settings.quarantine_reject_rate
        least = max(self.settings.quarantine_block_documents, math.floor(rate * documents) + 1)
        if bad < least:
            return []
        table = group[0].table.name
        is_rejected = bad > reject_rate * documents
        fault, limit = (faults.BATCH_REJECTED, reject_rate) if is_rejected else (faults.BATCH_SUSPECT, rate)
        example = quarantine.example_of_violation(self.conn, table)
        what = f"{bad:,} of {documents:,} documents of {table} {fault.what} (more than {limit:.0%}), for example {example}"
        if is_rejected:
            raise QualityError(f"{fault.code} {what}; nothing was changed; {fault.next_step}.")
        return [Finding(fault, table, what, bad, least)]

    def _standing_over_the_limit(self, group: Sequence[Arrival]) -> list[Finding]:
        table, rate = group[0].table.name, self.settings.quarantine_block_rate
        if self.holds.is_suspect(table):  # says the same of the same documents
            return []
        waiting = quarantine.count_open_documents(self.conn, table, but_of_runs=self.holds.accepted_runs(table))
        known = count(self.conn, f"SELECT count(*) FROM {group[0].raw}") + waiting
        least = max(self.settings.quarantine_block_documents, math.floor(rate * known) + 1)
        if waiting < least:
            return []
        what = f"{waiting:,} of {known:,} documents of {table} {faults.TOO_MANY_WAIT.what} (more than {rate:.0%})"
        return [Finding(faults.TOO_MANY_WAIT, table, what, waiting, least)]

    def _apply(self, arrival: Arrival, outcomes: Sequence[RuleOutcome]) -> TableIngest:
        """Rows and deletions of good documents are in `raw`, the others in quarantine, and none is unaccounted for."""
        conn, held = self.conn, quarantine.held(arrival)
        conn.execute(f"DELETE FROM {arrival.gone} WHERE _key IN (SELECT row_key FROM {held} WHERE row_json IS NULL)")
        accepted = f"SELECT * FROM {arrival.incoming} WHERE {arrival.unit} NOT IN (SELECT unit FROM bad_units)"
        typed = arrival.typed_columns()
        if not self.is_full_resync:
            self._delete_from_raw(arrival, accepted, typed)
        columns = ", ".join(quoted(name) for name in typed)
        values = ", ".join(typed.values())
        loaded = count(conn, f"INSERT INTO {arrival.raw} ({columns}) SELECT {values} FROM ({accepted})")
        if not self.is_full_resync:
            note_after_change(conn, arrival.table, keys="touched_keys")
        result = TableIngest(
            arrival.table.name,
            rows_in=arrival.rows_in,
            rows_loaded=loaded,
            rows_deleted=count(conn, f"SELECT count(*) FROM {arrival.gone}"),
            rows_quarantined=quarantine.write_quarantine(conn, arrival, run_id=self.run_id, is_full_resync=self.is_full_resync),
            rows_duplicate=arrival.rows_duplicate,
            documents_quarantined=quarantine.count_held_documents(conn, arrival),
            suite=SuiteResult(True, tuple(RuleCount(said.rule.name, len(said.failed_rows)) for said in outcomes)),
        )
        _require_conservation(result)
        return result

    def _delete_from_raw(self, arrival: Arrival, accepted: str, typed: Mapping[str, str]) -> None:
        """Rows that are replaced or gone are not in `raw`; `touched_keys` holds the keys of these and of those about to arrive."""
        names = [quoted(name) for name in arrival.key_columns]
        cast = ", ".join(f"{typed[name]} AS {quoted(name)}" for name in arrival.key_columns)
        keys = f"SELECT {cast} FROM ({accepted}) UNION ALL SELECT {', '.join(names)} FROM {arrival.gone}"
        self.conn.execute(f"CREATE OR REPLACE TEMP TABLE touched_keys AS {keys}")
        note_before_change(self.conn, arrival.table, keys="touched_keys")
        same = " AND ".join(f"r.{name} = k.{name}" for name in names)
        self.conn.execute(f"DELETE FROM {arrival.raw} r USING touched_keys k WHERE {same}")

    def _with_history_checked(self, result: TableIngest) -> tuple[TableIngest, list[Finding]]:
        """A table that has lost what it held fails its suite; also returns what was found.

        One that is empty although an earlier run loaded rows fails until rows are back. The others are compared with what `raw`
        held before the batch and not with a median of 28 days: ours is a whole table and not a daily extract, so its rows never
        fall by themselves.
        """
        rows = count(self.conn, f"SELECT count(*) FROM raw.{quoted(result.name)}")
        known = "SELECT count(*) FROM meta.ingest_counts WHERE rows_loaded > 0 AND table_name = ?"
        is_lost = rows == 0 and not result.rows_quarantined and count(self.conn, known, [result.name]) > 0
        emptied = [Finding(faults.EMPTIED, result.name, f"{result.name} {faults.EMPTIED.what}", 0, 1)] if is_lost else []
        findings = {MUST_HAVE_ROWS: emptied, MUST_KEEP_ROWS: [] if is_lost else self._lost_rows(result.name, rows)}
        if result.name == "stock_levels":
            findings[MUST_KEEP_STOCK] = [] if is_lost else self._lost_stock()
        rules = (*result.suite.rules, *(RuleCount(name, len(found)) for name, found in findings.items()))
        told = [one for found in findings.values() for one in found]
        return replace(result, suite=SuiteResult(not told, rules)), told

    def _lost_rows(self, name: str, rows: int) -> list[Finding]:
        before = self.before.rows[name]
        least = math.ceil(_LEAST_KEPT_RATE * before)
        if before - rows < _LEAST_LOST or rows >= least:
            return []
        return [Finding(faults.ROWS_FELL, name, f"{name} {faults.ROWS_FELL.what}: {before:,} became {rows:,}", rows, least)]

    def _lost_stock(self) -> list[Finding]:
        before, now = self.before.stocked_items, stocked_items(self.conn)
        least = math.ceil(_LEAST_STOCKED_RATE * before)
        if before - now < _LEAST_LOST or now >= least:
            return []
        text = f"stock_levels {faults.STOCK_FELL.what}: sku-locations with stock fell from {before:,} to {now:,}"
        return [Finding(faults.STOCK_FELL, "stock_levels", text, now, least)]


def _require_conservation(result: TableIngest) -> None:
    accounted = result.rows_loaded + result.rows_deleted + result.rows_quarantined + result.rows_duplicate
    if result.rows_in != accounted:
        raise QualityError(
            f"Rows of {result.name} do not add up: {result.rows_in} came in, {result.rows_loaded} were loaded, "
            f"{result.rows_deleted} deleted, {result.rows_quarantined} quarantined, {result.rows_duplicate} were copies. "
            "Nothing was changed; run again, and report it if it stays."
        )
