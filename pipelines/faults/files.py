"""What may be wrong with a file to import (E1xx) and with a row of one (E2xx; E25x are warnings)."""

from __future__ import annotations

from typing import Final

from pipelines.faults.fault import Fault

_AND_AGAIN: Final = "and import again"
_EXPORT: Final = f"export or copy it again {_AND_AGAIN}"
_MEND: Final = f"correct the file {_AND_AGAIN}"
_EITHER: Final = f"correct the file or the mapping {_AND_AGAIN}"

MISSING: Final = Fault("E101", "refused", "is not in the folder", f"put the file there {_AND_AGAIN}")
EMPTY: Final = Fault("E102", "refused", "is empty (0 bytes)", _EXPORT)
TOO_LARGE: Final = Fault("E103", "refused", "is larger than 2 GB", f"export it in parts {_AND_AGAIN}")
NOT_UTF8: Final = Fault("E104", "refused", "is not UTF-8", f"save it as UTF-8 {_AND_AGAIN}")
WRONG_SEPARATOR: Final = Fault("E105", "refused", "its columns are not separated as the mapping declares", _EITHER)
BROKEN_QUOTES: Final = Fault("E106", "refused", "a quote is opened and never closed, or stands inside a field", _MEND)
REPEATED_COLUMN: Final = Fault("E107", "refused", "the header names this column twice", f"keep one of the two {_AND_AGAIN}")
MISSING_COLUMN: Final = Fault("E108", "refused", "this column is missing", f"restore the column or correct the mapping {_AND_AGAIN}")
RETYPED_COLUMN: Final = Fault("E109", "refused", "this column has another type than the mapping declares", _EITHER)
DAMAGED: Final = Fault("E110", "refused", "is damaged, cut off or of another format", _EXPORT)
REPEATED_KEY: Final = Fault("E111", "refused", "a key that is unique stands there twice", _EXPORT)
MOSTLY_BAD: Final = Fault("E112", "refused", "more than a fifth of its rows are bad", _EITHER)

RAGGED: Final = Fault("E201", "rejected", "has not as many fields as the header", _MEND)
NUL: Final = Fault("E202", "rejected", "holds a NUL character", _MEND)
TOO_LONG: Final = Fault("E203", "rejected", "holds a field of more than 65,536 characters", _MEND)
UNREADABLE: Final = Fault("E204", "rejected", "is not of the declared kind", _EITHER)
NO_VALUE: Final = Fault("E205", "rejected", "gives no value where the contract wants one", _MEND)
SAME_KEY: Final = Fault("E206", "rejected", "gives the same key as another row", _EITHER)
BAD_DOCUMENT: Final = Fault("E207", "rejected", "belongs to a document another row of which is bad", "correct that row and import again")
