"""A folder of exports becomes an operational store, through one mapping file."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from pipelines.errors import ContractError, SourceFileError
from pipelines.faults import files as faults
from pipelines.steps.import_defects import raise_all, refused, rejected_row
from pipelines.steps.import_keeping import keep_files, list_rejected
from pipelines.steps.import_mapping import ImportMapping, load_mapping
from pipelines.steps.import_notes import file_notes, nothing_new_notes, repeated_hour_note, rule_notes
from pipelines.steps.import_reading import ReadFile, read_file
from pipelines.steps.import_report import FileCounts, ImportNote, ImportReport, RejectedRow, TableCounts
from pipelines.steps.import_returns import match_returns
from pipelines.steps.import_rows import load_rows
from pipelines.steps.import_tables import (
    CUSTOMER_OF_RETURN,
    build_tables,
    fate_counts,
    open_workbench,
    rejected_defects,
    table_frame,
    warned_counts,
)
from pipelines.steps.import_times import local_to_utc
from pipelines.stores.change_feed import install_feed
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.source_contract import SOURCE_TABLES

EXAMPLES_PER_FILE: Final = 10
MOST_REJECTED_RATE: Final = 0.20  # of a file's rows; beyond it the file is not what the mapping says

__all__ = ["ImportReport", "import_files"]

logger = logging.getLogger("ordercast.import")

Parts = dict[str, list[ReadFile]]
Progress = Callable[[str, float], None]
_WRITING_FROM: Final = 0.6  # share of the work that is done when the first table is written


@dataclass(frozen=True, slots=True)
class _Built:
    """All that the files give, still in local times; nothing is written yet. `rejected` is by file."""

    parts: Parts
    frames: dict[str, pl.DataFrame]
    counts: list[FileCounts]
    rejected: dict[str, list[RejectedRow]]
    notes: list[ImportNote]


def import_files(
    store: OperationalStore, *, mapping: Path, folder: Path, keep_in: Path | None = None, on_progress: Progress | None = None
) -> ImportReport:
    """The store holds what the files say, and the report says where every row went.

    All files are read and checked before anything is written, and everything is written in one transaction. Rows are
    brought in by key and only where they differ, so importing the same files again writes nothing.

    Args:
        store: An empty store, or one that the same mapping has filled before.
        mapping: The YAML file; its name names the source.
        folder: Where the files lie.
        keep_in: Refused files are copied there and rejected rows listed.
        on_progress: Told in a few words what is being done, and the share that is done, 0 to 1.

    Raises:
        SourceFileError: A file was refused; one line for each. The store's tables are unchanged.
        ContractError: The mapping does not work, or the store belongs to another merchant. The store's tables are unchanged.
        UnavailableError: The rejected rows could not be listed. The store's tables are unchanged.
    """
    tell = on_progress or (lambda _doing, _share: None)
    declared = load_mapping(mapping)
    merchant = Merchant(
        merchant_id=mapping.stem,
        name=declared.merchant,
        reporting_time_zone=declared.zone,
        currency_code=declared.currency,
        origin=f"mapping:{mapping.stem}",
        as_of_date=declared.as_of,
    )
    with store.one_transaction():
        _claim(store, merchant)
    try:
        built = _build(folder, declared, tell)
        rejected_in = list_rejected(built.rejected, built.parts, declared, folder=folder, keep_in=keep_in)
    except SourceFileError as exc:
        kept = keep_files(exc, folder=folder, keep_in=keep_in, mapping=mapping.stem)
        raise SourceFileError("\n".join((str(exc), *kept)), files=exc.files) from None
    frames, notes = built.frames, built.notes
    basis = _match_returns(frames) if "return_lines" in frames else {}
    for name, frame in frames.items():
        frames[name], doubtful = _in_utc(name, frame, declared.zone)
        notes += doubtful
    written = _write(store, frames, merchant, tell)
    tables = tuple(TableCounts(table=name, rows_built=frame.height, rows_written=written[name]) for name, frame in frames.items())
    return ImportReport(
        mapping=mapping.stem,
        merchant=declared.merchant,
        folder=str(folder),
        files=tuple(built.counts),
        tables=tables,
        rules={rule.name: rule.because for file in declared.files.values() for rule in file.rules if rule.then != "warn"},
        return_match_basis=basis,
        warnings=(*notes, *nothing_new_notes(str(folder), tables)),
        rejected_examples=tuple(row for rows in built.rejected.values() for row in rows[:EXAMPLES_PER_FILE]),
        rejected_in=tuple(rejected_in),
        files_not_mapped=_files_not_mapped(folder, declared),
    )


def _build(folder: Path, declared: ImportMapping, tell: Progress) -> _Built:
    parts = _read_all(folder, declared, tell)
    with open_workbench() as conn:
        for number, (name, file) in enumerate(declared.files.items()):
            tell(f"Checking {name}", 0.1 + 0.3 * number / len(parts))
            load_rows(conn, name, file, parts[name], declared.dialect)
            parts[name] = [part.without_rows() for part in parts[name]]
        tell("Building the tables", 0.4)
        build_tables(conn, declared)
        counts = _file_counts(conn, declared, parts)
        rejected = _rejected_rows(conn, parts)
        _refuse_mostly_bad(counts, rejected)
        frames = {name: table_frame(conn, name, declared) for name in SOURCE_TABLES if name in declared.tables}
        notes = [*rule_notes(declared, warned_counts(conn, declared))]
    notes += file_notes((part for files in parts.values() for part in files), counts)
    return _Built(parts, frames, counts, rejected, notes)


def _claim(store: OperationalStore, merchant: Merchant) -> None:
    """Refuse a store that is somebody else's; inside a transaction, so that a refusal leaves no table of ours behind."""
    store.migrate()
    present = store.merchant()
    advice = "Nothing was imported; use another ORDERCAST_HOME or ORDERCAST_STORE_URL."
    if present is not None and present.origin != merchant.origin:
        raise ContractError(f"The store at {store.address} already holds the merchant {present.name} ({present.origin}). {advice}")
    if present is None and store.present_fields():
        raise ContractError(f"The store at {store.address} already holds tables that no import made. {advice}")


