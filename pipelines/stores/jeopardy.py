"""What a release says of open orders in jeopardy, and how good such words were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import duckdb

from pipelines.errors import ReleaseError

if TYPE_CHECKING:
    import polars as pl

# Of columns of fct_orders and of what was said: whether anybody waits for the order any more. A broken promise waits for the parcel where
# it was the delivery day.
IS_WAITING: Final = (
    "is_open AND NOT (is_shipped_complete "
    "AND (promise_kind = 'ship' OR (promise_kind = 'broken' AND due_date IS DISTINCT FROM promised_delivery_date)))"
)
# A refresh brings orders up to date and leaves what was said of them: those that have left since, or arrived, or are called off, have no
# promise to miss any more. Where the as-of day lies in the past, orders had gone already when they were judged as of that day; they stay.
WAITING_ORDERS: Final = f"""
    SELECT j.* FROM planning.order_jeopardy AS j
    JOIN (SELECT order_id, is_open, is_shipped_complete FROM marts.fct_orders) USING (order_id)
    WHERE NOT was_waiting OR ({IS_WAITING})
"""


@dataclass(frozen=True, slots=True)
class Jeopardy:
    """The tables of one release.

    Attributes:
        orders: `planning.order_jeopardy` of orders that still wait: promises that can be kept first, likeliest to be missed first; then
            broken ones.
        models: `planning.order_jeopardy_model`, one row per kind of promise.
        scores: `planning.order_jeopardy_scores`, by kind, window (null: all together), rule and threshold.
        calibration: `planning.order_jeopardy_calibration`, by kind and band of probability.
    """

    orders: pl.DataFrame
    models: pl.DataFrame
    scores: pl.DataFrame
    calibration: pl.DataFrame


def read_jeopardy(conn: duckdb.DuckDBPyConnection) -> Jeopardy:
    """All that a release says of it.

    Raises:
        ReleaseError: The release was made before open orders were judged.
    """
    try:
        return Jeopardy(
            orders=conn.sql(
                f"FROM ({WAITING_ORDERS}) ORDER BY promise_kind = 'broken', miss_probability DESC NULLS LAST, due_date, order_id"
            ).pl(),
            models=conn.sql("SELECT * FROM planning.order_jeopardy_model ORDER BY promise_kind DESC").pl(),
            scores=conn.sql(
                "SELECT * FROM planning.order_jeopardy_scores "
                "ORDER BY promise_kind DESC, window_from NULLS LAST, rule, threshold NULLS LAST"
            ).pl(),
            calibration=conn.sql("SELECT * FROM planning.order_jeopardy_calibration ORDER BY promise_kind DESC, band_from").pl(),
        )
    except (duckdb.CatalogException, duckdb.BinderException):
        raise ReleaseError("The served release was made before open orders were judged like this: ordercast run makes one.") from None
