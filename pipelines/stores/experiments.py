"""Experiments on orders or customers, compared on the metrics of the catalogue: what each unit brings, what the variants amount to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from forecasting.comparison import SAMPLE_RATIO_ALPHA, Arm, Comparison, compare, percentile_arm, ratio_arm, sample_ratio_p_value
from pipelines.errors import MetricError
from pipelines.stores.metrics_catalogue import find_metric, suggestion
from pipelines.stores.metrics_values import MINOR_UNIT_EXPONENTS, Basis, read_basis

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

    from pipelines.stores.metrics_catalogue import Measure, Metric

Status = Literal["compared", "sample_ratio_mismatch", "not_enough_units", "not_available"]


@dataclass(frozen=True, slots=True)
class Experiment:
    """Who was assigned to what. `units` counts, per variant, those that can be compared; `excluded` all others, by reason.

    `unit_kinds` says what they are, "order" or "customer"; both, and no comparison means anything.
    """

    experiment_id: str
    unit_kinds: tuple[str, ...]
    units: Mapping[str, int]
    excluded: Mapping[str, int]
    first_assigned_at: str | None
    last_assigned_at: str | None


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric of one experiment. Without arms or effects, `note` says why; values and effects are in the metric's own unit."""

    experiment_id: str
    unit_kind: str
    metric: str
    label: str
    unit: str
    better: str
    currency_code: str | None
    control: str
    status: Status
    note: str | None
    sample_ratio_p_value: float
    excluded: Mapping[str, int]
    arms: tuple[Arm, ...] = ()
    effects: tuple[Comparison, ...] = field(default=())


def list_experiments(conn: duckdb.DuckDBPyConnection) -> list[Experiment]:
    """All experiments by name, with the sizes of their variants."""
    rows = conn.execute(
        f"""
        select
            experiment_id, coalesce(exclusion, variant), exclusion is not null, count(*), min(assigned_at), max(assigned_at),
            list(distinct unit_kind) filter (where exclusion is null)
        from (select *, {_EXCLUSION} as exclusion from marts.fct_experiment_units)
        group by 1, 2, 3 order by 1, 2, 3
        """
    ).fetchall()
    found = []
    for name in sorted({row[0] for row in rows}):
        own = [row for row in rows if row[0] == name]
        moments = [moment for row in own for moment in row[4:6] if moment is not None]
        found.append(
            Experiment(
                experiment_id=name,
                unit_kinds=tuple(sorted({kind for row in own for kind in row[6] or ()})),
                units={row[1]: row[3] for row in own if not row[2]},
                excluded={row[1]: row[3] for row in own if row[2]},
                first_assigned_at=min(moments).isoformat() if moments else None,
                last_assigned_at=max(moments).isoformat() if moments else None,
            )
        )
    return found


def compare_experiment(
    conn: duckdb.DuckDBPyConnection,
    catalogue: Mapping[str, Metric],
    experiment_id: str,
    names: Iterable[str],
    *,
    control: str | None = None,
    planned: Mapping[str, float] | None = None,
    seed: int = 0,
) -> list[MetricComparison]:
    """Each metric's effect of every variant against the control, over the whole experiment.

    Any metric can be compared whose table has an `order_id`; a customer brings all orders placed since the assignment. A unit without
    a row there counts as zero for sums and counts and is left out, counted, for rates, means and percentiles. Where the sizes of the
    variants cannot be chance, nothing is judged.

    Args:
        conn: A warehouse or a release: schemas marts and meta.
        catalogue: What metrics there are.
        experiment_id: Which experiment.
        names: Which metrics, in this order.
        control: Its variant; default is the one named control, else the first by name.
        planned: Weights of the variants; default is an equal split.
        seed: For percentiles, whose error is resampled.

    Raises:
        MetricError: No such experiment, metric or variant, the metric is not one of orders, or some units are orders and some customers.
    """
    known = {experiment.experiment_id: experiment for experiment in list_experiments(conn)}
    if experiment_id not in known:
        raise MetricError(f"There is no experiment {experiment_id!r}; {suggestion(experiment_id, known)}")
    experiment, basis = known[experiment_id], read_basis(conn)
    if len(experiment.unit_kinds) > 1:
        raise MetricError(
            f"The units of {experiment_id} are orders and customers. Where customers have numbers that orders have too, give those of "
            "customers a prefix, in customers and orders as well."
        )
    base = control or next((name for name in experiment.units if name.lower() == "control"), min(experiment.units, default=""))
    if base not in experiment.units or len(experiment.units) < 2:
        raise MetricError(f"Nothing to compare with {base!r}: the variants are {', '.join(sorted(experiment.units)) or 'none'}.")
    try:
        p_value = sample_ratio_p_value(experiment.units, planned)
    except ValueError as exc:
        raise MetricError(str(exc)) from exc
    metrics = [find_metric(catalogue, name) for name in names]
    return [_compared(conn, metric, experiment, basis, control=base, p_value=p_value, seed=seed) for metric in metrics]


# An experiment's unit that no variant can be judged by, named by the first reason that holds. A customer has a past, an order has none.
_EXCLUSION = (
    "case when has_several_variants then 'several_variants' when unit_kind is null then 'unknown_unit' "
    "when unit_kind = 'customer' and assigned_at is null then 'unknown_start' when is_test then 'test' end"
)


