"""Commands that run things: `run`, `dashboards`, `dagster`."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import typer
import yaml
from pydantic import SecretStr
from rich.console import Console

from pipelines.cli.answering import CODE_SOCKET
from pipelines.cli.display import PLANNED_STEPS, emit_json, run_progress
from pipelines.cli.summary import print_summary
from pipelines.errors import ContractError, SettingsError, UnavailableError
from pipelines.setting_sources import FILE_VARIABLE, SECRETS_VARIABLE
from pipelines.setting_values import is_this_machine
from pipelines.settings import PREFIX, PROJECT_ROOT, Settings, load_settings
from pipelines.stores.durable import write_durably
from pipelines.stores.operational import OperationalStore
from pipelines.stores.run_lock import only_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.cli.in_process import RunOutcome

INTERRUPTED: Final = 130
_DAGSTER_STORE: Final = "DAGSTER_STORE_URL"  # read by Dagster, which is told its name
NICENESS: Final = 10  # of a run: whoever waits for a page on the same machine goes first


class Part(StrEnum):
    """A process of Dagster."""

    all = "all"
    code = "code"
    daemon = "daemon"
    web = "web"


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    app.command("run")(run)
    app.command("dashboards")(dashboards)
    app.command("dagster")(dagster)


def run(
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last complete local day to report, such as 2026-10-31."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts and seconds per step as JSON.")] = False,
) -> None:
    """Run the whole job: ingest what changed, build, forecast, recommend, publish, write back.

    Examples: [b]ordercast run[/b] | [b]ordercast run --as-of 2026-10-31[/b] | [b]ordercast run --json[/b]
    """
    started = time.perf_counter()
    settings = load_settings()
    outcome = run_job(settings, "ordercast", PLANNED_STEPS, as_of=as_of.date().isoformat() if as_of else None)
    if as_json:
        emit_json(outcome.as_dict())
    raise_failure(outcome)
    if not as_json:
        print_summary(Console(), settings=settings, outcome=outcome, seconds=time.perf_counter() - started)


def run_job(settings: Settings, job_name: str, steps: Sequence[str], **how: Any) -> RunOutcome:
    """What became of a job, run in this process while no other command works on the home folder; alerts hear how it went.

    Args:
        settings: Name the home folder.
        job_name: Which job.
        steps: Which steps the job has, for the lines of its progress.
        how: Further arguments of `in_process.execute`.

    Raises:
        ContractError: A restore was interrupted. Nothing was run.
        UnavailableError: Another command works on the home folder, or the store does not answer. Nothing was run.
    """
    from pipelines.steps.restore import is_interrupted  # noqa: PLC0415 - keeps other commands quick to start
    from pipelines.steps.watch_runs import RunFailure, note_failure, note_success  # noqa: PLC0415 - the same

    try:
        with OperationalStore.open_to_read(settings.resolved_store_url):
            pass  # a store that cannot be opened is said at once, before anything slow is loaded
    except UnavailableError as exc:
        note_failure(settings, RunFailure(job_name, "store", str(exc)))
        raise
    prepare_dagster_home(settings)
    with only_run(settings.resolved_home), run_progress(Console(stderr=True), steps):
        if is_interrupted(settings):
            raise ContractError("A restore was killed half way: `ordercast restore FOLDER --yes` again, then run.")
        outcome = _execute(job_name, how)
    if outcome.is_success:
        note_success(settings, job_name, run_id=outcome.run_id)
    else:
        note_failure(settings, RunFailure(job_name, str(outcome.failed_step), str(outcome.error), outcome.run_id))
    return outcome


def _execute(job_name: str, how: Mapping[str, Any]) -> RunOutcome:
    """The run in a thread of its own, so that Ctrl-C reaches us and not whatever dbt or Dagster are at.

    Every step is safe against being killed, so an interrupted run is left as it stands and the process ends at once.
    """

    def run_in_process() -> RunOutcome:
        from pipelines.cli.in_process import execute  # noqa: PLC0415 - Dagster and dbt take seconds to import

        _give_way()
        return execute(job_name=job_name, **how)

    with ThreadPoolExecutor(max_workers=1) as worker:
        try:
            return worker.submit(run_in_process).result()
        except KeyboardInterrupt:
            sys.stderr.write("\nInterrupted; nothing half done stays: run the same command again.\n")
            sys.stderr.flush()
            os._exit(INTERRUPTED)


def _give_way() -> None:
    """Whoever waits for a page on this machine goes before this thread and what it starts.

    Where a scheduler started the run in a session of its own, Linux shares the machine out among sessions first, so that goes down too.
    """
    os.nice(NICENESS)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # a kernel without such groups
            Path("/proc/self/autogroup").write_text(str(NICENESS), encoding="ascii")


def dashboards(
    port: Annotated[int, typer.Option(help="Port.")] = 8501,
    address: Annotated[
        str, typer.Option(help="Address to listen on; other machines reach the pages only where people sign in.")
    ] = "127.0.0.1",
) -> None:
    """Serve the pages, on this machine only unless people sign in (ORDERCAST_OIDC_*).

    Examples: [b]ordercast dashboards --port 8600[/b] | [b]ordercast dashboards --address 0.0.0.0[/b]
    """
    settings = load_settings()
    if not settings.has_sign_in and not is_this_machine(address):
        raise SettingsError(
            f"Nothing was started: on {address} everybody could see and decide without signing in. "
            "Configure sign-in (ORDERCAST_OIDC_*, docs/methods/sign-in.md) or leave --address out."
        )
    server = ["--server.address", address, "--server.port", str(port)]
    if settings.oidc_base_url and (host := urlsplit(settings.oidc_base_url).hostname):
        server += ["--server.allowedHosts", host, "--browser.serverAddress", host]
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # every open page has threads, and each would keep memory of its own
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", "131072")  # what DuckDB read a release with goes back once it is closed
    _become(settings, ["streamlit", "run", str(PROJECT_ROOT / "dashboards" / "server.py"), *server])


def dagster(
    part: Annotated[Part, typer.Argument(help="One process of it, or all of them for development.")] = Part.all,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1 of `all` and `web`.")] = 3000,
) -> None:
    """Serve the Dagster UI, its schedules and its run queue on this machine only.

    At a merchant its processes run one by one, as `ordercast serve` starts them: `code` (what is run, and the runs), `daemon` (schedules,
    sensors, queue) and `web` (the UI). The last two reach the first by a socket in the home folder.

    Examples: [b]ordercast dagster --port 3001[/b] | [b]ordercast dagster daemon[/b]
    """
    settings = load_settings()
    prepare_dagster_home(settings)
    socket = settings.resolved_home / "run" / CODE_SOCKET
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if part is Part.code:
        socket.unlink(missing_ok=True)  # of a process that was killed
    by_socket, by_port = ["--grpc-socket", str(socket)], ["-h", "127.0.0.1", "-p", str(port)]
    code = ["-m", "pipelines.definitions"]
    commands = {
        Part.all: ["dagster", "dev", *code, *by_port],
        Part.code: ["pipelines.defs.code_server", "api", "grpc", *code, "--socket", str(socket), "--use-python-environment-entry-point"],
        Part.daemon: ["dagster._daemon", "run", *by_socket],
        Part.web: ["dagster_webserver", *by_socket, *by_port],
    }
    _become(settings, commands[part])


def prepare_dagster_home(settings: Settings) -> None:
    """Dagster's own state lies in the home folder or in the database that is named for it, under `pipelines/defs/dagster.yaml`."""
    home = settings.resolved_home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    config = (PROJECT_ROOT / "pipelines" / "defs" / "dagster.yaml").read_text(encoding="utf-8")
    if settings.dagster_store_url is not None:
        said = yaml.safe_load(config)
        del said["event_log_storage"]
        said["storage"] = {"postgres": {"postgres_url": {"env": _DAGSTER_STORE}}}
        config = yaml.safe_dump(said)
        address = settings.dagster_store_url.get_secret_value()
        os.environ[_DAGSTER_STORE] = (
            f"postgresql+psycopg2:{address.partition(':')[2]}"  # a plain postgresql: is another driver to SQLAlchemy
        )
    path = home / "dagster.yaml"
    if not path.exists() or path.read_text(encoding="utf-8") != config:  # processes that start at once find it written already
        write_durably(path, config)
    os.environ["DAGSTER_HOME"] = str(home)


