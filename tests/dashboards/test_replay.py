from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dashboards import jobs
from dashboards.components import baseline_panel, experiment_panel, replay_panel, tables, what_if_panel
from dashboards.queries import experiments, releases, replay
from dashboards.queries.releases import Served
from dashboards.queries.replay import Scenario, scenario_of
from forecasting.comparison import Arm, Comparison
from pipelines.stores.experiments import MetricComparison
from tests.dashboards.conftest import open_at
from tests.dashboards.example_release import Merchant
from tests.dashboards.test_overview import words

Publish = Callable[[Merchant], None]


def result(policy: str, cost: float, fill_rate: float | None = 0.95) -> dict[str, Any]:
    return {
        "policy": policy, "fill_rate": fill_rate, "orders_count": 10, "holding_amount": cost / 2, "lost_margin_amount": cost / 2,
        "cost_at_low_demand_amount": cost - 1, "cost_at_high_demand_amount": cost + 1, "stock_value_amount": 500.0, "cost_amount": cost,
    }  # fmt: skip


def side(orders: int, amount: float, *, run_out: int = 5, more: float | None = None) -> dict[str, Any]:
    money = [{"currency_code": "EUR", "order_amount": amount, "at_risk_amount": 100.0}]
    if more is not None:
        money.append({"currency_code": "USD", "order_amount": more, "at_risk_amount": 0.0})
    return {
        "orders_count": orders, "order_qty": orders * 10, "money": money, "likely_to_run_out_count": run_out, "excluded_count": 3,
        "not_available": None,
    }  # fmt: skip


def effect(verdict: str, size: float = 0.01) -> MetricComparison:
    told = Comparison("B", "A", size, size - 0.005, size + 0.005, size, size, size, 0.01, 0.01, 0.02, 5_000, verdict)  # type: ignore[arg-type]
    arms = (Arm("A", 40, 0.9, 0.01, 39), Arm("B", 50, 0.9 + size, 0.01, 49))
    return MetricComparison(
        "e", "order", "otif", "On time in full", "percent", "higher", None, "A", "compared", None, 0.5, {}, arms, (told,)
    )


def test_a_scenario_is_the_same_in_options() -> None:
    scenario = Scenario(demand=-12.5, lead_time=7, cost=5.0, service_level=98.0, supplier_fails="SUP-01", closes="LOC-EAST")

    options = scenario.options

    assert dict(options) == {
        "--demand": "-12.5%", "--lead-time": "+7", "--cost": "+5%", "--service-level": "0.98", "--supplier-fails": "SUP-01",
        "--closes": "LOC-EAST",
    }  # fmt: skip
    assert scenario_of(dict(options)) == scenario


def test_nothing_supposed_asks_nothing() -> None:
    assert Scenario().is_as_it_is
    assert Scenario().options == []
    assert not Scenario(closes="L1").is_as_it_is


def test_money_of_two_currencies_is_never_added() -> None:
    figures = replay.figures({"base": side(4, 100.0), "changed": side(6, 150.0, more=80.0)})

    cost = figures.filter(pl.col("name") == "Cost of orders").select("currency_code", "base", "scenario", "change").rows()
    assert cost == [("EUR", 100.0, 150.0, 50.0), ("USD", 0.0, 80.0, 80.0)]
    assert what_if_panel.answer_title(figures) == "2 more items to order, orders cost EUR 50 more and USD 80 more"


@pytest.mark.parametrize(
    ("base", "changed", "title"),
    [
        (side(4, 100.0), side(4, 100.0), "Nothing changes"),
        (
            side(400, 900.0, run_out=9),
            side(90, 90.0, run_out=7),
            "310 fewer items to order, orders cost EUR 810 less, 2 fewer are likely to run out",
        ),
    ],
)
def test_a_scenario_is_told_in_one_sentence(base: dict[str, Any], changed: dict[str, Any], title: str) -> None:
    assert what_if_panel.answer_title(replay.figures({"base": base, "changed": changed})) == title


def test_the_line_joins_what_no_other_policy_beats_and_leaves_the_bound_out() -> None:
    results = [
        result("current", 300.0, 0.97),
        result("ours", 200.0, 0.95),
        result("textbook", 250.0, 0.94),
        result("clairvoyant", 90.0, 0.99),
    ]

    found = replay.policies({"results": results})

    assert found["policy"].to_list() == ["ours", "textbook", "current", "clairvoyant"]
    assert found.filter("is_best")["policy"].to_list() == ["ours", "current"]
    assert found["cost_change_amount"].to_list() == [-100.0, -50.0, 0.0, -210.0]
    title = "Path newsvendor, tuned would have cost least, EUR 200: EUR 100 less than as now, at a fill rate -2.0 pp"
    assert replay_panel.answer_title(found, "EUR") == title


