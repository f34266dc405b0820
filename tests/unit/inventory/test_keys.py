from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl
import pytest

from inventory import SourcingRules, allocate, fair_share, promise_dates, source_orders, transfers

DAY = date(2025, 6, 30)
STOCK = pl.DataFrame({"sku": [9], "location_id": [1], "available_qty": [2], "on_hand_qty": [2]})
WANTS = pl.DataFrame({"sku": [9, 9], "location_id": [10, 2], "level": [1, 1], "marginal_value": [5.0, 5.0], "wanted_qty": [1, 1]})
LANES = pl.DataFrame({"from_location_id": [1, 1], "to_location_id": [2, 10], "unit_cost": [1.0, 1.0]})
LINES = pl.DataFrame({"order_id": [1], "order_line_id": [7], "sku": [9], "location_id": [1], "quantity": [1], "open_qty": [1], "ordered_date": [DAY]})  # fmt: skip
INBOUND = pl.DataFrame(schema={"sku": pl.Int64, "location_id": pl.Int64, "expected_date": pl.Date, "open_qty": pl.Int64})
LEADS = pl.DataFrame({"sku": [9], "lead_time_days": [4]})
COSTS = pl.DataFrame({"location_id": [1], "per_shipment_amount": [500], "per_unit_amount": [10]})

Calls = dict[str, tuple[Callable[..., Any], dict[str, Any]]]
CALLS: Calls = {
    "allocate": (allocate, {"stock": STOCK.drop("location_id"), "wants": WANTS}),
    "fair_share": (fair_share, {"stock": STOCK.drop("location_id"), "wants": WANTS}),
    "transfers": (transfers, {"stock": STOCK, "wants": WANTS, "lanes": LANES}),
    "source_orders": (
        lambda **frames: source_orders(**frames).frame,
        {"order_lines": LINES.drop("location_id"), "stock": STOCK, "costs": COSTS},
    ),
    "promise_dates": (
        lambda **frames: promise_dates(**frames, as_of=DAY),
        {"order_lines": LINES, "position": STOCK, "inbound": INBOUND, "lead_times": LEADS},
    ),
}
ARGUMENTS = [(name, argument) for name, (_, frames) in CALLS.items() for argument in frames]
SKUS = [(name, argument) for name, argument in ARGUMENTS if "sku" in CALLS[name][1][argument].columns and argument != "inbound"]


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
@pytest.mark.parametrize("make", [lambda frame: frame.lazy(), lambda frame: frame.to_dict(), lambda _: None], ids=["lazy", "dict", "none"])
def test_what_is_no_frame_is_refused_by_its_name(name: str, argument: str, make: Callable[[pl.DataFrame], object]) -> None:
    call, frames = CALLS[name]

    with pytest.raises(ValueError, match=f"{argument}: is "):
        call(**frames | {argument: make(frames[argument])})


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Int16, pl.String, pl.Categorical])
@pytest.mark.parametrize("name", CALLS)
def test_keys_come_back_as_they_were_given(name: str, dtype: Any) -> None:
    call, frames = CALLS[name]
    keys = pl.selectors.by_name("sku", "location_id", "from_location_id", "to_location_id", require_all=False)

    result = call(**{argument: frame.with_columns(keys.cast(pl.String).cast(dtype)) for argument, frame in frames.items()})

    assert set(result.select(keys).dtypes) == {dtype()}
    assert result["sku"].cast(pl.String)[0] == "9"


@pytest.mark.parametrize("dtype", [pl.String, pl.Float64])
@pytest.mark.parametrize(("name", "argument"), SKUS)
def test_a_key_of_another_kind_in_one_frame_is_refused_and_never_missed(name: str, argument: str, dtype: Any) -> None:
    call, frames = CALLS[name]

    with pytest.raises(ValueError, match=r"sku: holds .*cast"):
        call(**frames | {argument: frames[argument].with_columns(pl.col("sku").cast(dtype))})


@pytest.mark.parametrize(
    "wrong", [[1.5], [[1]], [2**63 + 5], [b"9"], [DAY], [True]], ids=["float", "list", "huge", "bytes", "date", "bool"]
)
@pytest.mark.parametrize(("name", "argument"), SKUS)
def test_a_key_that_is_no_text_and_no_whole_number_is_refused_by_its_column(name: str, argument: str, wrong: list[Any]) -> None:
    call, frames = CALLS[name]
    frame = frames[argument]

    with pytest.raises(ValueError, match=rf"{argument}\.sku: holds"):
        call(**frames | {argument: frame.with_columns(pl.Series("sku", wrong * frame.height))})


