"""Caddy with our file before two servers in the place of pages: what a browser gets over TLS, also while one of the two is gone."""

from __future__ import annotations

import http.client
import os
import shutil
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from typing import TYPE_CHECKING

import pytest

from pipelines.cli.serving import Ports, _proxy_command
from pipelines.settings import PROJECT_ROOT, Settings
from tests.dashboards.serving import free_port
from tests.deployment.running_platform import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CADDY = shutil.which("caddy")
needs_caddy = pytest.mark.skipif(
    CADDY is None and not os.environ.get("CI"), reason="No caddy on PATH: `make proxy` installs one. CI never skips this."
)
HEADERS = {
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Content-Security-Policy": "frame-ancestors 'none'; base-uri 'self'; object-src 'none'",
}


class Pages(BaseHTTPRequestHandler):
    """Says which of the two it is."""

    def do_GET(self) -> None:
        body = str(self.server.server_address[1]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_said: object) -> None:
        """Nothing is printed."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where the proxy listens, whose certificate it has, and the servers behind it by port."""

    port: int
    trusted: ssl.SSLContext
    behind: dict[int, ThreadingHTTPServer]

    def get(self, cookie: str = "") -> tuple[int, int, dict[str, str]]:
        """Status, which of the servers answered, and the headers."""
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=30, context=self.trusted)
        connection.request("GET", "/", headers={"Cookie": cookie} if cookie else {})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, int(body or 0), dict(answer.getheaders())


def _start(port: int) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", port), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _stop(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """The proxy serves, and has seen both servers."""
    port, plain, behind = free_port(), free_port(), {one.server_port: one for one in (_start(0), _start(0))}
    # As deploy/Caddyfile is, but for the port that plain HTTP is sent on from: 80 may be in use.
    text = (PROJECT_ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
    (tmp_path / "Caddyfile").write_text(text.replace("\tadmin off\n", f"\tadmin off\n\thttp_port {plain}\n"), encoding="utf-8")
    pages = " ".join(f"127.0.0.1:{one}" for one in behind)
    environment = {"HOME": str(tmp_path), "ORDERCAST_SITE": f"localhost:{port}", "ORDERCAST_PAGES": pages}
    command = [str(CADDY), "run", "--config", str(tmp_path / "Caddyfile")]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as caddy:
        try:
            root = tmp_path / ".local" / "share" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
            wait_for("the proxy's certificate", lambda: root.exists() or None, seconds=60)
            found = Served(port, ssl.create_default_context(cafile=str(root)), behind)
            wait_for("the proxy", lambda: found.get()[0] == 200 or None, seconds=60)
            yield found
        finally:
            caddy.terminate()
            for server in behind.values():
                _stop(server)


@needs_caddy
def test_a_browser_gets_every_header_that_protects_it_over_tls(served: Served) -> None:
    status, _, headers = served.get()

    assert status == 200
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert not {"Server", "X-Powered-By"} & headers.keys()


@needs_caddy
def test_whoever_was_with_the_one_that_ends_is_answered_by_the_other(served: Served) -> None:
    _, first, headers = served.get()
    cookie = headers["Set-Cookie"].partition(";")[0]
    stayed = {served.get(cookie)[1] for _ in range(5)}
    _stop(served.behind[first])
    until, answers = time.monotonic() + 8, []  # longer than the proxy takes to see it

    while time.monotonic() < until:
        answers.append(served.get(cookie)[:2])
        time.sleep(0.2)

    (other,) = served.behind.keys() - {first}
    assert stayed == {first}
    assert {status for status, _ in answers} == {200}
    assert {by for _, by in answers} == {other}


@needs_caddy
def test_the_proxy_of_the_supervisor_knows_none_of_our_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_STORE_URL", f"postgresql://ordercast:{token_urlsafe()}@localhost/shop")
    command = _proxy_command(Settings(home=tmp_path), Ports()).partition(f"{CADDY} run")[0]

    said = subprocess.run(["/bin/sh", "-c", f"{command} /usr/bin/env"], check=True, capture_output=True, text=True).stdout

    assert {line.partition("=")[0] for line in said.splitlines()} == {"HOME", "ORDERCAST_SITE", "ORDERCAST_PAGES"}
