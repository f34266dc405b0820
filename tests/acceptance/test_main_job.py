"""The whole job on a small simulated merchant, as a person lives through it: first run, same again, a week later."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import psycopg
import pytest
import sqlalchemy as sa

from pipelines.settings import Settings
from pipelines.simulator.merchant import simulate
from pipelines.simulator.scenarios import SCENARIOS
from pipelines.stores.operational import OperationalStore
from pipelines.stores.warehouse import open_warehouse
from tests.acceptance.conftest import CommandLine
from tests.conftest import database_url

if TYPE_CHECKING:
    from pathlib import Path

SEED = 3
# What the shop knows of persons, in columns that are no part of the contract.
CANARY = {
    "customers": {"full_name": "Zebulon Quagmire", "email": "zebulon@quagmire.example", "phone": "+49 170 5550199"},
    "orders": {"ship_to_street": "Canary Lane 77", "note": "my sister Zenobia rings twice"},
    "return_lines": {"reason_note": "it squeaked, yours Zebulon Quagmire"},
}
NAMES = "Quagmire|quagmire|5550199|Canary Lane|Zenobia"
TABLES = "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal AND database_name = current_database()"
HEADLINE = {"order_cycle_time_p50_days", "unit_fill_rate", "on_time_in_full", "net_sales", "return_rate", "in_stock_rate"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def merchant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What every command said, in the order a person gave them."""
    home = tmp_path_factory.mktemp("merchant") / "home"
    url = own_database(request.getfixturevalue("postgresql_server")) if request.param == "postgresql" else None
    ordercast = CommandLine(home, url)
    said: dict[str, Any] = {"ordercast": ordercast, "home": home}
    said["simulated"] = ordercast.json("simulate", "--scenario", "small", "--seed", str(SEED))
    plant_canary(url or f"sqlite:///{home / 'store.db'}")
    said["first"] = ordercast.json("run")
    said["first_recommendations"] = ordercast.json("recommendations")
    said["second"] = ordercast.json("run")
    said["second_recommendations"] = ordercast.json("recommendations")
    said["metrics"] = ordercast.json("metrics")
    ordercast("simulate", "--continue", "7")
    said["week_later"] = ordercast.json("run")
    said["releases"] = ordercast.json("releases", "list")
    return said


def own_database(server: str) -> str:
    """The address of an empty database, under a login that is no superuser, as a merchant gives one."""
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute("CREATE ROLE shopkeeper LOGIN IN ROLE ops_ingest, ops_recommender, ops_writer, ops_owner")
        conn.execute("CREATE DATABASE merchant OWNER shopkeeper")
    return database_url(server, "merchant").replace("//postgres:", "//shopkeeper:")


def plant_canary(url: str) -> None:
    """The canary stands in every row of these tables, good ones and bad ones."""
    with OperationalStore.open(url) as store, store.transaction() as conn:
        for table, columns in CANARY.items():
            for column, text in columns.items():
                conn.execute(sa.text(f"ALTER TABLE {table} ADD COLUMN {column} TEXT"))
                conn.execute(sa.text(f"UPDATE {table} SET {column} = :text"), {"text": text})


def test_what_the_shop_knows_of_a_person_is_in_no_file_that_the_runs_wrote(merchant: dict[str, Any]) -> None:
    secrets = [text for columns in CANARY.values() for text in columns.values()]
    files = [path for path in merchant["home"].rglob("*") if path.is_file() and not path.name.startswith("store.db")]

    assert len([path for path in files if path.suffix == ".duckdb"]) >= 3
    for path in files:
        assert not [secret for secret in secrets if secret.encode() in path.read_bytes()], path
        if path.suffix == ".duckdb":  # compressed, so its bytes alone prove nothing
            with duckdb.connect(str(path), read_only=True) as conn:
                for name in [f'"{schema}"."{table}"' for schema, table in conn.execute(TABLES).fetchall()]:
                    assert conn.execute(f"SELECT count(*) FROM {name} t WHERE regexp_matches(t::VARCHAR, ?)", [NAMES]).fetchone() == (0,), (
                        name
                    )


def test_a_first_run_loads_every_row_or_says_what_became_of_it(merchant: dict[str, Any]) -> None:
    tables = merchant["first"]["counts"]["ingest"]

    assert merchant["first"]["is_success"]
    assert sum(table["rows_in"] for table in tables.values()) == sum(merchant["simulated"]["rows"].values())
    assert all(table["rows_in"] == table["rows_loaded"] + table["rows_quarantined"] + table["rows_duplicate"] for table in tables.values())
    assert 0 < sum(table["rows_quarantined"] for table in tables.values()) < 20


def test_the_six_headline_kpis_have_value_target_and_prior(merchant: dict[str, Any]) -> None:
    values = {value["name"]: value for value in merchant["metrics"]}

    assert values.keys() >= HEADLINE
    for name in HEADLINE:
        assert values[name]["value"] is not None, name
        assert values[name]["as_of"] == "2026-10-31"
        assert {"numerator", "denominator", "n", "unit", "target", "status", "prior"} <= values[name].keys()


def test_suggestions_stand_in_the_store_with_a_reason_and_obey_the_suppliers_terms(merchant: dict[str, Any]) -> None:
    rows = merchant["first_recommendations"]
    terms = {(row["supplier_id"], row["sku"]): row for row in simulate(SCENARIOS["small"], seed=SEED).tables["supplier_items"].to_dicts()}

    purchases = [row for row in rows if row["kind"] == "purchase"]
    assert purchases
    for row in purchases:
        term = terms[row["supplier_id"], row["sku"]]
        assert row["recommended_qty"] >= (term["min_order_qty"] or 1)
        assert row["recommended_qty"] % (term["order_multiple"] or 1) == 0
    assert {row["kind"] for row in rows} <= {"purchase", "transfer", "expedite", "defer", "cancel_po", "allocate"}
    assert all(row["reason"].endswith(".") and row["recommended_qty"] > 0 for row in rows)
    assert all(row["source_location_id"] not in {None, row["location_id"]} for row in rows if row["kind"] == "transfer")