def _become(settings: Settings, module_and_arguments: list[str]) -> None:
    """This process becomes the module, with these settings, in the project's folder, so that signals and exit codes are its own."""
    settings_in_environment(settings)
    os.chdir(PROJECT_ROOT)
    os.execv(sys.executable, [sys.executable, "-W", "ignore", "-m", *module_and_arguments])  # noqa: S606 - no shell, fixed program


def settings_in_environment(settings: Settings) -> None:
    """Every process that this one starts or becomes has these settings, wherever it looks for a file of its own."""
    for name in settings.model_fields_set - {"home", "store_url"}:
        value = getattr(settings, name)
        if isinstance(value, Path):
            value = value.expanduser().resolve()
        os.environ[f"{PREFIX}{name.upper()}"] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    os.environ[f"{PREFIX}HOME"] = str(settings.resolved_home)
    os.environ[f"{PREFIX}STORE_URL"] = settings.resolved_store_url
    os.environ[FILE_VARIABLE] = ""  # all it said stands in the environment now, and the project's folder may have another
    os.environ.pop(SECRETS_VARIABLE, None)


def raise_failure(outcome: RunOutcome) -> None:
    """Nothing where the run succeeded.

    Raises:
        UnavailableError: It failed and may succeed if tried again.
        ContractError: It failed and would again.
    """
    if outcome.is_success:
        return
    message = f"The run stopped at {outcome.failed_step}: {outcome.error}"
    if outcome.is_retry_worthwhile:
        raise UnavailableError(message)
    raise ContractError(message)
