"""Stock as frames tell it, read into one entry per series; what cannot be right is noted with the series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.schema import SERIES_KEY
from inventory.item_terms import key_texts
from inventory.policy import LARGEST_QTY
from inventory.wording import counted

if TYPE_CHECKING:
    from forecasting.schema import FloatArray

QUANTITIES: Final = ("on_hand_qty", "committed_qty", "backorder_qty")
INBOUND_COLUMNS: Final = [*SERIES_KEY, "arrives_in_periods", "qty"]


@dataclass(frozen=True, slots=True)
class StockPosition:
    """One entry per series of the position.

    Attributes:
        keys: sku, location_id, sorted, of the kind they came in.
        on_hand: [series]; what is counted as being there.
        committed: [series]; of that, promised already.
        backorders: [series]; ordered by customers and not among the committed.
        arriving: [period ahead, series]; row 0 is there at the start of the next period.
        notes: What was taken otherwise than it was told; None where nothing was.
        problems: Why a series cannot be planned; None where it can.
    """

    keys: pl.DataFrame
    on_hand: FloatArray
    committed: FloatArray
    backorders: FloatArray
    arriving: FloatArray
    notes: list[str | None]
    problems: list[str | None]

    @property
    def free(self) -> FloatArray:
        """[series]; units that can be sold, below 0 they are owed."""
        result: FloatArray = self.on_hand - self.committed - self.backorders
        return result


def read_position(position: pl.DataFrame, inbound: pl.DataFrame | None, *, horizon: int) -> StockPosition:
    """Stock and what is on its way within the horizon.

    Args:
        position: sku, location_id, on_hand_qty and perhaps committed_qty, backorder_qty; a row per series. A negative quantity, or a
            commitment that is null, counts as 0 and is noted; a series whose stock is null, of which a quantity is NaN, infinite or
            above `LARGEST_QTY`, with two rows, or without a key, is not planned.
        inbound: sku, location_id, arrives_in_periods (1 is the next period), qty; what cannot be read is left out and noted, an arrival
            that is overdue or not known counts for the next period. None is nothing on its way.
        horizon: Periods ahead that matter.

    Raises:
        ValueError: A column is missing or of another kind.
    """
    _check_columns("position", position, [*SERIES_KEY, "on_hand_qty"], [name for name in QUANTITIES if name in position.columns])
    rows = position.with_columns(pl.col(name).cast(pl.String) for name in SERIES_KEY if position.schema[name] in (pl.Categorical, pl.Enum))
    counts = rows.group_by(SERIES_KEY).agg(pl.len().alias("rows"))
    first = rows.unique(SERIES_KEY, keep="first", maintain_order=True).join(counts, on=SERIES_KEY, nulls_equal=True).sort(SERIES_KEY)
    notes: list[str | None] = [None] * first.height
    problems: list[str | None] = [
        "has no sku or location_id" if sku is None or location is None else f"has {count} rows in the position" if count > 1 else None
        for sku, location, count in first.select(*SERIES_KEY, "rows").iter_rows()
    ]
    on_hand, committed, backorders = (_quantity(first, name, notes, problems) for name in QUANTITIES)
    keys = first.select(SERIES_KEY)
    return StockPosition(keys, on_hand, committed, backorders, _arriving(keys, inbound, horizon, notes), notes, problems)


def _quantity(frame: pl.DataFrame, name: str, notes: list[str | None], problems: list[str | None]) -> FloatArray:
    if name not in frame.columns:
        return np.zeros(frame.height)
    values = frame[name].cast(pl.Float64).to_numpy()
    is_right = np.isfinite(values) & (values >= 0) & (values <= LARGEST_QTY)
    for row in np.flatnonzero(~is_right).tolist():
        if frame[name][row] is None:
            if name == "on_hand_qty":
                problems[row] = problems[row] or f"{name} is not known"
            else:
                _add(notes, row, f"{name} is not known: taken as 0")
        elif -LARGEST_QTY <= values[row] < 0:
            _add(notes, row, f"{name} is {values[row]:g}: taken as 0")
        else:
            problems[row] = problems[row] or f"{name} is {values[row]:g}: not a quantity that can be there"
    return np.where(is_right, values, 0.0)


def _arriving(keys: pl.DataFrame, inbound: pl.DataFrame | None, horizon: int, notes: list[str | None]) -> FloatArray:
    result = np.zeros((horizon, keys.height))
    if inbound is None or inbound.is_empty():
        return result
    _check_columns("inbound", inbound, INBOUND_COLUMNS, ["arrives_in_periods", "qty"])
    numbered = key_texts(keys).with_row_index("row")
    rows = (
        key_texts(inbound.select(INBOUND_COLUMNS))
        .join(numbered, on=SERIES_KEY, how="inner")
        .with_columns(pl.col("arrives_in_periods").cast(pl.Float64), pl.col("qty").cast(pl.Float64))
    )
    series, quantity = rows["row"].to_numpy(), rows["qty"].to_numpy()
    period = rows["arrives_in_periods"].to_numpy()
    is_right = np.isfinite(quantity) & (quantity >= 0) & (quantity <= LARGEST_QTY)
    is_dated = np.isfinite(period) & (period >= 1)
    for row in np.unique(series[~is_right]).tolist():
        wrong = int((~is_right & (series == row)).sum())
        _add(notes, row, f"{counted(wrong, 'inbound quantity', 'inbound quantities')} cannot be right: left out")
    for row in np.unique(series[is_right & ~is_dated]).tolist():
        undated = int((is_right & ~is_dated & (series == row)).sum())
        _add(notes, row, f"{counted(undated, 'arrival is', 'arrivals are')} overdue or undated: expected next period")
    ahead = np.where(is_dated, np.minimum(np.nan_to_num(period), horizon + 1), 1).astype(np.int64) - 1
    is_near = is_right & (ahead < horizon)
    np.add.at(result, (ahead[is_near], series[is_near]), quantity[is_near])
    return result


def _check_columns(name: str, frame: pl.DataFrame, needed: list[str], numbers: list[str]) -> None:
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        raise ValueError(f"{name}: lacks {', '.join(missing)}, has {', '.join(frame.columns)}; it needs {', '.join(needed)}.")
    for column in numbers:
        if not (frame.schema[column].is_numeric() or frame.schema[column] == pl.Null):
            raise ValueError(f"{name}: {column} is {frame.schema[column]} and has to be a number.")


def _add(notes: list[str | None], row: int, sentence: str) -> None:
    notes[row] = "; ".join(filter(None, (notes[row], sentence)))
