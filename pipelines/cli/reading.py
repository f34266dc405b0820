"""Commands that only read: `recommendations`, `releases`; and what reading the served release takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, get_args

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from inventory.wording import counted
from pipelines.cli import accesses
from pipelines.cli.display import emit_json
from pipelines.cli.why import answer, print_silent, print_story
from pipelines.cli.wording import money, quantity
from pipelines.decisions.kinds import KINDS
from pipelines.decisions.lifecycle import Status
from pipelines.decisions.roles import known_operator
from pipelines.decisions.standing import read_decided
from pipelines.decisions.wording import asked
from pipelines.settings import Settings, load_settings
from pipelines.stores import releases
from pipelines.stores.operational import OperationalStore
from pipelines.stores.recommendations import PROPOSED, as_of_run, list_recommendations
from pipelines.stores.releases import Release, list_releases, rollback, served_id

if TYPE_CHECKING:
    from datetime import date

    from pipelines.decisions.standing import Drafted, LastDecision

WAITING: Final = "waiting"
OPEN: Final = ("proposed", "stale")
STATUSES: Final = (*get_args(Status), WAITING)
_ORDERS: Final = ("purchase", "transfer")
releases_app = typer.Typer(no_args_is_help=True, help="Published releases: list them, or go back to one.")


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    app.command("recommendations")(recommendations)
    releases_app.command("list")(releases_list)
    releases_app.command("rollback")(releases_rollback)
    app.add_typer(releases_app, name="releases")


def served_release(settings: Settings) -> Release:
    """The release that readers see.

    Raises:
        ReleaseError: None is published yet.
    """
    return releases.served_release(settings.releases_path)


def recommendations(  # noqa: PLR0917 - options by name
    status: Annotated[
        str | None, typer.Option(help=f"Only these: {', '.join(STATUSES)}; waiting is for a second person. Default is all that is open.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help=f"Only of this kind: {', '.join(KINDS)}.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this operator may decide about; default is everything.")] = None,
    why: Annotated[
        str | None, typer.Option(help="All about one: its id or the beginning of it, a SKU, or SKU@LOCATION, suggested or not.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of recommendations as JSON.")] = False,
) -> None:
    """Suggestions of every kind as they stand in the operational store, most urgent first; after a rollback they are those of a later run.

    Examples: [b]ordercast recommendations --limit 10[/b] | [b]ordercast recommendations --status proposed --json[/b] |
    [b]ordercast recommendations --kind allocate[/b] | [b]ordercast recommendations --actor pam[/b] |
    [b]ordercast recommendations --why SKU-0001@LOC-NORTH[/b]
    """
    if status not in (None, *STATUSES):
        raise typer.BadParameter(f"there is no status {status!r}; there are {', '.join(STATUSES)}.", param_hint="--status")
    if kind not in (None, *KINDS):
        raise typer.BadParameter(f"there is no kind {kind!r}; there are {', '.join(KINDS)}.", param_hint="--kind")
    settings = load_settings()
    served = served_id(settings.releases_path)
    if why is not None:
        _tell_why(settings, why, actor=actor, as_json=as_json)
        return
    with OperationalStore.open_to_read(settings.resolved_store_url) as store:
        rows = _worklist(store, actor, status=status, kind=kind, limit=limit) if store.is_prepared() else []
        open_count = list_recommendations(store).height if not rows and store.is_prepared() else 0
        run_id = max((row["last_run_id"] for row in rows if row["status"] == PROPOSED), default=None)
        as_of = as_of_run(store, run_id) if run_id else None
    if as_json:
        filters = {"status": status, "kind": kind, "limit": limit, "actor": actor}
        accesses.record("recommendations", len(rows), columns=_customers_columns(rows), filters=filters)
        emit_json([row | {"served_release_id": served} for row in rows])
        return
    console = Console()
    if not rows:
        console.print(_none_words(open_count, status=status, kind=kind, actor=actor), highlight=False)
        return
    recommendation_lines(console, rows)
    if run_id:
        _say_whose(console, settings, run_id=run_id, as_of=as_of, served=served)


def _none_words(open_count: int, *, status: str | None, kind: str | None, actor: str | None) -> str:
    """Why the list is empty: what was asked for, where something else is open."""
    if not open_count:
        return "There is none: nothing needs ordering, the source lacks what it takes (ordercast run says), or no run has been yet."
    asked_for = [f"of {name} {value}" for name, value in (("status", status), ("kind", kind)) if value]
    words = " ".join([*asked_for, *([f"that {escape(actor)} may decide about"] if actor else [])])
    return f"There is none {words}; {counted(open_count, 'suggestion is', 'suggestions are')} open."


def _tell_why(settings: Settings, asked: str, *, actor: str | None, as_json: bool) -> None:
    with OperationalStore.open_to_read(settings.resolved_store_url) as store:
        is_prepared = store.is_prepared()
        rows = _worklist(store, actor) if is_prepared else []
        found = answer(store if is_prepared else None, settings.releases_path, rows, asked)
    if not found.told and not found.silent:
        raise typer.BadParameter(f"nothing is known of {asked!r}: name a recommendation's id, a SKU, or SKU@LOCATION.", param_hint="--why")
    filters = {"why": asked, "actor": actor}
    accesses.record("recommendations", len(found.told) + len(found.silent), columns=_customers_columns(found.told), filters=filters)
    if as_json:
        emit_json({"recommendations": found.told, "without_suggestion": found.silent})
        return
    console = Console()
    for row in found.told:
        recommendation_lines(console, [row])
        print_story(console, row)
    for one in found.silent:
        print_silent(console, one)


def _customers_columns(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """An allocation's basis names customers' orders."""
    return ("order_id",) if any(row["kind"] == "allocate" for row in rows) else ()


def _say_whose(console: Console, settings: Settings, *, run_id: str, as_of: date | None, served: str | None) -> None:
    """Which run proposed last; and, where the served release is another one, that metrics and pages say something else."""
    console.print(f"Proposed by run {run_id}" + (f" with the data of {as_of}." if as_of else "."), highlight=False)
    if served == run_id:
        return
    is_kept = any(release.release_id == run_id for release in list_releases(settings.releases_path))
    remedy = (
        f"`ordercast releases rollback {run_id}` serves the one of these suggestions" if is_kept else "`ordercast run` brings both together"
    )
    console.print(
        f"The served release is another one, {served or 'none'}: metrics and pages show that. {remedy}.",
        style="yellow", highlight=False,
    )  # fmt: skip


def _worklist(
    store: OperationalStore, actor: str | None, *, status: str | None = None, kind: str | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """Suggestions with what was decided about them; where an operator is named, only what lies in their scope."""
    who = None if actor is None else known_operator(store, actor)
    locations, suppliers = (None, None) if who is None else (who.locations, who.suppliers)
    stored, most = (None, None) if status == WAITING else (status, limit)
    rows = list_recommendations(store, locations=locations, suppliers=suppliers, status=stored, kind=kind, limit=most).to_dicts()
    decided, lines = read_decided(store)
    told = [row | _decided(row, decided.get(row["rec_id"]), lines.get(row["rec_id"])) for row in rows]
    return [row for row in told if row["first_approved_by"]][:limit] if status == WAITING else told


def _decided(row: dict[str, Any], last: LastDecision | None, line: Drafted | None) -> dict[str, Any]:
    """ordered_qty and draft_id of its draft line, and who approved it first where it waits for a second person; None otherwise."""
    is_waiting = last is not None and last.result.outcome == "waiting" and last.rec_version == row["version"] and row["status"] in OPEN
    first = last.actor if last is not None and is_waiting else None
    qty, draft_id = (None, None) if line is None else (line.qty, line.draft_id)
    return {"ordered_qty": qty, "draft_id": draft_id, "first_approved_by": first}


def recommendation_lines(console: Console, rows: list[dict[str, Any]]) -> None:
    """Suggestions as three lines each: its id, what to do, until when and at what price; why; and how good the forecast has been."""
    for row in rows:
        currency = row["currency_code"]
        qty = row.get("ordered_qty") or row["recommended_qty"]
        cost = None if row["unit_cost"] is None else row["unit_cost"] * qty
        what = asked(row, qty=qty, source=row["source_location_id"])
        by = "" if row["order_by"] is None else f" by {row['order_by']}"
        price = f" for {money(cost, currency)}" if row["kind"] == "purchase" else ""
        console.print(
            f"{row['rec_id'][:8]}  [b]{escape(row['sku'])}[/b] at {escape(row['location_id'])}: "
            f"{escape(what[0].lower() + what[1:])}{by}{price}; {_at_risk(row)}{_status_words(row)}",
            highlight=False,
        )
        console.print(f"  {escape(row['reason'])}", style="dim", highlight=False)
        console.print(f"  {escape(_evidence(row))}", style="dim", highlight=False)


def _status_words(row: dict[str, Any]) -> str:
    if first := row.get("first_approved_by"):
        return f" (approved by {escape(first)}, waits for a second person)"
    if row.get("ordered_qty"):
        proposed = "" if row["ordered_qty"] == row["recommended_qty"] else f" instead of {quantity(row['recommended_qty'])}"
        return f" ({row['status']}{proposed}, {'on draft' if row['kind'] in _ORDERS else 'as draft change'} {row['draft_id']})"
    return "" if row["status"] == PROPOSED else f" ({row['status']})"


def _evidence(row: dict[str, Any]) -> str:
    """How far the item's forecast was off on past cut-offs, beside seasonal naive."""
    if row["wape_rate"] is None:
        return "Its forecast could not be tested: the history is too short or holds no demand."
    naive = "-" if row["naive_wape_rate"] is None else f"{row['naive_wape_rate'] * 100:.0f} %"
    cutoffs = "1 cut-off" if row["windows_count"] == 1 else f"{row['windows_count']} cut-offs"
    tested = f"{cutoffs}, tested with the data of {row['backtest_date']}, {row['model']}"
    return f"Daily forecasts were off by {row['wape_rate'] * 100:.0f} % (WAPE), seasonal naive by {naive} ({tested})."


