from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from inventory import source_orders
from inventory.sourcing import NO_COST, NO_QUANTITY, NO_STOCK, NOT_ALLOWED, SPLIT_LIMIT, USED_UP, SourcingRules
from inventory.sourcing_columns import better_ways, fewest_splits
from inventory.sourcing_problem import SourcingProblem, greedy_answer, score
from inventory.sourcing_search import fewer_splits

Row = tuple[Any, ...]
COSTS = [("DC", 500, 10), ("S1", 700, 20), ("S2", 700, 20)]


def lines(*rows: Row, **more: list[Any]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=["order_id", "order_line_id", "sku", "quantity"], orient="row")
    return frame.with_columns(pl.Series(name, values) for name, values in more.items())


def stock(*rows: Row) -> pl.DataFrame:
    names = {"location_id": pl.String, "sku": pl.String, "available_qty": pl.Int64, "location_type": pl.String}
    return pl.DataFrame([(*row, None)[:4] for row in rows], schema=names, orient="row")


def costs(*rows: Row) -> pl.DataFrame:
    return pl.DataFrame(rows or COSTS, schema=["location_id", "per_shipment_amount", "per_unit_amount"], orient="row")


def shipped(result: pl.DataFrame) -> list[Row]:
    return result.select("order_id", "order_line_id", "location_id", "qty").rows()


def test_an_order_ships_whole_from_a_place_that_greedy_had_emptied_for_another() -> None:
    # greedy takes A for the first order from the DC, which is nearer; then the second has no place with both of its lines
    result = source_orders(
        lines(("O1", 1, "A", 1), ("O2", 1, "A", 1), ("O2", 2, "B", 1)), stock(("DC", "A", 1), ("DC", "B", 1), ("S1", "A", 1)), costs()
    )

    assert shipped(result.frame) == [("O1", 1, "S1", 1), ("O2", 1, "DC", 1), ("O2", 2, "DC", 1)]
    assert result.summary.select("shipped_qty", "splits", "greedy_splits", "cost_amount", "greedy_cost_amount").row(0) == (
        3,
        0,
        1,
        1240,
        1740,
    )


def test_units_count_before_splits() -> None:
    result = source_orders(lines(("O1", 1, "A", 5)), stock(("DC", "A", 3), ("S1", "A", 1)), costs())

    assert shipped(result.frame) == [("O1", 1, "DC", 3), ("O1", 1, "S1", 1)]
    assert result.unfilled.rows() == [("O1", 1, "A", 1, USED_UP)]


def test_splits_count_before_cost() -> None:
    dear = costs(("DC", 100, 0), ("S1", 100, 0), ("S2", 10_000, 0))
    # one parcel from S2 costs fifty times what two from the others do
    result = source_orders(
        lines(("O1", 1, "A", 1), ("O1", 2, "B", 1)), stock(("DC", "A", 1), ("S1", "B", 1), ("S2", "A", 1), ("S2", "B", 1)), dear
    )

    assert result.summary.select("splits", "cost_amount", "greedy_splits", "greedy_cost_amount").row(0) == (0, 10_000, 0, 10_000)


def test_cost_counts_before_splits_where_the_rules_say_so() -> None:
    asked, held = lines(("O1", 1, "A", 1), ("O1", 2, "B", 1)), stock(("DC", "A", 1), ("S1", "A", 1), ("S1", "B", 1), ("S2", "B", 1))
    dear_together = costs(("DC", 100, 0), ("S1", 900, 0), ("S2", 100, 0))

    result = source_orders(asked, held, dear_together, rules=SourcingRules(is_cost_first=True))
    usual = source_orders(asked, held, dear_together)

    assert shipped(result.frame) == [("O1", 1, "DC", 1), ("O1", 2, "S2", 1)]
    assert shipped(usual.frame) == [("O1", 1, "S1", 1), ("O1", 2, "S1", 1)]


def test_store_stock_goes_first_where_the_rules_say_so_even_where_that_splits() -> None:
    held = stock(("DC", "A", 1, "dc"), ("DC", "B", 1, "dc"), ("S1", "A", 1, "store"))
    result = source_orders(lines(("O1", 1, "A", 1), ("O1", 2, "B", 1)), held, costs(), rules=SourcingRules(ship_first=("store",)))

    assert shipped(result.frame) == [("O1", 1, "S1", 1), ("O1", 2, "DC", 1)]


def test_drop_ship_and_supplier_stock_are_used_last_and_marked() -> None:
    held = stock(("S2", "A", 9, "supplier"), ("S1", "A", 1, "drop_ship"), ("DC", "A", 1, "dc"))
    result = source_orders(lines(("O1", 1, "A", 3)), held, costs())

    assert result.frame.select("location_id", "qty", "is_owned").rows() == [("DC", 1, True), ("S1", 1, False), ("S2", 1, False)]


