"""Series that never sold, put back beside those that forecasts were made from: zero where they were in stock, none where not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecasting.pooled import names_by_history, reasons_by_history
from forecasting.schema import HISTORY_MEAN, NO_MODEL, POOLED_ENSEMBLE, SEASONAL_NAIVE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray, IntArray


def put_back(matrix: SeriesMatrix, rows: IntArray, values: FloatArray) -> FloatArray:
    """[..., series] in units of all series, from those at `rows`; zero for the others, NaN for those never in stock."""
    if len(rows) == matrix.keys.height:
        return values
    result = np.empty((*values.shape[:-1], matrix.keys.height))
    result[...] = np.where(matrix.observed.any(axis=0), 0.0, np.nan)
    result[..., rows] = values
    return result


def names_put_back(matrix: SeriesMatrix, rows: IntArray, names: Sequence[str]) -> list[str]:
    """Per series the model its forecast came from; a silent one has the name that the others have."""
    usual = next((name for name in names if name not in {NO_MODEL, HISTORY_MEAN}), POOLED_ENSEMBLE)
    short = usual if usual == SEASONAL_NAIVE else HISTORY_MEAN
    result = [{POOLED_ENSEMBLE: usual, HISTORY_MEAN: short}.get(name, name) for name in names_by_history(matrix)]
    for row, name in zip(rows.tolist(), names, strict=True):
        result[row] = name
    return result


def reasons_put_back(matrix: SeriesMatrix, rows: IntArray, reasons: Sequence[str | None]) -> list[str | None]:
    """Per series why its forecast is not the model asked for."""
    result = reasons_by_history(matrix)
    for row, reason in zip(rows.tolist(), reasons, strict=True):
        result[row] = reason
    return result
