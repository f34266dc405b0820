"""Colours that charts name themselves. Everything else follows the theme in `.streamlit/config.toml`.

Each is of Okabe and Ito's colour-blind-safe family and stands 3:1 or more against the background of both themes,
so a chart need not know which theme is shown (held by tests/dashboards/test_wording.py).
"""

from __future__ import annotations

from typing import Final

ACCENT: Final = "#2E86C1"  # what the page proposes or measures
REFERENCE: Final = "#7A8590"  # what it is compared with: without the order, history, prior period
WARNING: Final = "#D55E00"  # stock-out
INBOUND: Final = "#009E73"  # what is on its way
BAND_OPACITY: Final = 0.18
