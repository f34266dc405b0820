from __future__ import annotations

import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from pipelines.errors import StoreUnavailableError
from pipelines.stores.change_feed import (
    FeedHealth,
    FeedPosition,
    feed_health,
    forbid_triggers,
    install_feed,
    prune_feed,
    read_changes,
    repair_feed,
)
from pipelines.stores.operational import MIGRATIONS, VERSION_TABLE, OperationalStore
from pipelines.stores.source_contract import SOURCE_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORDER_FIELDS = ["order_id", "created_at", "currency", "order_name", "total_price", "is_test"]
START = datetime(2026, 1, 1)


@pytest.fixture
def shop(store: OperationalStore) -> OperationalStore:
    """A store with two watched tables and two orders."""
    store.create_source_tables({"orders": ORDER_FIELDS, "stock_levels": ["sku", "location_id", "on_hand"]})
    store.append("orders", orders("A", "B"))
    install_feed(store)
    return store


def orders(*ids: str, name: str = "") -> pl.DataFrame:
    return pl.DataFrame(
        {"order_id": list(ids), "created_at": [START] * len(ids), "currency": ["EUR"] * len(ids), "order_name": [name] * len(ids)}
    )


def execute(store: OperationalStore, statement: str) -> None:
    with store.transaction() as conn:
        conn.execute(sa.text(statement))


def read(
    store: OperationalStore, since: FeedPosition | None, **retry: list[str]
) -> tuple[FeedPosition, bool, dict[str, set[str]], dict[str, list[str]]]:
    """Position, whether everything was read, changed keys and the `_key` of the rows."""
    with read_changes(store, since=since, retry_keys=retry) as reader:
        keys = {table: set(reader.changed_keys(table)["key"].to_pylist()) for table in reader.fields}
        rows = {table: sorted(reader.rows(table).read_all()["_key"].to_pylist()) for table in reader.fields}
    return reader.position, reader.is_full_resync, keys, rows


def test_the_first_read_gives_everything_and_the_next_gives_nothing(shop: OperationalStore) -> None:
    position, is_full, _, rows = read(shop, None)
    again, is_full_again, keys, rows_again = read(shop, position)

    assert (is_full, rows["orders"]) == (True, ['["A"]', '["B"]'])
    assert (is_full_again, keys["orders"], rows_again["orders"]) == (False, set(), [])
    assert again.epoch == position.epoch


def test_inserts_updates_and_deletes_are_each_seen_once(shop: OperationalStore) -> None:
    position, *_ = read(shop, None)
    shop.append("orders", orders("C"))
    shop.upsert("orders", orders("B", "C", name="changed"))
    execute(shop, "DELETE FROM orders WHERE order_id = 'A'")

    _, is_full, keys, rows = read(shop, position)

    assert not is_full
    assert keys == {"orders": {'["A"]', '["B"]', '["C"]'}, "stock_levels": set()}
    assert rows["orders"] == ['["B"]', '["C"]']


def test_what_was_rolled_back_is_not_seen(shop: OperationalStore) -> None:
    position, *_ = read(shop, None)
    with shop.engine.connect() as conn:
        conn.execute(sa.text("DELETE FROM orders"))
        conn.rollback()

    _, _, keys, _ = read(shop, position)

    assert keys["orders"] == set()


def test_a_changed_key_is_seen_under_both_keys(shop: OperationalStore) -> None:
    position, *_ = read(shop, None)
    execute(shop, "UPDATE orders SET order_id = 'Z' WHERE order_id = 'A'")

    _, _, keys, rows = read(shop, position)

    assert keys["orders"] == {'["A"]', '["Z"]'}
    assert rows["orders"] == ['["Z"]']


def test_all_tables_are_read_in_the_snapshot_of_the_position(shop: OperationalStore, store_url: str) -> None:
    position, *_ = read(shop, None)
    shop.append("orders", orders("C"))
    with OperationalStore.open(store_url) as other, read_changes(shop, since=position) as reader:
        other.append("orders", orders("D"))
        other.append("stock_levels", pl.DataFrame({"sku": ["s"], "location_id": ["l"], "on_hand": [1]}))

        seen = reader.rows("orders").read_all()["_key"].to_pylist(), reader.rows("stock_levels").read_all().num_rows
    _, _, keys, _ = read(shop, reader.position)

    assert seen == (['["C"]'], 0)
    assert keys == {"orders": {'["D"]'}, "stock_levels": {'["s","l"]'}}


