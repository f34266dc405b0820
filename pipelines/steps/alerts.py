"""Rules look at a release, and exceptions stand in the operational store: raised once, brought up to date, recovered, told."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from pipelines.alerts import item_rules, metric_rules, platform_rules
from pipelines.alerts.exceptions import AlertCounts, Look, end_other_rules, record_findings
from pipelines.alerts.findings import Findings, needs
from pipelines.alerts.rule_book import standing_rules
from pipelines.alerts.telling import tell
from pipelines.alerts.verdicts import judge, save_verdicts, waiting_for_outcome
from pipelines.errors import MetricError
from pipelines.steps import alert_inputs as inputs
from pipelines.stores.metrics import catalogue_from_json, daily_values, evaluate
from pipelines.stores.metrics_catalogue import find_metric
from pipelines.stores.metrics_values import read_basis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import duckdb

    from pipelines.alerts.rules import AlertRule
    from pipelines.stores.metrics_catalogue import Metric
    from pipelines.stores.metrics_values import Basis
    from pipelines.stores.operational import OperationalStore
    from pipelines.stores.releases import Release

logger = logging.getLogger("ordercast.alerts")

RUN_FAILED: Final = "run_failed"
_SIMULATED: Final = "simulator:"


@dataclass(frozen=True, slots=True)
class AlertSummary:
    """What a look at a release did: counts over all rules, and which rules could not be looked at, and why."""

    rules: int
    raised: int
    again: int
    recovered: int
    settled: int
    judged: int
    not_available: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sight:
    """What rules look at: a release, its metrics, and the wall clock (UTC without zone)."""

    conn: duckdb.DuckDBPyConnection
    release: Release
    catalogue: Mapping[str, Metric]
    basis: Basis
    origin: str
    time_zone: str
    at: datetime

    @property
    def as_of(self) -> date:
        """The last complete day of the release's data."""
        return self.basis.as_of


def open_sight(conn: duckdb.DuckDBPyConnection, release: Release, *, at: datetime | None = None) -> Sight:
    """The release as rules look at it."""
    row = conn.execute("SELECT catalogue FROM meta.metric_catalogue").fetchone()
    origin, time_zone = conn.execute("SELECT origin, reporting_time_zone FROM meta.run_context").fetchone() or ("", "UTC")
    return Sight(
        conn, release, catalogue_from_json(row[0] if row else "{}"), read_basis(conn), str(origin), str(time_zone),
        at or datetime.now(UTC).replace(tzinfo=None),
    )  # fmt: skip


def raise_alerts(store: OperationalStore, sight: Sight, *, tells: bool) -> AlertSummary:
    """Every rule that stands has looked at the release; what it found is open, what it found no more has recovered.

    One transaction per rule. A rule that cannot be looked at raises nothing and lets nothing recover. Exceptions of rules that are
    disabled, or reverted for good, are resolved. What the data now says of earlier alerts is their verdict.

    Args:
        store: The operational store, migrated.
        sight: The release that is served.
        tells: Whether the channel is told: there is a target.
    """
    rules = standing_rules(store)
    look = Look(
        look_id=sight.release.release_id, at=sight.at, as_of=sight.as_of, currency_code=sight.basis.currency_code, time_zone=sight.time_zone
    )  # fmt: skip
    total, unable = AlertCounts(), []
    for rule in rules:
        if not rule.is_enabled or rule.kind == RUN_FAILED:
            continue
        findings = look_at(sight, rule)
        if findings.not_available is not None:
            unable.append(f"{rule.rule_id}: {findings.not_available}")
            continue
        also = partial(tell, rule=rule, at=sight.at) if tells else None
        total += record_findings(store, rule, findings.found, look, may_recover=findings.lets_recover, also=also)
    end_other_rules(store, [rule.rule_id for rule in rules if rule.is_enabled], at=sight.at)
    judged = judge_alerts(store, sight)
    logger.info("%d raised, %d again, %d recovered", total.raised, total.again, total.recovered)
    for line in unable:
        logger.info("Not looked at: %s", line)
    enabled = sum(rule.is_enabled for rule in rules)
    return AlertSummary(enabled, total.raised, total.again, total.recovered, total.settled, judged, tuple(unable))


def look_at(sight: Sight, rule: AlertRule, *, on: date | None = None) -> Findings:
    """What the rule finds in the release; nothing is written.

    Args:
        sight: The release.
        rule: The rule, of any kind but run_failed, which looks at runs.
        on: Of rules on metrics, the last day to look at; default is the as-of day.
    """
    return _LOOKS[rule.kind](sight, rule, on or sight.as_of)


def preview_rule(sight: Sight, rule: AlertRule, *, days: int) -> dict[date, Findings]:
    """What a rule on a metric would have found on each of the last days of history, oldest first; nothing is written.

    By the data as it is known now: what came in late counts on its day.
    """
    last = sight.as_of
    return {day: look_at(sight, rule, on=day) for day in (last - timedelta(days=back) for back in reversed(range(days)))}


