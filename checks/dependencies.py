"""The locked dependencies held against known vulnerabilities: clean, vulnerable, or not audited, which is never taken for clean.

    python -m checks.dependencies

Exit codes: 0 every locked package was looked up and none is known to be vulnerable; 1 one is; 3 nobody could be asked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, TextIO

ROOT: Final = Path(__file__).resolve().parents[1]
LOCKS: Final = (ROOT / "requirements.lock", ROOT / "requirements-bootstrap.lock")  # both are in the image
ACCEPTED: Final = ROOT / "checks/accepted-advisories.toml"
CLEAN, VULNERABLE, NOT_AUDITED = 0, 1, 3
LONGEST_SECONDS: Final = 120
# Known to be vulnerable since 2016. A service that does not say so (a proxy, an empty mirror) says nothing about the rest either.
KNOWN_BAD: Final = "jinja2==2.4.1"


class NotAuditedError(Exception):
    """Nobody could be asked, so nothing is known about the packages."""


@dataclass(frozen=True, slots=True)
class Advisory:
    """A vulnerability that a locked package is known to have."""

    package: str
    version: str
    names: tuple[str, ...]
    fixed_in: tuple[str, ...]


def audit(requirements: Path, *, options: Sequence[str] = ()) -> tuple[int, list[Advisory]]:
    """How many packages were looked up, and what is known of them.

    Args:
        requirements: A lock file with hashes, or plain pins with the option --no-deps.
        options: Further options of pip-audit.

    Raises:
        NotAuditedError: The service did not answer for every package.
    """
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements), "--disable-pip", "--vulnerability-service", "osv"]
    command += ["--format", "json", "--desc", "off", "--progress-spinner", "off", "--timeout", "10", *options]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)  # noqa: S603 - nothing from outside
    except subprocess.TimeoutExpired:
        raise NotAuditedError(f"no answer within {LONGEST_SECONDS} s") from None
    # The exit code says 1 for a vulnerability and for a broken connection alike, and 0 where packages were skipped: only the report tells.
    try:
        packages: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        raise NotAuditedError((ended.stderr.strip().splitlines() or ["no report"])[-1][:300]) from None
    if skipped := [package for package in packages if "skip_reason" in package]:
        raise NotAuditedError(f"{len(skipped)} of {len(packages)} packages were skipped, first {skipped[0]['skip_reason']}")
    if not packages:
        raise NotAuditedError(f"{requirements.name} names no package")
    return len(packages), [
        Advisory(package["name"], package["version"], tuple(sorted({found["id"], *found.get("aliases", ())})), tuple(found["fix_versions"]))
        for package in packages
        for found in package["vulns"]
    ]


def accepted_today(path: Path, today: date) -> dict[str, str]:
    """Advisories that somebody has accepted, with the reason; those whose day has passed are accepted no more."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("accepted", [])
    return {entry["id"]: entry["reason"] for entry in entries if entry["until"] >= today}


def _require_an_answer_for_the_known_bad(options: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pin = Path(folder) / "known-bad.txt"
        pin.write_text(KNOWN_BAD + "\n", encoding="utf-8")
        if not audit(pin, options=(*options, "--no-deps"))[1]:
            raise NotAuditedError(f"the service knows of nothing against {KNOWN_BAD}, so its silence about others means nothing")


def run(locks: Sequence[Path], accepted: Path, options: Sequence[str], out: TextIO) -> int:
    """The exit code, after saying on `out` what was found."""
    count, advisories = 0, []
    try:
        _require_an_answer_for_the_known_bad(options)
        for lock in locks:
            count_of_lock, found = audit(lock, options=options)
            count += count_of_lock
            advisories += found
    except NotAuditedError as exc:
        out.write(
            f"{'!' * 100}\nDEPENDENCIES NOT AUDITED: {exc}.\n"
            f"This is no pass: nothing is known about {' and '.join(lock.name for lock in locks)}. "
            f"Run `make audit` where the advisory service can be reached.\n{'!' * 100}\n"
        )
        return NOT_AUDITED
    waived = accepted_today(accepted, datetime.now(UTC).date())
    standing = [one for one in advisories if not set(one.names) & waived.keys()]
    for one in standing:
        remedy = (
            f"update to {', '.join(one.fixed_in)}" if one.fixed_in else f"no version mends it; replace it or accept it in {accepted.name}"
        )
        out.write(f"{one.package} {one.version} is vulnerable: {', '.join(one.names)}; {remedy}.\n")
    out.write(f"Audited {count} packages; known vulnerabilities: {len(standing)}, accepted: {len(advisories) - len(standing)}.\n")
    return VULNERABLE if standing else CLEAN


def main() -> int:
    """Look at the locks of what is installed where it runs; the options are there for a mirror of the advisory service."""
    parser = argparse.ArgumentParser(description="Hold the locked dependencies against known vulnerabilities.")
    parser.add_argument("--requirements", type=Path, nargs="+", default=LOCKS)
    parser.add_argument("--accepted", type=Path, default=ACCEPTED)
    parser.add_argument("--osv-url", help="Another address of the same service, such as a mirror.")
    chosen = parser.parse_args()
    options = ("--osv-url", chosen.osv_url) if chosen.osv_url else ()
    return run(chosen.requirements, chosen.accepted, options, sys.stdout)


if __name__ == "__main__":
    sys.exit(main())
