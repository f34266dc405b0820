"""A home and its store become what a backup says they were. Until the last act all of what was there stands, or can be put back."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.decisions.audit import AuditHead, verify
from pipelines.errors import BackupError, StoreUnavailableError
from pipelines.stores.backups import STORE_FOLDER, check_backup, read_manifest
from pipelines.stores.change_feed import begin_epoch
from pipelines.stores.connections import parse_store_url, translated_errors
from pipelines.stores.customer_keys import SECRET_FILE
from pipelines.stores.durable import copy_durably, require_space, sync
from pipelines.stores.operational import OperationalStore, newest_migration
from pipelines.stores.store_copies import SQLITE_COPY, load_tables, overwrite_sqlite, settle_sqlite
from pipelines.stores.warehouse import require_idle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipelines.decisions.audit import AuditReport
    from pipelines.settings import Settings
    from pipelines.stores.backups import Backup

    Report = Callable[..., None]

_STAGED: Final = "restore.staged"
_ASIDE: Final = "restore.aside"
_DONE: Final = "restore.done"  # what lay aside and is being removed
_ABSENT: Final = ".absent"  # a part of the home that was not there


def would_overwrite(folder: Path, *, settings: Settings) -> list[str]:
    """What stands here that a restore of the backup would replace, in words.

    Raises:
        BackupError: It is no backup of ours.
    """
    backup = read_manifest(folder)
    found = [str(settings.resolved_home / name) for name in _parts(settings) if (settings.resolved_home / name).exists()]
    target = _store_file(settings)
    what = "our tables in the" if target is None else "the whole"
    try:
        with OperationalStore.open(settings.resolved_store_url) as store:
            merchant = store.merchant()
            if target is not None or store.is_prepared():
                found.insert(0, f"{what} store {store.address}" + (f" of {merchant.name}" if merchant else ""))
    except StoreUnavailableError:
        if backup.dialect != "sqlite" or target is None:
            raise
        found = [f"{target}, which is no database that can be read", *found] if target.exists() else found
    return found


def is_interrupted(settings: Settings) -> bool:
    """Whether a restore was killed half way, so that what was there still lies aside."""
    return (settings.resolved_home / _ASIDE).exists()


def restore(folder: Path, *, settings: Settings, on_progress: Report = lambda *_: None) -> AuditReport:
    """The home's warehouse, key and releases, and the store, are those of the backup; the next run reads the store in full.

    The caller holds `run.lock`. Every byte is compared before anything is touched. The store comes last, in one transaction of its
    own; on any failure before its end everything is as it was, and a restore that was killed is undone by the next.

    Args:
        folder: The backup.
        settings: Which home, and where the store is.
        on_progress: Told a word on the work and the share done.

    Returns:
        What verifying the restored audit log found.

    Raises:
        BackupError: The backup is damaged, of another database or of a newer version, or its audit log was changed. All is as it was.
        StoreUnavailableError: The store did not answer or is locked. All is as it was.
        WarehouseUnavailableError: A run is at work. All is as it was.
    """
    home, store_file = settings.resolved_home, _store_file(settings)
    backup = _checked(folder, on_progress)
    _require_fitting(backup, folder, is_sqlite=store_file is not None)
    require_idle(settings.warehouse_path)
    _put_back(home, settings)
    staged, done = home / _STAGED, home / _DONE
    for leftover in (staged, done):
        shutil.rmtree(leftover, ignore_errors=True)
    require_space(home, backup.size_bytes)
    try:
        on_progress("copying", 0.5)
        for file in backup.files:
            if not file.path.startswith(f"{STORE_FOLDER}/") or file.path == SQLITE_COPY:
                _stage(folder, staged, file.path, sha256=file.sha256)
        on_progress("the operational store", 0.8)
        if store_file is not None:
            report = _restore_sqlite(staged, backup, settings=settings, target=store_file)
        else:
            report = _restore_postgresql(folder, staged, backup, settings=settings)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    (home / _ASIDE).rename(done)
    shutil.rmtree(done, ignore_errors=True)
    return report


def _checked(folder: Path, on_progress: Report) -> Backup:
    total = max(read_manifest(folder).size_bytes, 1)
    done = 0

    def compared(count: int) -> None:
        nonlocal done
        done += count
        on_progress("comparing with the manifest", 0.5 * done / total)

    return check_backup(folder, on_bytes=compared)


def _require_fitting(backup: Backup, folder: Path, *, is_sqlite: bool) -> None:
    if (backup.dialect == "sqlite") != is_sqlite:
        here = "SQLite" if is_sqlite else "PostgreSQL"
        raise BackupError(
            f"The backup {folder} is of a {backup.dialect} store, the store here is {here}: set ORDERCAST_STORE_URL to one of its kind. "
            "Nothing was changed."
        )
    if backup.migration > newest_migration():
        raise BackupError(
            f"The backup {folder} was made by Ordercast {backup.code_version}, which is newer (tables {backup.migration}, here "
            f"{newest_migration()}): install that version first. Nothing was changed."
        )


def _stage(folder: Path, staged: Path, path: str, *, sha256: str) -> None:
    target = staged / path
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if copy_durably(folder / path, target) != sha256:
        raise BackupError(f"{path} of the backup {folder} changed while it was read. Nothing was changed.")


def _restore_sqlite(staged: Path, backup: Backup, *, settings: Settings, target: Path) -> AuditReport:
    copy = staged / SQLITE_COPY
    with OperationalStore.open(f"sqlite:///{copy}") as store:
        store.migrate()
        begin_epoch(store)
        report = _verified(store, backup)
    settle_sqlite(copy)
    with _swapped(staged, settings):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch(mode=0o600)  # a new one is closed to others; one that stands keeps whom the merchant lets read it
        with translated_errors(parse_store_url(settings.resolved_store_url)):
            try:
                overwrite_sqlite(copy, target)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:  # what lies there is no database any more, so nobody works with it
                _replace_file(copy, target)
    return report


def _replace_file(copy: Path, target: Path) -> None:
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    beside = target.with_name(target.name + ".restoring")
    beside.unlink(missing_ok=True)
    copy_durably(copy, beside)
    beside.replace(target)
    sync(target.parent)


def _restore_postgresql(folder: Path, staged: Path, backup: Backup, *, settings: Settings) -> AuditReport:
    with OperationalStore.open(settings.resolved_store_url) as store, _swapped(staged, settings), store.one_transaction():
        store.migrate(to=backup.migration)
        load_tables(store, folder, backup)
        store.migrate()
        begin_epoch(store)
        return _verified(store, backup)


def _verified(store: OperationalStore, backup: Backup) -> AuditReport:
    report = verify(store, known_heads=[AuditHead(backup.audit_seq, backup.audit_hash)])
    if len(report.problems) > backup.audit_problems_count:
        raise BackupError(f"The audit log in the backup was changed since: {report.problems[0]} Nothing was changed.")
    return report


@contextmanager
def _swapped(staged: Path, settings: Settings) -> Iterator[None]:
    """The parts of the home are the staged ones, and what was there lies aside; where the block fails, it is put back."""
    home = settings.resolved_home
    aside = home / _ASIDE
    try:
        aside.mkdir()
        for name in _parts(settings):
            if (home / name).exists():
                (home / name).rename(aside / name)
            else:
                (aside / f"{name}{_ABSENT}").touch()
            if (staged / name).exists():
                (staged / name).rename(home / name)
        sync(home)
        yield
    except BaseException:
        _put_back(home, settings)
        raise


def _put_back(home: Path, settings: Settings) -> None:
    """What a restore had laid aside stands in its place again."""
    aside = home / _ASIDE
    if not aside.exists():
        return
    for name in _parts(settings):
        was_absent = (aside / f"{name}{_ABSENT}").exists()
        if was_absent or (aside / name).exists():
            _remove(home / name)
        if not was_absent and (aside / name).exists():
            (aside / name).rename(home / name)
    shutil.rmtree(aside)
    sync(home)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _store_file(settings: Settings) -> Path | None:
    """The file of a SQLite store; None for PostgreSQL."""
    url = parse_store_url(settings.resolved_store_url)
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def _parts(settings: Settings) -> tuple[str, ...]:
    """What a backup replaces in a home. The key goes with the warehouse, whose keys of customers it made."""
    warehouse = settings.warehouse_path.name
    return (warehouse, f"{warehouse}.wal", SECRET_FILE, settings.releases_path.name)
