"""The metric catalogue from dbt's manifest; `docs/methods/metrics-language.md` says what the YAML may hold."""

from __future__ import annotations

import re
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from pipelines.errors import MetricError
from pipelines.stores.metrics_catalogue import Caveat, Dimension, Exclusion, Lookup, Measure, Metric, Unit, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

AGGREGATIONS: Final = ("sum", "sum_boolean", "count", "count_distinct", "average", "percentile", "min", "max")
DIMENSION_PREFIX: Final = "dim_"
_DIMENSION: Final = re.compile(r"\{\{\s*Dimension\('(\w+?)__(\w+)'\)\s*\}\}")
_REQUIRED: Final = ("unit", "better", "owner")
_META: Final = (
    *_REQUIRED, "target", "watch_band", "needs", "exclusions", "caveats", "blocked", "assumption", "maturity_days", "grows_with_age",
)  # fmt: skip


def catalogue_from_manifest(manifest: Mapping[str, Any]) -> dict[str, Metric]:
    """Every metric that carries `config.meta`, by name; metrics without it are parts of others.

    Raises:
        MetricError: A definition cannot be evaluated here; the message names it.
    """
    in_order = sorted(manifest["semantic_models"].values(), key=itemgetter("name"))  # dbt lists them as the disk gave their files
    models = {model["name"]: model for model in in_order}
    measures = {measure["name"]: (measure, model) for model in models.values() for measure in model["measures"]}
    metrics = {metric["name"]: metric for metric in manifest["metrics"].values()}
    shared = _shared_dimensions(models.values())
    named = {name: metric for name, metric in metrics.items() if metric["config"].get("meta")}
    return {name: _metric(metric, metrics, measures, shared) for name, metric in sorted(named.items())}


def _metric(
    metric: Mapping[str, Any],
    metrics: Mapping[str, Any],
    measures: Mapping[str, Any],
    shared: Mapping[str, Mapping[str, tuple[Dimension, Lookup]]],
) -> Metric:
    meta = _checked_meta(metric)
    found = [measures[name] for name in _parts(metric, metrics)]
    model = found[0][1]
    times = {measure["agg_time_dimension"] or model["defaults"]["agg_time_dimension"] for measure, _ in found}
    if any(other is not model for _, other in found) or len(times) > 1:
        raise MetricError(f"Metric {metric['name']} divides measures of different tables or dates; both must come from one.")
    expressions = {one["name"]: one["expr"] or one["name"] for one in model["dimensions"]}
    time = times.pop()
    return Metric(
        name=metric["name"],
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
        time_column=expressions[time],
        where=_where(metric, model, expressions),
        numerator=_measure(metric, found[0][0]),
        denominator=_measure(metric, found[1][0]) if len(found) > 1 else None,
        dimensions=_inherited_dimensions(model, shared) | _own_dimensions(model),
        exclusions=tuple(_exclusion(one) for one in meta.get("exclusions", ())),
        caveats=tuple(Caveat(**one) for one in meta.get("caveats", ())),
        maturity_days=int(meta.get("maturity_days", 0)),
        domain=_domain(metric),
        blocked=tuple(Caveat(**one) for one in meta.get("blocked", ())),
        assumption=meta.get("assumption"),
        counts_only_day=_counts_only_day(metric, [measure for measure, _ in found], time),
        grows_with_age=meta.get("grows_with_age"),
    )


def _checked_meta(metric: Mapping[str, Any]) -> Mapping[str, Any]:
    meta: Mapping[str, Any] = metric["config"]["meta"]
    name = metric["name"]
    for key in meta:
        if key not in _META:
            raise MetricError(f"Metric {name}: config.meta knows no {key!r}; {suggestion(key, _META)}")
    if missing := [key for key in _REQUIRED if key not in meta]:
        raise MetricError(f"Metric {name}: config.meta lacks {', '.join(missing)}.")
    if meta["unit"] not in get_args(Unit):
        raise MetricError(f"Metric {name}: there is no unit {meta['unit']!r}; {suggestion(str(meta['unit']), get_args(Unit))}")
    return meta


