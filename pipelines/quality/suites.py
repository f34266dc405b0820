"""What arriving rows must satisfy, table by table, as plain data: the runner turns it into Great Expectations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pipelines.stores.source_contract import Field, Kind, SourceTable

LARGEST_QTY: Final = 1_000_000_000
SMALLEST_RATE: Final = 1e-9
EARLIEST_AT: Final = datetime(1990, 1, 1)  # noqa: DTZ001 - the warehouse's timestamps are naive UTC
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

CORRECT_IT: Final = "Correct it in the shop; it is read again on the next run."


@dataclass(frozen=True, slots=True)
class Within:
    """A value is null or lies between two bounds, both included; a bound of None is open."""

    least: float | datetime | None = None
    most: float | datetime | None = None


@dataclass(frozen=True, slots=True)
class OneOf:
    """A value is null or one of these."""

    values: frozenset[str] | frozenset[bool]


IS_TRUE: Final = OneOf(frozenset({True}))


@dataclass(frozen=True, slots=True)
class RowRule:
    """One rule over one field of the batch; a row that breaks it takes its document into quarantine.

    Values are judged as they are (`plausible`, `allowed`); the other aspects are booleans the database works out
    beforehand: `given`, `readable` (the text could be cast), `known` (the reference was found), `unique` (the key),
    `in_order` (not on a day before what it follows from, see `PRECEDED_BY`), `intact` (a text without a NUL byte), `covered`
    (with all others not more than what it is taken from, see `TAKEN_FROM`), and `sound` (all of these at once).
    """

    field: str
    aspect: Literal["given", "readable", "known", "unique", "in_order", "intact", "covered", "sound", "plausible", "allowed"]
    test: Within | OneOf
    reason: str
    next_step: str = CORRECT_IT

    @property
    def name(self) -> str:
        """How quarantine and checks call the rule."""
        return f"{self.field}_is_{self.aspect}"

    @property
    def column(self) -> str:
        """The column of the batch's frame that is judged."""
        return self.field if self.aspect in {"plausible", "allowed"} else self.name


# Stands in for all rules on aspects that the database works out: only rows that break it are judged rule by rule.
SOUND: Final = RowRule("row", "sound", IS_TRUE, "breaks a rule")

_WRONG_KIND: Final[dict[Kind, str]] = {
    "integer": "is not a whole number",
    "decimal": "is not a decimal number",
    "float": "is not a number",
    "timestamp": "is not a time",
    "date": "is not a date",
    "boolean": "is neither true nor false",
}
_A_QUANTITY: Final = (Within(1, LARGEST_QTY), "is below 1 or above 1,000,000,000")
_ANY_STOCK: Final = (Within(-LARGEST_QTY, LARGEST_QTY), "is beyond 1,000,000,000 either way")
_NOT_NEGATIVE: Final = (Within(0), "is negative")

# Rules by field name hold in every table that has the field, unless the table says otherwise below.
_BY_FIELD: Final[dict[str, tuple[Within | OneOf, str]]] = {
    "quantity": _A_QUANTITY,
    "ordered_qty": _A_QUANTITY,
    "received_qty": _NOT_NEGATIVE,
    "on_hand": _ANY_STOCK,
    "unit_price": _NOT_NEGATIVE,
    "unit_cost": _NOT_NEGATIVE,
    "list_price": _NOT_NEGATIVE,
    "price": _NOT_NEGATIVE,
    "total_price": _NOT_NEGATIVE,
    "lead_time_days": _NOT_NEGATIVE,
    "min_order_qty": _NOT_NEGATIVE,
    "order_multiple": _NOT_NEGATIVE,
    "holding_cost_rate": _NOT_NEGATIVE,
    "score": (Within(1, 5), "is not between 1 and 5"),
    "currency": (OneOf(CURRENCIES), "is no ISO 4217 currency code"),
    "match_basis": (OneOf(frozenset({"given", "matched", "unmatched"})), "is not given, matched or unmatched"),
    "actor_type": (OneOf(frozenset({"human", "system"})), "is neither human nor system"),
}
_BY_TABLE: Final[dict[tuple[str, str], tuple[Within | OneOf, str]]] = {
    ("stock_movements", "quantity"): _ANY_STOCK,  # signed: what leaves is negative
    ("payment_holds", "amount"): _NOT_NEGATIVE,  # invoices and payments may be credit notes and paybacks
    ("payment_holds", "outcome"): (OneOf(frozenset({"released", "cancelled"})), "is neither released nor cancelled"),
    ("fx_rates", "rate"): (Within(SMALLEST_RATE), "is not above zero"),
    ("rebate_agreements", "rate"): (Within(0, 1), "is not a share between 0 and 1"),
    ("locations", "type"): (OneOf(frozenset({"store", "dc", "3pl", "supplier"})), "is not store, dc, 3pl or supplier"),
}
# When something happened: never ahead of the clock. Promises, plans and validities may lie in the future.
_HAPPENED_AT: Final = frozenset(
    {("orders", "created_at"), ("order_events", "occurred_at"), ("returns", "created_at"),
     ("stock_movements", "occurred_at"), ("reviews", "created_at"), ("payment_holds", "placed_at"), ("invoices", "issued_at"),
     ("payments", "paid_at")}
)  # fmt: skip

