"""A shop sells all day while a planner goes through the worklist: nothing is stale without need, nothing ordered on unseen numbers."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from queue import Queue
from typing import TYPE_CHECKING, Final

from pipelines.decisions import approving
from pipelines.decisions.audit import verify
from pipelines.decisions.retrying import retried
from pipelines.decisions.service import decide
from pipelines.stores.operational import OperationalStore
from tests.integration.decision_shop import NOW, change_shop, open_shop, request, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from pipelines.decisions.basis import Check
    from pipelines.decisions.requests import Decision
    from tests.conftest import Size

SELLERS: Final = 3
# What happens to an item around its approval. 40 are there, 90 are wanted, packs of 12: 60 are proposed until 10 more are sold, then 72.
KINDS: Final = ("quiet", "sold a few", "sold many before", "price before", "sold many meanwhile")
SELL: Final = "UPDATE stock_levels SET on_hand = on_hand - :qty WHERE sku = :sku AND location_id = 'DC'"


@dataclass(frozen=True, slots=True)
class Sale:
    """One thing the shop does, and the event that says it is done."""

    statement: str
    sku: str
    qty: int
    is_done: threading.Event


class Shop:
    """Sellers who do what is put before them, each on a connection of their own; also a context manager."""

    def __init__(self, url: str, *, items: int, products: int) -> None:
        self.sales = 0
        self._url, self._items, self._products = url, items, products
        self._waiting: Queue[Sale | None] = Queue()
        self._sellers = [threading.Thread(target=self._sell) for _ in range(SELLERS)]

    def sell(self, number: int, qty: int, statement: str = SELL) -> threading.Event:
        """The item's sale waits for a seller."""
        sale = Sale(statement, f"ITEM-{number}", qty, threading.Event())
        self._waiting.put(sale)
        self.sales += 1
        return sale.is_done

    def go_on(self, number: int) -> None:
        """Everything that nobody proposed to order sells on, and now and then a price of it changes."""
        others = self._products - self._items
        for step in range(2):
            self.sell(self._items + 1 + (2 * number + step) % others, 7)
        if number % 10 == 0:
            self.sell(self._items + 1 + number % others, 1, raised(self._url))

    def _sell(self) -> None:
        with OperationalStore.open(self._url) as store:
            while (sale := self._waiting.get()) is not None:
                values = {"qty": sale.qty} if ":qty" in sale.statement else {}
                retried(partial(change_shop, store, sale.statement, sku=sale.sku, **values))
                sale.is_done.set()

    def __enter__(self) -> Shop:
        for seller in self._sellers:
            seller.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        for _ in self._sellers:
            self._waiting.put(None)
        for seller in self._sellers:
            seller.join()


def raised(url: str) -> str:
    """SQL that sets an item's price to 4.10."""
    return (
        f"UPDATE supplier_items SET unit_cost = {'4.10' if url.startswith('postgresql') else chr(39) + '4.10' + chr(39)} WHERE sku = :sku"
    )


def work_through(store: OperationalStore, url: str, rec_ids: Sequence[str]) -> tuple[list[list[Decision]], int]:
    """The planner approves one after the other and confirms what is stale; (answers by suggestion, sales in that time)."""
    answers = []
    with ExitStack() as stack:
        shop = stack.enter_context(Shop(url, items=len(rec_ids), products=5 * len(rec_ids)))
        for number, rec_id in enumerate(rec_ids, start=1):
            shop.go_on(number)
            kind = kind_of(number)
            if kind == "sold a few":
                for _ in range(10):
                    shop.sell(number, 1)
            elif kind == "sold many before":
                shop.sell(number, 15).wait()
            elif kind == "price before":
                shop.sell(number, 0, raised(url)).wait()
            elif kind == "sold many meanwhile":
                shop.sell(number, 15)
            wanted = request(rec_id)
            answers.append([decide(store, wanted, now=NOW)])
            if (stale := answers[-1][0]).outcome == "stale":
                answers[-1].append(decide(store, confirmed(wanted.rec_id, stale), now=NOW))
    return answers, shop.sales


