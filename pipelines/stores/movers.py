"""What moved and what drove it: metrics in the order of how unusual their change is, and the members that made it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from pipelines.stores.contributions import FEWEST_PAST, Breakdown, Kind, Member, break_down, unusualness
from pipelines.stores.metrics import begins_on, evaluate, values_over
from pipelines.stores.metrics_catalogue import find_metric
from pipelines.stores.metrics_values import read_basis
from pipelines.stores.metrics_windows import LAST_YEAR, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    import duckdb

    from pipelines.stores.metrics import Metric, MetricValue

Against = Literal["prior", "last_year"]
EXPLAINED: Final = 3  # how many movers are taken apart: each costs a query per dimension
MOST_PAST: Final = 26  # periods looked back over
STANDS_OUT: Final = 0.2  # concentration from which a dimension is said to have driven the change
# What a member is called today says nothing of the period before: who is new now was nobody then.
_OF_TODAY: Final = frozenset({"segment", "abc_class", "xyz_class"})
_ADDED: Final = frozenset({"sum", "sum_boolean", "count"})


@dataclass(frozen=True, slots=True)
class Mover:
    """One metric's change, how unusual it is among its own, and what drove it.

    Attributes:
        metric: Its definition.
        period: The days looked at; they end early enough for the metric to be mature.
        compared: The equally long days before, or the same weekdays a year ago.
        value: Over the period, in the metric's unit; money in major units.
        before: Over the days compared with.
        change: Value less before; None where there is no comparison, and `note` says why.
        change_rate: Of the value before; None where that is not above zero.
        unusual: Robust standard deviations from the median of the metric's past changes; None where they are too few.
        past_count: How many past changes there were to judge by.
        breakdown: By the dimension that concentrates the change most; None where it was not taken apart.
        note: What a reader must know: why there is no change, judgement or breakdown.
    """

    metric: Metric
    period: Span
    compared: Span
    currency_code: str | None
    value: float | None
    before: float | None
    change: float | None
    change_rate: float | None
    unusual: float | None
    past_count: int
    breakdown: Breakdown | None = None
    note: str | None = None

    @property
    def is_better(self) -> bool | None:
        """Whether the change is for the better; None where nothing changed."""
        return None if not self.change else (self.change > 0) == (self.metric.better == "higher")

    @property
    def stands_out(self) -> bool:
        """Whether the members named made more of the change than their size would."""
        return self.breakdown is not None and self.breakdown.concentration >= STANDS_OUT


def find_movers(
    conn: duckdb.DuckDBPyConnection,
    catalogue: Mapping[str, Metric],
    names: Iterable[str],
    *,
    days: int,
    until: date | None = None,
    against: Against = "prior",
    where: Mapping[str, Sequence[str]] | None = None,
) -> list[Mover]:
    """These metrics, the most unusual change first, then changes too young to judge, then what cannot be compared.

    Changes of sums are judged relative to the period before, others in their unit. The first three are taken apart.

    Args:
        conn: A warehouse or a release.
        catalogue: What metrics there are.
        names: Which of them.
        days: Length of the period.
        until: Its last day, default the as-of date.
        against: The period before it, or the same weekdays a year ago.
        where: Only these members, by dimension, as in `evaluate`.

    Raises:
        MetricError: No such metric or dimension.
    """
    movers = ranked(change_of(conn, catalogue, name, days=days, until=until, against=against, where=where) for name in names)
    return [taken_apart(conn, catalogue, mover, where) if place < EXPLAINED else mover for place, mover in enumerate(movers)]


def ranked(movers: Iterable[Mover]) -> list[Mover]:
    """The most unusual change first, then those too young to judge by the size of their change, then what cannot be compared."""
    return sorted(movers, key=_rank)


def why_whole(metric: Metric) -> str | None:
    """Why a change of this metric cannot be put down to members; None where it can."""
    found = {measure.aggregation for measure in (metric.numerator, metric.denominator) if measure}
    if "percentile" in found:
        return "a percentile of all is no sum of its members' percentiles, so its change is not split"
    if "count_distinct" in found:
        return "who counts for two members counts once in the whole, so its change is not split"
    if not found <= _ADDED and (found != {"average"} or metric.denominator):
        return "its members do not add up to the whole, so its change is not split"
    return None


def change_of(
    conn: duckdb.DuckDBPyConnection,
    catalogue: Mapping[str, Metric],
    name: str,
    *,
    days: int,
    until: date | None,
    against: Against,
    where: Mapping[str, Sequence[str]] | None,
) -> Mover:
    """One metric's change and how unusual it is, not taken apart; arguments as of `find_movers`."""
    metric, basis = find_metric(catalogue, name), read_basis(conn)
    last = min(until or basis.as_of, basis.as_of - timedelta(days=metric.maturity_days))
    pairs = _pairs(metric, last, days, against=against, first_day=begins_on(conn, metric))
    period, compared = _pair(last, days, against)
    nothing = Mover(metric, period, compared, basis.currency_code if metric.unit == "money" else None, None, None, None, None, None, 0)
    spans = list(dict.fromkeys(span for pair in pairs or [(period, period)] for span in pair))
    found = values_over(conn, catalogue, name, spans, where=where)
    if not found:
        return replace(nothing, note=evaluate(conn, catalogue, [name], where=where)[0].note)
    values = dict(zip(spans, map(_float, found), strict=True))
    if not pairs or metric.grows_with_age or None in (values[period], values[compared]):
        return replace(nothing, value=values[period], note=_why_not_compared(metric, found[0]))
    changes = [_change(metric, values[later], values[earlier]) for later, earlier in pairs]
    past = [change for change in changes[1:] if change is not None]
    unusual = None if changes[0] is None else unusualness(changes[0], past)
    value, before = values[period] or 0.0, values[compared] or 0.0
    return replace(
        nothing, value=value, before=before, change=value - before, change_rate=(value - before) / before if before > 0 else None,
        unusual=unusual, past_count=len(past), note=None if len(past) >= FEWEST_PAST else f"earlier changes to judge by: only {len(past)}",
    )  # fmt: skip


