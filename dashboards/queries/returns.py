"""Reads of the page about returns: lines by the day they were announced, those that the metric returned_units counts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from dashboards.queries.metrics import breakdown
from dashboards.queries.reading import read_frame, read_money

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

CUTS: Final = ("reason", "sku", "supplier")
MOST_LINES: Final = 200
_COLUMNS: Final = {"channel": "lines.channel_id", "location": "lines.location_id", "category": "product.category",
                   "currency": "lines.order_currency_code"}  # fmt: skip
_UNKNOWN: Final = "unknown"


def pareto(served: Served, cut: str, filters: Filters, *, within: tuple[str, str] | None = None) -> pl.DataFrame:
    """Units announced as returned by the members of a cut, most first, each with its share, the shares so far, and the period before.

    Args:
        served: What is shown.
        cut: One of `CUTS`.
        filters: The chosen days up to the as-of date, and members.
        within: A cut and one of its members, to see what that member consists of.

    Returns:
        member (id), name, returned_qty, prior_returned_qty (null where the data does not reach back), change_qty, share_rate,
        cumulative_rate, refund_reporting_amount (what was paid for them so far), currency_code.
    """
    where, bound = _narrowed(filters, within)
    since, before = _since(served, filters)
    sql = _PARETO.format(member=_MEMBER[cut], name=_NAME[cut], where=where)
    return read_money(served, sql, (since, before, served.context.as_of_date, *bound, before))


def rates(served: Served, cut: str, filters: Filters) -> tuple[pl.DataFrame, str | None]:
    """The metric return_rate by the members of a cut: member, rate, prior_rate, change, n; and why there is none."""
    found = breakdown(served, "return_rate", cut, filters)
    return found.rows.select(
        "member", "name", pl.col("value").alias("rate"), pl.col("prior").alias("prior_rate"), "change", "n"
    ), found.not_available


def return_lines(served: Served, filters: Filters, *, within: tuple[str, str]) -> pl.DataFrame:
    """The return lines behind one member of a cut, newest first."""
    where, bound = _narrowed(filters, within)
    since, _ = _since(served, filters)
    return read_money(served, _LINES.format(where=where), (since, served.context.as_of_date, *bound, MOST_LINES))


def waiting(served: Served, filters: Filters) -> pl.DataFrame:
    """What is on its way through the stages at the end of the as-of date: stage, lines, units, mean and oldest days waited."""
    where, bound = _narrowed(filters, None)
    return read_frame(served.release, _WAITING.format(where=where), bound)


def received_goods(served: Served, filters: Filters) -> pl.DataFrame:
    """What became of the goods that arrived in the chosen days, by condition: units, their cost and handling."""
    where, bound = _narrowed(filters, None)
    since, _ = _since(served, filters)
    return read_money(served, _RECEIVED.format(where=where), (since, served.context.as_of_date, *bound))


def _since(served: Served, filters: Filters) -> tuple[Any, Any]:
    since = served.context.as_of_date - timedelta(days=filters.days - 1)
    return since, since - timedelta(days=filters.days)


def _narrowed(filters: Filters, within: tuple[str, str] | None) -> tuple[str, tuple[Any, ...]]:
    """Conditions with `?` for each value, and the values; columns come from this module alone."""
    parts, bound = ["not lines.is_cancelled", "not lines.is_test"], list[Any]()
    for name, members in filters.where.items():
        parts.append(f"{_COLUMNS[name]} in ({', '.join('?' for _ in members)})")
        bound += members
    if within is not None:
        cut, member = within
        parts.append(f"{_MEMBER[cut]} = ?")
        bound.append(member)
    return " and ".join(parts), tuple(bound)


_MEMBER: Final = {
    "reason": f"coalesce(lines.reason_code, '{_UNKNOWN}')", "sku": "lines.sku", "supplier": f"coalesce(product.supplier_id, '{_UNKNOWN}')",
}  # fmt: skip
_NAME: Final = {
    "reason": "replace(member, '_', ' ')", "sku": "any_value(title)", "supplier": "any_value(supplier_name)",
}  # fmt: skip
_FROM: Final = """
    from marts.fct_return_lines as lines
    left join (select sku, any_value(title) as title, any_value(category) as category, any_value(supplier_id) as supplier_id
        from marts.dim_products group by sku) as product on product.sku = lines.sku
    left join (select supplier_id, any_value(supplier_name) as supplier_name from marts.dim_supplier_items group by supplier_id) as supplier
        on supplier.supplier_id = product.supplier_id
