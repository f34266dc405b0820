"""Demand forecasts with evidence: pure functions over frames, deterministic by seed."""

from forecasting.backtest import backtest
from forecasting.forecast import forecast
from forecasting.intervals import lead_time_demand
from forecasting.panel import build_panel

__all__ = ["backtest", "build_panel", "forecast", "lead_time_demand"]
