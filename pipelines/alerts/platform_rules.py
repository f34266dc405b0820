"""Rules on the platform itself: forecasts that drift, data that is late."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pipelines.alerts.findings import Finding, Findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from pipelines.alerts.rules import AlertRule

RELEASE, SOURCE, FORECASTS = "release", "source", "forecasts"
RHYTHMIC: Final = ("orders", "shipments", "stock_levels")  # tables that have new rows on every day of business


def drift_findings(rule: AlertRule, checks: pl.DataFrame, classes: pl.DataFrame) -> Findings:
    """Checks of the forecasts that failed, and classes of items whose forecasts are biased.

    Args:
        rule: Of kind forecast_drift.
        checks: check_name, is_passed, measured_rate, limit_rate, reason.
        classes: class_kind, class_name, actual_qty, bias_rate of the forecasts in use.
    """
    found = [
        Finding(
            subject=f"forecast:{row['check_name']}", title=f"Forecast check {row['check_name'].replace('_', ' ')}",
            detail=f"{(row['reason'] or 'The check failed').rstrip('.')}. Suggestions are withheld until it passes.", link="demand",
            evidence={"measured_rate": row["measured_rate"], "limit_rate": row["limit_rate"]},
        )
        for row in checks.iter_rows(named=True) if not row["is_passed"]
    ]  # fmt: skip
    for row in classes.iter_rows(named=True):
        if row["bias_rate"] is None or row["actual_qty"] < rule.told("least_units") or abs(row["bias_rate"]) < rule.told("bias"):
            continue
        named = "all items" if row["class_kind"] == "all" else f"items of {row['class_kind']} class {row['class_name']}"
        found.append(
            Finding(
                subject=f"forecast:bias|{row['class_kind']}={row['class_name']}", title=f"Forecast bias of {named}",
                detail=f"Forecasts of {named} were {abs(row['bias_rate']):.0%} too {'high' if row['bias_rate'] > 0 else 'low'} in the "
                f"backtest, on {row['actual_qty']:,.0f} units of demand.",
                link="demand", evidence={"bias_rate": row["bias_rate"], "actual_qty": row["actual_qty"]},
            )
        )  # fmt: skip
    return Findings(found)


def late_findings(
    rule: AlertRule,
    *,
    now: datetime,
    published_at: datetime,
    changes: Mapping[str, datetime | None],
    pauses: Mapping[str, int],
    as_of: date | None,
    forecast_from: date | None,
) -> Findings:
    """What is later than it should be by the wall clock: the release and the source; and by the data's clock: the forecasts.

    Args:
        rule: Of kind data_late.
        now: UTC without zone.
        published_at: When the served release was published, UTC without zone.
        changes: When the newest row of each source table changed, UTC without zone; empty where the release does not know.
        pauses: Of tables with a usual rhythm, the most days from one with new rows to the next; 1 where every day has some.
        as_of: The release's as-of day.
        forecast_from: The first day that is forecast; None where nothing is.
    """
    found = []
    age = now - published_at
    if age > timedelta(hours=rule.told("release_hours")):
        found.append(
            Finding(
                subject=RELEASE, title="The release", link="health",
                evidence={"hours": _hours(age), "published_at": published_at.isoformat()},
                detail=f"The release is {_age(age)} old, published at {published_at:%Y-%m-%d %H:%M} UTC; a run should have replaced it "
                f"after {rule.told('release_hours'):g} hours. See why the last run stopped, or start one: ordercast run.",
            )
        )  # fmt: skip
    known = {table: at for table, at in changes.items() if at is not None}
    newest, unjudged = max(known.values(), default=None), frozenset[str]()
    # Rows say when they changed: a source that is behind the release tells nothing new.
    if newest is not None and now - newest > timedelta(hours=rule.told("source_hours")):
        age = now - newest
        found.append(
            Finding(
                subject=SOURCE, title="The source", link="health", evidence={"hours": _hours(age), "changed_at": newest.isoformat()},
                detail=f"The newest row of the source changed {_age(age)} ago, at {newest:%Y-%m-%d %H:%M} UTC. See whether the shop still "
                "writes to the operational store.",
            )
        )  # fmt: skip
        unjudged = frozenset(_subject(table) for table in pauses)  # the one finding speaks for all of them
    else:
        silent = [table for table, days in sorted(pauses.items()) if _is_silent(known.get(table), now, rule, days)]
        found += [_late_table(table, known[table], now) for table in silent]
    if as_of is not None and forecast_from is not None:
        behind = (as_of - forecast_from).days + 1
        if behind > rule.told("forecast_days"):
            found.append(
                Finding(
                    subject=FORECASTS, title="The forecasts", link="demand", evidence={"days": behind},
                    detail=f"The forecasts begin on {forecast_from}, {behind} days behind the data, which goes to {as_of}. The daily run "
                    "is missing: ordercast run makes new ones.",
                )
            )  # fmt: skip
    return Findings(found, unjudged=unjudged)


def _is_silent(changed_at: datetime | None, now: datetime, rule: AlertRule, pause_days: int) -> bool:
    """Whether the table is silent for longer than the rule allows on top of its longest usual pause."""
    return changed_at is not None and now - changed_at > timedelta(hours=rule.told("source_hours"), days=pause_days - 1)


def _late_table(table: str, changed_at: datetime, now: datetime) -> Finding:
    age = now - changed_at
    return Finding(
        subject=_subject(table), title=f"The source's {table.replace('_', ' ')}", link="health",
        evidence={"hours": _hours(age), "changed_at": changed_at.isoformat()},
        detail=f"The newest row of {table} changed {_age(age)} ago, at {changed_at:%Y-%m-%d %H:%M} UTC, longer ago than is usual, while "
        "other tables go on. See whether the shop still writes it.",
    )  # fmt: skip


def _subject(table: str) -> str:
    return f"{SOURCE}:{table}"


def unreadable_findings(why: str) -> Findings:
    """That no release can be read, which nobody can call fresh; of source and forecasts nothing can be said then.

    Args:
        why: What is wrong with the release, and the next step.
    """
    finding = Finding(subject=RELEASE, title="The release", detail=f"No release can be read: {why}", link="health")
    return Findings([finding], unjudged=frozenset({SOURCE, FORECASTS, *map(_subject, RHYTHMIC)}))


def _hours(age: timedelta) -> float:
    return round(age.total_seconds() / 3600, 1)


def _age(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"