def test_a_replay_without_the_current_policy_compares_with_nothing() -> None:
    found = replay.policies({"results": [result("ours", 200.0, None), result("textbook", 250.0)]})

    assert found["cost_change_amount"].to_list() == [None, None]
    assert replay_panel.answer_title(found, "EUR") == "Path newsvendor, tuned would have cost least, EUR 200"


def test_items_left_out_are_counted_by_what_is_wrong_with_them() -> None:
    reasons = ["Sold on 3 days only, 5 are needed.", "Sold on 2 days only, 5 are needed.", "Item is inactive."]

    found = replay.left_out({"left_out": [{"sku": "A", "location_id": "L", "reason": one} for one in reasons]})

    assert found.rows() == [
        ("Sold on so many days only, so many are needed, such as: Sold on 3 days only, 5 are needed.", 2),
        ("Item is inactive.", 1),
    ]


@pytest.mark.parametrize(
    ("found", "verdict", "title"),
    [
        (effect("different", 0.02), "better", "B against A: better on On time in full"),
        (effect("different", -0.02), "worse", "B against A: worse on On time in full"),
        (effect("no_difference_shown"), "no_difference_shown", "No difference is shown"),
        (effect("underpowered"), "underpowered", "No difference is shown, and on 1 metric it is too early to say"),
    ],
)
def test_a_verdict_says_which_way_and_when_it_is_too_early(found: MetricComparison, verdict: str, title: str) -> None:
    effects = experiments.effects([found])

    assert effects["verdict"].to_list() == [verdict]
    assert experiment_panel.answer_title(effects) == title
    assert set(effects["verdict"]) <= set(experiment_panel.VERDICTS)


def test_a_review_counts_its_verdicts() -> None:
    rows = experiments.reviewed(
        [
            {"name": name, "label": name, "days": 60, "unit": "count", "before": 1.0, "n_before": 9, "verdict": verdict}
            for name, verdict in (("a", "not_yet"), ("b", "better"), ("c", "worse"), ("d", "same"))
        ]
    )

    assert rows["name"].to_list() == ["c", "b", "d", "a"]
    assert baseline_panel.answer_title(rows, 60) == "60 days after: 1 metric better, 1 worse, 1 about the same; 1 without a verdict"
    assert baseline_panel.answer_title(rows.filter(pl.col("verdict") == "not_yet"), 90).startswith("No verdict 90 days after yet")


def test_a_question_is_asked_on_the_page_and_its_answer_drawn(home: Path, publish_for: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_for(Merchant())
    monkeypatch.setenv("ORDERCAST_OPERATOR", "ada")
    answer = {
        "base": side(4, 100.0), "changed": side(6, 150.0),
        "lines": [{"sku": "A-1", "location_id": "L1", "base_qty": 0, "scenario_qty": 20}],
        "newly_excluded": [{"sku": "B-2", "location_id": "L2", "reason": "No supplier is left."}],
    }  # fmt: skip
    (home / "answer.json").write_text(json.dumps(answer), encoding="utf-8")
    monkeypatch.setattr(jobs, "COMMAND_LINE", (sys.executable, "-c", f"print(open({str(home / 'answer.json')!r}).read())"))
    exported: dict[str, dict[str, str]] = {}
    monkeypatch.setattr(tables, "export_button", lambda _, *, name, filters, **_named: exported.update({name: filters}))
    page = open_at("views/replay.py", demand="20").run()
    assert "What if demand is 20 % higher?" in words(page)

    next(button for button in page.button if button.label == "Compare").click().run()

    end = time.monotonic() + 15
    while "more items to order" not in words(page):
        assert time.monotonic() < end, words(page)
        time.sleep(0.1)
        page.run()
    said = words(page)
    assert not page.exception
    assert "2 more items to order, orders cost EUR 50 more" in said
    assert "One item differs" in said
    assert "1 item could not be ordered any more" in said
    assert {one.label: one.value for one in page.metric}["Cost of orders"] == "EUR 150"
    assert exported == {key: {"demand": "+20%"} for key in ("what-if", "what-if-items", "what-if-excluded")}


def test_a_viewer_reads_why_the_button_does_not_work(home: Path, publish_for: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_for(Merchant())
    monkeypatch.setattr(jobs, "asker", lambda: jobs.Asker("vera", "Read-only: vera is a viewer."))

    page = open_at("views/replay.py", demand="20").run()

    assert next(button for button in page.button if button.label == "Compare").disabled
    assert "vera is a viewer" in words(page)


def test_words_of_a_scenario_name_suppliers_and_places(publish_for: Publish, home: Path) -> None:
    publish_for(Merchant())
    served = releases.served()
    assert isinstance(served, Served)

    scenario = Scenario(demand=10.0, supplier_fails="S1", closes="L2")

    assert scenario.in_words(served) == "demand is 10 % higher, Supplier one delivers nothing and South orders nothing"
    assert scenario.address(served) == {"demand": "10", "supplier_fails": "Supplier one", "closes": "South"}
