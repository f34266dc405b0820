"""Rules on metrics: a value beyond a limit, a change against the period before, a day unlike the same weekdays before."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import polars as pl

from pipelines.alerts.findings import Finding, Findings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from pipelines.alerts.rules import AlertRule
    from pipelines.stores.metrics_catalogue import Metric
    from pipelines.stores.metrics_values import MetricValue

_FEWEST_PEERS: Final = 5
_TO_SIGMA: Final = 1.4826  # of a normal distribution, over its median absolute deviation
_MEAN_TO_SIGMA: Final = 1.2533  # the same over its mean absolute deviation
_UNMEASURED: Final = ("not_available", "no_data", "blocked")


def threshold_findings(rule: AlertRule, values: Sequence[MetricValue]) -> Findings:
    """Members whose value is above or below the rule's limits, or where it has none, off target.

    Args:
        rule: Of kind threshold.
        values: The metric over the rule's days, one or one per member.
    """
    if unable := _unable(values):
        return unable
    above, below = rule.told("above"), rule.told("below")
    found = []
    for one in values:
        if not _is_judged(rule, one):
            continue
        value = float(one.value or 0)
        if above is not None and value > above:
            limit, text = float(above), "above the most it may be"
        elif below is not None and value < below:
            limit, text = float(below), "below the least it may be"
        elif above is None and below is None and one.status == "off_target" and one.target is not None:
            limit, text = one.target, "off its target"
        else:
            continue
        said = (
            f"{_title(one.label, rule, one.member)} was {_said(one, value)} {_period(one)}, {text}, {_said(one, limit)}; "
            f"it rests on {one.n or 0:,} rows."
        )
        found.append(_metric_finding(rule, one, said, difference=value - limit, evidence={"value": value, "limit": limit}))
    return Findings(found, unjudged=_subjects(rule, [one for one in values if not _is_judged(rule, one)]))


def change_findings(rule: AlertRule, values: Sequence[MetricValue]) -> Findings:
    """Members whose value rose or fell by more than the rule allows against as many days before.

    Args:
        rule: Of kind change.
        values: The metric over the rule's days with the period before, one or one per member.
    """
    if unable := _unable(values):
        return unable
    found = []
    for one in values:
        if not _is_compared(rule, one):
            continue
        value, prior = float(one.value or 0), float(one.prior or 0)
        change = value - prior
        if rule.told("measure") == "relative":
            change /= abs(prior)
        rise, fall = rule.told("rise"), rule.told("fall")
        if not ((rise is not None and change > rise) or (fall is not None and -change > fall)):
            continue
        moved = f"{change:+.0%}" if rule.told("measure") == "relative" else f"{'+' if change > 0 else '-'}{_said(one, abs(change))}"
        said = (
            f"{_title(one.label, rule, one.member)} was {_said(one, value)} {_period(one)} and {_said(one, prior)} "
            f"in as many days before: {moved}."
        )
        evidence = {"value": value, "prior": prior, "change": change}
        found.append(_metric_finding(rule, one, said, difference=value - prior, evidence=evidence))
    return Findings(found, unjudged=_subjects(rule, [one for one in values if not _is_compared(rule, one)]))


def anomaly_findings(rule: AlertRule, metric: Metric, series: pl.DataFrame, *, on: date, currency_code: str | None) -> Findings:
    """The metric's last day, where it is unlike the same weekdays before it; nothing where there are too few to compare with.

    The score is the distance from the median in robust standard deviations: 1.4826 x MAD, or where more than half of the days are
    equal 1.2533 x the mean absolute deviation. The deviation is never taken as smaller than chance alone makes it: the square root of
    the count for counts, of p (1 - p) / n for shares, and the median over the square root of n for sums of n rows. So a day of two
    after days of none is nothing. The difference has to be at least `least_change` of the median, too.

    Source: Iglewicz, B. and Hoaglin, D. (1993), How to Detect and Handle Outliers, section 3.3, the modified z-score and its limit 3.5.

    Args:
        rule: Of kind anomaly.
        metric: Which metric.
        series: metric_date, value, numerator, denominator, n; a row per day, or per week for percentiles and means.
        on: The day to judge.
        currency_code: Of money; None for others.
    """
    if series.is_empty():
        return Findings(not_available=f"not available: {metric.name} has no course")
    subject = _subject(metric.name, rule, None, None)
    last = series.filter(pl.col("metric_date") == on)
    if last.is_empty() or last["value"][0] is None:
        return Findings(unjudged=frozenset({subject}))
    peers = series.filter(
        (pl.col("metric_date") < on) & ((pl.lit(on) - pl.col("metric_date")).dt.total_days() % 7 == 0) & pl.col("value").is_not_null()
    ).tail(int(rule.told("weeks")))
    if peers.height < _FEWEST_PEERS:
        return Findings(unjudged=frozenset({subject}))
    value, usual = float(last["value"][0]), _median(peers["value"])
    deviation = max(_robust_deviation(peers["value"], usual), _chance_deviation(metric, usual, _median(peers["n"])))
    difference = value - usual
    if deviation <= 0 or abs(difference) < rule.told("least_change") * abs(usual):
        return Findings()
    score = difference / deviation
    direction = rule.told("direction")
    if abs(score) < rule.told("score") or (direction == "up" and score < 0) or (direction == "down" and score > 0):
        return Findings()

    def said(amount: float) -> str:
        return _amount_said(metric.unit, currency_code, amount)

    detail = (
        f"{_title(metric.label, rule, None)} was {said(value)} on {on}; "
        f"the same weekday of {peers.height} weeks before had {said(usual)} in the median "
        f"({abs(score):.1f} robust standard deviations {'more' if score > 0 else 'less'}, the limit is {rule.told('score'):g})."
    )
    stake, basis = _stake(metric.unit, difference, "the difference from the usual")
    evidence = {"value": value, "usual": usual, "deviation": deviation, "score": score, "peers": peers.height, "day": on.isoformat()}
    return Findings([
        Finding(subject=subject, title=_title(metric.label, rule, None), detail=detail, link=_link(metric.name), evidence=evidence,
                stake_amount=stake, basis=basis)
    ])  # fmt: skip


def _unable(values: Sequence[MetricValue]) -> Findings | None:
    """Why nothing can be said of the metric, if nothing can."""
    if values and all(one.status in ("not_available", "blocked") for one in values):
        return Findings(not_available=values[0].note or f"{values[0].name} is not available")
    return None


def _is_judged(rule: AlertRule, one: MetricValue) -> bool:
    return one.status not in _UNMEASURED and one.value is not None and (one.n or 0) >= rule.told("least_rows")


def _is_compared(rule: AlertRule, one: MetricValue) -> bool:
    """Whether there is a value before to compare with; from nothing every rise is without end."""
    return _is_judged(rule, one) and one.prior is not None and (rule.told("measure") != "relative" or one.prior != 0)


def _subjects(rule: AlertRule, values: Sequence[MetricValue]) -> frozenset[str]:
    return frozenset(_subject(one.name, rule, one.dimension, one.member) for one in values)


def _metric_finding(rule: AlertRule, one: MetricValue, said: str, *, difference: float, evidence: dict[str, Any]) -> Finding:
    stake, basis = _stake(one.unit, difference, "the difference")
    period = {"rows": one.n, "period_from": one.period_from.isoformat(), "period_to": one.period_to.isoformat()}
    return Finding(
        subject=_subject(one.name, rule, one.dimension, one.member), title=_title(one.label, rule, one.member), detail=said,
        link=_link(one.name), evidence=evidence | period, stake_amount=stake, basis=basis,
    )  # fmt: skip


def _stake(unit: str, difference: float, what: str) -> tuple[Decimal | None, str]:
    if unit != "money":
        return None, "no amount: the metric is none of money"
    return Decimal(str(round(abs(difference), 2))), f"{what}, which has come about"


def _subject(name: str, rule: AlertRule, dimension: str | None, member: str | None) -> str:
    where = rule.parameters.get("where")
    return f"metric:{name}" + (f"|{where}" if where else "") + (f"|{dimension}={member}" if dimension else "")


def _title(label: str, rule: AlertRule, member: str | None) -> str:
    narrowed = [str(one) for one in (rule.parameters.get("where"), member) if one]
    return f"{label}, {', '.join(narrowed)}" if narrowed else label


def _link(name: str) -> str:
    return f"metrics?{urlencode({'metric': name})}"


def _period(one: MetricValue) -> str:
    return f"on {one.period_to}" if one.period_from == one.period_to else f"from {one.period_from} to {one.period_to}"


def _said(one: MetricValue, value: float) -> str:
    return _amount_said(one.unit, one.currency_code, value)


def _amount_said(unit: str, currency_code: str | None, value: float) -> str:
    if unit == "percent":
        return f"{value:.1%}"
    if unit == "money":
        return f"{currency_code or ''} {value:,.2f}".strip()
    return f"{value:,.2f}".rstrip("0").rstrip(".") + (f" {unit}" if unit in {"days", "hours", "minutes"} else "")


def _median(values: pl.Series) -> float:
    found = values.cast(pl.Float64).median()
    return 0.0 if found is None else float(found)  # type: ignore[arg-type]


def _robust_deviation(values: pl.Series, usual: float) -> float:
    away = (values.cast(pl.Float64) - usual).abs()
    mad = _median(away)
    return _TO_SIGMA * mad if mad > 0 else _MEAN_TO_SIGMA * float(away.mean() or 0.0)  # type: ignore[arg-type]


def _chance_deviation(metric: Metric, usual: float, rows: float) -> float:
    """How far a day is from the usual by chance alone, at least."""
    if metric.unit == "count":
        return math.sqrt(max(abs(usual), 1.0))
    if metric.unit == "percent" and metric.denominator is not None:
        return math.sqrt(max(usual * (1 - usual), 0.0) / max(rows, 1.0))
    return abs(usual) / math.sqrt(max(rows, 1.0)) if metric.is_additive else 0.0
