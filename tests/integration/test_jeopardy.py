"""Open orders of a simulated merchant are judged; the same merchant, simulated for longer, knows how each of them ended."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import polars as pl
import pytest

from forecasting.jeopardy_scores import DEFAULT_THRESHOLD, area_under_curve
from pipelines.alerts.verdicts import Waiting
from pipelines.cli.app import main
from pipelines.errors import ReleaseError
from pipelines.settings import Settings
from pipelines.simulator.merchant import SimulatedMerchant, simulate
from pipelines.simulator.scenarios import SCENARIOS
from pipelines.steps.alert_inputs import read_outcomes
from pipelines.steps.jeopardy import score_open_orders
from pipelines.steps.jeopardy_reading import read_snapshots, with_working_days
from pipelines.stores.jeopardy import read_jeopardy
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import ReleaseFacts, publish
from pipelines.stores.warehouse import open_warehouse
from tests.integration.partial_build import transform_only
from tests.integration.test_transform import fill_raw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EARLIER = replace(SCENARIOS["small"], days=150, orders=12_000, customers=2_500, bad_documents=())
SCENARIO = EARLIER.continued(20)
SEED = 4
TABLES = ("order_jeopardy", "order_jeopardy_model", "order_jeopardy_scores", "order_jeopardy_calibration")
MODELS = ("fct_orders", "fct_order_lines", "fct_stock_daily", "fct_purchase_receipts", "dim_supplier_items", "stg_shop__payment_holds")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    found = Settings(home=tmp_path_factory.mktemp("home"))
    with open_warehouse(found.warehouse_path) as conn:
        fill_raw(conn, simulate(SCENARIO, seed=SEED))
    transform_only(found, *MODELS)
    with open_warehouse(found.warehouse_path) as conn:
        score_open_orders(conn)
    return found


@pytest.fixture
def conn(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(settings.warehouse_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def later() -> SimulatedMerchant:
    return simulate(SCENARIO.continued(30), seed=SEED)


def table(conn: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
    return conn.sql(f"from planning.{name}").pl()


def days_of(merchant: SimulatedMerchant, moment: str) -> pl.Expr:
    return pl.col(moment).dt.replace_time_zone("UTC").dt.convert_time_zone(merchant.scenario.time_zone).dt.date()


def left_and_arrived(merchant: SimulatedMerchant) -> pl.DataFrame:
    """order_id, left_date and arrived_date of the last unit; null where units are missing."""
    tables = merchant.tables
    wanted = tables["order_lines"].group_by("order_id").agg(pl.col("quantity").sum().alias("wanted"))
    parts = tables["shipment_lines"].join(tables["shipments"], on="shipment_id").group_by("order_id")
    ends = parts.agg(
        pl.col("quantity").filter(pl.col("shipped_at").is_not_null()).sum().alias("left"),
        pl.col("quantity").filter(pl.col("delivered_at").is_not_null()).sum().alias("arrived"),
        days_of(merchant, "shipped_at").max().alias("left_date"),
        days_of(merchant, "delivered_at").max().alias("arrived_date"),
    )
    return wanted.join(ends, on="order_id", how="left").select(
        "order_id",
        left_date=pl.when(pl.col("left") == pl.col("wanted")).then("left_date"),
        arrived_date=pl.when(pl.col("arrived") == pl.col("wanted")).then("arrived_date"),
    )


def test_open_orders_that_will_miss_their_promise_are_ranked_above_those_that_will_keep_it(
    conn: duckdb.DuckDBPyConnection, later: SimulatedMerchant
) -> None:
    judged = table(conn, "order_jeopardy").filter(pl.col("promise_kind") != "broken")

    ended = judged.join(left_and_arrived(later), on="order_id").join(
        later.tables["orders"].select("order_id", "cancelled_at"), on="order_id"
    )
    day = pl.when(pl.col("promise_kind") == "ship").then("left_date").otherwise("arrived_date")
    known = ended.filter(pl.col("cancelled_at").is_null()).with_columns(is_missed=(day > pl.col("due_date")).fill_null(value=True))
    area = area_under_curve(known["miss_probability"].to_numpy(), known["is_missed"].to_numpy())
    assert known["is_missed"].sum() >= 8
    assert area is not None
    assert area > 0.85, area


def test_past_alerts_are_right_more_often_than_the_rule_that_waits_for_the_last_day_and_come_earlier(
    conn: duckdb.DuckDBPyConnection,
) -> None:
    scores = table(conn, "order_jeopardy_scores").filter(pl.col("window_from").is_null())

    for kind in ("ship", "delivery"):
        ours, waiting = (
            scores.filter(pl.col("promise_kind") == kind, chosen).row(0, named=True)
            for chosen in (pl.col("threshold") == DEFAULT_THRESHOLD, pl.col("rule") == "due_soon")
        )
        assert ours["precision_rate"] > waiting["precision_rate"] + 0.1, kind
        assert ours["lead_p50_hours"] > waiting["lead_p50_hours"], kind
        assert ours["recall_rate"] > 0.6, kind
        assert ours["value_per_100_orders"] > waiting["value_per_100_orders"], kind
        assert ours["brier_score"] < 0.8 * ours["base_brier_score"], kind
    unreleased = scores.filter(pl.col("rule") == "due_soon_unreleased").row(0, named=True)
    ship = scores.filter(pl.col("promise_kind") == "ship", pl.col("threshold") == DEFAULT_THRESHOLD).row(0, named=True)
    assert ship["precision_rate"] > unreleased["precision_rate"]
    assert ship["recall_rate"] > unreleased["recall_rate"]


def test_every_open_order_with_goods_stands_once_with_what_keeps_it(conn: duckdb.DuckDBPyConnection) -> None:
    orders = table(conn, "order_jeopardy")

    is_open = "not is_test and ordered_date <= ? and coalesce(ended_date > ?, true)"
    last = SCENARIO.last_day
    assert set(orders["order_id"]) == {
        one for (one,) in conn.execute(f"select order_id from marts.fct_orders where {is_open}", [last, last]).fetchall()
    }
    assert orders["order_id"].is_unique().all()
    assert orders.select("reason", "reason_code", "owner", "miss_probability", "stage").null_count().sum_horizontal()[0] == 0
    assert orders["miss_probability"].is_between(0, 1).all()
    assert (orders.filter(pl.col("promise_kind") == "broken")["due_date"] <= last).all()
    assert (orders.filter(pl.col("promise_kind") != "broken")["due_date"] > last).all()


def test_alerts_are_judged_by_what_the_probabilities_learn_from(conn: duckdb.DuckDBPyConnection) -> None:
    past = read_snapshots(conn, as_of=SCENARIO.last_day, kinds=frozenset({"ship", "delivery"})).past
    rows = past.unique(["order_id", "promise_kind"]).sort("order_id").to_dicts()
    asked = [
        Waiting(f"{row['order_id']} {row['promise_kind']}", "order_jeopardy", f"order:{row['order_id']}", row["snapshot_date"], row["due_date"],
                None, is_acknowledged=False, promise_kind=row["promise_kind"]) for row in rows
    ]  # fmt: skip

    found = read_outcomes(conn, asked, as_of=SCENARIO.last_day)

    learned = {one.exception_id: row["is_missed"] for one, row in zip(asked, rows, strict=True) if row["due_date"] <= SCENARIO.last_day}
    assert {name: found[name].came_about for name in learned} == learned
    assert {True, False, None} <= set(learned.values())


def test_a_past_evening_knows_nothing_of_later_days(conn: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    cutoff = EARLIER.last_day
    kinds = frozenset({"ship", "delivery"})
    facts = ["order_id", "promise_kind", "stage", "stage_hours", "is_held", "short_qty", "backlog_days", "intake_ratio", "carrier"]
    earlier = Settings(home=tmp_path / "home")
    with open_warehouse(earlier.warehouse_path) as then:
        fill_raw(then, simulate(EARLIER, seed=SEED))
    transform_only(earlier, *MODELS)

    rebuilt = read_snapshots(conn, as_of=SCENARIO.last_day, kinds=kinds).past.filter(pl.col("snapshot_date") == cutoff)
    with open_warehouse(earlier.warehouse_path) as then:
        lived = read_snapshots(then, as_of=cutoff, kinds=kinds).current.filter(pl.col("promise_kind") != "broken")

    both = rebuilt.select(facts).join(lived.select(facts), on="order_id", suffix="_then", how="full")
    assert both.height > 50
    for fact in facts[1:]:
        then, now = both[f"{fact}_then"], both[fact]
        if then.dtype == pl.Float64:  # a place's usual day counts from the first day that is read
            assert np.allclose(then.fill_null(-1), now.fill_null(-1), rtol=1e-9), fact
        else:
            assert then.eq_missing(now).all(), fact


def test_a_rerun_writes_the_same_tables(conn: duckdb.DuckDBPyConnection) -> None:
    before = [table(conn, name) for name in TABLES]

    score_open_orders(conn)

    assert [table(conn, name).equals(one) for name, one in zip(TABLES, before, strict=True)] == [True] * 4


@pytest.mark.parametrize(
    ("missing", "kind", "needs"),
    [
        ("field_name = 'promised_ship_at'", "ship", "needs orders.promised_ship_at"),
        ("table_name = 'shipments'", "delivery", "needs shipments.delivered_at"),
    ],
)
def test_what_the_source_does_not_tell_is_not_judged(conn: duckdb.DuckDBPyConnection, missing: str, kind: str, needs: str) -> None:
    conn.begin()
    conn.execute(f"update meta.source_fields set is_present = false where {missing}")

    summary = score_open_orders(conn)

    judged, models = table(conn, "order_jeopardy"), table(conn, "order_jeopardy_model")
    conn.rollback()
    assert summary.not_available[kind] == needs
    assert judged.filter(pl.col("promise_kind") == kind).is_empty()
    assert models.filter(pl.col("promise_kind") == kind)["basis"].to_list() == ["none"]


def test_days_on_which_nothing_leaves_are_no_working_days() -> None:
    friday, tuesday = pl.lit("2026-10-30").str.to_date(), pl.lit("2026-11-03").str.to_date()
    rows = pl.select(snapshot_date=friday, due_date=tuesday, promise_kind=pl.lit("ship"), location_id=pl.lit("DC"))
    weekdays = pl.DataFrame(
        {"promise_kind": ["ship"] * 6, "location_id": ["DC"] * 6, "weekday": [1, 2, 3, 4, 5, 6], "orders_count": [90, 90, 90, 90, 90, 3]}
    )

    asked = pl.concat([rows, rows.with_columns(location_id=pl.lit("NEW"))])

    assert with_working_days(asked, weekdays)["working_days_left"].to_list() == [2, 4]


@pytest.fixture
def served(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    home = Settings(home=tmp_path / "home", store_url=f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("ORDERCAST_HOME", str(home.home))
    monkeypatch.setenv("ORDERCAST_STORE_URL", home.resolved_store_url)
    with OperationalStore.open(home.resolved_store_url, must_exist=False) as store:
        store.migrate()
    last = SCENARIO.last_day.isoformat()
    facts = ReleaseFacts("R1", last, f"{last}T06:00:00+00:00", "test", "hash", seed=0, checks_passed=1, checks_total=1)
    with open_warehouse(settings.warehouse_path) as conn:
        publish(conn, home.releases_path, facts=facts, catalogue="{}", keep=2)
    return home


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["ordercast", "orders-at-risk", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out = capsys.readouterr().out
    assert not ended.value.code
    return json.loads(out) if "--json" in arguments else out


def test_the_command_lists_the_worst_first_with_reason_owner_and_day(
    served: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    orders = told(monkeypatch, capsys, "--json")["orders"]
    monkeypatch.setenv("COLUMNS", "250")

    shown = told(monkeypatch, capsys, "--at-least", "0.3")

    standing = [one for one in orders if one["promise_kind"] != "broken"]
    worst, mildest = standing[0], standing[-1]
    assert [one["miss_probability"] for one in standing] == sorted((one["miss_probability"] for one in standing), reverse=True)
    (line,) = (line for line in shown.splitlines() if worst["order_id"] in line)
    assert worst["reason"] in line
    assert worst["owner"] in line
    assert worst["due_date"] in line
    assert mildest["miss_probability"] < 0.3
    assert mildest["order_id"] not in shown


def test_the_command_shows_how_right_past_alerts_were(
    served: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    evidence = told(monkeypatch, capsys, "--scores", "--json")

    shown = told(monkeypatch, capsys, "--scores")

    (row,) = (
        one
        for one in evidence["scores"]
        if (one["window_from"], one["promise_kind"], one["threshold"]) == (None, "ship", DEFAULT_THRESHOLD)
    )
    line = next(line for line in shown.splitlines() if line.startswith("probability 50%"))
    assert line.split()[2:5] == [f"{row['alerts_count']:,}", f"{row['precision_rate']:.0%}", f"{row['recall_rate']:.0%}"]
    assert evidence["calibration"]
    assert "due by tomorrow, not released" in shown


def test_a_release_of_before_says_how_to_get_one_that_knows() -> None:
    with duckdb.connect(":memory:") as conn, pytest.raises(ReleaseError, match="ordercast run"):
        read_jeopardy(conn)
