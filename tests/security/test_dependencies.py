from __future__ import annotations

import io
import re
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from checks.dependencies import ACCEPTED, CLEAN, KNOWN_BAD, LOCKS, NOT_AUDITED, ROOT, VULNERABLE, accepted_today, run
from tests.security.advisories import JINJA_ADVISORY, advisory_service

if TYPE_CHECKING:
    from pathlib import Path

HASH = f"--hash=sha256:{'0' * 64}"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def lock(folder: Path, *pins: str) -> Path:
    path = folder / "requirements.lock"
    path.write_text("".join(f"{pin} \\\n    {HASH}\n" for pin in pins), encoding="utf-8")
    return path


def accepting(folder: Path, days: int) -> Path:
    path = folder / "accepted.toml"
    last_day = datetime.now(UTC).date() + timedelta(days=days)
    path.write_text(
        f'[[accepted]]\nid = "CVE-2016-10745"\nreason = "No template comes from outside."\nuntil = {last_day}\n', encoding="utf-8"
    )
    return path


def audited(*locked: Path, url: str, accepted: Path = ACCEPTED) -> tuple[int, str]:
    out = io.StringIO()
    return run(locked, accepted, ("--osv-url", url), out), out.getvalue()


def test_a_pin_that_is_known_to_be_vulnerable_fails_and_says_what_mends_it(tmp_path: Path) -> None:
    with advisory_service({KNOWN_BAD: JINJA_ADVISORY}) as url:
        code, said = audited(lock(tmp_path, "idna==3.20", "jinja2==2.4.1"), url=url)

    assert code == VULNERABLE
    assert "jinja2 2.4.1 is vulnerable: CVE-2016-10745, GHSA-hj2j-77xm-mc5v; update to 2.8.1." in said


def test_pins_that_nothing_is_known_against_pass(tmp_path: Path) -> None:
    with advisory_service({KNOWN_BAD: JINJA_ADVISORY}) as url:
        code, said = audited(lock(tmp_path, "idna==3.20", "jinja2==3.1.6"), url=url)

    assert (code, said) == (CLEAN, "Audited 2 packages; known vulnerabilities: 0, accepted: 0.\n")


def test_a_vulnerable_pin_in_the_last_of_several_locks_is_found(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    locked = lock(tmp_path, "idna==3.20"), lock(tmp_path / "second", KNOWN_BAD)
    with advisory_service({KNOWN_BAD: JINJA_ADVISORY}) as url:
        code, said = audited(*locked, url=url)

    assert code == VULNERABLE
    assert "Audited 2 packages; known vulnerabilities: 1" in said


def test_every_lock_that_goes_into_the_image_is_audited() -> None:
    installed = re.findall(r"-r (\S+\.lock)", (ROOT / "Dockerfile").read_text(encoding="utf-8"))

    assert installed
    assert {path.name for path in LOCKS} == set(installed)


def test_a_service_that_cannot_be_reached_is_no_pass(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        code, said = audited(lock(tmp_path, "idna==3.20"), url=f"http://127.0.0.1:{closed.getsockname()[1]}/v1/query")

    assert code == NOT_AUDITED
    assert "DEPENDENCIES NOT AUDITED" in said


def test_a_service_that_knows_nothing_against_the_known_bad_pin_is_no_pass(tmp_path: Path) -> None:
    with advisory_service({}) as url:
        code, said = audited(lock(tmp_path, "idna==3.20"), url=url)

    assert code == NOT_AUDITED
    assert "knows of nothing against jinja2==2.4.1" in said


def test_a_service_that_fails_half_way_is_no_pass(tmp_path: Path) -> None:
    with advisory_service({KNOWN_BAD: JINJA_ADVISORY, "idna==3.20": 503}) as url:
        code, _ = audited(lock(tmp_path, "jinja2==3.1.6", "idna==3.20"), url=url)

    assert code == NOT_AUDITED


def test_an_accepted_advisory_passes_until_its_last_day(tmp_path: Path) -> None:
    with advisory_service({KNOWN_BAD: JINJA_ADVISORY}) as url:
        today, _ = audited(lock(tmp_path, KNOWN_BAD), url=url, accepted=accepting(tmp_path, days=0))
        after, _ = audited(lock(tmp_path, KNOWN_BAD), url=url, accepted=accepting(tmp_path, days=-1))

    assert (today, after) == (CLEAN, VULNERABLE)


def test_what_is_accepted_now_has_a_reason() -> None:
    accepted = accepted_today(ACCEPTED, datetime.now(UTC).date())

    assert all(accepted.values())
