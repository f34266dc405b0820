"""Which location would ship which open order line, by the policy rules of a day; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from inventory.rules import resolve
from inventory.sourcing import SUPPLIER, SourcingRules, source_orders
from pipelines.steps.recommend_reading import present_fields
from pipelines.stores.warehouse import run_context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import duckdb

    from inventory.rules import EffectivePolicies, PolicyRule
    from inventory.sourcing import Sourcing

NEEDED_TABLES: Final = ("stock_levels", "shipments")
USUAL: Final = "fewest_splits"  # where no rule says otherwise
STORE: Final = "store"
_RULES: Final = {
    "store_first": SourcingRules(ship_first=(STORE,)), "fewest_splits": SourcingRules(), "lowest_cost": SourcingRules(is_cost_first=True),
}  # fmt: skip
_LINE: Final = ["order_id", "order_line_id"]
_FIGURES: Final = (
    "demand_qty", "shipped_qty", "shipments", "splits", "cost_amount",
    "greedy_shipped_qty", "greedy_shipments", "greedy_splits", "greedy_cost_amount",
)  # fmt: skip
_LINES: Final = """
    SELECT l.order_id, l.order_line_id, l.sku, l.location_id, l.channel_id, l.channel_priority AS priority, l.ordered_date,
        l.open_qty AS quantity, products.category, products.supplier_id, classes.abc_class, classes.xyz_class
    FROM marts.fct_open_order_lines AS l
    LEFT JOIN marts.dim_products AS products USING (sku)
    LEFT JOIN marts.dim_product_classes AS classes USING (sku)
    ORDER BY l.order_id, l.order_line_id
"""
# what is committed is committed to lines like these
_STOCK: Final = """
    SELECT p.location_id, p.sku, greatest(0, p.on_hand_qty) - coalesce(p.reserved_qty, 0) - coalesce(p.damaged_qty, 0) AS available_qty,
        lower(places.location_type) AS location_type, costs.mean_shipment_amount, costs.currency_code
    FROM marts.fct_inventory_position AS p
    LEFT JOIN marts.dim_locations AS places USING (location_id)
    LEFT JOIN marts.fct_shipping_costs AS costs USING (location_id)
    WHERE coalesce(places.is_active AND places.fulfills_online, true) AND p.sku IN (SELECT sku FROM marts.fct_open_order_lines)
"""
_SUPPLIER_STOCK: Final = "SELECT supplier_id AS location_id, sku, available_qty FROM marts.fct_supplier_stock WHERE available_qty > 0"


@dataclass(frozen=True, slots=True)
class OrderSourcing:
    """Which location would ship which open order line.

    Attributes:
        lines: order_id, order_line_id, sku, location_id (who ships; of supplier stock the supplier), qty, location_type, is_owned,
            planned_location_id (where the shop has it), sourcing, sourcing_rule ("stores-first/1"; null: no rule).
        unfilled: order_id, order_line_id, sku, qty, reason, sourcing, sourcing_rule: units that nobody ships.
        figures: Of stock of one's own: demand_qty, shipped_qty, shipments, splits, cost_amount (minor units; None where `cost_needs`),
            and the same of greedy with the prefix greedy_; besides supplier_qty.
        currency_code: Of the cost.
        cost_needs: What the source would have to provide for cost; None where it is known.
        notes: Sentences on what rules ask for and cannot have.
        not_available: What the source would have to provide for any of it.
    """

    lines: pl.DataFrame
    unfilled: pl.DataFrame
    figures: dict[str, int | None]
    currency_code: str | None
    cost_needs: str | None
    notes: tuple[str, ...]
    not_available: str | None = None


def source_open_orders(conn: duckdb.DuckDBPyConnection, rules: Sequence[PolicyRule], *, on: date) -> OrderSourcing:
    """The open order lines of a release sourced from the stock that it knows, as the rules of the day have it.

    An order is sourced in one way: where the rules of its lines differ, by that of most of its units. Orders of one way are sourced
    together, the way of the first channel priority and the oldest order first, each from what those before have left. What own stock
    cannot fill is asked of stock that lies at suppliers.

    Args:
        conn: The release.
        rules: All versions that nobody has reverted.
        on: The day whose rules hold; stock and orders are those of the release.
    """
    missing = [table for table in NEEDED_TABLES if not present_fields(conn, table)]
    asked, stock, at_suppliers = (conn.sql(query).pl() for query in (_LINES, _STOCK, _SUPPLIER_STOCK))
    found = resolve(asked, rules, on=on)
    lines = _with_ways(found)
    costs, cost_needs = _costs(stock)
    groups = lines.sort("priority", "ordered_date", "sourcing", nulls_last=True)["sourcing"].unique(maintain_order=True).to_list()
    held = stock.select("location_id", "sku", "available_qty", "location_type")
    answers: list[Sourcing] = []
    for way in groups:
        answers.append(source_orders(lines.filter(pl.col("sourcing") == way), held, costs, rules=_RULES[way]))
        held = _left(held, answers[-1].frame)
    shipped, unfilled = _with_suppliers(lines, answers, at_suppliers)
    said = lines.select(*_LINE, pl.col("location_id").alias("planned_location_id"), "sourcing", "sourcing_rule")
    figures = {name: sum(int(one.summary[name].item()) for one in answers) for name in _FIGURES}
    hidden = dict.fromkeys(("cost_amount", "greedy_cost_amount")) if cost_needs else {}
    return OrderSourcing(
        lines=shipped.join(said, on=_LINE, how="left", maintain_order="left"),
        unfilled=unfilled.join(said.drop("planned_location_id"), on=_LINE, how="left", maintain_order="left"),
        figures=figures | hidden | {"supplier_qty": int(shipped.filter(pl.col("location_type") == SUPPLIER)["qty"].sum())},
        currency_code=run_context(conn).currency_code,
        cost_needs=cost_needs,
        notes=_notes(found, lines, groups, stock, cost_needs),
        not_available=f"needs {', '.join(missing)}" if missing else None,
    )


def _with_ways(found: EffectivePolicies) -> pl.DataFrame:
    """The lines with one `sourcing` and `sourcing_rule` for each order; `is_mixed` where the rules of its lines differ."""
    by_order = found.frame.group_by("order_id", "sourcing", "sourcing_rule").agg(pl.col("quantity").sum())
    first = by_order.sort("order_id", -pl.col("quantity"), "sourcing", "sourcing_rule", nulls_last=True)
    ways = first.group_by("order_id", maintain_order=True).agg(
        pl.col("sourcing", "sourcing_rule").first(), is_mixed=pl.col("sourcing").n_unique() > 1
    )
    lines = found.frame.drop("sourcing", "sourcing_rule").join(ways, on="order_id", maintain_order="left")
    return lines.with_columns(pl.col("sourcing").fill_null(USUAL))


def _costs(stock: pl.DataFrame) -> tuple[pl.DataFrame, str | None]:
    """Cost per location as the merchant's past shipments have it, or none for all of them and what is needed for it."""
    places = stock.filter(pl.col("available_qty") >= 1).select("location_id", "mean_shipment_amount").unique().sort("location_id")
    unknown = places.filter(pl.col("mean_shipment_amount").is_null())["location_id"].to_list()
    amount = pl.lit(0, dtype=pl.Int64) if unknown else pl.col("mean_shipment_amount")
    costs = places.select("location_id", amount.alias("per_shipment_amount"), pl.lit(0, dtype=pl.Int64).alias("per_unit_amount"))
    return costs, f"needs shipping_cost of shipments from {', '.join(unknown)}" if unknown else None


