"""What cannot be made again, in a folder: the store, the warehouse with its history, the key of customers and the served release."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import duckdb

from pipelines.decisions.audit import verify
from pipelines.errors import BackupError
from pipelines.stores.backups import Backup, BackupFile, check_backup, described, write_manifest
from pipelines.stores.customer_keys import SECRET_FILE
from pipelines.stores.durable import BUILDING, copy_durably, require_space, sync
from pipelines.stores.release_files import POINTER
from pipelines.stores.releases import current_release, is_intact
from pipelines.stores.store_copies import copy_store
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipelines.settings import Settings
    from pipelines.stores.operational import OperationalStore
    from pipelines.stores.releases import Release

    Report = Callable[..., None]


def back_up(store: OperationalStore, folder: Path, *, settings: Settings, on_progress: Report = lambda *_: None) -> Backup:
    """`folder` is a backup of this home and its store, read back and compared byte for byte; before that it is not there.

    The caller holds `run.lock`. The store is copied as it stood at one moment, while others may go on deciding; the warehouse while
    no run can write it.

    Args:
        store: The operational store.
        folder: Where to; must not exist.
        settings: Which home.
        on_progress: Told a word on the work and the share done.

    Raises:
        BackupError: The folder exists, or what was written could not be read back. Nothing is left of it.
        ReleaseError: The served release is damaged: roll back first.
        StoreUnavailableError: The store did not answer.
        WarehouseUnavailableError: A run is at work.
    """
    if folder.exists():
        raise BackupError(f"{folder} exists already; backups are never overwritten. Name another folder.")
    if not store.is_prepared():
        raise BackupError(f"The store {store.address} holds nothing of ours yet: `ordercast simulate`, `import` or `connect` first.")
    store.migrate()
    release = current_release(settings.releases_path)
    require_space(folder.parent, _size(store, settings, release))
    building = folder.with_name(folder.name + BUILDING)
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o700)
    try:
        backup = _write(store, building, settings=settings, release=release, on_progress=on_progress)
        done = 0

        def compared(count: int) -> None:
            nonlocal done
            done += count
            on_progress("reading back", 0.5 + 0.5 * done / max(backup.size_bytes, 1))

        check_backup(building, on_bytes=compared)
        building.rename(folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return backup


def _write(store: OperationalStore, folder: Path, *, settings: Settings, release: Release | None, on_progress: Report) -> Backup:
    on_progress("the warehouse", 0.0)
    files = [*_copy_warehouse(folder, settings), *_copy_secret(folder, settings)]
    on_progress("the served release", 0.2)
    files += _copy_release(folder, release) if release else []
    on_progress("the operational store", 0.3)
    problems = len(verify(store).problems)
    store_files, head = copy_store(store, folder)
    merchant = store.merchant()
    backup = Backup(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=version("ordercast"),
        dialect=store.dialect,
        migration=store.migration() or "",
        merchant_name=merchant.name if merchant else None,
        audit_seq=head[0],
        audit_hash=head[1],
        audit_problems_count=problems,
        release_id=release.release_id if release else None,
        as_of_date=release.as_of_date if release else None,
        files=(*store_files, *files),
    )
    for inside in (path for path in folder.iterdir() if path.is_dir()):
        sync(inside)
    write_manifest(folder, backup)
    return backup


def _copy_warehouse(folder: Path, settings: Settings) -> Iterator[BackupFile]:
    if settings.warehouse_path.exists():
        target = folder / settings.warehouse_path.name
        with open_warehouse(settings.warehouse_path) as conn:  # as long as it is open here, no run can open it
            conn.execute("CHECKPOINT")
            copy_durably(settings.warehouse_path, target)
        with closing(duckdb.connect(str(target), read_only=True)) as copied:
            tables = copied.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'history' ORDER BY 1").fetchall()
            rows = {f"history.{name}": copied.execute(f"SELECT count(*) FROM history.{name}").fetchall()[0][0] for (name,) in tables}
        yield described(folder, target, rows=rows)


def _copy_secret(folder: Path, settings: Settings) -> Iterator[BackupFile]:
    secret = settings.resolved_home / SECRET_FILE
    if secret.exists():
        copy_durably(secret, folder / SECRET_FILE)
        yield described(folder, folder / SECRET_FILE)


def _copy_release(folder: Path, release: Release) -> list[BackupFile]:
    target = folder / "releases"
    target.mkdir()
    for source in (release.path, release.path.with_suffix(".json")):
        copy_durably(source, target / source.name)
    (target / POINTER).write_text(release.release_id, encoding="utf-8")
    sync(target / POINTER)
    if not is_intact(release):
        raise BackupError(f"The served release {release.release_id} is damaged: `ordercast releases rollback` first.")
    return [described(folder, path) for path in sorted(target.iterdir())]


def _size(store: OperationalStore, settings: Settings, release: Release | None) -> int:
    """Bytes to be copied, as far as they are files."""
    files = [settings.warehouse_path, *([release.path] if release else []), *([store.file] if store.file else [])]
    return sum(path.stat().st_size for path in files if path.exists())
