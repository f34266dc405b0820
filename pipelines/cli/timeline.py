"""`ordercast timeline`: everything that happened to one customer or one order."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer
from rich.markup import escape

from pipelines.cli import accesses
from pipelines.cli.display import emit_json
from pipelines.cli.reports import print_rows, rows_console
from pipelines.cli.wording import money
from pipelines.settings import load_settings
from pipelines.stores.customer_keys import Pseudonyms
from pipelines.stores.releases import open_served
from pipelines.stores.timelines import customer_timeline, order_timeline, why_not_judged

if TYPE_CHECKING:
    from pipelines.stores.timelines import Timeline


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("timeline")(timeline)


def timeline(
    customer: Annotated[str | None, typer.Option(help="The source's customer id, or the key that reports show.")] = None,
    order: Annotated[str | None, typer.Option(help="Order id; the way to a guest's order.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print profile, status and events as JSON.")] = False,
) -> None:
    """One customer's or one order's whole story across channels: orders, shipments, returns, payments, reviews and contracts.

    Examples: [b]ordercast timeline --customer C-000012[/b] | [b]ordercast timeline --order O-000345 --json[/b]
    """
    if (customer is None) == (order is None):
        raise typer.BadParameter("Give either --customer or --order.")
    settings = load_settings()
    with open_served(settings.releases_path) as (release, conn):
        if order is not None:
            found = order_timeline(conn, order)
        else:
            pseudonyms = Pseudonyms.already_of_home(settings.resolved_home)
            hashed = (pseudonyms.key_of(str(customer)),) if pseudonyms else ()
            found = customer_timeline(conn, (*hashed, str(customer)), asked=str(customer))
    whose = ("customer", found.customer_key) if order is None else ("order", order)
    accesses.record(whose[0], found.events.height, action="drill", object_id=whose[1])
    if as_json:
        emit_json(asdict_with_rows(found) | {"as_of": release.as_of_date, "release_id": release.release_id})
    else:
        _show(found)


def asdict_with_rows(found: Timeline) -> dict[str, Any]:
    """The timeline as plain values: events as a list of rows."""
    return asdict(found) | {"events": found.events.to_dicts()}


def _show(found: Timeline) -> None:
    console = rows_console()
    if found.order_id:
        whose = f"customer {found.customer_key}" if found.customer_key else "a guest"
        console.print(f"[b]Order {escape(found.order_id)}[/b] of {whose}", highlight=False)
    else:
        console.print(f"[b]Customer {found.customer_key}[/b]", highlight=False)
    if found.profile:
        console.print(escape(_profile(found.profile)), highlight=False)
    if found.status:
        console.print(escape(standing(found.status)), highlight=False)
    if found.events.is_empty():
        console.print("Nothing has happened yet.")
        return
    rows = found.events.select(
        pl.col("event_at_local").alias("when"), pl.col("event_type").str.replace_all("_", " ").alias("event"), "order_id", "channel_id",
        pl.col("qty").alias("units"), "amount", pl.col("review_score").alias("score"), "reference_id", "currency_code",
    )  # fmt: skip
    empty = {column for column in rows.columns if rows[column].null_count() == rows.height}
    print_rows(console, rows, told=empty | ({"order_id"} if found.order_id else set()), total=rows.height, spare="reference_id")


def _profile(profile: dict[str, Any]) -> str:
    if not profile["order_count"]:
        return "No order that counts: cancelled and test orders do not."
    worth = money(profile["net_reporting_amount"], profile["currency_code"])
    return (
        f"{profile['segment'].replace('_', ' ').capitalize()}, {profile['order_count']:,} orders from {profile['first_order_date']} to "
        f"{profile['last_order_date']}, worth {worth} net of refunds"
    )


def standing(status: dict[str, Any]) -> str:
    """Whether the customer is still there and what to expect, in one sentence, or why nobody can say."""
    if reason := why_not_judged(status):
        return reason
    verdict = "Likelier gone than still there" if status["is_churned"] else "Probably still there"
    value = status["lifetime_value_364_days_amount"]
    worth = "" if value is None else f" worth {money(value, status['currency_code'])}"
    return (
        f"{verdict} ({status['p_alive']:.0%}); {status['expected_purchases_364_days']:.1f} purchases{worth} expected in the next 364 days"
        f"{_past_error(status)}."
    )


def _past_error(status: dict[str, Any]) -> str:
    """How far the model was off for all customers together, where that was measured."""
    parts = {"purchases": status["holdout_bias_rate"], "sales": status["holdout_value_bias_rate"]}
    known = [f"{rate:+.0%} in {name}" for name, rate in parts.items() if rate is not None]
    return f", by a model whose error was {' and '.join(known)} in a hold-out" if known else ""
