from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipelines", "forecasting", "inventory", "dashboards")
OWN_FOLDERS = (*PACKAGES, "checks", "dbt_project", "tests", "benchmarks", "docs")


def own_files(*suffixes: str) -> list[Path]:
    return [
        path
        for folder in OWN_FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes and "__pycache__" not in path.parts and "target" not in path.parts
    ]


def offenders(pattern: str, files: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(pattern, line)
    ]


def test_no_module_is_a_drawer_for_anything() -> None:
    drawers = {"utils", "helpers", "common", "core", "misc"}

    assert [path for path in own_files(".py") if path.stem in drawers or path.parent.name in drawers] == []


def test_the_clock_is_the_data_and_never_today() -> None:
    sql = [path for path in own_files(".sql", ".yml") if "dbt_project" in path.parts]

    assert offenders(r"(?i)\b(current_date|current_timestamp|now\(\)|today\(\)|getdate)", sql) == []


def test_pure_packages_and_pages_never_ask_for_the_day() -> None:
    files = [path for path in own_files(".py") if path.relative_to(ROOT).parts[0] in {"forecasting", "inventory"}]

    assert offenders(r"\.(today|now|utcnow)\(", files) == []


def test_pages_never_trust_html() -> None:
    assert offenders(r"unsafe_allow_html", own_files(".py")) == []


def test_nothing_is_left_for_later() -> None:
    assert offenders(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", own_files(".py", ".sql", ".yml", ".md")) == []


def test_no_lock_names_a_registry() -> None:
    assert (
        offenders(r"https?://", [ROOT / name for name in ("requirements.lock", "requirements-dev.lock", "requirements-bootstrap.lock")])
        == []
    )


def test_steps_and_their_dagster_skins_bear_the_same_names() -> None:
    skins = {path.stem for path in (ROOT / "pipelines/defs").glob("*.py")} - {
        "__init__",
        "event_log",
        "resources",
        "reporting",
        "schedules",
        "upkeep",
        "code_server",
        "warm_process",
        "sensors",
        "automation",
    }
    steps = {path.stem for path in (ROOT / "pipelines/steps").glob("*.py")} - {"__init__"}

    assert skins <= steps
