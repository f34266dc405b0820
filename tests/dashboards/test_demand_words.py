"""What the Demand page says of sums, tests, checks and overrides, and how it counts weeks and sets an override."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from dashboards.components import demand_accuracy, demand_level, override_panel
from dashboards.queries import demand
from dashboards.queries.demand import DemandSum, Scope
from pipelines.decisions.roles import Operator, set_operator
from pipelines.stores.operational import OperationalStore
from pipelines.stores.overrides import Override, list_overrides

if TYPE_CHECKING:
    from pathlib import Path

AS_OF = date(2026, 11, 20)
TODAY = date(2026, 11, 21)


def a_sum(**facts: Any) -> DemandSum:
    weeks = pl.DataFrame(
        {
            "from_date": [date(2026, 11, 7), date(2026, 11, 14), date(2026, 11, 21)],
            "actual_qty": [10.0, 100.0, None],
            "forecast_qty": [None, None, 120.0],
            "last_year_qty": [None, 80.0, 150.0],
        }
    )
    usual = {"weeks": weeks, "series_count": 5, "forecast_count": 4, "unforecast_recent_qty": 7.0, "without_stock_rate": 0.06,
             "tested_weeks_count": 24, "lowest_error_rate": -0.14, "highest_error_rate": 0.078}  # fmt: skip
    return DemandSum(**usual | facts)


def test_a_sum_is_held_against_as_many_weeks_behind_and_a_year_before() -> None:
    said = demand_level.sum_title(a_sum())

    assert said == "120 units are forecast for the next 1 week: +20.0 % on the last 1 and -20.0 % on the same weeks a year before"


def test_a_sum_says_why_it_has_no_band_how_far_such_sums_missed_and_what_it_leaves_out() -> None:
    said = demand_level.sum_caption(a_sum())

    assert "No band: ranges of single items do not add up" in said
    assert "in 24 past weeks that were tested, forecasts of this sum were 14.0 % too low to 7.8 % too high" in said
    assert "1 of 5 items at locations have no forecast: 7 units of the last 28 days were theirs" in said


def test_without_any_forecast_a_sum_says_so_instead_of_zero() -> None:
    weeks = a_sum().weeks.filter(pl.col("forecast_qty").is_null())

    found = a_sum(weeks=weeks, forecast_count=0)

    assert found.forecast_qty is None
    assert demand_level.sum_title(found) == "No forecast: none of 5 items at locations has one"
    assert "No band" not in demand_level.sum_caption(found)


@pytest.mark.parametrize(("fva", "said"), [(0.283, "28.3 % better than seasonal naive"), (-0.05, "5.0 % worse than seasonal naive")])
def test_the_forecast_is_held_against_naive_in_words(fva: float, said: str) -> None:
    whole = {"fva_rate": fva, "series_count": 1020, "cutoffs_count": 6, "backtest_date": AS_OF}

    title = demand_accuracy.accuracy_title(whole, today=TODAY)

    assert title == f"The forecast is {said}: 1,020 series, 6 cut-offs, tested with the data of Fri 20 Nov"


def test_parts_in_which_the_forecast_is_worse_than_naive_are_counted() -> None:
    rows = pl.DataFrame({"name": ["A", "B", "C"], "fva_rate": [0.2, None, -0.1]})

    assert (
        demand_accuracy.split_title(rows) == "Best for A, 20.0 % better than naive; least for C, 10.0 % worse. Worse than naive in 1 of 2"
    )


def test_fallbacks_and_broken_series_are_counted_beside_those_without_a_forecast() -> None:
    frame = pl.DataFrame({"state": ["No forecast", "No forecast", "Fallback"], "kind": ["item inactive", "item inactive", "model"]})

    assert demand_accuracy.without_title(frame) == "2 items at locations without a forecast: 2 inactive; 1 on a fallback"


def test_overrides_that_stand_and_those_that_made_matters_worse_are_counted() -> None:
    frame = pl.DataFrame({"state": ["In the plan", "Past", "Withdrawn"], "fva_rate": [None, -0.2, 0.4]})

    assert override_panel.list_title(frame) == "1 override stands, of 3 ever set; of 2 judged 1 saved error and 1 added to it"


def test_an_override_is_said_beside_the_forecast() -> None:
    wanted = Override("A-1", "L1", date(2026, 11, 21), date(2026, 12, 4), "factor", 1.5, "TV")

    said = override_panel.expectation_words(wanted, 8.0, today=TODAY)

    assert said == "12.0 a day instead of about 8.0 for 14 days, Sat 21 Nov to Fri 4 Dec."


def test_an_export_says_what_of_demand_it_speaks_of() -> None:
    assert Scope().as_export() == {}
    assert Scope(("Tea", "Jam"), ("L1",)).as_export() == {"category": "Tea, Jam", "location": "L1"}
    assert demand.at_location(Scope(sku="A-1"), "L2").as_export() == {"location": "L2", "item": "A-1"}


def test_weeks_count_back_from_the_as_of_date_and_stand_beside_the_year_before(monkeypatch: pytest.MonkeyPatch) -> None:
    conn = duckdb.connect()
    conn.execute(f"""
        create schema marts; create schema planning;
        create table marts.dim_products as select 'A' as sku, 'Cup' as title, 'Kitchen' as category;
        create table marts.dim_locations as select 'L' as location_id, 'North' as name;
        create table planning.demand_series as select 'A' as sku, 'L' as location_id, null::varchar as reason;
        create table marts.fct_demand_daily as select 'A' as sku, 'L' as location_id, date '{AS_OF}' - day::int as demand_date,
            if(day < 7, 2, if(day = 357, 9, 1)) as demand_qty from range(0, 500) as t(day);
        create table planning.forecast_daily as select 'A' as sku, 'L' as location_id, date '{AS_OF}' + day::int as demand_date,
            3.0 as demand_mean_qty from range(1, 11) as t(day);
        create table marts.fct_promotion_days as select 'A' as sku, date '{AS_OF}' as promotion_date;
    """)
    monkeypatch.setattr(demand, "read_frame", lambda _, sql, bound: conn.execute(sql, list(bound)).pl())

    weeks = demand.read_frame(SimpleNamespace(), demand._WEEKS, (*Scope().bound, AS_OF))

    last, ahead = weeks.tail(2).to_dicts()
    assert weeks.height == 53  # a year behind, and the one whole week of ten days ahead
    assert (last["from_date"], last["actual_qty"], last["forecast_qty"], last["promoted_skus_count"]) == (date(2026, 11, 14), 14.0, None, 1)
    assert (ahead["from_date"], ahead["actual_qty"], ahead["forecast_qty"], ahead["last_year_qty"]) == (
        date(2026, 11, 21),
        None,
        21.0,
        15.0,
    )


def draw_form() -> None:
    """A page with nothing but the form."""
    from datetime import date
    from types import SimpleNamespace

    import polars as pl

    from dashboards.components.override_panel import override_form, tell_last
    from dashboards.decisions import Acting
    from dashboards.queries.forecasts import DemandOutlook
    from pipelines.decisions.roles import Operator

    nothing = pl.DataFrame()
    days = pl.DataFrame({"statistical_mean_qty": [8.0], "demand_mean_qty": [8.0]})
    outlook = DemandOutlook(nothing, days, nothing, nothing, 0, None, date(2026, 11, 20))
    served = SimpleNamespace(context=SimpleNamespace(as_of_date=date(2026, 11, 20)))
    who = Acting(Operator("ann", "planner"), None)
    tell_last("here")
    override_form(served, outlook, who, item={"sku": "A-1", "location_id": "L1"}, tries=0, today=date(2026, 11, 21))


def test_a_planner_sets_an_override_and_a_slip_has_to_be_meant(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}", must_exist=False) as store:
        store.migrate()
        set_operator(store, Operator("ann", "admin"), by="ann")
    monkeypatch.setenv("ORDERCAST_OPERATOR", "ann")
    page = AppTest.from_function(draw_form, default_timeout=30).run()

    page.number_input[0].set_value(15.0)
    page.text_input[0].set_value("TV campaign").run()
    page.button[0].click().run()
    refused = [error.value for error in page.error]
    page.checkbox[0].check()
    page.button[0].click().run()

    assert "Nothing was changed" in refused[0]
    assert not page.error
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store:
        (line,) = list_overrides(store)
    assert (line["sku"], line["value"], line["reason"], line["author"]) == ("A-1", 15.0, "TV campaign", "ann")
