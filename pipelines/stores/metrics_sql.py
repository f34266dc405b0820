"""The SQL of one metric. Identifiers and expressions come from the catalogue only; every value is bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipelines.errors import MetricError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.stores.metrics_catalogue import Caveat, Dimension, Exclusion, Measure, Metric
    from pipelines.stores.metrics_windows import Window

TOO_YOUNG: Final = "too_young"
UNNAMED: Final = "other"  # left out by the filter though no exclusion names it; the tests hold this at zero
UNKNOWN: Final = "unknown"
CURRENT, PRIOR, LAST_YEAR, _YOUNG = "current", "prior", "last_year", "young"


@dataclass(frozen=True, slots=True)
class Split:
    """A dimension to split or to narrow by, and the tables of exclusions that cannot name its members: what is left out there is unknown's.

    `alias` tells the lookups of several apart.
    """

    dimension: Dimension
    tables_without: frozenset[str] = frozenset()
    alias: str = "lookup"

    def member(self, table: str) -> str:
        """The member of a row, as an expression; never null."""
        if table in self.tables_without:
            return f"'{UNKNOWN}'"
        name = f"{self.alias}_member" if self.dimension.lookup else self.dimension.expression
        return f"coalesce(nullif(cast({name} as varchar), ''), '{UNKNOWN}')"

    def join(self, table: str) -> str:
        """What has to be joined for it. The names are the lookup's own, so that a fact's columns keep meaning the fact."""
        found = self.dimension.lookup
        if found is None or table in self.tables_without:
            return ""
        return (
            f"left join (select {found.key} as {self.alias}_key, {self.dimension.expression} as {self.alias}_member "
            f"from {found.schema}.{found.table}) as {self.alias} on {self.alias}_key = {found.foreign_key}"
        )


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows of every table a query is about: all, or those of chosen members; and how they are split.

    The members of the narrowing at place i are bound as `members_<i>`. Without `counts_left_out` neither exclusions nor caveats are
    counted, which is several times faster where only values through time are wanted.
    """

    split: Split | None = None
    narrowings: tuple[Split, ...] = ()
    counts_left_out: bool = True

    def member(self, table: str) -> str:
        """The member of a row, as an expression; null where nothing is split."""
        return self.split.member(table) if self.split else "cast(null as varchar)"

    def joins(self, table: str) -> str:
        """What has to be joined to say whose a row is."""
        return " ".join(one.join(table) for one in (self.split, *self.narrowings) if one)

    def holds(self, table: str) -> str:
        """Whether a row is one of those asked about, as an expression."""
        return self._is_chosen(table, numerator_only=False)

    def holds_numerator(self, table: str) -> str:
        """Whether a row is asked about by those dimensions that narrow the numerator alone, as an expression."""
        return self._is_chosen(table, numerator_only=True)

    @property
    def narrows_numerator(self) -> bool:
        """Whether the rows of the numerator are fewer than those of the denominator."""
        return any(one.dimension.splits_numerator_only for one in self.narrowings)

    def _is_chosen(self, table: str, *, numerator_only: bool) -> str:
        found = [
            f"list_contains(cast($members_{i} as varchar[]), {one.member(table)})"
            for i, one in enumerate(self.narrowings)
            if one.dimension.splits_numerator_only == numerator_only
        ]
        return " and ".join(found) or "true"


def bound_windows(windows: Sequence[Window]) -> dict[str, list[Any]]:
    """The windows as `metric_query` binds them: what a day counts for, and from when to when."""
    spans = [
        (bucket, period, span)
        for bucket, window in enumerate(windows)
        for period, span in ((CURRENT, window.counted), (PRIOR, window.prior), (LAST_YEAR, window.last_year), (_YOUNG, window.young))
        if span is not None and span.days
    ]
    return {
        "buckets": [bucket for bucket, _, _ in spans],
        "periods": [period for _, period, _ in spans],
        "first_days": [span.first for _, _, span in spans],
        "last_days": [span.last for _, _, span in spans],
    }