def test_orders_of_the_first_priority_get_scarce_stock() -> None:
    result = source_orders(lines(("O1", 1, "A", 1), ("O2", 1, "A", 1), priority=[2, 1]), stock(("DC", "A", 1)), costs())

    assert shipped(result.frame) == [("O2", 1, "DC", 1)]


def test_a_region_ships_at_its_own_cost_or_at_the_one_for_all() -> None:
    lanes = costs(("DC", 500, 10), ("DC", 900, 10), ("S1", 700, 10)).with_columns(ship_to_region=pl.Series([None, "north", None]))
    result = source_orders(
        lines(("O1", 1, "A", 1), ("O2", 1, "A", 1), ship_to_region=["north", "south"]), stock(("DC", "A", 2), ("S1", "A", 2)), lanes
    )

    assert shipped(result.frame) == [("O1", 1, "S1", 1), ("O2", 1, "DC", 1)]


def test_all_units_that_lanes_allow_are_shipped_where_greedy_strands_some() -> None:
    lanes = costs(("DC", 100, 0), ("DC", 100, 0), ("S1", 900, 0)).with_columns(ship_to_region=pl.Series(["north", "south", "north"]))
    result = source_orders(
        lines(("O1", 1, "A", 1), ("O2", 1, "A", 1), ship_to_region=["north", "south"]), stock(("DC", "A", 1), ("S1", "A", 1)), lanes
    )

    assert shipped(result.frame) == [("O1", 1, "S1", 1), ("O2", 1, "DC", 1)]
    assert result.summary.select("shipped_qty", "greedy_shipped_qty").row(0) == (2, 1)


def test_every_line_that_cannot_ship_says_why() -> None:
    held = stock(("DC", "A", 1), ("S1", "A", 1), ("S2", "B", 1), ("LOST", "C", 1))
    rules = SourcingRules(allowed_locations=frozenset({"DC", "S1", "LOST"}), most_splits=0)
    asked = lines(("O1", 1, "A", 2), ("O2", 1, "B", 1), ("O3", 1, "C", 1), ("O4", 1, "D", 1), ("O5", 1, "A", 0), ("O6", 1, "A", None))
    result = source_orders(asked, held, costs(), rules=rules)

    assert result.unfilled.select("order_id", "qty", "reason").rows() == [
        ("O1", 1, SPLIT_LIMIT), ("O2", 1, NOT_ALLOWED), ("O3", 1, NO_COST), ("O4", 1, NO_STOCK), ("O5", None, NO_QUANTITY),
        ("O6", None, NO_QUANTITY),
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [[], [("O1", 1, None, 1)]])
def test_no_stock_and_no_orders_give_an_empty_answer(rows: list[Row]) -> None:
    result = source_orders(lines(*rows), stock(), costs())

    assert result.frame.height == 0
    assert result.summary["splits"].item() == 0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"costs": costs().with_columns(pl.col("per_unit_amount") / 100)}, "integer minor units"),
        ({"costs": costs().with_columns(-pl.col("per_unit_amount"))}, "at least 0"),
        ({"costs": costs().with_columns(currency_code=pl.Series(["EUR", "EUR", "USD"]))}, "convert to one currency"),
        ({"stock": stock(("DC", "A", 1), ("DC", "A", 1))}, "more than one row"),
        ({"stock": stock(("DC", "A", 1)).drop("sku")}, "lacks sku"),
        ({"order_lines": lines(("O1", 1, "A", 1), ("O1", 2, "A", 1), ship_to_region=["n", "s"])}, "split the order"),
        ({"order_lines": lines(("O1", 1, "A", 1), priority=["high"])}, "rank it"),
    ],
)
def test_what_cannot_be_compared_is_refused(bad: dict[str, pl.DataFrame], message: str) -> None:
    given = {"order_lines": lines(("O1", 1, "A", 1)), "stock": stock(("DC", "A", 1)), "costs": costs()} | bad

    with pytest.raises(ValueError, match=message):
        source_orders(given["order_lines"], given["stock"], given["costs"])


