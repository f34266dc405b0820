"""`ordercast override`: what a person expects instead of the forecast, with the reason, beside the forecast and never in its place."""

from __future__ import annotations

import getpass
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from forecasting.schema import NO_MODEL
from pipelines.cli import accesses
from pipelines.cli.display import emit_json
from pipelines.errors import OverrideError
from pipelines.settings import Settings, load_settings
from pipelines.stores import overrides as override_store
from pipelines.stores.metrics_catalogue import suggestion
from pipelines.stores.operational import OperationalStore
from pipelines.stores.overrides import ABSOLUTE, FACTOR, Override
from pipelines.stores.releases import open_served

if TYPE_CHECKING:
    import duckdb

override_app = typer.Typer(
    no_args_is_help=True, help="Overrides of forecasts by people: set one, withdraw it, list all with what became of them."
)
_DAY = "%Y-%m-%d"
_Author = Annotated[str | None, typer.Option(help="Who says so; default is the user of this computer.")]


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    override_app.command("set")(override_set)
    override_app.command("withdraw")(override_withdraw)
    override_app.command("list")(override_list)
    app.add_typer(override_app, name="override")


def override_set(
    sku: Annotated[str, typer.Argument(help="The item.")],
    location: Annotated[str, typer.Argument(help="The location.")],
    value: Annotated[str, typer.Argument(help="Units a day, such as 12, or a multiple of the forecast, such as x1.5.")],
    *,
    until: Annotated[datetime, typer.Option("--to", formats=[_DAY], help="Last day it holds.")],
    reason: Annotated[str, typer.Option(help="Why; shown with every suggestion that rests on it.")],
    since: Annotated[
        datetime | None, typer.Option("--from", formats=[_DAY], help="First day; default is the day after the as-of day.")
    ] = None,
    author: _Author = None,
    is_confirmed: Annotated[bool, typer.Option("--yes", help="A multiple below x0.2 or above x5 is meant.")] = False,
) -> None:
    """Expect other demand than the forecast on some days; the forecast stays beside it, and later both are held against what came.

    Examples: [b]ordercast override set SKU-0142 LOC-CENTRAL x1.5 --from 2026-12-01 --to 2026-12-14 --reason "TV campaign"[/b] |
    [b]ordercast override set SKU-0142 LOC-CENTRAL 12 --to 2026-12-14 --reason "New listing at a key account"[/b]
    """
    settings = load_settings()
    with open_served(settings.releases_path) as (release, conn):
        as_of = date.fromisoformat(release.as_of_date)
        _require_forecast(conn, sku, location)
    kind, amount = _amount(value)
    first = since.date() if since else date.fromordinal(as_of.toordinal() + 1)
    if until.date() <= as_of:
        raise OverrideError(f"All days to {until.date()} have passed (the data reach to {as_of}); give a later --to.")
    line = Override(sku, location, first, until.date(), kind, amount, reason)
    with OperationalStore.open(settings.resolved_store_url) as store:
        store.migrate()
        override_id = override_store.set_override(store, line, author=author or getpass.getuser(), is_confirmed=is_confirmed)
    Console().print(
        f"Override {override_id}: {_said(kind, amount)} of {sku} at {location} from {first} to {until.date()}. "
        "It holds from the next run on: ordercast run.",
        highlight=False, markup=False,
    )  # fmt: skip


def override_withdraw(
    override_id: Annotated[str, typer.Argument(help="Its id, as `ordercast override list` shows it.")], author: _Author = None
) -> None:
    """From the next run on the forecast holds again; the override and the days it held for stay on record.

    Example: [b]ordercast override withdraw 3f2a9c0d1b7e[/b]
    """
    with OperationalStore.open(load_settings().resolved_store_url) as store:
        store.migrate()
        line = override_store.withdraw_override(store, override_id, author=author or getpass.getuser())
    Console().print(
        f"Override {override_id} of {line.sku} at {line.location_id} is withdrawn. It holds to the next run: ordercast run.",
        highlight=False, markup=False,
    )  # fmt: skip


