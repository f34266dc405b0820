"""What customers owe, pay, say and return at the simulated merchant, recounted from the tables alone."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.simulator import SimulatedMerchant


@pytest.fixture(scope="module")
def tables(busy_merchant: SimulatedMerchant) -> Mapping[str, pl.DataFrame]:
    return busy_merchant.tables


def local(column: str) -> pl.Expr:
    return pl.col(column).dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")


def billed(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per invoice with its order and what was paid."""
    paid = tables["payments"].group_by("invoice_id").agg(pl.col("amount").sum().alias("paid"), pl.col("paid_at").min(), pl.len().alias("n"))
    return tables["invoices"].join(tables["orders"], on="order_id").join(paid, on="invoice_id", how="left")


def test_each_order_that_began_to_leave_has_one_invoice_over_its_whole_price(tables: Mapping[str, pl.DataFrame]) -> None:
    left = tables["shipments"].group_by("order_id").agg(pl.col("shipped_at").min()).drop_nulls()

    invoices = tables["invoices"].join(tables["orders"], on="order_id").join(left, on="order_id")

    assert invoices.height == left.height == tables["invoices"].height
    assert invoices["issued_at"].equals(invoices["shipped_at"], check_names=False)
    assert invoices["amount"].equals(invoices["total_price"], check_names=False)
    assert invoices["amount"].min() > 0


def test_an_order_costs_what_its_lines_and_its_shipping_cost(tables: Mapping[str, pl.DataFrame]) -> None:
    lines = tables["order_lines"].group_by("order_id").agg((pl.col("quantity") * pl.col("unit_price") - pl.col("total_discount")).sum())

    orders = tables["orders"].join(lines, on="order_id")

    assert orders.filter(pl.col("total_price") != pl.col("quantity") + pl.col("total_shipping")).is_empty()


def test_web_orders_are_paid_when_placed_and_marketplace_orders_on_a_thursday(tables: Mapping[str, pl.DataFrame]) -> None:
    web, marketplace = (billed(tables).filter(pl.col("channel_id") == channel) for channel in ("web", "marketplace"))

    came_in = marketplace.filter(pl.col("paid").is_not_null())

    assert web.filter((pl.col("paid") != pl.col("amount")) | (pl.col("paid_at") > pl.col("issued_at"))).is_empty()
    assert web["paid_at"].equals((web["created_at"] + timedelta(seconds=15)).alias("paid_at"))
    assert set(came_in.select(local("paid_at").dt.weekday()).to_series()) == {4}
    assert came_in.filter(pl.col("paid") != pl.col("amount")).is_empty()
    assert ((marketplace["due_at"] - marketplace["issued_at"]) <= timedelta(days=8)).all()


def test_wholesale_customers_pay_in_thirty_days_or_late_or_in_part_or_never(tables: Mapping[str, pl.DataFrame]) -> None:
    wholesale = billed(tables).filter(pl.col("channel_id") == "wholesale", pl.col("due_at") < date(2026, 8, 15))

    shares = wholesale.select(
        in_time=((pl.col("paid_at") <= pl.col("due_at")) & (pl.col("paid") == pl.col("amount")) & (pl.col("n") == 1)).fill_null(value=False).mean(),
        late=((pl.col("paid_at") > pl.col("due_at")) & (pl.col("paid") == pl.col("amount"))).fill_null(value=False).mean(),
        short=(pl.col("paid") < pl.col("amount")).fill_null(value=False).mean(),
        never=pl.col("paid").is_null().mean(),
    )  # fmt: skip
    credit = wholesale.select((local("due_at").dt.date() - local("issued_at").dt.date()).unique()).to_series().to_list()

    assert credit == [timedelta(days=30)]
    assert shares["in_time"].item() == pytest.approx(0.77, abs=0.07)
    assert shares["late"].item() == pytest.approx(0.14, abs=0.06)
    assert 0 < shares["short"].item() < 0.07
    assert 0 < shares["never"].item() < 0.06
    assert wholesale.filter(pl.col("paid") > pl.col("amount")).is_empty()


