"""The newest complete day beside the weeks before it: nothing is held back because of it, and everybody can see it."""

from __future__ import annotations

import logging
from dataclasses import astuple, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pipelines.quality.usual_days import WEEKS, DayCheck, judge_count, judge_mix
from pipelines.stores.warehouse import run_context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    import duckdb

logger = logging.getLogger("ordercast.compare_days")


@dataclass(frozen=True, slots=True)
class WatchedRows:
    """Rows that are counted by day, and the fields whose kinds are compared."""

    subject: str
    mart: str
    day: str
    kinds: tuple[str, ...] = ()
    where: str = "not is_test"


WATCHED: Final = (
    WatchedRows("orders", "fct_orders", "ordered_date", ("channel_id", "location_id", "ship_to_country")),
    WatchedRows("order_lines", "fct_order_lines", "ordered_date", ("least(ordered_qty, 10)", "price_band")),
    WatchedRows("shipped_lines", "fct_order_lines", "shipped_date"),
    WatchedRows("return_lines", "fct_return_lines", "created_date", ("reason_code",)),
    WatchedRows("receipts", "fct_purchase_receipts", "received_date", where="true"),
)
NAMES: Final = {"least(ordered_qty, 10)": "ordered_qty"}  # a field that is compared in bands goes by its own name
# Powers of two of the price of a unit: wide enough that a promotion stays within one or two.
_PRICE_BAND: Final = "case when ordered_qty > 0 and net_amount > 0 then floor(log2(net_amount / ordered_qty)) else -1 end"


def compare_days(conn: duckdb.DuckDBPyConnection) -> tuple[DayCheck, ...]:
    """`meta.day_checks` says of the as-of day whether it has as many rows as usual, spread as usual; returns the same.

    Args:
        conn: The warehouse with its marts built.
    """
    as_of = run_context(conn).as_of_date
    checks = tuple(check for watched in WATCHED for check in _of_rows(conn, watched, as_of))
    conn.execute("DELETE FROM meta.day_checks")
    for check in checks:
        conn.execute("INSERT INTO meta.day_checks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [as_of, *astuple(check)])
    for check in (one for one in checks if one.is_usual is False):
        usual = f"usual is {check.low:,.0f} to {check.high:,.0f}" if check.measure == "rows" else f"up to {check.high:.2f} is usual"
        value = f"{check.value:,.0f} rows" if check.measure == "rows" else f"spread over {check.measure} changed by {check.value:.2f}"
        logger.warning("%s of %s: %s, %s (%s)", check.subject, as_of, value, usual, check.basis)
    logger.info("%d of %d looks at %s as usual", sum(check.is_usual is not False for check in checks), len(checks), as_of)
    return checks


def _of_rows(conn: duckdb.DuckDBPyConnection, watched: WatchedRows, as_of: date) -> Iterator[DayCheck]:
    rows = f"(select *, {watched.day} as day{', ' + _PRICE_BAND + ' as price_band' if 'price_band' in watched.kinds else ''} " \
        f"from marts.{watched.mart} where {watched.where} and {watched.day} between ? and ?)"  # fmt: skip
    span = [as_of - timedelta(weeks=WEEKS), as_of]
    first = conn.execute(f"select min({watched.day}) from marts.{watched.mart} where {watched.where}").fetchone()
    counts = dict(conn.execute(f"select day, count(*) from {rows} group by day", span).fetchall())
    known = [day for week in range(1, WEEKS + 1) if first and first[0] and (day := as_of - timedelta(weeks=week)) >= first[0]]
    yield judge_count(watched.subject, counts.get(as_of, 0), [counts.get(day, 0) for day in known])
    for kind in watched.kinds:
        found = conn.execute(
            f"select coalesce(({kind})::varchar, '(none)'), count(*) filter (day = ?), count(*) filter (day < ?) from {rows} group by 1",
            [as_of, as_of, *span],
        ).fetchall()
        today, before = ({name: count for name, *both in found if (count := both[i])} for i in (0, 1))
        yield judge_mix(watched.subject, NAMES.get(kind, kind), today, before)
