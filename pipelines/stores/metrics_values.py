"""What one metric amounts to: its value with everything a reader needs to judge it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from pipelines.errors import MetricError
from pipelines.stores.metrics_sql import CURRENT, LAST_YEAR, PRIOR, TOO_YOUNG, UNNAMED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import duckdb

    from pipelines.stores.metrics_catalogue import Caveat, Metric
    from pipelines.stores.metrics_targets import Goal
    from pipelines.stores.metrics_windows import Window

Status = Literal["on_target", "watch", "off_target", "no_target", "not_available", "no_data", "blocked"]
Amount = int | float | Decimal

# ISO 4217 exponents other than two, as in dbt_project/macros/money.sql.
MINOR_UNIT_EXPONENTS: Final = dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3) | dict.fromkeys(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0
)
_FOUR_DECIMALS: Final = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One metric over one period, overall or for one member of a dimension.

    None is unknown, 0 is measured zero. `n` counts the rows the value rests on, `excluded` those left out, by reason. Money is
    decimal in major units of the reporting currency. `change` is value less prior, `change_last_year` value less that of the same
    weekdays a year ago, both in the metric's unit. `grain` is what kind of bucket the period is, None for a period as asked;
    `is_complete` says whether all its days are over, old enough and within the data.
    """

    name: str
    label: str
    value: Amount | None
    numerator: Amount | None
    denominator: Amount | None
    n: int | None
    unit: str
    currency_code: str | None
    better: str
    target: float | None
    status: Status
    prior: Amount | None
    change: Amount | None
    as_of: date
    period_from: date
    period_to: date
    excluded: dict[str, int] = field(default_factory=dict)
    needs_missing: tuple[str, ...] = ()
    note: str | None = None
    dimension: str | None = None
    member: str | None = None
    owner: str = ""
    last_year: Amount | None = None
    change_last_year: Amount | None = None
    assumption: str | None = None
    grain: str | None = None
    is_complete: bool = True
    domain: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The value as plain JSON types; dates are ISO text, money a number in major units."""
        plain = asdict(self) | {"needs_missing": list(self.needs_missing)}
        return {key: _plain(value) for key, value in plain.items()}


@dataclass(frozen=True, slots=True)
class Basis:
    """What the connection says about itself."""

    as_of: date
    currency_code: str
    present: frozenset[str]

    def missing(self, needs: Iterable[str]) -> tuple[str, ...]:
        """Those of the fields that the source lacks."""
        return tuple(need for need in needs if need not in self.present)


def read_basis(conn: duckdb.DuckDBPyConnection) -> Basis:
    """As-of date, reporting currency and the fields the source has."""
    context = conn.execute("select as_of_date, currency_code from meta.run_context").fetchone()
    if context is None:
        raise MetricError("There is nothing to measure yet: `ordercast run` ingests the operational store.")
    fields = conn.execute("select table_name, field_name from meta.source_fields where is_present").fetchall()
    return Basis(context[0], context[1], frozenset(f"{table}.{name}" for table, name in fields))


def unavailable_value(
    metric: Metric, basis: Basis, window: Window, goal: Goal, *, missing: tuple[str, ...], by: str | None, lacking: Sequence[str] = ()
) -> MetricValue:
    """The metric without a value, and why: fields the source lacks, dimensions it cannot be narrowed by, or `by`."""
    unable = f"cannot be narrowed to {', '.join(lacking)}" if lacking else f"not available by {by}"
    note = f"not available: needs {', '.join(missing)}" if missing else unable
    return MetricValue(
        name=metric.name, label=metric.label, value=None, numerator=None, denominator=None, n=None, unit=metric.unit,
        currency_code=basis.currency_code if metric.unit == "money" else None, better=goal.better, target=goal.target,
        status="not_available", prior=None, change=None, as_of=basis.as_of, period_from=window.counted.first,
        period_to=window.counted.last, needs_missing=missing, note=note, dimension=by, owner=metric.owner,
        assumption=metric.assumption, is_complete=window.is_complete, domain=metric.domain,
    )  # fmt: skip


def metric_value(
    metric: Metric,
    basis: Basis,
    window: Window,
    periods: Mapping[str, Mapping[str, Any]],
    goal: Goal,
    *,
    earlier: frozenset[str],
    has_zeros: bool,
    is_covered: bool,
    grain: str | None,
    by: str | None,
    member: str | None,
) -> MetricValue:
    """The metric's value from the rows of `metric_query` by period.

    Args:
        metric: Its definition.
        basis: Whose data it is.
        window: The days asked about.
        periods: A row per period that has any.
        goal: Target and direction that hold on the period's last day.
        earlier: Which of the periods before can be compared with; the others have no value.
        has_zeros: Whether a sum over no row is zero, not unknown.
        is_covered: Whether the data cover the window.
        grain: What kind of bucket the window is.
        by: The dimension of `member`.
        member: None for the whole.
    """
    current = periods.get(CURRENT, {})
    value, numerator, denominator = _amounts(metric, current, basis.currency_code)
    zero = (Decimal(0) if metric.unit == "money" else 0) if has_zeros else None
    if zero is not None and not current.get("n") and is_covered:
        value = numerator = zero
    prior, last_year = (_earlier(metric, basis, periods.get(one, {}), zero) if one in earlier else None for one in (PRIOR, LAST_YEAR))
    return MetricValue(
        name=metric.name, label=metric.label, value=value, numerator=numerator, denominator=denominator, n=current.get("n", 0),
        unit=metric.unit, currency_code=basis.currency_code if metric.unit == "money" else None, better=goal.better,
        target=goal.for_days(metric, window.counted.days), status=_status(metric, current, value, goal, window.counted.days),
        prior=prior, change=_difference(value, prior), last_year=last_year, change_last_year=_difference(value, last_year),
        as_of=basis.as_of, period_from=window.counted.first, period_to=window.counted.last, excluded=_excluded(metric, current),
        note=_note(metric, current, as_of=basis.as_of, until=window.counted.last), dimension=by, member=member, owner=metric.owner,
        assumption=metric.assumption, grain=grain, is_complete=window.is_complete, domain=metric.domain,
    )  # fmt: skip


def _earlier(metric: Metric, basis: Basis, facts: Mapping[str, Any], zero: Amount | None) -> Amount | None:
    return _amounts(metric, facts, basis.currency_code)[0] if facts.get("n") else zero


def _amounts(metric: Metric, facts: Mapping[str, Any], currency_code: str) -> tuple[Amount | None, Amount | None, Amount | None]:
    """Value, numerator and denominator; all None where nothing was counted or a row forbids it."""
    if not facts.get("n") or _blocking(metric, facts):
        return None, None, None
    numerator, denominator = facts["numerator"], facts["denominator"]
    is_of_money = metric.denominator is not None and metric.numerator.is_money and metric.denominator.is_money
    if metric.unit == "money" or is_of_money:
        numerator = _money(numerator, currency_code)
    if is_of_money:
        denominator = _money(denominator, currency_code)
    value = ratio(metric, numerator, denominator)
    match metric.numerator.aggregation:
        case "percentile" | "min" | "max":
            return value, None, None
        case "average" if metric.denominator is None:
            return value, numerator * facts["n"], facts["n"]
        case _:
            return value, numerator, denominator


def _money(minor: Any, currency_code: str) -> Decimal | None:
    """Major units: sums exactly, means and percentiles to four decimals."""
    if minor is None:
        return None
    amount = major_units(Decimal(minor), currency_code)
    return amount.quantize(_FOUR_DECIMALS) if isinstance(minor, float) else amount


def ratio(metric: Metric, numerator: Any, denominator: Any) -> Any:
    """The value from its parts; a metric without denominator is its numerator. An amount of money per piece has four decimals."""
    if metric.denominator is None:
        return numerator
    if not denominator or numerator is None:
        return None
    if metric.unit == "money":
        return (Decimal(numerator) / Decimal(denominator)).quantize(_FOUR_DECIMALS)
    return float(numerator) / float(denominator)


def _difference(value: Any, other: Any) -> Any:
    return None if value is None or other is None else value - other


def _status(metric: Metric, facts: Mapping[str, Any], value: Amount | None, goal: Goal, days: int) -> Status:
    if _blocking(metric, facts):
        return "blocked"
    if value is None:
        return "no_data"
    target = goal.for_days(metric, days)
    if target is None:
        return "no_target"
    short = (target - float(value)) * (1 if goal.better == "higher" else -1)
    if short <= 0:
        return "on_target"
    return "watch" if short <= goal.band_for_days(metric, days) else "off_target"


def _blocking(metric: Metric, facts: Mapping[str, Any]) -> list[str]:
    """What forbids the value, as "12 of 340 rows have no ...", by the catalogue's order."""
    return _counted(metric.blocked, "blocked", facts)


