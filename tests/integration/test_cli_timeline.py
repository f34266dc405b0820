"""`timeline` on a small release: one customer across two channels, a guest, and somebody nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from pipelines.settings import load_settings
from pipelines.stores.customer_keys import Pseudonyms
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import ReleaseFacts, publish
from tests.integration.test_cli import Terminal
from tests.resealing import reseal

if TYPE_CHECKING:
    from pathlib import Path

EVENTS = """
    ('O1', 'web', timestamp '2024-03-01 22:30:00', 'ordered', 'O1', 2, 4200, null),
    ('O1', 'web', timestamp '2024-03-02 10:00:00', 'shipped', 'S1', 2, null, null),
    ('O2', 'shop', timestamp '2024-03-20 09:00:00', 'ordered', 'O2', 1, 1000, null),
    ('O1', 'web', timestamp '2024-03-09 08:00:00', 'reviewed', 'R1', null, null, 5)
"""


@pytest.fixture
def ordercast(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    home = load_settings().resolved_home
    home.mkdir()
    with OperationalStore.open(load_settings().resolved_store_url, must_exist=False) as store:
        store.migrate()  # who looks at a customer is recorded there
    key = Pseudonyms.of_home(home).key_of("anna")
    facts = ReleaseFacts("20240329T060000-aaaaaa", "2024-03-28", "2024-03-29T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    with duckdb.connect(":memory:") as conn:
        conn.execute("create schema marts; create schema meta; create schema planning")
        conn.execute(
            "create table meta.run_context as select date '2024-03-28' as as_of_date, 'EUR' as currency_code, 'Europe/Berlin' as reporting_time_zone"
        )
        conn.execute("create table meta.source_fields as select 'orders' as table_name, 'customer_id' as field_name, true as is_present")
        conn.execute("create table marts.fct_subscription_periods (customer_key varchar, started_at timestamp, cancelled_at timestamp)")
        conn.execute(
            "create table marts.fct_customer_events as select if(order_id = 'O1', ?, ?) as customer_key, *, 'EUR' as currency_code "
            f"from (values {EVENTS}) t(order_id, channel_id, event_at, event_type, reference_id, qty, amount, review_score)",
            [key, key],
        )
        conn.execute(
            "insert into marts.fct_customer_events values (null, 'G1', 'web', '2024-03-05 12:00:00', 'ordered', 'G1', 1, 900, null, 'EUR')"
        )
        conn.execute(
            "create table marts.fct_orders as select order_id, any_value(customer_key) as customer_key from marts.fct_customer_events group by order_id"
        )
        conn.execute(
            "create table marts.dim_customers as select ? as customer_key, 'loyal' as segment, 'DE' as country, 'web' as first_channel_id, "
            "date '2024-03-01' as first_order_date, date '2024-03-20' as last_order_date, 2 as order_count, 3 as net_qty, 5200 as net_reporting_amount",
            [key],
        )
        conn.execute(
            "create table planning.customer_scores as select date '2024-03-28' as status_date, ? as customer_key, 1 as repeat_count, 0.87 as p_alive, "
            "3.2 as expected_purchases_364_days, 8100 as lifetime_value_364_days_amount, 'EUR' as currency_code, false as is_one_time, "
            "false as is_too_young, false as is_churned",
            [key],
        )
        conn.execute(
            "create table planning.customer_model as select cast(null as varchar) as refusal_reason, 0.16 as holdout_bias_rate, "
            "-0.04 as holdout_value_bias_rate"
        )
        publish(conn, home / "releases", facts=facts, catalogue="{}", keep=5)
    return Terminal(monkeypatch, capsys)


def test_a_customers_story_crosses_channels_in_the_merchants_time(ordercast: Terminal) -> None:
    _, out, _ = ordercast("timeline", "--customer", "anna")

    story = " ".join(out.split())
    assert "Loyal, 2 orders from 2024-03-01 to 2024-03-20, worth EUR 52 net of refunds" in story
    assert "Probably still there (87%); 3.2 purchases worth EUR 81 expected in the next 364 days, by a model" in story
    assert "whose error was +16% in purchases and -4% in sales in a hold-out." in story
    assert story.index("2024-03-01 23:30 ordered") < story.index("reviewed") < story.index("2024-03-20 10:00 ordered")
    assert "shop" in story


def test_without_a_model_the_reason_for_it_is_told(ordercast: Terminal) -> None:
    (release,) = (load_settings().resolved_home / "releases").glob("*.duckdb")
    with duckdb.connect(str(release)) as conn:
        conn.execute("update planning.customer_scores set p_alive = null, is_churned = null, lifetime_value_364_days_amount = null")
        conn.execute("update planning.customer_model set refusal_reason = 'The search for parameters did not converge.'")
    reseal(release)

    _, out, _ = ordercast("timeline", "--customer", "anna")

    story = " ".join(out.split())
    assert "still there is not known: The search for parameters did not converge. See ordercast report customer_model." in story


def test_a_guests_order_is_found_by_its_id(ordercast: Terminal) -> None:
    found = ordercast.json("timeline", "--order", "G1")

    assert found["customer_key"] is None
    assert found["profile"] is None
    assert [(event["event_type"], event["amount"]) for event in found["events"]] == [("ordered", 9.0)]


def test_nobody_of_that_name_is_one_sentence(ordercast: Terminal) -> None:
    code, _, err = ordercast("timeline", "--customer", "otto")

    assert code == 3
    assert "No customer 'otto' is in this release." in " ".join(err.split())
