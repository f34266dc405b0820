"""What trees add to the pooled forecast on M5: WRMSSE by level, processor seconds and memory.

Usage: .venv/bin/python benchmarks/forecast_boosting.py --data FOLDER_WITH_m5 [--origins 1857 1885]
Choose on origins up to 1885; 1913 is the public window, run once per released method.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import time
from pathlib import Path

import numpy as np
from m5 import FIRST_DAY, HORIZON, M5, load

from forecasting.boosting import boosted_point
from forecasting.naive import seasonal_naive
from forecasting.pooled import fit_pooled
from forecasting.schema import FloatArray


def points(m5: M5, origin: int) -> None:
    """One line per method."""
    actual, known = m5.actual(origin), m5.known(origin)
    assert m5.scorer is not None
    naive = m5.scorer.wrmsse(np.nan_to_num(seasonal_naive(known, periods=HORIZON)), actual)
    started = time.process_time()
    fit = fit_pooled(known)
    pooled = np.nan_to_num(fit.point(HORIZON))
    show(m5, origin, pooled, name="pooled", naive=naive, seconds=time.process_time() - started)
    boosted = np.nan_to_num(boosted_point(fit, periods=HORIZON, seed=0))
    show(m5, origin, boosted, name="boosted", naive=naive, seconds=time.process_time() - started)


def show(m5: M5, origin: int, forecast: FloatArray, *, name: str, naive: float, seconds: float) -> None:
    assert m5.scorer is not None
    actual = m5.actual(origin)
    by_level = m5.scorer.wrmsse_by_level(forecast, actual)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    bias = forecast.sum() / actual.sum() - 1.0
    print(
        f"| d_{origin + 1}-d_{origin + HORIZON} | {name} | {by_level.mean():.4f} | {by_level.mean() / naive:.3f}x | {bias:+.1%} | "
        f"{seconds:.0f} | {peak} | {' '.join(f'{score:.3f}' for score in by_level)} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--origins", type=int, nargs="+", default=[1857, 1885])
    options = parser.parse_args()
    m5 = load(options.data)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {m5.matrix.keys.height:,} series\n")
    print("| window | method | WRMSSE | against naive | bias | CPU s | peak MB | levels 1-12 |\n|---|---|---|---|---|---|---|---|")
    for origin in options.origins:
        if origin - FIRST_DAY < HORIZON:
            parser.error(f"--origins: {origin} leaves too little to learn from")
        points(m5, origin)


if __name__ == "__main__":
    main()
