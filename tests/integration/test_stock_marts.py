"""Stock's marts and metrics, counted again from the raw tables in Polars and plain loops."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

from pipelines.settings import Settings
from pipelines.simulator.history import live
from pipelines.simulator.merchant import simulate, tables_as_of
from pipelines.simulator.scenarios import SCENARIOS
from pipelines.stores.metrics import Metric, catalogue_from_manifest, evaluate
from pipelines.stores.stock_history import keep_stock_levels
from pipelines.stores.warehouse import open_warehouse
from tests.integration.partial_build import transform_only
from tests.integration.test_transform import fill_raw

if TYPE_CHECKING:
    from collections.abc import Iterator

BEFORE = replace(SCENARIOS["small"], bad_documents=())
SCENARIO = BEFORE.continued(2)  # runs on three evenings: the scenario's last, and two more
KEY = ["sku", "location_id"]


@pytest.fixture(scope="module")
def kept_levels() -> dict[date, pl.DataFrame]:
    """What the shop said on each of the three evenings."""
    days = range(BEFORE.total_days, SCENARIO.total_days + 1)
    tables = {days_lived: tables_as_of(live(SCENARIO, seed=3), days=days_lived) for days_lived in days}
    return {SCENARIO.start + timedelta(days=lived - 1): frames["stock_levels"] for lived, frames in tables.items()}


@pytest.fixture(scope="module")
def built(kept_levels: dict[date, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict[str, Metric]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    with open_warehouse(settings.warehouse_path) as conn:
        for day, levels in kept_levels.items():
            conn.execute("DELETE FROM raw.stock_levels")
            conn.register("levels", levels.to_arrow())
            conn.execute("INSERT INTO raw.stock_levels BY NAME SELECT * FROM levels")
            conn.unregister("levels")
            keep_stock_levels(conn, day=day, time_zone=SCENARIO.time_zone)
        conn.execute("DELETE FROM raw.stock_levels")
        fill_raw(conn, simulate(SCENARIO, seed=3))
    result = transform_only(settings, "marts.stock", "marts.finance", "marts.orders")
    return settings, catalogue_from_manifest(json.loads(result.manifest_path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def conn(built: tuple[Settings, dict[str, Metric]]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(built[0].warehouse_path), read_only=True) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def movements(conn: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    frame = conn.sql("SELECT sku, location_id, quantity, movement_type, occurred_at, reference_id FROM raw.stock_movements").pl()
    local = pl.col("occurred_at").dt.replace_time_zone("UTC").dt.convert_time_zone(SCENARIO.time_zone).dt.date()
    return frame.with_columns(local.alias("day"))


@pytest.fixture(scope="module")
def daily(conn: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    return conn.sql("SELECT * FROM marts.fct_stock_daily").pl()


def metric(conn: duckdb.DuckDBPyConnection, built: tuple[Settings, dict[str, Metric]], name: str) -> float:
    (value,) = evaluate(conn, built[1], [name])
    assert value.value is not None, value
    return float(value.value)


def test_kept_and_rebuilt_stock_agree_with_the_movements_on_every_day(daily: pl.DataFrame, movements: pl.DataFrame) -> None:
    """Forward from nothing, where the mart goes back from today's stock or takes what was kept."""
    moved = movements.group_by(*KEY, "day").agg(pl.col("quantity").sum()).sort(*KEY, "day")
    running = moved.with_columns(pl.col("quantity").cum_sum().over(KEY).alias("expected")).drop("quantity")

    compared = daily.sort(*KEY, "stock_date").join_asof(
        running.sort(*KEY, "day"), left_on="stock_date", right_on="day", by=KEY, check_sortedness=False
    )

    assert compared.filter(pl.col("on_hand_qty") != pl.col("expected")).height == 0
    assert compared["expected"].null_count() == 0
    assert set(daily["stock_basis"]) == {"snapshot", "rebuilt"}


def test_what_was_available_on_a_kept_day_is_what_the_shop_said_then(daily: pl.DataFrame, kept_levels: dict[date, pl.DataFrame]) -> None:
    said = pl.concat([levels.with_columns(stock_date=pl.lit(day)) for day, levels in kept_levels.items()])
    expected = said.select(
        *KEY, "stock_date", (pl.col("on_hand") - pl.col("committed") - pl.col("reserved") - pl.col("damaged")).alias("available_qty")
    )

    kept = daily.filter(pl.col("stock_basis") == "snapshot")

    assert kept.select(expected.columns).sort(expected.columns).equals(expected.sort(expected.columns))
    assert kept.filter(pl.col("available_qty") < pl.col("on_hand_qty")).height > 0


