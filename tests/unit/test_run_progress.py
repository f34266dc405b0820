"""What a run tells of itself where nobody watches a terminal."""

from __future__ import annotations

import io
import logging

from rich.console import Console

from pipelines.cli.display import run_progress
from pipelines.defs.reporting import announced


def test_a_run_whose_output_is_piped_says_a_line_per_finished_step() -> None:
    written = io.StringIO()

    with run_progress(Console(file=written, width=40)):
        with announced("ingest"):
            logging.getLogger("ordercast.ingest").info("10,000 rows read, 9,990 loaded, 10 in quarantine")
        with announced("publish"):
            pass

    assert written.getvalue().splitlines() == [
        "Ingest what changed: 10,000 rows read, 9,990 loaded, 10 in quarantine",
        "Publish a release: done",
    ]