def _read_all(folder: Path, mapping: ImportMapping, tell: Progress) -> Parts:
    """Every part of every declared file.

    Raises:
        SourceFileError: At least one was refused; all refusals, one line each.
    """
    parts: Parts = {name: [] for name in mapping.files}
    problems: list[SourceFileError] = []
    for number, (name, declared) in enumerate(mapping.files.items()):
        for part in declared.parts:
            tell(f"Reading {part}", 0.1 * number / len(parts))
            try:
                read = read_file(folder / part, declared=declared, dialect=mapping.dialect)
            except SourceFileError as exc:
                problems.append(exc)
                continue
            is_copy = any(earlier.sha256 == read.sha256 for earlier in parts[name])
            parts[name].append(replace(read, is_copy=is_copy))
    raise_all(problems)
    return parts


def _file_counts(conn: duckdb.DuckDBPyConnection, mapping: ImportMapping, parts: Mapping[str, Sequence[ReadFile]]) -> list[FileCounts]:
    counts = []
    for name, declared in mapping.files.items():
        fates = fate_counts(conn, name)
        for number, part in enumerate(parts[name]):
            mine = [fate for fate in fates if fate.part == number]
            totals = Counter({fate.fate: 0 for fate in mine})
            for fate in mine:
                totals[fate.fate] += fate.count
            by_rule = {fate.rule: fate.count for fate in mine if fate.rule}
            counts.append(
                FileCounts(
                    name=part.name,
                    sha256=part.sha256,
                    rows_read=part.rows_read,
                    rows_used=totals["used"],
                    excluded_by_rule={rule: by_rule.get(rule, 0) for rule in declared.rule_names("exclude")},
                    redirected_by_rule={rule: by_rule.get(rule, 0) for rule in declared.rule_names("redirect")},
                    rows_duplicate=totals["duplicate"],
                    rows_rejected=totals["rejected"],
                )
            )
    return counts


def _rejected_rows(conn: duckdb.DuckDBPyConnection, parts: Parts) -> dict[str, list[RejectedRow]]:
    """By file, in file order."""
    rejected: dict[str, list[RejectedRow]] = {}
    for name, files in parts.items():
        for defect in rejected_defects(conn, name):
            file = files[defect.part].name
            rejected.setdefault(file, []).append(rejected_row(file, defect.line, defect.text))
    return rejected


