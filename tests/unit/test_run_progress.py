"""What a run tells of itself where nobody watches a terminal."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import dagster as dg
from rich.console import Console

from pipelines.cli.display import run_progress
from pipelines.defs.reporting import announced
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_whose_output_is_piped_says_a_line_per_finished_step(tmp_path: Path) -> None:
    written = io.StringIO()
    settings = Settings(home=tmp_path)

    @dg.op
    def read() -> None:
        with announced("ingest", settings):
            logging.getLogger("ordercast.ingest").info("10,000 rows read, 9,990 loaded, 10 in quarantine")
        with announced("publish", settings):
            pass

    @dg.graph
    def whole() -> None:
        read()

    with run_progress(Console(file=written, width=40)), dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        whole.execute_in_process(instance=instance)

    assert written.getvalue().splitlines() == [
        "Ingest what changed: 10,000 rows read, 9,990 loaded, 10 in quarantine",
        "Publish a release: done",
    ]