def test_nobody_is_paid_back_before_he_has_paid_all_he_owes(tables: Mapping[str, pl.DataFrame]) -> None:
    refunds = tables["returns"].join(billed(tables).drop("created_at", "updated_at"), on="order_id", how="left", suffix="_billed")
    settled = tables["payments"].join(tables["invoices"], on="invoice_id").group_by("order_id").agg(settled_at=pl.col("paid_at").max())

    refunded = refunds.filter(pl.col("refunded_at").is_not_null()).join(settled, on="order_id", how="left")
    owed = refunds.filter(pl.col("refunded_at").is_null(), pl.col("received_at") < date(2026, 10, 15))

    assert refunded.filter((pl.col("paid") < pl.col("amount")).fill_null(value=True)).is_empty()
    assert refunded.filter(pl.col("refunded_at") <= pl.col("settled_at")).is_empty()
    assert (
        refunded.group_by("order_id", "paid").agg(pl.col("refund_amount").sum()).filter(pl.col("refund_amount") > pl.col("paid")).is_empty()
    )
    assert owed["channel_id"].unique().to_list() == ["wholesale"]
    assert refunded.filter(pl.col("channel_id") == "wholesale").height > owed.height > 0


def test_a_hold_lasts_from_the_event_that_placed_it_to_the_one_that_ended_it(tables: Mapping[str, pl.DataFrame]) -> None:
    events, holds = tables["order_events"], tables["payment_holds"].join(tables["orders"], on="order_id", suffix="_of_order")
    placed = events.filter(pl.col("event_type") == "manual_hold").select("order_id", held_at="occurred_at")
    approved = events.filter(pl.col("event_type") == "approved").select("order_id", approved_by_hand_at="occurred_at")

    both = holds.join(placed, on="order_id", how="full", coalesce=True).join(approved, on="order_id", how="left")

    assert both.filter(pl.col("held_at").is_null())["cancel_reason"].unique().to_list() == ["payment_failed"]
    assert both.filter(pl.col("held_at") != pl.col("placed_at")).is_empty()
    released, cancelled = (both.filter(pl.col("outcome") == outcome) for outcome in ("released", "cancelled"))
    assert released["released_at"].equals(released["approved_by_hand_at"], check_names=False)
    assert cancelled["released_at"].equals(cancelled["cancelled_at"], check_names=False)
    assert both.filter(pl.col("placed_at").is_null() | (pl.col("released_at") < pl.col("placed_at"))).is_empty()
    assert both.filter(pl.col("amount") != pl.col("total_price")).is_empty()
    assert min(released.height, cancelled.height) > 0


def test_reviews_follow_delivery_and_their_score_falls_with_lateness_as_is_true(
    busy_merchant: SimulatedMerchant, tables: Mapping[str, pl.DataFrame]
) -> None:
    delivered = tables["shipments"].group_by("order_id").agg(pl.col("delivered_at").max())
    reviews = tables["reviews"].join(tables["orders"], on="order_id", suffix="_of_order").join(delivered, on="order_id")
    late = pl.col("delivered_at") - pl.col("promised_delivery_at")
    lateness = (
        pl.when(late > timedelta(days=3))
        .then(pl.lit("very_late"))
        .when(late > timedelta(0))
        .then(pl.lit("late"))
        .otherwise(pl.lit("on_time"))
    )

    said = reviews.group_by(lateness=lateness).agg(pl.col("score").mean(), pl.len()).join(busy_merchant.truth.review_scores, on="lateness")

    lag = reviews["created_at"] - reviews["delivered_at"]
    assert timedelta(hours=12) <= lag.min() <= lag.max() <= timedelta(days=10, hours=1)  # clocks changed
    assert reviews.height / tables["orders"]["closed_at"].drop_nulls().len() == pytest.approx(0.29, abs=0.02)
    assert said.height == 3
    for row in said.to_dicts():
        assert row["score"] == pytest.approx(row["mean_score"], abs=4 / row["len"] ** 0.5), row


def test_subscriptions_end_at_the_true_rate(busy_merchant: SimulatedMerchant, tables: Mapping[str, pl.DataFrame]) -> None:
    contracts = tables["subscriptions"]
    until = pl.coalesce("cancelled_at", pl.lit(busy_merchant.data_until))

    months = contracts.select((until - pl.col("started_at")).dt.total_seconds().sum()).item() / 86_400 / (365.25 / 12)
    ended = contracts["cancelled_at"].is_not_null().sum()

    assert contracts.height / tables["customers"].height == pytest.approx(0.06, abs=0.02)
    assert ended / months == pytest.approx(busy_merchant.truth.subscription_monthly_hazard, rel=0.3)
    assert contracts.join(tables["customers"], on="customer_id").filter(pl.col("started_at") < pl.col("created_at")).is_empty()


