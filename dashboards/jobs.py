"""Long questions: the command line answers them in a process of its own, one at a time, and its answer stays for everybody.

A page asks `look` what has become of its question and draws the `answer` once there is one; `ask` puts it in line. What may be asked
stands in `COMMANDS`: a value that does not fit there is refused, and nothing ever goes through a shell.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from dashboards import identity, job_files, job_worker
from dashboards.decisions import acting
from dashboards.job_files import FOLDER, Job, part
from dashboards.queries.suggestions import who_looks
from pipelines.errors import ContractError, NotPermittedError
from pipelines.settings import PROJECT_ROOT, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dashboards.job_files import State
    from dashboards.queries.releases import Served

COMMAND_LINE: tuple[str, ...] = (sys.executable, "-m", "pipelines.cli.app")
MOST_WAITING: Final = 10
_SETTINGS: Final = ("service_level", "lost_sales_share", "budget_amount", "review_period_days", "holding_cost_rate", "seed")
_LIKE_IT: Final = 5  # so many earlier ones say how long it usually takes

_TEXT: Final = r"[^\x00-\x1f\x7f]{1,200}"
_DAY: Final = r"\d{4}-\d{2}-\d{2}"
_PERCENT: Final = r"[+-]\d{1,4}(\.\d{1,2})?%"
_NAMES: Final = r"[a-z_]{1,30}(,[a-z_]{1,30}){0,9}"
_PAIR: Final = rf"[a-z_]{{1,30}}={_TEXT}"
_FLAG: Final = ""

# What may be asked: the words of the command, and a pattern for the value of each option. All of them print JSON.
COMMANDS: Final[dict[str, dict[str, str]]] = {
    "what-if": {
        "--demand": _PERCENT, "--lead-time": r"[+-]?\d{1,3}", "--cost": _PERCENT, "--service-level": r"0?\.\d{1,5}",
        "--supplier-fails": _TEXT, "--closes": _TEXT,
    },
    "replay": {"--from": _DAY, "--to": _DAY, "--policies": _NAMES, "--sku": _TEXT, "--category": _TEXT, "--location": _TEXT},
    "rules preview": {"--for": _PAIR, "--set": _PAIR, "--on": _DAY, "--orders": _FLAG, "--replay": _FLAG, "NAME": _TEXT},
    "baseline review": {"NAME": _TEXT, "--days": r"\d{1,3}"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to be worked out; its `key` is the same wherever its answer is, its `same_key` that of any release."""

    key: str
    same_key: str
    command: str
    argv: tuple[str, ...]
    release_id: str
    as_of_date: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What has become of a question.

    Attributes:
        state: never (nobody asked yet), waiting, running, done, failed, cancelled or stopped (its process was ended).
        job: Who asked, when, what came of it; None where nobody has.
        place: How many are before it in the line, the one that runs among them.
        detail: What the command says it is doing; empty where it says nothing.
        share: How much is done, 0 to 1: of the time it usually takes, else as the command says; None where neither is known.
        usual_seconds: How long the same command took of late; None where it never did.
    """

    state: State | str
    job: Job | None = None
    place: int = 0
    detail: str = ""
    share: float | None = None
    usual_seconds: float | None = None

    @property
    def is_unfinished(self) -> bool:
        """Whether it waits or runs."""
        return self.state in job_files.UNFINISHED


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as the command printed it, of which release, and who asked for it."""

    content: Any
    job: Job


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks; `why_not` says in a sentence why they may not, and what to do about it."""

    name: str
    why_not: str | None = None


def question(served: Served, command: str, options: Sequence[tuple[str, str]] = (), *, depends_on: str = "") -> Question:
    """The question as it would be asked of the served release.

    Args:
        served: Of which release.
        command: One of `COMMANDS`.
        options: Name and value in order; "" is the value of a flag, and a name in capitals is an argument without a name.
        depends_on: What else the answer depends on, such as the newest version of every rule; another text is another question.

    Raises:
        ContractError: The command, an option or a value is none that may be asked. Nothing was started.
    """
    allowed = COMMANDS.get(command)
    if allowed is None:
        raise ContractError(f"{command!r} is nothing that pages ask.")
    for name, value in options:
        if name not in allowed or not re.fullmatch(allowed[name], value):
            raise ContractError(f"{value or name!r} cannot be asked as {name} of {command}: correct it and ask again.")
    named = [f"{name}={value}" if value else name for name, value in options if name.startswith("--")]
    argv = (*command.split(), "--json", *named, "--", *(value for name, value in options if not name.startswith("--")))
    settings = load_settings().model_dump(mode="json", include=set(_SETTINGS))
    release, what = served.release, [argv, version("ordercast"), settings, depends_on]
    return Question(_digest([release.release_id, *what]), _digest(what), command, argv, release.release_id, release.as_of_date)


def asker() -> Asker:
    """Who asks: a planner or more where the store knows operators, else whoever looks."""
    found, name = who_looks(), identity.current().actor
    if found.standing is not None and not found.standing.admins:
        return Asker(name)
    return Asker(name, acting(found).why_not)


def look(asked: Question) -> Progress:
    """What has become of the question. One that waits while nobody works gets a process; one whose process is gone is stopped."""
    folder = _folder()
    job = job_files.read(folder, asked.key)
    if job is None:
        return Progress("never", usual_seconds=_usual_seconds(folder, asked))
    is_worked_on = job_files.is_worked_on(folder)
    is_lost = job.state == "done" and not part(folder, job.key, "out").exists()
    if is_lost or (job.state == "running" and not is_worked_on):
        return Progress("stopped", replace(job, message=job_worker.STOPPED))
    if not job.is_unfinished:
        return Progress(job.state, job)
    if not is_worked_on:
        _start_working(folder)
    before = [one for one in job_files.read_all(folder) if one.is_unfinished and one.asked_at < job.asked_at]
    usual = _usual_seconds(folder, asked)
    detail, share = _progress(folder, job)
    if usual and job.seconds is not None:
        share = min(0.99, job.seconds / usual)
    return Progress(job.state, job, len(before) if job.state == "waiting" else 0, detail, share, usual)


def ask(asked: Question, by: Asker) -> None:
    """The question is in line, or its answer is there already.

    Raises:
        NotPermittedError: They may not ask. Nothing was started.
        ContractError: Too many wait already. Nothing was started.
    """
    if by.why_not is not None:
        raise NotPermittedError(by.why_not)
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    with job_files.table_lock(folder):
        known, is_worked_on = job_files.read_all(folder), job_files.is_worked_on(folder)
        same = next((job for job in known if job.key == asked.key), None)
        is_alive = same is not None and (same.state == "waiting" or (same.state == "running" and is_worked_on))
        is_there = same is not None and same.state == "done" and part(folder, asked.key, "out").exists()
        if not is_alive and not is_there:
            if sum(job.state == "waiting" for job in known) >= MOST_WAITING:
                raise ContractError(f"{MOST_WAITING} questions wait already: wait until one is answered, then ask again.")
            job_files.remove(folder, asked.key)
            job_files.write(
                folder,
                Job(asked.key, asked.same_key, asked.command, asked.argv, asked.release_id, asked.as_of_date, by.name, job_files.moment()),
            )
    if not is_worked_on:
        _start_working(folder)


def cancel(asked: Question, by: Asker) -> None:
    """The question waits no more; one that runs is ended within seconds.

    Raises:
        NotPermittedError: They may not ask either. Nothing was stopped.
    """
    if by.why_not is not None:
        raise NotPermittedError(by.why_not)
    folder = _folder()
    with job_files.table_lock(folder):
        job = job_files.read(folder, asked.key)
        if job is not None and job.state == "waiting":
            job_files.write(folder, job.finished("cancelled"))
        elif job is not None and job.state == "running":
            part(folder, job.key, "cancel").touch()


def answer(asked: Question) -> Answered | None:
    """The answer, where there is one."""
    job = job_files.read(_folder(), asked.key)
    return None if job is None or job.state != "done" else _read_answer(job)


def older_answer(asked: Question) -> Answered | None:
    """The newest answer to the same question, under the same settings, of another release; whoever shows it says so."""
    of_others = [
        job
        for job in job_files.read_all(_folder())
        if job.state == "done" and job.same_key == asked.same_key and job.release_id != asked.release_id
    ]
    newest = max(of_others, key=lambda job: job.finished_at or "", default=None)
    return None if newest is None else _read_answer(newest)


def answered(served: Served, command: str) -> list[Job]:
    """All questions of this command about the served release that have an answer, newest first: what a page can offer to show again."""
    found = [
        job for job in job_files.read_all(_folder())
        if job.command == command and job.state == "done" and job.release_id == served.release.release_id
    ]  # fmt: skip
    return sorted(found, key=lambda job: job.finished_at or "", reverse=True)


def options_of(job: Job | Question) -> dict[str, str]:
    """The named options that a question was asked with."""
    named = [text.partition("=") for text in job.argv if text.startswith("--") and text not in {"--", "--json"}]
    return {name: value for name, _, value in named}


def as_filters(job: Job | Question) -> dict[str, str]:
    """What an export says of how a question was asked; the values of an option that was named twice stand together."""
    named = [text.removeprefix("--").partition("=") for text in job.argv if text.startswith("--") and "=" in text]
    return {name: ", ".join(value for other, _, value in named if other == name) for name, _, _ in named}


def _digest(what: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def _read_answer(job: Job) -> Answered | None:
    try:
        return Answered(json.loads(part(_folder(), job.key, "out").read_bytes()), job)
    except (OSError, ValueError):
        return None


def _folder() -> Path:
    return load_settings().resolved_home / FOLDER


def _usual_seconds(folder: Path, asked: Question) -> float | None:
    """How long it took of late, with the same options if it ever had them, whatever their values."""
    names = set(options_of(asked))
    ended = [job for job in job_files.read_all(folder) if job.command == asked.command and job.state == "done" and job.seconds is not None]
    alike = [job for job in ended if set(options_of(job)) == names] or ended
    seconds = [job.seconds for job in sorted(alike, key=lambda job: job.finished_at or "")[-_LIKE_IT:] if job.seconds is not None]
    return median(seconds) if seconds else None


def _progress(folder: Path, job: Job) -> tuple[str, float | None]:
    """What the command said last of how far it is: "Replaying: 2026-03-01, 34 %"."""
    if job.state != "running":
        return "", None
    lines = job_files.said_last(part(folder, job.key, "err")).splitlines()
    found = next((match for line in reversed(lines) if (match := job_worker.PROGRESS.match(line.strip()))), None)
    return ("", None) if found is None else (found[0].rpartition(",")[0], int(found[1]) / 100)


def _start_working(folder: Path) -> None:
    """A process answers what waits; it outlives this one. Where one does already, the new one ends at once."""
    with (folder / "work.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - no shell, and nothing of what a person typed
            [sys.executable, "-m", "dashboards.job_worker", str(folder), *COMMAND_LINE],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=_environment(folder),
        )  # fmt: skip
    threading.Thread(target=process.wait, daemon=True).start()  # so that it does not stay behind as a zombie


def _environment(folder: Path) -> Mapping[str, str]:
    path = os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"ORDERCAST_HOME": str(folder.parent), "PYTHONPATH": path}
