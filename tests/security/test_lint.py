from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("module", "line", "rule"),
    [
        ("pipelines/delivery/planted.py", 'subprocess.run(f"ls {name}", shell=True, check=True)', "S602"),
        ("pipelines/cli/planted.py", "conn.execute(f\"SELECT * FROM orders WHERE order_id = '{name}'\")", "S608"),
        ("dashboards/views/planted.py", 'conn.execute("DELETE FROM orders WHERE order_id = " + name)', "S608"),
        ("dashboards/planted.py", "pickle.loads(name)", "S301"),
        ("pipelines/steps/planted.py", "eval(name)", "S307"),
    ],
)
def test_a_planted_hole_fails_the_lint(module: str, line: str, rule: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--output-format", "concise", "--stdin-filename", str(ROOT / module), "-"]

    ended = subprocess.run(
        command, check=False, input=f"import pickle\nimport subprocess\n\n{line}\n", capture_output=True, text=True, cwd=ROOT
    )

    assert ended.returncode == 1
    assert f" {rule} " in ended.stdout
