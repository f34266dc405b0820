from __future__ import annotations

import io
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from checks.secrets import BASELINE, ROOT, committed_files, look

if TYPE_CHECKING:
    from pathlib import Path

# In two halves, so that the check of this repository does not stumble over its own test.
PLANTED = "AKIA" + "Z7Q2M4X9T1L8WB3K"
KNOWN = "tests/integration/receivers.py"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout with this repository's baseline and one file that it knows."""
    (tmp_path / KNOWN).parent.mkdir(parents=True)
    shutil.copy(ROOT / BASELINE, tmp_path / BASELINE)
    shutil.copy(ROOT / KNOWN, tmp_path / KNOWN)
    return tmp_path


def looked(folder: Path) -> tuple[int, str]:
    out = io.StringIO()
    return look(folder, accept=False, out=out), out.getvalue()


def test_a_planted_key_is_found_and_named(checkout: Path) -> None:
    (checkout / "settings.py").write_text(f'REGION = "eu"\nKEY = "{PLANTED}"\n', encoding="utf-8")

    code, said = looked(checkout)

    assert code == 1
    assert "settings.py:2 looks like a secret (AWS Access Key)" in said


def test_what_the_baseline_knows_passes_also_where_its_line_has_moved(checkout: Path) -> None:
    known = checkout / KNOWN
    known.write_text("\n\n\n" + known.read_text(encoding="utf-8"), encoding="utf-8")

    assert looked(checkout)[0] == 0


def test_a_file_that_git_would_take_is_looked_at_before_it_is_added(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("ignored.py\n", encoding="utf-8")
    (tmp_path / "ignored.py").touch()
    (tmp_path / "new.py").touch()

    assert committed_files(tmp_path) == [".gitignore", "new.py"]


def test_without_git_all_is_looked_at_but_what_git_would_pass_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in ("module.py", ".venv/module.py", "__pycache__/module.pyc", ".env.example"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert committed_files(tmp_path) == [".env.example", "module.py"]
