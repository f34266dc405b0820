"""Ten people decide about the same proposals, send everything twice and again until they hear; and what has to be true afterwards."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from pipelines.decisions.audit import verify
from pipelines.decisions.service import decide
from pipelines.errors import DecisionError, StoreUnavailableError
from pipelines.stores.operational import OperationalStore
from tests.integration.decision_shop import NOW, request, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Send = Callable[[OperationalStore, "Submit"], tuple[str, str]]

THREADS: Final = 10
PATIENCE_SECONDS: Final = 120  # with one key, until somebody gives up


@dataclass(frozen=True, slots=True)
class Submit:
    """One press of a button: `qty` of an approval differs by person, so that it shows whose was carried out."""

    rec_id: str
    action: str
    key: str
    version: int
    qty: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person was told; `text` is the whole of it."""

    submit: Submit
    outcome: str
    text: str


def plan(rec_ids: Sequence[str], *, seed: int, undone_every: int = 5) -> list[list[Submit]]:
    """What each of ten people sends, in their order.

    An approval of everything, half of them under a key they share, a sixth of it twice; the first takes every `undone_every`th back.
    """
    draw = random.Random(seed)
    people = []
    for number in range(THREADS):
        submits = []
        for position, rec_id in enumerate(rec_ids):
            is_shared = number % 2 == 1
            key, qty = f"{rec_id}-{'same' if is_shared else number}", 72 if is_shared else 60 + 12 * number
            submits += [Submit(rec_id, "approve", key, 1, qty)] * (2 if draw.random() < 1 / 6 else 1)
            if number == 0 and undone_every and position % undone_every == 0:
                submits.append(Submit(rec_id, "undo", f"{rec_id}-undo", 2, None))
        people.append(submits)
    return people


def with_key(store: OperationalStore, submit: Submit) -> tuple[str, str]:
    """The service; (outcome, whole answer)."""
    wanted = request(submit.rec_id, submit.action, version=submit.version, decision_id=submit.key, qty=submit.qty)
    try:
        answer = decide(store, wanted, now=NOW)
    except DecisionError as exc:
        return "refused", type(exc).__name__
    return answer.outcome, answer.to_json()


def looked_up_first(store: OperationalStore, submit: Submit) -> tuple[str, str]:
    """What a page without a key does: look whether it was ordered, else order; after a failure look again."""
    with store.transaction(writes=False) as conn:
        found = conn.execute(sa.text("SELECT count(*) FROM purchase_order_lines WHERE source_rec_id = :rec"), {"rec": submit.rec_id})
        if found.scalar_one():
            return "approved", ""
    insert = (
        "INSERT INTO purchase_order_lines (po_line_id, po_id, sku, location_id, ordered_qty, received_qty, source_rec_id) "
        "VALUES (:line, 'P', 'ITEM-1', 'DC', :qty, 0, :rec)"
    )
    with store.transaction() as conn:
        conn.execute(sa.text(insert), {"line": uuid.uuid4().hex, "qty": submit.qty, "rec": submit.rec_id})
    return "approved", ""


def fire(
    url: str,
    people: Sequence[Sequence[Submit]],
    send: Send,
    *,
    told: Callable[[Answer], None],
    missed: Callable[[Submit], None],
    arm: Callable[[OperationalStore, int], None] = lambda _store, _number: None,
) -> None:
    """Everybody sends theirs at once, each from a thread of their own, with the same key until there is an answer.

    Args:
        url: The store.
        people: What each sends.
        send: How.
        told: Called with each answer at once; from all threads.
        missed: Called with each submit that got none, before it is sent again.
        arm: Given every person's store, and their number, before it is used.
    """
    together = threading.Barrier(len(people))

    def work(number: int) -> None:
        together.wait()
        with ExitStack() as stack:
            store: OperationalStore | None = None
            for submit in people[number]:
                patience = time.monotonic() + PATIENCE_SECONDS
                answer = None
                while answer is None:
                    assert time.monotonic() < patience, f"no answer to {submit}"
                    try:
                        if store is None:
                            store = stack.enter_context(OperationalStore.open(url))
                            arm(store, number)
                        answer = Answer(submit, *send(store, submit))
                    except StoreUnavailableError:
                        missed(submit)
                told(answer)

    with ThreadPoolExecutor(len(people)) as threads:
        list(threads.map(work, range(len(people))))


