"""What a stretch of the past would have cost under each policy, on the merchant's own demand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from numbers import Integral
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forecasting.matrix import as_matrix
from forecasting.schema import SERIES_KEY, check_frames, check_frequency, check_not_negative
from inventory.classical import RULES, RuleTerms
from inventory.demand_paths import demand_problems
from inventory.item_terms import ItemTerms, key_texts, read_items
from inventory.policy import LONGEST_LEAD, Policy
from inventory.simulation import Shop, World, drawn_leads, run_shops
from inventory.stock_position import read_position
from inventory.true_demand import true_demand, with_sold_out_highs
from inventory.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray, IntArray
    from inventory.policy import OrderRule
    from inventory.stock_position import StockPosition

MEAN_PERIODS: Final = 26  # that the stock begun with is made of where none is given
TOLD, LOW, HIGH = "told", "low", "high"


@dataclass(frozen=True, slots=True)
class Replay:
    """What happened to every policy.

    Attributes:
        frame: policy, cost, holding, shortage (in the policies' costs), fill_rate, average_stock_qty, orders; in the order of the
            policies; with average_stock_amount where every item has a unit_cost.
        bounds: policy, cost_at_low_demand, cost_at_high_demand, fill_rate_at_low_demand, fill_rate_at_high_demand: with demand in
            periods out of stock as low as what was sold, and as high as expected plus one standard deviation; equal to the frame where
            nothing was out of stock. They bound demand: cost may be highest where demand is lowest.
        estimated_rate: Share of the replayed demand that is an estimate, because the merchant was out of stock; None without demand.
        left_out: sku, location_id, reason: series that `plan_orders` would not plan under each of the policies, and those of `initial` that
            the panel lacks; in no figure of the others.
    """

    frame: pl.DataFrame
    bounds: pl.DataFrame
    estimated_rate: float | None
    left_out: pl.DataFrame


def replay(
    panel: pl.DataFrame,
    policies: Mapping[str, Policy | OrderRule | str] | Sequence[Policy | str],
    *,
    start: date,
    end: date,
    frequency: str,
    initial: pl.DataFrame | None = None,
    lead_times: int | Sequence[int] | pl.DataFrame | None = None,
    items: pl.DataFrame | None = None,
    attributes: pl.DataFrame | None = None,
    calendar: pl.DataFrame | None = None,
    seed: int = 0,
    on_progress: Callable[[str, float], None] | None = None,
) -> Replay:
    """Every policy has lived through the periods from `start` to `end`, with the same demand and the same lead times.

    Orders are first decided at the end of the period before `start`, each time from demand known by then. Demand is learnt anew at
    every review, from what customers wanted and not from what the simulated shop could sell, so that policies differ by their
    decisions alone. In periods when the merchant was out of stock demand is what was expected of them, at least what was sold: the level
    before them, with factors of season and calendar learnt from the whole panel.

    Args:
        panel: sku, location_id, demand_date, demand_qty, is_censored; before `start` it is what is learnt from.
        policies: By name: a `Policy`, planned as by `plan_orders` (a budget is left out); a rule; or a name of `inventory.classical.RULES`
            ("textbook", "min_max", "clairvoyant", ...), which takes costs and lead of the first `Policy` there is. Or a list of these.
        start: A day of the first period.
        end: A day of the last one.
        frequency: "daily", "weekly" or "monthly".
        initial: Stock at the end of the period before `start`, as `plan_orders` has it; a series without a row has none.
            None begins with the mean demand of lead plus review time over the last `MEAN_PERIODS` periods, the same for all policies.
        lead_times: How long orders really take: periods, equally likely where they are several, drawn anew for each order; or a frame
            of demand_date (the period at whose end the order is decided) and lead_periods. None takes those of the policy and the items.
        items: As for `plan_orders`.
        attributes: As for forecasts.
        calendar: As for forecasts.
        seed: Seed of demand paths and lead times.
        on_progress: Called with what is done next and the share done, 0 to 1.

    Raises:
        ValueError: A frame or an argument is wrong, or nothing is known before `start`.
    """
    period = check_frequency(frequency)
    check_frames(panel=panel, initial=initial, items=items, attributes=attributes, calendar=calendar)
    check_not_negative(seed=seed)
    named, sample = _named(policies), _lead_sample(lead_times)
    matrix = as_matrix(panel, frequency=period, attributes=attributes, calendar=calendar)
    first, last = _span(matrix, start, end)
    base = next((policy for policy in named.values() if isinstance(policy, Policy)), Policy())
    run_by = {name: policy if isinstance(policy, Policy) else base for name, policy in named.items()}
    position = None if initial is None else read_position(initial, None, horizon=1)
    terms = {name: _terms(matrix.keys, items, policy, sample) for name, policy in run_by.items()}
    unplanned, left_out = _unplanned(matrix, position, list(terms.values()))
    demand, matrix = true_demand(panel, matrix, first=first), with_sold_out_highs(panel, matrix)
    leads = _real_leads(matrix, _terms(matrix.keys, items, base, sample), lead_times, first, last, seed=seed)
    variants = {TOLD: demand.expected} | ({LOW: demand.low, HIGH: demand.high} if demand.censored[first:].any() else {})
    held = _initial(matrix, position, first, base, leads)
    shops = {
        f"{name}\x1f{variant}": _shop(policy, run_by[name], terms[name], wanted=wanted, held=held, longest=int(leads.max(initial=0)))
        for name, policy in named.items()
        for variant, wanted in variants.items()
    }
    wanted = {name: variants[name.rsplit("\x1f", 1)[1]] for name in shops}
    run_shops(shops, wanted, World(matrix, first, last, first, leads), seed=seed, on_progress=on_progress)
    for shop in shops.values():
        shop.leave_out(unplanned)
    kept = np.delete(np.arange(matrix.keys.height), unplanned)
    return _result(shops, list(named), kept, demand.of(kept).estimated_rate(slice(first, last + 1)), left_out)


def _named(policies: Mapping[str, Policy | OrderRule | str] | Sequence[Policy | str]) -> dict[str, Policy | OrderRule | str]:
    named: dict[str, Policy | OrderRule | str] = {}
    if isinstance(policies, Mapping):
        named.update(policies)
    else:
        listed = [policies] if isinstance(policies, (Policy, str)) else policies
        for number, one in enumerate(listed, 1):
            name = one if isinstance(one, str) else f"policy {number}"
            if name in named:
                raise ValueError(f"policies: {name!r} is there twice; name it once.")
            named[name] = one
    if not named:
        raise ValueError("policies: there is none; pass a mapping of name to policy.")
    for name, policy in named.items():
        if isinstance(policy, str) and policy not in RULES:
            raise ValueError(f"policies: {policy!r} is no rule; pass a Policy or one of {', '.join(RULES)}.")
        if not isinstance(policy, (str, Policy)) and not hasattr(policy, "order"):
            raise ValueError(f"policies: {name!r} is a {type(policy).__name__}; pass a Policy, a rule or a rule's name.")
    return named


def _span(matrix: SeriesMatrix, start: date, end: date) -> tuple[int, int]:
    for name, day in (("start", start), ("end", end)):
        if not isinstance(day, date):
            raise ValueError(  # noqa: TRY004 # what is wrong with an argument is a ValueError everywhere in the public API
                f"{name}: has to be a date, such as date(2024, 1, 31), got {day!r}."
            )
    start, end = (day.date() if isinstance(day, datetime) else day for day in (start, end))
    first, last = matrix.periods_at(pl.Series([start, end], dtype=pl.Date)).tolist()
    if start > end:
        raise ValueError(f"start, end: {start} is after {end}; the first of them has to be the earlier day.")
    if not 0 < first <= last < matrix.periods_count:
        raise ValueError(
            f"start, end: {start} to {end} has to lie after the panel's first period {matrix.date_of(0)} and not reach beyond its last, "
            f"{matrix.date_of(matrix.periods_count - 1)}."
        )
    return first, last


def _lead_sample(lead_times: int | Sequence[int] | pl.DataFrame | None) -> list[int] | None:
    """Whole periods that orders may take."""
    if lead_times is None:
        return None
    given: Any = lead_times
    if isinstance(lead_times, pl.DataFrame):
        missing = [name for name in ("demand_date", "lead_periods") if name not in lead_times.columns]
        if missing:
            raise ValueError(
                f"lead_times: lacks {', '.join(missing)}, has {', '.join(lead_times.columns)}; it needs demand_date, lead_periods."
            )
        given = lead_times["lead_periods"].to_list()
    sample = [given] if isinstance(given, (Integral, str)) or not isinstance(given, Iterable) else list(given)
    if not sample or any(isinstance(lead, bool) or not isinstance(lead, Integral) or not 0 <= int(lead) <= LONGEST_LEAD for lead in sample):
        raise ValueError(f"lead_times: has to be whole periods from 0 to {LONGEST_LEAD}, got {sample[:5]!r}.")
    return [int(lead) for lead in sample]


def _terms(keys: pl.DataFrame, items: pl.DataFrame | None, policy: Policy, sample: list[int] | None) -> ItemTerms:
    """What holds for each series; a sample of lead times stands for all that policy and items say of them."""
    if sample is None:
        return read_items(keys, items, policy)
    terms = read_items(keys, None if items is None else items.drop("lead_periods", strict=False), policy)
    return dataclasses.replace(terms, leads=[np.sort(np.array(sample, dtype=np.int64))] * keys.height)


def _unplanned(matrix: SeriesMatrix, position: StockPosition | None, terms: Sequence[ItemTerms]) -> tuple[IntArray, pl.DataFrame]:
    """Rows of the series that cannot be planned under one of the policies, and the same with their reason."""
    stock: list[str | None] = [None] * matrix.keys.height
    if position is not None:
        told = key_texts(position.keys).with_columns(reason=pl.Series(position.problems, dtype=pl.String))
        stock = key_texts(matrix.keys).join(told, on=SERIES_KEY, how="left", maintain_order="left")["reason"].to_list()
    told_of = zip(stock, demand_problems(matrix), *(one.problems for one in terms), strict=True)
    reasons = pl.Series("reason", [next((reason for reason in said if reason), None) for said in told_of], dtype=pl.String)
    left_out = matrix.keys.select(SERIES_KEY).with_columns(reasons).filter(reasons.is_not_null())
    if left_out.height == matrix.keys.height:
        raise ValueError(f"panel, items, initial: no series can be planned; {left_out['sku'][0]}: {left_out['reason'][0]}.")
    return np.flatnonzero(reasons.is_not_null().to_numpy()), _with_unknown(left_out, matrix, position)


def _with_unknown(left_out: pl.DataFrame, matrix: SeriesMatrix, position: StockPosition | None) -> pl.DataFrame:
    """And the series that have stock but no row in the panel; keys are texts where the two frames' kinds differ."""
    if position is None:
        return left_out
    unknown = key_texts(position.keys).with_row_index("row").join(key_texts(matrix.keys), on=SERIES_KEY, how="anti", maintain_order="left")
    reasons = pl.Series("reason", position.problems, dtype=pl.String).fill_null("has no demand history in the panel")
    told = position.keys.select(SERIES_KEY).with_columns(reasons)[unknown["row"]]
    return pl.concat([left_out, told], how="vertical_relaxed")


def _real_leads(
    matrix: SeriesMatrix, terms: ItemTerms, lead_times: int | Sequence[int] | pl.DataFrame | None, first: int, last: int, *, seed: int
) -> IntArray:
    """[order, series]; order 0 is decided at the end of the period before the first."""
    if not isinstance(lead_times, pl.DataFrame):
        return drawn_leads(terms.leads, last - first + 1, seed=seed)
    decided = matrix.periods_at(lead_times["demand_date"].cast(pl.Date)) + 1 - first
    by_order = dict(zip(decided.tolist(), lead_times["lead_periods"].to_list(), strict=True))
    missing = [order for order in range(last - first + 1) if order not in by_order]
    if missing:
        lacks = f"{counted(len(missing), 'period')}, such as {matrix.date_of(first + missing[0] - 1)}"
        raise ValueError(f"lead_times: lacks {lacks}; give each its lead.")
    told = np.array([by_order[order] for order in range(last - first + 1)], dtype=np.int64)
    return np.repeat(told[:, None], matrix.keys.height, axis=1)


def _initial(matrix: SeriesMatrix, position: StockPosition | None, first: int, base: Policy, leads: IntArray) -> FloatArray:
    """[series]; stock to begin with."""
    if position is None:
        recent = slice(max(0, first - MEAN_PERIODS), first)
        seen = np.maximum(matrix.observed[recent].sum(axis=0), 1)
        mean = matrix.demand[recent].sum(axis=0) / seen
        result: FloatArray = np.rint(mean * (np.median(leads, axis=0) + base.review_periods))
        return result
    free = key_texts(position.keys).with_columns(free=position.free)
    return key_texts(matrix.keys).join(free, on=SERIES_KEY, how="left", maintain_order="left")["free"].fill_null(0.0).to_numpy()


def _shop(policy: Policy | OrderRule | str, own: Policy, terms: ItemTerms, *, wanted: FloatArray, held: FloatArray, longest: int) -> Shop:
    rows = max(longest, int(terms.longest_lead.max(initial=0))) + 1
    rule: OrderRule | None = None
    if isinstance(policy, str):
        costs = terms.shortage_cost / np.maximum(terms.shortage_cost + terms.holding_cost, 1e-12)
        rule = RULES[policy](RuleTerms(terms.usual_lead, own.review_periods, costs, own.shortage, wanted))
    elif not isinstance(policy, Policy):
        rule = policy
    return Shop(own, terms, held.copy(), np.zeros((rows, len(held))), rule)


def _result(shops: Mapping[str, Shop], names: list[str], kept: IntArray, estimated_rate: float | None, left_out: pl.DataFrame) -> Replay:
    def of(name: str, variant: str) -> Shop:
        return shops.get(f"{name}\x1f{variant}", shops[f"{name}\x1f{TOLD}"])

    rows = []
    for name in names:
        shop = of(name, TOLD)
        row = {
            "policy": name,
            "cost": shop.holding + shop.shortage,
            "holding": shop.holding,
            "shortage": shop.shortage,
            "fill_rate": shop.fill_rate,
            "average_stock_qty": float(shop.average_stock.sum()),
            "orders": shop.orders,
        }
        if np.isfinite(shop.terms.unit_cost[kept]).all():
            row["average_stock_amount"] = float((shop.average_stock * shop.terms.unit_cost)[kept].sum())
        rows.append(row)
    bounds = [
        {
            "policy": name,
            **{f"cost_at_{variant}_demand": of(name, variant).holding + of(name, variant).shortage for variant in (LOW, HIGH)},
            **{f"fill_rate_at_{variant}_demand": of(name, variant).fill_rate for variant in (LOW, HIGH)},
        }
        for name in names
    ]
    return Replay(pl.DataFrame(rows), pl.DataFrame(bounds), estimated_rate, left_out)
