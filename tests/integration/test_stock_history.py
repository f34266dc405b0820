"""The shop overwrites its stock levels; what they were when a day closed stays in the warehouse."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import sqlalchemy as sa

from pipelines.settings import Settings
from pipelines.steps.ingest import ingest
from pipelines.stores.change_feed import install_feed
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.source_rows import FRAME_TYPES
from pipelines.stores.stock_history import keep_stock_levels
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

MONDAY, TUESDAY, WEDNESDAY = date(2025, 3, 10), date(2025, 3, 11), date(2025, 3, 12)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(settings.warehouse_path) as conn:
        yield conn


def stand(conn: duckdb.DuckDBPyConnection, **on_hand: int) -> None:
    """The shop's levels at DC are these and no others; two units of each are promised."""
    conn.execute("DELETE FROM raw.stock_levels")
    for sku, quantity in on_hand.items():
        conn.execute(
            "INSERT INTO raw.stock_levels BY NAME SELECT ? AS sku, 'DC' AS location_id, ? AS on_hand, 2 AS committed", [sku, quantity]
        )


def keep(conn: duckdb.DuckDBPyConnection, day: date) -> bool:
    return keep_stock_levels(conn, day=day, time_zone="Europe/Berlin")


def history(conn: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return conn.execute("SELECT sku, valid_from_date, on_hand, committed FROM history.stock_levels ORDER BY ALL").fetchall()


def snapshot_days(conn: duckdb.DuckDBPyConnection) -> list[date]:
    return [day for (day,) in conn.execute("SELECT snapshot_date FROM history.stock_snapshots ORDER BY 1").fetchall()]


def test_three_days_keep_what_changed_on_each(warehouse: duckdb.DuckDBPyConnection) -> None:
    for day, mugs in ((MONDAY, 10), (TUESDAY, 7), (WEDNESDAY, 7)):
        stand(warehouse, MUG=mugs, CAP=4)
        keep(warehouse, day)

    assert history(warehouse) == [("CAP", MONDAY, 4, 2), ("MUG", MONDAY, 10, 2), ("MUG", TUESDAY, 7, 2)]
    assert snapshot_days(warehouse) == [MONDAY, TUESDAY, WEDNESDAY]


def test_a_second_run_on_the_same_day_replaces_its_rows(warehouse: duckdb.DuckDBPyConnection) -> None:
    stand(warehouse, MUG=10)
    keep(warehouse, MONDAY)
    stand(warehouse, MUG=3, CAP=1)
    keep(warehouse, TUESDAY)
    stand(warehouse, MUG=10)

    keep(warehouse, TUESDAY)

    assert history(warehouse) == [("MUG", MONDAY, 10, 2)]
    assert snapshot_days(warehouse) == [MONDAY, TUESDAY]


def test_a_level_that_vanished_is_unknown_and_not_zero(warehouse: duckdb.DuckDBPyConnection) -> None:
    stand(warehouse, MUG=10)
    keep(warehouse, MONDAY)
    stand(warehouse)
    keep(warehouse, TUESDAY)
    stand(warehouse, MUG=0)

    keep(warehouse, WEDNESDAY)

    assert history(warehouse) == [("MUG", MONDAY, 10, 2), ("MUG", TUESDAY, None, None), ("MUG", WEDNESDAY, 0, 2)]


def test_what_moved_after_the_day_closed_is_taken_back(warehouse: duckdb.DuckDBPyConnection) -> None:
    stand(warehouse, MUG=7)
    for moment, quantity in ((datetime(2025, 3, 10, 22, 59), -4), (datetime(2025, 3, 10, 23, 0), -3)):  # an hour before midnight in Berlin
        warehouse.execute(
            "INSERT INTO raw.stock_movements BY NAME SELECT ? AS movement_id, 'MUG' AS sku, 'DC' AS location_id, ? AS quantity, ? AS occurred_at",
            [str(moment), quantity, moment],
        )

    keep(warehouse, MONDAY)

    assert history(warehouse) == [("MUG", MONDAY, 10, 2)]


def test_a_day_before_the_last_kept_one_changes_nothing(warehouse: duckdb.DuckDBPyConnection) -> None:
    stand(warehouse, MUG=10)
    keep(warehouse, WEDNESDAY)
    stand(warehouse, MUG=99)

    was_kept = keep(warehouse, TUESDAY)

    assert not was_kept
    assert history(warehouse) == [("MUG", WEDNESDAY, 10, 2)]
    assert snapshot_days(warehouse) == [WEDNESDAY]


def rows(table: str, **columns: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(columns, schema={name: FRAME_TYPES[SOURCE_TABLES[table].field(name).kind] for name in columns})


SHOP = Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1", data_until=datetime(2025, 3, 10, 23, 0))


@pytest.fixture
def shop(store: OperationalStore) -> OperationalStore:
    """Ten mugs on the shelf when Monday closes; what is sold later has no movement here."""
    tables = {
        "locations": rows("locations", location_id=["DC"], name=["Central"], type=["dc"], time_zone=["Europe/Berlin"]),
        "products": rows("products", sku=["MUG"]),
        "orders": rows("orders", order_id=["O1"], created_at=[datetime(2025, 3, 8, 9, 0)], currency=["EUR"]),
        "order_lines": rows("order_lines", order_line_id=["L1"], order_id=["O1"], sku=["MUG"], quantity=[1], unit_price=[Decimal("9.50")]),
        "stock_levels": rows("stock_levels", sku=["MUG"], location_id=["DC"], on_hand=[10], committed=[2]),
    }
    store.create_source_tables({name: frame.columns for name, frame in tables.items()})
    for name, frame in tables.items():
        store.append(name, frame)
    install_feed(store)
    store.save_merchant(SHOP)
    return store


def live_on(shop: OperationalStore, *, until: datetime, on_hand: int) -> None:
    with shop.transaction() as conn:
        conn.execute(sa.text(f"UPDATE stock_levels SET on_hand = {on_hand}"))
    shop.save_merchant(replace(SHOP, data_until=until))


def test_runs_about_an_earlier_day_keep_the_levels_on_the_day_they_are_of(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="1", settings=settings)
    live_on(shop, until=datetime(2025, 3, 11, 23, 0), on_hand=7)

    ingest(shop, warehouse, run_id="2", settings=settings.model_copy(update={"as_of": date(2025, 3, 8)}))
    back = history(warehouse)
    ingest(shop, warehouse, run_id="3", settings=settings)

    assert back == history(warehouse) == [("MUG", MONDAY, 10, 2), ("MUG", TUESDAY, 7, 2)]
    assert snapshot_days(warehouse) == [MONDAY, TUESDAY]


def test_reading_the_whole_store_again_leaves_history_alone(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="1", settings=settings)
    live_on(shop, until=datetime(2025, 3, 11, 23, 0), on_hand=7)
    warehouse.execute("DELETE FROM meta.feed_state")

    result = ingest(shop, warehouse, run_id="2", settings=settings)

    assert result.is_full_resync
    assert history(warehouse) == [("MUG", MONDAY, 10, 2), ("MUG", TUESDAY, 7, 2)]


def test_a_run_that_fails_keeps_nothing(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    ingest(shop, warehouse, run_id="1", settings=settings)
    live_on(shop, until=datetime(2025, 3, 11, 23, 0), on_hand=7)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.steps.ingest._write_position", killed)
        with pytest.raises(KeyboardInterrupt):
            ingest(shop, warehouse, run_id="2", settings=settings)
    after_failure = history(warehouse)

    ingest(shop, warehouse, run_id="3", settings=settings)

    assert after_failure == [("MUG", MONDAY, 10, 2)]
    assert history(warehouse) == [("MUG", MONDAY, 10, 2), ("MUG", TUESDAY, 7, 2)]


def test_a_source_without_stock_says_nothing_about_stock(
    shop: OperationalStore, warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    ingest(shop, warehouse, run_id="1", settings=settings)
    with shop.transaction() as conn:
        conn.execute(sa.text("DROP TABLE stock_levels"))
    shop.save_merchant(replace(SHOP, data_until=datetime(2025, 3, 11, 23, 0)))

    ingest(shop, warehouse, run_id="2", settings=settings)

    assert history(warehouse) == [("MUG", MONDAY, 10, 2)]
    assert snapshot_days(warehouse) == [MONDAY]
