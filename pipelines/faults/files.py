"""What may be wrong with a file to import (E1xx) and with a row of one (E2xx; E25x are warnings)."""

from __future__ import annotations

from typing import Final

from pipelines.faults.fault import Fault

ABOUT_FILES: Final = (
    "All files are read and checked before anything is written, so the store stands as before. A refused file is copied to `refused/` "
    "in the home folder under its sha256, with the reason beside it in a JSON file (of a file beyond 2 GB the JSON only). What lies "
    "there may hold personal data: only its owner can open the folder, and each import removes what is older than "
    "`ORDERCAST_REFUSED_DAYS`.\n\n"
    "Dialect and types are declared by the mapping and never guessed; text is read first and then cast, so `00123`, `1E5` and `NA` "
    "stay text. A CSV file may be packed (`.gz`, or a `.zip` of one file). In Parquet only the 2 GB count, of the values unpacked. "
    "The contract holds no hierarchy (categories and locations are flat, `products.successor_sku` is never followed), so none can "
    "run in a circle."
)
ABOUT_ROWS: Final = (
    "One bad row leaves out its whole document, in all files that name the document. `refused/<sha256>-<file>.rejected.csv` lists "
    "all of them as the file has them, with line, code and reason: correct them in the file itself and import the folder again, "
    "which writes only what is new or has changed. What can be read but cannot be true (a negative quantity, an unknown sku, a day "
    "to come) reaches the store, and the next run judges it like any row of a store. A mapping's rules come first: a row that one "
    "excludes is never rejected."
)

_AND_AGAIN: Final = "and import again"
_EXPORT: Final = "export or copy it anew and import again"
_MEND: Final = f"correct the file {_AND_AGAIN}"
_NOTHING: Final = "nothing needs to be done"
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

BOMB: Final = Fault("E113", "refused", "unpacks to more than 2 GB or to more than 200 times its size", _EXPORT)
ESCAPING_ARCHIVE: Final = Fault("E114", "refused", "the archive holds a path that leads out of it", f"pack the plain file {_AND_AGAIN}")
NOT_ONE_FILE: Final = Fault("E115", "refused", "the archive does not hold exactly one file", f"pack one file each {_AND_AGAIN}")
CLOSED: Final = Fault("E116", "refused", "cannot be opened", f"let this user read it {_AND_AGAIN}")
CHANGED: Final = Fault("E117", "refused", "changed while it was imported", f"wait until it is complete {_AND_AGAIN}")

RAGGED: Final = Fault("E201", "rejected", "has not as many fields as the header", _MEND)
NUL: Final = Fault("E202", "rejected", "holds a NUL character", _MEND)
TOO_LONG: Final = Fault("E203", "rejected", "holds a field of more than 65,536 characters", _MEND)
UNREADABLE: Final = Fault("E204", "rejected", "is not of the declared kind", _EITHER)
NO_VALUE: Final = Fault("E205", "rejected", "gives no value where the contract wants one", _MEND)
SAME_KEY: Final = Fault("E206", "rejected", "gives the same key as another row", _EITHER)
BAD_DOCUMENT: Final = Fault("E207", "rejected", "belongs to a document another row of which is bad", "correct that row and import again")
DOES_NOT_FIT: Final = Fault("E208", "rejected", "gives a value that the contract cannot hold", _EITHER)
SKIPPED_HOUR: Final = Fault("E209", "rejected", "gives a time in an hour that clocks skipped", _EITHER)

REPEATED_HOUR: Final = Fault("E251", "warned", "has times in an hour that clocks repeat", _NOTHING, "the earlier moment was taken")
NO_ROWS: Final = Fault("E252", "warned", "holds a header and no rows", "look whether the export is complete")
EXTRA_COLUMNS: Final = Fault("E253", "warned", "has columns that the mapping does not read", _NOTHING, "they were passed over")
SAME_FILE: Final = Fault(
    "E254", "warned", "is the same file as an earlier part, by its sha256", "put the part there that was meant", "it was skipped"
)
SHARED_ROWS: Final = Fault("E255", "warned", "holds rows that an earlier part holds too", _NOTHING, "they were dropped and counted")
NOTHING_NEW: Final = Fault("E256", "warned", "holds nothing that was not imported before", _NOTHING, "nothing was written")
