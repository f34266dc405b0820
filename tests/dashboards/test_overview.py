from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import duckdb
import pytest
from streamlit.testing.v1 import AppTest

from dashboards.queries import releases
from pipelines.stores.operational import OperationalStore
from tests.dashboards.conftest import open_at
from tests.dashboards.example_release import NOW, Merchant
from tests.resealing import reseal

Open = Callable[[], AppTest]
Publish = Callable[[Merchant], None]


def words(page: AppTest) -> str:
    """All that the page says outside tables and figures."""
    elements = [*page.title, *page.subheader, *page.markdown, *page.caption, *page.info, *page.success, *page.warning, *page.error]
    return "\n".join(element.value for element in elements)


def badges(page: AppTest) -> list[str]:
    """Status of the cards, in order, each with its icon."""
    found = [re.fullmatch(r":\w+-badge\[:material/\w+: (.+)\]", text.value) for text in page.markdown]
    return [match[1] for match in found if match]


def test_every_card_says_value_change_target_status_and_period(overview: Open, publish_for: Publish) -> None:
    publish_for(Merchant())

    page = overview()

    assert not page.exception
    assert {metric.label: (metric.value, metric.delta) for metric in page.metric} == {
        "Net sales": ("EUR 13,826", "0.0 %"),
        "Order cycle time, median": ("2.2 days", "0.0 days"),
        "On time in full": ("91.1 %", "-0.9 pp"),
        "Line fill rate": ("92.0 %", "0.0 pp"),
        "In-stock rate": ("100.0 %", "0.0 pp"),
        "Stock value": ("EUR 300", "+25.0 %"),
    }
    said = words(page)
    assert "target at least 92.0 %" in said
    assert ":small[:gray[p90 2.3 days]] :green-badge[:material/check_circle: On target]" in said
    assert "28 days to Fri 20 Nov" in said
    assert [badge for badge in badges(page) if badge not in {"Better", "Worse"}] == [
        "No target", "On target", "Watch", "Watch", "On target", "No target",
    ]  # fmt: skip


def test_a_card_explains_itself(overview: Open, publish_for: Publish) -> None:
    publish_for(Merchant())

    fill_rate = next(metric for metric in overview().metric if metric.label == "Line fill rate")

    assert "Lines that left in full with the order's first shipment" in fill_rate.help
    assert "of **112**, n = 112" in fill_rate.help
    assert "Left out: 0 cancelled, 0 test, 0 not from stock" in fill_rate.help


def test_the_page_says_as_of_when_it_speaks(overview: Open, publish_for: Publish) -> None:
    publish_for(Merchant())

    page = overview()

    assert "Example merchant · **as of Fri 20 Nov**, Europe/Berlin · release 14 min old · checks 212/212 passed" in words(page)
    assert not page.warning


def test_what_waits_is_counted_and_priced(overview: Open, publish_for: Publish) -> None:
    publish_for(Merchant())

    page = overview()

    assert "**2 suggestions**: 2 orders for EUR 3,920 · **1 to do today**" in words(page)
    assert "Open the worklist" in [link.label for link in page.page_link]


def test_an_address_that_names_a_period_opens_it(publish_for: Publish) -> None:
    publish_for(Merchant())
    page = open_at("views/overview.py", days="91 days")

    page.run()

    assert page.segmented_control(key="days").value == 91
    assert "91 days to Fri 20 Nov" in words(page)


def test_a_prior_period_that_the_data_does_not_cover_is_no_comparison(overview: Open, publish_for: Publish) -> None:
    publish_for(Merchant())

    page = overview()
    page.segmented_control(key="days").set_value(364).run()

    assert [metric.delta for metric in page.metric] == [""] * 6
    assert "364 days to Fri 20 Nov, data only from Fri 24 Jul" in words(page)


def test_the_table_twin_holds_what_the_cards_hold(overview: Open, publish_for: Publish) -> None:
    publish_for(Merchant())

    page = overview()

    table = page.dataframe[0].value
    shown = dict(zip(table["KPI"], table["Value"], strict=True))
    assert {metric.label: metric.value for metric in page.metric}.items() <= shown.items()
    assert shown["Order cycle time, 90th percentile"] == "2.3 days"
    assert {"CSV", "Parquet"} <= {button.label for button in page.get("download_button")}


def test_nothing_published_says_what_to_run(overview: Open) -> None:
    page = overview()

    assert not page.exception
    assert "Nothing published yet: run `make run`" in words(page)
    assert not page.metric


def test_a_pointer_to_a_release_that_is_gone_is_one_sentence(overview: Open, publish_for: Publish, home: Path) -> None:
    publish_for(Merchant())
    next((home / "releases").glob("*.duckdb")).unlink()

    page = overview()

    assert not page.exception
    assert "is gone from" in page.error[0].value
    assert "Traceback" not in words(page)