def _at_risk(row: dict[str, Any]) -> str:
    """The expected loss of waiting, and what it stays below in nine cases of ten where that is more."""
    expected, high = row["priority_score"], row["cost_if_ignored_p90"]
    if row["currency_code"] is None:
        return "what is at risk is not known in money"
    words = f"at risk {money(expected, row['currency_code'])}"
    if high is None and row["kind"] != "purchase":
        return words
    if high is None:
        return f"{words} at unit cost (no margin is known)"
    return f"{words}, up to {money(high, row['currency_code'])}" if high > expected else words


def releases_list(as_json: Annotated[bool, typer.Option("--json", help="Print the releases as JSON.")] = False) -> None:
    """Releases that are kept, newest first; the served one is marked."""
    settings = load_settings()
    kept = list_releases(settings.releases_path)
    served = served_id(settings.releases_path)
    if as_json:
        emit_json([release.as_dict() | {"is_served": release.release_id == served} for release in kept])
        return
    console = Console()
    if served is None and not kept:
        console.print("Nothing is published yet: ordercast run.")
        return
    table = Table("", Column("Release", no_wrap=True), "As of", "Published", "Checks", "Rows", box=None, pad_edge=False)
    for release in kept:
        mark = "served" if release.release_id == served else ""
        table.add_row(
            mark, release.release_id, release.as_of_date, release.published_at,
            f"{release.checks_passed}/{release.checks_total}", f"{sum(release.row_counts.values()):,}",
        )  # fmt: skip
    if kept:
        console.print(table)
    if served is not None and served not in {release.release_id for release in kept}:
        remedy = "ordercast releases rollback, or ordercast run" if kept else "ordercast run"
        what = "damaged" if (settings.releases_path / f"{served}.duckdb").exists() else "missing"
        console.print(f"The served release {served} is {what}, so nothing can be read: {remedy}.", highlight=False)


def releases_rollback(
    to: Annotated[str | None, typer.Argument(help="Release to serve; default is the one before the served one.")] = None,
) -> None:
    """Serve an older release again (or a newer one, by its name). No file is changed.

    While an older one is served, the sensor "changes" asks for no refresh. The next whole run publishes a newer one.

    Examples: [b]ordercast releases rollback[/b] | [b]ordercast releases rollback 20261107T060000-a0d9a2[/b]
    """
    release = rollback(load_settings().releases_path, to=to)
    Console().print(f"Served is now {release.release_id}, as of {release.as_of_date}.", highlight=False)
