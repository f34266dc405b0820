"""Models that are fitted series by series: statsforecast's AutoETS, AutoARIMA, AutoCES and MSTL, for those who ask for them.

They cost tens to thousands of times what the pooled methods cost and did not forecast better on any set that was tried; they are here
to be compared with, and for the rare long and smooth series. statsforecast is an extra (`ordercast[engines]`), imported when asked for.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from forecasting.pooled import PooledFit
    from forecasting.schema import FloatArray

ENGINES: Final = ("auto_ets", "auto_arima", "auto_ces", "mstl")
LEAST_SEASONS: Final = 2  # STL and seasonal models need them; a shorter history is fitted without a season, MSTL not at all
LEAST_PERIODS: Final = 10
MOST_TIMES_LARGEST: Final = 3.0  # a mean above so many times the largest demand ever seen is a model that ran away


class EngineUnavailableError(ImportError):
    """statsforecast is not installed, or does not load. The message says what to install."""


@dataclass(frozen=True, slots=True)
class EngineOutlook:
    """What an engine says; a series that it could not fit has NaN and a reason.

    Attributes:
        point: [period, series]; mean demand in units, never below 0.
        quantiles: [level, period, series]; of single periods, never to be added up.
        reasons: Per series, why there is no forecast; None where there is one.
    """

    point: FloatArray
    quantiles: FloatArray
    reasons: list[str | None]


def engine_outlook(fit: PooledFit, *, model: str, periods: int, levels: tuple[float, ...]) -> EngineOutlook:
    """Mean and quantiles of one engine, each series fitted on its own from its first to its last observed period.

    An engine knows nothing of censored periods, so those inside are filled with what the pooled fit expected. Each series
    is divided by its mean first: likelihood and tolerances inside the engines depend on the unit, a forecast must not.
    What an engine raises for one series is that series' reason, never the end of the run.

    Source: Hyndman and Khandakar (2008), Automatic time series forecasting, JSS 27(3); Svetunkov, Kourentzes and Ord (2022), Complex
    exponential smoothing, NRL 69; Bandara, Hyndman and Bergmeir (2021), MSTL, arXiv:2107.13462.

    Args:
        fit: The pooled fit of the same series.
        model: One of `ENGINES`.
        periods: How many coming periods.
        levels: Probabilities.

    Raises:
        EngineUnavailableError: statsforecast is not there. Nothing was computed.
        ValueError: The model is not one of `ENGINES`.
    """
    build = _builder(model)
    matrix = fit.matrix
    count = matrix.keys.height
    filled = np.where(matrix.observed, matrix.demand, fit.profile * fit.levels[:-1])
    point, quantiles = np.full((periods, count), np.nan), np.full((len(levels), periods, count), np.nan)
    reasons: list[str | None] = []
    for series in range(count):
        known = np.flatnonzero(matrix.observed[:, series])
        history = filled[known[0] : known[-1] + 1, series] if len(known) else np.empty(0)
        reason = _unfit(history, season_length=matrix.season_length, model=model)
        if reason is None:
            has_seasons = len(history) > LEAST_SEASONS * matrix.season_length
            mean, bands, reason = _fitted(
                build(matrix.season_length if has_seasons else 1),
                history,
                ahead=matrix.periods_count - 1 - known[-1],
                periods=periods,
                levels=levels,
            )
            if reason is None:
                point[:, series], quantiles[:, :, series] = mean, bands
        reasons.append(None if reason is None else f"{model}: {reason}")
    return EngineOutlook(point, quantiles, reasons)


def _builder(model: str) -> Callable[[int], Any]:
    if model not in ENGINES:
        raise ValueError(f"model: {model!r} is no engine; pass one of {', '.join(ENGINES)}.")
    try:
        from statsforecast import models  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise EngineUnavailableError(
            f"model: {model!r} needs statsforecast, which does not load ({error}); install the extra: pip install 'ordercast[engines]'."
        ) from error
    return {
        "auto_ets": lambda season: models.AutoETS(season_length=season),
        "auto_arima": lambda season: models.AutoARIMA(season_length=season),
        "auto_ces": lambda season: models.AutoCES(season_length=season),
        "mstl": lambda season: models.MSTL(season_length=season, trend_forecaster=models.AutoETS(model="ZZN")),
    }[model]


def _unfit(history: FloatArray, *, season_length: int, model: str) -> str | None:
    """Why a history cannot be given to an engine."""
    least = LEAST_SEASONS * season_length + 1 if model == "mstl" else LEAST_PERIODS
    if len(history) < least:
        return f"{len(history)} periods of history, {least} are needed"
    if history.max() == history.min():
        return f"demand is {history[0]:g} in all {len(history)} periods, which leaves nothing to fit"
    return None


def _fitted(
    engine: Any,  # statsforecast's models share no typed base
    history: FloatArray,
    *,
    ahead: int,
    periods: int,
    levels: tuple[float, ...],
) -> tuple[FloatArray, FloatArray, str | None]:
    """Mean [period] and quantiles [level, period], or why there are none; `ahead` periods lie between history and the first one."""
    unit = history.mean()
    widths = sorted({_width(level) for level in levels} - {0})
    nothing = np.empty(0)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of models tried on the way and not chosen
            said = engine.forecast(y=history / unit, h=ahead + periods, level=widths or None)
    except Exception as error:  # one series' failure is its reason; the engines raise what NumPy and C++ raise
        return nothing, nothing, f"failed with {type(error).__name__}: {error}"
    mean = np.asarray(said["mean"], dtype=np.float64)[ahead:] * unit
    if not np.isfinite(mean).all() or mean.max() > MOST_TIMES_LARGEST * history.max():
        return nothing, nothing, "its forecast is no number or ran away from all that was ever seen"
    bands = [
        mean
        if _width(level) == 0
        else np.asarray(said[f"{'hi' if level > 0.5 else 'lo'}-{_width(level)}"], dtype=np.float64)[ahead:] * unit
        for level in levels
    ]
    if not np.isfinite(bands).all():
        return nothing, nothing, "its intervals are no numbers"
    return np.maximum(mean, 0.0), np.maximum(bands, 0.0), None


def _width(level: float) -> int:
    """Percent of probability between a quantile and its mirror image: 0.9 and 0.1 bound 80 %."""
    return abs(round(200 * level) - 100)