def test_keys_to_be_retried_are_read_besides(shop: OperationalStore) -> None:
    position, *_ = read(shop, None)
    shop.append("orders", orders("C"))

    _, _, keys, rows = read(shop, position, orders=['["A"]', '["gone"]', '["C"]'])

    assert keys["orders"] == {'["A"]', '["gone"]', '["C"]'}
    assert rows["orders"] == ['["A"]', '["C"]']


@pytest.mark.parametrize(
    "odd", ['"quoted"', "back\\slash/", "tab\tline\n", "späť 🚚 \u202e", "'; DROP TABLE orders; --", "1E5", "", " a ", "\x7f\x01"]
)
def test_odd_keys_are_the_same_in_triggers_and_rows(shop: OperationalStore, odd: str) -> None:
    position, *_ = read(shop, None)
    shop.append("stock_levels", pl.DataFrame({"sku": [odd], "location_id": ["null"], "on_hand": [1]}))

    _, _, keys, rows = read(shop, position)
    _, _, _, retried = read(shop, position, stock_levels=list(keys["stock_levels"]))

    assert set(rows["stock_levels"]) == keys["stock_levels"]
    assert retried["stock_levels"] == rows["stock_levels"]
    assert len(keys["stock_levels"]) == 1


def test_keys_of_times_days_and_amounts_are_found_again(store: OperationalStore) -> None:
    store.create_source_tables({name: SOURCE_TABLES[name].field_names for name in ("payment_holds", "fx_rates", "rebate_agreements")})
    install_feed(store)
    position, *_ = read(store, None)
    day = START.date()
    store.append("payment_holds", pl.DataFrame({"order_id": ["A"], "placed_at": [datetime(2026, 3, 29, 1, 30, 0, 7)]}))
    store.append("fx_rates", pl.DataFrame({"rate_date": [day], "from_currency": ["EUR"], "to_currency": ["USD"], "rate": [0.1]}))
    tier = pl.Series([Decimal("100.5")], dtype=pl.Decimal(18, 4))
    store.append(
        "rebate_agreements", pl.DataFrame({"partner_id": ["P"], "basis": ["units"], "tier_from": tier, "rate": [0.1], "valid_from": [day]})
    )

    _, _, keys, rows = read(store, position)

    assert {table: set(found) for table, found in rows.items()} == keys
    assert keys["payment_holds"] == {'["A","2026-03-29 01:30:00.000007"]'}
    assert keys["fx_rates"] == {'["2026-01-01","EUR","USD"]'}


def test_every_value_is_text_and_casts_back_to_what_was_written(store: OperationalStore) -> None:
    store.create_source_tables({"orders": ORDER_FIELDS, "fx_rates": SOURCE_TABLES["fx_rates"].field_names})
    written = orders("A").with_columns(
        created_at=pl.lit(datetime(2026, 3, 29, 1, 30, 0, 7)),
        total_price=pl.lit(Decimal("-12.5")).cast(pl.Decimal(18, 4)),
        is_test=pl.lit(value=True),
    )
    store.append("orders", written)
    store.append(
        "fx_rates", pl.DataFrame({"rate_date": [START.date()], "from_currency": ["EUR"], "to_currency": ["USD"], "rate": [0.1 + 0.2]})
    )

    with read_changes(store, since=None) as reader:
        order, rate = reader.rows("orders").read_all(), reader.rows("fx_rates").read_all()

    assert {*order.schema.types, *rate.schema.types} == {pa.string()}
    (row,) = order.to_pylist()
    assert (row["created_at"], row["is_test"], row["updated_at"]) == ("2026-03-29 01:30:00.000007", "true", None)
    assert Decimal(row["total_price"]) == Decimal("-12.5")
    assert float(rate["rate"][0].as_py()) == 0.1 + 0.2
    assert rate["rate_date"][0].as_py() == "2026-01-01"


