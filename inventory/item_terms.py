"""A policy spread over series: one number each, with what an `items` frame says instead and why a series cannot be planned."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.schema import SERIES_KEY
from inventory.policy import LONGEST_LEAD, starting_ratio
from inventory.rounding import SupplierTerms
from inventory.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from forecasting.schema import BoolArray, FloatArray, IntArray
    from inventory.policy import Policy

OPTIONAL: Final = ("max_order_qty", "min_order_qty", "critical_ratio", "unit_cost")  # null is the policy's; of unit_cost, not known
ITEM_COLUMNS: Final = ("holding_cost", "shortage_cost", "lead_periods", "pack_qty", *OPTIONAL)
NEARLY: Final = 0.85  # as difflib has it: lead_period is, order_qty is not
LARGEST_RATIO: Final = 0.999  # beyond it the largest simulated demand is what is ordered, whatever it is


@dataclass(frozen=True, slots=True)
class ItemTerms:
    """One entry per series, in the order of the keys they were read for.

    Attributes:
        leads: Possible lead times in periods, equally likely, per series.
        holding_cost: Per unit left at the end of a period.
        shortage_cost: Per unit not met.
        ratio: The quantile of the need.
        supplier: Pack, minimum and maximum.
        unit_cost: NaN where it is not known.
        problems: Why a series cannot be planned; None where it can.
    """

    leads: list[IntArray]
    holding_cost: FloatArray
    shortage_cost: FloatArray
    ratio: FloatArray
    supplier: SupplierTerms
    unit_cost: FloatArray
    problems: list[str | None]

    @property
    def longest_lead(self) -> IntArray:
        """[series]; the longest possible lead time."""
        return np.array([int(lead[-1]) for lead in self.leads], dtype=np.int64)

    @property
    def usual_lead(self) -> IntArray:
        """[series]; the mean lead time in whole periods."""
        return np.array([int(np.rint(lead.mean())) for lead in self.leads], dtype=np.int64)

    def drawn_leads(self, rows: IntArray, paths: int, generator: np.random.Generator) -> IntArray:
        """[row, path]; each lead time on its share of the paths, the same for series alike."""
        share = (generator.permutation(paths) + 0.5) / paths
        if all(len(self.leads[row]) == 1 for row in rows.tolist()):
            return np.repeat(self.longest_lead[rows, None], paths, axis=1)
        return np.stack([self.leads[row][(share * len(self.leads[row])).astype(np.int64)] for row in rows.tolist()])

    def drawn_windows(
        self, rows: IntArray, paths: int, generator: np.random.Generator, *, review_periods: int
    ) -> tuple[IntArray, IntArray]:
        """[row, path] each: when an order decided now is there, and when the first of all later ones is.

        Lead times are independent, so an order of two reviews hence may overtake that of the next one.
        """
        arrives = self.drawn_leads(rows, paths, generator)
        until = self.drawn_leads(rows, paths, generator) + review_periods
        spread = max(int(self.leads[row][-1] - self.leads[row][0]) for row in rows.tolist()) if len(rows) else 0
        for review in range(2, spread // review_periods + 2):
            until = np.minimum(until, self.drawn_leads(rows, paths, generator) + review * review_periods)
        return arrives, until


def read_items(keys: pl.DataFrame, items: pl.DataFrame | None, policy: Policy) -> ItemTerms:
    """The policy for each series, overridden by the items' own columns.

    Columns of other names are left alone, as frames of items have many, but one that is nearly a name of `ITEM_COLUMNS` is refused.

    Args:
        keys: sku, location_id.
        items: sku, location_id or both, and any of `ITEM_COLUMNS`; `lead_periods` as whole numbers, or as lists of equally likely ones.
            A null in `OPTIONAL` leaves the policy's; elsewhere it is a fact that is missing and the series is not planned.
        policy: What holds where the items say nothing.

    Raises:
        ValueError: The items lack a key, repeat one, or have a column of another kind or one whose name is nearly one of these.
    """
    told = _joined(keys, items)
    problems: list[str | None] = [None] * keys.height
    numbers: dict[str, FloatArray] = {}
    for name in ITEM_COLUMNS:
        if name != "lead_periods":
            numbers[name] = _numbers(told, name, policy=getattr(policy, name, None), problems=problems)
    holding, shortage = numbers["holding_cost"], numbers["shortage_cost"]
    _note(problems, (holding == 0) & (shortage == 0), lambda _: "holding_cost and shortage_cost are both 0: nothing can be weighed")
    held = holding * policy.review_periods
    costs = np.array([starting_ratio(h, p, shortage=policy.shortage) if h + p > 0 else 0.0 for h, p in zip(held, shortage, strict=True)])
    ratio = np.where(np.isnan(numbers["critical_ratio"]), costs, numbers["critical_ratio"])
    pack = numbers["pack_qty"]
    _note(problems, pack < 1, lambda row: f"pack_qty is {pack[row]:g} and has to be at least 1")
    maximum = numbers["max_order_qty"]
    supplier = SupplierTerms(
        np.where(pack >= 1, pack, 1.0), np.nan_to_num(numbers["min_order_qty"]), np.where(np.isnan(maximum), np.inf, maximum)
    )
    _note(
        problems,
        ~supplier.is_possible,
        lambda row: f"max_order_qty {maximum[row]:g} is below the smallest order of {supplier.smallest[row]:g}",
    )
    return ItemTerms(
        leads=_leads(told, policy, problems),
        holding_cost=holding,
        shortage_cost=shortage,
        ratio=np.minimum(ratio, LARGEST_RATIO),
        supplier=supplier,
        unit_cost=numbers["unit_cost"],
        problems=problems,
    )


def key_texts(frame: pl.DataFrame) -> pl.DataFrame:
    """The keys as texts, so that frames whose keys are of different kinds join."""
    return frame.with_columns(pl.col(name).cast(pl.String) for name in SERIES_KEY if name in frame.columns)


def _joined(keys: pl.DataFrame, items: pl.DataFrame | None) -> pl.DataFrame:
    texts = key_texts(keys.select(SERIES_KEY))
    if items is None:
        return texts.with_columns(is_item=pl.lit(value=False))
    on = [name for name in SERIES_KEY if name in items.columns]
    if not on:
        raise ValueError(f"items: lacks sku and location_id, has {', '.join(items.columns)}; name what its rows describe.")
    _check_names(items)
    known = key_texts(items.select(*on, *(name for name in ITEM_COLUMNS if name in items.columns)))
    repeated = known.filter(pl.struct(on).is_duplicated()).select(on).unique().sort(on)
    if repeated.height:
        raise ValueError(
            f"items: {counted(repeated.height, 'key has', 'keys have')} several rows, such as {repeated.row(0)}; pass one row for each."
        )
    return texts.join(known.with_columns(is_item=pl.lit(value=True)), on=on, how="left", maintain_order="left").with_columns(
        pl.col("is_item").fill_null(value=False)
    )


def _check_names(items: pl.DataFrame) -> None:
    for name in items.columns:
        meant = [] if name in ITEM_COLUMNS else get_close_matches(name.lower(), ITEM_COLUMNS, n=1, cutoff=NEARLY)
        if meant and meant[0] not in items.columns:
            raise ValueError(f"items: {name} is not known; did you mean {meant[0]}? Rename or drop it.")


def _numbers(told: pl.DataFrame, name: str, *, policy: object, problems: list[str | None]) -> FloatArray:
    usual = np.nan if policy is None else float(policy)  # type: ignore[arg-type] # fields of a checked policy
    if name not in told.columns:
        return np.full(told.height, usual)
    if not (told.schema[name].is_numeric() or told.schema[name] == pl.Null):
        raise ValueError(f"items: {name} is {told.schema[name]} and has to be a number.")
    given = told[name].cast(pl.Float64).to_numpy()
    is_item = told["is_item"].to_numpy()
    is_null = told[name].is_null().to_numpy()
    if name not in OPTIONAL:
        _note(problems, is_item & is_null, lambda _: f"its {name} is not known")
    _note(problems, is_item & ~is_null & ~(np.isfinite(given) & (given >= 0)), lambda row: f"{name} is {given[row]:g}")
    if name == "critical_ratio":
        _note(problems, is_item & ~is_null & (given > 1), lambda row: f"critical_ratio is {given[row]:g} and has to lie between 0 and 1")
    return np.where(is_item & ~is_null & np.isfinite(given) & (given >= 0), given, usual)


def _leads(told: pl.DataFrame, policy: Policy, problems: list[str | None]) -> list[IntArray]:
    usual = np.array([policy.lead_periods], dtype=np.int64)
    if "lead_periods" not in told.columns:
        return [usual] * told.height
    kind = told.schema["lead_periods"]
    is_list = isinstance(kind, (pl.List, pl.Array))
    if not (is_list or kind.is_numeric() or kind == pl.Null):
        raise ValueError(f"items: lead_periods is {kind} and has to be a whole number or a list of them.")
    leads = [usual] * told.height
    for row, (is_item, given) in enumerate(zip(told["is_item"].to_list(), told["lead_periods"].to_list(), strict=True)):
        if not is_item:
            continue
        sample = given if is_list else [given]
        if not sample or any(lead is None for lead in sample):
            problems[row] = problems[row] or "its lead_periods is not known"
        elif any(not 0 <= lead <= LONGEST_LEAD or lead != int(lead) for lead in sample):
            problems[row] = problems[row] or f"lead_periods is {given}: not whole periods from 0 to {LONGEST_LEAD}"
        else:
            leads[row] = np.sort(np.array(sample, dtype=np.int64))
    return leads


def _note(problems: list[str | None], where: BoolArray, sentence: Callable[[int], str]) -> None:
    for row in np.flatnonzero(where).tolist():
        problems[row] = problems[row] or sentence(row)
