"""Reads about open orders that may miss their promise, each with its exception, and about how right such words were."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import polars as pl
import streamlit as st

from dashboards.queries.exceptions import NO_EXCEPTION, STANDING, exception_rows
from dashboards.queries.names import member_names
from dashboards.queries.reading import BY_RELEASE, CACHE_ENTRIES, CACHE_SECONDS, read_frame, reading
from dashboards.queries.releases import missing_tables
from pipelines.stores.jeopardy import Jeopardy, read_jeopardy
from pipelines.stores.reports import with_money

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.filters import Filters
    from dashboards.queries.exceptions import Exceptions
    from dashboards.queries.releases import Served
    from pipelines.stores.releases import Release

AT_RISK, BROKEN, ALL_OPEN = "At risk", "Already broken", "All open"
SHOWN: Final = (AT_RISK, BROKEN, ALL_OPEN)
NEEDED: Final = ("shipments",)  # without them nobody knows what has left; the rest of what is needed the run says itself
BANDS: Final = ((0.9, "almost certain"), (0.7, "likely"), (0.5, "more likely than not"), (0.2, "possible"), (0.0, "unlikely"))
_NARROWABLE: Final = {"channel": "channel_id", "location": "location_id"}
_SINCE: Final = {1: "ordered_at", 2: "approved_at", 3: "released_at", 4: "shipped_at", 5: "shipped_at"}  # by stage_number
_MOMENTS: Final = "select ordered_at, approved_at, released_at, shipped_at from marts.fct_orders where order_id = ?"
_HAS: Final = "select 1 from duckdb_tables() where schema_name = 'planning' and table_name = 'order_jeopardy'"
_OPEN_LINES: Final = """
    select l.sku, p.title, l.location_id, l.open_qty, s.available_qty, b.inbound_date
    from marts.fct_open_order_lines as l
    left join (select sku, any_value(title) as title from marts.dim_products group by sku) as p using (sku)
    left join marts.fct_inventory_position as s on s.sku = l.sku and s.location_id = l.location_id
    left join (
        select sku, location_id, min(expected_date) as inbound_date from marts.fct_inbound where open_qty > 0 group by all
    ) as b on b.sku = l.sku and b.location_id = l.location_id
    where l.order_id = ? order by l.order_line_id
