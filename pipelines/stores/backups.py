"""A backup as it lies in a folder: the files, and a manifest that says what each must be."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from pipelines.errors import BackupError
from pipelines.stores.durable import opened, sealed, sha256_of, write_durably

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
STORE_FOLDER: Final = "store"
# Nothing else is taken from a backup: a path in a manifest must not reach outside of its folder, or over other files of a home.
_KNOWN_PATH: Final = re.compile(
    r"store/[a-z_]+\.(db|copy)|warehouse\.duckdb|customer_key\.secret|releases/(CURRENT|[0-9A-Za-z][0-9A-Za-z_-]*\.(duckdb|json))"
)


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file: its path in the folder, its size and sha256; of tables of the store, how many rows, and the columns of a single one."""

    path: str
    size_bytes: int
    sha256: str
    rows: Mapping[str, int]
    columns: Sequence[str]


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup says of itself. `migration` is the version of our tables; `audit_problems_count` what was wrong already then."""

    made_at: str
    code_version: str
    dialect: str
    migration: str
    merchant_name: str | None
    audit_seq: int
    audit_hash: str
    audit_problems_count: int
    release_id: str | None
    as_of_date: str | None
    files: tuple[BackupFile, ...]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def rows_count(self) -> int:
        """Rows of the store."""
        return sum(sum(file.rows.values()) for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        """The backup as plain values for JSON."""
        return asdict(self) | {"format": FORMAT}


def described(folder: Path, path: Path, *, rows: Mapping[str, int] | None = None, columns: Sequence[str] = ()) -> BackupFile:
    """What the manifest says of a file in the folder."""
    return BackupFile(path.relative_to(folder).as_posix(), path.stat().st_size, sha256_of(path), dict(rows or {}), list(columns))


def write_manifest(folder: Path, backup: Backup) -> None:
    """The folder is a backup from now on."""
    write_durably(folder / MANIFEST, sealed(backup.as_dict()))


def read_manifest(folder: Path) -> Backup:
    """What the backup in this folder says of itself; its files are not looked at.

    Raises:
        BackupError: It is no backup of ours, its manifest was changed, or a newer version wrote it.
    """
    try:
        facts = opened((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BackupError(f"{folder} is no backup: it has no {MANIFEST}. Name a folder that `ordercast backup` has written.") from None
    except (ValueError, OSError) as exc:
        raise BackupError(f"The manifest of the backup {folder} is damaged ({exc}): use another backup. Nothing was changed.") from None
    if facts.get("format") != FORMAT:
        raise BackupError(f"{folder} is no backup of this version of Ordercast: its format is {facts.get('format')!r}, not {FORMAT}.")
    try:
        del facts["format"]
        backup = Backup(**facts | {"files": tuple(BackupFile(**file) for file in facts["files"])})
    except (KeyError, TypeError) as exc:
        raise BackupError(f"The manifest of the backup {folder} is not as we write it ({exc}): use another backup.") from None
    if strange := [file.path for file in backup.files if not _KNOWN_PATH.fullmatch(file.path)]:
        raise BackupError(f"The backup {folder} names a file that no backup of ours holds: {strange[0][:80]!r}. Nothing was changed.")
    return backup


def check_backup(folder: Path, *, on_bytes: Callable[[int], None] | None = None) -> Backup:
    """The backup, once every byte of it has been compared with its manifest.

    Raises:
        BackupError: It is no backup of ours, or a file of it is missing, cut or changed.
    """
    backup = read_manifest(folder)
    for file in backup.files:
        path = folder / file.path
        if not path.is_file():
            raise BackupError(f"The backup {folder} is damaged: {file.path} is missing. Use another backup. Nothing was changed.")
        if path.stat().st_size != file.size_bytes:
            raise BackupError(
                f"The backup {folder} is damaged: {file.path} has {path.stat().st_size:,} bytes, not {file.size_bytes:,}. "
                "Use another backup. Nothing was changed."
            )
        if sha256_of(path, from_disk=True, on_bytes=on_bytes) != file.sha256:
            raise BackupError(
                f"The backup {folder} is damaged: the sha256 of {file.path} differs from the manifest. Use another backup. "
                "Nothing was changed."
            )
    return backup
