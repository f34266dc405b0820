"""The only place that calls Great Expectations: one pandas frame of a batch in, the failing rows of each rule out."""

from __future__ import annotations

import functools
import logging
import os
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipelines.quality.suites import OneOf, RowRule, Within

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
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

    The library's time goes by expectations and hardly by rows: columns that one test judges are put to it as one column, end to end.

    Args:
        frame: One row per arriving row with the columns the rules name; its index has no name and holds row numbers.
            Times are seconds since 1970, because the library compares times one by one.
    """
    if frame.empty or not rules:
        return tuple(RuleOutcome(rule, ()) for rule in rules)
    failed: dict[int, tuple[int, ...]] = {}
    for stacks in _stacks(frame, rules):
        columns = {str(stack[0]): np.concatenate([frame[rules[position].column].to_numpy() for position in stack]) for stack in stacks}
        said = _failing_rows(columns, {str(stack[0]): rules[stack[0]].test for stack in stacks})
        for stack in stacks:
            where = np.asarray(said[str(stack[0])], dtype=int)
            for number, position in enumerate(stack):
                rows = where[where // len(frame) == number] % len(frame)
                failed[position] = tuple(int(row) for row in frame.index[rows])
    return tuple(RuleOutcome(rule, failed[position]) for position, rule in enumerate(rules))


def import_library() -> None:
    """The library is in memory and ready to judge; without this it is imported when rows first arrive."""
    _batch_definition()


def _stacks(frame: pd.DataFrame, rules: Sequence[RowRule]) -> list[list[list[int]]]:
    """Positions of the rules whose test and type of column are the same, those of as many rules together."""
    alike: dict[tuple[Within | OneOf, str], list[int]] = {}
    for position, rule in enumerate(rules):
        alike.setdefault((rule.test, str(frame[rule.column].dtype)), []).append(position)
    by_height: dict[int, list[list[int]]] = {}
    for stack in alike.values():
        by_height.setdefault(len(stack), []).append(stack)
    return list(by_height.values())


def _failing_rows(columns: Mapping[str, npt.NDArray[Any]], tests: Mapping[str, Within | OneOf]) -> dict[str, Sequence[int]]:
    """Per column the rows, counted from 0, whose value fails its test. Only where there are any is the library asked which."""
    import pandas as pd  # noqa: PLC0415 - comes with the library

    batch = _batch_definition().get_batch(batch_parameters={"dataframe": pd.DataFrame(columns)})
    failing = {said.expectation_config.kwargs["column"] for said in _said(batch, tests, "BOOLEAN_ONLY") if not said.success}
    rows: dict[str, Sequence[int]] = dict.fromkeys(tests, ())
    if failing:
        for said in _said(batch, {column: test for column, test in tests.items() if column in failing}, _ALL_FAILING_ROWS):
            rows[said.expectation_config.kwargs["column"]] = said.result["unexpected_index_list"]
    return rows


def _said(batch: Any, tests: Mapping[str, Within | OneOf], result_format: object) -> list[Any]:
    suite = _great_expectations().ExpectationSuite(name="arriving rows")
    for column, test in tests.items():
        suite.expectations.append(_expectation(column, test))
    results: list[Any] = batch.validate(suite, result_format=result_format).results
    for said in results:
        if said.exception_info.get("raised_exception"):
            raise RuntimeError(f"The rule {said.expectation_config} could not be evaluated: {said.exception_info}")
    return results


def _expectation(column: str, test: Within | OneOf) -> Any:
    expectations = _great_expectations().expectations
    if isinstance(test, OneOf):
        return expectations.ExpectColumnValuesToBeInSet(column=column, value_set=sorted(test.values))
    return expectations.ExpectColumnValuesToBeBetween(column=column, min_value=_number(test.least), max_value=_number(test.most))


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
