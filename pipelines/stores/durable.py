"""Files that are whole or not there: written beside, synced, renamed; and the checksums that prove it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any, Final

from pipelines.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

BUILDING: Final = ".building"
_BLOCK_BYTES: Final = 1024**2
_SPARE_BYTES: Final = 64 * 1024**2
# What the system says of a full disk, of a limit on the size of files, and of a quota; databases repeat it.
_FULL: Final = re.compile("No space left|File too large|Disk quota")


def write_durably(path: Path, text: str) -> None:
    """Write beside, sync, rename, sync the folder: a crash leaves the old text or the new, never half."""
    beside = path.with_name(path.name + BUILDING)
    beside.write_text(text, encoding="utf-8")
    sync(beside)
    beside.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """What was written to this file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_durably(source: Path, target: Path, *, mode: int = 0o600, on_bytes: Callable[[int], None] | None = None) -> str:
    """`target` holds what `source` holds and is on the disk; returns the sha256 of what was copied.

    Raises:
        FileExistsError: There is a target already. It is left alone.
    """
    sha256 = copy_hashed(source, target, mode=mode, on_bytes=on_bytes)
    sync(target)
    return sha256


def copy_hashed(source: Path, target: Path, *, mode: int = 0o600, on_bytes: Callable[[int], None] | None = None) -> str:
    """The same, not on the disk yet: for a copy that is written on before it counts."""
    digest = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with source.open("rb") as reader, os.fdopen(descriptor, "wb") as writer:
        while block := reader.read(_BLOCK_BYTES):
            digest.update(block)
            writer.write(block)
            if on_bytes:
                on_bytes(len(block))
    return digest.hexdigest()


def is_of_full_disk(message: str) -> bool:
    """Whether an error's message is of a disk that is full; DuckDB says so in errors of several kinds."""
    return _FULL.search(message) is not None


def require_space(folder: Path, needed: int) -> None:
    """The disk that holds the folder has room for so many bytes and a little more; the folder is made where it is missing.

    Raises:
        UnavailableError: It has not. Nothing was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted, free = needed + _SPARE_BYTES, shutil.disk_usage(folder).free
    if free < wanted:
        raise UnavailableError(
            f"The disk that holds {folder} has {free // 1024**2} MB free and this needs {wanted // 1024**2} MB: "
            "free some space or name another disk. Nothing was written."
        )


def sha256_of(path: Path, *, from_disk: bool = False, on_bytes: Callable[[int], None] | None = None) -> str:
    """The file's sha256 in hexadecimal; `from_disk` asks for what the disk holds instead of what memory remembers of it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if from_disk:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            if on_bytes:
                on_bytes(len(block))
    return digest.hexdigest()


def sealed(facts: Mapping[str, Any]) -> str:
    """The facts as JSON text with a sha256 of their own, so that a changed bit in them is found when they are `opened`."""
    return json.dumps({**facts, SEAL: _seal(facts)}, indent=2)


def opened(text: str) -> dict[str, Any]:
    """The facts of a `sealed` text; one that was never sealed is taken as it is.

    Raises:
        ValueError: It is no JSON object, or was changed.
    """
    facts = json.loads(text)
    if not isinstance(facts, dict):
        raise ValueError("it holds no facts")  # noqa: TRY004 - what is wrong is the text
    seal = facts.pop(SEAL, None)
    if seal is not None and seal != _seal(facts):
        raise ValueError("its sha256 differs from what it says")
    return facts


SEAL: Final = "manifest_sha256"


def _seal(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
