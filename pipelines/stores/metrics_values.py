"""What one metric amounts to: its value with everything a reader needs to judge it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from pipelines.errors import MetricError
from pipelines.stores.metrics_sql import TOO_YOUNG, UNNAMED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

    from pipelines.stores.metrics_catalogue import Metric

Status = Literal["on_target", "watch", "off_target", "no_target", "not_available", "no_data"]
Amount = int | float | Decimal

DEFAULT_PERIOD_DAYS: Final = 28
# ISO 4217 exponents other than two, as in dbt_project/macros/money.sql.
MINOR_UNIT_EXPONENTS: Final = dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3) | dict.fromkeys(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0
)


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One metric over one period, overall or for one member of a dimension.

    None is unknown, 0 is measured zero. `n` counts the rows the value rests on, `excluded` those left out, by reason. Money is
    decimal in major units. `change` is value less prior, in the metric's unit.
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


@dataclass(frozen=True, slots=True)
class Window:
    """The period a metric can speak about, the one before it, and the days that are too young for it."""

    since: date
    until: date
    prior_since: date
    prior_until: date
    young_since: date
    young_until: date


def read_basis(conn: duckdb.DuckDBPyConnection) -> Basis:
    """As-of date, reporting currency and the fields the source has."""
    context = conn.execute("select as_of_date, currency_code from meta.run_context").fetchone()
    if context is None:
        raise MetricError("There is nothing to measure yet: `ordercast run` ingests the operational store.")
    fields = conn.execute("select table_name, field_name from meta.source_fields where is_present").fetchall()
    return Basis(context[0], context[1], frozenset(f"{table}.{name}" for table, name in fields))


def comparison_window(metric: Metric, as_of: date, *, since: date | None, until: date | None) -> Window:
    """The days a metric is asked about, cut to those that are mature.

    Days after as-of are counted only where the caller names them: a public data set ends in a thin tail that is cut by as-of,
    and its totals can still be asked for.

    Raises:
        MetricError: The period holds no day.
    """
    last = until or as_of
    mature = as_of - timedelta(days=metric.maturity_days) if metric.maturity_days else last
    if since is None:
        end = min(last, mature)
        first = end - timedelta(days=DEFAULT_PERIOD_DAYS - 1)
    else:
        if since > last:
            raise MetricError(f"The period from {since} to {last} holds no day; data is complete until {as_of}.")
        first, end = since, min(last, mature)
    length = timedelta(days=max((end - first).days + 1, 1))
    return Window(first, end, first - length, first - timedelta(days=1), max(first, mature + timedelta(days=1)), last)


def unavailable_value(metric: Metric, basis: Basis, window: Window, *, missing: tuple[str, ...], by: str | None) -> MetricValue:
    """The metric without a value, and what it lacks; without missing fields it cannot be split this way."""
    note = f"not available: needs {', '.join(missing)}" if missing else f"not available by {by}"
    return MetricValue(
        name=metric.name, label=metric.label, value=None, numerator=None, denominator=None, n=None, unit=metric.unit,
        currency_code=basis.currency_code if metric.unit == "money" else None, better=metric.better, target=metric.target,
        status="not_available", prior=None, change=None, as_of=basis.as_of, period_from=window.since, period_to=window.until,
        needs_missing=missing, note=note, dimension=by, owner=metric.owner,
    )  # fmt: skip


def metric_value(
    metric: Metric,
    basis: Basis,
    window: Window,
    periods: Mapping[str, Mapping[str, Any]],
    *,
    has_prior: bool,
    by: str | None,
    member: str | None,
) -> MetricValue:
    """The metric's value from the current and the prior period's row of `period_query`; no prior where data covers only part of it."""
    current, before = periods.get("current", {}), periods.get("prior", {})
    if current.get("currency_count", 0) > 1:
        unknown = unavailable_value(metric, basis, window, missing=("fx_rates",), by=by)
        return replace(unknown, member=member, excluded=_excluded(metric, current))
    currency_code = (current.get("currency_code") or basis.currency_code) if metric.unit == "money" else None
    value, numerator, denominator = _amounts(metric, current)
    is_comparable = (
        has_prior and before.get("currency_count", 0) <= 1 and (not before.get("currency_code") or before["currency_code"] == currency_code)
    )
    prior = _amounts(metric, before)[0] if is_comparable else None
    return MetricValue(
        name=metric.name, label=metric.label, value=value, numerator=numerator, denominator=denominator, n=current.get("n", 0),
        unit=metric.unit, currency_code=currency_code, better=metric.better, target=metric.target, status=_status(metric, value),
        prior=prior, change=None if value is None or prior is None else value - prior,  # type: ignore[operator]
        as_of=basis.as_of, period_from=window.since, period_to=window.until, excluded=_excluded(metric, current),
        note=_note(metric, current, as_of=basis.as_of, until=window.until), dimension=by, member=member, owner=metric.owner,
    )  # fmt: skip


def _amounts(metric: Metric, facts: Mapping[str, Any]) -> tuple[Amount | None, Amount | None, Amount | None]:
    """Value, numerator and denominator; all None where nothing was counted."""
    if not facts.get("n"):
        return None, None, None
    numerator, denominator = facts["numerator"], facts["denominator"]
    if metric.unit == "money" and numerator is not None:
        numerator = major_units(int(numerator), facts["currency_code"])
    value = ratio(metric, numerator, denominator)
    match metric.numerator.aggregation:
        case "percentile":
            return value, None, None
        case "average":
            return value, numerator * facts["n"], facts["n"]
        case _:
            return value, numerator, denominator


def ratio(metric: Metric, numerator: Any, denominator: Any) -> Any:
    """The value from its parts; a metric without denominator is its numerator."""
    if metric.denominator is None:
        return numerator
    return numerator / denominator if denominator else None


def _status(metric: Metric, value: Amount | None) -> Status:
    if value is None:
        return "no_data"
    if metric.target is None:
        return "no_target"
    short = (metric.target - float(value)) * (1 if metric.better == "higher" else -1)
    if short <= 0:
        return "on_target"
    return "watch" if short <= metric.watch_band else "off_target"


def _excluded(metric: Metric, facts: Mapping[str, Any]) -> dict[str, int]:
    """Counts by reason in the catalogue's order; every declared reason is there, also with 0."""
    names = [exclusion.name for exclusion in metric.exclusions] + [TOO_YOUNG, UNNAMED]
    counts = {name: int(facts.get(f"excluded_{i}", 0)) for i, name in enumerate(names)}
    always = {exclusion.name for exclusion in metric.exclusions} | ({TOO_YOUNG} if metric.maturity_days else set())
    return {name: count for name, count in counts.items() if count or name in always}


def _note(metric: Metric, facts: Mapping[str, Any], *, as_of: date, until: date) -> str | None:
    parts = [f"counts days after {as_of}, which may be incomplete"] if until > as_of else []
    parts += [
        f"{count:,} of {facts['row_count']:,} {caveat.text}"
        for i, caveat in enumerate(metric.caveats)
        if (count := facts.get(f"caveat_{i}", 0))
    ]
    return "; ".join(parts) or None


def major_units(minor: int, currency_code: str) -> Decimal:
    """Minor units as a decimal in the currency's major unit."""
    return Decimal(minor).scaleb(-MINOR_UNIT_EXPONENTS.get(currency_code, 2))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value
