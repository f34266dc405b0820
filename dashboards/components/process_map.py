"""The way orders take, drawn from the steps that were recorded: how often each is taken, how long it lasts, and where most is held up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from dashboards import theme
from dashboards.components.timeline import event_name

if TYPE_CHECKING:
    from collections.abc import Mapping

BOTTLENECKS: Final = 3  # ranks that are marked
LEAST_SHARE: Final = 0.02  # of the most frequent step; rarer ones are counted below the map and stand in its table
_START, _END = "start", "end"

_FONT_SIZE: Final = 9.6  # what Streamlit draws text of a graph in, whatever the graph says; so boxes have to fit that
_MOST_WIDTH: Final = 5.0
_CLEAR: Final = "\u00a0" * 3  # room between a thick arrow and its words


def drawn_edges(done: pl.DataFrame) -> pl.DataFrame:
    """Those of the finished orders' steps that the map draws: the frequent ones, and bottlenecks however rare."""
    is_frequent = pl.col("transition_count") >= LEAST_SHARE * pl.col("transition_count").max()
    return done.filter(is_frequent | (pl.col("bottleneck_rank") <= BOTTLENECKS))


def process_dot(edges: pl.DataFrame, *, theme_name: str) -> str:
    """The map in Graphviz' language: a box per event, an arrow per step as thick as it is frequent; bottlenecks are named and coloured.

    Args:
        edges: As `drawn_edges` gives them.
        theme_name: "light" or "dark": what text outside boxes stands on.
    """
    ink = theme.INK.get(theme_name, theme.INK["light"])
    most = max(edges["transition_count"], default=1)
    events = dict.fromkeys([*edges["from_event"], *edges["to_event"]])
    nodes = [_node(event, ink=ink) for event in events]
    arrows = [_arrow(edge, most=most, ink=ink) for edge in edges.sort("transition_count", descending=True).iter_rows(named=True)]
    look = f'fontname="sans-serif", fontsize={_FONT_SIZE}'
    head = f'bgcolor="transparent"; rankdir="TB"; nodesep=0.25; ranksep=0.3; node [{look}, height=0.28, margin="0.1,0.04"]; edge [{look}];'
    return f"digraph {{ {head} {' '.join(nodes)} {' '.join(arrows)} }}"


def bottleneck_title(done: pl.DataFrame) -> str:
    """The answer: the step that holds up most money for longest."""
    first = done.filter(pl.col("bottleneck_rank") == 1)
    if first.is_empty():
        return "The way orders take"
    edge = first.row(0, named=True)
    return (
        f"The first bottleneck is {step_name(edge)}: {wait_words(edge['p50_hours'])} in the median, "
        f"{wait_words(edge['p90_hours'])} for the slowest tenth"
    )


def step_name(edge: Mapping[str, Any]) -> str:
    """`approved → released`."""
    return f"{event_name(edge['from_event']).lower()} → {event_name(edge['to_event']).lower()}"


def wait_words(hours: float | None) -> str:
    """Hours as people say them: `at once`, `4 min`, `7.2 h`, `3.1 days`."""
    if hours is None:
        return "unknown"
    if hours < 1:
        return f"{round(hours * 60)} min" if hours >= 1 / 60 else "at once"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:,.1f} days"


def _node(event: str, *, ink: str) -> str:
    if event in {_START, _END}:
        return f'{_quoted(event)} [shape=plaintext, fontcolor="{ink}", label={_quoted(event.capitalize())}];'
    look = f'shape=box, style="rounded,filled", color="{theme.ACCENT}", fillcolor="{theme.CELL_MOST}", fontcolor="white"'
    return f"{_quoted(event)} [{look}, label={_quoted(event_name(event))}];"


def _arrow(edge: Mapping[str, Any], *, most: int, ink: str) -> str:
    rank = edge["bottleneck_rank"]
    is_marked = rank is not None and rank <= BOTTLENECKS and (edge["total_hours"] or 0) > 0
    is_outer = edge["from_event"] == _START or edge["to_event"] == _END
    said = [f"{edge['transition_count']:,} times"] + ([] if is_outer else [wait_words(edge["p50_hours"])])
    label = "\n".join(f"{_CLEAR}{line}" for line in ([f"Bottleneck {rank}", *said] if is_marked else said))
    width = max(1.0, _MOST_WIDTH * edge["transition_count"] / most)
    color = theme.WARNING if is_marked else theme.REFERENCE
    return (
        f'{_quoted(edge["from_event"])} -> {_quoted(edge["to_event"])} [label={_quoted(label)}, color="{color}", '
        f'fontcolor="{ink}", penwidth={width:.1f}, arrowsize=0.7];'
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
