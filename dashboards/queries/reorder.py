"""Reads about one item that is suggested, or is not: its stock ahead, the reckoning, and why it is not on the list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from dashboards.queries.reading import read_frame
from inventory.choices import OrderChoice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboards.queries.releases import Served

HISTORY_DAYS: Final = 42
SEARCH_ROWS: Final = 25


@dataclass(frozen=True, slots=True)
class StockOutlook:
    """One item's stock around the as-of date, with and without a suggested order.

    Attributes:
        history: stock_date, on_hand_qty (what was free on past days is not kept); empty where the merchant keeps no stock movements.
        days: stock_date, is_with_order, stock_p10_qty, stock_p50_qty, stock_p90_qty (free to sell), from the as-of date on.
        deliveries: expected_date, open_qty, kind ("under way" or "this order").
        as_of_date: The last complete day.
        receipt_date: When the suggested order would arrive.
        runs_out_date: First day the median without the order holds less than a unit; None if none does.
        refilled_date: First day after it on which that median holds a unit again; None where it stays empty, or never is.
        lasts_until_date: Last day before the median course without the order misses its first sale, as the plan counts; past the days
            ahead it may be reckoned at the mean demand.
    """

    history: pl.DataFrame
    days: pl.DataFrame
    deliveries: pl.DataFrame
    as_of_date: date
    receipt_date: date
    runs_out_date: date | None
    refilled_date: date | None
    lasts_until_date: date

    @property
    def misses_at_another_time(self) -> bool:
        """Whether the first sale is missed within the days ahead without that being the day on which stock is used up, or the next one."""
        if self.runs_out_date is None:
            return self.lasts_until_date < max(self.days["stock_date"], default=self.as_of_date)
        return abs(self.lasts_until_date - self.runs_out_date) > timedelta(days=1)

    @property
    def first_date(self) -> date:
        """The first day a chart shows."""
        return self.as_of_date - timedelta(days=HISTORY_DAYS if self.history.height else 1)

    @property
    def last_shown_date(self) -> date:
        """Where a chart's axis ends."""
        last: date = max(self.days["stock_date"], default=self.as_of_date)
        return last + timedelta(days=1)

    @property
    def highest_shown_qty(self) -> float:
        """Where a chart's scale ends: above the highest stock, for the marks of deliveries."""
        return 1.5 * max([*self.days["stock_p90_qty"], *self.history["on_hand_qty"]], default=1.0)


def steps(served: Served, recommendation_key: str) -> pl.DataFrame:
    """step, qty, note: the reckoning from demand to quantity, in order."""
    return read_frame(
        served.release,
        "select step, qty, note from planning.recommendation_steps where recommendation_key = ? order by step_number",
        (recommendation_key,),
    )


def order_choices(served: Served, recommendation_key: str) -> tuple[OrderChoice, ...]:
    """Other quantities of an order, smallest first, in major units; none where the release is of before they were kept."""
    if not read_frame(served.release, _HAS_CHOICES).height:
        return ()
    rows = read_frame(served.release, _CHOICES, (recommendation_key,)).iter_rows()
    return tuple(OrderChoice(*row) for row in rows)


def stock_outlook(served: Served, suggestion: Mapping[str, Any]) -> StockOutlook:
    """A suggestion's stock: weeks behind, days ahead with and without the order, and what arrives when."""
    release, as_of = served.release, served.context.as_of_date
    item = (suggestion["sku"], suggestion["location_id"])
    history = read_frame(release, _STOCK_HISTORY, (*item, as_of - timedelta(days=HISTORY_DAYS)))
    days = read_frame(release, _STOCK_OUTLOOK, (suggestion["recommendation_key"],))
    under_way = read_frame(release, _UNDER_WAY, (as_of + timedelta(days=1), *item))
    order = pl.DataFrame(
        {"expected_date": [suggestion["expected_receipt"]], "open_qty": [suggestion["recommended_qty"]], "kind": ["this order"]}
    )
    runs_out, refilled = _empty_span(days.filter(~pl.col("is_with_order")))
    return StockOutlook(
        history=history,
        days=days,
        deliveries=pl.concat([under_way, order], how="vertical_relaxed").filter(
            pl.col("expected_date") <= max(days["stock_date"], default=as_of)
        ),
        as_of_date=as_of,
        receipt_date=suggestion["expected_receipt"],
        runs_out_date=runs_out,
        refilled_date=refilled,
        lasts_until_date=suggestion["need_by"],
    )