@st.composite
def problems(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, SourcingRules]:
    keys = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), unique=True, min_size=1, max_size=8))
    skus, units = st.sampled_from("ABC"), st.integers(0, 4)
    asked = lines(
        *[(f"O{order}", line, draw(skus), draw(units)) for order, line in keys],
        priority=[draw(st.sampled_from([None, 1, 2])) for _ in keys],
    )
    places = draw(st.lists(st.tuples(st.sampled_from(["L1", "L2", "L3", "L4"]), skus), unique=True, max_size=9))
    kinds = {place: draw(st.sampled_from(["store", "dc", "drop_ship", "supplier", None])) for place in ("L1", "L2", "L3", "L4")}
    held = stock(*[(place, sku, draw(units), kinds[place]) for place, sku in places])
    lanes = costs(*[(place, draw(st.integers(0, 900)), draw(st.integers(0, 90))) for place in ("L1", "L2", "L3")])
    rules = SourcingRules(ship_first=draw(st.sampled_from([(), ("store",)])), most_splits=draw(st.sampled_from([None, 0, 1])))
    return asked, held, lanes, rules


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problems(), st.randoms(use_true_random=False))
def test_what_ships_is_there_is_asked_for_and_is_never_worse_than_greedy(
    problem: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, SourcingRules], shuffle: Any
) -> None:
    asked, held, lanes, rules = problem
    result = source_orders(asked, held, lanes, rules=rules)
    again = source_orders(
        *(frame.sample(fraction=1.0, shuffle=True, seed=shuffle.randrange(99)) for frame in (asked, held, lanes)), rules=rules
    )

    by_place = result.frame.group_by("location_id", "sku").agg(pl.col("qty").sum()).join(held, on=["location_id", "sku"])
    assert (by_place["qty"] <= by_place["available_qty"]).all()
    both = pl.concat([result.frame.select("order_id", "order_line_id", "qty"), result.unfilled.select("order_id", "order_line_id", "qty")])
    told = both.group_by("order_id", "order_line_id").agg(pl.col("qty").sum())
    wanted = asked.join(told, on=["order_id", "order_line_id"])
    assert wanted.height == asked.height
    assert (wanted["qty"] == wanted["quantity"]).all()
    facts = result.summary.row(0, named=True)
    assert facts["shipped_qty"] >= facts["greedy_shipped_qty"]
    if facts["shipped_qty"] == facts["greedy_shipped_qty"]:
        assert (facts["splits"], facts["cost_amount"]) <= (facts["greedy_splits"], facts["greedy_cost_amount"])
        assert facts["cost_amount"] <= facts["greedy_cost_amount"]
    if rules.most_splits is not None and result.frame.height:
        assert result.frame.group_by("order_id").agg(pl.col("location_id").n_unique())["location_id"].max() <= rules.most_splits + 1
    assert again.frame.equals(result.frame)
    assert again.summary.equals(result.summary)


def random_problem(seed: int, *, orders: int = 6) -> SourcingProblem:
    """Orders of one to three lines, five SKUs, four locations, stock for most of it."""
    rng = np.random.default_rng(seed)
    line_order = np.repeat(np.arange(orders), rng.integers(1, 4, orders))
    line_sku = rng.integers(0, 5, len(line_order))
    line_qty = rng.integers(1, 4, len(line_order))
    held = rng.poisson(line_qty.sum() / 20, (5, 4))
    sku, place = np.nonzero(held)
    rows = np.array([(line_order[n] * 4 + place[s], n, s) for n in range(len(line_order)) for s in np.flatnonzero(sku == line_sku[n])])
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    keys, shipment = np.unique(rows[:, 0], return_inverse=True)
    per_unit, per_shipment = rng.integers(10, 90, 4), rng.integers(300, 900, 4)
    return SourcingProblem(
        line_order=line_order, line_sku=line_sku, line_qty=line_qty, line_class=np.zeros_like(line_qty), stock_qty=held[sku, place],
        pair_line=rows[:, 1], pair_stock=rows[:, 2], pair_shipment=shipment, pair_tier=np.zeros(len(rows), dtype=np.int64),
        pair_cost=per_unit[keys % 4][shipment], shipment_order=keys // 4, shipment_cost=per_shipment[keys % 4],
    )  # fmt: skip


