"""Orders and fulfilment recounted by another path: plain Polars on the raw tables, order by order and day by day."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest

from pipelines.settings import Settings
from pipelines.simulator.merchant import simulate
from pipelines.stores.metrics import Metric, MetricValue, catalogue_from_manifest, evaluate
from pipelines.stores.warehouse import open_warehouse
from tests.integration.conversion import in_reporting_cents
from tests.integration.partial_build import transform_only
from tests.integration.test_transform import SCENARIO, fill_raw

if TYPE_CHECKING:
    from collections.abc import Iterator

ZONE = SCENARIO.time_zone
SINCE = SCENARIO.start - timedelta(days=60)
AS_OF = SCENARIO.last_day
STAGES = ("create_to_approve", "approve_to_release", "release_to_ship", "ship_to_deliver")
ERRORS = ("damaged", "wrong_item")


def at(day: int, hour: int = 10) -> datetime:
    """A moment of September 2026, old enough for returns to have come."""
    return datetime(2026, 9, day, hour)


# Told by hand, on a channel of their own. F1: 75 of 80 and 20 of 20 units with the first parcel. S1: only what own stock does not fill.
# H1: held for money for 30 hours. P1: one of two lines taken out of the order by the shop. C1: closed with nothing sent.
_ORDER = {
    "currency": "EUR",
    "channel_id": "story",
    "location_id": "LOC-CENTRAL",
    "created_at": at(9),
    "approved_at": at(9, 11),
    "closed_at": None,
    "is_test": False,
}
ORDERS = [
    _ORDER | {"order_id": "F1", "promised_ship_at": at(11, 18), "promised_delivery_at": at(14, 18)},
    _ORDER | {"order_id": "S1", "promised_ship_at": at(11, 18), "promised_delivery_at": at(14, 18)},
    _ORDER | {"order_id": "H1", "promised_ship_at": at(11, 18), "promised_delivery_at": at(14, 18)},
    _ORDER | {"order_id": "P1", "promised_ship_at": at(11, 18), "promised_delivery_at": at(14, 18)},
    _ORDER | {"order_id": "C1", "promised_ship_at": at(11, 18), "promised_delivery_at": at(14, 18), "closed_at": at(20)},
]  # fmt: skip
_LINE = {"unit_price": Decimal("2.00"), "fulfillable_quantity": 0, "is_special_order": False}
LINES = [
    _LINE | {"order_id": "F1", "order_line_id": "F1-1", "quantity": 80},
    _LINE | {"order_id": "F1", "order_line_id": "F1-2", "quantity": 20},
    _LINE | {"order_id": "S1", "order_line_id": "S1-1", "quantity": 3, "is_special_order": True},
    _LINE | {"order_id": "H1", "order_line_id": "H1-1", "quantity": 5},
    _LINE | {"order_id": "P1", "order_line_id": "P1-1", "quantity": 4},
    _LINE | {"order_id": "P1", "order_line_id": "P1-2", "quantity": 6},
    _LINE | {"order_id": "C1", "order_line_id": "C1-1", "quantity": 7, "fulfillable_quantity": 7},
]
# shipment, order, carrier, left, arrived, lines with units
PARCELS: list[tuple[str, str, str, datetime, datetime, dict[str, int]]] = [
    ("F1a", "F1", "one", at(11), at(13), {"F1-1": 75, "F1-2": 20}),
    ("F1b", "F1", "two", at(12), at(14), {"F1-1": 5}),
    ("S1a", "S1", "one", at(11), at(13), {"S1-1": 3}),
    ("H1a", "H1", "one", at(11), at(13), {"H1-1": 5}),
    ("P1a", "P1", "one", at(11), at(13), {"P1-1": 4}),
]
HOLDS = [{"order_id": "H1", "placed_at": at(9, 12), "released_at": at(10, 18), "outcome": "released"}]


def tell_stories(conn: duckdb.DuckDBPyConnection) -> None:
    """The rows above stand in `raw` beside the simulated ones; every seventh order arrived has a review."""
    sku = _rows(conn, "select min(sku) as sku from raw.products where discontinued_at is null")[0]["sku"]
    shipments = [
        {"shipment_id": name, "order_id": order, "carrier": carrier, "status": "delivered", "shipped_at": left, "delivered_at": there}
        for name, order, carrier, left, there, _ in PARCELS
    ]
    parts = [
        {"shipment_id": name, "order_line_id": line, "quantity": units} for name, *_, lines in PARCELS for line, units in lines.items()
    ]
    tables: dict[str, list[dict[str, Any]]] = {
        "orders": ORDERS, "order_lines": [line | {"sku": sku} for line in LINES], "shipments": shipments, "shipment_lines": parts, "payment_holds": HOLDS,
    }  # fmt: skip
    for name, rows in tables.items():
        conn.register("frame", pl.DataFrame(rows, infer_schema_length=None).to_arrow())
        conn.execute(f"insert into raw.{name} by name select * from frame")
        conn.unregister("frame")
    conn.execute("delete from raw.reviews")
    conn.execute(
        "insert into raw.reviews by name select 'R-' || order_id as review_id, order_id, hash(order_id) % 5 + 1 as score, "
        "max(delivered_at) + interval 1 day as created_at from raw.shipments where delivered_at is not null and hash(order_id) % 7 = 0 group by order_id"
    )
    conn.execute("update meta.source_fields set is_present = true where table_name in ('reviews', 'payment_holds')")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict[str, Metric]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    with open_warehouse(settings.warehouse_path) as conn:
        fill_raw(conn, simulate(SCENARIO, seed=5))
        tell_stories(conn)
    result = transform_only(settings, "marts.orders", "marts.finance")
    return settings, catalogue_from_manifest(json.loads(result.manifest_path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def conn(built: tuple[Settings, dict[str, Metric]]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(built[0].warehouse_path), read_only=True) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def catalogue(built: tuple[Settings, dict[str, Metric]]) -> dict[str, Metric]:
    return built[1]


@pytest.fixture(scope="module")
def lines(conn: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """One row per line of an order that is no test: local days and what left when, added up in Python."""
    raw = conn.sql(
        "select l.order_line_id, l.order_id, l.quantity, cast(l.unit_price as double) as price, cast(coalesce(l.total_discount, 0) as double) as discount, "
        "coalesce(l.is_special_order, false) or coalesce(l.is_drop_ship, false) or coalesce(l.is_gift_card, false) as is_not_from_stock, "
        "l.fulfillable_quantity, o.currency, o.created_at, o.approved_at, o.cancelled_at, o.cancel_reason, o.closed_at, "
        "o.promised_ship_at, o.promised_delivery_at, o.channel_id from raw.order_lines l join raw.orders o using (order_id) where not o.is_test"
    ).pl()
    moved = conn.sql(
        "select order_line_id, order_id, quantity as units, shipped_at, delivered_at from raw.shipment_lines join raw.shipments using (shipment_id)"
    ).pl()
    moved = moved.with_columns(local("shipped_at").alias("left"))
    own = moved.join(raw.filter(~pl.col("is_not_from_stock")).select("order_line_id"), on="order_line_id")
    first = own.filter(pl.col("left").is_not_null()).group_by("order_id").agg(pl.col("left").min().alias("first"))
    sent = (
        moved.join(first, on="order_id", how="left")
        .join(raw.select("order_line_id", local("promised_ship_at").alias("due")), on="order_line_id")
        .group_by("order_line_id")
        .agg(
            pl.col("units").sum().alias("packed"),
            pl.col("units").filter(pl.col("left").is_not_null()).sum().alias("sent"),
            pl.col("units").filter(pl.col("left") <= pl.col("due")).sum().alias("sent_in_time"),
            pl.col("units").filter((pl.col("left") == pl.col("first")) & (pl.col("left") <= pl.col("due"))).sum().alias("sent_first"),
            pl.col("units").filter(pl.col("delivered_at").is_not_null()).sum().alias("arrived"),
            pl.col("shipped_at").min().alias("first_sent_at"),
            pl.col("shipped_at").max().alias("last_sent_at"),
            pl.col("delivered_at").max().alias("last_arrived_at"),
        )
    )
    counts = ["packed", "sent", "sent_in_time", "sent_first", "arrived"]
    return raw.join(sent, on="order_line_id", how="left").with_columns(
        pl.col(counts).fill_null(0),
        local("created_at").alias("created"), local("promised_ship_at").alias("due"), local("promised_delivery_at").alias("due_there"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def arrived(lines: pl.DataFrame) -> pl.DataFrame:
    """Every order: when the last unit arrived of what was not taken out of it, and whether that was all that was ordered."""
    kept = pl.min_horizontal(pl.col("quantity"), pl.col("packed") + pl.col("fulfillable_quantity"))
    return (
        lines.with_columns(pl.when(pl.col("cancelled_at").is_null()).then(kept).otherwise(pl.col("quantity")).alias("kept"))
        .group_by("order_id")
        .agg(
            pl.col(
                "created_at", "created", "approved_at", "cancelled_at", "cancel_reason", "closed_at", "due", "due_there", "channel_id"
            ).first(),
            (pl.col("arrived") >= pl.col("kept")).all().alias("is_complete"),
            (pl.col("arrived") >= pl.col("quantity")).all().alias("is_full"),
            pl.col("first_sent_at").min(),
            pl.col("last_arrived_at").max(),
        )
        .with_columns(pl.when("is_complete").then("last_arrived_at").alias("arrived_at"))
        .with_columns(local("arrived_at").alias("arrived"))
    )


def valued(conn: duckdb.DuckDBPyConnection, lines: pl.DataFrame) -> pl.DataFrame:
    """Every line's net value in cents, in the money of its order (`net`) and at the rate of the order's day (`reporting`)."""
    net = lines.with_columns((100 * (pl.col("quantity") * pl.col("price") - pl.col("discount"))).round().cast(pl.Int64).alias("net"))
    rates = conn.sql("select rate_date, from_currency, to_currency, rate from raw.fx_rates").pl()
    reporting = in_reporting_cents(net, "net", day="created", rates=rates, reporting=SCENARIO.currency)
    return net.with_columns(reporting.alias("reporting"))


def local(column: str) -> pl.Expr:
    """The local day of a UTC time."""
    return pl.col(column).dt.replace_time_zone("UTC").dt.convert_time_zone(ZONE).dt.date()


def value(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], name: str, *, day: date | None = None) -> MetricValue:
    """The metric over all there is, or on one day."""
    (found,) = evaluate(conn, catalogue, [name], since=day or SINCE, until=day or AS_OF)
    return found


def of_story(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], name: str) -> MetricValue:
    """The metric over the orders told by hand."""
    return next(one for one in evaluate(conn, catalogue, [name], by="channel", since=SINCE, until=AS_OF) if one.member == "story")


def _rows(conn: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    return conn.sql(query).pl().to_dicts()


def test_unit_line_and_order_fill_rate_are_three_numbers(conn: duckdb.DuckDBPyConnection) -> None:
    (order,) = _rows(conn, "select * from marts.fct_orders where order_id = 'F1'")
    lines = _rows(conn, "select * from marts.fct_order_lines where order_id = 'F1'")

    assert sum(line["shipped_on_time_qty"] for line in lines) / sum(line["ordered_qty"] for line in lines) == 0.95
    assert sum(line["is_filled"] for line in lines) / len(lines) == 0.5
    assert order["is_filled"] is False
    assert order["carrier"] == "several"
    assert order["is_on_time_in_full"] is True


def test_fill_rates_of_the_stories_leave_special_orders_out_and_count_them(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]
) -> None:
    units, per_line, orders = (of_story(conn, catalogue, f"{grain}_fill_rate") for grain in ("unit", "line", "order"))

    assert (units.numerator, units.denominator) == (75 + 20 + 5 + 4, 80 + 20 + 5 + 4 + 6 + 7)
    assert (per_line.numerator, per_line.denominator) == (3, 6)
    assert (orders.numerator, orders.denominator) == (1, 4)
    assert [one.excluded["not_from_stock"] for one in (units, per_line, orders)] == [1, 1, 1]


def test_fill_rates_equal_a_recount(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], lines: pl.DataFrame) -> None:
    own = lines.filter(pl.col("cancelled_at").is_null() & ~pl.col("is_not_from_stock") & (pl.col("due") <= AS_OF))
    is_filled = pl.col("sent_first") >= pl.col("quantity")

    units, per_line, orders = (value(conn, catalogue, f"{grain}_fill_rate") for grain in ("unit", "line", "order"))

    in_time = own.select(pl.min_horizontal("sent_in_time", "quantity").sum()).item()
    assert (units.numerator, units.denominator) == (in_time, own["quantity"].sum())
    assert (per_line.numerator, per_line.denominator) == (own.select(is_filled.sum()).item(), own.height)
    by_order = own.group_by("order_id").agg(is_filled.all().alias("is_filled"))
    assert (orders.numerator, orders.denominator) == (by_order["is_filled"].sum(), by_order.height)


def test_on_time_in_full_and_perfect_orders_equal_a_recount_line_by_line(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], lines: pl.DataFrame
) -> None:
    spoiled = conn.sql(f"select distinct order_line_id from raw.return_lines where reason_code in {ERRORS}").pl()
    misfiled = conn.sql("select distinct order_id from raw.shipments where document_error").pl()
    judged = lines.filter(pl.col("cancelled_at").is_null()).with_columns(
        ((pl.col("arrived") >= pl.col("quantity")) & (local("last_arrived_at") <= pl.col("due_there"))).fill_null(value=False).alias("is_good"),
        (pl.col("order_line_id").is_in(spoiled["order_line_id"].implode()) | pl.col("order_id").is_in(misfiled["order_id"].implode())).alias("is_spoiled"),
    )  # fmt: skip
    by_order = judged.group_by("order_id").agg(
        pl.col("due_there").first(),
        pl.col("is_good").all(),
        (pl.col("is_good") & ~pl.col("is_spoiled")).all().alias("is_perfect"),
        (pl.col("arrived") >= pl.col("quantity")).all().alias("is_full"),
    )
    due = by_order.filter(pl.col("due_there") <= AS_OF)
    mature = by_order.filter(pl.col("due_there") <= AS_OF - timedelta(days=30))

    in_full, perfect = value(conn, catalogue, "on_time_in_full"), value(conn, catalogue, "perfect_order_rate")

    assert (in_full.numerator, in_full.denominator) == (due["is_good"].sum(), due.height)
    assert (perfect.numerator, perfect.denominator) == (mature["is_perfect"].sum(), mature.height)
    assert 0 < mature["is_perfect"].sum() < mature["is_good"].sum()


def test_fulfilment_accuracy_equals_a_recount(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], lines: pl.DataFrame) -> None:
    spoiled = conn.sql(f"select distinct order_line_id from raw.return_lines where reason_code in {ERRORS}").pl()
    mature = lines.filter((pl.col("sent") > 0) & (local("first_sent_at") <= AS_OF - timedelta(days=30)))

    accuracy = value(conn, catalogue, "fulfilment_accuracy")

    right = mature.join(spoiled, on="order_line_id", how="anti").height
    assert 0 < right < mature.height
    assert (accuracy.numerator, accuracy.denominator) == (right, mature.height)


def test_four_stages_sum_to_the_cycle_time_of_the_same_orders(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    stages = [value(conn, catalogue, f"order_stage_{stage}_mean_days") for stage in STAGES]
    by_timeline = evaluate(conn, catalogue, ["order_cycle_time_mean_days"], by="timeline", since=SINCE, until=AS_OF)

    total = next(one for one in by_timeline if one.member == "possible")
    assert {stage.n for stage in stages} == {total.n}
    assert sum(float(stage.value or 0) for stage in stages) == pytest.approx(total.value)
    assert all(float(stage.value or 0) > 0 for stage in stages)


def test_net_cycle_time_leaves_out_what_waited_on_purpose(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    orders = conn.sql(
        "select o.order_id, o.created_at, o.approved_at, o.released_at, o.requested_delivery_at, max(s.delivered_at) as arrived_at from raw.orders o "
        "join raw.shipments s using (order_id) join marts.fct_orders f using (order_id) where f.is_delivered_complete and o.cancelled_at is null "
        "and not o.is_test group by all"
    ).pl()

    def days(start: str, end: str) -> pl.Expr:
        return (pl.col(end) - pl.col(start)).dt.total_microseconds() / 86_400e6

    waited = pl.min_horizontal(days("created_at", "requested_delivery_at") - 7, days("approved_at", "released_at")).clip(lower_bound=0)
    net = orders.with_columns(
        pl.when(pl.col("requested_delivery_at").is_null() | pl.col("released_at").is_null()).then(0.0).otherwise(waited).alias("waited")
    )

    gross, mean = (value(conn, catalogue, f"order_cycle_time_{kind}mean_days") for kind in ("", "net_"))

    assert mean.value == pytest.approx(net.select((days("created_at", "arrived_at") - pl.col("waited")).mean()).item())
    assert float(mean.value or 0) < float(gross.value or 0)


def test_cancellations_by_reason_equal_a_recount(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    orders = conn.sql("select cancelled_at, cancel_reason from raw.orders where not is_test").pl()
    cancelled = orders.filter(pl.col("cancelled_at").is_not_null())

    rate = value(conn, catalogue, "cancellation_rate")
    reasons = conn.sql("select cancel_reason, count(*) as n from marts.fct_orders where not is_test and is_cancelled group by 1").pl()

    assert (rate.numerator, rate.denominator) == (cancelled.height, orders.height)
    assert dict(reasons.iter_rows()) == dict(cancelled.group_by("cancel_reason").len().iter_rows())
    assert reasons.height >= 3


def test_the_backlog_of_a_day_equals_a_recount_of_who_waited_at_its_end(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], arrived: pl.DataFrame, lines: pl.DataFrame
) -> None:
    worth = valued(conn, lines).group_by("order_id").agg(pl.col("net", "reporting").sum())
    ended = pl.min_horizontal("arrived", local("cancelled_at"), local("closed_at"))
    for day in (SCENARIO.start + timedelta(days=9), date(2026, 9, 12), date(2026, 9, 19), date(2026, 9, 20), AS_OF):
        waiting = arrived.filter((pl.col("created") <= day) & (ended.is_null() | (ended > day))).join(worth, on="order_id")

        count, overdue, age = (
            value(conn, catalogue, name, day=day) for name in ("open_orders", "overdue_open_orders", "open_orders_mean_age_days")
        )
        amount = _rows(
            conn, f"select sum(open_reporting_amount)::bigint as cents from marts.fct_backlog_daily where backlog_date = '{day}'"
        )

        assert count.value == waiting.height > 0
        assert overdue.value == waiting.filter(pl.col("due_there") <= day).height
        assert age.value == pytest.approx(waiting.select((pl.lit(day) - pl.col("created")).dt.total_days().mean()).item())
        assert amount[0]["cents"] == waiting["reporting"].sum()


def test_stages_of_the_backlog_hold_every_open_order_once(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    stages = conn.sql("select sum(open_orders_count) as n, sum(overdue_orders_count) as overdue from marts.fct_backlog_stages").pl()

    assert stages["n"].item() == value(conn, catalogue, "open_orders", day=AS_OF).value
    assert stages["overdue"].item() == value(conn, catalogue, "overdue_open_orders", day=AS_OF).value


def test_orders_without_stock_equal_a_recount_and_a_hold_has_its_hours(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], lines: pl.DataFrame
) -> None:
    gone = conn.sql("select sku from raw.products where discontinued_at is not null").pl()
    ended = pl.min_horizontal(local("cancelled_at"), local("closed_at"))
    stopped_first = (ended <= pl.col("due")).fill_null(value=False)
    held = conn.sql(
        "select order_id from raw.payment_holds as h join raw.orders as o using (order_id) group by order_id "
        "having bool_or(h.released_at is null) or max(h.released_at) > max(o.promised_ship_at)"
    ).pl()
    missing = lines.filter(
        ~pl.col("is_not_from_stock")
        & (pl.col("sent_in_time") < pl.col("quantity"))
        & pl.when(stopped_first).then((pl.col("cancel_reason") == "out_of_stock").fill_null(value=False)).otherwise(pl.col("due") <= AS_OF)
        & ~(pl.col("approved_at") > pl.col("promised_ship_at")).fill_null(value=False)
        & ~pl.col("order_id").is_in(held["order_id"].implode())
    )
    recounted = set(missing["order_id"])

    rows = conn.sql("select * from marts.fct_blocked_orders where cause <> 'payment_hold'").pl()
    (hold,) = _rows(conn, "select * from marts.fct_blocked_orders where order_id = 'H1'")
    values = evaluate(conn, catalogue, ["blocked_orders"], by="reason", since=SINCE, until=AS_OF)

    assert gone.height == 0
    assert set(rows["cause"]) == {"no_stock"}
    assert set(rows["order_id"]) == recounted
    assert (hold["cause"], hold["hold_hours"], hold["outcome"], hold["released_reporting_amount"]) == (
        "payment_hold",
        30.0,
        "released",
        1000,
    )
    assert {one.member for one in values} >= {"no_stock", "payment_hold"}


def test_what_was_blocked_was_released_lost_or_waits(conn: duckdb.DuckDBPyConnection) -> None:
    rows = conn.sql("select * from marts.fct_blocked_orders").pl()
    ended = rows.filter(pl.col("outcome") != "open")

    left_over = ended.select(
        (pl.col("blocked_reporting_amount") - pl.col("released_reporting_amount") - pl.col("lost_reporting_amount")).abs().max()
    ).item()

    assert left_over <= 10  # a line's parts round apart by a cent
    assert rows.filter((pl.col("order_id") == "C1") & (pl.col("lost_reporting_amount") == 1400)).height == 1
    assert rows.filter((pl.col("order_id") == "P1") & (pl.col("lost_reporting_amount") == 1200)).height == 1


def test_an_order_with_any_exception_counts_once(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric]) -> None:
    rows = conn.sql("select order_id, cancelled_at is not null as is_cancelled from raw.orders where not is_test").pl()
    blocked = conn.sql("select distinct order_id from marts.fct_blocked_orders").pl()
    backwards = conn.sql("select order_id from marts.fct_orders where has_impossible_timeline").pl()
    excepted = rows.filter(pl.col("is_cancelled") | pl.col("order_id").is_in(pl.concat([blocked, backwards])["order_id"].implode()))

    rate = value(conn, catalogue, "exception_rate")

    assert (rate.numerator, rate.denominator) == (excepted.height, rows.height)


def test_satisfaction_by_lateness_equals_a_recount(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], arrived: pl.DataFrame
) -> None:
    reviews = conn.sql("select order_id, score, created_at as reviewed_at from raw.reviews").pl().join(arrived, on="order_id")
    told = reviews.filter(local("reviewed_at") <= AS_OF)
    is_late = pl.col("arrived") > pl.col("due_there")

    mean, low = value(conn, catalogue, "satisfaction_mean_score"), value(conn, catalogue, "satisfaction_low_score_rate")
    members = evaluate(conn, catalogue, ["satisfaction_mean_score"], by="lateness", since=SINCE, until=AS_OF)

    assert mean.value == pytest.approx(told["score"].mean())
    assert (low.numerator, low.denominator) == (told.filter(pl.col("score") <= 2).height, told.height)
    assert {one.member: one.n for one in members if one.member == "on time"} == {"on time": told.filter(~is_late).height}
    assert sum(one.n or 0 for one in members if "late" in (one.member or "")) == told.filter(is_late).height


def test_a_partly_cancelled_order_is_complete_and_not_in_full(conn: duckdb.DuckDBPyConnection) -> None:
    (order,) = _rows(conn, "select * from marts.fct_orders where order_id = 'P1'")
    (closed,) = _rows(conn, "select * from marts.fct_orders where order_id = 'C1'")
    waiting = _rows(
        conn, "select sum(open_qty)::bigint as units from intermediate.int_order_lines_fulfilled where order_id in ('P1', 'C1')"
    )

    assert (order["is_open"], order["is_delivered_complete"], order["is_on_time_in_full"], order["is_perfect"]) == (
        False,
        True,
        False,
        False,
    )
    assert (closed["is_open"], closed["is_delivered_complete"], closed["ended_date"]) == (False, False, date(2026, 9, 20))
    assert waiting == [{"units": 0}]


def test_units_that_were_given_up_are_lost_and_not_sold(
    conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], lines: pl.DataFrame
) -> None:
    sold = _rows(conn, "select sales_event_id, qty, gross_amount, net_amount from marts.fct_sales_events where order_id in ('P1', 'C1')")

    units = value(conn, catalogue, "units")

    assert sold == [{"sales_event_id": "sale:P1-1", "qty": 4, "gross_amount": 800, "net_amount": 800}]
    ordered = lines.filter(pl.col("cancelled_at").is_null(), pl.col("created") >= SINCE, pl.col("created") <= AS_OF)["quantity"].sum()
    refunded = conn.execute(
        "select -sum(qty) from marts.fct_sales_events where event_type = 'refund' and event_date between ? and ?", [SINCE, AS_OF]
    )
    assert units.value == ordered - 6 - 7 - refunded.fetchall()[0][0]
    assert units.excluded["given_up"] == 2


def test_an_orders_value_is_the_sum_of_its_lines_at_the_rate_of_its_day(conn: duckdb.DuckDBPyConnection, lines: pl.DataFrame) -> None:
    expected = valued(conn, lines).group_by("order_id").agg(pl.col("currency").first(), pl.col("net", "reporting").sum())

    found = conn.sql("select order_id, net_amount, net_reporting_amount from marts.fct_orders where not is_test").pl()

    both = found.join(expected, on="order_id", how="left")
    unequal = both.filter(pl.col("net_amount").ne_missing(pl.col("net")) | pl.col("net_reporting_amount").ne_missing(pl.col("reporting")))
    assert unequal.is_empty()
    assert found.height == expected.height
    assert set(expected["currency"]) == {"EUR", "CHF"}
