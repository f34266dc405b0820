"""An advisory service on this machine that knows what a test tells it, in the form of OSV's answers."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The sandbox of Jinja could be left through str.format; published in 2019.
JINJA_ADVISORY: dict[str, Any] = {
    "id": "GHSA-hj2j-77xm-mc5v",
    "aliases": ["CVE-2016-10745"],
    "summary": "Jinja2 sandbox escape via string formatting",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.8.1"}]}],
        }
    ],
}


@contextmanager
def advisory_service(known: Mapping[str, dict[str, Any] | int]) -> Iterator[str]:
    """The address of a service that knows these advisories by "name==version"; a number is the status it answers with."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = known.get(f"{asked['package']['name']}=={asked['version']}", {})
            body = json.dumps({"vulns": [answer]} if isinstance(answer, dict) and answer else {}).encode()
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_said: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()
