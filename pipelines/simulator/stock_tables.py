"""Stock, transfers and purchasing of a history as of a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.simulator.catalogue import LISTED_DAYS
from pipelines.simulator.clock import DAY, NEVER, BoolArray, IntArray, stream
from pipelines.simulator.fulfilment import BROKEN, MISSING
from pipelines.simulator.view import View, money, named, numbered, occurrence, text

if TYPE_CHECKING:
    from pipelines.simulator.purchasing import PurchaseLines
    from pipelines.simulator.transfers import Transfers

_MOVEMENT_TYPES = ("opening", "receipt", "return", "sale", "adjustment", "write_off", "transfer_in", "transfer_out")
OPENING, RECEIPT, RETURN, SALE, ADJUSTMENT, WRITE_OFF, TRANSFER_IN, TRANSFER_OUT = range(len(_MOVEMENT_TYPES))
_REFERENCES = (None, "purchase_order", "return", "shipment", None, None, "transfer", "transfer")
DISPLAY_RATE = 0.08  # share of shelves in stores with a piece on display
_DISPLAY_FROM_QTY = 3  # as long as this many are free


def purchase_tables(view: View) -> dict[str, pl.DataFrame]:
    """The tables `purchase_orders` and `purchase_order_lines`."""
    history = view.history
    orders, lines = history.flow.purchase_orders, history.flow.purchase_lines
    catalogue = history.catalogue
    known = np.flatnonzero(orders.created < view.now)
    shown = np.flatnonzero(orders.created[lines.purchase_order] < view.now)
    shown = shown[np.lexsort((lines.cell[shown], lines.purchase_order[shown]))]
    of_order = lines.purchase_order[shown]
    done = completed(lines)[shown]
    received = received_by(view, shown)
    whole = np.zeros(len(orders.created), dtype=np.int64)
    np.maximum.at(whole, of_order, done)
    any_receipt = np.minimum(lines.first_received[shown], NEVER)
    last_change = np.full(len(orders.created), -NEVER)
    for moment in (any_receipt, lines.second_received[shown]):
        np.maximum.at(last_change, of_order, np.where(moment < view.now, moment, -NEVER))
    ids = numbered("PO-", np.arange(len(orders.created)) + 1, 6)
    sku = lines.cell[shown] // len(history.scenario.places)
    location_ids = [place.location_id for place in history.scenario.places]
    nth = pl.Series(occurrence(of_order)).cast(pl.String)
    created = orders.created[of_order]
    return {
        "purchase_orders": pl.DataFrame(
            {
                "po_id": ids.gather(known),
                "supplier_id": named(catalogue.supplier_ids, orders.supplier[known]),
                "status": np.where(whole[known] < view.now, "received", "open"),
                "created_at": view.at(orders.created[known]),
                "confirmed_at": view.at(orders.confirmed[known]),
                "expected_at": view.planned(orders.expected[known]),
                "received_at": view.at(whole[known]),
                "currency": history.scenario.currency,
                "source_rec_id": pl.Series([None] * len(known), dtype=pl.String),
                "updated_at": view.latest(orders.created[known], orders.confirmed[known], last_change[known]),
            }
        ),
        "purchase_order_lines": pl.DataFrame(
            {
                "po_line_id": text(ids.gather(of_order), "-", nth),
                "po_id": ids.gather(of_order),
                "sku": named(catalogue.skus, sku),
                "location_id": named(location_ids, lines.cell[shown] % len(location_ids)),
                "ordered_qty": lines.quantity[shown],
                "received_qty": received,
                "unit_cost": money(catalogue.unit_cost_cents[sku]),
                "expected_at": view.planned(orders.expected[of_order]),
                "received_at": view.at(done),
                "source_rec_id": pl.Series([None] * len(shown), dtype=pl.String),
                "updated_at": view.latest(created, any_receipt, lines.second_received[shown]),
            }
        ),
    }


def received_by(view: View, shown: IntArray) -> IntArray:
    """Units received by now for each of the purchase order lines `shown`."""
    lines = view.history.flow.purchase_lines
    first = np.where(lines.first_received[shown] < view.now, lines.first_qty[shown], 0)
    second = np.where(lines.second_received[shown] < view.now, (lines.quantity - lines.first_qty)[shown], 0)
    return first + second


def completed(lines: PurchaseLines) -> IntArray:
    """When nothing more is expected: the last receipt, or the only one where the supplier gave up on the rest."""
    return np.where((lines.first_qty < lines.quantity) & (lines.second_received < NEVER), lines.second_received, lines.first_received)


def stock_tables(view: View, shipment_ids: pl.Series, return_ids: pl.Series) -> dict[str, pl.DataFrame]:
    """The tables `stock_movements` and `stock_levels`; the second is what the first adds up to."""
    cell, quantity, kind, moment, reference = _movements(view, shipment_ids, return_ids)
    history = view.history
    skus, places = history.catalogue.skus, [place.location_id for place in history.scenario.places]
    at = view.planned(moment)
    movements = pl.DataFrame(
        {
            "movement_id": numbered("M-", np.arange(len(cell)) + 1, 8),
            "sku": named(skus, cell // len(places)),
            "location_id": named(places, cell % len(places)),
            "quantity": quantity,
            "movement_type": named(_MOVEMENT_TYPES, kind),
            "occurred_at": at,
            "reference_type": named(_REFERENCES, kind),
            "reference_id": reference,
            "updated_at": at,
        }
    )
    return {"stock_levels": _levels(view, cell, quantity, moment), "stock_movements": movements}


def _movements(
    view: View, shipment_ids: pl.Series, return_ids: pl.Series
) -> tuple[IntArray, IntArray, IntArray, IntArray, pl.Series]:  # fmt: skip
    """All movements so far in order of time: cell, signed quantity, kind, moment, id of what caused it."""
    history = view.history
    flow, lines = history.flow, history.lines
    parts, returns, bought, changes, moved = flow.parts, flow.returns, flow.purchase_lines, flow.changes, flow.transfers
    ours = ~lines.is_direct[parts.line]
    transfer_ids = _transfer_ids(moved)
    purchase_ids = numbered("PO-", bought.purchase_order + 1, 6)
    opening_cells = np.flatnonzero(flow.opening)
    left = changes.kind != BROKEN
    change_kind = np.where(changes.kind[left] == MISSING, ADJUSTMENT, WRITE_OFF)
    back = returns.is_restocked
    rest = bought.quantity - bought.first_qty
    sources: list[tuple[IntArray, IntArray, IntArray | int, IntArray | int, pl.Series | None]] = [
        (opening_cells, flow.opening[opening_cells], OPENING, 0, None),
        (bought.cell, bought.first_qty, RECEIPT, bought.first_received, purchase_ids),
        (bought.cell, rest, RECEIPT, np.where(rest > 0, bought.second_received, NEVER), purchase_ids),
        (lines.cell[returns.line[back]], returns.quantity[back], RETURN, returns.received[back], return_ids.filter(pl.Series(back))),
        (lines.cell[parts.line[ours]], -parts.quantity[ours], SALE, parts.shipped[ours], shipment_ids.filter(pl.Series(ours))),
        (moved.source, -moved.quantity, TRANSFER_OUT, moved.shipped, transfer_ids),
        (moved.target, moved.quantity, TRANSFER_IN, moved.received, transfer_ids),
        (changes.cell[left], -changes.quantity[left], change_kind, changes.moment[left], None),
    ]
    cell, quantity = np.concatenate([source[0] for source in sources]), np.concatenate([source[1] for source in sources])
    kind, moment = (
        np.concatenate([np.broadcast_to(np.asarray(source[column], dtype=np.int64), len(source[0])) for source in sources])
        for column in (2, 3)
    )
    nothing = pl.Series([None], dtype=pl.String)
    reference = pl.concat([nothing.new_from_index(0, len(source[0])) if source[4] is None else source[4] for source in sources])
    done = np.flatnonzero(moment < view.now)
    done = done[np.lexsort((np.arange(len(done)), cell[done], kind[done], moment[done]))]
    return cell[done], quantity[done], kind[done], moment[done], reference.gather(done)


def _levels(view: View, cell: IntArray, quantity: IntArray, moment: IntArray) -> pl.DataFrame:
    """Stock per cell as the sum of its movements, and what of it is promised, on display, broken or on its way from a supplier."""
    history = view.history
    catalogue, flow = history.catalogue, history.flow
    places = [place.location_id for place in history.scenario.places]
    cells = len(catalogue.skus) * len(places)

    def total(where: IntArray, amount: IntArray | None = None) -> IntArray:
        return np.bincount(where, weights=amount, minlength=cells).astype(np.int64)

    parts, changes, bought = flow.parts, flow.changes, flow.purchase_lines
    promised = np.flatnonzero((parts.allocated < view.now) & ~history.lines.is_direct[parts.line])
    part_cell = history.lines.cell[parts.line[promised]]
    is_held = parts.freed[promised] >= view.now
    seen = np.flatnonzero(changes.moment < view.now)
    broken = changes.quantity[seen] * np.array([0, 1, -1])[changes.kind[seen]]  # missing, broken, thrown out
    ordered_at = flow.purchase_orders.created[bought.purchase_order]
    shown = np.flatnonzero(ordered_at < view.now)
    to_come = np.where(completed(bought)[shown] < view.now, 0, bought.quantity[shown] - received_by(view, shown))
    touched = [cell, part_cell, part_cell[~is_held], changes.cell[seen], bought.cell[shown]]
    moments = [moment, parts.allocated[promised], parts.freed[promised][~is_held], changes.moment[seen], ordered_at[shown]]
    changed = np.zeros(cells, dtype=np.int64)
    np.maximum.at(changed, np.concatenate(touched), np.concatenate(moments))
    on_hand, damaged = total(cell, quantity), total(changes.cell[seen], broken)
    committed = total(part_cell[is_held], parts.quantity[promised][is_held])
    on_display = _has_display(view) & (on_hand - committed - damaged >= _DISPLAY_FROM_QTY)
    listed = np.flatnonzero(np.repeat(catalogue.launch_day - LISTED_DAYS, len(places)) * DAY < view.now)
    return pl.DataFrame(
        {
            "sku": named(catalogue.skus, listed // len(places)),
            "location_id": named(places, listed % len(places)),
            "on_hand": on_hand[listed],
            "committed": committed[listed],
            "reserved": on_display.astype(np.int64)[listed],
            "incoming": total(bought.cell[shown], to_come)[listed],
            "damaged": damaged[listed],
            "version": total(np.concatenate(touched))[listed],
            "updated_at": view.planned(changed[listed]),
        }
    )


def _has_display(view: View) -> BoolArray:
    """Cells in stores that show a piece, which is sold last."""
    places, skus = view.history.scenario.places, view.history.catalogue.skus
    is_store = np.tile([place.location_type == "store" for place in places], len(skus))
    return is_store & (stream(view.history.seed, "display").random(len(is_store)) < DISPLAY_RATE)


def transfer_tables(view: View) -> dict[str, pl.DataFrame]:
    """The tables `transfers` and `transfer_lines`."""
    history, moved = view.history, view.history.flow.transfers
    places = [place.location_id for place in history.scenario.places]
    shown = np.flatnonzero(moved.shipped < view.now)
    lines = pl.DataFrame(
        {
            "transfer_id": _transfer_ids(moved).gather(shown),
            "sku": named(history.catalogue.skus, moved.source[shown] // len(places)),
            "quantity": moved.quantity[shown],
            "from_location_id": named(places, moved.source[shown] % len(places)),
            "to_location_id": named(places, moved.target[shown] % len(places)),
            "status": np.where(moved.received[shown] < view.now, "received", "in_transit"),
            "shipped_at": view.at(moved.shipped[shown]),
            "expected_at": view.planned(moved.received[shown]),
            "received_at": view.at(moved.received[shown]),
            "updated_at": view.latest(moved.shipped[shown], moved.received[shown]),
        }
    )
    return {
        "transfers": lines.drop("sku", "quantity").unique("transfer_id", keep="first", maintain_order=True),
        "transfer_lines": lines.select("transfer_id", "sku", "quantity", updated_at="shipped_at"),
    }


def _transfer_ids(moved: Transfers) -> pl.Series:
    """One id for all lines that leave one place for another at the same time; they stand in that order."""
    places = np.stack([moved.shipped, moved.source_place, moved.target_place])
    is_first = np.append(True, (places[:, 1:] != places[:, :-1]).any(axis=0))[: places.shape[1]]
    return numbered("T-", np.cumsum(is_first), 6)
