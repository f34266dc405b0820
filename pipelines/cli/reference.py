"""The generated part of `docs/`: settings, commands, metrics, errors and the data dictionary, each from what the program itself reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.main
from rich.console import Console

from pipelines.cli.wording import heading
from pipelines.errors import ContractError
from pipelines.faults.catalogue import ABOUT, FAMILIES, FAULTS
from pipelines.setting_sources import DEFAULT_FILE, FILE_VARIABLE, SECRETS_VARIABLE
from pipelines.settings import PREFIX, PROJECT_ROOT, Settings, load_settings
from pipelines.stores.metrics import catalogue_from_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipelines.stores.metrics_catalogue import Dimension, Metric

DOCS = PROJECT_ROOT / "docs"
_ABOUT_SETTINGS = f"""# Settings

One frozen object, read when a program starts. The first of these places that names a setting decides:

1. the environment: `ORDERCAST_SERVICE_LEVEL=0.97`;
2. lines of the same form in `.env` in the working folder;
3. the folder that `{SECRETS_VARIABLE}` names, with one file per setting, called as the variable is in small letters
   (`ordercast_store_url`), as containers are given secrets;
4. a TOML file: the one that `{FILE_VARIABLE}` names, else `{DEFAULT_FILE}` in the working folder.

In the TOML file names are written in small letters without the prefix, and a table's name goes before its keys:

```toml
service_level = 0.97
time_zone = "Europe/Berlin"

[email] # email_host, email_from, email_to
host = "mail.example.com"
from = "ordercast@example.com"
to = "planning@example.com"
```

An unknown name refuses to start, wherever it stands; files of the folder that do not begin with `ordercast_` belong to other programs.
`ordercast settings` lists every setting with its value and the place it comes from. Rules of ordering and targets are no settings:
they stand in the operational store with their history (`ordercast rules`, `ordercast targets`).
"""


def register(app: typer.Typer) -> None:
    """The command stands on `app`; it is for developers and hidden from the list."""
    app.command("docs", hidden=True)(docs)


def docs(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail if a page is not what would be written.")] = False,
) -> None:
    """Write docs/settings.md, cli.md, metrics.md, data-dictionary.md and errors.md anew."""
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
        "settings.md": "\n".join(settings_page()) + "\n",
        "cli.md": "\n".join(_commands(_root_command())) + "\n",
        "metrics.md": "\n".join(_metrics(manifest)) + "\n",
        "data-dictionary.md": "\n".join(_dictionary(manifest)) + "\n",
        "errors.md": "\n".join(errors()) + "\n",
    }


def _root_command() -> Any:
    from pipelines.cli.app import app  # noqa: PLC0415 - app registers this module, so it cannot be imported above

    return typer.main.get_command(app)


def settings_page() -> Iterator[str]:
    """The lines of the page of settings."""
    yield _ABOUT_SETTINGS
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
    yield (
        "# Metrics\n\nDefined once, in `dbt_project/models/semantic/`; [how a metric is written](methods/metrics-language.md). "
        "Rates are ratios of sums; percentiles are never averaged. Prior is as many days before, last year the same days less 364.\n"
    )
    catalogue = catalogue_from_manifest(manifest)
    for domain in sorted({metric.domain for metric in catalogue.values()}):
        yield f"## {heading(domain)}\n"
        for metric in (one for one in catalogue.values() if one.domain == domain):
            yield from _metric(metric)


def _metric(metric: Metric) -> Iterator[str]:
    yield f"### {metric.label}\n\n`{metric.name}`. {metric.description}\n"
    yield "| | |\n|---|---|"
    yield f"| formula | {_code(metric.formula)} |"
    if metric.where != "true":
        yield f"| counts where | {_code(metric.where)} |"
    day = {"max": ", the last day of the period that has rows", "min": ", the first day of the period that has rows"}
    yield f"| rows, dated by | `{metric.table}`, `{metric.time_column}`{day.get(metric.counts_only_day or '', '')} |"
    yield f"| unit, better | {metric.unit}, {metric.better} |"
    yield f"| target, watch band | {_target(metric)} |"
    yield f"| owner | {metric.owner} |"
    yield f"| needs | {', '.join(f'`{need}`' for need in metric.needs) or '-'} |"
    yield f"| split by | {', '.join(map(_dimension, metric.dimensions.items())) or '-'} |"
    if metric.maturity_days:
        yield f"| judged after | {metric.maturity_days} days; younger rows are counted as `too_young` |"
    if metric.exclusions:
        yield f"| left out and counted | {'; '.join(f'{one.name}: {_code(one.where)}' for one in metric.exclusions)} |"
    for caveat in metric.caveats:
        yield f"| caveat | {caveat.explained} ({_code(caveat.where)}) |"
    for block in metric.blocked:
        yield f"| blocked where | {block.explained} ({_code(block.where)}) |"
    if metric.grows_with_age:
        yield f"| grows with age | periods are not compared, younger ones have had less time: {metric.grows_with_age} |"
    if metric.assumption:
        yield f"| **assumes** | {metric.assumption} |"
    yield ""


def _target(metric: Metric) -> str:
    if metric.target is None:
        return "-"
    return f"{metric.target:g}, {metric.watch_band:g}" + (" for 28 days" if metric.is_additive else "")


def _dimension(named: tuple[str, Dimension]) -> str:
    name, dimension = named
    return f"{name} (share of the whole)" if dimension.splits_numerator_only else name


def _code(sql: str) -> str:
    return f"`{' '.join(sql.split())}`".replace("|", "\\|")


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


def errors() -> Iterator[str]:
    """The page of bad input: every code, what becomes of what bears it, and what to do."""
    yield (
        '# Bad input\n\nA message reads `E<code> <file or table> line <n> <column>: <what>, got "<value>"; <what was done>; <next step>.` '
        "Values are escaped and cut to 80 characters. Codes are never given to something else.\n"
    )
    for digit, title in FAMILIES.items():
        faults = [fault for code, fault in FAULTS.items() if code[1] == digit]
        if faults:
            yield f"## {title}\n"
            if digit in ABOUT:
                yield f"{ABOUT[digit]}\n"
            yield "| code | what | what becomes of it | next step |\n|---|---|---|---|"
            yield from (f"| {one.code} | {one.what} | {one.outcome}: {one.done} | {one.next_step} |" for one in faults)
            yield ""