def _refuse_mostly_bad(counts: Sequence[FileCounts], rejected: Mapping[str, Sequence[RejectedRow]]) -> None:
    """Name the files that are to blame; those that only share documents with them where there are no others."""
    bad = [file for file in counts if file.rows_rejected > MOST_REJECTED_RATE * file.rows_read]
    causes = {file.name: [row for row in rejected[file.name] if row.rule != faults.BAD_DOCUMENT.code] for file in bad}
    problems = []
    for file in [file for file in bad if causes[file.name]] or bad:
        example = (causes[file.name] or rejected[file.name])[0].message.rsplit("; ", 2)[0]  # without what was done and is to be done
        detail = f" ({file.rows_rejected:,} of {file.rows_read:,}), for example: {example}"
        problems.append(refused(faults.MOSTLY_BAD, file.name, detail=detail))
    raise_all(problems)


def _match_returns(frames: dict[str, pl.DataFrame]) -> dict[str, int]:
    """Give returns that name no order line the sale they undo, and count returns by the basis of that."""
    lines = frames["return_lines"]
    if CUSTOMER_OF_RETURN not in lines.columns:
        return {}
    orders, returns = frames["orders"], frames["returns"]
    dated = lines.join(returns.select("return_id", "created_at"), on="return_id").rename({CUSTOMER_OF_RETURN: "customer_id"})
    sales = frames["order_lines"].join(orders.select("order_id", "customer_id", "created_at"), on="order_id")
    matches = match_returns(dated, sales).join(sales.select("order_line_id", "order_id"), on="order_line_id", how="left")
    matched = lines.drop(CUSTOMER_OF_RETURN).join(matches, on="return_line_id", how="left")
    frames["return_lines"] = matched.drop("order_id")
    # A return is matched when all its lines are, and names an order when they all undo the same one.
    by_return = matched.group_by("return_id").agg(
        match_basis=pl.when(pl.col("order_line_id").is_null().any()).then(pl.lit("unmatched")).otherwise(pl.lit("matched")),
        order_id=pl.when(pl.col("order_id").n_unique() == 1).then(pl.col("order_id").first()),
    )
    frames["returns"] = returns.join(by_return, on="return_id", how="left", maintain_order="left")
    return dict(frames["returns"].group_by("match_basis").len().sort("match_basis").iter_rows())


def _in_utc(table: str, frame: pl.DataFrame, zone: str) -> tuple[pl.DataFrame, list[ImportNote]]:
    notes = []
    for column in (name for name in frame.columns if SOURCE_TABLES[table].field(name).kind == "timestamp"):
        times, repeated_count = local_to_utc(frame[column].cast(pl.Datetime("us")), zone=zone)
        frame = frame.with_columns(times)
        if repeated_count:
            notes.append(repeated_hour_note(table, column, repeated_count, zone=zone))
    return frame, notes


def _write(store: OperationalStore, frames: Mapping[str, pl.DataFrame], merchant: Merchant, tell: Progress) -> dict[str, int]:
    """All tables are written, or none; rows of each that were new or had changed."""
    written: dict[str, int] = {}
    rows_done, rows_to_write = 0, sum(frame.height for frame in frames.values())
    with store.one_transaction():
        _claim(store, merchant)
        present = store.present_fields()
        store.create_source_tables({name: frame.columns for name, frame in frames.items()})
        for name, frame in frames.items():
            tell(f"Writing {name}", _WRITING_FROM + (1 - _WRITING_FROM) * rows_done / max(rows_to_write, 1))
            if name in present:
                written[name] = store.upsert(name, frame)
            else:
                store.append(name, frame)
                written[name] = frame.height
            rows_done += frame.height
            logger.info("%s: %s rows, %s of them new or changed", name, f"{frame.height:,}", f"{written[name]:,}")
        install_feed(store)
        store.save_merchant(merchant)
    return written


def _files_not_mapped(folder: Path, mapping: ImportMapping) -> tuple[str, ...]:
    mapped = {part for file in mapping.files.values() for part in file.parts}
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_file() and path.name not in mapped))
