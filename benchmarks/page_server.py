"""A Streamlit server of our own for measurements: started, watched and stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class PageServer:
    """A server that answers on a port."""

    port: int
    pid: int
    ready_seconds: float

    @property
    def cpu_seconds(self) -> float:
        """CPU time it has used up to now."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory_mb(self) -> float:
        """What it holds at this moment."""
        return self._megabytes("VmRSS")

    @property
    def peak_mb(self) -> float:
        """The most it ever held."""
        return self._megabytes("VmHWM")

    def _megabytes(self, name: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name)) / 1024


@contextmanager
def page_server(home: Path, *, log: Path, app: Path | None = None) -> Iterator[PageServer]:
    """The pages on this home folder, as `ordercast dashboards` serves them, or another app; until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    environment = os.environ | {"ORDERCAST_HOME": str(home), "ORDERCAST_OPERATOR": "root", "PYTHONPATH": str(ROOT)}
    ordercast = [str(Path(sys.executable).with_name("ordercast")), "dashboards", "--port", str(port)]
    command = [sys.executable, "-m", "streamlit", "run", str(app), "--server.port", str(port)] if app else ordercast
    started = time.perf_counter()
    with log.open("a") as output, subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output) as server:
        try:
            _wait_until_healthy(port)
            yield PageServer(port, server.pid, time.perf_counter() - started)
        finally:
            server.terminate()


def _wait_until_healthy(port: int) -> None:
    for _ in range(2_400):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise SystemExit("The server did not answer within 2 minutes; its log says why.")
