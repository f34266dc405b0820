"""The SQL of one metric. Identifiers and expressions come from the catalogue only; every value is bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import MetricError

if TYPE_CHECKING:
    from pipelines.stores.metrics_catalogue import Exclusion, Measure, Metric

TOO_YOUNG = "too_young"
UNNAMED = "other"  # left out by the filter though no exclusion names it; the tests hold this at zero


def period_query(metric: Metric, *, by: str | None) -> str:
    """Both periods in one pass: a row per period and member with the value's parts and every exclusion's count.

    Columns: period, member, numerator, denominator, n, row_count, currency_count, currency_code, one per caveat, one per
    exclusion (with `too_young` and `other` behind them). Binds since, until, prior_since, prior_until and, where the metric has
    to mature, young_since and young_until.
    """
    member = metric.dimensions[by].expression if by else "null"
    names = [exclusion.name for exclusion in metric.exclusions] + [TOO_YOUNG, UNNAMED]
    caveats = [f"count(*) filter (where exclusion is null and caveat_{i}) as caveat_{i}" for i in range(len(metric.caveats))]
    counts = [f"count(*) filter (where exclusion = '{name}') as excluded_{i}" for i, name in enumerate(names)]
    return f"""
        with counted as ({" union all ".join(_row_sources(metric, member))})
        select
            period, cast(member as varchar) as member,
            {_aggregate(metric.numerator, "numerator")} as numerator,
            {_aggregate(metric.denominator, "denominator") if metric.denominator else "null"} as denominator,
            count(numerator) filter (where exclusion is null) as n,
            count(*) filter (where exclusion is null) as row_count,
            count(distinct currency) filter (where exclusion is null) as currency_count,
            min(currency) filter (where exclusion is null) as currency_code,
            {", ".join(caveats + counts)}
        from counted
        group by period, member
    """


def bucket_query(metric: Metric, *, bucket_days: int) -> str:
    """A row per bucket of days counted back from the last: its last day and the value's parts. Binds since and until."""
    age = f"(cast($until as date) - {metric.time_column})"
    return f"""
        with counted as (
            select
                cast($until as date) - cast({age} // {bucket_days} * {bucket_days} as integer) as metric_date,
                {metric.numerator.expression} as numerator,
                {metric.denominator.expression if metric.denominator else "null"} as denominator,
                {_currency(metric)} as currency,
                cast(null as varchar) as exclusion
            from {metric.schema}.{metric.table}
            where {metric.time_column} between $since and $until and {metric.where}
        )
        select
            metric_date,
            cast({_aggregate(metric.numerator, "numerator")} as double) as numerator,
            cast({_aggregate(metric.denominator, "denominator") if metric.denominator else "null"} as double) as denominator,
            count(numerator) as n,
            min(currency) as currency_code,
            count(distinct currency) as currency_count
        from counted
        group by metric_date
    """


def _row_sources(metric: Metric, member: str) -> list[str]:
    """Selects of one shape: the metric's own rows, rows that only other dates or tables can count, and rows too young to judge."""
    own_exclusions = [one for one in metric.exclusions if not one.is_counted_apart]
    named = " ".join(f"when {one.where} then '{one.name}'" for one in own_exclusions)
    exclusion = f"case when {metric.where} then null {named} else '{UNNAMED}' end"
    caveats = "".join(f", coalesce({one.where}, false) as caveat_{i}" for i, one in enumerate(metric.caveats))
    sources = [
        f"""
        select
            {_period(metric.time_column)} as period, {member} as member, {exclusion} as exclusion,
            {metric.numerator.expression} as numerator,
            {metric.denominator.expression if metric.denominator else "null"} as denominator,
            {_currency(metric)} as currency {caveats}
        from {metric.schema}.{metric.table}
        where {_period(metric.time_column)} is not null
        """
    ]
    sources += [_apart(metric, one, member) for one in metric.exclusions if one.is_counted_apart]
    if metric.maturity_days:
        is_young = f"{metric.time_column} between $young_since and $young_until"
        sources.append(_left_out(metric, "'current'", member, TOO_YOUNG, f"{is_young} and {metric.where}"))
    return sources


def _apart(metric: Metric, exclusion: Exclusion, member: str) -> str:
    time_column = exclusion.time_column or metric.time_column
    where = f"{_period(time_column)} is not null and {exclusion.where}"
    return _left_out(metric, _period(time_column), member, exclusion.name, where, table=exclusion.table)


def _left_out(metric: Metric, period: str, member: str, name: str, where: str, *, table: str | None = None) -> str:
    caveats = ", false" * len(metric.caveats)
    return f"select {period}, {member}, '{name}', null, null, null {caveats} from {metric.schema}.{table or metric.table} where {where}"


def _period(time_column: str) -> str:
    return (
        f"case when {time_column} between $since and $until then 'current' "
        f"when {time_column} between $prior_since and $prior_until then 'prior' end"
    )


def _currency(metric: Metric) -> str:
    return "currency_code" if metric.unit == "money" else "cast(null as varchar)"


def _aggregate(measure: Measure, column: str) -> str:
    match measure.aggregation:
        case "sum":
            aggregate = f"sum({column})"
        case "sum_boolean":
            aggregate = f"count_if({column})"
        case "count":
            aggregate = f"count({column})"
        case "average":
            aggregate = f"avg({column})"
        case "percentile":
            aggregate = f"quantile_cont({column}, {float(measure.percentile or 0.5)})"
        case unknown:
            raise MetricError(f"A measure aggregates by {unknown}, which cannot be evaluated.")
    return f"{aggregate} filter (where exclusion is null)"
