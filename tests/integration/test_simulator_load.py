"""A simulated merchant in an operational store, and the store that lives on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.errors import ContractError, SettingsError
from pipelines.simulator import SCENARIOS, continue_merchant, load, load_merchant, simulate
from pipelines.stores.change_feed import read_changes
from pipelines.stores.source_contract import SOURCE_TABLES

if TYPE_CHECKING:
    from pipelines.stores.operational import OperationalStore

SMALL = SCENARIOS["small"]


def test_the_store_holds_what_was_simulated(store: OperationalStore) -> None:
    counts = load_merchant(store, SMALL, seed=5)

    expected = simulate(SMALL, seed=5)
    for name, frame in expected.tables.items():
        assert_frame_equal(store.read_source(name), frame.sort(SOURCE_TABLES[name].key))
    assert counts.rows == {name: frame.height for name, frame in expected.tables.items()}
    merchant = store.merchant()
    assert merchant is not None
    assert (merchant.origin, merchant.data_until) == ("simulator:small:5", expected.data_until)


def test_a_continued_store_holds_what_a_longer_simulation_holds(store: OperationalStore) -> None:
    load_merchant(store, SMALL, seed=5)

    continue_merchant(store, days=2)
    continue_merchant(store, days=9)

    longer = simulate(SMALL.continued(11), seed=5)
    for name, frame in longer.tables.items():
        assert_frame_equal(store.read_source(name), frame.sort(SOURCE_TABLES[name].key))
    merchant = store.merchant()
    assert merchant is not None
    assert merchant.data_until == longer.data_until


def test_the_feed_carries_only_what_the_new_days_touched(store: OperationalStore) -> None:
    load_merchant(store, SMALL, seed=5)
    with read_changes(store, since=None) as changes:
        position = changes.position

    counts = continue_merchant(store, days=3)

    with read_changes(store, since=position) as changes:
        assert not changes.is_full_resync
        for name, rows in counts.rows.items():
            assert changes.changed_keys(name).num_rows == rows + counts.rows_deleted[name], name


def test_rows_that_others_wrote_survive(store: OperationalStore) -> None:
    load_merchant(store, SMALL, seed=5)
    order = store.read_source("purchase_orders").head(1).with_columns(po_id=pl.lit("PO-DRAFT"), source_rec_id=pl.lit("rec-1"))
    store.upsert("purchase_orders", order)
    renamed = store.read_source("suppliers").head(1).with_columns(name=pl.lit("A better name"))
    store.upsert("suppliers", renamed)

    continue_merchant(store, days=7)

    assert store.read_source("purchase_orders").filter(pl.col("po_id") == "PO-DRAFT")["source_rec_id"].to_list() == ["rec-1"]
    assert "A better name" in store.read_source("suppliers")["name"]


def test_a_promotion_called_off_before_it_starts_is_deleted(store: OperationalStore) -> None:
    load_merchant(store, SMALL, seed=28)  # with this seed a promotion of the last week is called off soon after
    announced = store.read_source("promotions").height

    counts = continue_merchant(store, days=6)

    assert counts.rows_deleted["promotions"] == 1
    assert store.read_source("promotions").height == announced - 1 + counts.rows["promotions"]


def test_a_second_merchant_is_refused(store: OperationalStore) -> None:
    load_merchant(store, SMALL, seed=5)

    with pytest.raises(ContractError, match="already holds"):
        load_merchant(store, SMALL, seed=6)


def test_a_load_that_fails_leaves_nothing(store: OperationalStore) -> None:
    def interrupt(detail: str, _share: float) -> None:
        if detail == "order_events":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_merchant(store, SMALL, seed=5, on_progress=interrupt)

    assert store.present_fields() == {}
    assert store.merchant() is None


def test_a_store_without_a_simulated_merchant_cannot_be_continued(store: OperationalStore) -> None:
    with pytest.raises(ContractError, match="only a store filled by"):
        continue_merchant(store, days=1)


def test_a_merchant_of_another_origin_cannot_be_continued(store: OperationalStore) -> None:
    load_merchant(store, SMALL, seed=5)
    merchant = store.merchant()
    assert merchant is not None
    store.save_merchant(replace(merchant, origin="mapping:olist"))

    with pytest.raises(ContractError, match="mapping:olist"):
        continue_merchant(store, days=1)


def test_an_unknown_scenario_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="choose one of default, small, large"):
        load.scenario_named("huge")
