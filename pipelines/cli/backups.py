"""Commands for the day a disk fails: `backup` and `restore`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from pipelines.cli.display import emit_json, progress_bar
from pipelines.errors import BackupError
from pipelines.settings import load_settings
from pipelines.stores.backups import MANIFEST, check_backup
from pipelines.stores.customer_keys import SECRET_FILE
from pipelines.stores.operational import OperationalStore
from pipelines.stores.run_lock import only_run

if TYPE_CHECKING:
    from pipelines.stores.backups import Backup

_SHOWN_PROBLEMS: Final = 5


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    folder: Annotated[
        Path | None, typer.Argument(help="Where to; must not exist. Default is backups/<UTC time> in the home folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Copy what cannot be made again, while people go on working: store, warehouse with its history, key, served release.

    Of a PostgreSQL store only our own tables: the merchant's are the merchant's to back up. Written beside, read back byte for byte,
    then renamed: a backup is whole or not there.

    Examples: [b]ordercast backup[/b] | [b]ordercast backup /mnt/elsewhere/ordercast-monday[/b]
    """
    from pipelines.steps.backup import back_up  # noqa: PLC0415 - keeps other commands quick to start

    settings = load_settings()
    target = (folder or settings.resolved_home / "backups" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}").expanduser().resolve()
    with (
        OperationalStore.open(settings.resolved_store_url) as store,
        only_run(settings.resolved_home),
        progress_bar(Console(stderr=True), "Backing up") as report,
    ):
        made = back_up(store, target, settings=settings, on_progress=report)
    if as_json:
        emit_json(made.as_dict() | {"folder": target})
        return
    console = Console(soft_wrap=True)
    console.print(f"Backed up to {target} and read back: {_words(made)}.", highlight=False, markup=False)
    if made.audit_problems_count:
        console.print(
            f"The audit log was not whole: {made.audit_problems_count:,} problems; ordercast audit verify.", style="yellow", highlight=False
        )
    if made.dialect == "postgresql":
        console.print("The merchant's own tables are not in it: back up the database with its own tools as well.", highlight=False)
    console.print(
        f"It holds personal data as the store does, and {SECRET_FILE}, by which customers' keys can be traced back: closed to others, "
        "and kept on another machine.",
        highlight=False, markup=False,
    )  # fmt: skip
    console.print(f"Check it where it lies: ordercast restore --check {target}", highlight=False, markup=False)


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `ordercast backup` has written.")],
    check: Annotated[bool, typer.Option("--check", help="Only compare every byte with the manifest.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Replace what stands here.")] = False,
) -> None:
    """Make this home and its store what a backup says. Nothing is touched before every byte of it was compared with its manifest.

    Stop dashboards and Dagster first. The next run reads the store in full. Releases of this home give way to the one in the backup.

    Examples: [b]ordercast restore --check /mnt/elsewhere/ordercast-monday[/b] |
    [b]ordercast restore /mnt/elsewhere/ordercast-monday --yes[/b]
    """
    from pipelines.steps import restore as step  # noqa: PLC0415 - keeps other commands quick to start

    settings, console = load_settings(), Console(soft_wrap=True)
    source = folder.expanduser().resolve()
    if check:
        with progress_bar(Console(stderr=True), "Checking") as report:
            report("comparing with the manifest")
            found = check_backup(source)
        console.print(f"{source} is whole: {_words(found)}.", highlight=False, markup=False)
        return
    standing = step.would_overwrite(source, settings=settings)
    if standing and not yes:
        raise BackupError(f"This would replace {'; '.join(standing)}. Say --yes if you mean it. Nothing was changed.")
    with only_run(settings.resolved_home), progress_bar(Console(stderr=True), "Restoring") as report:
        audit = step.restore(source, settings=settings, on_progress=report)
    console.print(f"Restored from {source / MANIFEST}. The audit log has {audit.rows_count:,} rows", end="", highlight=False, markup=False)
    console.print(" and is whole." if not audit.problems else ", and what was wrong with it at the time of the backup is so now:")
    for problem in audit.problems[:_SHOWN_PROBLEMS]:
        console.print(f"  {problem}", style="yellow", highlight=False, markup=False)
    console.print("Next: ordercast run (it reads the store in full), then ordercast doctor.", highlight=False)


def _words(made: Backup) -> str:
    store = "the whole SQLite store" if made.dialect == "sqlite" else "our tables of the PostgreSQL store"
    release = f"release {made.release_id} as of {made.as_of_date}" if made.release_id else "no release yet"
    return (
        f"{len(made.files)} files, {made.size_bytes / 1024**2:,.1f} MB; {store} ({made.rows_count:,} rows with the history of the "
        f"warehouse), {release}, audit log up to row {made.audit_seq}, from {made.made_at}"
    )
