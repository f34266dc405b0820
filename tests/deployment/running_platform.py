"""The platform as a merchant has it: `ordercast serve` in a process group of its own, and what a person can do to it from outside."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pipelines.settings import PROJECT_ROOT
from tests.dashboards.serving import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Found = TypeVar("Found")
ALWAYS: Final = ("code", "daemon", "web", "pages", "exporter")
_PATIENCE: Final = 900.0  # seconds; on a machine with much other work a run waits for minutes before its first step
_WORKER: Final = re.compile(r"Executing steps in process \(pid: (\d+)\)")
_ENDED: Final = {"SUCCESS", "FAILURE", "CANCELED"}


@dataclass(frozen=True, slots=True)
class Platform:
    """What runs: its home folder, the environment of its commands, and the ports of pages (the next one for their successors) and web."""

    home: Path
    environment: Mapping[str, str]
    pages_port: int
    web_port: int
    exporter_port: int

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """What Dagster's web server answers to GraphQL."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.web_port}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            said: dict[str, Any] = json.load(answer)
        assert "errors" not in said, said
        return said["data"]  # type: ignore[no-any-return]

    def repository(self) -> dict[str, str] | None:
        """How Dagster calls the place of our jobs; None while it does not know them."""
        said = self.ask("{repositoriesOrError {... on RepositoryConnection {nodes {name location {name}}}}}")["repositoriesOrError"]
        for node in said.get("nodes", ()):
            return {"repositoryName": node["name"], "repositoryLocationName": node["location"]["name"]}
        return None

    def launch(self, job: str) -> str:
        """The id of a run that was asked for, as a click on Launch asks."""
        place = wait_for("Dagster's knowing our jobs", self.repository)
        said = self.ask(
            "mutation($how: ExecutionParams!) {launchRun(executionParams: $how) {__typename ... on LaunchRunSuccess {run {runId}} "
            "... on PythonError {message}}}",
            how={"selector": place | {"jobName": job}, "runConfigData": _config(job), "mode": "default"},
        )["launchRun"]
        assert said["__typename"] == "LaunchRunSuccess", said
        return str(said["run"]["runId"])

    def status(self, run_id: str) -> str:
        """How far a run is, in Dagster's words."""
        return str(self.ask("query($id: ID!) {runOrError(runId: $id) {... on Run {status}}}", id=run_id)["runOrError"]["status"])

    def ended(self, run_id: str) -> str:
        """How a run ended, once it has."""
        return wait_for(f"the end of run {run_id}", lambda: one if (one := self.status(run_id)) in _ENDED else None)

    def repeated(self, run_id: str) -> str | None:
        """The id of the run that Dagster has started in the place of one that was killed; None before."""
        said = self.ask("{runsOrError(limit: 100) {... on Runs {results {runId parentRunId}}}}")["runsOrError"]["results"]
        return next((str(one["runId"]) for one in said if one["parentRunId"] == run_id), None)

    def rests(self) -> None:
        """Returns once no run goes on or waits."""
        wait_for("the end of all runs", lambda: {run["status"] for run in self.runs()} <= _ENDED or None)

    def runs(self) -> list[dict[str, Any]]:
        """All runs, the newest first: runId, jobName, status, startTime and endTime (seconds since 1970)."""
        said = self.ask("{runsOrError(limit: 500) {... on Runs {results {runId jobName status startTime endTime}}}}")
        return list(said["runsOrError"]["results"])

    def steps(self, run_id: str) -> dict[str, str]:
        """The state of each step of a run that has begun."""
        said = self.ask("query($id: ID!) {runOrError(runId: $id) {... on Run {stepStats {stepKey status}}}}", id=run_id)["runOrError"]
        return {one["stepKey"]: one["status"] for one in said["stepStats"]}

    def switch_off_schedules(self) -> None:
        """The clock on the wall starts no run."""
        said = self.ask(
            "query($where: RepositorySelector!) {schedulesOrError(repositorySelector: $where) {... on Schedules "
            "{results {name scheduleState {id status}}}}}",
            where=wait_for("Dagster's knowing our jobs", self.repository),
        )["schedulesOrError"]["results"]
        assert {one["name"] for one in said} >= {"daily", "weekly_backtest"}
        for one in said:
            self.ask("mutation($id: String!) {stopRunningSchedule(id: $id) {__typename}}", id=one["scheduleState"]["id"])

    def supervisor(self, *arguments: str) -> str:
        """What supervisorctl prints."""
        command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisorctl", "-c", str(self.home / "run" / "supervisord.conf")]
        return subprocess.run([*command, *arguments], check=False, capture_output=True, text=True).stdout

    def process_id(self, name: str) -> int:
        """Under which id a process of the supervisor runs now."""
        return int(self.supervisor("pid", name))

    def worker(self, run_id: str) -> int | None:
        """The process that a run's steps are in; None before the first."""
        said = self.ask(
            "query($id: ID!) {runOrError(runId: $id) {... on Run {eventConnection {events {... on MessageEvent {message}}}}}}", id=run_id
        )["runOrError"]
        found = [_WORKER.search(one.get("message") or "") for one in said["eventConnection"]["events"]]
        return next((int(one[1]) for one in found if one), None)

    def starts(self) -> dict[str, int]:
        """How often the supervisor has started each process."""
        said = (self.home / "logs" / "processes" / "supervisord.log").read_text(encoding="utf-8")
        return {name: said.count(f"spawned: '{name}'") for name in (*ALWAYS, "pages-next")}

    def says_healthy(self, process: str) -> bool:
        """Whether `ordercast healthy` says that a process answers."""
        command = [sys.executable, "-W", "ignore", "-m", "pipelines.cli.app", "healthy", process]
        return subprocess.run(command, check=False, cwd=PROJECT_ROOT, env=dict(self.environment), capture_output=True).returncode == 0

    def is_answered(self, port: int, path: str) -> bool:
        """Whether a GET brings 200."""
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": "localhost"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status) == 200
        except OSError:
            return False

    @contextmanager
    def little_room(self, size: int) -> Iterator[None]:
        """No file that a run writes can grow past so many bytes: runs descend from the code server and have its limits."""
        code = self.process_id("code")
        unlimited = resource.prlimit(code, resource.RLIMIT_FSIZE)
        _limit(code, (size, unlimited[1]))
        try:
            yield
        finally:
            _limit(code, unlimited)


