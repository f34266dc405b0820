"""What to order, where to put it and what it is worth: pure functions over frames."""

from inventory.allocation import allocate
from inventory.policy import Policy
from inventory.transfers import transfers

__all__ = ["Policy", "allocate", "transfers"]
