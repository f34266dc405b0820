"""Reads about overrides of forecasts: what people expect instead, from the store at this moment, and what became of it by the release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from dashboards.queries.names import member_names
from dashboards.queries.reading import read_frame
from dashboards.queries.suggestions import local_time
from pipelines.errors import UnavailableError
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore
from pipelines.stores.overrides import list_overrides

if TYPE_CHECKING:
    from dashboards.queries.demand import Scope
    from dashboards.queries.releases import Served
    from pipelines.decisions.roles import Operator

IN_THE_PLAN, NEXT_RUN, PAST, WITHDRAWN = "In the plan", "From the next run", "Past", "Withdrawn"


@dataclass(frozen=True, slots=True)
class Overrides:
    """Overrides, newest first.

    Attributes:
        frame: override_id, state (one of the four), sku, title, location_id, location, kind, value, from_date, to_date, reason, author,
            created_at (local), withdrawn_by, n (days in stock that have passed), fva_rate (share of the forecast's error it saved).
        store_problem: Why the store does not answer; then only those that the release knows are there.
    """

    frame: pl.DataFrame
    store_problem: str | None

    @property
    def standing(self) -> pl.DataFrame:
        """Those that hold or will hold."""
        return self.frame.filter(pl.col("state").is_in([IN_THE_PLAN, NEXT_RUN]))


def overrides(served: Served, scope: Scope, operator: Operator | None) -> Overrides:
    """All overrides of what is looked at, as far as the operator's scope goes."""
    known = read_frame(served.release, _KNOWN)
    problem = None
    try:
        with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
            rows = list_overrides(store)
    except UnavailableError as exc:
        problem, rows = str(exc), known.to_dicts()
    frame = pl.DataFrame(rows, schema=_STORED, orient="row", strict=False) if rows else pl.DataFrame(schema=_STORED)
    frame = _scoped(frame, scope, operator)
    judged = read_frame(served.release, _JUDGED)
    zone, as_of = served.context.reporting_time_zone, served.context.as_of_date
    at = [None if moment is None else local_time(moment, zone) for moment in frame["created_at"]]
    state = (
        pl.when(pl.col("withdrawn_at").is_not_null()).then(pl.lit(WITHDRAWN))
        .when(pl.col("to_date") <= as_of).then(pl.lit(PAST))
        .when(pl.col("override_id").is_in(known["override_id"].to_list())).then(pl.lit(IN_THE_PLAN))
        .otherwise(pl.lit(NEXT_RUN))
    )  # fmt: skip
    titles, locations = member_names(served, "sku"), member_names(served, "location")
    named = frame.with_columns(
        state.alias("state"), pl.Series("created_at", at, dtype=pl.Datetime("us")),
        title=pl.col("sku").replace(titles), location=pl.col("location_id").replace(locations),
    )  # fmt: skip
    return Overrides(named.join(judged, on="override_id", how="left").sort("created_at", descending=True).select(_SHOWN), problem)


def _scoped(frame: pl.DataFrame, scope: Scope, operator: Operator | None) -> pl.DataFrame:
    if scope.sku is not None:
        frame = frame.filter(pl.col("sku") == scope.sku)
    if scope.locations:
        frame = frame.filter(pl.col("location_id").is_in(list(scope.locations)))
    if operator is not None and operator.locations is not None:
        frame = frame.filter(pl.col("location_id").is_in(list(operator.locations)))
    return frame


_STORED: Final[dict[str, Any]] = {
    "override_id": pl.String, "sku": pl.String, "location_id": pl.String, "from_date": pl.Date, "to_date": pl.Date, "kind": pl.String,
    "value": pl.Float64, "reason": pl.String, "author": pl.String, "created_at": pl.Datetime("us"), "withdrawn_at": pl.Datetime("us"),
    "withdrawn_by": pl.String,
}  # fmt: skip
_SHOWN: Final = (
    "override_id", "state", "sku", "title", "location_id", "location", "kind", "value", "from_date", "to_date", "reason", "author",
    "created_at", "withdrawn_by", "n", "fva_rate",
)  # fmt: skip
_KNOWN: Final = "select * from meta.forecast_overrides"
_JUDGED: Final = "select override_id, n, fva_rate from marts.fct_forecast_overrides"