def test_the_same_again_reads_no_row_anew_and_proposes_nothing_twice(merchant: dict[str, Any]) -> None:
    first, second = merchant["first"]["counts"], merchant["second"]["counts"]
    loaded = Counter({name: table["rows_loaded"] for name, table in second["ingest"].items()})

    assert loaded.total() == 0
    assert {kind: second["write_back"][kind] for kind in ("proposed", "updated", "superseded", "protected")} == dict.fromkeys(
        ("proposed", "updated", "superseded", "protected"), 0
    )
    assert second["write_back"]["unchanged"] == first["write_back"]["proposed"]
    assert [row["rec_id"] for row in merchant["first_recommendations"]] == [row["rec_id"] for row in merchant["second_recommendations"]]


def test_a_week_later_only_what_changed_is_read(merchant: dict[str, Any]) -> None:
    first, later = merchant["first"]["counts"]["ingest"], merchant["week_later"]["counts"]["ingest"]

    assert not later["orders"]["full_resync"]
    assert 0 < later["orders"]["rows_loaded"] < first["orders"]["rows_loaded"] / 4
    assert merchant["week_later"]["counts"]["publish"]["as_of_date"] == "2026-11-07"


def test_what_is_held_back_is_shown_with_its_reason_and_next_step(merchant: dict[str, Any]) -> None:
    documents = merchant["ordercast"].json("quarantine")

    assert {document["document_id"] for document in documents} == {f"{letter}-X0000{i}" for i, letter in enumerate("OORRO", start=1)}
    assert all(document["reason"] and document["next_step"] for document in documents)


def test_no_key_is_open_twice(merchant: dict[str, Any]) -> None:
    open_keys = Counter(row["recommendation_key"] for row in merchant["ordercast"].json("recommendations"))

    assert open_keys
    assert max(open_keys.values()) == 1


def test_every_run_published_a_release_and_rollback_serves_the_one_before(merchant: dict[str, Any]) -> None:
    ordercast = merchant["ordercast"]
    newest, before, *_ = merchant["releases"]

    ordercast("releases", "rollback")
    served = next(release for release in ordercast.json("releases", "list") if release["is_served"])
    ordercast("releases", "rollback", newest["release_id"])

    assert len(merchant["releases"]) == 3
    assert newest["is_served"]
    assert served["release_id"] == before["release_id"]


def test_cycle_time_is_what_the_store_says(merchant: dict[str, Any]) -> None:
    ordercast: CommandLine = merchant["ordercast"]
    url = ordercast.store_url or Settings(home=merchant["home"]).resolved_store_url
    (value,) = ordercast.json("metrics", "order_cycle_time_mean_days", "--from", "2026-07-01", "--to", "2026-11-07")
    with OperationalStore.open(url) as store:
        orders = store.read_source("orders", ["order_id", "created_at", "cancelled_at", "is_test"])
        shipments = store.read_source("shipments", ["shipment_id", "order_id", "delivered_at"])
        ordered = store.read_source("order_lines").group_by("order_id").agg(ordered_qty=pl.col("quantity").sum())
        left = (
            store.read_source("shipment_lines")
            .join(shipments, on="shipment_id")
            .group_by("order_id")
            .agg(left_qty=pl.col("quantity").sum())
        )
    delivered = shipments.group_by("order_id").agg(pl.col("delivered_at").max(), is_open=pl.col("delivered_at").is_null().any())
    complete = (
        orders.join(delivered, on="order_id").join(ordered, on="order_id").join(left, on="order_id")
        .filter(~pl.col("is_open"), pl.col("cancelled_at").is_null(), ~pl.col("is_test").fill_null(value=False), pl.col("left_qty") >= pl.col("ordered_qty"))
    )  # fmt: skip
    days = complete.select((pl.col("delivered_at") - pl.col("created_at")).dt.total_seconds() / 86_400).to_series().to_list()

    assert value["n"] == pytest.approx(len(days), abs=5)  # quarantined documents are in the store and not in the warehouse
    assert value["value"] == pytest.approx(sum(days) / len(days), rel=1e-3)


def test_the_books_of_a_merchant_without_planted_differences_agree(merchant: dict[str, Any]) -> None:
    report = merchant["ordercast"].json("report", "reconciliation")

    assert (report["status"], report["rows"]) == ("ok", [])
    assert report["compared_count"] > 1_000


def test_no_customer_id_is_in_the_warehouse_or_in_a_release(merchant: dict[str, Any]) -> None:
    customer_id = simulate(SCENARIOS["small"], seed=SEED).tables["customers"]["customer_id"][0]
    home: Path = merchant["home"]

    for path in [home / "warehouse.duckdb", *sorted((home / "releases").glob("*.duckdb"))]:
        with open_warehouse(path, read_only=True) as conn:
            columns = conn.execute(
                "select table_schema, table_name, column_name from information_schema.columns where data_type = 'VARCHAR' "
                "and table_catalog = current_database() and column_name like '%customer%'"
            ).fetchall()
            for schema, table, column in columns:
                found = conn.execute(f'select count(*) from {schema}."{table}" where {column} = ?', [customer_id]).fetchone()
                assert found == (0,), (path.name, schema, table, column)


def test_the_doctor_finds_nothing_to_mend(merchant: dict[str, Any]) -> None:
    findings = merchant["ordercast"].json("doctor")

    assert [finding for finding in findings if not finding["is_fine"]] == []
