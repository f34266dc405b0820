"""The bytes of an export, packed or not: `.gz` and `.zip` by the file's name, never more than a bounded amount."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Final

from pipelines.faults import files as faults
from pipelines.faults.fault import escaped
from pipelines.steps.import_defects import refused

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_FILE_BYTES: Final = 2 * 1024**3
MOST_TIMES_UNPACKED: Final = 200
_ALWAYS_ALLOWED_BYTES: Final = 1024**2  # so little harms nobody, however well it packs
_CHUNK_BYTES: Final = 1024**2
_DAMAGES: Final = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError)


def unpacked(path: Path) -> bytes:
    """The content of a file, of a gzip file, or of the only file in a zip archive. Nothing is written to disk.

    Raises:
        SourceFileError: It is damaged, unpacks to too much, or the archive holds something else than one plain file.
    """
    if path.suffix == ".gz":
        try:
            with gzip.open(path) as stream:
                return _bounded(path, stream)
        except _DAMAGES as exc:
            raise refused(faults.DAMAGED, path.name, detail=f" ({escaped(exc)})") from None
    if path.suffix == ".zip":
        try:
            with zipfile.ZipFile(path) as archive, archive.open(_only_member(path, archive)) as stream:
                return _bounded(path, stream)
        except _DAMAGES as exc:
            raise refused(faults.DAMAGED, path.name, detail=f" ({escaped(exc)})") from None
    return path.read_bytes()


def _only_member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = archive.infolist()
    for member in members:
        steps = member.filename.replace("\\", "/").split("/")
        if ".." in steps or steps[0] == "" or ":" in steps[0]:
            raise refused(faults.ESCAPING_ARCHIVE, path.name, got=member.filename)
    if len(members) != 1 or members[0].is_dir():
        raise refused(faults.NOT_ONE_FILE, path.name, detail=f" but {len(members)} entries")
    return members[0]


def _bounded(path: Path, stream: IO[bytes] | gzip.GzipFile) -> bytes:
    """All of the stream; it is read no further than the bound, whatever the archive says of itself."""
    most = min(LARGEST_FILE_BYTES, max(_ALWAYS_ALLOWED_BYTES, MOST_TIMES_UNPACKED * path.stat().st_size))
    content = bytearray()
    while chunk := stream.read(_CHUNK_BYTES):
        content += chunk
        if len(content) > most:
            raise refused(faults.BOMB, path.name, detail=f" ({path.stat().st_size:,} bytes unpack to more than {most:,})")
    return bytes(content)
