"""Why the program does not start."""

from __future__ import annotations

from typing import Final

from pipelines.faults.fault import Fault

UNKNOWN_SETTING: Final = Fault("E701", "not started", "is no setting", "correct its name or remove it, and start again")
IMPOSSIBLE_SETTING: Final = Fault("E702", "not started", "is a value that the setting cannot have", "correct it and start again")
NO_TIME_ZONE: Final = Fault("E703", "not started", "is no IANA time zone", "name one such as Europe/Berlin and start again")

FAULTS: Final = tuple(one for one in tuple(vars().values()) if isinstance(one, Fault))
