"""One kind of bad input: its code, what becomes of it and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Outcome = Literal["refused", "quarantined", "rejected", "warned", "blocked", "not recommended", "not started"]

ACTIONS: Final[dict[Outcome, str]] = {
    "refused": "nothing was imported",
    "quarantined": "its document waits in quarantine",
    "rejected": "the row and its document were left out",
    "warned": "it was accepted",
    "blocked": "it was loaded and nothing was published",
    "not recommended": "nothing is recommended for it",
    "not started": "nothing was started",
}
_SHOWN: Final = 80  # characters of a value


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of bad input.

    Attributes:
        code: `E` and three digits; codes are never given to something else.
        outcome: The file or the batch is refused; the document waits in quarantine; the row of a file and its document are left out;
            it is accepted with a warning; it is loaded and publishing is blocked; nothing is recommended for the item; the program
            does not start.
        what: What is wrong, as the message says it; a detail of the case may follow.
        next_step: What to do, without a full stop.
        action: What was done, where `ACTIONS` says too little.
    """

    code: str
    outcome: Outcome
    what: str
    next_step: str
    action: str = ""

    @property
    def done(self) -> str:
        """What was done about it."""
        return self.action or ACTIONS[self.outcome]

    def message(self, place: str, *, detail: str = "", got: object = None, action: str = "") -> str:
        """What a person reads: code, place, what is wrong, the value, what was done and what to do.

        Args:
            place: Such as `lines.csv line 4 units`, or a table, a key and a field.
            detail: Follows `what` as it stands, with its own blank or comma.
            got: The value, where one is to blame; it is escaped and cut to 80 characters.
            action: What was done, where this case differs from `done`.
        """
        value = "" if got is None else f', got "{escaped(got)}"'
        return f"{self.code} {place}: {self.what}{detail}{value}; {action or self.done}; {self.next_step}."


def escaped(value: object) -> str:
    """A value as a message shows it: at most 80 characters, nothing in it that moves a cursor or turns the direction of writing."""
    text = str(value)[:_SHOWN]
    if not text.isprintable():
        text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
    return text.replace('"', '\\"')