def test_a_column_that_begins_with_nulls_stays_text(shop: OperationalStore) -> None:
    rows = 60_000
    late = orders(*(f"N{number}" for number in range(rows))).with_columns(
        order_name=pl.when(pl.int_range(rows) < 5_000).then(None).otherwise(pl.lit("late"))
    )
    shop.append("orders", late)

    with read_changes(shop, since=None) as reader, closing(duckdb.connect()) as warehouse:
        warehouse.register("changed", reader.rows("orders"))
        found = warehouse.sql("SELECT count(*), count(order_name), max(order_name), any_value(typeof(order_name)) FROM changed").fetchone()

    assert found == (rows + 2, rows - 5_000 + 2, "late", "VARCHAR")


def test_a_table_the_store_lacks_yields_nothing(shop: OperationalStore) -> None:
    with read_changes(shop, since=None) as reader:
        absent = reader.rows("reviews").read_all().num_rows, reader.changed_keys("reviews").num_rows

        assert absent == (0, 0)
        assert set(reader.fields) == {"orders", "stock_levels"}


def test_installing_again_changes_nothing(shop: OperationalStore) -> None:
    position, *_ = read(shop, None)

    install_feed(shop)

    after, is_full, _, _ = read(shop, position)
    assert (after.epoch, is_full) == (position.epoch, False)


def test_a_table_that_is_watched_later_is_read_in_full(shop: OperationalStore) -> None:
    position, *_ = read(shop, None)
    shop.create_source_tables({"channels": ["channel_id", "name"]})
    shop.append("channels", pl.DataFrame({"channel_id": ["web"], "name": ["Web"]}))

    unwatched, is_full_before, _, rows_before = read(shop, position)
    install_feed(shop)
    watched, is_full_after, _, rows_after = read(shop, unwatched)
    _, is_full_at_last, _, _ = read(shop, watched)

    assert (is_full_before, is_full_after, is_full_at_last) == (True, True, False)
    assert rows_before["channels"] == rows_after["channels"] == ['["web"]']


def test_a_new_column_is_read_in_full(shop: OperationalStore) -> None:
    position, *_ = read(shop, None)
    shop.create_source_tables({"orders": [*ORDER_FIELDS, "ship_to_country"]})

    _, is_full, _, _ = read(shop, position)

    assert is_full


def test_a_position_of_another_store_is_worth_nothing(shop: OperationalStore) -> None:
    position, *_ = read(shop, None)

    assert read(shop, FeedPosition("elsewhere", position.position))[1]


def test_pruning_keeps_two_weeks_and_makes_older_readers_read_everything(shop: OperationalStore) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    old, *_ = read(shop, None)
    shop.append("orders", orders("C"))
    prune_feed(shop, now=now)
    shop.append("orders", orders("D"))
    recent, *_ = read(shop, old)

    removed_early = prune_feed(shop, now=now + timedelta(days=13))
    is_full_before = read(shop, old)[1]
    prune_feed(shop, now=now + timedelta(days=15))
    shop.append("orders", orders("E"))

    assert (removed_early, is_full_before) == (0, False)
    assert read(shop, recent)[1:3] == (False, {"orders": {'["E"]'}, "stock_levels": set()})


def test_a_reader_from_before_a_pruned_change_reads_everything(shop: OperationalStore) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    old, *_ = read(shop, None)
    for order_id in ("C", "D", "E"):
        shop.append("orders", orders(order_id))
    prune_feed(shop, now=now)

    removed = prune_feed(shop, now=now + timedelta(days=15))

    assert removed > 0
    assert read(shop, old)[1]


def test_a_restored_sqlite_file_is_read_in_full_even_after_it_has_grown(sqlite_url: str, tmp_path: Path) -> None:
    path, backup = tmp_path / "store.db", tmp_path / "backup.db"
    with OperationalStore.open(sqlite_url) as store:
        store.create_source_tables({"orders": ORDER_FIELDS})
        install_feed(store)
        store.append("orders", orders("A"))
    backup.write_bytes(path.read_bytes())
    with OperationalStore.open(sqlite_url) as store:
        store.append("orders", orders("B"))
        position, *_ = read(store, None)
    path.write_bytes(backup.read_bytes())

    with OperationalStore.open(sqlite_url) as store:
        is_full_at_once = read(store, position)[1]
        store.append("orders", orders("B", "C"))
        is_full_later = read(store, position)[1]

    assert (is_full_at_once, is_full_later) == (True, True)


