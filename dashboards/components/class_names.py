"""Classes of products by what they sell (ABC) and how steadily (XYZ), in words."""

from __future__ import annotations

from typing import Final

CLASS_NAMES: Final = {
    "A": "A: top 80 % of sales", "B": "B: next 15 %", "C": "C: last 5 %", "X": "X: steady", "Y": "Y: varying", "Z": "Z: erratic",
    "new": "New", "none": "Nothing sold", "unknown": "Unknown",
}  # fmt: skip
