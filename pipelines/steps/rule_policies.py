"""The reorder policy of each item that a policy rule names: the merchant's settings with what the rules put in their place."""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from inventory.rules import SETTINGS, resolve
from inventory.schema import ReorderPolicy
from pipelines.steps.recommend_policies import item_policies, usual_method
from pipelines.stores.policy_rules import read_rule_items, read_rules
from pipelines.stores.warehouse import run_context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import duckdb

    from inventory.rules import PolicyRule
    from pipelines.settings import Settings
    from pipelines.steps.recommend_policies import Item

logger = logging.getLogger("ordercast.recommend")
_TAKEN: Final = tuple(one.name for one in fields(ReorderPolicy) if one.name in SETTINGS)
_KEY: Final = ["sku", "location_id"]


def standing_policies(conn: duckdb.DuckDBPyConnection, *, settings: Settings) -> dict[Item, ReorderPolicy]:
    """As `ruled_policies`, by the rules that the warehouse was ingested with, for the day after its as-of day."""
    rules = read_rules(conn)
    return ruled_policies(conn, rules, on=run_context(conn).as_of_date + timedelta(days=1), settings=settings) if rules else {}


def ruled_policies(
    conn: duckdb.DuckDBPyConnection, rules: Sequence[PolicyRule], *, on: date, settings: Settings
) -> dict[Item, ReorderPolicy]:
    """The policy of every item of whose policy a rule sets anything, by sku and location; its `version` names these rules.

    What no rule sets comes from the supplier, the location and the settings. Where rules together leave no policy, such as min_max
    without max_qty, the item is not among them and a warning says so.

    Args:
        conn: The warehouse, its marts built.
        rules: All versions that nobody has reverted.
        on: The day of the decision.
        settings: What holds where no rule says otherwise.
    """
    effective = resolve(_items(conn), rules, on=on)
    for one in effective.conflicts.iter_rows(named=True):
        logger.warning("Rules %(rule)s and %(other_rule)s want a different %(setting)s for %(items_count)d items: the newer holds", one)
    if problems := effective.problems.height:
        logger.warning(
            "The settings hold for %d items instead of their rules, for example %s at %s: %s", problems, *effective.problems.row(0)
        )
    effective = replace(effective, frame=_without_idle_fill(effective.frame, settings))
    version = pl.concat_list(f"{name}_rule" for name in _TAKEN).list.drop_nulls().list.unique().list.sort().list.join(", ").alias("version")
    named = effective.frame.with_columns(version).filter(pl.col("version") != "").join(effective.problems, on=_KEY, how="anti")
    usual = item_policies(
        named.select(*_KEY, pl.col("usual_review_days").alias("review_period_days"), "holding_cost_rate").to_dicts(), settings=settings
    )
    return {
        (row["sku"], row["location_id"]): replace(usual[row["sku"], row["location_id"]], version=row["version"], **_set(row))
        for row in named.select(*_KEY, "version", *_TAKEN, pl.col("budget_amount_rule").alias("budget_rule")).iter_rows(named=True)
    }


def policies_of(
    conn: duckdb.DuckDBPyConnection, keys: pl.DataFrame, rules: Sequence[PolicyRule], *, on: date, settings: Settings
) -> dict[Item, ReorderPolicy]:
    """The policy of each of these items: by its rules as in `ruled_policies`, else by supplier, location and settings as in a run.

    Args:
        conn: The warehouse or a release.
        keys: sku, location_id.
        rules: All versions that nobody has reverted.
        on: The day of the decision.
        settings: What holds where no rule says otherwise.
    """
    items = (
        keys.select(_KEY).join(_items(conn), on=_KEY, how="left", maintain_order="left").rename({"usual_review_days": "review_period_days"})
    )
    return item_policies(
        items.to_dicts(), settings=settings, rules=ruled_policies(conn, rules, on=on, settings=settings) if rules else None
    )


def _set(row: dict[str, Any]) -> dict[str, Any]:
    values = {name: row[name] for name in (*_TAKEN, "budget_rule") if row[name] is not None}
    return values | ({"budget_amount": float(row["budget_amount"])} if "budget_amount" in values else {})


def _without_idle_fill(frame: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """A least fill rate is for the path newsvendor; items kept by another method go without it, and a warning says so."""
    usual = usual_method(settings)
    is_idle = pl.col("min_fill_rate").is_not_null() & (pl.col("method").fill_null(usual) != "path_newsvendor")
    if idle := frame.filter(is_idle).height:
        logger.warning("min_fill_rate has no effect on %d %s: it needs the method path_newsvendor", idle, "item" if idle == 1 else "items")
    return frame.with_columns(
        pl.when(~is_idle).then(pl.col(name)).alias(name) for name in ("min_fill_rate", "min_fill_rate_rule")
    )  # fmt: skip


def _items(conn: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """As `read_rule_items`, with the review period of the first supplier and the location's holding cost."""
    reviews = conn.sql("SELECT supplier_id, sku, review_period_days AS usual_review_days FROM marts.dim_supplier_items ORDER BY ALL").pl()
    rates = conn.sql("SELECT location_id, holding_cost_rate FROM marts.dim_locations ORDER BY ALL").pl()
    items = read_rule_items(conn)
    return items.join(reviews, on=["supplier_id", "sku"], how="left").join(rates, on="location_id", how="left", maintain_order="left")
