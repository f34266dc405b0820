"""Dagster's code server, whose runs are forked from a process that has imported everything: `python -m pipelines.defs.code_server`.

Dagster's own starts a new interpreter for every run, and importing takes a refresh longer than some of its steps. Everything else about
runs is left to Dagster: how they are stopped, watched and failed when they were killed. A changed program or setting holds for runs
after this process was started anew.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver
from typing import Any, Final

# The process that runs are forked from imports these, and does nothing else: no query, no connection, no run of its own.
PRELOADED: Final = ["pipelines.definitions", "pipelines.defs.warm_process"]


def serve() -> None:
    """Become Dagster's command line, whose `api grpc` forks runs."""
    from dagster._cli import main  # noqa: PLC0415 - every run imports this module anew
    from dagster._grpc import server  # noqa: PLC0415 - the same

    class ForkingServer(server.DagsterApiServer):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._mp_ctx = warm_context()

    server.DagsterApiServer = ForkingServer  # type: ignore[misc] # the command looks it up there and has no setting for it
    main()  # type: ignore[no-untyped-call]


def warm_context() -> Any:
    """Starts processes as forks of one that is importing already; it ends with this process, and where it was killed another is started."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()
    return context


if __name__ == "__main__":
    serve()
