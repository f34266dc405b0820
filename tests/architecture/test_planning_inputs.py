"""What planning reads is in every release, and what the code's fingerprint covers is what plans."""

from __future__ import annotations

import ast
import re

from pipelines.defs import recommend
from pipelines.settings import PROJECT_ROOT
from pipelines.steps.code_version import _CODE
from pipelines.steps.rebuild import _WRITTEN
from pipelines.steps.rebuild_comparison import COMPARED, COMPARED_EVIDENCE
from pipelines.stores.planning_runs import READ

PLANNING = sorted(path for pattern in _CODE["planning steps"] for path in PROJECT_ROOT.glob(pattern))
# Read history that these write themselves, or are of the run's end.
STORES = [PROJECT_ROOT / "pipelines" / "stores" / name for name in ("forecast_history.py", "planning_runs.py")]
TABLE = re.compile(r"\b(?:from|join)\s+((?:raw|staging|intermediate|utilities|marts|meta|planning|history|quarantine)\.\w+)", re.IGNORECASE)


def test_every_table_that_planning_reads_is_kept_by_releases_or_made_by_it() -> None:
    read = {table for path in [*PLANNING, *STORES] for table in TABLE.findall(path.read_text())}

    known = {*READ, *_WRITTEN, *(f"planning.{name}" for name in COMPARED | COMPARED_EVIDENCE)}
    assert read - known == set()
    assert len(read) > 20


def test_nothing_is_kept_that_planning_does_not_read() -> None:
    source = "".join(path.read_text() for path in PLANNING) + (PROJECT_ROOT / "pipelines/stores/warehouse.py").read_text()

    assert [table for table in READ if table not in source and table.partition(".")[2] not in source] == []


def test_dagster_knows_the_same_marts_as_inputs_of_recommendations() -> None:
    assert {f"marts.{name}" for name in recommend._MARTS} == {table for table in READ if table.startswith("marts.")}


def test_the_fingerprint_covers_every_step_that_planning_imports() -> None:
    covered = {".".join(path.relative_to(PROJECT_ROOT).with_suffix("").parts) for path in PLANNING}

    imported = {
        node.module
        for path in PLANNING
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("pipelines.steps.", "pipelines.quality."))
    }

    assert imported - covered == set()
