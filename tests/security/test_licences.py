from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from checks.licences import LOCK, RULES, Rules, runtime_packages

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("said", ["MIT License", "Apache Software License; BSD License", "MPL-2.0 AND (Apache-2.0 OR MIT)"])
def test_an_allowed_licence_passes_however_it_is_written(said: str) -> None:
    rules = Rules.read(RULES)

    assert rules.forbidden(rules.licence("some-package", said)) == []


@pytest.mark.parametrize(
    "said", ["AGPL-3.0-only", "GNU General Public License v3 (GPLv3)", "MIT AND SSPL-1.0", "UNKNOWN", "not installed", ""]
)
def test_a_licence_that_nobody_has_read_fails(said: str) -> None:
    rules = Rules.read(RULES)

    assert rules.forbidden(rules.licence("some-package", said)) != []


def test_a_package_with_a_licence_that_is_not_allowed_fails_the_check(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("pytest==9.2.0\ncolorama==0.4.6 ; sys_platform == 'win32'\nno-such-package==1.0\n", encoding="utf-8")

    ended = subprocess.run(
        [sys.executable, "-m", "checks.licences", "--check", "--lock", str(lock)], check=False, capture_output=True, text=True
    )

    assert ended.returncode == 1
    assert ended.stdout.startswith("no-such-package is under 'not installed', which licences.toml does not allow")


def test_the_lock_is_read_whole_but_for_windows_alone() -> None:
    packages = runtime_packages(LOCK)

    assert {"psycopg-binary", "uvloop", "numpy"} <= packages
    assert not {"pywin32", "pyreadline3"} & packages
