"""`ordercast settings`: what every setting is in this place, and who set it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from pipelines.cli.display import emit_json
from pipelines.settings import PREFIX, Settings, load_settings, setting_origins

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT = "default"


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("settings")(settings)


def settings(
    only_set: Annotated[bool, typer.Option("--set", help="Only settings that somebody set.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of settings as JSON.")] = False,
) -> None:
    """Every setting with its value and where it comes from; secrets are never shown.

    Examples: [b]ordercast settings[/b] | [b]ordercast settings --set --json[/b]
    """
    shown = [row for row in _rows(load_settings()) if not only_set or row["origin"] != DEFAULT]
    if as_json:
        emit_json(shown)
        return
    if not shown:
        Console().print("Nobody set anything: every setting is its default.")
        return
    table = Table("Setting", "Value", "From", box=None, pad_edge=False)
    for row in shown:
        style = "dim" if row["origin"] == DEFAULT else ""
        table.add_row(f"{PREFIX}{row['name'].upper()}", "-" if row["value"] is None else str(row["value"]), row["origin"], style=style)
    Console(soft_wrap=True).print(table)


def _rows(effective: Settings) -> Iterator[dict[str, Any]]:
    origins = setting_origins()
    for name in type(effective).model_fields:
        value = getattr(effective, name)
        if isinstance(value, SecretStr):
            value = "(secret, not shown)"
        yield {"name": name, "value": value if isinstance(value, (bool, int, float)) or value is None else str(value),
               "origin": origins.get(name, DEFAULT)}  # fmt: skip
