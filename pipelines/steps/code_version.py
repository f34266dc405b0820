"""Which code and which libraries compute: the version's number does not change with every change of them, this does."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

FINGERPRINT_DIGITS: Final = 12
MACHINE: Final = "machine"
_CODE: Final[dict[str, tuple[str, ...]]] = {
    "forecasting": ("forecasting/*.py",),
    "inventory": ("inventory/*.py",),
    "planning steps": (
        "pipelines/__init__.py",
        "pipelines/steps/panel.py",
        "pipelines/steps/backtest*.py",
        "pipelines/steps/forecast.py",
        "pipelines/steps/recommend*.py",
        "pipelines/steps/rule_policies.py",
        "pipelines/quality/forecast_checks.py",
        "pipelines/faults/planning.py",
        "pipelines/stores/check_results.py",
        "pipelines/stores/metrics_values.py",
        "pipelines/stores/overrides.py",
        "pipelines/stores/policy_rules.py",
    ),
    "dbt project": ("dbt_project/dbt_project.yml", "dbt_project/models/**/*", "dbt_project/macros/**/*", "dbt_project/seeds/**/*"),
}
_LIBRARIES: Final = ("polars", "numpy", "scipy", "duckdb", "lightgbm")


@dataclass(frozen=True, slots=True)
class CodeVersion:
    """The version that computes, and by part (forecasting, ..., polars, ..., python, machine) what identifies it."""

    version: str
    parts: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Twelve digits that change whenever a part does, but for the machine."""
        code = {part: value for part, value in self.parts.items() if part != MACHINE}
        return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()[:FINGERPRINT_DIGITS]


def code_version() -> CodeVersion:
    """What this process computes with: the code that it has loaded, whatever is put in its place meanwhile."""
    return CodeVersion(version("ordercast"), _LOADED)


def code_parts(root: Path) -> dict[str, str]:
    """What identifies each part: digits of its files below this folder, or the version of a library."""
    parts = {part: _digits(root, patterns) for part, patterns in _CODE.items()}
    parts |= {name: _installed(name) for name in _LIBRARIES}
    return parts | {"python": platform.python_version(), MACHINE: _machine()}


def _digits(root: Path, patterns: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    files = {path.relative_to(root).as_posix(): path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    for name, path in sorted(files.items()):
        digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:FINGERPRINT_DIGITS]


def _machine() -> str:
    """System and processor: numpy and its solver choose their instructions by it, and the last digits with them."""
    known = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace") if Path("/proc/cpuinfo").exists() else ""
    name = next((line.partition(":")[2].strip() for line in known.splitlines() if line.startswith("model name")), platform.processor())
    return f"{platform.system()} {platform.machine()} {name}".strip()


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


_LOADED: Final = code_parts(PROJECT_ROOT)
