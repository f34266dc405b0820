"""dbt's layers, held on its own manifest; and the source declaration, held on the contract."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from dashboards.queries.metrics import OVERVIEW_KPIS
from pipelines.cli.summary import HEADLINE
from pipelines.settings import Settings
from pipelines.steps.transform import DBT_PROJECT, prepare_manifest
from pipelines.stores import forecast_history, stock_history
from pipelines.stores.metrics import catalogue_from_manifest
from pipelines.stores.reports import reports_from_manifest
from pipelines.stores.source_contract import SOURCE_TABLES, WAREHOUSE_TYPES

PUBLIC_METRICS = {
    "active_customers", "aged_stock_rate", "aged_stock_value", "average_order_value", "blocked_order_hold_p50_hours",
    "blocked_order_hold_p90_hours", "blocked_orders", "blocked_value", "blocked_value_lost", "blocked_value_released",
    "cancellation_rate", "churn_rate", "contractual_churn_28_days_rate", "contractual_churn_month_rate",
    "customer_historical_value_mean", "customer_lifetime_value_predicted", "customer_purchases_holdout_error_rate",
    "customer_value_holdout_error_rate", "customers_alive", "cycle_service_level", "days_of_supply", "dead_stock_rate",
    "dead_stock_value", "discount_rate", "dso_days", "exception_rate", "excess_stock_rate", "excess_stock_value", "exchange_share",
    "forecast_bias", "forecast_interval_coverage", "forecast_mase", "forecast_override_value_added", "forecast_value_added",
    "forecast_wape", "fulfilment_accuracy", "gmroi", "gross_sales", "in_stock_rate", "inventory_turns", "invoice_to_cash_p50_days",
    "labour_cost", "labour_minutes_per_order", "late_orders_by_date",
    "late_orders_by_timestamp", "lead_time_actual_p50_days", "lead_time_actual_p90_days", "lead_time_promised_mean_days",
    "lead_time_promised_p50_days", "line_fill_rate", "net_sales", "net_sales_by_order_date", "new_customers", "on_time_in_full",
    "open_orders", "open_orders_mean_age_days", "open_orders_value", "order_cycle_time_mean_days", "order_cycle_time_net_mean_days",
    "order_cycle_time_net_p50_days", "order_cycle_time_net_p90_days", "order_cycle_time_p50_days", "order_cycle_time_p90_days",
    "order_fill_rate", "order_stage_approve_to_release_mean_days", "order_stage_create_to_approve_mean_days",
    "order_stage_release_to_ship_mean_days", "order_stage_ship_to_deliver_mean_days", "order_to_cash_p50_days", "order_to_cash_p90_days",
    "order_to_invoice_p50_days", "overdue_open_orders", "overdue_receivables", "perfect_order_rate", "rebates_accrued", "receivables",
    "reconciliation_differences", "reconciliation_match_rate", "refunds", "repeat_rate", "repeat_rate_91_days", "restock_value",
    "retained_revenue", "return_announced_to_received_mean_days", "return_cost_to_serve", "return_cycle_time_mean_days",
    "return_cycle_time_p50_days", "return_cycle_time_p90_days", "return_rate", "return_received_to_refunded_mean_days", "returned_units",
    "review_rate", "satisfaction_low_score_rate", "satisfaction_mean_score", "short_delivery_rate", "short_unit_rate", "stock_value",
    "supplier_on_time_rate", "touches_per_order", "touchless_rate", "unit_fill_rate", "units",
}  # fmt: skip

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    path = prepare_manifest(Settings(home=tmp_path_factory.mktemp("home")))
    parsed: Manifest = json.loads(path.read_text(encoding="utf-8"))
    return parsed


def models(manifest: Manifest, layer: str) -> list[dict[str, Any]]:
    found = [node for node in manifest["nodes"].values() if node["resource_type"] == "model" and node["fqn"][1] == layer]
    assert found, f"no model in {layer}"
    return found


def parents(manifest: Manifest, node: dict[str, Any]) -> list[str]:
    """Layers a node reads: the source's name for sources, the schema for models and seeds, which for models is the folder."""
    return [
        manifest["sources"][parent]["source_name"] if parent.startswith("source.") else manifest["nodes"][parent]["schema"]
        for parent in node["depends_on"]["nodes"]
    ]


