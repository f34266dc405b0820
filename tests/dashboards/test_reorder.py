from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboards.components.edit_outcome import outcome_rows
from dashboards.components.worklist_columns import DEFINITIONS
from dashboards.queries import releases
from dashboards.queries.reorder import order_choices
from dashboards.queries.suggestions import suggestions
from dashboards.queries.worklist import weighed
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore
from tests.dashboards.conftest import open_at
from tests.dashboards.example_release import NOW, Merchant
from tests.resealing import reseal

Open = Callable[[], AppTest]
Publish = Callable[[Merchant], None]


def listed(page: AppTest) -> pd.DataFrame:
    """The worklist as it is shown."""
    return next(table.value for table in page.dataframe if "what" in table.value.columns)


def found_by(page: AppTest) -> pd.DataFrame:
    """What the search found."""
    return next(table.value for table in page.dataframe if "answer" in table.value.columns)


def words(page: AppTest) -> str:
    """All that the page says outside its tables."""
    elements = [*page.title, *page.subheader, *page.markdown, *page.caption, *page.info, *page.success, *page.warning, *page.error]
    return "\n".join(element.value for element in elements)


def test_the_list_is_in_order_of_urgency_and_says_why(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant())

    page = reorder()

    assert not page.exception
    table = listed(page)
    assert table["due_words"].tolist() == ["Overdue", "Thu 26 Nov"]
    assert table["item"].tolist() == ["A-1 · North", "B-2 · South"]
    assert table["reason"].tolist()[0] == "Runs out in about 3 days; 9.4 a day are wanted."
    assert table["what"].tolist() == ["Order 240 (need 231)", "Order 100 (need 90)"]
    assert table["cost"].tolist() == [1920.0, 2000.0]
    assert table["at_risk"].tolist() == [500.0, 6.0]
    assert table["sure_words"].tolist() == ["Sure: forecast 27.9 % better", "Dearer than waiting"]
    assert table["supplier"].tolist() == ["Supplier one", "Supplier two"]
    assert "status" not in table.columns  # all are proposed, which goes without saying
    assert (
        "**2 suggestions**: 2 orders for EUR 3,920 · **1 overdue, 0 to do today** · EUR 506 at risk, four fifths of it in the first 1"
        in words(page)
    )


def test_the_most_urgent_one_stands_open_with_its_whole_story(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant())

    page = reorder()

    said = words(page)
    assert "A-1 Blue cup · North" in said
    assert "**Runs out in about 3 days; 9.4 a day are wanted.**" in said
    assert "Order **240 units** (raw need 231) from Supplier one today, EUR 1,920; " in said
    assert "ordered today it is expected Wed 2 Dec; needed Mon 23 Nov." in said
    assert "**Without the order, stock is used up on Sun 29 Nov in the median; the first sale is missed after Mon 23 Nov**" in said
    assert "**Ignore**: 86.0 % chance that a unit is missed before an order of the next review arrives; " in said
    assert "**EUR 500 on average**, EUR 1,310 in the median, EUR 2,240 or more in one case of ten" in said
    assert "Dearer than waiting" not in said
    assert "**The forecast errs by 31.0 % of demand a day, the naive one by 43.0 %: 27.9 % better**" in said
    assert "It was 2.0 % too low in total." in said
    assert "band held 79.0 % of days" in said
    assert "Bound by: whole packs." in said
    assert page.table[0].value["Units"].tolist() == ["178", "240"]
    assert len(page.get("vega_lite_chart")) == 2


def test_every_table_of_the_page_can_be_taken_out_with_what_its_columns_mean(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant())

    page = reorder()

    keys = {button.proto.id.rpartition("export-")[2] for button in page.get("download_button")}
    names = ("reorder-worklist", "orders-by-supplier", "item-outlook", "item-demand", "reckoning")
    assert {f"{name}-{ending}" for name in names for ending in ("csv", "parquet", "columns-csv")} <= keys


def test_every_column_of_the_worklist_says_what_it_means(publish_for: Publish) -> None:
    publish_for(Merchant())
    served = releases.served()
    assert served is not None

    frame = weighed(served, suggestions(served), settings=load_settings())

    assert set(frame.columns) - {"basis"} == set(DEFINITIONS)


