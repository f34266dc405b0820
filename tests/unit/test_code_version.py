"""The code's fingerprint is of what computes: it changes with it, and with nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipelines.settings import PROJECT_ROOT
from pipelines.steps.code_version import MACHINE, CodeVersion, code_parts, code_version

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for folder in ("forecasting", "inventory", "pipelines", "dbt_project"):
        shutil.copytree(PROJECT_ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "target", "logs"))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("forecasting/pooled.py", "forecasting"),
        ("inventory/reorder.py", "inventory"),
        ("pipelines/steps/recommend_rows.py", "planning steps"),
        ("pipelines/steps/panel.py", "planning steps"),
        ("dbt_project/models/marts/planning/fct_inbound.sql", "dbt project"),
    ],
)
def test_a_changed_source_changes_the_digits_of_its_part_alone(tree: Path, file: str, part: str) -> None:
    before = code_parts(tree)
    (tree / file).write_text((tree / file).read_text() + "\n")

    after = code_parts(tree)

    assert [name for name in before if before[name] != after[name]] == [part]
    assert CodeVersion("1", before).fingerprint != CodeVersion("1", after).fingerprint


def test_what_computes_nothing_changes_nothing(tree: Path) -> None:
    before = code_parts(tree)
    (tree / "pipelines/cli/app.py").write_text("")
    (tree / "dbt_project/logs").mkdir()
    (tree / "dbt_project/logs/dbt.log").write_text("a line")

    after = code_parts(tree)

    assert after == before


def test_a_copy_elsewhere_has_the_same_fingerprint(tree: Path) -> None:
    assert code_parts(tree) == dict(code_version().parts)


def test_another_machine_is_named_and_changes_no_fingerprint() -> None:
    here = code_version()

    elsewhere = CodeVersion(here.version, dict(here.parts) | {MACHINE: "another"})

    assert elsewhere.fingerprint == here.fingerprint


def test_every_pattern_names_a_file() -> None:
    parts = code_parts(PROJECT_ROOT)

    nothing = code_parts(PROJECT_ROOT / "docs" / "images")
    assert all(parts[name] != nothing[name] for name in ("forecasting", "inventory", "planning steps", "dbt project"))


def test_matrices_are_reckoned_by_one_thread_whatever_the_environment_says() -> None:
    script = (
        "import pipelines, numpy, scipy.linalg, threadpoolctl\n"
        "print(sorted({one['num_threads'] for one in threadpoolctl.threadpool_info() if one['user_api'] == 'blas'}))"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": str(PROJECT_ROOT)}

    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[1]"
