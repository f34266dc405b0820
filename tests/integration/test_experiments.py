"""Experiments on hand-made marts: what each order brings, who is left out, and what is refused."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import polars as pl
import pytest

from pipelines.cli.app import main
from pipelines.errors import MetricError
from pipelines.stores.experiments import compare_experiment, list_experiments
from pipelines.stores.metrics import Metric, catalogue_to_json
from pipelines.stores.metrics_catalogue import Caveat, Measure
from pipelines.stores.releases import ReleaseFacts, publish
from pipelines.stores.warehouse import open_warehouse, replace_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

AS_OF = date(2026, 10, 31)
ORDERS = 4_000


def metric(name: str, numerator: Measure, denominator: Measure | None = None, **facts: object) -> Metric:
    given: dict[str, object] = {
        "label": name.replace("_", " ").capitalize(), "description": "", "unit": "percent", "better": "higher", "target": None, "watch_band": 0.0,
        "owner": "customer", "needs": ("orders.created_at",), "schema": "marts", "table": "fct_order_lines", "time_column": "ordered_date",
        "where": "not is_cancelled", "dimensions": {},
    }  # fmt: skip
    return Metric(name=name, numerator=numerator, denominator=denominator, **{**given, **facts})  # type: ignore[arg-type]


NO_RATE = (Caveat("net_reporting_amount is null and net_amount is not null", "rows have no exchange rate"),)
CATALOGUE = {
    one.name: one
    for one in (
        metric("unit_fill_rate", Measure("sum", "on_time_qty"), Measure("sum", "ordered_qty")),
        metric("net_sales", Measure("sum", "net_reporting_amount"), unit="money", watch_band=0.0, blocked=NO_RATE),
        metric(
            "average_order_value",
            Measure("sum", "case when event_type = 'sale' then net_reporting_amount end"),
            Measure("sum_boolean", "is_first_line_of_order"),
            unit="money",
            table="fct_sales_events",
            where="true",
            blocked=NO_RATE,
        ),
        metric("days_mean", Measure("average", "days"), unit="days", better="lower"),
        metric("days_p50", Measure("percentile", "days", 0.5), unit="days", better="lower"),
        metric("steps_mean", Measure("average", "ordered_qty"), unit="days", better="lower", watch_band=1.0),
        metric("returned_lines", Measure("sum_boolean", "is_returned"), unit="count", better="lower", where="true"),
        metric("young", Measure("average", "days"), unit="days", better="lower", maturity_days=60),
        metric("stock", Measure("sum", "on_hand_qty"), unit="count", table="fct_stock_daily", where="true"),
        metric("invoiced", Measure("sum", "on_time_qty"), needs=("invoices.amount",)),
    )
}


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(tmp_path / "warehouse.duckdb") as connection:
        _fill(connection)
        yield connection


def _fill(conn: duckdb.DuckDBPyConnection) -> None:
    """Two lines an order; B brings one day less and three points more of units on time, and nothing else."""
    conn.execute("insert into meta.run_context values ('run', ?, 'Europe/Berlin', 'EUR', 'Shop', 'test')", [AS_OF])
    conn.execute("insert into meta.source_fields values ('orders', 'created_at', true)")
    generator = np.random.default_rng(21)
    number = np.arange(ORDERS)
    is_b = generator.random(ORDERS) < 0.5
    order_id = np.array([f"O{i:05}" for i in number])
    assigned = pl.DataFrame(
        {
            "experiment_id": "windows", "unit_id": order_id, "unit_kind": "order", "variant": np.where(is_b, "B", "A"),
            "assigned_at": datetime(2026, 8, 1), "has_several_variants": False, "is_test": number % 100 == 0,
        }
    )  # fmt: skip
    odd = pl.DataFrame(
        {
            "experiment_id": "windows", "unit_id": ["gone", "both"], "unit_kind": [None, "order"], "variant": ["A", None],
            "assigned_at": datetime(2026, 8, 2), "has_several_variants": [False, True], "is_test": False,
        }
    )  # fmt: skip
    uneven = assigned.filter((pl.col("variant") == "A") | (pl.int_range(pl.len()) % 5 > 0)).with_columns(experiment_id=pl.lit("uneven"))
    tiny = assigned.filter(pl.int_range(pl.len()) % 20 == 1).with_columns(experiment_id=pl.lit("tiny"))
    loyal = _customers(np.random.default_rng(7), order_id)
    mixed = pl.concat([assigned.head(60), loyal.head(60)]).with_columns(experiment_id=pl.lit("mixed"))
    replace_table(conn, "marts", "fct_experiment_units", pl.concat([assigned, odd, uneven, tiny, loyal, mixed]))
    placed = pl.DataFrame({"order_id": order_id, "customer_key": _owners(number), "is_test": number % 100 == 0}).with_columns(
        ordered_at=pl.when(pl.int_range(pl.len()) % 4 == 0).then(datetime(2026, 7, 31)).otherwise(datetime(2026, 8, 1, 12))
    )
    replace_table(conn, "marts", "fct_orders", placed)
    line_of = np.repeat(number, 2)
    ordered = generator.integers(1, 6, line_of.size)
    on_time = generator.binomial(ordered, np.where(is_b[line_of], 0.93, 0.90))
    days = np.repeat(generator.gamma(4, 1, ORDERS) + np.where(is_b, 2, 3), 2)
    lines = pl.DataFrame(
        {
            "order_id": order_id[line_of], "ordered_date": date(2026, 8, 1), "ordered_qty": ordered, "on_time_qty": on_time, "days": days,
            "net_reporting_amount": (ordered * 1_000).astype(np.int64), "is_returned": generator.random(line_of.size) < 0.1,
            "is_cancelled": np.repeat(number % 50 == 3, 2), "net_amount": 1_000,
        }
    ).with_columns(
        days=pl.when(pl.int_range(pl.len()) % 4 == 3).then(None).otherwise(pl.col("days")),
        net_reporting_amount=pl.when(pl.col("order_id") == "O00002").then(None).otherwise(pl.col("net_reporting_amount")),
    )  # fmt: skip
    replace_table(conn, "marts", "fct_order_lines", lines)
    replace_table(conn, "marts", "fct_stock_daily", pl.DataFrame({"sku": ["a"], "on_hand_qty": [1], "ordered_date": [AS_OF]}))


def _owners(number: NDArray[np.int64]) -> list[str]:
    """Every customer placed five orders in a row."""
    return [f"C{i // 5:05}" for i in number]


def _customers(generator: np.random.Generator, order_id: NDArray[np.str_]) -> pl.DataFrame:
    """An experiment on all customers, of whom the last hundred never ordered and two were assigned nobody knows when."""
    count = len(order_id) // 5 + 100
    return pl.DataFrame(
        {
            "experiment_id": "loyalty", "unit_id": [f"C{i:05}" for i in range(count)], "unit_kind": "customer",
            "variant": np.where(generator.random(count) < 0.5, "points", "control"), "assigned_at": datetime(2026, 8, 1),
            "has_several_variants": False, "is_test": False,
        }
    ).with_columns(assigned_at=pl.when(pl.int_range(pl.len()) >= 2).then(pl.col("assigned_at")))  # fmt: skip


def test_units_that_belong_to_no_variant_are_listed_by_reason(conn: duckdb.DuckDBPyConnection) -> None:
    (windows,) = [one for one in list_experiments(conn) if one.experiment_id == "windows"]

    assert windows.excluded == {"several_variants": 1, "test": 40, "unknown_unit": 1}
    assert sum(windows.units.values()) == ORDERS - 40
    assert windows.first_assigned_at == "2026-08-01T00:00:00"


def test_a_rate_is_the_metrics_own_and_its_known_effect_is_found(conn: duckdb.DuckDBPyConnection) -> None:
    (found,) = compare_experiment(conn, CATALOGUE, "windows", ["unit_fill_rate"])

    by_sql = conn.execute(
        "select variant, sum(on_time_qty) / sum(ordered_qty) from marts.fct_order_lines join marts.fct_experiment_units on order_id = unit_id "
        "where experiment_id = 'windows' and variant is not null and not is_test and not is_cancelled group by 1 order by 1"
    ).fetchall()
    (effect,) = found.effects
    assert [(arm.variant, pytest.approx(arm.value)) for arm in found.arms] == by_sql
    assert found.control == "A"
    assert effect.verdict == "different"
    assert effect.low < 0.03 < effect.high
    assert found.excluded["without_rows"] == 80


def test_means_and_percentiles_are_over_rows_and_their_errors_over_orders(conn: duckdb.DuckDBPyConnection) -> None:
    mean, median = compare_experiment(conn, CATALOGUE, "windows", ["days_mean", "days_p50"])

    by_sql = conn.execute(
        "select avg(days), median(days) from marts.fct_order_lines join marts.fct_experiment_units on order_id = unit_id "
        "where experiment_id = 'windows' and variant = 'B' and not is_test and not is_cancelled"
    ).fetchone()
    assert by_sql is not None
    assert [mean.arms[1].value, median.arms[1].value] == pytest.approx(by_sql)
    for found in (mean, median):
        assert found.effects[0].verdict == "different"
        assert found.effects[0].low < -1 < found.effects[0].high


def test_a_sum_is_per_order_in_major_units_and_an_order_without_rows_is_a_zero(conn: duckdb.DuckDBPyConnection) -> None:
    (found,) = compare_experiment(conn, CATALOGUE, "windows", ["net_sales"])

    by_sql = conn.execute(
        "select sum(net_reporting_amount) filter (where not is_cancelled) / 100 / count(distinct order_id) from marts.fct_order_lines "
        "join marts.fct_experiment_units on order_id = unit_id "
        "where experiment_id = 'windows' and variant = 'A' and not is_test and order_id <> 'O00002'"
    ).fetchone()
    assert by_sql is not None
    assert found.arms[0].value == pytest.approx(by_sql[0], rel=1e-9)
    assert found.currency_code == "EUR"
    assert found.excluded["unknown_value"] == 1


def test_an_order_with_a_refund_keeps_its_value_and_one_without_a_rate_is_left_out(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute(
        "create table marts.fct_sales_events as select order_id, ordered_date, 'sale' as event_type, 1000 as net_amount, "
        "net_reporting_amount, row_number() over (partition by order_id order by ordered_qty) = 1 as is_first_line_of_order "
        "from marts.fct_order_lines where not is_cancelled"
    )
    (before,) = compare_experiment(conn, CATALOGUE, "windows", ["average_order_value"])
    conn.execute("insert into marts.fct_sales_events values ('O00005', date '2026-08-05', 'refund', -900, -900, false)")
    (found,) = compare_experiment(conn, CATALOGUE, "windows", ["average_order_value"])

    assert found.arms == before.arms
    assert found.excluded["unknown_value"] == 1
    assert sum(arm.n for arm in found.arms) == ORDERS - 40 - 80 - 1


def test_a_customer_brings_every_order_placed_since_the_assignment_and_counts_once(conn: duckdb.DuckDBPyConnection) -> None:
    sales, fill = compare_experiment(conn, CATALOGUE, "loyalty", ["net_sales", "unit_fill_rate"])

    rows = conn.sql(
        "select customer_key, net_reporting_amount, on_time_qty, ordered_qty from marts.fct_order_lines "
        "join marts.fct_orders using (order_id) where not is_cancelled and not is_test and ordered_at >= timestamp '2026-08-01'"
    ).pl()
    units = conn.sql("select unit_id as customer_key, variant from marts.fct_experiment_units where experiment_id = 'loyalty'").pl()
    known = units.filter(~pl.col("customer_key").is_in(["C00000", "C00001"]))
    each = known.join(rows.group_by("customer_key").agg(pl.all().sum(), rows=pl.len()), on="customer_key", how="left")
    for arm in sales.arms:
        own = each.filter(variant=arm.variant)["net_reporting_amount"].fill_null(0).to_numpy() / 100
        assert (arm.n, arm.value) == (len(own), pytest.approx(own.mean()))
        assert arm.standard_error == pytest.approx(own.std(ddof=1) / np.sqrt(len(own)))
    for arm in fill.arms:
        own_rows = each.filter(pl.col("variant") == arm.variant, pl.col("rows").is_not_null())
        on_time, ordered = (own_rows[name].to_numpy() for name in ("on_time_qty", "ordered_qty"))
        strays = (on_time - ordered * on_time.sum() / ordered.sum()) / ordered.mean()
        assert (arm.n, arm.value) == (len(ordered), pytest.approx(on_time.sum() / ordered.sum()))
        assert arm.standard_error == pytest.approx(np.sqrt((strays**2).sum() / (arm.n - 1) / arm.n))
    assert sales.unit_kind == "customer"
    assert (sales.control, sales.excluded["unknown_start"], sales.effects[0].verdict) == ("control", 2, "underpowered")
    assert fill.excluded["without_rows"] == each["rows"].null_count() == 100


def test_a_split_that_cannot_be_chance_is_not_judged(conn: duckdb.DuckDBPyConnection) -> None:
    (found,) = compare_experiment(conn, CATALOGUE, "uneven", ["unit_fill_rate"])
    (planned,) = compare_experiment(conn, CATALOGUE, "uneven", ["unit_fill_rate"], planned={"A": 5, "B": 4})

    assert found.status == "sample_ratio_mismatch"
    assert found.effects == ()
    assert "cannot be chance" in (found.note or "")
    assert planned.status == "compared"


def test_too_few_orders_are_refused_with_the_number_it_would_take(conn: duckdb.DuckDBPyConnection) -> None:
    (found,) = compare_experiment(conn, CATALOGUE, "tiny", ["returned_lines"])

    (effect,) = found.effects
    assert effect.verdict == "underpowered"
    assert effect.needed_per_variant > 1_000


def test_what_is_too_young_to_judge_is_not_counted(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute("update marts.fct_order_lines set ordered_date = date '2026-10-20' where order_id < 'O03000'")

    (found,) = compare_experiment(conn, CATALOGUE, "windows", ["young"])

    assert sum(arm.n for arm in found.arms) < 1_000
    assert found.excluded["without_rows"] > 2_900


def test_a_metric_the_source_lacks_fields_for_says_so(conn: duckdb.DuckDBPyConnection) -> None:
    (found,) = compare_experiment(conn, CATALOGUE, "windows", ["invoiced"])

    assert (found.status, found.note) == ("not_available", "not available: needs invoices.amount")


@pytest.mark.parametrize(
    ("name", "metric_name", "control", "message"),
    [
        ("window", "unit_fill_rate", None, "did you mean windows"),
        ("windows", "stock", None, "does not say which order"),
        ("windows", "unit_fill_rate", "C", "Nothing to compare with 'C'"),
        ("mixed", "unit_fill_rate", None, "The units of mixed are orders and customers"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    conn: duckdb.DuckDBPyConnection, name: str, metric_name: str, control: str | None, message: str
) -> None:
    with pytest.raises(MetricError, match=message):
        compare_experiment(conn, CATALOGUE, name, [metric_name], control=control)


def test_the_command_lists_judges_and_refuses(
    conn: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = ReleaseFacts("20261101T060000-aaaaaa", AS_OF.isoformat(), "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    publish(conn, tmp_path / "home" / "releases", facts=facts, catalogue=catalogue_to_json(CATALOGUE), keep=5)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "400")

    def ordercast(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["ordercast", "experiment", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code in {0, None, 3}
        return printed.out + printed.err

    listed, judged = ordercast(), ordercast("windows", "days_mean")
    refused, uneven = ordercast("tiny", "returned_lines"), ordercast("uneven", "unit_fill_rate")
    summed = ordercast("windows", "net_sales")
    by_customer, same = ordercast("loyalty", "net_sales"), ordercast("windows", "steps_mean")
    as_json = json.loads(ordercast("windows", "days_mean", "--json"))

    assert "windows" in listed
    assert "customers" in listed
    assert "1 several_variants, 40 test, 1 unknown_unit" in listed
    assert "B against A: better by -" in judged
    assert "per order" not in judged.replace("orders per variant", "")
    assert "Net sales per order (more is better)" in summed
    assert "EUR per order over" in summed
    assert "Net sales per customer" in by_customer
    assert "customers per variant" in by_customer
    assert "underpowered" in refused
    assert "orders per variant to see an effect of" in refused
    assert "Not judged. The sizes of the variants" in uneven
    assert as_json[0]["effects"][0]["verdict"] == "different"
    assert "no difference shown" in same
    assert "effects larger than 1.00 d either way are ruled out." in same
    assert "A split is written like A=90,B=10" in ordercast("windows", "days_mean", "--split", "half")
    assert "Name the metrics" in ordercast("windows")
