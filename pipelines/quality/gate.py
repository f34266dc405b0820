"""The gate between what arrived and `raw`: good documents pass, bad ones wait in quarantine, and every row is counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipelines.errors import QualityError
from pipelines.quality import quarantine
from pipelines.quality.arrivals import Arrival, count, frame_to_check
from pipelines.quality.changed_orders import note_after_change, note_before_change
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

# Compared with the batch before and not with a median of 28 days: ours is a whole table and not a daily extract, so its rows never
# fall by themselves, and nothing has to be remembered beyond `raw` itself.
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
        return cls({name: count(conn, f"SELECT count(*) FROM raw.{quoted(name)}") for name in SOURCE_TABLES}, _stocked_items(conn))


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gate needs to know beside the rows.

    Attributes:
        tables: Tables that the source has.
        now: Naive UTC, the latest time at which something can have happened.
        is_full_resync: All rows arrive and `raw` is empty.
        before: What `raw` held before the batch.
    """

    conn: duckdb.DuckDBPyConnection
    run_id: str
    settings: Settings
    tables: Collection[str]
    now: datetime
    is_full_resync: bool
    before: Standing

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
        return [result for result, _ in checked], blocks + [reason for _, reasons in checked for reason in reasons]

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

    def _with_history_checked(self, result: TableIngest) -> tuple[TableIngest, list[str]]:
        """A table that has lost what it held fails its suite; also returns the reasons.

        One that is empty although an earlier run loaded rows fails until rows are back. The others are compared with what `raw`
        held before the batch, so they fail once: whoever has looked and finds the loss true runs again.
        """
        rows = count(self.conn, f"SELECT count(*) FROM raw.{quoted(result.name)}")
        known = "SELECT count(*) FROM meta.ingest_counts WHERE rows_loaded > 0 AND table_name = ?"
        is_lost = rows == 0 and not result.rows_quarantined and count(self.conn, known, [result.name]) > 0
        reasons = {MUST_HAVE_ROWS: f"{result.name} holds no row although earlier runs loaded some" if is_lost else ""}
        reasons[MUST_KEEP_ROWS] = "" if is_lost else self._lost_rows(result.name, rows)
        if result.name == "stock_levels":
            reasons[MUST_KEEP_STOCK] = "" if is_lost else self._lost_stock()
        rules = (*result.suite.rules, *(RuleCount(name, int(bool(reason))) for name, reason in reasons.items()))
        told = [reason for reason in reasons.values() if reason]
        return replace(result, suite=SuiteResult(not told, rules)), told

    def _lost_rows(self, name: str, rows: int) -> str:
        before = self.before.rows[name]
        if before - rows < _LEAST_LOST or rows >= _LEAST_KEPT_RATE * before:
            return ""
        return f"{name} fell from {before:,} rows to {rows:,} in one batch. {_LOOK_FIRST}"

    def _lost_stock(self) -> str:
        before, now = self.before.stocked_items, _stocked_items(self.conn)
        if before - now < _LEAST_LOST or now >= _LEAST_STOCKED_RATE * before:
            return ""
        return f"sku-locations with stock on hand fell from {before:,} to {now:,} in one batch. {_LOOK_FIRST}"


_LOOK_FIRST: Final = "Mend the source; or, if it is true, run again: the next run compares with these rows and publishes"


def _stocked_items(conn: duckdb.DuckDBPyConnection) -> int:
    return count(conn, "SELECT count(*) FROM raw.stock_levels WHERE on_hand > 0")


def _require_conservation(result: TableIngest) -> None:
    accounted = result.rows_loaded + result.rows_deleted + result.rows_quarantined + result.rows_duplicate
    if result.rows_in != accounted:
        raise QualityError(
            f"Rows of {result.name} do not add up: {result.rows_in} came in, {result.rows_loaded} were loaded, "
            f"{result.rows_deleted} deleted, {result.rows_quarantined} quarantined, {result.rows_duplicate} were copies. "
            "Nothing was changed; run again, and report it if it stays."
        )
