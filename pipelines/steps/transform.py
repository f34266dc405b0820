"""The warehouse's staging, intermediate and mart models, built and tested by dbt inside this process."""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

from pipelines.errors import TransformError, WarehouseUnavailableError
from pipelines.settings import PROJECT_ROOT
from pipelines.stores import transform_state
from pipelines.stores.check_results import CheckTally, record_checks
from pipelines.stores.durable import is_of_full_disk
from pipelines.stores.warehouse import full_disk, open_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import duckdb

    from pipelines.settings import Settings

logger = logging.getLogger("ordercast.transform")

DBT_PROJECT: Final = PROJECT_ROOT / "dbt_project"
WAREHOUSE_VARIABLE: Final = "ORDERCAST_WAREHOUSE"  # read by dbt_project/profiles.yml
TEST_TYPES: Final = frozenset({"test", "unit_test"})
# Views and seeds stand as long as the project is the same; a test is left out only where all that it reads is.
_KNOWN: Final = ("--indirect-selection", "cautious", "--exclude", "path:models/staging", "resource_type:seed")
_SELECTION: Final[Mapping[transform_state.Scope, tuple[str, ...]]] = {
    "everything": ("--full-refresh",),
    "new_day": _KNOWN,
    "same_day": (*_KNOWN, "tag:daily"),
}
_PARSED: Final[dict[str, Manifest]] = {}  # by the project's fingerprint: parsing takes longer than a build with nothing new
_PARSED_FILE: Final = "parsed.msgpack"  # the same for later processes; dbt's own file holds for one address of the warehouse only
FAILED_STATUSES: Final = frozenset({"error", "fail", "runtime error"})


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """What became of one dbt seed, model or test. `failures` is the number of rows a test found, None for the others."""

    unique_id: str
    name: str
    resource_type: str
    status: str
    seconds: float
    message: str
    failures: int | None

    @property
    def is_failed(self) -> bool:
        """Whether nothing may be published because of it."""
        return self.status in FAILED_STATUSES


@dataclass(frozen=True, slots=True)
class TransformResult:
    """All nodes in the order they finished, the manifest that describes them, and how much was built."""

    nodes: tuple[NodeOutcome, ...]
    seconds: float
    manifest_path: Path
    scope: transform_state.Scope

    def counts(self) -> dict[str, int]:
        """How many models were built and how many tests were passed."""
        models = sum(node.resource_type == "model" for node in self.nodes)
        tests = sum(node.resource_type in TEST_TYPES for node in self.nodes)
        return {"models": models, "tests": tests}


