"""What steps say of themselves: to a terminal through the `ordercast` loggers, to Dagster as metadata."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pipelines.stores.run_logs import logged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipelines.settings import Settings

_LOOK_SECONDS: Final = 0.1
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


@dataclass(slots=True)
class StepCost:
    """What a step took, once it has ended; memory is that of the whole process at its highest, None where the system does not tell."""

    seconds: float = 0.0
    peak_memory_mb: float | None = None

    def metadata(self) -> dict[str, float]:
        """The cost as numbers that Dagster draws run by run."""
        known = {"step_seconds": round(self.seconds, 3), "peak_memory_mb": self.peak_memory_mb}
        return {name: value for name, value in known.items() if value is not None}


@contextmanager
def announced(step: str, settings: Settings) -> Iterator[StepCost]:
    """The step's start and end are logged with `extra` fields `step` and `state` (started, finished, failed), and what it took.

    What it says meanwhile stands in the log of the home folder under Dagster's id of the run.
    """
    logger, cost, began = logging.getLogger(f"ordercast.{step}"), StepCost(), time.monotonic()
    run_id = dg.OpExecutionContext.get().run_id
    with logged(settings.logs_path, run_id=run_id, step=step), _memory_watched(cost):
        logger.info("started", extra={"step": step, "state": "started"})
        try:
            yield cost
        except BaseException:
            cost.seconds = time.monotonic() - began
            logger.info("failed", extra={"step": step, "state": "failed", "seconds": round(cost.seconds, 3)}, exc_info=True)
            raise
        cost.seconds = time.monotonic() - began
        extra = {"step": step, "state": "finished", "seconds": round(cost.seconds, 3), "peak_memory_mb": cost.peak_memory_mb}
        logger.info("finished", extra=extra)


@contextmanager
def _memory_watched(cost: StepCost) -> Iterator[None]:
    """The cost's memory is the highest seen in the block so far, looked at ten times a second."""
    is_over = threading.Event()

    def look() -> None:
        while True:
            if (now := _memory_mb()) is not None:
                cost.peak_memory_mb = max(now, cost.peak_memory_mb or 0.0)
            if is_over.wait(_LOOK_SECONDS):
                return

    watcher = threading.Thread(target=look, name="memory", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


def _memory_mb() -> float | None:
    """What the process has in memory; None on systems that do not keep it in /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1024**2, 1)


def sparkline(values: Sequence[float]) -> str:
    """A course in a line of text, from 0 to its highest value; "-" where there is none."""
    highest = max(values, default=0.0)
    if highest <= 0:
        return "-"
    return "".join(_BLOCKS[min(len(_BLOCKS) - 1, int(max(0.0, value) / highest * len(_BLOCKS)))] for value in values)


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows as a table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, ["---"] * len(names), *rows))


def summary_metadata(summary: Any) -> dict[str, Any]:
    """A step's summary dataclass as Dagster metadata: scalars as they are, anything deeper as JSON."""
    return {
        name: dg.MetadataValue.json(list(value) if isinstance(value, tuple) else value) if isinstance(value, (dict, list, tuple)) else value
        for name, value in dataclasses.asdict(summary).items()
    }
