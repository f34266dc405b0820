"""What metrics there are: read from dbt's manifest, carried by every release as JSON."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pipelines.errors import MetricError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Unit = Literal["days", "percent", "money", "count"]
_DIMENSION: Final = re.compile(r"\{\{\s*Dimension\('(\w+?)__(\w+)'\)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Measure:
    """One aggregate over rows: how, of which SQL expression, and for percentiles which."""

    aggregation: str
    expression: str
    percentile: float | None = None


@dataclass(frozen=True, slots=True)
class Dimension:
    """A column a metric can be split by, and the contract fields without which it says nothing."""

    expression: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Rows a metric leaves out, by name, so that they can be counted.

    They are dated by the metric's time column unless `time_column` names another (an open order has no day of delivery),
    and found in the metric's table unless `table` names another.
    """

    name: str
    where: str
    time_column: str | None = None
    table: str | None = None

    @property
    def is_counted_apart(self) -> bool:
        """Whether these rows cannot be met among the metric's own."""
        return self.time_column is not None or self.table is not None


@dataclass(frozen=True, slots=True)
class Caveat:
    """Counted rows a reader should know of: "12 of 340 <text>"."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One KPI as the semantic layer defines it. Target and watch band are in the metric's unit."""

    name: str
    label: str
    description: str
    unit: Unit
    better: Literal["higher", "lower"]
    target: float | None
    watch_band: float
    owner: str
    needs: tuple[str, ...]
    schema: str
    table: str
    time_column: str
    where: str
    numerator: Measure
    denominator: Measure | None
    dimensions: Mapping[str, Dimension]
    exclusions: tuple[Exclusion, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    maturity_days: int = 0

    @property
    def is_additive(self) -> bool:
        """Whether a day without a row is a measured zero."""
        return self.denominator is None and self.numerator.aggregation in {"sum", "sum_boolean", "count"}


def catalogue_from_manifest(manifest: Mapping[str, Any]) -> dict[str, Metric]:
    """Every metric that carries `config.meta`, by name; metrics without it are parts of others.

    Raises:
        MetricError: A definition cannot be evaluated here; the message names it.
    """
    models = {model["name"]: model for model in manifest["semantic_models"].values()}
    measures = {measure["name"]: (measure, model) for model in models.values() for measure in model["measures"]}
    metrics = {metric["name"]: metric for metric in manifest["metrics"].values()}
    named = {name: metric for name, metric in metrics.items() if metric["config"].get("meta")}
    return {name: _metric(metric, metrics, measures) for name, metric in sorted(named.items())}


def catalogue_to_json(catalogue: Mapping[str, Metric]) -> str:
    """The catalogue as a release carries it."""
    return json.dumps({name: asdict(metric) for name, metric in catalogue.items()}, sort_keys=True)


def catalogue_from_json(text: str) -> dict[str, Metric]:
    """The catalogue that `catalogue_to_json` wrote."""
    return {name: _metric_from_dict(facts) for name, facts in json.loads(text).items()}


def find_metric(catalogue: Mapping[str, Metric], name: str) -> Metric:
    """The metric of this name.

    Raises:
        MetricError: There is none; the message suggests the nearest.
    """
    if name not in catalogue:
        raise MetricError(f"There is no metric {name!r}; {suggestion(name, catalogue)}")
    return catalogue[name]


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(names) or 'none'}."


def _metric(metric: Mapping[str, Any], metrics: Mapping[str, Any], measures: Mapping[str, Any]) -> Metric:
    name, meta, parameters = metric["name"], metric["config"]["meta"], metric["type_params"]
    if metric["type"] == "ratio":
        parts = [metrics[parameters[part]["name"]]["type_params"]["measure"]["name"] for part in ("numerator", "denominator")]
    elif metric["type"] == "simple":
        parts = [parameters["measure"]["name"]]
    else:
        raise MetricError(f"Metric {name} is of type {metric['type']}; only simple and ratio metrics can be evaluated.")
    found = [measures[part] for part in parts]
    model = found[0][1]
    times = {measure["agg_time_dimension"] or model["defaults"]["agg_time_dimension"] for measure, _ in found}
    if any(other is not model for _, other in found) or len(times) > 1:
        raise MetricError(f"Metric {name} divides measures of different tables or dates; both must come from one.")
    expressions = {one["name"]: one["expr"] or one["name"] for one in model["dimensions"]}
    return Metric(
        name=name,
        label=metric["label"],
        description=" ".join(metric["description"].split()),
        unit=meta["unit"],
        better=meta["better"],
        target=meta.get("target"),
        watch_band=float(meta.get("watch_band", 0)),
        owner=meta["owner"],
        needs=tuple(meta.get("needs", ())),
        schema=model["node_relation"]["schema_name"],
        table=model["node_relation"]["alias"],
        time_column=expressions[times.pop()],
        where=_where(metric, model, expressions),
        numerator=_measure(found[0][0]),
        denominator=_measure(found[1][0]) if len(found) > 1 else None,
        dimensions=_split_dimensions(model),
        exclusions=tuple(_exclusion(one) for one in meta.get("exclusions", ())),
        caveats=tuple(Caveat(**one) for one in meta.get("caveats", ())),
        maturity_days=int(meta.get("maturity_days", 0)),
    )


def _measure(measure: Mapping[str, Any]) -> Measure:
    parameters = measure["agg_params"] or {}
    return Measure(measure["agg"], measure["expr"] or measure["name"], parameters.get("percentile"))


def _exclusion(facts: Mapping[str, Any]) -> Exclusion:
    return Exclusion(facts["name"], facts["where"], facts.get("time_column"), facts.get("model"))


def _split_dimensions(model: Mapping[str, Any]) -> dict[str, Dimension]:
    """Flags and dates serve filters; everything else is worth a split."""
    return {
        one["name"]: Dimension(one["expr"] or one["name"], tuple(((one.get("config") or {}).get("meta") or {}).get("needs", ())))
        for one in model["dimensions"]
        if one["type"] == "categorical" and not one["name"].startswith(("is_", "has_"))
    }


def _where(metric: Mapping[str, Any], model: Mapping[str, Any], expressions: Mapping[str, str]) -> str:
    entity = model["primary_entity"] or next((one["name"] for one in model["entities"] if one["type"] == "primary"), None)

    def expression(match: re.Match[str]) -> str:
        if match[1] != entity or match[2] not in expressions:
            raise MetricError(f"Metric {metric['name']} filters by {match[0]}, which its table does not have.")
        return f"({expressions[match[2]]})"

    templates = [one["where_sql_template"] for one in (metric["filter"] or {}).get("where_filters", ())]
    return " and ".join(f"({_DIMENSION.sub(expression, template).strip()})" for template in templates) or "true"


def _metric_from_dict(facts: dict[str, Any]) -> Metric:
    return Metric(
        **facts
        | {
            "needs": tuple(facts["needs"]),
            "numerator": Measure(**facts["numerator"]),
            "denominator": Measure(**facts["denominator"]) if facts["denominator"] else None,
            "dimensions": {name: Dimension(one["expression"], tuple(one["needs"])) for name, one in facts["dimensions"].items()},
            "exclusions": tuple(Exclusion(**one) for one in facts["exclusions"]),
            "caveats": tuple(Caveat(**one) for one in facts["caveats"]),
        }
    )
