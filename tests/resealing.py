"""Tests that want another number in a release write it into the file, and then have to say that this is what was published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.stores.durable import opened, sealed, sha256_of

if TYPE_CHECKING:
    from pathlib import Path


def reseal(release: Path) -> None:
    """The manifest says what the release file holds now."""
    manifest = release.with_suffix(".json")
    manifest.write_text(sealed(opened(manifest.read_text()) | {"sha256": sha256_of(release)}))
