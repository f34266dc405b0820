"""Policy rules as the operational store holds them and as the warehouse and every release carry them: the versions that stand."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from inventory.rules import PolicyRule, RuleScope, RuleValues
from pipelines.stores.own_tables import policy_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb
    import polars as pl

    from pipelines.stores.operational import OperationalStore

TABLE: Final = "meta.policy_rules"
COLUMNS: Final = (
    "rule_id VARCHAR NOT NULL, version BIGINT NOT NULL, scope VARCHAR NOT NULL, settings VARCHAR NOT NULL, valid_from DATE NOT NULL, "
    "valid_to DATE, season_from VARCHAR, season_to VARCHAR, priority BIGINT NOT NULL, reason VARCHAR NOT NULL, author VARCHAR NOT NULL, "
    "created_at TIMESTAMP NOT NULL"
)
_COPIED: Final = (
    "rule_id", "version", "scope", "settings", "valid_from", "valid_to", "season_from", "season_to", "priority", "reason", "author",
    "created_at",
)  # fmt: skip

_ITEMS: Final = """
    SELECT sku, location_id, products.category, products.supplier_id, classes.abc_class, classes.xyz_class
    FROM (SELECT sku, location_id FROM marts.fct_inventory_position UNION SELECT sku, location_id FROM planning.demand_series)
    LEFT JOIN marts.dim_products AS products USING (sku)
    LEFT JOIN marts.dim_product_classes AS classes USING (sku)
    ORDER BY sku, location_id
"""


def list_rules(store: OperationalStore, *, is_standing: bool = False) -> list[dict[str, Any]]:
    """All columns of all versions of all rules, oldest first; empty in a store that knows none yet.

    Args:
        store: The operational store.
        is_standing: Only versions that nobody has reverted.
    """
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(policy_rule.name):
            return []
        chosen = sa.select(policy_rule).order_by(policy_rule.c.created_at, policy_rule.c.rule_id, policy_rule.c.version)
        if is_standing:
            chosen = chosen.where(policy_rule.c.reverted_at.is_(None))
        return [dict(row) for row in conn.execute(chosen).mappings()]


def row_of(rule: PolicyRule) -> dict[str, Any]:
    """The rule as columns of `policy_rule`."""
    season_from, season_to = rule.season or (None, None)
    return {
        "rule_id": rule.rule_id, "version": rule.version, "scope": json.dumps(rule.scope.named),
        "settings": json.dumps(rule.values.named, default=str), "valid_from": rule.valid_from, "valid_to": rule.valid_to,
        "season_from": season_from, "season_to": season_to, "priority": rule.priority, "created_at": rule.created_at,
    }  # fmt: skip


def rule_of(row: Mapping[str, Any]) -> PolicyRule:
    """The rule that stands in these columns."""
    values = json.loads(row["settings"])
    if "budget_amount" in values:
        values["budget_amount"] = Decimal(values["budget_amount"])
    return PolicyRule(
        rule_id=row["rule_id"],
        version=row["version"],
        scope=RuleScope(**json.loads(row["scope"])),
        values=RuleValues(**values),
        valid_from=row["valid_from"],
        valid_to=row["valid_to"],
        season=None if row["season_from"] is None else (row["season_from"], row["season_to"]),
        priority=row["priority"],
        created_at=row["created_at"],
    )


def write_rules(conn: duckdb.DuckDBPyConnection, standing: Sequence[Mapping[str, Any]]) -> None:
    """The warehouse holds exactly these, as `list_rules` gives them. The caller holds the transaction."""
    conn.execute(f"DELETE FROM {TABLE}")
    for line in standing:
        conn.execute(f"INSERT INTO {TABLE} VALUES ({', '.join('?' * len(_COPIED))})", [line[name] for name in _COPIED])


def read_rules(conn: duckdb.DuckDBPyConnection) -> list[PolicyRule]:
    """The rules that a warehouse or release was made with, oldest first; none in a release of before there were any."""
    known = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'meta' AND table_name = 'policy_rules'"
    if conn.execute(known).fetchone() == (0,):
        return []
    rows = conn.execute(f"SELECT {', '.join(_COPIED)} FROM {TABLE} ORDER BY created_at, rule_id, version").fetchall()
    return [rule_of(dict(zip(_COPIED, row, strict=True))) for row in rows]


def read_rule_items(conn: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """sku, location_id, category, supplier_id, abc_class, xyz_class of all that is in stock or was ever sold, sorted by the first two.

    Args:
        conn: A warehouse or release.
    """
    return conn.sql(_ITEMS).pl()
