"""What pages show of the program's words is what it says now."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pipelines.cli.display import PLANNED_STEPS, STEPS

ROOT = Path(__file__).resolve().parents[2]
DOCTOR = (ROOT / "pipelines" / "cli" / "doctor.py").read_text(encoding="utf-8")
# Said only where something stands in the way, is configured, or waits.
ONLY_SOMETIMES = {"Merchant", "Outbox", "Dagster's history", "Processes", "Login"}


def read(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def subjects() -> set[str]:
    """What the doctor has findings on; ports have their number in the name."""
    return {name.partition(" {")[0] for name in re.findall(r'(?:Finding|_look)\(\s*f?"([^"]+)"', DOCTOR)}


def test_the_newest_version_of_the_changelog_is_that_of_the_program() -> None:
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert released[0] == project["version"]


def test_the_quickstart_shows_every_step_of_a_run_once() -> None:
    shown = re.findall(rf"^({'|'.join(STEPS.values())}): ", read("quickstart.md"), flags=re.MULTILINE)

    assert sorted(shown) == sorted(STEPS[step] for step in PLANNED_STEPS)


def test_the_tutorial_shows_every_finding_of_a_sound_set_up() -> None:
    shown = re.findall(r"^ok   ([^:]+?)(?: \d+)?:", read("tutorials/data-engineer.md"), re.MULTILINE)

    assert set(shown) == subjects() - ONLY_SOMETIMES


def test_the_runbook_has_a_row_for_every_finding() -> None:
    table = read("runbook.md").partition("## What doctor says")[2].partition("\n## ")[0]
    named = {name for row in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for name in row.split(", ")}

    assert len(subjects()) > 8
    assert {subject for subject in subjects() if not any(name.startswith(subject) for name in named)} == set()
