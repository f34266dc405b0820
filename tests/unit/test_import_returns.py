from __future__ import annotations

from datetime import datetime
from itertools import count

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.steps.import_returns import match_returns

SCHEMA = {"customer_id": pl.String, "sku": pl.String, "quantity": pl.Int64, "created_at": pl.Datetime("us")}


def frame(key: str, *rows: tuple[str, str | None, str, int, int]) -> pl.DataFrame:
    """Rows of (id, customer, sku, quantity, day of March)."""
    dated = [(name, customer, sku, quantity, datetime(2026, 3, day)) for name, customer, sku, quantity, day in rows]
    return pl.DataFrame(dated, schema={key: pl.String, **SCHEMA}, orient="row")


def sales(*rows: tuple[str, str | None, str, int, int]) -> pl.DataFrame:
    return frame("order_line_id", *rows)


def returns(*rows: tuple[str, str | None, str, int, int]) -> pl.DataFrame:
    return frame("return_line_id", *rows)


def matches(returned: pl.DataFrame, sold: pl.DataFrame) -> dict[str, str | None]:
    return dict(match_returns(returned, sold).iter_rows())


def test_the_latest_earlier_sale_is_taken() -> None:
    sold = sales(("L1", "ann", "cup", 5, 1), ("L2", "ann", "cup", 5, 2), ("L3", "ann", "cup", 5, 9))

    assert matches(returns(("R1", "ann", "cup", 1, 4)), sold) == {"R1": "L2"}


def test_a_sale_with_too_few_units_is_passed_over() -> None:
    sold = sales(("L1", "ann", "cup", 5, 1), ("L2", "ann", "cup", 2, 2))

    assert matches(returns(("R1", "ann", "cup", 3, 4)), sold) == {"R1": "L1"}


def test_units_that_came_back_once_cannot_come_back_again() -> None:
    sold = sales(("L1", "ann", "cup", 5, 1))
    returned = returns(("R1", "ann", "cup", 3, 4), ("R2", "ann", "cup", 2, 5), ("R3", "ann", "cup", 1, 6))

    assert matches(returned, sold) == {"R1": "L1", "R2": "L1", "R3": None}


def test_earlier_returns_are_served_first_whatever_their_order_in_the_file() -> None:
    sold = sales(("L1", "ann", "cup", 1, 1))

    assert matches(returns(("R1", "ann", "cup", 1, 8), ("R2", "ann", "cup", 1, 3)), sold) == {"R1": None, "R2": "L1"}


def test_a_sale_at_the_moment_of_the_return_counts_as_earlier() -> None:
    assert matches(returns(("R1", "ann", "cup", 1, 4)), sales(("L1", "ann", "cup", 1, 4))) == {"R1": "L1"}


def test_other_customers_and_other_products_are_no_match() -> None:
    sold = sales(("L1", "bob", "cup", 5, 1), ("L2", "ann", "mug", 5, 1), ("L3", None, "cup", 5, 1))

    assert matches(returns(("R1", "ann", "cup", 1, 4)), sold) == {"R1": None}


def test_a_return_of_nobody_stays_unmatched() -> None:
    assert matches(returns(("R1", None, "cup", 1, 4)), sales(("L1", None, "cup", 5, 1))) == {"R1": None}


def test_a_return_larger_than_any_sale_is_not_split() -> None:
    sold = sales(("L1", "ann", "cup", 5, 1), ("L2", "ann", "cup", 5, 2))

    assert matches(returns(("R1", "ann", "cup", 8, 4)), sold) == {"R1": None}


def test_no_returns_give_no_matches() -> None:
    assert match_returns(returns(), sales(("L1", "ann", "cup", 5, 1))).is_empty()


row = st.tuples(st.sampled_from(["ann", "bob", None]), st.sampled_from(["cup", "mug"]), st.integers(1, 5), st.integers(1, 9))


@given(sold=st.lists(row, max_size=12), returned=st.lists(row, max_size=12))
def test_no_sale_gives_back_more_than_was_sold_and_none_before_it_was_sold(
    sold: list[tuple[str | None, str, int, int]], returned: list[tuple[str | None, str, int, int]]
) -> None:
    sale_ids, return_ids = count(), count()
    sale_frame = sales(*((f"L{next(sale_ids)}", *line) for line in sold))
    return_frame = returns(*((f"R{next(return_ids)}", *line) for line in returned))

    found = match_returns(return_frame, sale_frame)

    assert found["return_line_id"].to_list() == sorted(return_frame["return_line_id"])
    pairs = found.join(return_frame, on="return_line_id").join(sale_frame, on="order_line_id", suffix="_sold")
    assert pairs.filter(
        (pl.col("customer_id") != pl.col("customer_id_sold"))
        | (pl.col("sku") != pl.col("sku_sold"))
        | (pl.col("created_at") < pl.col("created_at_sold"))
    ).is_empty()
    per_sale = pairs.group_by("order_line_id").agg(pl.col("quantity").sum(), pl.col("quantity_sold").first())
    assert per_sale.filter(pl.col("quantity") > pl.col("quantity_sold")).is_empty()