def confirmed(rec_id: str, stale: Decision) -> object:
    """The approval of the numbers that a stale answer shows."""
    assert stale.basis_now is not None
    assert stale.version is not None
    seen = request(rec_id, version=stale.version)
    return replace(seen, confirmed_qty=stale.basis_now["qty"], confirmed_unit_cost=Decimal(stale.basis_now["unit_cost"]))


def kind_of(number: int) -> str:
    return KINDS[number % len(KINDS)]


def findings(answers: Sequence[Sequence[Decision]]) -> list[str]:
    """Suggestions that were stale without need, or ordered on numbers that nobody had seen."""
    wrong = []
    for number, (first, *rest) in enumerate(answers, start=1):
        kind, last = kind_of(number), [first, *rest][-1]
        may_stay = kind not in {"sold many before", "price before"}
        may_move = kind not in {"quiet", "sold a few"}
        if first.outcome == "stale" and not may_move:
            wrong.append(f"{kind}: stale without need")
        if first.outcome == "approved" and (not may_stay or (first.ordered_qty, first.unit_cost) != (60, Decimal("3.5"))):
            wrong.append(f"{kind}: ordered on numbers that nobody had seen")
        moved = (60, Decimal("4.1")) if kind == "price before" else (72, Decimal("3.5"))
        if first.outcome == "stale" and (last.outcome, last.ordered_qty, last.unit_cost) != ("approved", *moved):
            wrong.append(f"{kind}: confirmed, but {last.message}")
        now = last.basis_now or {}
        if kind == "sold many meanwhile" and now["free_qty"] != (40 if first.outcome == "approved" else 25):
            wrong.append(f"{kind}: {last.ordered_qty} ordered on {now['free_qty']} free")
    return wrong


def test_a_shop_that_sells_all_day_makes_stale_what_has_to_be_and_nothing_else(
    store: OperationalStore, store_url: str, size: Size, tell: Callable[[str], None]
) -> None:
    items = size(small=150, full=1_000)
    rec_ids = open_shop(store, items=items, products=5 * items)

    answers, sales = work_through(store, store_url, rec_ids)

    assert findings(answers) == []
    stale = [first for first, *_ in answers if first.outcome == "stale"]
    for answer in stale:
        assert answer.basis_before is not None
        assert answer.basis_now is not None
        assert (answer.basis_before["qty"], answer.basis_before["unit_cost"]) == (60, "3.5")
        assert (answer.basis_now["qty"], answer.basis_now["unit_cost"]) in {(72, "3.5"), (60, "4.1")}
    ordered = {row["source_rec_id"]: row["ordered_qty"] for row in rows_of(store, "purchase_order_lines")}
    assert ordered == {last.rec_id: last.ordered_qty for *_, last in answers}
    assert verify(store).problems == ()
    tell(
        f"{store.dialect}: {sales:,} sales and price changes while {items:,} suggestions were approved: {len(stale)} stale, as they had to be"
    )


def test_approving_without_a_look_at_the_stock_orders_on_unseen_numbers(
    store: OperationalStore, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approving, "_has_moved", lambda _turn, _check: False)

    answers, _ = work_through(store, store_url, open_shop(store, items=10, products=50))

    assert any("nobody had seen" in one for one in findings(answers))


def test_calling_every_sale_a_change_makes_suggestions_stale_without_need(
    store: OperationalStore, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rec_ids = open_shop(store, items=10, products=50)
    change_shop(store, SELL, qty=1, sku="ITEM-1")  # "sold a few"

    def has_changed(_turn: object, check: Check) -> bool:
        return check.now.free_qty != check.before.free_qty

    monkeypatch.setattr(approving, "_has_moved", has_changed)

    answers, _ = work_through(store, store_url, rec_ids)

    assert "sold a few: stale without need" in findings(answers)
