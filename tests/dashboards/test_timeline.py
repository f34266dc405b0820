"""A story reads from top to bottom, in the merchant's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from dashboards.components.timeline import Mark, Moment, gap_words, story_html, story_moments

TODAY = date(2026, 11, 20)
SCHEMA = {
    "event_at": pl.Datetime(), "event_type": pl.String(), "order_id": pl.String(), "channel_id": pl.String(), "qty": pl.Int64(),
    "amount": pl.Decimal(18, 2), "currency_code": pl.String(), "review_score": pl.Int64(), "reference_id": pl.String(),
}  # fmt: skip


def story(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([dict.fromkeys(SCHEMA) | {"order_id": "O-1", "channel_id": "web"} | row for row in rows], schema=SCHEMA)


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC).replace(tzinfo=None)


def told(moments: list[Moment]) -> list[tuple[str, str, str, str]]:
    return [(f"{moment.at_local:%a %d %H:%M}", moment.name, moment.detail, moment.gap) for moment in moments]


def test_a_promise_stands_between_the_events_it_fell_between() -> None:
    events = story(
        {
            "event_at": at(2, 10),
            "event_type": "ordered",
            "qty": 3,
            "amount": Decimal("25.00"),
            "currency_code": "EUR",
            "reference_id": "O-1",
        },
        {"event_at": at(6, 22), "event_type": "delivered", "qty": 1, "reference_id": "S-1"},
    )

    moments = story_moments(events, zone="UTC", marks=[Mark(at(5, 22), "Promised to arrive")])

    assert told(moments) == [
        ("Mon 02 10:00", "Ordered", "3 units · EUR 25.00", ""),
        ("Thu 05 22:00", "Promised to arrive", "", "+ 3.5 days"),
        ("Fri 06 22:00", "Delivered", "1 unit · S-1", "+ 24.0 h"),
    ]


def test_days_and_times_are_the_merchants_and_not_utcs() -> None:
    events = story({"event_at": at(2, 23), "event_type": "ordered"}, {"event_at": at(3, 1), "event_type": "price_override"})

    moments = story_moments(events, zone="Europe/Berlin", shows_orders=True)

    assert told(moments) == [("Tue 03 00:00", "Ordered", "O-1 · web", ""), ("Tue 03 02:00", "Price override", "O-1 · web", "+ 2.0 h")]


def test_a_story_names_each_day_once_and_runs_nothing_that_data_says() -> None:
    events = story(*({"event_at": at(2, hour), "event_type": "shipped", "reference_id": "<img src=x onerror=y>"} for hour in (9, 10)))

    html = story_html(story_moments(events, zone="UTC"), today=TODAY)

    assert html.count("Mon 2 Nov") == 1
    assert html.count("&lt;img src=x onerror=y&gt;") == 2
    assert "<img" not in html


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (timedelta(seconds=20), "1 min"),
        (timedelta(minutes=59), "59 min"),
        (timedelta(hours=47, minutes=30), "47.5 h"),
        (timedelta(days=1204, hours=12), "1,204.5 days"),
    ],
)
def test_a_gap_is_told_in_the_unit_that_fits_it(gap: timedelta, expected: str) -> None:
    assert gap_words(gap) == expected
