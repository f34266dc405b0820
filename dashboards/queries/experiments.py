"""Reads of the pages about experiments, and about baselines that were frozen before a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.queries.metrics import catalogue
from dashboards.queries.reading import BY_RELEASE, CACHE_ENTRIES, CACHE_SECONDS, reading
from pipelines.errors import MetricError
from pipelines.settings import load_settings
from pipelines.stores import baselines
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dashboards.queries.releases import Served
    from pipelines.stores.experiments import Experiment, MetricComparison
    from pipelines.stores.releases import Release

# On which metrics an experiment is compared unless a reader chooses others.
USUAL_METRICS: Final = ("net_sales", "on_time_in_full", "return_rate", "order_cycle_time_mean_days")
_NUMBERS: Final = ("before", "after", "change")
_COUNTS: Final = ("days", "n_before", "n_after")


def experiments(served: Served) -> list[Experiment]:
    """All experiments by name, with the sizes of their variants."""
    return _experiments(served.release)


def comparable(served: Served) -> dict[str, str]:
    """Metrics that variants can be compared on, name to label: those whose rows say which order they belong to."""
    tables = _tables_of_orders(served.release)
    kinds = {"sum", "average", "percentile", "sum_boolean", "count"}
    return {
        name: metric.label
        for name, metric in sorted(catalogue(served).items(), key=lambda one: one[1].label)
        if metric.table in tables and metric.numerator.aggregation in kinds
    }


def compared(served: Served, experiment_id: str, names: Sequence[str]) -> tuple[list[MetricComparison], dict[str, str]]:
    """The experiment judged on each metric; and why on a metric it cannot be, by its name."""
    found, refused = [], {}
    for name in names:
        result = _compared(served.release, experiment_id, name, load_settings().seed)
        if isinstance(result, str):
            refused[name] = result
        else:
            found.append(result)
    return found, refused


def effects(found: Iterable[MetricComparison]) -> pl.DataFrame:
    """A row per metric and variant: value of control and variant, effect with its interval, in the metric's unit and of the control."""
    rows = [
        {
            "metric": one.metric, "label": one.label, "unit": one.unit, "currency_code": one.currency_code, "better": one.better,
            "variant": effect.variant, "control": effect.control, "verdict": verdict_of(one, effect.verdict, effect.effect),
            "effect": effect.effect, "low": effect.low, "high": effect.high, "relative_effect_rate": effect.relative_effect,
            "relative_low_rate": effect.relative_low, "relative_high_rate": effect.relative_high, "p_value": effect.p_value,
            "sought_effect": effect.sought_effect, "needed_per_variant": effect.needed_per_variant,
            "n": next(arm.n for arm in one.arms if arm.variant == effect.variant),
            "control_value": next(arm.value for arm in one.arms if arm.variant == effect.control),
            "value": next(arm.value for arm in one.arms if arm.variant == effect.variant),
        }
        for one in found for effect in one.effects
    ]  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def verdict_of(one: MetricComparison, verdict: str, effect: float) -> str:
    """Better or worse where there is a difference, else the verdict itself."""
    if verdict != "different":
        return verdict
    return "better" if (effect > 0) == (one.better == "higher") else "worse"


def frozen() -> pl.DataFrame:
    """Baselines, newest first: name, period_from, period_to, metrics_count, release_id, frozen_at.

    Raises:
        StoreUnavailableError: The store did not answer.
    """
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        return pl.DataFrame(baselines.list_baselines(store), infer_schema_length=None)


def reviewed(answer: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """A baseline's review as the command line prints it, a row per metric and length; what has a verdict first."""
    schema: dict[str, Any] = dict.fromkeys(("name", "label", "unit", "currency_code", "verdict", "note"), pl.String)
    schema |= dict.fromkeys(_NUMBERS, pl.Float64) | dict.fromkeys(_COUNTS, pl.Int64)
    order = pl.col("verdict").replace_strict({"worse": 0, "better": 1, "same": 2, "not_yet": 3}, default=4)
    return pl.DataFrame(list(answer), schema=schema, orient="row").sort("days", order, "label")


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner="Reading experiments", hash_funcs=BY_RELEASE)
def _experiments(release: Release) -> list[Experiment]:
    from pipelines.stores.experiments import list_experiments  # noqa: PLC0415 - SciPy takes a second to import

    with reading(release) as conn:
        return list_experiments(conn)


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner="Comparing variants", hash_funcs=BY_RELEASE)
def _compared(release: Release, experiment_id: str, metric: str, seed: int) -> MetricComparison | str:
    from pipelines.stores.experiments import compare_experiment  # noqa: PLC0415 - SciPy takes a second to import
    from pipelines.stores.metrics import catalogue_from_json  # noqa: PLC0415

    with reading(release) as conn:
        row = conn.execute("select catalogue from meta.metric_catalogue").fetchone()
        try:
            return compare_experiment(conn, catalogue_from_json(row[0] if row else "{}"), experiment_id, [metric], seed=seed)[0]
        except MetricError as exc:
            return str(exc)


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner=False, hash_funcs=BY_RELEASE)
def _tables_of_orders(release: Release) -> set[str]:
    with reading(release) as conn:
        rows = conn.execute("select distinct table_name from information_schema.columns where column_name = 'order_id'").fetchall()
    return {name for (name,) in rows}
