"""Which location ships which open order line: most units first, then fewest splits, then least cost; never worse than greedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.schema import check_not_negative
from inventory.keys import alike, as_given
from inventory.sourcing_columns import MOST_LINES, better_ways
from inventory.sourcing_problem import SourcingProblem, greedy_answer, score
from inventory.sourcing_search import fewer_splits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecasting.schema import IntArray

DROP_SHIP: Final = "drop_ship"
SUPPLIER: Final = "supplier"
NOT_OWNED: Final = (DROP_SHIP, SUPPLIER)
NO_QUANTITY: Final = "no recommendation: quantity has to be a whole number above 0"
NO_STOCK: Final = "no location has stock of it"
NOT_ALLOWED: Final = "the rules allow no location that has it"
NO_COST: Final = "not available: needs the cost of shipping from a location that has it"
USED_UP: Final = "all its stock went to other lines"
SPLIT_LIMIT: Final = "the order has reached its most shipments"
MOST_AMOUNT: Final = 10**9  # beyond it sums leave 64 bits
_LINE: Final = ["order_id", "order_line_id"]


@dataclass(frozen=True, slots=True)
class SourcingRules:
    """What a merchant asks of sourcing beside units, splits and cost.

    Own stock is always used before drop-ship, and drop-ship before stock that lies at a supplier.

    Attributes:
        ship_first: Location types whose stock is used before other own stock, such as ("store",).
        never_from: Location types that ship nothing, such as ("drop_ship", "supplier").
        allowed_locations: Locations that may ship; None is all.
        most_splits: Most shipments of one order beyond its first; None is no limit.
        is_cost_first: Least cost before fewest splits.
    """

    ship_first: tuple[str, ...] = ()
    never_from: tuple[str, ...] = ()
    allowed_locations: frozenset[str] | None = None
    most_splits: int | None = None
    is_cost_first: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError where the rules contradict each other."""
        if self.most_splits is not None:
            check_not_negative(most_splits=self.most_splits)
        if texts := [name for name in ("ship_first", "never_from", "allowed_locations") if isinstance(getattr(self, name), str)]:
            raise ValueError(f"{texts[0]}: is the text {getattr(self, texts[0])!r}; pass a tuple or a set of texts.")
        if both := set(self.ship_first) & {*self.never_from, *NOT_OWNED}:
            raise ValueError(f"ship_first: {sorted(both)} ships nothing or is no stock of your own; take it out.")


@dataclass(frozen=True, slots=True)
class Sourcing:
    """Who ships what.

    Attributes:
        frame: order_id, order_line_id, sku, location_id, qty (units above 0), location_type, is_owned (false for drop-ship and
            supplier stock); keys as the order lines and stock have them; sorted by order, line and location, unique on those three.
        unfilled: order_id, order_line_id, sku, qty (units that nobody ships; null where the quantity is none), reason; in the same order.
        summary: One row: demand_qty, shipped_qty, shipments, splits (shipments beyond one per order), cost_amount, the same of greedy
            with the prefix `greedy_`, and currency_code (null where the costs name none).
    """

    frame: pl.DataFrame
    unfilled: pl.DataFrame
    summary: pl.DataFrame


