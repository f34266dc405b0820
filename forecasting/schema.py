"""Names of columns and shapes of results that cross the border of this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

FloatArray = npt.NDArray[np.float64]
PathArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

Frequency = Literal["daily", "weekly", "monthly"]
Model = str  # a name of `forecasting.models.model_names`

SERIES_KEY: Final = ["sku", "location_id"]
PANEL_COLUMNS: Final = [*SERIES_KEY, "demand_date", "demand_qty", "is_censored"]

POOLED_ENSEMBLE: Final = "pooled_ensemble"
SEASONAL_NAIVE: Final = "seasonal_naive"
HISTORY_MEAN: Final = "history_mean"
NO_MODEL: Final = "none"

SEASON_PERIODS: Final[Mapping[Frequency, int]] = {"daily": 7, "weekly": 52, "monthly": 12}
CYCLE_PERIODS: Final[Mapping[Frequency, int]] = {"daily": 365, "weekly": 52, "monthly": 12}  # a year
LEAST_FIT_PERIODS: Final[Mapping[Frequency, int]] = {"daily": 14, "weekly": 8, "monthly": 6}  # fewer are forecast at their mean
RESIDUAL_PERIODS: Final[Mapping[Frequency, int]] = {"daily": 364, "weekly": 104, "monthly": 60}  # past errors that speak for coming ones
PERIOD_NAMES: Final[Mapping[Frequency, str]] = {"daily": "day", "weekly": "week", "monthly": "month"}


@dataclass(frozen=True, slots=True)
class ForecastResult:
    """Demand per series and day.

    Attributes:
        frame: sku, location_id, demand_date, demand_mean_qty and one demand_pNN_qty per level (units per day, null
            where a series has no day in stock), model, fallback_reason; sorted by series and day.
        smoothing: Weight of the newest day, chosen on all series together; null for seasonal naive.
        calendar_left_out: Columns of the calendar that were not used, each with the reason: "week only tells which day it is".
    """

    frame: pl.DataFrame
    smoothing: float | None
    calendar_left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeadTimeDemand:
    """Demand summed over coming periods, per series.

    Attributes:
        frame: sku, location_id, demand_mean_qty and one demand_pNN_qty per level (units over all periods), model,
            fallback_reason; sorted by series.
        coverage: Per probability level how often past sums stayed at or below what would have been said of them
            (coverage_rate, null where none could be tried), in so many windows (windows_count) of so many series together
            (series_windows_count).
        paths: Simulated demand, [series in the order of frame, path, period] in units per period, NaN where a series
            has no forecast; None unless paths were asked for.
    """

    frame: pl.DataFrame
    coverage: pl.DataFrame
    paths: PathArray | None


@dataclass(frozen=True, slots=True)
class Backtest:
    """What the models would have said on past cut-offs.

    Attributes:
        frame: cutoff_date, sku, location_id, demand_date, model, forecast_qty, forecast_p10_qty, forecast_p90_qty,
            actual_qty, is_censored; one row per cut-off, series, period and model, in this order. Quantities are float32.
        scores: class_kind, class_name, model, series_count and the metrics of `forecasting.scores`: over all series
            (class_kind "all"), then per class of volume and of pattern.
        series_scores: sku, location_id, model, the same metrics and fallback_reason at the last cut-off.
        step_scores: The same per model and step of the horizon, from 1 on.
        horizon_scores: Per probability level: how often demand over the whole horizon stayed at or below its quantile
            (coverage_rate), its weighted_quantile_loss, and series_windows_count behind it; for the pooled ensemble.
    """

    frame: pl.DataFrame
    scores: pl.DataFrame
    series_scores: pl.DataFrame
    step_scores: pl.DataFrame
    horizon_scores: pl.DataFrame


def quantile_column(level: float) -> str:
    """Name of the column for a probability level: 0.9 is demand_p90_qty, 0.975 is demand_p97_5_qty."""
    return f"demand_p{f'{100 * level:.10g}'.replace('.', '_')}_qty"


def check_levels(levels: tuple[float, ...]) -> None:
    """Levels are probabilities between 0 and 1, none twice.

    Raises:
        ValueError: One is not. Nothing was computed.
    """
    wrong = [level for level in levels if not 0.0 < level < 1.0]
    if wrong or len(set(map(quantile_column, levels))) != len(levels):
        raise ValueError(
            f"levels: {len(wrong)} of {len(levels)} do not lie between 0 and 1 or one is named twice, got {levels!r}; "
            "pass probabilities such as (0.1, 0.5, 0.9)."
        )


def check_frames(**frames: object) -> None:
    """Every frame that is not None is a Polars one with its rows at hand.

    Raises:
        ValueError: One is not. Nothing was computed.
    """
    for name, frame in frames.items():
        if frame is not None and not isinstance(frame, pl.DataFrame):
            hint = "call .collect() first" if isinstance(frame, pl.LazyFrame) else "pass pl.DataFrame(...) or pl.from_pandas(...)"
            raise ValueError(f"{name}: is a {type(frame).__name__} and has to be a Polars DataFrame; {hint}.")


def keys_as_given(frame: pl.DataFrame, panel: pl.DataFrame) -> pl.DataFrame:
    """The frame with sku and location_id of the panel's kind, so that the two join."""
    return frame.cast({name: panel.schema[name] for name in SERIES_KEY})


def check_frequency(frequency: str) -> Frequency:
    """Periods are days, weeks or months.

    Raises:
        ValueError: Something else was asked for. Nothing was computed.
    """
    for known in SEASON_PERIODS:
        if frequency == known:
            return known
    raise ValueError(f"frequency: {frequency!r} is not known; pass 'daily', 'weekly' or 'monthly' and a panel with one row per period.")


def check_positive(**values: int) -> None:
    """Every value is a whole number of at least one.

    Raises:
        ValueError: One is not. Nothing was computed.
    """
    for name, value in values.items():
        if not _is_whole(value) or value < 1:
            raise ValueError(f"{name}: has to be at least 1 and whole, got {value!r}; pass a positive int.")


def check_not_negative(**values: int) -> None:
    """Every value is a whole number of at least zero.

    Raises:
        ValueError: One is not. Nothing was computed.
    """
    for name, value in values.items():
        if not _is_whole(value) or value < 0:
            raise ValueError(f"{name}: has to be at least 0 and whole, got {value!r}; pass 0 or a positive int.")


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