def _pair(last: date, days: int, against: Against) -> tuple[Span, Span]:
    period = Span(last - timedelta(days=days - 1), last)
    return period, period.back(timedelta(days=days) if against == "prior" else LAST_YEAR)


def _pairs(metric: Metric, last: date, days: int, *, against: Against, first_day: date | None) -> list[tuple[Span, Span]]:
    """The period with what it is compared with, then the same of each equally long period before it, as far as the data reach."""
    pairs = [_pair(last - timedelta(days=days * i), days, against) for i in range(MOST_PAST + 1)]
    reached = [(later, earlier) for later, earlier in pairs if first_day and _begins(metric, earlier) >= first_day]
    return reached if reached[:1] == pairs[:1] else []


def _begins(metric: Metric, span: Span) -> date:
    """From which day on the data must reach: of a level its last day says all."""
    return span.last if metric.counts_only_day == "max" else span.first


def _change(metric: Metric, value: float | None, before: float | None) -> float | None:
    """As changes are compared with each other: of a sum relative to what it was, of all else in its unit."""
    if value is None or before is None:
        return None
    if not metric.is_total:
        return value - before
    return (value - before) / abs(before) if before else None


def _why_not_compared(metric: Metric, value: MetricValue) -> str:
    if metric.grows_with_age:
        return f"periods are not compared, younger ones have had less time: {metric.grows_with_age}"
    return value.note or "there is no earlier period to compare with"


def _rank(mover: Mover) -> tuple[int, float]:
    if mover.change is None:
        return 2, 0.0
    if mover.unusual is None:
        return 1, -abs(mover.change_rate or 0.0)
    return 0, -abs(mover.unusual)


def taken_apart(
    conn: duckdb.DuckDBPyConnection, catalogue: Mapping[str, Metric], mover: Mover, where: Mapping[str, Sequence[str]] | None
) -> Mover:
    """The mover with its breakdown by the dimension that concentrates it most, the first of the catalogue where two do.

    It stays as it is where nothing changed.
    """
    metric = mover.metric
    if not mover.change:
        return mover
    if reason := why_whole(metric):
        return replace(mover, note="; ".join(filter(None, (mover.note, reason))))
    found = [
        breakdown
        for name, dimension in metric.dimensions.items()
        if name not in _OF_TODAY
        and (members := _members(values_over(conn, catalogue, metric.name, [mover.compared, mover.period], by=name, where=where)))
        and len(members) > 1
        and (breakdown := break_down(name, members, _kind(metric, splits_numerator_only=dimension.splits_numerator_only)))
    ]
    best = max(found, key=lambda one: one.concentration, default=None)
    return replace(mover, breakdown=best, change=float(best.change)) if best else mover


def _kind(metric: Metric, *, splits_numerator_only: bool) -> Kind:
    if metric.is_total:
        return "sum"
    return "share" if splits_numerator_only else "ratio"


def _members(values: Sequence[MetricValue]) -> list[Member]:
    """Members from the values of both periods, which come in pairs; what was not counted is nothing of the whole."""
    return [
        Member(before.member or "", *(amount or 0 for amount in (before.numerator, before.denominator, now.numerator, now.denominator)))
        for before, now in zip(values[::2], values[1::2], strict=True)
    ]


def _float(value: MetricValue) -> Any:
    return None if value.value is None else float(value.value)
