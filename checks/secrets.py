"""Every file that is or may be committed, looked through for keys and passwords; what is known to be none stands in a baseline.

    python -m checks.secrets            exit code 1 where something is found that the baseline does not hold
    python -m checks.secrets --accept   take all that is found now for harmless: look at each of them first

No network: nothing that is found is tried against the service it would open.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Final, TextIO

from detect_secrets.core import baseline
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings

ROOT: Final = Path(__file__).resolve().parents[1]
BASELINE: Final = ".secrets.baseline"
LEFT_OUT: Final = (".lock", BASELINE, ".png")  # hashes of packages, hashes of what was looked at, pictures
NEVER_COMMITTED: Final = {"__pycache__", "target", "logs", "site", "screenshots"}


def committed_files(folder: Path) -> list[str]:
    """All files that git holds or would take, by path from `folder`; where there is no git, all but what it would pass over."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - the git that made the checkout
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [name for name in listed.stdout.split("\0") if name and (folder / name).is_file() and not (folder / name).is_symlink()]
    else:
        paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        names = [str(path) for path in paths if not any(part[0] == "." or part in NEVER_COMMITTED for part in path.parts[:-1])]
    return sorted(name for name in names if not name.endswith(LEFT_OUT))


def look(folder: Path, *, accept: bool, out: TextIO) -> int:
    """The exit code, after naming on `out` what looks like a secret and is not in the baseline.

    Args:
        folder: A checkout; its baseline says which detectors run.
        accept: Write all that is found to the baseline instead.
        out: Where the findings are told.
    """
    known = json.loads((folder / BASELINE).read_text(encoding="utf-8"))
    names = committed_files(folder)
    settings = {"plugins_used": known["plugins_used"], "filters_used": known["filters_used"]}
    with contextlib.chdir(folder), transient_settings(settings):  # findings bear the names they were looked up by
        found = SecretsCollection()
        found.scan_files(*names)
        if accept:
            baseline.save_to_file(found, BASELINE)
            out.write(f"{BASELINE} holds {len(list(found))} findings as harmless.\n")
            return 0
        # By file, kind and hash: a line that moved is no finding.
        new = sorted((secret for _, secret in found - baseline.load(known, BASELINE)), key=lambda one: (one.filename, one.line_number))
    for secret in new:
        out.write(f"{secret.filename}:{secret.line_number} looks like a secret ({secret.type}).\n")
    if new:
        out.write("Take it out, and change it where it was ever used. If it is none: `python -m checks.secrets --accept`.\n")
        return 1
    out.write(f"Looked through {len(names)} files: no secret.\n")
    return 0


def main() -> int:
    """Look through this checkout, or another one."""
    parser = argparse.ArgumentParser(description="Look for keys and passwords in what is committed.")
    parser.add_argument("--folder", type=Path, default=ROOT)
    parser.add_argument("--accept", action="store_true")
    chosen = parser.parse_args()
    return look(chosen.folder, accept=chosen.accept, out=sys.stdout)


if __name__ == "__main__":
    sys.exit(main())
