"""A small published release in the shape that runs publish."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from pipelines.steps.recommend_rows import EXCLUSIONS, OUTLOOK, RECOMMENDATIONS, STEPS
from pipelines.stores.operational import OperationalStore
from pipelines.stores.recommendations import RecommendationRun, propose
from pipelines.stores.releases import ReleaseFacts, publish
from pipelines.stores.source_contract import SOURCE_TABLES

if TYPE_CHECKING:
    from pathlib import Path

AS_OF = date(2026, 11, 20)
NOW = datetime(2026, 11, 21, 6, 12, tzinfo=UTC)

# Orders a day for 120 days: each is promised after three days, ships after one, arrives after two; every twelfth is late.
# 112 orders lie in 28 days, and of those promised in the last 28 ten are late.
_MARTS = f"""
    create schema marts; create schema planning; create schema meta;
    create table meta.run_context as select 'run' as run_id, date '{AS_OF}' as as_of_date, 'Europe/Berlin' as reporting_time_zone,
        'EUR' as currency_code, 'Example merchant' as merchant_name, 'mapping:test' as origin;
    create table meta.check_results as select 'gx' as origin, 'orders' as subject, 212::bigint as checks_count, 0::bigint as failed_count;
    create table marts.dim_products as select * from (values
        ('A-1', 'Blue cup', 'Kitchen', true, 'S1'), ('B-2', '=HYPERLINK("x")', 'Kitchen', true, 'S2'), ('C-3', 'Green plate', 'Kitchen', true, null)
    ) as t(sku, title, category, is_active, supplier_id);
    create table marts.dim_product_classes as select 'A-1' as sku, 'A' as abc_class, 'X' as xyz_class;
    create table marts.dim_customers (customer_key varchar, segment varchar, first_channel_id varchar);
    create table marts.dim_locations as select * from (values ('L1', 'North'), ('L2', 'South')) as t(location_id, name);
    create table marts.dim_supplier_items as select *, 'EUR' as currency_code, 250000::bigint as order_minimum_amount
        from (values ('S1', 'A-1', 'Supplier one'), ('S2', 'B-2', 'Supplier two')) as t(supplier_id, sku, supplier_name);
    create table planning.silent_items as select 'C-3' as sku, 'L1' as location_id, 'budget' as kind, 'The budget goes elsewhere.' as reason;
    create table planning.order_choices as select 'k-a' as recommendation_key, qty as order_qty, enough_rate::double as enough_rate, lost_mean_qty::double as lost_mean_qty,
            holding_amount::decimal(18, 4) as holding_amount, lost_amount::decimal(18, 4) as lost_amount
        from (values (0, 0.1, 60, 0, 540), (120, 0.6, 10, 12, 90), (240, 0.95, 1, 32, 9), (480, 1.0, 0, 150, 0))
            as t(qty, enough_rate, lost_mean_qty, holding_amount, lost_amount);
    create table marts.fct_open_order_lines as select 'O-' || n || '-1' as order_line_id, 'O-' || n as order_id, 'C-3' as sku,
            'L1' as location_id, 'web' as channel_id, date '{AS_OF}' - 3 + n::int as ordered_date, date '{AS_OF}' + 1 as promised_ship_date
        from range(1, 4) as r(n);
    create table marts.fct_orders as
        select 'O' || day || '-' || number as order_id, date '{AS_OF}' - day::int as ordered_date, ordered_date + 3 as promised_delivery_date,
            ordered_date + 2 as delivered_date, 'derived' as promise_basis, 'derived' as ship_promise_basis, 'web' as channel_id,
            'L1' as location_id, 'DE' as ship_to_country, null::varchar as ship_to_region, false as is_cancelled, false as is_test,
            null::timestamp as closed_at, delivered_date > date '{AS_OF}' as is_open, (day * 4 + number) % 12 <> 0 as is_on_time_in_full, not is_on_time_in_full as is_late_by_date,
            not is_on_time_in_full as is_late_by_timestamp, 2.0 + number / 10.0 as cycle_time_days, 'EUR' as currency_code,
            is_on_time_in_full as is_perfect, is_on_time_in_full as is_filled, false as has_impossible_timeline, null::varchar as cancel_reason,
            null::varchar as carrier, null::varchar as customer_key
        from range(120) as d(day), range(4) as n(number);
    create table marts.fct_order_lines as
        select order_id || '/1' as order_line_id, order_id, 'A-1' as sku, channel_id, location_id, ship_to_country,
            ship_to_region, ordered_date, ordered_date + 1 as promised_ship_date, ordered_date + 1 as shipped_date, ship_promise_basis,
            10::bigint as ordered_qty, 10::bigint as shipped_qty, if(is_on_time_in_full, 10, 0)::bigint as shipped_on_time_qty,
            if(is_on_time_in_full, 0, 10)::bigint as returned_qty, 12345::bigint as net_amount, 'EUR' as currency_code, is_cancelled, is_test,
            true as is_fill_eligible, 0::bigint as given_up_qty, is_filled, customer_key
        from marts.fct_orders;
    create table marts.fct_ship_cohort_events as
        select shipped_date, sku, null::varchar as reason_code, shipped_qty, returned_qty, channel_id, location_id, ship_to_country, ship_to_region,
            null::varchar as customer_key, is_cancelled, is_test
        from marts.fct_order_lines;
    create table marts.fct_sales_events as
        select order_line_id as sales_event_id, 'sale' as event_type, ordered_date as event_date, ordered_date as order_date, true as is_first_line_of_order,
            net_amount, net_amount as net_reporting_amount, net_amount as gross_amount, net_amount as gross_reporting_amount, 10::bigint as qty,
            currency_code, null::varchar as customer_key, channel_id, location_id, ship_to_country, ship_to_region, sku
        from marts.fct_order_lines;
    create table marts.fct_stock_daily as
        select sku, 'L1' as location_id, date '{AS_OF}' - day::int as stock_date, (40 - day % 20)::bigint as on_hand_qty,
            on_hand_qty - 1 as available_qty, true as is_active_item, available_qty > 0 as is_in_stock, 'snapshot' as stock_basis,
            on_hand_qty * 250 as stock_value_reporting_amount, true as has_unit_cost
        from marts.dim_products, range(120) as d(day);
    create table marts.fct_backlog_daily as
        select date '{AS_OF}' - day::int as backlog_date, 'web' as channel_id, 'L1' as location_id, 'DE' as ship_to_country,
            null::varchar as ship_to_region, '0-1 days' as age_band, 8::bigint as open_orders_count, 0::bigint as overdue_orders_count,
            8::bigint as age_days, 98760::bigint as open_reporting_amount, 0::bigint as unpriced_orders_count
        from range(120) as d(day);
    create table marts.fct_order_transitions as
        select order_id, delivered_date as counted_date, delivered_date as to_date, 'end' as to_event, false as is_touch, true as is_touchless,
            null::double as labour_minutes, null::varchar as station, null::varchar as actor_role, channel_id, location_id, ship_to_country,
            ship_to_region, customer_key, is_test
        from marts.fct_orders;
    create table marts.fct_inventory_position as
        select sku, 'L1' as location_id, 31::bigint as on_hand_qty, 27::bigint as available_qty from marts.dim_products;
    create table marts.fct_inbound as select 'purchase_order' as reference_type, 'P1' as reference_id, 'A-1' as sku, 'L1' as location_id,
        date '{AS_OF}' + 4 as expected_date, 12::bigint as open_qty;
    create table planning.backtest_scores as select 'A-1' as sku, 'L1' as location_id, 'pooled_ensemble' as model, null::varchar as fallback_reason,
        8::bigint as windows_count, 14::bigint as horizon_days, 0.31 as wape_rate, 0.9 as mase, -0.02 as bias_rate, 0.43 as naive_wape_rate,
        1 - 0.31 / 0.43 as fva_rate, 1.1 as naive_mase, 0.0 as naive_bias_rate, 0.79 as band_coverage_rate, 6::bigint as censored_days_count, 120::bigint as history_days_count,
        date '{AS_OF}' - 2 as backtest_date;
    create table planning.forecast_checks (check_name varchar, is_passed boolean, reason varchar);
    create table planning.demand_series as select 'A-1' as sku, 'L1' as location_id, date '{AS_OF}' - 119 as first_date, null::varchar as reason;
    create table marts.fct_demand_daily as
        select 'A-1' as sku, 'L1' as location_id, date '{AS_OF}' - 2 * day::int as demand_date, 16::bigint as demand_qty from range(60) as d(day);
    create table planning.forecast_daily as
        select 'A-1' as sku, 'L1' as location_id, date '{AS_OF}' + day::int as demand_date, 'o-1' as override_id, 18::double as demand_mean_qty,
            11::double as demand_p10_qty, 18::double as demand_p50_qty, 26::double as demand_p90_qty, 9.4::double as statistical_mean_qty
        from range(1, 29) as d(day);
    create table meta.forecast_overrides as select 'o-1' as override_id, 'A-1' as sku, 'L1' as location_id, date '{AS_OF}' + 1 as from_date,
        date '{AS_OF}' + 28 as to_date, 'absolute' as kind, 18::double as value, 'TV *campaign*' as reason, 'ann' as author;
    create table marts.fct_promotion_days as select 'A-1' as sku, date '{AS_OF}' - day::int as promotion_date, 1::bigint as promotions_count
        from range(9, 12) as d(day);
    create table marts.fct_forecast_overrides as select 'A-1' as sku, 'L1' as location_id, 9::bigint as n, 30::double as override_absolute_error_qty,
        40::double as statistical_absolute_error_qty;
