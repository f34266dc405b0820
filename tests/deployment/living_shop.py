"""The merchant's side: a shop that lives on day by day, what goes wrong in it and is mended, and people who decide meanwhile."""

from __future__ import annotations

import json
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import psycopg
import sqlalchemy as sa

from pipelines.decisions.requests import DecisionRequest
from pipelines.decisions.roles import Operator, set_operator
from pipelines.decisions.service import decide
from pipelines.errors import ContractError
from pipelines.simulator.load import continue_merchant, load_merchant
from pipelines.simulator.merchant import simulate
from pipelines.simulator.scenarios import SCENARIOS
from pipelines.stores.operational import OperationalStore
from pipelines.stores.own_tables import recommendation
from tests.integration.decision_shop import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.decisions.requests import Decision
    from tests.integration.receivers import HttpReceiver

SCENARIO: Final = SCENARIOS["small"]
SEED: Final = 3
BAD_LINES: Final = 300
MATURITY_DAYS: Final = 30  # that customers have to return
# The documents that the scenario spoils on purpose; they are in the shop and in no figure.
_SPOILT: Final = "-X0"


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction of the shop: its id in PostgreSQL, and when it was over (seconds since 1970)."""

    transaction_id: int
    at: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A decision that was sent twice under one key, and both answers: the decision, or why it was refused."""

    request: DecisionRequest
    answers: tuple[Decision | str, ...]


@dataclass(frozen=True, slots=True)
class Shop:
    """The shop's database, reached past the proxy."""

    url: str

    def open(self) -> OperationalStore:
        return OperationalStore.open(self.url)

    def fill(self) -> None:
        """The scenario's own days are over, and there are people who decide."""
        with self.open() as store:
            store.migrate()
            load_merchant(store, SCENARIO, seed=SEED)
            for actor, role in (("ada", "admin"), ("pam", "planner"), ("ann", "approver")):
                set_operator(store, Operator(actor, role), by="ada")  # type: ignore[arg-type]

    def live_a_day(self) -> Commit:
        """What the next day changed is committed."""
        with self.open() as store:
            continue_merchant(store, days=1)
        return self._last_commit()

    @contextmanager
    def bad_batch(self) -> Iterator[None]:
        """In the block some hundred lines have quantities that there cannot be."""
        turned = "UPDATE order_lines SET quantity = -quantity WHERE order_line_id IN (SELECT order_line_id FROM bad_batch)"
        self._do(
            f"CREATE TABLE bad_batch AS SELECT order_line_id FROM order_lines WHERE quantity > 0 ORDER BY order_line_id DESC LIMIT {BAD_LINES}"
        )
        self._do(turned)
        try:
            yield
        finally:
            self._do(turned)
            self._do("DROP TABLE bad_batch")

    @contextmanager
    def renamed_column(self) -> Iterator[None]:
        """In the block a required column of orders has another name; and something changed, so that somebody looks."""
        self._do("ALTER TABLE orders RENAME COLUMN created_at TO placed_at")
        self._do("UPDATE products SET title = title")
        try:
            yield
        finally:
            self._do("ALTER TABLE orders RENAME COLUMN placed_at TO created_at")

    def is_in(self, commit: Commit, position: str) -> bool:
        """Whether what was read up to this position of the feed has the commit in it."""
        with psycopg.connect(self.url) as conn:
            found = conn.execute(
                "SELECT pg_visible_in_snapshot(%s::text::xid8, %s::pg_snapshot)", (commit.transaction_id, position)
            ).fetchone()
        return bool(found and found[0])

    def decide_some(self) -> list[Asked]:
        """A planner approves, edits and rejects, each by two clicks at once."""
        with self.open() as store, store.transaction(writes=False) as conn:
            proposed = recommendation.c.status == "proposed", recommendation.c.kind == "purchase"
            chosen = conn.execute(sa.select(recommendation).where(*proposed).order_by(recommendation.c.rec_id).limit(6)).mappings().all()
        requests = [_request(dict(row), number) for number, row in enumerate(chosen)]
        return [Asked(one, self._clicked_twice(one)) for one in requests]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table."""
        with self.open() as store:
            return rows_of(store, table)

    def count_rows(self, table: str) -> int:
        """How many rows a table has; 0 where the shop does not have it."""
        with self.open() as store, store.transaction(writes=False) as conn:
            if not sa.inspect(conn).has_table(table):
                return 0
            return int(conn.execute(sa.select(sa.func.count()).select_from(sa.table(table))).scalar_one())

    def _clicked_twice(self, request: DecisionRequest) -> tuple[Decision | str, ...]:
        answers: list[Decision | str] = []

        def click() -> None:
            with self.open() as store:
                try:
                    answers.append(decide(store, request))
                except ContractError as exc:
                    answers.append(f"{type(exc).__name__}: {exc}")

        clicks = [threading.Thread(target=click) for _ in range(2)]
        for one in clicks:
            one.start()
        for one in clicks:
            one.join()
        return tuple(answers)

    def _do(self, statement: str) -> None:
        with psycopg.connect(self.url) as conn:
            conn.execute(statement)  # type: ignore[call-overload]

    def _last_commit(self) -> Commit:
        at = time.time()
        with psycopg.connect(self.url) as conn:
            (newest,) = conn.execute("SELECT max(xid::text::bigint) FROM feed.change").fetchone() or (None,)
        assert newest is not None
        return Commit(int(newest), at)


def raised(channel: HttpReceiver, *, rule: str = "run-failed") -> list[dict[str, Any]]:
    """Every exception that a message of this rule told of, in the order they came: the message's id, and what it says of each."""
    return _told(channel, "alert.raised", rule)