"""


@dataclass(frozen=True, slots=True)
class AtRisk:
    """Open orders with a promise, and what is known of the words about them.

    Attributes:
        orders: order_id, promise_kind (ship, delivery or broken), chance_rate, band, due_date, days_left, stage_number, stage, reason_code,
            reason, owner, due_at (local), is_overdue, state, exception_id, is_new, net_amount, expected_amount (chance_rate of it),
            currency_code, location_id, location, channel_id; what is expected to be lost most first, broken promises last.
        threshold: From which probability on an order is at risk without an exception; None where no run has judged any.
        models: What the probabilities of each kind of promise rest on.
        scores: How right past alerts would have been, by kind, window, rule and threshold.
        calibration: What was said beside what came, by kind and band.
        missing: What the source would have to tell so that anything could be said.
        currency_code: Of the amounts.
    """

    orders: pl.DataFrame
    threshold: float | None
    models: pl.DataFrame
    scores: pl.DataFrame
    calibration: pl.DataFrame
    missing: tuple[str, ...]
    currency_code: str

    @property
    def standing(self) -> pl.DataFrame:
        """Orders that can still keep their promise."""
        return self.orders.filter(pl.col("promise_kind") != "broken")

    @property
    def risky(self) -> pl.DataFrame:
        """Those of them at risk, by the model or because an exception stands for them, whose rule may ask for less."""
        is_likely = pl.col("chance_rate") >= (2.0 if self.threshold is None else self.threshold)
        return self.standing.filter(is_likely | pl.col("state").is_in(STANDING))

    @property
    def broken(self) -> pl.DataFrame:
        """Open orders whose last promise is broken."""
        return self.orders.filter(pl.col("promise_kind") == "broken")

    def of(self, shown: str) -> pl.DataFrame:
        """The orders that one of `SHOWN` names."""
        return {AT_RISK: self.risky, BROKEN: self.broken}.get(shown, self.orders)

    def said_like(self, promise_kind: str, chance: float | None) -> dict[str, Any] | None:
        """The band of past evenings that were judged like this; None where none was."""
        if chance is None:
            return None
        is_in = (pl.col("band_from") <= chance) & ((chance < pl.col("band_until")) | (pl.col("band_until") == 1))
        found = self.calibration.filter((pl.col("promise_kind") == promise_kind) & is_in & (pl.col("snapshots_count") > 0))
        return found.row(0, named=True) if found.height else None

    def totals(self, promise_kind: str) -> pl.DataFrame:
        """The scores of all windows together of one kind of promise: the probability at the threshold, then the plain rules."""
        whole = self.scores.filter((pl.col("promise_kind") == promise_kind) & pl.col("window_from").is_null())
        is_ours = (pl.col("rule") == "model") & ((pl.col("threshold") - (self.threshold or 0)).abs() < 1e-9)
        return pl.concat([whole.filter(is_ours), whole.filter(pl.col("rule") != "model")])

    def held_out(self, promise_kind: str) -> tuple[Any, Any] | None:
        """First and last day of the past that was held out; None where none could be."""
        windows = self.scores.filter((pl.col("promise_kind") == promise_kind) & pl.col("window_from").is_not_null())
        return (windows["window_from"].min(), windows["window_until"].max()) if windows.height else None


def at_risk(served: Served, filters: Filters, found: Exceptions) -> AtRisk:
    """The open orders of the chosen channels and locations, each with its newest exception.

    Raises:
        ReleaseError: The release cannot be read, or was made before open orders were judged.
    """
    judged = _jeopardy(served.release)
    orders = judged.orders
    for name, column in _NARROWABLE.items():
        if members := filters.where.get(name):
            orders = orders.filter(pl.col(column).is_in(list(members)))
    lacking = judged.models["not_available"].drop_nulls()
    needs = [part for said in lacking for part in said.removeprefix("needs ").split(", ")] if lacking.len() == judged.models.height else []
    return AtRisk(
        orders=_listed(served, orders, found),
        threshold=judged.models["default_threshold"].max() if judged.models.height else None,  # type: ignore[arg-type]  # a float
        models=judged.models,
        scores=judged.scores,
        calibration=judged.calibration,
        missing=tuple(missing_tables(served, NEEDED)) or tuple(dict.fromkeys(needs)),
        currency_code=served.context.currency_code,
    )


@dataclass(frozen=True, slots=True)
class Stake:
    """What orders come to, in the reporting currency's major units.

    Attributes:
        amount: Probability times worth, added up.
        worth_amount: Their worth.
        unknown_count: Orders without an exchange rate or a probability, which are in neither.
    """

    amount: float
    worth_amount: float
    unknown_count: int


def expected(orders: pl.DataFrame) -> Stake:
    """What these orders are expected to lose."""
    known = orders.drop_nulls("expected_amount")
    return Stake(float(known["expected_amount"].sum()), float(known["net_amount"].sum()), orders.height - known.height)


def is_judged(served: Served) -> bool:
    """Whether the release was made since open orders are judged."""
    return not read_frame(served.release, _HAS).is_empty()


def band_words(chance: float | None) -> str | None:
    """A probability in words."""
    return None if chance is None else next(words for least, words in BANDS if chance >= least)


def narrowed(orders: pl.DataFrame, *, owners: Sequence[str], states: Sequence[str]) -> pl.DataFrame:
    """The rows of these owners and states; none named is all."""
    for column, names in (("owner", owners), ("state", states)):
        if names:
            orders = orders.filter(pl.col(column).is_in(list(names)))
    return orders


def hours_in_stage(served: Served, row: dict[str, Any]) -> float | None:
    """Hours from the moment an order came to its stage (its first unit left, of what is on its way) to the end of the as-of day."""
    found = read_frame(served.release, _MOMENTS, (row["order_id"],))
    since = found[_SINCE[row["stage_number"]]][0] if found.height and row["stage_number"] in _SINCE else None
    if not isinstance(since, datetime):
        return None
    midnight = datetime.combine(served.context.as_of_date + timedelta(days=1), time(), tzinfo=ZoneInfo(served.context.reporting_time_zone))
    return max(0.0, (midnight.astimezone(UTC).replace(tzinfo=None) - since).total_seconds() / 3600)


def open_lines(served: Served, order_id: str) -> pl.DataFrame:
    """sku, title, location_id, open_qty, available_qty (free at the place), inbound_date (the next to arrive) of what has not left."""
    return read_frame(served.release, _OPEN_LINES, (order_id,))


def _listed(served: Served, orders: pl.DataFrame, found: Exceptions) -> pl.DataFrame:
    names = member_names(served, "location")
    raised = exception_rows(found.newest_of_orders, zone=served.context.reporting_time_zone, since=found.looked_at).select(
        "order_id", "exception_id", "state", "due_at", "is_overdue", "is_new", exception_owner="owner"
    )
    chance = pl.col("chance_rate")
    return (
        with_money(orders.drop("as_of_date"), served.context.currency_code)
        .rename({"miss_probability": "chance_rate", "net_reporting_amount": "net_amount"})
        .with_columns(pl.col("net_amount").cast(pl.Float64), pl.col("location_id").replace(names).alias("location"))
        .with_columns(
            (chance * pl.col("net_amount")).alias("expected_amount"),
            pl.Series("band", [band_words(one) for one in orders["miss_probability"]], dtype=pl.String),
        )
        .with_columns(pl.when(pl.col("promise_kind") == "broken").then(pl.lit("broken")).otherwise("band").alias("band"))
        .join(raised, on="order_id", how="left")
        .with_columns(
            pl.coalesce("exception_owner", "owner").alias("owner"), pl.col("state").fill_null(NO_EXCEPTION),
            pl.col("is_overdue", "is_new").fill_null(value=False),
        )
        .drop("exception_owner")
        .sort(pl.col("promise_kind") == "broken", -pl.col("expected_amount"), -chance, "due_date", "order_id", nulls_last=True)
    )  # fmt: skip


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner=False, hash_funcs=BY_RELEASE)
def _jeopardy(release: Release) -> Jeopardy:
    with reading(release) as conn:
        return read_jeopardy(conn)
