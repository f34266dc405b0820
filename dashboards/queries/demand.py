"""Reads of the Demand page: what was wanted and is forecast by level, how past forecasts did, and what has none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl

from dashboards.queries.reading import read_frame

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

WEEKS_BEHIND: Final = 52
RECENT_DAYS: Final = 28
MOST_ROWS: Final = 500
Level = Literal["category", "sku", "location"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What of demand is looked at: items of these categories at these locations, or one item; nothing named is all."""

    categories: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    sku: str | None = None

    @classmethod
    def of(cls, filters: Filters, sku: str | None = None) -> Scope:
        """What the filters leave; one item is looked at whole, whatever its category."""
        return cls(() if sku else filters.category, filters.location, sku)

    @property
    def bound(self) -> tuple[Any, ...]:
        """The first four parameters of every query here."""
        return (self.categories, self.locations, self.sku, self.sku)

    def as_export(self) -> dict[str, str]:
        """What an export says of it."""
        named = {"category": ", ".join(self.categories), "location": ", ".join(self.locations), "item": self.sku}
        return {name: said for name, said in named.items() if said}


@dataclass(frozen=True, slots=True)
class DemandSum:
    """Demand of many items together, in weeks counted from the as-of date.

    Attributes:
        weeks: from_date, to_date, actual_qty (null ahead), forecast_qty (expected with overrides; null behind), last_year_qty (the same
            week 364 days before; null where data does not reach back), promoted_skus_count.
        series_count: Items at locations that are in it.
        forecast_count: Those of them with a forecast.
        unforecast_recent_qty: Units wanted of the others in the last `RECENT_DAYS` days.
        without_stock_rate: Share of all their days in the history that ended without stock.
        tested_weeks_count: Weeks of past forecasts of this sum that were held against what came.
        lowest_error_rate: Forecast less actual over actual in the week that was forecast too low by most.
        highest_error_rate: The same too high.
    """

    weeks: pl.DataFrame
    series_count: int
    forecast_count: int
    unforecast_recent_qty: float
    without_stock_rate: float | None
    tested_weeks_count: int
    lowest_error_rate: float | None
    highest_error_rate: float | None

    @property
    def recent_qty(self) -> float:
        """Units wanted in as many weeks behind as are forecast ahead."""
        return float(self._behind.tail(self._ahead.height)["actual_qty"].sum())

    @property
    def forecast_qty(self) -> float | None:
        """Units forecast in the weeks ahead; None without a forecast."""
        return float(self._ahead["forecast_qty"].sum()) if self._ahead.height else None

    @property
    def forecast_weeks_count(self) -> int:
        """Whole weeks ahead."""
        return self._ahead.height

    @property
    def change_rate(self) -> float | None:
        """Forecast against as many weeks behind."""
        return _change(self.forecast_qty, self.recent_qty)

    @property
    def last_year_change_rate(self) -> float | None:
        """Forecast against the same weeks a year before; None where data does not reach back."""
        before = self._ahead["last_year_qty"]
        return None if before.is_empty() or before.null_count() else _change(self.forecast_qty, float(before.sum()))

    @property
    def _behind(self) -> pl.DataFrame:
        return self.weeks.filter(pl.col("forecast_qty").is_null())

    @property
    def _ahead(self) -> pl.DataFrame:
        return self.weeks.filter(pl.col("forecast_qty").is_not_null())


def demand_sum(served: Served, scope: Scope) -> DemandSum:
    """Demand of all that is looked at, week by week, and how far sums like it were off."""
    as_of = served.context.as_of_date
    weeks = read_frame(served.release, _WEEKS, (*scope.bound, as_of))
    facts = read_frame(served.release, _SUM_FACTS, (*scope.bound, as_of)).row(0, named=True)
    return DemandSum(weeks=weeks, **facts)


def members(served: Served, scope: Scope, by: Level) -> pl.DataFrame:
    """What a sum is made of, most forecast first.

    Returns:
        member, name, recent_qty and forecast_qty (units in the 28 days behind and ahead), change_rate, last_year_qty (the 28 days ahead,
        364 days before), series_count, forecast_count, tested_count and worse_count (series whose forecast did worse than seasonal naive
        on past cut-offs). At most `MOST_ROWS` rows.
    """
    return read_frame(served.release, _MEMBERS.format(**_BY[by]), (*scope.bound, served.context.as_of_date))


def find_item(served: Served, text: str) -> pl.DataFrame:
    """sku, title, category of the items that the text names: the one of this SKU, else those whose SKU or title holds it."""
    wanted = text.strip()
    found = read_frame(served.release, _ITEMS, (wanted, wanted))
    exact = found.filter(pl.col("sku").str.to_lowercase() == wanted.lower())
    return exact if exact.height else found


def locations_of(served: Served, sku: str) -> dict[str, str]:
    """The locations at which the item was ever wanted, id to name, the one that wants most first."""
    frame = members(served, Scope(sku=sku), "location")
    return dict(frame.select("member", "name").iter_rows())


def at_location(scope: Scope, location_id: str) -> Scope:
    """The same at one location."""
    return replace(scope, locations=(location_id,))


def _change(value: float | None, before: float) -> float | None:
    return None if value is None or before <= 0 else value / before - 1


