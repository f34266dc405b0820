"""Who changes alert rules: an admin adds, changes, disables and reverts versions, and the audit log says so. No version is ever changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipelines.alerts.rules import AlertRule, checked_rule, row_of, rule_of
from pipelines.decisions import audit
from pipelines.decisions.roles import require
from pipelines.errors import AlertError
from pipelines.stores.own_tables import alert_rule

if TYPE_CHECKING:
    from pipelines.stores.operational import OperationalStore


def list_versions(store: OperationalStore, rule_id: str | None = None) -> list[dict[str, Any]]:
    """All columns of all versions of all rules, or of one, by name and version; empty in a store that knows none yet."""
    chosen = sa.select(alert_rule).order_by(alert_rule.c.rule_id, alert_rule.c.version)
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(alert_rule.name):
            return []
        return [dict(row) for row in conn.execute(chosen if rule_id is None else chosen.where(alert_rule.c.rule_id == rule_id)).mappings()]


def standing_rules(store: OperationalStore) -> list[AlertRule]:
    """The newest version that stands of each rule, by name; disabled ones among them."""
    newest = {row["rule_id"]: rule_of(row) for row in list_versions(store) if row["reverted_at"] is None}
    return [newest[name] for name in sorted(newest)]


def standing_rule(store: OperationalStore, rule_id: str) -> AlertRule:
    """The newest version of the rule that stands.

    Raises:
        AlertError: There is none.
    """
    for rule in standing_rules(store):
        if rule.rule_id == rule_id:
            return rule
    raise AlertError(f"No alert rule {rule_id!r} stands; ordercast alerts rules lists those that do.")


def write_version(store: OperationalStore, rule: AlertRule, *, is_new: bool, reason: str, actor: str) -> AlertRule:
    """One more version of the rule stands; it holds from the next look at the data on.

    Args:
        store: The operational store.
        rule: The version; its number and time are given here.
        is_new: A rule of this name must not stand yet; else one must, of the same kind.
        reason: Why, in a sentence.
        actor: An admin.

    Raises:
        AlertError: The rule cannot hold, its name is taken or unknown, or there is no reason. Nothing was written.
        NotPermittedError: The actor is no admin. Nothing was written.
        StoreUnavailableError: The store did not answer. Nothing was written.
    """
    checked = checked_rule(rule)
    if not reason.strip():
        raise AlertError("A rule needs its reason: who gets an alert has to know why.")
    with store.transaction() as conn:
        require(conn, actor, "admin")
        versions = _versions(store, conn, rule.rule_id)
        standing = [rule_of(row) for row in versions if row["reverted_at"] is None]
        if standing and is_new:
            raise AlertError(f"There is a rule {rule.rule_id!r} already; ordercast alerts rules change writes another version of it.")
        if not standing and not is_new:
            raise AlertError(f"No alert rule {rule.rule_id!r} stands; ordercast alerts rules lists those that do.")
        if standing and standing[-1].kind != rule.kind:
            raise AlertError(f"Rule {rule.rule_id!r} is of kind {standing[-1].kind} and stays so; add one of another name.")
        number = 1 + max((row["version"] for row in versions), default=0)
        added = replace(checked, version=number, created_at=datetime.now(UTC).replace(tzinfo=None))
        conn.execute(sa.insert(alert_rule).values(**row_of(added), reason=reason.strip(), author=actor))
        audit.append(conn, actor=actor, before={}, after={"alert_rule": added.name, "is_enabled": added.is_enabled, "reason": reason})
    return added


def revert(store: OperationalStore, rule_id: str, *, reason: str, actor: str) -> tuple[AlertRule, AlertRule | None]:
    """The newest version that stands counts no more; the one before it, if any stands, counts again.

    Returns:
        What was reverted, and what counts again.

    Raises:
        AlertError: No version stands, or there is no reason. Nothing was changed.
        NotPermittedError: The actor is no admin. Nothing was changed.
    """
    if not reason.strip():
        raise AlertError("To revert a rule needs its reason.")
    with store.transaction() as conn:
        require(conn, actor, "admin")
        standing = [rule_of(row) for row in _versions(store, conn, rule_id) if row["reverted_at"] is None]
        if not standing:
            raise AlertError(f"No alert rule {rule_id!r} stands; ordercast alerts rules lists those that do.")
        *before, newest = standing
        conn.execute(
            sa.update(alert_rule)
            .where(alert_rule.c.rule_id == rule_id, alert_rule.c.version == newest.version)
            .values(reverted_at=datetime.now(UTC), reverted_by=actor, revert_reason=reason.strip())
        )
        audit.append(conn, actor=actor, before={"alert_rule": newest.name}, after={"reverted": newest.name, "reason": reason})
    return newest, before[-1] if before else None


def _versions(store: OperationalStore, conn: sa.Connection, rule_id: str) -> list[dict[str, Any]]:
    """All versions of the rule in order, until the transaction ends for this transaction alone."""
    if store.dialect == "postgresql":  # two first versions at once would each find none
        conn.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('ordercast.alert_rules'))"))
    rows = conn.execute(sa.select(alert_rule).where(alert_rule.c.rule_id == rule_id).order_by(alert_rule.c.version))
    return [dict(row) for row in rows.mappings()]