def test_experiments_split_orders_evenly_and_only_since_they_began(
    busy_merchant: SimulatedMerchant, tables: Mapping[str, pl.DataFrame]
) -> None:
    assigned = tables["experiments"].join(tables["orders"], left_on="unit_id", right_on="order_id")
    begun = busy_merchant.truth.experiments.select("experiment_id", "started_date")

    in_b = assigned.group_by("experiment_id").agg((pl.col("variant") == "B").mean(), pl.len()).to_dicts()
    since = tables["orders"].filter(local("created_at").dt.date() >= begun["started_date"][0])

    assert assigned.join(begun, on="experiment_id").filter(local("created_at").dt.date() < pl.col("started_date")).is_empty()
    assert assigned["assigned_at"].equals(assigned["created_at"], check_names=False)
    assert {row["experiment_id"] for row in in_b} == {"packaging-2026", "delivery-window-2026"}
    for row in in_b:
        assert row["variant"] == pytest.approx(0.5, abs=1.5 / row["len"] ** 0.5), row
    assert assigned.filter(pl.col("experiment_id") == "packaging-2026").height == since.height
    assert assigned.filter(pl.col("experiment_id") == "delivery-window-2026")["channel_id"].unique().to_list() == ["web"]


def test_the_second_variant_of_each_experiment_does_what_the_truth_says(
    busy_merchant: SimulatedMerchant, tables: Mapping[str, pl.DataFrame]
) -> None:
    assigned = tables["experiments"].select("experiment_id", "variant", order_id="unit_id")
    effect = dict(busy_merchant.truth.experiments.select("experiment_id", "effect").rows())
    damaged = tables["return_lines"].filter(pl.col("reason_code") == "damaged").join(tables["returns"], on="return_id")
    road = (local("delivered_at").dt.date() - local("shipped_at").dt.date()).dt.total_days()

    returns = dict(damaged.join(assigned, on="order_id").filter(experiment_id="packaging-2026").group_by("variant").len().rows())
    parcels = tables["shipments"].filter(pl.col("delivered_at").is_not_null()).join(assigned, on="order_id")
    days = dict(parcels.filter(experiment_id="delivery-window-2026").group_by("variant").agg(road.mean()).rows())

    assert returns["B"] / returns["A"] - 1 == pytest.approx(effect["packaging-2026"], abs=0.2)
    assert days["B"] - days["A"] == pytest.approx(effect["delivery-window-2026"], abs=0.12)


def test_a_line_costs_what_the_price_list_said_when_it_was_ordered(tables: Mapping[str, pl.DataFrame]) -> None:
    prices = tables["prices"]
    orders = tables["orders"].filter(pl.col("currency") == "EUR").select("order_id", "created_at")
    lines = tables["order_lines"].join(orders, on="order_id").join(prices, on="sku")

    valid = lines.filter(pl.col("created_at") >= pl.col("valid_from"), (pl.col("created_at") < pl.col("valid_to")).fill_null(value=True))

    current = prices.filter(pl.col("valid_to").is_null()).join(tables["products"], on="sku")
    assert valid.height == tables["order_lines"].join(orders, on="order_id").height
    assert valid.filter(pl.col("unit_price") != pl.col("price")).is_empty()
    assert current.height == tables["products"].height < prices.height
    assert current["price"].equals(current["list_price"], check_names=False)


def test_rebates_rise_with_volume_and_the_first_tier_is_in_reach(tables: Mapping[str, pl.DataFrame]) -> None:
    tiers = tables["rebate_agreements"].sort("partner_id", "valid_from", "tier_from")
    bought = (
        tables["purchase_order_lines"].join(tables["purchase_orders"], on="po_id")
        .group_by(partner_id="supplier_id").agg((pl.col("received_qty") * pl.col("unit_cost")).sum().alias("amount"))
    )  # fmt: skip

    rising = tiers.group_by("partner_id", "valid_from").agg(pl.len(), (pl.col("rate").diff().drop_nulls() > 0).all())
    reached = tiers.join(bought, on="partner_id").filter(pl.col("amount") >= pl.col("tier_from"))

    assert rising["len"].to_list() == [3] * rising.height
    assert rising["rate"].all()
    assert 0 < reached.height < tiers.height


def test_what_is_exchanged_is_taken_by_the_same_customer_within_two_weeks(tables: Mapping[str, pl.DataFrame]) -> None:
    orders = tables["orders"].select("order_id", "customer_id", "created_at", "cancel_reason")
    returns = tables["returns"].join(orders, on="order_id", suffix="_of_order")

    exchanged = returns.join(orders, left_on="exchange_order_id", right_on="order_id", suffix="_taken")

    lag = exchanged["created_at_taken"] - exchanged["created_at"]
    assert 0.05 < exchanged.height / returns.height < 0.4
    assert exchanged.filter(pl.col("customer_id") != pl.col("customer_id_taken")).is_empty()
    assert timedelta(0) < lag.min() <= lag.max() <= timedelta(days=14)
    assert set(exchanged["cancel_reason_taken"]) <= {None, "out_of_stock"}