def _compared(
    conn: duckdb.DuckDBPyConnection, metric: Metric, experiment: Experiment, basis: Basis, *, control: str, p_value: float, seed: int
) -> MetricComparison:
    def result(status: Status, note: str | None, **found: tuple[Arm, ...] | tuple[Comparison, ...]) -> MetricComparison:
        return MetricComparison(
            experiment_id=experiment.experiment_id, unit_kind=experiment.unit_kinds[0], metric=metric.name, label=metric.label,
            unit=metric.unit, better=metric.better,
            currency_code=basis.currency_code if metric.unit == "money" else None, control=control, status=status, note=note,
            sample_ratio_p_value=p_value, excluded=dict(experiment.excluded) | dict(left_out), **found,  # type: ignore[arg-type]
        )  # fmt: skip

    left_out: Counter[str] = Counter()
    missing = basis.missing(metric.needs)
    if missing:
        return result("not_available", f"not available: needs {', '.join(missing)}")
    _require_orders(conn, metric)
    units = _units(conn, metric, experiment.experiment_id, basis)
    left_out["unknown_value"] = units.filter("is_unknown").height
    units = units.filter(~pl.col("is_unknown"))
    if not metric.is_additive:
        left_out["without_rows"] = units.filter(~pl.col("has_rows")).height
        units = units.filter("has_rows")
    try:
        arms = tuple(_arm(metric, variant, units, basis, seed=seed) for variant in sorted(experiment.units))
    except ValueError as exc:
        return result("not_enough_units", str(exc))
    if p_value < SAMPLE_RATIO_ALPHA:
        sizes = ", ".join(f"{size:,} {variant}" for variant, size in sorted(experiment.units.items()))
        note = f"The sizes of the variants ({sizes}) cannot be chance (p = {p_value:.1g}): find out who is missing before judging anything."
        return result("sample_ratio_mismatch", note, arms=arms)
    # The band of a sum is one for a period's total and says nothing of what a unit brings.
    worth_knowing = None if metric.is_additive else metric.watch_band or None
    return result("compared", None, arms=arms, effects=tuple(compare(arms, control=control, least_effect=worth_knowing)))


def _require_orders(conn: duckdb.DuckDBPyConnection, metric: Metric) -> None:
    found = conn.execute(
        "select count(*) from information_schema.columns where table_schema = ? and table_name = ? and column_name = 'order_id'",
        [metric.schema, metric.table],
    ).fetchone()
    if not found or not found[0]:
        raise MetricError(f"{metric.name} cannot be compared: its table {metric.table} does not say which order a row belongs to.")


def _units(conn: duckdb.DuckDBPyConnection, metric: Metric, experiment_id: str, basis: Basis) -> pl.DataFrame:
    """One row per unit that can be judged: variant, has_rows, values (of its rows, where known), denominator, is_unknown.

    A unit is unknown where one of its rows blocks the metric; any other row without a value adds nothing, as in the metric itself.
    """
    value = _row_value(metric.numerator)
    known = f"count(*) filter (where {value} is not null)"
    denominator = f"sum({_row_value(metric.denominator)})" if metric.denominator else known
    is_blocked = " or ".join(f"coalesce({one.where}, false)" for one in metric.blocked) or "false"
    return conn.execute(
        f"""
        with units as (
            select unit_id, unit_kind, variant, assigned_at
            from marts.fct_experiment_units
            where experiment_id = $experiment and {_EXCLUSION} is null
        ),
        unit_orders as (
            select unit_id, unit_id as order_id from units where unit_kind = 'order'
            union all
            select unit_id, order_id
            from units inner join marts.fct_orders on customer_key = unit_id and ordered_at >= assigned_at
            where unit_kind = 'customer' and not is_test
        ),
        counted as (
            select
                unit_id,
                {"true" if metric.denominator else f"{known} > 0"} as has_rows,
                list({value}) filter (where {value} is not null) as row_values,
                cast({denominator} as double) as denominator,
                bool_or({is_blocked}) as is_unknown
            from {metric.schema}.{metric.table} inner join unit_orders using (order_id)
            where {metric.where} and {metric.time_column} <= $until
            group by unit_id
        )
        select variant, coalesce(has_rows, false) as has_rows, row_values, denominator, coalesce(is_unknown, false) as is_unknown
        from units left join counted using (unit_id)
        order by unit_id
        """,
        {"experiment": experiment_id, "until": basis.as_of - timedelta(days=metric.maturity_days)},
    ).pl()


def _row_value(measure: Measure) -> str:
    """What one row adds to the measure; null where it adds nothing to a mean or a percentile."""
    match measure.aggregation:
        case "sum" | "average" | "percentile":
            return f"cast({measure.expression} as double)"
        case "sum_boolean":
            return f"cast(coalesce({measure.expression}, false) as double)"
        case "count":
            return f"cast(({measure.expression}) is not null as double)"
        case unknown:
            raise MetricError(f"A measure that aggregates by {unknown} cannot be compared between variants.")


def _arm(metric: Metric, variant: str, units: pl.DataFrame, basis: Basis, *, seed: int) -> Arm:
    own = units.filter(pl.col("variant") == variant).with_row_index("unit")
    major = 10.0 ** -MINOR_UNIT_EXPONENTS.get(basis.currency_code, 2) if metric.unit == "money" else 1.0
    if metric.numerator.aggregation == "percentile":
        rows = own.select("unit", "row_values").explode("row_values")
        values, unit = rows["row_values"].to_numpy() * major, rows["unit"].to_numpy().astype(np.int64)
        return percentile_arm(variant, values, unit, level=metric.numerator.percentile or 0.5, seed=seed)
    numerator = own["row_values"].list.sum().fill_null(0.0).to_numpy() * major
    denominator = np.ones(own.height) if metric.is_additive else own["denominator"].fill_null(0.0).to_numpy()
    return ratio_arm(variant, numerator, denominator)
