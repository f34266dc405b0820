from __future__ import annotations

from datetime import date

from pipelines.stores.operational import OperationalStore
from pipelines.stores.page_use import add_page_use, read_page_use

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)


def test_openings_add_up_by_day_and_are_read_from_a_day_on(store: OperationalStore) -> None:
    store.migrate()
    add_page_use(store, {(MONDAY, "overview"): 5, (TUESDAY, "overview"): 1, (TUESDAY, "stock"): 2})

    add_page_use(store, {(TUESDAY, "overview"): 3})

    assert read_page_use(store, since=TUESDAY).rows() == [("overview", 4), ("stock", 2)]
    assert read_page_use(store, since=MONDAY).rows() == [("overview", 9), ("stock", 2)]


def test_a_store_that_counts_none_yet_has_none(store: OperationalStore) -> None:
    assert read_page_use(store, since=MONDAY).is_empty()
