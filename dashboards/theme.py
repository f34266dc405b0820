"""Colours that charts name themselves. Everything else follows the theme in `.streamlit/config.toml`.

Each is of Okabe and Ito's colour-blind-safe family and stands 3:1 or more against the background of both themes,
so a chart need not know which theme is shown (held by tests/dashboards/test_wording.py).
"""

from __future__ import annotations

from typing import Final

ACCENT: Final = "#2E86C1"  # what the page proposes or measures
REFERENCE: Final = "#7A8590"  # what it is compared with: without the order, history, prior period
WARNING: Final = "#D55E00"  # stock-out
CAUTION: Final = "#A87400"  # between the usual and what should not be
INBOUND: Final = "#009E73"  # what is on its way
BAND_OPACITY: Final = 0.18
# Cells of a table of shades carry their own ground, so their text is dark on light ones and light on dark ones in both themes.
CELL_LEAST: Final = "#D6E6F2"
CELL_MOST: Final = "#0B4F7D"
CELL_INK_TURNS: Final = 0.5  # share of the most from which text is white instead of black
INK: Final = {"light": "#0F1720", "dark": "#E8EBEE"}  # text inside coloured shapes, which charts do not take from the theme themselves