def judge_alerts(store: OperationalStore, sight: Sight) -> int:
    """Earlier alerts of which the release knows the outcome have their verdict; returns how many got one."""
    waiting = waiting_for_outcome(store)
    if not waiting:
        return 0
    known = inputs.read_outcomes(sight.conn, waiting, as_of=sight.as_of)
    verdicts = {one.exception_id: judge(one, known[one.exception_id]) for one in waiting if one.exception_id in known}
    if verdicts:
        save_verdicts(store, verdicts)
    return sum(verdict is not None for verdict, _ in verdicts.values())


def _look_at_metric(sight: Sight, rule: AlertRule, on: date) -> Findings:
    name = str(rule.told("metric"))
    if name not in sight.catalogue:
        return needs(f"a metric {name}, which the release does not know")
    metric, by = find_metric(sight.catalogue, name), rule.parameters.get("by")
    try:
        if rule.kind == "anomaly":
            return _look_for_anomaly(sight, rule, metric, on)
        until = on - timedelta(days=metric.maturity_days)
        values = evaluate(
            sight.conn, sight.catalogue, [name], by=by, since=until - timedelta(days=int(rule.told("days")) - 1), until=until,
            where=rule.narrowed,
        )  # fmt: skip
    except MetricError as exc:
        return needs(str(exc).rstrip("."))
    finder = metric_rules.threshold_findings if rule.kind == "threshold" else metric_rules.change_findings
    return finder(rule, values)


def _look_for_anomaly(sight: Sight, rule: AlertRule, metric: Metric, on: date) -> Findings:
    last = on - timedelta(days=metric.maturity_days)
    since = last - timedelta(weeks=int(rule.told("weeks")), days=6)
    series = daily_values(sight.conn, sight.catalogue, metric.name, since=since, until=last, where=rule.narrowed)
    currency = sight.basis.currency_code if metric.unit == "money" else None
    return metric_rules.anomaly_findings(rule, metric, series, on=last, currency_code=currency)


def _look_for_stock_outs(sight: Sight, rule: AlertRule, _on: date) -> Findings:
    items = inputs.read_outlook(sight.conn, sight.basis.currency_code)
    if items is None:
        return needs("an outlook of stock (planning.stock_outlook)")
    return item_rules.stock_out_findings(rule, items, as_of=sight.as_of)


def _look_for_jeopardy(sight: Sight, rule: AlertRule, _on: date) -> Findings:
    orders = inputs.read_jeopardy(sight.conn, sight.basis.currency_code, least=float(rule.told("probability")))
    return needs("chances of open orders (planning.order_jeopardy)") if orders is None else item_rules.jeopardy_findings(rule, orders)


def _look_for_returns(sight: Sight, rule: AlertRule, _on: date) -> Findings:
    if lacking := inputs.lacks_fields(sight.conn, ("returns.created_at", "return_lines.quantity", "shipment_lines.quantity")):
        return needs(", ".join(lacking))
    items = inputs.read_returns(sight.conn, rule, as_of=sight.as_of, currency_code=sight.basis.currency_code)
    return item_rules.return_findings(rule, items)


def _look_for_late_suppliers(sight: Sight, rule: AlertRule, _on: date) -> Findings:
    if lacking := inputs.lacks_fields(sight.conn, ("purchase_orders.supplier_id", "purchase_order_lines.expected_at")):
        return needs(", ".join(lacking))
    suppliers = inputs.read_suppliers(sight.conn, rule, as_of=sight.as_of, currency_code=sight.basis.currency_code)
    return item_rules.supplier_findings(rule, suppliers, as_of=sight.as_of)


def _look_for_drift(sight: Sight, rule: AlertRule, _on: date) -> Findings:
    read = inputs.read_forecast_checks(sight.conn)
    return needs("checks of forecasts (planning.forecast_checks)") if read is None else platform_rules.drift_findings(rule, *read)


def _look_for_late_data(sight: Sight, rule: AlertRule, _on: date) -> Findings:
    """A simulated merchant's clock is not ours, so only its release can be late."""
    is_simulated = sight.origin.startswith(_SIMULATED)
    return platform_rules.late_findings(
        rule, now=sight.at, published_at=sight.release.published_time.astimezone(UTC).replace(tzinfo=None),
        changes={} if is_simulated else inputs.read_changes(sight.conn), as_of=sight.as_of,
        pauses=inputs.read_pauses(sight.conn, sight.as_of),
        forecast_from=inputs.forecast_begins(sight.conn),
    )  # fmt: skip


_LOOKS: Final[dict[str, Callable[[Sight, AlertRule, date], Findings]]] = {
    "threshold": _look_at_metric, "change": _look_at_metric, "anomaly": _look_at_metric, "stock_out": _look_for_stock_outs,
    "order_jeopardy": _look_for_jeopardy, "return_spike": _look_for_returns, "supplier_late": _look_for_late_suppliers,
    "forecast_drift": _look_for_drift, "data_late": _look_for_late_data,
}  # fmt: skip
