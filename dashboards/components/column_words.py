"""What columns mean that stand in several tables, so that all of them say it alike; an export names those that it has."""

from __future__ import annotations

from typing import Final

COLUMN_WORDS: Final = {
    "on_hand_qty": "Units that lie at the location, whomever they are meant for.",
    "held_qty": "Committed to orders, reserved or damaged.",
    "available_qty": "On hand less what is held; below zero where more is promised than there is.",
    "inbound_qty": "Units under way to the location that have not arrived.",
    "days_of_supply": "On hand at the mean daily sales of the last 91 days; deliveries under way are not counted.",
    "stock_value_reporting_amount": "Units at unit cost.",
    "is_aged": "Came in more than 180 days ago.",
    "is_in_stock": "Whether anything was free at the end of the day.",
    "n": "How many rows the figure rests on; one that rests on few says little.",
    "target": "The target that held then.",
    "is_complete": "Whether the period is over; the figure of one that is not will still change.",
}
