"""The only place that calls Great Expectations: one pandas frame of a batch in, the failing rows of each rule out."""

from __future__ import annotations

import functools
import logging
import os
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pipelines.quality.suites import OneOf, RowRule

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

# The index query is a text that lists every failing row; nobody reads it and making it takes as long as the rules.
_ALL_FAILING_ROWS: Final = {"result_format": "COMPLETE", "return_unexpected_index_query": False}


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What one rule said about a batch: the index labels of the rows that break it."""

    rule: RowRule
    failed_rows: tuple[int, ...]


def check_rows(frame: pd.DataFrame, rules: Sequence[RowRule]) -> tuple[RuleOutcome, ...]:
    """What each rule says about the batch, in the order of `rules`; nulls satisfy a rule on values.

    Args:
        frame: One row per arriving row with the columns the rules name; its index has no name and holds row numbers.
            Times are seconds since 1970, because the library compares times one by one.
    """
    if frame.empty or not rules:
        return tuple(RuleOutcome(rule, ()) for rule in rules)
    gx = _great_expectations()
    suite = gx.ExpectationSuite(name="arriving rows")
    for position, rule in enumerate(rules):
        suite.expectations.append(_expectation(rule, position))
    batch = _batch_definition().get_batch(batch_parameters={"dataframe": frame})
    result = batch.validate(suite, result_format=_ALL_FAILING_ROWS)
    failed: dict[int, tuple[int, ...]] = {}
    for said in result.results:
        if said.exception_info.get("raised_exception"):
            raise RuntimeError(f"The rule {said.expectation_config} could not be evaluated: {said.exception_info}")
        rows = said.result.get("unexpected_index_list") or ()
        failed[said.expectation_config.meta["position"]] = tuple(int(row) for row in rows)
    return tuple(RuleOutcome(rule, failed[position]) for position, rule in enumerate(rules))


def _expectation(rule: RowRule, position: int) -> Any:
    expectations = _great_expectations().expectations
    meta = {"position": position, "rule": rule.name}
    if isinstance(rule.test, OneOf):
        values = sorted(rule.test.values)
        return expectations.ExpectColumnValuesToBeInSet(column=rule.column, value_set=values, meta=meta)
    least, most = _number(rule.test.least), _number(rule.test.most)
    return expectations.ExpectColumnValuesToBeBetween(column=rule.column, min_value=least, max_value=most, meta=meta)


def _number(bound: float | datetime | None) -> float | None:
    return bound.replace(tzinfo=UTC).timestamp() if isinstance(bound, datetime) else bound


@functools.cache
def _great_expectations() -> Any:
    """The library, imported on first use because that takes seconds, and silent: no telemetry, no log lines."""
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx  # noqa: PLC0415
        import great_expectations.expectations  # noqa: PLC0415
    return gx


@functools.cache
def _batch_definition() -> Any:
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("arriving").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("batch")
