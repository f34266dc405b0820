"""Rules that planners know by name, to be replayed beside a better one, or used by those who insist.

Each looks at the inventory position (on hand, less what is owed, plus all that is on its way) and at the mean demand of the newest
periods; periods without stock are unknown and left out. An order decided at the end of period t with lead L is there in period
t + L + 1, and the next one R later: stock has to last L + R periods, the time to protect.

`lead_periods`, and everything that is a quantity or a cover, may be one number or an array with one per series. Orders are raw units.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forecasting.schema import FloatArray, IntArray
    from inventory.policy import OrderRule, ReplayState, Shortage

WINDOW_PERIODS: Final = 26
SAFETY: Final = 4 / 3  # of the time to protect, as cover: the usual third more than the time it has to last


@dataclass(frozen=True, slots=True)
class Textbook:
    """Orders up to mean (L + R) + z sigma sqrt(L + R). Source: Silver, Pyke and Thomas 2017, section 7.9.2, the (R, S) system.

    Attributes:
        lead_periods: L.
        review_periods: R, periods from one decision to the next.
        z: Safety factor; `RULES` takes the normal quantile at p / (p + h).
        window_periods: Newest periods that mean and sigma, a sample's standard deviation, are of.
    """

    lead_periods: int | IntArray
    review_periods: int = 1
    z: float | FloatArray = 1.645
    window_periods: int = WINDOW_PERIODS

    def __post_init__(self) -> None:
        _check(self, signed=("z",))

    def order(self, state: ReplayState) -> FloatArray:
        """[series] units that bring the position up to the level; 0 where it is there."""
        return np.maximum(0.0, _protection_level(self, state) - _position(state))


@dataclass(frozen=True, slots=True)
class DaysOfCover:
    """Orders up to so many periods of mean demand.

    Attributes:
        lead_periods: L.
        review_periods: R.
        cover_periods: Periods that position is to last; None is a third more than L + R.
        window_periods: Newest periods that the mean is of.
    """

    lead_periods: int | IntArray
    review_periods: int = 1
    cover_periods: float | FloatArray | None = None
    window_periods: int = WINDOW_PERIODS

    def __post_init__(self) -> None:
        _check(self)

    def order(self, state: ReplayState) -> FloatArray:
        """[series] units that bring the position up to the cover; 0 where it is there."""
        mean, _ = _past(state, self.window_periods)
        cover = SAFETY * _protected(self) if self.cover_periods is None else self.cover_periods
        return np.maximum(0.0, mean * cover - _position(state))


@dataclass(frozen=True, slots=True)
class MinMax:
    """At a position of the minimum or less, orders up to the maximum.

    Attributes:
        lead_periods: L.
        review_periods: R.
        min_qty: Units; None is the mean demand of a third more than L + R periods, anew at each decision.
        max_qty: Units; None is the minimum and the mean demand of another L + R periods.
        window_periods: Newest periods that the mean is of.
    """

    lead_periods: int | IntArray
    review_periods: int = 1
    min_qty: float | FloatArray | None = None
    max_qty: float | FloatArray | None = None
    window_periods: int = WINDOW_PERIODS

    def __post_init__(self) -> None:
        _check(self)
        if self.min_qty is not None and self.max_qty is not None and np.any(np.asarray(self.max_qty) < np.asarray(self.min_qty)):
            raise ValueError("max_qty: is below min_qty; pass the level to order up to.")

    def order(self, state: ReplayState) -> FloatArray:
        """[series] units up to the maximum where the position is at the minimum or below; 0 elsewhere, and where nothing ever sold."""
        mean, _ = _past(state, self.window_periods)
        low = mean * SAFETY * _protected(self) if self.min_qty is None else self.min_qty
        high = low + mean * _protected(self) if self.max_qty is None else self.max_qty
        return _up_to(_position(state), low, high)


@dataclass(frozen=True, slots=True)
class ReorderPoint:
    """(s, S): at a position of s = mean (L + R) + z sigma sqrt(L + R) or less, orders up to S = s + `order_qty`.

    Attributes:
        lead_periods: L.
        review_periods: R.
        z: Safety factor; `RULES` takes the normal quantile at p / (p + h).
        order_qty: Units, as the economic order quantity; None is the mean demand of L + R periods.
        window_periods: Newest periods that mean and sigma are of.

    Source: Snyder and Shen 2019, section 4.4; `exact.best_order_up_to` has the best s and S of a known law.
    """

    lead_periods: int | IntArray
    review_periods: int = 1
    z: float | FloatArray = 1.645
    order_qty: float | FloatArray | None = None
    window_periods: int = WINDOW_PERIODS

    def __post_init__(self) -> None:
        _check(self, signed=("z",))

    def order(self, state: ReplayState) -> FloatArray:
        """[series] units up to S where the position is at s or below; 0 elsewhere."""
        low = _protection_level(self, state)
        return _up_to(_position(state), low, low + _batch(self, state))


@dataclass(frozen=True, slots=True)
class FixedBatch:
    """(R, Q): at a position of the reorder point or less, orders as many batches of `order_qty` as lift it above.

    Attributes as of `ReorderPoint`, whose s is the reorder point here. Source: Snyder and Shen 2019, chapter 5.
    """

    lead_periods: int | IntArray
    review_periods: int = 1
    z: float | FloatArray = 1.645
    order_qty: float | FloatArray | None = None
    window_periods: int = WINDOW_PERIODS

    def __post_init__(self) -> None:
        _check(self, signed=("z",))

    def order(self, state: ReplayState) -> FloatArray:
        """[series] units, a whole number of batches; 0 above the reorder point, and where nothing ever sold."""
        low, batch, position = _protection_level(self, state), np.asarray(_batch(self, state), dtype=np.float64), _position(state)
        is_due = (position <= low) & (batch > 0)
        return np.where(is_due, (np.floor((low - position) / np.where(batch > 0, batch, 1.0)) + 1.0) * batch, 0.0)


@dataclass(frozen=True, slots=True)
class Clairvoyant:
    """Knows the demand to come: orders what the R periods from the order's arrival lack, so nothing is lost that an order could save.

    No rule can be cheaper that decides at the same times, as long as holding a unit over one review costs less than losing it.

    Attributes:
        demand: [period, series] true demand in units; row 0 is the period that `ReplayState.period` calls 0.
        lead_periods: L.
        review_periods: R.
        shortage: "lost" or "backorder", as in `Policy`.
    """

    demand: FloatArray
    lead_periods: int | IntArray
    review_periods: int = 1
    shortage: Shortage = "lost"

    def __post_init__(self) -> None:
        _check(self)

    def order(self, state: ReplayState) -> FloatArray:
        """[series] units that are lacking over the R periods from t + L + 1 on; 0 where they lie beyond what is known."""
        lead = np.broadcast_to(np.asarray(self.lead_periods), state.on_hand.shape)
        stock, missing = state.on_hand, np.zeros_like(state.on_hand)
        for ahead in range(int(lead.max(initial=0)) + self.review_periods):
            arrives = state.arriving[ahead] if ahead < len(state.arriving) else 0.0
            period = state.period + 1 + ahead
            wanted = self.demand[period] if period < len(self.demand) else np.zeros_like(stock)
            after = stock + arrives - wanted
            # what is short before the order can be there is no affair of it, unless demand waits
            is_coverable = (ahead >= lead) & (ahead < lead + self.review_periods)
            missing = np.where(is_coverable & (period < len(self.demand)), np.maximum(missing, -after), missing)
            stock = after if self.shortage == "backorder" else np.where(is_coverable, after, np.maximum(after, 0.0))
        return missing


@dataclass(frozen=True, slots=True)
class RuleTerms:
    """What a replay knows of the items before a rule of `RULES` stands.

    Attributes:
        lead_periods: L, one for all or one per series.
        review_periods: R.
        critical_ratio: p / (p + h), one for all or one per series.
        shortage: What becomes of demand that is not met.
        demand: [period, series] true demand, which only the clairvoyant rule may see; None where it is not asked for.
    """

    lead_periods: int | IntArray
    review_periods: int
    critical_ratio: float | FloatArray
    shortage: Shortage = "lost"
    demand: FloatArray | None = None

    @property
    def z(self) -> FloatArray:
        """Normal quantile at the critical ratio, the safety factor of textbooks."""
        return np.asarray(special.ndtri(np.clip(self.critical_ratio, 1e-3, 1.0 - 1e-3)), dtype=np.float64)


def _clairvoyant(terms: RuleTerms) -> OrderRule:
    if terms.demand is None:
        raise ValueError("demand: the clairvoyant rule needs the demand to come; pass it in the terms.")
    return Clairvoyant(terms.demand, terms.lead_periods, terms.review_periods, terms.shortage)


RULES: Final[Mapping[str, Callable[[RuleTerms], OrderRule]]] = {
    "textbook": lambda terms: Textbook(terms.lead_periods, terms.review_periods, z=terms.z),
    "min_max": lambda terms: MinMax(terms.lead_periods, terms.review_periods),
    "reorder_point": lambda terms: ReorderPoint(terms.lead_periods, terms.review_periods, z=terms.z),
    "fixed_batch": lambda terms: FixedBatch(terms.lead_periods, terms.review_periods, z=terms.z),
    "days_of_cover": lambda terms: DaysOfCover(terms.lead_periods, terms.review_periods),
    "clairvoyant": _clairvoyant,
}


def _position(state: ReplayState) -> FloatArray:
    return cast("FloatArray", state.on_hand + state.arriving.sum(axis=0))


def _past(state: ReplayState, window_periods: int) -> tuple[FloatArray, FloatArray]:
    """Mean and sample standard deviation of the newest periods per series, those without stock left out.

    Where all of them are, all of the past counts; where that is unknown too, the mean is 0. One known period has no deviation.
    """
    demand, observed = state.known.demand, state.known.observed
    is_dark = ~observed[-window_periods:].any(axis=0)
    used = observed.copy()
    used[:-window_periods, ~is_dark] = False
    if not is_dark.any():
        demand, used = demand[-window_periods:], used[-window_periods:]
    count = used.sum(axis=0)
    mean = np.where(used, demand, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(used, (demand - mean) ** 2, 0.0).sum(axis=0)
    return mean, np.sqrt(squares / np.maximum(count - 1, 1))


def _protected(rule: Textbook | DaysOfCover | MinMax | ReorderPoint | FixedBatch) -> int | IntArray:
    """L + R, the periods that an order decided now has to last."""
    return rule.lead_periods + rule.review_periods


def _protection_level(rule: Textbook | ReorderPoint | FixedBatch, state: ReplayState) -> FloatArray:
    mean, deviation = _past(state, rule.window_periods)
    periods = _protected(rule)
    return cast("FloatArray", np.maximum(0.0, mean * periods + rule.z * deviation * np.sqrt(periods)))


def _batch(rule: ReorderPoint | FixedBatch, state: ReplayState) -> float | FloatArray:
    return _past(state, rule.window_periods)[0] * _protected(rule) if rule.order_qty is None else rule.order_qty


def _up_to(position: FloatArray, low: float | FloatArray, high: float | FloatArray) -> FloatArray:
    return np.where(position <= low, np.maximum(0.0, high - position), 0.0)


def _check(rule: Textbook | DaysOfCover | MinMax | ReorderPoint | FixedBatch | Clairvoyant, *, signed: tuple[str, ...] = ()) -> None:
    """Quantities and covers are finite and not below 0, review and window at least 1."""
    for name in (field.name for field in fields(rule)):
        value = getattr(rule, name)
        if value is None or isinstance(value, str):
            continue
        numbers = np.asarray(value, dtype=np.float64)
        least = 1.0 if name in {"review_periods", "window_periods"} else -np.inf if name in signed else 0.0
        if not np.isfinite(numbers).all() or (numbers < least).any():
            raise ValueError(f"{name}: has to be finite and at least {least:g}, got {np.min(numbers, initial=np.inf):g} at the least.")
