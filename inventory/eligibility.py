"""Which items can be ordered at all, from whom, and what stands in the way of the rest."""

from __future__ import annotations

import polars as pl


def preferred_suppliers(supplier_items: pl.DataFrame) -> pl.DataFrame:
    """The supplier to order each item from: the one with the lowest priority number; a missing number comes last.

    Args:
        supplier_items: supplier_id, sku, priority and any terms.

    Returns:
        One row per sku with the terms, and preferred_count: how many suppliers share the lowest number.
    """
    ranked = supplier_items.with_columns(pl.col("priority").fill_null(2**31 - 1).alias("rank"))
    best = ranked.filter(pl.col("rank") == pl.col("rank").min().over("sku"))
    counted = best.with_columns(pl.len().over("sku").cast(pl.Int64).alias("preferred_count"))
    return counted.sort("sku", "supplier_id").unique("sku", keep="first", maintain_order=True).drop("rank")


def judge_items(items: pl.DataFrame, *, is_pack_size_known: bool) -> pl.DataFrame:
    """Every item has its reason not to be ordered, or null where nothing stands in the way.

    Args:
        items: One row per sku and location: is_active, is_location_active, on_hand_qty (null: no stock level),
            supplier_id (null: no supplier), preferred_count, lead_time_days, unit_cost_amount, currency_code,
            min_order_qty, order_multiple, max_order_qty, forecast_reason (null: there is a forecast).
        is_pack_size_known: The source has pack sizes, so an empty one is a mistake and not one unit.

    Returns:
        The items with exclusion_reason, its exclusion_kind (one name for reasons alike), and min_order_qty and order_multiple
        filled: a missing minimum and a minimum of 0 are 1, and so is the pack where the source has none.
    """
    pack = pl.col("order_multiple") if is_pack_size_known else pl.lit(1, dtype=pl.Int64)
    filled = items.with_columns(
        pack.alias("order_multiple"), pl.max_horizontal(pl.col("min_order_qty").fill_null(1), pl.lit(1)).cast(pl.Int64)
    )
    pack, minimum, maximum = pl.col("order_multiple"), pl.col("min_order_qty"), pl.col("max_order_qty")
    smallest = (minimum + pack - 1) // pack * pack
    rules: dict[str, tuple[pl.Expr, pl.Expr]] = {
        "item_inactive": (~pl.col("is_active"), pl.lit("Item is inactive or discontinued.")),
        "location_inactive": (~pl.col("is_location_active"), pl.lit("Location is inactive.")),
        "no_stock_level": (pl.col("on_hand_qty").is_null(), pl.lit("No stock level for this item at this location.")),
        "no_supplier": (pl.col("supplier_id").is_null(), pl.lit("No supplier sells this item.")),
        "two_suppliers": (
            pl.col("preferred_count") > 1,
            pl.format("{} suppliers share the first priority; give one of them a lower number.", "preferred_count"),
        ),
        "no_currency": (pl.col("currency_code").is_null(), pl.lit("The supplier's price has no currency.")),
        "no_cost": (pl.col("unit_cost_amount").is_null(), pl.lit("The supplier's price is missing.")),
        "no_lead_time": (pl.col("lead_time_days").is_null(), pl.lit("The supplier's lead time is missing.")),
        "bad_lead_time": (
            pl.col("lead_time_days") < 0, pl.format("The supplier's lead time of {} days is negative.", "lead_time_days"),
        ),
        "no_pack_size": (pack.is_null(), pl.lit("The pack size is missing.")),
        "bad_pack_size": (pack < 1, pl.format("A pack size of {} cannot be ordered.", pack)),
        "maximum_below_minimum": (
            maximum // pack * pack < smallest,
            pl.format("At most {} can be ordered, and the smallest order is {}.", maximum, smallest),
        ),
        "no_forecast": (pl.col("forecast_reason").is_not_null(), pl.concat_str(pl.lit("No forecast: "), pl.col("forecast_reason"))),
    }  # fmt: skip
    # a pack below 1 is caught before the rule that divides by it
    reason = pl.coalesce(*(pl.when(applies).then(sentence) for applies, sentence in rules.values()))
    kind = pl.coalesce(*(pl.when(applies).then(pl.lit(name)) for name, (applies, _) in rules.items()))
    return filled.with_columns(reason.alias("exclusion_reason"), kind.alias("exclusion_kind")).sort("sku", "location_id")
