"""What health checks ask: with little, and told apart from silence."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from pipelines.cli.answering import CODE_SOCKET, Process, ask
from pipelines.errors import UnavailableError
from pipelines.settings import PROJECT_ROOT, Settings
from tests.dashboards.serving import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def answering_with(status: int) -> Iterator[int]:
    """The port of a server that says this to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_said: object) -> None:
            """Nothing is printed."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(
    ("process", "status"), [(Process.pages, 200), (Process.web, 200), (Process.exporter, 404), (Process.exporter, 401)]
)
def test_a_process_that_says_something_answers(process: Process, status: int, tmp_path: Path) -> None:
    with answering_with(status) as port:
        ask(process, Settings(home=tmp_path), port)


def test_a_process_that_is_not_ready_or_not_there_does_not_answer(tmp_path: Path) -> None:
    with answering_with(503) as port, pytest.raises(UnavailableError, match="pages says 503"):
        ask(Process.pages, Settings(home=tmp_path), port)
    with pytest.raises(UnavailableError, match="web does not answer on port"):
        ask(Process.web, Settings(home=tmp_path), free_port())


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Not below pytest's own folder: a socket's path may have about a hundred characters."""
    with tempfile.TemporaryDirectory(prefix="ordercast-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("status", ["SERVING", "NOT_SERVING"])
def test_the_code_server_is_asked_at_its_socket(status: str, short_path: Path) -> None:
    settings = Settings(home=short_path)
    (short_path / "run").mkdir()
    server, servicer = grpc.server(ThreadPoolExecutor(1)), health.HealthServicer()
    servicer.set("DagsterApi", health_pb2.HealthCheckResponse.ServingStatus.Value(status))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix:{short_path / 'run' / CODE_SOCKET}")

    with pytest.raises(UnavailableError, match="code does not answer at"):
        ask(Process.code, settings)
    server.start()
    if status == "SERVING":
        ask(Process.code, settings)
    else:
        with pytest.raises(UnavailableError, match="does not serve"):
            ask(Process.code, settings)
    server.stop(None).wait()


def test_a_health_check_loads_neither_the_command_line_nor_dagster() -> None:
    look = (
        "import sys, pipelines.cli.answering as one; print(sorted({'typer', 'dagster', 'duckdb', 'polars', 'sqlalchemy'} & {*sys.modules}))"
    )

    said = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True, cwd=PROJECT_ROOT)

    assert said.stdout.strip() == "[]"
