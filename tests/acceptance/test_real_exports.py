"""The two real exports, from their files to the figures that a release carries."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pipelines.settings import Settings
from pipelines.stores.releases import current_release, open_release
from tests.acceptance.conftest import CommandLine

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir() and "CI" not in os.environ, reason="the data sets are not here")


def imported_and_run(name: str, home: Path) -> tuple[CommandLine, dict[str, Any]]:
    ordercast = CommandLine(home)
    report = ordercast.json("import", name, str(DATA / name))
    run = ordercast.json("run")
    return ordercast, {"report": report, "run": run, "metrics": {value["name"]: value for value in ordercast.json("metrics")}}


@pytest.fixture(scope="module")
def olist(tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandLine, dict[str, Any]]:
    return imported_and_run("olist", tmp_path_factory.mktemp("olist") / "home")


@pytest.fixture(scope="module")
def online_retail(tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandLine, dict[str, Any]]:
    return imported_and_run("online_retail", tmp_path_factory.mktemp("online_retail") / "home")


def test_olists_published_totals_stand_in_the_release(olist: tuple[CommandLine, dict[str, Any]]) -> None:
    release = current_release(Settings(home=olist[0].home).releases_path)
    assert release is not None
    with open_release(release) as conn:
        totals = conn.execute(
            "select count(*), avg(cycle_time_days), median(cycle_time_days), count_if(is_late_by_timestamp), count_if(is_late_by_date) "
            "from marts.fct_orders where delivered_at is not null"
        ).fetchone()

    assert totals == (96_476, pytest.approx(12.559, abs=0.0005), pytest.approx(10.218, abs=0.0005), 7_827, 6_535)


def test_the_products_cycle_time_leaves_cancelled_orders_out_and_counts_them(olist: tuple[CommandLine, dict[str, Any]]) -> None:
    period = ("--from", "2016-09-01", "--to", "2018-10-31")

    mean, late, late_by_date = olist[0].json(
        "metrics", "order_cycle_time_mean_days", "late_orders_by_timestamp", "late_orders_by_date", *period
    )

    assert (mean["n"], mean["excluded"]["cancelled"]) == (96_470, 6)
    assert mean["value"] == pytest.approx(12.558, abs=0.0005)
    assert (late["value"], late_by_date["value"]) == (7_826, 6_534)  # one of the cancelled six came late


def test_what_olist_lacks_is_named_and_nothing_is_guessed(olist: tuple[CommandLine, dict[str, Any]]) -> None:
    metrics = olist[1]["metrics"]

    assert metrics["in_stock_rate"]["status"] == "not_available"
    assert metrics["in_stock_rate"]["value"] is None
    assert "stock_levels" in metrics["in_stock_rate"]["note"]
    assert olist[1]["run"]["counts"]["recommend"]["not_available"] == "needs stock_levels, supplier_items"
    assert olist[0].json("recommendations") == []


def test_every_row_of_online_retail_has_one_fate(online_retail: tuple[CommandLine, dict[str, Any]]) -> None:
    files = online_retail[1]["report"]["files"]
    fates = ("rows_used", "rows_excluded", "rows_redirected", "rows_duplicate", "rows_rejected")

    assert [file["rows_read"] for file in files] == [525_461, 541_909]
    assert all(file["rows_read"] == sum(file[fate] for fate in fates) for file in files)
    assert sum(file["rows_duplicate"] for file in files) == 22_523


def test_online_retail_runs_with_sales_and_says_what_else_it_would_need(online_retail: tuple[CommandLine, dict[str, Any]]) -> None:
    metrics = online_retail[1]["metrics"]

    assert metrics["net_sales"]["value"] > 1_000_000
    assert metrics["net_sales"]["currency_code"] == "GBP"
    for name in ("order_cycle_time_p50_days", "unit_fill_rate", "on_time_in_full", "return_rate", "in_stock_rate"):
        assert metrics[name]["status"] == "not_available"
        assert metrics[name]["note"].startswith("not available: needs ")