def test_text_that_is_not_utf8_is_read_and_marked(sqlite_url: str) -> None:
    with OperationalStore.open(sqlite_url) as store:
        store.create_source_tables({"channels": ["channel_id", "name"]})
        execute(store, "INSERT INTO channels VALUES ('a', CAST(x'4dfc6c' AS TEXT), NULL), ('b', 'Müller', NULL)")

        with read_changes(store, since=None) as reader:
            names = reader.rows("channels").read_all()["name"].to_pylist()

    assert names == ["M\ufffdl", "Müller"]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT OR REPLACE INTO orders (order_id, created_at, currency, order_name) VALUES ('C', '2026-01-01 00:00:00.000000', 'EUR', 'a')",
        "REPLACE INTO orders (order_id, created_at, currency, order_name) VALUES ('C', '2026-01-01 00:00:00.000000', 'EUR', 'a')",
        "UPDATE OR REPLACE orders SET order_name = 'a' WHERE order_id = 'B'",
    ],
)
def test_a_row_that_another_key_displaces_is_seen_as_deleted(sqlite_url: str, statement: str) -> None:
    with OperationalStore.open(sqlite_url) as store:
        store.create_source_tables({"orders": ORDER_FIELDS})
        execute(store, "CREATE UNIQUE INDEX orders_by_name ON orders (order_name)")
        store.append("orders", pl.concat([orders("A", name="a"), orders("B", name="b")]))
        install_feed(store)
        position, *_ = read(store, None)
        execute(store, statement)

        _, is_full, keys, rows = read(store, position)

    assert not is_full
    assert '["A"]' in keys["orders"]
    assert '["A"]' not in rows["orders"]
    assert len(keys["orders"]) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO orders (order_id, created_at, currency) VALUES ('A', '2026-01-01 00:00:00', 'USD') "
        "ON CONFLICT (order_id) DO UPDATE SET currency = excluded.currency",
        "DELETE FROM orders WHERE true",
        "DELETE FROM orders",
    ],
)
def test_an_upsert_and_a_deletion_of_all_rows_are_seen(shop: OperationalStore, statement: str) -> None:
    position, *_ = read(shop, None)
    execute(shop, statement)

    _, is_full, keys, rows = read(shop, position)

    assert not is_full
    assert keys["orders"] == ({'["A"]'} if "UPDATE" in statement else {'["A"]', '["B"]'})
    assert rows["orders"] == sorted(keys["orders"] if "UPDATE" in statement else ())


def test_an_older_copy_of_a_sqlite_file_is_read_in_full_though_its_feed_was_empty(sqlite_url: str, tmp_path: Path) -> None:
    path, backup = tmp_path / "store.db", tmp_path / "backup.db"
    with OperationalStore.open(sqlite_url) as store:
        store.create_source_tables({"orders": ORDER_FIELDS})
        install_feed(store)
    backup.write_bytes(path.read_bytes())
    with OperationalStore.open(sqlite_url) as store:
        store.append("orders", orders("A"))
        position, *_ = read(store, None)
    path.write_bytes(backup.read_bytes())

    with OperationalStore.open(sqlite_url) as store:
        store.append("orders", orders("B"))
        _, is_full, _, rows = read(store, position)

    assert (is_full, rows["orders"]) == (True, ['["B"]'])


def test_a_lost_trigger_is_noticed_and_made_again_without_a_new_epoch(shop: OperationalStore) -> None:
    before, *_ = read(shop, None)
    with shop.transaction() as conn:
        if shop.dialect == "sqlite":
            conn.execute(sa.text("DROP TRIGGER feed_orders_delete"))
        else:
            conn.execute(sa.text("ALTER TABLE orders DISABLE TRIGGER ordercast_feed"))
    health = feed_health(shop)

    repaired = repair_feed(shop)

    assert (health, repaired) == (FeedHealth(lost=["orders"], unwatched=[]), {"orders"})
    assert feed_health(shop) == FeedHealth(lost=[], unwatched=[])
    assert read(shop, before)[:2] == (read(shop, None)[0], False)


