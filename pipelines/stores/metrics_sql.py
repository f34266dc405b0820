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
    """A dimension to split by, and the tables of exclusions that cannot name its members: what is left out there is unknown's."""

    dimension: Dimension
    tables_without: frozenset[str] = frozenset()

    def member(self, table: str) -> str:
        """The member of a row, as an expression; never null."""
        if table in self.tables_without:
            return f"'{UNKNOWN}'"
        name = "lookup_member" if self.dimension.lookup else self.dimension.expression
        return f"coalesce(nullif(cast({name} as varchar), ''), '{UNKNOWN}')"

    def join(self, table: str) -> str:
        """What has to be joined for it. The names are the lookup's own, so that a fact's columns keep meaning the fact."""
        found = self.dimension.lookup
        if found is None or table in self.tables_without:
            return ""
        return (
            f"left join (select {found.key} as lookup_key, {self.dimension.expression} as lookup_member from {found.schema}.{found.table}) "
            f"as lookup on lookup_key = {found.foreign_key}"
        )


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


def metric_query(metric: Metric, *, split: Split | None) -> str:
    """All windows in one pass: a row per bucket, period and member with the value's parts and every exclusion's count.

    Days are joined by equality, so a row counts for every window that holds its day. Where only the numerator is split, a further
    row per bucket and period, with `is_total`, holds the whole.

    Columns: bucket, period (current, prior, last_year), member, is_total, numerator, denominator, n, row_count, one and its figure
    per caveat and per block, one per exclusion (with `too_young` and `other` behind them). Binds what `bound_windows` gives.
    """
    names = [exclusion.name for exclusion in metric.exclusions] + [TOO_YOUNG, UNNAMED]
    flags = [f"count(*) filter (where exclusion is null and {flag}) as {flag}" for flag, _ in _flags(metric)]
    flags += [f"max({flag}_figure) filter (where exclusion is null and {flag}) as {flag}_figure" for flag, _ in _flags(metric)]
    counts = [f"count(*) filter (where exclusion = '{name}') as excluded_{i}" for i, name in enumerate(names)]
    is_partial = split is not None and split.dimension.splits_numerator_only
    total = ", grouping sets ((member), ())" if is_partial else ", member"
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
        counted as ({" union all ".join(_row_sources(metric, split))})
        select
            bucket, period, member, {"grouping(member) = 1" if is_partial else "false"} as is_total,
            {_aggregate(metric.numerator, "numerator")} as numerator,
            {_aggregate(metric.denominator, "denominator") if metric.denominator else "null"} as denominator,
            count(*) filter (where exclusion is null and (numerator is not null or denominator is not null)) as n,
            count(*) filter (where exclusion is null) as row_count,
            {", ".join(flags + counts)}
        from counted
        group by bucket, period{total}
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


def _row_sources(metric: Metric, split: Split | None) -> list[str]:
    """Selects of one shape: the metric's own rows, rows that only other dates or tables can count, and rows too young to judge."""
    own_exclusions = [one for one in metric.exclusions if not one.is_counted_apart]
    named = " ".join(f"when {one.where} then '{one.name}'" for one in own_exclusions)
    flags = "".join(f", coalesce({one.where}, false) as {flag}, {one.figure or 'null'} as {flag}_figure" for flag, one in _flags(metric))
    sources = [
        f"""
        select
            window_bucket as bucket, window_period as period, {split.member(metric.table) if split else "cast(null as varchar)"} as member,
            case when {metric.where} then null {named} else '{UNNAMED}' end as exclusion,
            {metric.numerator.expression} as numerator,
            {metric.denominator.expression if metric.denominator else "null"} as denominator {flags}
        from {metric.schema}.{metric.table}
        inner join {"counted_days" if metric.counts_only_day else "days"} on {metric.time_column} = window_day
        {split.join(metric.table) if split else ""}
        where window_period <> '{_YOUNG}'
        """
    ]
    sources += [_apart(metric, one, split) for one in metric.exclusions if one.is_counted_apart]
    if metric.maturity_days:
        young = f"window_period = '{_YOUNG}' and {metric.where}"
        sources.append(_left_out(metric, split, TOO_YOUNG, young, table=metric.table, time_column=metric.time_column))
    return sources


def _apart(metric: Metric, exclusion: Exclusion, split: Split | None) -> str:
    where = f"window_period = '{CURRENT}' and {exclusion.where}"
    table, time_column = exclusion.table or metric.table, exclusion.time_column or metric.time_column
    return _left_out(metric, split, exclusion.name, where, table=table, time_column=time_column)


def _left_out(metric: Metric, split: Split | None, name: str, where: str, *, table: str, time_column: str) -> str:
    member = split.member(table) if split else "null"
    return f"""
        select window_bucket, '{CURRENT}', {member}, '{name}', null, null {", false, null" * len(_flags(metric))}
        from {metric.schema}.{table} inner join days on {time_column} = window_day {split.join(table) if split else ""}
        where {where}
    """


def _flags(metric: Metric) -> list[tuple[str, Caveat]]:
    """What is counted among the rows that count: caveats and what blocks the value."""
    return [(f"caveat_{i}", one) for i, one in enumerate(metric.caveats)] + [(f"blocked_{i}", one) for i, one in enumerate(metric.blocked)]


def _aggregate(measure: Measure, column: str) -> str:
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
    return f"{aggregate} filter (where exclusion is null)"
