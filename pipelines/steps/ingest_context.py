"""What a run reports about: its day, zone and currency, from settings, the store's merchant row and the data."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from pipelines.errors import SettingsError, SourceContractError
from pipelines.faults.starting import NO_TIME_ZONE
from pipelines.stores.warehouse import RunContext

if TYPE_CHECKING:
    import duckdb

    from pipelines.settings import Settings
    from pipelines.stores.operational import Merchant


def latest_time(merchant: Merchant | None) -> datetime:
    """Naive UTC; data that is declared complete beyond the clock, as simulated days can be, counts as happened."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return max(now, merchant.data_until) if merchant and merchant.data_until else now


def context_of(conn: duckdb.DuckDBPyConnection, merchant: Merchant | None, *, run_id: str, settings: Settings) -> RunContext:
    """What the run reports about, from settings, the merchant's row and the rows that were loaded.

    Raises:
        SettingsError: The time zone does not exist, or the as-of date lies after the data.
        SourceContractError: Neither settings nor store say zone, day or currency.
    """
    zone = zone_of(merchant, settings=settings)
    currency = merchant.currency_code if merchant else _commonest_currency(conn)
    as_of = settings.as_of or data_day(conn, merchant, zone)
    if as_of is None:
        raise SourceContractError(
            "The store holds no order yet, so there is no day to report: load one, or set ORDERCAST_AS_OF. The warehouse is unchanged."
        )
    if as_of > _last_day(conn, merchant, zone):
        raise SettingsError(f"As-of {as_of} lies after the last day with data; choose an earlier one. The warehouse is unchanged.")
    name, origin = (merchant.name, merchant.origin) if merchant else ("Merchant", "operational store")
    return RunContext(run_id, as_of, zone, currency, name, origin)


def zone_of(merchant: Merchant | None, *, settings: Settings) -> str:
    """The zone of reporting days.

    Raises:
        SettingsError: The time zone does not exist.
        SourceContractError: Neither settings nor store say one.
    """
    zone = settings.time_zone or (merchant.reporting_time_zone if merchant else None)
    if zone is None:
        raise SourceContractError(
            "The store does not say in which zone its days are reported: set ORDERCAST_TIME_ZONE, "
            "for example to Europe/Berlin. The warehouse is unchanged."
        )
    if zone not in available_timezones():
        fault = NO_TIME_ZONE
        raise SettingsError(
            f"{fault.code} The store's reporting time zone {zone!r} {fault.what}: {fault.next_step}. The warehouse is unchanged."
        )
    return zone


def data_day(conn: duckdb.DuckDBPyConnection, merchant: Merchant | None, zone: str) -> date | None:
    """The last complete local day of the data, whatever day this run reports; None before the first order."""
    if merchant and merchant.as_of_date:
        return merchant.as_of_date
    until = merchant.data_until if merchant else None
    if until is None:
        row = conn.execute("SELECT max(created_at) FROM raw.orders").fetchone()
        until = row[0] if row else None
    return _local_day(until, zone) - timedelta(days=1) if until else None


def _last_day(conn: duckdb.DuckDBPyConnection, merchant: Merchant | None, zone: str) -> date:
    """The last local day that holds an order or that the source says to be complete."""
    row = conn.execute("SELECT max(created_at) FROM raw.orders").fetchone()
    known = [time for time in (row[0] if row else None, merchant.data_until if merchant else None) if time is not None]
    return max((_local_day(time, zone) for time in known), default=date.max)


def _local_day(time: datetime, zone: str) -> date:
    return time.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date()


def _commonest_currency(conn: duckdb.DuckDBPyConnection) -> str:
    row = conn.execute("SELECT currency FROM raw.orders GROUP BY currency ORDER BY count(*) DESC, currency LIMIT 1").fetchone()
    if row is None:
        raise SourceContractError("The store holds no order yet, so its currency is unknown: load one and run again.")
    return str(row[0])