def test_every_model_lies_in_a_known_layer(manifest: Manifest) -> None:
    layers = {node["fqn"][1] for node in manifest["nodes"].values() if node["resource_type"] == "model"}

    assert layers == {"staging", "intermediate", "marts", "utilities"}


def test_a_model_lies_in_the_schema_of_its_folder(manifest: Manifest) -> None:
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model":
            assert node["schema"] == node["fqn"][1], node["name"]


def test_what_is_assumed_stands_apart_and_says_what_a_row_is(manifest: Manifest) -> None:
    seeds = [node for node in manifest["nodes"].values() if node["resource_type"] == "seed"]

    assert {seed["schema"] for seed in seeds} == {"assumptions"}
    for seed in seeds:
        assert seed["description"].startswith("One row per "), seed["name"]
        assert set(seed["config"]["meta"]["grain"]) <= set(seed["columns"]), seed["name"]


def test_staging_reads_one_source_table_each_and_nothing_else(manifest: Manifest) -> None:
    for node in models(manifest, "staging"):
        (source,) = node["depends_on"]["nodes"]
        assert node["name"] == f"stg_{manifest['sources'][source]['source_name']}__{manifest['sources'][source]['name']}"
        assert node["config"]["materialized"] == "view"


def test_no_source_table_is_read_but_by_its_staging_model(manifest: Manifest) -> None:
    for layer in ("intermediate", "marts"):
        readers = [node["name"] for node in models(manifest, layer) if {"shop", "history", "meta"} & set(parents(manifest, node))]
        assert readers == []


def test_what_a_run_knows_enters_through_utilities_only(manifest: Manifest) -> None:
    readers = {
        node["name"]: set(parents(manifest, node))
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and "meta" in parents(manifest, node)
    }

    assert readers == {"run_context": {"meta"}, "changed_orders": {"meta"}, "draft_lines": {"meta"}, "order_changes": {"meta"}}


def test_what_python_planned_enters_through_views_only(manifest: Manifest) -> None:
    readers = {node["name"]: node["config"]["materialized"] for node in models(manifest, "marts") if "planning" in parents(manifest, node)}

    # Views, because they are built before the tables behind them are filled.
    views = ("fct_customer_status", "fct_customer_model", "fct_customer_holdout", "fct_forecast_errors", "fct_forecast_scores")
    assert readers == dict.fromkeys(views, "view")


def test_layers_never_read_upwards(manifest: Manifest) -> None:
    allowed = {
        "intermediate": {"staging", "intermediate", "utilities"},
        "marts": {"staging", "intermediate", "marts", "utilities", "assumptions", "planning"},
        "utilities": {"meta", "utilities"},
    }

    for layer, may_read in allowed.items():
        offenders = {node["name"]: set(parents(manifest, node)) - may_read for node in models(manifest, layer)}
        assert {name: read for name, read in offenders.items() if read} == {}


def test_the_semantic_layer_stands_on_marts_only(manifest: Manifest) -> None:
    read = {
        manifest["nodes"][parent]["fqn"][1] for model in manifest["semantic_models"].values() for parent in model["depends_on"]["nodes"]
    }

    assert read == {"marts"}


def test_every_mart_has_a_contract_and_says_what_a_row_is(manifest: Manifest) -> None:
    for node in models(manifest, "marts"):
        assert node["config"]["contract"]["enforced"], node["name"]
        assert node["description"].startswith("One row per "), node["name"]
        assert node["name"].startswith(("fct_", "dim_")), node["name"]
        grain = node["config"]["meta"]["grain"]
        assert grain, node["name"]
        assert set(grain) <= set(node["columns"]), node["name"]


def test_every_model_names_its_grain(manifest: Manifest) -> None:
    missing = [
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and not (node["config"]["meta"].get("grain") and node["description"].startswith("One row per "))
    ]

    assert missing == []


