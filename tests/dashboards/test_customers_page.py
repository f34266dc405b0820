"""Customers and returns: what their parts say in words, and that a look at one customer is recorded first."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner

from dashboards.components.customer_groups import best_title, lateness_title, pair_title
from dashboards.components.customer_parts import alive_title, churn_definition, cohort_title, holdout_title
from dashboards.components.customer_story import standing_words
from dashboards.components.return_causes import pareto_title, worsening_title
from dashboards.components.return_parts import goods_title, stage_title
from dashboards.filters import Filters
from dashboards.queries import customers, releases, returns
from dashboards.queries.reports import report
from pipelines.decisions.access import list_accesses
from pipelines.decisions.roles import Operator, set_operator
from pipelines.stores.customer_keys import Pseudonyms
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import current_release
from tests.dashboards.conftest import open_at
from tests.dashboards.real_release import copy_home, published_home

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published_home(tmp_path_factory)


@pytest.fixture
def shop(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small merchant's home that pages read."""
    home = copy_home(base, tmp_path / "home")
    release = current_release(home / "releases")
    assert release is not None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(home))
    monkeypatch.setattr(releases, "now", lambda: datetime.fromisoformat(release.published_at) + timedelta(minutes=14))
    monkeypatch.setattr(manifest_scanner, "scan_component_manifests", list)
    st.cache_data.clear()
    return home


def test_a_typed_id_is_replaced_by_its_key_and_the_look_is_recorded(shop: Path) -> None:
    with OperationalStore.open(f"sqlite:///{shop / 'store.db'}") as store:
        set_operator(store, Operator("ada", "admin", None, None, None), by="ada")
    with closing(sqlite3.connect(shop / "store.db")) as conn:
        (customer_id,) = conn.execute("select customer_id from orders where customer_id is not null order by order_id limit 1").fetchone()
    key = Pseudonyms.of_home(shop).key_of(customer_id)
    page = open_at("views/customers.py", show="One customer").run()

    page.text_input(key="customer_asked").set_value(customer_id)
    page.button[0].click().run()
    page.run()

    assert page.query_params["customer"] == key
    assert f"Customer {key[:8]}" in [one.value for one in page.subheader]
    with OperationalStore.open(f"sqlite:///{shop / 'store.db'}") as store:
        looks = list_accesses(store, actor="ada")
    assert [(look["action"], look["object_type"], look["object_id"]) for look in looks] == [("drill", "customer", key)]


def test_nothing_of_a_customer_is_shown_where_the_look_cannot_be_recorded(shop: Path) -> None:
    served = releases.served()
    assert served is not None
    key = customers.top_customers(served, 364)["customer_key"][0]
    (shop / "store.db").unlink()
    (shop / "store.db").mkdir()

    page = open_at("views/customers.py", customer=key).run()

    assert "recorded first" in page.error[0].value
    assert [one.value for one in page.subheader] == []


def test_an_unknown_customer_is_a_sentence_and_no_look(shop: Path) -> None:
    page = open_at("views/customers.py", customer="nobody").run()

    assert "No customer" in page.warning[-1].value
    assert not page.error


def test_units_by_reason_are_those_of_the_report(shop: Path) -> None:
    served = releases.served()
    assert served is not None

    shown = returns.pareto(served, "reason", Filters(28))

    rows = report(served, "return_pareto", where={"period_days": 28}).rows
    expected = rows.group_by(member="reason").agg(pl.col("returned_qty").sum()).sort("returned_qty", "member", descending=[True, False])
    assert shown.select("member", "returned_qty").rows() == expected.rows()
    assert shown["cumulative_rate"][-1] == pytest.approx(1.0)


def test_the_parts_of_a_reason_add_up_to_it(shop: Path) -> None:
    served = releases.served()
    assert served is not None
    reason, units = returns.pareto(served, "reason", Filters(364)).select("member", "returned_qty").row(0)

    inside = returns.pareto(served, "sku", Filters(364), within=("reason", reason))

    assert inside["returned_qty"].sum() == units


def test_cohorts_are_compared_with_the_six_before() -> None:
    change = {"recent_rate": 0.194, "before_rate": 0.218, "recent_reporting_amount": Decimal(128), "before_reporting_amount": None}

    assert (
        cohort_title(change, "EUR", is_rate=True)
        == "Of the six youngest cohorts 19.4 % ordered in month 3, -2.4 pp against the six cohorts before"
    )
    assert cohort_title(change, "EUR", is_rate=False) == "A customer of the six youngest cohorts brought EUR 128 by month 3"
    assert cohort_title(dict.fromkeys(change), "EUR", is_rate=True) == "No cohort is three months old yet"


def test_churn_says_its_threshold_and_counts_whom_it_leaves_out() -> None:
    kinds = {"Probably left": 90, "Probably still there": 60, "Bought on one day only": 40, "Came back, too young to judge": 8}
    days = pl.DataFrame({"status_date": [date(2026, 10, 31)] * 4, "kind": list(kinds), "customers_count": list(kinds.values())})

    said = churn_definition({"churn_threshold": 0.5, "customers_count": 198, "refusal_reason": None}, days)

    assert "P(alive) below 0.5" in said
    assert "Judged: **150** of 198" in said
    assert "**40** bought on one day only" in said
    assert "**8** came back but first bought less than 91 days ago" in said


def test_churn_that_the_model_refused_is_defined_and_not_counted() -> None:
    said = churn_definition({"churn_threshold": 0.5, "customers_count": 9, "refusal_reason": "Too few came back."}, pl.DataFrame())

    assert "P(alive) below 0.5" in said
    assert "Judged" not in said