def test_an_unknown_setting_is_one_sentence(overview: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_SERVICE_LEVLE", "0.9")

    page = overview()

    assert not page.exception
    assert "did you mean ORDERCAST\\_SERVICE\\_LEVEL?" in page.error[0].value


def test_an_old_release_says_its_age(overview: Open, publish_for: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_for(Merchant())
    monkeypatch.setattr(releases, "now", lambda: NOW + timedelta(days=3))

    page = overview()

    assert "**Old data**: it ends on Fri 20 Nov, 3 days ago" in page.warning[0].value
    assert len(page.metric) == 6


def test_fresh_data_published_long_ago_says_so_too(overview: Open, publish_for: Publish) -> None:
    publish_for(Merchant(published_at=NOW - timedelta(hours=40)))

    page = overview()

    assert "**Old release**: it was published 40 h ago" in page.warning[0].value


def test_a_kpi_without_its_source_says_what_it_needs(overview: Open, publish_for: Publish) -> None:
    publish_for(Merchant(absent_tables=("stock_levels", "shipments")))

    page = overview()

    values = {metric.label: metric.value for metric in page.metric}
    assert values["In-stock rate"] == "-"
    assert values["Line fill rate"] == "-"
    assert values["Net sales"] == "EUR 13,826"
    assert "needs stock\\_levels.on\\_hand" in words(page)
    assert "Not available: needs stock_levels.on_hand" in page.dataframe[0].value["Status"].tolist()


def test_no_suggestion_is_good_news_in_words(overview: Open, publish_for: Publish) -> None:
    publish_for(Merchant(has_suggestions=False))

    page = overview()

    assert "No suggestion is open" in page.success[0].value
    assert len(page.metric) == 6


def test_without_stock_suggestions_are_not_available(overview: Open, publish_for: Publish) -> None:
    publish_for(Merchant(absent_tables=("stock_levels",)))

    page = overview()

    assert "Reorder suggestions: not available, needs stock\\_levels." in words(page)


def test_figures_stand_while_the_store_is_away(overview: Open, publish_for: Publish, home: Path) -> None:
    publish_for(Merchant())
    (home / "store.db").unlink()

    page = overview()

    assert "Status of suggestions unknown" in page.warning[0].value
    assert "**2 suggestions**" in words(page)
    assert len(page.metric) == 6


def test_a_decided_suggestion_waits_no_more(overview: Open, publish_for: Publish, home: Path) -> None:
    publish_for(Merchant())
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store, store.transaction() as conn:
        conn.exec_driver_sql("UPDATE recommendation SET status = 'rejected' WHERE recommendation_key = 'k-a'")

    page = overview()

    assert "**1 suggestions**" not in words(page)
    assert "**1 suggestion**: 1 order for EUR 2,000 · **0 to do today**" in words(page)


def test_tables_whose_rows_may_be_missing_are_named(overview: Open, publish_for: Publish, home: Path) -> None:
    publish_for(Merchant())
    release = next((home / "releases").glob("*.duckdb"))
    with duckdb.connect(str(release)) as conn:
        conn.execute(
            "create or replace table meta.source_tables (table_name varchar, read_by varchar, read_at timestamp, compared_at timestamp)"
        )
        conn.execute("insert into meta.source_tables values ('orders', 'overlap', now()::timestamp, '2026-11-20 04:00')")
    reseal(release)

    said = words(overview()).replace("\\", "")

    assert "orders may miss rows until reconcile; compared last at 2026-11-20 04:00 UTC" in said


def test_data_older_than_a_week_is_red(overview: Open, publish_for: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_for(Merchant())
    monkeypatch.setattr(releases, "now", lambda: NOW + timedelta(days=10))

    page = overview()

    assert ":red[:material/history: **Too old to act on**: it ends on Fri 20 Nov, 10 days ago" in words(page)
    assert "load newer data, then run `ordercast run`" in words(page)


def test_an_address_that_asks_for_what_the_release_does_not_know_says_so(publish_for: Publish) -> None:
    publish_for(Merchant())

    page = open_at("views/overview.py", location="LOC-GONE", days="5 days").run()

    assert "asks for location LOC\\-GONE, a period of 5 days" in page.warning[0].value.replace("LOC-GONE", "LOC\\-GONE")
    assert page.multiselect(key="location").value == []


def test_a_copied_link_keeps_what_an_address_has_to_escape(publish_for: Publish) -> None:
    publish_for(Merchant())

    page = open_at("views/metrics.py", metric="net_sales", search="A&B + c#d").run()

    (link,) = [code.value for code in page.code if "search=" in code.value]
    assert parse_qs(urlsplit(link).query)["search"] == ["A&B + c#d"]