def test_forbidden_triggers_are_taken_away_and_not_made_again(shop: OperationalStore) -> None:
    forbid_triggers(shop)

    assert repair_feed(shop) == frozenset()
    assert feed_health(shop) == FeedHealth(lost=[], unwatched=["orders", "stock_levels"])
    with read_changes(shop, since=None) as reader:
        assert {reader.read_by(table) for table in reader.fields} == {"overlap"}


def test_whether_triggers_are_wanted_is_known_after_going_a_version_back_and_forth(shop: OperationalStore) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["version_table"] = VERSION_TABLE
    with shop.transaction() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "0008")
    shop.migrate()
    execute(shop, f"DROP TRIGGER {'feed_orders_insert' if shop.dialect == 'sqlite' else 'ordercast_feed ON orders'}")

    assert repair_feed(shop) == {"orders"}


@pytest.fixture
def postgresql_shop(postgresql_url: str) -> Iterator[OperationalStore]:
    with OperationalStore.open(postgresql_url) as store:
        store.create_source_tables({"orders": ORDER_FIELDS})
        install_feed(store)
        yield store


def test_a_transaction_with_savepoints_that_commits_after_a_later_one_was_read_is_not_lost(postgresql_shop: OperationalStore) -> None:
    position, *_ = read(postgresql_shop, None)
    early = postgresql_shop.engine.connect()
    insert = sa.text("INSERT INTO orders (order_id, created_at, currency) VALUES (:id, now(), 'EUR')")
    with closing(early):
        with early.begin():
            with early.begin_nested():
                early.execute(insert, {"id": "early"})
            with early.begin_nested() as savepoint:
                early.execute(insert, {"id": "undone"})
                savepoint.rollback()
            postgresql_shop.append("orders", orders("later"))
            position, _, keys_before, _ = read(postgresql_shop, position)
        position, _, keys_after, _ = read(postgresql_shop, position)
    _, _, keys_at_last, _ = read(postgresql_shop, position)

    assert keys_before["orders"] == {'["later"]'}
    assert keys_after["orders"] == {'["early"]'}
    assert keys_at_last["orders"] == set()


def test_a_truncated_table_is_read_in_full(postgresql_shop: OperationalStore) -> None:
    postgresql_shop.append("orders", orders("A"))
    position, *_ = read(postgresql_shop, None)
    execute(postgresql_shop, "TRUNCATE orders")

    position, is_full, _, rows = read(postgresql_shop, position)
    _, is_full_again, _, _ = read(postgresql_shop, position)

    assert (is_full, rows["orders"], is_full_again) == (True, [], False)


def test_a_shop_user_without_rights_on_the_feed_is_watched_too(postgresql_shop: OperationalStore, postgresql_url: str) -> None:
    position, *_ = read(postgresql_shop, None)
    execute(postgresql_shop, "DROP ROLE IF EXISTS clerk")
    execute(postgresql_shop, "CREATE ROLE clerk LOGIN")
    execute(postgresql_shop, "GRANT INSERT ON orders TO clerk")
    execute(postgresql_shop, f"GRANT TEMPORARY ON DATABASE {postgresql_shop.engine.url.database} TO clerk")
    try:
        with psycopg.connect(postgresql_url.replace("postgres:@", "clerk@"), options="-c timezone=Asia/Tokyo -c datestyle=German") as conn:
            conn.execute("CREATE TEMP TABLE change (tbl text, pk text, op text)")
            conn.execute("INSERT INTO orders (order_id, created_at, currency) VALUES ('C', now(), 'EUR')")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
                conn.execute("DELETE FROM feed.change")
            conn.execute("DROP TABLE pg_temp.change")
    finally:
        execute(postgresql_shop, "DROP OWNED BY clerk")
        execute(postgresql_shop, "DROP ROLE clerk")

    assert read(postgresql_shop, position)[2]["orders"] == {'["C"]'}


