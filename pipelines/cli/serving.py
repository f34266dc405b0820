"""`ordercast serve` and `ordercast healthy`: all processes under one supervisor, and whether each of them answers."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer
from dotenv import dotenv_values
from rich.console import Console

from pipelines.cli.answering import CODE_SOCKET, EXPORTER_PORT, PAGES_PORT, WEB_PORT, Process, ask
from pipelines.cli.running import prepare_dagster_home
from pipelines.cli.taking_over import require_same_places, runs_already, take_over
from pipelines.errors import ContractError, SettingsError, UnavailableError
from pipelines.setting_sources import FILE_VARIABLE, SECRETS_VARIABLE, config_file, secrets_folder
from pipelines.settings import PREFIX, PROJECT_ROOT, Settings, load_settings
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONFIG: Final = "supervisord.conf"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where on this machine each process is reached; `pages-next` has the port after that of `pages`."""

    pages: int = PAGES_PORT
    web: int = WEB_PORT
    exporter: int = EXPORTER_PORT


_USUAL: Final = Ports()


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    app.command("serve")(serve)
    app.command("healthy")(healthy)


def serve(  # noqa: PLR0917 - options by name
    proxy: Annotated[bool, typer.Option("--proxy", help="Put Caddy with TLS before the pages; people have to sign in.")] = False,
    taken_over: Annotated[
        bool, typer.Option("--take-over", help="Replace the processes of the platform that runs, without a moment without pages.")
    ] = False,
    only_write: Annotated[bool, typer.Option("--write-config", help="Write the supervisor's configuration and start nothing.")] = False,
    pages_port: Annotated[int, typer.Option(help="Port of the pages; the next one is for those that replace them.")] = PAGES_PORT,
    web_port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = WEB_PORT,
    exporter_port: Annotated[int, typer.Option(help="Port of the figures for Prometheus.")] = EXPORTER_PORT,
) -> None:
    """Start Dagster, the pages and the exporter as they are at a merchant, start again what ends, and stop all with Ctrl-C.

    The tables are brought to their newest version first; schedules and the change sensor are on. Everything listens on this machine only,
    and with --proxy Caddy is before the pages. Output of the processes stands in logs/processes of the home folder, and
    `supervisorctl -c HOME/run/supervisord.conf status` shows them. With --take-over, said with the options that it was started with, the
    running platform goes on with this program's processes in the place of its own.

    Examples: [b]ordercast serve[/b] | [b]ordercast serve --proxy[/b] | [b]ordercast serve --proxy --take-over[/b]
    """
    settings = load_settings()
    run = settings.resolved_home / "run"
    _require_startable(settings, with_proxy=proxy)
    _require_running(run, is_wanted=taken_over)
    config = supervisor_config(settings, with_proxy=proxy, ports=Ports(pages_port, web_port, exporter_port))
    path = run / _CONFIG
    if taken_over:
        require_same_places(path, config)
    if not only_write:
        with OperationalStore.open(settings.resolved_store_url) as store:
            store.migrate()
        prepare_dagster_home(settings)
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    (settings.logs_path / "processes").mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        config.write(stream)
    if only_write:
        Console().print(str(path), soft_wrap=True, highlight=False)
    elif taken_over:
        take_over(path, settings, pages_port=pages_port)
    else:
        _make_dagster_storage()
        (run / CODE_SOCKET).unlink(missing_ok=True)
        _become_supervisor(settings, path)


def _require_startable(settings: Settings, *, with_proxy: bool) -> None:
    if with_proxy and not settings.has_sign_in:
        raise SettingsError(
            "Nothing was started: behind the proxy everybody could see and decide. "
            "Configure sign-in (ORDERCAST_OIDC_*) or leave --proxy out."
        )
    if with_proxy and shutil.which("caddy") is None:
        raise ContractError("Nothing was started: there is no caddy on PATH; install it (Debian: apt install caddy) or leave --proxy out.")


def _require_running(run: Path, *, is_wanted: bool) -> None:
    if runs_already(run) and not is_wanted:
        raise ContractError(
            f"Nothing was changed: this platform runs already (`supervisorctl -c {run / _CONFIG} status`). "
            "End it first, or say --take-over to put the processes of this program in the place of its own."
        )
    if is_wanted and not runs_already(run):
        raise ContractError(f"Nothing was changed: no platform runs in {run.parent} that could be taken over. Leave --take-over out.")