def _parts(metric: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """The measures a metric rests on: its own, or numerator and denominator."""
    parameters = metric["type_params"]
    if metric["type"] == "simple":
        return [parameters["measure"]["name"]]
    if metric["type"] == "ratio":
        return [metrics[parameters[part]["name"]]["type_params"]["measure"]["name"] for part in ("numerator", "denominator")]
    raise MetricError(f"Metric {metric['name']} is of type {metric['type']}; only simple and ratio metrics can be evaluated.")


def _measure(metric: Mapping[str, Any], measure: Mapping[str, Any]) -> Measure:
    if measure["agg"] not in AGGREGATIONS:
        raise MetricError(
            f"Metric {metric['name']}: measure {measure['name']} aggregates by {measure['agg']}, which cannot be evaluated; "
            f"{suggestion(measure['agg'], AGGREGATIONS)}"
        )
    parameters = measure["agg_params"] or {}
    return Measure(measure["agg"], measure["expr"] or measure["name"], parameters.get("percentile"))


def _counts_only_day(metric: Mapping[str, Any], measures: list[Mapping[str, Any]], time: str) -> Literal["max", "min"] | None:
    """Which day of a period counts; both halves of a ratio must mean the same one."""
    declared = [measure.get("non_additive_dimension") for measure in measures]
    choices = {one and (one["name"], one.get("window_choice") or "min") for one in declared}
    choice = choices.pop()
    if any(one and one.get("window_groupings") for one in declared):
        raise MetricError(f"Metric {metric['name']}: window_groupings cannot be evaluated; the day is the same for all rows.")
    if choices or (choice and choice[0] != time):
        raise MetricError(f"Metric {metric['name']}: its measures must agree on one non_additive_dimension, and that must be {time}.")
    if not choice:
        return None
    return "max" if choice[1] == "max" else "min"


def _exclusion(facts: Mapping[str, Any]) -> Exclusion:
    return Exclusion(facts["name"], facts["where"], facts.get("time_column"), facts.get("model"))


def _domain(metric: Mapping[str, Any]) -> str:
    """The name of the file that defines it: fulfilment, returns, ..."""
    return str(metric.get("original_file_path") or "").rpartition("/")[2].removesuffix(".yml")


def _own_dimensions(model: Mapping[str, Any]) -> dict[str, Dimension]:
    """Flags and dates serve filters; everything else is worth a split."""
    return {
        one["name"]: _dimension(model, one)
        for one in model["dimensions"]
        if one["type"] == "categorical" and not one["name"].startswith(("is_", "has_"))
    }


def _dimension(model: Mapping[str, Any], facts: Mapping[str, Any]) -> Dimension:
    meta = (facts.get("config") or {}).get("meta") or {}
    if meta.get("splits", "numerator") != "numerator":
        raise MetricError(f"Dimension {facts['name']} of {model['name']}: splits can only be numerator, not {meta['splits']!r}.")
    return Dimension(facts["expr"] or facts["name"], tuple(meta.get("needs", ())), splits_numerator_only="splits" in meta)


def _shared_dimensions(models: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, tuple[Dimension, Lookup]]]:
    """By entity: the dimensions of every semantic model that stands on a `dim_` table with this entity as its key.

    Raises:
        MetricError: Two tables give one entity a dimension of the same name.
    """
    shared: dict[str, dict[str, tuple[Dimension, Lookup]]] = {}
    for model in models:
        relation = model["node_relation"]
        keys = {one["name"]: one.get("expr") or one["name"] for one in model["entities"] if one["type"] == "primary"}
        if not keys or not relation["alias"].startswith(DIMENSION_PREFIX):
            continue
        ((entity, key),) = keys.items()
        lookup = Lookup(relation["schema_name"], relation["alias"], key, foreign_key="")
        known = shared.setdefault(entity, {})
        for name, dimension in _own_dimensions(model).items():
            if name in known:
                raise MetricError(
                    f"Both {known[name][1].table} and {lookup.table} give the entity {entity} a dimension {name}; rename one."
                )
            known[name] = dimension, lookup
    return shared


def _inherited_dimensions(model: Mapping[str, Any], shared: Mapping[str, Mapping[str, tuple[Dimension, Lookup]]]) -> dict[str, Dimension]:
    """What the model's foreign entities bring along, one hop away."""
    return {
        name: Dimension(
            dimension.expression,
            dimension.needs,
            Lookup(lookup.schema, lookup.table, lookup.key, foreign_key=entity.get("expr") or entity["name"]),
            splits_numerator_only=dimension.splits_numerator_only,
        )
        for entity in model["entities"]
        if entity["type"] == "foreign"
        for name, (dimension, lookup) in shared.get(entity["name"], {}).items()
    }


def _where(metric: Mapping[str, Any], model: Mapping[str, Any], expressions: Mapping[str, str]) -> str:
    entity = model["primary_entity"] or next((one["name"] for one in model["entities"] if one["type"] == "primary"), None)

    def expression(match: re.Match[str]) -> str:
        if match[1] != entity or match[2] not in expressions:
            raise MetricError(f"Metric {metric['name']} filters by {match[0]}, which its table does not have.")
        return f"({expressions[match[2]]})"

    templates = [one["where_sql_template"] for one in (metric["filter"] or {}).get("where_filters", ())]
    return " and ".join(f"({_DIMENSION.sub(expression, template).strip()})" for template in templates) or "true"