"""


@dataclass(frozen=True)
class Merchant:
    """What differs from the ordinary: absent source tables, whether anything is suggested, why not, overrides, an order to pull forward, when published."""

    absent_tables: tuple[str, ...] = ()
    has_suggestions: bool = True
    withheld_reason: str | None = None
    has_overrides: bool = True
    has_expedite: bool = False
    published_at: datetime = NOW - timedelta(minutes=14)


def suggestions() -> pl.DataFrame:
    """Two: one due today, one next week and dearer."""
    common = {"kind": "purchase", "currency_code": "EUR", "policy_version": "1", "basis": '{"service_level": 0.95}', "basis_version": 1}
    rows = [
        common
        | {
            "recommendation_key": "k-b", "location_id": "L2", "sku": "B-2", "supplier_id": "S2", "raw_qty": 90, "recommended_qty": 100, "unit_cost": 20,
            "order_by": AS_OF + timedelta(days=6), "need_by": AS_OF + timedelta(days=9), "expected_receipt": AS_OF + timedelta(days=9),
            "priority_score": 6.0, "p_stockout_if_ignored": 0.5, "cost_if_ignored_p50": 0, "cost_if_ignored_p90": 30,
            "cost_if_accepted": 9, "binding_constraint": "minimum_order", "reason": "Lasts about 9 days; 5.0 a day are wanted.",
        },
        common
        | {
            "recommendation_key": "k-a", "location_id": "L1", "sku": "A-1", "supplier_id": "S1", "raw_qty": 231, "recommended_qty": 240, "unit_cost": 8,
            "order_by": AS_OF, "need_by": AS_OF + timedelta(days=3), "expected_receipt": AS_OF + timedelta(days=12),
            "priority_score": 500.0, "p_stockout_if_ignored": 0.86, "cost_if_ignored_p50": 1310, "cost_if_ignored_p90": 2240,
            "cost_if_accepted": 41, "binding_constraint": "order_multiple", "reason": "Runs out in about 3 days; 9.4 a day are wanted.",
        },
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=RECOMMENDATIONS, strict=False)


def steps() -> pl.DataFrame:
    """The reckoning of the first."""
    rows = [
        ("k-a", 1, "Demand over lead and review time, p50", 178.0, "Lead time 12 days."),
        ("k-a", 2, "Recommended quantity", 240.0, None),
    ]
    return pl.DataFrame(rows, schema=STEPS, orient="row")


def outlook() -> pl.DataFrame:
    """Both suggestions run down three units a day, and the first is used up after nine days."""
    rows = [
        (key, AS_OF + timedelta(days=day), is_with_order, max(0.0, left - 5), max(0.0, left), left + 5)
        for key in ("k-a", "k-b")
        for is_with_order in (False, True)
        for day in range(20)
        for left in [27.0 - 3 * day + (240 if is_with_order and day >= 12 else 0)]
    ]
    return pl.DataFrame(rows, schema=OUTLOOK, orient="row")


def publish_release(home: Path, merchant: Merchant, *, catalogue: str) -> None:
    """The merchant's release stands under `home`, and the store beside it holds the suggestions."""
    proposals = suggestions() if merchant.has_suggestions else suggestions().clear()
    expedite = suggestions().filter(sku="A-1").with_columns(kind=pl.lit("expedite"), recommendation_key=pl.lit("k-e"), recommended_qty=48)
    facts = ReleaseFacts("20261121T055800-abcdef", AS_OF.isoformat(), merchant.published_at.isoformat(), "0.1.0", "c0ffee", 0, 212, 212)
    with duckdb.connect() as conn:
        conn.execute(_MARTS)
        if merchant.withheld_reason is not None:
            conn.execute("insert into planning.forecast_checks values ('bias_drift', false, ?)", [merchant.withheld_reason])
        if not merchant.has_overrides:
            conn.execute("delete from meta.forecast_overrides; delete from marts.fct_forecast_overrides")
            conn.execute("update planning.forecast_daily set override_id = null, demand_mean_qty = statistical_mean_qty")
        tables = {
            "meta.source_fields": _source_fields(merchant), "planning.recommendations": pl.concat([proposals, expedite], how="vertical_relaxed") if merchant.has_expedite else proposals, "planning.recommendation_steps": steps(),
            "planning.stock_outlook": outlook(),
            "planning.recommendation_exclusions": pl.DataFrame([("C-3", "L1", "E604", "No supplier sells this item.")], schema=EXCLUSIONS, orient="row"),
        }  # fmt: skip
        for name, frame in tables.items():
            conn.register("frame", frame.to_arrow())
            conn.execute(f"create table {name} as from frame")
        publish(conn, home / "releases", facts=facts, catalogue=catalogue, keep=2)
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}", must_exist=False) as store:
        store.migrate()
        run = RecommendationRun("run", AS_OF, facts.release_id, "0.1.0", "c0ffee", 0, "passed")
        propose(store, run, proposals, steps(), pl.DataFrame(schema={"recommendation_key": pl.String}))


def _source_fields(merchant: Merchant) -> pl.DataFrame:
    rows = [
        {"table_name": table.name, "field_name": field, "is_present": table.name not in merchant.absent_tables}
        for table in SOURCE_TABLES.values()
        for field in table.field_names
    ]
    return pl.DataFrame(rows)
