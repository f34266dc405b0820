"""Reads of the pages about suggestions: what the store holds open, in the release's words, by who has to do what about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import polars as pl
import streamlit as st

from dashboards import identity
from dashboards.queries.reading import BY_RELEASE, CACHE_SECONDS, read_frame
from pipelines.decisions.lifecycle import REASONS
from pipelines.decisions.standing import read_standing, state_of_recommendations
from pipelines.decisions.wording import KIND_NAMES
from pipelines.errors import UnavailableError
from pipelines.settings import load_settings
from pipelines.stores import recommendations
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from dashboards.queries.releases import Served
    from pipelines.decisions.roles import Operator
    from pipelines.decisions.standing import LastDecision, Standing
    from pipelines.stores.releases import Release

UNKNOWN_STATUS: Final = "unknown"
TO_DECIDE, SECOND_PERSON, STALE, SNOOZED, APPROVED, REJECTED = "To decide", "Second person", "Stale", "Snoozed", "Approved", "Rejected"
STATES: Final = (TO_DECIDE, SECOND_PERSON, STALE, SNOOZED, APPROVED, REJECTED)
_STATE_OF: Final = {"proposed": TO_DECIDE, "stale": STALE, "snoozed": SNOOZED, "rejected": REJECTED, UNKNOWN_STATUS: TO_DECIDE}


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What is open, and who looks at it.

    Attributes:
        frame: One row per open recommendation, most urgent first; `state` is one of `STATES`, `rec_id` and `version` are null where
            only the release knows it. `decided_*` say who decided last and why; `qty` and `cost` are what was decided, else proposed.
        drafts: Draft orders that nobody has submitted, with names and amounts; `draft_lines` their lines.
        changes: Draft changes of purchase orders that nobody has made in the shop.
        reservations: Proposed reservations for lines of customers' orders.
        standing: Who looks and by which clock; None where the store does not answer.
        store_problem: Why the store does not answer; None where it does.
    """

    frame: pl.DataFrame
    drafts: pl.DataFrame
    draft_lines: pl.DataFrame
    changes: pl.DataFrame
    reservations: pl.DataFrame
    standing: Standing | None
    store_problem: str | None

    def of(self, state: str) -> pl.DataFrame:
        """Those in this state."""
        return self.frame.filter(pl.col("state") == state)

    def count(self, state: str) -> int:
        """How many are in this state."""
        return self.of(state).height

    @property
    def drafts_by_currency(self) -> dict[str, float]:
        """What all drafts with a price amount to."""
        return _by_currency(self.drafts.drop_nulls("amount"), "amount")


@dataclass(frozen=True, slots=True)
class Workload:
    """What waits for a person. Cost by currency, counts by kind in the order in which kinds are named."""

    count: int
    count_by_kind: dict[str, int]
    urgent_count: int
    cost_by_currency: dict[str, float]


def suggestions(served: Served) -> Suggestions:
    """What is open in the store at this moment; while it does not answer, what the release proposed, with nothing to decide."""
    planned = read_frame(served.release, _PLANNED).with_columns(status=pl.lit(UNKNOWN_STATUS))
    try:
        with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
            standing = read_standing(store, actor=identity.current().decides_as)
            state = (store.address, *state_of_recommendations(store))
            live, is_whole = _live(served.release, state, _store=store)
    except UnavailableError as exc:
        none = pl.DataFrame()
        return Suggestions(_as_shown(served, planned, {}), none, none, none, none, None, str(exc))
    if not is_whole:  # published, but not written back yet
        waiting = planned.join(live, on="recommendation_key", how="anti").select(pl.col(name) for name in planned.columns)
        live = pl.concat([live, waiting], how="diagonal_relaxed").sort("order_by", "priority_score", descending=[False, True])
    frame = _in_scope(standing.operator, _as_shown(served, live, standing.last_decisions))
    drafts = _in_scope(standing.operator, standing.drafts)
    lines = standing.draft_lines.join(drafts.select("draft_id"), on="draft_id", how="semi", maintain_order="left")
    changes, held = (_named(served, _in_scope(standing.operator, rows)) for rows in (standing.changes, standing.reservations))
    return Suggestions(frame, _named(served, drafts), _named(served, lines), changes, held, standing, None)


