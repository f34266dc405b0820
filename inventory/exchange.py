"""Packs moved between the locations of one sku until no exchange is worth its cost, many skus at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from forecasting.schema import BoolArray, IntArray

NEVER: Final = 1 << 58  # above every sum of costs, and two of them stay within 64 bits


@dataclass(slots=True)
class Ledger:
    """What the next pack given away or received is worth at each location; changes while packs move.

    Values are whole multiples of one small unit, so that sums are exact and a way round in a circle never seems to gain.

    Attributes:
        value: Value of a pack that is kept, [run].
        gain: Value of a pack that is received, `-NEVER` where none may be, [run].
        size: Packs, [run]; runs of a location follow each other, dearest first, the last without end.
        giving: The run of the next pack to give, [sku, location].
        giving_left: Packs left in it, [sku, location].
        getting: The run of the next pack to receive, [sku, location].
        getting_left: Packs left in it, [sku, location].
        supply: Packs that may still be given, [sku, location].
    """

    value: IntArray
    gain: IntArray
    size: IntArray
    giving: IntArray
    giving_left: IntArray
    getting: IntArray
    getting_left: IntArray
    supply: IntArray

    def loss(self, skus: IntArray) -> IntArray:
        """What giving the next pack loses, [sku, location]."""
        return np.where(self.supply[skus] > 0, self.value[self.giving[skus]], NEVER)

    def move(self, skus: IntArray, start: IntArray, end: IntArray, packs: IntArray) -> None:
        """Books packs that `start` gives and `end` receives, one of each per sku."""
        self.supply[skus, start] -= packs
        self.giving_left[skus, start] -= packs
        done = (self.giving_left[skus, start] == 0) & (self.supply[skus, start] > 0)
        self.giving[skus[done], start[done]] -= 1
        self.giving_left[skus[done], start[done]] = self.size[self.giving[skus[done], start[done]]]
        self.getting_left[skus, end] -= packs
        full = self.getting_left[skus, end] == 0
        self.getting[skus[full], end[full]] += 1
        self.getting_left[skus[full], end[full]] = self.size[self.getting[skus[full], end[full]]]


def exchange(ledger: Ledger, cost: IntArray) -> IntArray:
    """Packs of each sku from location to location, [sku, from, to]; those that stay are on the diagonal. No plan gains more.

    Each sku is a flow of least cost: from the location that gives a pack, at what that loses, over lanes to the one that
    receives it, at less than nothing by what that gains. Every round sends packs along the cheapest path there is, which may
    re-route packs sent before; it ends where that path gains nothing. Such a flow is optimal for the packs it moves, costs of
    successive paths never fall, and with whole packs it is whole.

    Source: Ahuja, Magnanti and Orlin (1993), Network Flows, section 9.7 (successive shortest path) and section 14.3 (convex
    costs); the paths by Bellman and Ford, section 5.4.

    Args:
        ledger: Changed in place.
        cost: Of a pack on a lane, 0 or more, 0 on the diagonal, `NEVER` where there is no lane, [from, to].
    """
    skus, locations = ledger.supply.shape
    moved = np.zeros((skus, locations, locations), dtype=np.int64)
    moved[:, np.arange(locations), np.arange(locations)] = ledger.supply
    active = np.arange(skus)
    while len(active):
        distance, via, prior = _cheapest(moved[active] > 0, ledger.loss(active), cost)
        gained = ledger.gain[ledger.getting[active]] - distance
        end = np.argmax(gained, axis=1)
        gains = gained[np.arange(len(active)), end] > 0
        active, via, prior, end = active[gains], via[gains], prior[gains], end[gains]
        _send(ledger, moved, active, end, legs=(via, prior))
    return moved


def _cheapest(is_used: BoolArray, loss: IntArray, cost: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """The least cost at which a location has a pack to spare, [sku, location], and the last leg of the way to it.

    A leg sends a pack that `via` supplies to this location and no longer to `prior`; -1 where the location gives its own.

    Args:
        is_used: A pack goes from location to location, [sku, from, to].
        loss: What giving a pack loses, [sku, location].
        cost: [from, to].
    """
    distance = loss.copy()
    via, prior = np.full(loss.shape, -1), np.full(loss.shape, -1)
    rows = np.arange(len(loss))  # whose distances changed last
    back = np.where(cost < NEVER, cost, 0)
    while len(rows):
        freed = np.where(is_used[rows], distance[rows][:, None, :] - back, NEVER)
        before = np.argmin(freed, axis=2)
        at_source = np.take_along_axis(freed, before[:, :, None], axis=2)[:, :, 0]
        arriving = at_source[:, None, :] + cost.T
        source = np.argmin(arriving, axis=2)
        reached = np.take_along_axis(arriving, source[:, :, None], axis=2)[:, :, 0]
        nearer = reached < distance[rows]
        sku, location = np.nonzero(nearer)
        distance[rows[sku], location] = reached[sku, location]
        via[rows[sku], location] = source[sku, location]
        prior[rows[sku], location] = before[sku, source[sku, location]]
        rows = rows[nearer.any(axis=1)]
    return distance, via, prior


def _send(ledger: Ledger, moved: IntArray, skus: IntArray, end: IntArray, *, legs: tuple[IntArray, IntArray]) -> None:
    """As many packs as every leg of the path to `end` has go along it."""
    via, prior = legs
    rows = np.arange(len(skus))
    travelled = []
    packs = ledger.getting_left[skus, end].copy()
    node = end.copy()
    while len(travelling := rows[via[rows, node] >= 0]):
        source, before = via[travelling, node[travelling]], prior[travelling, node[travelling]]
        packs[travelling] = np.minimum(packs[travelling], moved[skus[travelling], source, before])
        travelled.append((travelling, source, before, node[travelling]))
        node[travelling] = before
    packs = np.minimum(packs, np.minimum(ledger.giving_left[skus, node], ledger.supply[skus, node]))
    for travelling, source, before, after in travelled:
        moved[skus[travelling], source, before] -= packs[travelling]
        moved[skus[travelling], source, after] += packs[travelling]
    ledger.move(skus, node, end, packs)
