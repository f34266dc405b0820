from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dashboards import job_files, job_worker, jobs
from dashboards.jobs import Asker, Progress, Question
from dashboards.queries.releases import Served
from pipelines.cli import display
from pipelines.errors import ContractError, NotPermittedError
from pipelines.stores.releases import Release
from pipelines.stores.warehouse import RunContext

SOMEBODY = Asker("maria")
# Answers what it was called with, once the file go is there; a file of the option's name says how to end instead.
COMMAND = """
import getpass, json, os, sys, time
from pathlib import Path
home = Path(os.environ["ORDERCAST_HOME"])
print("What if: as it is, 40 %", file=sys.stderr, flush=True)
(home / "pid").write_text(str(os.getpid()))
with (home / "begun").open("a") as begun:
    begun.write(" ".join(sys.argv[1:]) + chr(10))
while not (home / "go").exists():
    time.sleep(0.02)
if (home / "fail").exists():
    print((home / "fail").read_text(), file=sys.stderr)
    sys.exit(3)
print(json.dumps({"release_id": (home / "releases" / "CURRENT").read_text(), "nice": os.nice(0), "argv": sys.argv[1:],
                  "user": getpass.getuser()}))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home whose command line is a fake; what it started ends with the test."""
    (tmp_path / "command.py").write_text(COMMAND, encoding="utf-8")
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases" / "CURRENT").write_text("r1", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path))
    monkeypatch.setattr(jobs, "COMMAND_LINE", (sys.executable, str(tmp_path / "command.py")))
    yield tmp_path
    (tmp_path / "go").touch()
    until(lambda: not job_files.is_worked_on(tmp_path / job_files.FOLDER))


def served(release_id: str = "r1") -> Served:
    release = Release(release_id, "2026-11-20", "2026-11-21T05:00:00+00:00", "1", "h", 0, 1, 1, {}, "", Path(f"{release_id}.duckdb"))
    return Served(release, RunContext("run", date(2026, 11, 20), "UTC", "EUR", "Merchant", "run"))


def what_if(demand: str = "+20%", release_id: str = "r1") -> Question:
    return jobs.question(served(release_id), "what-if", [("--demand", demand)])


def until(is_so: Callable[[], Any], *, seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.03)


def until_ended(asked: Question) -> Progress:
    until(lambda: not jobs.look(asked).is_unfinished)
    return jobs.look(asked)


def test_an_answer_stays_for_everybody_who_asks_the_same(home: Path) -> None:
    (home / "go").touch()
    jobs.ask(what_if(), SOMEBODY)
    until_ended(what_if())

    jobs.ask(what_if(), Asker("tom"))

    found = jobs.answer(what_if())
    assert found is not None
    assert found.job.asked_by == "maria"
    assert found.content["argv"] == ["what-if", "--json", "--demand=+20%", "--"]
    assert found.content["user"] == "maria"
    assert found.content["nice"] == os.nice(0) + job_worker.NICE
    assert (home / "begun").read_text(encoding="utf-8").count("what-if") == 1
    assert [job.key for job in jobs.answered(served(), "what-if")] == [what_if().key]


def test_one_is_worked_out_at_a_time_and_the_next_says_how_many_are_before_it(home: Path) -> None:
    jobs.ask(what_if("+10%"), SOMEBODY)
    jobs.ask(what_if("+20%"), SOMEBODY)
    until(lambda: jobs.look(what_if("+10%")).share is not None)

    first, second = jobs.look(what_if("+10%")), jobs.look(what_if("+20%"))

    assert (first.state, first.detail, first.share) == ("running", "What if: as it is", 0.4)
    assert (second.state, second.place) == ("waiting", 1)
    (home / "go").touch()
    assert until_ended(what_if("+20%")).state == "done"
    assert until_ended(what_if("+10%")).usual_seconds is None