def test_customers_of_whom_the_model_is_not_sure_are_counted() -> None:
    bands = pl.DataFrame(
        {"alive_from_rate": [0.1, 0.3, 0.4, 0.6, 0.7], "is_churned": [True, True, True, False, False], "customers_count": [10, 5, 4, 3, 20]}
    )

    assert alive_title(bands) == "19 of 42 have probably left; of 12 it could be either (30 % to 70 %)"


def test_the_hold_out_says_how_far_off_model_and_naive_were() -> None:
    model = {"holdout_days": 91, "holdout_predicted_count": 9968.2, "holdout_actual_count": 7941.0, "holdout_bias_rate": 0.2552,
             "holdout_naive_bias_rate": 1.2236}  # fmt: skip

    assert holdout_title(model) == (
        "Tried on the 91 days it had not seen, the model expected 9,968 purchases and 7,941 came: +25.5 %; each customer's own past rate +122.4 %"
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (None, "the run made no scores"),
        ({"is_too_young": True}, "Too young"),
        ({"is_too_young": False, "is_one_time": True}, "no rhythm"),
        ({"is_too_young": False, "is_one_time": False, "p_alive": None, "refusal_reason": "Fewer than 100 came back."}, "Fewer than 100"),
    ],
)
def test_where_a_customer_cannot_be_judged_it_says_why(status: dict[str, object] | None, said: str) -> None:
    assert said in standing_words(status)


def test_a_judged_customer_comes_with_the_error_of_the_model() -> None:
    status = {
        "is_too_young": False,
        "is_one_time": False,
        "p_alive": 0.4,
        "is_churned": True,
        "holdout_bias_rate": 0.255,
        "holdout_value_bias_rate": None,
    }

    assert (
        standing_words(status)
        == "Likelier gone than still there. For all customers the model was off by +25.5 % in purchases in its hold-out."
    )


def test_best_customers_who_shrink_are_counted() -> None:
    frame = pl.DataFrame(
        {
            "all_share_rate": [0.081] * 3,
            "prior_net_reporting_amount": [5.0, 9.0, 0.0],
            "direction": ["growing", "shrinking", "nothing before"],
        }
    )

    assert best_title(frame) == "The 3 best customers bring 8.1 % of net sales; 1 of them shrink, 2 grow"
    assert best_title(frame.with_columns(prior_net_reporting_amount=None)).endswith("whether they grow is not known yet")


def test_a_pair_that_chance_explains_is_not_sold_as_a_finding() -> None:
    pair = {"item_name": "Cup", "other_name": "Plate", "order_count": 11, "lift": 7.6, "stands_out": False}

    assert pair_title(pair).startswith(
        "No pair stands out beyond chance; nearest to it: Cup and Plate were in 11 orders together, 7.6 times"
    )
    assert pair_title(pair | {"lift": 0.9}) == "No pair stands out beyond chance"
    assert pair_title(pair | {"stands_out": True}) == "Cup and Plate were in 11 orders together, 7.6 times as often as by chance"


def test_scores_by_lateness_name_small_samples() -> None:
    frame = pl.DataFrame(
        {
            "lateness": ["on time", "on time", "4 days late or more"],
            "low_rate": [0.056, 0.056, None],
            "lateness_reviews_count": [3535, 3535, 17],
        }
    )

    assert lateness_title(frame) == "Scores of 1 or 2: 5.6 % of orders on time, 0.0 % of orders 4 days late or more (n = 17)"


def test_a_pareto_names_the_few_that_make_half() -> None:
    few = pl.DataFrame(
        {
            "name": ["changed mind", "wrong size", "damaged"],
            "returned_qty": [40, 30, 30],
            "share_rate": [0.4, 0.3, 0.3],
            "cumulative_rate": [0.4, 0.7, 1.0],
        }
    )
    many = pl.DataFrame(
        {
            "name": list("ABCDEFGHIJ"),
            "returned_qty": [10] * 10,
            "share_rate": [0.1] * 10,
            "cumulative_rate": [0.1 * n for n in range(1, 11)],
        }
    )

    assert pareto_title(few, "reason") == "Changed mind and wrong size: 70.0 % of 100 units returned"
    assert pareto_title(many, "product") == "5 of 10 products make half of 100 units returned; first A"


def test_getting_worse_is_judged_by_samples_that_are_not_small() -> None:
    rates = pl.DataFrame({"name": ["A", "B", "C"], "rate": [0.5, 0.12, 0.05], "change": [0.4, 0.02, -0.01], "n": [8, 300, 200]})

    assert worsening_title(rates, "product") == "B got worse most: 12.0 % return rate, +2.0 pp; 1 of 2 products rose"
    assert worsening_title(rates.filter(name="C"), "product").startswith("No product is getting worse")
    assert worsening_title(rates.filter(name="A"), "product").startswith("Whether it is getting worse cannot be said yet")


def test_stages_add_up_and_name_the_longest() -> None:
    stages = ["Announced to received", "Received to refunded"]
    now = pl.DataFrame({"name": ["Now"] * 2 + ["Period before"] * 2, "stage": stages * 2, "stage_days": [6.1, 2.6, 6.0, 2.8]})

    assert stage_title(now) == "A return takes 8.7 days, longest from announced to received: 6.1 days; 8.8 days in the period before"


def test_goods_that_went_back_are_a_share_of_all_that_arrived() -> None:
    frame = pl.DataFrame(
        {"became": ["back in stock", "not back in stock"], "returned_qty": [75, 25], "cost_reporting_amount": [Decimal(900), Decimal(300)]}
    )

    assert goods_title(frame, "EUR") == "75.0 % of 100 units that arrived went back into stock; the others had cost EUR 300"