# What happened cannot precede what it follows from: the time of (table, field) against that of the row referred to.
PRECEDED_BY: Final = {
    ("returns", "created_at"): ("order_id", "orders", "created_at"),
    ("payment_holds", "placed_at"): ("order_id", "orders", "created_at"),
    ("invoices", "issued_at"): ("order_id", "orders", "created_at"),
}
# What comes back cannot exceed what it comes from: the sum of (table, field) over the rows that share a link.
TAKEN_FROM: Final = {("return_lines", "quantity"): ("order_line_id", "order_lines", "quantity")}


def rules_for(table: SourceTable, *, fields: Collection[str], tables: Collection[str], now: datetime) -> tuple[RowRule, ...]:
    """The row rules that apply to what the source provides, the most basic first.

    Args:
        fields: Fields of this table that the source has.
        tables: Tables that the source has; a reference into an absent one is not checked.
        now: Naive UTC; an event may not lie more than five minutes after it.
    """
    present = [field for field in table.fields if field.name in fields]
    unique = RowRule(
        table.key[0],
        "unique",
        IS_TRUE,
        f"stands in more than one row with the same key ({', '.join(table.key)})",
        "Keep one of the rows in the shop; it is read again on the next run.",
    )
    return unique, *(rule for field in present for rule in _rules_of(table, field, fields, tables, now))


def _rules_of(table: SourceTable, field: Field, fields: Collection[str], tables: Collection[str], now: datetime) -> Iterator[RowRule]:
    name = field.name
    if field.is_required:
        yield RowRule(name, "given", IS_TRUE, "is missing")
    if field.kind in _WRONG_KIND:
        yield RowRule(name, "readable", IS_TRUE, _WRONG_KIND[field.kind])
    if name in table.key and field.kind == "text" and name != "customer_id":  # its hash arrives in its place
        yield RowRule(name, "intact", IS_TRUE, "holds a NUL byte")
    if field.references:
        referenced, _, column = field.references.partition(".")
        if referenced in tables:
            next_step = f"It loads by itself once {referenced} holds it; add it there or correct it in the shop."
            yield RowRule(name, "known", IS_TRUE, f"is not found in {referenced}.{column}", next_step)
    if (table.name, name) in _HAPPENED_AT:
        span = Within(EARLIEST_AT, now + CLOCK_TOLERANCE)
        yield RowRule(name, "plausible", span, "lies before 1990 or more than 5 minutes in the future")
    link, earlier, _ = PRECEDED_BY.get((table.name, name), ("", "", ""))
    if earlier in tables and link in fields:
        yield RowRule(name, "in_order", IS_TRUE, f"lies before that of its {earlier.removesuffix('s')}")
    link, origin, _ = TAKEN_FROM.get((table.name, name), ("", "", ""))
    if origin in tables and link in fields:
        whole = origin.removesuffix("s").replace("_", " ")
        yield RowRule(name, "covered", IS_TRUE, f"brings the sum of its {whole} to more than was ordered")
    allowed = _BY_TABLE.get((table.name, name)) or _BY_FIELD.get(name)
    if allowed:
        yield RowRule(name, "allowed", *allowed)
