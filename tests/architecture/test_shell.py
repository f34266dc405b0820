"""Every shell script is read by ShellCheck."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (".ci", "checks", "deploy")


def is_shell(path: Path) -> bool:
    return path.is_file() and path.read_bytes().partition(b"\n")[0].startswith((b"#!/usr/bin/env bash", b"#!/bin/sh", b"#!/bin/bash"))


def complaints(*scripts: Path) -> str:
    command = [str(Path(sys.executable).with_name("shellcheck")), "--format", "gcc"]
    return subprocess.run([*command, *map(str, scripts)], check=False, capture_output=True, text=True).stdout


def test_shellcheck_has_nothing_against_any_script() -> None:
    scripts = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if is_shell(path)]

    assert ROOT / ".ci" / "run" in scripts
    assert complaints(*scripts) == ""


def test_a_script_with_a_known_mistake_is_found(tmp_path: Path) -> None:
    script = tmp_path / "mistaken"
    script.write_text("#!/usr/bin/env bash\nrm -rf $1/kept\n")

    assert "[SC2086]" in complaints(script)
