"""Swiss customers of the simulated merchant: who they are, what they pay, and by which rate."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.simulator import SimulatedMerchant

HALF_A_RAPPEN = 0.005


@pytest.fixture(scope="module")
def tables(busy_merchant: SimulatedMerchant) -> Mapping[str, pl.DataFrame]:
    return busy_merchant.tables


def rate_of_day(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Orders in francs with the last rate quoted by their local day."""
    day = pl.col("created_at").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin").dt.date()
    orders = tables["orders"].filter(pl.col("currency") == "CHF").with_columns(day=day).sort("day")
    return orders.join_asof(tables["fx_rates"].sort("rate_date").select("rate_date", "rate"), left_on="day", right_on="rate_date")


def test_a_few_customers_live_in_switzerland_and_they_alone_pay_in_francs(tables: Mapping[str, pl.DataFrame]) -> None:
    orders = tables["orders"].join(tables["customers"], on="customer_id")

    by_country = set(
        orders.select("country", "ship_to_country", "currency").filter(pl.any_horizontal(pl.all().is_in(["CH", "CHF"]))).rows()
    )

    assert by_country == {("CH", "CH", "CHF")}
    assert (tables["customers"]["country"] == "CH").mean() == pytest.approx(0.03, abs=0.01)
    assert set(orders["currency"]) == {"EUR", "CHF"}


def test_francs_are_quoted_on_weekdays_from_before_the_first_order_to_the_last_day(tables: Mapping[str, pl.DataFrame]) -> None:
    rates = tables["fx_rates"].sort("rate_date")

    days = rates["rate_date"]

    weekdays = pl.date_range(date(2026, 4, 28), date(2026, 10, 31), eager=True)
    assert days.to_list() == weekdays.filter(weekdays.dt.weekday() <= 5).to_list()
    assert set(rates.select("from_currency", "to_currency").rows()) == {("CHF", "EUR")}
    assert rates["rate"].is_between(0.85, 1.35).all()
    assert rates["rate"].n_unique() > 100


def test_a_price_in_francs_is_the_list_price_by_the_rate_of_the_day(tables: Mapping[str, pl.DataFrame]) -> None:
    orders = rate_of_day(tables).select("order_id", "created_at", "rate", "day", "rate_date")
    lines = tables["order_lines"].join(orders, on="order_id").join(tables["prices"], on="sku")

    valid = lines.filter(pl.col("created_at") >= pl.col("valid_from"), (pl.col("created_at") < pl.col("valid_to")).fill_null(value=True))

    off = (valid["unit_price"].cast(pl.Float64) - valid["price"].cast(pl.Float64) / valid["rate"]).abs()
    assert valid.height > 500
    assert off.max() <= HALF_A_RAPPEN + 1e-9
    assert (orders["day"] - orders["rate_date"]).max() <= timedelta(days=2)


def test_what_is_billed_and_refunded_is_in_the_orders_currency(tables: Mapping[str, pl.DataFrame]) -> None:
    swiss = tables["orders"].filter(pl.col("currency") == "CHF")
    lines = tables["order_lines"].with_columns(net=pl.col("quantity") * pl.col("unit_price") - pl.col("total_discount"))
    returns = tables["returns"].join(tables["orders"], on="order_id", suffix="_of_order").join(tables["return_lines"], on="return_id")
    returned = returns.join(lines, on="order_line_id", suffix="_sold").filter(pl.col("refund_amount").is_not_null())

    billed = tables["invoices"].join(swiss, on="order_id")

    due = returned["net"].cast(pl.Float64) * returned["quantity"] / returned["quantity_sold"]
    assert billed.height > 0
    assert billed["amount"].equals(billed["total_price"], check_names=False)
    assert returns.filter(pl.col("currency") != pl.col("currency_of_order")).is_empty()
    assert (returned["refund_amount"].cast(pl.Float64) - due).abs().max() <= HALF_A_RAPPEN + 1e-9
    assert "CHF" in set(returned["currency"])


def test_shipping_is_free_from_the_same_value_in_either_currency(tables: Mapping[str, pl.DataFrame]) -> None:
    parcels = tables["shipments"].filter(pl.col("service") == "standard").select("order_id").unique()
    net = pl.col("total_price").cast(pl.Float64) - pl.col("total_shipping").cast(pl.Float64)

    orders = rate_of_day(tables).join(parcels, on="order_id").with_columns(value=net * pl.col("rate"))

    free = orders["total_shipping"].cast(pl.Float64) == 0
    assert orders.filter(free)["value"].min() > 48.95
    assert orders.filter(~free)["value"].max() < 49.05