def transform(
    settings: Settings, *, on_node: Callable[[NodeOutcome], None] | None = None, with_unit_tests: bool = False, from_all_rows: bool = False
) -> TransformResult:
    """Every model stands in the warehouse, built from what was ingested, and every data test has passed.

    Models of orders compute only the orders that changed since the last transform, wherever that gives what a build from all
    rows gives. Models tagged `daily` tell of complete days and are built again when a new one is complete; within a day, models
    stay as they are where nothing changed that they rest on. No other connection to the warehouse may be open in this process.
    dbt's state lies in the home folder.

    Args:
        settings: Names the home folder and the warehouse in it.
        on_node: Called with each model and test as it finishes.
        with_unit_tests: Run dbt's unit tests as well; they test the SQL and not the data, so the test suite asks for them.
        from_all_rows: Build everything anew even where it is not needed.

    Raises:
        TransformError: Models or tests failed; the message names them. Marts may be half new: nothing may be published.
        WarehouseUnavailableError: The warehouse is missing or another process writes it. Nothing was changed.
    """
    if not settings.warehouse_path.exists():
        raise WarehouseUnavailableError(f"There is no warehouse at {settings.warehouse_path} yet: `ordercast run` builds it.")
    started = time.monotonic()
    nodes: list[NodeOutcome] = []

    def collect(node: NodeOutcome) -> None:
        nodes.append(node)
        if on_node is not None:
            on_node(node)

    project_hash = project_fingerprint()
    parsed = read_parsed(settings)
    with open_warehouse(settings.warehouse_path) as conn:
        scope = "everything" if from_all_rows else transform_state.scope(conn, project_hash=project_hash)
        untouched = untouched_models(conn, parsed) if scope == "same_day" else []
    command = ["build", "--no-write-json", *([] if with_unit_tests else ["--exclude-resource-type", "unit_test"]), *_SELECTION[scope]]
    said = _run_dbt([*command, *(["--exclude", *untouched] if untouched else [])], settings, collect, parsed=parsed)
    is_success, problem = said.success, str(said.exception or "")
    if not is_success and not nodes:
        raise _whole_run_error(problem, settings)
    tests = [node for node in nodes if node.resource_type == "test"]
    with open_warehouse(settings.warehouse_path) as conn:
        record_checks(conn, origin="derived", tallies=[CheckTally(test.name, 1, int(test.is_failed)) for test in tests])
    failed = [node for node in nodes if node.is_failed]
    if full := next((node.message for node in failed if is_of_full_disk(node.message)), None):
        raise full_disk(settings.warehouse_path, full)
    if failed:
        raise TransformError(_failure_message(failed, nodes))
    if not is_success:
        raise TransformError(f"dbt gave up after {len(nodes)} nodes: {_one_line(problem)}")
    with open_warehouse(settings.warehouse_path) as conn:
        transform_state.save(conn, project_hash=project_hash)
    result = TransformResult(tuple(nodes), time.monotonic() - started, _manifest_path(settings), scope)
    logger.info("built %(models)d models, passed %(tests)d tests", result.counts())
    return result


def prepare_manifest(settings: Settings) -> Path:
    """The manifest describes the dbt project as it stands; it is parsed only where it was missing or the project has changed.

    Raises:
        TransformError: The project cannot be parsed.
    """
    path = _manifest_path(settings)
    parsed_path, fingerprint_path = path.with_name(_PARSED_FILE), path.with_name("project.sha256")
    fingerprint = project_fingerprint()
    files = (path, parsed_path, fingerprint_path)
    if all(file.exists() for file in files) and fingerprint_path.read_text(encoding="utf-8") == fingerprint:
        return path
    if fingerprint not in _PARSED:
        # A project of another version is no edit of this one: going on from it, dbt may miss a source that is new.
        said = _run_dbt(["parse", "--no-partial-parse"], settings, lambda _: None)
        if not isinstance(said.result, Manifest):
            raise TransformError(f"The dbt project cannot be parsed: {_one_line(str(said.exception or ''))}")
        _PARSED[fingerprint] = said.result
    path.parent.mkdir(parents=True, exist_ok=True)
    fingerprint_path.unlink(missing_ok=True)  # last to be written again: it vouches for the others
    _PARSED[fingerprint].write(str(path))  # type: ignore[no-untyped-call]
    parsed_path.write_bytes(_PARSED[fingerprint].to_msgpack())
    fingerprint_path.write_text(fingerprint, encoding="utf-8")
    return path


def read_parsed(settings: Settings) -> Manifest:
    """The dbt project as it stands, parsed; kept, because reading it takes longer than most models.

    Raises:
        TransformError: The project cannot be parsed.
    """
    path, fingerprint = prepare_manifest(settings), project_fingerprint()
    if fingerprint not in _PARSED:
        _PARSED[fingerprint] = Manifest.from_msgpack(path.with_name(_PARSED_FILE).read_bytes())
    return _PARSED[fingerprint]


