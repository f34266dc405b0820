"""Every figure explained: found by its words, on a page of its own, with the way to what lies behind it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import duckdb

from dashboards.components.formats import escape_markdown
from dashboards.components.metric_story import lineage, said
from pipelines.stores.metrics import MetricValue, catalogue_from_json
from pipelines.stores.metrics_targets import COLUMNS
from tests.dashboards.conftest import open_at
from tests.dashboards.example_release import Merchant
from tests.dashboards.test_overview import badges, words
from tests.resealing import reseal

if TYPE_CHECKING:
    from pathlib import Path

    from streamlit.testing.v1 import AppTest

Publish = Callable[[Merchant], None]


def links(page: AppTest) -> dict[str, dict[str, str]]:
    """What each link sets in the address, by its label."""
    return {link.label: dict(parse_qsl(link.proto.query_string)) for link in page.page_link}


def test_a_search_finds_metrics_by_what_they_say_and_shows_them_now(publish_for: Publish) -> None:
    publish_for(Merchant())

    page = open_at("views/metrics.py", search="lines left full").run()
    page.segmented_control(key="days").set_value(91).run()

    assert not page.error
    assert "1 of 102 metrics." in words(page)
    assert "target at least 93.0 %" in words(page)
    assert badges(page) == ["Watch"]

    page.button(key="open-line_fill_rate").click().run()

    assert page.query_params["metric"] == "line_fill_rate"


def test_nothing_found_says_what_to_try(publish_for: Publish) -> None:
    publish_for(Merchant())

    page = open_at("views/metrics.py", search="unicorns").run()

    assert "No metric is called or defined like this" in words(page)


def test_a_metric_explains_itself_on_a_page_of_its_own(publish_for: Publish, home: Path) -> None:
    publish_for(Merchant())
    release = next((home / "releases").glob("*.duckdb"))
    with duckdb.connect(str(release)) as conn:
        conn.execute(f"create or replace table meta.metric_targets ({COLUMNS})")
        conn.execute(
            "insert into meta.metric_targets values ('line_fill_rate', null, null, '2026-01-01', null, 0.9, null, null, 'ann', now()::timestamp)"
        )
    reseal(release)

    page = open_at("views/metrics.py", metric="line_fill_rate", by="location").run()
    page.multiselect(key="channel").select("web").run()

    said = words(page)
    assert not page.error
    assert [header.value for header in page.header] == ["Line fill rate"]
    assert page.selectbox(key="by").value == "location"
    assert page.code[-1].value.startswith("count_if(is_filled) / count(order_line_id)\nfrom marts.fct_order_lines\nwhere")
    assert "target at least 90.0 %" in said
    assert "default 93.0 %" in said
    assert "Source `shipments`: `shipped_at`" in said
    tables = {tuple(table.value.columns): table.value for table in page.dataframe}
    assert next(table["author"].tolist() for columns, table in tables.items() if "author" in columns) == ["ann"]
    assert next(table["reason"].tolist() for columns, table in tables.items() if "rule" in columns)[:2] == ["cancelled", "test"]
    assert links(page)["Open orders"] == {"channel": "web"}

    page.button(key="all-metrics").click().run()

    assert "metric" not in page.query_params


def test_caveats_are_told_with_their_figures_or_without_any(catalogue: str) -> None:
    metric = catalogue_from_json(catalogue)["churn_rate"]
    value = MetricValue(
        metric.name, metric.label, 0.4, 40, 100, 100, metric.unit, None, metric.better, None, "no_target", None, None, date(2026, 11, 20),
        date(2026, 10, 24), date(2026, 11, 20), note="60 of 100 customers rest on a fitted model, whose purchases were off by +25% in a hold-out",
    )  # fmt: skip

    told = "\n".join(said(metric, value))

    assert f"**Now:** {escape_markdown(value.note or '')}." in told
    assert "purchases were off by the holdout bias rate in a hold-out" in told
    assert "..." not in told


def test_a_status_is_icon_word_and_colour_beside_every_target(publish_for: Publish) -> None:
    publish_for(Merchant())

    page = open_at("views/metrics.py", metric="line_fill_rate").run()

    assert badges(page) == ["Watch"]
    assert any("in the last complete week" in said and "-badge[:material/" in said for said in words(page).splitlines())


def test_one_member_goes_on_to_its_orders(publish_for: Publish) -> None:
    publish_for(Merchant())
    page = open_at("views/metrics.py", metric="line_fill_rate", by="location").run()

    page.selectbox(key="closer-location").select("L1").run()

    page.button(key="narrow-to-one").click().run()

    assert "Location: **North**" in words(page)
    assert links(page)["Open orders"] == {"location": "North"}


def test_a_name_that_no_metric_has_is_answered_with_the_nearest_and_the_list(publish_for: Publish) -> None:
    publish_for(Merchant())

    page = open_at("views/metrics.py", metric="line_fil_rate", search="lines left full").run()

    assert "did you mean line\\_fill\\_rate?" in page.error[0].value
    assert "Line fill rate" in [button.label for button in page.button]


def test_a_metric_that_cannot_be_fed_says_what_it_needs_and_still_what_it_means(publish_for: Publish) -> None:
    publish_for(Merchant(absent_tables=("stock_levels",)))

    page = open_at("views/metrics.py", metric="in_stock_rate").run()

    assert not page.error
    assert badges(page) == ["Not available"]
    assert "Source `stock_levels`: `on_hand` :material/block: **missing**" in words(page)


def test_a_metric_that_cannot_be_narrowed_like_this_says_so_and_shows_nothing(publish_for: Publish) -> None:
    publish_for(Merchant())
    page = open_at("views/metrics.py", metric="in_stock_rate").run()

    page.multiselect(key="channel").select("web").run()

    assert not page.error
    assert [(metric.label, metric.value) for metric in page.metric] == [("In-stock rate", "-")]
    assert "cannot be narrowed to channel" in "".join(metric.help for metric in page.metric)


def test_the_way_back_names_every_mart_and_field(catalogue: str) -> None:
    metric = catalogue_from_json(catalogue)["net_sales"]

    told = "\n".join(lineage(metric, frozenset({"orders.currency"})))

    assert "`marts.fct_sales_events`, `marts.fct_order_lines`" in told
    assert "Source `orders`: `currency`." in told
    assert "Source `order_lines`: `unit_price` :material/block: **missing**." in told
