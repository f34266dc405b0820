"""Dagster's code server, whose runs are forked from a process that has imported everything: `python -m pipelines.defs.code_server`.

Dagster's own starts a new interpreter for every run, and importing takes a refresh longer than some of its steps. Everything else about
runs is left to Dagster: how they are stopped, watched and failed when they were killed. They end with this process, however it ends, and
the next one fails what it finds going on in the history: Dagster itself would wait for that for ever. A changed program or setting holds
for runs after this process was started anew.
"""

from __future__ import annotations

import multiprocessing
import threading
from multiprocessing import forkserver
from typing import Any, Final

import dagster as dg

from pipelines.defs.watch_runs import COMMAND_LINE

# The process that runs are forked from imports these, and does nothing else: no query, no connection, no run of its own.
PRELOADED: Final = ["pipelines.definitions", "pipelines.defs.warm_process"]
FOUND_SECONDS: Final = 30.0  # after which the daemon has found this server and can repeat a run in it


def serve() -> None:
    """Become Dagster's command line, whose `api grpc` forks runs."""
    from dagster._cli import main  # noqa: PLC0415 - every run imports this module anew
    from dagster._grpc import server  # noqa: PLC0415 - the same

    class ForkingServer(server.DagsterApiServer):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._mp_ctx = warm_context()

    with dg.DagsterInstance.get() as instance:
        orphans = orphaned_runs(instance)
    if orphans:
        later = threading.Timer(FOUND_SECONDS, fail_orphans, [orphans])
        later.daemon = True
        later.start()
    server.DagsterApiServer = ForkingServer  # type: ignore[misc] # the command looks it up there and has no setting for it
    main()  # type: ignore[no-untyped-call]


def orphaned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Ids of runs of a code server before this one, asked for before this one starts any; one of the command line has its own process."""
    going_on = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
    return [run.run_id for run in instance.get_runs(going_on) if not COMMAND_LINE.items() <= run.tags.items()]


def fail_orphans(run_ids: list[str]) -> None:
    """These runs have failed, so that they hold up no other, and a whole run is repeated."""
    with dg.DagsterInstance.get() as instance:
        for run in instance.get_runs(dg.RunsFilter(run_ids=run_ids)):
            if not run.is_finished:
                instance.report_run_failed(run, "Its process ended with the code server that had started it.")


def warm_context() -> Any:
    """Starts processes as forks of one that is importing already, and of another where that one was killed; all end with this process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()
    return context


if __name__ == "__main__":
    serve()
