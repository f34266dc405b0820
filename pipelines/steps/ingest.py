"""What changed in the operational store stands in the warehouse, judged, in one transaction with the feed's position."""

from __future__ import annotations

import contextlib
import difflib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import duckdb
import sqlalchemy as sa

from pipelines.errors import SourceContractError
from pipelines.quality import erasure, quarantine, warnings
from pipelines.quality.arrivals import count, document_groups
from pipelines.quality.dated_documents import DatedDocuments, Days
from pipelines.quality.gate import Gate, Standing, TableIngest
from pipelines.quality.holds import Holds, orders_without_rate, sums_that_overflow
from pipelines.steps.ingest_context import context_of, data_day, latest_time, zone_of
from pipelines.steps.ingest_reading import Comparing, Comparison, Corrections, SourceReading
from pipelines.stores import source_watch, transform_state
from pipelines.stores.change_feed import FeedPosition, prune_feed, read_changes, repair_feed
from pipelines.stores.check_results import CheckTally, record_checks
from pipelines.stores.customer_keys import Pseudonyms
from pipelines.stores.draft_lines import (
    list_draft_lines,
    list_order_changes,
    read_audit_head,
    write_draft_lines,
    write_order_changes,
)
from pipelines.stores.feed_mark import write_mark
from pipelines.stores.mends import accepted_holds, list_mends, unapplied_keys, write_mends
from pipelines.stores.metrics_targets import write_targets
from pipelines.stores.overrides import list_overrides, write_overrides
from pipelines.stores.policy_rules import list_rules, write_rules
from pipelines.stores.refused_files import remove_old_refused
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.stock_history import keep_stock_levels
from pipelines.stores.targets import list_targets
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from pipelines.quality.holds import Finding
    from pipelines.settings import Settings
    from pipelines.stores.operational import OperationalStore
    from pipelines.stores.warehouse import RunContext

LOG: Final = logging.getLogger("ordercast.ingest")
LEAST_TABLES: Final = ("orders", "order_lines")
_SOURCE: Final = "operational_store"


@dataclass(frozen=True, slots=True)
class IngestResult:
    """One ingest; `tables` has an entry for every table of the contract, in load order."""

    run_id: str
    is_full_resync: bool
    tables: tuple[TableIngest, ...]
    block_reason: str | None
    context: RunContext
    comparisons: tuple[Comparison, ...] = ()

    @property
    def is_publishable(self) -> bool:
        """Nothing forbids to publish what was loaded."""
        return self.block_reason is None


def ingest(
    store: OperationalStore, conn: duckdb.DuckDBPyConnection, *, run_id: str, settings: Settings,
    comparing: Comparing = "when_due", days: Days | None = None, on_progress: Callable[[str, float], None] | None = None,
) -> IngestResult:  # fmt: skip
    """Raw tables, quarantine, counts, context and the feed's position are those of one snapshot of the store.

    Either all of it is committed or nothing is; a rerun after any interruption gives what one clean run gives.

    Args:
        store: The operational store.
        conn: The warehouse.
        run_id: Names this ingest.
        settings: Limits of the gate, and the home folder.
        comparing: Which tables are compared with the store row by row.
        days: Besides, documents of these local days are compared, and their orders count as changed; the others are not compared.
        on_progress: Told the table that is read and the share of tables done.

    Raises:
        SourceContractError: A required table or column is missing. Nothing was changed.
        QualityError: Too many documents of the batch are bad. Nothing was changed; the next run reads the batch again.
        StoreUnavailableError: The store did not answer. Nothing was changed.
    """
    _require_contract(store, store.present_fields())
    merchant = store.merchant()
    mends = list_mends(store)
    repaired = repair_feed(store)
    conn.begin()
    try:
        compared = transform_state.compared_tables(conn)
        warnings.begin(conn)
        erasure.begin(conn)
        holds = Holds.of(conn, accepted=accepted_holds(store))
        with read_changes(store, since=_position(conn), retry_keys=_retry_keys(conn, mends)) as changes:
            gate = Gate(
                conn, run_id, settings, set(changes.fields), latest_time(merchant), changes.is_full_resync, Standing.of(conn), holds
            )
            as_of = None if changes.is_full_resync else _reported_day(conn)
            corrections = Corrections(Pseudonyms.of_home(settings.resolved_home), mends, as_of)
            now = datetime.now(UTC).replace(tzinfo=None)
            dated = DatedDocuments(conn, days, zone_of(merchant, settings=settings)) if days else None
            reading = SourceReading(conn, changes, corrections, now, repaired, comparing, dated, on_progress)
            tables, findings = _ingest_tables(gate, reading)
            if dated:
                dated.note_orders()
            fields, position, is_full_resync = changes.fields, changes.position, changes.is_full_resync
        context = context_of(conn, merchant, run_id=run_id, settings=settings)
        findings += sums_that_overflow(conn) + (
            orders_without_rate(conn, currency_code=context.currency_code) if "fx_rates" in fields else []
        )
        blocks = holds.settle(conn, findings, run_id=run_id)
        warnings.note_standing(conn)
        write_mends(conn, mends)
        day = data_day(conn, merchant, context.reporting_time_zone)
        if day is not None and "stock_levels" in fields:
            keep_stock_levels(conn, day=day, time_zone=context.reporting_time_zone)
        _write_meta(conn, context, fields, tables)
        _write_what_people_decided(conn, store, time_zone=context.reporting_time_zone)
        rewritten = {name for name, standing in transform_state.compared_tables(conn).items() if standing != compared[name]}
        transform_state.note_changed_tables(
            conn, rewritten | {f"raw.{table.name}" for table in tables if table.rows_loaded or table.rows_deleted}
        )
        tallies = [
            CheckTally(table.name, table.suite.expectations_count, 0 if table.suite.passed else len(table.suite.failures))
            for table in tables
        ]
        record_checks(conn, origin="arrival", tallies=tallies)
        _record_comparisons(conn, reading, run_id=run_id)
        _write_position(conn, position, run_id, tables)
        conn.commit()
    except BaseException:
        with contextlib.suppress(duckdb.Error):
            conn.rollback()
        raise
    write_mark(settings.resolved_home, position)
    prune_feed(store)
    remove_old_refused(settings.refused_path, days=settings.refused_days)
    result = IngestResult(run_id, is_full_resync, tables, ". ".join(blocks) or None, context, tuple(reading.comparisons))
    _tell(result)
    return result