def test_what_replication_writes_is_seen(postgresql_shop: OperationalStore) -> None:
    position, *_ = read(postgresql_shop, None)
    with postgresql_shop.transaction() as conn:
        conn.execute(sa.text("SET LOCAL session_replication_role = replica"))
        conn.execute(sa.text("INSERT INTO orders (order_id, created_at, currency) VALUES ('R', now(), 'EUR')"))

    assert read(postgresql_shop, position)[2]["orders"] == {'["R"]'}


def test_a_disabled_trigger_on_a_partition_is_noticed(postgresql_url: str) -> None:
    with OperationalStore.open(postgresql_url) as store:
        execute(
            store, "CREATE TABLE orders (order_id text PRIMARY KEY, created_at timestamptz, currency text) PARTITION BY HASH (order_id)"
        )
        execute(store, "CREATE TABLE orders_0 PARTITION OF orders FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
        install_feed(store)
        watched = feed_health(store)
        execute(store, "ALTER TABLE orders_0 DISABLE TRIGGER ordercast_feed")
        disabled = feed_health(store)
        repair_feed(store)

        assert (watched.lost, disabled.lost, feed_health(store).lost) == ([], ["orders"], [])


@pytest.mark.parametrize("reads", ["arrow", "duckdb"])
def test_a_connection_that_is_cut_while_rows_are_read_is_a_store_that_does_not_answer(
    postgresql_shop: OperationalStore, postgresql_url: str, reads: str
) -> None:
    execute(
        postgresql_shop,
        "INSERT INTO orders (order_id, created_at, currency, order_name) SELECT n, now(), 'EUR', repeat('x', 500) FROM generate_series(1, 60000) n",
    )
    with pytest.raises(StoreUnavailableError):
        read_rows_while_the_connection_is_cut(postgresql_shop, postgresql_url, reads)


def read_rows_while_the_connection_is_cut(store: OperationalStore, url: str, reads: str) -> None:
    with closing(duckdb.connect()) as warehouse, read_changes(store, since=None) as reader:
        rows = reader.rows("orders")
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%COPY%' AND pid <> pg_backend_pid()")
        if reads == "arrow":
            rows.read_all()
        else:
            warehouse.register("changed", rows)
            warehouse.execute("CREATE TABLE t AS SELECT * FROM changed")


def test_time_that_ran_backwards_is_read_in_full(postgresql_shop: OperationalStore) -> None:
    position, *_ = read(postgresql_shop, None)
    xmin, xmax, _ = position.position.split(":")
    later = FeedPosition(position.epoch, f"{xmin}:{int(xmax) + 1000}:")

    assert read(postgresql_shop, later)[1]


def test_a_database_restored_from_a_dump_is_read_in_full(postgresql_shop: OperationalStore) -> None:
    position, *_ = read(postgresql_shop, None)
    # What pg_restore does: the same rows in a new table.
    execute(postgresql_shop, "CREATE TABLE feed.restored (LIKE feed.change INCLUDING ALL)")
    execute(postgresql_shop, "DROP TABLE feed.change")
    execute(postgresql_shop, "ALTER TABLE feed.restored RENAME TO change")

    assert read(postgresql_shop, position)[1]


def test_eight_writers_at_once_lose_nothing(shop: OperationalStore, store_url: str) -> None:
    position, *_ = read(shop, None)
    mirror: dict[str, Any] = {'["A"]': "", '["B"]': ""}

    def write(writer: int) -> None:
        with OperationalStore.open(store_url) as own:
            for number in range(10):
                own.upsert("orders", orders(f"{writer}-{number % 4}", name=str(number)))

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        position = follow(shop, position, mirror)
    follow(shop, position, mirror)

    source = shop.read_source("orders", ["order_id", "order_name"])
    assert mirror == {f'["{order_id}"]': name for order_id, name in source.rows()}


def follow(store: OperationalStore, since: FeedPosition | None, mirror: dict[str, Any]) -> FeedPosition:
    """Do to `mirror` what a warehouse does: delete the changed keys, insert their rows."""
    with read_changes(store, since=since) as reader:
        if reader.is_full_resync:
            mirror.clear()
        for key in reader.changed_keys("orders")["key"].to_pylist():
            mirror.pop(key, None)
        mirror.update((row["_key"], row["order_name"]) for row in reader.rows("orders").read_all().to_pylist())
    return reader.position