def test_an_override_stands_beside_the_forecast_with_its_reason_and_its_worth(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant())

    page = reorder()

    said = words(page)
    assert "**8.0 a day were wanted in the last 56 days, 9.4 are forecast for the next 28 days, 18.0 are expected by override**" in said
    assert r"Override by ann, Sat 21 Nov to Fri 18 Dec: 18 units a day. TV \*campaign\*" in said
    assert "Overrides of this item so far: +25.0 % value added to the forecast, n = 9 days." in said
    days = next(table.value for table in page.dataframe if "override_mean_qty" in table.value.columns)
    assert days.iloc[0][["statistical_mean_qty", "override_mean_qty"]].tolist() == [9.4, 18.0]
    assert days["actual_qty"].dropna().tolist() == [16.0, 0.0] * 28


def test_without_overrides_demand_is_history_and_forecast(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant(has_overrides=False))

    page = reorder()

    said = words(page)
    assert "**8.0 a day were wanted in the last 56 days, 9.4 are forecast for the next 28 days**" in said
    assert "Override" not in said


def test_suggestions_that_are_withheld_say_why(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant(withheld_reason="Forecasts were 66 % too low in total"))

    page = reorder()

    assert page.warning[0].value.startswith(
        "**Suggestions are withheld**, because the forecasts broke: Forecasts were 66 % too low in total. Those proposed before"
    )
    assert not page.get("vega_lite_chart")


def test_while_suggestions_are_withheld_no_item_is_said_to_be_enough(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant(has_suggestions=False, withheld_reason="Forecasts were 66 % too low in total"))

    page = reorder()
    page.text_input(key="item").set_value("a-1").run()

    assert found_by(page)["answer"].tolist() == ["Not judged: the forecasts broke, see above."]


def test_another_choice_opens_another_story(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant())
    page = open_at("views/reorder.py")
    page.session_state["chosen"] = ["k-b"]

    page.run()

    assert "Order **100 units** (raw need 90) from Supplier two by Thu 26 Nov" in words(page)
    assert "Not tested: the item's history is too short for a backtest." in words(page)
    assert "holding it costs more than it is expected to save; it is proposed for the service level of 95 %." in words(page)


def test_a_title_from_data_is_text_and_not_markup(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant())
    page = open_at("views/reorder.py")
    page.session_state["chosen"] = ["k-b"]

    page.run()

    assert r'B-2 =HYPERLINK\("x"\) · South' in [heading.value for heading in page.subheader]


def test_an_address_that_names_a_supplier_filters_by_it(publish_for: Publish) -> None:
    publish_for(Merchant())
    page = open_at("views/reorder.py", supplier="Supplier two")

    page.run()

    assert page.multiselect(key="supplier").value == ["Supplier two"]
    assert listed(page)["item"].tolist() == ["B-2 · South"]
    assert "**1 suggestion**: 1 order for EUR 2,000 · **0 overdue, 0 to do today**" in words(page)


def test_a_supplier_and_a_location_that_share_nothing_leave_a_way_back(publish_for: Publish) -> None:
    publish_for(Merchant())
    page = open_at("views/reorder.py", supplier="Supplier two", at="North")

    page.run()

    assert "Clear a filter to see more" in page.info[0].value


def test_an_item_that_is_not_listed_is_explained(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant())

    page = reorder()
    page.text_input(key="item").set_value("green").run()

    found = found_by(page)
    assert found["sku"].tolist() == ["C-3"]
    assert found["answer"].tolist() == ["Cannot be judged: No supplier sells this item."]


def test_a_search_finds_what_is_on_the_list_too_and_says_when_nothing_fits(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant())

    page = reorder()
    page.text_input(key="item").set_value("a-1").run()
    listed = found_by(page)["answer"].tolist()
    page.text_input(key="item").set_value("'; DROP TABLE").run()

    assert listed == ["Suggested: order 240 units."]
    assert "No item has" in page.info[0].value


def test_an_item_that_several_kinds_are_about_is_found_once_with_all_of_them(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant(has_expedite=True))

    page = reorder()
    page.text_input(key="item").set_value("a-1").run()

    found = found_by(page)
    assert found["answer"].tolist() == ["Suggested: order 240 units. Suggested: pull an order of 48 units forward."]


def test_no_suggestion_says_what_that_means(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant(has_suggestions=False))

    page = reorder()

    assert "**Nothing to order.**" in page.success[0].value
    assert not page.exception