def _retry_keys(conn: duckdb.DuckDBPyConnection, mends: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Rows to read again although the shop did not change them: those in quarantine, and those that were mended or unmended."""
    keys = quarantine.open_keys(conn)
    for table, mended in unapplied_keys(conn, mends).items():
        keys[table] = sorted({*keys.get(table, ()), *mended})
    return keys


def _ingest_tables(gate: Gate, reading: SourceReading) -> tuple[tuple[TableIngest, ...], list[Finding]]:
    """Every table is up to date; also returns what forbids to publish."""
    if gate.is_full_resync:
        for name in SOURCE_TABLES:
            gate.conn.execute(f"DELETE FROM raw.{quoted(name)}")
        transform_state.forget(gate.conn)
    done: dict[str, TableIngest] = {}
    findings: list[Finding] = []
    for group in document_groups():
        present = [table for table in group if table.name in reading.changes.fields]
        for table in (table for table in group if table not in present):
            if count(gate.conn, f"DELETE FROM raw.{quoted(table.name)}"):
                transform_state.forget(gate.conn)
            quarantine.resolve_all(gate.conn, table.name, run_id=gate.run_id)
            done[table.name] = TableIngest(table.name)
        arrivals = [reading.receive(table) for table in present]
        if arrivals:
            results, found = gate.let_through(arrivals)
            done |= {result.name: result for result in results}
            findings += found
            # whoever went in what looks like a mistake is forgotten once a person has accepted it, or the rows are back
            if group[0].name == "customers" and not found and not gate.holds.of_table("customers"):
                erasure.forget_deleted(gate.conn)
    return tuple(done[name] for name in SOURCE_TABLES), findings


def _record_comparisons(conn: duckdb.DuckDBPyConnection, reading: SourceReading, *, run_id: str) -> None:
    """What the feed did not tell is on record, and a failed check of this run."""
    missed = {one.table_name: one.differences for one in reading.comparisons if one.is_incident}
    source_watch.save_watched_tables(conn, reading.watches)
    source_watch.add_incidents(conn, missed, run_id=run_id, at=reading.now)
    record_checks(conn, origin="reconcile", tallies=[CheckTally(name, 1, int(name in missed)) for name in reading.watches])


def _reported_day(conn: duckdb.DuckDBPyConnection) -> date | None:
    row = conn.execute("SELECT as_of_date FROM meta.run_context").fetchone()
    return row[0] if row else None


def _require_contract(store: OperationalStore, fields: Mapping[str, frozenset[str]]) -> None:
    """The least tables are there, and every table that is there has its required columns."""
    if missing := [name for name in LEAST_TABLES if name not in fields]:
        raise SourceContractError(
            f"The store at {store.address} has no table {' and no table '.join(missing)}; at least orders and "
            "order_lines are needed. Load a merchant with `ordercast simulate` or `ordercast import`."
        )
    for name, columns in fields.items():
        for required in SOURCE_TABLES[name].required_fields:
            if required not in columns:
                raise SourceContractError(_missing_column(store, name, required))


def _missing_column(store: OperationalStore, table: str, column: str) -> str:
    strangers = [
        found["name"] for found in sa.inspect(store.engine).get_columns(table)
        if found["name"] not in SOURCE_TABLES[table].field_names
    ]  # fmt: skip
    near = difflib.get_close_matches(column, strangers, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? Rename it" if near else "add it"
    return f"Table {table} of {store.address} lacks the required column {column}: {hint}, then run again. The warehouse is unchanged."


def _position(conn: duckdb.DuckDBPyConnection) -> FeedPosition | None:
    """How far the committed rows go; None before the first ingest."""
    row = conn.execute("SELECT source_epoch, position FROM meta.feed_state WHERE source = ?", [_SOURCE]).fetchone()
    return FeedPosition(*row) if row else None


def _write_meta(
    conn: duckdb.DuckDBPyConnection,
    context: RunContext,
    fields: Mapping[str, frozenset[str]],
    tables: Sequence[TableIngest],
) -> None:
    conn.execute("DELETE FROM meta.run_context")
    conn.execute(
        "INSERT INTO meta.run_context VALUES (?, ?, ?, ?, ?, ?)",
        [context.run_id, context.as_of_date, context.reporting_time_zone, context.currency_code,
         context.merchant_name, context.origin],
    )  # fmt: skip
    conn.execute("DELETE FROM meta.source_fields")
    present = [
        (table.name, field.name, field.name in fields.get(table.name, frozenset()))
        for table in SOURCE_TABLES.values() for field in table.fields
    ]  # fmt: skip
    _insert(conn, "meta.source_fields", present)
    conn.execute("DELETE FROM meta.ingest_counts WHERE run_id = ?", [context.run_id])
    counts = [
        (context.run_id, table.name, table.rows_in, table.rows_loaded, table.rows_deleted, table.rows_quarantined,
         table.rows_duplicate)
        for table in tables
    ]  # fmt: skip
    _insert(conn, "meta.ingest_counts", counts)


def _write_what_people_decided(conn: duckdb.DuckDBPyConnection, store: OperationalStore, *, time_zone: str) -> None:
    write_targets(conn, list_targets(store))
    write_overrides(conn, list_overrides(store, is_standing=True))
    write_rules(conn, list_rules(store, is_standing=True))
    write_draft_lines(conn, list_draft_lines(store), head=read_audit_head(store))
    write_order_changes(conn, list_order_changes(store), time_zone=time_zone)


def _insert(conn: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """One statement for all rows: DuckDB is slow at one statement a row."""
    marks = f"({', '.join('?' for _ in rows[0])})"
    conn.execute(f"INSERT INTO {table} VALUES {', '.join([marks] * len(rows))}", [value for row in rows for value in row])


def _write_position(conn: duckdb.DuckDBPyConnection, position: FeedPosition, run_id: str, tables: Sequence[TableIngest]) -> None:
    conn.execute(
        "INSERT OR REPLACE INTO meta.feed_state VALUES (?, ?, ?, ?, ?, ?)",
        [_SOURCE, position.epoch, position.position, run_id,
         sum(table.rows_in for table in tables), sum(table.rows_quarantined for table in tables)],
    )  # fmt: skip


def _tell(result: IngestResult) -> None:
    for table in result.tables:
        if table.rows_in:
            LOG.info(
                "%s: %s rows in, %s loaded, %s deleted, %s in quarantine", table.name, f"{table.rows_in:,}",
                f"{table.rows_loaded:,}", f"{table.rows_deleted:,}", f"{table.rows_quarantined:,}",
            )  # fmt: skip
    for one in (one for one in result.comparisons if one.is_incident):
        rows = sum(difference.rows_count for difference in one.differences)
        LOG.warning("%s rows of %s had changed past the change triggers; they are read again", f"{rows:,}", one.table_name)
    LOG.info(
        "%s rows read, %s loaded, %s in quarantine", f"{sum(table.rows_in for table in result.tables):,}",
        f"{sum(table.rows_loaded for table in result.tables):,}", f"{sum(table.rows_quarantined for table in result.tables):,}",
    )  # fmt: skip
    if result.block_reason:
        LOG.warning("Nothing will be published: %s", result.block_reason)
