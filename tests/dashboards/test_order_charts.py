"""What the charts about orders say in their titles, and what the process map draws."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from dashboards import theme
from dashboards.components.backlog_charts import backlog_title, blocked_title
from dashboards.components.fulfilment_charts import arrivals_chart, arrivals_title, stages_title
from dashboards.components.fulfilment_charts import backlog_title as course_title
from dashboards.components.order_story import promised_words
from dashboards.components.order_words import outcome, waits_for
from dashboards.components.process_map import bottleneck_title, drawn_edges, process_dot, wait_words
from dashboards.filters import PERIODS, Filters
from dashboards.queries.fulfilment import Stages
from dashboards.queries.orders import Backlog
from tests.dashboards.test_wording import contrast, mixed

PROMISED = date(2026, 11, 10)


def backlog(*cells: tuple[int, str, bool, int]) -> Backlog:
    rows = [(number, stage, 0, "0-2 days", None, is_overdue, count, 1.0, "EUR") for number, stage, is_overdue, count in cells]
    columns = ["stage_number", "stage", "age_from_days", "age_band", "cause", "is_overdue", "orders_count", "open_reporting_amount"]
    return Backlog(pl.DataFrame(rows, schema=[*columns, "currency_code"], orient="row"), (), {})


def edge(from_event: str, to_event: str, *, count: int, rank: int | None = 9, hours: float = 1.0) -> dict[str, Any]:
    return {
        "from_event": from_event, "to_event": to_event, "transition_count": count, "bottleneck_rank": rank, "p50_hours": hours,
        "p90_hours": 3 * hours, "total_hours": hours * count,
    }  # fmt: skip


def test_the_backlogs_title_names_the_stage_where_most_are_overdue() -> None:
    title = backlog_title(backlog((2, "approved", False, 5), (2, "approved", True, 1), (5, "on its way", True, 3)))

    assert title == "4 of 9 open orders are past the promised day, 3 of these 4 at the stage “on its way”"


def test_a_backlog_without_a_broken_promise_says_so() -> None:
    assert backlog_title(backlog((2, "approved", False, 5))) == "5 orders stand open, none past its promised day"


def test_blocked_orders_title_says_what_is_lost_and_to_what() -> None:
    parts = pl.DataFrame(
        {"cause": ["no_stock", "no_stock", "payment_hold"], "part": ["lost", "released", "lost"], "amount": [100.0, 900.0, 300.0]}
    )

    assert blocked_title(parts, "EUR") == "Of EUR 1,300 blocked, EUR 400 is lost, most of it to payment holds"


def test_arrivals_title_counts_the_late_and_those_that_have_not_come() -> None:
    counts = {"arrival": ["on time", "on time", "late", "not arrived", "closed"], "orders_count": [80, 10, 6, 3, 1]}

    assert arrivals_title(pl.DataFrame(counts)) == (
        "90.0 % came by the promised day, 6 of 100 orders later, 3 not arrived, 1 closed without arriving"
    )
    assert arrivals_title(pl.DataFrame(counts)[:4]) == "90.9 % came by the promised day, 6 of 99 orders later, 3 not arrived"


def test_arrivals_stand_in_the_order_of_days_with_those_that_have_not_come_last() -> None:
    arrivals = pl.DataFrame({
        "late_days": [None, None, 14, -8, 0], "arrival": ["closed", "not arrived", "late", "on time", "on time"], "orders_count": [1] * 5,
    })  # fmt: skip

    spec = arrivals_chart(arrivals).to_dict()

    assert spec["layer"][0]["encoding"]["x"]["sort"] == ["-8 or less", "0", "+14 or more", "not arrived", "closed"]
    assert spec["layer"][0]["encoding"]["color"]["scale"]["domain"][-1] == "Closed without arriving"


def test_stages_title_names_the_longest() -> None:
    means = pl.DataFrame({"member": ["", "", "L1"], "stage": ["Creation to approval", "Shipment to arrival", "Approval to release"],
                          "days": [1.0, 2.2, 9.0]})  # fmt: skip
    found = Stages(means, pl.DataFrame({"days": [3.2, 9.0]}), 0, None)

    assert stages_title(found) == "An order takes 3.2 days on average, 2.2 days of them from shipment to arrival"


def test_the_backlogs_course_is_told_against_its_mean() -> None:
    days = pl.DataFrame({"period_from": [date(2026, 11, 1), date(2026, 11, 1), date(2026, 11, 2)], "value": [10.0, 10.0, 40.0]})

    assert course_title(days) == "40 orders stood open at the end of the last day; 30 on average over 2 days"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "Open, waits for stock"),
        ({"cause": None}, "Open, waits for shipment"),
        ({"delivered_date": date(2026, 11, 11)}, "Arrived 1 day late"),
        ({"delivered_date": PROMISED}, "Arrived on the promised day"),
        ({"delivered_date": date(2026, 11, 7)}, "Arrived 3 days early"),
        ({"is_cancelled": True, "cancel_reason": "out_of_stock"}, "Cancelled: out of stock"),
        ({"is_cancelled": True, "cancel_reason": "unknown"}, "Cancelled"),
        ({"closed_at": date(2026, 11, 7)}, "Closed, not all of it arrived"),
        ({"is_open": False}, "Nothing to deliver"),
    ],
)
def test_how_an_order_stands_is_said_in_words(changed: dict[str, Any], expected: str) -> None:
    facts = {
        "is_cancelled": False, "cancel_reason": None, "delivered_date": None, "promised_delivery_date": PROMISED, "closed_at": None,
        "is_open": True, "stage_number": 3, "cause": "no_stock",
    }  # fmt: skip

    assert outcome(facts | changed)[2] == expected


def test_an_open_order_says_by_how_many_days_its_promise_is_past() -> None:
    facts = {"promised_delivery_date": date(2026, 11, 18), "is_open": True}

    assert promised_words(facts, today=date(2026, 11, 20)) == "promised for Wed 18 Nov, 2 days overdue"
    assert promised_words(facts, today=date(2026, 11, 18)) == "promised for Wed 18 Nov"
    assert promised_words(facts | {"is_open": False}, today=date(2026, 11, 20)) == "promised for Wed 18 Nov"


def test_an_order_waits_for_its_next_step_where_nothing_blocks_it() -> None:
    assert [waits_for(1, None), waits_for(1, "payment_hold")] == ["approval", "payment"]


def test_the_map_draws_frequent_steps_and_bottlenecks_however_rare() -> None:
    done = pl.DataFrame([edge("a", "b", count=1000), edge("b", "c", count=19), edge("b", "d", count=1, rank=3), edge("b", "e", count=20)])

    drawn = drawn_edges(done)

    assert drawn["to_event"].to_list() == ["b", "d", "e"]


def test_the_map_names_its_bottlenecks_in_words_and_runs_nothing_that_data_says() -> None:
    done = pl.DataFrame([edge("start", 'x"]; evil [label="', count=10, rank=None), edge("shipped", "delivered", count=8, rank=1, hours=30)])

    dot = process_dot(done, theme_name="dark")

    assert "Bottleneck 1" in dot
    assert dot.count(theme.WARNING) == 1
    assert r'"x\"]; evil [label=\""' in dot
    assert bottleneck_title(done) == "The first bottleneck is shipped → delivered: 30.0 h in the median, 3.8 days for the slowest tenth"


@pytest.mark.parametrize(("hours", "expected"), [(None, "unknown"), (0.004, "at once"), (0.07, "4 min"), (7.15, "7.2 h"), (60, "2.5 days")])
def test_a_wait_is_told_in_the_unit_that_fits_it(hours: float | None, expected: str) -> None:
    assert wait_words(hours) == expected


def test_reports_are_told_for_the_shortest_period_that_covers_what_was_chosen() -> None:
    assert [Filters(days).report_days for days in PERIODS] == [28, 28, 91, 364]


def test_text_in_cells_can_be_read_on_every_shade() -> None:
    shades = [(place / 100, mixed(theme.CELL_MOST, theme.CELL_LEAST, share=(place / 100) ** 0.5)) for place in range(101)]

    worst = min(contrast("#FFFFFF" if share > theme.CELL_INK_TURNS else "#000000", shade) for share, shade in shades)
    assert worst >= 4.5
