"""An approval is on its way for the next run: ingest takes it along, whether the shop's tables hold it or a message does."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipelines.decisions.audit import head
from pipelines.decisions.service import decide
from pipelines.decisions.upkeep import follow_shop
from pipelines.settings import Settings
from pipelines.steps.ingest import ingest
from pipelines.stores.change_feed import install_feed
from pipelines.stores.warehouse import open_warehouse
from tests.integration.decision_shop import NOW, ORDER_TABLES, change_shop, open_shop, request
from tests.integration.kinds_shop import open_change

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.stores.operational import OperationalStore


def add_an_order(store: OperationalStore) -> None:
    """A run needs one; its day is the day before the decisions."""
    store.create_source_tables(
        {"orders": ["order_id", "created_at", "currency"], "order_lines": ["order_line_id", "order_id", "sku", "quantity", "unit_price"]}
    )
    store.append("orders", pl.DataFrame({"order_id": ["O1"], "created_at": [datetime(2026, 6, 30, 12)], "currency": ["EUR"]}))
    install_feed(store)


def run(store: OperationalStore, home: Path, name: str) -> dict[str, list[tuple[Any, ...]]]:
    """What the warehouse knows of approvals after an ingest."""
    settings = Settings(home=home)
    with open_warehouse(settings.warehouse_path) as conn:
        ingest(store, conn, settings=settings, run_id=name)
        return {
            "drafts": conn.sql("SELECT rec_id, qty, target, is_released FROM meta.draft_lines").fetchall(),
            "lines": conn.sql("SELECT source_rec_id, ordered_qty - received_qty, po_id FROM raw.purchase_order_lines").fetchall(),
            "orders": conn.sql("SELECT po_id, status FROM raw.purchase_orders").fetchall(),
            "changes": conn.sql("SELECT po_line_id, cancelled_qty, expected_at FROM meta.order_changes").fetchall(),
            "head": conn.sql("SELECT seq, hash FROM meta.audit_head").fetchall(),
        }


def test_a_draft_in_the_shop_reaches_the_next_run_and_leaves_it_when_undone(store: OperationalStore, tmp_path: Path) -> None:
    rec_id, _ = open_shop(store)
    add_an_order(store)
    before = run(store, tmp_path, "r1")
    draft = decide(store, request(rec_id), now=NOW)

    approved = run(store, tmp_path, "r2")
    decide(store, request(rec_id, "undo", version=2), now=NOW)
    undone = run(store, tmp_path, "r3")

    assert (before["drafts"], before["lines"]) == ([], [])
    assert approved["drafts"] == [(rec_id, 60, "source", False)]
    assert approved["lines"] == [(rec_id, 60, draft.draft_id)]
    assert approved["orders"] == [(draft.draft_id, "draft")]
    assert (undone["drafts"], undone["lines"], undone["orders"]) == ([], [], [(draft.draft_id, "cancelled")])
    end = head(store)
    assert undone["head"] == [(end.seq, end.hash)]


@pytest.mark.parametrize("without", [(), ORDER_TABLES])
def test_a_draft_nobody_submits_is_released_for_the_next_run(store: OperationalStore, tmp_path: Path, without: tuple[str, ...]) -> None:
    rec_id, _ = open_shop(store, without=without)
    add_an_order(store)
    decide(store, request(rec_id), now=NOW)

    follow_shop(store, draft_days=3, now=NOW + timedelta(days=3))

    assert run(store, tmp_path, "r1")["drafts"] == [(rec_id, 60, "outbox" if without else "source", True)]


def test_what_has_arrived_is_no_draft_any_more(store: OperationalStore, tmp_path: Path) -> None:
    rec_id, _ = open_shop(store)
    add_an_order(store)
    decide(store, request(rec_id), now=NOW)
    change_shop(store, "UPDATE purchase_orders SET status = 'received'")

    follow_shop(store, draft_days=3, now=NOW)

    assert run(store, tmp_path, "r1")["drafts"] == []


@pytest.mark.parametrize(
    ("kind", "counted"), [("cancel_po", [("PO-17-1", 40, None)]), ("defer", [("PO-17-1", 0, datetime(2026, 8, 10, 10))])]
)
def test_a_drafted_change_reaches_the_next_run_until_it_was_not_made_for_too_long(
    store: OperationalStore, tmp_path: Path, kind: str, counted: list[tuple[Any, ...]]
) -> None:
    """Noon of the day wanted in Berlin is ten o'clock in UTC."""
    rec_id = open_change(store, kind)
    add_an_order(store)
    decide(store, request(rec_id), now=NOW)

    drafted = run(store, tmp_path, "r1")
    follow_shop(store, draft_days=3, now=NOW + timedelta(days=3))
    released = run(store, tmp_path, "r2")

    assert (drafted["changes"], released["changes"]) == (counted, [])
