"""Why a batch is not taken at all, or taken and not published."""

from __future__ import annotations

from typing import Final

from pipelines.faults.fault import Fault

_MEND_OR_ACCEPT: Final = "mend the source and run again; or, if it is true, accept it with `ordercast quarantine accept`"

BATCH_SUSPECT: Final = Fault("E501", "blocked", "of the batch are bad", _MEND_OR_ACCEPT)
BATCH_REJECTED: Final = Fault(
    "E502", "refused", "of the batch are bad", "correct the source and run again; the same changes are read once more"
)
TOO_MANY_WAIT: Final = Fault("E503", "blocked", "wait in quarantine", _MEND_OR_ACCEPT)
EMPTIED: Final = Fault("E504", "blocked", "holds no row although earlier runs loaded some", _MEND_OR_ACCEPT)
ROWS_FELL: Final = Fault("E505", "blocked", "lost over 90 % of its rows in one batch", _MEND_OR_ACCEPT)
STOCK_FELL: Final = Fault("E506", "blocked", "lost the stock at over half of its places in one batch", _MEND_OR_ACCEPT)
NO_RATE: Final = Fault("E507", "blocked", "have no exchange rate to the reporting currency on their day", _MEND_OR_ACCEPT)
OVERFLOW: Final = Fault("E508", "blocked", "add up to more than can be counted", "correct quantities and prices in the shop and run again")

FAULTS: Final = tuple(one for one in tuple(vars().values()) if isinstance(one, Fault))
