"""All faults by code. A module of this package enters by its import and its name in `_MODULES`; then all that it defines counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipelines.faults import documents, files, planning, publishing, starting
from pipelines.faults.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

_MODULES: Final = (files, documents, publishing, planning, starting)

# By the digit after the E.
FAMILIES: Final = {
    "1": "Files that are refused",
    "2": "Rows of a file",
    "3": "Documents of the store",
    "4": "Accepted with a warning",
    "5": "Publishing is blocked",
    "6": "No recommendation",
    "7": "The program does not start",
}
# What the lines of a family cannot say, as paragraphs of the page.
ABOUT: Final = {"1": files.ABOUT_FILES, "2": files.ABOUT_ROWS}


def by_code(faults: Iterable[Fault]) -> dict[str, Fault]:
    """The faults by their codes, in order.

    Raises:
        ValueError: Two faults have the same code, or a code belongs to no family.
    """
    found: dict[str, Fault] = {}
    for fault in sorted(faults, key=lambda one: one.code):
        if fault.code in found:
            raise ValueError(f"{fault.code} stands for two faults: {found[fault.code].what!r} and {fault.what!r}")
        if len(fault.code) != 4 or fault.code[0] != "E" or fault.code[1] not in FAMILIES or not fault.code[1:].isdecimal():
            raise ValueError(f"{fault.code!r} is no code of a fault")
        found[fault.code] = fault
    return found


FAULTS: Final = by_code(one for module in _MODULES for one in vars(module).values() if isinstance(one, Fault))