def override_list(
    is_standing: Annotated[bool, typer.Option("--standing", help="Only those that nobody has withdrawn.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the overrides as JSON.")] = False,
) -> None:
    """All overrides, oldest first, with how much of the forecast's error each has saved on the days that have passed.

    Example: [b]ordercast override list --standing[/b]
    """
    settings = load_settings()
    with OperationalStore.open_to_read(settings.resolved_store_url) as store:
        lines = override_store.list_overrides(store, is_standing=is_standing)
    effects = _effects(settings)
    lines = [line | effects.get(line["override_id"], {"n": 0, "fva_rate": None}) for line in lines]
    if as_json:
        accesses.record("overrides", len(lines))
        emit_json(lines)
        return
    console = Console()
    if not lines:
        console.print("Nobody has overridden a forecast. Set one: ordercast override set")
        return
    for line in lines:
        days = f"{line['from_date']} to {line['to_date']}"
        console.print(
            f"[b]{line['override_id']}[/b]  {escape(line['sku'])} at {escape(line['location_id'])}: "
            f"{_said(line['kind'], line['value'])}, {days}",
            highlight=False,
        )
        told = [f"{line['author']}: {line['reason'].rstrip('.')}", _worth(line)]
        if line["withdrawn_at"]:
            told.append(f"Withdrawn by {line['withdrawn_by']}")
        console.print(f"  {escape('. '.join(told))}.", style="dim", highlight=False)


def _worth(line: dict[str, Any]) -> str:
    """What became of it, as far as its days have passed in stock."""
    if line["fva_rate"] is None:
        return "No day of it is judged yet"
    days = "1 day" if line["n"] == 1 else f"{line['n']:,} days"
    change = "saved {:.1f} % of" if line["fva_rate"] >= 0 else "added {:.1f} % to"
    return f"On {days} it {change.format(abs(line['fva_rate']) * 100)} the forecast's error"


def _require_forecast(conn: duckdb.DuckDBPyConnection, sku: str, location: str) -> None:
    """The release forecasts this item at this location.

    Raises:
        OverrideError: It does not, and why; or there is no such item, and the nearest one.
    """
    found = conn.execute("select reason from planning.demand_series where sku = ? and location_id = ?", [sku, location]).fetchone()
    if found is None:
        known = [f"{one} at {place}" for one, place in conn.execute("select sku, location_id from planning.demand_series").fetchall()]
        raise OverrideError(f"Nothing was ever sold of {sku!r} at {location!r}; {suggestion(f'{sku} at {location}', known)}")
    if found[0] is not None:
        raise OverrideError(f"{sku} at {location} has no forecast that could be overridden: {found[0]}")
    unknown = conn.execute(
        "select fallback_reason from planning.forecast_daily where sku = ? and location_id = ? and model = ?", [sku, location, NO_MODEL]
    ).fetchone()
    if unknown is not None:
        raise OverrideError(f"{sku} at {location} has no forecast that could be overridden: {unknown[0]}.")


def _effects(settings: Settings) -> dict[str, dict[str, Any]]:
    with open_served(settings.releases_path) as (_, conn):
        rows = conn.execute("select override_id, n, fva_rate from marts.fct_forecast_overrides").fetchall()
    return {override_id: {"n": n, "fva_rate": fva_rate} for override_id, n, fva_rate in rows}


def _amount(text: str) -> tuple[override_store.OverrideKind, float]:
    """`x1.5` is a factor, `12` units a day.

    Raises:
        OverrideError: It is neither.
    """
    plain = text.strip().lower()
    try:
        return (FACTOR, float(plain[1:])) if plain.startswith("x") else (ABSOLUTE, float(plain))
    except ValueError:
        raise OverrideError(f"{text!r} is no demand: write units a day, such as 12, or a multiple of the forecast, such as x1.5.") from None


def _said(kind: str, value: float) -> str:
    return f"{value:g} units a day" if kind == ABSOLUTE else f"{value:g} times the forecast"
