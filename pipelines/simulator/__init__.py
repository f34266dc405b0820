from pipelines.simulator.load import LoadCounts, continue_merchant, load_merchant
from pipelines.simulator.merchant import SimulatedMerchant, simulate
from pipelines.simulator.scenarios import SCENARIOS, Scenario

__all__ = ["SCENARIOS", "LoadCounts", "Scenario", "SimulatedMerchant", "continue_merchant", "load_merchant", "simulate"]