"""

_PARETO: Final = (
    """
    with lines as (
        select {member} as member, title, supplier_name, lines.created_date >= ? as is_now, returned_qty, refund_reporting_amount
    """
    + _FROM
    + """
        where lines.created_date >= ? and lines.created_date <= ? and {where}
    ),
    counted as (
        select member, coalesce({name}, member) as name, coalesce(sum(returned_qty) filter (is_now), 0)::bigint as returned_qty,
            coalesce(sum(returned_qty) filter (not is_now), 0)::bigint as before_qty,
            sum(refund_reporting_amount) filter (is_now)::bigint as refund_reporting_amount
        from lines
        group by member
    ),
    reach as (select min(ordered_date) as first_date from marts.fct_orders where not is_test)
    select member, case when count(*) over (partition by name) > 1 then name || ' (' || member || ')' else name end as name, returned_qty,
        case when before.first_date <= before.before_date then before_qty end as prior_returned_qty,
        returned_qty - prior_returned_qty as change_qty,
        returned_qty / sum(returned_qty) over () as share_rate,
        sum(returned_qty) over (order by returned_qty desc, member) / sum(returned_qty) over () as cumulative_rate,
        refund_reporting_amount
    from counted
    cross join (select first_date, cast(? as date) as before_date from reach) as before
    where returned_qty > 0
    order by returned_qty desc, member
"""
)

_LINES: Final = (
    """
    select lines.created_date, lines.order_id, lines.return_id, lines.sku, title,
        replace(coalesce(lines.reason_code, 'unknown'), '_', ' ') as reason,
        lines.returned_qty, lines.received_date, lines.refunded_date, lines.is_exchange, lines.condition, lines.refund_reporting_amount,
        lines.match_basis, supplier_name, lines.customer_key, count(*) over () as all_count
    """
    + _FROM
    + """
    where lines.created_date >= ? and lines.created_date <= ? and {where}
    order by lines.created_date desc, lines.return_line_id
    limit ?
"""
)

_WAITING: Final = (
    """
    select case when lines.received_date is null then 'Announced, not here yet' else 'Here, not refunded yet' end as stage,
        count(*) as lines_count, sum(lines.returned_qty)::bigint as returned_qty,
        avg(as_of_date - coalesce(lines.received_date, lines.created_date)) as waited_mean_days,
        max(as_of_date - coalesce(lines.received_date, lines.created_date)) as waited_most_days,
        count(*) filter (as_of_date - coalesce(lines.received_date, lines.created_date) > 30) as over_30_days_count
    """
    + _FROM
    + """
    cross join (select as_of_date from meta.run_context)
    where lines.refunded_date is null and (not lines.is_exchange or lines.received_date is null) and lines.created_date <= as_of_date
        and {where}
    group by stage
    order by stage
"""
)

_RECEIVED: Final = (
    """
    select replace(coalesce(lines.condition, 'not noted'), '_', ' ') as condition,
        case when lines.is_restocked then 'back in stock' when not lines.is_restocked then 'not back in stock' else 'not noted' end
            as became,
        count(*) as lines_count, sum(lines.returned_qty)::bigint as returned_qty,
        sum(lines.returned_qty) / sum(sum(lines.returned_qty)) over () as share_rate,
        sum(lines.cost_reporting_amount)::bigint as cost_reporting_amount,
        sum(lines.handling_reporting_amount)::bigint as handling_reporting_amount,
        count(*) filter (lines.cost_reporting_amount is null) as uncosted_count
    """
    + _FROM
    + """
    where lines.received_date >= ? and lines.received_date <= ? and {where}
    group by condition, became
    order by returned_qty desc, condition
"""
)
