"""Receivers that tests deliver to: a web server and a mail server on this machine, which answer as they are told."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"  # of nobody


class HttpReceiver:
    """Answers requests with the statuses of `script` in turn and then with 200.

    In place of a status `cut` closes without an answer, `hang` answers nothing until the test is over, `drip` sends its answer so slowly
    that it never ends.
    """

    def __init__(self, script: Sequence[int | str] = ()) -> None:
        self.script = list(script)
        self.headers: dict[str, str] = {}
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.is_over = threading.Event()
        self.has_arrived = threading.Event()
        self.lock = threading.Lock()
        self.url = ""

    @property
    def keys(self) -> list[str]:
        """The id of every request, in the order they came."""
        return [headers["webhook-id"] for headers, _ in self.requests]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        with self.lock:
            self.requests.append(({name.lower(): value for name, value in handler.headers.items()}, body))
            answer = self.script.pop(0) if self.script else 200
        self.has_arrived.set()
        if answer == "hang":
            self.is_over.wait(60)
        elif answer == "drip":
            while not self.is_over.wait(0.05):
                handler.wfile.write(b"H")
                handler.wfile.flush()
        elif answer != "cut":
            handler.send_response(int(answer))
            for name, value in self.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_args: object) -> None:
        """A client that went away is no error of the test."""


@contextmanager
def http_receiver(script: Sequence[int | str] = (), *, tls: ssl.SSLContext | None = None) -> Iterator[HttpReceiver]:
    """A web server on a port of its own."""
    receiver = HttpReceiver(script)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.answer(self)

        def log_message(self, *_args: object) -> None:
            """Nothing is printed."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        receiver.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}/drafts?shop=1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.is_over.set()
            server.shutdown()
            thread.join()


class MailReceiver:
    """Takes mails, or answers RCPT and DATA as told; `cut` closes after the content, `hang` says nothing."""

    def __init__(self) -> None:
        self.rcpt = "250 OK"
        self.data = "250 OK"
        self.mails: list[tuple[str, list[str], bytes, bool]] = []
        self.port = 0

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if self.rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - names that aiosmtpd calls
        self.mails.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content, session.ssl is not None))
        if self.data == "cut":
            server.transport.abort()
        if self.data == "hang":
            await asyncio.Event().wait()
        return self.data


@contextmanager
def mail_receiver(*, tls: ssl.SSLContext | None = None) -> Iterator[MailReceiver]:
    """A mail server on a port of its own, with STARTTLS required where a context is given."""
    receiver = MailReceiver()

    class OnFreePort(Controller):
        def factory(self) -> SMTP:
            return SMTP(receiver, tls_context=tls, require_starttls=tls is not None, loop=self.loop)

        def _trigger_server(self) -> None:
            self.port = self.server.sockets[0].getsockname()[1]
            super()._trigger_server()

    controller = OnFreePort(receiver, hostname="127.0.0.1", port=0)
    controller.start()
    receiver.port = controller.port
    try:
        yield receiver
    finally:
        controller.stop()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port of this machine on which nobody listens, and which nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
