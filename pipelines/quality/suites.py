"""What arriving rows must satisfy, table by table, as plain data: the runner turns it into Great Expectations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast
from zoneinfo import available_timezones

from pipelines.faults import documents as faults

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pipelines.faults.fault import Fault
    from pipelines.stores.source_contract import Field, Kind, SourceTable

    _Allowed: TypeAlias = "tuple[Within | OneOf, Fault, str | None]"

LARGEST_QTY: Final = 1_000_000_000
SMALLEST_RATE: Final = 1e-9
LARGEST_RATE: Final = 1e9
EARLIEST_DATE: Final = date(1990, 1, 1)
LONGEST_FIELD_BYTES: Final = 65_536
LONGEST_DAYS: Final = 3_650
CLOCK_TOLERANCE: Final = timedelta(minutes=5)

# ISO 4217, without funds, metals and test codes.
_CURRENCY_CODES: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
    "CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG "
    "HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA "
    "MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD "
    "RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX "
    "USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG"
)
CURRENCIES: Final = frozenset(_CURRENCY_CODES.split())


@dataclass(frozen=True, slots=True)
class Within:
    """A value is null or lies between two bounds, both included; a bound of None is open."""

    least: float | datetime | None = None
    most: float | datetime | None = None


@dataclass(frozen=True, slots=True)
class OneOf:
    """A value is null or one of these."""

    values: frozenset[str] | frozenset[bool]


Aspect = Literal[
    "given", "readable", "known", "unique", "in_order", "intact", "short", "agreed", "covered", "sound", "past", "plausible", "allowed"
]
IS_TRUE: Final = OneOf(frozenset({True}))


@dataclass(frozen=True, slots=True)
class RowRule:
    """One rule over one field of the batch; a row that breaks it takes its document into quarantine.

    Values are judged as they are (`past`, `plausible`, `allowed`); the other aspects are booleans the database works out
    beforehand: `given`, `readable` (the text could be cast), `known` (the reference was found), `unique` (the key),
    `in_order` (not on a day before what it follows from, see `PRECEDED_BY`), `intact` (a text without a NUL byte), `short` (of at
    most 64 KB), `agreed` (the currency of its order), `covered` (with all others not more than what it is taken from, see
    `TAKEN_FROM`), and `sound` (all of these at once).
    """

    field: str
    aspect: Aspect
    test: Within | OneOf
    fault: Fault
    detail: str | None = None  # says it more precisely than the fault

    @property
    def name(self) -> str:
        """How quarantine and checks call the rule."""
        return f"{self.field}_is_{self.aspect}"

    @property
    def reason(self) -> str:
        """What quarantine says of a row that breaks it, before the value."""
        return f"{self.fault.code} {self.field} {self.detail or self.fault.what}"

    @property
    def column(self) -> str:
        """The column of the batch's frame that is judged."""
        return self.field if self.aspect in {"past", "plausible", "allowed"} else self.name


# Stands in for all rules on aspects that the database works out: only rows that break it are judged rule by rule.
SOUND: Final = RowRule("row", "sound", IS_TRUE, faults.NOT_ALLOWED)

_UNREADABLE: Final[dict[Kind, Fault]] = {
    "integer": faults.NO_WHOLE_NUMBER,
    "decimal": faults.NO_DECIMAL,
    "float": faults.NO_NUMBER,
    "timestamp": faults.NO_TIME,
    "date": faults.NO_DATE,
    "boolean": faults.NO_BOOLEAN,
}
_A_QUANTITY: Final[_Allowed] = (Within(1, LARGEST_QTY), faults.BAD_QUANTITY, None)
_ANY_STOCK: Final[_Allowed] = (Within(-LARGEST_QTY, LARGEST_QTY), faults.BAD_STOCK, None)
_NOT_NEGATIVE: Final[_Allowed] = (Within(0), faults.NEGATIVE, None)
_SOME: Final[_Allowed] = (Within(0, LARGEST_QTY), faults.BAD_TERM, "is below 0 or above 1,000,000,000")
_DAYS: Final[_Allowed] = (Within(0, LONGEST_DAYS), faults.BAD_TERM, "is below 0 or above 3,650 days")

