"""What stock-outs cost weekly and monthly forecasts, by the rule that makes weeks and months of days on sale: docs/methods/panels.md.

Run: python benchmarks/panel_stock_outs.py /path/to/m5/sales_d1495_d1941.parquet
"""

from __future__ import annotations

import sys
from typing import Final

import numpy as np
import polars as pl

SERIES: Final = 4_000
LAST_DAY: Final = 419  # d_1913, so that no window reaches the public days d_1914-d_1941; cut-offs lie 28 days apart before it
SMOOTHING: Final = 0.2
RULES: Final = {"half": 0.5, "3/4": 0.75, "every day": 1.0}


def level(units: np.ndarray, known: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """[series] level of exponential smoothing of [series, period] over the known periods."""
    smooth, seen = np.zeros(len(units)), np.zeros(len(units))
    for period in range(units.shape[1]):
        seen += known[:, period]
        gain = np.where(known[:, period], np.maximum(SMOOTHING, 1 / np.maximum(seen, 1)), 0.0)
        smooth += gain * (units[:, period] - smooth)
    return smooth


def days_out(demand: np.ndarray, *, start: float, length: int, generator: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    """[series, day] spells out of stock, which begin more often after a sale."""
    out, is_out = np.zeros(demand.shape, dtype=bool), np.zeros(len(demand), dtype=bool)
    for day in range(demand.shape[1]):
        begins = generator.random(len(demand)) < start * np.where(demand[:, day] > 0, 1.5, 0.75)
        is_out = np.where(is_out, generator.random(len(demand)) > 1 / length, begins)
        out[:, day] = is_out
    return out


def main(path: str) -> None:
    sales = pl.read_parquet(path)
    generator = np.random.default_rng(0)
    everything = sales.select(name for name in sales.columns if name.startswith("d_")).to_numpy().astype(float)
    demand = everything[generator.choice(len(everything), SERIES, replace=False)]
    for days, name, horizon in ((7, "weeks", 4), (28, "months", 2)):
        for start, length in ((0.04, 3), (0.02, 5), (0.01, 10)):
            out = days_out(demand, start=start, length=length, generator=generator)
            errors: dict[str, list[float]] = {}
            for end in (LAST_DAY - 28 * window for window in range(4)):
                past = slice((end - horizon * days) % days, end - horizon * days)
                shape = (SERIES, -1, days)
                wanted, sold, on_sale = demand[:, past], np.where(out, 0.0, demand)[:, past], ~out[:, past]
                units, rate = sold.reshape(shape).sum(axis=2), on_sale.reshape(shape).mean(axis=2)
                levels = {"nothing out": level(wanted.reshape(shape).sum(axis=2), rate >= 0), "zeros": level(units, rate >= 0)}
                for rule, least in RULES.items():
                    levels[rule] = level(units / np.maximum(rate, 1e-9), rate >= least - 1e-9)
                coming = demand[:, end - horizon * days : end].reshape(shape).sum(axis=2)
                for rule, told in levels.items():
                    errors.setdefault(rule, []).append(float(np.abs(told[:, None] - coming).sum() / coming.sum()))
            print(f"{name}, spells of {length}:", {rule: round(float(np.mean(values)), 3) for rule, values in errors.items()})


if __name__ == "__main__":
    main(sys.argv[1])
