"""Decisions about stock: pure functions over frames, deterministic by seed."""

from inventory.sourcing import SourcingRules, source_orders

__all__ = ["SourcingRules", "source_orders"]