def test_nothing_published_says_what_to_run(reorder: Open) -> None:
    page = reorder()

    assert not page.exception
    assert "Nothing published yet: run `make run`" in words(page)


def test_an_old_release_says_its_age(reorder: Open, publish_for: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_for(Merchant())
    monkeypatch.setattr(releases, "now", lambda: NOW + timedelta(days=3))

    page = reorder()

    assert "**Old data**: it ends on Fri 20 Nov, 3 days ago" in page.warning[0].value
    assert listed(page)["due_words"].tolist()[0] == "Overdue"


def test_without_suppliers_suggestions_are_not_available(reorder: Open, publish_for: Publish) -> None:
    publish_for(Merchant(absent_tables=("supplier_items",)))

    page = reorder()

    assert "Reorder suggestions: not available, needs supplier\\_items." in words(page)
    assert not page.dataframe


def test_while_the_store_is_away_the_list_stands_and_the_status_is_unknown(reorder: Open, publish_for: Publish, home: Path) -> None:
    publish_for(Merchant())
    (home / "store.db").unlink()

    page = reorder()

    assert "There is no operational store" in page.warning[0].value
    assert listed(page)["status"].tolist() == ["Unknown", "Unknown"]


def test_what_a_person_has_decided_leaves_the_list(reorder: Open, publish_for: Publish, home: Path) -> None:
    publish_for(Merchant())
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store, store.transaction() as conn:
        conn.exec_driver_sql("UPDATE recommendation SET status = 'approved' WHERE recommendation_key = 'k-a'")

    page = reorder()

    assert listed(page)["item"].tolist() == ["B-2 · South"]


def test_a_release_of_an_older_version_says_what_to_run_and_the_search_goes_on(reorder: Open, publish_for: Publish, home: Path) -> None:
    publish_for(Merchant())
    release = next((home / "releases").glob("*.duckdb"))
    with duckdb.connect(str(release)) as conn:
        conn.execute("drop table planning.stock_outlook")
    reseal(release)

    page = reorder()
    page.text_input(key="item").set_value("green").run()

    assert "stock\\_outlook does not exist" in page.error[0].value
    assert "run \\`ordercast run\\`" in page.error[0].value
    assert found_by(page)["sku"].tolist() == ["C-3"]
    assert not page.exception


def test_a_choice_outlives_a_list_that_changes(publish_for: Publish, home: Path) -> None:
    publish_for(Merchant())
    page = open_at("views/reorder.py")
    page.session_state["chosen"] = ["k-b"]
    page.run()
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store, store.transaction() as conn:
        conn.exec_driver_sql("UPDATE recommendation SET status = 'expired' WHERE recommendation_key = 'k-a'")

    page.run()

    assert "Order **100 units**" in words(page)


@pytest.mark.parametrize("view", ["Cards", "cards"])
def test_cards_say_what_matters_and_open_one_at_a_time(publish_for: Publish, view: str) -> None:
    publish_for(Merchant())
    page = open_at("views/reorder.py")
    page.query_params["view"] = view
    page.run()
    cards = words(page)
    page.button(key="open-k-b").click().run()
    opened = words(page)
    page.button(key="cards-back").click().run()

    assert not page.exception
    assert "**A-1 Blue cup · North**" in cards
    assert "Order 240 \\(need 231\\) · EUR 500 at risk · costs EUR 1,920" in cards
    assert "Order **100 units**" not in cards
    assert "Order **100 units**" in opened
    assert words(page).count("at risk · costs") == 2


def test_an_edited_quantity_says_what_it_comes_to_beside_the_proposed_one(publish_for: Publish) -> None:
    """Reckoned are 0, 120, 240 and 480 units; 180 lie half way between two of them."""
    row = {"recommended_qty": 240, "currency_code": "EUR"}
    publish_for(Merchant())
    served = releases.served()
    assert served is not None
    choices = order_choices(served, "k-a")

    half, beyond = (pd.DataFrame(outcome_rows(row, choices, qty=qty)) for qty in (180, 500))

    assert half["180 units"].tolist() == ["77.5 %", "5.5", "EUR 49.50", "EUR 22.00"]
    assert half["Proposed: 240"].tolist() == ["95.0 %", "1.0", "EUR 9.00", "EUR 32.00"]
    assert half["None"].tolist() == ["10.0 %", "60.0", "EUR 540.00", "EUR 0.00"]
    assert beyond["500 units"].tolist() == ["-"] * 4
