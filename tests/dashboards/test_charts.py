"""Charts as browsers get them."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.utils.schemapi import validate_jsonschema

from dashboards.components.charts import CLICKED, CONFIG, as_chart, bar_chart, layered

FRAME = pl.DataFrame({"name": ["a", "b"], "value": [2.0, 1.0], "before": [1.0, 1.0]})


def test_layers_are_what_altair_itself_would_make_of_them() -> None:
    bars = as_chart(FRAME).mark_bar().encode(alt.X("value:Q"), alt.Y("name:N"))
    text = as_chart(FRAME.head(1)).mark_text().encode(alt.X("value:Q"), text="name:N")

    ours = layered([bars, text], height=90).to_dict()
    theirs = alt.LayerChart(layer=[bars, text]).properties(height=90).to_dict()

    assert ours == {"config": CONFIG} | {name: theirs[name] for name in ("layer", "datasets", "height")}


def test_what_a_reader_may_click_stands_at_the_head_and_names_its_layer() -> None:
    clickable = as_chart(FRAME).mark_bar().encode(alt.X("value:Q")).add_params(alt.selection_point(CLICKED, fields=["name"]))
    spec = layered([as_chart(FRAME).mark_rule(), clickable]).to_dict()

    assert [(one["name"], one["views"]) for one in spec["params"]] == [(CLICKED, ["layer_1"])]
    assert spec["layer"][1]["name"] == "layer_1"
    assert "params" not in spec["layer"][1]


def test_a_chart_of_ours_holds_against_vega_lites_schema() -> None:
    spec = bar_chart(FRAME, value="value", unit="count", compared="before").to_dict()

    validate_jsonschema(spec, alt.LayerChart._schema, rootschema=alt.LayerChart._rootschema)