def least_splits(problem: SourcingProblem, *, units: int, cost: int) -> int:
    """By one mixed-integer program: columns are units of pairs, shipments, and orders that have one."""
    pairs, shipments, orders = len(problem.pair_line), len(problem.shipment_cost), problem.orders_count
    of_line = sparse.csr_array((np.ones(pairs), (problem.pair_line, np.arange(pairs))), shape=(len(problem.line_qty), pairs))
    of_stock = sparse.csr_array((np.ones(pairs), (problem.pair_stock, np.arange(pairs))), shape=(len(problem.stock_qty), pairs))
    most = np.minimum(problem.line_qty[problem.pair_line], problem.stock_qty[problem.pair_stock])
    opened = sparse.csr_array((-most, (np.arange(pairs), problem.pair_shipment)), shape=(pairs, shipments))
    of_order = sparse.csr_array((np.ones(shipments), (problem.shipment_order, np.arange(shipments))), shape=(orders, shipments))
    ones, nothing = sparse.csr_array(np.ones((1, pairs))), sparse.csr_array((1, shipments))
    money = [sparse.csr_array(problem.pair_cost[None, :]), sparse.csr_array(problem.shipment_cost[None, :]), None]
    rows = sparse.block_array(
        [
            [of_line, None, None],
            [of_stock, None, None],
            [sparse.eye_array(pairs), opened, None],
            [None, -of_order, sparse.eye_array(orders)],
            [-ones, nothing, None],
            money,
        ]
    )
    highs = np.concatenate([problem.line_qty, problem.stock_qty, np.zeros(pairs), np.zeros(orders), [-units], [cost]])
    solved = milp(
        np.concatenate([np.zeros(pairs), np.ones(shipments), -np.ones(orders)]),
        integrality=np.ones(pairs + shipments + orders),
        bounds=Bounds(0, np.concatenate([most, np.ones(shipments + orders)])),
        constraints=LinearConstraint(rows.tocsr(), -np.inf, highs),
    )
    return round(solved.fun)


@pytest.mark.parametrize("seed", range(12))
def test_small_problems_reach_the_least_splits_there_are(seed: int) -> None:
    problem = random_problem(seed)
    start = score(problem, greedy_answer(problem))
    found = score(problem, fewer_splits(problem, greedy_answer(problem)))

    assert (found.units, found.splits) == (start.units, least_splits(problem, units=start.units, cost=start.cost))


@pytest.mark.parametrize("seed", range(6))
def test_no_answer_of_a_small_problem_is_below_the_bound_of_its_splits(seed: int) -> None:
    problem = random_problem(seed)
    start = score(problem, greedy_answer(problem))

    bound = fewest_splits(problem, greedy_answer(problem))

    least = least_splits(problem, units=start.units, cost=10**9)
    assert least - 2 <= bound <= least  # of 13 splits in all 6 problems the bounds see 9


@pytest.mark.parametrize("most_shipments", [None, 2])
@pytest.mark.parametrize("seed", range(3))
def test_other_ways_keep_the_units_of_each_sku_tier_and_class_and_are_never_worse(seed: int, most_shipments: int | None) -> None:
    plain = random_problem(seed, orders=30)
    rng = np.random.default_rng(seed)
    classes, tiers = rng.integers(0, 2, plain.orders_count), rng.integers(0, 2, len(plain.stock_qty))
    problem = replace(
        plain, line_class=classes[plain.line_order], pair_tier=tiers[plain.pair_stock], most_shipments=most_shipments
    )  # fmt: skip
    greedy = greedy_answer(problem)
    start = score(problem, greedy)

    answer = better_ways(problem, greedy, most_cost=start.cost)

    assert score(problem, answer).key < start.key
    assert score(problem, answer).cost <= start.cost
    assert (np.bincount(problem.pair_stock, answer, len(problem.stock_qty)) <= problem.stock_qty).all()
    assert (np.bincount(problem.pair_line, answer, len(problem.line_qty)) <= problem.line_qty).all()
    assert problem.shipments_of_orders(answer).max() <= (most_shipments or 4)
    sku, line_class = problem.line_sku[problem.pair_line], problem.line_class[problem.pair_line]
    for group in (2 * sku + line_class, 2 * sku + problem.pair_tier):
        assert (np.bincount(group, answer) == np.bincount(group, greedy)).all()


def test_other_ways_cost_less_where_cost_comes_first() -> None:
    problem = replace(random_problem(0, orders=30), is_cost_first=True)
    greedy = greedy_answer(problem)
    start = score(problem, greedy)

    answer = score(problem, better_ways(problem, greedy, most_cost=start.cost))

    assert (answer.units, answer.cost < start.cost) == (start.units, True)


def test_a_bound_is_refused_where_an_order_has_more_places_than_are_looked_at() -> None:
    count = np.arange(11)
    problem = SourcingProblem(
        line_order=count[:1], line_sku=count[:1], line_qty=count[2:3], line_class=count[:1], stock_qty=np.ones(11, dtype=np.int64),
        pair_line=0 * count, pair_stock=count, pair_shipment=count, pair_tier=0 * count, pair_cost=count,
        shipment_order=0 * count, shipment_cost=count,
    )  # fmt: skip

    with pytest.raises(ValueError, match="more than 10 places"):
        fewest_splits(problem, greedy_answer(problem))
