"""Decisions on stock: what to order, with the reason for each quantity, and what a policy would have cost."""

from inventory.planning import OrderPlan, plan_orders
from inventory.policy import Policy

__all__ = ["OrderPlan", "Policy", "plan_orders"]
