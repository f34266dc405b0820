"""Commands that fill an operational store: `simulate` and `import`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.display import emit_json, import_report, progress_bar
from pipelines.errors import ContractError, SettingsError
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore

MAPPINGS = Path(__file__).resolve().parents[1] / "mappings"


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    app.command("simulate")(simulate)
    app.command("import")(import_exports)


def simulate(
    scenario: Annotated[str, typer.Option(help="Which merchant: small, default or large.")] = "default",
    seed: Annotated[int | None, typer.Option(help="Seed of the merchant; default is ORDERCAST_SEED.")] = None,
    continue_days: Annotated[int | None, typer.Option("--continue", min=1, help="Let the merchant in the store live N more days.")] = None,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Do nothing where a store stands already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts as JSON.")] = False,
) -> None:
    """Create an operational store from a seeded, simulated merchant, or let it live on.

    Examples: [b]ordercast simulate[/b] | [b]ordercast simulate --scenario small --seed 7[/b] | [b]ordercast simulate --continue 7[/b]
    """
    from pipelines.simulator import load  # noqa: PLC0415 - only this command needs the simulator

    settings = load_settings()
    console = Console(stderr=True)
    url = settings.resolved_store_url
    exists = not url.startswith("sqlite") or Path(url.removeprefix("sqlite:///")).exists()
    started = time.perf_counter()
    if continue_days is not None:
        with OperationalStore.open(url) as store, progress_bar(console, "Living on") as report:
            counts = load.continue_merchant(store, days=continue_days, on_progress=report)
    else:
        if if_missing and exists:
            console.print(f"An operational store stands already: {_shown(url)}")
            return
        with OperationalStore.open(url, must_exist=False) as store:
            if store.present_fields():
                raise ContractError(
                    f"The store {_shown(url)} already holds a merchant; nothing was changed. Use --continue N to let a simulated one "
                    "live on, or name another store with ORDERCAST_HOME or ORDERCAST_STORE_URL."
                )
            with progress_bar(console, "Simulating a merchant") as report:
                counts = load.load_merchant(
                    store,
                    load.scenario_named(scenario),
                    seed=settings.seed if seed is None else seed,
                    on_progress=report,
                )
    seconds = round(time.perf_counter() - started, 1)
    if as_json:
        emit_json({"rows": dict(counts.rows), "seconds": seconds})
        return
    console.print(f"Simulated {counts.rows.get('orders', 0):,} orders, {sum(counts.rows.values()):,} rows in {seconds} s: {_shown(url)}")


def import_exports(
    mapping: Annotated[str, typer.Argument(help="Name of a shipped mapping (olist, online_retail) or the path of your own .yml.")],
    folder: Annotated[Path, typer.Argument(help="Folder that holds the exported files.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the import report as JSON.")] = False,
) -> None:
    """Load real exports (CSV or Parquet) into an operational store through a mapping file.

    Examples: [b]ordercast import olist ./exports/olist[/b] | [b]ordercast import ./my_shop.yml ./exports[/b]
    """
    from pipelines.steps.import_files import import_files  # noqa: PLC0415 - keeps other commands quick to start

    settings = load_settings()
    console = Console(stderr=True)
    path = _mapping_path(mapping)
    started = time.perf_counter()
    with (
        OperationalStore.open(settings.resolved_store_url, must_exist=False) as store,
        progress_bar(console, f"Importing {path.stem}") as report,
    ):
        result = import_files(store, mapping=path, folder=folder, on_progress=report)
    seconds = round(time.perf_counter() - started, 1)
    if as_json:
        emit_json(result.as_dict() | {"seconds": seconds})
        return
    import_report(Console(), result, seconds=seconds)


def _mapping_path(name: str) -> Path:
    path = Path(name) if name.endswith((".yml", ".yaml")) else MAPPINGS / f"{name}.yml"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in MAPPINGS.glob("*.yml")))
        raise SettingsError(f"There is no mapping {name!r}: shipped are {shipped}; give the path of a .yml file for your own.")
    return path


def _shown(url: str) -> str:
    """The store's address without a password."""
    from sqlalchemy.engine import make_url  # noqa: PLC0415 - keeps `--help` quick

    return make_url(url).render_as_string(hide_password=True)
