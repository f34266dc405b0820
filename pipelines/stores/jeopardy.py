"""What a release says of open orders in jeopardy, and how good such words were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from pipelines.errors import ReleaseError

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Jeopardy:
    """The tables of one release.

    Attributes:
        orders: `planning.order_jeopardy`: promises that can still be kept first, likeliest to be missed first; then broken ones.
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
                "SELECT * FROM planning.order_jeopardy "
                "ORDER BY promise_kind = 'broken', miss_probability DESC NULLS LAST, due_date, order_id"
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
