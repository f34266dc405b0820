"""Builds of a part of the project: what tests of one domain's marts ask about, with all that it rests on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pipelines.steps import transform as step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.settings import Settings


def transform_only(settings: Settings, *models: str) -> step.TransformResult:
    """As `transform` on a new warehouse, of these models (dbt's selectors) with their ancestors, and the data tests that read nothing else."""
    selected = ("--full-refresh", "--indirect-selection", "buildable", "--select", *(f"+{model}" for model in models))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "_SELECTION", {"everything": selected})
        return step.transform(settings)


@contextmanager
def narrowed_to(*models: str) -> Iterator[None]:
    """Inside the block a transform builds what it otherwise would of these models (dbt's selectors), and no other."""
    narrowed = {scope: (*selection, "--select", *models) for scope, selection in step._SELECTION.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "_SELECTION", narrowed)
        yield
