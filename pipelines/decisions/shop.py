"""The shop's tables as a decision reads and writes them: which columns are there, which tables are ours to write, and the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from pipelines.errors import DecisionError
from pipelines.stores.grants import DECISION_TABLES
from pipelines.stores.own_tables import merchant
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.source_rows import quoted
from pipelines.stores.source_writing import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

# Equal to dbt's is_finished_status: after these nothing more is expected.
FINISHED: Final = ("cancelled", "canceled", "closed", "done", "received", "rejected")
CALLED_OFF: Final = ("cancelled", "canceled", "rejected")
DRAFT: Final = "draft"
_RATE_SERVES: Final = timedelta(days=7)  # as in the marts
MOST_UNITS: Final = 10**9  # a quantity above this is a typing error

_NAMES: Final = ", ".join(f"'{name}'" for name in DECISION_TABLES)
_COLUMNS: Final = {
    "sqlite": (
        "SELECT m.name, c.name, c.type, m.type = 'table' FROM sqlite_master AS m, pragma_table_info(m.name) AS c "
        f"WHERE m.type IN ('table', 'view') AND m.name IN ({_NAMES})"
    ),
    "postgresql": (
        "SELECT t.relname, c.attname, format_type(c.atttypid, c.atttypmod), "
        "t.relkind IN ('r', 'p') AND has_any_column_privilege(t.oid, 'INSERT') AND has_any_column_privilege(t.oid, 'UPDATE') "
        "FROM pg_class AS t JOIN pg_attribute AS c ON c.attrelid = t.oid WHERE t.relkind IN ('r', 'p', 'v', 'm', 'f') "
        f"AND t.relname IN ({_NAMES}) AND pg_table_is_visible(t.oid) AND c.attnum > 0 AND NOT c.attisdropped"
    ),
}
# An order number of ours is text; where the shop counts its orders we cannot add one.
_KEYS_WE_WRITE: Final = {"purchase_orders": "po_id", "purchase_order_lines": "po_line_id", "transfers": "transfer_id"}


@dataclass(frozen=True, slots=True)
class Shop:
    """What one transaction knows of the shop's database.

    Attributes:
        columns: The contract's columns of each table that is there.
        writable: Tables that rows of ours can be added to.
        zone: In which its days begin.
        currency_code: In which it reports; None where the store does not say.
        now: UTC without zone: the wall clock, or the end of the data where the store says the data end.
    """

    columns: Mapping[str, frozenset[str]]
    writable: frozenset[str]
    zone: ZoneInfo
    currency_code: str | None
    now: datetime

    @property
    def today(self) -> date:
        """The local day of `now`."""
        return self.now.replace(tzinfo=UTC).astimezone(self.zone).date()

    def has(self, *tables: str) -> bool:
        """Whether all these tables are there."""
        return all(table in self.columns for table in tables)

    def may_write(self, *tables: str) -> bool:
        """Whether rows of ours can be added to all these tables."""
        return self.writable.issuperset(tables)

    def column(self, table: str, column: str, alias: str) -> str:
        """SQL for the column, NULL where the table lacks it."""
        return f"{alias}.{quoted(column)}" if column in self.columns[table] else "NULL"

    def alive(self, table: str, alias: str) -> str:
        """SQL that is true for rows that are not marked as deleted."""
        return f"coalesce({alias}.is_deleted, false) = false" if "is_deleted" in self.columns[table] else "1 = 1"

    def local_date(self, value: Any) -> date | None:
        """The local day of a stored time; None where there is none or it cannot be read."""
        moment = as_utc(value)
        return None if moment is None else moment.replace(tzinfo=UTC).astimezone(self.zone).date()

    def noon(self, day: date) -> datetime:
        """Noon of the local day, in UTC without zone: the same day in whichever zone it is read."""
        return datetime.combine(day, clock_time(12), self.zone).astimezone(UTC).replace(tzinfo=None)


def read_shop(conn: sa.Connection, *, now: datetime | None = None) -> Shop:
    """What this transaction knows of the shop's database.

    Args:
        conn: A transaction on the operational store.
        now: UTC without zone; default is the wall clock. Data that end at a declared time end the clock too: a shop that was imported
            or simulated does not grow old by itself.
    """
    columns: dict[str, set[str]] = {}
    writable = set()
    for table, column, stored_type, is_ours in query(conn, _COLUMNS[conn.dialect.name]):
        if column in SOURCE_TABLES[table].field_names:
            columns.setdefault(table, set()).add(column)
        key = _KEYS_WE_WRITE.get(table)
        if is_ours and (key is None or (column == key and stored_type.lower().startswith(("text", "char", "varchar")))):
            writable.add(table)
    row = conn.execute(sa.select(merchant)).first()
    zone = ZoneInfo(row.reporting_time_zone if row else "UTC")
    moment = (now or datetime.now(UTC).replace(tzinfo=None)) if row is None else _clock(row.as_of_date, row.data_until, zone, now)
    return Shop(
        {name: frozenset(names) for name, names in columns.items()}, frozenset(writable), zone, row.currency_code if row else None, moment
    )


def query(conn: sa.Connection, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement about the shop's tables, whose names come from the contract; values are bound."""
    return [tuple(row) for row in conn.execute(sa.text(statement), values)]


