"""Decisions on stock: what to order, with the reason for each quantity, and what a policy would have cost."""

from inventory.policy import Policy

__all__ = ["Policy"]