def source_orders(order_lines: pl.DataFrame, stock: pl.DataFrame, costs: pl.DataFrame, *, rules: SourcingRules | None = None) -> Sourcing:
    """Every open order line with the locations that ship it, or the reason why none does.

    In this order: most units shipped, stock of an earlier tier (`ship_first`, other own, drop-ship, supplier), fewest splits, least
    cost; with `is_cost_first` least cost, then fewest splits. It starts from greedy (order after order, the location that covers most
    open lines) and only changes for the better: units per SKU never fall, splits never rise (but with `is_cost_first`), and at equal
    units the cost never rises above greedy's. The same input gives the same answer, in whatever order its rows come.

    Args:
        order_lines: order_id, order_line_id, sku, quantity (whole units); optionally priority (lower is served first, null last; an
            order has that of its first line) and ship_to_region. Unique on order and line.
        stock: location_id, sku, available_qty (units, parts of one are dropped); optionally location_type, of which drop_ship and
            supplier are no stock of your own. Unique on location and sku.
        costs: location_id, per_shipment_amount, per_unit_amount (integer minor units of one currency); optionally currency_code and
            ship_to_region, where null is every region without a row of its own. A location without a row ships nothing.
        rules: The merchant's.

    Raises:
        ValueError: A frame is no Polars one, a column is missing, a key is repeated or of another kind in another frame,
            a priority is no number, an order has two regions, or an amount is negative,
            no integer or in a second currency.
    """
    rules = SourcingRules() if rules is None else rules
    if type(rules) is not SourcingRules:
        raise ValueError(f"rules: is a {type(rules).__name__} and has to be SourcingRules(...).")
    asked, held_at, allowed = order_lines, stock, pl.DataFrame({"location_id": sorted(rules.allowed_locations or ())})
    order_lines, stock, costs, allowed = alike(**{"order_lines": order_lines, "stock": stock, "costs": costs, "rules.allowed": allowed})
    currency = _check(order_lines, stock, costs)
    lines, held, lanes = _lines(order_lines), _stock(stock), _lanes(costs)
    pairs, usable = _pairs(lines, held, lanes, rules, allowed["location_id"].to_list())
    problem = _problem(lines, held, pairs, rules)
    greedy = greedy_answer(problem)
    answer = _best(problem, greedy)
    chosen = pairs.with_columns(pl.Series("qty", answer))
    left = problem.stock_qty - np.bincount(problem.pair_stock, weights=answer, minlength=len(problem.stock_qty)).astype(np.int64)
    frame = chosen.filter(pl.col("qty") > 0).sort(*_LINE, "location_id").with_columns(is_owned=pl.col("tier") < _tier_of(DROP_SHIP))
    frame = frame.select(*_LINE, "sku", "location_id", "qty", "location_type", "is_owned")
    return Sourcing(
        frame=as_given(as_given(frame, asked), held_at),
        unfilled=as_given(_unfilled(order_lines, lines, chosen, usable, left), asked),
        summary=_summary(problem, greedy, answer, currency),
    )


def _best(problem: SourcingProblem, greedy: IntArray) -> IntArray:
    if len(problem.line_qty) > MOST_LINES:
        return fewer_splits(problem, greedy)
    start, answer = score(problem, greedy), fewer_splits(problem, greedy, moves_per_order=10)
    found = score(problem, answer)
    return better_ways(problem, answer, most_cost=start.cost if start.units == found.units else found.cost)


def _check(order_lines: pl.DataFrame, stock: pl.DataFrame, costs: pl.DataFrame) -> str | None:
    """The one currency of the costs, None where they name none."""
    _require(order_lines, "order_lines", [*_LINE, "sku", "quantity"], _LINE)
    _require(stock, "stock", ["location_id", "sku", "available_qty"], ["location_id", "sku"])
    _require(costs, "costs", ["location_id", "per_shipment_amount", "per_unit_amount"], _key_of_costs(costs))
    for name, frame, column in (("order_lines", order_lines, "quantity"), ("stock", stock, "available_qty")):
        if not (frame.schema[column].is_numeric() or frame.schema[column] == pl.Null):
            raise ValueError(f"{name}.{column}: holds {frame.schema[column]}; numbers are needed.")
    _check_amounts(costs)
    if "priority" in order_lines.columns and not (order_lines["priority"].dtype.is_numeric() or order_lines["priority"].is_null().all()):
        raise ValueError(f"order_lines.priority: has to be a number, lower first, got {order_lines['priority'].dtype}; rank it.")
    if "ship_to_region" in order_lines.columns:
        regions = order_lines.group_by("order_id").agg(pl.col("ship_to_region").n_unique().alias("n")).filter(pl.col("n") > 1)
        if len(regions):
            raise ValueError(f"order_lines.ship_to_region: order {regions['order_id'].min()!r} has more than one; split the order.")
    currencies = costs["currency_code"].unique().to_list() if "currency_code" in costs.columns else []
    if len(currencies) > 1:
        raise ValueError(f"costs.currency_code: {sorted(map(str, currencies))} cannot be compared; convert to one currency.")
    return currencies[0] if currencies else None


def _check_amounts(costs: pl.DataFrame) -> None:
    for name in ("per_shipment_amount", "per_unit_amount"):
        column = costs[name]
        if len(column) and not column.dtype.is_integer():
            raise ValueError(f"costs.{name}: has to be integer minor units, got {column.dtype}; multiply by 100 and cast for cents.")
        if column.null_count() or (column < 0).any():
            raise ValueError(f"costs.{name}: has to be at least 0 in every row; leave a location out whose cost is not known.")
        if (column > MOST_AMOUNT).any():
            raise ValueError(f"costs.{name}: up to {column.max()!r} minor units; more than {MOST_AMOUNT:,} is no cost, correct it.")


