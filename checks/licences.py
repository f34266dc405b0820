"""Under which licences the packages stand that people install with the product, and whether each is one of the allowed.

python -m checks.licences           write docs/licences.md
python -m checks.licences --check   change nothing; exit code 1 for a licence that is not allowed or a page that is not up to date
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "requirements.lock"
RULES: Final = ROOT / "checks/licences.toml"
PAGE: Final = ROOT / "docs/licences.md"


@dataclass(frozen=True, slots=True)
class Rules:
    """Which licences are allowed, and how what packages say is read."""

    allowed: frozenset[str]
    short_names: Mapping[str, str]
    chosen: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Rules:
        """The rules in a TOML file."""
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return cls(frozenset(content["allowed"]), content["short_names"], content["chosen"])

    def licence(self, package: str, said: str) -> str:
        """The licence of a package in short names, from what it says of itself."""
        return self.chosen.get(package) or " AND ".join(self.short_names.get(part, part) for part in said.split("; "))

    def forbidden(self, licence: str) -> list[str]:
        """Those names in it that are not allowed, or that there is none. Of alternatives (OR) each has to be allowed."""
        names = [name.strip() for name in re.split(r"[()]|\bAND\b|\bOR\b", licence) if name.strip()]
        return [name for name in names or ["no licence"] if name not in self.allowed]


def runtime_packages(lock: Path) -> set[str]:
    """Names of the locked packages, without those for Windows alone."""
    lines = [line.removesuffix("\\") for line in lock.read_text(encoding="utf-8").splitlines() if "==" in line and line[0] not in " #"]
    required = [Requirement(line.strip()) for line in lines]
    return {canonicalize_name(one.name) for one in required if "win32" not in str(one.marker) or "!=" in str(one.marker)}


def licences(packages: set[str], rules: Rules) -> dict[str, str]:
    """The licence of each package that is installed here, by name."""
    command = [sys.executable, "-m", "piplicenses", "--from", "mixed", "--format", "json"]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603 - nothing from outside
    named: dict[str, str] = {canonicalize_name(one["Name"]): one["License"] for one in said}
    return {name: rules.licence(name, named.get(name, "not installed")) for name in sorted(packages)}


def page(of: Mapping[str, str]) -> str:
    """The text of docs/licences.md."""
    rows = "\n".join(f"| {name} | {licence} |" for name, licence in of.items())
    return (
        "# Licences of what is installed with it\n\nThe packages of `requirements.lock`, with what each says of itself; versions stand "
        "there. Packages for Windows alone and those that only developers install are left out. `make security` fails on a licence "
        f"that `checks/licences.toml` does not allow.\n\n| package | licence |\n|---|---|\n{rows}\n"
    )


def main() -> int:
    """Write the page, or say what is not as it should be."""
    parser = argparse.ArgumentParser(description="List the licences of the runtime packages.")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--lock", type=Path, default=LOCK)
    parser.add_argument("--rules", type=Path, default=RULES)
    chosen = parser.parse_args()
    rules = Rules.read(chosen.rules)
    found = licences(runtime_packages(chosen.lock), rules)
    forbidden = {name: licence for name, licence in found.items() if rules.forbidden(licence)}
    for name, licence in forbidden.items():
        sys.stdout.write(
            f"{name} is under {licence!r}, which {chosen.rules.name} does not allow: replace the package, or read it and add it there.\n"
        )
    if not chosen.check:
        PAGE.write_text(page(found), encoding="utf-8")
    elif not forbidden and PAGE.read_text(encoding="utf-8") != page(found):
        sys.stdout.write("docs/licences.md is not up to date. Run `make docs`.\n")
        return 1
    if not forbidden:
        sys.stdout.write(f"{len(found)} packages, every licence is allowed.\n")
    return 1 if forbidden else 0


if __name__ == "__main__":
    sys.exit(main())