def whole(value: Any, what: str) -> int:
    """A number of units as the shop has it; none is 0.

    Raises:
        DecisionError: It is no whole number that units can be counted in; `what` it is begins the message.
    """
    try:
        number = Decimal(str(value or 0))
        if number == number.to_integral_value() and abs(number) <= MOST_UNITS:
            return int(number)
    except ArithmeticError:
        pass
    raise DecisionError(f"{what} is recorded as {value!r}, which is no number of units; correct it in the shop.")


def write_row(conn: sa.Connection, table: str, values: Mapping[str, Any], shop: Shop) -> None:
    """The shop's table has this row, new or in place of the one with its key; columns it lacks are left out.

    The caller keeps others from writing the same key meanwhile.

    Raises:
        SourceContractError: The database refuses the row. The transaction cannot go on.
    """
    contract = SOURCE_TABLES[table]
    names = [name for name in contract.field_names if name in values and name in shop.columns[table]]
    row = {name: _stored(contract.field(name).kind, values[name], conn.dialect.name) for name in names}
    matches = " AND ".join(f"{quoted(name)} = :{name}" for name in contract.key)
    changes = ", ".join(f"{quoted(name)} = :{name}" for name in names if name not in contract.key)
    with refusals(table):
        if conn.execute(sa.text(f"UPDATE {quoted(table)} SET {changes} WHERE {matches}"), row).rowcount:
            return
        listed, bound = ", ".join(map(quoted, names)), ", ".join(f":{name}" for name in names)
        conn.execute(sa.text(f"INSERT INTO {quoted(table)} ({listed}) VALUES ({bound})"), row)


def remove_row(conn: sa.Connection, table: str, key: Mapping[str, Any], shop: Shop) -> None:
    """The draft line is marked as deleted where the table can say so, and removed where it cannot.

    On PostgreSQL a function of ours removes it: who decides may delete nothing there, and the function only a line that is a draft of ours.
    """
    matches = " AND ".join(f"{quoted(name)} = :{name}" for name in key)
    if "is_deleted" not in shop.columns[table] and conn.dialect.name == "postgresql":
        line, sku = [*key.values(), None][:2]
        conn.execute(sa.text("SELECT ordercast_remove_draft_line(:line, :sku)"), {"line": line, "sku": sku})
        return
    if "is_deleted" not in shop.columns[table]:
        conn.execute(sa.text(f"DELETE FROM {quoted(table)} WHERE {matches}"), dict(key))
        return
    is_dated = "updated_at" in shop.columns[table]
    values = dict(key) | {"yes": 1 if conn.dialect.name == "sqlite" else True}
    if is_dated:
        values["at"] = _stored("timestamp", shop.now, conn.dialect.name)
    conn.execute(sa.text(f"UPDATE {quoted(table)} SET is_deleted = :yes{', updated_at = :at' if is_dated else ''} WHERE {matches}"), values)


def in_reporting_currency(conn: sa.Connection, shop: Shop, amount: Decimal, currency_code: str | None) -> Decimal | None:
    """The amount at the newest rate of the week up to the shop's day; None where there is none: never a rate of one.

    Where the store names no reporting currency, limits are meant in the order's own.
    """
    if currency_code == shop.currency_code or shop.currency_code is None:
        return amount
    if currency_code is None or not shop.has("fx_rates"):
        return None
    statement = (
        "SELECT rate, from_currency FROM fx_rates AS r WHERE rate_date BETWEEN :oldest AND :day "
        "AND ((from_currency = :own AND to_currency = :theirs) OR (from_currency = :theirs AND to_currency = :own)) "
        f"AND {shop.alive('fx_rates', 'r')} ORDER BY rate_date DESC LIMIT 1"
    )
    days = (shop.today - _RATE_SERVES, shop.today)
    oldest, day = (one.isoformat() for one in days) if conn.dialect.name == "sqlite" else days
    for rate, from_currency in query(conn, statement, oldest=oldest, day=day, own=currency_code, theirs=shop.currency_code):
        if rate:
            return amount * Decimal(str(rate)) if from_currency == currency_code else amount / Decimal(str(rate))
    return None


def as_utc(value: Any) -> datetime | None:
    """A time as the database gives it, UTC without zone; None where there is none or it cannot be read."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def _clock(as_of: date | None, data_until: datetime | None, zone: ZoneInfo, now: datetime | None) -> datetime:
    if data_until is not None:
        return data_until
    if as_of is not None:
        return datetime.combine(as_of + timedelta(days=1), clock_time(), zone).astimezone(UTC).replace(tzinfo=None)
    return now or datetime.now(UTC).replace(tzinfo=None)


def _stored(kind: str, value: Any, dialect: str) -> Any:
    if value is None:
        return None
    if kind == "timestamp":
        return value.isoformat(sep=" ", timespec="microseconds") if dialect == "sqlite" else value.replace(tzinfo=UTC)
    if kind == "decimal" and dialect == "sqlite":
        return f"{value:.4f}".removesuffix("00") if f"{value:.4f}".endswith("00") else f"{value:.4f}"
    return int(value) if kind == "boolean" and dialect == "sqlite" else value