def _require(frame: pl.DataFrame, name: str, columns: Sequence[str], key: Sequence[str]) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{name}: lacks {', '.join(missing)}; it has {', '.join(frame.columns)}.")
    if unsorted := [column for column in key if frame.schema[column].is_nested() or frame.schema[column] == pl.Object]:
        raise ValueError(f"{name}.{unsorted[0]}: holds {frame.schema[unsorted[0]]}; keys are texts or numbers.")
    repeated = frame.filter(frame.select(key).is_duplicated())
    if len(repeated):
        raise ValueError(f"{name}: {repeated.select(key).row(0)} stands in more than one row; rows have to be unique on {', '.join(key)}.")


def _key_of_costs(costs: pl.DataFrame) -> list[str]:
    return ["location_id", "ship_to_region"] if "ship_to_region" in costs.columns else ["location_id"]


def _whole(column: str) -> pl.Expr:
    number = pl.col(column).cast(pl.Float64, strict=False)
    return pl.when(number.is_finite() & (number < 2**53)).then(number)


def _lines(order_lines: pl.DataFrame) -> pl.DataFrame:
    """Lines with a quantity, in the order in which greedy serves them."""
    optional = [
        pl.col(name).cast(dtype) if name in order_lines.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in (("priority", pl.Float64()), ("ship_to_region", pl.String()))
    ]
    quantity = _whole("quantity")
    lines = order_lines.select(*_LINE, "sku", quantity.alias("quantity"), *optional)
    lines = lines.filter((pl.col("quantity") > 0) & (pl.col("quantity") == pl.col("quantity").floor()))
    lines = lines.with_columns(pl.col("quantity").cast(pl.Int64), pl.col("priority").min().over("order_id"))
    lines = lines.sort("priority", *_LINE, nulls_last=True).with_row_index("line")
    return lines.with_columns(
        (pl.col("order_id").rle_id()).alias("order"),
        pl.col("priority").rle_id().alias("class"),
        pl.col("sku").rank("dense").fill_null(0).alias("sku_number"),
    )


def _stock(stock: pl.DataFrame) -> pl.DataFrame:
    """Stock of at least a unit, by location and SKU."""
    kind = pl.col("location_type") if "location_type" in stock.columns else pl.lit(None).alias("location_type")
    held = stock.select("location_id", "sku", kind.cast(pl.String), _whole("available_qty").floor().alias("available_qty"))
    held = held.filter(pl.col("available_qty") >= 1).sort("location_id", "sku").with_row_index("stock")
    return held.with_columns(pl.col("available_qty").cast(pl.Int64), pl.col("location_id").rank("dense").alias("location"))


def _lanes(costs: pl.DataFrame) -> pl.DataFrame:
    region = pl.col("ship_to_region") if "ship_to_region" in costs.columns else pl.lit(None).alias("ship_to_region")
    return costs.select("location_id", region.cast(pl.String), pl.col("per_shipment_amount", "per_unit_amount").cast(pl.Int64))


def _tier_of(location_type: str | None, rules: SourcingRules | None = None) -> int:
    if location_type in NOT_OWNED:
        return 2 + NOT_OWNED.index(location_type)
    return 0 if rules and location_type in rules.ship_first else 1


