"""How often pages are opened, by day. Not by whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.stores.own_tables import page_use

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from pipelines.stores.operational import OperationalStore


def add_page_use(store: OperationalStore, opened: Mapping[tuple[date, str], int]) -> None:
    """So many more openings are counted for each day and page.

    Raises:
        StoreUnavailableError: The store did not answer. Nothing was counted.
    """
    insert = postgresql.insert if store.dialect == "postgresql" else sqlite.insert
    with store.transaction() as conn:
        for (day, page), count in sorted(opened.items()):
            added = insert(page_use).values(use_date=day, page=page, opened_count=count)
            conn.execute(
                added.on_conflict_do_update(
                    index_elements=["use_date", "page"], set_={"opened_count": page_use.c.opened_count + added.excluded.opened_count}
                )
            )


def read_page_use(store: OperationalStore, *, since: date) -> pl.DataFrame:
    """page, opened_count since this day; most opened first, empty in a store that counts none yet.

    Raises:
        StoreUnavailableError: The store did not answer.
    """
    with store.transaction(writes=False) as conn:
        rows: list[tuple[str, int]] = []
        if sa.inspect(conn).has_table(page_use.name):
            count = sa.func.sum(page_use.c.opened_count).label("opened_count")
            query = sa.select(page_use.c.page, count).where(page_use.c.use_date >= since).group_by(page_use.c.page)
            rows = [(row.page, int(row.opened_count)) for row in conn.execute(query.order_by(count.desc(), page_use.c.page))]
    return pl.DataFrame(rows, schema={"page": pl.String, "opened_count": pl.Int64}, orient="row")
