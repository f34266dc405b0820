"""What ignoring and accepting a suggestion cost: average, median and bad case named as what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.formats import escape_markdown, format_money, format_number, format_percent, format_units

if TYPE_CHECKING:
    from collections.abc import Mapping

CONSEQUENCES: Final = ("If ignored", "If accepted", "Lost either way")
_HELP: Final = (
    "Average over all simulated courses; median: half of them lose more; bad case: one in ten loses at least that. The average is what "
    "the list sorts by."
)


def show_consequences(suggestion: Mapping[str, Any], steps: pl.DataFrame) -> None:
    """What waiting and what accepting costs; `steps` are those named in `CONSEQUENCES`."""
    st.markdown("**If you ignore it, if you accept it**", help=_HELP)
    if suggestion["kind"] == "purchase":
        _purchase(suggestion)
    else:
        _other(suggestion)
    notes = dict(steps.select("step", "note").iter_rows())
    if lost := notes.get("Lost either way"):
        st.caption(f"Lost either way: {escape_markdown(lost)}")


def _purchase(suggestion: Mapping[str, Any]) -> None:
    code = suggestion["currency_code"]
    chance = format_percent(suggestion["p_stockout_if_ignored"])
    st.markdown(
        f"- **Ignore**: {chance} chance that a unit is missed before an order of the next review arrives; {_expected_loss(suggestion)}"
    )
    st.markdown(
        f"- **Accept**: {format_money(suggestion['cost'], code)} to the supplier; {format_money(suggestion['cost_if_accepted'], code)} on "
        "average to hold the units until they are sold and for what is lost all the same."
    )
    if suggestion["is_dearer_than_waiting"]:
        level = suggestion["service_level"]
        of_level = "" if level is None else f" of {level * 100:g} %"
        st.warning(
            f"**Dearer than waiting**: holding it costs more than it is expected to save; it is proposed for the service level{of_level}.",
            icon=":material/balance:",
        )


def _expected_loss(suggestion: Mapping[str, Any]) -> str:
    code = suggestion["currency_code"]
    expected = format_money(suggestion["at_risk"], code)
    if suggestion["at_risk_basis"] == "unit cost":
        return f"this order would save sales worth {expected} at unit cost on average, as no margin is known."
    median, bad = (format_money(suggestion[f"cost_if_ignored_{name}"], code) for name in ("p50", "p90"))
    return f"margin that this order would save: **{expected} on average**, {median} in the median, {bad} or more in one case of ten."


def _other(suggestion: Mapping[str, Any]) -> None:
    """What is known of it in money; what is not known says so."""
    code, accepted, chance = suggestion["currency_code"], suggestion["cost_if_accepted"], suggestion["p_stockout_if_ignored"]
    ignored = [] if chance is None else [f"{format_percent(chance)} chance to run out"]
    if suggestion["cost_if_ignored_p50"] is not None or suggestion["cost_if_ignored_p90"] is not None:
        mean, p50, p90 = (format_money(suggestion[name], code) for name in ("at_risk", "cost_if_ignored_p50", "cost_if_ignored_p90"))
        one = p50 == p90 == mean
        ignored.append(f"costs {mean}" if one else f"costs **{mean} on average**, {p50} in the median, {p90} or more in one case of ten")
    st.markdown(
        f"- **Ignore**: {'; '.join(ignored) or 'not available'}.\n"
        f"- **Accept**: {'not available' if accepted is None else f'costs {format_money(accepted, code)} on average'}."
    )


def units_or_blank(qty: float | None) -> str:
    """Units of a step, with a decimal where they are not whole, so that the steps add up; "" for one without, as "-" would be a bullet."""
    if qty is None:
        return ""
    return format_units(qty) if float(qty).is_integer() else format_number(qty)
