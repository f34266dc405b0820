"""What steps say of themselves: to a terminal through the `ordercast` loggers, to Dagster as metadata."""

from __future__ import annotations

import dataclasses
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from collections.abc import Iterator


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


def summary_metadata(summary: Any) -> dict[str, Any]:
    """A step's summary dataclass as Dagster metadata: scalars as they are, anything deeper as JSON."""
    return {
        name: dg.MetadataValue.json(list(value) if isinstance(value, tuple) else value) if isinstance(value, (dict, list, tuple)) else value
        for name, value in dataclasses.asdict(summary).items()
    }
