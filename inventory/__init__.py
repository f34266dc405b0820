"""Decisions on stock: what to order, with the reason for each quantity, and what a policy would have cost."""

from inventory.planning import OrderPlan, plan_orders
from inventory.policy import Policy
from inventory.replaying import Replay, replay
from inventory.tuning import tune_policy

__all__ = ["OrderPlan", "Policy", "Replay", "plan_orders", "replay", "tune_policy"]
