"""What stands in the way of an open order's promise, in one sentence, and who can do something about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from forecasting.jeopardy import JeopardyModel

STAGES: Final = {
    1: "not approved",
    2: "approved, not released",
    3: "released, not shipped",
    4: "part on its way or arrived",
    5: "all on its way",
}
OWNERS: Final = {
    "payment_hold": "payments",
    "no_stock": "purchasing",
    "inbound_late": "purchasing",
    "inbound_in_time": "purchasing",
    "backlog": "warehouse",
    "not_approved": "customer service",
    "not_released": "warehouse",
    "not_shipped": "warehouse",
    "part_shipped": "warehouse",
    "on_its_way": "carrier",
}
LEAST_EFFECT: Final = 0.05  # a circumstance that moves the probability by less is not named as its cause
BROKEN_WORDS: Final = "The promise was for {} and is broken. "  # before the reason, with the day
_STAGE_CODES: Final = {1: "not_approved", 2: "not_released", 3: "not_shipped", 4: "part_shipped", 5: "on_its_way"}


def reason_codes(snapshots: pl.DataFrame, model: JeopardyModel | None) -> pl.Series:
    """The strongest cause of each snapshot's probability: reason_code, a key of `OWNERS`.

    Held payment comes first: without the money nobody looks for the goods. Else it is that of missing goods and a backlog without
    which the probability would fall most, if by `LEAST_EFFECT`; else the stage the order stands in. Without a model missing goods are
    the cause wherever goods are missing.

    Args:
        snapshots: Columns of `forecasting.jeopardy`.
        model: Gives what the probability would be without a circumstance.
    """
    is_goods, is_backlog = (snapshots["short_qty"] > 0).to_numpy(), np.zeros(snapshots.height, dtype=np.bool_)
    if model is not None:
        stocked = snapshots.with_columns(short_qty=pl.lit(0, dtype=snapshots.schema["short_qty"]))
        calm = snapshots.with_columns(backlog_days=pl.min_horizontal("backlog_days", pl.lit(model.usual_backlog_days, dtype=pl.Float64)))
        said = model.probability(snapshots)
        by_goods, by_backlog = said - model.probability(stocked), said - model.probability(calm)
        is_backlog = (by_backlog >= LEAST_EFFECT) & (by_backlog > by_goods)
        is_goods = (by_goods >= LEAST_EFFECT) & ~is_backlog
    gap = pl.col("inbound_gap_days")
    goods = pl.when(gap.is_null()).then(pl.lit("no_stock")).when(gap > 0).then(pl.lit("inbound_late")).otherwise(pl.lit("inbound_in_time"))
    return snapshots.select(
        reason_code=pl.when("is_held")
        .then(pl.lit("payment_hold"))
        .when(pl.Series(is_backlog))
        .then(pl.lit("backlog"))
        .when(pl.Series(is_goods))
        .then(goods)
        .otherwise(pl.col("stage").replace_strict(_STAGE_CODES, return_dtype=pl.String))
    ).to_series()


def with_reasons(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with reason, a sentence for each reason_code, and owner.

    Args:
        rows: reason_code, promise_kind, stage, stage_hours, short_qty, inbound_date, backlog_days, location_id, carrier, due_date.
    """
    hours, days = _counted(pl.col("stage_hours").floor(), "hour"), _counted((pl.col("stage_hours") / 24).floor(), "day")
    waited = pl.when(pl.col("stage_hours") < 48).then(hours).otherwise(days)
    units, place = _counted(pl.col("short_qty"), "unit"), pl.col("location_id")
    sentences = {
        "payment_hold": pl.lit("Payment is held."),
        "no_stock": pl.format("The shelf at {} lacks {}, and no inbound is known.", place, units),
        "inbound_late": pl.format("The shelf at {} lacks {}; inbound is due on {}, after the promise.", place, units, "inbound_date"),
        "inbound_in_time": pl.format("The shelf at {} lacks {}; inbound is due on {}, in time if it comes.", place, units, "inbound_date"),
        "backlog": pl.format("{} has {} days of orders waiting, more than usual.", place, pl.col("backlog_days").round(1)),
        "not_approved": pl.format("Ordered {} ago and not approved.", waited),
        "not_released": pl.format("Approved {} ago, and nothing has left.", waited),
        "not_shipped": pl.format("Released {} ago and not shipped.", waited),
        "part_shipped": pl.format("A part left {} ago, the rest has not.", waited),
        "on_its_way": pl.format("On its way for {}{}.", waited, pl.format(" with {}", "carrier").fill_null("")),
    }
    sentence = pl.coalesce(*(pl.when(pl.col("reason_code") == code).then(text) for code, text in sentences.items()))
    broken = pl.format(BROKEN_WORDS, "due_date")
    return rows.with_columns(
        reason=pl.when(pl.col("promise_kind") == "broken").then(pl.concat_str(broken, sentence)).otherwise(sentence),
        owner=pl.col("reason_code").replace_strict(OWNERS, return_dtype=pl.String),
    )


def _counted(number: pl.Expr, one: str) -> pl.Expr:
    whole = number.cast(pl.Int64)
    return pl.format("{} {}", whole, pl.when(whole == 1).then(pl.lit(one)).otherwise(pl.lit(f"{one}s")))