def test_turns_and_days_of_supply_equal_a_recount_from_movements(
    conn: duckdb.DuckDBPyConnection, built: tuple[Settings, dict[str, Metric]], daily: pl.DataFrame, movements: pl.DataFrame
) -> None:
    first = SCENARIO.last_day - timedelta(days=27)
    real = conn.sql(
        "SELECT shipment_id AS reference_id FROM raw.shipments JOIN raw.orders USING (order_id) WHERE NOT is_test AND cancelled_at IS NULL "
        "UNION ALL SELECT return_id FROM raw.returns JOIN raw.orders USING (order_id) WHERE NOT is_test AND cancelled_at IS NULL"
    ).pl()
    cost = conn.sql("SELECT sku, unit_cost::DOUBLE AS unit_cost FROM raw.products").pl()
    sold = movements.filter(pl.col("movement_type").is_in(["sale", "return"]), pl.col("day") >= first).join(real, on="reference_id")
    cogs = sold.join(cost, on="sku").select((-pl.col("quantity") * pl.col("unit_cost")).sum()).item()
    value = (
        daily.filter(pl.col("stock_date") >= first).join(cost, on="sku").select((pl.col("on_hand_qty") * pl.col("unit_cost")).sum()).item()
    )

    turns, days = metric(conn, built, "inventory_turns"), metric(conn, built, "days_of_supply")

    assert turns == pytest.approx(365 * cogs / value)
    assert days == pytest.approx(365 / turns)


def test_gross_margin_return_equals_a_recount_from_order_lines(
    conn: duckdb.DuckDBPyConnection, built: tuple[Settings, dict[str, Metric]], daily: pl.DataFrame
) -> None:
    first = SCENARIO.last_day - timedelta(days=27)
    period = daily.filter(pl.col("stock_date") >= first)
    row = conn.execute(
        """
        WITH real AS (
            SELECT order_id, currency, timezone('Europe/Berlin', timezone('UTC', created_at))::DATE AS day
            FROM raw.orders WHERE NOT is_test AND cancelled_at IS NULL),
        stocked AS (SELECT * FROM raw.order_lines WHERE NOT coalesce(is_special_order, false) AND NOT coalesce(is_drop_ship, false)),
        rates AS (SELECT rate_date, from_currency AS currency, rate FROM raw.fx_rates WHERE to_currency = 'EUR'),
        shipped AS (
            SELECT o.currency, o.day, (l.quantity * l.unit_price - coalesce(l.total_discount, 0)) * s.quantity / l.quantity AS amount
            FROM raw.shipment_lines s JOIN raw.shipments h USING (shipment_id) JOIN stocked l USING (order_line_id) JOIN real o ON l.order_id = o.order_id
            WHERE timezone('Europe/Berlin', timezone('UTC', h.shipped_at))::DATE BETWEEN $first AND $last),
        refunded AS (
            SELECT o.currency, timezone('Europe/Berlin', timezone('UTC', r.refunded_at))::DATE AS day, -r.refund_amount AS amount
            FROM raw.returns r JOIN raw.return_lines USING (return_id) JOIN stocked USING (order_line_id) JOIN real o ON o.order_id = r.order_id
            WHERE timezone('Europe/Berlin', timezone('UTC', r.refunded_at))::DATE BETWEEN $first AND $last)
        SELECT sum(amount * CASE events.currency WHEN 'EUR' THEN 1.0 ELSE rates.rate END)
        FROM (FROM shipped UNION ALL FROM refunded) events
        ASOF LEFT JOIN rates ON events.currency = rates.currency AND events.day >= rates.rate_date
        """,
        {"first": first, "last": SCENARIO.last_day},
    ).fetchone()
    assert row is not None

    gmroi = metric(conn, built, "gmroi")

    margin = 100 * float(row[0]) - period["cogs_reporting_amount"].sum()
    assert gmroi == pytest.approx(365 * margin / period["stock_value_reporting_amount"].sum(), rel=1e-6)


def test_cycles_without_a_stock_out_equal_a_walk_through_the_days(
    conn: duckdb.DuckDBPyConnection, built: tuple[Settings, dict[str, Metric]], daily: pl.DataFrame, movements: pl.DataFrame
) -> None:
    received = set(movements.filter(pl.col("movement_type") == "receipt").select(*KEY, "day").iter_rows())
    first, ended, clean = SCENARIO.last_day - timedelta(days=27), 0, 0
    is_clean: dict[tuple[str, str], bool] = {}
    for sku, location, day, is_in_stock in daily.sort("stock_date").select(*KEY, "stock_date", "is_in_stock").iter_rows():
        if (sku, location, day) in received:
            if (sku, location) in is_clean and day >= first:
                ended, clean = ended + 1, clean + is_clean[sku, location]
            is_clean[sku, location] = True
        if (sku, location) in is_clean:
            is_clean[sku, location] &= is_in_stock

    level = metric(conn, built, "cycle_service_level")

    assert ended > 20
    assert level == pytest.approx(clean / ended)


