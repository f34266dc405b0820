"""`ordercast serve --take-over`: this version's processes take the place of a running platform's, and pages answer all the time."""

from __future__ import annotations

import configparser
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from rich.console import Console

from pipelines.cli.answering import Process, ask
from pipelines.errors import ContractError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.settings import Settings

_PATIENCE_SECONDS: Final = 300
_OTHERS: Final = ("code", "web", "daemon", "exporter")


def runs_already(run: Path) -> bool:
    """Whether a supervisor answers for the home folder that this `run` is part of."""
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(str(run / "supervisor.sock"))
        except OSError:
            return False
    return True


def require_same_places(before: Path, config: configparser.RawConfigParser) -> None:
    """The proxy that goes on will find the new pages.

    Raises:
        ContractError: What runs was started with other options. Nothing was changed.
    """
    running = configparser.RawConfigParser()
    running.read(before, encoding="utf-8")
    for name in ("pages", "proxy"):
        there, wanted = f"program:{name}" in running, f"program:{name}" in config
        if there != wanted or (name == "pages" and there and _port(running) != _port(config)):
            raise ContractError(
                f"Nothing was changed: the running platform has another {name}. Say the options that it was started with "
                "(--proxy, --pages-port) and --take-over."
            )


def take_over(config: Path, settings: Settings, *, pages_port: int) -> None:
    """Every process but the supervisor and the proxy runs as this configuration says; new pages answered before old ones ended.

    Args:
        config: The supervisor's new configuration, written already.
        settings: Name the home folder.
        pages_port: Of `pages`; `pages-next` has the next.

    Raises:
        UnavailableError: New pages did not answer; the old ones still do, and nothing else was replaced.
    """
    console = Console()
    _control(config, "reread")
    for name, port in (("pages-next", pages_port + 1), ("pages", pages_port)):
        _replace(config, name)
        _wait_for_pages(config, settings, name, port)
        console.print(f"{name} answer on port {port}.", highlight=False)
    _control(config, "stop", "pages-next")
    for name in _OTHERS:
        _replace(config, name)
        console.print(f"{name} was replaced.")


def _port(config: configparser.RawConfigParser) -> str:
    return config["program:pages"]["command"].rpartition("--port ")[2]


def _replace(config: Path, name: str) -> None:
    _control(config, "stop", name)
    _control(config, "update", name)  # the new command, where it is another
    _control(config, "start", name)


def _wait_for_pages(config: Path, settings: Settings, name: str, port: int) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        with suppress(UnavailableError):
            ask(Process.pages, settings, port)
            return
        time.sleep(0.5)
    _control(config, "stop", name)
    other = "pages" if name == "pages-next" else "pages-next"
    raise UnavailableError(
        f"{name} did not answer on port {port} within {_PATIENCE_SECONDS} s and were stopped; {other} go on, and nothing after them "
        f"was replaced. {settings.logs_path / 'processes' / name}.log says why."
    )


def _control(config: Path, *arguments: str) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisorctl", "-c", str(config), *arguments]
    subprocess.run(command, check=False, capture_output=True, timeout=_PATIENCE_SECONDS)  # noqa: S603 - no shell, fixed words
