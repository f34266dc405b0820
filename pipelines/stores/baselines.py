"""Baselines in the operational store: what every metric amounted to before a change, frozen once and never written again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from pipelines.errors import MetricError
from pipelines.stores.metrics import evaluate
from pipelines.stores.metrics_catalogue import Metric, suggestion
from pipelines.stores.metrics_targets import Goal
from pipelines.stores.metrics_values import read_basis
from pipelines.stores.own_tables import metric_baseline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

    from pipelines.stores.metrics import MetricValue
    from pipelines.stores.operational import OperationalStore

Verdict = Literal["better", "worse", "same", "unknown", "not_yet", "not_compared"]
_RELATIVE_TOLERANCE: Final = 0.01  # where a metric has no watch band: less than this is noise, not a change


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric so many days after a baseline's end, against it. `before` of a sum is for as many days as the review.

    The verdict is "same" within the metric's watch band, or within 1 % of `before` where it has none.
    """

    name: str
    label: str
    days: int
    unit: str
    currency_code: str | None
    before: float
    n_before: int
    after: float | None
    n_after: int | None
    change: float | None
    verdict: Verdict
    note: str | None


def freeze(store: OperationalStore, name: str, values: Iterable[MetricValue], *, release_id: str) -> int:
    """The values stand under this name; those without a value are left out.

    Returns:
        How many metrics were frozen.

    Raises:
        MetricError: A baseline of this name exists, or there is nothing to freeze. Nothing was written.
    """
    facts = {"name": name, "release_id": release_id, "frozen_at": datetime.now(UTC)}
    rows = [
        facts | {
            "metric": one.name, "value": float(one.value), "numerator": _real(one.numerator), "denominator": _real(one.denominator),
            "n": one.n or 0, "unit": one.unit, "currency_code": one.currency_code, "period_from": one.period_from,
            "period_to": one.period_to, "as_of_date": one.as_of,
        }
        for one in values if one.value is not None
    ]  # fmt: skip
    if not rows:
        raise MetricError("No metric has a value in this period, so there is nothing to freeze.")
    try:
        with store.transaction() as conn:
            if conn.execute(sa.select(metric_baseline.c.name).where(metric_baseline.c.name == name).limit(1)).first():
                raise MetricError(f"There is a baseline {name!r} already, and baselines are never overwritten: choose another name.")
            conn.execute(sa.insert(metric_baseline), rows)
    except sa.exc.IntegrityError:  # frozen by somebody else in the same moment
        raise MetricError(f"There is a baseline {name!r} already, and baselines are never overwritten: choose another name.") from None
    return len(rows)


def list_baselines(store: OperationalStore) -> list[dict[str, Any]]:
    """Name, period_from, period_to, metrics_count, release_id, frozen_at (UTC) of each, newest first."""
    table = metric_baseline
    # A metric that must mature is frozen for an earlier period: the latest days are those that were asked for.
    chosen = (
        sa.select(
            table.c.name, sa.func.max(table.c.period_from).label("period_from"), sa.func.max(table.c.period_to).label("period_to"),
            sa.func.count().label("metrics_count"), sa.func.max(table.c.release_id).label("release_id"),
            sa.func.max(table.c.frozen_at).label("frozen_at"),
        ).group_by(table.c.name).order_by(sa.desc("frozen_at"), table.c.name)
    )  # fmt: skip
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(table.name):
            return []
        return [dict(row) for row in conn.execute(chosen).mappings()]


def read_baseline(store: OperationalStore, name: str) -> dict[str, dict[str, Any]]:
    """The frozen rows of this baseline by metric.

    Raises:
        MetricError: There is none of this name; the message suggests the nearest.
    """
    known = [one["name"] for one in list_baselines(store)]
    if name not in known:
        raise MetricError(f"There is no baseline {name!r}; {suggestion(name, known)}")
    with store.transaction(writes=False) as conn:
        rows = conn.execute(sa.select(metric_baseline).where(metric_baseline.c.name == name)).mappings()
        return {row["metric"]: dict(row) for row in rows}


def review(
    conn: duckdb.DuckDBPyConnection, catalogue: Mapping[str, Metric], baseline: Mapping[str, Mapping[str, Any]], *, days: int
) -> list[Comparison]:
    """Every metric of the baseline over the `days` days after the last day that was frozen.

    A sum is compared with as many of the baseline's days. What cannot be scaled like this, such as customers counted once however
    long the period, is compared with as many days as were frozen and no others; what grows with age never. Until all days are over,
    and old enough for the metric to judge, there is no figure. The note says why.
    """
    end = max(row["period_to"] for row in baseline.values())
    as_of = read_basis(conn).as_of
    return [
        _comparison(conn, catalogue[name], row, end=end, as_of=as_of, days=days) if name in catalogue else _gone(row, days)
        for name, row in sorted(baseline.items())
    ]


def _comparison(
    conn: duckdb.DuckDBPyConnection, metric: Metric, row: Mapping[str, Any], *, end: date, as_of: date, days: int
) -> Comparison:
    length = (row["period_to"] - row["period_from"]).days + 1
    before = row["value"] * days / length if metric.is_additive else row["value"]
    if reason := _incomparable(metric, length=length, days=days):
        return _compared(metric, row, row["value"], None, days=days, verdict="not_compared", note=reason)
    judged = as_of - timedelta(days=metric.maturity_days)
    passed = max((judged - end).days, 0)
    if passed < days:
        note = f"not yet: {passed} of {days} days have passed" + (f" and {metric.maturity_days} more" if metric.maturity_days else "")
        return _compared(metric, row, before, None, days=days, verdict="not_yet", note=note)
    (value,) = evaluate(conn, {metric.name: metric}, [metric.name], since=end + timedelta(days=1), until=end + timedelta(days=days))
    if value.value is None or value.currency_code != row["currency_code"]:
        other = f"the baseline is in {row['currency_code']}" if value.value is not None else None
        return _compared(metric, row, before, None, days=days, verdict="unknown", note=other or value.note or "nothing was counted")
    difference = float(value.value) - before
    tolerance = Goal(None, metric.watch_band, metric.better).band_for_days(metric, days) or abs(before) * _RELATIVE_TOLERANCE
    verdict: Verdict = "same" if abs(difference) <= tolerance else "better" if (difference > 0) == (value.better == "higher") else "worse"
    return _compared(metric, row, before, value, days=days, verdict=verdict, note=value.note)


def _incomparable(metric: Metric, *, length: int, days: int) -> str | None:
    if metric.grows_with_age:
        return f"not compared, younger periods have had less time: {metric.grows_with_age}"
    if metric.is_bound_to_length and length != days:
        return f"not compared: {days} days cannot be held against {length}, it does not grow in step with the days; review --days {length}"
    return None


def _compared(
    metric: Metric, row: Mapping[str, Any], before: float, value: MetricValue | None, *, days: int, verdict: Verdict, note: str | None
) -> Comparison:
    after = None if value is None or value.value is None else float(value.value)
    return Comparison(
        metric.name, metric.label, days, metric.unit, row["currency_code"], before, row["n"], after, value.n if value else None,
        None if after is None else after - before, verdict, note,
    )  # fmt: skip


def _gone(row: Mapping[str, Any], days: int) -> Comparison:
    note = "this metric is not defined any more"
    return Comparison(
        row["metric"], row["metric"], days, row["unit"], row["currency_code"], row["value"], row["n"], None, None, None, "unknown", note
    )


def _real(amount: Any) -> float | None:
    return None if amount is None else float(amount)