def find_items(served: Served, text: str) -> pl.DataFrame:
    """Items whose SKU or title holds the text, per location, with their position and why they are or are not on the list.

    Returns:
        sku, title, location, on_hand_qty, available_qty, inbound_qty, answer; at most 25 rows.
    """
    return read_frame(served.release, _FIND_ITEMS, (text.strip(), text.strip()))


def exclusions(served: Served) -> pl.DataFrame:
    """sku, title, location, reason: items that cannot be judged."""
    return read_frame(served.release, _EXCLUSIONS, ())


def _empty_span(course: pl.DataFrame) -> tuple[date | None, date | None]:
    """The first day of a course whose median holds less than a unit, and the first one after it that holds one again."""
    used_up: date | None = min(course.filter(pl.col("stock_p50_qty") < 1)["stock_date"], default=None)
    if used_up is None:
        return None, None
    refilled = course.filter((pl.col("stock_date") > used_up) & (pl.col("stock_p50_qty") >= 1))
    return used_up, min(refilled["stock_date"], default=None)


_HAS_CHOICES: Final = "select 1 from information_schema.tables where table_schema = 'planning' and table_name = 'order_choices'"

_CHOICES: Final = """
    select order_qty, enough_rate, lost_mean_qty, holding_amount::double, lost_amount::double from planning.order_choices
    where recommendation_key = ? order by order_qty
"""

_STOCK_HISTORY: Final = """
    select stock_date, on_hand_qty from marts.fct_stock_daily
    where sku = ? and location_id = ? and stock_date >= ?
    order by stock_date
"""

_STOCK_OUTLOOK: Final = """
    select stock_date, is_with_order, stock_p10_qty, stock_p50_qty, stock_p90_qty from planning.stock_outlook
    where recommendation_key = ?
    order by is_with_order desc, stock_date
"""

_UNDER_WAY: Final = """
    select greatest(expected_date, ?) as expected_date, sum(open_qty)::bigint as open_qty, 'under way' as kind from marts.fct_inbound
    where sku = ? and location_id = ? and open_qty > 0
    group by all
    order by all
"""

_EXCLUSIONS: Final = """
    select e.sku, coalesce(p.title, e.sku) as title, coalesce(l.name, e.location_id) as location, e.reason
    from planning.recommendation_exclusions as e
    left join marts.dim_products as p on p.sku = e.sku
    left join marts.dim_locations as l on l.location_id = e.location_id
    order by e.reason, e.sku, e.location_id
"""

_FIND_ITEMS: Final = f"""
    with items as (
        select sku, coalesce(title, sku) as title from marts.dim_products
        where contains(lower(sku), lower(?)) or contains(lower(title), lower(?))
    ),
    inbound as (select sku, location_id, sum(open_qty)::bigint as inbound_qty from marts.fct_inbound group by all),
    suggested as (
        select sku, location_id, string_agg(said, ' ' order by said) as answer
        from (
            select sku, location_id, 'Suggested: ' || case kind
                when 'purchase' then 'order ' || recommended_qty || ' units.'
                when 'transfer' then 'move ' || recommended_qty || ' units here.'
                when 'expedite' then 'pull an order of ' || recommended_qty || ' units forward.'
                when 'defer' then 'put an order of ' || recommended_qty || ' units off.'
                when 'cancel_po' then 'cancel ' || recommended_qty || ' units on order.'
                else 'share ' || recommended_qty || ' units among open orders.'
            end as said
            from planning.recommendations
        )
        group by sku, location_id
    )
    select
        i.sku, i.title, coalesce(l.name, s.location_id) as location, s.on_hand_qty, s.available_qty,
        coalesce(b.inbound_qty, 0) as inbound_qty,
        case
            when r.answer is not null then r.answer
            when e.reason is not null then 'Cannot be judged: ' || e.reason
            when s.sku is null then 'No stock record at any location.'
            when exists (from planning.forecast_checks where not is_passed) then 'Not judged: the forecasts broke, see above.'
            else 'Not needed: stock and deliveries last until the next review at the service level.'
        end as answer
    from items as i
    left join marts.fct_inventory_position as s on s.sku = i.sku
    left join inbound as b on b.sku = s.sku and b.location_id = s.location_id
    left join suggested as r on r.sku = s.sku and r.location_id = s.location_id
    left join planning.recommendation_exclusions as e on e.sku = i.sku and e.location_id is not distinct from s.location_id
    left join marts.dim_locations as l on l.location_id = s.location_id
    order by i.sku, location
    limit {SEARCH_ROWS}
"""
