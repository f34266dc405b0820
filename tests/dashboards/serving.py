"""The app as people get it: served by its own process, looked at with a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("PLAYWRIGHT_BROWSERS_PATH", str(ROOT / ".venv" / "browsers"))  # where `make browser` puts one that needs no root


def _chromium() -> str | None:
    if found := next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None):
        return found
    with sync_playwright() as playwright:
        brought = playwright.chromium.executable_path
    return brought if Path(brought).exists() else None


CHROMIUM = _chromium()
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
needs_browser = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="No Chromium: `make browser` installs one. CI never skips this."
)
expect.set_options(timeout=30_000)  # a busy machine starts the first page slowly


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def served(home: Path, port: int, settings: Mapping[str, str]) -> Iterator[str]:
    """The address of the app on this home folder, served by `ordercast dashboards`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERCAST_")}
    environment |= {"ORDERCAST_HOME": str(home), "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])} | settings
    command = [sys.executable, "-m", "pipelines.cli.app", "dashboards", "--port", str(port)]
    with (home / "server.log").open("w") as log, subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/_stcore/health", home / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@contextmanager
def browsing(*, width: int = 1440, theme: Literal["light", "dark"] = "light") -> Iterator[BrowserContext]:
    """A fresh browser of a reader in another part of the world: days must not move with the reader's zone."""
    assert CHROMIUM is not None, "No Chromium; `make browser` installs one."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        context = browser.new_context(
            viewport={"width": width, "height": 900}, timezone_id="Asia/Tokyo", accept_downloads=True, color_scheme=theme,
        )  # fmt: skip
        context.set_default_timeout(30_000)
        yield context
        browser.close()


def settle(page: Page) -> None:
    """Returns once the page is drawn: its script has ended, no placeholder is left, and charts have stopped moving."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=60_000)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=60_000)
    expect(page.get_by_test_id("stSpinner")).to_have_count(0, timeout=60_000)
    page.wait_for_timeout(700)


def _wait_for(url: str, log: Path) -> None:
    for _ in range(120):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"{url} did not answer within a minute: {log.read_text()}")
