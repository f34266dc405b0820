"""Customers of the two public data sets: everyone is one person, and what is counted equals a recount from the store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipelines.settings import Settings
from pipelines.steps.import_files import import_files
from pipelines.steps.import_mapping import resolve_mapping
from pipelines.steps.ingest import ingest
from pipelines.steps.transform import transform
from pipelines.stores.operational import OperationalStore
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not (DATA / "olist").is_dir() and "CI" not in os.environ, reason="the data sets are not here")

Built = tuple[str, OperationalStore, "duckdb.DuckDBPyConnection"]


@pytest.fixture(scope="module", params=["olist", "online_retail"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """The data set's name, its store and its marts."""
    settings = Settings(home=tmp_path_factory.mktemp(request.param))
    with OperationalStore.open(settings.resolved_store_url, must_exist=False) as store:
        import_files(store, mapping=resolve_mapping(request.param), folder=DATA / request.param)
        with open_warehouse(settings.warehouse_path) as conn:
            ingest(store, conn, run_id="run-1", settings=settings)
        transform(settings)
        with open_warehouse(settings.warehouse_path, read_only=True) as conn:
            yield request.param, store, conn


def purchases(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Orders of known people up to the as-of day that were not cancelled and have a line, by local day."""
    row = conn.execute("select as_of_date, reporting_time_zone from meta.run_context").fetchone()
    assert row is not None
    has_cancelled = "cancelled_at" in store.present_fields()["orders"]
    orders = store.read_source("orders", ["order_id", "customer_id", "created_at", *(["cancelled_at"] if has_cancelled else [])])
    held_back = conn.sql("select distinct document_id as order_id from quarantine.document_rows where resolved_run_id is null").pl()
    local = pl.col("created_at").dt.replace_time_zone("UTC").dt.convert_time_zone(row[1]).dt.date()
    return (
        orders.filter(pl.col("customer_id").is_not_null(), pl.col("cancelled_at").is_null() if has_cancelled else pl.lit(value=True))
        .join(store.read_source("order_lines", ["order_id"]), on="order_id", how="semi")
        .join(held_back.cast(pl.String), on="order_id", how="anti")
        .with_columns(day=local)
        .filter(pl.col("day") <= row[0])
    )


def test_people_and_their_orders_equal_a_recount_from_the_store(built: Built) -> None:
    _, store, conn = built
    counts = purchases(store, conn).group_by("customer_id").agg(pl.len())["len"]

    row = conn.execute(
        "select count(first_order_date), sum(order_count), count(*) filter (where order_count > 1) from marts.dim_customers"
    ).fetchone()

    assert row == (counts.len(), counts.sum(), (counts > 1).sum())


def test_olist_has_96_096_people_of_whom_2_997_ordered_more_than_once(built: Built) -> None:
    name, _, conn = built
    if name != "olist":
        pytest.skip("its own control totals")

    people = conn.execute("select count(*) from marts.dim_customers").fetchone()
    again = conn.execute(
        "select count(*) from (from marts.fct_orders select customer_key group by customer_key having count(*) > 1)"
    ).fetchone()

    assert people == (96_096,)
    assert again == (2_997,)


def test_first_orders_fill_the_cohorts(built: Built) -> None:
    _, store, conn = built
    first = purchases(store, conn).group_by("customer_id").agg(pl.col("day").min().dt.truncate("1mo"))

    mart = conn.execute("select cohort_month, customer_count from marts.fct_cohorts_monthly where months_since_first = 0").fetchall()

    assert dict(mart) == dict(first.group_by("day").len().iter_rows())