def who_looks() -> Suggestions:
    """Who looks and what they may, without what is open; quick enough for pages that only ask whether a button works."""
    none = pl.DataFrame()
    try:
        with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
            return Suggestions(none, none, none, none, none, read_standing(store, actor=identity.current().decides_as), None)
    except UnavailableError as exc:
        return Suggestions(none, none, none, none, none, None, str(exc))


@st.cache_data(max_entries=4, ttl=CACHE_SECONDS, show_spinner=False, hash_funcs=BY_RELEASE)
def _live(
    release: Release,
    state: tuple[Any, ...],  # noqa: ARG001 - part of the key
    *,
    _store: OperationalStore,
) -> tuple[pl.DataFrame, bool]:
    """What is open in the store in this state of it, for everybody, under the release's keys; and whether all of its run is there."""
    keys = recommendations.statuses_of(_store, read_frame(release, _PLANNED)).select("rec_id", release_key="recommendation_key")
    live = recommendations.list_recommendations(_store).join(keys, on="rec_id", how="left", maintain_order="left")
    live = live.with_columns(pl.coalesce("release_key", "recommendation_key").alias("recommendation_key"))
    return live, recommendations.has_proposals_of(_store, release.planning_run_id or release.release_id)


def _in_scope(operator: Operator | None, rows: pl.DataFrame) -> pl.DataFrame:
    """What the operator may decide about; everything where nobody is named."""
    if operator is None or (operator.locations is None and operator.suppliers is None) or rows.is_empty():
        return rows
    rows = rows.with_columns(
        pl.lit(None, pl.String).alias(name) for name in ("source_location_id", "supplier_id") if name not in rows.columns
    )
    return rows.filter(pl.Series([operator.may_see(row) for row in rows.iter_rows(named=True)]))


def filtered(frame: pl.DataFrame, *, kinds: Sequence[str], suppliers: Sequence[str], locations: Sequence[str]) -> pl.DataFrame:
    """The rows of these kinds, suppliers and locations, by name; none named is all."""
    for column, names in (("kind_name", kinds), ("supplier", suppliers), ("location", locations)):
        if names:
            frame = frame.filter(pl.col(column).is_in(list(names)))
    return frame


def at_risk_by_currency(chosen: pl.DataFrame) -> dict[str, float]:
    """What is at risk with these suggestions, by currency."""
    return _by_currency(chosen.drop_nulls("at_risk"), "at_risk")


def workload(chosen: pl.DataFrame, *, as_of: date) -> Workload:
    """How many suggestions of which kinds, what they cost, and for how many today is the last day."""
    counts = dict(chosen.group_by("kind").len().iter_rows())
    kinds = {kind: counts[kind] for kind in KIND_NAMES if kind in counts}
    return Workload(chosen.height, kinds, chosen.filter(pl.col("order_by") <= as_of).height, _by_currency(chosen, "cost"))


def local_time(moment: datetime, zone: str) -> datetime:
    """A UTC time as the clock on the wall there shows it."""
    return moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def reason_words(reason_code: str | None, comment: str | None) -> str | None:
    """Why somebody decided, in a sentence; None where they did not say."""
    said = [REASONS.get(reason_code, reason_code)] if reason_code and reason_code != "other" else []
    return " ".join([*said, *([comment] if comment else [])]) or None


def _by_currency(frame: pl.DataFrame, column: str) -> dict[str, float]:
    return dict(frame.drop_nulls(column).group_by("currency_code").agg(pl.col(column).sum()).sort(column, descending=True).iter_rows())


