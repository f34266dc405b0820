"""Lead times as distributions: what was received, with the supplier's promise as the prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from inventory.schema import LeadTime
from inventory.wording import counted

if TYPE_CHECKING:
    from forecasting.schema import FloatArray, IntArray

SAMPLE_SIZE: Final = 200
PRIOR_RECEIPTS: Final = 5  # receipts after which they outweigh what was assumed before them
LATEST_RECEIPTS: Final = 100


def lead_times(supplier_items: pl.DataFrame, receipts: pl.DataFrame) -> dict[tuple[str, str], LeadTime]:
    """A lead-time distribution per supplier and item.

    An item's own receipts count with weight n / (n + 5); the rest goes to how the supplier's other receipts stood to
    their promises, by the same rule; what is left to the promise itself. So an item that was never received takes the
    supplier's punctuality, and a new supplier is taken at its word.

    Args:
        supplier_items: supplier_id, sku, lead_time_days (the promise, in days; rows where it is null or negative have
            no lead time and are left out).
        receipts: supplier_id, sku, received_date, lead_time_days (confirmation to receipt).

    Returns:
        By (supplier_id, sku).
    """
    promised = supplier_items.filter(pl.col("lead_time_days").is_not_null() & (pl.col("lead_time_days") >= 0))
    # the key breaks ties between receipts of one day, so the sample does not depend on the order of rows
    known = receipts.filter(pl.col("lead_time_days") >= 0).sort("received_date", "supplier_id", "sku", "lead_time_days")
    own = {
        (str(supplier), str(sku)): group["lead_time_days"].tail(LATEST_RECEIPTS).to_numpy().astype(np.float64)
        for (supplier, sku), group in known.group_by("supplier_id", "sku", maintain_order=True)
    }
    ratios = _promise_ratios(promised, known)
    return {
        (supplier, sku): blend_lead_time(
            promise_days=int(promise), own=own.get((supplier, sku), np.empty(0)), supplier_ratios=ratios.get(supplier, np.empty(0))
        )
        for supplier, sku, promise in promised.select("supplier_id", "sku", "lead_time_days").iter_rows()
    }


def blend_lead_time(*, promise_days: int, own: FloatArray, supplier_ratios: FloatArray) -> LeadTime:
    """The distribution for one item.

    Args:
        promise_days: What the supplier promises.
        own: Days of the item's own receipts.
        supplier_ratios: Days over promise of all the supplier's receipts.
    """
    own_share = len(own) / (len(own) + PRIOR_RECEIPTS)
    supplier_share = (1.0 - own_share) * len(supplier_ratios) / (len(supplier_ratios) + PRIOR_RECEIPTS)
    own_size, supplier_size = round(SAMPLE_SIZE * own_share), round(SAMPLE_SIZE * supplier_share)
    supplied = np.maximum(np.rint(supplier_ratios * promise_days), 0.0)
    sample = np.concatenate(
        [_evenly(own, own_size), _evenly(supplied, supplier_size), np.full(SAMPLE_SIZE - own_size - supplier_size, float(promise_days))]
    )
    receipts, promise = counted(len(own), "receipt"), counted(promise_days, "day")
    basis = f"{receipts} of the item, {len(supplier_ratios)} of the supplier, promise {promise}"
    note = "The supplier promises a lead time of 0 days." if promise_days == 0 else None
    return LeadTime(sample=np.sort(np.rint(sample)).astype(np.int64), basis=basis, note=note)


def _promise_ratios(promised: pl.DataFrame, known: pl.DataFrame) -> dict[str, FloatArray]:
    promises = promised.filter(pl.col("lead_time_days") > 0).select("supplier_id", "sku", pl.col("lead_time_days").alias("promise_days"))
    joined = known.join(promises, on=["supplier_id", "sku"], maintain_order="left").with_columns(
        (pl.col("lead_time_days") / pl.col("promise_days")).alias("ratio")
    )
    return {
        str(supplier): group["ratio"].tail(LATEST_RECEIPTS).to_numpy()
        for (supplier,), group in joined.group_by("supplier_id", maintain_order=True)
    }


def _evenly(values: FloatArray, size: int) -> FloatArray:
    if not size or not len(values):
        return np.empty(0)
    positions: IntArray = np.floor((np.arange(size) + 0.5) / size * len(values)).astype(np.int64)
    result: FloatArray = np.sort(values)[positions]
    return result
