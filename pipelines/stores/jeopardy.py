"""What a release says of open orders in jeopardy, and how good such words were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import duckdb

from pipelines.errors import ReleaseError

if TYPE_CHECKING:
    import polars as pl

# A refresh brings orders up to date and leaves what was said of them: those that have left meanwhile, or arrived, or are called off, have
# no promise to miss any more. A broken promise waits for the parcel where it was the delivery day.
WAITING_ORDERS: Final = """
    SELECT j.* FROM planning.order_jeopardy AS j JOIN marts.fct_orders AS o USING (order_id)
    WHERE o.is_open AND NOT (o.is_shipped_complete
        AND (j.promise_kind = 'ship' OR (j.promise_kind = 'broken' AND j.due_date IS DISTINCT FROM j.promised_delivery_date)))
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
    except duckdb.CatalogException:
        raise ReleaseError("The served release was made before open orders were judged: ordercast run makes one that knows.") from None