def _as_shown(served: Served, rows: pl.DataFrame, decided: dict[str, LastDecision]) -> pl.DataFrame:
    """The rows in a planner's words and columns."""
    rows = rows.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in _LIFE.items() if name not in rows.columns)
    zone = served.context.reporting_time_zone
    told = [_decided(rec_id, version, decided[rec_id], zone) for rec_id, version in rows.select("rec_id", "version").iter_rows()
            if rec_id in decided]  # fmt: skip
    state = pl.when("is_waiting").then(pl.lit(SECOND_PERSON)).otherwise(pl.col("status").replace_strict(_STATE_OF, default=APPROVED))
    shown = (
        _named(served, rows)
        .join(pl.DataFrame(told, schema=_DECIDED, orient="row"), on="rec_id", how="left", maintain_order="left")
        .with_columns(is_waiting=pl.col("is_waiting").fill_null(value=False) & pl.col("status").is_in(["proposed", "stale"]))
        .with_columns(
            state=state,
            kind_name=pl.col("kind").replace_strict(KIND_NAMES, default=pl.col("kind")),
            title=pl.coalesce("title", "sku"),
            at_risk="priority_score",
            at_risk_basis=pl.when(pl.col("cost_if_ignored_p90").is_null()).then(pl.lit("unit cost")).otherwise(pl.lit("margin")),
            is_dearer_than_waiting=(pl.col("cost_if_accepted").cast(pl.Float64) > pl.col("priority_score")).fill_null(value=False),
            service_level=pl.col("basis").str.json_path_match("$.service_level").cast(pl.Float64, strict=False),
        )
    )
    counts = pl.col("state").is_in([SECOND_PERSON, APPROVED])
    money = ("unit_cost", "cost_if_ignored_p50", "cost_if_ignored_p90", "cost_if_accepted", "decided_unit_cost")
    return shown.with_columns(pl.col(money).cast(pl.Float64)).select(
        *_SHOWN,
        pl.when(counts).then(pl.coalesce("decided_qty", "recommended_qty")).otherwise("recommended_qty").alias("qty"),
        (
            pl.when(pl.col("kind") != "purchase")  # nothing else is bought
            .then(None)
            .when(counts & pl.col("decided_unit_cost").is_not_null())
            .then(pl.col("decided_qty") * pl.col("decided_unit_cost"))
            .otherwise(pl.col("recommended_qty") * pl.col("unit_cost"))
        ).alias("cost"),
    )


def _decided(rec_id: str, version: int, last: LastDecision, zone: str) -> tuple[Any, ...]:
    result = last.result
    now = result.basis_now or {}
    is_waiting = result.outcome == "waiting" and last.rec_version == version
    why = "; ".join(result.second_person_reasons) if is_waiting else reason_words(last.reason_code, last.comment)
    return (
        rec_id, is_waiting, last.actor, local_time(last.decided_at, zone), why, result.ordered_qty, result.unit_cost, result.draft_id,
        now.get("qty"), now.get("unit_cost"),
    )  # fmt: skip


def _named(served: Served, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with title, location and supplier by name, each by its id where the release has no name for it."""
    for column, name in (("sku", "title"), ("location_id", "location"), ("supplier_id", "supplier"), ("source_location_id", "source")):
        if column in rows.columns and name not in rows.columns:
            names = read_frame(served.release, _NAMES[name]).rename({"id": column, "name": name})
            rows = rows.join(names, on=column, how="left", maintain_order="left").with_columns(pl.coalesce(name, column).alias(name))
    return rows


_LIFE: Final[dict[str, Any]] = {"rec_id": pl.String, "version": pl.Int64, "snoozed_until": pl.Date}
_DECIDED: Final[dict[str, Any]] = {
    "rec_id": pl.String, "is_waiting": pl.Boolean, "decided_by": pl.String, "decided_at": pl.Datetime("us"), "decided_why": pl.String,
    "decided_qty": pl.Int64, "decided_unit_cost": pl.Decimal(18, 4), "draft_id": pl.String, "seen_qty": pl.Int64,
    "seen_unit_cost": pl.String,
}  # fmt: skip
_SHOWN: Final = (
    "recommendation_key", "rec_id", "version", "state", "status", "kind", "kind_name", "basis", "order_by", "sku", "title", "location_id",
    "location",
    "supplier_id", "supplier",
    "source_location_id", "source", "reason", "recommended_qty", "raw_qty", "unit_cost", "currency_code", "p_stockout_if_ignored",
    "cost_if_ignored_p50", "cost_if_ignored_p90", "cost_if_accepted", "at_risk", "at_risk_basis", "is_dearer_than_waiting", "service_level",
    "need_by", "expected_receipt", "binding_constraint", "snoozed_until", "decided_by", "decided_at", "decided_why", "draft_id",
    "seen_qty", "seen_unit_cost",
)  # fmt: skip

_PLANNED: Final = """
    select * exclude (policy_version, basis_version) from planning.recommendations
    order by order_by, priority_score desc, sku, location_id
"""

_NAMES: Final = {
    "title": "select sku as id, any_value(title) as name from marts.dim_products group by sku",
    "location": "select location_id as id, any_value(name) as name from marts.dim_locations group by location_id",
    "source": "select location_id as id, any_value(name) as name from marts.dim_locations group by location_id",
    "supplier": "select supplier_id as id, any_value(supplier_name) as name from marts.dim_supplier_items group by supplier_id",
}
