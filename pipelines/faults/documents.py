"""What can be wrong with a row of the operational store: its document waits in quarantine (E3xx), or is taken with a warning (E4xx)."""

from __future__ import annotations

from typing import Final

from pipelines.faults.fault import Fault

_CORRECT_IT: Final = "correct it in the shop, or mend it with `ordercast quarantine mend`; it is read again on the next run"
_WAITS: Final = "it loads by itself once the other is there; add that, or correct this in the shop"


def _held(code: str, what: str, next_step: str = _CORRECT_IT) -> Fault:
    return Fault(code, "quarantined", what, next_step)


MISSING: Final = _held("E301", "is missing")
NO_WHOLE_NUMBER: Final = _held("E302", "is not a whole number")
NO_DECIMAL: Final = _held("E303", "is not a decimal number")
NO_NUMBER: Final = _held("E304", "is not a number")
NO_TIME: Final = _held("E305", "is not a time")
NO_DATE: Final = _held("E306", "is not a date")
NO_BOOLEAN: Final = _held("E307", "is neither true nor false")
NUL_BYTE: Final = _held("E308", "holds a NUL byte")
TOO_LONG: Final = _held("E309", "is longer than 64 KB")
BAD_QUANTITY: Final = _held("E310", "is below 1 or above 1,000,000,000")
BAD_STOCK: Final = _held("E311", "is beyond 1,000,000,000 either way")
NEGATIVE: Final = _held("E312", "is negative")
BAD_TERM: Final = _held("E313", "is negative or larger than can be")
BAD_CURRENCY: Final = _held("E314", "is no ISO 4217 currency code")
MIXED_CURRENCY: Final = _held("E315", "is not the currency of its order")
NOT_FOUND: Final = _held("E316", "is not found in the table it refers to", _WAITS)
ORPHAN: Final = _held("E317", "names a document that is not there", _WAITS)
IN_THE_FUTURE: Final = _held("E318", "lies more than 5 minutes in the future")
BEFORE_BUSINESS: Final = _held("E319", "lies before the business began", f"{_CORRECT_IT}; if it is true, set ORDERCAST_BUSINESS_START")
OUT_OF_ORDER: Final = _held("E320", "lies before what it follows from")
MORE_THAN_SOLD: Final = _held("E321", "brings what came back to more than was ordered")
TWICE: Final = _held("E322", "stands in more than one row with the same key", "keep one of the rows; it is read again on the next run")
NOT_ALLOWED: Final = _held("E323", "is none of the values that mean something here")
BAD_RATE: Final = _held("E324", "is a rate that cannot be")
NO_TIME_ZONE: Final = _held("E325", "is no IANA time zone, such as Europe/Berlin")
WITH_ITS_DOCUMENT: Final = _held("E326", "is held back with its document", "mend the row that is named")


def _warned(code: str, what: str, next_step: str) -> Fault:
    return Fault(code, "warned", what, next_step)


IMPOSSIBLE_TIMELINE: Final = _warned(
    "E401", "orders with a time before one that it must follow", "they are out of that stage only; correct the times in the shop"
)
FREE_OF_CHARGE: Final = _warned("E402", "order lines at the price 0", "they count as sold for nothing; correct those that were not free")
DEAR: Final = _warned(
    "E403", "order lines over 10 times the item's median price of 90 days before", "they count as they are; look for a slipped point"
)
TOTAL_OFF: Final = _warned("E404", "orders whose total is not that of their lines", "ordercast report reconciliation names them")
CLOSED_LOCATION: Final = _warned(
    "E405", "orders of the last 28 days at a location that is closed", "they count there; open the location or move them"
)
NO_LINES: Final = _warned("E406", "orders without a line", "they count as orders without units; add their lines or delete them")
LATE: Final = _warned("E407", "orders that arrived more than 400 days late", "their days were computed anew; figures of the past moved")
NEGATIVE_STOCK: Final = _warned("E408", "stock levels below 0", "suggestions take them for 0; count the shelves and correct them")
NO_WAITING: Final = _warned(
    "E409", "terms with a lead time of 0 days", "goods are expected on the day they are ordered; correct those that take longer"
)
NO_MINIMUM: Final = _warned("E410", "terms with a minimum order of 0", "it is taken for 1")
BETWEEN_PACKS: Final = _warned(
    "E411", "terms whose minimum order is no multiple of the pack", "it is rounded up to whole packs; both are shown with the suggestion"
)
COST_OVER_PRICE: Final = _warned("E412", "items whose cost is above their list price", "they count as they are; correct cost or price")
WHITE_SPACE: Final = _warned(
    "E413",
    "rows whose SKU begins or ends with white space",
    "lines are taken for the SKU without it where only that is known; correct them",
)

FAULTS: Final = tuple(one for one in tuple(vars().values()) if isinstance(one, Fault))
