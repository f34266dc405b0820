"""Who changes policy rules: an admin adds, schedules and reverts versions, and the audit log says so. No version is ever changed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipelines.decisions import audit
from pipelines.decisions.roles import require
from pipelines.errors import PolicyRuleError
from pipelines.stores.own_tables import policy_rule
from pipelines.stores.policy_rules import row_of, rule_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from inventory.rules import PolicyRule
    from pipelines.stores.operational import OperationalStore

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def add_version(
    store: OperationalStore, rule: PolicyRule, *, is_new: bool, reason: str, preview: Mapping[str, Any], actor: str
) -> PolicyRule:
    """One more version stands; it holds from its first day on, for every run from the next.

    Args:
        store: The operational store.
        rule: The version; its number and time are given here.
        is_new: A rule of this name must not stand yet; else one must.
        reason: Why, in a sentence.
        preview: What it was shown to change before it was added.
        actor: An admin.

    Returns:
        The rule with its number and time.

    Raises:
        PolicyRuleError: The name is taken, unknown or no name, or there is no reason. Nothing was written.
        NotPermittedError: The actor is no admin. Nothing was written.
        StoreUnavailableError: The store did not answer. Nothing was written.
    """
    if not _NAME.fullmatch(rule.rule_id):
        raise PolicyRuleError(f"{rule.rule_id!r} is no name for a rule: take small letters, digits and hyphens, such as tea-in-autumn.")
    if not reason.strip():
        raise PolicyRuleError("A rule needs its reason: who reads a suggestion has to know why it was made so.")
    with store.transaction() as conn:
        require(conn, actor, "admin")
        versions = _versions(store, conn, rule.rule_id)
        stands = any(row["reverted_at"] is None for row in versions)
        if stands and is_new:
            raise PolicyRuleError(f"There is a rule {rule.rule_id!r} already; ordercast rules schedule changes it from a day on.")
        if not stands and not is_new:
            raise PolicyRuleError(f"No rule {rule.rule_id!r} stands; ordercast rules list shows those that do.")
        added = replace(
            rule, version=1 + max((row["version"] for row in versions), default=0), created_at=datetime.now(UTC).replace(tzinfo=None)
        )
        told = json.dumps(preview, default=str)
        conn.execute(sa.insert(policy_rule).values(**row_of(added), reason=reason, preview=told, author=actor))
        audit.append(conn, actor=actor, before={}, after={"policy_rule": added.name, "reason": reason})
    return added


def revert(store: OperationalStore, rule_id: str, *, reason: str, actor: str) -> tuple[PolicyRule, PolicyRule | None]:
    """The newest version that stands counts no more from the next run on; the one before it, if any stands, counts again.

    Returns:
        What was reverted, and what counts again.

    Raises:
        PolicyRuleError: No version stands, or there is no reason. Nothing was changed.
        NotPermittedError: The actor is no admin. Nothing was changed.
        StoreUnavailableError: The store did not answer. Nothing was changed.
    """
    if not reason.strip():
        raise PolicyRuleError("To revert a rule needs its reason.")
    with store.transaction() as conn:
        require(conn, actor, "admin")
        standing = [rule_of(row) for row in _versions(store, conn, rule_id) if row["reverted_at"] is None]
        if not standing:
            raise PolicyRuleError(f"No rule {rule_id!r} stands; ordercast rules list shows those that do.")
        *before, newest = standing
        conn.execute(
            sa.update(policy_rule)
            .where(policy_rule.c.rule_id == rule_id, policy_rule.c.version == newest.version)
            .values(reverted_at=datetime.now(UTC), reverted_by=actor, revert_reason=reason)
        )
        audit.append(conn, actor=actor, before={"policy_rule": newest.name}, after={"reverted": newest.name, "reason": reason})
    return newest, before[-1] if before else None


def state_said(row: Mapping[str, Any], rule: PolicyRule, standing: Sequence[PolicyRule], *, on: date) -> str:
    """Whether a version counts on a day, and if not, why."""
    if row["reverted_at"] is not None:
        return f"reverted by {row['reverted_by']}"
    if rule.valid_from > on:
        return "to come"
    later = [one for one in standing if one.rule_id == rule.rule_id and one.version > rule.version and one.valid_from <= on]
    if later:
        return f"replaced by {later[-1].name}"
    if rule.valid_to is not None and rule.valid_to < on:
        return "ended"
    return "in force" if rule.holds_on(on) else "out of season"


def _versions(store: OperationalStore, conn: sa.Connection, rule_id: str) -> list[dict[str, Any]]:
    """All versions of the rule in order, until the transaction ends for this transaction alone."""
    if store.dialect == "postgresql":  # two first versions at once would each find none
        conn.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('ordercast.policy_rules'))"))
    rows = conn.execute(sa.select(policy_rule).where(policy_rule.c.rule_id == rule_id).order_by(policy_rule.c.version))
    return [dict(row) for row in rows.mappings()]
