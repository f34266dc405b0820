"""The generated part of `docs/`: settings, commands, metrics and the data dictionary, each from what the program itself reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.main
from rich.console import Console

from pipelines.errors import ContractError
from pipelines.settings import PREFIX, PROJECT_ROOT, Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCS = PROJECT_ROOT / "docs"


def register(app: typer.Typer) -> None:
    """The command stands on `app`; it is for developers and hidden from the list."""
    app.command("docs", hidden=True)(docs)


def docs(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail if a page is not what would be written.")] = False,
) -> None:
    """Write docs/settings.md, cli.md, metrics.md and data-dictionary.md anew."""
    stale = []
    for name, text in pages().items():
        path = DOCS / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        raise ContractError(f"Not up to date in docs/: {', '.join(stale)}. Run `make docs`.")
    Console().print(f"Written: {', '.join(stale)}." if stale else "All generated pages are up to date.")


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    from pipelines.steps.transform import prepare_manifest  # noqa: PLC0415 - dbt takes seconds to import

    manifest = json.loads(prepare_manifest(load_settings()).read_text(encoding="utf-8"))
    return {
        "settings.md": "\n".join(_settings()) + "\n",
        "cli.md": "\n".join(_commands(_root_command())) + "\n",
        "metrics.md": "\n".join(_metrics(manifest)) + "\n",
        "data-dictionary.md": "\n".join(_dictionary(manifest)) + "\n",
    }


def _root_command() -> Any:
    from pipelines.cli.app import app  # noqa: PLC0415 - app registers this module, so it cannot be imported above

    return typer.main.get_command(app)


def _settings() -> Iterator[str]:
    yield "# Settings\n\nEnvironment variables, or lines of `.env`. An unknown name refuses to start.\n"
    yield "| setting | default | what it is |\n|---|---|---|"
    for name, field in Settings.model_fields.items():
        default = "-" if field.default is None else f"`{field.default}`"
        yield f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |"


def _commands(command: Any, path: str = "ordercast") -> Iterator[str]:
    context = command.context_class(command, info_name=path)
    if path == "ordercast":
        yield "# Command line"
    else:
        yield f"\n## {path}"
    yield f"\n{_unstyled(command.help or '')}\n"
    options = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    rows = [(name, text) for name, text in options if "completion" not in name and "--help" not in name]
    if rows:
        yield "| option | what it does |\n|---|---|"
        yield from (f"| `{name.replace('|', ', ')}` | {_unstyled(text)} |" for name, text in rows)
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from _commands(child, f"{path} {name}")


def _unstyled(text: str) -> str:
    return text.replace("[/b]", "`").replace("[b]", "`").replace("|", ",").strip()


def _metrics(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield "# Metrics\n\nDefined once, in `dbt_project/models/semantic/`. Rates are ratios of sums; percentiles are never averaged.\n"
    for metric in sorted(manifest["metrics"].values(), key=lambda one: str(one["name"])):
        meta = metric["config"].get("meta") or {}
        if not meta:
            continue
        yield f"## {metric['label']}\n\n`{metric['name']}`. {' '.join(metric['description'].split())}\n"
        yield "| unit | better | target | owner | needs |\n|---|---|---|---|---|"
        needs = ", ".join(f"`{need}`" for need in meta.get("needs", []))
        yield f"| {meta.get('unit')} | {meta.get('better', '-')} | {meta.get('target', '-')} | {meta.get('owner', '-')} | {needs} |\n"


def _dictionary(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield "# Data dictionary\n\nThe marts, as each release carries them.\n"
    marts = [node for node in manifest["nodes"].values() if node["resource_type"] == "model" and node["fqn"][1] == "marts"]
    for node in sorted(marts, key=lambda one: str(one["name"])):
        grain = ", ".join((node["config"].get("meta") or {}).get("grain", []))
        yield f"## {node['name']}\n\n{' '.join(node['description'].split())} Grain: {grain}.\n"
        yield "| column | type | what it is |\n|---|---|---|"
        for column in node["columns"].values():
            yield f"| {column['name']} | {column.get('data_type') or '-'} | {' '.join((column.get('description') or '').split())} |"
        yield ""