def resolved(channel: HttpReceiver, *, rule: str = "run-failed") -> list[dict[str, Any]]:
    """The same of those that are over."""
    return _told(channel, "alert.resolved", rule)


def true_values(days: int) -> dict[str, float]:
    """What metrics over all of the merchant's life have to say, counted from what the simulator knows and not from the store."""
    merchant = simulate(SCENARIO.continued(days), seed=SEED)
    tables = {name: _unspoilt(frame) for name, frame in merchant.tables.items()}
    orders = tables["orders"].filter(~pl.col("is_test").fill_null(value=False))
    kept = orders.filter(pl.col("cancelled_at").is_null())
    lines = tables["order_lines"].join(kept, on="order_id").join(_left(tables), on="order_line_id", how="left")
    until = last_day(days)
    return (
        _order_values(orders, tables, until)
        | _other_values(orders, tables)
        | {
            "unit_fill_rate": _unit_fill_rate(lines, until),
            "return_rate": _return_rate(lines, tables, until - timedelta(days=MATURITY_DAYS)),
            "net_sales": _net_sales(lines, kept, tables),
        }
    )


def last_day(days: int) -> date:
    """The last day that the merchant has lived through."""
    return SCENARIO.continued(days).last_day


def _unspoilt(frame: pl.DataFrame) -> pl.DataFrame:
    documents = [name for name in ("order_id", "return_id") if name in frame.columns]
    is_spoilt = [pl.col(name).str.contains(_SPOILT, literal=True).fill_null(value=False) for name in documents]
    return frame.filter(~pl.any_horizontal(is_spoilt)) if documents else frame


def _order_values(orders: pl.DataFrame, tables: dict[str, pl.DataFrame], until: date) -> dict[str, float]:
    kept = orders.filter(pl.col("cancelled_at").is_null())
    ordered = tables["order_lines"].group_by("order_id").agg(ordered_qty=pl.col("quantity").sum())
    parcels = tables["shipments"].select("shipment_id", "order_id", "delivered_at")
    left = tables["shipment_lines"].join(parcels, on="shipment_id").group_by("order_id").agg(left_qty=pl.col("quantity").sum())
    arrived = parcels.group_by("order_id").agg(pl.col("delivered_at").max(), is_open=pl.col("delivered_at").is_null().any())
    whole = (
        kept.join(ordered, on="order_id").join(left, on="order_id").join(arrived, on="order_id")
        .filter(~pl.col("is_open"), pl.col("left_qty") >= pl.col("ordered_qty"), pl.col("delivered_at") >= pl.col("created_at"))
    )  # fmt: skip
    in_time = _day("delivered_at") <= _day("promised_delivery_at")
    promised = kept.filter(pl.col("promised_delivery_at").is_not_null(), _day("promised_delivery_at") <= until)
    days = (whole["delivered_at"] - whole["created_at"]).dt.total_seconds() / 86_400
    return {
        "order_cycle_time_mean_days": float(days.sum() / len(days)),
        "order_cycle_time_p50_days": float(days.median()),  # type: ignore[arg-type]
        "on_time_in_full": whole.join(promised.select("order_id"), on="order_id").filter(in_time).height / promised.height,
        "cancellation_rate": 1 - kept.height / orders.height,
    }