def test_ages_equal_shelves_emptied_from_the_oldest_receipt(
    conn: duckdb.DuckDBPyConnection, daily: pl.DataFrame, movements: pl.DataFrame
) -> None:
    incoming = movements.filter(pl.col("movement_type").is_in(["opening", "receipt"])).sort("day")
    shelves: dict[tuple[str, str], list[list[int]]] = defaultdict(list)
    for sku, location, quantity, day in incoming.select(*KEY, "quantity", "day").iter_rows():
        shelves[sku, location].append([(SCENARIO.last_day - day).days, quantity])
    expected: dict[tuple[str, str, str], int] = defaultdict(int)
    for sku, location, on_hand in daily.filter(pl.col("stock_date") == SCENARIO.last_day).select(*KEY, "on_hand_qty").iter_rows():
        surplus = sum(quantity for _, quantity in shelves[sku, location]) - on_hand
        for age, quantity in shelves[sku, location]:
            gone = min(max(surplus, 0), quantity)
            surplus -= gone
            band = next((name for days, name in ((30, "000-030"), (90, "031-090"), (180, "091-180")) if age <= days), "181-365")
            if quantity > gone:
                expected[sku, location, band] += quantity - gone
        if surplus < 0:
            expected[sku, location, "unknown"] = -surplus

    found = conn.execute("SELECT sku, location_id, age_band, qty FROM marts.fct_stock_age").fetchall()

    assert {row[:3]: row[3] for row in found} == dict(expected)


def test_the_network_is_what_the_shop_said_and_what_is_ordered(
    conn: duckdb.DuckDBPyConnection, kept_levels: dict[date, pl.DataFrame]
) -> None:
    levels = kept_levels[SCENARIO.last_day]
    ordered = conn.execute(
        "SELECT sum(ordered_qty - received_qty) FROM raw.purchase_order_lines JOIN raw.purchase_orders USING (po_id) WHERE status = 'open'"
    ).fetchone()

    found = dict(conn.execute("SELECT stock_state, sum(qty)::BIGINT FROM marts.fct_stock_network GROUP BY ALL").fetchall())

    assert ordered is not None
    assert found.pop("on_order") == ordered[0]
    assert {"damaged": 0} | found == {  # a state without units has no row
        "available": levels["on_hand"].sum() - levels["committed"].sum() - levels["reserved"].sum() - levels["damaged"].sum(),
        "committed": levels["committed"].sum(),
        "damaged": levels["damaged"].sum(),
        "reserved": levels["reserved"].sum(),
    }


def test_sales_classes_equal_a_sorted_running_sum(conn: duckdb.DuckDBPyConnection) -> None:
    sales = conn.sql(
        "SELECT sku, sum(net_amount)::BIGINT AS net FROM marts.fct_sales_events WHERE event_date <= (SELECT as_of_date FROM meta.run_context) GROUP BY ALL"
    ).pl()
    share = pl.col("net").cum_sum() / pl.col("net").sum()
    ranked = sales.filter(pl.col("net") > 0).sort(["net", "sku"], descending=[True, False]).with_columns(share.alias("share"))
    grade = pl.when(pl.col("share") <= 0.8).then(pl.lit("A")).when(pl.col("share") <= 0.95).then(pl.lit("B")).otherwise(pl.lit("C"))

    found = dict(conn.execute("SELECT sku, abc_class FROM marts.dim_product_classes").fetchall())

    assert {sku: found[sku] for sku in ranked["sku"]} == dict(ranked.select("sku", grade).iter_rows())
    assert set(found) - set(ranked["sku"]) == {sku for sku, grade in found.items() if grade == "none"}


@pytest.mark.parametrize("period_days", [28, 91, 364])
def test_the_matrix_of_classes_holds_the_metrics_of_its_classes(
    conn: duckdb.DuckDBPyConnection, built: tuple[Settings, dict[str, Metric]], period_days: int
) -> None:
    since = SCENARIO.last_day - timedelta(days=period_days - 1)
    values = evaluate(conn, built[1], ["in_stock_rate", "net_sales"], by="abc_class", since=since)
    in_stock = {one.member: (one.value, one.denominator) for one in values if one.name == "in_stock_rate" and one.denominator}
    net_sales = {one.member: one.value for one in values if one.name == "net_sales" and one.value is not None}

    found = conn.execute(
        "select abc_class, sum(in_stock_rate * n) / sum(n) as in_stock_rate, sum(n) as n, sum(net_sales_reporting_amount)::bigint as cents "
        "from marts.fct_product_class_matrix where period_days = ? group by abc_class",
        [period_days],
    ).pl()

    rows = {row["abc_class"]: row for row in found.iter_rows(named=True)}
    assert {name: (pytest.approx(row["in_stock_rate"]), row["n"]) for name, row in rows.items() if row["n"]} == in_stock
    assert {name: row["cents"] / 100 for name, row in rows.items() if row["cents"] is not None} == pytest.approx(
        {member: float(value) for member, value in net_sales.items()}
    )
