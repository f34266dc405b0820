"""`doctor`: what is wrong with the set-up and how to mend it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import psycopg
import typer
from dotenv import dotenv_values
from rich.console import Console

from pipelines.cli.display import emit_json
from pipelines.decisions.messages import TROUBLED
from pipelines.delivery.settling import count_open
from pipelines.errors import OrdercastError
from pipelines.setting_sources import config_file, read_config_file, secrets_folder
from pipelines.settings import PREFIX, Settings, load_settings, setting_origins
from pipelines.steps.observe import Standing
from pipelines.stores.change_feed import feed_health
from pipelines.stores.grants import INGEST, RECOMMENDER, WRITER
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import current_release, damaged_releases
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipelines.stores.grants import Role

Seen = TypeVar("Seen")
LEAST_FREE_BYTES = 2 * 1024**3
UNHEALTHY = 5
_PATIENCE_SECONDS: Final = 10
_DOWN: Final = ("BACKOFF", "EXITED", "FATAL", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: fine, or what is wrong and how to mend it."""

    subject: str
    is_fine: bool
    detail: str
    remedy: str = ""


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("doctor")(doctor)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Say what is wrong with the set-up and how to mend it; exit code 5 if anything is.

    Example: [b]ordercast doctor[/b]
    """
    findings = examine(load_settings())
    if as_json:
        emit_json(findings)
    else:
        console = Console(soft_wrap=True)  # commands and paths stay in one piece
        for finding in findings:
            mark = "[green]ok  [/green]" if finding.is_fine else "[red]mend[/red]"
            console.print(
                f"{mark} {finding.subject}: {finding.detail}" + (f" {finding.remedy}" if finding.remedy else ""),
                highlight=False,
            )
    if not all(finding.is_fine for finding in findings):
        raise typer.Exit(UNHEALTHY)


def examine(settings: Settings) -> list[Finding]:
    """Every finding on this set-up; nothing is changed but folders and tables of ours that are missing."""
    looks: list[Callable[[Settings], list[Finding]]] = [
        _python,
        _settings,
        _home,
        _store,
        _login,
        _change_feed,
        _outbox,
        _warehouse,
        _release,
        _dagster_store,
        _processes,
        _ports,
    ]
    return [finding for look in looks for finding in look(settings)]


def _python(_settings: Settings) -> list[Finding]:
    try:
        installed = version("ordercast")
    except PackageNotFoundError:
        return [Finding("Python", is_fine=False, detail="the project is not installed here.", remedy="Run `make run`.")]
    return [Finding("Python", is_fine=True, detail=f"{sys.version.split()[0]}, ordercast {installed}.")]


def _settings(_settings: Settings) -> list[Finding]:
    origins = setting_origins()
    by_place = ", ".join(f"{count} from {place}" for place, count in Counter(origins.values()).items())
    findings = [Finding("Settings", is_fine=True, detail=f"{by_place or 'all as by default'}.")]
    for path, names in ((config_file(), read_config_file()), (Path(".env").absolute(), _without_prefix(dotenv_values(".env")))):
        secrets = _secrets(names)
        if path is not None and secrets and path.stat().st_mode & 0o077:
            detail = f"{path} holds {', '.join(secrets)}, and others on this machine may read it."
            findings.append(
                Finding("Settings", is_fine=False, detail=detail, remedy=f"chmod 600 {path}, or give secrets by ORDERCAST_SECRETS.")
            )
    return findings + _secrets_folder()


def _secrets_folder() -> list[Finding]:
    """What others may read of the folder of secrets, where it is ours: the one in a container belongs to who runs the containers."""
    folder = secrets_folder()
    if folder is None or folder.stat().st_uid != os.getuid() or not folder.stat().st_mode & 0o077:
        return []
    secrets = _secrets(_without_prefix(file.name for file in sorted(folder.iterdir()) if file.stat().st_mode & 0o077))
    detail = f"{folder} holds {', '.join(secrets)}, and others on this machine may read it."
    return [Finding("Settings", is_fine=False, detail=detail, remedy=f"chmod 700 {folder}.")] if secrets else []


def _without_prefix(names: Iterable[str]) -> list[str]:
    return [name.lower().removeprefix(PREFIX.lower()) for name in names if name.upper().startswith(PREFIX)]


def _secrets(names: Iterable[str]) -> list[str]:
    fields = Settings.model_fields
    return [name for name in names if name in fields and "SecretStr" in str(fields[name].annotation)]


def _home(settings: Settings) -> list[Finding]:
    home = settings.resolved_home
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        return [
            Finding(
                "Home folder",
                is_fine=False,
                detail=f"{home} cannot be written.",
                remedy="Set ORDERCAST_HOME to a folder of yours.",
            )
        ]
    free = shutil.disk_usage(existing).free
    if free < LEAST_FREE_BYTES:
        return [
            Finding(
                "Home folder",
                is_fine=False,
                detail=f"only {free / 1024**3:.1f} GB free at {home}.",
                remedy="Free at least 2 GB.",
            )
        ]
    return [Finding("Home folder", is_fine=True, detail=f"{home}, {free / 1024**3:.0f} GB free.")]


def _store(settings: Settings) -> list[Finding]:
    try:
        with OperationalStore.open_to_read(settings.resolved_store_url) as store:
            present = store.present_fields()
            merchant = store.merchant()
    except OrdercastError as exc:
        return [Finding("Operational store", is_fine=False, detail=str(exc))]
    findings = []
    for name in ("orders", "order_lines"):
        lacking = [field for field in SOURCE_TABLES[name].required_fields if field not in present.get(name, frozenset())]
        if lacking:
            findings.append(
                Finding(
                    "Operational store",
                    is_fine=False,
                    detail=f"{name} lacks {', '.join(lacking)}.",
                    remedy="Map or add them.",
                )
            )
    if merchant is None:
        findings.append(
            Finding(
                "Merchant",
                is_fine=False,
                detail="the store does not say whose it is.",
                remedy="Run `ordercast simulate` or `ordercast import`.",
            )
        )
    if not findings:
        label = merchant.name if merchant else "?"
        findings.append(
            Finding(
                "Operational store",
                is_fine=True,
                detail=f"{store.dialect}, {len(present)} of {len(SOURCE_TABLES)} tables, merchant {label}.",
            )
        )
    return findings


def _login(settings: Settings) -> list[Finding]:
    is_superuser, _ = _look("Login", settings, (), lambda store: store.is_superuser())
    if not is_superuser:
        return []
    detail = "ORDERCAST_STORE_URL names a superuser, so no database role holds anybody back."
    remedy = "Give runs and pages logins of their own (docs/methods/decisions.md, Database roles)."
    return [Finding("Login", is_fine=False, detail=detail, remedy=remedy)]


def _outbox(settings: Settings) -> list[Finding]:
    standing, findings = _look("Outbox", settings, (WRITER, RECOMMENDER), count_open)
    if standing is None:
        return findings
    troubled = ", ".join(f"{standing[state]} {state}" for state in TROUBLED if state in standing)
    if troubled:
        return [Finding("Outbox", is_fine=False, detail=f"messages wait for a person: {troubled}.", remedy="See `ordercast outbox`.")]
    if standing and settings.outbox_target is None:
        detail = f"{sum(standing.values())} messages wait, and no target is set."
        return [Finding("Outbox", is_fine=False, detail=detail, remedy="Set ORDERCAST_OUTBOX_TARGET.")]
    return [Finding("Outbox", is_fine=True, detail=f"{sum(standing.values())} messages wait to be sent.")] if standing else []


def _change_feed(settings: Settings) -> list[Finding]:
    # The next run brings our tables to their newest version.
    health, findings = _look("Change feed", settings, (INGEST,), lambda store: feed_health(store) if store.is_migrated() else None)
    if health is None:
        return findings
    if health.lost:
        lost = f"the triggers of {', '.join(health.lost)} are missing or disabled."
        return [Finding("Change feed", is_fine=False, detail=lost, remedy="`ordercast run` makes them again and compares the tables.")]
    if health.unwatched:
        detail = f"no triggers on {', '.join(health.unwatched)}: may miss rows until reconcile, once a day or with `ordercast reconcile`."
        return [Finding("Change feed", is_fine=True, detail=detail)]
    return [Finding("Change feed", is_fine=True, detail="triggers on every table.")]


def _look(
    subject: str, settings: Settings, roles: tuple[Role, ...], see: Callable[[OperationalStore], Seen]
) -> tuple[Seen | None, list[Finding]]:
    """What is seen under the first of these roles that the login was granted, or None and what hid it."""
    try:
        store = OperationalStore.open(settings.resolved_store_url, role=roles, is_read_only=True)
    except OrdercastError:
        return None, []  # said of the store already
    with store:
        try:
            return see(store), []
        except OrdercastError as exc:
            login = f" as the login {store.engine.url.username}" if store.engine.url.username else ""
            remedy = f"A login that was granted {' or '.join(roles)} may look." if store.dialect == "postgresql" else ""
            return None, [Finding(subject, is_fine=False, detail=f"could not be looked at{login}: {exc}", remedy=remedy)]


def _warehouse(settings: Settings) -> list[Finding]:
    if not settings.warehouse_path.exists():
        return [Finding("Warehouse", is_fine=True, detail="not built yet; `ordercast run` builds it.")]
    try:
        with open_warehouse(settings.warehouse_path):
            return [Finding("Warehouse", is_fine=True, detail=f"{settings.warehouse_path}.")]
    except OrdercastError as exc:
        return [Finding("Warehouse", is_fine=False, detail=str(exc))]


def _release(settings: Settings) -> list[Finding]:
    """The served release, and every kept one that is not what was published."""
    damaged = damaged_releases(settings.releases_path)
    findings = [Finding("Release", is_fine=False, detail=problem) for problem in damaged.values()]
    try:
        release = current_release(settings.releases_path)
    except OrdercastError as exc:
        return findings if str(exc) in damaged.values() else [Finding("Release", is_fine=False, detail=str(exc)), *findings]
    if release is None:
        return [Finding("Release", is_fine=True, detail="nothing published yet; `ordercast run` publishes.")]
    if release.release_id in damaged:
        return findings
    code = f"code {release.code_version} ({release.code_fingerprint})"
    detail = f"{release.release_id}, as of {release.as_of_date}, {code}, sha256 as published."
    stale = [trouble.removeprefix("release: ") for trouble in Standing(release=release).troubles(datetime.now(UTC))]
    remedy = "See `ordercast logs` for what stopped the runs; where there was none, whether the schedule is on; then `ordercast run`."
    old = [Finding("Release", is_fine=False, detail=trouble, remedy=remedy) for trouble in stale]
    return [Finding("Release", is_fine=True, detail=detail), *old, *findings]


def _dagster_store(settings: Settings) -> list[Finding]:
    if settings.dagster_store_url is None:
        return []
    address = f"postgresql:{settings.dagster_store_url.get_secret_value().partition(':')[2]}"
    try:
        psycopg.connect(address, connect_timeout=_PATIENCE_SECONDS).close()
    except psycopg.Error as exc:
        detail = f"the database of ORDERCAST_DAGSTER_STORE_URL did not answer: {str(exc).splitlines()[0]}."
        return [Finding("Dagster's history", is_fine=False, detail=detail, remedy="Check the setting, the server and the login.")]
    return [Finding("Dagster's history", is_fine=True, detail="its database answers.")]


def _processes(settings: Settings) -> list[Finding]:
    """What the supervisor of `ordercast serve` says of its processes; nothing where it was not started here."""
    run = settings.resolved_home / "run"
    if not (run / "supervisor.sock").exists():
        return []
    asked = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisorctl", "-c", str(run / "supervisord.conf"), "status"]
    said = subprocess.run(asked, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout  # noqa: S603 - no shell, fixed program
    states = {words[0]: words[1] for words in map(str.split, said.splitlines()) if len(words) > 1 and words[1].isupper()}
    remedy = f"Read {settings.logs_path / 'processes'}."
    if not states:
        return [Finding("Processes", is_fine=False, detail="the supervisor of `ordercast serve` does not answer.", remedy=remedy)]
    down = [f"{name} {state}" for name, state in states.items() if state in _DOWN]
    if down:
        return [Finding("Processes", is_fine=False, detail=f"{', '.join(down)}.", remedy=remedy)]
    running = [name for name, state in states.items() if state == "RUNNING"]
    return [Finding("Processes", is_fine=True, detail=f"{', '.join(running) or 'none'} running.")]


def _ports(_settings: Settings) -> list[Finding]:
    findings = []
    for port, use in ((8501, "make dashboards"), (3000, "make dagster")):
        with socket.socket() as probe:
            is_taken = probe.connect_ex(("127.0.0.1", port)) == 0
        detail = "in use; that is fine if it is ours." if is_taken else f"free for `{use}`."
        findings.append(Finding(f"Port {port}", is_fine=True, detail=detail))
    return findings
