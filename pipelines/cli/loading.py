"""Commands that fill or prepare an operational store: `simulate`, `import` and `connect`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from zoneinfo import available_timezones

import typer
from rich.console import Console

from pipelines.cli.display import emit_json, import_report, progress_bar
from pipelines.errors import ContractError, SettingsError, SourceFileError
from pipelines.settings import Settings, load_settings
from pipelines.stores.change_feed import forbid_triggers, install_feed
from pipelines.stores.connections import describe, parse_store_url
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.refused_files import remove_old_refused

if TYPE_CHECKING:
    from pipelines.simulator.load import LoadCounts

CONNECTED: Final = "connected"  # origin of a merchant whose tables we did not load


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    app.command("simulate")(simulate)
    app.command("import")(import_exports)
    app.command("connect")(connect)


def simulate(
    scenario: Annotated[str, typer.Option(help="Which merchant: default, small, large, calm, promo, supplier_delay or dirty.")] = "default",
    seed: Annotated[int | None, typer.Option(help="Seed of the merchant; default is ORDERCAST_SEED.")] = None,
    continue_days: Annotated[int | None, typer.Option("--continue", min=1, help="Let the merchant in the store live N more days.")] = None,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Do nothing where a store stands already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts as JSON.")] = False,
) -> None:
    """Create an operational store from a seeded, simulated merchant, or let it live on.

    Examples: [b]ordercast simulate[/b] | [b]ordercast simulate --scenario small --seed 7[/b] | [b]ordercast simulate --continue 7[/b]
    """
    settings = load_settings()
    console = Console(stderr=True)
    if if_missing and _stands(settings):
        console.print(f"An operational store stands already: {_address(settings)}")
        return
    started = time.perf_counter()
    if continue_days is not None:
        counts = _continue(settings, console, days=continue_days)
    else:
        counts = _create(settings, console, scenario=scenario, seed=settings.seed if seed is None else seed)
    seconds = round(time.perf_counter() - started, 1)
    if as_json:
        emit_json({"rows": dict(counts.rows), "seconds": seconds})
        return
    orders, rows = counts.rows.get("orders", 0), sum(counts.rows.values())
    console.print(f"Simulated {orders:,} orders, {rows:,} rows in {seconds} s: {_address(settings)}")


def _create(settings: Settings, console: Console, *, scenario: str, seed: int) -> LoadCounts:
    from pipelines.simulator import load  # noqa: PLC0415 - only this command needs the simulator

    with OperationalStore.open(settings.resolved_store_url, must_exist=False) as store:
        if store.present_fields():
            raise ContractError(
                f"The store {store.address} already holds a merchant; nothing was changed. Use --continue N to let a simulated one "
                "live on, or name another store with ORDERCAST_HOME or ORDERCAST_STORE_URL."
            )
        with progress_bar(console, "Simulating a merchant") as report:
            return load.load_merchant(store, load.scenario_named(scenario), seed=seed, on_progress=report)


def _continue(settings: Settings, console: Console, *, days: int) -> LoadCounts:
    from pipelines.simulator import load  # noqa: PLC0415 - only this command needs the simulator

    with OperationalStore.open(settings.resolved_store_url) as store, progress_bar(console, "Living on") as report:
        return load.continue_merchant(store, days=days, on_progress=report)


def _stands(settings: Settings) -> bool:
    """Whether there is a store to leave alone: any that is named by its URL, and an embedded one that holds a merchant."""
    if settings.store_url is not None:
        return True
    if not settings.embedded_store_path.exists():
        return False
    with OperationalStore.open_to_read(settings.resolved_store_url) as store:
        return bool(store.present_fields())


def _address(settings: Settings) -> str:
    return describe(parse_store_url(settings.resolved_store_url))


def import_exports(
    mapping: Annotated[str, typer.Argument(help="Name of a shipped mapping (olist, online_retail) or the path of your own .yml.")],
    folder: Annotated[Path, typer.Argument(help="Folder that holds the exported files.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the import report as JSON.")] = False,
) -> None:
    """Load real exports (CSV or Parquet) into an operational store through a mapping file.

    Examples: [b]ordercast import olist ./exports/olist[/b] | [b]ordercast import ./my_shop.yml ./exports[/b]
    """
    from pipelines.steps.import_files import import_files  # noqa: PLC0415 - keeps other commands quick to start
    from pipelines.steps.import_mapping import resolve_mapping  # noqa: PLC0415

    settings = load_settings()
    console = Console(stderr=True)
    path = resolve_mapping(mapping)
    if not folder.is_dir():
        raise SourceFileError(f"There is no folder {folder}: give the folder that holds the exported files. Nothing was touched.")
    remove_old_refused(settings.refused_path, days=settings.refused_days)
    started = time.perf_counter()
    with (
        OperationalStore.open(settings.resolved_store_url, must_exist=False) as store,
        progress_bar(console, f"Importing {path.stem}") as report,
    ):
        result = import_files(store, mapping=path, folder=folder, keep_in=settings.refused_path, on_progress=report)
    seconds = round(time.perf_counter() - started, 1)
    if as_json:
        emit_json(result.as_dict() | {"seconds": seconds})
        return
    import_report(Console(), result, seconds=seconds)


def connect(
    name: Annotated[str, typer.Option(help="The merchant's name, as pages show it.")],
    time_zone: Annotated[str, typer.Option(help="Zone of the merchant's days, such as Europe/Berlin.")],
    currency: Annotated[str, typer.Option(help="Currency to report in, such as EUR.")],
    no_triggers: Annotated[
        bool, typer.Option("--no-triggers", help="Leave your tables alone: rows may be missed until the daily reconcile, and pages say so.")
    ] = False,
) -> None:
    """Prepare your own database once: our tables, the change feed's triggers on yours, and whose data it is.

    Example: [b]ordercast connect --name "Corner shop" --time-zone Europe/Berlin --currency EUR[/b]
    """
    if time_zone not in available_timezones() or not (currency.isalpha() and currency.isupper() and len(currency) == 3):
        raise SettingsError(f"--time-zone {time_zone} or --currency {currency} is unknown: give an IANA zone and an ISO 4217 code.")
    with OperationalStore.open(load_settings().resolved_store_url) as store:
        present = store.present_fields()
        if lacking := [table for table in ("orders", "order_lines") if table not in present]:
            raise ContractError(f"The store {store.address} has no table {' and no table '.join(lacking)}; nothing was changed.")
        standing = store.merchant()
        if standing is not None and standing.origin != CONNECTED:
            raise ContractError(f"The store {store.address} already holds {standing.name} ({standing.origin}); nothing was changed.")
        store.migrate()
        store.save_merchant(Merchant("merchant", name, time_zone, currency, CONNECTED))
        if no_triggers:
            forbid_triggers(store)
        else:
            install_feed(store)
    how = "are read without triggers and may miss rows until reconcile" if no_triggers else "are watched"
    Console().print(f"Connected {name}: {len(present)} tables {how}. Next: ordercast run", markup=False, highlight=False)
