"""`refresh` and `backfill`: figures follow the store without planning anew."""

from __future__ import annotations

import calendar
import re
import time
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from pipelines.cli.display import REFRESHED_STEPS, emit_json
from pipelines.cli.running import raise_failure, run_job
from pipelines.settings import load_settings
from pipelines.stores.releases import served_release

if TYPE_CHECKING:
    from pipelines.cli.in_process import RunOutcome
    from pipelines.settings import Settings

_MONTH: Final = re.compile(r"\d{4}-\d{2}")


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    app.command("refresh")(refresh)
    app.command("backfill")(backfill)


def refresh(as_json: Annotated[bool, typer.Option("--json", help="Print counts and seconds per step as JSON.")] = False) -> None:
    """Bring figures up to what the store holds now and publish them; plans and suggestions stay those of the last whole run.

    It reports the same day as that run. In Dagster, the sensor "changes" does this whenever the store changes.

    Examples: [b]ordercast refresh[/b] | [b]ordercast refresh --json[/b]
    """
    settings, started = load_settings(), time.perf_counter()
    outcome = run_job(settings, "refresh", REFRESHED_STEPS)
    _tell(settings, outcome, as_json=as_json, seconds=time.perf_counter() - started)


def backfill(
    days: Annotated[str | None, typer.Argument(help="A day such as 2026-03-05, or a month such as 2026-03.")] = None,
    since: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found and seconds per step as JSON.")] = False,
) -> None:
    """Hold the documents of some days against the store, read again what differs, compute their orders anew, and publish.

    Rows of other days are left as they are, and so are plans and suggestions. What the change feed tells is read as by any run.

    Examples: [b]ordercast backfill 2026-03-05[/b] | [b]ordercast backfill 2026-03[/b] |
    [b]ordercast backfill --from 2026-03-05 --to 2026-03-12 --json[/b]
    """
    first, last = _range(days, since.date() if since else None, until.date() if until else None)
    settings, started = load_settings(), time.perf_counter()
    if not settings.business_start <= first <= last < date.today():  # noqa: DTZ011 - partitions end with the wall clock's yesterday
        raise typer.BadParameter(f"Days lie between {settings.business_start} (ORDERCAST_BUSINESS_START) and yesterday, in order.")
    chosen = (first.isoformat(), last.isoformat())
    outcome = run_job(settings, "backfill", ("backfill",), days=chosen)
    _tell(settings, outcome, as_json=as_json, seconds=time.perf_counter() - started)


def _range(days: str | None, first: date | None, last: date | None) -> tuple[date, date]:
    if (days is None) == (first is None and last is None):
        raise typer.BadParameter("Name a day or a month, or --from and --to.")
    try:
        if days is None:
            return first or last or date.min, last or first or date.min
        if _MONTH.fullmatch(days):
            month = date.fromisoformat(f"{days}-01")
            return month, month.replace(day=calendar.monthrange(month.year, month.month)[1])
        return date.fromisoformat(days), date.fromisoformat(days)
    except ValueError:
        raise typer.BadParameter(f"{days!r} is no day such as 2026-03-05 and no month such as 2026-03.") from None


def _tell(settings: Settings, outcome: RunOutcome, *, as_json: bool, seconds: float) -> None:
    """How it went, and what is served now."""
    if as_json:
        emit_json(outcome.as_dict())
    raise_failure(outcome)
    if as_json:
        return
    console = Console()
    release = served_release(settings.releases_path)
    for line in _lines(outcome.counts):
        console.print(line, highlight=False, markup=False)
    planned = f", plans of run {release.planned_by}" if release.planned_by else ""
    console.print(f"[b]Release[/b] {release.release_id}, figures as of {release.as_of_date}{planned}", highlight=False)
    steps = ", ".join(f"{step} {spent:.1f}" for step, spent in outcome.seconds.items())
    console.print(f"[b]Took[/b]    {seconds:.1f} s, of them in steps: {steps}", highlight=False)


def _lines(counts: Any) -> list[str]:
    if (facts := counts.get("read_days_anew")) is not None:
        healed = [
            f"{table}: {rows:,} rows were otherwise than in the store and are read again" for table, rows in facts["rows_healed"].items()
        ]
        return healed or [
            f"Nothing was otherwise than in the store; orders of {facts['first_day']} to {facts['last_day']} are computed anew."
        ]
    tables = counts.get("ingest", {})
    changed = [f"{name} {facts['rows_in']:,}" for name, facts in tables.items() if facts["rows_in"]]
    return [f"Rows that changed: {', '.join(changed)}" if changed else "Nothing changed since the last run."]
