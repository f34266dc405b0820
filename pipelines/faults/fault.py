"""One kind of bad input: its code, what becomes of it and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["refused", "quarantined", "warned", "blocked", "not recommended", "not started"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of bad input.

    Attributes:
        code: `E` and three digits; codes are never given to something else.
        outcome: The file, the batch or the command is refused; the document waits in quarantine; it is accepted with a warning; it is
            loaded and publishing is blocked; nothing is recommended for the item; the program does not start.
        what: What is wrong, as the message says it.
        next_step: What to do.
    """

    code: str
    outcome: Outcome
    what: str
    next_step: str