# Rules by field name hold in every table that has the field, unless the table says otherwise below.
_BY_FIELD: Final[dict[str, _Allowed]] = {
    "quantity": _A_QUANTITY,
    "ordered_qty": _A_QUANTITY,
    **dict.fromkeys(("received_qty", "fulfillable_quantity", "min_order_qty", "order_multiple", "max_order_qty"), _SOME),
    **dict.fromkeys(("on_hand", "committed", "reserved", "incoming", "damaged", "available"), _ANY_STOCK),
    **dict.fromkeys(("unit_price", "unit_cost", "list_price", "price", "total_price", "holding_cost_rate"), _NOT_NEGATIVE),
    **dict.fromkeys(("lead_time_days", "transfer_lead_time_days", "review_period_days"), _DAYS),
    "score": (Within(1, 5), faults.NOT_ALLOWED, "is not between 1 and 5"),
    "currency": (OneOf(CURRENCIES), faults.BAD_CURRENCY, None),
    "match_basis": (OneOf(frozenset({"given", "matched", "unmatched"})), faults.NOT_ALLOWED, "is not given, matched or unmatched"),
    "actor_type": (OneOf(frozenset({"human", "system"})), faults.NOT_ALLOWED, "is neither human nor system"),
}
_BY_TABLE: Final[dict[tuple[str, str], _Allowed]] = {
    ("stock_movements", "quantity"): _ANY_STOCK,  # signed: what leaves is negative
    ("payment_holds", "amount"): _NOT_NEGATIVE,  # invoices and payments may be credit notes and paybacks
    ("payment_holds", "outcome"): (
        OneOf(frozenset({"released", "cancelled"})), faults.NOT_ALLOWED, "is neither released nor cancelled",
    ),
    ("fx_rates", "rate"): (Within(SMALLEST_RATE, LARGEST_RATE), faults.BAD_RATE, "is not above zero or beyond 1,000,000,000"),
    ("rebate_agreements", "rate"): (Within(0, 1), faults.BAD_RATE, "is not a share between 0 and 1"),
    ("locations", "type"): (
        OneOf(frozenset({"store", "dc", "3pl", "supplier"})), faults.NOT_ALLOWED, "is not store, dc, 3pl or supplier",
    ),
    ("locations", "time_zone"): (OneOf(frozenset(available_timezones())), faults.NO_TIME_ZONE, None),
}  # fmt: skip
# When something happened: never ahead of the clock. Promises, plans and validities may lie in the future.
_HAPPENED_AT: Final = frozenset(
    {("orders", "created_at"), ("order_events", "occurred_at"), ("returns", "created_at"),
     ("stock_movements", "occurred_at"), ("reviews", "created_at"), ("payment_holds", "placed_at"), ("invoices", "issued_at"),
     ("payments", "paid_at")}
)  # fmt: skip

# Terms without a lead time are kept: the items are listed as such, and not as if nobody sold them.
_MAY_BE_EMPTY: Final = frozenset({("supplier_items", "lead_time_days")})

# What happened cannot precede what it follows from: the time of (table, field) against that of the row referred to.
PRECEDED_BY: Final = {
    ("returns", "created_at"): ("order_id", "orders", "created_at"),
    ("payment_holds", "placed_at"): ("order_id", "orders", "created_at"),
    ("invoices", "issued_at"): ("order_id", "orders", "created_at"),
}
# What is about an order is in its currency.
AGREED_WITH: Final = {("returns", "currency"): ("order_id", "orders", "currency")}
# What comes back cannot exceed what it comes from: the sum of (table, field) over the rows that share a link.
TAKEN_FROM: Final = {("return_lines", "quantity"): ("order_line_id", "order_lines", "quantity")}


def rules_for(
    table: SourceTable, *, fields: Collection[str], tables: Collection[str], now: datetime, business_start: date = EARLIEST_DATE
) -> tuple[RowRule, ...]:
    """The row rules that apply to what the source provides, the most basic first.

    Args:
        fields: Fields of this table that the source has.
        tables: Tables that the source has; a reference into an absent one is not checked.
        now: Naive UTC; an event may not lie more than five minutes after it.
        business_start: Nothing happened before this day.
    """
    present = [field for field in table.fields if field.name in fields]
    twice = f"{faults.TWICE.what} ({', '.join(table.key)})"
    span = Within(datetime.combine(business_start, time()), None), Within(None, now + CLOCK_TOLERANCE)
    return RowRule(table.key[0], "unique", IS_TRUE, faults.TWICE, twice), *(
        rule for field in present for rule in _rules_of(table, field, fields, tables, span)
    )


def _rules_of(
    table: SourceTable, field: Field, fields: Collection[str], tables: Collection[str], span: tuple[Within, Within]
) -> Iterator[RowRule]:
    name = field.name
    if field.is_required and (table.name, name) not in _MAY_BE_EMPTY:
        yield RowRule(name, "given", IS_TRUE, faults.MISSING)
    if field.kind in _UNREADABLE:
        yield RowRule(name, "readable", IS_TRUE, _UNREADABLE[field.kind])
    elif field is not table.customer_field:  # its hash arrives in its place
        yield RowRule(name, "intact", IS_TRUE, faults.NUL_BYTE)
        yield RowRule(name, "short", IS_TRUE, faults.TOO_LONG)
    if field.references and field.references.partition(".")[0] in tables:
        fault = faults.ORPHAN if name == table.document and table.name.endswith("_lines") else faults.NOT_FOUND
        yield RowRule(name, "known", IS_TRUE, fault, f"is not found in {field.references}")
    if (table.name, name) in _HAPPENED_AT:
        began, ended = span
        yield RowRule(name, "plausible", began, faults.BEFORE_BUSINESS)
        yield RowRule(name, "past", ended, faults.IN_THE_FUTURE)
    yield from _compared(table.name, name, fields, tables)
    allowed = _BY_TABLE.get((table.name, name)) or _BY_FIELD.get(name)
    if allowed:
        yield RowRule(name, "allowed", *allowed)


def _compared(table: str, name: str, fields: Collection[str], tables: Collection[str]) -> Iterator[RowRule]:
    """Rules that hold a field against the row of another table that it belongs to."""
    for others, aspect, fault, detail in (
        (PRECEDED_BY, "in_order", faults.OUT_OF_ORDER, "lies before that of its {}"),
        (AGREED_WITH, "agreed", faults.MIXED_CURRENCY, "is not that of its {}"),
        (TAKEN_FROM, "covered", faults.MORE_THAN_SOLD, "brings the sum of its {} to more than was ordered"),
    ):
        link, other, _ = others.get((table, name), ("", "", ""))
        if other in tables and link in fields:
            yield RowRule(name, cast("Aspect", aspect), IS_TRUE, fault, detail.format(other.removesuffix("s").replace("_", " ")))
