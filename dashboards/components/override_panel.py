"""Overrides of forecasts: who expects what instead, what it was worth, and setting or withdrawing one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards import overriding
from dashboards.components.deciding import decision_id, form_of
from dashboards.components.formats import escape_markdown, format_count, format_date, format_number
from dashboards.components.states import main_button
from dashboards.components.tables import data_table
from dashboards.queries.overrides import IN_THE_PLAN, NEXT_RUN
from pipelines.stores.overrides import ABSOLUTE, FACTOR, USUAL_FACTORS, Override

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from dashboards.decisions import Acting
    from dashboards.queries.demand import Scope
    from dashboards.queries.forecasts import DemandOutlook
    from dashboards.queries.overrides import Overrides
    from dashboards.queries.releases import Served
    from pipelines.stores.overrides import OverrideKind

USUAL_DAYS: Final = 14
REASON_CHARS: Final = 500
_KINDS: Final = {FACTOR: "Times the forecast", ABSOLUTE: "Units a day"}
_MOST: Final = 1_000_000.0
_COLUMNS: Final = ("state", "sku", "location", "what", "from_date", "to_date", "reason", "author", "fva_rate", "n")
_LABELS: Final = {
    "state": "State", "what": "Expected instead", "from_date": "From", "to_date": "To", "author": "By", "fva_rate": "Value added (%)",
    "n": "Days judged",
}  # fmt: skip
_DEFINITIONS: Final = {
    "state": "In the plan: suggestions rest on it. From the next run: set since the last one. Withdrawn and past ones stay on record.",
    "fva_rate": "Share of the forecast's absolute error that the override saved on the days in stock that have passed; below 0 it made "
    "matters worse.",
}


def tell_last(place: object) -> None:
    """What became of the last click, until the reader goes elsewhere."""
    if told := overriding.last_told(place):
        show, icon = (st.success, ":material/check_circle:") if told.is_done else (st.error, ":material/error:")
        show(escape_markdown(told.text), icon=icon)


def override_list(served: Served, found: Overrides, scope: Scope, who: Acting) -> None:
    """Every override with its value added; one that is chosen can be withdrawn."""
    st.markdown(f"**{list_title(found.frame)}**", help=_DEFINITIONS["fva_rate"])
    if found.frame.is_empty():
        return
    what = [amount_words(kind, value) for kind, value in found.frame.select("kind", "value").iter_rows()]
    frame = found.frame.with_columns(pl.Series("what", what, dtype=pl.String))
    chosen = data_table(
        frame, name="overrides", as_of=served.context.as_of_date, alt="Overrides of forecasts with their value added", columns=_COLUMNS,
        labels=_LABELS, filters=scope.as_export(), definitions=_DEFINITIONS, selects="single-row",
    )  # fmt: skip
    st.caption("Tick one that stands to withdraw it.")
    for row in chosen:
        _withdraw(row, who)


def override_form(served: Served, outlook: DemandOutlook, who: Acting, *, item: Mapping[str, str], tries: int, today: date) -> None:
    """What a person expects of one item at one location instead of the forecast.

    Args:
        served: What is shown.
        outlook: The item's forecast.
        who: Who would set it.
        item: sku, location_id, and the words for them: title, location.
        tries: How many overrides the item has had, so that a new one is a new decision.
        today: For dates in words.
    """
    with st.expander("Expect something else than the forecast", icon=":material/edit_calendar:"):
        if who.operator is None or who.why_not:
            st.caption(f":material/visibility: {escape_markdown(who.why_not or '')}")
            return
        if not who.may_decide({"rec_id": "", "location_id": item["location_id"], "source_location_id": None, "supplier_id": None}):
            st.caption(f"{escape_markdown(who.operator.actor)} may not decide about this location; an admin can widen the scope.")
            return
        _fields(served, outlook, item, actor=who.operator.actor, tries=tries, today=today)


def _fields(served: Served, outlook: DemandOutlook, item: Mapping[str, str], *, actor: str, tries: int, today: date) -> None:
    key = f"override-{item['sku']}-{item['location_id']}-{tries}"
    first = served.context.as_of_date + timedelta(days=1)
    shape = st.segmented_control("As", list(_KINDS), default=FACTOR, format_func=_KINDS.__getitem__, required=True, key=f"{key}-kind")
    usual = 1.5 if shape == FACTOR else round(outlook.forecast_a_day or 0.0, 1)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(_KINDS[shape], min_value=0.0, max_value=_MOST, value=usual, step=0.1, format="%.2f", key=f"{key}-{shape}")
        st.date_input("From", value=first, min_value=first, key=f"{key}-from")
        st.date_input("To", value=first + timedelta(days=USUAL_DAYS - 1), min_value=first, key=f"{key}-to")
    st.text_input("Why", max_chars=REASON_CHARS, key=f"{key}-reason", placeholder="TV campaign, new key account, ...")
    override = _typed(key, item)
    st.caption(expectation_words(override, outlook.forecast_a_day, today=today))
    if is_unusual(override):
        st.checkbox(f"{override.value:g} times the forecast is meant", key=f"{key}-meant")
    form = form_of("override", [{"rec_id": key, "version": tries}])
    st.button(
        "Set the override", icon=":material/check:", type=main_button(), key=f"{key}-set", on_click=_set, args=(form, key, item, actor),
        help="Holds from the next run on, beside the forecast and never in its place.",
    )  # fmt: skip


def _typed(key: str, item: Mapping[str, str]) -> Override:
    """What the fields hold at this moment."""
    state = st.session_state
    kind: OverrideKind = "absolute" if state[f"{key}-kind"] == ABSOLUTE else "factor"
    value, reason = state[f"{key}-{kind}"], str(state[f"{key}-reason"]).strip()
    return Override(item["sku"], item["location_id"], state[f"{key}-from"], state[f"{key}-to"], kind, value or 0.0, reason)


def is_unusual(override: Override) -> bool:
    """Whether it is a factor that looks like a slip, which a person has to mean."""
    return override.kind == FACTOR and not USUAL_FACTORS[0] <= override.value <= USUAL_FACTORS[1]


def _set(form: str, key: str, item: Mapping[str, str], actor: str) -> None:
    override, is_meant = _typed(key, item), bool(st.session_state.get(f"{key}-meant"))
    override_id = decision_id(form, (actor, override, is_meant))[:12]
    overriding.set_override(override, override_id=override_id, actor=actor, is_confirmed=is_meant)


def _withdraw(row: Mapping[str, Any], who: Acting) -> None:
    if row["state"] not in (IN_THE_PLAN, NEXT_RUN):
        st.caption("It does not hold any more, so there is nothing to withdraw.")
    elif who.operator is None or who.why_not:
        st.caption(f":material/visibility: {escape_markdown(who.why_not or '')}")
    else:
        st.button(
            f"Withdraw the override of {row['sku']} at {row['location']}", icon=":material/undo:", key=f"withdraw-{row['override_id']}",
            on_click=overriding.withdraw_override, args=(row["override_id"],), kwargs={"actor": who.operator.actor},
        )  # fmt: skip


def amount_words(kind: str, value: float) -> str:
    """`12 units a day`, `1.5 times the forecast`."""
    return f"{value:g} units a day" if kind == ABSOLUTE else f"{value:g} times the forecast"


def expectation_words(override: Override, forecast_a_day: float | None, *, today: date) -> str:
    """What would be expected, beside what is forecast."""
    expected = override.value if override.kind == ABSOLUTE else None if forecast_a_day is None else override.value * forecast_a_day
    days = (override.to_date - override.from_date).days + 1
    if days < 1:
        return "It would hold on no day: choose a later last day."
    return (
        f"{format_number(expected)} a day instead of about {format_number(forecast_a_day)} for {format_count(days, 'day')}, "
        f"{format_date(override.from_date, today=today)} to {format_date(override.to_date, today=today)}."
    )


def list_title(frame: pl.DataFrame) -> str:
    """How many stand, and what those that were judged saved."""
    if frame.is_empty():
        return "Nobody has overridden a forecast here"
    standing = frame.filter(pl.col("state").is_in([IN_THE_PLAN, NEXT_RUN])).height
    judged = frame["fva_rate"].drop_nulls()
    said = f"{format_count(standing, 'override')} {'stands' if standing == 1 else 'stand'}, of {frame.height:,} ever set"
    if judged.is_empty():
        return f"{said}; no day of any is judged yet"
    worse = judged.filter(judged < 0).len()
    return f"{said}; of {judged.len():,} judged {judged.len() - worse:,} saved error and {worse:,} added to it"
