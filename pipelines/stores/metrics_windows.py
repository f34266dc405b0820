"""Which days a metric is asked about, and which it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

from pipelines.errors import MetricError

if TYPE_CHECKING:
    from pipelines.stores.metrics_catalogue import Metric

Grain = Literal["day", "week", "month", "quarter", "year"]
GRAINS: Final[tuple[Grain, ...]] = get_args(Grain)

DEFAULT_PERIOD_DAYS: Final = 28
DEFAULT_BUCKETS: Final[dict[Grain, int]] = {"day": 28, "week": 12, "month": 12, "quarter": 8, "year": 4}
LAST_YEAR: Final = timedelta(days=364)  # whole weeks: a Monday is compared with a Monday
_DAY: Final = timedelta(days=1)
_MONTHS: Final[dict[Grain, int]] = {"month": 1, "quarter": 3, "year": 12}


class Span(NamedTuple):
    """Days from the first to the last, both counted; none where the last lies before the first."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many days it holds."""
        return max((self.last - self.first).days + 1, 0)

    def back(self, by: timedelta) -> Span:
        """As many days, so much earlier."""
        return Span(self.first - by, self.last - by)


@dataclass(frozen=True, slots=True)
class Window:
    """One period a metric speaks about, and what it is compared with.

    `young` are days asked for that are too young to judge. `is_complete` says that all days asked for, and of a bucket all days of
    the calendar, are over, old enough, and not before the data begins.
    """

    counted: Span
    prior: Span
    last_year: Span
    young: Span | None
    is_complete: bool


def asked_windows(
    metric: Metric, as_of: date, *, first_day: date | None, since: date | None, until: date | None, grain: Grain | None
) -> list[Window]:
    """The period asked for, or its buckets by calendar; never empty, and cut to days that are mature.

    Without `since` it is the 28 days up to `until`, or with a grain the last buckets of that grain that hold data. Days after as-of
    are counted only where the caller names them: a public data set ends in a thin tail that is cut by as-of, and its totals can
    still be asked for. A bucket is compared with the one before it; an incomplete one with as many days of that, unless it
    shows a level, which has no length.

    Raises:
        MetricError: The period holds no day, or begins when the data has ended.
    """
    last = until or as_of
    mature = as_of - timedelta(days=metric.maturity_days) if metric.maturity_days else last
    end = min(last, mature)
    first = _default_first(end, first_day, grain) if since is None else since
    if first > min(last, as_of):
        raise MetricError(f"The period from {first} to {last} holds no day; data is complete until {as_of}.")
    asked = Span(first, end)
    young = Span(max(first, mature + _DAY), last) if metric.maturity_days else None
    if grain is None or not asked.days:
        is_whole = end == last or since is None
        return [_period(asked, young, is_complete=is_whole and end <= as_of and first_day is not None and first_day <= first)]
    return _buckets(metric, asked, young, grain, as_of=as_of, first_day=first_day)


def reaches_back(metric: Metric, span: Span, first_day: date | None) -> bool:
    """Whether the data covers these earlier days, and they had no more time; of a level that counts on the last day, that is enough."""
    if first_day is None or metric.grows_with_age:
        return False
    return (span.last if metric.counts_only_day == "max" else span.first) >= first_day


def bucket_start(day: date, grain: Grain) -> date:
    """The first day of the bucket that holds this day; weeks begin on Monday."""
    if grain == "day":
        return day
    if grain == "week":
        return day - timedelta(days=day.weekday())
    months = _MONTHS[grain]
    return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def _default_first(end: date, first_day: date | None, grain: Grain | None) -> date:
    if grain is None:
        return end - timedelta(days=DEFAULT_PERIOD_DAYS - 1)
    first = bucket_start(end, grain)
    for _ in range(DEFAULT_BUCKETS[grain] - 1):
        if first_day and first <= first_day:
            break
        first = bucket_start(first - _DAY, grain)
    return first


def _period(asked: Span, young: Span | None, *, is_complete: bool) -> Window:
    return Window(asked, asked.back(timedelta(days=max(asked.days, 1))), asked.back(LAST_YEAR), young, is_complete)


def _buckets(metric: Metric, asked: Span, young: Span | None, grain: Grain, *, as_of: date, first_day: date | None) -> list[Window]:
    windows = []
    start = bucket_start(asked.first, grain)
    while start <= asked.last:
        whole = Span(start, _next_start(start, grain) - _DAY)
        counted = Span(max(whole.first, asked.first), min(whole.last, asked.last))
        before = bucket_start(start - _DAY, grain)
        prior = Span(before, start - _DAY)
        if counted != whole and metric.counts_only_day is None:
            first = before + (counted.first - start)
            prior = Span(min(first, prior.last), min(first + timedelta(days=counted.days - 1), prior.last))
        is_complete = counted == whole and whole.last <= as_of and first_day is not None and first_day <= start
        is_last = whole.last >= asked.last
        windows.append(Window(counted, prior, counted.back(LAST_YEAR), young if is_last else None, is_complete))
        start = whole.last + _DAY
    return windows


def _next_start(start: date, grain: Grain) -> date:
    if grain in _MONTHS:
        months = start.year * 12 + start.month - 1 + _MONTHS[grain]
        return date(months // 12, months % 12 + 1, 1)
    return start + timedelta(days=7 if grain == "week" else 1)