def findings(store: OperationalStore, answers: Iterable[Answer]) -> list[str]:
    """What is duplicated or lost in the shop, against what people were told; empty where every decision had its one effect."""
    told: dict[str, dict[str, Answer]] = defaultdict(dict)
    wrong = []
    for answer in answers:
        before = told[answer.submit.rec_id].setdefault(answer.submit.key, answer)
        if before.outcome != "refused" and (before.outcome, before.text) != (answer.outcome, answer.text):
            wrong.append(f"{answer.submit.key}: two answers")
    lines: dict[str, list[int]] = defaultdict(list)
    for line in rows_of(store, "purchase_order_lines"):
        lines[line["source_rec_id"]].append(line["ordered_qty"])
    for rec_id, by_key in told.items():
        approved = [answer.submit.qty for answer in by_key.values() if answer.outcome == "approved"]
        is_undone = any(answer.outcome == "undone" for answer in by_key.values())
        ordered = lines.pop(rec_id, [])
        if len(ordered) > 1:
            wrong.append(f"{rec_id}: ordered {len(ordered)} times")
        if ordered != ([] if is_undone else approved):
            wrong.append(f"{rec_id}: people were told {approved}{' and undone' if is_undone else ''}, ordered is {ordered}")
    return wrong + [f"{rec_id}: ordered without a decision" for rec_id in lines]


def unsound(store: OperationalStore, answers: Sequence[Answer]) -> list[str]:
    """What the store says about itself that cannot be, after decisions by key: the invariants of docs/methods/decisions.md."""
    decisions = {row["decision_id"]: row for row in rows_of(store, "decision")}
    drafted = {row["rec_id"]: row for row in rows_of(store, "draft_order_line")}
    in_shop = {row["source_rec_id"]: row["ordered_qty"] for row in rows_of(store, "purchase_order_lines")}
    log = [row for row in rows_of(store, "audit_log") if row["rec_id"] is not None]
    effects = {key: row for key, row in decisions.items() if row["outcome"] in {"approved", "undone"}}
    undone = {row["rec_id"] for row in effects.values() if row["outcome"] == "undone"}
    standing = {row["rec_id"]: row["qty_after"] for row in effects.values() if row["outcome"] == "approved" and row["rec_id"] not in undone}
    wrong = list(verify(store).problems)
    wrong += [f"{answer.submit.key}: the answer is not kept" for answer in answers if _is_lost(answer, decisions)]
    wrong += [f"{key}: no result" for key, row in decisions.items() if row["result"] is None]
    if standing != {rec_id: row["qty"] for rec_id, row in drafted.items() if row["status"] == "draft"} or standing != in_shop:
        wrong.append("decisions, draft lines and the shop's lines differ")
    if sum(standing.values()) != sum(in_shop.values()):
        wrong.append("drafts do not add up to what was decided")
    if Counter(row["decision_id"] for row in log) != Counter(effects.keys()):
        wrong.append("not one row in the log for each decision")
    states: dict[str, str] = {}
    for row in sorted(log, key=lambda row: row["seq"]):
        if row["from_state"] != states.get(row["rec_id"], "proposed"):
            wrong.append(f"row {row['seq']} of the log begins where nothing ended")
        states[row["rec_id"]] = row["to_state"]
    wrong += [
        f"{row['rec_id']} is {row['status']}"
        for row in rows_of(store, "recommendation")
        if row["status"] != states.get(row["rec_id"], "proposed")
    ]
    moves = Counter(row["rec_id"] for row in effects.values())
    if sorted(row["version"] for row in rows_of(store, "stock_version")) != sorted(moves.values()):
        wrong.append("the items' versions do not count the decisions")
    return wrong


def _is_lost(answer: Answer, decisions: dict[str, dict[str, object]]) -> bool:
    kept = decisions.get(answer.submit.key)
    return (kept is None) != (answer.outcome == "refused") or (kept is not None and kept["result"] != answer.text)
