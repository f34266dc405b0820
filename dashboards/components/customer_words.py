"""What the columns of the tables about customers mean."""

from __future__ import annotations

from typing import Final

CUSTOMER_WORDS: Final = {
    "customer_key": "Stands for the shop's customer id, which is not kept here.",
    "segment": "By last order, orders and value, each in fifths of the customers with orders.",
    "order_count": "Orders so far.",
    "orders_mean": "Orders per customer so far.",
    "last_order_median_days": "Half of them ordered longer ago than this.",
    "net_reporting_amount": "Sales less refunds so far; what has no exchange rate is not in it.",
    "net_share_rate": "Their share of what all customers brought so far.",
    "historical_reporting_amount": "Their sales less refunds so far.",
    "predicted_reporting_amount": "What the model expects of them in the next 364 days.",
    "predicted_share_rate": "Their share of what is expected of all customers.",
    "value_reporting_amount": "What the model expects of them together in the next 364 days.",
    "least_reporting_amount": "What is expected of the one of them who is expected to bring least.",
    "alive_rate": "How likely the customer is still one, by the model of how often they ordered and how long ago.",
    "alive_before_rate": "The same 28 days before.",
    "expected_before_reporting_amount": "What was expected of them for 364 days, 28 days before.",
    "is_churned": "Whether P(alive) is below the threshold of the definition of churn.",
    "actual_count": "Days with a purchase that came in the weeks held out.",
    "predicted_count": "Such days that the model expected without knowing those weeks.",
    "naive_count": "Such days, had each customer gone on as often as before.",
}
OF_PERIOD: Final = {
    "value_rank": "Place by net sales of the period.",
    "net_reporting_amount": "Sales less refunds of the period; blank where one has no exchange rate.",
    "prior_net_reporting_amount": "The same of the equally long period before; blank where history does not reach back so far.",
    "change_reporting_amount": "Net sales less those of the period before.",
    "direction": "Growing or shrinking: by more than 10 % against the period before.",
    "net_sales_share_rate": "Of all net sales of the period, guests included.",
    "order_count": "Orders of the period.",
}
