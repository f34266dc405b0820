"""Ten people press the same buttons at once, twice: one order line per recommendation, whichever database."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pipelines.decisions.audit import verify
from pipelines.decisions.service import decide
from pipelines.errors import DecisionError
from pipelines.stores.operational import OperationalStore
from tests.integration.decision_shop import NOW, open_shop, request, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipelines.decisions.requests import Decision

    Submit = Callable[[OperationalStore, str, str], Decision | None]

THREADS = 10
RECOMMENDATIONS = 50  # 500 submits


def storm(url: str, rec_ids: Sequence[str], submit: Submit) -> list[tuple[str, str, Decision | None]]:
    """Every thread submits a decision about every recommendation, all at the same moment; half of them send the same key.

    Returns:
        (rec_id, decision_id, what was answered) per submit; None where it was refused.
    """
    together = threading.Barrier(THREADS)

    def work(number: int, store: OperationalStore) -> list[tuple[str, str, Decision | None]]:
        answers = []
        for rec_id in rec_ids:
            key = f"{rec_id}-{'same' if number % 2 else number}"
            together.wait()
            answers.append((rec_id, key, submit(store, rec_id, key)))
        return answers

    with ExitStack() as stack, ThreadPoolExecutor(THREADS) as threads:
        stores = [stack.enter_context(OperationalStore.open(url)) for _ in range(THREADS)]
        return [answer for answers in threads.map(work, range(THREADS), stores) for answer in answers]


def with_key(store: OperationalStore, rec_id: str, key: str) -> Decision | None:
    try:
        return decide(store, request(rec_id, decision_id=key), now=NOW)
    except DecisionError:
        return None


def check_then_write(store: OperationalStore, rec_id: str, key: str) -> Decision | None:
    """What a page without a key does: look whether it is still open, then order."""
    with store.transaction(writes=False) as conn:
        status = conn.execute(sa.text("SELECT status FROM recommendation WHERE rec_id = :rec_id"), {"rec_id": rec_id}).scalar()
    if status != "proposed":
        return None
    line = {"line": uuid.uuid4().hex, "rec_id": rec_id}
    with store.transaction() as conn:
        conn.execute(
            sa.text(
                "INSERT INTO purchase_order_lines (po_line_id, po_id, sku, location_id, ordered_qty, received_qty, source_rec_id) "
                "VALUES (:line, 'P', 'ITEM-1', 'DC', 60, 0, :rec_id)"
            ),
            line,
        )
        conn.execute(sa.text("UPDATE recommendation SET status = 'approved' WHERE rec_id = :rec_id"), {"rec_id": rec_id})
    return None


def lines_per_recommendation(store: OperationalStore) -> Counter[str]:
    return Counter(line["source_rec_id"] for line in rows_of(store, "purchase_order_lines"))


def test_500_submits_at_once_order_each_recommendation_once_and_lose_none(store: OperationalStore, store_url: str) -> None:
    rec_ids = open_shop(store, items=RECOMMENDATIONS, products=5 * RECOMMENDATIONS)

    answers = storm(store_url, rec_ids, with_key)

    assert lines_per_recommendation(store) == Counter(rec_ids)
    approved = {(rec_id, key) for rec_id, key, answer in answers if answer is not None and answer.outcome == "approved"}
    assert sorted(rec_id for rec_id, _ in approved) == sorted(rec_ids)  # one key has won each, and whoever sent it knows
    for rec_id, key, answer in answers:
        assert (answer is not None) == ((rec_id, key) in approved)
    assert len({answer.to_json() for *_, answer in answers if answer is not None}) == RECOMMENDATIONS
    assert {row["status"] for row in rows_of(store, "recommendation")} == {"approved"}
    assert sum(line["qty"] for line in rows_of(store, "draft_order_line")) == 60 * RECOMMENDATIONS
    assert len(rows_of(store, "purchase_orders")) == 1
    report = verify(store)
    assert (report.problems, report.rows_count) == ((), RECOMMENDATIONS + 4)  # and four operators


def test_the_same_storm_on_check_then_write_orders_twice(store: OperationalStore, store_url: str) -> None:
    rec_ids = open_shop(store, items=10)

    storm(store_url, rec_ids, check_then_write)

    assert max(lines_per_recommendation(store).values()) > 1


def test_approvals_of_one_item_at_once_see_each_other_as_inbound(store: OperationalStore, store_url: str) -> None:
    (first,) = open_shop(store, items=1)
    others = [f"copy-{number}" for number in range(THREADS - 1)]
    with store.transaction() as conn:
        for other in others:
            conn.execute(
                sa.text(
                    "INSERT INTO recommendation (rec_id, recommendation_key, kind, sku, location_id, supplier_id, recommended_qty, unit_cost, "
                    "currency_code, need_by, priority_score, reason, basis, status, version, first_run_id, last_run_id) SELECT :new, :new, kind, sku, "
                    "location_id, supplier_id, recommended_qty, unit_cost, currency_code, need_by, 1, reason, basis, 'proposed', 1, 'r1', 'r1' "
                    "FROM recommendation WHERE rec_id = :old"
                ),
                {"new": other, "old": first},
            )

    with ExitStack() as stack, ThreadPoolExecutor(THREADS) as threads:
        stores = [stack.enter_context(OperationalStore.open(store_url)) for _ in range(THREADS)]
        outcomes = Counter(threads.map(lambda one, rec_id: decide(one, request(rec_id), now=NOW).outcome, stores, [first, *others]))

    assert outcomes == {"approved": 1, "stale": THREADS - 1}
    assert [line["ordered_qty"] for line in rows_of(store, "purchase_order_lines")] == [60]