def test_what_is_cancelled_ends_and_can_be_asked_again(home: Path) -> None:
    jobs.ask(what_if(), SOMEBODY)
    jobs.ask(what_if("-5%"), SOMEBODY)
    until((home / "pid").exists)

    jobs.cancel(what_if(), SOMEBODY)
    jobs.cancel(what_if("-5%"), SOMEBODY)

    assert until_ended(what_if()).state == "cancelled"
    assert jobs.look(what_if("-5%")).state == "cancelled"
    (home / "go").touch()
    jobs.ask(what_if(), SOMEBODY)
    assert until_ended(what_if()).state == "done"


def test_a_refusal_of_the_command_is_its_own_sentence(home: Path) -> None:
    (home / "go").touch()
    (home / "fail").write_text("There is no supplier 'SUP-99'; did you mean SUP-09?", encoding="utf-8")

    jobs.ask(what_if(), SOMEBODY)

    ended = until_ended(what_if())
    assert ended.job is not None
    assert (ended.state, ended.job.message) == ("failed", "There is no supplier 'SUP-99'; did you mean SUP-09?")
    assert jobs.answer(what_if()) is None


def test_a_killed_process_is_recognised_and_the_line_goes_on_after_the_next_look(home: Path) -> None:
    jobs.ask(what_if("+10%"), SOMEBODY)
    jobs.ask(what_if("+20%"), SOMEBODY)
    until(lambda: (home / "pid").exists() and (home / "pid").read_text(encoding="utf-8"))
    command = int((home / "pid").read_text(encoding="utf-8"))

    os.killpg(os.getpgid(command), signal.SIGKILL)

    until(lambda: jobs.look(what_if("+10%")).state == "stopped")
    (home / "go").touch()
    assert until_ended(what_if("+20%")).state == "done"
    jobs.ask(what_if("+10%"), SOMEBODY)
    assert until_ended(what_if("+10%")).state == "done"


def test_a_command_that_the_system_ends_says_so(home: Path) -> None:
    jobs.ask(what_if(), SOMEBODY)
    until(lambda: (home / "pid").exists() and (home / "pid").read_text(encoding="utf-8"))

    os.kill(int((home / "pid").read_text(encoding="utf-8")), signal.SIGKILL)

    ended = until_ended(what_if())
    assert ended.job is not None
    assert ended.job.message == "It was ended by the system (signal 9), perhaps for want of memory. Ask again, or for less."


def test_an_answer_of_another_release_is_offered_as_such_and_never_as_the_answer(home: Path) -> None:
    (home / "go").touch()
    jobs.ask(what_if(), SOMEBODY)
    until_ended(what_if())
    (home / "releases" / "CURRENT").write_text("r2", encoding="utf-8")

    asked_anew = what_if(release_id="r2")

    assert jobs.look(asked_anew).state == "never"
    assert jobs.answer(asked_anew) is None
    older = jobs.older_answer(asked_anew)
    assert older is not None
    assert older.job.release_id == "r1"
    jobs.ask(what_if("+7%"), SOMEBODY)  # of r1, which is served no more
    assert until_ended(what_if("+7%")).state == "failed"


def test_an_older_answer_under_another_budget_or_other_rules_is_no_answer_to_the_question(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "go").touch()
    jobs.ask(what_if(), SOMEBODY)
    until_ended(what_if())

    monkeypatch.setenv("ORDERCAST_BUDGET_AMOUNT", "40000")
    of_another_budget = what_if(release_id="r2")
    monkeypatch.delenv("ORDERCAST_BUDGET_AMOUNT")
    of_other_rules = jobs.question(served("r2"), "what-if", [("--demand", "+20%")], depends_on="rule/2")

    assert jobs.older_answer(of_another_budget) is None
    assert jobs.older_answer(of_other_rules) is None
    assert jobs.older_answer(what_if(release_id="r2")) is not None


