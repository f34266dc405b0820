"""Differences between the merchant's books, made on purpose, so that reconciliation can be seen at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipelines.simulator.clock import stream

if TYPE_CHECKING:
    from pipelines.simulator.history import History
    from pipelines.simulator.view import View

KINDS: Final = ("order_total", "missing_movement", "invoice_amount", "double_payment")
_ORDER_EXTRA: Final = 5  # in the order's currency
_INVOICE_EXTRA: Final = 7
_SHIPMENT: Final = pl.col("reference_type") == "shipment"


def plant(view: View, tables: dict[str, pl.DataFrame]) -> None:
    """Change the tables of a merchant that is meant to have differences; an order has at most one.

    `order_total`: the order, its invoice and its payment say more than its lines. `missing_movement`: its parcels left and no movement of
    stock says so. `invoice_amount`: its invoice says more than the order. `double_payment`: a payment came again a day later.
    """
    if view.history.scenario.difference_rate == 0:
        return
    marked = _marked(view.history)
    is_raised, has_wrong_invoice = (pl.col("order_id").is_in(marked[kind].implode()) for kind in ("order_total", "invoice_amount"))
    tables["orders"] = tables["orders"].with_columns(_raised("total_price", is_raised, _ORDER_EXTRA))
    tables["invoices"] = tables["invoices"].with_columns(
        _raised("amount", is_raised, _ORDER_EXTRA) + _raised("amount", has_wrong_invoice, _INVOICE_EXTRA) - pl.col("amount")
    )
    invoices = tables["invoices"].select("invoice_id", "order_id")
    payments = tables["payments"].join(invoices, on="invoice_id", maintain_order="left")
    payments = payments.with_columns(_raised("amount", is_raised & pl.col("payment_id").str.ends_with("-1"), _ORDER_EXTRA))
    twice = payments.filter(pl.col("order_id").is_in(marked["double_payment"].implode()), pl.col("payment_id").str.ends_with("-1"))
    again = twice.with_columns(
        pl.col("payment_id") + "-again",
        pl.col("paid_at").dt.offset_by("1d"),
        pl.max_horizontal(pl.col("updated_at"), pl.col("paid_at").dt.offset_by("1d")).alias("updated_at"),
    )
    until = view.history.clock.utc(view.now)
    tables["payments"] = pl.concat([payments, again.filter(pl.col("updated_at") < until)]).drop("order_id")
    tables["stock_movements"] = tables["stock_movements"].filter(
        ~(_SHIPMENT & pl.col("reference_id").is_in(_shipments_of(tables, marked["missing_movement"]).implode())).fill_null(value=False)
    )


def planted_in(history: History, tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """What can be found in the tables: kind and order_id, one row each."""
    if history.scenario.difference_rate == 0:
        return pl.DataFrame(schema={"kind": pl.String, "order_id": pl.String})
    paid_again = tables["payments"].filter(pl.col("payment_id").str.ends_with("-again")).join(tables["invoices"], on="invoice_id")
    ours = tables["order_lines"].filter(~pl.col("is_special_order"), ~pl.col("is_drop_ship")).select("order_line_id")
    left = tables["shipments"].filter(pl.col("shipped_at").is_not_null())
    moved = tables["shipment_lines"].join(ours, on="order_line_id").join(left, on="shipment_id")
    evidence = {
        "order_total": tables["orders"],
        "missing_movement": moved,
        "invoice_amount": tables["invoices"],
        "double_payment": paid_again,
    }
    return pl.concat(
        pl.DataFrame({"order_id": order_ids.filter(order_ids.is_in(evidence[kind]["order_id"].implode()))}).select(
            pl.lit(kind).alias("kind"), "order_id"
        )
        for kind, order_ids in _marked(history).items()
    )


def _marked(history: History) -> dict[str, pl.Series]:
    """Ids of the orders that have, or will have, a difference of each kind."""
    chance = stream(history.seed, "differences").random(len(history.orders))
    kind = np.where(history.is_order, (chance / history.scenario.difference_rate).astype(np.int64), len(KINDS))
    number = pl.Series(history.order_number)
    return {name: "O-" + number.filter(pl.Series(kind == nth)).cast(pl.String).str.zfill(6) for nth, name in enumerate(KINDS)}


def _raised(column: str, where: pl.Expr, amount: int) -> pl.Expr:
    return pl.col(column) + pl.when(where).then(amount).otherwise(0).cast(pl.Decimal(18, 4))


def _shipments_of(tables: dict[str, pl.DataFrame], order_ids: pl.Series) -> pl.Series:
    return tables["shipments"].filter(pl.col("order_id").is_in(order_ids.implode()))["shipment_id"]
