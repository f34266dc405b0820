"""Property tests judge results, not the speed of the machine they run on; one busy merchant serves every test that reads its tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings

from pipelines.simulator import SCENARIOS, SimulatedMerchant, simulate

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def busy_merchant() -> SimulatedMerchant:
    """Large enough for shares to be told apart, and quick."""
    return simulate(replace(SCENARIOS["calm"], noise=1.0, promotion_rate=1.0, orders=20_000, customers=5_000), seed=4)