def test_who_may_not_decide_starts_and_stops_nothing(home: Path) -> None:
    viewer = Asker("vera", "Read-only: vera is a viewer.")

    with pytest.raises(NotPermittedError, match="viewer"):
        jobs.ask(what_if(), viewer)
    with pytest.raises(NotPermittedError, match="viewer"):
        jobs.cancel(what_if(), viewer)

    assert jobs.look(what_if()).state == "never"


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("run", []),
        ("what-if", [("--demand", "+20%; rm -rf /")]),
        ("what-if", [("--output", "/etc/passwd")]),
        ("replay", [("--sku", "a\nb")]),
        ("rules preview", [("--for", "category")]),
        ("what-if", [("NAME", "--help")]),
    ],
)
def test_what_is_not_on_the_list_is_refused(home: Path, command: str, options: list[tuple[str, str]]) -> None:
    with pytest.raises(ContractError):
        jobs.question(served(), command, options)


def test_a_value_is_never_taken_for_an_option(home: Path) -> None:
    asked = jobs.question(served(), "rules preview", [("--orders", ""), ("--for", "category=--reason"), ("NAME", "--yes")])

    assert asked.argv == ("rules", "preview", "--json", "--orders", "--for=category=--reason", "--", "--yes")


def test_an_export_says_every_option_that_an_answer_was_asked_with(home: Path) -> None:
    asked = jobs.question(served(), "rules preview", [("--for", "category=Tea"), ("--for", "abc=A"), ("--orders", ""), ("NAME", "tea")])

    assert jobs.as_filters(asked) == {"for": "category=Tea, abc=A"}


def test_another_setting_or_rule_is_another_question(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = what_if()
    with_rule = jobs.question(served(), "what-if", [("--demand", "+20%")], depends_on="a-steady 2")

    monkeypatch.setenv("ORDERCAST_SERVICE_LEVEL", "0.9")

    assert len({before.key, with_rule.key, what_if().key}) == 3


def test_only_so_many_answers_are_kept(home: Path) -> None:
    folder = home / job_files.FOLDER
    folder.mkdir()
    for number in range(job_files.KEPT + 3):
        job = job_files.Job(
            f"k{number:03}", "s", "what-if", ("what-if",), "r0", "2026-11-01", "maria", f"2026-11-01T00:00:{number:03}", "done"
        )
        job_files.write(folder, replace(job, finished_at=job.asked_at))

    job_files.prune(folder)

    assert [job.key for job in job_files.read_all(folder)] == [f"k{number:03}" for number in range(3, job_files.KEPT + 3)]


def test_a_line_that_is_too_long_takes_no_more(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST_WAITING", 1)
    monkeypatch.setattr(jobs, "_start_working", lambda folder: None)
    jobs.ask(what_if("+10%"), SOMEBODY)

    with pytest.raises(ContractError, match="wait already"):
        jobs.ask(what_if("+20%"), SOMEBODY)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("Replaying: 2026-03-01, 34 %\nNothing to replay: no item has a list price.\n", "Nothing to replay: no item has a list price."),
        (
            "Usage: ordercast what-if [OPTIONS]\nTry 'ordercast what-if -h' for help.\n"
            "╭─ Error ──────╮\n│ Invalid value: --lead-time is a number. │\n╰──────────────╯\n",
            "Invalid value: --lead-time is a number.",
        ),
        ("Traceback (most recent call last):\n  File ...\nKeyError: 'sku'\n", "The command broke off (exit code 3): KeyError: 'sku'. Please report this."),
        ("", "The command ended with exit code 3 and says nothing of why."),
    ],
)  # fmt: skip
def test_what_a_failed_command_says_becomes_a_sentence(said: str, sentence: str) -> None:
    assert job_worker.error_sentence(said, 3) == sentence


def test_what_the_command_line_writes_where_there_is_no_terminal_is_read_as_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "QUIET_SECONDS", 0.0)
    written = io.StringIO()

    with display.progress_bar(Console(file=written), "Replaying") as report:
        report("2026-03-01", 0.34)

    found = job_worker.PROGRESS.match(written.getvalue().splitlines()[0])
    assert found is not None
    assert found[1] == "34"