def _left(held: pl.DataFrame, shipped: pl.DataFrame) -> pl.DataFrame:
    taken = shipped.group_by("location_id", "sku").agg(pl.col("qty").sum())
    left = held.join(taken, on=["location_id", "sku"], how="left", maintain_order="left")
    return left.with_columns(pl.col("available_qty") - pl.col("qty").fill_null(0)).drop("qty")


def _with_suppliers(lines: pl.DataFrame, answers: Sequence[Sourcing], at_suppliers: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What is shipped, with what suppliers have of the rest; and the units that are left over all the same."""
    if not answers:
        empty = source_orders(lines, at_suppliers, _free_of_cost(at_suppliers))
        return empty.frame, empty.unfilled
    shipped, unfilled = (pl.concat([getattr(one, name) for one in answers]).sort(_LINE) for name in ("frame", "unfilled"))
    rest = unfilled.filter(pl.col("qty") > 0).rename({"qty": "quantity"}).join(lines.select(*_LINE, "priority"), on=_LINE)
    stock = at_suppliers.with_columns(pl.lit(SUPPLIER).alias("location_type"))
    more = source_orders(rest.drop("reason"), stock, _free_of_cost(at_suppliers))
    still = more.unfilled.drop("reason").join(unfilled.select(*_LINE, "reason"), on=_LINE)
    untouched = unfilled.filter(pl.col("qty").is_null())
    return pl.concat([shipped, more.frame]).sort(*_LINE, "location_id"), pl.concat([still, untouched]).sort(_LINE)


def _free_of_cost(at_suppliers: pl.DataFrame) -> pl.DataFrame:
    """What a supplier's shipment costs nobody says; with one amount for all it decides nothing, and no sum holds it."""
    none = pl.lit(0, dtype=pl.Int64)
    return at_suppliers.select("location_id").unique().with_columns(per_shipment_amount=none, per_unit_amount=none)


def _notes(
    found: EffectivePolicies, lines: pl.DataFrame, groups: Sequence[Any], stock: pl.DataFrame, cost_needs: str | None
) -> tuple[str, ...]:
    notes = []
    if "store_first" in groups and not (stock["location_type"] == STORE).any():
        notes.append("store_first changes nothing: needs a location of type store that has stock of what is asked for.")
    if "lowest_cost" in groups and cost_needs:
        notes.append(f"lowest_cost is fewest_splits here: cost is not available, {cost_needs}.")
    if mixed := lines.filter("is_mixed")["order_id"].n_unique():
        notes.append(f"Rules of single lines differ within {mixed:,} orders: the one of most units holds for the whole order.")
    conflicts = found.conflicts.filter(pl.col("setting") == "sourcing").iter_rows(named=True)
    contrary = "{rule} and {other_rule} want a different sourcing for {items_count:,} lines: the newer holds."
    return (*notes, *(contrary.format_map(one) for one in conflicts))