def untouched_models(conn: duckdb.DuckDBPyConnection, parsed: Manifest) -> list[str]:
    """Names of the models to which no table leads that changed, and on which no test rests to which one does."""
    tables = {key: f"{source.schema}.{source.identifier}" for key, source in parsed.sources.items()}
    changed = transform_state.changed_tables(conn, tables.values())
    reached = {key for key, name in tables.items() if name in changed}
    parents = {key: frozenset(node.depends_on_nodes) for key, node in parsed.nodes.items()}
    while new := {key for key, before in parents.items() if key not in reached and not before.isdisjoint(reached)}:
        reached |= new
    tested = {parent for key in reached if key.startswith("test.") for parent in parents[key]}
    return sorted(node.name for key, node in parsed.nodes.items() if key.startswith("model.") and key not in reached | tested)


def _manifest_path(settings: Settings) -> Path:
    return settings.resolved_home / "dbt" / "target" / "manifest.json"


def _run_dbt(
    command: list[str], settings: Settings, collect: Callable[[NodeOutcome], None], *, parsed: Manifest | None = None
) -> dbtRunnerResult:
    """What dbt says of the command. It works on a copy of what was parsed, which it would mark as compiled."""
    state = settings.resolved_home / "dbt"
    state.mkdir(parents=True, exist_ok=True)
    arguments = [
        *command, "--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT),
        "--target-path", str(state / "target"), "--log-path", str(state / "logs"),
        "--quiet", "--log-level", "none", "--no-print", "--no-use-colors", "--no-version-check",
    ]  # fmt: skip
    with _environment(WAREHOUSE_VARIABLE, str(settings.warehouse_path)), _calm_collector():
        try:
            known = parsed and parsed.deepcopy()  # type: ignore[no-untyped-call]
            return dbtRunner(manifest=known, callbacks=[_node_callback(collect)]).invoke(arguments)
        finally:
            DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call] # else the warehouse stays locked by this process


@contextmanager
def _calm_collector() -> Iterator[None]:
    """What was imported and parsed is not searched for garbage again and again, which takes a tenth of the time."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """The variable is set inside the block only: outside it would be an unknown setting."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _node_callback(collect: Callable[[NodeOutcome], None]) -> Callable[[Any], None]:
    def on_event(event: Any) -> None:
        if event.info.name != "NodeFinished":
            return
        node, run = event.data.node_info, event.data.run_result
        is_test = node.resource_type in TEST_TYPES
        outcome = NodeOutcome(
            unique_id=node.unique_id,
            name=node.node_name,
            resource_type=node.resource_type,
            status=node.node_status,
            seconds=float(run.execution_time),
            message=run.message,
            failures=int(run.num_failures) if is_test else None,
        )
        collect(outcome)

    return on_event


def _failure_message(failed: list[NodeOutcome], nodes: list[NodeOutcome]) -> str:
    skipped = sum(node.status == "skipped" for node in nodes)
    lines = [f"- {node.resource_type} {node.name}: {_reason(node)}" for node in failed]
    after = f" {skipped} more were skipped because they build on these." if skipped else ""
    return f"{len(failed)} of {len(nodes)} dbt nodes failed; nothing may be published.{after}\n" + "\n".join(lines)


def _reason(node: NodeOutcome) -> str:
    return f"{node.failures:,} rows break it" if node.resource_type == "test" and node.failures else _one_line(node.message)


def _whole_run_error(problem: str, settings: Settings) -> TransformError | WarehouseUnavailableError:
    if "lock" in problem or "different configuration" in problem:
        return WarehouseUnavailableError(
            f"The warehouse {settings.warehouse_path} is open elsewhere; wait until the other run has ended and run again."
        )
    return TransformError(f"dbt could not start: {_one_line(problem)}")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500] or "dbt gave no reason; see dbt/logs in the home folder"


def project_fingerprint() -> str:
    """A hash of everything that defines the models: dbt's version and the project's files."""
    digest = hashlib.sha256(version("dbt-core").encode())
    for path in sorted(path for path in DBT_PROJECT.rglob("*") if path.suffix in {".sql", ".yml", ".csv"}):
        digest.update(str(path.relative_to(DBT_PROJECT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