def _left(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """By order line: the units packed, those of them that left, when the first did, and a list of (day, units)."""
    parcels = (
        tables["shipments"].select("shipment_id", left_at=pl.coalesce("shipped_at", "delivered_at")).with_columns(left_date=_day("left_at"))
    )
    units = pl.col("quantity").filter(pl.col("left_date").is_not_null())
    return (
        tables["shipment_lines"].join(parcels, on="shipment_id").group_by("order_line_id")
        .agg(packed_qty=pl.col("quantity").sum(), left_qty=units.sum(), first_left_date=pl.col("left_date").min(),
             parcels=pl.struct("left_date", "quantity"))
    )  # fmt: skip


def _unit_fill_rate(lines: pl.DataFrame, until: date) -> float:
    from_stock = lines.filter(~pl.col("is_special_order"), ~pl.col("is_drop_ship"), _day("promised_ship_at") <= until)
    in_time = 0
    for line in from_stock.with_columns(promised_date=_day("promised_ship_at")).iter_rows(named=True):
        left = sum(one["quantity"] for one in line["parcels"] or () if one["left_date"] and one["left_date"] <= line["promised_date"])
        in_time += min(left, line["quantity"])
    return in_time / int(from_stock["quantity"].sum())


def _return_rate(lines: pl.DataFrame, tables: dict[str, pl.DataFrame], until: date) -> float:
    cohort = lines.filter(pl.col("first_left_date") <= until)
    announced = tables["return_lines"].join(tables["returns"].select("return_id"), on="return_id")
    returned = announced.join(cohort.select("order_line_id"), on="order_line_id")["quantity"].sum()
    return float(returned / cohort["left_qty"].sum())


def _net_sales(lines: pl.DataFrame, kept: pl.DataFrame, tables: dict[str, pl.DataFrame]) -> float:
    """In the reporting currency, to the cent of each line and refund, as the books have it."""
    rates = {day: Decimal(str(rate)) for day, rate in tables["fx_rates"].select("rate_date", "rate").iter_rows()}
    refunds = tables["returns"].filter(pl.col("refunded_at").is_not_null()).join(kept.select("order_id"), on="order_id")
    cents = 0
    for line in lines.with_columns(day=_day("created_at")).iter_rows(named=True):
        sold = line["quantity"] * line["unit_price"] - line["total_discount"]
        amount = _cents(sold, line["currency"], rates, line["day"])
        removed = max(line["quantity"] - (line["packed_qty"] or 0) - (0 if line["closed_at"] else line["fulfillable_quantity"]), 0)
        cents += amount - _rounded(Decimal(amount) * removed / line["quantity"])
    for refund in refunds.with_columns(day=_day("refunded_at")).iter_rows(named=True):
        cents -= _cents(refund["refund_amount"], refund["currency"], rates, refund["day"])
    return cents / 100


def _cents(amount: Decimal, currency: str, rates: dict[date, Decimal], day: date) -> int:
    cents = _rounded(amount * 100)
    if currency == SCENARIO.currency:
        return cents
    return _rounded(cents * rates[max(one for one in rates if one <= day)])  # no rate is quoted on a weekend


def _rounded(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def _other_values(orders: pl.DataFrame, tables: dict[str, pl.DataFrame]) -> dict[str, float]:
    announced = tables["return_lines"].join(tables["returns"].select("return_id"), on="return_id")
    bought = orders.filter(pl.col("cancelled_at").is_null(), pl.col("customer_id").is_not_null())
    return {
        "returned_units": float(announced["quantity"].sum()),
        "satisfaction_mean_score": float(tables["reviews"]["score"].mean()),  # type: ignore[arg-type]
        "active_customers": float(bought["customer_id"].n_unique()),
    }


def _day(column: str) -> pl.Expr:
    return pl.col(column).dt.replace_time_zone("UTC").dt.convert_time_zone(SCENARIO.time_zone).dt.date()


def _request(row: dict[str, Any], number: int) -> DecisionRequest:
    asked = DecisionRequest(decision_id=uuid.uuid4().hex, rec_id=row["rec_id"], rec_version=row["version"], action="approve", actor="ann")
    if number % 3 == 1:
        return replace(asked, qty=row["recommended_qty"] * 2)
    return replace(asked, action="reject", reason_code="budget") if number % 3 == 2 else asked


def _told(channel: HttpReceiver, kind: str, rule: str) -> list[dict[str, Any]]:
    with channel.lock:
        requests = list(channel.requests)
    found = []
    for headers, body in requests:
        said = json.loads(body)
        if said["type"] == kind and said["data"].get("rule") == rule:
            found += [one | {"message": headers["webhook-id"]} for one in said["data"]["exceptions"]]
    return found