def test_every_mart_is_tested_for_its_grain(manifest: Manifest) -> None:
    tested = {
        node["attached_node"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and (node.get("test_metadata") or {}).get("name") in {"unique", "unique_grain"}
    }

    assert [node["name"] for node in models(manifest, "marts") if node["unique_id"] not in tested] == []


def test_dbt_takes_no_variables(manifest: Manifest) -> None:
    used = [path.name for path in DBT_PROJECT.rglob("*.sql") if "var(" in path.read_text(encoding="utf-8")]

    assert used == []


def test_sources_are_the_contract_field_by_field() -> None:
    declared = yaml.safe_load((DBT_PROJECT / "models/staging/shop/_shop__sources.yml").read_text(encoding="utf-8"))["sources"][0]

    assert {
        table["name"]: (table["description"], [(column["name"], column["data_type"]) for column in table["columns"]])
        for table in declared["tables"]
    } == {
        table.name: (
            table.description,
            [(field.warehouse_name, WAREHOUSE_TYPES[field.kind].lower().replace(" ", "")) for field in table.fields],
        )
        for table in SOURCE_TABLES.values()
    }


def test_kept_history_is_declared_as_it_is_written() -> None:
    declared = yaml.safe_load((DBT_PROJECT / "models/staging/history/_history__sources.yml").read_text(encoding="utf-8"))["sources"][0]

    assert {
        f"history.{table['name']}": [(column["name"], column["data_type"]) for column in table["columns"]] for table in declared["tables"]
    } == {
        name: [(column.split()[0], column.split()[1].lower()) for column in columns.split(", ")]
        for name, columns in (stock_history.TABLES | forecast_history.TABLES).items()
    }


def test_public_metrics_are_complete(manifest: Manifest) -> None:
    catalogue = catalogue_from_manifest(manifest)

    assert set(catalogue) == PUBLIC_METRICS
    for metric in catalogue.values():
        assert metric.label, metric.name
        assert metric.description, metric.name
        assert metric.owner, metric.name
        assert metric.unit in {"days", "hours", "minutes", "percent", "money", "count", "number"}, metric.name
        assert metric.better in {"higher", "lower"}, metric.name
        assert metric.needs, metric.name


def test_no_headline_rests_on_an_assumption(manifest: Manifest) -> None:
    catalogue = catalogue_from_manifest(manifest)

    assert [name for name in (*HEADLINE, *OVERVIEW_KPIS) if catalogue[name].assumption] == []


def test_amounts_in_the_reporting_currency_say_what_blocks_them(manifest: Manifest) -> None:
    expressions = {
        name: f"{metric.numerator.expression} {metric.denominator.expression if metric.denominator else ''}"
        for name, metric in catalogue_from_manifest(manifest).items()
        if not metric.blocked
    }

    assert [name for name, said in expressions.items() if "_reporting_amount" in said] == []


def test_metrics_and_dimensions_need_fields_the_contract_has(manifest: Manifest) -> None:
    known = {f"{table.name}.{name}" for table in SOURCE_TABLES.values() for name in table.field_names}

    for metric in catalogue_from_manifest(manifest).values():
        needs = set(metric.needs).union(*(dimension.needs for dimension in metric.dimensions.values()))
        assert needs <= known, metric.name


def test_a_report_that_a_metric_points_to_goes_by_the_name_it_is_called_with(manifest: Manifest) -> None:
    texts = [
        text
        for metric in catalogue_from_manifest(manifest).values()
        for text in (metric.description, *(one.text for one in metric.caveats))
    ]
    named = {name for text in texts for name in re.findall(r"ordercast report (\w+)", text)}

    assert "customer_model" in named
    assert named <= reports_from_manifest(manifest).keys()


def test_every_report_asks_a_question_of_columns_and_fields_that_exist(manifest: Manifest) -> None:
    known = {f"{table.name}.{name}" for table in SOURCE_TABLES.values() for name in table.field_names}
    reports = reports_from_manifest(manifest)  # refuses an order by columns that are not there

    assert {name for name, report in reports.items() if not report.question.endswith("?")} == set()
    assert {name for name, report in reports.items() if not set(report.needs) <= known} == set()
    assert {name for name, report in reports.items() if report.schema != "marts"} == set()
    columns = {
        f"{node['alias']}.{column}" for node in manifest["nodes"].values() if node["resource_type"] == "model" for column in node["columns"]
    }
    assert {name for name, report in reports.items() if report.compared and report.compared not in columns} == set()