@dataclass(slots=True)
class Watch:
    """Looks at the pages all the time, and keeps what was not answered with 200; also a context manager."""

    platform: Platform
    looks: int = 0
    missed: list[tuple[float, str]] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._is_over.set()
        assert self._thread is not None
        self._thread.join()

    def _look(self) -> None:
        """Either port will do, as for the proxy, which goes to the other where one does not answer."""
        while not self._is_over.wait(0.25):
            for path in ("/_stcore/health", "/"):
                self.looks += 1
                ports = (self.platform.pages_port, self.platform.pages_port + 1)
                if not any(self.platform.is_answered(port, path) for port in ports):
                    self.missed.append((time.time(), path))


@contextmanager
def running(home: Path, environment: Mapping[str, str]) -> Iterator[Platform]:
    """All processes of `ordercast serve` run and answer; none is left afterwards, whatever happens."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ORDERCAST_", "PYTEST_"))}
    paths = os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")]))
    own = clean | {"PYTHONPATH": paths} | dict(environment) | {"ORDERCAST_HOME": str(home)}
    platform = Platform(home, own, _two_free_ports(), free_port(), free_port())
    ports = [
        "--pages-port", str(platform.pages_port), "--web-port", str(platform.web_port), "--exporter-port", str(platform.exporter_port),
    ]  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-m", "pipelines.cli.app", "serve", *ports]
    with (home / "serve.log").open("w") as log:
        served = subprocess.Popen(command, cwd=PROJECT_ROOT, env=own, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for("all processes", lambda: _are_up(platform, served) or None)
            yield platform
        finally:
            _end(served, home)


def wait_for(what: str, look: Callable[[], Found | None], *, seconds: float = _PATIENCE) -> Found:
    """What `look` finds, as soon as it finds something."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError):
            if (found := look()) is not None:
                return found
        time.sleep(0.25)
    raise AssertionError(f"Waited {seconds:.0f} s in vain for {what}")


def family(process_id: int) -> list[int]:
    """A process and all that descend from it."""
    return [process_id, *(one for child in _children(process_id) for one in family(child))]


def _limit(process_id: int, room: tuple[int, int]) -> None:
    for one in family(process_id):
        with suppress(ProcessLookupError):  # it has ended meanwhile
            resource.prlimit(one, resource.RLIMIT_FSIZE, room)


def _are_up(platform: Platform, served: subprocess.Popen[bytes]) -> bool:
    assert served.poll() is None, (platform.home / "serve.log").read_text(encoding="utf-8")
    answer = [(platform.pages_port, "/_stcore/health"), (platform.web_port, "/server_info"), (platform.exporter_port, "/metrics")]
    return all(platform.is_answered(*one) for one in answer) and platform.repository() is not None


def _end(served: subprocess.Popen[bytes], home: Path) -> None:
    """The supervisor stops what it started; what does not stop, or was started by what did not, is killed."""
    known = {one: _started_at(one) for one in family(served.pid)}
    served.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        served.wait(60)
    for process_id, started_at in known.items():
        if started_at is not None and _started_at(process_id) == started_at:
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
    served.wait()


def _config(job: str) -> dict[str, Any]:
    return {"ops": {"ingest": {"config": {"is_refresh": True}}}} if job == "refresh" else {}


def _two_free_ports() -> int:
    """A port that is free, and so is the next."""
    while True:
        first = free_port()
        with suppress(OSError), socket.socket() as second:
            second.bind(("127.0.0.1", first + 1))
            return first


def _children(process_id: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{process_id}/task").iterdir())
        return [int(one) for task in tasks for one in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _started_at(process_id: int) -> str | None:
    """When it was started, by the kernel's count: an id may be given again."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return None