@pytest.mark.parametrize("wrong", ["many", True, DAY, [1], b"1"], ids=["text", "bool", "date", "list", "bytes"])
@pytest.mark.parametrize(
    ("name", "argument", "column"),
    [
        ("allocate", "stock", "available_qty"),
        ("allocate", "wants", "marginal_value"),
        ("fair_share", "wants", "wanted_qty"),
        ("transfers", "lanes", "unit_cost"),
        ("source_orders", "order_lines", "quantity"),
        ("source_orders", "stock", "available_qty"),
        ("source_orders", "costs", "per_unit_amount"),
        ("promise_dates", "order_lines", "open_qty"),
        ("promise_dates", "lead_times", "lead_time_days"),
    ],
)
def test_what_is_no_number_is_refused_by_its_column(name: str, argument: str, column: str, wrong: object) -> None:
    call, frames = CALLS[name]
    frame = frames[argument]

    with pytest.raises(ValueError, match=rf"{argument}\.{column}: "):
        call(**frames | {argument: frame.with_columns(pl.Series(column, [wrong] * frame.height))})


def test_a_cost_whose_sums_leave_64_bits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"costs\.per_shipment_amount: up to 1000000000000000000 minor units"):
        source_orders(LINES, STOCK, COSTS.with_columns(per_shipment_amount=pl.lit(10**18)))


def test_dates_in_text_are_refused_and_never_compared_as_text() -> None:
    coming = pl.DataFrame({"sku": [9], "location_id": [1], "expected_date": ["2025-07-01"], "open_qty": [1]})

    with pytest.raises(ValueError, match=r"inbound\.expected_date: holds String"):
        promise_dates(LINES, STOCK, coming, LEADS, as_of=DAY)
    with pytest.raises(ValueError, match=r"order_lines\.ordered_date: holds String"):
        promise_dates(LINES.with_columns(ordered_date=pl.lit("2025-06-30")), STOCK, INBOUND, LEADS, as_of=DAY)


def test_lanes_of_texts_between_numbered_locations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lanes\.from_location_id: holds text"):
        transfers(STOCK, WANTS, LANES.cast(pl.String).cast({"unit_cost": pl.Float64}))


def test_numbered_locations_are_served_in_the_order_of_their_numbers() -> None:
    result = allocate(STOCK.with_columns(available_qty=pl.lit(1)), WANTS)

    assert result.select("location_id", "qty").rows() == [(2, 1), (10, 0)]


def test_a_frame_without_rows_has_keys_of_any_kind() -> None:
    floors = pl.DataFrame({"sku": [], "location_id": [], "qty": []}, schema_overrides={"sku": pl.String, "qty": pl.Int64})

    assert allocate(STOCK, WANTS, floors=floors).equals(allocate(STOCK, WANTS))


@pytest.mark.parametrize("pack", ["7", None, True, 1.5])
@pytest.mark.parametrize("name", ["allocate", "fair_share", "transfers"])
def test_a_pack_that_is_no_whole_number_is_refused(name: str, pack: object) -> None:
    call, frames = CALLS[name]

    with pytest.raises(ValueError, match="pack_qty"):
        call(**frames, pack_qty=pack)


@pytest.mark.parametrize("rules", [{}, {"never_from": ("store",)}, "store"])
def test_rules_that_are_no_rules_are_refused(rules: Any) -> None:
    with pytest.raises(ValueError, match="rules: is a"):
        source_orders(LINES, STOCK, COSTS, rules=rules)


@pytest.mark.parametrize("wrong", [{"ship_first": "store"}, {"allowed_locations": "DC"}, {"most_splits": "2"}, {"most_splits": -1}])
def test_rules_of_another_kind_are_refused_by_the_name_of_their_field(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SourcingRules(**wrong)


def test_allowed_locations_are_of_the_kind_that_the_stock_has() -> None:
    by_number = source_orders(LINES, STOCK, COSTS, rules=SourcingRules(allowed_locations=frozenset({1})))  # type: ignore[arg-type]

    assert by_number.frame["location_id"].to_list() == [1]
    with pytest.raises(ValueError, match="holds text"):
        source_orders(LINES, STOCK, COSTS, rules=SourcingRules(allowed_locations=frozenset({"1"})))


@pytest.mark.parametrize("as_of", ["2025-06-30", None])
def test_a_day_that_is_no_date_is_refused(as_of: Any) -> None:
    with pytest.raises(ValueError, match="as_of"):
        promise_dates(LINES, STOCK, INBOUND, LEADS, as_of=as_of)
