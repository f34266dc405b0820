"""What a run planned, made again from what its release keeps, and compared to the byte; nothing that stands is changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import duckdb

from pipelines.errors import ContractError, ReleaseError
from pipelines.steps.backtest import backtest_forecasts
from pipelines.steps.code_version import code_version
from pipelines.steps.forecast import forecast_demand
from pipelines.steps.number_settings import settings_of
from pipelines.steps.panel import gather_panel
from pipelines.steps.planning_run import finish_planning
from pipelines.steps.rebuild_comparison import COMPARED, COMPARED_EVIDENCE, ComparedTable, canonical_text, compare_table, read_table
from pipelines.stores import check_results, forecast_history, standing_plans
from pipelines.stores.planning_runs import EVIDENCE, READ, RECENT_FORECASTS, TABLE, PlanningRun, read_planning_run
from pipelines.stores.releases import open_release
from pipelines.stores.scratch import open_inputs
from pipelines.stores.warehouse import OWN_TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pipelines.stores.releases import Release

_WRITTEN: Final = {
    "meta.check_results": check_results.COLUMNS,
    **forecast_history.TABLES,
    **standing_plans.TABLES,
    **{name: columns for name, columns in OWN_TABLES.items() if name.startswith("planning.")},
}


@dataclass(frozen=True, slots=True)
class CodeDifference:
    """One part of the code, one library, or the machine that is another one now."""

    part: str
    then: str
    now: str


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild came to.

    Attributes:
        run: Whose plans they are, with settings and code.
        code_differences: What computes now and is not what computed then; where tables differ, this may be why.
        is_evidence_rebuilt: The run had tested the forecasts itself, so that was done again too; else the evidence is an input.
        tables: What was compared.
    """

    run: PlanningRun
    code_differences: tuple[CodeDifference, ...]
    is_evidence_rebuilt: bool
    tables: tuple[ComparedTable, ...]

    @property
    def is_same(self) -> bool:
        """All tables are the same to the byte."""
        return all(table.is_same for table in self.tables)

    @property
    def sha256(self) -> str:
        """Of all tables as they were made again: of a line "name sha256" each, in the order of their names."""
        lines = sorted(f"{table.table} {table.rebuilt_sha256}\n" for table in self.tables)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def rebuild(release: Release, *, to: Path | None = None, on_progress: Callable[..., None] = lambda *_: None) -> Rebuilt:
    """The plans of the run that this release is of, made again by the same steps from what the release keeps, beside what was published.

    Args:
        release: Of the run that planned.
        to: Folder for the canonical text of each table; what differs stands there as it was published as well.
        on_progress: Told what is being done and the share that is done, 0 to 1.

    Raises:
        ReleaseError: The release is gone or damaged, carries the plans of another run, or lacks what they were made from. Nothing
            was written.
    """
    on_progress("comparing the release with its manifest", 0.0)
    run, is_own_evidence = planned_by(release)
    if to is not None:
        _require_empty(to)
    compared = COMPARED | (COMPARED_EVIDENCE if is_own_evidence else {})
    copied = {"history.forecasts": RECENT_FORECASTS} | ({} if is_own_evidence else {name: name for name in EVIDENCE})
    with open_inputs(release, read=READ, copied=copied, empty=_WRITTEN) as conn:
        try:
            _plan(conn, run, is_own_evidence=is_own_evidence, on_progress=on_progress)
            on_progress("comparing", 0.95)
            tables = tuple(_compared(conn, table, key, to) for table, key in compared.items())
        except (duckdb.CatalogException, duckdb.BinderException) as exc:
            raise ReleaseError(_unreadable(run, str(exc))) from exc
    return Rebuilt(run, _code_differences(run.code), is_own_evidence, tables)


def planned_by(release: Release) -> tuple[PlanningRun, bool]:
    """The run whose plans the release was made for, and whether that run has tested the forecasts itself.

    Raises:
        ReleaseError: The release is gone or damaged, was made before this was kept, or carries unfinished plans or another run's.
    """
    with open_release(release) as conn:
        try:
            run = read_planning_run(conn)
            evidence = conn.execute("SELECT run_id FROM planning.backtest_run").fetchone()
        except (duckdb.CatalogException, duckdb.BinderException):
            raise ReleaseError(
                f"Release {release.release_id} does not hold {TABLE}: it was made before releases kept what plans are made from, "
                "so they cannot be made again."
            ) from None
    if run is None:
        raise ReleaseError(f"Release {release.release_id} carries plans that no run has finished, so there is nothing to make again.")
    if run.run_id != release.release_id:
        raise ReleaseError(f"Release {release.release_id} carries the plans of run {run.run_id}: name that one.")
    return run, evidence is not None and evidence[0] == run.run_id


def _plan(conn: duckdb.DuckDBPyConnection, run: PlanningRun, *, is_own_evidence: bool, on_progress: Callable[..., None]) -> None:
    settings = settings_of(run.settings)
    on_progress("gathering demand", 0.05)
    gather_panel(conn)
    if is_own_evidence:
        on_progress("testing forecasts on the past", 0.1)
        backtest_forecasts(conn)
    on_progress("forecasting", 0.4)
    forecast_demand(conn, settings=settings)
    on_progress("recommending", 0.5)
    finish_planning(conn, settings=settings)


def _compared(conn: duckdb.DuckDBPyConnection, table: str, key: tuple[str, ...], to: Path | None) -> ComparedTable:
    published, rebuilt = (read_table(conn, table, catalog=catalog) for catalog in ("release", "memory"))
    compared = compare_table(table, published, rebuilt, key=key)
    if to is not None:
        (to / f"{table}.jsonl").write_bytes(canonical_text(rebuilt))
        if not compared.is_same:
            (to / f"{table}.published.jsonl").write_bytes(canonical_text(published))
    return compared


def _code_differences(then: Mapping[str, str]) -> tuple[CodeDifference, ...]:
    now: dict[str, Any] = dict(code_version().parts)
    parts = [*then, *(part for part in now if part not in then)]
    return tuple(CodeDifference(part, then.get(part, "none"), now.get(part, "none")) for part in parts if then.get(part) != now.get(part))


def _unreadable(run: PlanningRun, message: str) -> str:
    differing = ", ".join(one.part for one in _code_differences(run.code)) or "nothing"
    return (
        f"The code of today cannot read what release {run.run_id} keeps ({message.partition(chr(10))[0]}); since then has changed: "
        f"{differing}. Use the version that planned: {run.code_version}, {run.code_fingerprint}."
    )


def _require_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ContractError(f"{folder} is not empty: name a folder that is, or a new one. Nothing was written.")
