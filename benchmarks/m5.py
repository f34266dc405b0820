"""The M5 competition's last 447 days as a matrix of series, and its official score.

Usage: .venv/bin/python benchmarks/m5.py --data FOLDER_WITH_m5 (checks the score of seasonal naive: 0.8697)
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from scipy import sparse

from forecasting.matrix import SeriesMatrix
from forecasting.schema import FloatArray

FIRST_DAY: Final = 1495  # d_1495, the first one there is
LAST_DAY: Final = 1941
HORIZON: Final = 28
PUBLIC_ORIGIN: Final = 1913  # last training day of the public window, d_1914-d_1941
LEVELS: Final[dict[str, tuple[str, ...]]] = {
    "Level1": (), "Level2": ("region",), "Level3": ("location_id",), "Level4": ("department",), "Level5": ("category",),
    "Level6": ("region", "department"), "Level7": ("region", "category"), "Level8": ("location_id", "department"),
    "Level9": ("location_id", "category"), "Level10": ("sku",), "Level11": ("sku", "region"), "Level12": ("sku", "location_id"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scorer:
    """Weighted root mean squared scaled error over the 12 levels of M5.

    Attributes:
        sums: [aggregate, series]; sparse, 1 where a series is part of an aggregate.
        weights: Per aggregate; sums to 1 in each level.
        scales: Per aggregate; mean squared day-to-day difference of all training days up to d_1913.
        levels: Per aggregate, the number of its level from 0.
    """

    sums: sparse.csr_array
    weights: FloatArray
    scales: FloatArray
    levels: FloatArray

    def wrmsse_by_level(self, forecast: FloatArray, actual: FloatArray) -> FloatArray:
        """One score per level; both arrays are [period, series] in units.

        Source: Makridakis, Spiliotis and Assimakopoulos (2022), M5 accuracy competition, equations 1 and 2.
        """
        errors = ((self.sums @ (forecast - actual).T) ** 2).mean(axis=1)
        return np.bincount(self.levels.astype(np.int64), weights=self.weights * np.sqrt(errors / self.scales))

    def wrmsse(self, forecast: FloatArray, actual: FloatArray) -> float:
        """Mean of the levels' scores."""
        return float(self.wrmsse_by_level(forecast, actual).mean())


@dataclass(frozen=True, slots=True)
class M5:
    """All days of some or all series, and the score where they are all."""

    matrix: SeriesMatrix
    scorer: Scorer | None

    def known(self, origin: int) -> SeriesMatrix:
        """What was known on the evening of day d_`origin`."""
        return self.matrix.until(origin - FIRST_DAY + 1)

    def actual(self, origin: int, periods: int = HORIZON) -> FloatArray:
        """[period, series]; units of the days after d_`origin`."""
        first = origin - FIRST_DAY + 1
        return self.matrix.demand[first : first + periods]


def load(folder: Path, *, sample: int | None = None) -> M5:
    """Read it; a sample takes so many series at random, always the same ones, and has no scorer."""
    sales = pl.read_parquet(folder / "m5" / "sales_d1495_d1941.parquet").sort("item_id", "store_id")
    if sample is not None:
        sales = sales[np.sort(np.random.default_rng(0).permutation(sales.height)[:sample])]
    keys = sales.select(sku="item_id", location_id="store_id")
    attributes = sales.select(category="dept_id", department="cat_id", region="state_id")  # M5's departments are the finer ones
    calendar = pl.read_csv(folder / "m5" / "calendar.csv", try_parse_dates=True)
    demand = sales.select(f"d_{day}" for day in range(FIRST_DAY, LAST_DAY + 1)).to_numpy().T.astype(np.float64)
    observed = np.cumsum(demand, axis=0) > 0  # zeros before the first sale: not launched
    first_date = date(2011, 1, 29) + timedelta(days=FIRST_DAY - 1)
    matrix = SeriesMatrix(
        keys,
        "daily",
        first_date,
        np.ascontiguousarray(demand),
        observed,
        np.zeros_like(observed),
        attributes,
        _known_ahead(calendar),
        (None,) * keys.height,
    )
    return M5(matrix, _scorer(folder, matrix) if sample is None else None)


def _known_ahead(calendar: pl.DataFrame) -> pl.DataFrame:
    """demand_date, region, event, second_event, is_snap: one row per day and state."""
    return pl.concat(
        calendar.select(
            demand_date="date",
            region=pl.lit(state),
            event=pl.col("event_name_1"),
            second_event=pl.col("event_name_2"),
            is_snap=pl.col(f"snap_{state}") == 1,
        )
        for state in ("CA", "TX", "WI")
    )


def _scorer(folder: Path, matrix: SeriesMatrix) -> Scorer:
    official = pl.read_parquet(folder / "m5" / "weights_and_scale_public_window.parquet")
    facts = pl.concat([matrix.keys, matrix.attributes], how="horizontal").with_columns(Total=pl.lit("Total"), X=pl.lit("X"))
    sums, weights, scales, levels = [], [], [], []
    for number, (level, columns) in enumerate(LEVELS.items()):
        named = (*columns, "X")[:2] if columns else ("Total", "X")
        rows = official.filter(pl.col("level") == level).with_row_index("row")
        member = facts.join(
            rows, left_on=list(named), right_on=["agg1", "agg2"], how="left", maintain_order="left", validate="m:1"
        )["row"].to_numpy()  # fmt: skip
        sums.append(sparse.csr_array((np.ones(len(member)), (member, np.arange(len(member)))), shape=(rows.height, len(member))))
        weights.append(rows["weight"].to_numpy())
        scales.append(rows["scale_d1_1913"].to_numpy())
        levels.append(np.full(rows.height, number))
    return Scorer(sparse.csr_array(sparse.vstack(sums)), *map(np.concatenate, (weights, scales, levels)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    m5 = load(parser.parse_args().data)
    naive = np.tile(m5.actual(PUBLIC_ORIGIN - 7, 7), (HORIZON // 7, 1))
    assert m5.scorer is not None
    print(f"seasonal naive on d_1914-d_1941: {m5.scorer.wrmsse(naive, m5.actual(PUBLIC_ORIGIN)):.4f}")
    print(np.round(m5.scorer.wrmsse_by_level(naive, m5.actual(PUBLIC_ORIGIN)), 4))


if __name__ == "__main__":
    main()
