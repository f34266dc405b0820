"""Reads about exceptions from the operational store, as they stand at this moment. Never cached: people change them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, get_args
from urllib.parse import parse_qsl

import polars as pl

from dashboards.pages import PAGES
from dashboards.queries.suggestions import local_time
from pipelines.alerts.exceptions import RECOVERED, State
from pipelines.alerts.listing import find_exception, list_exceptions
from pipelines.alerts.verdicts import rule_precision
from pipelines.errors import UnavailableError
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.alerts.listing import Event, ExceptionEntry
    from pipelines.alerts.verdicts import RulePrecision

ORDER_KIND: Final = "order_jeopardy"
ORDERS: Final = "order:"  # how subjects of such exceptions begin
NO_EXCEPTION: Final = "None"
STATES: Final = (*(state.capitalize() for state in get_args(State)), NO_EXCEPTION)
STANDING: Final = ("Open", "Acknowledged", "Snoozed")
KIND_NAMES: Final = {
    "threshold": "Figure off its limit", "change": "Figure changed", "anomaly": "Unusual day", "stock_out": "Runs out",
    "order_jeopardy": "Order at risk", "return_spike": "Returns", "supplier_late": "Supplier late", "forecast_drift": "Forecast",
    "data_late": "Data late", "run_failed": "Run failed", "draft_not_submitted": "Draft not submitted",
    "message_undelivered": "Message not delivered",
}  # fmt: skip
_KEPT: Final = timedelta(days=28)  # what was resolved longer ago is not listed


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What needs somebody, worst first, with what was resolved of late; `problem` says why the store does not answer."""

    entries: tuple[ExceptionEntry, ...]
    problem: str | None = None

    @property
    def of_orders(self) -> list[ExceptionEntry]:
        """Those about open orders that may miss their promise."""
        return [one for one in self.entries if one.kind == ORDER_KIND]

    @property
    def others(self) -> list[ExceptionEntry]:
        """All others, the resolved ones at the end."""
        found = [one for one in self.entries if one.kind != ORDER_KIND]
        return sorted(found, key=lambda one: one.state == "resolved")  # stable: worst first as before

    @property
    def newest_of_orders(self) -> list[ExceptionEntry]:
        """One for each order: the one that stands, else the one opened last."""
        newest: dict[str | None, ExceptionEntry] = {}
        for one in sorted(self.of_orders, key=lambda one: (one.state != "resolved", one.opened_at)):
            newest[one.subject] = one
        return list(newest.values())

    @property
    def due(self) -> list[ExceptionEntry]:
        """Those that somebody has to do something about."""
        return [one for one in self.entries if one.state in {"open", "acknowledged"}]

    @property
    def overdue(self) -> list[ExceptionEntry]:
        """Those of them that are past their due time."""
        return [one for one in self.due if one.is_overdue]

    @property
    def looked_at(self) -> datetime | None:
        """When the rule about orders looked last, UTC without zone; None where it never found any."""
        looks = [one.last_seen_at for one in self.of_orders] + [one.resolved_at for one in self._recovered]
        return max((at for at in looks if at is not None), default=None)

    @property
    def no_more_count(self) -> int:
        """How many orders the last look found at risk no more."""
        return sum(one.resolved_at == self.looked_at for one in self._recovered)

    @property
    def _recovered(self) -> list[ExceptionEntry]:
        return [one for one in self.of_orders if one.resolution_code == RECOVERED]


def exceptions(*, now: datetime) -> Exceptions:
    """All that stand, and what was resolved in the last 28 days; with a sentence where the store does not answer."""
    at = now.astimezone(UTC).replace(tzinfo=None)
    try:
        with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
            return Exceptions(tuple(list_exceptions(store, states=get_args(State), since=at - _KEPT, at=at)))
    except UnavailableError as exc:
        return Exceptions((), str(exc))


def one_exception(exception_id: str, *, now: datetime) -> tuple[ExceptionEntry, list[Event]]:
    """The exception and its history from the first line on.

    Raises:
        AlertError: There is none of this id.
        UnavailableError: The store does not answer.
    """
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        return find_exception(store, exception_id, at=now.astimezone(UTC).replace(tzinfo=None))


def past_alerts() -> list[RulePrecision]:
    """How often each rule that has raised anything was right.

    Raises:
        UnavailableError: The store does not answer.
    """
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        return rule_precision(store) if store.is_migrated() else []


def exception_rows(entries: Sequence[ExceptionEntry], *, zone: str, since: datetime | None = None) -> pl.DataFrame:
    """A row for each, in their order; times are local, states and kinds in words.

    Args:
        entries: The exceptions.
        zone: The shop's time zone.
        since: One opened at this look or later is new.
    """
    return pl.DataFrame(
        [
            {
                "exception_id": one.exception_id, "order_id": (one.subject or "").removeprefix(ORDERS),
                "kind": KIND_NAMES.get(one.kind, one.kind), "title": one.title, "detail": one.detail,
                "severity": one.severity, "owner": one.owner,
                "due_at": None if one.due_at is None else local_time(one.due_at, zone), "is_overdue": one.is_overdue,
                "state": one.state.capitalize(), "expected_amount": None if one.expected_amount is None else float(one.expected_amount),
                "currency_code": one.currency_code, "basis": one.basis, "opened_at": local_time(one.opened_at, zone),
                "seen_count": one.seen_count,
                "resolution": one.resolution, "is_new": since is not None and one.opened_at >= since,
            } for one in entries
        ],
        schema=_ROWS, orient="row",
    )  # fmt: skip


def page_of(entry: ExceptionEntry, names: Mapping[str, Mapping[str, str]]) -> tuple[str, dict[str, str]]:
    """The page that shows what an exception is about, and what its address sets there.

    Args:
        entry: The exception.
        names: What suppliers and items (sku) are called, by id: controls stand in an address as they read.
    """
    subject = entry.subject or ""
    if subject.startswith(ORDERS):
        return "orders", {"order": subject.removeprefix(ORDERS)}
    if subject.startswith("item:"):
        return "reorder", {"item": subject.removeprefix("item:").partition("@")[0]}
    name, _, query = entry.link.partition("?")
    told = dict(parse_qsl(query))
    if name == "metrics":
        return name, told
    if name == "suppliers" and "supplier" in told:
        return name, {"whose": names["supplier"].get(told["supplier"], told["supplier"])}
    if name == "returns" and "sku" in told:
        sku = told["sku"]
        title = names["sku"].get(sku)
        return name, {"what": "What and why", "cut": "Products", "one_product": sku if title is None else f"{title} · {sku}"}
    return (name if name in {page.name for page in PAGES} else "health"), {}


_ROWS: Final[dict[str, Any]] = {
    "exception_id": pl.String, "order_id": pl.String, "kind": pl.String, "title": pl.String, "detail": pl.String, "severity": pl.String,
    "owner": pl.String, "due_at": pl.Datetime("us"), "is_overdue": pl.Boolean, "state": pl.String, "expected_amount": pl.Float64,
    "currency_code": pl.String, "basis": pl.String, "opened_at": pl.Datetime("us"), "seen_count": pl.Int64, "resolution": pl.String,
    "is_new": pl.Boolean,
}  # fmt: skip
