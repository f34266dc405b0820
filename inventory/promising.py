"""When each open order line can be promised, and what stands in the way of an earlier day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl

from inventory.keys import alike, as_given
from inventory.reading import finite, require, whole

PLACE: Final = ["sku", "location_id"]
TAKEN: Final = ["committed_qty", "reserved_qty", "damaged_qty"]
MOST_DAYS: Final = 3650
PROMISE_COLUMNS: Final = [
    "order_line_id", *PLACE, "open_qty", "promised_date", "binding", "on_hand_qty", "inbound_qty", "supplier_qty", "unknown_qty", "reason",
]  # fmt: skip


def promise_dates(
    order_lines: pl.DataFrame, position: pl.DataFrame, inbound: pl.DataFrame, lead_times: pl.DataFrame, *, as_of: date
) -> pl.DataFrame:
    """The first day on which each line's units can all be there, with no unit promised twice.

    The lines of a sku-location stand in a queue: lowest priority number, then order date, then order_line_id. Stock on hand
    serves the head of the queue, then inbound by its date, then an order placed with the supplier on `as_of`, which brings
    any quantity after the lead time; so inbound that comes later than such an order is left to nobody, and nobody waits
    behind it. A line is promised for the day of its last unit, the day after `as_of` at the earliest; no line is promised later
    than one behind it in the queue.

    Args:
        order_lines: order_line_id, sku, location_id, open_qty (units not shipped, 1 or more), ordered_date (or a time), and
            optionally priority (null last).
        position: sku, location_id, on_hand_qty (null: not known; below 0 is a counting error and taken as 0), and optionally committed_qty,
            reserved_qty, damaged_qty: units of it that are not for these lines. Backorders are these lines, so they are not read.
        inbound: sku, location_id, expected_date, open_qty (units to come), one row or several. Without a date, or with one
            up to `as_of` (overdue), nobody knows its day, so it is not promised.
        lead_times: sku, lead_time_days (0 or more, null: not known), per location where it has location_id.
        as_of: Last complete day; what is on hand is promised for the day after it. Days of packing and carriage come on top.

    Returns:
        order_line_id, sku, location_id, open_qty, promised_date (null: not available), binding ("on_hand", "inbound",
        "supplier_lead_time", "nothing_known"), on_hand_qty, inbound_qty, supplier_qty, unknown_qty (the parts of open_qty
        by where they come from), reason (a sentence); in the order of the queue within sku and location;
        keys of the types they have in order_lines.

    Raises:
        ValueError: A frame is no Polars one, a column is missing, a key null, twice or of another kind in another frame, a quantity null,
            negative or not whole, or as_of is no date.
    """
    asked = order_lines
    order_lines, position, inbound, lead_times = alike(order_lines=order_lines, position=position, inbound=inbound, lead_times=lead_times)
    if type(as_of) is not date:
        raise ValueError(f"as_of: {as_of!r} is no date; pass a datetime.date.")
    queue = _read_queue(order_lines)
    leads = _read_leads(lead_times)
    facts = queue.join(_read_free(position), on=PLACE, how="left").join(
        leads, on=[key for key in PLACE if key in leads.columns], how="left"
    )
    days = pl.col("lead_time_days").clip(1)  # the as-of day is over
    facts = facts.with_columns(new_order_date=pl.lit(as_of).dt.offset_by(pl.format("{}d", days)))
    coming = _read_inbound(inbound, as_of).join(facts.select(*PLACE, "new_order_date").unique(), on=PLACE)
    coming = coming.filter(pl.col("new_order_date").is_null() | (pl.col("expected_date") <= pl.col("new_order_date")))
    parts = _parts(facts, coming.group_by(PLACE).agg(pl.col("qty").sum().alias("coming_qty")))
    free = facts.group_by(PLACE).agg(pl.col("free_qty").first().fill_null(0))
    dated = _with_day(parts, coming.drop("new_order_date"), free, as_of + timedelta(days=1))
    return as_given(_with_reason(dated).sort(*PLACE, "rank").select(PROMISE_COLUMNS), asked)


def _check_dates(frame: pl.DataFrame, name: str, column: str) -> None:
    kind = frame.schema[column]
    if not (kind in (pl.Date, pl.Datetime) or frame[column].null_count() == frame.height):
        raise ValueError(f"{name}.{column}: holds {kind}; dates are needed, such as by .str.to_date().")


def _read_queue(order_lines: pl.DataFrame) -> pl.DataFrame:
    """The lines with their place in the queue and the units wanted up to them."""
    needed = ["order_line_id", *PLACE, "open_qty", "ordered_date"]
    lines = require(order_lines, "order_lines", needed, key=["order_line_id"])
    lines = require(lines, "order_lines", needed, key=[*PLACE, "ordered_date"], unique=False)
    _check_dates(lines, "order_lines", "ordered_date")
    if "priority" not in lines.columns:
        lines = lines.with_columns(priority=pl.lit(None, dtype=pl.Int64))
    queue = lines.with_columns(pl.Series("open_qty", whole(lines, "order_lines", "open_qty", least=1))).sort(
        *PLACE, "priority", "ordered_date", "order_line_id", nulls_last=True
    )
    return queue.select(
        "order_line_id", *PLACE, "open_qty", rank=pl.int_range(pl.len()).over(PLACE), through_qty=pl.col("open_qty").cum_sum().over(PLACE)
    )


def _read_free(position: pl.DataFrame) -> pl.DataFrame:
    """sku, location_id, free_qty."""
    rows = require(position, "position", [*PLACE, "on_hand_qty"], key=PLACE).filter(pl.col("on_hand_qty").is_not_null())
    rows = rows.with_columns(pl.Series("on_hand_qty", np.maximum(finite(rows, "position", "on_hand_qty"), 0.0)))
    units = whole(rows, "position", "on_hand_qty")
    for column in TAKEN:
        if column in rows.columns:
            units = units - whole(rows, "position", column)
    return rows.select(PLACE).with_columns(pl.Series("free_qty", units).clip(0))


def _read_inbound(inbound: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """sku, location_id, expected_date, qty of what is to come after `as_of`."""
    rows = require(inbound, "inbound", [*PLACE, "expected_date", "open_qty"], key=PLACE, unique=False)
    _check_dates(rows, "inbound", "expected_date")
    rows = rows.select(*PLACE, pl.col("expected_date").cast(pl.Date), pl.Series("qty", whole(rows, "inbound", "open_qty")))
    return rows.filter(pl.col("expected_date") > as_of).group_by(*PLACE, "expected_date").agg(pl.col("qty").sum())


def _read_leads(lead_times: pl.DataFrame) -> pl.DataFrame:
    key = [column for column in PLACE if column in lead_times.columns]
    rows = require(lead_times, "lead_times", ["sku", "lead_time_days"], key=key).filter(pl.col("lead_time_days").is_not_null())
    days = whole(rows, "lead_times", "lead_time_days")
    if (days > MOST_DAYS).any():
        raise ValueError(f"lead_times.lead_time_days: up to {days.max()} days; more than {MOST_DAYS} is no lead time, correct it.")
    return rows.select(*key, pl.Series("lead_time_days", days))


def _parts(facts: pl.DataFrame, coming: pl.DataFrame) -> pl.DataFrame:
    """The lines with the part of each that is on hand, coming, to be ordered or unknown."""
    through, before = pl.col("through_qty"), pl.col("through_qty") - pl.col("open_qty")
    free, sure = pl.col("free_qty").fill_null(0), pl.col("free_qty").fill_null(0) + pl.col("coming_qty").fill_null(0)
    on_hand = pl.min_horizontal(through, free) - pl.min_horizontal(before, free)
    covered = pl.min_horizontal(through, sure) - pl.min_horizontal(before, sure)
    rest = pl.col("open_qty") - covered
    has_lead = pl.col("lead_time_days").is_not_null()
    return facts.join(coming, on=PLACE, how="left").with_columns(
        on_hand_qty=on_hand,
        inbound_qty=covered - on_hand,
        supplier_qty=pl.when(has_lead).then(rest).otherwise(0),
        unknown_qty=pl.when(has_lead).then(0).otherwise(rest),
    )


def _with_day(parts: pl.DataFrame, coming: pl.DataFrame, free: pl.DataFrame, earliest: date) -> pl.DataFrame:
    """The lines with binding and promised_date: the day on which all units up to the line's last are there."""
    start = free.select(*PLACE, expected_date=pl.lit(earliest), qty=pl.col("free_qty"))
    supply = pl.concat([start, coming.select(start.columns)]).sort(*PLACE, "expected_date")
    supply = supply.select(*PLACE, "expected_date", through_qty=pl.col("qty").cum_sum().over(PLACE)).sort("through_qty", "expected_date")
    # of dates that bring the queue equally far the first counts; the join would take the last
    supply = supply.unique([*PLACE, "through_qty"], keep="first", maintain_order=True)
    dated = parts.sort("through_qty", "order_line_id").join_asof(
        supply, on="through_qty", by=PLACE, strategy="forward", check_sortedness=False
    )
    binding = (
        pl.when(pl.col("unknown_qty") > 0)
        .then(pl.lit("nothing_known"))
        .when(pl.col("supplier_qty") > 0)
        .then(pl.lit("supplier_lead_time"))
        .when(pl.col("inbound_qty") > 0)
        .then(pl.lit("inbound"))
        .otherwise(pl.lit("on_hand"))
    )
    day = (
        pl.when(pl.col("unknown_qty") > 0)
        .then(None)
        .when(pl.col("supplier_qty") > 0)
        .then(pl.col("new_order_date"))
        .otherwise(pl.col("expected_date"))
    )
    return dated.with_columns(binding=binding, promised_date=day)


def _with_reason(dated: pl.DataFrame) -> pl.DataFrame:
    units = _counted("open_qty", "unit")
    sentences = {
        "on_hand": pl.lit("All units are on hand."),
        "inbound": pl.format("Inbound of {} brings {} of {}.", "promised_date", "inbound_qty", units),
        "supplier_lead_time": pl.format(
            "A new order brings {} of {}; the supplier takes {}.", "supplier_qty", units, _counted("lead_time_days", "day")
        ),
        "nothing_known": pl.format("Not available: needs a dated inbound or a supplier's lead time for {} of {}.", "unknown_qty", units),
    }
    sentence = pl.coalesce(*(pl.when(pl.col("binding") == name).then(text) for name, text in sentences.items()))
    unknown = pl.when(pl.col("free_qty").is_null()).then(pl.lit(" No stock level is known here.")).otherwise(pl.lit(""))
    return dated.with_columns(reason=pl.concat_str(sentence, unknown))


def _counted(column: str, one: str) -> pl.Expr:
    return pl.format("{} {}", column, pl.when(pl.col(column) == 1).then(pl.lit(one)).otherwise(pl.lit(f"{one}s")))
