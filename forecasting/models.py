"""Forecasts by the name of their model: `outlook` is what forecasts and backtests have in common."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.boosting import boosted_point, why_not_boosted
from forecasting.drift import drift_factor
from forecasting.engines import ENGINES, engine_outlook
from forecasting.intervals import daily_quantiles
from forecasting.like_items import LIKE_ITEMS, like_start
from forecasting.mending import joined, series_notes
from forecasting.naive import naive_outlook
from forecasting.outliers import cut_outliers, cut_reasons
from forecasting.pooled import ENSEMBLE, PooledFit, fit_pooled
from forecasting.schema import HISTORY_MEAN, NO_MODEL, POOLED_ENSEMBLE, SEASONAL_NAIVE, FloatArray
from forecasting.selection import choose
from forecasting.silent import names_put_back, put_back, reasons_put_back
from forecasting.smoothing import adida_levels, imapa_levels, naive_levels, sba_levels, ses_levels, tsb_levels
from forecasting.trends import holt_damped_growth, theta_growth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import IntArray
    from forecasting.smoothing import LevelMethod

LIGHTGBM: Final = "lightgbm"
LEVEL_METHODS: Final[Mapping[str, Sequence[LevelMethod]]] = {
    POOLED_ENSEMBLE: ENSEMBLE,
    "naive": (naive_levels,),
    "ses": (ses_levels,),
    "tsb": (tsb_levels,),
    "sba": (sba_levels,),
    "adida": (adida_levels,),
    "imapa": (imapa_levels,),
}
GROWTHS: Final = {"holt_damped": holt_damped_growth, "theta": theta_growth}


@dataclass(frozen=True, slots=True)
class Outlook:
    """Demand of coming periods as one model sees it.

    Attributes:
        point: [period, series]; mean demand in units, NaN where nothing is known.
        quantiles: [level, period, series] in units; of single periods, never to be added up.
        names: Per series, the model its forecast came from.
        reasons: Per series, why it is not the model asked for, or what was mended; None where all is as asked.
        smoothing: Weight of the newest period, where there is one for all series.
        fit: What "auto" was made from, for those who ask for its sums; None of other models. Of series that have sold only.
        fit_rows: Positions of the fit's series.
    """

    point: FloatArray
    quantiles: FloatArray
    names: list[str]
    reasons: list[str | None]
    smoothing: float | None
    fit: PooledFit | None = None
    fit_rows: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def model_names() -> list[str]:
    """Every name that `outlook` knows, "auto" first."""
    return list(_MODELS)


def outlook(matrix: SeriesMatrix, *, model: str, periods: int, levels: tuple[float, ...], seed: int = 0) -> Outlook:
    """Demand of the periods after the last one; series that never sold are set aside before anything is fitted or chosen.

    Args:
        matrix: Demand of all series.
        model: A name of `model_names`. "auto" is what was best for all series together on past cut-offs.
        periods: How many.
        levels: Probabilities of the quantiles.
        seed: For models that draw.

    Raises:
        ValueError: No model has this name. Nothing was computed.
    """
    if model not in _MODELS:
        raise ValueError(f"model: {model!r} is not known; pass one of {', '.join(_MODELS)}.")
    demand, limits = cut_outliers(matrix.demand)
    matrix = matrix if demand is matrix.demand else dataclasses.replace(matrix, demand=demand)
    selling, rows = matrix.selling()
    seen = _with_silent(matrix, rows, _MODELS[model](selling, periods=periods, levels=levels, seed=seed))
    seen = seen if model == SEASONAL_NAIVE else _with_like_start(matrix, seen, levels=levels)
    return dataclasses.replace(seen, reasons=joined(series_notes(matrix), cut_reasons(limits), seen.reasons))


def _with_silent(matrix: SeriesMatrix, rows: IntArray, seen: Outlook) -> Outlook:
    """The outlook of all series from that of those at `rows`, which have sold."""
    return dataclasses.replace(
        seen,
        point=put_back(matrix, rows, seen.point),
        quantiles=put_back(matrix, rows, seen.quantiles),
        names=names_put_back(matrix, rows, seen.names),
        reasons=reasons_put_back(matrix, rows, seen.reasons),
        fit_rows=rows,
    )


def _with_like_start(matrix: SeriesMatrix, seen: Outlook, *, levels: tuple[float, ...]) -> Outlook:
    """Young series start where those like them stood at their age."""
    young = like_start(matrix, seen.point, seen.quantiles, levels=levels)
    if not len(young.rows):
        return seen
    point, quantiles, names, reasons = seen.point.copy(), seen.quantiles.copy(), list(seen.names), list(seen.reasons)
    point[:, young.rows], quantiles[:, :, young.rows] = young.point, young.quantiles
    for row, reason in zip(young.rows.tolist(), young.reasons, strict=True):
        names[row], reasons[row] = LIKE_ITEMS, reason
    return dataclasses.replace(seen, point=point, quantiles=quantiles, names=names, reasons=reasons)


def fit_auto(matrix: SeriesMatrix, *, periods: int) -> PooledFit:
    """The pooled fit that was best on past cut-offs, for those who simulate on from it."""
    demand, _ = cut_outliers(matrix.demand)  # as `outlook` cuts them, so that both choose alike
    return choose(dataclasses.replace(matrix, demand=demand), periods=periods).fit(matrix)


def fitted_outlook(fit: PooledFit, *, periods: int, levels: tuple[float, ...], name: str = POOLED_ENSEMBLE) -> Outlook:
    """The outlook of a pooled fit, its mean corrected for drift; the quantiles hold past errors as they were.

    The spread grows as the level may drift: by the root of 1 + (h - 1) a^2 in period h.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), table 8.8, ETS(A,N,N).
    """
    profile = fit.future_profile(periods)
    seen = _spread(fit, fit.level * profile, profile, levels=levels, name=name)
    return dataclasses.replace(seen, point=seen.point * drift_factor(fit, periods=periods))


def _auto(matrix: SeriesMatrix, *, periods: int, levels: tuple[float, ...], seed: int) -> Outlook:
    choice = choose(matrix, periods=periods)
    fit = choice.fit(matrix)
    is_naive = choice.name == SEASONAL_NAIVE
    seen = (
        _naive(matrix, periods=periods, levels=levels, seed=seed)
        if is_naive
        else fitted_outlook(fit, periods=periods, levels=levels, name=choice.name)
    )
    return dataclasses.replace(seen, fit=fit)


def _naive(matrix: SeriesMatrix, *, periods: int, levels: tuple[float, ...], seed: int) -> Outlook:  # noqa: ARG001 - one signature
    point, quantiles, reasons = naive_outlook(matrix, periods=periods, levels=levels)
    names = [SEASONAL_NAIVE if known else NO_MODEL for known in np.isfinite(point[0]).tolist()]
    return Outlook(point, quantiles, names, reasons, None)


def _levelled(
    name: str, matrix: SeriesMatrix, *, periods: int, levels: tuple[float, ...], seed: int  # noqa: ARG001 - one signature
) -> Outlook:  # fmt: skip
    fit = fit_pooled(matrix, methods=LEVEL_METHODS[name], is_reconciled=name == POOLED_ENSEMBLE)
    if name == POOLED_ENSEMBLE:
        return fitted_outlook(fit, periods=periods, levels=levels)
    profile = fit.future_profile(periods)  # by name a textbook's method is the textbook's
    return _spread(fit, fit.level * profile, profile, levels=levels, name=name)


def _growing(
    name: str, matrix: SeriesMatrix, *, periods: int, levels: tuple[float, ...], seed: int  # noqa: ARG001 - one signature
) -> Outlook:  # fmt: skip
    fit = fit_pooled(matrix, methods=(ses_levels,), is_reconciled=False)
    levels_ahead = GROWTHS[name](fit.matrix.demand, fit.exposure, smoothing=fit.smoothing, periods=periods)
    profile = fit.future_profile(periods)
    # a series too short for a slope keeps its level
    steady = np.isin(fit.model_names(), [NO_MODEL, HISTORY_MEAN])
    point = profile * np.where(steady, fit.level, np.maximum(levels_ahead, 0.0))
    return _spread(fit, point, profile, levels=levels, name=name)


def _boosted(matrix: SeriesMatrix, *, periods: int, levels: tuple[float, ...], seed: int) -> Outlook:
    fit = fit_pooled(matrix)
    why = why_not_boosted(fit.matrix, periods=periods)
    if why is not None:
        return _with_reasons(fitted_outlook(fit, periods=periods, levels=levels), [why] * matrix.keys.height)
    point = boosted_point(fit, periods=periods, seed=seed)
    return _spread(fit, point, fit.future_profile(periods), levels=levels, name=LIGHTGBM)


def _engine(name: str, matrix: SeriesMatrix, *, periods: int, levels: tuple[float, ...], seed: int) -> Outlook:  # noqa: ARG001 - one signature
    fit = fit_pooled(matrix)
    pooled = fitted_outlook(fit, periods=periods, levels=levels)
    engine = engine_outlook(fit, model=name, periods=periods, levels=levels)
    fitted = np.array([reason is None for reason in engine.reasons])
    names = [name if known else own for known, own in zip(fitted.tolist(), pooled.names, strict=True)]
    point, quantiles = np.where(fitted, engine.point, pooled.point), np.where(fitted, engine.quantiles, pooled.quantiles)
    return _with_reasons(Outlook(point, quantiles, names, pooled.reasons, None), engine.reasons)


def _with_reasons(seen: Outlook, reasons: Sequence[str | None]) -> Outlook:
    """The outlook, each series' reason joined to what was said of it already."""
    joined = ["; ".join(text for text in both if text) or None for both in zip(reasons, seen.reasons, strict=True)]
    return dataclasses.replace(seen, reasons=joined)


def _spread(fit: PooledFit, point: FloatArray, profile: FloatArray, *, levels: tuple[float, ...], name: str) -> Outlook:
    drift = np.sqrt(1.0 + np.arange(len(point)) * fit.smoothing**2)[:, None]
    quantiles = daily_quantiles(point, fit.residuals, spread=np.sqrt(profile) * drift, levels=levels)
    names = [name if own == POOLED_ENSEMBLE else own for own in fit.model_names()]
    return Outlook(point, quantiles, names, fit.fallback_reasons(), fit.smoothing)


_MODELS: Final[Mapping[str, Callable[..., Outlook]]] = {
    "auto": _auto,
    **{name: partial(_levelled, name) for name in LEVEL_METHODS},
    **{name: partial(_growing, name) for name in GROWTHS},
    SEASONAL_NAIVE: _naive,
    LIGHTGBM: _boosted,
    **{name: partial(_engine, name) for name in ENGINES},
}
