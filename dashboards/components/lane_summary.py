"""What proposed transfers come to per lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dashboards.components.charts import bar_chart, chart_block
from dashboards.components.formats import format_count, format_money

if TYPE_CHECKING:
    from datetime import date

    import polars as pl

_DEFINITIONS: Final = {
    "units_qty": "Units that would move.",
    "saved_amount": "Margin that they save where they go.",
    "given_up_amount": "Margin that they would have brought where they lie.",
    "net_amount": "Saved less given up; what a move costs is not known and not in it.",
}


def lane_summary(lanes: pl.DataFrame, *, as_of: date) -> None:
    """What each lane saves beyond what it gives up, as a chart with its table."""
    code = "/".join(lanes["currency_code"].drop_nulls().unique().sort())
    chart_block(
        bar_chart(lanes, value="net_amount", unit="money", member="lane", unit_title=f"Saved less given up ({code})"),
        title=lanes_words(lanes), alt_text="Money saved less given up per lane, most first", frame=lanes, name="transfer-lanes",
        as_of=as_of,
        caption="Margin that the moved units save where they go, less what they would have brought where they lie. What a move itself "
        "costs is not available: needs a cost per lane.",
        columns=("source", "location", "transfers_count", "units_qty", "saved_amount", "given_up_amount", "net_amount"),
        labels={"source": "From", "location": "To", "net_amount": "Saved less given up"}, filters={}, definitions=_DEFINITIONS,
    )  # fmt: skip


def lanes_words(lanes: pl.DataFrame) -> str:
    """As in "100 transfers would save EUR 2,366 and give up EUR 210; most goes from West to Central"."""
    first = lanes.row(0, named=True)
    code = first["currency_code"] or ""
    saved, given = (format_money(float(lanes[name].sum()), code) for name in ("saved_amount", "given_up_amount"))
    count = format_count(int(lanes["transfers_count"].sum()), "transfer")
    return f"{count} would save {saved} and give up {given}; most of it from {first['source']} to {first['location']}"
