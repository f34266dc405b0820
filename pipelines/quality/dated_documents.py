"""Documents of some local days: which rows belong to them, so that these can be compared with the store and the others left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipelines.quality.changed_orders import note_orders
from pipelines.quality.reconcile import COMPARED, DIFFERING, RowDay
from pipelines.stores.source_contract import SOURCE_TABLES, Field
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    from datetime import date

    import duckdb

    from pipelines.quality.arrivals import Arrival

# Tables whose rows have the day of the document they are part of, through these fields; what is part of an order has the order's day.
_PART_OF: Final = {
    "order_lines": ("order_id", "orders"),
    "shipments": ("order_id", "orders"),
    "shipment_lines": ("shipment_id", "shipments"),
    "order_events": ("order_id", "orders"),
    "return_lines": ("return_id", "returns"),
    "purchase_order_lines": ("po_id", "purchase_orders"),
    "reviews": ("order_id", "orders"),
    "payment_holds": ("order_id", "orders"),
    "invoices": ("order_id", "orders"),
    "payments": ("invoice_id", "invoices"),
}
_WHOLES: Final = {whole for _, whole in _PART_OF.values()}


@dataclass(frozen=True, slots=True)
class Days:
    """Local days, both ends among them."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class DatedDocuments:
    """What belongs to these days: documents by the local day of their first required time, or else of `created_at`, with all their parts.

    Rows that have no day, such as products and stock as it stands, belong to none.
    """

    conn: duckdb.DuckDBPyConnection
    days: Days
    zone: str

    def is_told_by(self, arrival: Arrival) -> bool:
        """Whether rows of this table have a day."""
        return self.day_of(arrival) is not None

    def day_of(self, arrival: Arrival) -> RowDay | None:
        """The day of the table's rows; None where they have none. A table comes after the one that its rows are part of."""
        typed = arrival.typed_columns()
        if (part_of := _PART_OF.get(arrival.table.name)) is not None:
            link, whole = part_of
            if link not in arrival.fields or not self._is_remembered(whole):
                return None
            day = f"(SELECT max(w._day) FROM {_days_of(whole)} AS w WHERE w._whole = {{}})"
            return RowDay(day.format(typed[link]), day.format(quoted(link)))
        time = _time(arrival)
        if time is None:
            return None
        return RowDay(self._local(time, typed[time.warehouse_name]), self._local(time, quoted(time.warehouse_name)))

    def remember_days(self, arrival: Arrival) -> None:
        """After the table was compared: the day of each of its rows is known to tables whose rows are part of them."""
        name = arrival.table.name
        day = self.day_of(arrival)
        if name not in _WHOLES or day is None:
            return
        key = quoted(arrival.key_columns[0])
        self.conn.execute(
            f"CREATE OR REPLACE TEMP TABLE {_days_of(name)} AS "
            f"SELECT {key} AS _whole, _day FROM {COMPARED} WHERE {self._are_meant('_day')} "
            f"UNION SELECT {key}, {day.standing} FROM {arrival.raw} WHERE {self._are_meant(day.standing)}"
        )

    def keep_differing(self) -> None:
        """Of what was found to differ, only rows of these days are left."""
        self.conn.execute(f"DELETE FROM {DIFFERING} WHERE (day IS NOT NULL AND {self._are_meant('day')}) IS NOT TRUE")

    def note_orders(self) -> None:
        """All orders of these days count as changed, so that their models are computed anew."""
        created = SOURCE_TABLES["orders"].field("created_at")
        note_orders(self.conn, where=self._are_meant(self._local(created, "created_at")))

    def _is_remembered(self, whole: str) -> bool:
        found = self.conn.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = ?", [_days_of(whole)]).fetchone()
        return found != (0,)

    def _local(self, field: Field, value: str) -> str:
        return f"CAST({value} AS DATE)" if field.kind == "date" else f"CAST({value} AT TIME ZONE 'UTC' AT TIME ZONE '{self.zone}' AS DATE)"

    def _are_meant(self, day: str) -> str:
        return f"{day} BETWEEN DATE '{self.days.first}' AND DATE '{self.days.last}'"


def _days_of(whole: str) -> str:
    return f"days_of_{whole}"


def _time(arrival: Arrival) -> Field | None:
    times = [field for field in arrival.present if field.kind in {"timestamp", "date"}]
    return next((field for field in times if field.is_required or field.name == "created_at"), None)
