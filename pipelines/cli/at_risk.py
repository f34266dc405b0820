"""`ordercast orders-at-risk`: which open orders are likely to miss their promise, why, and who can do something about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.cli import accesses
from pipelines.cli.display import emit_json
from pipelines.cli.wording import counted, money, quantity
from pipelines.settings import load_settings
from pipelines.stores.jeopardy import Jeopardy, read_jeopardy
from pipelines.stores.metrics_values import MINOR_UNIT_EXPONENTS
from pipelines.stores.releases import open_served

if TYPE_CHECKING:
    from pipelines.stores.releases import Release

_SHOWN: Final = 20
_PROMISES: Final = {"ship": "leave by", "delivery": "arrive by"}
_RULES: Final = {"model": "probability", "due_soon": "due by tomorrow", "due_soon_unreleased": "due by tomorrow, not released"}


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("orders-at-risk")(orders_at_risk)


def orders_at_risk(
    at_least: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Show orders from this probability on; default is the threshold of alerts.")
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Show how right past alerts would have been, and how early.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every open order, or with --scores all the evidence, as JSON.")] = False,
) -> None:
    """Open orders by the probability that they miss the next promise they can still keep, worst first.

    The promise is to leave by a day until all units have left, then to arrive by one. Orders whose promise is broken are counted. Nothing
    is changed.

    Examples: [b]ordercast orders-at-risk[/b] | [b]ordercast orders-at-risk --at-least 0.3[/b] | [b]ordercast orders-at-risk --scores[/b]
    """
    with open_served(load_settings().releases_path) as (release, conn):
        found = read_jeopardy(conn)
    if not scores:
        chosen = {} if at_least is None else {"at_least": at_least}
        accesses.record("orders-at-risk", found.orders.height, columns=found.orders.columns, filters=chosen)
    if as_json:
        emit_json(_as_json(release, found, scores=scores))
        return
    console = Console(highlight=False)
    console.print(f"Release {release.release_id}, as of {release.as_of_date}", style="bold")
    _say_what_they_rest_on(console, found.models)
    if scores:
        _show_scores(console, found)
    else:
        _show_orders(console, found, at_least)


def _as_json(release: Release, found: Jeopardy, *, scores: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"release_id": release.release_id, "as_of": release.as_of_date, "models": found.models.to_dicts()}
    if scores:
        return told | {"scores": found.scores.to_dicts(), "calibration": found.calibration.to_dicts()}
    return told | {"orders": found.orders.to_dicts()}


def _say_what_they_rest_on(console: Console, models: pl.DataFrame) -> None:
    for row in models.iter_rows(named=True):
        promise = f"Promises to {_PROMISES[row['promise_kind']]} a day"
        if row["not_available"]:
            console.print(f"{promise}: not available: {row['not_available']}.", style="yellow")
        elif row["fallback_reason"]:
            kind = "plain rates" if row["basis"] == "rates" else "no probability"
            console.print(f"{promise}: {kind}. {escape(row['fallback_reason'])}", style="yellow")
        else:
            console.print(f"{promise}: learned from {row['orders_count']:,} orders, of which {row['missed_orders_count']:,} missed.")


def _show_orders(console: Console, found: Jeopardy, at_least: float | None) -> None:
    orders = found.orders
    threshold = found.models["default_threshold"][0] if at_least is None else at_least
    standing = orders.filter(pl.col("promise_kind") != "broken")
    risky = standing.filter(pl.col("miss_probability") >= threshold)
    broken = orders.height - standing.height
    if not orders.height:
        console.print("No order with a promise is open.")
        return
    console.print(
        f"{counted(standing.height, 'open order')} can still keep a promise; {risky.height:,} of them miss it with a probability of "
        f"{threshold:.0%} or more, worth {_total(risky)}. {counted(broken, 'more open order')} broke theirs."
    )
    table = Table("Order", "Misses", "Promised to", "Stage", "Why", "Who", "Worth", box=None, pad_edge=False)
    for row in risky.head(_SHOWN).iter_rows(named=True):
        promise = f"{_PROMISES[row['promise_kind']]} {row['due_date']}"
        worth = _amount(row["net_reporting_amount"], row["currency_code"])
        table.add_row(
            *map(escape, (row["order_id"], f"{row['miss_probability']:.0%}", promise, row["stage"], row["reason"], row["owner"], worth))
        )
    if risky.height:
        console.print(table)
    if risky.height > _SHOWN:
        console.print(f"{risky.height - _SHOWN:,} more: --json has them all.", style="dim")


def _total(risky: pl.DataFrame) -> str:
    if risky["net_reporting_amount"].null_count():
        return "an amount that is not known: an exchange rate is missing"
    currency = risky["currency_code"][0] if risky.height else None
    return _amount(int(risky["net_reporting_amount"].sum()), currency) if currency else "nothing"


def _amount(minor: int | None, currency_code: str) -> str:
    return money(None if minor is None else minor / 10 ** MINOR_UNIT_EXPONENTS.get(currency_code, 2), currency_code)


def _show_scores(console: Console, found: Jeopardy) -> None:
    total = found.scores.filter(pl.col("window_from").is_null())
    if not total.height:
        console.print("No days could be held out: not enough promises came due before them.")
        return
    for (kind,), rows in total.group_by("promise_kind", maintain_order=True):
        windows = found.scores.filter(pl.col("promise_kind") == kind)
        since, until = windows.select(pl.col("window_from").min(), pl.col("window_until").max()).row(0)
        first = rows.row(0, named=True)
        console.print(
            f"\nTo {_PROMISES[str(kind)]} a day: {quantity(first['orders_count'])} orders due {since} to {until}, "
            f"{quantity(first['missed_orders_count'])} missed",
            style="bold",
        )
        console.print(_rules_table(rows))
        model = rows.filter(pl.col("rule") == "model").row(0, named=True)
        errors = [_figure(model[f"{name}brier_score"], ".4f") for name in ("", "plain_", "base_")]
        console.print(
            f"Squared error {errors[0]} (plain rates {errors[1]}, one rate for all {errors[2]}); the riskier of two is ranked first "
            f"{_figure(model['auc'], '.1%')} of times."
        )
        console.print(_calibration_table(found.calibration.filter(pl.col("promise_kind") == kind)))


def _rules_table(rows: pl.DataFrame) -> Table:
    table = Table("Alert from", box=None, pad_edge=False)
    for title in ("Alerts", "Right", "Of misses found", "Hours ahead", "Worth per 100 orders"):
        table.add_column(title, justify="right")
    for row in rows.iter_rows(named=True):
        name = _RULES[row["rule"]] + ("" if row["threshold"] is None else f" {row['threshold']:.0%}")
        figures = (
            _figure(row["precision_rate"], ".0%"),
            _figure(row["recall_rate"], ".0%"),
            _figure(row["lead_p50_hours"], ".0f"),
            _figure(row["value_per_100_orders"], ".1f"),
        )
        table.add_row(name, quantity(row["alerts_count"]), *figures)
    return table


def _calibration_table(rows: pl.DataFrame) -> Table:
    table = Table("Said", box=None, pad_edge=False)
    for title in ("Evenings", "Mean said", "Missed"):
        table.add_column(title, justify="right")
    for row in rows.iter_rows(named=True):
        band = f"{row['band_from']:.0%} to {row['band_until']:.0%}"
        table.add_row(band, quantity(row["snapshots_count"]), f"{row['said_rate']:.1%}", f"{row['missed_rate']:.1%}")
    return table


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