# The series in question, from the first four parameters of a query.
PICKED: Final = """
    picked as (
        select series.*, coalesce(products.category, 'unknown') as category, coalesce(products.title, series.sku) as title,
            coalesce(locations.name, series.location_id) as location
        from planning.demand_series as series
        left join marts.dim_products as products on products.sku = series.sku
        left join marts.dim_locations as locations on locations.location_id = series.location_id
        where (len(?1::varchar[]) = 0 or list_contains(?1::varchar[], products.category))
            and (len(?2::varchar[]) = 0 or list_contains(?2::varchar[], series.location_id))
            and (?3::varchar is null or series.sku = ?4::varchar)
    )
"""

_WEEKS: Final = f"""
    with {PICKED},
    data as (select min(demand_date) as first_date from marts.fct_demand_daily),
    past as (
        select date_diff('day', demand_date, ?5::date) // 7 as back, sum(demand_qty)::double as qty
        from marts.fct_demand_daily semi join picked using (sku, location_id)
        where demand_date between ?5::date - {7 * 2 * WEEKS_BEHIND} + 1 and ?5::date
        group by all
    ),
    ahead as (
        select (date_diff('day', ?5::date, demand_date) - 1) // 7 as week, sum(demand_mean_qty) as qty, count(distinct demand_date) as days
        from planning.forecast_daily semi join picked using (sku, location_id)
        where demand_date > ?5::date and demand_mean_qty is not null
        group by all
    ),
    weeks as (
        select ?5::date - 6 - 7 * back::int as from_date, back::int as back, null::double as forecast_qty
        from range({WEEKS_BEHIND}) as t(back)
        union all
        select ?5::date + 1 + 7 * week::int, -1 - week::int, qty from ahead where days = 7
    ),
    promoted as (
        select weeks.back, count(distinct promotions.sku) as skus
        from weeks join marts.fct_promotion_days as promotions
            on promotions.promotion_date between weeks.from_date and weeks.from_date + 6
        where promotions.sku in (select sku from picked)
        group by all
    )
    select weeks.from_date, weeks.from_date + 6 as to_date,
        if(weeks.back >= 0, coalesce(this_year.qty, 0), null) as actual_qty, weeks.forecast_qty,
        if(weeks.from_date - 364 >= data.first_date, coalesce(last_year.qty, 0), null) as last_year_qty,
        coalesce(promoted.skus, 0) as promoted_skus_count
    from weeks cross join data
    left join past as this_year on this_year.back = weeks.back
    left join past as last_year on last_year.back = weeks.back + {WEEKS_BEHIND}
    left join promoted on promoted.back = weeks.back
    where weeks.from_date >= data.first_date
    order by weeks.from_date
"""

_SUM_FACTS: Final = f"""
    with {PICKED},
    recent as (
        select coalesce(sum(demand_qty), 0)::double as qty from marts.fct_demand_daily
        semi join (from picked where reason is not null) using (sku, location_id)
        where demand_date > ?5::date - {RECENT_DAYS}
    ),
    sums as (
        select sum(error_qty) / nullif(sum(actual_qty), 0) as error_rate
        from planning.backtest_weeks semi join picked using (sku, location_id)
        group by cutoff_date, week_ahead
    )
    select count(*) as series_count, count(*) filter (reason is null) as forecast_count, (select qty from recent) as unforecast_recent_qty,
        sum(censored_days_count) / nullif(sum(days_count), 0) as without_stock_rate,
        (select count(error_rate) from sums) as tested_weeks_count, (select min(error_rate) from sums) as lowest_error_rate,
        (select max(error_rate) from sums) as highest_error_rate
    from picked
"""

_BY: Final[dict[Level, dict[str, str]]] = {
    "category": {"member": "category", "name": "category"},
    "sku": {"member": "sku", "name": "title"},
    "location": {"member": "location_id", "name": "location"},
}

_MEMBERS: Final = f"""
    with {PICKED},
    past as (
        select sku, location_id, coalesce(sum(demand_qty) filter (demand_date > ?5::date - {RECENT_DAYS}), 0) as recent_qty,
            coalesce(sum(demand_qty) filter (demand_date between ?5::date - 363 and ?5::date - 364 + {RECENT_DAYS}), 0) as last_year_qty
        from marts.fct_demand_daily where demand_date > ?5::date - 364 group by all
    ),
    ahead as (
        select sku, location_id, sum(demand_mean_qty) as forecast_qty from planning.forecast_daily
        where demand_date between ?5::date + 1 and ?5::date + {RECENT_DAYS} group by all
    ),
    scores as (select sku, location_id, fva_rate from planning.backtest_scores where sku is not null)
    select picked.{{member}} as member, any_value(picked.{{name}}) as name, coalesce(sum(recent_qty), 0)::double as recent_qty,
        sum(forecast_qty) as forecast_qty, sum(forecast_qty) / nullif(sum(recent_qty), 0) - 1 as change_rate,
        if(?5::date - 363 >= (select min(demand_date) from marts.fct_demand_daily), coalesce(sum(last_year_qty), 0), null)::double
            as last_year_qty,
        count(*) as series_count, count(*) filter (picked.reason is null) as forecast_count,
        count(scores.fva_rate) as tested_count, count(*) filter (scores.fva_rate < 0) as worse_count
    from picked
    left join past using (sku, location_id) left join ahead using (sku, location_id) left join scores using (sku, location_id)
    group by picked.{{member}}
    order by forecast_qty desc nulls last, recent_qty desc, member
    limit {MOST_ROWS}
"""

_ITEMS: Final = f"""
    select sku, coalesce(title, sku) as title, category from marts.dim_products
    where contains(lower(sku), lower(?)) or contains(lower(title), lower(?))
    order by sku limit {MOST_ROWS}
"""
