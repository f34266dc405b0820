"""Looks at the newest day beside the weeks before it, as an asset with a check for each."""

from collections.abc import Iterator

import dagster as dg

from pipelines.defs.automation import PLANS
from pipelines.defs.reporting import announced
from pipelines.defs.resources import DAILY, WAREHOUSE_POOL, Platform
from pipelines.steps.compare_days import NAMES, WATCHED, compare_days

DAY_CHECKS = dg.AssetKey(["meta", "day_checks"])
_ROWS = "Whether the as-of day has as many rows as the same weekday of the weeks before; docs/methods/observing.md has the limits."
_MIX = "Whether the rows of the as-of day spread over what they can be as those of the weeks before."


@dg.multi_asset(
    name="compare_days",
    specs=[
        dg.AssetSpec(
            DAY_CHECKS,
            deps=[dg.AssetKey(["marts", name]) for name in sorted({watched.mart for watched in WATCHED})],
            description="The newest complete day beside the weeks before it: rows, and their spread. Nothing is held back because of it.",
            group_name="quality",
            kinds={"duckdb"},
            freshness_policy=DAILY,
            automation_condition=PLANS,
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(f"{watched.subject}_{NAMES.get(measure, measure)}", asset=DAY_CHECKS, description=description)
        for watched in WATCHED
        for measure, description in (("rows", _ROWS), *((kind, _MIX) for kind in watched.kinds))
    ],
    pool=WAREHOUSE_POOL,
)
def day_checks(platform: Platform) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """The newest complete day is compared with the weeks before it."""
    with announced("compare_days", platform.settings()) as cost, platform.warehouse() as conn:
        checks = compare_days(conn)
    counts = {f"{check.subject}_rows": check.value for check in checks if check.measure == "rows"}
    yield dg.MaterializeResult(asset_key=DAY_CHECKS, metadata=counts | cost.metadata())
    for check in checks:
        measured = {"value": check.value, "usual": check.usual, "low": check.low, "high": check.high, "basis": check.basis}
        yield dg.AssetCheckResult(
            asset_key=DAY_CHECKS,
            check_name=f"{check.subject}_{check.measure}",
            passed=check.is_usual is not False,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={name: value for name, value in measured.items() if value is not None},
        )
