"""Commands of `ordercast`, each in a process of its own that is forked from one that has imported everything already.

Imports take 2 s of a command and 11 s of a run, a small merchant's figures much less. What a command says, writes and returns
is its own: it has its arguments, environment, folder and outputs from the request, and ends as every interpreter does. The command that a
person installs is started cold in `tests/attacks/test_killed_run.py`.

Run as a script it serves: a line of JSON per request on standard input, and a line each with process id and exit code on standard output.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
# What takes longest, and starts no thread: a fork would leave the child without it. So nothing that imports polars or duckdb, and
# nothing of ours.
_IMPORTED: Final = (
    "alembic.command", "dagster", "dagster_dbt", "dbt.cli.main", "dbt.task.build", "great_expectations", "psycopg", "pydantic_settings",
    "rich.progress", "rich.table", "scipy.stats", "sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite", "typer",
)  # fmt: skip


@cache
def _server() -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERCAST_")}
    environment["GX_ANALYTICS_ENABLED"] = "false"  # as our own code says before it imports Great Expectations
    server = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment,
    )  # fmt: skip
    atexit.register(server.communicate)  # its input ends, and so does it
    return server


@dataclass(frozen=True, slots=True)
class Started:
    """A command that goes on, alone in its process group."""

    process_id: int

    def wait(self) -> int:
        """Its exit code; below 0 the signal that ended it."""
        return _told()


def run(arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path, output: Path, errors: Path) -> int:
    """The exit code of `ordercast` with these arguments; what it printed stands in the two files."""
    return start(arguments, environment=environment, folder=folder, output=output, errors=errors).wait()


def start(arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path, output: Path, errors: Path) -> Started:
    """`ordercast` runs with these arguments. It is waited for before another starts, and by one thread only."""
    request = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder), "outputs": [str(output), str(errors)]}
    server = _server()
    assert server.stdin is not None
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return Started(_told())


def _told() -> int:
    server = _server()
    assert server.stdout is not None
    return int(server.stdout.readline())


def _serve() -> None:
    sys.path[0] = str(ROOT)
    for name in _IMPORTED:
        importlib.import_module(name)
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()  # so that a child's collections leave the pages shared
    gc.set_threshold(20_000, 50, 100)  # a command ends before its garbage matters
    while line := sys.stdin.readline():
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(request)
            from pipelines.cli.app import main

            main()  # which exits
        _tell(child)
        _tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _become(request: Mapping[str, object]) -> None:
    outputs, environment, arguments = request["outputs"], request["environment"], request["arguments"]
    assert isinstance(outputs, list)
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    os.setsid()
    for number, path in enumerate([os.devnull, *outputs]):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(request["folder"]))
    sys.argv = ["ordercast", *arguments]


if __name__ == "__main__":
    _serve()