def _counted(named: Iterable[Caveat], prefix: str, facts: Mapping[str, Any]) -> list[str]:
    return [
        f"{count:,} of {facts['row_count']:,} {one.told(facts[f'{prefix}_{i}_figure'])}"
        for i, one in enumerate(named)
        if (count := facts.get(f"{prefix}_{i}", 0))
    ]


def _excluded(metric: Metric, facts: Mapping[str, Any]) -> dict[str, int]:
    """Counts by reason in the catalogue's order; every declared reason is there, also with 0."""
    names = [exclusion.name for exclusion in metric.exclusions] + [TOO_YOUNG, UNNAMED]
    counts = {name: int(facts.get(f"excluded_{i}", 0)) for i, name in enumerate(names)}
    always = {exclusion.name for exclusion in metric.exclusions} | ({TOO_YOUNG} if metric.maturity_days else set())
    return {name: count for name, count in counts.items() if count or name in always}


def _note(metric: Metric, facts: Mapping[str, Any], *, as_of: date, until: date) -> str | None:
    parts = [f"counts days after {as_of}, which may be incomplete"] if until > as_of else []
    parts += _blocking(metric, facts) + _counted(metric.caveats, "caveat", facts)
    parts += [f"periods are not compared, younger ones have had less time: {metric.grows_with_age}"] if metric.grows_with_age else []
    return "; ".join(parts) or None


def major_units(minor: int | Decimal, currency_code: str) -> Decimal:
    """Minor units as a decimal in the currency's major unit."""
    return Decimal(minor).scaleb(-MINOR_UNIT_EXPONENTS.get(currency_code, 2))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value