def _make_dagster_storage() -> None:
    """What Dagster keeps is there. Processes that make it at the same moment each note its version, and then none can read it any more."""
    command = [sys.executable, "-W", "ignore", "-m", "dagster", "instance", "info"]
    made = subprocess.run(command, check=False, capture_output=True, text=True, cwd=PROJECT_ROOT)  # noqa: S603 - no shell, fixed words
    if made.returncode:
        raise UnavailableError(f"Nothing was started: Dagster's storage cannot be opened: {made.stderr.strip()[-300:]}")


def _become_supervisor(settings: Settings, config: Path) -> None:
    """What has no file of its own goes along in the environment; each process reads the files of settings anew when it starts."""
    for name, value in dotenv_values(".env").items():
        if name.upper().startswith(PREFIX) and value is not None:
            os.environ.setdefault(name, value)
    for name in settings.model_fields_set:
        if isinstance(value := getattr(settings, name), Path):
            os.environ[f"{PREFIX}{name.upper()}"] = str(value.expanduser().resolve())
    os.environ[f"{PREFIX}HOME"] = str(settings.resolved_home)
    os.environ[FILE_VARIABLE] = str(config_file() or "")
    if folder := secrets_folder():
        os.environ[SECRETS_VARIABLE] = str(folder)
    if "runs_by_itself" not in settings.model_fields_set:
        os.environ[f"{PREFIX}RUNS_BY_ITSELF"] = "true"
    os.chdir(PROJECT_ROOT)
    os.execv(sys.executable, [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-n", "-c", str(config)])  # noqa: S606 - no shell


def supervisor_config(settings: Settings, *, with_proxy: bool, ports: Ports = _USUAL) -> configparser.RawConfigParser:
    """What supervisord is told: a program each, started in this order, and started again whenever it ends."""
    run, logs = settings.resolved_home / "run", settings.logs_path / "processes"
    config = configparser.RawConfigParser()
    config["supervisord"] = {
        "logfile": str(logs / "supervisord.log"), "pidfile": str(run / "supervisord.pid"), "childlogdir": str(logs),
        "nodaemon": "true", "silent": "true",
    }  # fmt: skip
    config["unix_http_server"] = {"file": str(run / "supervisor.sock"), "chmod": "0700"}
    config["supervisorctl"] = {"serverurl": f"unix://{run / 'supervisor.sock'}"}
    config["rpcinterface:supervisor"] = {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}
    ordercast = f"{sys.executable} -W ignore -m pipelines.cli.app"
    commands = {
        "code": f"{ordercast} dagster code",
        "daemon": f"{ordercast} dagster daemon",
        "web": f"{ordercast} dagster web --port {ports.web}",
        "pages": f"{ordercast} dashboards --port {ports.pages}",
        "pages-next": f"{ordercast} dashboards --port {ports.pages + 1}",
        "exporter": f"{ordercast} exporter --port {ports.exporter}",
    }
    if with_proxy:
        commands["proxy"] = _proxy_command(settings, ports)
    for number, (name, command) in enumerate(commands.items()):
        config[f"program:{name}"] = _program(command, priority=number, logs=logs, is_started=name != "pages-next")
    return config


def _proxy_command(settings: Settings, ports: Ports) -> str:
    """Caddy as it faces other machines: none of our settings and secrets are in its environment."""
    site = urlsplit(settings.oidc_base_url or "")
    told = {
        "HOME": settings.resolved_home / "proxy",  # certificates
        "ORDERCAST_SITE": site.netloc if site.scheme == "https" else "localhost",
        "ORDERCAST_PAGES": f"127.0.0.1:{ports.pages} 127.0.0.1:{ports.pages + 1}",
    }
    words = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in told.items())]
    return shlex.join([*words, str(shutil.which("caddy")), "run", "--config", str(PROJECT_ROOT / "deploy" / "Caddyfile")])


def _program(command: str, *, priority: int, logs: Path, is_started: bool) -> Mapping[str, str]:
    return {
        "command": command.replace("%", "%%"),
        "directory": str(PROJECT_ROOT),
        "priority": str(priority),
        "autostart": str(is_started).lower(),
        "autorestart": "true",
        "startretries": "100000",  # it waits a second longer each time, for ever: minutes after a night; giving up would need a person
        "startsecs": "5",
        "stopasgroup": "true",
        "killasgroup": "true",
        "stopwaitsecs": "30",
        "redirect_stderr": "true",
        "stdout_logfile": str(logs / "%(program_name)s.log"),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "3",
    }


def healthy(
    process: Annotated[Process, typer.Argument(help="Which process.")],
    port: Annotated[int | None, typer.Option(help="Its port, where it is not the usual one.")] = None,
) -> None:
    """Say whether a process answers; exit code 4 if it does not.

    Example: [b]ordercast healthy pages[/b]
    """
    ask(process, load_settings(), port)
    Console().print(f"{process} answers.")
