"""`ordercast migrate`: our own tables in the operational store, forward and back."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.display import emit_json
from pipelines.errors import ContractError
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore, migrations, newest_migration


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("migrate")(migrate)


def migrate(
    to: Annotated[str | None, typer.Option(help="Version to go to, such as 0013; default is the newest.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Go back although tables and columns of newer versions are dropped.")] = False,
    only_show: Annotated[bool, typer.Option("--show", help="Only say which version the tables stand at.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the versions as JSON.")] = False,
) -> None:
    """Bring our own tables in the operational store to a version; the shop's tables are never touched.

    Going forward only adds, so a program of the version before works on meanwhile. Runs and pages go forward by themselves.

    Examples: [b]ordercast migrate[/b] | [b]ordercast migrate --show[/b] | [b]ordercast migrate --to 0013 --yes[/b]
    """
    with OperationalStore.open(load_settings().resolved_store_url, must_exist=False) as store:
        before = store.migration()
        if not only_show:
            if to is not None and before is not None and to < before and not yes:
                dropped = ", ".join(version for version in migrations() if to < version <= before)
                raise ContractError(
                    f"Going back from {before} to {to} drops what came with {dropped}, decisions among it where it came with them. "
                    "Back up first (`ordercast backup FOLDER`), then say --yes. Nothing was changed."
                )
            store.migrate(to=to)
        after = store.migration()
    if as_json:
        emit_json({"before": before, "after": after, "newest": newest_migration()})
        return
    moved = f"{before or 'nothing'} -> {after}" if before != after else f"at {after or 'nothing'}"
    Console().print(f"Tables: {moved}; the newest this program knows is {newest_migration()}.", highlight=False)
