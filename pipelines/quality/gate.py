"""The gate between what arrived and `raw`: good documents pass, bad ones wait in quarantine, and every row is counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipelines.errors import QualityError
from pipelines.quality import quarantine
from pipelines.quality.arrivals import Arrival, count, frame_to_check
from pipelines.quality.runner import RuleOutcome, check_rows
from pipelines.quality.suites import IS_TRUE, SOUND, rules_for
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    import duckdb

    from pipelines.settings import Settings

MUST_HAVE_ROWS = "has_rows_where_there_is_history"


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
class Gate:
    """What the gate needs to know beside the rows.

    Attributes:
        tables: Tables that the source has.
        now: Naive UTC, the latest time at which something can have happened.
        is_full_resync: All rows arrive and `raw` is empty.
    """

    conn: duckdb.DuckDBPyConnection
    run_id: str
    settings: Settings
    tables: Collection[str]
    now: datetime
    is_full_resync: bool

    def let_through(self, group: Sequence[Arrival]) -> tuple[list[TableIngest], list[str]]:
        """Good documents of the group are in `raw`; also returns the reasons why nothing may be published.

        Raises:
            QualityError: Too many documents are bad. The caller rolls back.
        """
        quarantine.start_group(self.conn)
        outcomes = {arrival.table.name: self._judge(arrival, group) for arrival in group}
        quarantine.hold_back(self.conn, group)
        blocks = self._over_the_limit(group)
        results = [self._apply(arrival, outcomes[arrival.table.name]) for arrival in group]
        blocks = blocks or self._standing_over_the_limit(group)
        quarantine.end_group(self.conn, group)
        checked = [self._with_history_checked(result) for result in results]
        blocks += [f"{result.name} holds no row although earlier runs loaded some" for result in checked if not result.suite.passed]
        return checked, blocks

    def _judge(self, arrival: Arrival, group: Sequence[Arrival]) -> tuple[RuleOutcome, ...]:
        if not arrival.rows_incoming:
            return ()
        rules = rules_for(arrival.table, fields=arrival.fields, tables=self.tables, now=self.now)
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

    def _over_the_limit(self, group: Sequence[Arrival]) -> list[str]:
        documents, bad = quarantine.count_documents(self.conn, group, is_full_resync=self.is_full_resync)
        rate, reject_rate = self.settings.quarantine_block_rate, self.settings.quarantine_reject_rate
        if bad < self.settings.quarantine_block_documents or bad <= rate * documents:
            return []
        example = quarantine.example_of_violation(self.conn)
        what = f"{bad:,} of {documents:,} documents of {group[0].table.name} are bad, for example {example}"
        if bad > reject_rate * documents:
            raise QualityError(
                f"{what}. Over {reject_rate:.0%} reject the batch: nothing was changed. "
                "Correct the source and run again; the same changes are read once more."
            )
        return [f"{what} (more than {rate:.0%} of the batch)"]

    def _standing_over_the_limit(self, group: Sequence[Arrival]) -> list[str]:
        waiting = quarantine.count_open_documents(self.conn, group)
        if waiting < self.settings.quarantine_block_documents:
            return []
        known = count(self.conn, f"SELECT count(*) FROM {group[0].raw}") + waiting
        if waiting <= self.settings.quarantine_block_rate * known:
            return []
        rate = f"{self.settings.quarantine_block_rate:.0%}"
        return [f"{waiting:,} of {known:,} documents of {group[0].table.name} wait in quarantine (more than {rate})"]

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
        names = [quoted(name) for name in arrival.key_columns]
        cast = ", ".join(f"{typed[name]} AS {quoted(name)}" for name in arrival.key_columns)
        same = " AND ".join(f"r.{name} = k.{name}" for name in names)
        keys = f"SELECT {cast} FROM ({accepted}) UNION ALL SELECT {', '.join(names)} FROM {arrival.gone}"
        self.conn.execute(f"DELETE FROM {arrival.raw} r USING ({keys}) k WHERE {same}")

    def _with_history_checked(self, result: TableIngest) -> TableIngest:
        """A table that is empty although an earlier run loaded rows fails its suite, until rows are back."""
        empty = count(self.conn, f"SELECT count(*) FROM raw.{quoted(result.name)}") == 0
        known = "SELECT count(*) FROM meta.ingest_counts WHERE rows_loaded > 0 AND table_name = ?"
        is_lost = empty and not result.rows_quarantined and count(self.conn, known, [result.name]) > 0
        rules = (*result.suite.rules, RuleCount(MUST_HAVE_ROWS, int(is_lost)))
        return replace(result, suite=SuiteResult(not is_lost, rules))


def _require_conservation(result: TableIngest) -> None:
    accounted = result.rows_loaded + result.rows_deleted + result.rows_quarantined + result.rows_duplicate
    if result.rows_in != accounted:
        raise QualityError(
            f"Rows of {result.name} do not add up: {result.rows_in} came in, {result.rows_loaded} were loaded, "
            f"{result.rows_deleted} deleted, {result.rows_quarantined} quarantined, {result.rows_duplicate} were copies. "
            "Nothing was changed; run again, and report it if it stays."
        )
