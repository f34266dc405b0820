"""Documents that are wrong on purpose: each breaks one rule of ingestion, and nothing else refers to it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.simulator.clock import DAY, HOUR

if TYPE_CHECKING:
    from pipelines.simulator.scenarios import BadDocument
    from pipelines.simulator.view import View


def spoil(view: View, tables: dict[str, pl.DataFrame]) -> None:
    """Add the scenario's bad documents that were written by now."""
    found: list[tuple[str, dict[str, Any]]] = []
    for number, bad in enumerate(view.history.scenario.bad_documents, start=1):
        day = int(bad.position * (view.history.scenario.days - 1))
        if day < view.days:
            written = view.history.clock.utc(day * DAY + 10 * HOUR)
            found += _rows(bad, number, written, view, tables).items()
    for table, row in found:
        schema = tables[table].schema
        given = pl.DataFrame([row], schema={column: schema[column] for column in row})
        tables[table] = pl.concat([tables[table], given], how="diagonal")


def _rows(bad: BadDocument, number: int, written: datetime, view: View, tables: dict[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    """One bad document as rows by table."""
    catalogue, scenario = view.history.catalogue, view.history.scenario
    sku = catalogue.skus[int(catalogue.launch_day.argmin())]
    if bad.kind in {"return_in_1970", "return_before_sale"}:
        return_id = f"R-X{number:05d}"
        last_order = tables["orders"].filter(pl.col("created_at") <= written).select("order_id", ordered_at="created_at").tail(1)
        sold = tables["order_lines"].join(last_order, on="order_id").row(0, named=True)
        created = datetime(1970, 1, 1) if bad.kind == "return_in_1970" else sold["ordered_at"] - timedelta(days=30)  # noqa: DTZ001 - naive UTC throughout
        header = {"created_at": created, "order_id": sold["order_id"], "currency": scenario.currency, "match_basis": "given"}
        line = {"sku": sold["sku"], "quantity": 1, "order_line_id": sold["order_line_id"]}
        return {
            "returns": {"return_id": return_id, "updated_at": written, **header},
            "return_lines": {"return_line_id": f"{return_id}-1", "return_id": return_id, "updated_at": written, **line},
        }
    order_id = f"O-X{number:05d}"
    return {
        "orders": {
            "order_id": order_id,
            "created_at": written,
            "currency": scenario.currency,
            "approved_at": written + timedelta(minutes=5),
            "channel_id": "web",
            "location_id": "LOC-UNKNOWN" if bad.kind == "unknown_location" else scenario.places[0].location_id,
            "ship_to_country": "DE",
            "financial_status": "paid",
            "fulfillment_status": "unfulfilled",
            "total_price": Decimal("19.99"),
            "is_test": False,
            "updated_at": written + timedelta(minutes=5),
        },
        "order_lines": {
            "order_line_id": f"{order_id}-1",
            "order_id": order_id,
            "sku": "SKU-NONE" if bad.kind == "unknown_sku" else sku,
            "quantity": -1 if bad.kind == "negative_quantity" else 1,
            "unit_price": Decimal("19.99"),
            "total_discount": Decimal("0.00"),
            "fulfillable_quantity": 0,
            "updated_at": written,
        },
    }
