"""What steps say of themselves: to a terminal through the `ordercast` loggers, to Dagster as metadata."""

from __future__ import annotations

import dataclasses
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_BLOCKS: Final = "▁▂▃▄▅▆▇█"


@contextmanager
def announced(step: str) -> Iterator[None]:
    """The step's start and end are logged with `extra` fields `step` and `state` (started, finished, failed)."""
    logger = logging.getLogger(f"ordercast.{step}")
    logger.info("started", extra={"step": step, "state": "started"})
    try:
        yield
    except BaseException:
        logger.info("failed", extra={"step": step, "state": "failed"})
        raise
    logger.info("finished", extra={"step": step, "state": "finished"})


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
