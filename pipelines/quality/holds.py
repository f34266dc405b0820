"""Why nothing may be published, remembered from run to run until it is mended or a person has accepted it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipelines.faults import publishing as faults
from pipelines.quality.arrivals import count
from pipelines.quality.quarantine import count_documents_of_run
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import duckdb

    from pipelines.faults.fault import Fault

_COLUMNS: Final = "hold_id, code, table_name, reason, run_id, measured_count, limit_count, is_accepted"
# A batch is judged once and raw has changed since, so these are asked again whether they still are so; the others any run finds anew.
_OF_A_BATCH: Final = frozenset({faults.BATCH_SUSPECT.code, faults.ROWS_FELL.code, faults.STOCK_FELL.code})


@dataclass(frozen=True, slots=True)
class Finding:
    """What one run found to be wrong with a table as a whole.

    Attributes:
        measured: How much is bad, or how much is left of what fell.
        limit: From here on it is bad; of what fell, from here on it is well again.
    """

    fault: Fault
    table: str
    text: str
    measured: int
    limit: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A finding that stands; `is_accepted`: a person has said that it may be published nevertheless."""

    hold_id: str
    code: str
    table: str
    reason: str
    run_id: str
    measured: int
    limit: int
    is_accepted: bool = False


@dataclass(frozen=True, slots=True)
class Holds:
    """What stood before this run."""

    standing: tuple[Hold, ...] = ()

    @classmethod
    def of(cls, conn: duckdb.DuckDBPyConnection, *, accepted: Collection[str] = ()) -> Holds:
        """The holds of the warehouse; those whose ids are in `accepted` are accepted from now on."""
        rows = [Hold(*row) for row in conn.execute(f"SELECT {_COLUMNS} FROM meta.publishing_holds ORDER BY hold_id").fetchall()]
        return cls(tuple(replace(hold, is_accepted=hold.is_accepted or hold.hold_id in accepted) for hold in rows))

    def accepted_runs(self, table: str) -> list[str]:
        """The runs whose bad documents of this table a person has accepted."""
        code = faults.BATCH_SUSPECT.code
        return [hold.run_id for hold in self.standing if hold.table == table and hold.code == code and hold.is_accepted]

    def of_table(self, table: str) -> list[Hold]:
        """What forbids to publish because of this table and was not accepted."""
        return [hold for hold in self.standing if hold.table == table and not hold.is_accepted]

    def is_suspect(self, table: str) -> bool:
        """A batch of this table is held and nobody has accepted it."""
        code = faults.BATCH_SUSPECT.code
        return any(hold.code == code for hold in self.of_table(table))

    def settle(self, conn: duckdb.DuckDBPyConnection, findings: Sequence[Finding], *, run_id: str) -> list[str]:
        """The warehouse holds what still stands and what is new; returns the reasons not to publish. The caller has the transaction."""
        found = {(finding.fault.code, finding.table): finding for finding in findings}
        kept = [hold for hold in self.standing if _still_stands(conn, hold, found)]
        known = {(hold.code, hold.table): hold for hold in kept if hold.code not in _OF_A_BATCH}
        for key, finding in found.items():
            before = known.get(key)
            if before is not None and finding.measured <= before.measured:
                continue
            if before is not None:
                kept.remove(before)
            reason = f"{finding.fault.code} {finding.text}; {finding.fault.next_step}"
            kept.append(Hold(f"{run_id}:{key[0]}:{key[1]}", *key, reason, run_id, finding.measured, finding.limit))
        kept.sort(key=lambda hold: hold.hold_id)
        _write(conn, kept)
        return [hold.reason for hold in kept if not hold.is_accepted]


def list_holds(conn: duckdb.DuckDBPyConnection) -> list[Hold]:
    """What keeps the warehouse from being published, accepted or not; empty in one that an earlier version made."""
    has_table = "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'meta' AND table_name = 'publishing_holds'"
    return list(Holds.of(conn).standing) if count(conn, has_table) else []


def _still_stands(conn: duckdb.DuckDBPyConnection, hold: Hold, found: Collection[tuple[str, str]]) -> bool:
    if hold.code not in _OF_A_BATCH:
        return (hold.code, hold.table) in found
    if hold.code == faults.BATCH_SUSPECT.code:
        return count_documents_of_run(conn, hold.table, run_id=hold.run_id) >= hold.limit
    if hold.is_accepted:  # nothing asks for it any more
        return False
    if hold.code == faults.ROWS_FELL.code:
        return count(conn, f"SELECT count(*) FROM raw.{quoted(hold.table)}") < hold.limit
    return stocked_items(conn) < hold.limit


def stocked_items(conn: duckdb.DuckDBPyConnection) -> int:
    """Sku-locations with stock on hand."""
    return count(conn, "SELECT count(*) FROM raw.stock_levels WHERE on_hand > 0")


def _write(conn: duckdb.DuckDBPyConnection, holds: Iterable[Hold]) -> None:
    conn.execute("DELETE FROM meta.publishing_holds")
    for hold in holds:
        values = [hold.hold_id, hold.code, hold.table, hold.reason, hold.run_id, hold.measured, hold.limit, hold.is_accepted]
        conn.execute("INSERT INTO meta.publishing_holds VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


# Minor units are counted in 64 bits, and some currencies have a thousand of them.
_MOST_MONEY: Final = 9e15
_WORTH: Final = {
    "order_lines": "quantity::DOUBLE * unit_price",
    "orders": "total_price::DOUBLE",
    "purchase_order_lines": "greatest(ordered_qty, received_qty)::DOUBLE * unit_cost",
}


def sums_that_overflow(conn: duckdb.DuckDBPyConnection) -> list[Finding]:
    """Tables whose money adds up to more than can be counted."""
    findings = []
    for table, worth in _WORTH.items():
        if count(conn, f"SELECT coalesce(sum({worth}), 0) > {_MOST_MONEY} FROM raw.{table}"):
            findings.append(Finding(faults.OVERFLOW, table, f"amounts of {table} {faults.OVERFLOW.what}", 1, 1))
    return findings


def orders_without_rate(conn: duckdb.DuckDBPyConnection, *, currency_code: str) -> list[Finding]:
    """Orders in a currency that cannot be turned into the reporting currency on their day; a rate of 1 is never assumed.

    A rate serves for a week; a day to spare covers zones, so what passes here may still be unknown to a mart, and never the other way.
    """
    # days and currencies are few where orders are many
    row = conn.execute(
        "WITH quoted AS (SELECT from_currency AS currency, rate_date FROM raw.fx_rates WHERE to_currency = $1 UNION "
        "SELECT to_currency, rate_date FROM raw.fx_rates WHERE from_currency = $1), "
        "asked AS (SELECT currency, created_at::DATE AS day, count(*) AS orders, min(order_id) AS example FROM raw.orders "
        "WHERE currency <> $1 GROUP BY ALL) "
        "SELECT coalesce(sum(orders), 0)::BIGINT, min(day), arg_min(currency, day), arg_min(example, day) FROM asked "
        "WHERE NOT EXISTS (FROM quoted q WHERE q.currency = asked.currency AND q.rate_date BETWEEN day - 8 AND day + 1)",
        [currency_code],
    ).fetchone()
    if row is None or not row[0]:
        return []
    text = f"{row[0]:,} orders {faults.NO_RATE.what}, for example {row[3]} in {row[2]} on {row[1]}"
    return [Finding(faults.NO_RATE, "orders", text, row[0], 1)]