def _pairs(
    lines: pl.DataFrame, held: pl.DataFrame, lanes: pl.DataFrame, rules: SourcingRules, allowed: list[object]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines and the stock that may ship them, shipment by shipment; and per line with stock, whether rules and costs allow some."""
    is_allowed = pl.lit(value=True) if rules.allowed_locations is None else pl.col("location_id").is_in(allowed)
    kind = pl.col("location_type")
    tiers = {name: _tier_of(name, rules) for name in (*NOT_OWNED, *rules.ship_first)}
    pairs = lines.join(held, on="sku").with_columns(
        (is_allowed & ~kind.is_in(rules.never_from).fill_null(value=False)).alias("is_allowed"),
        kind.replace_strict(tiers, default=_tier_of(None), return_dtype=pl.Int64).alias("tier"),
    )
    anywhere = lanes.filter(pl.col("ship_to_region").is_null()).drop("ship_to_region")
    pairs = pairs.join(lanes, on=["location_id", "ship_to_region"], how="left").join(anywhere, on="location_id", how="left", suffix="_any")
    pairs = pairs.with_columns(pl.coalesce(name, f"{name}_any").alias(name) for name in ("per_shipment_amount", "per_unit_amount"))
    has_cost = pl.col("per_unit_amount").is_not_null()
    usable = pairs.group_by(*_LINE).agg(pl.col("is_allowed").any(), (pl.col("is_allowed") & has_cost).any().alias("has_cost"))
    return pairs.filter(pl.col("is_allowed") & has_cost).sort("order", "location", "line"), usable


def _problem(lines: pl.DataFrame, held: pl.DataFrame, pairs: pl.DataFrame, rules: SourcingRules) -> SourcingProblem:
    numbered = pairs.with_columns(pl.struct("order", "location").rle_id().alias("shipment"))
    shipments = numbered.group_by("shipment", maintain_order=True).agg(pl.col("order", "per_shipment_amount").first())
    return SourcingProblem(
        line_order=_ints(lines["order"]),
        line_sku=_ints(lines["sku_number"]),
        line_qty=_ints(lines["quantity"]),
        line_class=_ints(lines["class"]),
        stock_qty=_ints(held["available_qty"]),
        pair_line=_ints(numbered["line"]),
        pair_stock=_ints(numbered["stock"]),
        pair_shipment=_ints(numbered["shipment"]),
        pair_tier=_ints(numbered["tier"]),
        pair_cost=_ints(numbered["per_unit_amount"]),
        shipment_order=_ints(shipments["order"]),
        shipment_cost=_ints(shipments["per_shipment_amount"]),
        most_shipments=None if rules.most_splits is None else rules.most_splits + 1,
        is_cost_first=rules.is_cost_first,
    )


def _ints(column: pl.Series) -> IntArray:
    return column.to_numpy().astype(np.int64)


def _unfilled(order_lines: pl.DataFrame, lines: pl.DataFrame, chosen: pl.DataFrame, usable: pl.DataFrame, left: IntArray) -> pl.DataFrame:
    """Units that nobody ships, and why."""
    is_left = pl.Series("is_left", left > 0).gather(chosen["stock"]) if len(left) else pl.Series("is_left", [], pl.Boolean)
    shipped = chosen.with_columns(is_left).group_by(*_LINE).agg(pl.col("qty").sum(), pl.col("is_left").any())
    asked = order_lines.select(*_LINE, "sku").join(lines.select(*_LINE, "quantity"), on=_LINE, how="left")
    known = asked.join(usable, on=_LINE, how="left").join(shipped, on=_LINE, how="left")
    reason = (
        pl.when(pl.col("quantity").is_null()).then(pl.lit(NO_QUANTITY))
        .when(pl.col("is_allowed").is_null()).then(pl.lit(NO_STOCK))
        .when(~pl.col("is_allowed")).then(pl.lit(NOT_ALLOWED))
        .when(~pl.col("has_cost")).then(pl.lit(NO_COST))
        .when(pl.col("is_left")).then(pl.lit(SPLIT_LIMIT))
        .otherwise(pl.lit(USED_UP))
    )  # fmt: skip
    open_qty = pl.col("quantity") - pl.col("qty").fill_null(0)
    unfilled = known.select(*_LINE, "sku", open_qty.alias("qty"), reason.alias("reason"))
    return unfilled.filter(pl.col("qty").is_null() | (pl.col("qty") > 0)).sort(*_LINE)


def _summary(problem: SourcingProblem, greedy: IntArray, answer: IntArray, currency: str | None) -> pl.DataFrame:
    facts: dict[str, int | str | None] = {"demand_qty": int(problem.line_qty.sum())}
    for prefix, qty in (("", answer), ("greedy_", greedy)):
        one = score(problem, qty)
        facts |= {f"{prefix}shipped_qty": one.units, f"{prefix}shipments": one.shipments}
        facts |= {f"{prefix}splits": one.splits, f"{prefix}cost_amount": one.cost}
    return pl.DataFrame([facts | {"currency_code": currency}], schema_overrides={"currency_code": pl.String})
