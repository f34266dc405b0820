"""Decisions about stock: what to order, and what scarce stock is worth where. Pure functions, deterministic by seed."""

from inventory.allocation import allocate
from inventory.fair_share import fair_share
from inventory.planning import OrderPlan, plan_orders
from inventory.policy import Policy
from inventory.promising import promise_dates
from inventory.replaying import Replay, replay
from inventory.sourcing import SourcingRules, source_orders
from inventory.transfers import transfers
from inventory.tuning import tune_items, tune_policy

__all__ = [
    "OrderPlan",
    "Policy",
    "Replay",
    "SourcingRules",
    "allocate",
    "fair_share",
    "plan_orders",
    "promise_dates",
    "replay",
    "source_orders",
    "transfers",
    "tune_items",
    "tune_policy",
]