def metric_query(metric: Metric, scope: Scope) -> str:
    """All windows in one pass: a row per bucket, period and member with the value's parts and every exclusion's count.

    Days are joined by equality, so a row counts for every window that holds its day. Where only the numerator is split, a further
    row per bucket and period, with `is_total`, holds the whole. Where only the numerator is narrowed, what it lacks adds nothing.

    Columns: bucket, period (current, prior, last_year), member, is_total, numerator, denominator, n, row_count, one and its figure
    per caveat and per block, one per exclusion (with `too_young` and `other` behind them). Binds what `bound_windows` gives, and the
    members of the scope.
    """
    names = [exclusion.name for exclusion in metric.exclusions] + [TOO_YOUNG, UNNAMED] if scope.counts_left_out else []
    named = [flag for flag, _ in _flags(metric, scope)]
    flags = [f"count(*) filter (where exclusion is null and {flag}) as {flag}" for flag in named]
    flags += [f"max({flag}_figure) filter (where exclusion is null and {flag}) as {flag}_figure" for flag in named]
    counts = [f"count(*) filter (where exclusion = '{name}') as excluded_{i}" for i, name in enumerate(names)]
    is_partial = scope.split is not None and scope.split.dimension.splits_numerator_only
    numerator = _aggregate(metric.numerator, "numerator", also=" and is_of_numerator")
    if scope.narrows_numerator and metric.numerator.aggregation in {"sum", "sum_boolean"}:
        numerator = f"coalesce({numerator}, 0)"
    period = "period" if scope.counts_left_out else f"'{CURRENT}'"  # all that is asked for then; what is constant is not grouped by
    groups = ["bucket", *(["period"] if scope.counts_left_out else [])]
    groups += ["grouping sets ((member), ())"] if is_partial else ["member"] if scope.split else []
    return f"""
        with windows as (
            select
                unnest(cast($buckets as integer[])) as window_bucket, unnest(cast($periods as varchar[])) as window_period,
                unnest(cast($first_days as date[])) as first_day, unnest(cast($last_days as date[])) as last_day
        ),
        days as (
            select
                window_bucket, window_period,
                cast(unnest(generate_series(first_day, last_day, interval 1 day)) as date) as window_day
            from windows
        ),
        {_counted_days(metric)}
        counted as ({" union all ".join(_row_sources(metric, scope))})
        select
            bucket, {period} as period, {"member" if scope.split else "null"} as member,
            {"grouping(member) = 1" if is_partial else "false"} as is_total,
            {numerator} as numerator,
            {_aggregate(metric.denominator, "denominator") if metric.denominator else "null"} as denominator,
            count(*) filter (where exclusion is null and (numerator is not null or denominator is not null)) as n,
            {", ".join(["count(*) filter (where exclusion is null) as row_count", *flags, *counts])}
        from counted
        group by {", ".join(groups)}
    """


def _counted_days(metric: Metric) -> str:
    """Of a level, the one day of each window that counts: the last (or first) that has rows."""
    if metric.counts_only_day is None:
        return ""
    return f"""
        counted_days as (
            select window_bucket, window_period, {metric.counts_only_day}(window_day) as window_day
            from {metric.schema}.{metric.table} inner join days on {metric.time_column} = window_day
            group by window_bucket, window_period
        ),
    """


def _row_sources(metric: Metric, scope: Scope) -> list[str]:
    """Selects of one shape: the metric's own rows, rows that only other dates or tables can count, and rows too young to judge."""
    named = " ".join(f"when {one.where} then '{one.name}'" for one in metric.exclusions if not one.is_counted_apart)
    exclusion = f"case when {metric.where} then null {named} else '{UNNAMED}' end" if scope.counts_left_out else "cast(null as varchar)"
    flags = "".join(
        f", coalesce({one.where}, false) as {flag}, {one.figure or 'null'} as {flag}_figure" for flag, one in _flags(metric, scope)
    )
    sources = [
        f"""
        select
            window_bucket as bucket, window_period as period, {scope.member(metric.table)} as member,
            {exclusion} as exclusion,
            {metric.numerator.expression} as numerator,
            {metric.denominator.expression if metric.denominator else "null"} as denominator,
            {scope.holds_numerator(metric.table)} as is_of_numerator {flags}
        from {metric.schema}.{metric.table}
        inner join {"counted_days" if metric.counts_only_day else "days"} on {metric.time_column} = window_day
        {scope.joins(metric.table)}
        where window_period <> '{_YOUNG}' and {scope.holds(metric.table)} {"" if scope.counts_left_out else f"and {metric.where}"}
        """
    ]
    if not scope.counts_left_out:
        return sources
    sources += [_apart(metric, one, scope) for one in metric.exclusions if one.is_counted_apart]
    if metric.maturity_days:
        young = f"window_period = '{_YOUNG}' and {metric.where}"
        sources.append(_left_out(metric, scope, TOO_YOUNG, young, table=metric.table, time_column=metric.time_column))
    return sources


def _apart(metric: Metric, exclusion: Exclusion, scope: Scope) -> str:
    where = f"window_period = '{CURRENT}' and ({exclusion.where})"
    table, time_column = exclusion.table or metric.table, exclusion.time_column or metric.time_column
    return _left_out(metric, scope, exclusion.name, where, table=table, time_column=time_column)


def _left_out(metric: Metric, scope: Scope, name: str, where: str, *, table: str, time_column: str) -> str:
    return f"""
        select
            window_bucket, '{CURRENT}', {scope.member(table)}, '{name}', null, null, true {", false, null" * len(_flags(metric, scope))}
        from {metric.schema}.{table} inner join days on {time_column} = window_day {scope.joins(table)}
        where {where} and {scope.holds(table)}
    """


def _flags(metric: Metric, scope: Scope) -> list[tuple[str, Caveat]]:
    """What is counted among the rows that count: caveats and what blocks the value."""
    caveats = metric.caveats if scope.counts_left_out else ()
    return [(f"caveat_{i}", one) for i, one in enumerate(caveats)] + [(f"blocked_{i}", one) for i, one in enumerate(metric.blocked)]


def _aggregate(measure: Measure, column: str, *, also: str = "") -> str:
    match measure.aggregation:
        case "sum" | "min" | "max" | "count" as name:
            aggregate = f"{name}({column})"
        case "sum_boolean":
            aggregate = f"count_if({column})"
        case "count_distinct":
            aggregate = f"count(distinct {column})"
        case "average":
            aggregate = f"avg({column})"
        case "percentile":
            aggregate = f"quantile_cont({column}, {0.5 if measure.percentile is None else measure.percentile:f})"
        case unknown:
            raise MetricError(f"A measure aggregates by {unknown}, which cannot be evaluated.")
    return f"{aggregate} filter (where exclusion is null{also})"
