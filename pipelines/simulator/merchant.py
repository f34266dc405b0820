"""A simulated merchant: its tables as of a day, and the truth behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from pipelines.simulator.bad_documents import spoil
from pipelines.simulator.customer_tables import customer_tables
from pipelines.simulator.differences import plant
from pipelines.simulator.events import order_events
from pipelines.simulator.history import History, live
from pipelines.simulator.order_tables import OrderBook
from pipelines.simulator.payment_tables import payment_tables
from pipelines.simulator.return_tables import return_tables
from pipelines.simulator.shelf_tables import shelf_tables
from pipelines.simulator.stock_tables import purchase_tables, stock_tables, transfer_tables
from pipelines.simulator.truth import Truth, reveal
from pipelines.simulator.view import View
from pipelines.stores.source_contract import SOURCE_TABLES

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.simulator.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class SimulatedMerchant:
    """What a store would hold at the end of the scenario's last day, in contract order and types, and what is true behind it."""

    scenario: Scenario
    seed: int
    tables: dict[str, pl.DataFrame]
    truth: Truth
    data_until: datetime


def simulate(scenario: Scenario, *, seed: int) -> SimulatedMerchant:
    """The merchant of this scenario and seed; the same values give the same merchant, to the last row."""
    history = live(scenario, seed=seed)
    tables = tables_as_of(history, days=scenario.total_days)
    return SimulatedMerchant(
        scenario=scenario,
        seed=seed,
        tables=tables,
        truth=reveal(history, tables),
        data_until=history.clock.utc(history.clock.now),
    )


def tables_as_of(history: History, *, days: int) -> dict[str, pl.DataFrame]:
    """All tables as they stood at the end of local day number `days`, which may lie before the history's end."""
    view = View(history, days)
    book = OrderBook(view)
    shipments, shipment_lines, shipment_ids = book.shipments()
    returns, return_ids = return_tables(view, book)
    tables = {
        **shelf_tables(view),
        "orders": book.orders(),
        "order_lines": book.order_lines(),
        "shipments": shipments,
        "shipment_lines": shipment_lines,
        "order_events": order_events(view, book),
        **returns,
        **stock_tables(view, shipment_ids, return_ids),
        **purchase_tables(view),
        **transfer_tables(view),
        **payment_tables(view, book),
        **customer_tables(view, book),
    }
    plant(view, tables)
    spoil(view, tables)
    return {name: _typed(name, tables[name]) for name in SOURCE_TABLES if name in tables}


_POLARS_TYPES = {
    "text": pl.String(), "integer": pl.Int64(), "decimal": pl.Decimal(18, 4), "timestamp": pl.Datetime("us"),
    "date": pl.Date(), "boolean": pl.Boolean(), "float": pl.Float64(),
}  # fmt: skip


def _typed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    table = SOURCE_TABLES[name]
    return frame.select(pl.col(field.name).cast(_POLARS_TYPES[field.kind]) for field in table.fields if field.name in frame.columns)
