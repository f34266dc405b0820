"""dbt's models and seeds as assets and its tests as asset checks."""

import json
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject, dbt_assets
from dagster_dbt.asset_utils import DAGSTER_DBT_UNIQUE_ID_METADATA_KEY

from pipelines.defs.automation import FIGURES, READ_FROM_THE_STORE
from pipelines.defs.ingest import shop
from pipelines.defs.reporting import announced
from pipelines.defs.resources import WAREHOUSE_POOL, Platform
from pipelines.errors import TransformError
from pipelines.settings import load_settings
from pipelines.steps.transform import NodeOutcome, prepare_manifest, transform

MANIFEST: Mapping[str, Any] = json.loads(prepare_manifest(load_settings()).read_text(encoding="utf-8"))
_CONTEXT = dg.AssetKey(["utilities", "run_context"])  # carries what the whole step took
BUILT_TYPES = frozenset({"model", "seed"})
_SOURCES = frozenset({"shop", "meta", "history"})


class _Translator(DagsterDbtTranslator):
    """Groups follow the layer, which is the schema: assumptions, staging, intermediate, marts, utilities."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return str(dbt_resource_props["schema"]) if dbt_resource_props["resource_type"] in BUILT_TYPES else None

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """A view on what a later step fills does not wait for it: that would be a circle."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        deps = [dep for dep in spec.deps if dep.asset_key.path[0] != "planning"]
        # What reads only what is no asset, as snapshots of past stock, has nothing to follow and asks for itself.
        follows = any(dep.asset_key in shop.keys or dep.asset_key.path[0] not in _SOURCES for dep in deps)
        return spec.replace_attributes(deps=deps, automation_condition=FIGURES if follows else READ_FROM_THE_STORE)


_TRANSLATOR = _Translator(settings=DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))


@dbt_assets(manifest=MANIFEST, dagster_dbt_translator=_TRANSLATOR, name="transform", pool=WAREHOUSE_POOL)
def models(platform: Platform) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult | dg.AssetObservation]:
    """Models are built and tested in dependency order; what stands after a failed test is not built."""
    outcomes: list[NodeOutcome] = []
    failure: TransformError | None = None
    with announced("transform", platform.settings()) as cost:
        try:
            transform(platform.settings(), on_node=outcomes.append)
        except TransformError as exc:
            failure = exc
    if failure is not None:
        for outcome in outcomes:
            yield from _events(outcome)
        raise dg.Failure(str(failure), allow_retries=False) from failure
    finished = {outcome.unique_id: outcome for outcome in outcomes}
    for unique_id in _IN_ORDER:
        yield from _events(finished[unique_id]) if unique_id in finished else _unmoved(unique_id)
    yield dg.AssetObservation(asset_key=_CONTEXT, metadata=cost.metadata())


# Which test answers a check says the check itself: dagster-dbt also declares one for a singular test that reads a single model, and
# such a test names no model in the manifest.
_CHECKS: Mapping[str, dg.AssetCheckKey] = {str(spec.metadata[DAGSTER_DBT_UNIQUE_ID_METADATA_KEY]): spec.key for spec in models.check_specs}


def _events(outcome: NodeOutcome) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """What Dagster is told of a node that dbt has finished: a model or seed was built, a check passed or not, or nothing."""
    node = MANIFEST["nodes"].get(outcome.unique_id)
    if node is None:  # unit tests stand in a section of their own and belong to no asset
        return
    if node["resource_type"] in BUILT_TYPES and outcome.status == "success":
        yield dg.MaterializeResult(asset_key=_TRANSLATOR.get_asset_key(node), metadata={"seconds": outcome.seconds})
    key = _CHECKS.get(outcome.unique_id)
    if key is not None and outcome.status in {"pass", "fail", "error", "warn"}:
        yield dg.AssetCheckResult(
            asset_key=key.asset_key, check_name=key.name, passed=outcome.status == "pass", metadata={"message": outcome.message or ""}
        )


def _unmoved(unique_id: str) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """What nothing moved stands as it was built and tested; Dagster hears so, or it would skip all that reads it."""
    stands = {"unchanged": "built and tested by an earlier run, and nothing that it is told from has moved since"}
    node = MANIFEST["nodes"][unique_id]
    if node["resource_type"] in BUILT_TYPES:
        yield dg.MaterializeResult(asset_key=_TRANSLATOR.get_asset_key(node), metadata=stands)
    if key := _CHECKS.get(unique_id):
        yield dg.AssetCheckResult(asset_key=key.asset_key, check_name=key.name, passed=True, metadata=stands)


# Dagster wants to hear of a model after all that it reads, and of a test after its model.
_IN_ORDER = tuple(
    unique_id
    for unique_id in TopologicalSorter(
        {
            unique_id: [parent for parent in node.get("depends_on", {}).get("nodes", []) if parent in MANIFEST["nodes"]]
            for unique_id, node in MANIFEST["nodes"].items()
        }
    ).static_order()
)

SERVED_MARTS = tuple(
    _TRANSLATOR.get_asset_key(node) for node in MANIFEST["nodes"].values() if node["resource_type"] == "model" and node["fqn"][1] == "marts"
)
