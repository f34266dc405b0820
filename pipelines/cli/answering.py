"""Whether a process answers, asked with little: `python -m pipelines.cli.answering pages` is what health checks call all day long.

The whole command line would take more than a second of the processor each time, so only what a question needs is imported here.
"""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.errors import OrdercastError, UnavailableError
from pipelines.settings import load_settings

if TYPE_CHECKING:
    from pipelines.settings import Settings

PAGES_PORT: Final = 8501
WEB_PORT: Final = 3000
EXPORTER_PORT: Final = 9464
CODE_SOCKET: Final = "code.sock"
UNAVAILABLE: Final = 4
_ANSWER_SECONDS: Final = 4.0


class Process(StrEnum):
    """What `ordercast serve` starts."""

    code = "code"
    daemon = "daemon"
    web = "web"
    pages = "pages"
    exporter = "exporter"


_PLACES: Final = {
    Process.pages: (PAGES_PORT, "/_stcore/health"),
    Process.web: (WEB_PORT, "/server_info"),
    Process.exporter: (EXPORTER_PORT, "/"),  # there is nothing there, and saying so costs no look at the store
}


def ask(process: Process, settings: Settings, port: int | None = None) -> None:
    """The process answers.

    Raises:
        UnavailableError: It does not.
    """
    if process is Process.code:
        _ask_code(settings)
    elif process is Process.daemon:
        _ask_daemon(settings)
    else:
        usual, path = _PLACES[process]
        _ask_http(process, port or usual, path)


def _ask_http(process: Process, port: int, path: str) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": "localhost"})
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS):  # noqa: S310 - this machine
            return
    except urllib.error.HTTPError as exc:
        if exc.code < HTTPStatus.INTERNAL_SERVER_ERROR:
            return
        raise UnavailableError(f"{process} says {exc.code} on port {port}") from exc
    except OSError as exc:
        raise UnavailableError(f"{process} does not answer on port {port}: {exc}") from exc


def _ask_code(settings: Settings) -> None:
    import grpc  # type: ignore[import-untyped]  # noqa: PLC0415 - for this process alone
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # noqa: PLC0415 - the same

    socket = settings.resolved_home / "run" / CODE_SOCKET
    try:
        with grpc.insecure_channel(f"unix:{socket}") as channel:
            said = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=_ANSWER_SECONDS)
    except grpc.RpcError as exc:
        raise UnavailableError(f"{Process.code} does not answer at {socket}: {exc.code()}") from exc
    if said.status != health_pb2.HealthCheckResponse.SERVING:
        raise UnavailableError(f"{Process.code} says that it does not serve")


def _ask_daemon(settings: Settings) -> None:
    from pipelines.cli.running import prepare_dagster_home  # noqa: PLC0415 - for this process alone

    prepare_dagster_home(settings)
    program = str(Path(sys.executable).with_name("dagster-daemon"))
    asked = subprocess.run([program, "liveness-check"], check=False, capture_output=True, text=True)  # noqa: S603 - no shell, fixed program
    if asked.returncode:
        raise UnavailableError(f"{Process.daemon} does not answer: {asked.stdout.strip() or asked.stderr.strip()[-300:]}")


def main() -> None:
    """The exit code is 0 where the process named answers."""
    try:
        ask(Process(sys.argv[1]), load_settings())
    except OrdercastError as exc:
        sys.stderr.write(f"{exc}\n")
        sys.exit(UNAVAILABLE)


if __name__ == "__main__":
    main()
