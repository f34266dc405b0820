"""What the columns of exported metrics mean; each row has its metric's own definition beside them."""

from __future__ import annotations

from typing import Final

METRIC_WORDS: Final = {
    "value": "The metric over the period; blank where it is not known.",
    "numerator": "Of a ratio, what is divided.",
    "denominator": "Of a ratio, by what it is divided.",
    "n": "How many rows the value rests on.",
    "better": "Whether a higher or a lower value is better.",
    "target": "The target that holds, in the metric's unit.",
    "status": "How the value stands to its target, or why there is none.",
    "prior": "The value of the equally long period before.",
    "change": "The value less the one before.",
    "last_year": "The value over the same weekdays a year before.",
    "change_last_year": "The value less that one.",
    "excluded": "How many rows are left out, by reason.",
    "needs_missing": "Fields that the source lacks for it.",
    "note": "What to know about this value.",
    "assumption": "What it takes for granted.",
    "is_complete": "Whether all days of the period are over, old enough and within the data.",
    "definition": "What the metric is.",
    "where": "Which rows count.",
    "mart": "The table whose rows are counted.",
    "dated_by": "The column that says to which day a row belongs.",
    "needs": "Fields of the source that it rests on.",
    "split_by": "Dimensions by which it can be split.",
}
